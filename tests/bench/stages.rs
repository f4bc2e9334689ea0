//! Each stage of the path by itself, on the records of one object: nanoseconds a record are 1,000 divided by criterion's
//! `Melem/s`.
//!
//! ```text
//! cargo bench --bench stages            # all
//! cargo bench --bench stages -- v5/row  # one
//! ```
//!
//! Times of one run can be compared with each other; for a change, count instructions (`tests/bench/instructions`).

#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "written for the integration tests, which read descriptions from files"
)]
#[path = "../support/mmdb.rs"]
mod mmdb;
mod objects;
mod places;
mod work;

use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use flowship::bulk::{Body, Packer};
use flowship::config::Environment;
use flowship::decode::{Content, Line};
use flowship::document::{DocumentId, DocumentWriter, ObjectHash};
use flowship::enrich::{CommunityIds, Enrichment};
use flowship::flow::{Columns, Field, Format, LineError};
use flowship::quarantine::Origin;
use flowship::ship::convert::{Closed, Converter, Stretch, Taker};

use objects::Fields;
use places::Places;
use work::{Counting, documents, open, with_places};

const NUM_RECORDS: u64 = 20_000;
const SEED: u64 = 7;
/// 25,600 networks with a city each.
const NETWORK_BITS: u8 = 16;

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30);
    targets = stages
}
criterion_main!(benches);

fn stages(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("there is a folder for temporary files");
    let places = Places::write(folder.path(), NETWORK_BITS);
    let plain = open(&Environment::of_process());
    let placed = open(&with_places(&places));
    for (name, fields) in [("v2", Fields::V2), ("v5", Fields::V5)] {
        let object = objects::object(fields, NUM_RECORDS, SEED);
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(NUM_RECORDS));
        of_bytes(&mut group, &object);
        let text = work::inflated(&object);
        let (header, records) = text.split_once('\n').expect("an object has a header");
        let format = Format::parse(header.as_bytes()).expect("the header is one of AWS");
        let lines: Vec<&[u8]> = records.lines().map(str::as_bytes).collect();
        of_records(&mut group, &format, &lines);
        for (name, enrichment) in [
            ("row and document", &plain.enrichment),
            ("row and document with places", &placed.enrichment),
        ] {
            of_documents(&mut group, name, &format, &lines, enrichment);
        }
        of_objects(&mut group, &object, &Converter::new(placed.clone()));
    }
}

type Group<'a> = BenchmarkGroup<'a, WallTime>;

fn of_bytes(group: &mut Group<'_>, object: &[u8]) {
    group.bench_function("inflate", |bencher| bencher.iter(|| work::inflate(object)));
    group.bench_function("inflate and lines", |bencher| {
        bencher.iter(|| {
            let mut content = Content::open(object).expect("the object is whole");
            while let Some(line) = content.next().expect("the object is whole") {
                black_box(matches!(line.line, Line::Whole(_)));
            }
        });
    });
}

fn of_records(group: &mut Group<'_>, format: &Format, lines: &[&[u8]]) {
    group.bench_function("row", |bencher| {
        let mut columns = Columns::default();
        bencher.iter(|| {
            for line in lines {
                let row = columns.parse(format, line).expect("the line is good");
                black_box(row.time(Field::End));
            }
        });
    });
    group.bench_function("id", |bencher| {
        let hash = ObjectHash::new("bucket", "key");
        let mut scratch = Vec::new();
        bencher.iter(|| {
            for (ordinal, line) in (0..).zip(lines) {
                let id = DocumentId::new(hash, 1_795_000_000, ordinal, line, &mut scratch);
                black_box(id.to_text());
            }
        });
    });
    let flows: Vec<_> = lines.iter().map(|line| flow(format, line)).collect();
    group.bench_function("community id", |bencher| {
        let mut ids = CommunityIds::default();
        bencher.iter(|| {
            for (protocol, source, destination) in &flows {
                let id = ids.get(*protocol, *source, *destination);
                black_box(id.map(|id| id.to_text()));
            }
        });
    });
}

type End = (IpAddr, Option<u16>);

/// Protocol, source and destination.
fn flow(format: &Format, line: &[u8]) -> (u8, End, End) {
    let mut columns = Columns::default();
    let row = columns.parse(format, line).expect("the line is good");
    let number = |field| u16::try_from(row.number(field).unwrap_or_default()).unwrap_or_default();
    let end = |address, port| {
        let address = row.address(address).expect("every record has addresses");
        (address, Some(number(port)))
    };
    let protocol = u8::try_from(number(Field::Protocol)).unwrap_or_default();
    let source = end(Field::Srcaddr, Field::Srcport);
    (protocol, source, end(Field::Dstaddr, Field::Dstport))
}

/// A row lives until the next one is parsed: what the document takes is the difference to `row`.
fn of_documents(
    group: &mut Group<'_>,
    name: &str,
    format: &Format,
    lines: &[&[u8]],
    enrichment: &Arc<Enrichment>,
) {
    group.bench_function(name, |bencher| {
        let mut columns = Columns::default();
        let mut writer = DocumentWriter::new(Arc::clone(enrichment));
        bencher.iter(|| {
            writer.start_object();
            for line in lines {
                let row = columns.parse(format, line).expect("the line is good");
                let timestamp = row.time(Field::End).unwrap_or_default();
                black_box(writer.write(&row, timestamp));
            }
        });
    });
}

fn of_objects(group: &mut Group<'_>, object: &[u8], converter: &Converter) {
    group.bench_function("object with places", |bencher| {
        bencher.iter(|| documents(object, converter, &mut Counting::default()));
    });
    let mut packing = Packing(Packer::new(4 << 20), Vec::new());
    documents(object, converter, &mut packing);
    let mut bodies = packing.1;
    bodies.extend(packing.0.take());
    group.bench_function("gzip of its bodies", |bencher| {
        bencher.iter(|| {
            for body in &bodies {
                black_box(body.compress(&body.positions()));
            }
        });
    });
}

/// Keeps the bodies.
struct Packing(Packer, Vec<Body>);

impl Taker for Packing {
    fn stretch(&mut self, stretch: Stretch) -> Result<(), Closed> {
        self.1.extend(self.0.push(stretch.segment));
        Ok(())
    }

    fn malformed(&mut self, origin: &Origin<'_>, error: &LineError) {
        panic!("{origin:?}: {error}");
    }
}
