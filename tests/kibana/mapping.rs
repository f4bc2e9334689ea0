//! The fields of the indices behind a data view, from `index-templates`.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use crate::support::stack::repository;

/// Types by field; aliases have the type of what they stand for.
#[derive(Debug)]
pub(super) struct Mapping {
    types: BTreeMap<String, String>,
}

impl Mapping {
    /// The fields of all these files. A field that several have is of one type.
    pub(super) fn read(files: &[String]) -> Self {
        let mut types = BTreeMap::new();
        for file in files {
            let text = fs::read_to_string(repository("index-templates").join(file)).unwrap();
            let template: Value = serde_json::from_str(&text).unwrap();
            let mut of_file = BTreeMap::new();
            let properties = &template["template"]["mappings"]["properties"];
            collect("", properties, properties, &mut of_file);
            for (field, kind) in of_file {
                let before = types.insert(field.clone(), kind.clone());
                assert!(
                    before.is_none_or(|before| before == kind),
                    "{field} has two types"
                );
            }
        }
        Self { types }
    }

    /// The type of a field, which the indices have.
    pub(super) fn kind(&self, field: &str) -> &str {
        let kind = self.types.get(field);
        kind.unwrap_or_else(|| panic!("{field} is not in the mapping"))
    }

    /// How Lens calls the type.
    pub(super) fn data_type(&self, field: &str) -> &'static str {
        match self.kind(field) {
            "long" | "double" => "number",
            "keyword" => "string",
            "ip" => "ip",
            "date" => "date",
            "boolean" => "boolean",
            kind => panic!("{field} is a {kind}"),
        }
    }
}

fn collect(prefix: &str, properties: &Value, root: &Value, types: &mut BTreeMap<String, String>) {
    for (name, definition) in properties.as_object().unwrap() {
        let name = format!("{prefix}{name}");
        if let Some(inner) = definition.get("properties") {
            collect(&format!("{name}."), inner, root, types);
            continue;
        }
        let mut definition = definition;
        if definition["type"] == "alias" {
            let path = definition["path"].as_str().unwrap();
            definition = path
                .split('.')
                .fold(None, |found: Option<&Value>, part| {
                    Some(match found {
                        None => &root[part],
                        Some(outer) => &outer["properties"][part],
                    })
                })
                .unwrap();
        }
        types.insert(name, definition["type"].as_str().unwrap().to_owned());
    }
}
