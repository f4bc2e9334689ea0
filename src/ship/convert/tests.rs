//! Objects in memory → summaries and NDJSON.

use super::*;
use crate::bulk::Packer;
use crate::enrich::{NetworkMap, geo_tests};
use crate::outcome::Reason;
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use serde_json::Value;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;

mod json;
mod kept;
mod resumed;
mod rows;

const HEADER: &str = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status";
const GOOD: &str = "2 123456789010 eni-1 10.0.0.1 10.0.0.2 1 2 6 3 4 1418530010 1418530070 ACCEPT OK";

fn settings() -> ConvertSettings {
    ConvertSettings {
        index_prefix: "flowlogs".into(),
        keep_no_data: false,
        format: None,
        enrichment: Arc::default(),
        keep_lines: false,
    }
}

/// Packs everything, or takes nothing at all.
struct Packing(Option<Packer>);

impl Taker for Packing {
    fn stretch(&mut self, stretch: Stretch) -> Result<(), Closed> {
        let packer = self.0.as_mut().ok_or(Closed)?;
        assert!(packer.push(stretch.segment).is_none());
        Ok(())
    }

    fn malformed(&mut self, _origin: &Origin<'_>, _error: &LineError) {}
}

fn source() -> Source {
    let object = ObjectRef {
        bucket: "b".into(),
        key: "k".into(),
        version_id: None,
    };
    Source::new(&object, Some(1_418_530_000))
}

fn run(object: &[u8], settings: &ConvertSettings) -> (ReadSummary, String) {
    let mut packing = Packing(Some(Packer::new(usize::MAX)));
    let reader = BufReader::with_capacity(37, object);
    let summary = Converter::new(settings.clone()).convert(reader, 0, &source(), &mut packing);
    let text = packing
        .0
        .unwrap()
        .take()
        .map(|body| body.to_ndjson())
        .unwrap_or_default();
    (summary, text)
}

fn ids(ndjson: &str) -> Vec<String> {
    let action = |line: &str| -> Value { serde_json::from_str(line).unwrap() };
    ndjson
        .lines()
        .step_by(2)
        .map(|line| action(line)["create"]["_id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn header_and_blank_lines_are_not_lines() {
    let text = format!("\u{feff}{HEADER}\r\n{GOOD}\r\n\r\n{GOOD}\n   \n{HEADER}\n{GOOD}");
    let (summary, ndjson) = run(text.as_bytes(), &settings());
    assert_eq!(
        (summary.counts.lines, summary.counts.malformed, summary.failure),
        (3, 0, None)
    );
    let ids = ids(&ndjson);
    assert!(
        ids[0] != ids[1] && ids[1] != ids[2],
        "equal lines stay different documents"
    );
    assert!(
        ndjson.starts_with(r#"{"create":{"_index":"flowlogs-vpc-2014.12.14","_id":"VI0N"#),
        "{ndjson}"
    );
}

#[test]
fn ids_do_not_depend_on_what_became_of_the_neighbours() {
    let no_data = "2 1 eni-1 - - - - - - - 1431280876 1431280934 - NODATA";
    let with = |between: &str| ids(&run(format!("{HEADER}\n{between}\n{GOOD}\n").as_bytes(), &settings()).1);
    assert_eq!(with(no_data), with("not a flow record"));
    let kept = ConvertSettings {
        keep_no_data: true,
        ..settings()
    };
    let all = ids(&run(format!("{HEADER}\n{no_data}\n{GOOD}\n").as_bytes(), &kept).1);
    assert_eq!(all[1..], with(no_data));
}

#[test]
fn a_bad_line_costs_that_line_and_is_named() {
    let text = format!("{HEADER}\n{GOOD}\n2 1 eni\n{GOOD}\n{}\n", "x".repeat(100_000));
    let (summary, ndjson) = run(text.as_bytes(), &settings());
    assert_eq!(
        (summary.counts.lines, summary.counts.malformed, ids(&ndjson).len()),
        (4, 2, 2)
    );
    let (line_number, error) = summary.counts.first_malformed.unwrap();
    assert_eq!(
        (line_number, error.to_string()),
        (3, "has 3 columns, the format has 14".to_owned())
    );
}

#[test]
fn without_a_header_only_the_default_format_is_taken() {
    assert_eq!(ids(&run(format!("{GOOD}\n").as_bytes(), &settings()).1).len(), 1);
    let (summary, _) = run(b"some text\n", &settings());
    assert_eq!(summary.failure.unwrap().reason, Reason::FormatUnknown);
}

#[test]
fn lines_before_a_header_that_cannot_be_used_are_handed_on() {
    let text = format!("{HEADER}\n{GOOD}\n{GOOD}\nsrcaddr srcaddr\n{GOOD}\n");
    let (summary, ndjson) = run(text.as_bytes(), &settings());
    assert_eq!(summary.failure.unwrap().reason, Reason::FormatInvalid);
    assert_eq!((summary.counts.lines, ids(&ndjson).len()), (2, 2));
}

#[test]
fn an_empty_object_and_a_header_alone_hold_no_lines() {
    for text in ["", "\n", HEADER] {
        assert_eq!(
            run(text.as_bytes(), &settings()).0,
            ReadSummary::default(),
            "{text:?}"
        );
    }
}

#[test]
fn a_record_without_a_time_takes_the_objects() {
    let (summary, ndjson) = run(b"srcaddr dstaddr\n10.0.0.1 10.0.0.2\n", &settings());
    assert_eq!(summary.counts.malformed, 0);
    assert!(
        ndjson.contains(r#""@timestamp":"2014-12-14T04:06:40Z""#),
        "{ndjson}"
    );
}

#[test]
fn lines_before_the_damage_are_handed_on_with_their_lasting_ids() {
    let text = format!("{HEADER}\n{}", format!("{GOOD}\n").repeat(5000));
    let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
    encoder.write_all(text.as_bytes()).unwrap();
    let whole = encoder.finish().unwrap();
    let (all, whole_ndjson) = run(&whole, &settings());
    let (some, cut_ndjson) = run(&whole[..whole.len() / 2], &settings());
    assert_eq!((all.counts.lines, all.failure), (5000, None));
    assert_eq!(some.failure.unwrap().reason, Reason::DecodeTruncatedGzip);
    let num_cut = usize::try_from(some.counts.lines).unwrap();
    assert!(num_cut > 1000 && num_cut < 5000);
    assert_eq!(ids(&cut_ndjson), ids(&whole_ndjson)[..num_cut]);
}

#[test]
fn a_taker_that_takes_no_more_ends_the_reading() {
    let text = format!("{HEADER}\n{}", format!("{GOOD}\n").repeat(5000));
    let summary = Converter::new(settings()).convert(text.as_bytes(), 0, &source(), &mut Packing(None));
    let nothing = ReadSummary {
        is_stopped: true,
        ..ReadSummary::default()
    };
    assert_eq!(summary, nothing, "what was not taken does not count");
}

/// Settings with the geo databases that the known objects named `geo` are converted with.
fn with_geo() -> ConvertSettings {
    ConvertSettings {
        keep_no_data: true,
        enrichment: Arc::new(Enrichment {
            geo: Some(geo_tests::known()),
            ..Enrichment::default()
        }),
        ..settings()
    }
}

/// The network map of a known object: the files beside it.
pub(super) fn known_map(object: &Path) -> NetworkMap {
    let start = format!("{}.map", object.file_stem().unwrap().to_str().unwrap());
    let files = std::fs::read_dir(object.parent().unwrap()).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let files = files.filter(|path| name(path).starts_with(&start));
    NetworkMap::read(files.map(|path| (name(&path), File::open(&path).unwrap()))).unwrap()
}

/// The objects of `tests/data/flowlogs-known`, whose README says where they come from.
#[test]
fn known_objects_have_their_known_documents() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/flowlogs-known");
    let geo = with_geo();
    let parse = |line: &str| -> Value { serde_json::from_str(line).unwrap() };
    let mut num_objects = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.ends_with(".ndjson") || name.contains(".map") || name == "README.md" {
            continue;
        }
        num_objects += 1;
        // An object in another form has the documents of its text.
        let (text_name, _form) = name.split_once('.').unwrap();
        let expected = std::fs::read_to_string(folder.join(format!("{text_name}.expected.ndjson"))).unwrap();
        let expected: Vec<Value> = expected.lines().map(parse).collect();

        let zones = ConvertSettings {
            keep_no_data: true,
            enrichment: Arc::new(Enrichment {
                zones: Some(Arc::new(known_map(&path))),
                ..Enrichment::default()
            }),
            ..settings()
        };
        let settings = if name.starts_with("geo") { &geo } else { &zones };
        let (summary, ndjson) = run(&std::fs::read(&path).unwrap(), settings);
        assert_eq!(
            (summary.counts.first_malformed, summary.failure),
            (None, None),
            "{name}"
        );
        let lines: Vec<Value> = ndjson.lines().map(parse).collect();
        assert_eq!(lines.len(), 2 * expected.len(), "{name}");
        let dataset = if name.starts_with("tgw") { "tgw" } else { "vpc" };
        for (number, (pair, expected)) in lines.chunks(2).zip(&expected).enumerate() {
            assert_eq!(&pair[1], expected, "{name}, record {}", number + 1);
            let day = expected["@timestamp"]
                .as_str()
                .unwrap()
                .split('T')
                .next()
                .unwrap();
            let index = format!("flowlogs-{dataset}-{}", day.replace('-', "."));
            assert_eq!(pair[0]["create"]["_index"], index, "{name}");
        }
    }
    assert!(num_objects >= 33, "only {num_objects} objects were found");
}

/// Enrichment adds members to documents; their ids, their indices, the counters and all else stay as they are.
#[test]
fn geo_changes_nothing_but_documents() {
    let ends = |text: &str| -> String {
        let lines = geo_tests::ADDRESSES.iter().enumerate();
        let lines = lines.map(|(number, address)| {
            let other = geo_tests::ADDRESSES[(number + 5) % geo_tests::ADDRESSES.len()];
            text.replace("10.0.0.1", address).replace("10.0.0.2", other)
        });
        lines.collect::<Vec<_>>().join("\n")
    };
    let text = format!(
        "{HEADER}\n{}\n{GOOD} \nbad\n- - - - - - - - - - 1 2 - NODATA\n",
        ends(GOOD)
    );
    let plain_settings = ConvertSettings {
        keep_no_data: true,
        ..settings()
    };
    let (plain, with) = (
        run(text.as_bytes(), &plain_settings),
        run(text.as_bytes(), &with_geo()),
    );
    assert_eq!(plain.0, with.0);
    assert!(plain.0.counts.malformed > 0 && plain.1 != with.1);
    let without_geo = |line: &str| {
        let mut value: Value = serde_json::from_str(line).unwrap();
        for end in ["source", "destination"] {
            if let Some(end) = value.get_mut(end).and_then(Value::as_object_mut) {
                end.remove("geo");
                end.remove("as");
            }
        }
        value
    };
    assert_eq!(plain.1.lines().count(), with.1.lines().count());
    for (plain, with) in plain.1.lines().zip(with.1.lines()) {
        assert_eq!(without_geo(plain), without_geo(with));
        assert_eq!(without_geo(plain), serde_json::from_str::<Value>(plain).unwrap());
    }
}

#[test]
fn a_header_in_the_middle_switches_format_and_dataset() {
    let text = format!("{HEADER}\n{GOOD}\nend tgw-id\n1418530070 tgw-1\n{HEADER}\n{GOOD}\n");
    let (summary, ndjson) = run(text.as_bytes(), &settings());
    assert_eq!(
        (summary.counts.lines, summary.counts.malformed, summary.failure),
        (3, 0, None)
    );
    let index =
        |line: &str| -> Value { serde_json::from_str::<Value>(line).unwrap()["create"]["_index"].take() };
    let indices: Vec<Value> = ndjson.lines().step_by(2).map(index).collect();
    let (vpc, tgw) = ("flowlogs-vpc-2014.12.14", "flowlogs-tgw-2014.12.14");
    assert_eq!(indices, [vpc, tgw, vpc]);
}

#[test]
fn a_column_that_stands_twice_fails_the_object() {
    let (summary, _) = run(b"end tgw-id transit-gateway-id\n", &settings());
    assert_eq!(summary.failure.unwrap().reason, Reason::FormatInvalid);
}

#[test]
fn the_community_id_can_be_left_out() {
    let settings = ConvertSettings {
        enrichment: Arc::new(Enrichment {
            community_id: false,
            ..Enrichment::default()
        }),
        ..settings()
    };
    let text = format!("{HEADER}\n{GOOD}\n");
    assert!(run(text.as_bytes(), &self::settings()).1.contains("community_id"));
    assert!(!run(text.as_bytes(), &settings).1.contains("community_id"));
}

#[test]
fn nul_bytes_and_endless_lines_cost_their_line() {
    let endless = "x".repeat(10 << 20);
    let with_nul = GOOD.replace("ACCEPT", "A\0B");
    let text = format!(
        "{HEADER}\n{endless}\n{}\n{with_nul}\n{GOOD}\n",
        GOOD.replace("10.0.0.1", "10.0\0.1")
    );
    let (summary, ndjson) = run(text.as_bytes(), &settings());
    assert_eq!(
        (summary.counts.lines, summary.counts.malformed, ids(&ndjson).len()),
        (4, 2, 2)
    );
    let document: Value = serde_json::from_str(ndjson.lines().nth(1).unwrap()).unwrap();
    assert_eq!(document["event"]["action"], "A\0B");
}

#[test]
fn a_gzip_bomb_is_one_long_line() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    std::io::copy(&mut std::io::repeat(b'0').take(64 << 20), &mut encoder).unwrap();
    let (summary, ndjson) = run(&encoder.finish().unwrap(), &settings());
    assert_eq!(
        (summary.counts.lines, summary.counts.malformed, summary.failure),
        (1, 1, None)
    );
    assert_eq!(ndjson, "");
}

/// Lines of every sort: good, absent, broken, headers, and anything at all.
fn any_line() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        GOOD,
        HEADER,
        "",
        "2 1 eni-1 - - - - - - - 1431280876 1431280934 - NODATA",
        "2 1 eni-1 - - - - - - - - - - -",
        "2 1 eni-1",
        "srcaddr dstaddr tgw-id",
        "10.0.0.1 ::1 tgw-1",
        "interface-id vpc-id az-id flow-direction srcaddr dstaddr end",
        "eni-1 vpc-1 use1-az1 egress 10.0.0.1 10.0.0.2 1418530070",
        "eni-2 vpc-1 use1-az2 egress 10.0.0.2 10.0.0.1 1418530070",
    ]);
    prop_oneof![
        8 => known.prop_map(|line| line.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..80),
        1 => "[a-z0-9. :%-]{0,60}".prop_map(String::into_bytes),
    ]
}

proptest! {
    #[test]
    fn every_line_is_counted_once_whatever_it_is(lines in prop::collection::vec(any_line(), 0..40)) {
        let object = lines.join(&b'\n');
        let (summary, ndjson) = run(&object, &settings());
        let documents = ids(&ndjson);
        let num_documents = u64::try_from(documents.len()).unwrap();
        prop_assert_eq!(summary.counts.lines, num_documents + summary.counts.malformed + summary.counts.no_data);
        for line in ndjson.lines() {
            prop_assert!(serde_json::from_str::<Value>(line).is_ok(), "{}", line);
        }
        // What documents are enriched with changes neither ids, nor indices, nor counters.
        let enrichment = Arc::new(Enrichment { community_id: false, geo: None, zones: None });
        let (plain_summary, plain) = run(&object, &ConvertSettings { enrichment, ..settings() });
        let actions = |ndjson: &str| ndjson.lines().step_by(2).map(str::to_owned).collect::<Vec<_>>();
        prop_assert_eq!((&plain_summary, actions(&plain)), (&summary, actions(&ndjson)));
        // Compressed in two members, the same object makes the same documents.
        let mut compressed = Vec::new();
        for half in [&object[..object.len() / 2], &object[object.len() / 2..]] {
            let mut encoder = GzEncoder::new(&mut compressed, Compression::fast());
            encoder.write_all(half).unwrap();
            encoder.finish().unwrap();
        }
        if !object.is_empty() && !object.starts_with(&[0x1f, 0x8b]) && !object.starts_with(b"PAR1") {
            prop_assert_eq!(run(&compressed, &settings()), (summary, ndjson));
        }
    }
}
