//! The record of an interface, as far as zones follow from it and from the network map alone.

use std::net::IpAddr;

use super::facts::Observed;
use super::{End, Placed, ZoneRule};
use crate::enrich::network_map::{KnownInterface, NetworkMap, Vpc};
use crate::enrich::tag::Tag;
use crate::flow::{Field, LogStatus, Row};

/// The VPC of a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordVpc {
    pub(super) tag: Tag,
    /// Its place in the map, if it is there.
    mapped: Option<Vpc>,
}

/// What is asked of a record.
#[derive(Debug)]
pub(super) struct Record<'a> {
    row: &'a Row<'a>,
    map: &'a NetworkMap,
    pub(super) interface: Option<Tag>,
    /// The interface in the map.
    pub(super) known: Option<&'a KnownInterface>,
    pub(super) vpc: Option<RecordVpc>,
    pub(super) source: Option<IpAddr>,
    pub(super) destination: Option<IpAddr>,
    /// The interface's own end by `flow-direction`.
    pub(super) direction: Option<End>,
    /// Whether neither end is the interface's own.
    pub(super) is_passed_through: bool,
}

impl<'a> Record<'a> {
    pub(super) fn new(row: &'a Row<'a>, map: &'a NetworkMap) -> Self {
        let interface = row.bytes(Field::InterfaceId).map(Tag::of_id);
        let known = interface.and_then(|id| map.interface(id));
        let (source, destination) = (row.address(Field::Srcaddr), row.address(Field::Dstaddr));
        Self {
            row,
            map,
            interface,
            known,
            vpc: vpc(row, map, known),
            source,
            destination,
            is_passed_through: is_passed_through(row, known, source, destination),
            direction: match row.text(Field::FlowDirection) {
                Some(direction) if direction.is(b"egress") => Some(End::Source),
                Some(direction) if direction.is(b"ingress") => Some(End::Destination),
                _ => None,
            },
        }
    }

    /// Whether it says only that there was nothing, or that records are missing.
    pub(super) fn is_of_no_flow(&self) -> bool {
        self.source.or(self.destination).is_none() && self.row.status() != LogStatus::Ok
    }

    pub(super) fn address(&self, end: End) -> Option<IpAddr> {
        match end {
            End::Source => self.source,
            End::Destination => self.destination,
        }
    }

    /// Which end is the interface's own.
    pub(super) fn own_end(&self, observed: Observed) -> Option<End> {
        if self.is_passed_through {
            return None;
        }
        if self.direction.is_some() {
            return self.direction;
        }
        let is_own = |end| {
            self.address(end).is_some_and(|address| match self.known {
                Some(known) => known.owns(address),
                None => observed.own == Some(Tag::of_address(address)),
            })
        };
        match (is_own(End::Source), is_own(End::Destination)) {
            (true, false) => Some(End::Source),
            (false, true) => Some(End::Destination),
            _ => None,
        }
    }

    /// The address of the own end, if it is certain that it is the interface's.
    pub(super) fn confirmed_own(&self, own: End, observed: Observed) -> Option<Tag> {
        let address = self.address(own)?;
        let tag = Tag::of_address(address);
        let is_certain = match self.known {
            Some(known) => known.owns(address),
            None => observed.own == Some(tag),
        };
        is_certain.then_some(tag)
    }

    /// The zone of the own end by the map.
    pub(super) fn map_own(&self, own: End) -> Placed<'a> {
        let subnet = || {
            self.row
                .bytes(Field::SubnetId)
                .and_then(|id| self.map.subnet(Tag::of_id(id)))
        };
        let zone = self.known.and_then(|known| known.zone.as_ref());
        let zone = zone.or_else(|| Some(&subnet()?.zone)).or_else(|| {
            let address = self.address(own)?;
            match self.vpc {
                Some(vpc) => self.map.within(vpc.mapped?, address)?,
                None => self.map.in_only_one_vpc(address),
            }
        });
        zone.map(|zone| (zone, ZoneRule::NetworkMap))
    }

    /// The zone of another end by the map.
    pub(super) fn map_other(&self, end: End) -> Placed<'a> {
        let address = self.address(end)?;
        let zone = match self.vpc {
            // An address that the VPC does not hold lies behind a peering, if anywhere. In a VPC that the map does not
            // have, it may be any address of another one.
            Some(vpc) => match self.map.within(vpc.mapped?, address) {
                Some(zone) => zone,
                None => self.map.in_only_one_vpc(address),
            },
            None => self.map.in_only_one_vpc(address),
        };
        zone.map(|zone| (zone, ZoneRule::NetworkMap))
    }

    /// Whether the next hop is where this end is: the interface that receives what this one sends, or sends what it
    /// receives.
    pub(super) fn is_behind_next_hop(&self, end: End, own: Option<End>) -> bool {
        let own = self.direction.or(own);
        own.is_some_and(|own| own.other() == end) && !self.address(end).is_some_and(is_public)
    }
}

/// Whether no interface has such an address, so that the next hop is a NAT or a firewall on the way to it. An IPv6
/// address can be an interface's, unless it stands for an IPv4 one (NAT64, RFC 6052).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let is_shared = address.octets()[0] == 100 && address.octets()[1] & 0xc0 == 64;
            !(address.is_private() || address.is_link_local() || is_shared)
        }
        IpAddr::V6(address) => address.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0],
    }
}

/// The records of a transit gateway's interfaces show the ends of the flow; those of all others show the interface's
/// primary IPv4 address at its own end.
fn is_passed_through(
    row: &Row<'_>,
    known: Option<&KnownInterface>,
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
) -> bool {
    if row.bytes(Field::InterfaceType) == Some(b"transit_gateway") {
        return true;
    }
    match (known, source, destination) {
        (Some(known), Some(source @ IpAddr::V4(_)), Some(destination)) => {
            known.has_ipv4() && !known.owns(source) && !known.owns(destination)
        }
        _ => false,
    }
}

/// The VPC as the record names it, else that of its interface or subnet in the map.
fn vpc(row: &Row<'_>, map: &NetworkMap, known: Option<&KnownInterface>) -> Option<RecordVpc> {
    if let Some(id) = row.bytes(Field::VpcId) {
        let tag = Tag::of_id(id);
        return Some(RecordVpc {
            tag,
            mapped: map.vpc(tag),
        });
    }
    let subnet = || map.subnet(Tag::of_id(row.bytes(Field::SubnetId)?));
    let mapped = known.map(|known| known.vpc).or_else(|| Some(subnet()?.vpc))?;
    Some(RecordVpc {
        tag: mapped.tag,
        mapped: Some(mapped),
    })
}
