//! What the ledger says of objects.

use super::*;
use crate::outcome::Fate;
use crate::queue::Attribute;

/// 2026-11-20T03:10:00Z.
const STAMPED: &str = "123456789012_vpcflowlogs_us-east-1_fl-1_20261120T0310Z_ab.log.gz";

#[tokio::test]
async fn an_object_has_one_entry_which_a_redelivery_keeps_complete() {
    let world = World::new();
    world.store.put(STAMPED, LINES);
    world.process(&[message("m1", 1, &[STAMPED])]).await;
    let first = world.ledger.entry(STAMPED);
    assert_eq!(
        (first.account.as_deref(), first.region.as_deref()),
        (Some("123456789012"), Some("us-east-1"))
    );
    let object = &first.object;
    assert_eq!(
        (object.counts.lines, object.counts.indexed, object.complete),
        (2, 2, true)
    );
    assert_eq!(
        (object.fate, &object.reason, object.attempts, object.passes),
        (Fate::Indexed, &None, 1, 1)
    );
    assert_eq!(object.size, Some(LINES.len() as u64));
    assert_eq!(object.slot, Some("2026-11-20T03:10:00Z".parse().unwrap()));
    assert_eq!(
        (object.first_record, object.last_record),
        (
            Timestamp::from_second(1_418_530_070).ok(),
            Timestamp::from_second(1_418_530_071).ok()
        )
    );
    let lag = first.ended_at.as_millisecond() - 1_418_530_071_000;
    assert_eq!(object.lag_ms, lag.try_into().ok());

    world.process(&[message("m2", 2, &[STAMPED])]).await;
    let again = world.ledger.entry(STAMPED);
    assert_eq!(
        (again.object.counts.duplicate, again.object.complete),
        (2, true),
        "{again:?}"
    );
    assert_eq!(
        (again.object.message_id.as_str(), again.object.attempts),
        ("m2", 2)
    );
    assert!(again.ended_at >= first.ended_at);
}

#[tokio::test]
async fn every_fate_is_told_with_its_reason_in_one_call() {
    let world = World::new();
    world.store.put("good", LINES);
    world.store.put_cut("down", LINES, 30);
    let messages = [
        message("m1", 1, &["good"]),
        message("m2", 1, &["missing"]),
        message("m3", 1, &["down"]),
        message("m4", 5, &["down5"]),
        message("m5", 1, &[]),
    ];
    world.store.put_cut("down5", LINES, 30);
    let report = world.process(&messages).await;
    assert_eq!((report.num_ledger_failed, world.ledger.num_calls()), (0, 1));
    let told = |key: &str| {
        let entry = world.ledger.entry(key).object;
        (entry.fate, entry.reason.unwrap_or_default(), entry.complete)
    };
    let reason = |reason: &str| reason.to_owned();
    assert_eq!(told("good"), (Fate::Indexed, String::new(), true));
    assert_eq!(
        told("missing"),
        (Fate::DeadLetter, reason("object.not_found"), false)
    );
    assert_eq!(
        told("down"),
        (Fate::ComesBack, reason("object.unavailable"), false)
    );
    assert_eq!(
        told("down5"),
        (Fate::DeadLetter, reason("object.unavailable"), false)
    );
    assert_eq!(world.ledger.num_entries(), 4);
}

#[tokio::test]
async fn what_is_not_settled_comes_back_whatever_was_decided() {
    let world = World::new();
    world.store.put("good", LINES);
    world
        .processor
        .dead_letters
        .script("SendMessage", QueueFault::Call);
    let report = world.process(&[message("m1", 1, &["good", "missing"])]).await;
    assert_eq!(report.failed_ids, ["m1"]);
    assert_eq!(world.ledger.entry("missing").object.fate, Fate::ComesBack);
    assert_eq!(world.ledger.entry("good").object.fate, Fate::Indexed);
}

#[tokio::test]
async fn of_two_reports_of_one_invocation_the_better_one_stays() {
    let world = World::new();
    world.store.put("good", LINES);
    let left_behind = Counts {
        lines: 1,
        refused: 1,
        ..Counts::default()
    };
    let damaged = continued::from_line(3, left_behind);
    world.process(&[message("m2", 1, &["good"]), damaged]).await;
    assert_eq!(world.letters().len(), 1);
    let entry = world.ledger.entry("good").object;
    assert_eq!((entry.complete, entry.message_id.as_str()), (true, "m2"));
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_fails_fails_nothing_else() {
    let world = World::new();
    world.store.put("good", LINES);
    world.ledger.refuse();
    let report = world.process(&[message("m1", 1, &["good"])]).await;
    assert!(report.failed_ids.is_empty());
    assert_eq!((report.counts.indexed, report.num_ledger_failed), (2, 1));

    world.ledger.stall();
    let report = world.process(&[message("m2", 1, &["good", "missing"])]).await;
    assert!(report.failed_ids.is_empty());
    assert_eq!((report.num_dead_letters, report.num_ledger_failed), (1, 2));
}

#[tokio::test]
async fn a_continued_object_has_the_sums_of_its_passes() {
    let world = World::new();
    world.store.put("good", LINES);
    let mut earlier = Earlier {
        passes: 2,
        counts: Counts {
            lines: 4,
            indexed: 3,
            quarantined: 1,
            ..Counts::default()
        },
        times: Some((1_418_530_000, 1_418_530_070)),
        quarantine: Some("s3://quarantine/bad/1.ndjson.gz".to_owned()),
    };
    world.process(&[continued::after(3, earlier.clone())]).await;
    let entry = world.ledger.entry("good").object;
    assert_eq!((entry.counts.lines, entry.counts.indexed), (5, 4));
    assert_eq!((entry.passes, entry.complete), (3, true));
    assert_eq!(entry.quarantine, earlier.quarantine);
    let second = |second| Timestamp::from_second(second).ok();
    assert_eq!(
        (entry.first_record, entry.last_record),
        (second(1_418_530_000), second(1_418_530_071))
    );

    // Overwritten meanwhile, it is read from its start: what was counted before is of no object any more.
    world.store.put("good", LINES);
    earlier.passes = 3;
    let mut overwritten = continued::after(3, earlier);
    let etag = Attribute::Text("another".to_owned());
    overwritten.attributes.insert("etag".to_owned(), etag);
    world.process(&[overwritten]).await;
    let entry = world.ledger.entry("good").object;
    assert_eq!((entry.counts.lines, entry.counts.duplicate), (2, 1));
    assert_eq!((entry.passes, entry.quarantine), (4, None));
}
