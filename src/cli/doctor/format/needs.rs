//! A field of documents → the columns of the flow log, or the setting, that it comes of.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::assets::{ASSETS, Kind};
use crate::config::EnrichSettings;
use crate::flow::{Dataset, FIELDS, Field};

/// What follows from columns. A network map knows the zones, too.
const DERIVED: [(&str, &[&str]); 13] = [
    ("event.outcome", &["action"]),
    ("event.duration", &["start", "end"]),
    ("network.type", &["srcaddr"]),
    ("network.transport", &["protocol"]),
    (
        "network.community_id",
        &["srcaddr", "dstaddr", "srcport", "dstport", "protocol"],
    ),
    ("related.ip", &["srcaddr", "dstaddr"]),
    ("aws.vpcflow.tcp_flags_array", &["tcp-flags"]),
    ("flowship.path", &["traffic-path"]),
    ("flowship.zone_crossing", ZONE_COLUMNS),
    ("flowship.zone_source", ZONE_COLUMNS),
    ("flowship.source.zone", ZONE_COLUMNS),
    ("flowship.destination.zone", ZONE_COLUMNS),
    // At worst it is the stamp in the object's key.
    ("@timestamp", &[]),
];

/// An interface's own zone, and the VPC in which its address has it for other records.
pub(super) const ZONE_COLUMNS: &[&str] = &["az-id", "vpc-id"];

/// The same of a transit gateway's records.
const GATEWAY_ZONE_COLUMNS: &[&str] = &["tgw-src-az-id", "tgw-dst-az-id"];

/// What a field comes of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Need {
    /// All of these.
    pub(super) columns: Vec<&'static str>,
    /// And this, which is not set.
    pub(super) setting: Option<&'static str>,
}

/// What the fields of a kind of flow log come of, with these settings.
#[derive(Debug)]
pub(super) struct Needs<'a> {
    dataset: Dataset,
    enrich: &'a EnrichSettings,
    /// Other name → field.
    aliases: BTreeMap<String, String>,
}

impl<'a> Needs<'a> {
    pub(super) fn new(dataset: Dataset, enrich: &'a EnrichSettings) -> Self {
        let name = format!("flowlogs-{}-mappings", dataset.name());
        let asset = ASSETS
            .iter()
            .find(|asset| asset.kind == Kind::ComponentTemplate && asset.name == name);
        let body = asset.and_then(|asset| serde_json::from_str::<Value>(asset.text).ok());
        let mut aliases = BTreeMap::new();
        if let Some(properties) = body
            .as_ref()
            .and_then(|body| body.pointer("/template/mappings/properties"))
        {
            collect_aliases("", properties, &mut aliases);
        }
        Self {
            dataset,
            enrich,
            aliases,
        }
    }

    /// `None`: the documents of this kind never have the field, or not from columns.
    pub(super) fn of(&self, field: &str) -> Option<Need> {
        let field = self.aliases.get(field).map_or(field, String::as_str);
        if let Some(need) = self.of_places(field) {
            return Some(need);
        }
        let columns = match FIELDS
            .iter()
            .find(|spec| spec.target == field && field != "@timestamp")
        {
            Some(spec) => vec![spec.name],
            None => DERIVED.iter().find(|(name, _)| *name == field)?.1.to_vec(),
        };
        let columns = if columns != ZONE_COLUMNS {
            columns
        } else if self.enrich.zones && !self.enrich.network_map.is_empty() {
            Vec::new()
        } else if self.dataset == Dataset::Tgw {
            GATEWAY_ZONE_COLUMNS.to_vec()
        } else {
            columns
        };
        let is_of_kind = |column: &&str| {
            let field = Field::by_name(column.as_bytes());
            field.is_some_and(|field| field.spec().datasets.contains(&self.dataset))
        };
        columns.iter().all(is_of_kind).then_some(Need {
            columns,
            setting: None,
        })
    }

    fn of_places(&self, field: &str) -> Option<Need> {
        let (end, rest) = field.split_once('.')?;
        let column = match end {
            "source" => "srcaddr",
            "destination" => "dstaddr",
            _ => return None,
        };
        let (setting, databases) = match rest.split('.').next()? {
            "geo" => ("GEO_CITY_DB", &self.enrich.geo_city_db),
            "as" => ("GEO_ASN_DB", &self.enrich.geo_asn_db),
            _ => return None,
        };
        Some(Need {
            columns: vec![column],
            setting: databases.is_empty().then_some(setting),
        })
    }
}

fn collect_aliases(prefix: &str, properties: &Value, aliases: &mut BTreeMap<String, String>) {
    for (name, definition) in properties.as_object().into_iter().flatten() {
        let name = format!("{prefix}{name}");
        if let Some(inner) = definition.get("properties") {
            collect_aliases(&format!("{name}."), inner, aliases);
        } else if let (Some("alias"), Some(path)) = (definition["type"].as_str(), definition["path"].as_str())
        {
            aliases.insert(name, path.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::{Location, ShipSettings};
    use crate::document::fields;

    fn columns(needs: &Needs<'_>, field: &str) -> Vec<&'static str> {
        needs.of(field).unwrap_or_else(|| panic!("{field}")).columns
    }

    #[test]
    fn fields_aliases_and_what_is_derived_lead_to_columns() {
        let enrich = ShipSettings::default().enrich;
        let needs = Needs::new(Dataset::Vpc, &enrich);
        assert_eq!(columns(&needs, "event.reason"), ["reject-reason"]);
        assert_eq!(columns(&needs, "network.bytes"), ["bytes"]);
        assert_eq!(columns(&needs, "aws.vpcflow.action"), ["action"]);
        assert_eq!(columns(&needs, "flowship.zone_crossing"), ["az-id", "vpc-id"]);
        assert_eq!(needs.of("flowship.object.slot"), None);
        assert_eq!(needs.of("aws.vpcflow.tgw_id"), None);
        let place = needs.of("source.as.number").unwrap();
        assert_eq!(
            (place.columns, place.setting),
            (vec!["srcaddr"], Some("GEO_ASN_DB"))
        );
    }

    #[test]
    fn settings_may_stand_for_columns() {
        let mut enrich = ShipSettings::default().enrich;
        let file = || vec![Location::Path(PathBuf::from("x"))];
        (enrich.network_map, enrich.geo_city_db) = (file(), file());
        let needs = Needs::new(Dataset::Vpc, &enrich);
        assert!(columns(&needs, "flowship.zone_crossing").is_empty());
        assert_eq!(needs.of("source.geo.country_name").unwrap().setting, None);
    }

    #[test]
    fn a_gateway_lacks_nothing_that_it_cannot_have() {
        let enrich = ShipSettings::default().enrich;
        let needs = Needs::new(Dataset::Tgw, &enrich);
        assert_eq!(needs.of("event.action"), None);
        assert_eq!(columns(&needs, "flowship.source.zone"), GATEWAY_ZONE_COLUMNS);
    }

    /// What a document has whatever the columns are, or only beside another field.
    #[test]
    fn every_field_of_documents_has_a_need_or_none_for_a_reason() {
        let enrich = ShipSettings::default().enrich;
        let needs = Needs::new(Dataset::Vpc, &enrich);
        let without: Vec<&str> = fields(Dataset::Vpc)
            .filter(|field| needs.of(field).is_none())
            .collect();
        assert_eq!(
            without,
            [
                "ecs.version",
                "event.kind",
                "event.category",
                "event.type",
                "event.dataset",
                "cloud.provider",
                "orchestrator.type",
                "orchestrator.resource.type",
            ]
        );
    }
}
