//! Every field that a document can hold, by dataset: the targets of the field table, and what is derived.

use crate::flow::{Dataset, FIELDS};

/// What a document holds that is no column's value, for both datasets.
const DERIVED: [&str; 31] = [
    "ecs.version",
    "event.kind",
    "event.category",
    "event.type",
    "event.dataset",
    "event.duration",
    "cloud.provider",
    "source.geo.country_iso_code",
    "source.geo.country_name",
    "source.geo.region_iso_code",
    "source.geo.region_name",
    "source.geo.city_name",
    "source.geo.location",
    "source.as.number",
    "source.as.organization.name",
    "destination.geo.country_iso_code",
    "destination.geo.country_name",
    "destination.geo.region_iso_code",
    "destination.geo.region_name",
    "destination.geo.city_name",
    "destination.geo.location",
    "destination.as.number",
    "destination.as.organization.name",
    "network.type",
    "network.transport",
    "network.community_id",
    "aws.vpcflow.tcp_flags_array",
    "flowship.source.zone",
    "flowship.destination.zone",
    "flowship.zone_source",
    "flowship.zone_crossing",
];

/// What only VPC flow logs let derive.
const DERIVED_VPC: [&str; 4] = [
    "event.outcome",
    "orchestrator.type",
    "orchestrator.resource.type",
    "flowship.path",
];

/// Every field that a document of this dataset can hold, apart from unknown columns, which are kept under
/// `aws.vpcflow.`. The mapping is held to this list, and the list to what the writer writes.
pub fn fields(dataset: Dataset) -> impl Iterator<Item = &'static str> {
    let columns = FIELDS
        .iter()
        .filter(move |spec| spec.datasets.contains(&dataset))
        .map(|spec| spec.target);
    let vpc = DERIVED_VPC.iter().filter(move |_| dataset == Dataset::Vpc);
    columns.chain(DERIVED.iter().chain(vpc).copied())
}
