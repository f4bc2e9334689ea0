//! The verbs over a quarantine in memory, filled by the function's own code.

use std::time::Duration;

use clap::Parser;
use tokio::time::Instant;

use super::files::Files;
use super::list::Listing;
use super::report::Report;
use super::select::Selection;
use super::send::Sending;
use super::stats::Stats;
use super::*;
use crate::bulk::memory::{Fault, MemorySink};
use crate::cli::redrive::tests::session;
use crate::config::{QuarantineSettings, ShipSettings};
use crate::deadline::Deadline;
use crate::object::memory::MemoryStore;
use crate::quarantine::Place;
use crate::quarantine::memory::MemoryQuarantine;
use crate::ship::{ObjectPass, Shipper};

mod help;

const VPC: &str = "srcaddr bytes end";
const TGW: &str = "tgw-id srcaddr end";

struct World {
    place: Place,
    objects: MemoryStore,
    sink: MemorySink,
    quarantine: MemoryQuarantine,
    session: Session,
}

/// The key of an object of this account and day, as AWS writes it.
fn key(account: u64, day: &str) -> String {
    let (folders, stamp) = (day.replace('-', "/"), day.replace('-', ""));
    format!(
        "AWSLogs/{account}/vpcflowlogs/us-east-1/{folders}/{account}_vpcflowlogs_us-east-1_fl-{account}_{stamp}T0005Z_0.log"
    )
}

impl World {
    fn new() -> Self {
        Self {
            place: Place::parse_uri("s3://kept/bad").unwrap(),
            objects: MemoryStore::default(),
            sink: MemorySink::default(),
            quarantine: MemoryQuarantine::default(),
            session: session(),
        }
    }

    /// Four objects: three with documents that Elasticsearch refuses for now, three with lines that cannot be read.
    async fn filled() -> Self {
        let world = Self::new();
        world.sink.refuse_containing("10.6.6.6");
        let good = "10.0.0.1 5 1795132800\n";
        let refused = "10.6.6.6 5 1795132801\n";
        world
            .ship(
                &key(111, "2026-11-18"),
                format!("{VPC}\n{good}{refused}{refused}"),
            )
            .await;
        let long = "x".repeat(70_000);
        world
            .ship(
                &key(222, "2026-11-19"),
                format!("{VPC}\n{refused}{good}a b\n{long}\n"),
            )
            .await;
        world
            .ship(
                &key(222, "2026-11-20"),
                format!("{VPC}\n{good}\u{1b}[2J 5 1795132800\n"),
            )
            .await;
        world
            .ship(
                &key(333, "2026-11-20"),
                format!("{TGW}\ntgw-1 10.6.6.6 1795132800\ntgw-1 10.0.0.9\n"),
            )
            .await;
        assert_eq!(world.quarantine.files().len(), 4);
        world
    }

    async fn ship(&self, key: &str, text: String) -> u64 {
        let object = self.objects.put(key, text);
        let settings = ShipSettings {
            quarantine: QuarantineSettings {
                place: Some(self.place.clone()),
                max_lines: 1000,
                max_share: 100,
            },
            ..ShipSettings::default()
        };
        let (sink, quarantine) = (self.sink.clone(), self.quarantine.clone());
        let shipper = Shipper::new(self.objects.clone(), sink, quarantine, settings, Arc::default());
        let deadline = Deadline::new(Instant::now() + Duration::from_secs(60), Duration::ZERO);
        let report = shipper.ship(vec![ObjectPass::from(object)], deadline).await;
        assert_eq!(report.objects[0].failure, None);
        report.counts().duplicate
    }

    fn files<'a>(&'a self, selection: &Selection) -> Files<'a, MemoryQuarantine> {
        Files::new(self.quarantine.clone(), &self.place, selection, &self.session)
    }

    async fn stats(&self, options: &[&str]) -> Stats {
        let selection = selection(options);
        let files = self.files(&selection);
        stats::look(files, &self.place, selection.limit()).await.unwrap()
    }

    async fn list(&self, options: &[&str], verbose: bool, json: bool) -> (Vec<String>, Listing) {
        let arguments = list::Arguments {
            selection: selection(options),
            verbose,
        };
        let mut rows = Vec::new();
        let files = self.files(&arguments.selection);
        let print = |row| {
            rows.push(row);
            Ok(())
        };
        let listing = list::show(files, &arguments, json, print).await.unwrap();
        (rows, listing)
    }

    async fn send(&self, options: &[&str], yes: bool) -> Report {
        let selection = selection(options);
        let sink = yes.then(|| self.sink.clone());
        let settings = ShipSettings::default();
        let replayer = Replayer::new(self.quarantine.clone(), sink, &settings, Arc::default());
        let report = Report::new(!yes, self.place.to_string(), "flowlogs-*".into());
        let files = self.files(&selection);
        Sending::new(files, replayer, &selection, &self.session, 2, report)
            .run()
            .await
    }

    /// Everything in quarantine, byte for byte.
    fn bytes(&self) -> Vec<bytes::Bytes> {
        let files = self.quarantine.files().into_iter();
        files.map(|(key, ..)| self.quarantine.bytes(&key)).collect()
    }
}

fn selection(options: &[&str]) -> Selection {
    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        selection: Selection,
    }
    let words = [&["redrive"], options].concat();
    Line::try_parse_from(words).unwrap().selection
}

fn json(value: &impl serde::Serialize) -> serde_json::Value {
    serde_json::to_value(value).unwrap()
}

#[tokio::test]
async fn lines_are_counted_by_reason_with_an_example_of_each() {
    let world = World::filled().await;
    let stats = world.stats(&[]).await;
    insta::assert_snapshot!(stats.lines().join("\n"), @r"
    s3://kept/bad/
    8 lines in 4 files, of 2026-11-18 to 2026-11-20

      LINES  FILES  FIRST DAY   LAST DAY    REASON
          4      3  2026-11-18  2026-11-20  document.refused
                   document_parsing_exception
                   lines by dataset: tgw 1, vpc 3
                   by account: 111 2, 222 1, 333 1
                   line 2 of
                   s3://logs/AWSLogs/333/vpcflowlogs/us-east-1/2026/11/20/333_vpcflowlogs_us-east-1_fl-333_20261120T0005Z_0.log
                   scripted
          2      2  2026-11-19  2026-11-20  line.column_count
                   lines by dataset: tgw 1, vpc 1
                   by account: 222 1, 333 1
                   line 3 of
                   s3://logs/AWSLogs/333/vpcflowlogs/us-east-1/2026/11/20/333_vpcflowlogs_us-east-1_fl-333_20261120T0005Z_0.log
                   has 2 columns, the format has 3
          1      1  2026-11-20  2026-11-20  line.address
                   lines by dataset: vpc 1
                   by account: 222 1
                   line 3 of
                   s3://logs/AWSLogs/222/vpcflowlogs/us-east-1/2026/11/20/222_vpcflowlogs_us-east-1_fl-222_20261120T0005Z_0.log
                   column `srcaddr` holds `\u{1b}[2J`, not an IP address
          1      1  2026-11-19  2026-11-19  line.too_long
                   lines by dataset: vpc 1
                   by account: 222 1
                   line 5 of
                   s3://logs/AWSLogs/222/vpcflowlogs/us-east-1/2026/11/19/222_vpcflowlogs_us-east-1_fl-222_20261119T0005Z_0.log
                   is 70000 bytes long, at most 65536 are read

    next: redrive quarantine send --reason document.refused
    ");
    let shown = json(&stats);
    assert_eq!((&shown["lines"], &shown["files"]), (&8.into(), &4.into()));
    assert_eq!(shown["reasons"][0]["type"], "document_parsing_exception");
    assert_eq!(
        shown["reasons"][0]["accounts"],
        serde_json::json!({"111": 2, "222": 1, "333": 1})
    );
    assert_eq!(stats.exit_code(), exit::DONE);
    for line in stats.lines() {
        assert!(line.len() <= 80 || line.contains("s3://"), "{line}");
    }
}

#[tokio::test]
async fn an_empty_quarantine_is_good_news() {
    let stats = World::new().stats(&[]).await;
    insta::assert_snapshot!(stats.lines().join("\n"), @"
    s3://kept/bad/
    no such lines
    ");
    assert_eq!(stats.exit_code(), exit::DONE);
}

#[tokio::test]
async fn a_file_is_a_row_and_what_steers_a_terminal_is_shown() {
    let world = World::filled().await;
    let (rows, listing) = world.list(&[], false, false).await;
    insta::assert_snapshot!(rows.join("\n"), @"
    DAY         DATASET    LINES  FILE             REASONS
    2026-11-20  tgw            2  3105721238bb-1   document.refused 1, line.column_…
    2026-11-18  vpc            2  85f67e2cf04e-1   document.refused 2
    2026-11-19  vpc            3  f59a23596956-1   document.refused 1, line.column_…
    2026-11-20  vpc            1  c5d4c1e8ef8a-1   line.address 1
    ");
    insta::assert_snapshot!(listing.notes().join("\n"), @"8 lines in 4 files");
    assert!(rows.iter().all(|row| row.chars().count() <= 80), "{rows:?}");
    let (rows, _) = world.list(&["--key", "*/222_*20261120T*"], true, false).await;
    insta::assert_snapshot!(rows.join("\n"), @r"
    s3://kept/bad/vpc/2026/11/20/c5d4c1e8ef8ae17585b6be5195de3709-1.ndjson.gz
      1 line of s3://logs/AWSLogs/222/vpcflowlogs/us-east-1/2026/11/20/222_vpcflowlogs_us-east-1_fl-222_20261120T0005Z_0.log
      line 3: line.address
        column `srcaddr` holds `\u{1b}[2J`, not an IP address
        �[2J 5 1795132800
    ");
}

#[tokio::test]
async fn json_has_a_row_a_file_or_a_row_a_line() {
    let world = World::filled().await;
    let (rows, _) = world
        .list(&["--account", "222", "--limit", "1"], false, true)
        .await;
    insta::assert_snapshot!(rows.join("\n"), @r#"{"file":"s3://kept/bad/vpc/2026/11/19/f59a23596956a9a59f2308768c7313cc-1.ndjson.gz","dataset":"vpc","day":"2026-11-19","object":{"bucket":"logs","key":"AWSLogs/222/vpcflowlogs/us-east-1/2026/11/19/222_vpcflowlogs_us-east-1_fl-222_20261119T0005Z_0.log","size":70067,"etag":"\"0\"","last_modified":"2014-12-14T04:06:40Z"},"lines":3,"lines_in_file":3,"reasons":{"document.refused (document_parsing_exception)":1,"line.column_count":1,"line.too_long":1},"replayed":null}"#);
    let (rows, _) = world.list(&["--reason", "line.too_long"], true, true).await;
    insta::assert_snapshot!(rows.join("\n"), @r#"{"file":"s3://kept/bad/vpc/2026/11/19/f59a23596956a9a59f2308768c7313cc-1.ndjson.gz","object":"s3://logs/AWSLogs/222/vpcflowlogs/us-east-1/2026/11/19/222_vpcflowlogs_us-east-1_fl-222_20261119T0005Z_0.log","line":5,"offset":66,"ordinal":3,"format":0,"reason":"line.too_long","detail":"is 70000 bytes long, at most 65536 are read","num_bytes":70000}"#);
}

#[tokio::test]
async fn what_is_not_selected_is_not_seen() {
    let world = World::filled().await;
    for (options, num_files, num_lines) in [
        (&[][..], 4, 8),
        (&["--reason", "line.*"], 3, 4),
        (&["--reason", "*(document_parsing*"], 3, 4),
        (&["--reason", "line.number", "--reason", "line.too_long"], 1, 1),
        (&["--dataset", "tgw"], 1, 2),
        (&["--dataset", "vpc", "--dataset", "tgw"], 4, 8),
        (&["--from", "2026-11-19"], 3, 6),
        (&["--from", "2026-11-19T23:00", "--to", "2026-11-20"], 1, 3),
        (&["--to", "2026-11-19"], 1, 2),
        (&["--from", "26h"], 3, 6),
        (&["--account", "222"], 2, 4),
        (
            &["--account", "222", "--flow-log", "fl-222", "--to", "2026-11-20"],
            1,
            3,
        ),
        (&["--flow-log", "fl-1"], 0, 0),
        (&["--key", "*20261120T*", "--dataset", "vpc"], 1, 1),
        (&["--limit", "2"], 2, 4),
    ] {
        let shown = json(&world.stats(options).await);
        assert_eq!(
            (&shown["files"], &shown["lines"]),
            (&num_files.into(), &num_lines.into()),
            "{options:?}"
        );
    }
}

#[tokio::test]
async fn a_dry_run_tells_what_would_be_sent_and_changes_nothing() {
    let world = World::filled().await;
    let before = (world.bytes(), world.sink.documents());
    let report = world.send(&[], false).await;
    insta::assert_snapshot!(report.lines().join("\n"), @r#"
    from s3://kept/bad/
    to   flowlogs-*
          1  would be refused again: line.address
             s3://kept/bad/vpc/2026/11/20/c5d4c1e8ef8ae17585b6be5195de3709-1.ndjson.gz
                 line 3: column `srcaddr` holds `\u{1b}[2J`, not an IP address
          2  would be refused again: line.column_count
             s3://kept/bad/tgw/2026/11/20/3105721238bb02049b13a21d9bd485fe-1.ndjson.gz
                 line 3: has 2 columns, the format has 3
          1  cannot be sent, and stay:
             s3://kept/bad/vpc/2026/11/19/f59a23596956a9a59f2308768c7313cc-1.ndjson.gz
                 line 5: only its length was kept

    8 selected = 4 would be sent + 0 no data
      + 3 refused again + 1 cannot be sent + 0 failed
    4 files = 0 emptied + 0 rewritten + 4 unchanged
      + 0 overtaken + 0 failed
    dry run: nothing was sent; to send, repeat with --yes
    "#);
    assert_eq!((world.bytes(), world.sink.documents()), before);
    assert_eq!(report.exit_code(), exit::DONE);
}

#[tokio::test]
async fn what_is_mended_is_delivered_once_and_the_rest_stays() {
    let world = World::filled().await;
    let num_before = world.sink.num_documents();
    world.sink.mend();
    let report = world.send(&[], true).await;
    insta::assert_snapshot!(report.lines().join("\n"), @r#"
    from s3://kept/bad/
    to   flowlogs-*
          1  refused again: line.address
             s3://kept/bad/vpc/2026/11/20/c5d4c1e8ef8ae17585b6be5195de3709-1.ndjson.gz
                 line 3: column `srcaddr` holds `\u{1b}[2J`, not an IP address
          2  refused again: line.column_count
             s3://kept/bad/tgw/2026/11/20/3105721238bb02049b13a21d9bd485fe-1.ndjson.gz
                 line 3: has 2 columns, the format has 3
          1  cannot be sent, and stay:
             s3://kept/bad/vpc/2026/11/19/f59a23596956a9a59f2308768c7313cc-1.ndjson.gz
                 line 5: only its length was kept

    8 selected = 4 delivered + 0 duplicate + 0 no data
      + 3 refused again + 1 cannot be sent + 0 failed
    4 files = 1 emptied + 3 rewritten + 0 unchanged
      + 0 overtaken + 0 failed
    "#);
    assert_eq!((report.exit_code(), report.note_of_end()), (exit::DONE, None));
    assert_eq!(world.sink.num_documents(), num_before + 4);
    let left = json(&world.stats(&[]).await);
    assert_eq!((&left["lines"], &left["files"]), (&4.into(), &3.into()));

    // The objects again: every document is there.
    let refused = "10.6.6.6 5 1795132801\n";
    let text = format!("{VPC}\n10.0.0.1 5 1795132800\n{refused}{refused}");
    assert_eq!(world.ship(&key(111, "2026-11-18"), text).await, 3);

    let again = world.send(&["--reason", "document.*"], true).await;
    assert_eq!(again.exit_code(), exit::NOTHING);
}

#[tokio::test]
async fn a_limit_is_kept_also_by_files_that_are_sent_at_the_same_time() {
    let world = World::filled().await;
    world.sink.mend();
    let report = world
        .send(&["--limit", "1", "--reason", "document.*"], true)
        .await;
    let shown = json(&report);
    assert_eq!((&shown["selected"], &shown["delivered"]), (&1.into(), &1.into()));
}

#[tokio::test(start_paused = true)]
async fn a_sick_elasticsearch_ends_the_run_and_nothing_changes() {
    let world = World::filled().await;
    let before = world.bytes();
    world.sink.always(Some(Fault::Status(503)));
    let report = world.send(&["--reason", "document.*"], true).await;
    assert_eq!((report.exit_code(), world.bytes()), (exit::ERROR, before));
    let shown = json(&report);
    assert_eq!(shown["selected"], shown["failed"]);
    insta::assert_snapshot!(report.note_of_end().unwrap(), @"redrive: ended before all files were seen: bulk.unavailable: status 503; every file is as it was, or without what was delivered");
    insta::assert_snapshot!(report.lines().join("\n"), @"
    from s3://kept/bad/
    to   flowlogs-*
    s3://kept/bad/tgw/2026/11/20/3105721238bb02049b13a21d9bd485fe-1.ndjson.gz
      left as it was: bulk.unavailable: status 503
    s3://kept/bad/vpc/2026/11/18/85f67e2cf04eef0ba58820181310b6db-1.ndjson.gz
      left as it was: bulk.unavailable: status 503

    3 selected = 0 delivered + 0 duplicate + 0 no data
      + 0 refused again + 0 cannot be sent + 3 failed
    2 files = 0 emptied + 0 rewritten + 0 unchanged
      + 0 overtaken + 2 failed
    ");
}

#[tokio::test]
async fn a_damaged_file_is_told_and_the_others_are_sent() {
    let world = World::filled().await;
    let key = world.quarantine.files()[1].0.clone();
    let damaged = world.quarantine.bytes(&key).slice(..100);
    world.quarantine.insert(&key, damaged.clone());
    world.sink.mend();
    let report = world.send(&["--reason", "document.*"], true).await;
    let shown = json(&report);
    assert_eq!(
        (report.exit_code(), &shown["delivered"]),
        (exit::ERROR, &2.into())
    );
    assert_eq!(shown["unreadable"][0]["file"], format!("s3://kept/{key}"));
    assert_eq!(world.quarantine.bytes(&key), damaged);
    assert_eq!(world.stats(&[]).await.exit_code(), exit::ERROR);
    assert_eq!(world.list(&[], false, false).await.1.exit_code(), exit::ERROR);
}

#[tokio::test]
async fn an_interrupted_run_ends_between_files() {
    let world = World::filled().await;
    world.session.interrupt.set();
    let report = world.send(&[], true).await;
    assert_eq!(report.exit_code(), exit::STOPPED);
    assert_eq!(json(&report)["selected"], 0);
    assert_eq!(world.stats(&[]).await.exit_code(), exit::STOPPED);
    assert_eq!(world.list(&[], false, false).await.1.exit_code(), exit::STOPPED);
}

#[tokio::test]
async fn other_objects_under_the_prefix_are_none_of_its_business() {
    let world = World::filled().await;
    for key in [
        "bad/vpc/README",
        "bad/vpc/2026/11/19/x.ndjson.gz.bak",
        "bad/other/2026/11/19/x.ndjson.gz",
    ] {
        world.quarantine.insert(key, "x");
    }
    assert_eq!(json(&world.stats(&[]).await)["files"], 4);
}
