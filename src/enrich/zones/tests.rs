//! The rules, said slowly over lists, against the finder; and what an object's records must not do to the next one's.

use super::*;
use crate::flow::{Columns, Format};
use proptest::prelude::*;

const HEADER: &str =
    "interface-id vpc-id subnet-id az-id flow-direction srcaddr dstaddr next-hop-az-id interface-type";

/// Subnets in VPCs that overlap, and interfaces in some of them.
const MAP: &str = r#"
    {"Subnets": [
        {"SubnetId": "subnet-1", "VpcId": "vpc-a", "AvailabilityZoneId": "z-1", "CidrBlock": "10.0.0.0/31"},
        {"SubnetId": "subnet-2", "VpcId": "vpc-a", "AvailabilityZoneId": "z-2", "CidrBlock": "10.0.0.2/31"},
        {"SubnetId": "subnet-3", "VpcId": "vpc-b", "AvailabilityZoneId": "z-3", "CidrBlock": "10.0.0.0/30"},
        {"SubnetId": "subnet-4", "VpcId": "vpc-b", "AvailabilityZoneId": "z-1", "CidrBlock": "10.0.0.4/31"}
    ]}
    {"NetworkInterfaces": [
        {"NetworkInterfaceId": "eni-1", "VpcId": "vpc-a", "SubnetId": "subnet-1", "PrivateIpAddress": "10.0.0.1"},
        {"NetworkInterfaceId": "eni-2", "VpcId": "vpc-d", "AvailabilityZoneId": "z-4", "PrivateIpAddress": "10.0.0.6"}
    ]}"#;

/// The map as lists: network, length of its prefix, VPC, zone.
const NETWORKS: [(u32, u32, &str, &str); 6] = [
    (0x0a00_0000, 31, "vpc-a", "z-1"),
    (0x0a00_0002, 31, "vpc-a", "z-2"),
    (0x0a00_0000, 30, "vpc-b", "z-3"),
    (0x0a00_0004, 31, "vpc-b", "z-1"),
    (0x0a00_0001, 32, "vpc-a", "z-1"),
    (0x0a00_0006, 32, "vpc-d", "z-4"),
];
const SUBNETS: [(&str, &str, &str); 4] = [
    ("subnet-1", "vpc-a", "z-1"),
    ("subnet-2", "vpc-a", "z-2"),
    ("subnet-3", "vpc-b", "z-3"),
    ("subnet-4", "vpc-b", "z-1"),
];
const INTERFACES: [(&str, &str, &str, &str); 2] = [
    ("eni-1", "vpc-a", "z-1", "10.0.0.1"),
    ("eni-2", "vpc-d", "z-4", "10.0.0.6"),
];

fn map() -> Arc<NetworkMap> {
    let map = NetworkMap::read([("map.json".to_owned(), MAP.as_bytes())]);
    Arc::new(map.unwrap())
}

/// The values of a record's columns, in the order of the header.
type Record = [Option<&'static str>; 9];

/// Source, destination, rule.
type Said = (Option<String>, Option<String>, Option<&'static str>);

fn find(finder: &mut ZoneFinder, header: &str, line: &str) -> Said {
    let format = Format::parse(header.as_bytes()).unwrap();
    let mut columns = Columns::default();
    let zones = finder.find(&columns.parse(&format, line.as_bytes()).unwrap());
    let text = |zone: Option<ZoneId>| zone.map(|zone| zone.to_string());
    (
        text(zones.source),
        text(zones.destination),
        zones.rule.map(ZoneRule::as_str),
    )
}

fn find_record(finder: &mut ZoneFinder, record: &Record) -> Said {
    find(
        finder,
        HEADER,
        &record.map(|value| value.unwrap_or("-")).join(" "),
    )
}

/// The zones of the networks that hold an address, the smallest one of each VPC.
fn holding(address: &str) -> Vec<(&'static str, &'static str)> {
    let address: std::net::Ipv4Addr = address.parse().unwrap();
    let holds = |network: u32, bits: u32| (network ^ address.to_bits()) >> (32 - bits) == 0;
    let mut found: Vec<(&str, &str)> = Vec::new();
    for vpc in ["vpc-a", "vpc-b", "vpc-d"] {
        let own = NETWORKS
            .iter()
            .filter(|network| network.2 == vpc && holds(network.0, network.1));
        found.extend(
            own.max_by_key(|network| network.1)
                .map(|network| (vpc, network.3)),
        );
    }
    found
}

fn within(vpc: &str, address: &str) -> Option<&'static str> {
    let found = holding(address).into_iter().find(|(holder, _)| *holder == vpc);
    found.map(|(_, zone)| zone)
}

fn in_only_one(address: &str) -> Option<&'static str> {
    match holding(address)[..] {
        [(_, zone)] => Some(zone),
        _ => None,
    }
}

/// The interface's own address, by all its records up to this one: the one that all have in common.
fn own_by_records(records: &[Record]) -> Option<&'static str> {
    let interface = records.last()?[0]?;
    let mut common: Option<Vec<&str>> = None;
    for record in records.iter().filter(|record| record[0] == Some(interface)) {
        let ends = match (record[4], record[5], record[6]) {
            _ if record[8] == Some("transit_gateway") => continue,
            (Some("egress"), Some(own), _) | (Some("ingress"), _, Some(own)) => vec![own],
            (None, Some(source), Some(destination)) => vec![source, destination],
            _ => continue,
        };
        let before = common.unwrap_or_else(|| ends.clone());
        common = Some(before.into_iter().filter(|end| ends.contains(end)).collect());
    }
    let mut common = common?;
    common.dedup();
    match common[..] {
        [own] => Some(own),
        _ => None,
    }
}

fn interface_of(record: &Record) -> Option<(&'static str, &'static str, &'static str, &'static str)> {
    INTERFACES
        .into_iter()
        .find(|interface| Some(interface.0) == record[0])
}

fn vpc_of(record: &Record) -> Option<&'static str> {
    let subnet = SUBNETS.iter().find(|subnet| Some(subnet.0) == record[2]);
    let known = interface_of(record).map(|interface| interface.1);
    record[1].or(known).or(subnet.map(|subnet| subnet.1))
}

/// Which of the record's ends is its interface's own: 0 or 1.
fn own_end(records: &[Record]) -> Option<usize> {
    let record = records.last()?;
    let ends = [record[5], record[6]];
    let own = match interface_of(record) {
        Some(interface) => Some(interface.3),
        // A record of one address does not say which end it is.
        None if ends.contains(&None) => None,
        None => own_by_records(records),
    };
    let is_own = ends.map(|end| end.is_some() && end == own);
    let passes = interface_of(record).is_some() && ends[0].and(ends[1]).is_some() && is_own == [false, false];
    if passes || record[8] == Some("transit_gateway") {
        return None;
    }
    match record[4] {
        Some("egress") => Some(0),
        Some(_) => Some(1),
        None => match is_own {
            [true, false] => Some(0),
            [false, true] => Some(1),
            _ => None,
        },
    }
}

/// What the records before the last one say of an address of a VPC.
fn learned(records: &[Record], vpc: &str, address: &str) -> Option<&'static str> {
    let mut zones: Vec<Option<&'static str>> = Vec::new();
    // The last record speaks for itself only, but against others at once.
    for number in 1..=records.len() {
        let seen = &records[..number];
        let record = seen[number - 1];
        if vpc_of(&record) != Some(vpc) {
            continue;
        }
        let before = records[..number - 1]
            .iter()
            .rposition(|other| other[0] == record[0]);
        let own_before = before.and_then(|last| own_by_records(&records[..=last]));
        let own = match interface_of(&record) {
            Some(interface) => Some(interface.3),
            None => own_by_records(seen),
        };
        if interface_of(&record).is_none() && own.is_none() && own_before == Some(address) {
            zones.push(None);
        }
        let Some(end) = own_end(seen).filter(|_| number < records.len()) else {
            continue;
        };
        if own == Some(address) && record[5 + end] == own && record[3].is_some() {
            zones.push(record[3]);
        }
    }
    zones.dedup();
    match zones[..] {
        [zone] => zone,
        _ => None,
    }
}

/// What the last of these records says.
fn said_slowly(records: &[Record]) -> Said {
    let record = records.last().unwrap();
    let own = own_end(records);
    let vpc = vpc_of(record);
    let direction = record[4].map(|direction| if direction == "egress" { 0 } else { 1 });
    let mut placed = [None, None];
    for end in [0, 1] {
        let address = record[5 + end];
        let map = |zone: Option<&'static str>| zone.map(|zone| (3, "network_map", zone));
        placed[end] = if own == Some(end) {
            let subnet = SUBNETS.iter().find(|subnet| Some(subnet.0) == record[2]);
            let known = interface_of(record).map(|interface| interface.2);
            let by_address = || match vpc {
                Some(vpc) => within(vpc, address?),
                None => in_only_one(address?),
            };
            let stated = record[3].map(|zone| (0, "az_id", zone));
            stated.or(map(known.or(subnet.map(|subnet| subnet.2)).or_else(by_address)))
        } else {
            let is_behind = direction.or(own) == Some(1 - end) && address != Some("8.8.8.8");
            let next_hop = record[7].filter(|_| is_behind).map(|zone| (2, "next_hop", zone));
            let by_address = || match vpc {
                None => in_only_one(address?),
                Some(vpc) if ["vpc-a", "vpc-b", "vpc-d"].contains(&vpc) => {
                    within(vpc, address?).or_else(|| in_only_one(address?))
                }
                Some(_) => None,
            };
            let learned = || Some((4, "learned", learned(records, vpc?, address?)?));
            next_hop.or(map(by_address())).or_else(learned)
        };
    }
    let zone = |end: usize| placed[end].map(|(_, _, zone): (u8, &str, &str)| zone.to_owned());
    let rule = placed.into_iter().flatten().max().map(|(_, rule, _)| rule);
    (zone(0), zone(1), rule)
}

const ADDRESSES: &[&str] = &[
    "10.0.0.0", "10.0.0.1", "10.0.0.3", "10.0.0.5", "10.0.0.6", "10.9.9.9", "8.8.8.8",
];

fn record() -> impl Strategy<Value = Record> {
    let some = |all: &'static [&'static str]| prop::option::weighted(0.7, prop::sample::select(all));
    (
        some(&["eni-1", "eni-2", "eni-3", "eni-4", "eni-5"]),
        some(&["vpc-a", "vpc-b", "vpc-c", "vpc-d"]),
        prop::option::weighted(0.1, Just("subnet-3")),
        some(&["z-1", "z-2"]),
        some(&["egress", "ingress"]),
        prop::option::weighted(0.95, prop::sample::select(ADDRESSES)),
        prop::option::weighted(0.95, prop::sample::select(ADDRESSES)),
        prop::option::weighted(0.2, Just("z-5")),
        prop::option::weighted(0.1, Just("transit_gateway")),
    )
        .prop_map(|(a, b, c, d, e, f, g, h, i)| [a, b, c, d, e, f, g, h, i])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_record_says_what_the_rules_say(records in prop::collection::vec(record(), 1..20)) {
        let mut finder = ZoneFinder::new(map());
        for number in 1..=records.len() {
            let found = find_record(&mut finder, &records[number - 1]);
            prop_assert_eq!(found, said_slowly(&records[..number]), "record {}", number);
        }
    }

    #[test]
    fn an_object_says_the_same_whatever_was_read_before(
        before in prop::collection::vec(record(), 0..20), records in prop::collection::vec(record(), 1..20),
    ) {
        let (mut fresh, mut used) = (ZoneFinder::new(map()), ZoneFinder::new(map()));
        for record in &before {
            find_record(&mut used, record);
        }
        used.start_object();
        for record in &records {
            prop_assert_eq!(find_record(&mut used, record), find_record(&mut fresh, record));
        }
    }
}

#[test]
fn records_without_a_flow_have_no_zones() {
    let mut finder = ZoneFinder::new(map());
    let header = "az-id flow-direction srcaddr dstaddr log-status";
    let none = (None, None, None);
    for status in ["NODATA", "SKIPDATA"] {
        let line = format!("z-1 egress - - {status}");
        assert_eq!(find(&mut finder, header, &line), none);
    }
    // The user left the addresses out, or AWS says them in spite of the status.
    let source = (Some("z-1".to_owned()), None, Some("az_id"));
    assert_eq!(find(&mut finder, header, "z-1 egress - - OK"), source);
    assert_eq!(
        find(&mut finder, header, "z-1 egress 10.9.9.9 - SKIPDATA"),
        source
    );
}
