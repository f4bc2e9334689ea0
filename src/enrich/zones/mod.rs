//! A row → the zones of both its ends, and the rule that says so. A wrong zone is worse than none: what two rules of the
//! same rank, or two VPCs, would answer differently has no zone.
//!
//! The own end of the recording interface is in the zone that the record states. Where the other end lies is said by the
//! next hop, by the network map, or by records of its own interface in the same object. What an object's records say
//! is forgotten at its end, so that documents do not depend on which objects were read before.

mod facts;
mod record;
mod table;

use std::sync::Arc;

use super::network_map::NetworkMap;
use super::tag::Tag;
use super::zone_id::ZoneId;
use crate::flow::{Dataset, Field, Row};
use facts::Facts;
use record::Record;

/// The zones of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Zones {
    /// Of the source.
    pub source: Option<ZoneId>,
    /// Of the destination.
    pub destination: Option<ZoneId>,
    /// The least certain rule among those that speak; `None` if none does.
    pub rule: Option<ZoneRule>,
}

impl Zones {
    fn new(source: Placed<'_>, destination: Placed<'_>) -> Self {
        Self {
            source: source.map(|(zone, _)| *zone),
            destination: destination.map(|(zone, _)| *zone),
            rule: source
                .map(|(_, rule)| rule)
                .max(destination.map(|(_, rule)| rule)),
        }
    }

    /// Whether the traffic stays in a zone, if both are known.
    pub fn is_same(&self) -> Option<bool> {
        Some(self.source? == self.destination?)
    }
}

/// How a zone is known, from the most certain way to the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ZoneRule {
    /// The record states the zone of the recording interface.
    AzId,
    /// The record of a transit gateway states the zone of the end.
    TgwAzId,
    /// The record states the zone of the next hop.
    NextHop,
    /// The network map has the interface, the subnet or the address.
    NetworkMap,
    /// Records of the end's own interface in the same object state it.
    Learned,
}

impl ZoneRule {
    /// Its name in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AzId => "az_id",
            Self::TgwAzId => "tgw_az_id",
            Self::NextHop => "next_hop",
            Self::NetworkMap => "network_map",
            Self::Learned => "learned",
        }
    }
}

/// Finds the zones of the records of one object after another.
#[derive(Debug)]
pub struct ZoneFinder {
    map: Arc<NetworkMap>,
    facts: Facts,
}

/// An end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Source,
    Destination,
}

impl End {
    fn other(self) -> Self {
        match self {
            Self::Source => Self::Destination,
            Self::Destination => Self::Source,
        }
    }
}

/// A zone and the rule that gave it. Borrowed: ids are copied only when both ends are placed.
type Placed<'a> = Option<(&'a ZoneId, ZoneRule)>;

impl ZoneFinder {
    /// Finds with this map, which may be empty.
    pub fn new(map: Arc<NetworkMap>) -> Self {
        Self {
            map,
            facts: Facts::default(),
        }
    }

    /// Forgets what the records of the last object said.
    pub fn start_object(&mut self) {
        self.facts.clear();
    }

    /// The zones of the object's next record.
    pub fn find(&mut self, row: &Row<'_>) -> Zones {
        let is_told = |field| row.has_column(field);
        match row.dataset() {
            // The default format alone: nobody tells a zone.
            Dataset::Vpc if self.map.is_empty() && !is_told(Field::AzId) && !is_told(Field::NextHopAzId) => {
                Zones::default()
            }
            Dataset::Vpc => self.of_interface(row),
            Dataset::Tgw => self.of_gateway(row),
        }
    }

    /// The record of a transit gateway names the zones of both ends.
    fn of_gateway(&self, row: &Row<'_>) -> Zones {
        let stated = |field| row.bytes(field).and_then(ZoneId::parse);
        let (source, destination) = (stated(Field::TgwSrcAzId), stated(Field::TgwDstAzId));
        let by_map = |vpc, address| {
            let vpc = self.map.vpc(Tag::of_id(row.bytes(vpc)?))?;
            let zone = self.map.within(vpc, row.address(address)?)??;
            Some((zone, ZoneRule::NetworkMap))
        };
        let source = source.as_ref().map(|zone| (zone, ZoneRule::TgwAzId));
        let destination = destination.as_ref().map(|zone| (zone, ZoneRule::TgwAzId));
        Zones::new(
            source.or_else(|| by_map(Field::TgwSrcVpcId, Field::Srcaddr)),
            destination.or_else(|| by_map(Field::TgwDstVpcId, Field::Dstaddr)),
        )
    }

    /// The record of an interface.
    fn of_interface(&mut self, row: &Row<'_>) -> Zones {
        let record = Record::new(row, &self.map);
        if record.is_of_no_flow() {
            return Zones::default();
        }
        let observed = self.facts.observe(&record);
        let own = record.own_end(observed);
        let zone = row.bytes(Field::AzId).and_then(ZoneId::parse);
        let next_hop = row.bytes(Field::NextHopAzId).and_then(ZoneId::parse);
        let place = |end| -> Placed<'_> {
            if own == Some(end) {
                let stated = zone.as_ref().map(|zone| (zone, ZoneRule::AzId));
                return stated.or_else(|| record.map_own(end));
            }
            let behind = next_hop.as_ref().filter(|_| record.is_behind_next_hop(end, own));
            let placed = behind.map(|zone| (zone, ZoneRule::NextHop));
            placed.or_else(|| record.map_other(end)).or_else(|| {
                let zone = self.facts.zone(record.vpc?.tag, record.address(end)?)?;
                Some((zone, ZoneRule::Learned))
            })
        };
        let zones = Zones::new(place(End::Source), place(End::Destination));
        if let (Some(vpc), Some(zone), Some(end)) = (record.vpc, zone, own)
            && let Some(address) = record.confirmed_own(end, observed)
        {
            self.facts.learn(vpc.tag, address, zone);
        }
        zones
    }
}

#[cfg(test)]
mod tests;
