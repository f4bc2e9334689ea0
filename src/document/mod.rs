//! Row → ECS document, id and index name. Everything once: other names of a value are field aliases in the mapping
//! (`index-templates/`), and `related.ip` is filled there by `copy_to`.
//!
//! Field meanings: Elastic Common Schema 8.11 and, for `aws.vpcflow.*`, Elastic's aws integration.

mod date;
mod id;
mod json;

pub use date::{IndexNames, SECONDS_PER_DAY};
pub use id::{DocumentId, ObjectHash};

use std::net::IpAddr;

use crate::flow::{Row, transport_name};
use date::Dates;
use json::{push_key, push_number, push_string};

/// Every field that a document can hold, apart from unknown columns, which are kept under `aws.vpcflow.`. The mapping
/// is held to this list, and the list to what the writer writes.
pub const FIELDS: [&str; 24] = [
    "@timestamp",
    "ecs.version",
    "event.kind",
    "event.category",
    "event.type",
    "event.dataset",
    "event.action",
    "event.outcome",
    "event.start",
    "event.duration",
    "cloud.provider",
    "cloud.account.id",
    "source.ip",
    "source.port",
    "source.bytes",
    "source.packets",
    "destination.ip",
    "destination.port",
    "network.type",
    "network.iana_number",
    "network.transport",
    "aws.vpcflow.version",
    "aws.vpcflow.interface_id",
    "aws.vpcflow.log_status",
];

/// Writes documents. Holds what repeats from record to record.
#[derive(Debug, Default)]
pub struct DocumentWriter {
    dates: Dates,
}

impl DocumentWriter {
    /// Appends the document of one row as JSON. `timestamp` is what `@timestamp` says, Unix seconds; `extras` are the
    /// unknown columns, whose keys need no escaping.
    pub fn write<'a>(
        &mut self,
        out: &mut Vec<u8>,
        row: &Row<'_>,
        timestamp: u32,
        extras: impl Iterator<Item = (&'a str, &'a [u8])>,
    ) {
        out.extend_from_slice(br#"{"@timestamp":""#);
        self.dates.push_time(out, timestamp);
        out.extend_from_slice(br#"","ecs":{"version":"8.11.0"},"#);
        self.write_event(out, row);
        write_cloud(out, row);
        write_ends(out, row);
        write_network(out, row);
        write_raw(out, row, extras);
        out.push(b'}');
    }

    fn write_event(&mut self, out: &mut Vec<u8>, row: &Row<'_>) {
        out.extend_from_slice(br#""event":{"kind":"event","category":["network"],"type":["connection""#);
        match row.action {
            Some(b"ACCEPT") => out.extend_from_slice(br#","allowed"],"outcome":"success""#),
            Some(b"REJECT") => out.extend_from_slice(br#","denied"],"outcome":"failure""#),
            _ => out.push(b']'),
        }
        out.extend_from_slice(br#","dataset":"aws.vpcflow""#);
        if let Some(action) = row.action {
            push_key(out, "action");
            push_string(out, action);
        }
        if let Some(start) = row.start {
            out.extend_from_slice(br#","start":""#);
            self.dates.push_time(out, start);
            out.push(b'"');
            if let Some(seconds) = row.end.and_then(|end| end.checked_sub(start)) {
                push_key(out, "duration");
                push_number(out, u64::from(seconds) * 1_000_000_000);
            }
        }
        out.push(b'}');
    }
}

fn write_cloud(out: &mut Vec<u8>, row: &Row<'_>) {
    out.extend_from_slice(br#","cloud":{"provider":"aws""#);
    if let Some(account) = row.account_id {
        out.extend_from_slice(br#","account":{"id":"#);
        push_string(out, account);
        out.push(b'}');
    }
    out.push(b'}');
}

/// Bytes and packets are those of the sending side: a record covers one direction.
fn write_ends(out: &mut Vec<u8>, row: &Row<'_>) {
    let has_counters = row.bytes.is_some() || row.packets.is_some();
    if row.srcaddr.is_some() || row.srcport.is_some() || has_counters {
        out.extend_from_slice(br#","source":{"#);
        write_address(out, row.srcaddr, row.srcport);
        for (key, value) in [("bytes", row.bytes), ("packets", row.packets)] {
            if let Some(value) = value {
                push_key(out, key);
                push_number(out, value);
            }
        }
        out.push(b'}');
    }
    if row.dstaddr.is_some() || row.dstport.is_some() {
        out.extend_from_slice(br#","destination":{"#);
        write_address(out, row.dstaddr, row.dstport);
        out.push(b'}');
    }
}

fn write_address(out: &mut Vec<u8>, address: Option<IpAddr>, port: Option<u64>) {
    if let Some(address) = address {
        push_key(out, "ip");
        json::push_address(out, address);
    }
    if let Some(port) = port {
        push_key(out, "port");
        push_number(out, port);
    }
}

fn write_network(out: &mut Vec<u8>, row: &Row<'_>) {
    let address = row.srcaddr.or(row.dstaddr);
    if address.is_none() && row.protocol.is_none() {
        return;
    }
    out.extend_from_slice(br#","network":{"#);
    if let Some(address) = address {
        push_key(out, "type");
        out.extend_from_slice(if address.is_ipv4() {
            br#""ipv4""#
        } else {
            br#""ipv6""#
        });
    }
    if let Some(protocol) = row.protocol {
        // ECS keeps the number as a keyword.
        push_key(out, "iana_number");
        out.push(b'"');
        push_number(out, u64::from(protocol));
        out.push(b'"');
        if let Some(name) = transport_name(protocol) {
            push_key(out, "transport");
            push_string(out, name.as_bytes());
        }
    }
    out.push(b'}');
}

fn write_raw<'a>(out: &mut Vec<u8>, row: &Row<'_>, extras: impl Iterator<Item = (&'a str, &'a [u8])>) {
    out.extend_from_slice(br#","aws":{"vpcflow":{"#);
    let typed = [
        ("version", row.version),
        ("interface_id", row.interface_id),
        ("log_status", row.log_status),
    ];
    let typed = typed.into_iter().filter_map(|(key, value)| Some((key, value?)));
    for (key, value) in typed {
        push_key(out, key);
        push_string(out, value);
    }
    for (key, value) in extras {
        push_key(out, key);
        push_string(out, value);
    }
    out.extend_from_slice(b"}}");
}

#[cfg(test)]
mod tests;
