use super::*;
use crate::cli::exit;
use crate::cli::redrive::tests::{letter, main_url, now, s3_event, session};
use crate::queue::memory::{Fault, MemoryQueue};
use crate::queue::{Attribute, Attributes, OutgoingMessage};

mod runs;

struct Queues {
    dlq: MemoryQueue,
    main: MemoryQueue,
}

fn empty() -> Queues {
    Queues {
        dlq: MemoryQueue::new("dlq"),
        main: MemoryQueue::new("main"),
    }
}

fn filled(num_letters: usize) -> Queues {
    let queues = empty();
    for number in 0..num_letters {
        letter("bulk.throttled", "transient")
            .key(&format!("{number}.gz"))
            .put(&queues.dlq);
    }
    queues
}

/// Options of a run as they are on the command line.
fn options(words: &[&str]) -> Arguments {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }
    let words = [&["send"], words].concat();
    <Line as clap::Parser>::try_parse_from(words).unwrap().arguments
}

fn arguments(yes: bool) -> Arguments {
    if yes { sending(&[]) } else { options(&[]) }
}

/// Really sends what these options select, all at once.
fn sending(words: &[&str]) -> Arguments {
    options(&[&["--yes", "--no-canary", "--rate", "0"], words].concat())
}

impl Queues {
    async fn send(&self, arguments: &Arguments) -> Report {
        self.send_in(arguments, &session()).await
    }

    /// The same while a function takes messages: it sends those whose body `fails` back to the dead-letter queue.
    async fn send_with_function(&self, arguments: &Arguments, fails: fn(&str) -> bool) -> Report {
        let function = async {
            loop {
                let messages = self.main.receive(10, Duration::from_secs(1), None).await.unwrap();
                for message in messages {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    if fails(&message.body) {
                        self.dlq.put(&message.body, message.attributes);
                    }
                    self.main.delete_batch(&[message.receipt_handle]).await;
                }
            }
        };
        let began = Session {
            now: now() - jiff::SignedDuration::from_hours(1),
            ..session()
        };
        tokio::select! {
            report = self.send_in(arguments, &began) => report,
            () = function => unreachable!("it works for ever"),
        }
    }

    async fn send_in(&self, arguments: &Arguments, session: &Session) -> Report {
        let status = self.dlq.status().await.unwrap();
        let route = Route {
            dlq: &self.dlq,
            dlq_url: "https://sqs.us-east-1.amazonaws.com/000000000000/dlq",
            dlq_status: &status,
            main: &self.main,
            main_url: main_url(),
            ledger: None,
        };
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory {
            journal: arguments
                .yes
                .then(|| Journal::create(&folder.path().join("journal")).unwrap()),
            past: None,
        };
        let mut report = send(&route, arguments, session, &memory).await;
        assert_eq!(
            report.selected,
            report.would_send + report.sent + report.gone + report.skipped + report.failed,
            "{report:?}"
        );
        assert_eq!(
            report.sent,
            report.delivered + report.refailed + report.still_in_flight
        );
        // Its name is another each time.
        report.journal = report.journal.map(|_| "journal".to_owned());
        report
    }
}

fn hops(message: &OutgoingMessage) -> u64 {
    message.attributes["hops"].to_number().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_changes_nothing() {
    let queues = filled(12);
    letter("object.not_found", "permanent").hops(3).put(&queues.dlq);
    let before = queues.dlq.messages();
    let report = queues.send(&arguments(false)).await;
    insta::assert_snapshot!(report.lines().join("\n"), @"
    from https://sqs.us-east-1.amazonaws.com/000000000000/dlq
    to   https://sqs.us-east-1.amazonaws.com/000000000000/main
         12  bulk.throttled
    13 selected = 12 would send + 0 gone + 1 skipped + 0 failed (13 seen)
    1 skipped:
      08d12e65-0000-4000-8000-00000000000d
        redriven 3 times already: --max-hops is 3
    dry run: nothing was sent; to send, repeat with --yes
    ");
    assert_eq!(report.exit_code(), exit::DONE);
    assert_eq!((queues.dlq.messages(), queues.dlq.num_visible()), (before, 13));
    assert_eq!(queues.main.messages(), []);
    assert_eq!(queues.main.num_calls("SendMessageBatch"), 0);
    assert_eq!(queues.dlq.num_calls("DeleteMessageBatch"), 0);
}

#[tokio::test(start_paused = true)]
async fn twenty_five_messages_go_in_three_batches_with_their_hops_counted() {
    let queues = filled(25);
    let before = queues.dlq.messages();
    let report = queues.send(&arguments(true)).await;
    assert_eq!((report.selected, report.sent, report.seen), (25, 25, 25));
    assert_eq!(report.exit_code(), exit::DONE);
    assert_eq!(queues.main.num_calls("SendMessageBatch"), 3);
    assert_eq!(queues.dlq.num_calls("DeleteMessageBatch"), 3);
    assert_eq!(queues.dlq.messages(), []);
    for (sent, mut expected) in queues.main.messages().into_iter().zip(before) {
        expected.attributes.insert("hops".into(), Attribute::Number(1));
        assert_eq!(sent, expected, "body and other attributes are kept");
    }
}

#[tokio::test(start_paused = true)]
async fn only_what_the_main_queue_confirmed_is_deleted() {
    let queues = filled(5);
    let ids = queues.dlq.ids();
    queues.main.script("SendMessageBatch", Fault::Entries(vec![1, 3]));
    let report = queues.send(&arguments(true)).await;
    assert_eq!((report.selected, report.sent, report.failed), (5, 3, 2));
    assert_eq!(report.exit_code(), exit::ERROR);
    assert_eq!(queues.dlq.ids(), [ids[1].clone(), ids[3].clone()]);
    assert_eq!(queues.dlq.num_visible(), 2, "what stays is visible at once");
    assert_eq!(queues.main.messages().len(), 3);
    insta::assert_snapshot!(report.lines().join("\n"), @"
    from https://sqs.us-east-1.amazonaws.com/000000000000/dlq
    to   https://sqs.us-east-1.amazonaws.com/000000000000/main
          3  bulk.throttled
    5 selected = 3 sent + 0 gone + 0 skipped + 2 failed (5 seen)
    2 failed: not sent, and still in the dead-letter queue:
      3c6ef372-0000-4000-8000-000000000002
        SendMessageBatch refused this message: InternalError: scripted
      78dde6e4-0000-4000-8000-000000000004
        SendMessageBatch refused this message: InternalError: scripted
    ");
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_deleted_is_told() {
    let queues = filled(3);
    let ids = queues.dlq.ids();
    queues.dlq.script("DeleteMessageBatch", Fault::Entries(vec![2]));
    let report = queues.send(&arguments(true)).await;
    assert_eq!((report.sent, report.failed, report.not_deleted), (3, 0, 1));
    assert_eq!(report.exit_code(), exit::ERROR);
    assert_eq!(queues.dlq.ids(), [ids[2].clone()]);
    assert_eq!((queues.dlq.num_visible(), queues.main.messages().len()), (1, 3));
    insta::assert_snapshot!(report.lines().join("\n"), @"
    from https://sqs.us-east-1.amazonaws.com/000000000000/dlq
    to   https://sqs.us-east-1.amazonaws.com/000000000000/main
          3  bulk.throttled
    3 selected = 3 sent + 0 gone + 0 skipped + 0 failed (3 seen)
    1 sent, but still in the dead-letter queue: may be processed twice, which gives
        the same documents under the same ids:
      daa66d2b-0000-4000-8000-000000000003
        DeleteMessageBatch refused this message: InternalError: scripted
    ");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_as_a_whole_ends_the_run_and_deletes_nothing() {
    let queues = filled(25);
    queues.main.script("SendMessageBatch", Fault::Pass);
    queues.main.script("SendMessageBatch", Fault::Call);
    let report = queues.send(&arguments(true)).await;
    assert_eq!(
        (report.sent, report.failed),
        (15, 10),
        "three calls are made at once"
    );
    assert_eq!(report.exit_code(), exit::ERROR);
    assert_eq!((queues.dlq.messages().len(), queues.dlq.num_visible()), (10, 10));
    insta::assert_snapshot!(report.notes().join("\n"), @"
    redrive: ended early: SendMessageBatch on memory:main: InternalError: scripted
    to go on: redrive resume journal
    ");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_sends_twice_rather_than_losing() {
    let queues = filled(2);
    queues.main.script("SendMessageBatch", Fault::LostAnswer);
    let report = queues.send(&arguments(true)).await;
    assert_eq!((report.sent, report.failed), (0, 2));
    assert_eq!(
        (queues.dlq.messages().len(), queues.main.messages().len()),
        (2, 2)
    );
    assert_eq!(queues.send(&arguments(true)).await.sent, 2);
    assert_eq!(
        (queues.dlq.messages().len(), queues.main.messages().len()),
        (0, 4)
    );
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_dead_letter_queue_keeps_the_report() {
    let queues = filled(15);
    queues.dlq.script("ReceiveMessage", Fault::Pass);
    queues.dlq.script("ReceiveMessage", Fault::Call);
    let report = queues.send(&arguments(true)).await;
    assert_eq!(
        (report.sent, report.skipped, report.exit_code()),
        (0, 10, exit::ERROR)
    );
    assert_eq!((queues.dlq.messages().len(), queues.dlq.num_visible()), (15, 15));
    let json = serde_json::to_value(&report).unwrap();
    assert!(json["stopped"].as_str().unwrap().starts_with("ReceiveMessage"));
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_send_and_delete_loses_nothing() {
    let queues = filled(4);
    queues.dlq.script("DeleteMessageBatch", Fault::Hang);
    let yes = arguments(true);
    let crash = tokio::time::timeout(Duration::from_secs(5), queues.send(&yes)).await;
    assert!(crash.is_err());
    assert_eq!(queues.main.messages().len(), 4);
    assert_eq!((queues.dlq.messages().len(), queues.dlq.num_visible()), (4, 0));
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(
        queues.dlq.num_visible(),
        4,
        "they come back when their timeout ends"
    );
}

#[tokio::test(start_paused = true)]
async fn a_message_is_not_redriven_for_ever() {
    let queues = empty();
    for hops in 0..5 {
        letter("bulk.rejected", "permanent").hops(hops).put(&queues.dlq);
    }
    let report = queues.send(&arguments(true)).await;
    assert_eq!((report.selected, report.sent, report.skipped), (5, 3, 2));
    let sent: Vec<u64> = queues.main.messages().iter().map(hops).collect();
    assert_eq!(sent, [1, 2, 3]);
    assert_eq!((queues.dlq.messages().len(), queues.dlq.num_visible()), (2, 2));
    let more = sending(&["--max-hops", "4"]);
    assert_eq!(queues.send(&more).await.sent, 1);
}

#[tokio::test(start_paused = true)]
async fn hops_written_as_text_are_counted_too() {
    let queues = empty();
    letter("bulk.rejected", "permanent")
        .with("hops", Attribute::Text("2".into()))
        .put(&queues.dlq);
    queues.send(&arguments(true)).await;
    assert_eq!(hops(&queues.main.messages()[0]), 3);
}

#[tokio::test(start_paused = true)]
async fn ten_attributes_without_hops_are_all_kept_and_the_missing_count_is_told() {
    let queues = empty();
    let full: Attributes = (0..10)
        .map(|number| (format!("a{number}"), Attribute::Number(number)))
        .collect();
    let mut nine = full.clone();
    nine.remove("a9");
    queues.dlq.put("full", full.clone());
    queues.dlq.put("nine", nine);
    let report = queues.send(&arguments(true)).await;
    assert_eq!((report.sent, report.sent_without_hops), (2, 1));
    let sent = queues.main.messages();
    assert_eq!(sent[0].attributes, full);
    assert_eq!((sent[1].attributes.len(), hops(&sent[1])), (10, 1));
    insta::assert_snapshot!(report.lines().join("\n"), @"
    from https://sqs.us-east-1.amazonaws.com/000000000000/dlq
    to   https://sqs.us-east-1.amazonaws.com/000000000000/main
          2  unknown (moved by the queue's redrive policy)
    2 selected = 2 sent + 0 gone + 0 skipped + 0 failed (2 seen)
    1 without a hop count:
      9e3779b9-0000-4000-8000-000000000001
        its 10 attributes leave no room for `hops`
    ");
}

#[tokio::test(start_paused = true)]
async fn other_peoples_messages_survive_unchanged() {
    let queues = empty();
    let several = s3_event(&["one.gz", "two.gz"]);
    let from = ("DeadLetterQueueSourceArn".to_owned(), "arn:main".to_owned());
    queues
        .dlq
        .put_with_system_attributes(&several, Attributes::new(), [from].into());
    queues.dlq.put("{ not json é", Attributes::new());
    let binary = Attribute::Other {
        data_type: "Binary".into(),
        value: vec![0, 255],
    };
    queues.dlq.put("b", [("blob".to_owned(), binary.clone())].into());
    let report = queues.send(&arguments(true)).await;
    assert_eq!((report.sent, report.reasons.len()), (3, 1));
    assert_eq!(report.reasons["unknown (moved by the queue's redrive policy)"], 3);
    let sent = queues.main.messages();
    assert_eq!(sent[0].body, several);
    assert_eq!(sent[1].body, "{ not json é");
    assert_eq!(sent[2].attributes["blob"], binary);
    assert_eq!(sent.iter().map(hops).collect::<Vec<_>>(), [1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn large_messages_go_in_smaller_batches() {
    let queues = empty();
    for _ in 0..5 {
        queues.dlq.put(&"x".repeat(100 * 1024), Attributes::new());
    }
    queues.dlq.put(&"x".repeat(1 << 19), Attributes::new());
    let report = queues.send(&arguments(true)).await;
    assert_eq!(report.sent, 6);
    assert_eq!(queues.main.num_calls("SendMessageBatch"), 4);
}

#[tokio::test(start_paused = true)]
async fn selection_and_limit_leave_the_rest_in_peace() {
    let queues = filled(12);
    let other = letter("object.not_found", "permanent").put(&queues.dlq);
    let by_reason = sending(&["--reason", "bulk.*", "--reason", "line.*", "--limit", "3"]);
    assert_eq!(queues.send(&by_reason).await.sent, 3);
    assert_eq!((queues.dlq.messages().len(), queues.dlq.num_visible()), (10, 10));
    let by_id = sending(&["--id", &other]);
    assert_eq!(queues.send(&by_id).await.sent, 1);
    assert_eq!((queues.dlq.messages().len(), queues.dlq.num_visible()), (9, 9));
    let report = queues.send(&by_id).await;
    assert_eq!((report.selected, report.exit_code()), (0, exit::NOTHING));
}

#[tokio::test(start_paused = true)]
async fn what_fails_again_during_the_run_is_left_for_the_next_run() {
    let queues = filled(2);
    let early = Session {
        now: now() - jiff::SignedDuration::from_mins(30),
        ..session()
    };
    tokio::time::sleep(Duration::from_secs(45 * 60)).await;
    letter("object.not_found", "permanent").hops(1).put(&queues.dlq);
    let report = queues.send_in(&arguments(true), &early).await;
    assert_eq!((report.selected, report.sent, report.skipped), (3, 2, 1));
    insta::assert_snapshot!(report.exceptions[0].detail, @"arrived after this run began (by this machine's clock): left for the next run");
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_run_sends_nothing_more_and_says_so() {
    let queues = filled(5);
    let session = session();
    session.interrupt.set();
    let report = queues.send_in(&arguments(true), &session).await;
    assert_eq!((report.selected, report.exit_code()), (0, exit::STOPPED));
    assert_eq!(queues.main.messages(), []);
    assert_eq!(queues.dlq.num_visible(), 5);
    insta::assert_snapshot!(report.notes().join("\n"), @"redrive: ended early: interrupted");
}

#[tokio::test(start_paused = true)]
async fn the_report_as_json_has_every_number() {
    let queues = filled(2);
    letter("bulk.rejected", "permanent").hops(9).put(&queues.dlq);
    queues.main.script("SendMessageBatch", Fault::Entries(vec![0]));
    let report = queues.send(&arguments(true)).await;
    insta::assert_snapshot!(serde_json::to_string_pretty(&report).unwrap(), @r#"
    {
      "dry_run": false,
      "from": "https://sqs.us-east-1.amazonaws.com/000000000000/dlq",
      "to": "https://sqs.us-east-1.amazonaws.com/000000000000/main",
      "in_flight": 0,
      "seen": 3,
      "selected": 3,
      "would_send": 0,
      "sent": 1,
      "gone": 0,
      "skipped": 1,
      "failed": 1,
      "not_deleted": 0,
      "sent_without_hops": 0,
      "delivered": 0,
      "refailed": 0,
      "still_in_flight": 1,
      "waited": false,
      "left": {},
      "stopped_reasons": [],
      "journal": "journal",
      "problem": null,
      "reasons": {
        "bulk.throttled": 1
      },
      "exceptions": [
        {
          "id": "daa66d2b-0000-4000-8000-000000000003",
          "fate": "skipped",
          "detail": "redriven 9 times already: --max-hops is 3"
        },
        {
          "id": "9e3779b9-0000-4000-8000-000000000001",
          "fate": "failed",
          "detail": "SendMessageBatch refused this message: InternalError: scripted"
        }
      ],
      "stopped": null
    }
    "#);
}
