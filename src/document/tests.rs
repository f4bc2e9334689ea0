//! Known answers written by hand from the field tables, and a slow, obvious reference to compare every row with.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::flow::{Columns, FIELDS as FLOW_FIELDS, Format};

fn write(format: &Format, line: &[u8], timestamp: u32) -> Vec<u8> {
    let mut columns = Columns::default();
    let row = columns.parse(format, line).unwrap();
    let mut out = Vec::new();
    DocumentWriter::default().write(&mut out, &row, timestamp, columns.extras(format, line));
    out
}

fn document(header: Option<&str>, line: &str, timestamp: u32) -> Value {
    let format = header.map_or_else(Format::default, |header| {
        Format::parse(header.as_bytes()).unwrap()
    });
    serde_json::from_slice(&write(&format, line.as_bytes(), timestamp)).unwrap()
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
    assert_eq!(document(None, line, 1_418_530_070), expected);
}

#[test]
fn a_rejected_ipv6_flow_and_an_unassigned_protocol() {
    let line = "2 123456789010 eni-1 2001:DB8:0::1 2001:db8::2 0 0 253 1 40 1418530010 1418530010 REJECT OK";
    let document = document(None, line, 1_418_530_010);
    assert_eq!(document["event"]["type"], json!(["connection", "denied"]));
    assert_eq!(document["event"]["outcome"], "failure");
    assert_eq!(document["event"]["duration"], 0);
    assert_eq!(document["source"]["ip"], "2001:db8::1");
    assert_eq!(document["network"], json!({"type": "ipv6", "iana_number": "253"}));
}

#[test]
fn a_skipdata_record_holds_what_it_says_and_nothing_else() {
    let line = "2 unknown eni-1 - - - - - - - 1431280876 1431280934 - SKIPDATA";
    let expected = json!({
        "@timestamp": "2015-05-10T18:02:14Z",
        "ecs": {"version": "8.11.0"},
        "event": {"kind": "event", "category": ["network"], "type": ["connection"], "dataset": "aws.vpcflow",
                  "start": "2015-05-10T18:01:16Z", "duration": 58_000_000_000_u64},
        "cloud": {"provider": "aws", "account": {"id": "unknown"}},
        "aws": {"vpcflow": {"version": "2", "interface_id": "eni-1", "log_status": "SKIPDATA"}},
    });
    assert_eq!(document(None, line, 1_431_280_934), expected);
}

#[test]
fn a_rejected_record_without_bytes_keeps_its_packets() {
    let line = "2 1 eni-1 10.0.0.1 10.0.0.2 1 2 6 3 - 1418530010 1418530070 REJECT OK";
    let document = document(None, line, 1_418_530_070);
    assert_eq!(
        document["source"],
        json!({"ip": "10.0.0.1", "port": 1, "packets": 3})
    );
}

#[test]
fn any_order_of_columns_and_unknown_ones() {
    let header = "end new-field dstaddr vpc-id srcaddr start";
    let line = "1418530070 a\"b\\c 10.0.0.2 - 10.0.0.1 1418530080";
    let document = document(Some(header), line, 1_418_530_070);
    assert_eq!(document["aws"]["vpcflow"], json!({"new_field": "a\"b\\c"}));
    assert_eq!(document["destination"], json!({"ip": "10.0.0.2"}));
    assert!(
        document["event"].get("duration").is_none(),
        "an end before the start has no duration"
    );
    assert!(
        document
            .get("network")
            .is_some_and(|network| network == &json!({"type": "ipv4"}))
    );
}

#[test]
fn the_field_table_and_the_list_of_document_fields_agree() {
    for spec in FLOW_FIELDS {
        assert!(
            FIELDS.contains(&spec.target),
            "{} goes to {}",
            spec.name,
            spec.target
        );
    }
}

#[test]
fn the_mapping_covers_exactly_what_a_document_can_hold() {
    let mapped = crate::assets::tests::mapped_fields();
    let written: BTreeSet<&str> = FIELDS.into_iter().collect();
    let mapped: BTreeSet<&str> = mapped
        .iter()
        .filter(|(name, definition)| definition["type"] != "alias" && *name != "related.ip")
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(mapped, written);
}

/// All leaves of a document in the mapping's notation.
fn leaves(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
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

/// What the document of a line of the default format should be, said slowly.
fn reference(values: &[Option<String>; 14], timestamp: u32) -> Value {
    fn put(root: &mut Map<String, Value>, path: &str, value: Value) {
        match path.split_once('.') {
            None => drop(root.insert(path.to_owned(), value)),
            Some((head, rest)) => {
                let child = root.entry(head).or_insert_with(|| json!({}));
                put(child.as_object_mut().unwrap(), rest, value);
            }
        }
    }
    let time = |seconds: &str| {
        json!(
            jiff::Timestamp::from_second(seconds.parse().unwrap())
                .unwrap()
                .to_string()
        )
    };
    let mut root = Map::new();
    put(&mut root, "@timestamp", time(&timestamp.to_string()));
    for (path, value) in [
        ("ecs.version", json!("8.11.0")),
        ("event.kind", json!("event")),
        ("event.category", json!(["network"])),
        ("event.dataset", json!("aws.vpcflow")),
        ("cloud.provider", json!("aws")),
        ("aws.vpcflow", json!({})),
    ] {
        put(&mut root, path, value);
    }
    let event_type = match values[12].as_deref() {
        Some("ACCEPT") => {
            put(&mut root, "event.outcome", json!("success"));
            json!(["connection", "allowed"])
        }
        Some("REJECT") => {
            put(&mut root, "event.outcome", json!("failure"));
            json!(["connection", "denied"])
        }
        _ => json!(["connection"]),
    };
    put(&mut root, "event.type", event_type);
    for (spec, value) in FLOW_FIELDS.iter().zip(values) {
        let Some(text) = value else { continue };
        let value = match spec.name {
            "end" => continue,
            "start" => time(text),
            "srcport" | "dstport" | "packets" | "bytes" => json!(text.parse::<u64>().unwrap()),
            _ => json!(text),
        };
        put(&mut root, spec.target, value);
    }
    if let Some(address) = values[3].as_ref().or(values[4].as_ref()) {
        put(
            &mut root,
            "network.type",
            json!(if address.contains(':') { "ipv6" } else { "ipv4" }),
        );
    }
    if let Some(name) = values[7]
        .as_ref()
        .and_then(|number| transport_name(number.parse().unwrap()))
    {
        put(&mut root, "network.transport", json!(name));
    }
    if let (Some(start), Some(end)) = (&values[10], &values[11]) {
        let (start, end): (u64, u64) = (start.parse().unwrap(), end.parse().unwrap());
        if end >= start {
            put(&mut root, "event.duration", json!((end - start) * 1_000_000_000));
        }
    }
    Value::Object(root)
}

fn values() -> impl Strategy<Value = [Option<String>; 14]> {
    let text = || prop::option::of("[!-,.-~]{1,12}");
    let address = || {
        let v4 = any::<std::net::Ipv4Addr>().prop_map(|address| address.to_string());
        let v6 = any::<std::net::Ipv6Addr>().prop_map(|address| address.to_string());
        prop::option::of(prop_oneof![v4, v6])
    };
    let number = |max: u64| prop::option::of((0..=max).prop_map(|number| number.to_string()));
    let action = prop::option::of(prop_oneof!["ACCEPT", "REJECT", "OTHER"]);
    let long = i64::MAX as u64;
    let time = i32::MAX as u64;
    (
        (text(), text(), text(), address(), address()),
        (
            number(65_535),
            number(65_535),
            number(255),
            number(long),
            number(long),
        ),
        (number(time), number(time), action, text()),
    )
        .prop_map(|((a, b, c, d, e), (f, g, h, i, j), (k, l, m, n))| {
            [a, b, c, d, e, f, g, h, i, j, k, l, m, n]
        })
}

proptest! {
    #[test]
    fn every_document_is_what_the_slow_way_makes_of_it(values in values(), timestamp in 0..=i32::MAX as u32) {
        let line: Vec<&str> = values.iter().map(|value| value.as_deref().unwrap_or("-")).collect();
        let document: Value = serde_json::from_slice(&write(&Format::default(), line.join(" ").as_bytes(), timestamp)).unwrap();
        let mut found = BTreeSet::new();
        leaves(&document, "", &mut found);
        for path in &found {
            prop_assert!(FIELDS.contains(&path.as_str()) || path == "aws.vpcflow", "{} is not in FIELDS", path);
        }
        prop_assert_eq!(document, reference(&values, timestamp));
    }
}
