//! Quarantined lines on their second way: what is delivered, what stays, and that nothing is lost in between.

use proptest::prelude::*;

use super::quarantine::keeping;
use super::*;
use crate::outcome::Counts;
use crate::quarantine::{QuarantineFile, QuarantinedLine};
use crate::ship::convert::NotKept;
use crate::ship::replay::{FileFate, FileReport, ReplayCounts, Replayer, StoredFile};

const KEY: &str =
    "AWSLogs/1/vpcflowlogs/us-east-1/2014/12/14/1_vpcflowlogs_us-east-1_fl-1_20141214T0405Z_0.log";

fn now() -> jiff::Timestamp {
    "2026-11-21T01:02:03Z".parse().unwrap()
}

impl World {
    /// The only quarantine file.
    fn file(&self) -> ObjectRef {
        let files = self.quarantine.files();
        assert_eq!(files.len(), 1, "{files:?}");
        ObjectRef {
            bucket: "kept".into(),
            key: files[0].0.clone(),
            version_id: None,
        }
    }

    fn lines(&self) -> Vec<QuarantinedLine> {
        self.quarantine.files().remove(0).2
    }

    async fn replay(&self, sink: Option<MemorySink>, reason: &'static str) -> FileReport {
        let settings = ShipSettings::default();
        let replayer = Replayer::new(self.quarantine.clone(), sink, &settings, Arc::default());
        let file = StoredFile::fetch(&self.quarantine, &self.file()).await.unwrap();
        let select = move |line: &QuarantinedLine| line.reason.starts_with(reason);
        let report = replayer.replay(file, select, now()).await;
        let counts = report.counts;
        let accounted = counts.would_send + counts.delivered + counts.duplicate + counts.no_data;
        assert_eq!(
            counts.selected,
            accounted + counts.refused + counts.kept + counts.failed,
            "{counts:?}"
        );
        report
    }

    async fn send(&self) -> FileReport {
        self.replay(Some(self.sink.clone()), "").await
    }
}

/// An object of ten records, two of which Elasticsearch refuses, a malformed line and one that is too long.
async fn world_with_bad_lines() -> (World, ObjectRef) {
    let world = keeping(1000, 10);
    let long = "x".repeat(70_000);
    let object = world.store.put(KEY, format!("{}2 bad\n{long}\n", text(1000, 10)));
    world.sink.refuse_containing(r#""bytes":1005"#);
    let counts = world.ship(std::slice::from_ref(&object)).await.counts();
    assert_eq!((counts.indexed, counts.quarantined), (9, 3));
    (world, object)
}

fn is_transient(fate: &FileFate) -> bool {
    matches!(fate, FileFate::Failed(failure) if failure.reason.disposition() == Disposition::Transient)
}

#[tokio::test]
async fn what_can_be_indexed_by_now_is_under_the_ids_of_its_object_and_the_rest_stays() {
    let (world, object) = world_with_bad_lines().await;
    let before = world.lines();

    let dry = world.replay(None, "").await;
    let expected = ReplayCounts {
        selected: 3,
        would_send: 1,
        refused: 1,
        kept: 1,
        ..ReplayCounts::default()
    };
    assert_eq!((dry.counts, &dry.fate), (expected, &FileFate::Unchanged));
    assert_eq!((world.sink.num_documents(), world.lines()), (9, before.clone()));

    world.sink.mend();
    let sent = world.send().await;
    let expected = ReplayCounts {
        would_send: 0,
        delivered: 1,
        ..expected
    };
    assert_eq!((sent.counts, &sent.fate), (expected, &FileFate::Rewritten(2)));
    assert_eq!(sent.kept, [(13, NotKept::NoText)]);
    let refused: Vec<String> = sent
        .refused
        .groups()
        .map(|(cause, _)| cause.to_string())
        .collect();
    assert_eq!(refused, ["line.column_count"]);
    assert_eq!(world.lines(), before[1..], "with the reasons that they had");
    let replayed = world.quarantine.files()[0].1.replayed.unwrap();
    assert_eq!((replayed.at, replayed.lines), (now(), 1));

    // The object once more: only duplicates.
    let again = world.ship(&[object]).await.counts();
    let expected = Counts {
        lines: 12,
        duplicate: 10,
        quarantined: 2,
        ..Counts::default()
    };
    assert_eq!(again, expected);
    assert_eq!(world.sink.num_documents(), 10);
}

#[tokio::test]
async fn what_is_refused_again_stays_with_the_reason_of_today() {
    let (world, _) = world_with_bad_lines().await;
    world.sink.mend();
    world
        .sink
        .script([Fault::Items(vec![0], 400, "strict_dynamic_mapping_exception")]);
    let sent = world.replay(Some(world.sink.clone()), "document.").await;
    assert_eq!((sent.counts.selected, sent.counts.refused), (1, 1));
    assert_eq!(sent.fate, FileFate::Rewritten(3));
    let lines = world.lines();
    assert_eq!(lines[0].kind.as_deref(), Some("strict_dynamic_mapping_exception"));
    assert_eq!(lines.len(), 3);
}

#[tokio::test]
async fn only_selected_lines_are_sent_and_the_others_stay_as_they_are() {
    let (world, _) = world_with_bad_lines().await;
    let before = world.lines();
    world.sink.mend();
    let sent = world.replay(Some(world.sink.clone()), "line.").await;
    assert_eq!((sent.counts.selected, sent.counts.delivered), (2, 0));
    assert_eq!((world.lines(), world.sink.num_documents()), (before, 9));
    let sent = world.replay(Some(world.sink.clone()), "none").await;
    assert_eq!(
        (sent.counts, sent.fate),
        (ReplayCounts::default(), FileFate::Unchanged)
    );
}

#[tokio::test(start_paused = true)]
async fn while_elasticsearch_is_down_nothing_changes() {
    let (world, _) = world_with_bad_lines().await;
    let before = world.quarantine.bytes(&world.file().key);
    for fault in [
        Fault::Refuse,
        Fault::Status(503),
        Fault::Items(vec![0], 403, "security_exception"),
    ] {
        world.sink.always(Some(fault));
        let report = world.send().await;
        assert!(is_transient(&report.fate), "{:?}", report.fate);
        assert_eq!((report.counts.failed, report.counts.delivered), (1, 0));
        assert_eq!(world.quarantine.bytes(&world.file().key), before);
    }
}

#[tokio::test]
async fn what_was_delivered_before_a_crash_is_a_duplicate_after_it() {
    let (world, _) = world_with_bad_lines().await;
    let before = world.lines();
    world.sink.mend();
    world.quarantine.refuse(true);
    let report = world.send().await;
    assert!(is_transient(&report.fate), "{:?}", report.fate);
    assert_eq!((report.counts.delivered, world.lines()), (1, before));

    world.quarantine.refuse(false);
    let report = world.send().await;
    assert_eq!((report.counts.delivered, report.counts.duplicate), (0, 1));
    assert_eq!(
        (report.fate, world.sink.num_documents()),
        (FileFate::Rewritten(2), 10)
    );
}

#[tokio::test]
async fn a_file_that_was_overwritten_meanwhile_is_the_other_ones() {
    let (world, object) = world_with_bad_lines().await;
    let other = keeping(1000, 10);
    other.store.put(KEY, format!("{}2 other\n", text(1000, 10)));
    other.ship(&[object]).await;
    let theirs = other.quarantine.bytes(&other.file().key);
    world.sink.mend();
    world.quarantine.intrude(&world.file().key, theirs.clone());
    let report = world.send().await;
    assert_eq!((report.fate, report.counts.delivered), (FileFate::Overtaken, 1));
    assert_eq!(world.quarantine.bytes(&world.file().key), theirs);
}

#[tokio::test]
async fn a_file_whose_answer_was_lost_is_written() {
    let (world, _) = world_with_bad_lines().await;
    world.sink.mend();
    world.quarantine.lose_answers();
    assert_eq!(world.send().await.fate, FileFate::Rewritten(2));
}

#[tokio::test]
async fn a_file_of_which_nothing_remains_is_a_head_without_lines() {
    let world = keeping(1000, 10);
    let object = world.store.put(KEY, text(1000, 10));
    world.sink.refuse_containing(r#""bytes":1005"#);
    world.ship(&[object]).await;
    world.sink.mend();
    assert_eq!(world.send().await.fate, FileFate::Emptied);
    assert_eq!(world.lines(), []);
    assert_eq!(world.send().await.counts, ReplayCounts::default());
}

#[tokio::test]
async fn a_damaged_file_stays_as_it_is() {
    let (world, _) = world_with_bad_lines().await;
    world.sink.mend();
    let (file, whole) = (world.file(), world.quarantine.bytes(&world.file().key));
    let cut = whole.slice(..whole.len() - 9);
    let settings = ShipSettings::default();
    let replayer = Replayer::new(
        world.quarantine.clone(),
        Some(world.sink.clone()),
        &settings,
        Arc::default(),
    );
    for damaged in [cut, bytes::Bytes::from_static(b"x")] {
        world.quarantine.insert(&file.key, damaged.clone());
        let stored = StoredFile::fetch(&world.quarantine, &file).await.unwrap();
        let report = replayer.replay(stored, |_| true, now()).await;
        assert!(matches!(report.fate, FileFate::Damaged(_)), "{:?}", report.fate);
        assert_eq!(world.quarantine.bytes(&file.key), damaged);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Of every line there is a document, or it is still in the file, whatever Elasticsearch says to each of them.
    #[test]
    fn no_line_is_lost(
        num_lines in 1_u32..30, verdicts in prop::collection::vec(0_usize..4, 30),
        is_written: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let world = keeping(1000, 100);
            let object = world.store.put(KEY, text(1000, num_lines));
            let failing = |word: usize| {
                let of_word = verdicts.iter().take(num_lines as usize).enumerate().filter(|(_, verdict)| **verdict == word);
                of_word.map(|(position, _)| position).collect::<Vec<_>>()
            };
            world.sink.refuse_containing("{");
            world.ship(&[object]).await;
            world.sink.mend();
            world.quarantine.refuse(!is_written);
            world.sink.script([
                Fault::Items(failing(1), 400, "document_parsing_exception"),
                Fault::Items(failing(2), 429, "es_rejected_execution_exception"),
            ]);
            let report = world.send().await;
            let left = world.lines();
            let counts = report.counts;
            assert_eq!(counts.selected, u64::from(num_lines));
            assert_eq!(world.sink.num_documents() as u64, counts.delivered);
            if is_written && report.fate != FileFate::Unchanged {
                assert_eq!(left.len() as u64, counts.refused);
            } else {
                assert_eq!(left.len() as u64, counts.selected);
            }
            let bytes = world.quarantine.bytes(&world.file().key);
            assert!(QuarantineFile::open(&bytes[..]).unwrap().all(|line| line.is_ok()));
        });
    }
}
