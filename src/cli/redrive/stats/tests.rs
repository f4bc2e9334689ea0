use super::*;
use crate::cli::redrive::tests::{letter, main_url, now, selection, session, sized_event};
use crate::queue::Attributes;
use crate::queue::memory::{Fault, MemoryQueue};

async fn look_at(queue: &MemoryQueue) -> Stats {
    let status = queue.status().await.unwrap();
    look(queue, main_url(), &status, &Filter::default(), &session())
        .await
        .unwrap()
        .0
}

#[tokio::test(start_paused = true)]
async fn dead_letters_are_counted_by_reason_and_nothing_is_disturbed() {
    let queue = MemoryQueue::new("dlq");
    for hops in [0, 0, 1, 3] {
        letter("bulk.throttled", "transient").hops(hops).put(&queue);
    }
    letter("object.not_found", "permanent")
        .failed_at("2026-11-18T01:00:00.123Z")
        .put(&queue);
    let moved = (
        "DeadLetterQueueSourceArn".to_owned(),
        "arn:aws:sqs:us-east-1:0:main".to_owned(),
    );
    queue.put_with_system_attributes("not json", Attributes::new(), [moved].into());
    queue.add_source(main_url());
    let before = queue.messages();
    let stats = look_at(&queue).await;
    insta::assert_snapshot!(stats.lines(now()).join("\n"), @"
    https://sqs.us-east-1.amazonaws.com/000000000000/main
    dead-letter queue of https://sqs.us-east-1.amazonaws.com/000000000000/main
    the queue says: about 6 visible, 0 in flight, 0 delayed

    COUNT  OLDEST   NEWEST      BYTES  REASON (DISPOSITION)
                                         ACCOUNT       DAY OF THE OBJECTS
        4  50m      50m             -  bulk.throttled (transient)
        1  2d 2h    2d 2h           -  object.not_found (permanent)
        1  1h 0m    1h 0m           -  unknown (moved by the queue's redrive policy)

    6 dead letters, failed from 2026-11-18T01:00:00Z to 2026-11-20T03:10:00Z
    5 objects, -
    hops 0: 4, hops 1: 1, hops 3: 1
    1 moved here by the redrive policy of arn:aws:sqs:us-east-1:0:main

    next: redrive send --reason bulk.throttled
    ");
    insta::assert_snapshot!(serde_json::to_string_pretty(&stats).unwrap(), @r#"
    {
      "queue_url": "https://sqs.us-east-1.amazonaws.com/000000000000/main",
      "visible": 6,
      "in_flight": 0,
      "delayed": 0,
      "source_queues": [
        "https://sqs.us-east-1.amazonaws.com/000000000000/main"
      ],
      "seen": 6,
      "dead_letters": 6,
      "objects": 5,
      "bytes": 0,
      "complete": true,
      "oldest_failure": "2026-11-18T01:00:00Z",
      "newest_failure": "2026-11-20T03:10:00Z",
      "hops": {
        "0": 4,
        "1": 1,
        "3": 1
      },
      "moved_from": {
        "arn:aws:sqs:us-east-1:0:main": 1
      },
      "reasons": [
        {
          "reason": "bulk.throttled",
          "disposition": "transient",
          "dead_letters": 4,
          "objects": 4,
          "bytes": 0,
          "oldest_failure": "2026-11-20T03:10:00Z",
          "newest_failure": "2026-11-20T03:10:00Z",
          "parts": [
            {
              "account": null,
              "day": null,
              "dead_letters": 4,
              "objects": 4,
              "bytes": 0,
              "oldest_failure": "2026-11-20T03:10:00Z",
              "newest_failure": "2026-11-20T03:10:00Z"
            }
          ]
        },
        {
          "reason": "object.not_found",
          "disposition": "permanent",
          "dead_letters": 1,
          "objects": 1,
          "bytes": 0,
          "oldest_failure": "2026-11-18T01:00:00Z",
          "newest_failure": "2026-11-18T01:00:00Z",
          "parts": [
            {
              "account": null,
              "day": null,
              "dead_letters": 1,
              "objects": 1,
              "bytes": 0,
              "oldest_failure": "2026-11-18T01:00:00Z",
              "newest_failure": "2026-11-18T01:00:00Z"
            }
          ]
        },
        {
          "reason": "unknown (moved by the queue's redrive policy)",
          "disposition": null,
          "dead_letters": 1,
          "objects": 0,
          "bytes": 0,
          "oldest_failure": "2026-11-20T03:00:00Z",
          "newest_failure": "2026-11-20T03:00:00Z",
          "parts": [
            {
              "account": null,
              "day": null,
              "dead_letters": 1,
              "objects": 0,
              "bytes": 0,
              "oldest_failure": "2026-11-20T03:00:00Z",
              "newest_failure": "2026-11-20T03:00:00Z"
            }
          ]
        }
      ],
      "next": "redrive send --reason bulk.throttled"
    }
    "#);
    assert_eq!((queue.messages(), queue.num_visible()), (before, 6));
}

#[tokio::test(start_paused = true)]
async fn accounts_and_days_of_the_objects_are_counted_and_the_table_stays_short() {
    let queue = MemoryQueue::new("dlq");
    let key = |account: u64, day: u64| {
        format!("AWSLogs/{account}/vpcflowlogs/x/{account}_vpcflowlogs_x_fl-1_202611{day}T0000Z_0.log.gz")
    };
    for day in 10..20 {
        for _ in 10..=day {
            letter("bulk.throttled", "transient")
                .body(&sized_event(&[(&key(123_456_789_012, day), 1 << 20)]))
                .put(&queue);
        }
    }
    let (one, other) = (key(111_111_111_111, 20), key(222_222_222_222, 20));
    letter("object.not_found", "permanent")
        .body(&sized_event(&[(&one, 1000), (&other, 24)]))
        .put(&queue);
    letter("object.not_found", "permanent").put(&queue);
    queue.script("ListDeadLetterSourceQueues", Fault::Call);
    let stats = look_at(&queue).await;
    let lines = stats.lines(now());
    insta::assert_snapshot!(lines.join("\n"), @"
    https://sqs.us-east-1.amazonaws.com/000000000000/main
    the queue says: about 57 visible, 0 in flight, 0 delayed

    COUNT  OLDEST   NEWEST      BYTES  REASON (DISPOSITION)
                                         ACCOUNT       DAY OF THE OBJECTS
       55  50m      50m      55.0 MiB  bulk.throttled (transient)
       10  50m      50m      10.0 MiB    123456789012  2026-11-19
        9  50m      50m       9.0 MiB    123456789012  2026-11-18
        8  50m      50m       8.0 MiB    123456789012  2026-11-17
        7  50m      50m       7.0 MiB    123456789012  2026-11-16
        6  50m      50m       6.0 MiB    123456789012  2026-11-15
        5  50m      50m       5.0 MiB    123456789012  2026-11-14
        4  50m      50m       4.0 MiB    123456789012  2026-11-13
        3  50m      50m       3.0 MiB    123456789012  2026-11-12
                                         and 2 more: --json has all
        2  50m      50m       1.0 KiB  object.not_found (permanent)
        1  50m      50m             -    -             -
        1  50m      50m       1.0 KiB    several       2026-11-20

    57 dead letters, failed from 2026-11-20T03:10:00Z to 2026-11-20T03:10:00Z
    58 objects, 55.0 MiB
    hops 0: 57

    next: redrive send --reason bulk.throttled
    ");
    assert!(lines.iter().all(|line| line.chars().count() <= 80));
    let json = serde_json::to_value(&stats).unwrap();
    assert_eq!(json["reasons"][0]["parts"].as_array().unwrap().len(), 10);
    assert_eq!(json["reasons"][0]["parts"][0]["day"], "2026-11-19");
    assert_eq!(
        (&json["objects"], &json["bytes"]),
        (&58.into(), &(55 * (1 << 20) + 1024).into())
    );
    assert_eq!(json["source_queues"], serde_json::Value::Null);
}

#[tokio::test(start_paused = true)]
async fn an_empty_queue_is_good_news() {
    let queue = MemoryQueue::new("dlq");
    insta::assert_snapshot!(look_at(&queue).await.lines(now()).join("\n"), @"
    https://sqs.us-east-1.amazonaws.com/000000000000/main
    the queue says: about 0 visible, 0 in flight, 0 delayed
    no dead letters
    ");
}

#[tokio::test(start_paused = true)]
async fn what_is_in_flight_elsewhere_is_counted_but_not_seen() {
    let queue = MemoryQueue::new("dlq");
    letter("bulk.throttled", "transient").put(&queue);
    letter("bulk.throttled", "transient").put(&queue);
    queue.receive(1, std::time::Duration::ZERO, None).await.unwrap();
    let stats = look_at(&queue).await;
    assert_eq!((stats.in_flight, stats.dead_letters), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_error_in_the_middle_leaves_all_visible() {
    let queue = MemoryQueue::new("dlq");
    for _ in 0..15 {
        letter("bulk.throttled", "transient").put(&queue);
    }
    queue.script("ReceiveMessage", Fault::Pass);
    queue.script("ReceiveMessage", Fault::Call);
    let status = queue.status().await.unwrap();
    let error = look(&queue, main_url(), &status, &Filter::default(), &session())
        .await
        .unwrap_err();
    insta::assert_snapshot!(error, @"ReceiveMessage on memory:dlq: InternalError: scripted");
    assert_eq!(queue.num_visible(), 15);
}

#[test]
fn permanent_failures_are_looked_at_before_they_are_sent() {
    let mut tally = Tally::default();
    tally.add(&letter("it's; odd", "permanent").parsed());
    assert_eq!(
        next_command(&tally.groups()).unwrap(),
        r"redrive list --verbose --reason 'it'\''s; odd'"
    );
}

#[tokio::test(start_paused = true)]
async fn a_selection_is_counted_among_all_that_were_seen() {
    let queue = MemoryQueue::new("dlq");
    letter("bulk.throttled", "transient").put(&queue);
    letter("object.not_found", "permanent").put(&queue);
    letter("object.not_found", "permanent").put(&queue);
    let status = queue.status().await.unwrap();
    let session = session();
    let look_for = async |reason: &str| {
        let filter = selection(&["--reason", reason]).filter;
        let looked = look(&queue, main_url(), &status, &filter, &session).await;
        looked.unwrap().0
    };
    let some = look_for("object.*").await;
    assert_eq!(
        (some.dead_letters, some.seen, some.reasons.len(), &some.next),
        (2, 3, 1, &None)
    );
    let told = some.lines(now()).join("\n");
    assert!(
        told.contains("\n2 of 3 dead letters, failed from ") && !told.contains("bulk"),
        "{told}"
    );
    let none = look_for("nothing").await;
    assert!(none.selects_nothing());
    assert_eq!(
        none.lines(now()).last().unwrap(),
        "none of 3 dead letters is selected"
    );
    assert_eq!(queue.num_visible(), 3);
}
