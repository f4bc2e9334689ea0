//! Index templates of others whose patterns meet ours. Elasticsearch refuses two of the same priority, and applies only
//! the one of the highest: ours would stop in the middle, or be there and do nothing.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use super::error::{no_answer, refusal};
use super::{Part, SetupError, Verb};
use crate::assets::Kind;
use crate::elasticsearch::client::Client;

/// A template that is in the way of one of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// Its name.
    pub name: String,
    /// Its patterns.
    pub patterns: Vec<String>,
    /// Its priority, not below ours.
    pub priority: u64,
    /// Name of ours.
    pub ours: String,
    /// Priority of ours.
    pub our_priority: u64,
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            priority,
            ours,
            our_priority,
            ..
        } = self;
        let patterns = self.patterns.join(", ");
        let consequence = match priority == our_priority {
            true => "Elasticsearch refuses two of the same priority",
            false => "Elasticsearch would apply it, and not ours",
        };
        write!(
            f,
            "index template {name} ({patterns}; priority {priority}) meets indices of {ours} (priority {our_priority}): \
             {consequence}"
        )
    }
}

#[derive(Deserialize)]
struct Templates {
    #[serde(default)]
    index_templates: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    index_template: Template,
}

#[derive(Deserialize)]
struct Template {
    index_patterns: Vec<String>,
    #[serde(default)]
    priority: u64,
}

/// Asks the server which templates are in the way of these parts.
pub async fn overlaps(client: &Client, parts: &[&Part]) -> Result<Vec<Overlap>, SetupError> {
    let ours: Vec<&Part> = parts
        .iter()
        .copied()
        .filter(|part| part.kind == Kind::IndexTemplate)
        .collect();
    let Some(first) = ours.first() else {
        return Ok(Vec::new());
    };
    let path = "_index_template?filter_path=index_templates.name,index_templates.index_template.index_patterns,\
                index_templates.index_template.priority";
    let answer = client
        .get(path)
        .await
        .map_err(|source| no_answer(Verb::Read, first, source))?;
    match answer.status {
        200 => {}
        404 => return Ok(Vec::new()),
        _ => return Err(refusal(Verb::Read, first, &answer)),
    }
    let templates: Templates =
        serde_json::from_slice(&answer.body).map_err(|error| SetupError::Unreadable {
            verb: Verb::Read,
            part: "all index templates".to_owned(),
            detail: error.to_string(),
        })?;
    Ok(in_the_way(&ours, &templates.index_templates))
}

fn in_the_way(ours: &[&Part], templates: &[Named]) -> Vec<Overlap> {
    let foreign = |named: &&Named| ours.iter().all(|part| part.name != named.name);
    let mut overlaps = Vec::new();
    for Named {
        name,
        index_template: theirs,
    } in templates.iter().filter(foreign)
    {
        for part in ours {
            let priority = part.body["priority"].as_u64().unwrap_or_default();
            let patterns = part.body["index_patterns"].as_array().into_iter().flatten();
            let meets = patterns.filter_map(Value::as_str).any(|ours| {
                let mut theirs = theirs.index_patterns.iter();
                theirs.any(|theirs| meet(ours.as_bytes(), theirs.as_bytes()))
            });
            if meets && theirs.priority >= priority {
                overlaps.push(Overlap {
                    name: name.clone(),
                    patterns: theirs.index_patterns.clone(),
                    priority: theirs.priority,
                    ours: part.name.clone(),
                    our_priority: priority,
                });
            }
        }
    }
    overlaps
}

/// Whether some name fits both patterns, in which `*` stands for any text.
fn meet(one: &[u8], other: &[u8]) -> bool {
    match (one, other) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => meet(rest, other) || (!other.is_empty() && meet(one, &other[1..])),
        (_, [b'*', ..]) => meet(other, one),
        ([a, one @ ..], [b, other @ ..]) => a == b && meet(one, other),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::Installation;

    #[test]
    fn patterns_meet_where_a_name_fits_both() {
        let pairs = [
            ("flowlogs-vpc-*", "*", true),
            ("flowlogs-vpc-*", "flowlogs-*", true),
            ("flowlogs-vpc-*", "*-vpc-2026*", true),
            ("flowship-ledger-*", "flowship-ledger-eu-*", true),
            ("flowlogs-vpc-*", "flowlogs-tgw-*", false),
            ("flowlogs-vpc-*", "logs-*-*", false),
            ("flowlogs-vpc-*", "flowlogs-vpc", false),
            ("flowlogs-vpc-*", "flowlogs-vpc-2026.11.21", true),
        ];
        for (one, other, expected) in pairs {
            for (one, other) in [(one, other), (other, one)] {
                assert_eq!(meet(one.as_bytes(), other.as_bytes()), expected, "{one} {other}");
            }
        }
    }

    #[test]
    fn what_is_in_the_way_is_told_with_its_consequence() {
        let installation = Installation {
            index_prefix: "flowlogs".to_owned(),
            ledger_index: Some("flowship-ledger".to_owned()),
        };
        let parts = super::super::parts(&installation);
        let ours: Vec<&Part> = parts
            .iter()
            .filter(|part| part.kind == Kind::IndexTemplate)
            .collect();
        let template = |name: &str, pattern: &str, priority: Option<u64>| json!({"name": name, "index_template": {"index_patterns": [pattern], "priority": priority.unwrap_or_default()}});
        let templates: Templates = serde_json::from_value(json!({"index_templates": [
            template("flowlogs-vpc", "flowlogs-vpc-*", Some(200)),
            template("all", "*", None),
            template("flowship-ledger-eu", "flowship-ledger-eu-*", Some(200)),
            template("net", "flowlogs-*", Some(500)),
            template("logs", "logs-*-*", Some(500)),
        ]}))
        .unwrap();
        let told: Vec<String> = in_the_way(&ours, &templates.index_templates)
            .iter()
            .map(ToString::to_string)
            .collect();
        insta::assert_snapshot!(told.join("\n"), @"
        index template flowship-ledger-eu (flowship-ledger-eu-*; priority 200) meets indices of flowship-ledger (priority 200): Elasticsearch refuses two of the same priority
        index template net (flowlogs-*; priority 500) meets indices of flowlogs-vpc (priority 200): Elasticsearch would apply it, and not ours
        index template net (flowlogs-*; priority 500) meets indices of flowlogs-tgw (priority 200): Elasticsearch would apply it, and not ours
        ");
    }
}
