//! What the server holds and what it should hold → the differences, path by path. Elasticsearch gives bodies back in
//! other words than it took them: settings as strings, nested or flat, with or without `index.`, defaults added.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use crate::assets::Kind;

/// What the server adds by itself: an absent value and this one are the same. The first is the end of the path.
const ADDED_BY_SERVER: [(&str, &str); 8] = [
    (".min_age", "0ms"),
    (".actions", "{}"),
    ("mappings", "{}"),
    ("aliases", "{}"),
    ("applications", "[]"),
    ("run_as", "[]"),
    ("transient_metadata.enabled", "true"),
    (".allow_restricted_indices", "false"),
];

/// Dates that newer servers keep beside a template.
const KEPT_BY_SERVER: [&str; 4] = [
    "created_date",
    "created_date_millis",
    "modified_date",
    "modified_date_millis",
];

/// One path at which server and file disagree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Dotted path, such as `settings.index.refresh_interval`.
    pub path: String,
    /// What the server has.
    pub server: Option<String>,
    /// What is to be installed.
    pub ours: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NONE: &str = "(none)";
        write!(
            f,
            "{}: {} → {}",
            self.path,
            self.server.as_deref().unwrap_or(NONE),
            self.ours.as_deref().unwrap_or(NONE)
        )
    }
}

/// All differences between two bodies of one kind, in the order of their paths. `server` is what stands in the answer
/// of a `GET`, `ours` what a `PUT` takes.
pub fn differences(kind: Kind, server: &Value, ours: &Value) -> Vec<Difference> {
    let (mut server, mut ours) = (leaves(kind, server), leaves(kind, ours));
    let paths: BTreeSet<String> = server.keys().chain(ours.keys()).cloned().collect();
    paths
        .into_iter()
        .filter_map(|path| {
            let (server, ours) = (server.remove(&path), ours.remove(&path));
            (server != ours).then_some(Difference { path, server, ours })
        })
        .collect()
}

/// What a body says: dotted path → value as text, the same however the server writes it.
pub(super) fn leaves(kind: Kind, body: &Value) -> BTreeMap<String, String> {
    let mut leaves = flatten(kind, body);
    leaves.retain(|path, value| {
        let is_added = |(end, default): &(&str, &str)| path.ends_with(end) && value == default;
        !ADDED_BY_SERVER.iter().any(is_added)
    });
    leaves
}

/// Dotted path → value as text, for any JSON.
pub(crate) fn text_leaves(body: &Value) -> BTreeMap<String, String> {
    let mut leaves = BTreeMap::new();
    for (name, value) in body.as_object().into_iter().flatten() {
        collect(name.clone(), value, &mut leaves);
    }
    leaves
}

fn flatten(kind: Kind, body: &Value) -> BTreeMap<String, String> {
    let mut leaves = BTreeMap::new();
    let Some(fields) = body.as_object() else {
        return leaves;
    };
    for (name, value) in fields {
        match (kind, name.as_str()) {
            // Beside the policy itself the server tells version, date and users.
            (Kind::IlmPolicy, "policy") => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    collect(name.clone(), value, &mut leaves);
                }
            }
            (Kind::IlmPolicy, _) => {}
            (_, "template") => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    if name == "settings" {
                        collect_settings(value, &mut leaves);
                    } else {
                        collect(name.clone(), value, &mut leaves);
                    }
                }
            }
            (_, name) if KEPT_BY_SERVER.contains(&name) => {}
            _ => collect(name.clone(), value, &mut leaves),
        }
    }
    leaves
}

/// `refresh_interval`, `index.refresh_interval` and `index: {refresh_interval}` are one setting.
fn collect_settings(settings: &Value, leaves: &mut BTreeMap<String, String>) {
    let mut found = BTreeMap::new();
    for (name, value) in settings.as_object().into_iter().flatten() {
        collect(name.clone(), value, &mut found);
    }
    for (path, value) in found {
        let path = match path.strip_prefix("index.") {
            Some(_) => format!("settings.{path}"),
            None => format!("settings.index.{path}"),
        };
        leaves.insert(path, value);
    }
}

fn collect(path: String, value: &Value, leaves: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                collect(format!("{path}.{name}"), value, leaves);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (position, item) in items.iter().enumerate() {
                collect(format!("{path}.{position}"), item, leaves);
            }
        }
        Value::Null => {}
        _ => {
            leaves.insert(path, text(value));
        }
    }
}

/// A number, a boolean and a string that reads the same are the same.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(text).collect();
            format!("[{}]", items.join(", "))
        }
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(kind: Kind, server: &Value, ours: &Value) -> String {
        let differences: Vec<String> = differences(kind, server, ours)
            .iter()
            .map(ToString::to_string)
            .collect();
        differences.join("\n")
    }

    #[test]
    fn settings_are_equal_however_the_server_writes_them() {
        let ours = json!({"template": {"settings": {"index": {
            "number_of_shards": 1, "refresh_interval": "30s", "query_string": {"lenient": true},
            "query": {"default_field": ["related.ip", "event.action"]},
        }}}});
        let nested = json!({"template": {"settings": {"index": {
            "number_of_shards": "1", "refresh_interval": "30s", "query_string": {"lenient": "true"},
            "query": {"default_field": ["related.ip", "event.action"]},
        }}}});
        let flat = json!({"template": {"settings": {
            "index.number_of_shards": "1", "index.refresh_interval": "30s", "index.query_string.lenient": "true",
            "index.query.default_field": ["related.ip", "event.action"],
        }}});
        let short = json!({"template": {"settings": {
            "number_of_shards": "1", "refresh_interval": "30s", "query_string.lenient": "true",
            "query": {"default_field": ["related.ip", "event.action"]},
        }, "mappings": {}}});
        for server in [nested, flat, short] {
            assert_eq!(told(Kind::ComponentTemplate, &server, &ours), "");
        }
    }

    #[test]
    fn changed_missing_and_additional_values_are_told_by_path() {
        let ours = json!({
            "template": {
                "settings": {"index": {"refresh_interval": "5s", "codec": "best_compression"}},
                "mappings": {"dynamic": false, "properties": {"source": {"properties": {"ip": {"type": "ip"}}}}},
            },
            "version": 2,
            "composed_of": ["a", "b"],
        });
        let server = json!({
            "template": {
                "settings": {"index": {"refresh_interval": "30s", "number_of_routing_shards": "30"}},
                "mappings": {"dynamic": "true", "properties": {"source": {"properties": {"ip": {"type": "keyword"}}}}},
            },
            "version": 1,
            "composed_of": ["a"],
        });
        insta::assert_snapshot!(told(Kind::ComponentTemplate, &server, &ours), @"
        composed_of: [a] → [a, b]
        mappings.dynamic: true → false
        mappings.properties.source.properties.ip.type: keyword → ip
        settings.index.codec: (none) → best_compression
        settings.index.number_of_routing_shards: 30 → (none)
        settings.index.refresh_interval: 30s → 5s
        version: 1 → 2
        ");
    }

    #[test]
    fn dates_and_nulls_that_the_server_adds_are_no_difference() {
        let ours = json!({"index_patterns": ["a-*"], "priority": 200});
        let server = json!({
            "index_patterns": ["a-*"], "priority": "200", "template": {"settings": {}}, "data_stream": null,
            "created_date_millis": 1, "modified_date_millis": 2,
        });
        assert_eq!(told(Kind::IndexTemplate, &server, &ours), "");
    }

    /// The shape is that of Elastic's page "Get lifecycle policy API".
    #[test]
    fn a_policy_is_compared_without_what_stands_beside_it() {
        let ours = json!({"policy": {"phases": {
            "hot": {"actions": {}},
            "warm": {"min_age": "2d", "actions": {"forcemerge": {"max_num_segments": 1}}},
            "delete": {"min_age": "400d", "actions": {"delete": {"delete_searchable_snapshot": true}}},
        }}});
        let server = json!({
            "version": 1, "modified_date": 82_392_349,
            "policy": {"phases": {
                "hot": {"min_age": "0ms", "actions": {}},
                "warm": {"min_age": "2d", "actions": {"forcemerge": {"max_num_segments": 1}}},
                "delete": {"min_age": "30d", "actions": {"delete": {"delete_searchable_snapshot": true}}},
            }},
            "in_use_by": {"indices": [], "data_streams": [], "composable_templates": []},
        });
        insta::assert_snapshot!(told(Kind::IlmPolicy, &server, &ours), @"phases.delete.min_age: 30d → 400d");
    }

    /// The shape is that of Elastic's page "Get roles API".
    #[test]
    fn a_role_is_compared_without_what_the_server_adds() {
        let ours = json!({
            "cluster": [], "indices": [{"names": ["a-*"], "privileges": ["create_doc"]}, {"names": ["b-*"], "privileges": ["index"]}],
        });
        let server = json!({
            "cluster": [], "applications": [], "run_as": [], "transient_metadata": {"enabled": true},
            "indices": [
                {"names": ["a-*"], "privileges": ["create_doc"], "allow_restricted_indices": false},
                {"names": ["b-*"], "privileges": ["all"], "allow_restricted_indices": false},
            ],
        });
        insta::assert_snapshot!(told(Kind::Role, &server, &ours), @"indices.1.privileges: [all] → [index]");
    }
}
