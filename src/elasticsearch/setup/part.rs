//! A file of [`crate::assets`] → what is sent: the names of an installation with another prefix than the files have.

use std::fmt;

use serde_json::Value;

use super::Verb;
use super::stamp::stamp;
use super::store::Store;
use crate::assets::{ASSETS, Asset, FILE_PREFIX, Kind, LEDGER_FILE_PREFIX, ROLES};
use crate::config::Installation;

/// One thing to install: a name and a body.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// What it is.
    pub kind: Kind,
    /// Its name on the server.
    pub name: String,
    /// The body of the `PUT`, with the hash of itself.
    pub body: Value,
    /// Whether a server without ILM does without it.
    pub needs_ilm: bool,
}

/// Everything that an installation consists of, in the order of installation, with our ages and the standard store.
pub fn parts(installation: &Installation) -> Vec<Part> {
    parts_stored(installation, |_| Store::Standard)
}

/// The same, each as `store` says of its position.
pub(super) fn parts_stored(installation: &Installation, store: impl Fn(usize) -> Store) -> Vec<Part> {
    let is_wanted = |asset: &&Asset| asset.name != LEDGER_FILE_PREFIX || installation.ledger_index.is_some();
    let wanted = ASSETS.iter().filter(is_wanted);
    wanted
        .enumerate()
        .map(|(position, asset)| Part::new(asset, installation, store(position)))
        .collect()
}

/// The roles of an installation, which only who may manage security can install.
pub fn roles(installation: &Installation) -> Vec<Part> {
    let mut roles: Vec<Part> = ROLES
        .iter()
        .map(|asset| Part::new(asset, installation, Store::Standard))
        .collect();
    if installation.ledger_index.is_none() {
        for role in &mut roles {
            role.forget_ledger();
        }
    }
    roles
}

impl Part {
    fn new(asset: &Asset, installation: &Installation, store: Store) -> Self {
        let mut body: Value = serde_json::from_str(asset.text).expect("a test parses every asset");
        for pointer in asset.kind.names_in_body() {
            match body.pointer_mut(pointer) {
                Some(Value::String(name)) => *name = rename(name, installation),
                Some(Value::Array(names)) => {
                    for name in names {
                        if let Value::String(name) = name {
                            *name = rename(name, installation);
                        }
                    }
                }
                _ => {}
            }
        }
        if asset.kind == Kind::IndexTemplate {
            store.write(asset.name, &mut body);
        }
        stamp(asset.kind, &mut body);
        Self {
            kind: asset.kind,
            name: rename(asset.name, installation),
            body,
            needs_ilm: asset.needs_ilm,
        }
    }

    /// A role without the rights on a ledger that there is not.
    fn forget_ledger(&mut self) {
        let ledger = format!("{LEDGER_FILE_PREFIX}-*");
        let entries = self.body["indices"].as_array_mut().into_iter().flatten();
        for names in entries.filter_map(|entry| entry["names"].as_array_mut()) {
            names.retain(|name| *name != ledger.as_str());
        }
        if let Some(entries) = self.body["indices"].as_array_mut() {
            entries.retain(|entry| entry["names"] != Value::Array(Vec::new()));
        }
        stamp(self.kind, &mut self.body);
    }

    /// The path of its `GET` and `PUT`.
    pub fn path(&self) -> String {
        match self.kind {
            Kind::ClusterSetting => self.kind.api().to_owned(),
            _ => format!("{}/{}", self.kind.api(), self.name),
        }
    }

    /// Its body out of the answer to a `GET` of it; `None` when the answer has another shape.
    pub(super) fn body_in<'a>(&self, answer: &'a Value) -> Option<&'a Value> {
        let (list, item) = match self.kind {
            // The name is the key; a policy comes with version, date and users beside it.
            Kind::IlmPolicy | Kind::Role => return answer.get(&self.name),
            Kind::ClusterSetting => return Some(answer),
            Kind::ComponentTemplate => ("component_templates", "component_template"),
            Kind::IndexTemplate => ("index_templates", "index_template"),
        };
        answer
            .get(list)?
            .as_array()?
            .iter()
            .find(|found| found["name"] == self.name.as_str())?
            .get(item)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

impl Kind {
    const fn api(self) -> &'static str {
        match self {
            Self::IlmPolicy => "_ilm/policy",
            Self::ComponentTemplate => "_component_template",
            Self::IndexTemplate => "_index_template",
            Self::Role => "_security/role",
            Self::ClusterSetting => "_cluster/settings",
        }
    }

    /// The cluster privilege that it takes.
    pub(super) fn privilege(self, verb: Verb) -> &'static str {
        match self {
            Self::Role if verb == Verb::Read => "read_security",
            Self::Role => "manage_security",
            Self::ClusterSetting if verb == Verb::Read => "monitor",
            Self::ClusterSetting => "manage",
            Self::IlmPolicy => "manage_ilm",
            Self::ComponentTemplate | Self::IndexTemplate => "manage_index_templates",
        }
    }

    /// One word for programs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::IlmPolicy => "ilm_policy",
            Self::ComponentTemplate => "component_template",
            Self::IndexTemplate => "index_template",
            Self::Role => "role",
            Self::ClusterSetting => "cluster_setting",
        }
    }

    /// Where names of ours, or lists of them, stand in a body.
    const fn names_in_body(self) -> &'static [&'static str] {
        match self {
            Self::IlmPolicy | Self::ClusterSetting => &[],
            Self::Role => &["/indices/0/names", "/indices/1/names"],
            Self::ComponentTemplate => &["/template/settings/index/lifecycle/name"],
            Self::IndexTemplate => &[
                "/index_patterns",
                "/composed_of",
                "/ignore_missing_component_templates",
            ],
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::IlmPolicy => "ILM policy",
            Self::ComponentTemplate => "component template",
            Self::IndexTemplate => "index template",
            Self::Role => "role",
            Self::ClusterSetting => "cluster setting",
        })
    }
}

fn rename(name: &str, installation: &Installation) -> String {
    let ledger = installation.ledger_index.as_deref().unwrap_or(LEDGER_FILE_PREFIX);
    let prefixes = [
        (FILE_PREFIX, installation.index_prefix.as_str()),
        (LEDGER_FILE_PREFIX, ledger),
    ];
    for (file_prefix, prefix) in prefixes {
        match name.strip_prefix(file_prefix) {
            Some(rest) if rest.is_empty() || rest.starts_with('-') => return format!("{prefix}{rest}"),
            _ => {}
        }
    }
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn strings(value: &Value) -> Vec<&str> {
        match value {
            Value::String(text) => vec![text],
            Value::Array(items) => items.iter().flat_map(strings).collect(),
            Value::Object(fields) => fields.values().flat_map(strings).collect(),
            _ => Vec::new(),
        }
    }

    fn installation(prefix: &str, ledger: Option<&str>) -> Installation {
        Installation {
            index_prefix: prefix.to_owned(),
            ledger_index: ledger.map(str::to_owned),
        }
    }

    fn default() -> Installation {
        installation(FILE_PREFIX, Some(LEDGER_FILE_PREFIX))
    }

    #[test]
    fn the_default_names_change_nothing() {
        assert_eq!(parts(&default()).len(), ASSETS.len());
        for (part, asset) in parts(&default()).iter().zip(&ASSETS) {
            assert_eq!(part.name, asset.name);
            let mut file: Value = serde_json::from_str(asset.text).unwrap();
            stamp(asset.kind, &mut file);
            assert_eq!(part.body, file);
        }
    }

    #[test]
    fn another_prefix_renames_every_part_and_every_mention() {
        let parts = parts(&installation("net.flows-eu", None));
        for part in &parts {
            assert!(part.name.starts_with("net.flows-eu-"), "{part}");
            let left = strings(&part.body)
                .into_iter()
                .find(|text| text.starts_with(FILE_PREFIX));
            assert_eq!(left, None, "{part}");
        }
        let [_, _, _, ilm, template, _, transit] = parts.as_slice() else {
            panic!("seven parts");
        };
        assert_eq!(
            ilm.body["template"]["settings"]["index"]["lifecycle"]["name"],
            "net.flows-eu-vpc"
        );
        assert_eq!(template.body["index_patterns"], json!(["net.flows-eu-vpc-*"]));
        assert_eq!(template.body["composed_of"][3], "net.flows-eu-vpc-custom");
        assert_eq!(template.path(), "_index_template/net.flows-eu-vpc");
        assert_eq!(transit.body["index_patterns"], json!(["net.flows-eu-tgw-*"]));
        assert_eq!(transit.body["composed_of"][0], "net.flows-eu-vpc-settings");
    }

    #[test]
    fn a_prefix_changes_names_only() {
        // As a text, `aws` stands in the mappings many times.
        let (after, before) = (parts(&installation("aws", Some("aws-ledger"))), parts(&default()));
        for position in [1, 2, 5] {
            assert_eq!(after[position].body, before[position].body);
        }
    }

    #[test]
    fn the_ledger_has_a_name_of_its_own_or_is_not_installed() {
        let parts = parts(&installation("flowship", Some("net.ledger")));
        let ledger = parts.last().unwrap();
        assert_eq!(ledger.path(), "_index_template/net.ledger");
        assert_eq!(ledger.body["index_patterns"], json!(["net.ledger-*"]));
        assert_eq!(ledger.body["composed_of"], json!(["net.ledger-custom"]));
        assert_eq!(parts[0].name, "flowship-vpc");
    }

    #[test]
    fn roles_are_for_the_names_of_the_installation() {
        let roles_of = |installation: &Installation| -> Vec<String> {
            let rights = roles(installation).into_iter().map(|role| {
                let entries = role.body["indices"].as_array().unwrap().iter();
                let entries: Vec<String> = entries
                    .map(|entry| format!("{} {}", entry["names"], entry["privileges"]))
                    .collect();
                format!("{}: {}", role.name, entries.join(", "))
            });
            rights.collect()
        };
        insta::assert_snapshot!(roles_of(&installation("net.flows", Some("net.ledger"))).join("\n"), @r#"
        net.flows-installer: ["net.flows-*"] ["manage"]
        net.flows-reader: ["net.flows-*","net.ledger-*"] ["read","view_index_metadata"]
        net.flows-shipper: ["net.flows-*"] ["create_doc","auto_configure"], ["net.ledger-*"] ["index","auto_configure"]
        "#);
        insta::assert_snapshot!(roles_of(&installation("flowlogs", None)).join("\n"), @r#"
        flowlogs-installer: ["flowlogs-*"] ["manage"]
        flowlogs-reader: ["flowlogs-*"] ["read","view_index_metadata"]
        flowlogs-shipper: ["flowlogs-*"] ["create_doc","auto_configure"]
        "#);
    }
}
