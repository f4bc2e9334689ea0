//! Row → ECS document, id and index name. Everything once: other names of a value are field aliases in the mapping
//! (`index-templates/`), and `related.ip` is filled there by `copy_to`.
//!
//! Field meanings: Elastic Common Schema 8.11 and, for `aws.vpcflow.*`, Elastic's aws integration.

mod addresses;
mod date;
mod draft;
mod fields;
mod id;
mod json;
mod place;
mod rendered;

pub use date::{IndexNames, SECONDS_PER_DAY};
pub use fields::fields;
pub use id::{DocumentId, ObjectHash};

use std::sync::Arc;

use percent_encoding::percent_decode;

use crate::enrich::{CommunityIds, Enrichment, ZoneFinder, ZoneId, Zones};
use crate::flow::{Field, RawValue, Row, Text, traffic_path};
use addresses::Addresses;
use date::Dates;
use draft::{Draft, MAX_BLOCK_BYTES};
use json::are_plain;
use rendered::{put_protocol, put_tcp_flags};

/// The buffer for a document at first: all but the documents of records with long tags fit.
const INITIAL_BYTES: usize = 8 << 10;

/// Writes documents. Holds what repeats from record to record.
#[derive(Debug)]
pub struct DocumentWriter {
    parts: Parts,
    zones: Option<ZoneFinder>,
    buffer: Vec<u8>,
}

impl DocumentWriter {
    /// A writer of documents with these enrichments.
    pub fn new(enrichment: Arc<Enrichment>) -> Self {
        let map = enrichment.zones.as_ref();
        let zones = map.map(|map| ZoneFinder::new(Arc::clone(map)));
        let parts = Parts {
            enrichment,
            community_ids: CommunityIds::default(),
            dates: Dates::default(),
            addresses: Addresses::default(),
            decoded: Vec::new(),
        };
        Self {
            parts,
            zones,
            buffer: vec![0; INITIAL_BYTES],
        }
    }

    /// Begins an object: what the records of the last one said is forgotten.
    pub fn start_object(&mut self) {
        if let Some(zones) = &mut self.zones {
            zones.start_object();
        }
    }

    /// Whether documents depend on earlier rows of their object.
    pub fn learns(&self) -> bool {
        self.zones.is_some()
    }

    /// Takes a row, in its turn, for what it says about later ones.
    pub fn learn(&mut self, row: &Row<'_>) {
        if let Some(zones) = &mut self.zones {
            zones.find(row);
        }
    }

    /// The document of one row as JSON. `timestamp` is what `@timestamp` says, Unix seconds.
    pub fn write(&mut self, row: &Row<'_>, timestamp: u32) -> &[u8] {
        let zones = self.zones.as_mut().map(|finder| finder.find(row));
        let zones = zones.unwrap_or_default();
        loop {
            let mut draft = Draft::new(&mut self.buffer);
            self.parts.write(&mut draft, row, timestamp, &zones);
            let (fits, length) = (draft.fits(), draft.len());
            if fits {
                return &self.buffer[..length];
            }
            self.buffer.resize(2 * (length + MAX_BLOCK_BYTES), 0);
        }
    }
}

/// Everything but the buffer.
#[derive(Debug)]
struct Parts {
    enrichment: Arc<Enrichment>,
    community_ids: CommunityIds,
    dates: Dates,
    addresses: Addresses,
    decoded: Vec<u8>,
}

impl Parts {
    #[inline(always)]
    fn write(&mut self, draft: &mut Draft<'_>, row: &Row<'_>, timestamp: u32, zones: &Zones) {
        let texts = Texts::of(row);
        draft.put(br#"{"@timestamp":""#);
        self.dates.put(draft, timestamp);
        draft.put(br#"","ecs":{"version":"8.11.0"},"#);
        self.write_event(draft, row, texts);
        write_cloud(draft, texts);
        self.write_ends(draft, row);
        self.write_network(draft, row, texts);
        write_workload(draft, texts);
        self.write_raw(draft, row, texts);
        write_flowship(draft, row, zones);
        draft.close_object();
    }

    #[inline(always)]
    fn write_event(&mut self, draft: &mut Draft<'_>, row: &Row<'_>, texts: Texts<'_, '_>) {
        draft.put(br#""event":{"kind":"event","category":["network"],"type":["connection""#);
        match row.text(Field::Action) {
            Some(action) if action.is(b"ACCEPT") => {
                draft.put(br#","allowed"],"outcome":"success","dataset":"aws.vpcflow","action":"ACCEPT","#);
            }
            Some(action) if action.is(b"REJECT") => {
                draft.put(br#","denied"],"outcome":"failure","dataset":"aws.vpcflow","action":"REJECT","#);
            }
            _ => {
                draft.put(br#"],"dataset":"aws.vpcflow","#);
                texts.put(draft, br#""action":""#, Field::Action);
            }
        }
        texts.put(draft, br#""reason":""#, Field::RejectReason);
        if let Some(start) = row.time(Field::Start) {
            draft.put(br#""start":""#);
            self.dates.put(draft, start);
            draft.put(b"\",");
            if let Some(seconds) = row.time(Field::End).and_then(|end| end.checked_sub(start)) {
                // Nanoseconds: nine more zeros, unless it is none at all.
                draft.put(br#""duration":"#);
                draft.put_bytes(itoa::Buffer::new().format(seconds).as_bytes());
                draft.put_block(b"000000000", if seconds == 0 { 0 } else { 9 });
                draft.put(b",");
            }
        }
        draft.close_object();
        draft.put(b",");
    }

    /// Bytes and packets are those of the sending side: a record covers one direction.
    #[inline(always)]
    fn write_ends(&mut self, draft: &mut Draft<'_>, row: &Row<'_>) {
        let Self {
            addresses,
            enrichment,
            ..
        } = self;
        let geo = enrichment.geo.as_ref();
        draft.object(br#""source":{"#, |draft| {
            addresses.put(draft, row, Field::Srcaddr, geo);
            put_number(draft, br#""port":"#, row, Field::Srcport);
            put_number(draft, br#""bytes":"#, row, Field::Bytes);
            put_number(draft, br#""packets":"#, row, Field::Packets);
        });
        draft.object(br#""destination":{"#, |draft| {
            addresses.put(draft, row, Field::Dstaddr, geo);
            put_number(draft, br#""port":"#, row, Field::Dstport);
        });
    }

    #[inline(always)]
    fn write_network(&mut self, draft: &mut Draft<'_>, row: &Row<'_>, texts: Texts<'_, '_>) {
        let (source, destination) = (row.address(Field::Srcaddr), row.address(Field::Dstaddr));
        let protocol = row.number(Field::Protocol);
        let Self {
            enrichment,
            community_ids,
            ..
        } = self;
        let has_community_id = enrichment.community_id;
        draft.object(br#""network":{"#, |draft| {
            let is_ipv4 = source.or(destination).map(|address| address.is_ipv4());
            let is_ipv4 = is_ipv4.or_else(|| match row.bytes(Field::Type) {
                Some(b"IPv4") => Some(true),
                Some(b"IPv6") => Some(false),
                _ => None,
            });
            match is_ipv4 {
                Some(true) => draft.put(br#""type":"ipv4","#),
                Some(false) => draft.put(br#""type":"ipv6","#),
                None => {}
            }
            if let Some(protocol) = protocol {
                put_protocol(draft, protocol);
            }
            texts.put(draft, br#""direction":""#, Field::FlowDirection);
            let (Some(source), Some(destination), Some(protocol)) = (source, destination, protocol) else {
                return;
            };
            if has_community_id {
                let port = |field| row.number(field).and_then(|port| u16::try_from(port).ok());
                let ends = [
                    (source, port(Field::Srcport)),
                    (destination, port(Field::Dstport)),
                ];
                let protocol = u8::try_from(protocol).ok();
                let id = protocol.and_then(|protocol| community_ids.get(protocol, ends[0], ends[1]));
                if let Some(id) = id {
                    draft.put(br#""community_id":""#);
                    draft.put(&id.to_text());
                    draft.put(b"\",");
                }
            }
        });
    }

    /// The fields of AWS that ECS has no name for, and the columns that nobody knows.
    #[inline(always)]
    fn write_raw(&mut self, draft: &mut Draft<'_>, row: &Row<'_>, texts: Texts<'_, '_>) {
        let decoded = &mut self.decoded;
        let before = draft.len();
        draft.put(br#""aws":{"vpcflow":{"#);
        let start = draft.len();
        for (member, value) in row.raw() {
            draft.put_text(member);
            match value {
                RawValue::Text(text) => texts.put_value(draft, text),
                RawValue::Number(number, digits) => draft.put_number(number, digits),
                RawValue::Tag(text) => {
                    // `+` is itself, and so is what is no escape.
                    decoded.clear();
                    decoded.extend(percent_decode(text.as_bytes()));
                    draft.put_string(decoded);
                }
            }
        }
        if let Some(flags) = row.number(Field::TcpFlags) {
            put_tcp_flags(draft, flags);
        }
        // What the interface saw is in `source` and `destination`; the packet's own ends are told where they differ.
        put_differing(
            draft,
            br#""pkt_srcaddr":""#,
            row,
            Field::PktSrcaddr,
            Field::Srcaddr,
        );
        put_differing(
            draft,
            br#""pkt_dstaddr":""#,
            row,
            Field::PktDstaddr,
            Field::Dstaddr,
        );
        draft.object(br#""sublocation":{"#, |draft| {
            texts.put(draft, br#""type":""#, Field::SublocationType);
            texts.put(draft, br#""id":""#, Field::SublocationId);
        });
        if draft.len() == start {
            draft.truncate(before);
        } else {
            draft.close_object();
            draft.put(b"},");
        }
    }
}

/// What follows from the record, and is neither AWS's nor ECS's.
#[inline(always)]
fn write_flowship(draft: &mut Draft<'_>, row: &Row<'_>, zones: &Zones) {
    draft.object(br#""flowship":{"#, |draft| {
        if let Some(path) = row.bytes(Field::TrafficPath).and_then(traffic_path) {
            draft.put(br#""path":""#);
            draft.put_bytes(path.as_bytes());
            draft.put(b"\",");
        }
        let Some(rule) = zones.rule else {
            return;
        };
        put_zone(draft, br#""source":{"zone":""#, zones.source.as_ref());
        put_zone(draft, br#""destination":{"zone":""#, zones.destination.as_ref());
        draft.put(br#""zone_source":""#);
        draft.put_bytes(rule.as_str().as_bytes());
        match zones.is_same() {
            Some(true) => draft.put(br#"","zone_crossing":"same","#),
            Some(false) => draft.put(br#"","zone_crossing":"cross","#),
            None => draft.put(b"\","),
        }
    });
}

#[inline(always)]
fn put_zone<const N: usize>(draft: &mut Draft<'_>, member: &[u8; N], zone: Option<&ZoneId>) {
    if let Some(zone) = zone {
        draft.put(member);
        draft.put_block(zone.block(), zone.as_bytes().len());
        draft.put(br#""},"#);
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
            are_plain: are_plain(row.blocks()),
        }
    }

    /// A string member.
    #[inline(always)]
    fn put<const N: usize>(self, draft: &mut Draft<'_>, member: &[u8; N], field: Field) {
        if let Some(text) = self.row.text(field) {
            draft.put(member);
            self.put_value(draft, text);
        }
    }

    /// An object of one string member; `member` is both openings.
    #[inline(always)]
    fn put_object<const N: usize>(self, draft: &mut Draft<'_>, member: &[u8; N], field: Field) {
        if let Some(text) = self.row.text(field) {
            draft.put(member);
            self.put_value(draft, text);
            draft.close_object();
            draft.put(b",");
        }
    }

    #[inline(always)]
    fn put_value(self, draft: &mut Draft<'_>, text: Text<'_>) {
        if self.are_plain {
            draft.put_text(text);
            draft.put(b"\",");
        } else {
            draft.put_string(text.as_bytes());
        }
    }
}

#[inline(always)]
fn write_cloud(draft: &mut Draft<'_>, texts: Texts<'_, '_>) {
    draft.put(br#""cloud":{"provider":"aws","#);
    texts.put_object(draft, br#""account":{"id":""#, Field::AccountId);
    texts.put(draft, br#""region":""#, Field::Region);
    texts.put(draft, br#""availability_zone":""#, Field::AzId);
    texts.put_object(draft, br#""instance":{"id":""#, Field::InstanceId);
    draft.close_object();
    draft.put(b",");
}

#[inline(always)]
fn put_number<const N: usize>(draft: &mut Draft<'_>, member: &[u8; N], row: &Row<'_>, field: Field) {
    if let (Some(number), Some(digits)) = (row.number(field), row.text(field)) {
        draft.put(member);
        draft.put_number(number, digits);
    }
}

/// An address, where it is another one than that of `other`.
#[inline(always)]
fn put_differing<const N: usize>(
    draft: &mut Draft<'_>,
    member: &[u8; N],
    row: &Row<'_>,
    field: Field,
    other: Field,
) {
    if let (Some(address), Some(text)) = (row.address(field), row.text(field))
        && row.address(other) != Some(address)
    {
        draft.put(member);
        draft.put_address(address, text);
    }
}

/// The ECS task that the traffic belongs to. (Elastic's ECS is the schema, Amazon's the container service.)
#[inline(always)]
fn write_workload(draft: &mut Draft<'_>, texts: Texts<'_, '_>) {
    draft.object(br#""orchestrator":{"#, |draft| {
        let before = draft.len();
        draft.object(br#""cluster":{"#, |draft| {
            texts.put(draft, br#""id":""#, Field::EcsClusterArn);
            texts.put(draft, br#""name":""#, Field::EcsClusterName);
        });
        draft.object(br#""resource":{"#, |draft| {
            let before = draft.len();
            texts.put(draft, br#""name":""#, Field::EcsContainerInstanceArn);
            texts.put(draft, br#""id":""#, Field::EcsContainerInstanceId);
            if draft.len() > before {
                draft.put(br#""type":"container","#);
            }
        });
        if draft.len() > before {
            draft.put(br#""type":"ecs","#);
        }
    });
    texts.put_object(draft, br#""container":{"id":""#, Field::EcsContainerId);
    texts.put_object(draft, br#""service":{"name":""#, Field::EcsServiceName);
}

#[cfg(test)]
mod tests;
