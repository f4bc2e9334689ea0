use super::*;
use crate::cli::redrive::tests::{letter, now, s3_event, selection, session};
use crate::object::memory::MemoryStore;
use crate::queue::Attributes;
use crate::queue::memory::MemoryQueue;

const LONG_KEY: &str = "AWSLogs/123456789012/vpcflowlogs/us-east-1/2026/11/20/\
    123456789012_vpcflowlogs_us-east-1_fl-1234abcd_20261120T0300Z_fe123456.log.gz";

fn arguments(options: &[&str]) -> Arguments {
    Arguments {
        selection: selection(options),
        verbose: false,
        check: false,
    }
}

async fn look_at(queue: &MemoryQueue, arguments: &Arguments) -> Listing {
    let status = queue.status().await.unwrap();
    look(queue, &status, &arguments.selection, &session())
        .await
        .unwrap()
}

fn filled() -> MemoryQueue {
    let queue = MemoryQueue::new("dlq");
    letter("object.not_found", "permanent").key("a.gz").put(&queue);
    letter("bulk.throttled", "transient")
        .failed_at("2026-11-19T23:00:00Z")
        .hops(2)
        .key(LONG_KEY)
        .put(&queue);
    queue.put(&s3_event(&["one.gz", "two.gz"]), Attributes::new());
    queue.put("\u{202e}[2J", Attributes::new());
    queue
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_is_a_line_and_a_long_key_another() {
    let queue = filled();
    let arguments = arguments(&[]);
    let listing = look_at(&queue, &arguments).await;
    insta::assert_snapshot!(listing.lines(&arguments, now()).join("\n"), @"
    ID        AGE      ATTEMPTS  HOPS  REASON
    3c6ef372  5h 0m           5     2  bulk.throttled
      s3://logs/AWSLogs/123456789012/vpcflowlogs/us-east-1/2026/11/20/123456789012_vpcflowlogs_us-east-1_fl-1234abcd_20261120T0300Z_fe123456.log.gz
    78dde6e4  1h 0m           -     0  unknown (moved by the queue's redrive policy)
    daa66d2b  1h 0m           -     0  unknown (moved by the queue's redrive policy)
      s3://logs/one.gz
      and 1 more
    9e3779b9  50m             5     0  object.not_found
      s3://logs/a.gz
    ");
    assert_eq!(listing.summary(usize::MAX), "4 dead letters");
    assert_eq!(queue.num_visible(), 4);
}

#[tokio::test(start_paused = true)]
async fn verbose_adds_what_explains_the_failure() {
    let arguments = Arguments {
        verbose: true,
        ..arguments(&[])
    };
    let listing = look_at(&filled(), &arguments).await;
    insta::assert_snapshot!(listing.lines(&arguments, now()).join("\n"), @"
    ID        AGE      ATTEMPTS  HOPS  REASON
    3c6ef372  5h 0m           5     2  bulk.throttled
      s3://logs/AWSLogs/123456789012/vpcflowlogs/us-east-1/2026/11/20/123456789012_vpcflowlogs_us-east-1_fl-1234abcd_20261120T0300Z_fe123456.log.gz
        id        3c6ef372-0000-4000-8000-000000000002
        failed    2026-11-19T23:00:00Z
        detail    what went wrong
        progress  indexed=7 lines=7
        request   8476a536-e9f4-11e8-9739-2dfe598c3fcd
    78dde6e4  1h 0m           -     0  unknown (moved by the queue's redrive policy)
        id        78dde6e4-0000-4000-8000-000000000004
        sent      2026-11-20T03:00:00Z
        body      message body is not the JSON of a notification
    daa66d2b  1h 0m           -     0  unknown (moved by the queue's redrive policy)
      s3://logs/one.gz
      and 1 more
        id        daa66d2b-0000-4000-8000-000000000003
        sent      2026-11-20T03:00:00Z
        object    s3://logs/two.gz
    9e3779b9  50m             5     0  object.not_found
      s3://logs/a.gz
        id        9e3779b9-0000-4000-8000-000000000001
        failed    2026-11-20T03:10:00Z
        detail    what went wrong
        progress  indexed=7 lines=7
        request   8476a536-e9f4-11e8-9739-2dfe598c3fcd
    ");
}

#[tokio::test(start_paused = true)]
async fn check_tells_what_became_of_each_object_that_is_shown() {
    let (queue, store) = (filled(), MemoryStore::default());
    store.put("two.gz", "four");
    let arguments = arguments(&["--reason", "unknown", "--limit", "2"]);
    let mut listing = look_at(&queue, &arguments).await;
    listing.check(&store, 2, &session()).await;
    insta::assert_snapshot!(listing.lines(&arguments, now()).join("\n"), @"
    ID        AGE      ATTEMPTS  HOPS  REASON
    78dde6e4  1h 0m           -     0  unknown (moved by the queue's redrive policy)
    daa66d2b  1h 0m           -     0  unknown (moved by the queue's redrive policy)
      s3://logs/one.gz
      and 1 more
        now       not there (NoSuchKey)
        object    s3://logs/two.gz
        now       there, as the event says: 4 bytes, ETag 0, written
            2014-12-14T04:06:40Z
    ");
    let json: serde_json::Value = serde_json::from_str(&listing.json_lines(2)[1]).unwrap();
    assert_eq!(json["now"][0]["state"], "missing");
    assert_eq!(json["now"][1]["state"], "unchanged");
}

#[tokio::test(start_paused = true)]
async fn reason_and_limit_select_the_oldest() {
    let queue = filled();
    let arguments = arguments(&["--reason", "*.*", "--limit", "1"]);
    let listing = look_at(&queue, &arguments).await;
    assert_eq!(listing.lines(&arguments, now()).len(), 3, "header, row and key");
    assert_eq!(listing.summary(1), "1 shown of 2 selected; 4 dead letters in all");
    assert!(listing.lines(&arguments, now())[0].ends_with("REASON          OBJECT"));
    let unknown = self::arguments(&["--reason", "unknown"]);
    assert_eq!(look_at(&queue, &unknown).await.letters.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_id_selects_its_message() {
    let queue = filled();
    let id = queue.ids().remove(2);
    let short: String = id.chars().take(8).collect();
    let listing = look_at(&queue, &arguments(&["--id", &short])).await;
    assert_eq!(listing.letters.len(), 1);
    assert_eq!(listing.letters[0].id, id);
}

#[tokio::test(start_paused = true)]
async fn json_has_a_line_for_each_and_keeps_everything() {
    let listing = look_at(&filled(), &arguments(&[])).await;
    let lines = listing.json_lines(usize::MAX);
    assert_eq!(lines.len(), 4);
    let values: Vec<serde_json::Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(values[0]["reason"], "bulk.throttled");
    assert_eq!(values[0]["hops"], 2);
    assert_eq!(values[0]["progress"]["lines"], 7);
    assert_eq!(
        values[2]["reason"],
        "unknown (moved by the queue's redrive policy)"
    );
    assert_eq!(
        values[2]["objects"],
        serde_json::json!(["s3://logs/one.gz", "s3://logs/two.gz"])
    );
    assert!(values[1]["body_problem"].is_string());
}
