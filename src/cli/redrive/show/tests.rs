use super::*;
use crate::cli::redrive::tests::{letter, now, s3_event, session, sized_event};
use crate::object::memory::MemoryStore;
use crate::queue::memory::MemoryQueue;
use crate::queue::{Attribute, Attributes};

async fn find_by(queue: &MemoryQueue, id: &str) -> Found {
    let status = queue.status().await.unwrap();
    find(queue, &status, &id.parse().unwrap(), &session())
        .await
        .unwrap()
}

async fn shown(queue: &MemoryQueue, store: &MemoryStore, presign: Option<Duration>) -> Shown {
    let id = queue.ids().remove(0);
    let message = find_by(queue, &id).await.messages.remove(0);
    Shown::new(message, store, presign).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn everything_about_a_dead_letter_and_what_became_of_its_object() {
    let (queue, store) = (MemoryQueue::new("dlq"), MemoryStore::default());
    let key = "AWSLogs/123456789012/vpcflowlogs/us-east-1/2026/11/20/\
        123456789012_vpcflowlogs_us-east-1_fl-1234abcd_20261120T0300Z_fe123456.log.gz";
    store.put(key, "four");
    letter("bulk.throttled", "transient")
        .body(&sized_event(&[(key, 4)]))
        .with("detail", Attribute::Text("429 \u{202e}until".to_owned()))
        .put(&queue);
    let shown = shown(&queue, &store, Some(Duration::from_secs(60))).await;
    insta::assert_snapshot!(shown.lines(now()).join("\n"), @r#"
    id         9e3779b9-0000-4000-8000-000000000001
    reason     bulk.throttled (transient)
    detail     429 �until
    failed     2026-11-20T03:10:00Z (50m ago)
    sent       2026-11-20T03:00:00Z (1h 0m ago)
    attempts   5
    hops       0
    progress   indexed=7 lines=7
    request    8476a536-e9f4-11e8-9739-2dfe598c3fcd
    version    0.1.0
    receives   1, this one included

    object
        s3://logs/AWSLogs/123456789012/vpcflowlogs/us-east-1/2026/11/20/123456789012_vpcflowlogs_us-east-1_fl-1234abcd_20261120T0300Z_fe123456.log.gz
      account  123456789012
      region   us-east-1
      flow log fl-1234abcd
      time     2026-11-20T03:00:00Z
      event    4 bytes, ETag 0, written 2026-11-20T02:00:00Z
      now      there, as the event says: 4 bytes, ETag 0, written
          2014-12-14T04:06:40Z
      url
          memory://logs/AWSLogs/123456789012/vpcflowlogs/us-east-1/2026/11/20/123456789012_vpcflowlogs_us-east-1_fl-1234abcd_20261120T0300Z_fe123456.log.gz?expires=60

    attributes
      attempts (Number) = 5
      detail (String) = 429 �until
      disposition (String) = transient
      failed_at (String) = 2026-11-20T03:10:00Z
      hops (Number) = 0
      progress (String) = {"lines":7,"indexed":7}
      reason (String) = bulk.throttled
      request_id (String) = 8476a536-e9f4-11e8-9739-2dfe598c3fcd
      version (String) = 0.1.0
    attributes of the queue
      ApproximateReceiveCount = 1
      SentTimestamp = 1795143600000
    body
      {
        "Records": [
          {
            "eventName": "ObjectCreated:Put",
            "eventSource": "aws:s3",
            "eventTime": "2026-11-20T02:00:00.000Z",
            "s3": {
              "bucket": {
                "name": "logs"
              },
              "object": {
                "eTag": "0",
                "key": "AWSLogs/123456789012/vpcflowlogs/us-east-1/2026/11/20/123456789012_vpcflowlogs_us-east-1_fl-1234abcd_20261120T0300Z_fe123456.log.gz",
                "size": 4
              }
            }
          }
        ]
      }
    "#);
    let json: serde_json::Value = serde_json::from_str(&shown.json()).unwrap();
    assert_eq!(json["detail"], "429 \u{202e}until", "programs get what is there");
    assert_eq!(json["object_details"][0]["now"]["state"], "unchanged");
    assert_eq!(json["object_details"][0]["flow_log"], "fl-1234abcd");
    assert_eq!(
        json["attributes"]["attempts"],
        serde_json::json!({"type": "Number", "value": "5"})
    );
    assert_eq!(json["progress"]["lines"], 7);
    assert_eq!(queue.num_visible(), 1);
}

#[tokio::test(start_paused = true)]
async fn objects_that_changed_are_gone_or_are_refused_are_told_apart() {
    let (queue, store) = (MemoryQueue::new("dlq"), MemoryStore::default());
    store.put("other-size", "four");
    store.put("unknown-then", "four");
    let events = sized_event(&[("other-size", 5), ("gone", 4)]);
    let from = (
        "DeadLetterQueueSourceArn".to_owned(),
        "arn:aws:sqs:us-east-1:0:main".to_owned(),
    );
    queue.put_with_system_attributes(&events, Attributes::new(), [from].into());
    let both = shown(&queue, &store, None).await;
    let objects: Vec<String> = both.objects.iter().map(|object| object.now.line()).collect();
    insta::assert_snapshot!(objects.join("\n"), @"
    there, but another than the event says: 4 bytes, ETag 0, written 2014-12-14T04:06:40Z
    not there (NoSuchKey)
    ");
    let lines = both.lines(now()).join("\n");
    assert!(
        lines.contains("moved      by the redrive policy of arn:aws:sqs:us-east-1:0:main"),
        "{lines}"
    );
    let queue = MemoryQueue::new("dlq");
    queue.put(&s3_event(&["unknown-then"]), Attributes::new());
    let silent = shown(&queue, &store, None).await;
    assert!(
        matches!(silent.objects[0].now, Presence::Unchanged(_)),
        "the event says nothing else"
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_no_event_is_shown_as_it_is() {
    let (queue, store) = (MemoryQueue::new("dlq"), MemoryStore::default());
    queue.put("no json\nbut \u{202e}two lines", Attributes::new());
    let shown = shown(&queue, &store, None).await;
    insta::assert_snapshot!(shown.lines(now()).join("\n"), @"
    id         9e3779b9-0000-4000-8000-000000000001
    reason     unknown (moved by the queue's redrive policy)
    sent       2026-11-20T03:00:00Z (1h 0m ago)
    hops       0
    receives   1, this one included
    problem    message body is not the JSON of a notification

    attributes of the queue
      ApproximateReceiveCount = 1
      SentTimestamp = 1795143600000
    body
      no json
      but �two lines
    ");
}

#[tokio::test(start_paused = true)]
async fn a_beginning_finds_all_that_begin_so_and_a_whole_id_ends_the_search() {
    let queue = MemoryQueue::new("dlq");
    for number in 0..25 {
        queue.put(&number.to_string(), Attributes::new());
    }
    let ids = queue.ids();
    let beginning: String = ids[20].chars().take(8).collect();
    let found = find_by(&queue, &beginning).await;
    assert_eq!((found.messages.len(), found.num_seen), (1, 25));
    let found = find_by(&queue, &ids[0]).await;
    assert_eq!(
        (found.messages[0].id.as_str(), found.num_seen),
        (ids[0].as_str(), 10)
    );
    assert_eq!(find_by(&queue, "ffffffff").await.messages, []);
    assert_eq!(queue.num_visible(), 25);
}

#[test]
fn a_url_lives_a_week_at_most() {
    for text in ["0s", "8d", "1", "soon"] {
        assert!(parse_expiry(text).is_err(), "{text}");
    }
    assert_eq!(parse_expiry("7d"), Ok(MAX_EXPIRY));
}
