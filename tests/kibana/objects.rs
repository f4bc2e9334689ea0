//! The sources → what Kibana imports: saved objects as NDJSON, alert rules as bodies of its API.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::lens;
use super::sources::{Aggregation, Condition, Dashboard, Format, Panel, Rule, Search, Show, Sources, View};
use super::sources::{as_text, slug};

/// The version of all types together; the same from 8.8 on.
const CORE_VERSION: &str = "8.8.0";

/// The versions of the types that Kibana 8.9 knows: every newer minor and the next major take them.
pub(super) const TYPE_VERSIONS: [(&str, &str); 3] = [
    ("index-pattern", "8.0.0"),
    ("search", "8.0.0"),
    ("dashboard", "8.9.0"),
];

const SEARCH_SOURCE_INDEX: &str = "kibanaSavedObjectMeta.searchSourceJSON.index";

/// A line an object, in an order in which everything comes after what it names.
pub(super) fn saved_objects(sources: &Sources) -> String {
    let views = sources.views.values().map(data_view);
    let searches = sources
        .searches
        .iter()
        .map(|search| saved_search(sources, search));
    let dashboards = sources.dashboards.iter().map(|each| dashboard(sources, each));
    let objects = views.chain(searches).chain(dashboards);
    objects.map(|object| format!("{object}\n")).collect()
}

/// The bodies of `POST /api/alerting/rule/{id}` by name.
pub(super) fn rules(sources: &Sources) -> BTreeMap<String, Value> {
    let rules = sources.rules.iter();
    rules
        .map(|(name, rule)| (name.clone(), rule_body(sources, rule)))
        .collect()
}

fn object(kind: &str, id: &str, attributes: Value, references: Vec<Value>) -> Value {
    let version = TYPE_VERSIONS.iter().find(|(name, _)| *name == kind);
    json!({
        "type": kind, "id": id, "attributes": attributes, "references": references, "managed": false,
        "coreMigrationVersion": CORE_VERSION, "typeMigrationVersion": version.unwrap().1,
    })
}

fn data_view(view: &View) -> Value {
    let mapping = view.mapping();
    let (mut labels, mut formats) = (Map::new(), Map::new());
    for (field, shown) in &view.fields {
        mapping.kind(field);
        labels.insert(field.clone(), json!({"customLabel": shown.label}));
        if let Some(format) = shown.format {
            formats.insert(field.clone(), field_format(format));
        }
    }
    let attributes = json!({
        "title": view.title, "name": view.name, "timeFieldName": view.time,
        "fieldAttrs": as_text(&labels.into()), "fieldFormatMap": as_text(&formats.into()),
        "fields": "[]", "runtimeFieldMap": "{}", "sourceFilters": "[]", "typeMeta": "{}",
    });
    object("index-pattern", &view.id, attributes, Vec::new())
}

fn field_format(format: Format) -> Value {
    let duration = |unit: &str| {
        json!({"id": "duration", "params": {
            "inputFormat": unit, "outputFormat": "humanizePrecise", "outputPrecision": 1, "useShortSuffix": true,
        }})
    };
    match format {
        Format::Bytes => json!({"id": "bytes", "params": {"pattern": "0,0.[0]b"}}),
        Format::Nanoseconds => duration("nanoseconds"),
        Format::Milliseconds => duration("milliseconds"),
        Format::Plain => json!({"id": "number", "params": {"pattern": "0"}}),
        // Relative to Kibana's `/app/`, whatever its base path and space.
        Format::Host => json!({"id": "url", "params": {
            "type": "a",
            "urlTemplate": "../app/dashboards#/view/flowship-one-host?_a=(query:(language:kuery,query:'related.ip:%22{{value}}%22'))",
            "labelTemplate": "{{value}}",
            "openLinkInCurrentTab": false,
        }}),
    }
}

fn saved_search(sources: &Sources, search: &Search) -> Value {
    let view = &sources.views[&search.view];
    let source = json!({
        "query": {"query": sources.expand(&search.query), "language": "kuery"},
        "filter": [],
        "indexRefName": SEARCH_SOURCE_INDEX,
    });
    let attributes = json!({
        "title": search.title, "description": search.description, "columns": search.columns,
        "sort": [search.sort], "grid": {}, "hideChart": false, "isTextBasedQuery": false,
        "timeRestore": true, "timeRange": {"from": search.from, "to": search.to},
        "kibanaSavedObjectMeta": {"searchSourceJSON": as_text(&source)},
    });
    let reference = json!({"type": "index-pattern", "id": view.id, "name": SEARCH_SOURCE_INDEX});
    object("search", &search.id, attributes, vec![reference])
}

fn dashboard(sources: &Sources, dashboard: &Dashboard) -> Value {
    let mut references = Vec::new();
    let mut panels = Vec::new();
    for panel in &dashboard.panels {
        let (panel, reference) = dashboard_panel(sources, dashboard, panel);
        panels.push(panel);
        references.push(reference);
    }
    let options = json!({
        "useMargins": true, "syncColors": false, "syncCursor": true, "syncTooltips": false, "hidePanelTitles": false,
    });
    let source = json!({"query": {"query": "", "language": "kuery"}, "filter": []});
    let attributes = json!({
        "title": dashboard.title, "description": dashboard.description, "version": 1,
        "panelsJSON": as_text(&panels.into()), "optionsJSON": as_text(&options),
        "timeRestore": true, "timeFrom": dashboard.from, "timeTo": "now",
        "refreshInterval": {"pause": true, "value": 60000},
        "kibanaSavedObjectMeta": {"searchSourceJSON": as_text(&source)},
        "controlGroupInput": controls(sources, dashboard, &mut references),
    });
    object("dashboard", &dashboard.id, attributes, references)
}

fn controls(sources: &Sources, dashboard: &Dashboard, references: &mut Vec<Value>) -> Value {
    let view = &sources.views[&dashboard.view];
    let mut panels = Map::new();
    for (order, control) in dashboard.controls.iter().enumerate() {
        view.mapping().kind(&control.field);
        let id = format!("control-{}", slug(&control.label));
        let input = json!({
            "id": id, "fieldName": control.field, "title": control.label, "selectedOptions": [],
            "singleSelect": control.single, "enhancements": {},
        });
        references.push(json!({
            "type": "index-pattern", "id": view.id, "name": format!("controlGroup_{id}:optionsListDataView"),
        }));
        let panel = json!({
            "type": "optionsListControl", "order": order, "width": "medium", "grow": true, "explicitInput": input,
        });
        panels.insert(id, panel);
    }
    let heeds_all = json!({
        "ignoreFilters": false, "ignoreQuery": false, "ignoreTimerange": false, "ignoreValidations": false,
    });
    json!({
        "controlStyle": "oneLine", "chainingSystem": "HIERARCHICAL",
        "ignoreParentSettingsJSON": as_text(&heeds_all), "panelsJSON": as_text(&panels.into()),
    })
}

/// The panel, and its reference.
fn dashboard_panel(sources: &Sources, dashboard: &Dashboard, panel: &Panel) -> (Value, Value) {
    let id = slug(&panel.title);
    let [x, y, width, height] = panel.at;
    let mut config = json!({"enhancements": {}, "hidePanelTitles": false});
    let mut shown = json!({
        "version": "8.9.0", "panelIndex": id, "title": panel.title,
        "gridData": {"x": x, "y": y, "w": width, "h": height, "i": id},
    });
    let reference = if panel.show == Show::Search {
        let search = panel.search.as_ref().unwrap();
        let name = format!("panel_{id}");
        shown["type"] = json!("search");
        shown["panelRefName"] = json!(name);
        json!({"type": "search", "id": search, "name": format!("{id}:{name}")})
    } else {
        let view = &sources.views[panel.view.as_ref().unwrap_or(&dashboard.view)];
        let filter = sources.both(&dashboard.filter, &panel.filter);
        shown["type"] = json!("lens");
        config["attributes"] = lens::attributes(sources, view, panel, &filter);
        let mut reference = lens::layer_reference(view);
        reference["name"] = json!(format!("{id}:{}", reference["name"].as_str().unwrap()));
        reference
    };
    shown["embeddableConfig"] = config;
    (shown, reference)
}

fn rule_body(sources: &Sources, rule: &Rule) -> Value {
    let view = &sources.views[&rule.view];
    let search = json!({
        "query": {"query": sources.expand(&rule.filter), "language": "kuery"}, "index": view.id,
    });
    let (size, unit) = rule.within.split_at(rule.within.len() - 1);
    let size: u32 = size.parse().unwrap();
    let (comparator, threshold) = match rule.is {
        Condition::Above(number) => (">", number),
        Condition::Below(number) => ("<", number),
        Condition::Gone => ("<", 0),
    };
    let (operation, field) = match &rule.measure {
        Aggregation::Count => ("count", None),
        Aggregation::Sum(field) => ("sum", Some(field)),
        Aggregation::Unique(field) => ("cardinality", Some(field)),
        other => panic!("no rule measures {other:?}"),
    };
    for field in field.iter().copied().chain(&rule.per) {
        view.mapping().kind(field);
    }
    let is_gone = matches!(rule.is, Condition::Gone);
    // The Elasticsearch query rule knows neither distinct values nor groups that are not there any more.
    let (kind, consumer, params) = if operation == "cardinality" || is_gone {
        let mut metric = json!({"name": "A", "aggType": operation});
        if let Some(field) = field {
            metric["field"] = json!(field);
        }
        let criterion = json!({
            "metrics": [metric], "comparator": comparator, "threshold": [threshold],
            "timeSize": size, "timeUnit": unit,
        });
        let params = json!({
            "criteria": [criterion], "groupBy": rule.per.as_slice(), "searchConfiguration": search,
            "alertOnNoData": is_gone, "alertOnGroupDisappear": is_gone,
        });
        ("observability.rules.custom_threshold", "logs", params)
    } else {
        let mut params = json!({
            "searchType": "searchSource", "searchConfiguration": search, "timeField": view.time,
            "timeWindowSize": size, "timeWindowUnit": unit, "threshold": [threshold],
            "thresholdComparator": comparator, "size": 10, "aggType": operation,
            "groupBy": if rule.per.is_some() { "top" } else { "all" }, "excludeHitsFromPreviousRun": false,
        });
        if let Some(field) = field {
            params["aggField"] = json!(field);
        }
        if let Some(per) = &rule.per {
            params["termField"] = json!(per);
            params["termSize"] = json!(100);
        }
        (".es-query", "stackAlerts", params)
    };
    json!({
        "name": rule.name, "rule_type_id": kind, "consumer": consumer, "schedule": {"interval": "5m"},
        "tags": ["flowship"], "enabled": rule.enabled, "actions": [], "params": params,
    })
}
