//! How indices are stored: what a profile adds to the index templates, and which one a template on the server has.

use std::fmt;

use serde_json::{Value, json};

use super::error::{no_answer, refusal};
use super::{Part, SetupError, Verb};
use crate::elasticsearch::client::Client;

/// A way to store documents. The figures are server CPU a million records and bytes a document after a merge, measured on
/// records of version 5 with Elasticsearch 8.19.8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Store {
    /// As documents come: 43 s, 236 bytes.
    #[default]
    Standard,
    /// Sorted by network interface (transit gateway flow logs: by attachment), then time: 54 s, 217 bytes.
    Sorted,
    /// Sorted, and in Elasticsearch's mode for logs: 57 s, 157 bytes, or 209 where the licence has no synthetic source.
    Logsdb,
}

/// What the documents of an index template are sorted by before their time; an interface's flows resemble each other.
const SORTED_BY: [(&str, &str); 2] = [
    ("flowlogs-vpc", "aws.vpcflow.interface_id"),
    ("flowlogs-tgw", "aws.vpcflow.tgw_attachment_id"),
];

impl Store {
    /// Adds the profile's settings to the body of the index template whose file is called `file_name`.
    pub(super) fn write(self, file_name: &str, template: &mut Value) {
        let field = SORTED_BY.iter().find(|(name, _)| *name == file_name);
        let (Some((_, field)), true) = (field, self != Self::Standard) else {
            return;
        };
        let index = &mut template["template"]["settings"]["index"];
        index["sort"] = json!({"field": [field, "@timestamp"], "order": ["asc", "desc"]});
        if self == Self::Logsdb {
            index["mode"] = "logsdb".into();
            // The mode's default drops a bad value from the index without a word; ours is an error of the document.
            index["mapping"] = json!({"ignore_malformed": false});
        }
    }

    /// The profile of an index template on the server.
    pub(super) fn of(template: &Value) -> Self {
        let index = &template["template"]["settings"]["index"];
        match index["mode"].as_str() {
            Some("logsdb") => Self::Logsdb,
            _ if index["sort"]["field"].is_array() => Self::Sorted,
            _ => Self::Standard,
        }
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Standard => "standard",
            Self::Sorted => "sorted",
            Self::Logsdb => "logsdb",
        })
    }
}

/// Whether a profile added settings to this body.
pub(super) fn is_stored(body: &Value) -> bool {
    Store::of(body) != Store::Standard
}

/// Lets the server check the settings of an index template, which it would do only after the first parts are
/// installed. Needs `manage_index_templates`; changes nothing.
pub(super) async fn try_settings(client: &Client, template: &Part, store: Store) -> Result<(), SetupError> {
    let body = json!({
        "index_patterns": template.body["index_patterns"],
        "template": {"settings": template.body["template"]["settings"]},
        // Above ours, which would be in the way.
        "priority": 201,
    });
    let answer = client
        .post("_index_template/_simulate", body.to_string())
        .await
        .map_err(|source| no_answer(Verb::Try, template, source))?;
    match answer.status {
        200 => Ok(()),
        401 | 403 => Err(refusal(Verb::Try, template, &answer)),
        _ => Err(SetupError::StoreRefused {
            store,
            source: Box::new(refusal(Verb::Try, template, &answer)),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_tells_which_profile_it_has() {
        for store in [Store::Standard, Store::Sorted, Store::Logsdb] {
            for (name, field) in SORTED_BY {
                let mut template =
                    json!({"priority": 200, "template": {"settings": {"index": {"codec": "default"}}}});
                store.write(name, &mut template);
                assert_eq!(Store::of(&template), store);
                let settings = &template["template"]["settings"]["index"];
                assert_eq!(settings["codec"], "default");
                let sorted_by = settings["sort"]["field"][0].as_str();
                assert_eq!(sorted_by, (store != Store::Standard).then_some(field));
            }
        }
    }

    #[test]
    fn the_ledger_is_stored_as_ever() {
        let mut template = json!({"priority": 200});
        Store::Logsdb.write("flowship-ledger", &mut template);
        assert_eq!(template, json!({"priority": 200}));
    }
}
