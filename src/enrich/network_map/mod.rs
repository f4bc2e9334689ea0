//! Descriptions of subnets and network interfaces, as the AWS command line prints them → the zone of an address in its
//! VPC. Looked up by binary search in disjoint intervals; nothing is allocated for a look-up.

mod described;
mod document;
mod intervals;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::net::IpAddr;

use ipnet::IpNet;

use super::tag::{Tag, TagMap};
use super::zone_id::ZoneId;
use described::Described;
use intervals::{Intervals, Network};

/// Largest file that is read. A description of an interface takes about 2 KB: enough for 100,000 of them, and what a
/// function's memory allows.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// The subnets and interfaces of any number of VPCs, whose addresses may overlap.
#[derive(Debug, Default)]
pub struct NetworkMap {
    vpcs: TagMap<Vpc>,
    /// By the number of the VPC.
    networks: Vec<Networks>,
    /// The addresses that exactly one VPC holds.
    only: Networks,
    subnets: TagMap<KnownSubnet>,
    interfaces: TagMap<KnownInterface>,
}

/// A VPC of the map: its place in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Vpc {
    number: usize,
    pub(super) tag: Tag,
}

/// A subnet of the map.
#[derive(Clone, Copy, Debug)]
pub(super) struct KnownSubnet {
    pub(super) vpc: Vpc,
    pub(super) zone: ZoneId,
}

/// A network interface of the map.
#[derive(Debug)]
pub(super) struct KnownInterface {
    pub(super) vpc: Vpc,
    /// `None`: neither its own description nor that of its subnet says.
    pub(super) zone: Option<ZoneId>,
    /// Its addresses, the primary one first, and the prefixes that are delegated to it.
    own: Vec<IpNet>,
}

impl KnownInterface {
    /// Whether an address is the interface's own.
    pub(super) fn owns(&self, address: IpAddr) -> bool {
        self.own.iter().any(|network| network.contains(&address))
    }

    /// Whether its IPv4 addresses are known. They can be taken for all that its records show for its own end: the
    /// primary one never changes.
    pub(super) fn has_ipv4(&self) -> bool {
        self.own.iter().any(|network| matches!(network, IpNet::V4(_)))
    }
}

/// The networks of a VPC, each with its zone; `None` where nothing says it.
#[derive(Debug, Default)]
struct Networks {
    ipv4: Intervals<u32, Option<ZoneId>>,
    ipv6: Intervals<u128, Option<ZoneId>>,
}

impl Networks {
    fn of(zones: &BTreeMap<IpNet, Option<ZoneId>>) -> Self {
        let (mut ipv4, mut ipv6) = (Vec::new(), Vec::new());
        for (network, zone) in zones {
            match network {
                IpNet::V4(network) => ipv4.push(Network {
                    first: network.network().to_bits(),
                    last: network.broadcast().to_bits(),
                    value: *zone,
                }),
                IpNet::V6(network) => ipv6.push(Network {
                    first: network.network().to_bits(),
                    last: network.broadcast().to_bits(),
                    value: *zone,
                }),
            }
        }
        Self {
            ipv4: Intervals::of(ipv4),
            ipv6: Intervals::of(ipv6),
        }
    }

    fn in_only_one(all: &[Self]) -> Self {
        let ipv4: Vec<_> = all.iter().map(|networks| &networks.ipv4).collect();
        let ipv6: Vec<_> = all.iter().map(|networks| &networks.ipv6).collect();
        Self {
            ipv4: Intervals::in_only_one(&ipv4),
            ipv6: Intervals::in_only_one(&ipv6),
        }
    }

    /// `None`: no network holds it.
    fn get(&self, address: IpAddr) -> Option<Option<&ZoneId>> {
        match address {
            IpAddr::V4(address) => self.ipv4.get(address.to_bits()).map(Option::as_ref),
            IpAddr::V6(address) => self.ipv6.get(address.to_bits()).map(Option::as_ref),
        }
    }
}

/// Why there is no map.
#[derive(Debug, thiserror::Error)]
pub enum NetworkMapError {
    /// The file cannot be read to its end.
    #[error("{file}")]
    Unreadable {
        /// As the setting names it.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// It does not fit into memory.
    #[error("{file} has more than {MAX_FILE_BYTES} bytes")]
    TooLarge {
        /// As the setting names it.
        file: String,
    },
    /// It is no JSON, or a description lacks what must be there.
    #[error(
        "{file} is not what `aws ec2 describe-subnets` or `describe-network-interfaces` prints with `--output json`"
    )]
    Unexpected {
        /// As the setting names it.
        file: String,
        /// What is wrong, with line and column.
        source: serde_json::Error,
    },
    /// It is JSON, but of something else.
    #[error("{file} has neither `Subnets` nor `NetworkInterfaces` at line {line}")]
    Neither {
        /// As the setting names it.
        file: String,
        /// Where the object begins.
        line: usize,
    },
    /// Subnets and interfaces keep their VPC, their zone and their CIDR blocks for life.
    #[error("{file} says of {id} another VPC, zone or CIDR block than what was read before it")]
    Contradiction {
        /// As the setting names it.
        file: String,
        /// Of the subnet or interface.
        id: String,
    },
    /// Descriptions of different times: the addresses of a deleted subnet were given to a new one.
    #[error("{network} of {vpc} lies in {one} by one description and in {other} by another")]
    Zones {
        /// The VPC.
        vpc: String,
        /// The network, or the address.
        network: IpNet,
        /// A zone.
        one: ZoneId,
        /// Another one.
        other: ZoneId,
    },
}

impl NetworkMap {
    /// The map of these files, each with its name, in any order. Tells everything that is wrong with them.
    pub fn read<R: Read>(files: impl IntoIterator<Item = (String, R)>) -> Result<Self, Vec<NetworkMapError>> {
        let mut described = Described::default();
        let mut errors = Vec::new();
        for (name, file) in files {
            errors.extend(described.read(&name, file).err());
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        described.into_map().map_err(|error| vec![error])
    }

    /// How many VPCs, subnets and interfaces it knows.
    pub fn counts(&self) -> [usize; 3] {
        [self.vpcs.len(), self.subnets.len(), self.interfaces.len()]
    }

    /// Whether nothing was read into it.
    pub(super) fn is_empty(&self) -> bool {
        self.counts() == [0; 3]
    }

    /// The VPC of this id.
    pub(super) fn vpc(&self, id: Tag) -> Option<Vpc> {
        self.vpcs.get(&id).copied()
    }

    /// The subnet of this id.
    pub(super) fn subnet(&self, id: Tag) -> Option<&KnownSubnet> {
        self.subnets.get(&id)
    }

    /// The interface of this id.
    pub(super) fn interface(&self, id: Tag) -> Option<&KnownInterface> {
        self.interfaces.get(&id)
    }

    /// The zone of an address in its VPC. `None`: the VPC does not hold it; `Some(None)`: it does, in an unknown zone.
    pub(super) fn within(&self, vpc: Vpc, address: IpAddr) -> Option<Option<&ZoneId>> {
        self.networks.get(vpc.number)?.get(address)
    }

    /// The zone of an address that exactly one VPC holds.
    pub(super) fn in_only_one_vpc(&self, address: IpAddr) -> Option<&ZoneId> {
        self.only.get(address)?
    }
}

#[cfg(test)]
mod tests;
