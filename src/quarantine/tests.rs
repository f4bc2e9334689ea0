//! Files in memory: what is written is read again, and where it lies.

use super::*;
use crate::bulk::{Refusal, RefusedItem};
use crate::decode::Line;
use crate::flow::LineError;
use proptest::prelude::*;
use std::io::Read;

const KEY: &str =
    "AWSLogs/1/vpcflowlogs/us-east-1/2026/11/20/1_vpcflowlogs_us-east-1_fl-1_20261120T1620Z_0.log.gz";

fn object(key: &str) -> ObjectRef {
    ObjectRef {
        bucket: "logs".into(),
        key: key.into(),
        version_id: None,
    }
}

/// 2026-11-21T00:05:04Z.
fn info() -> ObjectInfo {
    ObjectInfo {
        last_modified: Some(1_795_219_504),
        size: Some(4096),
        etag: Some("\"e1\"".into()),
        version_id: Some("v1".into()),
        storage_class: None,
    }
}

fn place() -> Place {
    Place::parse_uri("s3://kept/bad/lines/").unwrap()
}

fn origin(line: Line<'_>) -> Origin<'_> {
    Origin {
        line_number: 12,
        offset: Some(1371),
        ordinal: 10,
        format: Some(0),
        line,
    }
}

fn head(lines: u64) -> Head {
    Head::new(
        SourceObject::new(&object(KEY), &info()),
        1,
        lines,
        vec!["srcaddr end".into()],
    )
}

fn text_of(file: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(file)
        .read_to_string(&mut text)
        .unwrap();
    text
}

fn gathered(lines: &[QuarantinedLine]) -> Gathered {
    let mut gathered = Gathered::default();
    lines.iter().for_each(|line| gathered.add(line));
    gathered
}

fn refused(line: Line<'_>) -> QuarantinedLine {
    let mut attached = Vec::new();
    origin(line).write(&mut attached);
    QuarantinedLine::refused(&RefusedItem {
        token: 12,
        attached,
        refusal: Refusal {
            status: 400,
            kind: "document_parsing_exception".into(),
            reason: "[1:7] failed to parse field [n]".into(),
        },
    })
}

#[test]
fn a_file_is_its_head_and_a_row_a_line() {
    let columns = LineError::ColumnCount {
        expected: 2,
        found: 1,
    };
    let too_long = LineError::TooLong {
        num_bytes: 70_000,
        max_bytes: 65_536,
    };
    let malformed = [
        QuarantinedLine::malformed(&origin(Line::Whole(b"x")), &columns),
        QuarantinedLine::malformed(&origin(Line::Whole(b"\xff")), &columns),
        QuarantinedLine::malformed(&origin(Line::TooLong { num_bytes: 70_000 }), &too_long),
        QuarantinedLine::malformed(&origin(Line::NoMessage(br#"{"a":1}"#)), &LineError::NoMessage),
    ];
    let row = Line::Row {
        line: b"a b 1",
        spans: &[(0, 3), (4, 5)],
    };
    let refused = [refused(row)];
    let file = head(5).file([gathered(&malformed), gathered(&refused)]).unwrap();
    insta::assert_snapshot!(text_of(&file).replace(env!("CARGO_PKG_VERSION"), "0.1.0"), @r#"
    {"object":{"bucket":"logs","key":"AWSLogs/1/vpcflowlogs/us-east-1/2026/11/20/1_vpcflowlogs_us-east-1_fl-1_20261120T1620Z_0.log.gz","version_id":"v1","size":4096,"etag":"\"e1\"","last_modified":"2026-11-21T00:05:04Z"},"first_line":1,"lines":5,"formats":["srcaddr end"],"version":"0.1.0"}
    {"line":12,"offset":1371,"ordinal":10,"format":0,"reason":"line.column_count","detail":"has 1 columns, the format has 2","raw":"x"}
    {"line":12,"offset":1371,"ordinal":10,"format":0,"reason":"line.column_count","detail":"has 1 columns, the format has 2","raw_base64":"/w=="}
    {"line":12,"offset":1371,"ordinal":10,"format":0,"reason":"line.too_long","detail":"is 70000 bytes long, at most 65536 are read","num_bytes":70000}
    {"line":12,"offset":1371,"ordinal":10,"format":0,"reason":"line.no_message","detail":"begins as JSON and is not `{\"message\": \"…\"}`","raw":"{\"a\":1}"}
    {"line":12,"offset":1371,"ordinal":10,"format":0,"reason":"document.refused","detail":"[1:7] failed to parse field [n]","status":400,"type":"document_parsing_exception","widths":[3,1],"raw":"a b 1"}
    "#);
    let read = QuarantineFile::open(&file[..]).unwrap();
    assert_eq!(read.head, head(5));
    let lines: Vec<QuarantinedLine> = read.map(Result::unwrap).collect();
    assert_eq!(lines, [&malformed[..], &refused[..]].concat());
}

#[test]
fn a_file_lies_by_the_day_of_its_object_and_always_at_the_same_place() {
    let uri =
        |key: &str, info: &ObjectInfo, dataset| place().file_of(&object(key), info, dataset, 1).to_string();
    let stamped = uri(KEY, &info(), "vpc");
    assert_eq!(stamped, uri(KEY, &ObjectInfo::default(), "vpc"));
    // The hash of `logs/AWSLogs/…` is from Python's `xxhash` package.
    let (folder, name) = stamped.rsplit_once('/').unwrap();
    assert_eq!(folder, "s3://kept/bad/lines/vpc/2026/11/20");
    assert_eq!(name, "6bc25f99f7baa6a20a15e92b21f2da23-1.ndjson.gz");
    assert!(
        uri("x", &info(), "tgw").starts_with("s3://kept/bad/lines/tgw/2026/11/21/"),
        "by its last change"
    );
    assert_ne!(uri("x", &info(), "tgw"), uri("y", &info(), "tgw"));
}

#[test]
fn a_place_is_a_bucket_and_a_prefix() {
    for uri in ["s3://b", "s3://b/", "s3://b//", "b/p", "https://b/p"] {
        assert_eq!(Place::parse_uri(uri), None, "{uri}");
    }
    assert_eq!(place().to_string(), "s3://kept/bad/lines/");
    let file = place().file_of(&object(KEY), &info(), "vpc", 1);
    assert!(place().holds(&file));
    let elsewhere = |bucket: &str, key: &str| ObjectRef {
        bucket: bucket.into(),
        ..object(key)
    };
    assert!(!place().holds(&elsewhere("logs", &file.key)));
    assert!(!place().holds(&elsewhere("kept", "bad/lines-of-another/x")));
}

#[test]
fn a_key_tells_the_dataset_and_the_day() {
    let place = place();
    let file = place.file_of(&object(KEY), &info(), "tgw", 7);
    let address = place.address_of(&file.key).unwrap();
    assert_eq!(
        (address.dataset, address.day.to_string()),
        ("tgw", "2026-11-20".into())
    );
    assert_eq!(address.name, "6bc25f99f7baa6a20a15e92b21f2da23-7");
    for other in [
        "bad/lines/vpc/2026/11/20/x.ndjson",
        "bad/lines/vpc/2026/11/31/x.ndjson.gz",
        "bad/lines/vpc/2026/11/x.ndjson.gz",
        "bad/lines/x.ndjson.gz",
        "worse/lines/vpc/2026/11/20/x.ndjson.gz",
    ] {
        assert_eq!(place.address_of(other), None, "{other}");
    }
}

#[test]
fn what_remains_is_a_file_that_knows_what_has_left_it() {
    let lines = [refused(Line::Whole(b"x")), refused(Line::Whole(b"y"))];
    let at = "2026-11-21T01:02:03Z".parse().unwrap();
    let mut stays = Remainder::default();
    stays.add(&lines[1]);
    let first = head(2).rewritten([Remainder::default(), stays, Remainder::default()], at);
    let read = QuarantineFile::open(&first[..]).unwrap();
    let head_of_first = read.head.clone();
    assert_eq!((head_of_first.lines, &head_of_first.object), (1, &head(2).object));
    assert_eq!(read.map(Result::unwrap).collect::<Vec<_>>(), lines[1..]);

    let second = head_of_first.rewritten(Default::default(), at);
    insta::assert_snapshot!(text_of(&second).replace(env!("CARGO_PKG_VERSION"), "0.1.0"), @r#"{"object":{"bucket":"logs","key":"AWSLogs/1/vpcflowlogs/us-east-1/2026/11/20/1_vpcflowlogs_us-east-1_fl-1_20261120T1620Z_0.log.gz","version_id":"v1","size":4096,"etag":"\"e1\"","last_modified":"2026-11-21T00:05:04Z"},"first_line":1,"lines":0,"formats":["srcaddr end"],"version":"0.1.0","replayed":{"at":"2026-11-21T01:02:03Z","lines":2}}"#);
    assert_eq!(QuarantineFile::open(&second[..]).unwrap().count(), 0);
}

#[test]
fn what_does_not_fit_is_let_go_and_said() {
    let mut random = fastrand::Rng::with_seed(7);
    let mut gathered = Gathered::default();
    while !matches!(gathered, Gathered::TooMuch) {
        let line: String = std::iter::repeat_with(|| random.alphanumeric())
            .take(60_000)
            .collect();
        let columns = LineError::ColumnCount {
            expected: 2,
            found: 1,
        };
        gathered.add(&QuarantinedLine::malformed(
            &origin(Line::Whole(line.as_bytes())),
            &columns,
        ));
        if let Gathered::Rows(encoder) = &gathered {
            assert!(encoder.get_ref().len() <= MAX_GATHERED_BYTES);
        }
    }
    gathered.add(&refused(Line::Whole(b"x")));
    assert_eq!(head(1).file([Gathered::default(), gathered]), Err(TooMuch));
}

#[test]
fn a_damaged_file_is_an_error_and_not_a_shorter_file() {
    let lines = [refused(Line::Whole(b"x")), refused(Line::Whole(b"y"))];
    let file = head(3).file([gathered(&lines)]).unwrap();
    let mut other = encoder();
    other.write_all(b"{}\n").unwrap();
    let not_a_row = other.finish().unwrap();
    let told = |bytes: &[u8]| match QuarantineFile::open(bytes) {
        Ok(mut file) => {
            let errors: Vec<String> = file
                .by_ref()
                .filter_map(Result::err)
                .map(|e| e.to_string())
                .collect();
            assert!(file.next().is_none(), "it ends");
            errors.join(", ")
        }
        Err(error) => error.to_string(),
    };
    insta::assert_snapshot!(
        [told(&file), told(&file[..file.len() - 30]), told(&[]), told(&not_a_row)].join("\n"),
        @"
    the quarantine file ends after 2 of 3 lines
    the quarantine file cannot be read after 0 lines
    the quarantine file cannot be read after 0 lines
    a row of the quarantine file is damaged after 0 lines
    "
    );
}

proptest! {
    #[test]
    fn every_line_comes_back_byte_for_byte(line in prop::collection::vec(any::<u8>(), 0..80), offset in prop::option::of(0..u64::MAX)) {
        let columns = LineError::ColumnCount { expected: 2, found: 1 };
        let origin = Origin { offset, ..origin(Line::Whole(&line)) };
        let mut attached = Vec::new();
        origin.write(&mut attached);
        let refusal = Refusal { status: 400, kind: String::new(), reason: String::new() };
        let item = RefusedItem { token: 12, attached, refusal };
        for kept in [QuarantinedLine::malformed(&origin, &columns), QuarantinedLine::refused(&item)] {
            let file = head(1).file([gathered(std::slice::from_ref(&kept))]).unwrap();
            let read = QuarantineFile::open(&file[..]).unwrap().next().unwrap().unwrap();
            prop_assert_eq!(read.raw().unwrap().into_owned(), line.clone());
            prop_assert_eq!((read.offset, read.ordinal, read.format), (offset, 10, Some(0)));
            prop_assert_eq!(read, kept);
        }
    }
}
