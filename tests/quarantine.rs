//! Bad lines in S3: what is there, when it is there, and what becomes of the message meanwhile.

use flowship::cli::lambda_local::Outcome;
use serde_json::json;

use crate::support::world::attribute;
use crate::support::{FlowLog, World};

const URI: &str = "FLOWSHIP_QUARANTINE_URI";
const KEY: &str =
    "AWSLogs/1/vpcflowlogs/us-east-1/2026/11/18/1_vpcflowlogs_us-east-1_fl-1_20261118T0005Z_0.log.gz";

/// 20 records, and a line that is none in the middle.
fn with_a_bad_line() -> FlowLog {
    FlowLog::new()
        .records(1, 0, 10)
        .line("2 123 eni-1 not-an-address", 0)
        .records(2, 0, 10)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_line_is_where_it_can_be_seen_and_its_object_is_accounted_for() {
    let world = World::new("bad-line").await;
    world.put(KEY, with_a_bad_line().gzip()).await;
    world.drain().await;
    let log = world.object_log();
    let shown = ["message", "lines", "indexed", "quarantined", "refused"].map(|name| &log[0][name]);
    assert_eq!(
        shown,
        [
            &json!("object shipped"),
            &json!(21),
            &json!(20),
            &json!(1),
            &json!(0)
        ]
    );
    assert_eq!(world.take_dead_letters().await, []);

    let files = world.quarantine().await;
    assert_eq!(files.len(), 1, "{files:?}");
    assert!(files[0].key.starts_with("bad/vpc/2026/11/18/"), "{files:?}");
    assert_eq!(
        log[0]["quarantine"],
        format!("s3://bad-line-quarantine/{}", files[0].key)
    );
    let source = &files[0].head.object;
    assert_eq!((&*source.bucket, &*source.key), ("bad-line", KEY));
    assert!(source.size.is_some() && source.etag.is_some() && source.last_modified.is_some());
    let line = &files[0].lines[0];
    assert_eq!(
        (line.line, line.ordinal, &*line.reason),
        (12, 10, "line.column_count")
    );
    let raw = line.raw().unwrap();
    assert_eq!(&*raw, b"2 123 eni-1 not-an-address");
    let text = with_a_bad_line().text().to_owned();
    let offset = usize::try_from(line.offset.unwrap()).unwrap();
    assert!(text.as_bytes()[offset..].starts_with(&raw));

    world.send(world.event(&[KEY])).await;
    world.drain().await;
    assert_eq!(
        world.quarantine().await,
        files,
        "a replay overwrites it with the same"
    );
    assert_eq!(world.num_documents().await, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn as_long_as_a_bad_line_cannot_be_written_its_message_comes_back() {
    let mut world = World::new("no-quarantine").await;
    world
        .variables
        .insert(URI.into(), "s3://no-quarantine-yet/bad".into());
    world.put("bad.gz", with_a_bad_line().gzip()).await;
    let messages = world.receive(1).await;
    let function = world.function().await;
    let mut report = function.invoke(&messages).await.unwrap();
    function.settle(&messages, &mut report).await;
    function.shut_down().await;
    let failed_ids = vec![messages[0].id.clone()];
    assert_eq!(report.outcome, Outcome::Succeeded { failed_ids });
    let log = world.object_log();
    assert_eq!(log[0]["reason"], "quarantine.unavailable", "{log:?}");
    assert!(
        log[0]["detail"].as_str().unwrap().contains("NoSuchBucket"),
        "{log:?}"
    );
    assert_eq!((&log[0]["indexed"], &log[0]["refused"]), (&json!(20), &json!(1)));

    world.create_bucket("no-quarantine-yet").await;
    world.drain().await;
    let last = world.object_log().pop().unwrap();
    let shown = ["message", "duplicate", "quarantined"].map(|name| &last[name]);
    assert_eq!(shown, [&json!("object shipped"), &json!(20), &json!(1)]);
    assert_eq!(world.quarantine().await[0].lines.len(), 1);
    assert_eq!((world.num_documents().await, world.num_messages().await), (20, 0));
    assert_eq!(world.take_dead_letters().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_bad_lines_is_a_dead_letter_and_nothing_of_it_is_in_quarantine() {
    let mut world = World::new("mostly-malformed").await;
    world
        .variables
        .insert("FLOWSHIP_QUARANTINE_MAX_LINES".into(), "9".into());
    let bad = (0..10).fold(FlowLog::new().records(1, 0, 80), |log, _| log.line("x", 0));
    world.put("bad.gz", bad.gzip()).await;
    world.drain().await;
    let letters = world.take_dead_letters().await;
    assert_eq!(letters.len(), 1, "{letters:?}");
    let shown = ["reason", "disposition", "progress"].map(|name| attribute(&letters[0], name));
    let progress = r#"{"lines":90,"indexed":80,"duplicate":0,"no_data":0,"quarantined":0,"refused":10}"#;
    assert_eq!(shown, ["object.mostly_malformed", "permanent", progress]);
    assert_eq!(world.quarantine().await, []);
    assert_eq!(world.num_documents().await, 80, "all good lines are there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_announces_its_quarantine_too_does_not_run_in_a_circle() {
    let mut world = World::new("in-a-circle").await;
    world
        .variables
        .insert(URI.into(), "s3://in-a-circle/quarantine".into());
    world.put("bad.gz", with_a_bad_line().gzip()).await;
    world.drain().await;
    // S3 announces the file with a delay.
    world.announced(1);
    world.drain().await;
    assert_eq!(world.quarantine().await.len(), 1);
    assert_eq!(world.object_log().len(), 1, "only the object was shipped");
    assert_eq!(world.num_messages().await, 0);
    assert_eq!(world.take_dead_letters().await, []);
}
