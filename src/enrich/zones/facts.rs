//! What the records of an object say about interfaces and addresses that other records of it need.

use std::net::IpAddr;

use super::record::Record;
use super::table::Table;
use crate::enrich::tag::Tag;
use crate::enrich::zone_id::ZoneId;

/// What was said so far.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Which address is an interface's own: the one that all its records have in common. By family, because an
    /// interface can have one of each.
    interfaces: Table<[Candidates; 2]>,
    /// The zones of addresses, as their own interfaces state them; by VPC and address.
    addresses: Table<Stated>,
}

/// Which addresses can be an interface's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Candidates {
    /// No record was seen.
    #[default]
    Any,
    /// One of the ends of all its records.
    Either(Tag, Tag),
    /// All its records have it.
    One(Tag),
    /// Its records have no address in common: traffic passes through it, or it has several addresses.
    None,
}

impl Candidates {
    fn narrow(self, ends: [Tag; 2]) -> Self {
        let stays = |tag: Tag| ends.contains(&tag);
        match self {
            Self::Any if ends[0] == ends[1] => Self::One(ends[0]),
            Self::Any => Self::Either(ends[0], ends[1]),
            Self::Either(a, b) => match (stays(a), stays(b)) {
                (true, true) => self,
                (true, false) => Self::One(a),
                (false, true) => Self::One(b),
                (false, false) => Self::None,
            },
            Self::One(own) if stays(own) => self,
            Self::One(_) | Self::None => Self::None,
        }
    }
}

/// What an interface's records come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Observed {
    /// The interface's own address, if only one can be.
    pub(super) own: Option<Tag>,
    /// The address that was taken for its own until this record.
    pub(super) disproved: Option<Tag>,
}

/// What is said of the zone of an address.
#[derive(Clone, Copy, Debug, Default)]
enum Stated {
    #[default]
    Nothing,
    Zone(ZoneId),
    /// Several zones, or that of an interface whose address it is not.
    Contradiction,
}

impl Facts {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.interfaces.clear();
        self.addresses.clear();
    }

    /// Takes the record for what it says about its interface's own address. Where the map has the interface, it knows
    /// better.
    pub(super) fn observe(&mut self, record: &Record<'_>) -> Observed {
        let (Some(interface), None, false) = (record.interface, record.known, record.is_passed_through)
        else {
            return Observed::default();
        };
        let ends = match record.direction {
            Some(own) => [record.address(own); 2],
            None => [record.source, record.destination],
        };
        let [Some(one), Some(other)] = ends else {
            return Observed::default();
        };
        let observed = self.narrow(interface, [one, other]);
        if let (Some(vpc), Some(address)) = (record.vpc, observed.disproved) {
            self.set(vpc.tag, address, |_| Stated::Contradiction);
        }
        observed
    }

    /// One of these two addresses, which may be the same, is the interface's own.
    fn narrow(&mut self, interface: Tag, ends: [IpAddr; 2]) -> Observed {
        let is_of_one_family = ends[0].is_ipv4() == ends[1].is_ipv4();
        let families = self.interfaces.entry(interface, |_| true);
        let Some(families) = families.filter(|_| is_of_one_family) else {
            return Observed::default();
        };
        let candidates = &mut families[usize::from(ends[0].is_ipv6())];
        let before = *candidates;
        *candidates = before.narrow([Tag::of_address(ends[0]), Tag::of_address(ends[1])]);
        match (before, *candidates) {
            (_, Candidates::One(own)) => Observed {
                own: Some(own),
                disproved: None,
            },
            (Candidates::One(own), Candidates::None) => Observed {
                own: None,
                disproved: Some(own),
            },
            _ => Observed::default(),
        }
    }

    /// Takes a statement about an address of a VPC by its own interface.
    pub(super) fn learn(&mut self, vpc: Tag, address: Tag, zone: ZoneId) {
        self.set(vpc, address, |stated| match stated {
            Stated::Nothing => Stated::Zone(zone),
            Stated::Zone(known) if known == zone => stated,
            Stated::Zone(_) | Stated::Contradiction => Stated::Contradiction,
        });
    }

    /// A contradiction stays, or what was contradicted would be believed when it is said again.
    fn set(&mut self, vpc: Tag, address: Tag, change: impl FnOnce(Stated) -> Stated) {
        let may_go = |stated: &Stated| !matches!(stated, Stated::Contradiction);
        if let Some(stated) = self.addresses.entry(vpc.and(address), may_go) {
            *stated = change(*stated);
        }
    }

    /// The zone of an address of a VPC, if its own interface stated one and nothing spoke against it.
    pub(super) fn zone(&self, vpc: Tag, address: IpAddr) -> Option<&ZoneId> {
        match self.addresses.get(vpc.and(Tag::of_address(address)))? {
            Stated::Zone(zone) => Some(zone),
            Stated::Nothing | Stated::Contradiction => None,
        }
    }
}
