//! What `aws ec2 describe-subnets` and `aws ec2 describe-network-interfaces` print, as far as zones follow from it.
//! Every other member is passed over.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny};

use crate::enrich::zone_id::ZoneId;

/// One printed document: a page of subnets or of interfaces. `None`: it has no such member.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an object")]
pub(super) struct Document {
    pub(super) subnets: Option<Vec<Subnet>>,
    pub(super) network_interfaces: Option<Vec<Interface>>,
    /// With it, a list is not taken for the members in their order.
    #[serde(flatten)]
    _others: BTreeMap<String, IgnoredAny>,
}

/// A subnet. Equal if it says the same.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(try_from = "RawSubnet")]
pub(super) struct Subnet {
    pub(super) id: String,
    pub(super) vpc_id: String,
    pub(super) zone: ZoneId,
    /// At least one.
    pub(super) networks: Vec<IpNet>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "a subnet")]
struct RawSubnet {
    subnet_id: String,
    vpc_id: String,
    availability_zone_id: ZoneId,
    #[serde(default, deserialize_with = "optional_network")]
    cidr_block: Option<IpNet>,
    #[serde(default)]
    ipv6_cidr_block_association_set: Vec<Ipv6Association>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Ipv6Association {
    #[serde(deserialize_with = "network")]
    ipv6_cidr_block: IpNet,
    ipv6_cidr_block_state: Ipv6State,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Ipv6State {
    state: String,
}

impl TryFrom<RawSubnet> for Subnet {
    type Error = String;

    fn try_from(raw: RawSubnet) -> Result<Self, Self::Error> {
        let associated = raw.ipv6_cidr_block_association_set.into_iter();
        let associated = associated.filter(|set| set.ipv6_cidr_block_state.state == "associated");
        let mut networks: Vec<IpNet> = raw.cidr_block.into_iter().collect();
        networks.extend(associated.map(|set| set.ipv6_cidr_block));
        networks.sort_unstable();
        if networks.is_empty() {
            return Err(format!(
                "{} has neither `CidrBlock` nor an associated `Ipv6CidrBlock`",
                raw.subnet_id
            ));
        }
        Ok(Self {
            id: raw.subnet_id,
            vpc_id: raw.vpc_id,
            zone: raw.availability_zone_id,
            networks,
        })
    }
}

/// A network interface.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "a network interface")]
pub(super) struct Interface {
    #[serde(rename = "NetworkInterfaceId")]
    pub(super) id: String,
    pub(super) vpc_id: String,
    pub(super) subnet_id: Option<String>,
    /// Older versions of the command line print its name only.
    #[serde(rename = "AvailabilityZoneId")]
    pub(super) zone: Option<ZoneId>,
    private_ip_address: Option<IpAddr>,
    #[serde(default)]
    private_ip_addresses: Vec<PrivateAddress>,
    #[serde(default)]
    ipv6_addresses: Vec<Ipv6Address>,
    #[serde(default)]
    ipv4_prefixes: Vec<Ipv4Prefix>,
    #[serde(default)]
    ipv6_prefixes: Vec<Ipv6Prefix>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PrivateAddress {
    private_ip_address: IpAddr,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Ipv6Address {
    ipv6_address: IpAddr,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Ipv4Prefix {
    #[serde(deserialize_with = "network")]
    ipv4_prefix: IpNet,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Ipv6Prefix {
    #[serde(deserialize_with = "network")]
    ipv6_prefix: IpNet,
}

impl Interface {
    /// Its addresses, the primary one first, and the prefixes that are delegated to it.
    pub(super) fn networks(&self) -> impl Iterator<Item = IpNet> {
        let private = self.private_ip_addresses.iter();
        let addresses = self.private_ip_address.into_iter();
        let addresses = addresses.chain(private.map(|address| address.private_ip_address));
        let addresses = addresses.chain(self.ipv6_addresses.iter().map(|address| address.ipv6_address));
        let prefixes = self.ipv4_prefixes.iter().map(|prefix| prefix.ipv4_prefix);
        let prefixes = prefixes.chain(self.ipv6_prefixes.iter().map(|prefix| prefix.ipv6_prefix));
        addresses.map(IpNet::from).chain(prefixes)
    }

    /// Adds what another description of the same interface says.
    pub(super) fn take(&mut self, other: Self) {
        self.zone = self.zone.or(other.zone);
        self.private_ip_addresses.extend(other.private_ip_addresses);
        self.ipv6_addresses.extend(other.ipv6_addresses);
        self.ipv4_prefixes.extend(other.ipv4_prefixes);
        self.ipv6_prefixes.extend(other.ipv6_prefixes);
    }
}

fn network<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IpNet, D::Error> {
    let text = String::deserialize(deserializer)?;
    let network: IpNet = text
        .parse()
        .map_err(|_no_reason_told| D::Error::custom(format_args!("`{text}` is no CIDR block")))?;
    Ok(network.trunc())
}

fn optional_network<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IpNet>, D::Error> {
    network(deserializer).map(Some)
}
