//! The generated files as Kibana reads them.

use serde_json::Value;

use super::generated;
use super::mapping::Mapping;
use super::sources::Sources;

/// What is imported.
#[derive(Debug)]
pub(super) struct Pack {
    pub(super) objects: Vec<Value>,
    /// By the name of the file.
    pub(super) rules: Vec<(String, Value)>,
    pub(super) sources: Sources,
}

/// A panel of a dashboard, its JSON texts read.
#[derive(Clone, Debug)]
pub(super) struct SavedPanel {
    /// Id of the dashboard.
    pub(super) dashboard: String,
    pub(super) panel: Value,
}

impl Pack {
    pub(super) fn read() -> Self {
        let mut objects = Vec::new();
        let mut rules = Vec::new();
        for (path, text) in generated() {
            if path.extension().is_some_and(|extension| extension == "ndjson") {
                objects.extend(text.lines().map(|line| serde_json::from_str(line).unwrap()));
            } else {
                let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
                rules.push((name, serde_json::from_str(&text).unwrap()));
            }
        }
        Self {
            objects,
            rules,
            sources: Sources::read(),
        }
    }

    pub(super) fn of_type(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.objects.iter().filter(move |object| object["type"] == kind)
    }

    pub(super) fn panels(&self) -> Vec<SavedPanel> {
        let mut panels = Vec::new();
        for dashboard in self.of_type("dashboard") {
            let Value::Array(of_dashboard) = nested(&dashboard["attributes"]["panelsJSON"]) else {
                panic!("panels are a list");
            };
            panels.extend(of_dashboard.into_iter().map(|panel| SavedPanel {
                dashboard: text(&dashboard["id"]).to_owned(),
                panel,
            }));
        }
        panels
    }

    /// The fields behind a data view.
    pub(super) fn mapping(&self, view_id: &str) -> Mapping {
        self.sources.view(view_id).mapping()
    }
}

impl SavedPanel {
    pub(super) fn title(&self) -> &str {
        text(&self.panel["title"])
    }

    /// Its visualisation, if it is one.
    pub(super) fn lens(&self) -> Option<Lens<'_>> {
        let attributes = self.panel["embeddableConfig"].get("attributes")?;
        Some(Lens { attributes })
    }
}

/// A form-based Lens visualisation of one layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lens<'a> {
    pub(super) attributes: &'a Value,
}

impl<'a> Lens<'a> {
    pub(super) fn layer(self) -> (&'a str, &'a Value) {
        let layers = &self.attributes["state"]["datasourceStates"]["formBased"]["layers"];
        let layers: Vec<_> = layers.as_object().unwrap().iter().collect();
        assert_eq!(layers.len(), 1, "a panel has one layer");
        (layers[0].0, layers[0].1)
    }

    /// In their order.
    pub(super) fn columns(self) -> Vec<(&'a str, &'a Value)> {
        let (_, layer) = self.layer();
        let order = layer["columnOrder"].as_array().unwrap();
        order
            .iter()
            .map(|id| (text(id), &layer["columns"][text(id)]))
            .collect()
    }

    /// The query of the whole panel.
    pub(super) fn filter(self) -> &'a str {
        text(&self.attributes["state"]["query"]["query"])
    }

    pub(super) fn view_id(self) -> &'a str {
        text(&self.attributes["references"][0]["id"])
    }
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// What a JSON text inside JSON says.
pub(super) fn nested(value: &Value) -> Value {
    serde_json::from_str(text(value)).unwrap()
}
