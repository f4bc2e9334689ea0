//! The files of `index-templates/` and `kibana/` inside the binaries, so that an installation is what the repository shows. Who
//! sends them to the server, and under which names, is [`crate::elasticsearch::setup`].

pub mod kibana;

/// What the names in the files begin with; `INDEX_PREFIX` replaces it.
pub const FILE_PREFIX: &str = "flowlogs";

/// What the names of the ledger's files begin with; `LEDGER_INDEX` replaces it.
pub const LEDGER_FILE_PREFIX: &str = "flowship-ledger";

/// What is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Index lifecycle policy.
    IlmPolicy,
    /// Component template.
    ComponentTemplate,
    /// Index template.
    IndexTemplate,
    /// Role of a user or an API key.
    Role,
    /// A setting of the whole cluster; there is no file of it, because it extends what the cluster has.
    ClusterSetting,
}

/// One file, as `PUT` takes it.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// What it installs.
    pub kind: Kind,
    /// The name it is installed under with the default prefix.
    pub name: &'static str,
    /// Whether it means anything to a server without the ILM module, which refuses `index.lifecycle.*`.
    pub needs_ilm: bool,
    /// The JSON text.
    pub text: &'static str,
}

/// All files in the order of their installation: a part comes after the parts that it names.
pub const ASSETS: [Asset; 8] = [
    Asset {
        kind: Kind::IlmPolicy,
        name: "flowlogs-vpc",
        needs_ilm: true,
        text: include_str!("../index-templates/ilm/flowlogs-vpc.json"),
    },
    // `auto_expand_replicas`: on one data node ILM would wait for ever for the place of a replica, and delete nothing.
    Asset {
        kind: Kind::ComponentTemplate,
        name: "flowlogs-vpc-settings",
        needs_ilm: false,
        text: include_str!("../index-templates/component/flowlogs-vpc-settings.json"),
    },
    Asset {
        kind: Kind::ComponentTemplate,
        name: "flowlogs-vpc-mappings",
        needs_ilm: false,
        text: include_str!("../index-templates/component/flowlogs-vpc-mappings.json"),
    },
    Asset {
        kind: Kind::ComponentTemplate,
        name: "flowlogs-vpc-ilm",
        needs_ilm: true,
        text: include_str!("../index-templates/component/flowlogs-vpc-ilm.json"),
    },
    Asset {
        kind: Kind::IndexTemplate,
        name: "flowlogs-vpc",
        needs_ilm: false,
        text: include_str!("../index-templates/index/flowlogs-vpc.json"),
    },
    // Transit Gateway flow logs share settings and retention with those of VPCs.
    Asset {
        kind: Kind::ComponentTemplate,
        name: "flowlogs-tgw-mappings",
        needs_ilm: false,
        text: include_str!("../index-templates/component/flowlogs-tgw-mappings.json"),
    },
    Asset {
        kind: Kind::IndexTemplate,
        name: "flowlogs-tgw",
        needs_ilm: false,
        text: include_str!("../index-templates/index/flowlogs-tgw.json"),
    },
    // Indices of the ledger stay until somebody deletes them: some megabytes a month tell what was there.
    Asset {
        kind: Kind::IndexTemplate,
        name: "flowship-ledger",
        needs_ilm: false,
        text: include_str!("../index-templates/index/flowship-ledger.json"),
    },
];

/// The rights that it takes: to ship, to install, to look. An index privilege of the installer is not setup's but that
/// of the lifecycle policy, which Elasticsearch carries out with the rights of whoever put it there last (Elastic's page
/// "Create or update lifecycle policy").
pub const ROLES: [Asset; 3] = [
    role(
        "flowlogs-installer",
        include_str!("../index-templates/role/flowlogs-installer.json"),
    ),
    role(
        "flowlogs-reader",
        include_str!("../index-templates/role/flowlogs-reader.json"),
    ),
    role(
        "flowlogs-shipper",
        include_str!("../index-templates/role/flowlogs-shipper.json"),
    ),
];

const fn role(name: &'static str, text: &'static str) -> Asset {
    Asset {
        kind: Kind::Role,
        name,
        needs_ilm: false,
        text,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;

    use serde_json::{Value, json};

    use super::*;
    use crate::config::SETTINGS;
    use crate::flow::Dataset;

    fn parse(kind: Kind, name: &str) -> Value {
        let asset = ASSETS
            .iter()
            .find(|asset| asset.kind == kind && asset.name == name);
        serde_json::from_str(asset.unwrap().text).unwrap()
    }

    /// Every mapped field by its dotted name, with its definition; objects are not fields.
    pub(crate) fn mapped_fields(dataset: Dataset) -> BTreeMap<String, Value> {
        fn collect(prefix: &str, properties: &Value, fields: &mut BTreeMap<String, Value>) {
            for (name, definition) in properties.as_object().unwrap() {
                let name = format!("{prefix}{name}");
                match definition.get("properties") {
                    Some(inner) => collect(&format!("{name}."), inner, fields),
                    None => drop(fields.insert(name, definition.clone())),
                }
            }
        }
        let component = parse(
            Kind::ComponentTemplate,
            &format!("flowlogs-{}-mappings", dataset.name()),
        );
        let mut fields = BTreeMap::new();
        collect("", &component["template"]["mappings"]["properties"], &mut fields);
        fields
    }

    #[test]
    fn every_file_of_the_folder_is_in_the_table_under_its_own_name() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("index-templates");
        let mut in_folder = BTreeSet::new();
        for folder in std::fs::read_dir(&root).unwrap() {
            for file in std::fs::read_dir(folder.unwrap().path()).unwrap() {
                in_folder.insert(file.unwrap().path());
            }
        }
        let in_table: BTreeSet<_> = ASSETS
            .iter()
            .chain(&ROLES)
            .map(|asset| {
                let folder = match asset.kind {
                    Kind::IlmPolicy => "ilm",
                    Kind::ComponentTemplate => "component",
                    Kind::IndexTemplate => "index",
                    Kind::Role => "role",
                    Kind::ClusterSetting => panic!("{} has no file", asset.name),
                };
                root.join(folder).join(format!("{}.json", asset.name))
            })
            .collect();
        assert_eq!(in_folder, in_table);
        for asset in ASSETS.iter().chain(&ROLES) {
            assert!(
                serde_json::from_str::<Value>(asset.text).is_ok(),
                "{}",
                asset.name
            );
        }
    }

    #[test]
    fn all_parts_carry_one_version() {
        let versions: BTreeSet<String> = ASSETS
            .iter()
            .map(|asset| {
                let body = parse(asset.kind, asset.name);
                let meta = match asset.kind {
                    Kind::IlmPolicy => &body["policy"]["_meta"],
                    _ => &body["_meta"],
                };
                assert_eq!(meta["product"], "flowship", "{}", asset.name);
                if asset.kind != Kind::IlmPolicy {
                    assert_eq!(body["version"], meta["version"], "{}", asset.name);
                }
                meta["version"].to_string()
            })
            .collect();
        assert_eq!(versions.len(), 1, "{versions:?}");
    }

    #[test]
    fn the_index_templates_are_composed_of_components_and_the_users_hook() {
        for dataset in Dataset::ALL {
            let name = format!("flowlogs-{}", dataset.name());
            let (mappings, hook) = (format!("{name}-mappings"), format!("{name}-custom"));
            let template = parse(Kind::IndexTemplate, &name);
            // Settings and retention are those of VPC flow logs.
            let components = ["flowlogs-vpc-settings", &mappings, "flowlogs-vpc-ilm", &hook];
            assert_eq!(template["composed_of"], json!(components));
            let may_be_missing = ["flowlogs-vpc-ilm", &hook];
            assert_eq!(
                template["ignore_missing_component_templates"],
                json!(may_be_missing)
            );
            assert_eq!(template["index_patterns"], json!([format!("{name}-*")]));
            assert_eq!(template["priority"], 200);
            assert_eq!(template["allow_auto_create"], true);

            // A part comes after the parts that it names; only ILM's may be left out.
            let template_place = ASSETS
                .iter()
                .position(|asset| asset.kind == Kind::IndexTemplate && asset.name == name);
            for component in &components[..3] {
                let place = ASSETS
                    .iter()
                    .position(|asset| asset.kind == Kind::ComponentTemplate && asset.name == *component);
                assert!(place.is_some() && place < template_place, "{component}");
                assert_eq!(ASSETS[place.unwrap()].needs_ilm, *component == "flowlogs-vpc-ilm");
            }
        }
    }

    #[test]
    fn only_the_ilm_parts_speak_of_lifecycles_and_they_name_the_policy() {
        for asset in ASSETS.iter().filter(|asset| !asset.needs_ilm) {
            assert!(!asset.text.contains("lifecycle"), "{}", asset.name);
        }
        let component = parse(Kind::ComponentTemplate, "flowlogs-vpc-ilm");
        let lifecycle = &component["template"]["settings"]["index"]["lifecycle"];
        let policy = ASSETS.iter().find(|asset| asset.kind == Kind::IlmPolicy).unwrap();
        assert_eq!(lifecycle["name"], policy.name);
        // Age counts from the date in the index's name, also after a backfill.
        assert_eq!(lifecycle["parse_origination_date"], true);
        assert!(!policy.text.contains("rollover"));
    }

    #[test]
    fn replicas_are_as_many_as_the_nodes_can_hold() {
        for asset in &ASSETS {
            assert!(!asset.text.contains("number_of_replicas"), "{}", asset.name);
            let has_settings = asset.text.contains("number_of_shards");
            let expands = asset.text.contains(r#""auto_expand_replicas": "0-1""#);
            assert_eq!(has_settings, expands, "{}", asset.name);
        }
    }

    #[test]
    fn no_index_is_sorted() {
        for asset in &ASSETS {
            assert!(!asset.text.contains("sort"), "{}", asset.name);
        }
    }

    #[test]
    fn aliases_and_copies_point_to_mapped_fields() {
        for dataset in Dataset::ALL {
            let fields = mapped_fields(dataset);
            for (name, definition) in &fields {
                if definition["type"] == "alias" {
                    let target = definition["path"].as_str().unwrap();
                    let target_type = &fields[target]["type"];
                    assert_ne!(target_type, "alias", "{name}: an alias of an alias is refused");
                }
                if let Some(target) = definition.get("copy_to") {
                    // A copy to an alias is accepted in the mapping and refused with every document.
                    let target_type = &fields[target.as_str().unwrap()]["type"];
                    assert_eq!(target_type, &definition["type"], "{name}");
                }
                if definition["type"] == "keyword" {
                    assert_eq!(definition["ignore_above"], 1024, "{name}");
                }
            }
        }
    }

    #[test]
    fn every_address_is_found_in_one_field() {
        let copied = |dataset| -> Vec<String> {
            let fields = mapped_fields(dataset);
            let addresses = fields
                .iter()
                .filter(|(name, definition)| definition["type"] == "ip" && name.as_str() != "related.ip");
            addresses
                .map(|(name, definition)| {
                    assert_eq!(definition["copy_to"], "related.ip", "{name}");
                    name.clone()
                })
                .collect()
        };
        let packet = ["aws.vpcflow.pkt_dstaddr", "aws.vpcflow.pkt_srcaddr"];
        let ends = ["destination.ip", "source.ip"];
        assert_eq!(copied(Dataset::Vpc), [packet, ends].concat());
        assert_eq!(copied(Dataset::Tgw), ends);
    }

    #[test]
    fn free_text_is_searched_in_mapped_fields() {
        let vpc = parse(Kind::ComponentTemplate, "flowlogs-vpc-settings");
        let tgw = parse(Kind::IndexTemplate, "flowlogs-tgw");
        for (dataset, body) in [(Dataset::Vpc, vpc), (Dataset::Tgw, tgw)] {
            let fields = mapped_fields(dataset);
            let searched = &body["template"]["settings"]["index"]["query"]["default_field"];
            for name in searched.as_array().unwrap() {
                assert!(fields.contains_key(name.as_str().unwrap()), "{name}");
            }
        }
    }

    #[test]
    fn unknown_fields_are_stored_and_not_mapped() {
        for dataset in Dataset::ALL {
            let name = format!("flowlogs-{}-mappings", dataset.name());
            let component = parse(Kind::ComponentTemplate, &name);
            assert_eq!(component["template"]["mappings"]["dynamic"], false);
        }
    }

    #[test]
    fn the_names_begin_with_the_defaults_of_the_settings() {
        let default = |name: &str| {
            let setting = SETTINGS.iter().find(|setting| setting.name == name);
            setting.unwrap().default
        };
        assert_eq!(default("INDEX_PREFIX"), Some(FILE_PREFIX));
        assert_eq!(default("LEDGER_INDEX"), Some(LEDGER_FILE_PREFIX));
        for asset in &ASSETS {
            let is_ours = asset.name.starts_with("flowlogs-") || asset.name == LEDGER_FILE_PREFIX;
            assert!(is_ours, "{}", asset.name);
        }
    }
}
