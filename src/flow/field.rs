//! The field table: every field of VPC flow logs (versions 2 to 11) and of Transit Gateway flow logs (version 6). The
//! parser, the recognition of header lines, the document's list of fields and the check of the mappings come from it.
//! Any other column is kept as a string.
//!
//! Sources: "Available fields" in the Amazon VPC user guide, section on flow log records, and "Transit Gateway Flow
//! Log records" in the guide of AWS Transit Gateway.

use Kind::{Address, Flags, Number, Tag, Text, Time};

/// A field of VPC or Transit Gateway flow logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the table below says what each is")]
pub enum Field {
    Version,
    AccountId,
    InterfaceId,
    Srcaddr,
    Dstaddr,
    Srcport,
    Dstport,
    Protocol,
    Packets,
    Bytes,
    Start,
    End,
    Action,
    LogStatus,
    VpcId,
    SubnetId,
    InstanceId,
    TcpFlags,
    Type,
    PktSrcaddr,
    PktDstaddr,
    Region,
    AzId,
    SublocationType,
    SublocationId,
    PktSrcAwsService,
    PktDstAwsService,
    FlowDirection,
    TrafficPath,
    EcsClusterArn,
    EcsClusterName,
    EcsContainerInstanceArn,
    EcsContainerInstanceId,
    EcsContainerId,
    EcsSecondContainerId,
    EcsServiceName,
    EcsTaskDefinitionArn,
    EcsTaskArn,
    EcsTaskId,
    RejectReason,
    ResourceId,
    EncryptionStatus,
    InstanceTag,
    InstanceTag2,
    InterfaceTag,
    InterfaceTag2,
    AsgTag,
    AsgTag2,
    InterfaceType,
    NextHopInterfaceId,
    NextHopSubnetId,
    NextHopAzId,
    NextHopVpcId,
    NextHopInterfaceType,
    ResourceType,
    TgwId,
    TgwAttachmentId,
    TgwSrcVpcAccountId,
    TgwDstVpcAccountId,
    TgwSrcVpcId,
    TgwDstVpcId,
    TgwSrcSubnetId,
    TgwDstSubnetId,
    TgwSrcEni,
    TgwDstEni,
    TgwSrcAzId,
    TgwDstAzId,
    TgwPairAttachmentId,
    PacketsLostNoRoute,
    PacketsLostBlackhole,
    PacketsLostMtuExceeded,
    PacketsLostTtlExpired,
}

/// How the text of a column is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As it is.
    Text,
    /// A tag's value: percent-encoded UTF-8.
    Tag,
    /// IPv4 or IPv6 address.
    Address,
    /// Whole number from 0 to this.
    Number(u64),
    /// TCP flags: a bit mask, written as a word of the document, not as a number.
    Flags,
    /// Unix time: seconds, or milliseconds where the number is too large for seconds.
    Time,
}

/// The two kinds of flow logs that AWS writes, each with its own indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dataset {
    /// VPC flow logs.
    Vpc,
    /// Transit Gateway flow logs.
    Tgw,
}

impl Dataset {
    /// Every dataset.
    pub const ALL: [Self; 2] = [Self::Vpc, Self::Tgw];

    /// Its part of index names.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vpc => "vpc",
            Self::Tgw => "tgw",
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct FieldSpec {
    /// The field.
    pub field: Field,
    /// Its name in header lines.
    pub name: &'static str,
    /// The first version that has it.
    pub version: u8,
    /// The datasets that have it.
    pub datasets: &'static [Dataset],
    /// How its text is read.
    pub kind: Kind,
    /// Where it goes in the document, in the mapping's notation.
    pub target: &'static str,
}

const fn spec(
    datasets: &'static [Dataset],
    version: u8,
    field: Field,
    name: &'static str,
    kind: Kind,
    target: &'static str,
) -> FieldSpec {
    FieldSpec {
        field,
        name,
        version,
        datasets,
        kind,
        target,
    }
}

const VPC: &[Dataset] = &[Dataset::Vpc];
const TGW: &[Dataset] = &[Dataset::Tgw];
const BOTH: &[Dataset] = &Dataset::ALL;

/// Largest value of Elasticsearch's `long`.
const LONG: Kind = Number(i64::MAX as u64);
const PORT: Kind = Number(u16::MAX as u64);
const PROTOCOL: Kind = Number(u8::MAX as u64);

/// A name that some producers write for another one.
const OTHER_NAMES: [(&str, Field); 1] = [("transit-gateway-id", Field::TgwId)];

/// Number of fields.
pub const NUM_FIELDS: usize = 72;

/// Every field: those of VPC flow logs in the order of their versions, then those that only Transit Gateways have.
#[rustfmt::skip]
pub const FIELDS: [FieldSpec; NUM_FIELDS] = [
    spec(BOTH, 2, Field::Version, "version", Text, "aws.vpcflow.version"),
    spec(BOTH, 2, Field::AccountId, "account-id", Text, "cloud.account.id"),
    spec(VPC, 2, Field::InterfaceId, "interface-id", Text, "aws.vpcflow.interface_id"),
    spec(BOTH, 2, Field::Srcaddr, "srcaddr", Address, "source.ip"),
    spec(BOTH, 2, Field::Dstaddr, "dstaddr", Address, "destination.ip"),
    spec(BOTH, 2, Field::Srcport, "srcport", PORT, "source.port"),
    spec(BOTH, 2, Field::Dstport, "dstport", PORT, "destination.port"),
    spec(BOTH, 2, Field::Protocol, "protocol", PROTOCOL, "network.iana_number"),
    spec(BOTH, 2, Field::Packets, "packets", LONG, "source.packets"),
    spec(BOTH, 2, Field::Bytes, "bytes", LONG, "source.bytes"),
    spec(BOTH, 2, Field::Start, "start", Time, "event.start"),
    spec(BOTH, 2, Field::End, "end", Time, "@timestamp"),
    spec(VPC, 2, Field::Action, "action", Text, "event.action"),
    spec(BOTH, 2, Field::LogStatus, "log-status", Text, "aws.vpcflow.log_status"),
    spec(VPC, 3, Field::VpcId, "vpc-id", Text, "aws.vpcflow.vpc_id"),
    spec(VPC, 3, Field::SubnetId, "subnet-id", Text, "aws.vpcflow.subnet_id"),
    spec(VPC, 3, Field::InstanceId, "instance-id", Text, "cloud.instance.id"),
    spec(BOTH, 3, Field::TcpFlags, "tcp-flags", Flags, "aws.vpcflow.tcp_flags"),
    spec(BOTH, 3, Field::Type, "type", Text, "aws.vpcflow.type"),
    spec(VPC, 3, Field::PktSrcaddr, "pkt-srcaddr", Address, "aws.vpcflow.pkt_srcaddr"),
    spec(VPC, 3, Field::PktDstaddr, "pkt-dstaddr", Address, "aws.vpcflow.pkt_dstaddr"),
    spec(BOTH, 4, Field::Region, "region", Text, "cloud.region"),
    spec(VPC, 4, Field::AzId, "az-id", Text, "cloud.availability_zone"),
    spec(VPC, 4, Field::SublocationType, "sublocation-type", Text, "aws.vpcflow.sublocation.type"),
    spec(VPC, 4, Field::SublocationId, "sublocation-id", Text, "aws.vpcflow.sublocation.id"),
    spec(BOTH, 5, Field::PktSrcAwsService, "pkt-src-aws-service", Text, "aws.vpcflow.pkt_src_service"),
    spec(BOTH, 5, Field::PktDstAwsService, "pkt-dst-aws-service", Text, "aws.vpcflow.pkt_dst_service"),
    spec(BOTH, 5, Field::FlowDirection, "flow-direction", Text, "network.direction"),
    spec(VPC, 5, Field::TrafficPath, "traffic-path", Text, "aws.vpcflow.traffic_path"),
    spec(VPC, 7, Field::EcsClusterArn, "ecs-cluster-arn", Text, "orchestrator.cluster.id"),
    spec(VPC, 7, Field::EcsClusterName, "ecs-cluster-name", Text, "orchestrator.cluster.name"),
    spec(VPC, 7, Field::EcsContainerInstanceArn, "ecs-container-instance-arn", Text, "orchestrator.resource.name"),
    spec(VPC, 7, Field::EcsContainerInstanceId, "ecs-container-instance-id", Text, "orchestrator.resource.id"),
    spec(VPC, 7, Field::EcsContainerId, "ecs-container-id", Text, "container.id"),
    spec(VPC, 7, Field::EcsSecondContainerId, "ecs-second-container-id", Text, "aws.vpcflow.ecs_second_container_id"),
    spec(VPC, 7, Field::EcsServiceName, "ecs-service-name", Text, "service.name"),
    spec(VPC, 7, Field::EcsTaskDefinitionArn, "ecs-task-definition-arn", Text, "aws.vpcflow.ecs_task_definition_arn"),
    spec(VPC, 7, Field::EcsTaskArn, "ecs-task-arn", Text, "aws.vpcflow.ecs_task_arn"),
    spec(VPC, 7, Field::EcsTaskId, "ecs-task-id", Text, "aws.vpcflow.ecs_task_id"),
    spec(VPC, 8, Field::RejectReason, "reject-reason", Text, "event.reason"),
    spec(VPC, 9, Field::ResourceId, "resource-id", Text, "aws.vpcflow.resource_id"),
    spec(VPC, 10, Field::EncryptionStatus, "encryption-status", Text, "aws.vpcflow.encryption_status"),
    spec(VPC, 11, Field::InstanceTag, "instance-tag", Tag, "aws.vpcflow.instance_tag"),
    spec(VPC, 11, Field::InstanceTag2, "instance-tag-2", Tag, "aws.vpcflow.instance_tag_2"),
    spec(VPC, 11, Field::InterfaceTag, "interface-tag", Tag, "aws.vpcflow.interface_tag"),
    spec(VPC, 11, Field::InterfaceTag2, "interface-tag-2", Tag, "aws.vpcflow.interface_tag_2"),
    spec(VPC, 11, Field::AsgTag, "asg-tag", Tag, "aws.vpcflow.asg_tag"),
    spec(VPC, 11, Field::AsgTag2, "asg-tag-2", Tag, "aws.vpcflow.asg_tag_2"),
    spec(VPC, 11, Field::InterfaceType, "interface-type", Text, "aws.vpcflow.interface_type"),
    spec(VPC, 11, Field::NextHopInterfaceId, "next-hop-interface-id", Text, "aws.vpcflow.next_hop_interface_id"),
    spec(VPC, 11, Field::NextHopSubnetId, "next-hop-subnet-id", Text, "aws.vpcflow.next_hop_subnet_id"),
    spec(VPC, 11, Field::NextHopAzId, "next-hop-az-id", Text, "aws.vpcflow.next_hop_az_id"),
    spec(VPC, 11, Field::NextHopVpcId, "next-hop-vpc-id", Text, "aws.vpcflow.next_hop_vpc_id"),
    spec(VPC, 11, Field::NextHopInterfaceType, "next-hop-interface-type", Text, "aws.vpcflow.next_hop_interface_type"),
    spec(TGW, 6, Field::ResourceType, "resource-type", Text, "aws.vpcflow.resource_type"),
    spec(TGW, 6, Field::TgwId, "tgw-id", Text, "aws.vpcflow.tgw_id"),
    spec(TGW, 6, Field::TgwAttachmentId, "tgw-attachment-id", Text, "aws.vpcflow.tgw_attachment_id"),
    spec(TGW, 6, Field::TgwSrcVpcAccountId, "tgw-src-vpc-account-id", Text, "aws.vpcflow.tgw_src_vpc_account_id"),
    spec(TGW, 6, Field::TgwDstVpcAccountId, "tgw-dst-vpc-account-id", Text, "aws.vpcflow.tgw_dst_vpc_account_id"),
    spec(TGW, 6, Field::TgwSrcVpcId, "tgw-src-vpc-id", Text, "aws.vpcflow.tgw_src_vpc_id"),
    spec(TGW, 6, Field::TgwDstVpcId, "tgw-dst-vpc-id", Text, "aws.vpcflow.tgw_dst_vpc_id"),
    spec(TGW, 6, Field::TgwSrcSubnetId, "tgw-src-subnet-id", Text, "aws.vpcflow.tgw_src_subnet_id"),
    spec(TGW, 6, Field::TgwDstSubnetId, "tgw-dst-subnet-id", Text, "aws.vpcflow.tgw_dst_subnet_id"),
    spec(TGW, 6, Field::TgwSrcEni, "tgw-src-eni", Text, "aws.vpcflow.tgw_src_eni"),
    spec(TGW, 6, Field::TgwDstEni, "tgw-dst-eni", Text, "aws.vpcflow.tgw_dst_eni"),
    spec(TGW, 6, Field::TgwSrcAzId, "tgw-src-az-id", Text, "aws.vpcflow.tgw_src_az_id"),
    spec(TGW, 6, Field::TgwDstAzId, "tgw-dst-az-id", Text, "aws.vpcflow.tgw_dst_az_id"),
    spec(TGW, 6, Field::TgwPairAttachmentId, "tgw-pair-attachment-id", Text, "aws.vpcflow.tgw_pair_attachment_id"),
    spec(TGW, 6, Field::PacketsLostNoRoute, "packets-lost-no-route", LONG, "aws.vpcflow.packets_lost_no_route"),
    spec(TGW, 6, Field::PacketsLostBlackhole, "packets-lost-blackhole", LONG, "aws.vpcflow.packets_lost_blackhole"),
    spec(TGW, 6, Field::PacketsLostMtuExceeded, "packets-lost-mtu-exceeded", LONG, "aws.vpcflow.packets_lost_mtu_exceeded"),
    spec(TGW, 6, Field::PacketsLostTtlExpired, "packets-lost-ttl-expired", LONG, "aws.vpcflow.packets_lost_ttl_expired"),
];

/// Number of fields that are addresses.
pub(super) const NUM_ADDRESSES: usize = count(NUM_FIELDS, true);

/// Number of fields that are numbers, flags or times.
pub(super) const NUM_NUMBERS: usize = count(NUM_FIELDS, false);

/// For every field its place among the parsed values of its sort.
const SLOTS: [usize; NUM_FIELDS] = {
    let mut slots = [0; NUM_FIELDS];
    let mut position = 0;
    while position < NUM_FIELDS {
        slots[position] = count(position, matches!(FIELDS[position].kind, Address));
        position += 1;
    }
    slots
};

/// How many of the first `num_fields` fields are addresses, or numbers of any sort.
const fn count(num_fields: usize, addresses: bool) -> usize {
    let mut found = 0;
    let mut position = 0;
    while position < num_fields {
        let counted = match FIELDS[position].kind {
            Text | Tag => false,
            Address => addresses,
            Number(_) | Flags | Time => !addresses,
        };
        found += counted as usize;
        position += 1;
    }
    found
}

impl Field {
    /// The field of this name.
    pub fn by_name(name: &[u8]) -> Option<Self> {
        let known = FIELDS.iter().map(|spec| (spec.name, spec.field));
        known
            .chain(OTHER_NAMES)
            .find(|(known, _)| known.as_bytes() == name)
            .map(|(_, field)| field)
    }

    /// Its row of the table.
    pub const fn spec(self) -> &'static FieldSpec {
        // The table is in the order of the enum; a test holds it to that.
        &FIELDS[self as usize]
    }

    /// Its place among the parsed values of its sort.
    pub(super) const fn slot(self) -> usize {
        SLOTS[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enum() {
        for (position, spec) in FIELDS.iter().enumerate() {
            assert_eq!(spec.field as usize, position, "{}", spec.name);
            assert_eq!(Field::by_name(spec.name.as_bytes()), Some(spec.field));
        }
        assert_eq!(Field::by_name(b"transit-gateway-id"), Some(Field::TgwId));
        assert_eq!(Field::by_name(b"transit-gateway"), None);
    }

    #[test]
    fn every_version_has_as_many_fields_as_aws_says() {
        let up_to = |version: u8, dataset: Dataset| {
            FIELDS
                .iter()
                .filter(|spec| spec.version <= version && spec.datasets.contains(&dataset))
                .count()
        };
        let versions = [
            (2, 14),
            (3, 21),
            (4, 25),
            (5, 29),
            (7, 39),
            (8, 40),
            (9, 41),
            (10, 42),
            (11, 54),
        ];
        for (version, num_fields) in versions {
            assert_eq!(up_to(version, Dataset::Vpc), num_fields, "version {version}");
        }
        assert_eq!(up_to(6, Dataset::Tgw), 36);
    }

    /// The table as the documentation shows it.
    fn as_markdown() -> String {
        let mut text =
            "| version | field | in | read as | in the document |\n|---|---|---|---|---|\n".to_owned();
        for spec in FIELDS {
            let datasets: Vec<&str> = spec.datasets.iter().map(|dataset| dataset.name()).collect();
            let kind = match spec.kind {
                Text => "text".to_owned(),
                Tag => "percent-encoded text".to_owned(),
                Address => "address".to_owned(),
                Number(max) if max < u64::from(u32::MAX) => format!("number up to {max}"),
                Number(_) => "number".to_owned(),
                Flags => "bits".to_owned(),
                Time => "time".to_owned(),
            };
            let FieldSpec {
                name,
                version,
                target,
                ..
            } = spec;
            text += &format!(
                "| {version} | `{name}` | {} | {kind} | `{target}` |\n",
                datasets.join(", ")
            );
        }
        text
    }

    #[test]
    fn the_documentation_shows_this_table() {
        assert_eq!(
            include_str!("fields.md"),
            as_markdown(),
            "put the right side into src/flow/fields.md"
        );
    }

    #[test]
    fn no_two_fields_share_a_name_a_target_or_a_slot() {
        let names: BTreeSet<&str> = FIELDS.iter().map(|spec| spec.name).collect();
        let targets: BTreeSet<&str> = FIELDS.iter().map(|spec| spec.target).collect();
        assert_eq!((names.len(), targets.len()), (NUM_FIELDS, NUM_FIELDS));
        let slots = |is_address: bool| -> Vec<usize> {
            FIELDS
                .iter()
                .filter(|spec| !matches!(spec.kind, Text | Tag) && (spec.kind == Address) == is_address)
                .map(|spec| spec.field.slot())
                .collect()
        };
        assert_eq!(slots(true), (0..NUM_ADDRESSES).collect::<Vec<_>>());
        assert_eq!(slots(false), (0..NUM_NUMBERS).collect::<Vec<_>>());
    }

    #[test]
    fn what_has_no_ecs_name_keeps_its_own() {
        for spec in FIELDS.iter().filter(|spec| spec.version > 5) {
            if let Some(name) = spec.target.strip_prefix("aws.vpcflow.") {
                assert_eq!(name, spec.name.replace('-', "_"));
            }
        }
    }
}
