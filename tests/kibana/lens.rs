//! A panel of the sources → a form-based Lens visualisation, as Kibana 8.9 saves it.

use serde_json::{Map, Value, json};

use super::mapping::Mapping;
use super::sources::{Aggregation, Format, Measure, Panel, Row, Series, Show, Sources, View};

/// The only layer of a panel.
const LAYER: &str = "layer";

/// The reference of a visualisation to its data view.
pub(super) fn layer_reference(view: &View) -> Value {
    json!({"type": "index-pattern", "id": view.id, "name": format!("indexpattern-datasource-layer-{LAYER}")})
}

/// The attributes of a visualisation that is saved within its panel. `filter` holds for the whole panel.
pub(super) fn attributes(sources: &Sources, view: &View, panel: &Panel, filter: &str) -> Value {
    let writer = Writer {
        sources,
        view,
        mapping: view.mapping(),
        panel,
    };
    let columns = writer.columns();
    let order: Vec<&str> = columns.iter().map(|(id, _)| id.as_str()).collect();
    let (kind, visualization) = writer.visualization();
    let layer = json!({
        "columns": columns.iter().cloned().collect::<Map<_, _>>(),
        "columnOrder": order,
        "incompleteColumns": {},
        "sampling": 1,
    });
    json!({
        "title": panel.title,
        "description": panel.note,
        "visualizationType": kind,
        "type": "lens",
        "references": [layer_reference(view)],
        "state": {
            "visualization": visualization,
            "query": {"query": filter, "language": "kuery"},
            "filters": [],
            "datasourceStates": {"formBased": {"layers": {LAYER: layer}}, "textBased": {"layers": {}}},
            "internalReferences": [],
            "adHocDataViews": {},
        },
    })
}

struct Writer<'a> {
    sources: &'a Sources,
    view: &'a View,
    mapping: Mapping,
    panel: &'a Panel,
}

impl Writer<'_> {
    /// Groups from the outermost to the innermost, then values.
    fn columns(&self) -> Vec<(String, Value)> {
        let rows = self.panel.rows.iter().enumerate();
        let mut columns: Vec<_> = rows
            .map(|(number, row)| (format!("row{number}"), self.row(row)))
            .collect();
        if self.panel.show == Show::OverTime {
            let params = json!({"interval": "auto", "includeEmptyRows": true, "dropPartials": false});
            let time = json!({
                "label": self.view.time, "dataType": "date", "operationType": "date_histogram",
                "sourceField": self.view.time, "isBucketed": true, "scale": "interval", "params": params,
            });
            columns.push(("time".to_owned(), time));
        }
        let values = self.panel.values.iter().enumerate();
        columns.extend(values.map(|(number, value)| (format!("value{number}"), self.value(value))));
        columns
    }

    fn row(&self, row: &Row) -> Value {
        match row {
            Row::Top {
                label,
                top,
                field,
                other,
            } => json!({
                "label": label, "customLabel": true, "dataType": self.mapping.data_type(field),
                "operationType": "terms", "sourceField": field, "isBucketed": true, "scale": "ordinal",
                "params": {
                    "size": top, "orderBy": {"type": "column", "columnId": "value0"}, "orderDirection": "desc",
                    "otherBucket": other, "missingBucket": false, "parentFormat": {"id": "terms"},
                    "include": [], "exclude": [], "includeIsRegex": false, "excludeIsRegex": false,
                },
            }),
            Row::Cases { label, cases } => {
                let filter = |(label, query): &(String, String)| json!({"label": label, "input": {"query": self.sources.expand(query), "language": "kuery"}});
                json!({
                    "label": label, "customLabel": true, "dataType": "string", "operationType": "filters",
                    "isBucketed": true, "scale": "ordinal",
                    "params": {"filters": cases.iter().map(filter).collect::<Vec<_>>()},
                })
            }
        }
    }

    fn value(&self, measure: &Measure) -> Value {
        // A single number says 0; elsewhere nothing is shown as nothing.
        let is_zero_shown = self.panel.show == Show::Metric;
        let mut params = Map::new();
        params.insert("emptyAsNull".to_owned(), json!(!is_zero_shown));
        let (operation, field) = match &measure.value {
            Aggregation::Count => ("count", None),
            Aggregation::Sum(field) => ("sum", Some(field)),
            Aggregation::Unique(field) => ("unique_count", Some(field)),
            Aggregation::Min(field) => ("min", Some(field)),
            Aggregation::Max(field) => ("max", Some(field)),
            Aggregation::Percentile(percent, field) => {
                params.insert("percentile".to_owned(), json!(percent));
                ("percentile", Some(field))
            }
            Aggregation::Last(field) => {
                params.insert("sortField".to_owned(), json!("@timestamp"));
                params.insert("showArrayValues".to_owned(), json!(false));
                ("last_value", Some(field))
            }
        };
        let keeps_type = matches!(operation, "min" | "max" | "last_value");
        let data_type = match field {
            Some(field) if keeps_type => self.mapping.data_type(field),
            _ => "number",
        };
        if !matches!(operation, "count" | "sum" | "unique_count") {
            params.remove("emptyAsNull");
        }
        if let Some(format) = field
            .filter(|_| operation != "unique_count")
            .and_then(|field| self.format(field))
        {
            params.insert("format".to_owned(), format);
        }
        let mut column = json!({
            "label": measure.label, "customLabel": true, "dataType": data_type, "operationType": operation,
            "sourceField": field.map_or("___records___", String::as_str), "isBucketed": false,
            "scale": if data_type == "string" { "ordinal" } else { "ratio" }, "params": params,
        });
        if !measure.filter.is_empty() {
            column["filter"] = json!({"query": self.sources.expand(&measure.filter), "language": "kuery"});
        }
        column
    }

    /// Bytes are said to be so; everything else is shown as the data view says.
    fn format(&self, field: &str) -> Option<Value> {
        let shown = self.view.fields.get(field)?;
        matches!(shown.format?, Format::Bytes).then(|| json!({"id": "bytes", "params": {"decimals": 1}}))
    }

    fn visualization(&self) -> (&'static str, Value) {
        let values: Vec<String> = (0..self.panel.values.len())
            .map(|number| format!("value{number}"))
            .collect();
        let layer = |mut members: Value| {
            members["layerId"] = json!(LAYER);
            members["layerType"] = json!("data");
            members
        };
        match self.panel.show {
            Show::Metric => ("lnsMetric", layer(json!({"metricAccessor": "value0"}))),
            Show::Table => {
                let columns = self.columns();
                let columns = columns
                    .iter()
                    .map(|(id, _)| json!({"columnId": id, "isTransposed": false}));
                let columns: Vec<Value> = columns.collect();
                let paging = json!({"size": 10, "enabled": true});
                (
                    "lnsDatatable",
                    layer(json!({"columns": columns, "paging": paging})),
                )
            }
            Show::OverTime => ("lnsXY", xy(&layer, self.series(), "time", &values, self.split(0))),
            Show::Bars => (
                "lnsXY",
                xy(&layer, "bar_horizontal", "row0", &values, self.split(1)),
            ),
            Show::Donut => {
                let layers = [layer(json!({
                    "primaryGroups": ["row0"], "metrics": ["value0"], "numberDisplay": "percent",
                    "categoryDisplay": "default", "legendDisplay": "default", "nestedLegend": false,
                }))];
                ("lnsPie", json!({"shape": "donut", "layers": layers}))
            }
            Show::Heatmap => {
                let grid = json!({
                    "type": "heatmap_grid", "isCellLabelVisible": true, "isYAxisLabelVisible": true,
                    "isXAxisLabelVisible": true, "isYAxisTitleVisible": true, "isXAxisTitleVisible": true,
                });
                let legend = json!({"isVisible": false, "position": "right", "type": "heatmap_legend"});
                let visualization = json!({
                    "shape": "heatmap", "gridConfig": grid, "legend": legend,
                    "xAccessor": "row0", "yAccessor": "row1", "valueAccessor": "value0",
                });
                ("lnsHeatmap", layer(visualization))
            }
            Show::Search => unreachable!("a saved search is no visualisation"),
        }
    }

    fn series(&self) -> &'static str {
        match self.panel.series {
            Series::BarStacked => "bar_stacked",
            Series::Line => "line",
        }
    }

    /// The group that makes several series, if there is one.
    fn split(&self, number: usize) -> Option<String> {
        (self.panel.rows.len() > number).then(|| format!("row{number}"))
    }
}

fn xy(
    layer: &impl Fn(Value) -> Value,
    series: &str,
    x: &str,
    values: &[String],
    split: Option<String>,
) -> Value {
    let is_legend_visible = split.is_some() || values.len() > 1;
    let mut data = layer(json!({
        "seriesType": series, "accessors": values, "xAccessor": x, "position": "top", "showGridlines": false,
    }));
    if let Some(split) = split {
        data["splitAccessor"] = json!(split);
    }
    let everywhere = json!({"x": true, "yLeft": true, "yRight": true});
    json!({
        "legend": {"isVisible": is_legend_visible, "position": "right"},
        "valueLabels": "hide",
        "fittingFunction": "None",
        "axisTitlesVisibilitySettings": {"x": false, "yLeft": false, "yRight": false},
        "tickLabelsVisibilitySettings": everywhere,
        "labelsOrientation": {"x": 0, "yLeft": 0, "yRight": 0},
        "gridlinesVisibilitySettings": everywhere,
        "preferredSeriesType": series,
        "layers": [data],
    })
}
