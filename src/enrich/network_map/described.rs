//! Descriptions of subnets and interfaces, gathered from all files → the map, if they agree.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::Read;

use ipnet::IpNet;

use super::document::{Document, Interface, Subnet};
use super::{KnownInterface, KnownSubnet, MAX_FILE_BYTES, NetworkMap, NetworkMapError, Networks, Vpc};
use crate::enrich::tag::Tag;
use crate::enrich::zone_id::ZoneId;

/// Everything that was read, by its ids.
#[derive(Debug, Default)]
pub(super) struct Described {
    subnets: BTreeMap<String, Subnet>,
    interfaces: BTreeMap<String, Interface>,
}

/// The zones of a VPC's networks, where known.
type Zones = BTreeMap<IpNet, Option<ZoneId>>;

impl Described {
    /// Adds what a file says.
    pub(super) fn read(&mut self, name: &str, file: impl Read) -> Result<(), NetworkMapError> {
        let name = || name.to_owned();
        let mut text = Vec::new();
        let num_bytes = file.take(MAX_FILE_BYTES + 1).read_to_end(&mut text);
        let num_bytes = num_bytes.map_err(|source| NetworkMapError::Unreadable { file: name(), source })?;
        if num_bytes as u64 > MAX_FILE_BYTES {
            return Err(NetworkMapError::TooLarge { file: name() });
        }
        // Pages follow each other without a separator.
        let mut documents = serde_json::Deserializer::from_slice(&text).into_iter::<Document>();
        let mut end_of_last = 0;
        if text.trim_ascii().is_empty() {
            return Err(NetworkMapError::Neither {
                file: name(),
                line: 1,
            });
        }
        while let Some(document) = documents.next() {
            let document = document.map_err(|source| NetworkMapError::Unexpected { file: name(), source })?;
            if document.subnets.is_none() && document.network_interfaces.is_none() {
                let line = line_after(&text, end_of_last);
                return Err(NetworkMapError::Neither { file: name(), line });
            }
            end_of_last = documents.byte_offset();
            let mut subnets = document.subnets.into_iter().flatten();
            let mut interfaces = document.network_interfaces.into_iter().flatten();
            let contradicted = subnets.find_map(|subnet| self.add_subnet(subnet));
            let contradicted =
                contradicted.or_else(|| interfaces.find_map(|interface| self.add_interface(interface)));
            if let Some(id) = contradicted {
                return Err(NetworkMapError::Contradiction { file: name(), id });
            }
        }
        Ok(())
    }

    /// The id of the subnet if this contradicts what was said of it.
    fn add_subnet(&mut self, subnet: Subnet) -> Option<String> {
        match self.subnets.entry(subnet.id.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(subnet);
                None
            }
            Entry::Occupied(entry) => (*entry.get() != subnet).then_some(subnet.id),
        }
    }

    /// The id of the interface if this contradicts what was said of it. Its further addresses come and go.
    fn add_interface(&mut self, interface: Interface) -> Option<String> {
        match self.interfaces.entry(interface.id.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(interface);
                None
            }
            Entry::Occupied(mut entry) => {
                let known = entry.get_mut();
                let has_same_zone =
                    known.zone == interface.zone || known.zone.is_none() || interface.zone.is_none();
                let is_same = known.vpc_id == interface.vpc_id && known.subnet_id == interface.subnet_id;
                if !is_same || !has_same_zone {
                    return Some(interface.id);
                }
                known.take(interface);
                None
            }
        }
    }

    /// The map of all that was read.
    pub(super) fn into_map(self) -> Result<NetworkMap, NetworkMapError> {
        let mut vpcs: BTreeMap<&str, Zones> = BTreeMap::new();
        for subnet in self.subnets.values() {
            let zones = vpcs.entry(&subnet.vpc_id).or_default();
            for network in &subnet.networks {
                place(zones, &subnet.vpc_id, *network, Some(subnet.zone))?;
            }
        }
        for interface in self.interfaces.values() {
            let zones = vpcs.entry(&interface.vpc_id).or_default();
            for network in interface.networks() {
                place(zones, &interface.vpc_id, network, self.zone_of(interface))?;
            }
        }

        let mut map = NetworkMap {
            networks: vpcs.values().map(Networks::of).collect(),
            ..NetworkMap::default()
        };
        map.only = Networks::in_only_one(&map.networks);
        let tag = |id: &str| Tag::of_id(id.as_bytes());
        let vpc = |number: usize, id: &str| Vpc { number, tag: tag(id) };
        let vpcs: BTreeMap<&str, Vpc> = (0..)
            .zip(vpcs.keys())
            .map(|(number, id)| (*id, vpc(number, id)))
            .collect();
        map.vpcs = vpcs.values().map(|vpc| (vpc.tag, *vpc)).collect();
        for subnet in self.subnets.values() {
            let known = KnownSubnet {
                vpc: vpcs[&*subnet.vpc_id],
                zone: subnet.zone,
            };
            map.subnets.insert(tag(&subnet.id), known);
        }
        for interface in self.interfaces.values() {
            let known = KnownInterface {
                vpc: vpcs[&*interface.vpc_id],
                zone: self.zone_of(interface),
                own: interface.networks().collect(),
            };
            map.interfaces.insert(tag(&interface.id), known);
        }
        Ok(map)
    }

    /// An interface is in the zone of its subnet.
    fn zone_of(&self, interface: &Interface) -> Option<ZoneId> {
        let subnet = interface.subnet_id.as_ref().and_then(|id| self.subnets.get(id));
        interface.zone.or(subnet.map(|subnet| subnet.zone))
    }
}

/// The line, from 1, on which something follows these bytes.
fn line_after(text: &[u8], num_bytes: usize) -> usize {
    let is_not_blank = |byte: &u8| !byte.is_ascii_whitespace();
    let num_blanks = text[num_bytes..].iter().position(is_not_blank);
    let before = &text[..num_bytes + num_blanks.unwrap_or_default()];
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

/// Notes the zone of a network, unless another one is noted.
fn place(zones: &mut Zones, vpc: &str, network: IpNet, zone: Option<ZoneId>) -> Result<(), NetworkMapError> {
    let noted = zones.entry(network).or_insert(zone);
    match (*noted, zone) {
        (Some(one), Some(other)) if one != other => Err(NetworkMapError::Zones {
            vpc: vpc.to_owned(),
            network,
            one,
            other,
        }),
        _ => {
            *noted = noted.or(zone);
            Ok(())
        }
    }
}
