//! Nothing is allocated per record once the buffers have grown: a counting allocator for the unit tests, and the test.
#![allow(
    unsafe_code,
    reason = "an allocator that counts cannot be written without; it is part of no program"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;

use parquet::file::properties::WriterProperties;

use super::*;
use crate::decode::samples::{Values, file};
use crate::enrich::geo_tests;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    /// Of this thread: tests run side by side.
    static NUM_ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: everything is the system allocator's; counting touches a thread-local that needs no memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        NUM_ALLOCATIONS.set(NUM_ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises are the system allocator's conditions.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        NUM_ALLOCATIONS.set(NUM_ALLOCATIONS.get() + 1);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, new_size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Everything that happens to a record, over and over, in the buffers that all records share.
#[test]
fn a_record_of_a_known_kind_allocates_nothing() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/flowlogs-known");
    let hash = ObjectHash::new("bucket", "key");
    let mut num_objects = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "log") {
            continue;
        }
        num_objects += 1;
        let text = std::fs::read(&path).unwrap();
        let mut lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let format = Format::parse(lines.next().unwrap()).unwrap();
        let lines: Vec<&[u8]> = lines.collect();

        let enrichment = Enrichment {
            geo: Some(geo_tests::known()),
            zones: Some(Arc::new(tests::known_map(&path))),
            ..Enrichment::default()
        };
        let mut writer = DocumentWriter::new(Arc::new(enrichment));
        let mut columns = Columns::default();
        let mut names = IndexNames::new("flowlogs", format.dataset().name());
        let (mut scratch, mut out, mut attached) = (Vec::new(), Vec::new(), Vec::new());
        let mut all_records = || {
            out.clear();
            writer.start_object();
            attached.clear();
            for (ordinal, line) in (0..).zip(&lines) {
                assert!(!is_header(line));
                let row = columns.parse(&format, line).unwrap();
                let timestamp = row.time(Field::End).unwrap_or_default();
                let id = DocumentId::new(hash, timestamp, ordinal, line, &mut scratch);
                out.extend_from_slice(names.at(timestamp).as_bytes());
                out.extend_from_slice(&id.to_text());
                out.extend_from_slice(writer.write(&row, timestamp));
                let origin = Origin {
                    line_number: ordinal + 1,
                    offset: Some(0),
                    ordinal,
                    format: Some(0),
                    line: Line::Whole(line),
                };
                origin.write(&mut attached);
            }
            NUM_ALLOCATIONS.get()
        };
        let warm = all_records();
        assert!(warm > 0, "nothing is counted");
        assert_eq!(all_records() - warm, 0, "{}", path.display());
    }
    assert!(num_objects > 0);
}

/// An object of so many records, in one of the forms that are read.
type Form = fn(usize) -> Vec<u8>;

const RECORD: &str = "2 123456789010 eni-1 10.0.0.1 10.0.0.2 1 2 6 3 4 1418530010 1418530070 ACCEPT OK";

fn text(num_records: usize) -> Vec<u8> {
    format!("{RECORD}\n").repeat(num_records).into_bytes()
}

fn wrapped(num_records: usize) -> Vec<u8> {
    format!("{{\"message\":\"{RECORD}\"}}")
        .repeat(num_records)
        .into_bytes()
}

fn events(num_records: usize) -> Vec<u8> {
    let event = format!("{{\"id\":\"1\",\"timestamp\":1418530010000,\"message\":\"{RECORD}\"}}");
    let events = vec![event; num_records].join(",");
    format!("{{\"messageType\":\"DATA_MESSAGE\",\"logEvents\":[{events}]}}").into_bytes()
}

fn parquet(num_records: usize) -> Vec<u8> {
    let texts = |text: &'static str| Values::text(&vec![text; num_records]);
    let numbers = Values::Int64((0..).map(Some).take(num_records).collect());
    let schema = "message flow {
        optional int64 bytes; optional binary srcaddr (utf8); optional binary action (utf8);
    }";
    let columns = vec![numbers, texts("10.0.0.1"), texts("ACCEPT")];
    file(schema, &[columns], WriterProperties::default())
}

/// What is allocated is for the object, its pages and its batches.
#[test]
fn reading_a_record_of_any_form_allocates_nothing() {
    let forms: [(&str, Form); 4] = [
        ("text", text),
        ("wrapped", wrapped),
        ("events", events),
        ("parquet", parquet),
    ];
    for (name, form) in forms {
        let allocations = |num_records: usize| {
            let object = form(num_records);
            let before = NUM_ALLOCATIONS.get();
            let mut content = Content::open(&object[..]).unwrap();
            let mut num_read = 0;
            while content.next().unwrap().is_some() {
                num_read += 1;
            }
            assert_eq!(num_read, num_records, "{name}");
            NUM_ALLOCATIONS.get() - before
        };
        let more = allocations(20_000).saturating_sub(allocations(10_000));
        assert!(more < 100, "{name}: {more} for 10,000 records");
    }
}
