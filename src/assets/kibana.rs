//! The Kibana pack of `kibana/`: saved objects to import, alert rules to create, and the one thing in them that differs
//! from installation to installation: which indices the data views show.

use serde_json::Value;

use super::{FILE_PREFIX, LEDGER_FILE_PREFIX};

/// A JSON object a line, as `POST /api/saved_objects/_import` takes them.
const SAVED_OBJECTS: &str = include_str!("../../kibana/flowship.ndjson");

/// An alert rule. Rules find their indices through the data views, so they are the same everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlertRule {
    /// Name of its file.
    pub name: &'static str,
    /// What it is created under: a UUID, because Kibana takes no other before 8.17.
    pub id: &'static str,
    /// The body of `POST /api/alerting/rule/{id}`. Kibana before 8.15 may refuse those of type
    /// `observability.rules.custom_threshold`.
    pub text: &'static str,
}

/// All rules by their names.
pub const ALERT_RULES: [AlertRule; 10] = [
    AlertRule {
        name: "account-silent",
        id: "74a82e8d-7aef-49d4-848d-5733a9b29c05",
        text: include_str!("../../kibana/rules/account-silent.json"),
    },
    AlertRule {
        name: "dead-letters",
        id: "1973c7e1-c65e-4812-b482-cce31672e322",
        text: include_str!("../../kibana/rules/dead-letters.json"),
    },
    AlertRule {
        name: "egress-volume",
        id: "92618d8a-a06f-4ea1-9dff-2356a061aab9",
        text: include_str!("../../kibana/rules/egress-volume.json"),
    },
    AlertRule {
        name: "not-complete",
        id: "7f76a8c0-7961-452f-a4b0-133ebae0475f",
        text: include_str!("../../kibana/rules/not-complete.json"),
    },
    AlertRule {
        name: "nothing-arrives",
        id: "3774abde-e51c-4404-93fc-6da6ffda37f7",
        text: include_str!("../../kibana/rules/nothing-arrives.json"),
    },
    AlertRule {
        name: "port-scan",
        id: "0897ea30-67fe-4ce0-b3fe-bdf57ca7f996",
        text: include_str!("../../kibana/rules/port-scan.json"),
    },
    AlertRule {
        name: "quarantine",
        id: "ad2b98b3-245c-41b0-a369-f64c84633fa0",
        text: include_str!("../../kibana/rules/quarantine.json"),
    },
    AlertRule {
        name: "reject-spike",
        id: "bb3a8fa5-fde0-473b-b61a-e108e93af9ca",
        text: include_str!("../../kibana/rules/reject-spike.json"),
    },
    AlertRule {
        name: "skipdata",
        id: "091cd799-1b81-4786-a6d0-dc4197211d00",
        text: include_str!("../../kibana/rules/skipdata.json"),
    },
    AlertRule {
        name: "watch-list",
        id: "0c1c822d-02a2-494c-9025-aed4aa73ea50",
        text: include_str!("../../kibana/rules/watch-list.json"),
    },
];

/// The saved objects for indices of these names: `INDEX_PREFIX`, and `LEDGER_INDEX` or its default where there is no
/// ledger.
pub fn saved_objects(index_prefix: &str, ledger_index: &str) -> String {
    let mut renamed = String::with_capacity(SAVED_OBJECTS.len());
    for line in SAVED_OBJECTS.lines() {
        match data_view(line) {
            Some(mut view) => {
                if let Some(Value::String(title)) = view.pointer_mut("/attributes/title") {
                    *title = pattern(title, index_prefix, ledger_index);
                }
                renamed.push_str(&view.to_string());
            }
            None => renamed.push_str(line),
        }
        renamed.push('\n');
    }
    renamed
}

/// The object, if it is a data view.
fn data_view(line: &str) -> Option<Value> {
    let object: Value = serde_json::from_str(line).expect("a test parses every line");
    (object.get("type")? == "index-pattern").then_some(object)
}

fn pattern(title: &str, index_prefix: &str, ledger_index: &str) -> String {
    match title.strip_suffix("-*") {
        Some(FILE_PREFIX) => format!("{index_prefix}-*"),
        Some(LEDGER_FILE_PREFIX) => format!("{ledger_index}-*"),
        _ => title.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    fn titles(objects: &str) -> BTreeSet<String> {
        let views = objects.lines().filter_map(data_view);
        views
            .map(|view| view["attributes"]["title"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn the_default_names_change_nothing() {
        assert_eq!(saved_objects(FILE_PREFIX, LEDGER_FILE_PREFIX), SAVED_OBJECTS);
    }

    #[test]
    fn data_views_show_the_indices_of_the_installation_and_nothing_else_changes() {
        let renamed = saved_objects("net.flows-eu", "net.ledger");
        assert_eq!(
            titles(&renamed),
            ["net.flows-eu-*", "net.ledger-*"].map(str::to_owned).into()
        );
        for (line, before) in renamed.lines().zip(SAVED_OBJECTS.lines()) {
            let (mut object, before): (Value, Value) = (
                serde_json::from_str(line).unwrap(),
                serde_json::from_str(before).unwrap(),
            );
            if object["type"] == "index-pattern" {
                object["attributes"]["title"] = before["attributes"]["title"].clone();
            }
            assert_eq!(object, before);
        }
        assert_eq!(renamed.lines().count(), SAVED_OBJECTS.lines().count());
    }

    #[test]
    fn every_rule_of_the_folder_is_there_under_the_id_of_its_source() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("kibana");
        let names: BTreeSet<String> = fs::read_dir(root.join("rules"))
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                path.file_stem().unwrap().to_str().unwrap().to_owned()
            })
            .collect();
        assert!(names.iter().eq(ALERT_RULES.iter().map(|rule| rule.name)));
        for rule in ALERT_RULES {
            let source = fs::read_to_string(root.join(format!("sources/rules/{}.json", rule.name))).unwrap();
            let source: Value = serde_json::from_str(&source).unwrap();
            let body: Value = serde_json::from_str(rule.text).unwrap();
            assert_eq!(
                (&source["id"], &source["name"]),
                (&Value::from(rule.id), &body["name"])
            );
        }
    }
}
