//! The saved objects of `kibana/` → every panel that shows flow logs, with the fields that it needs.

use serde_json::Value;

use super::kql::Query;
use crate::assets::kibana::saved_objects;
use crate::assets::{FILE_PREFIX, LEDGER_FILE_PREFIX};

/// The data view of flow logs.
const FLOWS: &str = "flowship-flows";

/// What dashboards call themselves before their name.
const TITLE_PREFIX: &str = "[flowship] ";

/// A panel.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    pub(super) dashboard: String,
    pub(super) title: String,
    /// Holds for all that it shows.
    filter: Query,
    /// Without any of these it shows nothing.
    groups: Vec<String>,
    values: Vec<Shown>,
}

/// One value, column or case of it.
#[derive(Clone, Debug)]
struct Shown {
    field: Option<String>,
    filter: Query,
}

/// What a panel lacks without some fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Effect {
    /// It shows nothing.
    Empty,
    /// It shows less, or counts more than it should.
    Partly,
}

impl Panel {
    /// Every field that it names.
    pub(super) fn fields(&self) -> Vec<&str> {
        let values = self.values.iter();
        let of_values =
            values.flat_map(|value| value.field.as_deref().into_iter().chain(value.filter.fields()));
        let groups = self.groups.iter().map(String::as_str);
        let mut fields: Vec<&str> = self
            .filter
            .fields()
            .into_iter()
            .chain(groups)
            .chain(of_values)
            .collect();
        fields.sort_unstable();
        fields.dedup();
        fields
    }

    /// What becomes of it without `field`, where documents have everything else.
    pub(super) fn without(&self, field: &str) -> Option<Effect> {
        let has = |other: &str| other != field;
        let is_shown =
            |value: &Shown| value.field.as_deref().is_none_or(has) && value.filter.may_be_true(&has);
        let groups_are_there = self.groups.iter().all(|group| has(group));
        let something_is_shown = self.values.is_empty() || self.values.iter().any(is_shown);
        if !self.filter.may_be_true(&has) || !groups_are_there || !something_is_shown {
            return Some(Effect::Empty);
        }
        let is_whole = |value: &Shown| is_shown(value) && !value.filter.compared().contains(&field);
        let is_part = self.filter.compared().contains(&field) || !self.values.iter().all(is_whole);
        is_part.then_some(Effect::Partly)
    }
}

/// Every panel that shows flow logs. What cannot be understood is left out; a test finds that.
pub(super) fn panels() -> Vec<Panel> {
    let text = saved_objects(FILE_PREFIX, LEDGER_FILE_PREFIX);
    let objects: Vec<Value> = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let mut panels = Vec::new();
    for dashboard in objects.iter().filter(|object| object["type"] == "dashboard") {
        let title = dashboard["attributes"]["title"].as_str().unwrap_or_default();
        let title = title.strip_prefix(TITLE_PREFIX).unwrap_or(title);
        let saved = nested(&dashboard["attributes"]["panelsJSON"]).unwrap_or_default();
        for panel in saved.as_array().into_iter().flatten() {
            panels.extend(read(title, panel, dashboard, &objects));
        }
    }
    panels
}

fn read(dashboard: &str, panel: &Value, owner: &Value, objects: &[Value]) -> Option<Panel> {
    let empty = Panel {
        dashboard: dashboard.to_owned(),
        title: panel["title"].as_str()?.to_owned(),
        filter: Query::parse("")?,
        groups: Vec::new(),
        values: Vec::new(),
    };
    match panel["embeddableConfig"].get("attributes") {
        Some(lens) => read_lens(empty, lens),
        None => read_search(empty, panel, owner, objects),
    }
}

fn shows_flows(references: &Value) -> bool {
    let mut references = references.as_array().into_iter().flatten();
    references.any(|reference| reference["id"] == FLOWS)
}

fn read_lens(mut panel: Panel, lens: &Value) -> Option<Panel> {
    if !shows_flows(&lens["references"]) {
        return None;
    }
    let state = &lens["state"];
    panel.filter = Query::parse(state["query"]["query"].as_str()?)?;
    let layers = state.pointer("/datasourceStates/formBased/layers")?.as_object()?;
    for column in layers
        .values()
        .filter_map(|layer| layer["columns"].as_object())
        .flat_map(|columns| columns.values())
    {
        let field = column["sourceField"]
            .as_str()
            .filter(|field| *field != "___records___");
        let is_group = column["isBucketed"] == true;
        match column["operationType"].as_str()? {
            "filters" => {
                for case in column["params"]["filters"].as_array()? {
                    let filter = Query::parse(case["input"]["query"].as_str()?)?;
                    panel.values.push(Shown { field: None, filter });
                }
            }
            _ if is_group => panel.groups.extend(field.map(str::to_owned)),
            _ => {
                let filter = column.get("filter").and_then(|filter| filter["query"].as_str());
                panel.values.push(Shown {
                    field: field.map(str::to_owned),
                    filter: Query::parse(filter.unwrap_or_default())?,
                });
            }
        }
    }
    Some(panel)
}

/// A panel that shows a saved search: each column is a value.
fn read_search(mut panel: Panel, shown: &Value, owner: &Value, objects: &[Value]) -> Option<Panel> {
    let name = format!(
        "{}:{}",
        shown["panelIndex"].as_str()?,
        shown["panelRefName"].as_str()?
    );
    let mut references = owner["references"].as_array()?.iter();
    let id = &references.find(|reference| reference["name"] == name.as_str())?["id"];
    let search = objects
        .iter()
        .find(|object| object["type"] == "search" && object["id"] == *id)?;
    if !shows_flows(&search["references"]) {
        return None;
    }
    let attributes = &search["attributes"];
    let source = nested(&attributes["kibanaSavedObjectMeta"]["searchSourceJSON"])?;
    panel.filter = Query::parse(source["query"]["query"].as_str()?)?;
    for column in attributes["columns"].as_array()? {
        panel.values.push(Shown {
            field: Some(column.as_str()?.to_owned()),
            filter: Query::parse("")?,
        });
    }
    Some(panel)
}

/// What a JSON text inside JSON says.
fn nested(value: &Value) -> Option<Value> {
    serde_json::from_str(value.as_str()?).ok()
}
