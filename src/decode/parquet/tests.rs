//! Parquet files in memory → lines.

use parquet::basic::{BrotliLevel, Compression};
use parquet::data_type::Int96;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder, WriterVersion};
use proptest::prelude::*;

use super::check_compression;
use super::samples::{Values, file};
use crate::decode::{Content, DecodeError, Line, MAX_LINE_BYTES, Placed};
use crate::outcome::Reason;

fn plain() -> WriterPropertiesBuilder {
    WriterProperties::builder()
}

/// The rows as lines, with their values each by itself, and what came after.
fn read(bytes: &[u8]) -> (Vec<Vec<String>>, Result<(), DecodeError>) {
    let mut rows = Vec::new();
    let mut content = match Content::open(bytes) {
        Ok(content) => content,
        Err(error) => return (rows, Err(error)),
    };
    loop {
        match content.next() {
            Ok(Some(Placed {
                line: Line::Row { line, spans },
                ..
            })) => {
                let text =
                    |span: &(usize, usize)| String::from_utf8_lossy(&line[span.0..span.1]).into_owned();
                let values: Vec<String> = spans.iter().map(text).collect();
                assert_eq!(values.join(" "), String::from_utf8_lossy(line));
                rows.push(values);
            }
            Ok(Some(Placed { line, .. })) => rows.push(vec![format!("{line:?}")]),
            Ok(None) => return (rows, Ok(())),
            Err(error) => return (rows, Err(error)),
        }
    }
}

fn rows(bytes: &[u8]) -> Vec<Vec<String>> {
    let (rows, end) = read(bytes);
    end.unwrap();
    rows
}

/// One column, one row group.
fn column(column_type: &str, values: Values) -> Vec<String> {
    let schema = format!("message flow {{ optional {column_type}; }}");
    let rows = rows(&file(&schema, &[vec![values]], plain().build()));
    rows.into_iter().map(|mut row| row.pop().unwrap()).collect()
}

/// Two columns, so many row groups of so many rows.
fn flows(num_groups: usize, num_rows: usize, properties: WriterPropertiesBuilder) -> Vec<u8> {
    let group = |group: usize| {
        let number = |row: usize| i64::try_from(group * num_rows + row).unwrap();
        let numbers = (0..num_rows).map(|row| Some(number(row)).filter(|number| number % 7 != 0));
        let texts = (0..num_rows).map(|row| Some(format!("i-{}", number(row) % 50).into_bytes()));
        vec![Values::Int64(numbers.collect()), Values::Text(texts.collect())]
    };
    let schema = "message flow { optional int64 bytes; optional binary instance_id (utf8); }";
    let groups: Vec<_> = (0..num_groups).map(group).collect();
    file(schema, &groups, properties.build())
}

#[test]
fn values_of_every_type_are_said_as_text() {
    let int32 = |column_type| column(column_type, Values::Int32(vec![Some(443), None, Some(-1)]));
    assert_eq!(int32("int32 srcport"), ["443", "-", "-1"]);
    assert_eq!(int32("int32 srcport (uint_32)"), ["443", "-", "4294967295"]);
    assert_eq!(
        int32("int32 srcport (integer(32, false))"),
        ["443", "-", "4294967295"]
    );
    let int64 = |column_type, value| column(column_type, Values::Int64(vec![Some(value), None]));
    assert_eq!(int64("int64 bytes", i64::MAX), ["9223372036854775807", "-"]);
    assert_eq!(int64("int64 bytes (uint_64)", -1), ["18446744073709551615", "-"]);
    assert_eq!(int64("int64 bytes (decimal(18, 0))", 40), ["40", "-"]);
    for (unit, parts) in [("MILLIS", 1_000), ("MICROS", 1_000_000), ("NANOS", 1_000_000_000)] {
        let column_type = format!("int64 end (timestamp({unit}, true))");
        let value = 1_418_530_070 * parts + parts - 1;
        assert_eq!(
            column(&column_type, Values::Int64(vec![Some(value)])),
            ["1418530070"]
        );
    }
    assert_eq!(
        int64("int64 end (timestamp_millis)", 1_418_530_070_123),
        ["1418530070", "-"]
    );
    assert_eq!(
        int64("int64 end (timestamp_micros)", 1_418_530_070_123_456),
        ["1418530070", "-"]
    );
    // 2014-12-14, Julian day 2457006, at 04:07:50.
    let mut time = Int96::new();
    let nanoseconds = (4 * 3600 + 7 * 60 + 50) * 1_000_000_000_u64;
    time.set_data(
        u32::try_from(nanoseconds & 0xffff_ffff).unwrap(),
        u32::try_from(nanoseconds >> 32).unwrap(),
        2_457_006,
    );
    assert_eq!(
        column("int96 end", Values::Int96(vec![Some(time), None])),
        ["1418530070", "-"]
    );
    let doubles = vec![Some(443.0), Some(443.5), Some(f64::NAN), None];
    assert_eq!(
        column("double srcport", Values::Double(doubles)),
        ["443", "443.5", "-", "-"]
    );
    let floats = vec![Some(443.0), Some(0.5), None];
    assert_eq!(
        column("float srcport", Values::Float(floats)),
        ["443", "0.5", "-"]
    );
    let booleans = vec![Some(true), Some(false), None];
    assert_eq!(
        column("boolean new", Values::Boolean(booleans)),
        ["true", "false", "-"]
    );
    let fixed = Values::FixedText(vec![Some(b"eni-1".to_vec()), None]);
    assert_eq!(
        column("fixed_len_byte_array(5) interface_id", fixed),
        ["eni-1", "-"]
    );
}

#[test]
fn texts_that_stand_for_nothing_are_absent() {
    let texts = ["443", "-", "", "None", "none", "a b"];
    let expected = ["443", "-", "-", "-", "none", "a b"];
    assert_eq!(column("binary srcport (utf8)", Values::text(&texts)), expected);
    assert_eq!(column("binary new_field", Values::text(&texts)), expected);
    // Somebody may have called it so.
    let kept = ["443", "-", "-", "None", "none", "a b"];
    assert_eq!(column("binary asg_tag_2 (utf8)", Values::text(&texts)), kept);
}

#[test]
fn what_is_not_read_is_named() {
    let told = |schema: &str| {
        let (rows, end) = read(&file(
            &format!("message flow {{ {schema} }}"),
            &[],
            plain().build(),
        ));
        let failure = end.unwrap_err().failure();
        assert!(rows.is_empty() && failure.reason == Reason::FormatUnsupported);
        failure.detail
    };
    let told = [
        told("repeated int32 srcport;"),
        told("optional group resource { optional binary id; }"),
        told("optional int32 bytes (decimal(9, 2));"),
        told("optional binary bytes (decimal(9, 0));"),
        told("optional fixed_len_byte_array(16) id (uuid);"),
        read(b"PARE").1.unwrap_err().to_string(),
        check_compression(Compression::BROTLI(BrotliLevel::default())).unwrap_err(),
        check_compression(Compression::LZO).unwrap_err(),
    ];
    insta::assert_snapshot!(told.join("\n"), @"
    the Parquet file has a column `srcport` that is a list, which is not read
    the Parquet file has a column `resource.id` that is a part of a structure, which is not read
    the Parquet file has a column `bytes` that is a decimal number, which is not read
    the Parquet file has a column `bytes` that is a decimal number, which is not read
    the Parquet file has a column `id` that is of the type Uuid, which is not read
    the Parquet file is encrypted
    is compressed with brotli, which is not read
    is compressed with lzo, which is not read
    ");
}

#[test]
fn all_row_groups_and_batches_are_read_in_order() {
    for (num_groups, num_rows) in [(0, 0), (1, 0), (1, 1), (300, 1), (3, 5000), (2, 1024)] {
        let rows = rows(&flows(num_groups, num_rows, plain()));
        assert_eq!(rows.len(), num_groups * num_rows);
        for (number, row) in rows.iter().enumerate() {
            let bytes = if number % 7 == 0 {
                "-".to_owned()
            } else {
                number.to_string()
            };
            assert_eq!(*row, [bytes, format!("i-{}", number % 50)]);
        }
    }
}

#[test]
fn compressions_encodings_and_page_versions_make_no_difference() {
    let expected = rows(&flows(2, 3000, plain()));
    let small_pages = |builder: WriterPropertiesBuilder| builder.set_data_page_row_count_limit(100);
    for compression in [
        Compression::SNAPPY,
        Compression::GZIP(Default::default()),
        Compression::LZ4_RAW,
        Compression::ZSTD(Default::default()),
    ] {
        let properties = || plain().set_compression(compression);
        assert_eq!(rows(&flows(2, 3000, properties())), expected);
        assert_eq!(rows(&flows(2, 3000, small_pages(properties()))), expected);
        let version_2 = properties().set_writer_version(WriterVersion::PARQUET_2_0);
        assert_eq!(
            rows(&flows(
                2,
                3000,
                small_pages(version_2).set_dictionary_enabled(false)
            )),
            expected
        );
    }
}

#[test]
fn a_row_that_is_too_long_costs_itself() {
    let long = "x".repeat(MAX_LINE_BYTES);
    let texts = || Values::text(&["a", &long, "b"]);
    let schema = "message flow { optional binary vpc_id; optional binary new; }";
    let bytes = file(
        schema,
        &[vec![texts(), Values::text(&["1", "2", "3"])]],
        plain().build(),
    );
    let rows = rows(&bytes);
    assert_eq!(rows[0], ["a", "1"]);
    assert_eq!(
        rows[1],
        [format!("TooLong {{ num_bytes: {} }}", MAX_LINE_BYTES + 2)]
    );
    assert_eq!(rows[2], ["b", "3"]);
}

#[test]
fn every_cut_of_a_file_is_noticed_and_gives_no_row() {
    let whole = flows(2, 20, plain());
    for length in 4..whole.len() {
        let (rows, end) = read(&whole[..length]);
        let failure = end.unwrap_err().failure();
        assert_eq!(
            (rows.len(), failure.reason),
            (0, Reason::DecodeCorruptParquet),
            "{length}"
        );
    }
}

#[test]
fn rows_before_a_damaged_page_are_read() {
    let properties = || plain().set_compression(Compression::GZIP(Default::default()));
    let whole = flows(2, 5000, properties());
    let mut damaged = whole.clone();
    // In the second half of the file, in front of the footer, whose length stands at the end.
    let footer = u32::from_le_bytes(*whole[..whole.len() - 4].last_chunk().unwrap());
    let end_of_pages = whole.len() - 8 - usize::try_from(footer).unwrap();
    damaged[end_of_pages * 3 / 4] ^= 0x55;
    let (some, end) = read(&damaged);
    let failure = end.unwrap_err().failure();
    assert_eq!(failure.reason, Reason::DecodeCorruptParquet);
    assert!(some.len() >= 5000, "{} rows, {failure}", some.len());
    assert_eq!(some, rows(&whole)[..some.len()]);
    assert!(
        failure.detail.contains(&format!("after {} rows", some.len())),
        "{failure}"
    );
}

proptest! {
    #[test]
    fn no_damage_panics_or_ends_without_a_word(place in 4_usize..100_000, value: u8, long in any::<bool>()) {
        let compression = if long { Compression::SNAPPY } else { Compression::UNCOMPRESSED };
        let whole = flows(2, 50, plain().set_compression(compression));
        let mut damaged = whole.clone();
        let place = 4 + place % (whole.len() - 4);
        damaged[place] = value;
        let (rows, end) = read(&damaged);
        prop_assert!(end.is_err() || rows.len() == 100, "{} rows", rows.len());
    }
}
