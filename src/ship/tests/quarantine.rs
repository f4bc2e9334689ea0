//! What is kept aside of an object, when, and what it is good for.

use std::path::Path;

use super::*;
use crate::config::QuarantineSettings;
use crate::document::{DocumentId, ObjectHash};
use crate::flow::{Columns, Field, Format};
use crate::quarantine::{Head, Place, QuarantinedLine};

const KEY: &str =
    "AWSLogs/1/vpcflowlogs/us-east-1/2014/12/14/1_vpcflowlogs_us-east-1_fl-1_20141214T0405Z_0.log";

pub(super) fn keeping(max_lines: u64, max_share: u64) -> World {
    World::with(ShipSettings {
        quarantine: QuarantineSettings {
            place: Place::parse_uri("s3://kept/bad"),
            max_lines,
            max_share,
        },
        ..ShipSettings::default()
    })
}

fn shown(lines: &[QuarantinedLine]) -> String {
    let shown = lines.iter().map(|line| {
        let raw = String::from_utf8(line.raw().unwrap().into_owned()).unwrap();
        let (number, ordinal, offset) = (line.line, line.ordinal, line.offset.unwrap());
        format!(
            "{number} {ordinal} @{offset} {}: {}: {raw}",
            line.reason, line.detail
        )
    });
    shown.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn bad_lines_and_refused_documents_are_kept_aside_and_the_object_is_accounted_for() {
    let world = keeping(1000, 10);
    let object = world
        .store
        .put(KEY, format!("{}2 bad\n\n2 again\n", text(1000, 10)));
    world.sink.refuse_containing(r#""bytes":1005"#);
    let report = world.ship(std::slice::from_ref(&object)).await;
    let expected = Counts {
        lines: 12,
        indexed: 9,
        quarantined: 3,
        ..Counts::default()
    };
    assert_eq!(
        (report.objects[0].counts, &report.objects[0].failure),
        (expected, &None)
    );
    let files = world.quarantine.files();
    let [(key, head, lines)] = &files[..] else {
        panic!("{files:?}");
    };
    assert_eq!(report.objects[0].quarantine.as_ref().unwrap().key, *key);
    assert!(key.starts_with("bad/vpc/2014/12/14/"), "{key}");
    assert_eq!(
        (head.object.bucket.as_str(), head.object.key.as_str()),
        ("logs", KEY)
    );
    assert_eq!((&head.formats[..], head.lines), (&[HEADER.to_owned()][..], 3));
    insta::assert_snapshot!(shown(lines), @"
    7 5 @570 document.refused: scripted: 2 123456789010 eni-1 10.0.0.1 10.0.237.2 2029 443 6 3 1005 1418590320 1418590370 ACCEPT OK
    12 10 @1025 line.column_count: has 2 columns, the format has 14: 2 bad
    14 11 @1032 line.column_count: has 2 columns, the format has 14: 2 again
    ");

    // Once more: the same file, nothing is added.
    let again = world.ship(&[object]).await;
    assert_eq!((again.counts().duplicate, again.counts().quarantined), (9, 3));
    assert_eq!(world.quarantine.files(), files);
}

#[tokio::test]
async fn a_file_that_cannot_be_written_brings_the_object_back() {
    let world = keeping(1000, 10);
    let object = world.store.put(KEY, format!("{}2 bad\n", text(0, 10)));
    world.quarantine.refuse(true);
    let report = world.ship(std::slice::from_ref(&object)).await;
    let failure = report.objects[0].failure.as_ref().unwrap();
    assert_eq!(failure.reason.disposition(), Disposition::Transient);
    assert!(
        failure
            .to_string()
            .starts_with("quarantine.unavailable: s3://kept/bad/vpc/"),
        "{failure}"
    );
    assert_eq!((report.counts().quarantined, report.counts().refused), (0, 1));

    world.quarantine.refuse(false);
    let report = world.ship(&[object]).await;
    assert_eq!(reason(&report.objects[0]), None);
    assert_eq!((report.counts().duplicate, report.counts().quarantined), (10, 1));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_never_confirmed_does_not_hold_up_the_others() {
    let world = keeping(1000, 10);
    let bad = world.store.put("bad", format!("{}2 bad\n", text(0, 10)));
    let good = world.store.put("good", text(1000, 10));
    world.quarantine.stall();
    let report = world.ship_within(&[bad, good], 20).await;
    let reasons: Vec<_> = report.objects.iter().map(reason).collect();
    assert_eq!(reasons, [Some(Reason::QuarantineUnavailable), None]);
}

#[tokio::test]
async fn an_object_of_which_too_much_is_bad_fails_as_a_whole() {
    let world = keeping(2, 10);
    let with_bad = |name: &str, num_good, num_bad| {
        let text = format!("{}{}", text(0, num_good), "2 bad\n".repeat(num_bad));
        world.store.put(name, text)
    };
    let (few, small_share, much) = (
        with_bad("few", 0, 2),
        with_bad("share", 27, 3),
        with_bad("much", 26, 3),
    );
    let report = world.ship(&[few, small_share, much]).await;
    let reasons: Vec<_> = report.objects.iter().map(reason).collect();
    assert_eq!(reasons, [None, None, Some(Reason::ObjectMostlyMalformed)]);
    insta::assert_snapshot!(report.objects[2].failure.as_ref().unwrap(), @"object.mostly_malformed: more than 2 lines and 10 % of all are bad: 3 of 29 lines: line 28 has 2 columns, the format has 14");
    assert_eq!(
        (report.objects[2].counts.indexed, report.objects[2].counts.refused),
        (26, 3),
        "all good lines are there"
    );
    assert_eq!(world.quarantine.files().len(), 2, "nothing of the third one");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_aside_of_an_object_that_fails_otherwise() {
    let world = keeping(1000, 10);
    let whole = gzip(&format!("{HEADER}\n2 bad\n{}", text(0, 3000)));
    let truncated = world.store.put("truncated", whole[..whole.len() - 10].to_vec());
    let report = world.ship(&[truncated]).await;
    assert_eq!(reason(&report.objects[0]), Some(Reason::DecodeTruncatedGzip));
    let outage = world.store.put("outage", format!("{}2 bad\n", text(0, 10)));
    world.sink.always(Some(Fault::Status(503)));
    let report = world.ship_within(&[outage], 30).await;
    assert_eq!(reason(&report.objects[0]), Some(Reason::BulkUnavailable));
    assert_eq!(world.quarantine.files(), []);
}

/// The id of a line's document, from nothing but its file.
fn id_of(head: &Head, line: &QuarantinedLine) -> String {
    let format = &head.formats[usize::try_from(line.format.unwrap()).unwrap()];
    let format = Format::parse(format.as_bytes()).unwrap();
    let raw = line.raw().unwrap();
    let mut columns = Columns::default();
    let mut spans: Vec<(usize, usize)> = Vec::new();
    for width in line.widths.iter().flatten() {
        let from = spans.last().map_or(0, |(_, to)| to + 1);
        spans.push((from, from + usize::try_from(*width).unwrap()));
    }
    let row = match line.widths {
        Some(_) => columns.parse_spans(&format, &raw, &spans).unwrap(),
        None => columns.parse(&format, &raw).unwrap(),
    };
    let modified = head.object.last_modified.unwrap().as_second();
    let time = row.time(Field::End).or(row.time(Field::Start));
    let time = time.unwrap_or_else(|| u32::try_from(modified).unwrap());
    let object = ObjectHash::new(&head.object.bucket, &head.object.key);
    let id = DocumentId::new(object, time, line.ordinal, &raw, &mut Vec::new());
    String::from_utf8(id.to_text().to_vec()).unwrap()
}

/// So what was refused can be shipped again later without becoming another document.
#[tokio::test]
async fn lines_of_every_form_keep_what_their_ids_are_made_of() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/flowlogs-known");
    let known = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let switching = [
        known("v2.log"),
        known("tgw.log"),
        known("v5-services.log"),
        known("v2.log"),
    ]
    .concat();
    let objects = [
        ("switching", switching),
        ("firehose", known("v2.firehose.json")),
        ("events", known("v2.cloudwatch.json")),
        ("parquet", known("v5-services.parquet")),
        ("pandas", known("v10-encryption.pandas.parquet")),
        ("timeless", b"srcaddr dstaddr\n10.0.0.1 10.0.0.2\n".to_vec()),
    ];
    for (name, bytes) in objects {
        let (taking, refusing) = (keeping(1000, 10), keeping(1000, 10));
        refusing.sink.refuse_containing("\"ecs\"");
        for world in [&taking, &refusing] {
            let object = world.store.put(name, bytes.clone());
            assert_eq!(reason(&world.ship(&[object]).await.objects[0]), None, "{name}");
        }
        let mut expected: Vec<String> = taking.sink.documents().into_keys().map(|(_, id)| id).collect();
        let files = refusing.quarantine.files();
        let (_, head, lines) = &files[0];
        let mut ids: Vec<String> = lines.iter().map(|line| id_of(head, line)).collect();
        ids.sort();
        expected.sort();
        assert!(!expected.is_empty(), "{name}");
        assert_eq!(ids, expected, "{name}");
        assert_eq!(refusing.sink.num_documents(), 0, "{name}");
    }
}
