//! Whole runs: canaries, pace, what comes back, holds, and crashes.

use std::collections::HashSet;

use super::*;

/// So many letters of each reason.
fn of_reasons(reasons: &[&str], number: usize) -> Queues {
    let queues = empty();
    for position in 0..number {
        for reason in reasons {
            let key = format!("{reason}-{position}.gz");
            letter(reason, "transient").key(&key).put(&queues.dlq);
        }
    }
    queues
}

#[tokio::test(start_paused = true)]
async fn one_of_each_reason_goes_ahead_and_only_reasons_that_work_follow() {
    let queues = of_reasons(&["bulk.throttled", "object.not_found"], 20);
    let report = queues
        .send_with_function(&options(&["--yes", "--rate", "0", "--wait", "5m"]), |body| {
            body.contains("object.not_found")
        })
        .await;
    assert_eq!(report.exit_code(), exit::STOPPED);
    insta::assert_snapshot!(report.lines().join("\n"), @"
    from https://sqs.us-east-1.amazonaws.com/000000000000/dlq
    to   https://sqs.us-east-1.amazonaws.com/000000000000/main
         20  bulk.throttled
          1  object.not_found
    40 selected = 21 sent + 0 gone + 19 skipped + 0 failed (40 seen)
    21 sent = 20 delivered + 1 refailed + 0 still in flight
    19 not tried:
        the first of object.not_found: it came back as a dead letter
    ");
    assert_eq!(queues.dlq.messages().len(), 20);
    assert_eq!(queues.dlq.num_visible(), 20);
}

#[tokio::test(start_paused = true)]
async fn without_a_consumer_no_more_than_one_of_each_reason_leaves() {
    let queues = of_reasons(&["bulk.throttled", "object.not_found"], 10);
    let report = queues.send(&options(&["--yes"])).await;
    assert_eq!((report.sent, report.exit_code()), (2, exit::STOPPED));
    insta::assert_snapshot!(report.lines().join("\n"), @"
    from https://sqs.us-east-1.amazonaws.com/000000000000/dlq
    to   https://sqs.us-east-1.amazonaws.com/000000000000/main
          1  bulk.throttled
          1  object.not_found
    20 selected = 2 sent + 0 gone + 18 skipped + 0 failed (20 seen)
    9 not tried:
        the first of bulk.throttled: nobody takes messages from the main queue: 2
            wait there, none is in flight
    9 not tried:
        the first of object.not_found: nobody takes messages from the main queue: 2
            wait there, none is in flight
    ");
    insta::assert_snapshot!(report.notes().join("\n"), @"
    redrive: ended early: of no reason was the first message seen complete
    to go on: redrive resume journal
    ");
    assert_eq!((queues.main.messages().len(), queues.dlq.num_visible()), (2, 18));
}

#[tokio::test(start_paused = true)]
async fn too_many_that_come_back_stop_the_run() {
    let queues = filled(500);
    let report = queues
        .send_with_function(&options(&["--yes", "--no-canary", "--rate", "10"]), |_| true)
        .await;
    assert_eq!(report.exit_code(), exit::STOPPED);
    assert!((5..100).contains(&report.refailed), "{report:?}");
    assert!(report.sent < 100 && report.skipped > 400, "{report:?}");
    assert_eq!(queues.dlq.messages().len() + queues.main.messages().len(), 500);
    let note = report.notes().join("\n");
    assert!(
        note.contains("came back as dead letters") && note.contains("redrive resume"),
        "{note}"
    );
    let never = [
        "--yes",
        "--no-canary",
        "--rate",
        "0",
        "--stop-on-refail",
        "0",
        "--max-hops",
        "9",
    ];
    let report = queues.send_with_function(&options(&never), |_| true).await;
    assert_eq!(report.exit_code(), exit::DONE);
}

/// Thousands that are not selected, and a hundred that are.
fn hundred_behind_thousands() -> Queues {
    let queues = of_reasons(&["object.not_found"], 3000);
    for number in 0..100 {
        let key = format!("poison-{number}.gz");
        letter("bulk.throttled", "transient").key(&key).put(&queues.dlq);
    }
    queues
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_is_found_behind_thousands_that_were_not_selected() {
    let queues = hundred_behind_thousands();
    let arguments = sending(&["--reason", "bulk.*", "--stop-on-refail", "0", "--wait", "10m"]);
    let report = queues.send_with_function(&arguments, |_| true).await;
    assert_eq!((report.sent, report.refailed), (100, 100));
    assert_eq!(queues.dlq.num_visible(), 3100, "nothing stays hidden");
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_behind_thousands_stops_the_run() {
    let queues = hundred_behind_thousands();
    let arguments = options(&["--yes", "--no-canary", "--reason", "bulk.*", "--rate", "1"]);
    let report = queues.send_with_function(&arguments, |_| true).await;
    assert_eq!(report.exit_code(), exit::STOPPED);
    assert!((5..50).contains(&report.sent), "{} sent", report.sent);
    assert_eq!(queues.dlq.num_visible(), queues.dlq.messages().len());
}

#[tokio::test(start_paused = true)]
async fn a_slow_run_keeps_its_hold_longer_than_any_visibility_timeout() {
    let queues = filled(200);
    let second = async {
        tokio::time::sleep(Duration::from_secs(120)).await;
        queues.send(&sending(&[])).await
    };
    let slow = options(&["--yes", "--no-canary", "--rate", "1", "--stop-on-refail", "0"]);
    let (first, second) = tokio::join!(queues.send(&slow), second);
    assert_eq!((first.sent, second.sent), (200, 0));
    assert_eq!(queues.main.messages().len(), 200, "none twice");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_longer_held_is_gone_and_neither_sent_nor_deleted() {
    let queues = filled(30);
    // When its hold is to be renewed, somebody else has two of them.
    let lost = Fault::Entries(vec![0, 2]);
    queues.dlq.script("ChangeMessageVisibilityBatch", lost);
    let report = queues
        .send(&options(&["--yes", "--no-canary", "--rate", "1"]))
        .await;
    assert_eq!(
        (report.gone, report.sent, report.exit_code()),
        (2, 28, exit::DONE)
    );
    assert_eq!(queues.dlq.messages().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_is_counted_as_delivered_when_the_main_queue_stays_empty() {
    let queues = filled(12);
    let report = queues
        .send_with_function(&sending(&["--wait", "10m"]), |body| body.contains("\"3.gz"))
        .await;
    assert_eq!(
        (report.delivered, report.refailed, report.still_in_flight),
        (11, 1, 0)
    );
}

impl Queues {
    fn route<'a>(&'a self, status: &'a QueueStatus) -> Route<'a, MemoryQueue> {
        Route {
            dlq: &self.dlq,
            dlq_url: "https://sqs.us-east-1.amazonaws.com/000000000000/dlq",
            dlq_status: status,
            main: &self.main,
            main_url: main_url(),
            ledger: None,
        }
    }

    /// A run that hangs somewhere, and is ended there.
    async fn send_and_kill(&self, path: &std::path::Path) {
        let status = self.dlq.status().await.unwrap();
        let journal = Journal::begin(path, "dlq", "main", now()).unwrap();
        let memory = Memory {
            journal: Some(journal),
            past: None,
        };
        let (route, options, session) = (self.route(&status), sending(&[]), session());
        let run = send(&route, &options, &session, &memory);
        let killed = tokio::time::timeout(Duration::from_secs(5), run).await;
        assert!(killed.is_err(), "it ended before");
    }

    async fn resume(&self, path: &std::path::Path) -> Report {
        let status = self.dlq.status().await.unwrap();
        let memory = Memory {
            past: Some(Past::read(path).unwrap()),
            journal: Some(Journal::reopen(path).unwrap()),
        };
        send(&self.route(&status), &sending(&[]), &session(), &memory).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_killed_in_any_call_is_resumed_loses_nothing_and_sends_at_most_a_call_twice() {
    for fault in [Fault::Hang, Fault::WorkAndHang] {
        for (call, num_calls) in [("SendMessageBatch", 4), ("DeleteMessageBatch", 4)] {
            for position in 0..num_calls {
                let queues = filled(35);
                let queue = if call == "SendMessageBatch" {
                    &queues.main
                } else {
                    &queues.dlq
                };
                (0..position).for_each(|_| queue.script(call, Fault::Pass));
                queue.script(call, fault.clone());
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("journal");
                queues.send_and_kill(&path).await;
                let report = queues.resume(&path).await;

                let place = format!("{fault:?} in {call} {position}: {report:?}");
                assert_eq!((report.sent, report.selected), (35, 35), "{place}");
                assert_eq!(queues.dlq.messages(), [], "{place}");
                let sent = queues.main.messages();
                let keys: HashSet<&str> = sent.iter().map(|message| message.body.as_str()).collect();
                assert_eq!(keys.len(), 35, "{place}");
                let unknown = call == "SendMessageBatch" && matches!(fault, Fault::WorkAndHang);
                assert!(sent.len() == 35 || (unknown && sent.len() <= 45), "{place}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_a_power_cut_shortened_is_resumed_and_nothing_is_lost() {
    // All but the command and what was selected.
    for num_lost in 0..=7 {
        let queues = filled(25);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        // The third batch is sent, and what SQS says of it never comes.
        queues.main.script("SendMessageBatch", Fault::Pass);
        queues.main.script("SendMessageBatch", Fault::Pass);
        queues.main.script("SendMessageBatch", Fault::WorkAndHang);
        queues.send_and_kill(&path).await;
        let text = std::fs::read_to_string(&path).unwrap();
        let num_left = text.lines().count() - num_lost;
        let left: Vec<&str> = text.lines().take(num_left).collect();
        std::fs::write(&path, left.join("\n") + "\n{\"at\":\0\0").unwrap();
        tokio::time::sleep(Duration::from_secs(600)).await;

        let report = queues.resume(&path).await;
        let place = format!("{num_lost} rows lost: {report:?}");
        assert_eq!((report.selected, report.sent + report.gone), (25, 25), "{place}");
        assert_eq!(queues.dlq.messages(), [], "{place}");
        let sent = queues.main.messages();
        let keys: HashSet<&str> = sent.iter().map(|message| message.body.as_str()).collect();
        assert_eq!(keys.len(), 25, "{place}");
    }
}
