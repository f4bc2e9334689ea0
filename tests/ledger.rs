//! The ledger: what became of each object is one document, whatever happens to its message; `flowctl ledger` reads it.

use std::process::{Command, Output};
use std::time::Duration;

use flowship::elasticsearch::client::Client;
use flowship::elasticsearch::setup;
use flowship::ledger::{self, LedgerEntry};
use flowship::outcome::Fate;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::world::{Options, connect, installation};
use crate::support::{FlowLog, Stack, World};

/// The first part of the names of a test's ledger indices.
fn index(name: &str) -> String {
    installation(name).ledger_index.unwrap()
}

async fn refresh(client: &Client, name: &str) {
    let path = format!("{}-*/_refresh", index(name));
    assert_eq!(client.post(&path, "").await.unwrap().status, 200);
}

/// All entries, in the order of their keys.
async fn entries(world: &World) -> Vec<LedgerEntry> {
    refresh(&world.elasticsearch, &world.prefix).await;
    let body = json!({"size": 1000, "sort": "flowship.object.key"});
    let path = format!("{}-*/_search", index(&world.prefix));
    let answer = world.elasticsearch.post(&path, body.to_string()).await.unwrap();
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    let hits = answer["hits"]["hits"].as_array().unwrap();
    hits.iter()
        .map(|hit| serde_json::from_value(hit["_source"].clone()).unwrap())
        .collect()
}

/// The key that AWS would give an object of this stamp.
fn key(stamp: &str) -> String {
    format!("AWSLogs/1/vpcflowlogs/us-east-1/2026/11/18/1_vpcflowlogs_us-east-1_fl-1_{stamp}_ab.log.gz")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_object_has_one_entry_with_its_numbers_or_its_reason() {
    let world = World::new("ledger-fates").await;
    let complete = FlowLog::new().records(1, 0, 100).no_data(3);
    let quarantined = FlowLog::new().records(2, 0, 50).line("2 123 eni-1 x", 0);
    let truncated = FlowLog::new().records(3, 0, 5000).gzip();
    world.put(&key("20261118T0000Z"), complete.gzip()).await;
    world.put(&key("20261118T0005Z"), quarantined.gzip()).await;
    world
        .put(&key("20261031T2355Z"), &truncated[..truncated.len() / 2])
        .await;
    world.drain().await;

    let found = entries(&world).await;
    assert_eq!(found.len(), 3, "{found:#?}");
    let [cut, whole, bad] = [&found[0].object, &found[1].object, &found[2].object];
    assert_eq!(
        (
            whole.complete,
            whole.counts.lines,
            whole.counts.indexed,
            whole.counts.no_data
        ),
        (true, 103, 100, 3)
    );
    assert_eq!(found[1].account.as_deref(), Some("1"));
    assert_eq!(whole.flow_log_id.as_deref(), Some("fl-1"));
    assert_eq!(whole.size, Some(complete.gzip().len() as u64));
    assert_eq!(whole.slot, Some("2026-11-18T00:00:00Z".parse().unwrap()));
    assert_eq!(whole.first_record, Some("2026-11-18T00:01:00Z".parse().unwrap()));
    assert_eq!(whole.last_record, Some("2026-11-18T00:02:39Z".parse().unwrap()));
    assert_eq!((bad.complete, bad.counts.quarantined), (true, 1));
    let file = &world.quarantine().await[0];
    assert!(bad.quarantine.as_ref().unwrap().ends_with(&file.key), "{bad:?}");
    assert_eq!(
        (cut.complete, cut.fate, cut.reason.as_deref()),
        (false, Fate::DeadLetter, Some("decode.truncated_gzip"))
    );
    assert!(cut.detail.is_some() && cut.counts.indexed > 0, "{cut:?}");
    let october = format!("{}-2026.10/_count", index(&world.prefix));
    let answer = world.elasticsearch.get(&october).await.unwrap();
    assert!(answer.body.starts_with(br#"{"count":1,"#), "{answer:?}");

    // Redelivered, and repaired: still one entry each, which tells of the last pass.
    let whole_key = key("20261118T0000Z");
    world.send(world.event(&[whole_key.as_str()])).await;
    world.put(&key("20261031T2355Z"), truncated).await;
    world.drain().await;
    let found = entries(&world).await;
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|entry| entry.object.complete), "{found:#?}");
    let whole = &found[1].object;
    assert_eq!((whole.counts.indexed, whole.counts.duplicate), (0, 100));
    assert_eq!(found[0].object.counts.lines, 5000);
    assert_eq!(found[0].object.reason, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_several_passes_has_one_entry_with_their_sums() {
    let options = Options {
        visibility_seconds: 6,
        ..Options::default()
    };
    let mut world = World::with("ledger-passes", options).await;
    // Half of it for work, however long the margin is set.
    world.timeout = Duration::from_secs(4);
    world.variables.extend([
        ("FLOWSHIP_DEADLINE_MARGIN_MS".into(), "20000".into()),
        ("FLOWSHIP_BULK_IN_FLIGHT".into(), "1".into()),
        ("FLOWSHIP_MAX_RECEIVES".into(), "100".into()),
        ("FLOWSHIP_BULK_MAX_BYTES".into(), "1048576".into()),
    ]);
    let log = FlowLog::new().records(1, 0, 60_000);
    world.put(&key("20261118T0000Z"), log.gzip()).await;
    world.drain().await;
    let found = entries(&world).await;
    assert_eq!(found.len(), 1);
    let object = &found[0].object;
    assert!(object.passes > 1, "{object:?}");
    assert_eq!((object.complete, object.counts.lines), (true, 60_000));
    assert_eq!(object.counts.indexed + object.counts.duplicate, 60_000);
    assert_eq!(object.first_record, Some("2026-11-18T00:01:00Z".parse().unwrap()));
    assert_eq!(object.last_record, Some("2026-11-18T16:40:59Z".parse().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_report_that_arrives_late_replaces_nothing() {
    let world = World::new("ledger-late").await;
    world
        .put(&key("20261118T0000Z"), FlowLog::new().records(1, 0, 10).gzip())
        .await;
    world.drain().await;
    let newer = entries(&world).await;
    let mut older = newer[0].clone();
    older.ended_at = "2026-11-18T00:20:00Z".parse().unwrap();
    older.set_fate(Fate::ComesBack);
    write(&world.elasticsearch, &world.prefix, std::slice::from_ref(&older)).await;
    assert_eq!(entries(&world).await, newer);
    // The same time is no older.
    older.ended_at = newer[0].ended_at;
    write(&world.elasticsearch, &world.prefix, std::slice::from_ref(&older)).await;
    assert_eq!(entries(&world).await, [older]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_cannot_be_written_costs_a_warning_and_nothing_else() {
    let world = World::new("ledger-closed").await;
    let first = key("20261118T0000Z");
    world.put(&first, FlowLog::new().records(1, 0, 10).gzip()).await;
    world.drain().await;
    let close = format!("{}-2026.11/_close", index(&world.prefix));
    assert_eq!(world.elasticsearch.post(&close, "").await.unwrap().status, 200);
    world
        .put(&key("20261118T0005Z"), FlowLog::new().records(2, 0, 10).gzip())
        .await;
    world.send(world.event(&[first.as_str()])).await;
    let (summary, reports) = world.drain().await;
    assert!(
        reports.iter().all(|report| report.outcome.is_complete_success()),
        "{summary:?}"
    );
    assert_eq!((world.num_documents().await, world.num_messages().await), (20, 0));
    assert_eq!(world.take_dead_letters().await, []);
    let log = world.log();
    let warnings = log
        .iter()
        .filter(|line| line.contains("ledger entries not written"));
    let failing = world.invocation_log();
    let failing = failing.iter().filter(|line| line["ledger_failed"] != 0).count();
    assert!(failing > 0);
    assert_eq!(warnings.count(), failing, "one an invocation");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_ledger_nothing_is_written_or_said() {
    let mut world = World::new("ledger-none").await;
    world
        .variables
        .insert("FLOWSHIP_LEDGER_INDEX".into(), "none".into());
    world
        .put(&key("20261118T0000Z"), FlowLog::new().records(1, 0, 10).gzip())
        .await;
    world.drain().await;
    assert_eq!(world.num_documents().await, 10);
    let path = format!("{}-*/_count", index("ledger-none"));
    let answer = world.elasticsearch.get(&path).await.unwrap();
    assert!(answer.body.starts_with(br#"{"count":0,"#), "{answer:?}");
    assert!(!world.log().join("\n").contains("ledger entries"));
}

/// Writes entries as the function does.
async fn write(client: &Client, name: &str, entries: &[LedgerEntry]) {
    let body = ledger::bulk_body(entries, &index(name));
    let answer = client.post("_bulk", body).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    refresh(client, name).await;
}

fn flowctl(name: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flowctl"))
        .env_clear()
        .env("FLOWSHIP_ELASTICSEARCH_URLS", &Stack::shared().elasticsearch_url)
        .env("FLOWSHIP_LEDGER_INDEX", index(name))
        .arg("ledger")
        .args(arguments)
        .output()
        .unwrap()
}

/// A complete object of 10 lines that belongs to this minute of 2026-11-20.
fn entry(flow_log: &str, minute: i64) -> LedgerEntry {
    let slot = Timestamp::from_second(1_795_132_800 + minute * 60).unwrap();
    let stamp = slot.strftime("%Y%m%dT%H%MZ");
    let key = format!("1_vpcflowlogs_us-east-1_{flow_log}_{stamp}_ab.log.gz");
    let json = json!({
        "@timestamp": "2026-11-20T12:00:00Z", "flowship.version": "0.1.0",
        "cloud.account.id": "1", "cloud.region": "us-east-1",
        "flowship.object": {
            "uri": format!("s3://logs/{key}"), "bucket": "logs", "key": key, "flow_log_id": flow_log,
            "time": slot, "slot": slot, "lines": 10, "indexed": 9, "duplicate": 1, "no_data": 0, "quarantined": 0,
            "refused": 0, "complete": true, "fate": "indexed", "attempts": 1, "hops": 0, "passes": 1,
            "duration_ms": 5, "message_id": "m1",
        },
    });
    serde_json::from_value(json).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_gap_and_an_incomplete_object_are_found() {
    const NAME: &str = "ledger-read";
    let client = &connect(&Stack::shared().elasticsearch_url, &[]).await;
    let plan = setup::plan(client, &installation(NAME), false).await.unwrap();
    setup::apply(client, &plan).await.unwrap();
    let nothing = flowctl(NAME, &["--from", "2026-11-20"]);
    assert_eq!(nothing.status.code(), Some(4), "{nothing:?}");

    // 02:55 to 03:55 but for 03:15 and 03:20; the object of 03:30 is in the dead-letter queue.
    let mut entries: Vec<LedgerEntry> = (175..240)
        .step_by(5)
        .filter(|minute| ![195, 200].contains(minute))
        .map(|minute| entry("fl-1", minute))
        .collect();
    let failed = entries
        .iter_mut()
        .find(|entry| entry.object.key.contains("T0330Z"))
        .unwrap();
    failed.set_fate(Fate::DeadLetter);
    failed.object.reason = Some("decode.truncated_gzip".to_owned());
    failed.object.detail = Some("the gzip stream ends early".to_owned());
    // Every ten minutes, complete.
    entries.extend((170..240).step_by(10).map(|minute| entry("fl-2", minute)));
    write(client, NAME, &entries).await;

    let range = ["--from", "2026-11-20T03:00Z", "--to", "2026-11-20T04:00Z"];
    let found = flowctl(NAME, &range);
    assert_eq!(found.status.code(), Some(3), "{found:?}");
    insta::assert_snapshot!(String::from_utf8(found.stdout).unwrap(), @"
    flowship-ledger-ledger-read-world, 2026-11-20T03:00:00Z to 2026-11-20T04:00:00Z

    hour (UTC)       objects complete incomplete      lines   in index quarantined
    2026-11-20 03:00      16       15          1        160        160           0

    Incomplete objects
    2026-11-20 03:30  dead letter  decode.truncated_gzip
      s3://logs/1_vpcflowlogs_us-east-1_fl-1_20261120T0330Z_ab.log.gz
      the gzip stream ends early
      next: redrive list -v --reason decode.truncated_gzip
      then: redrive send --reason decode.truncated_gzip

    Slots without an object
    fl-1 1 us-east-1, a slot every 5 min
      2026-11-20 03:15 to 2026-11-20 03:25  2 slots missing
      next: is the object in the bucket? If so, its notification was lost, or its
      ledger entry not written; if not, was the flow log switched off?

    not complete: 1 object incomplete, 2 slots missing
    2 flow logs (1 with a slot every 5 min, 1 with a slot every 10 min)
    ");

    let json = flowctl(NAME, &[&range[..], &["--json", "--flow-log", "fl-1"]].concat());
    assert_eq!(json.status.code(), Some(3), "{json:?}");
    insta::assert_snapshot!(String::from_utf8(json.stdout).unwrap(), @r#"{"index":"flowship-ledger-ledger-read-world","from":"2026-11-20T03:00:00Z","to":"2026-11-20T04:00:00Z","complete":false,"objects":10,"complete_objects":9,"incomplete_objects":1,"lines":100,"indexed":90,"duplicate":10,"no_data":0,"quarantined":0,"refused":0,"missing_slots":2,"without_slot":0,"hours":[{"hour":"2026-11-20T03:00:00Z","objects":10,"complete_objects":9,"incomplete_objects":1,"lines":100,"indexed":90,"duplicate":10,"no_data":0,"quarantined":0,"refused":0}],"incomplete":[{"@timestamp":"2026-11-20T12:00:00Z","cloud.account.id":"1","cloud.region":"us-east-1","flowship.version":"0.1.0","flowship.object":{"uri":"s3://logs/1_vpcflowlogs_us-east-1_fl-1_20261120T0330Z_ab.log.gz","bucket":"logs","key":"1_vpcflowlogs_us-east-1_fl-1_20261120T0330Z_ab.log.gz","flow_log_id":"fl-1","time":"2026-11-20T03:30:00Z","slot":"2026-11-20T03:30:00Z","lines":10,"indexed":9,"duplicate":1,"no_data":0,"quarantined":0,"refused":0,"complete":false,"fate":"dead letter","reason":"decode.truncated_gzip","detail":"the gzip stream ends early","attempts":1,"hops":0,"passes":1,"duration_ms":5,"message_id":"m1"}}],"flow_logs":[{"account":"1","region":"us-east-1","id":"fl-1","interval_seconds":300,"slots":10,"missing_slots":2,"gaps":[{"from":"2026-11-20T03:15:00Z","to":"2026-11-20T03:25:00Z","slots":2}]}]}"#);

    let other = flowctl(
        NAME,
        &[&range[..], &["--flow-log", "fl-2", "--region", "us-east-1"]].concat(),
    );
    assert_eq!(other.status.code(), Some(0), "{other:?}");
    let nobody = flowctl(NAME, &[&range[..], &["--account", "2"]].concat());
    assert_eq!(nobody.status.code(), Some(4), "{nobody:?}");
    let wrong = flowctl(NAME, &["--from", "tomorrow"]);
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
}

/// More entries than a page has, many of them of the same moment.
#[tokio::test(flavor = "multi_thread")]
async fn every_entry_of_a_large_range_is_counted_once() {
    const NAME: &str = "ledger-pages";
    let client = &connect(&Stack::shared().elasticsearch_url, &[]).await;
    let plan = setup::plan(client, &installation(NAME), false).await.unwrap();
    setup::apply(client, &plan).await.unwrap();
    let flow_logs: Vec<String> = (0..100).map(|number| format!("fl-{number}")).collect();
    for minutes in [0..300, 300..600] {
        let entries: Vec<LedgerEntry> = minutes
            .step_by(5)
            .flat_map(|minute| flow_logs.iter().map(move |id| entry(id, minute)))
            .collect();
        write(client, NAME, &entries).await;
    }
    let found = flowctl(
        NAME,
        &["--from", "2026-11-20", "--to", "2026-11-20T10:00", "--json"],
    );
    assert_eq!(found.status.code(), Some(0), "{found:?}");
    let report: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(
        (&report["objects"], &report["lines"]),
        (&json!(12_000), &json!(120_000))
    );
    // The slots before a range are read page by page, too.
    let later = flowctl(
        NAME,
        &["--from", "2026-11-20T10:00", "--to", "2026-11-20T10:10", "--json"],
    );
    assert_eq!(later.status.code(), Some(3), "{later:?}");
    let report: Value = serde_json::from_slice(&later.stdout).unwrap();
    assert_eq!(
        (&report["objects"], &report["missing_slots"]),
        (&json!(0), &json!(200))
    );
}
