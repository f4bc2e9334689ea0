//! Known answers written by hand from the field tables, and a slow, obvious reference to compare every row with.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use proptest::prelude::*;
use serde_json::{Value, json};

mod zones;

use super::*;
use crate::enrich::community_id;
use crate::enrich::geo_tests::{self as geo, found_slowly};
use crate::flow::{Columns, Dataset, FIELDS as FLOW_FIELDS, FieldSpec, Format, Kind, transport_name};

const DEFAULT: &str = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status";

fn write(header: &str, line: &str, timestamp: u32, has_community_id: bool) -> Value {
    let enrichment = Enrichment {
        community_id: has_community_id,
        ..Enrichment::default()
    };
    write_enriched(header, line, timestamp, enrichment)
}

fn write_enriched(header: &str, line: &str, timestamp: u32, enrichment: Enrichment) -> Value {
    let format = Format::parse(header.as_bytes()).unwrap();
    let mut columns = Columns::default();
    let row = columns.parse(&format, line.as_bytes()).unwrap();
    let mut writer = DocumentWriter::new(Arc::new(enrichment));
    serde_json::from_slice(writer.write(&row, timestamp)).unwrap()
}

fn document(header: &str, line: &str) -> Value {
    write(header, line, 1_418_530_070, true)
}

// The record is from "Flow log record examples" in the Amazon VPC user guide.
#[test]
fn an_accepted_ssh_flow() {
    let line = "2 123456789010 eni-1235b8ca123456789 172.31.16.139 172.31.16.21 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK";
    let expected = json!({
        "@timestamp": "2014-12-14T04:07:50Z",
        "ecs": {"version": "8.11.0"},
        "event": {"kind": "event", "category": ["network"], "type": ["connection", "allowed"],
                  "action": "ACCEPT", "outcome": "success", "dataset": "aws.vpcflow",
                  "start": "2014-12-14T04:06:50Z", "duration": 60_000_000_000_u64},
        "cloud": {"provider": "aws", "account": {"id": "123456789010"}},
        "source": {"ip": "172.31.16.139", "port": 20641, "bytes": 4249, "packets": 20},
        "destination": {"ip": "172.31.16.21", "port": 22},
        "network": {"type": "ipv4", "iana_number": "6", "transport": "tcp"},
        "aws": {"vpcflow": {"version": "2", "interface_id": "eni-1235b8ca123456789", "log_status": "OK"}},
    });
    assert_eq!(write(DEFAULT, line, 1_418_530_070, false), expected);
}

#[test]
fn the_type_of_a_network_is_that_of_its_addresses() {
    for (line, expected) in [
        ("10.0.0.1 2001:db8::1 IPv6", Some("ipv4")),
        ("- 2001:db8::1 IPv4", Some("ipv6")),
        ("- - IPv6", Some("ipv6")),
        ("- - EFA", None),
    ] {
        let document = document("srcaddr dstaddr type", line);
        let found = document
            .get("network")
            .map(|network| network["type"].as_str().unwrap());
        assert_eq!(found, expected, "{line}");
    }
}

#[test]
fn the_packets_own_ends_are_told_only_where_they_differ() {
    let header = "srcaddr dstaddr pkt-srcaddr pkt-dstaddr";
    let raw = |line| document(header, line)["aws"]["vpcflow"].clone();
    assert_eq!(raw("10.0.0.1 10.0.0.2 10.0.0.1 10.0.0.2"), Value::Null);
    assert_eq!(
        raw("10.0.0.1 10.0.0.2 10.0.0.1 8.8.8.8"),
        json!({"pkt_dstaddr": "8.8.8.8"})
    );
    assert_eq!(raw("- ::1 10.0.0.3 0:0::1"), json!({"pkt_srcaddr": "10.0.0.3"}));
}

#[test]
fn tags_are_decoded_and_nothing_else_is() {
    let header = "instance-tag asg-tag interface-tag interface-tag-2 vpc-id";
    let line = "web%20%2B%20db%2D1 - a+b%4 %E4%B8%AD%ff%22 vpc%2D1";
    let expected = json!({
        "instance_tag": "web + db-1", "interface_tag": "a+b%4", "interface_tag_2": "中\u{fffd}\"", "vpc_id": "vpc%2D1",
    });
    assert_eq!(document(header, line)["aws"]["vpcflow"], expected);
}

#[test]
fn flags_are_named_from_the_lowest_bit_and_none_is_no_list() {
    let raw = |flags| document("tcp-flags", flags)["aws"]["vpcflow"].clone();
    assert_eq!(raw("0"), json!({"tcp_flags": "0"}));
    assert_eq!(
        raw("19"),
        json!({"tcp_flags": "19", "tcp_flags_array": ["fin", "syn", "ack"]})
    );
    let all = ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"];
    assert_eq!(raw("255"), json!({"tcp_flags": "255", "tcp_flags_array": all}));
    assert_eq!(raw("256"), json!({"tcp_flags": "256"}));
}

#[test]
fn a_path_that_nobody_knows_is_kept_without_words() {
    let document = document("traffic-path", "9");
    assert_eq!(document["aws"]["vpcflow"], json!({"traffic_path": "9"}));
    assert_eq!(document.get("flowship"), None);
}

#[test]
fn any_order_of_columns_and_unknown_ones() {
    let header = "end new-field dstaddr vpc-id srcaddr start";
    let document = document(header, "1418530070 a\"b\\c 10.0.0.2 - 10.0.0.1 1418530080");
    assert_eq!(document["aws"]["vpcflow"], json!({"new_field": "a\"b\\c"}));
    assert_eq!(document["destination"], json!({"ip": "10.0.0.2"}));
    assert_eq!(document["network"], json!({"type": "ipv4"}));
    let duration = document["event"].get("duration");
    assert_eq!(duration, None, "an end before the start has no duration");
}

#[test]
fn the_mapping_covers_exactly_what_a_document_can_hold() {
    for dataset in Dataset::ALL {
        let mapped = crate::assets::tests::mapped_fields(dataset);
        let written: BTreeSet<&str> = fields(dataset).collect();
        assert_eq!(written.len(), fields(dataset).count(), "a field stands twice");
        let mapped: BTreeMap<&str, &str> = mapped
            .iter()
            .filter(|(name, definition)| definition["type"] != "alias" && *name != "related.ip")
            .map(|(name, definition)| (name.as_str(), definition["type"].as_str().unwrap()))
            .collect();
        assert_eq!(mapped.keys().copied().collect::<BTreeSet<_>>(), written);
        for spec in FLOW_FIELDS.iter().filter(|spec| spec.datasets.contains(&dataset)) {
            let expected = match spec.kind {
                Kind::Address => "ip",
                Kind::Time => "date",
                // ECS keeps the number of the protocol as a keyword.
                Kind::Number(_) if spec.field != Field::Protocol => "long",
                _ => "keyword",
            };
            assert_eq!(mapped[spec.target], expected, "{}", spec.name);
        }
    }
}

#[test]
fn the_other_names_of_a_value_are_aliases() {
    let vpc = [
        ("event.end", "@timestamp"),
        ("network.bytes", "source.bytes"),
        ("network.packets", "source.packets"),
        ("aws.vpcflow.account_id", "cloud.account.id"),
        ("aws.vpcflow.instance_id", "cloud.instance.id"),
        ("aws.vpcflow.az_id", "cloud.availability_zone"),
        ("aws.vpcflow.action", "event.action"),
    ];
    for (dataset, expected) in [(Dataset::Vpc, &vpc[..]), (Dataset::Tgw, &vpc[..4])] {
        let aliases: BTreeMap<String, String> = crate::assets::tests::mapped_fields(dataset)
            .into_iter()
            .filter(|(_, definition)| definition["type"] == "alias")
            .map(|(name, definition)| (name, definition["path"].as_str().unwrap().to_owned()))
            .collect();
        let expected = expected
            .iter()
            .map(|(name, path)| ((*name).to_owned(), (*path).to_owned()));
        assert_eq!(aliases, expected.collect());
    }
}

/// All leaves of a document in the mapping's notation, in which a point is a leaf.
fn leaves(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) if !path.ends_with("geo.location") => {
            for (key, member) in members {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                leaves(member, &path, found);
            }
        }
        _ => drop(found.insert(path.to_owned())),
    }
}

/// One column of a random object: its field, or `None` for the column that nobody knows, and its text.
type Cell = (Option<&'static FieldSpec>, Option<String>);

fn put(root: &mut Value, path: &str, value: Value) {
    let mut place = root;
    for name in path.split('.') {
        if place.is_null() {
            *place = json!({});
        }
        place = place.as_object_mut().unwrap().entry(name).or_insert(Value::Null);
    }
    *place = value;
}

/// What the document of a line should be, said slowly.
fn reference(cells: &[Cell], timestamp: u32, has_community_id: bool, has_geo: bool) -> Value {
    let get = |field: Field| {
        cells
            .iter()
            .find(|(spec, _)| spec.is_some_and(|spec| spec.field == field))
            .and_then(|(_, text)| text.as_deref())
    };
    let number = |field| get(field).map(|text| text.parse::<u64>().unwrap());
    let address = |field| get(field).map(|text| text.parse::<IpAddr>().unwrap());
    let time = |seconds: i64| json!(jiff::Timestamp::from_second(seconds).unwrap().to_string());

    let mut root = json!({});
    put(&mut root, "@timestamp", time(timestamp.into()));
    for (path, value) in [
        ("ecs.version", json!("8.11.0")),
        ("event.kind", json!("event")),
        ("event.category", json!(["network"])),
        ("event.type", json!(["connection"])),
        ("event.dataset", json!("aws.vpcflow")),
        ("cloud.provider", json!("aws")),
    ] {
        put(&mut root, path, value);
    }
    for (spec, text) in cells {
        let Some(text) = text else { continue };
        let Some(spec) = spec else {
            put(&mut root, "aws.vpcflow.new_field", json!(text));
            continue;
        };
        let value = match (spec.field, spec.kind) {
            (Field::End, _) => continue,
            (Field::PktSrcaddr, _) if address(Field::PktSrcaddr) == address(Field::Srcaddr) => continue,
            (Field::PktDstaddr, _) if address(Field::PktDstaddr) == address(Field::Dstaddr) => continue,
            (Field::Protocol, _) | (_, Kind::Text | Kind::Flags) => json!(text),
            (_, Kind::Address) => json!(address(spec.field).unwrap().to_string()),
            (_, Kind::Number(_)) => json!(text.parse::<u64>().unwrap()),
            (_, Kind::Time) => time(text.parse().unwrap()),
            (_, Kind::Tag) => json!(text.replace("%20", " ").replace("%2D", "-")),
        };
        put(&mut root, spec.target, value);
    }
    if let Some(allowed) = match get(Field::Action) {
        Some("ACCEPT") => Some(true),
        Some("REJECT") => Some(false),
        _ => None,
    } {
        let kind = if allowed { "allowed" } else { "denied" };
        put(&mut root, "event.type", json!(["connection", kind]));
        let outcome = if allowed { "success" } else { "failure" };
        put(&mut root, "event.outcome", json!(outcome));
    }
    if let (Some(start), Some(end)) = (number(Field::Start), number(Field::End))
        && end >= start
    {
        put(&mut root, "event.duration", json!((end - start) * 1_000_000_000));
    }
    let (source, destination) = (address(Field::Srcaddr), address(Field::Dstaddr));
    for (end, address) in [("source", source), ("destination", destination)] {
        for (name, value) in address
            .filter(|_| has_geo)
            .map(found_slowly)
            .into_iter()
            .flatten()
        {
            put(&mut root, &format!("{end}.{name}"), value);
        }
    }
    let network_type = match (source.or(destination), get(Field::Type)) {
        (Some(address), _) => Some(if address.is_ipv4() { "ipv4" } else { "ipv6" }),
        (None, Some("IPv4")) => Some("ipv4"),
        (None, Some("IPv6")) => Some("ipv6"),
        (None, _) => None,
    };
    if let Some(network_type) = network_type {
        put(&mut root, "network.type", json!(network_type));
    }
    let protocol = number(Field::Protocol).map(|number| u8::try_from(number).unwrap());
    if let Some(name) = protocol.and_then(transport_name) {
        put(&mut root, "network.transport", json!(name));
    }
    if let (true, Some(protocol), Some(source), Some(destination)) =
        (has_community_id, protocol, source, destination)
    {
        let port = |field| number(field).map(|port| u16::try_from(port).unwrap());
        let ends = [
            (source, port(Field::Srcport)),
            (destination, port(Field::Dstport)),
        ];
        if let Some(id) = community_id(protocol, ends[0], ends[1]) {
            put(&mut root, "network.community_id", json!(format!("{id:?}")));
        }
    }
    if let Some(flags) = number(Field::TcpFlags) {
        let bits = [
            (1, "fin"),
            (2, "syn"),
            (4, "rst"),
            (8, "psh"),
            (16, "ack"),
            (32, "urg"),
            (64, "ece"),
            (128, "cwr"),
        ];
        let names: Vec<&str> = bits
            .iter()
            .filter(|(bit, _)| flags & bit != 0)
            .map(|(_, name)| *name)
            .collect();
        if !names.is_empty() {
            put(&mut root, "aws.vpcflow.tcp_flags_array", json!(names));
        }
    }
    if let Some(words) = get(Field::TrafficPath).and_then(|code| traffic_path(code.as_bytes())) {
        put(&mut root, "flowship.path", json!(words));
    }
    zones::put_zones(&mut root, cells);
    if root.get("orchestrator").is_some() {
        put(&mut root, "orchestrator.type", json!("ecs"));
    }
    if root.pointer("/orchestrator/resource").is_some() {
        put(&mut root, "orchestrator.resource.type", json!("container"));
    }
    root
}

fn cell(spec: Option<&'static FieldSpec>) -> impl Strategy<Value = Cell> {
    let number = |max: u64| prop_oneof![0..=max, 0..=max.min(200)].prop_map(|number| number.to_string());
    let text = || "[!-,.-~][!-~]{0,12}".prop_filter("no escape", |text| !text.contains('%'));
    let value = match spec.map(|spec| (spec.field, spec.kind)) {
        Some((Field::Action, _)) => prop_oneof!["ACCEPT", "REJECT", "OTHER"].boxed(),
        Some((Field::Type, _)) => prop_oneof!["IPv4", "IPv6", "EFA"].boxed(),
        Some((Field::LogStatus, _)) => prop_oneof!["OK", "NODATA", "SKIPDATA"].boxed(),
        Some((Field::FlowDirection, _)) => prop_oneof!["ingress", "egress", "other"].boxed(),
        Some((Field::InterfaceType, _)) => prop_oneof!["interface", "transit_gateway"].boxed(),
        Some((Field::AzId | Field::NextHopAzId | Field::TgwSrcAzId | Field::TgwDstAzId, _)) => {
            prop_oneof![4 => "use1-az[12]", 1 => text()].boxed()
        }
        Some((Field::TrafficPath, _)) => "[1-9]".boxed(),
        Some((_, Kind::Tag)) => "(%20|%2D|[a-z+]){1,9}".boxed(),
        Some((_, Kind::Number(max))) => number(max).boxed(),
        Some((_, Kind::Flags)) => number(65_535).boxed(),
        Some((_, Kind::Time)) => number(i32::MAX as u64).boxed(),
        Some((_, Kind::Address)) => {
            let v4 = any::<std::net::Ipv4Addr>().prop_map(|address| address.to_string());
            let v6 = any::<std::net::Ipv6Addr>().prop_map(|address| address.to_string());
            let known = prop::sample::select(&geo::ADDRESSES[..]).prop_map(str::to_owned);
            prop_oneof![1 => v4, 1 => v6, 2 => known].boxed()
        }
        Some((_, Kind::Text)) | None => text().boxed(),
    };
    prop::option::weighted(0.8, value).prop_map(move |text| (spec, text))
}

/// Some columns of a dataset and perhaps one that nobody knows, in any order, with any values.
fn object() -> impl Strategy<Value = Vec<Cell>> {
    let columns = prop::sample::select(&Dataset::ALL[..]).prop_flat_map(|dataset| {
        let specs = FLOW_FIELDS.iter().filter(|spec| spec.datasets.contains(&dataset));
        let columns: Vec<Option<&'static FieldSpec>> = specs.map(Some).chain([None]).collect();
        let num_columns = columns.len();
        prop::sample::subsequence(columns, 1..=num_columns).prop_shuffle()
    });
    columns.prop_flat_map(|columns| columns.into_iter().map(cell).collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn every_document_is_what_the_slow_way_makes_of_it(
        cells in object(), timestamp in 0..=i32::MAX as u32, has_community_id in any::<bool>(),
        has_geo in any::<bool>(),
    ) {
        let header: Vec<&str> = cells.iter().map(|(spec, _)| spec.map_or("new-field", |spec| spec.name)).collect();
        let line: Vec<&str> = cells.iter().map(|(_, text)| text.as_deref().unwrap_or("-")).collect();
        let (header, line) = (header.join(" "), line.join(" "));
        let enriched = |zones| Enrichment { community_id: has_community_id, geo: has_geo.then(geo::known), zones };
        let document = write_enriched(&header, &line, timestamp, enriched(Some(Arc::default())));
        let zoneless = write_enriched(&header, &line, timestamp, enriched(None));
        prop_assert_eq!(zones::without_zones(document.clone()), zoneless);
        let dataset = Format::parse(header.as_bytes()).unwrap().dataset();
        let allowed: BTreeSet<&str> = fields(dataset).chain(["aws.vpcflow.new_field"]).collect();
        let mut found = BTreeSet::new();
        leaves(&document, "", &mut found);
        for path in &found {
            prop_assert!(allowed.contains(path.as_str()), "{} is not in the list", path);
        }
        prop_assert_eq!(document, reference(&cells, timestamp, has_community_id, has_geo));
    }
}
