//! Parquet objects in memory → summaries and NDJSON.

use parquet::basic::Compression as Codec;
use parquet::file::properties::WriterProperties;

use super::*;
use crate::decode::samples::{Values, file};

fn plain() -> WriterProperties {
    WriterProperties::builder().build()
}

/// An object with one row group, all of whose columns are texts.
pub(super) fn of_texts(names: &[&str], rows: &[Vec<&str>]) -> Vec<u8> {
    let columns: Vec<String> = names
        .iter()
        .map(|name| format!("optional binary {name} (utf8);"))
        .collect();
    let schema = format!("message flow {{ {} }}", columns.concat());
    let values = |column: usize| {
        let column: Vec<&str> = rows.iter().map(|row| row[column]).collect();
        Values::text(&column)
    };
    file(&schema, &[(0..names.len()).map(values).collect()], plain())
}

fn documents(ndjson: &str) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap();
    ndjson.lines().skip(1).step_by(2).map(parse).collect()
}

#[test]
fn a_bad_value_costs_its_row_and_is_named() {
    let rows = [
        vec!["10.0.0.1", "443", "1418530070"],
        vec!["10.0.0.1", "443.5", "1418530070"],
        vec!["10.0.0.1", "443", "1418530070"],
    ];
    let (summary, ndjson) = run(&of_texts(&["srcaddr", "srcport", "end"], &rows), &settings());
    assert_eq!(
        (summary.counts.lines, summary.counts.malformed, ids(&ndjson).len()),
        (3, 1, 2)
    );
    let (row_number, error) = summary.counts.first_malformed.unwrap();
    assert_eq!(
        (row_number, error.to_string()),
        (
            2,
            "column `srcport` holds `443.5`, not a whole number up to 65535".to_owned()
        )
    );
}

#[test]
fn a_value_with_blanks_shifts_no_column() {
    let rows = [vec!["10.0.0.1", "two words", "1418530070"]];
    let (_, ndjson) = run(&of_texts(&["srcaddr", "note", "end"], &rows), &settings());
    let document = &documents(&ndjson)[0];
    assert_eq!(document["aws"]["vpcflow"]["note"], "two words");
    assert_eq!(document["@timestamp"], "2014-12-14T04:07:50Z");
}

#[test]
fn a_row_is_never_taken_for_a_header() {
    let rows = [vec!["srcaddr", "end"], vec!["action", "start"]];
    let (summary, _) = run(&of_texts(&["vpc_id", "subnet_id"], &rows), &settings());
    assert_eq!(
        (summary.counts.lines, summary.counts.malformed, summary.failure),
        (2, 0, None)
    );
}

#[test]
fn columns_without_a_field_and_columns_that_stand_twice_fail_the_object() {
    let reason = |names: &[&str]| run(&of_texts(names, &[]), &settings()).0.failure.unwrap().reason;
    assert_eq!(reason(&["id", "value"]), Reason::FormatUnknown);
    assert_eq!(reason(&["srcaddr", "az_id", "az-id"]), Reason::FormatInvalid);
}

#[test]
fn a_file_without_rows_holds_no_lines() {
    assert_eq!(run(&of_texts(&["srcaddr"], &[]), &settings()), Default::default());
}

#[test]
fn a_file_inside_gzip_is_read_too() {
    let object = of_texts(&["srcaddr", "end"], &[vec!["10.0.0.1", "1418530070"]]);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&object).unwrap();
    assert_eq!(
        run(&encoder.finish().unwrap(), &settings()),
        run(&object, &settings())
    );
}

/// The default format as AWS says it of Parquet files.
const SCHEMA: &str = "message flow {
    optional int32 version; optional binary account_id (utf8); optional binary interface_id (utf8);
    optional binary srcaddr (utf8); optional binary dstaddr (utf8); optional int32 srcport; optional int32 dstport;
    optional int32 protocol; optional int64 packets; optional int64 bytes; optional int64 start; optional int64 end;
    optional binary action (utf8); optional binary log_status (utf8);
}";

/// Text records of the default format as the columns of [`SCHEMA`].
fn columns(records: &[Vec<String>]) -> Vec<Values> {
    let int32 = |column: usize| {
        records
            .iter()
            .map(move |record| record[column].parse().ok())
            .collect()
    };
    let int64 = |column: usize| {
        records
            .iter()
            .map(move |record| record[column].parse().ok())
            .collect()
    };
    let texts = |column: usize| {
        let text = move |record: &Vec<String>| Some(record[column].clone().into_bytes());
        records.iter().map(text).collect()
    };
    (0..14)
        .map(|column| match column {
            0 | 5..=7 => Values::Int32(int32(column)),
            8..=11 => Values::Int64(int64(column)),
            _ => Values::Text(texts(column)),
        })
        .collect()
}

/// Any record of the default format that AWS could write.
fn any_record() -> impl Strategy<Value = Vec<String>> {
    let or_absent =
        |text: &'static str| prop_oneof![5 => text.prop_map(String::from), 1 => Just("-".to_owned())];
    let number =
        |max: i64| prop_oneof![5 => (0..=max).prop_map(|value| value.to_string()), 1 => Just("-".to_owned())];
    let address = || {
        prop_oneof![
            any::<std::net::Ipv4Addr>().prop_map(|address| address.to_string()),
            any::<std::net::Ipv6Addr>().prop_map(|address| address.to_string()),
            Just("-".to_owned()),
        ]
    };
    let word = |words: &'static [&'static str]| prop::sample::select(words).prop_map(String::from);
    let head = (
        number(9),
        or_absent("[0-9]{12}"),
        or_absent("eni-[0-9a-f]{17}"),
        address(),
        address(),
    );
    let numbers = (
        number(65_535),
        number(65_535),
        number(255),
        number(i64::MAX),
        number(i64::MAX),
    );
    let times = (number(2_000_000_000), number(2_000_000_000));
    let words = (
        word(&["ACCEPT", "REJECT", "-"]),
        word(&["OK", "NODATA", "SKIPDATA"]),
    );
    (head, numbers, times, words).prop_map(|(a, b, c, d)| {
        let record = [
            a.0, a.1, a.2, a.3, a.4, b.0, b.1, b.2, b.3, b.4, c.0, c.1, d.0, d.1,
        ];
        record.to_vec()
    })
}

proptest! {
    #[test]
    fn text_and_parquet_of_the_same_records_give_the_same(
        groups in prop::collection::vec(prop::collection::vec(any_record(), 0..20), 0..4),
        compressed: bool,
    ) {
        let mut text = format!("{HEADER}\n");
        for record in groups.iter().flatten() {
            text.push_str(&record.join(" "));
            text.push('\n');
        }
        let codec = if compressed { Codec::GZIP(Default::default()) } else { Codec::UNCOMPRESSED };
        let properties = WriterProperties::builder().set_compression(codec).build();
        let groups: Vec<_> = groups.iter().map(|records| columns(records)).collect();
        let (summary, ndjson) = run(&file(SCHEMA, &groups, properties), &settings());
        // Even the ids are the same: a row is the line that the text form has.
        prop_assert_eq!((summary, ndjson), run(text.as_bytes(), &settings()));
    }
}
