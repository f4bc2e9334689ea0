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

use std::sync::Arc;

use percent_encoding::percent_decode;

use crate::enrich::{Enrichment, ZoneFinder, ZoneId, community_id};
use crate::flow::{Field, RawValue, Row, traffic_path};
use date::Dates;
use json::{close_object, is_plain, push_address, push_number, push_object, push_plain, push_string};
use rendered::{push_protocol, push_tcp_flags};

/// Writes documents. Holds what repeats from record to record.
#[derive(Debug)]
pub struct DocumentWriter {
    enrichment: Arc<Enrichment>,
    zones: Option<ZoneFinder>,
    dates: Dates,
    decoded: Vec<u8>,
}

impl DocumentWriter {
    /// A writer of documents with these enrichments.
    pub fn new(enrichment: Arc<Enrichment>) -> Self {
        let zones = enrichment
            .zones
            .as_ref()
            .map(|map| ZoneFinder::new(Arc::clone(map)));
        Self {
            enrichment,
            zones,
            dates: Dates::default(),
            decoded: Vec::new(),
        }
    }

    /// Begins an object: what the records of the last one said is forgotten.
    pub fn start_object(&mut self) {
        if let Some(zones) = &mut self.zones {
            zones.start_object();
        }
    }

    /// Appends the document of one row as JSON. `timestamp` is what `@timestamp` says, Unix seconds.
    pub fn write(&mut self, out: &mut Vec<u8>, row: &Row<'_>, timestamp: u32) {
        let texts = Texts::of(row);
        out.extend_from_slice(br#"{"@timestamp":""#);
        self.dates.push_time(out, timestamp);
        out.extend_from_slice(br#"","ecs":{"version":"8.11.0"},"#);
        self.write_event(out, row, texts);
        write_cloud(out, texts);
        write_ends(out, row);
        push_object(out, br#""network":{"#, |out| self.write_network(out, row, texts));
        write_workload(out, texts);
        push_object(out, br#""aws":{"#, |out| {
            push_object(out, br#""vpcflow":{"#, |out| self.write_raw(out, row, texts));
        });
        push_object(out, br#""flowship":{"#, |out| self.write_flowship(out, row));
        close_object(out);
    }

    fn write_event(&mut self, out: &mut Vec<u8>, row: &Row<'_>, texts: Texts<'_, '_>) {
        out.extend_from_slice(br#""event":{"kind":"event","category":["network"],"type":["connection""#);
        out.extend_from_slice(match row.text(Field::Action) {
            Some(b"ACCEPT") => br#","allowed"],"outcome":"success","dataset":"aws.vpcflow","#,
            Some(b"REJECT") => br#","denied"],"outcome":"failure","dataset":"aws.vpcflow","#,
            _ => br#"],"dataset":"aws.vpcflow","#,
        });
        texts.push(out, br#""action":"#, Field::Action);
        texts.push(out, br#""reason":"#, Field::RejectReason);
        if let Some(start) = row.time(Field::Start) {
            out.extend_from_slice(br#""start":""#);
            self.dates.push_time(out, start);
            out.extend_from_slice(b"\",");
            if let Some(seconds) = row.time(Field::End).and_then(|end| end.checked_sub(start)) {
                push_number(out, br#""duration":"#, u64::from(seconds) * 1_000_000_000);
            }
        }
        close_object(out);
        out.push(b',');
    }

    fn write_network(&self, out: &mut Vec<u8>, row: &Row<'_>, texts: Texts<'_, '_>) {
        let (source, destination) = (row.address(Field::Srcaddr), row.address(Field::Dstaddr));
        let is_ipv4 = source.or(destination).map(|address| address.is_ipv4());
        let is_ipv4 = is_ipv4.or_else(|| match row.text(Field::Type) {
            Some(b"IPv4") => Some(true),
            Some(b"IPv6") => Some(false),
            _ => None,
        });
        if let Some(is_ipv4) = is_ipv4 {
            out.extend_from_slice(if is_ipv4 {
                br#""type":"ipv4","#
            } else {
                br#""type":"ipv6","#
            });
        }
        let protocol = row.number(Field::Protocol);
        if let Some(protocol) = protocol {
            push_protocol(out, protocol);
        }
        texts.push(out, br#""direction":"#, Field::FlowDirection);
        let (Some(source), Some(destination), Some(protocol)) = (source, destination, protocol) else {
            return;
        };
        if self.enrichment.community_id {
            let port = |field| row.number(field).and_then(|port| u16::try_from(port).ok());
            let ends = [
                (source, port(Field::Srcport)),
                (destination, port(Field::Dstport)),
            ];
            let protocol = u8::try_from(protocol).ok();
            let id = protocol.and_then(|protocol| community_id(protocol, ends[0], ends[1]));
            if let Some(id) = id {
                push_plain(out, br#""community_id":"#, id.as_bytes());
            }
        }
    }

    /// The fields of AWS that ECS has no name for, and the columns that nobody knows.
    fn write_raw(&mut self, out: &mut Vec<u8>, row: &Row<'_>, texts: Texts<'_, '_>) {
        for (member, value) in row.raw() {
            let member = member.as_bytes();
            match value {
                RawValue::Text(text) => texts.push_value(out, member, text),
                RawValue::Number(number) => push_number(out, member, number),
                RawValue::Tag(text) => {
                    // `+` is itself, and so is what is no escape.
                    self.decoded.clear();
                    self.decoded.extend(percent_decode(text));
                    push_string(out, member, &self.decoded);
                }
            }
        }
        if let Some(flags) = row.number(Field::TcpFlags) {
            push_tcp_flags(out, flags);
        }
        // What the interface saw is in `source` and `destination`; the packet's own ends are told where they differ.
        if row.address(Field::PktSrcaddr) != row.address(Field::Srcaddr) {
            write_address(out, br#""pkt_srcaddr":"#, row, Field::PktSrcaddr);
        }
        if row.address(Field::PktDstaddr) != row.address(Field::Dstaddr) {
            write_address(out, br#""pkt_dstaddr":"#, row, Field::PktDstaddr);
        }
        push_object(out, br#""sublocation":{"#, |out| {
            texts.push(out, br#""type":"#, Field::SublocationType);
            texts.push(out, br#""id":"#, Field::SublocationId);
        });
    }

    /// What follows from the record, and is neither AWS's nor ECS's.
    fn write_flowship(&mut self, out: &mut Vec<u8>, row: &Row<'_>) {
        if let Some(path) = row.text(Field::TrafficPath).and_then(traffic_path) {
            push_plain(out, br#""path":"#, path.as_bytes());
        }
        let Some(finder) = &mut self.zones else {
            return;
        };
        let zones = finder.find(row);
        let Some(rule) = zones.rule else {
            return;
        };
        write_zone(out, br#""source":{"#, zones.source);
        write_zone(out, br#""destination":{"#, zones.destination);
        push_plain(out, br#""zone_source":"#, rule.as_str().as_bytes());
        if let Some(is_same) = zones.is_same() {
            let crossing: &[u8] = if is_same { b"same" } else { b"cross" };
            push_plain(out, br#""zone_crossing":"#, crossing);
        }
    }
}

fn write_zone(out: &mut Vec<u8>, member: &[u8], zone: Option<ZoneId>) {
    if let Some(zone) = zone {
        push_object(out, member, |out| push_plain(out, br#""zone":"#, zone.as_bytes()));
    }
}

/// The texts of a row. Whether they need escaping is decided for the whole line at once.
#[derive(Clone, Copy)]
struct Texts<'r, 'a> {
    row: &'r Row<'a>,
    are_plain: bool,
}

impl<'r, 'a> Texts<'r, 'a> {
    fn of(row: &'r Row<'a>) -> Self {
        Self {
            row,
            are_plain: is_plain(row.line()),
        }
    }

    fn push(self, out: &mut Vec<u8>, member: &[u8], field: Field) {
        if let Some(text) = self.row.text(field) {
            self.push_value(out, member, text);
        }
    }

    fn push_value(self, out: &mut Vec<u8>, member: &[u8], text: &[u8]) {
        if self.are_plain {
            push_plain(out, member, text);
        } else {
            push_string(out, member, text);
        }
    }
}

fn write_cloud(out: &mut Vec<u8>, texts: Texts<'_, '_>) {
    out.extend_from_slice(br#""cloud":{"provider":"aws","#);
    push_object(out, br#""account":{"#, |out| {
        texts.push(out, br#""id":"#, Field::AccountId);
    });
    texts.push(out, br#""region":"#, Field::Region);
    texts.push(out, br#""availability_zone":"#, Field::AzId);
    push_object(out, br#""instance":{"#, |out| {
        texts.push(out, br#""id":"#, Field::InstanceId);
    });
    close_object(out);
    out.push(b',');
}

/// Bytes and packets are those of the sending side: a record covers one direction.
fn write_ends(out: &mut Vec<u8>, row: &Row<'_>) {
    push_object(out, br#""source":{"#, |out| {
        write_address(out, br#""ip":"#, row, Field::Srcaddr);
        write_number(out, br#""port":"#, row, Field::Srcport);
        write_number(out, br#""bytes":"#, row, Field::Bytes);
        write_number(out, br#""packets":"#, row, Field::Packets);
    });
    push_object(out, br#""destination":{"#, |out| {
        write_address(out, br#""ip":"#, row, Field::Dstaddr);
        write_number(out, br#""port":"#, row, Field::Dstport);
    });
}

fn write_address(out: &mut Vec<u8>, member: &[u8], row: &Row<'_>, field: Field) {
    if let (Some(address), Some(text)) = (row.address(field), row.text(field)) {
        push_address(out, member, address, text);
    }
}

fn write_number(out: &mut Vec<u8>, member: &[u8], row: &Row<'_>, field: Field) {
    if let Some(number) = row.number(field) {
        push_number(out, member, number);
    }
}

/// The ECS task that the traffic belongs to. (Elastic's ECS is the schema, Amazon's the container service.)
fn write_workload(out: &mut Vec<u8>, texts: Texts<'_, '_>) {
    push_object(out, br#""orchestrator":{"#, |out| {
        let before = out.len();
        push_object(out, br#""cluster":{"#, |out| {
            texts.push(out, br#""id":"#, Field::EcsClusterArn);
            texts.push(out, br#""name":"#, Field::EcsClusterName);
        });
        push_object(out, br#""resource":{"#, |out| {
            let before = out.len();
            texts.push(out, br#""name":"#, Field::EcsContainerInstanceArn);
            texts.push(out, br#""id":"#, Field::EcsContainerInstanceId);
            if out.len() > before {
                out.extend_from_slice(br#""type":"container","#);
            }
        });
        if out.len() > before {
            out.extend_from_slice(br#""type":"ecs","#);
        }
    });
    push_object(out, br#""container":{"#, |out| {
        texts.push(out, br#""id":"#, Field::EcsContainerId);
    });
    push_object(out, br#""service":{"#, |out| {
        texts.push(out, br#""name":"#, Field::EcsServiceName);
    });
}

#[cfg(test)]
mod tests;
