//! What can be known of the files without a Kibana: that they import, and that nothing in them points nowhere.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::kql::Query;
use super::mapping::Mapping;
use super::pack::{Lens, Pack, nested, text};

/// The newest version of each type that Kibana 8.9 imports. It refuses newer ones, and brings older ones up to date.
const NEWEST_VERSIONS: [(&str, [u32; 3]); 3] = [
    ("index-pattern", [8, 0, 0]),
    ("search", [8, 0, 0]),
    ("dashboard", [8, 9, 0]),
];

/// Of Lens, in every 8.x and in 9.x.
const VISUALIZATIONS: [&str; 5] = ["lnsMetric", "lnsDatatable", "lnsXY", "lnsPie", "lnsHeatmap"];

/// Of the Elasticsearch query rule, by a KQL query, in 8.9.
const ES_QUERY_PARAMS: [&str; 14] = [
    "searchType",
    "searchConfiguration",
    "timeField",
    "timeWindowSize",
    "timeWindowUnit",
    "threshold",
    "thresholdComparator",
    "size",
    "aggType",
    "aggField",
    "groupBy",
    "termField",
    "termSize",
    "excludeHitsFromPreviousRun",
];

fn version(text: &str) -> [u32; 3] {
    let parts: Vec<u32> = text.split('.').map(|part| part.parse().unwrap()).collect();
    parts.try_into().unwrap()
}

#[test]
fn no_object_is_newer_than_the_oldest_kibana() {
    let newest = BTreeMap::from(NEWEST_VERSIONS);
    for object in Pack::read().objects {
        let limit = newest[text(&object["type"])];
        assert!(
            version(text(&object["typeMigrationVersion"])) <= limit,
            "{}",
            object["id"]
        );
        assert!(version(text(&object["coreMigrationVersion"])) <= [8, 8, 0]);
    }
    for panel in Pack::read().panels() {
        assert!(version(text(&panel.panel["version"])) <= [8, 9, 0]);
    }
}

#[test]
fn ids_are_unique() {
    let pack = Pack::read();
    let ids: BTreeSet<_> = pack
        .objects
        .iter()
        .map(|object| (text(&object["type"]), text(&object["id"])))
        .collect();
    assert_eq!(ids.len(), pack.objects.len());
    let panels = pack.panels();
    let panel_ids: BTreeSet<_> = panels
        .iter()
        .map(|panel| (&panel.dashboard, text(&panel.panel["panelIndex"])))
        .collect();
    assert_eq!(panel_ids.len(), panels.len());
    // People choose data views by name; several may show the same indices.
    let names = pack.objects.iter().map(|object| {
        let attributes = &object["attributes"];
        text(attributes.get("name").unwrap_or(&attributes["title"]))
    });
    assert_eq!(names.collect::<BTreeSet<_>>().len(), pack.objects.len());
    // A rule with another id cannot be made before Kibana 8.17.
    let rule_ids: BTreeSet<_> = pack.sources.rules.values().map(|rule| &rule.id).collect();
    assert_eq!(rule_ids.len(), pack.rules.len());
    for id in rule_ids {
        let lengths: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
        let is_lower_hex = |letter: char| matches!(letter, '-' | '0'..='9' | 'a'..='f');
        assert!(
            id.chars().all(is_lower_hex) && id.chars().nth(14) == Some('4'),
            "{id}"
        );
    }
}

/// References by name, as an object needs them.
fn needed_references(object: &Value) -> BTreeMap<String, (String, String)> {
    let mut needed = BTreeMap::new();
    let mut need = |name: String, kind: &str, id: &str| {
        let before = needed.insert(name.clone(), (kind.to_owned(), id.to_owned()));
        assert_eq!(before, None, "{name} is needed twice");
    };
    let attributes = &object["attributes"];
    match text(&object["type"]) {
        "dashboard" => {
            for panel in nested(&attributes["panelsJSON"]).as_array().unwrap() {
                let id = text(&panel["panelIndex"]);
                if let Some(name) = panel.get("panelRefName") {
                    need(format!("{id}:{}", text(name)), text(&panel["type"]), "");
                    continue;
                }
                let own = panel["embeddableConfig"]["attributes"]["references"]
                    .as_array()
                    .unwrap();
                for reference in own {
                    let name = format!("{id}:{}", text(&reference["name"]));
                    need(name, text(&reference["type"]), text(&reference["id"]));
                }
            }
            let controls = nested(&attributes["controlGroupInput"]["panelsJSON"]);
            for (id, control) in controls.as_object().unwrap() {
                assert_eq!(&control["explicitInput"]["id"], id);
                need(
                    format!("controlGroup_{id}:optionsListDataView"),
                    "index-pattern",
                    "",
                );
            }
        }
        "search" => {
            let source = nested(&attributes["kibanaSavedObjectMeta"]["searchSourceJSON"]);
            need(text(&source["indexRefName"]).to_owned(), "index-pattern", "");
        }
        _ => {}
    }
    needed
}

#[test]
fn everything_that_is_named_is_there_and_everything_there_is_named() {
    let pack = Pack::read();
    let there: BTreeSet<_> = pack
        .objects
        .iter()
        .map(|object| (text(&object["type"]), text(&object["id"])))
        .collect();
    let mut named = BTreeSet::new();
    for object in &pack.objects {
        let mut needed = needed_references(object);
        for reference in object["references"].as_array().unwrap() {
            let (kind, id) = (text(&reference["type"]), text(&reference["id"]));
            assert!(there.contains(&(kind, id)), "{kind} {id} is not in the file");
            named.insert((kind, id));
            let (needed_kind, needed_id) = needed.remove(text(&reference["name"])).unwrap();
            assert!(
                needed_kind == kind && (needed_id.is_empty() || needed_id == id),
                "{reference}"
            );
        }
        assert!(needed.is_empty(), "{} lacks {needed:?}", object["id"]);
    }
    for (_, rule) in &pack.rules {
        named.insert((
            "index-pattern",
            text(&rule["params"]["searchConfiguration"]["index"]),
        ));
    }
    // Dashboards and searches are opened by people; a data view that nothing uses would be left over.
    for view in pack.of_type("index-pattern") {
        assert!(named.contains(&("index-pattern", text(&view["id"]))), "{view}");
        let formats = nested(&view["attributes"]["fieldFormatMap"]);
        for format in formats.as_object().unwrap().values() {
            let Some(url) = format["params"].get("urlTemplate") else {
                continue;
            };
            let id = text(url)
                .split("/view/")
                .nth(1)
                .unwrap()
                .split('?')
                .next()
                .unwrap();
            assert!(
                there.contains(&("dashboard", id)),
                "{url} leads to no dashboard of ours"
            );
        }
    }
}

#[test]
fn panels_lie_in_the_grid_and_on_nothing_else() {
    let panels = Pack::read().panels();
    let mut taken = BTreeMap::new();
    for panel in &panels {
        let grid = &panel.panel["gridData"];
        let [x, y, width, height] = ["x", "y", "w", "h"].map(|name| grid[name].as_u64().unwrap());
        assert_eq!(grid["i"], panel.panel["panelIndex"]);
        assert!(
            x + width <= 48 && width >= 6 && height >= 4,
            "{}: {grid}",
            panel.title()
        );
        for cell in (x..x + width).flat_map(|column| (y..y + height).map(move |row| (column, row))) {
            let before = taken.insert((&panel.dashboard, cell), panel.title());
            assert_eq!(before, None, "under {} of {}", panel.title(), panel.dashboard);
        }
    }
    // Nor are there holes: a row of the grid is full.
    for ((dashboard, (_, row)), title) in &taken {
        let is_full = (0..48).all(|column| taken.contains_key(&(*dashboard, (column, *row))));
        assert!(is_full, "beside {title} of {dashboard}");
    }
}

/// Texts of a value that say which columns a visualisation shows.
fn accessors(value: &Value, found: &mut Vec<String>) {
    let Value::Object(members) = value else {
        if let Value::Array(items) = value {
            items.iter().for_each(|item| accessors(item, found));
        }
        return;
    };
    for (name, member) in members {
        match (name.as_str(), member) {
            ("accessors" | "primaryGroups" | "metrics", Value::Array(ids)) => {
                found.extend(ids.iter().map(|id| text(id).to_owned()));
            }
            ("columnId", Value::String(id)) => found.push(id.clone()),
            (name, Value::String(id)) if name.ends_with("Accessor") => found.push(id.clone()),
            _ => accessors(member, found),
        }
    }
}

#[test]
fn panels_are_what_every_kibana_draws_and_show_the_columns_that_they_have() {
    for panel in Pack::read().panels() {
        let Some(lens) = panel.lens() else {
            assert_eq!(panel.panel["type"], "search");
            continue;
        };
        let title = panel.title();
        assert_eq!(panel.panel["type"], "lens", "{title}");
        let kind = text(&lens.attributes["visualizationType"]);
        assert!(VISUALIZATIONS.contains(&kind), "{title}: {kind}");
        let (id, layer) = lens.layer();
        let visualization = &lens.attributes["state"]["visualization"];
        let shown_layers = match visualization.get("layers") {
            Some(layers) => layers.as_array().unwrap().iter().collect(),
            None => vec![visualization],
        };
        assert_eq!(shown_layers.len(), 1, "{title}");
        assert_eq!(shown_layers[0]["layerId"], id, "{title}");
        assert_eq!(shown_layers[0]["layerType"], "data", "{title}");

        let mut shown = Vec::new();
        accessors(visualization, &mut shown);
        let columns: Vec<_> = lens.columns().iter().map(|(id, _)| (*id).to_owned()).collect();
        let as_set = |ids: &[String]| ids.iter().cloned().collect::<BTreeSet<_>>();
        assert_eq!(as_set(&shown), as_set(&columns), "{title}");
        assert_eq!(shown.len(), columns.len(), "{title}");
        assert_eq!(
            layer["columns"].as_object().unwrap().len(),
            columns.len(),
            "{title}"
        );
        let is_group: Vec<bool> = lens
            .columns()
            .iter()
            .map(|(_, column)| column["isBucketed"].as_bool().unwrap())
            .collect();
        assert!(
            is_group.is_sorted_by(|before, after| before >= after),
            "{title}: groups come first"
        );
        let labels: BTreeSet<_> = lens
            .columns()
            .iter()
            .map(|(_, column)| text(&column["label"]))
            .collect();
        assert_eq!(labels.len(), columns.len(), "{title}: two columns have one label");
    }
}

/// Fields exist, and values are of their types.
fn check_query(mapping: &Mapping, query: &str) {
    for (field, value) in Query::parse(query).comparisons() {
        let is_fitting = match (mapping.kind(field), value) {
            (_, None) | ("keyword", _) => true,
            ("ip", Some(value)) => value.parse::<IpAddr>().is_ok() || value.parse::<IpNet>().is_ok(),
            ("long", Some(value)) => value.parse::<i64>().is_ok(),
            ("boolean", Some(value)) => matches!(value, "true" | "false"),
            ("date", Some(value)) => value.starts_with("now"),
            _ => false,
        };
        assert!(is_fitting, "{field}: {value:?} in {query}");
    }
}

fn check_column(mapping: &Mapping, lens: Lens<'_>, title: &str, column: &Value) {
    if let Some(filter) = column.get("filter") {
        check_query(mapping, text(&filter["query"]));
    }
    let operation = text(&column["operationType"]);
    if operation == "filters" {
        for filter in column["params"]["filters"].as_array().unwrap() {
            check_query(mapping, text(&filter["input"]["query"]));
        }
        return;
    }
    let field = text(&column["sourceField"]);
    if operation == "count" {
        assert_eq!(field, "___records___");
        return;
    }
    let fitting: &[&str] = match operation {
        "sum" | "percentile" => &["long", "double"],
        "min" | "max" => &["long", "double", "date"],
        "date_histogram" => &["date"],
        "terms" => &["keyword", "ip", "long", "boolean"],
        "unique_count" | "last_value" => &["keyword", "ip", "long", "date"],
        _ => panic!("{title}: {operation}"),
    };
    assert!(
        fitting.contains(&mapping.kind(field)),
        "{title}: {operation} of {field}"
    );
    let own_type = mapping.data_type(field);
    let data_type = match operation {
        "sum" | "percentile" | "unique_count" => "number",
        _ => own_type,
    };
    assert_eq!(column["dataType"], data_type, "{title}: {field}");
    if let Some(by) = column["params"].pointer("/orderBy/columnId") {
        let (_, layer) = lens.layer();
        let by = &layer["columns"][text(by)];
        // Elasticsearch cannot order groups by the value of one document.
        assert!(
            by["isBucketed"] == false && by["operationType"] != "last_value",
            "{title}: {by}"
        );
    }
}

#[test]
fn every_field_is_in_the_mapping_with_a_fitting_type() {
    let pack = Pack::read();
    for panel in pack.panels() {
        let Some(lens) = panel.lens() else { continue };
        let mapping = pack.mapping(lens.view_id());
        check_query(&mapping, lens.filter());
        for (_, column) in lens.columns() {
            check_column(&mapping, lens, panel.title(), column);
        }
    }
    for search in pack.of_type("search") {
        let mapping = pack.mapping(text(&search["references"][0]["id"]));
        let attributes = &search["attributes"];
        for column in attributes["columns"].as_array().unwrap() {
            mapping.kind(text(column));
        }
        let source = nested(&attributes["kibanaSavedObjectMeta"]["searchSourceJSON"]);
        check_query(&mapping, text(&source["query"]["query"]));
        let sort = &attributes["sort"][0];
        assert!(matches!(mapping.kind(text(&sort[0])), "date" | "long"), "{sort}");
    }
    for dashboard in pack.of_type("dashboard") {
        let controls = nested(&dashboard["attributes"]["controlGroupInput"]["panelsJSON"]);
        for (id, control) in controls.as_object().unwrap() {
            let name = format!("controlGroup_{id}:optionsListDataView");
            let references = dashboard["references"].as_array().unwrap();
            let reference = references.iter().find(|reference| reference["name"] == name);
            let mapping = pack.mapping(text(&reference.unwrap()["id"]));
            let field = text(&control["explicitInput"]["fieldName"]);
            assert!(
                matches!(mapping.kind(field), "keyword" | "ip" | "long" | "boolean"),
                "{field}"
            );
        }
    }
    for view in pack.of_type("index-pattern") {
        let mapping = pack.mapping(text(&view["id"]));
        for member in ["fieldAttrs", "fieldFormatMap"] {
            for field in nested(&view["attributes"][member]).as_object().unwrap().keys() {
                mapping.kind(field);
            }
        }
    }
}

/// Both ends of a flow log it, and so does everything between them.
#[test]
fn bytes_are_never_summed_up_uncounted() {
    let pack = Pack::read();
    let counted = pack.sources.expand("{counted}");
    let is_of_flows = |field: &Value| matches!(field.as_str(), Some("network.bytes" | "source.bytes"));
    for panel in pack.panels() {
        let Some(lens) = panel.lens() else { continue };
        for (_, column) in lens.columns() {
            if is_of_flows(&column["sourceField"]) && column["operationType"] != "last_value" {
                let filter = column.pointer("/filter/query").map_or("", text);
                let is_counted = filter.contains(&counted) || lens.filter().contains(&counted);
                assert!(is_counted, "{}: {}", panel.dashboard, panel.title());
            }
        }
    }
    for (name, rule) in &pack.rules {
        if is_of_flows(&rule["params"]["aggField"]) {
            let query = text(&rule["params"]["searchConfiguration"]["query"]["query"]);
            assert!(query.contains(&counted), "{name}");
        }
    }
}

#[test]
fn rules_are_such_as_kibana_knows() {
    let pack = Pack::read();
    for (name, rule) in &pack.rules {
        let members: BTreeSet<_> = rule.as_object().unwrap().keys().map(String::as_str).collect();
        // What else there is came later than 8.9: `alert_delay`, `flapping`.
        let known = BTreeSet::from([
            "name",
            "rule_type_id",
            "consumer",
            "schedule",
            "tags",
            "enabled",
            "actions",
            "params",
        ]);
        assert_eq!(members, known, "{name}");
        let params = &rule["params"];
        let search = &params["searchConfiguration"];
        let mapping = pack.mapping(text(&search["index"]));
        check_query(&mapping, text(&search["query"]["query"]));
        let (group, measured) = match text(&rule["rule_type_id"]) {
            ".es-query" => {
                for param in params.as_object().unwrap().keys() {
                    assert!(ES_QUERY_PARAMS.contains(&param.as_str()), "{name}: {param}");
                }
                // Kibana filters by the time of the data view and reads the window from this one.
                let view = pack.sources.view(text(&search["index"]));
                assert_eq!(params["timeField"], view.time, "{name}");
                let is_grouped = params["groupBy"] == "top";
                assert_eq!(is_grouped, params.get("termSize").is_some(), "{name}");
                assert!(
                    matches!(text(&params["aggType"]), "count" | "sum"),
                    "{name}: later than 8.9"
                );
                (params.get("termField"), params.get("aggField"))
            }
            "observability.rules.custom_threshold" => {
                let metric = &params["criteria"][0]["metrics"][0];
                assert!(
                    matches!(text(&metric["aggType"]), "count" | "cardinality"),
                    "{name}"
                );
                (params.pointer("/groupBy/0"), metric.get("field"))
            }
            kind => panic!("{name}: {kind}"),
        };
        for field in [group, measured].into_iter().flatten() {
            assert!(
                matches!(mapping.kind(text(field)), "keyword" | "ip" | "long"),
                "{name}: {field}"
            );
        }
    }
}
