//! Row → ECS document, id and index name. Everything once: other names of a value are field aliases in the mapping
//! (`index-templates/`), and `related.ip` is filled there by `copy_to`.
//!
//! Field meanings: Elastic Common Schema 8.11 and, for `aws.vpcflow.*`, Elastic's aws integration.

mod date;
mod fields;
mod id;
mod json;
mod rendered;

pub use date::{IndexNames, SECONDS_PER_DAY};
pub use fields::fields;
pub use id::{DocumentId, ObjectHash};

use std::net::IpAddr;

use percent_encoding::percent_decode;

use crate::enrich::community_id;
use crate::flow::{Field, RawValue, Row, traffic_path};
use date::Dates;
use json::{push_address, push_key, push_member, push_number, push_object, push_string};
use rendered::{push_protocol, push_tcp_flags};

/// Writes documents. Holds what repeats from record to record.
#[derive(Debug)]
pub struct DocumentWriter {
    has_community_id: bool,
    dates: Dates,
    decoded: Vec<u8>,
}

impl DocumentWriter {
    /// A writer of documents with or without `network.community_id`, which takes a fifth of the store.
    pub fn new(has_community_id: bool) -> Self {
        Self {
            has_community_id,
            dates: Dates::default(),
            decoded: Vec::new(),
        }
    }

    /// Appends the document of one row as JSON. `timestamp` is what `@timestamp` says, Unix seconds.
    pub fn write(&mut self, out: &mut Vec<u8>, row: &Row<'_>, timestamp: u32) {
        out.extend_from_slice(br#"{"@timestamp":""#);
        self.dates.push_time(out, timestamp);
        out.extend_from_slice(br#"","ecs":{"version":"8.11.0"},"#);
        self.write_event(out, row);
        write_cloud(out, row);
        write_ends(out, row);
        push_object(out, "network", |out| self.write_network(out, row));
        write_workload(out, row);
        push_object(out, "aws", |out| {
            push_object(out, "vpcflow", |out| self.write_raw(out, row));
        });
        if let Some(path) = row.text(Field::TrafficPath).and_then(traffic_path) {
            push_object(out, "flowship", |out| push_member(out, "path", path.as_bytes()));
        }
        out.push(b'}');
    }

    fn write_event(&mut self, out: &mut Vec<u8>, row: &Row<'_>) {
        out.extend_from_slice(br#""event":{"kind":"event","category":["network"],"type":["connection""#);
        let action = row.text(Field::Action);
        out.extend_from_slice(match action {
            Some(b"ACCEPT") => br#","allowed"],"outcome":"success""#,
            Some(b"REJECT") => br#","denied"],"outcome":"failure""#,
            _ => b"]",
        });
        out.extend_from_slice(br#","dataset":"aws.vpcflow""#);
        push_text(out, "action", action);
        push_text(out, "reason", row.text(Field::RejectReason));
        if let Some(start) = row.time(Field::Start) {
            out.extend_from_slice(br#","start":""#);
            self.dates.push_time(out, start);
            out.push(b'"');
            if let Some(seconds) = row.time(Field::End).and_then(|end| end.checked_sub(start)) {
                push_key(out, "duration");
                push_number(out, u64::from(seconds) * 1_000_000_000);
            }
        }
        out.push(b'}');
    }

    fn write_network(&self, out: &mut Vec<u8>, row: &Row<'_>) {
        let (source, destination) = (row.address(Field::Srcaddr), row.address(Field::Dstaddr));
        let is_ipv4 = source.or(destination).map(|address| address.is_ipv4());
        let is_ipv4 = is_ipv4.or_else(|| match row.text(Field::Type) {
            Some(b"IPv4") => Some(true),
            Some(b"IPv6") => Some(false),
            _ => None,
        });
        if let Some(is_ipv4) = is_ipv4 {
            push_member(out, "type", if is_ipv4 { b"ipv4" } else { b"ipv6" });
        }
        let protocol = row.number(Field::Protocol);
        if let Some(protocol) = protocol {
            push_protocol(out, protocol);
        }
        push_text(out, "direction", row.text(Field::FlowDirection));
        let (Some(source), Some(destination), Some(protocol)) = (source, destination, protocol) else {
            return;
        };
        if self.has_community_id {
            let port = |field| row.number(field).and_then(|port| u16::try_from(port).ok());
            let ends = [
                (source, port(Field::Srcport)),
                (destination, port(Field::Dstport)),
            ];
            let protocol = u8::try_from(protocol).ok();
            let id = protocol.and_then(|protocol| community_id(protocol, ends[0], ends[1]));
            if let Some(id) = id {
                push_member(out, "community_id", id.as_bytes());
            }
        }
    }

    /// The fields of AWS that ECS has no name for, and the columns that nobody knows.
    fn write_raw(&mut self, out: &mut Vec<u8>, row: &Row<'_>) {
        for (key, value) in row.raw() {
            push_key(out, key);
            match value {
                RawValue::Text(text) => push_string(out, text),
                RawValue::Number(number) => push_number(out, number),
                RawValue::Tag(text) => {
                    // `+` is itself, and so is what is no escape.
                    self.decoded.clear();
                    self.decoded.extend(percent_decode(text));
                    push_string(out, &self.decoded);
                }
            }
        }
        if let Some(flags) = row.number(Field::TcpFlags) {
            push_tcp_flags(out, flags);
        }
        // What the interface saw is in `source` and `destination`; the packet's own ends are told where they differ.
        for (key, packet, flow) in [
            ("pkt_srcaddr", Field::PktSrcaddr, Field::Srcaddr),
            ("pkt_dstaddr", Field::PktDstaddr, Field::Dstaddr),
        ] {
            let packet = row.address(packet);
            if let Some(address) = packet.filter(|_| packet != row.address(flow)) {
                push_key(out, key);
                push_address(out, address);
            }
        }
        push_object(out, "sublocation", |out| {
            push_text(out, "type", row.text(Field::SublocationType));
            push_text(out, "id", row.text(Field::SublocationId));
        });
    }
}

fn push_text(out: &mut Vec<u8>, key: &str, text: Option<&[u8]>) {
    if let Some(text) = text {
        push_key(out, key);
        push_string(out, text);
    }
}

fn write_cloud(out: &mut Vec<u8>, row: &Row<'_>) {
    out.extend_from_slice(br#","cloud":{"provider":"aws""#);
    push_object(out, "account", |out| {
        push_text(out, "id", row.text(Field::AccountId));
    });
    push_text(out, "region", row.text(Field::Region));
    push_text(out, "availability_zone", row.text(Field::AzId));
    push_object(out, "instance", |out| {
        push_text(out, "id", row.text(Field::InstanceId));
    });
    out.push(b'}');
}

/// Bytes and packets are those of the sending side: a record covers one direction.
fn write_ends(out: &mut Vec<u8>, row: &Row<'_>) {
    push_object(out, "source", |out| {
        write_end(out, row.address(Field::Srcaddr), row.number(Field::Srcport));
        for (key, field) in [("bytes", Field::Bytes), ("packets", Field::Packets)] {
            if let Some(value) = row.number(field) {
                push_key(out, key);
                push_number(out, value);
            }
        }
    });
    push_object(out, "destination", |out| {
        write_end(out, row.address(Field::Dstaddr), row.number(Field::Dstport));
    });
}

fn write_end(out: &mut Vec<u8>, address: Option<IpAddr>, port: Option<u64>) {
    if let Some(address) = address {
        push_key(out, "ip");
        push_address(out, address);
    }
    if let Some(port) = port {
        push_key(out, "port");
        push_number(out, port);
    }
}

/// The ECS task that the traffic belongs to. (Elastic's ECS is the schema, Amazon's the container service.)
fn write_workload(out: &mut Vec<u8>, row: &Row<'_>) {
    push_object(out, "orchestrator", |out| {
        let before = out.len();
        push_object(out, "cluster", |out| {
            push_text(out, "id", row.text(Field::EcsClusterArn));
            push_text(out, "name", row.text(Field::EcsClusterName));
        });
        push_object(out, "resource", |out| {
            let before = out.len();
            push_text(out, "name", row.text(Field::EcsContainerInstanceArn));
            push_text(out, "id", row.text(Field::EcsContainerInstanceId));
            if out.len() > before {
                push_member(out, "type", b"container");
            }
        });
        if out.len() > before {
            push_member(out, "type", b"ecs");
        }
    });
    push_object(out, "container", |out| {
        push_text(out, "id", row.text(Field::EcsContainerId));
    });
    push_object(out, "service", |out| {
        push_text(out, "name", row.text(Field::EcsServiceName));
    });
}

#[cfg(test)]
mod tests;
