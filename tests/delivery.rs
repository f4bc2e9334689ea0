//! From objects in S3 to documents in Elasticsearch: counts, identity, notifications, dead letters.

use std::collections::BTreeMap;

use flowship::queue::MessageQueue;
use flowship::telemetry::metrics::METRICS;
use serde_json::json;

use crate::support::world::attribute;
use crate::support::{FlowLog, World, gzip};

fn sum(world: &World, field: &str) -> u64 {
    world
        .object_log()
        .iter()
        .map(|line| line[field].as_u64().unwrap())
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_objects_is_counted_exactly_and_a_redelivery_adds_nothing() {
    let world = World::new("exact-counts").await;
    let logs: Vec<FlowLog> = (0..12)
        .map(|number| {
            FlowLog::new()
                .records(number, number % 3, 500 + number)
                .no_data(number)
        })
        .collect();
    for (number, log) in logs.iter().enumerate() {
        let key = format!("AWSLogs/123456789012/vpcflowlogs/us-east-1/2026/11/18/{number}.log.gz");
        let bytes = if number % 2 == 0 {
            log.gzip()
        } else {
            log.gzip_members(5)
        };
        world.put(&key, bytes).await;
    }
    let (summary, _) = world.drain().await;
    assert_eq!(summary.failed, 0, "{summary:?}");

    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    for (number, log) in logs.iter().enumerate() {
        *expected
            .entry(format!("exact-counts-vpc-2026.11.{}", 18 + number % 3))
            .or_default() += log.documents;
    }
    assert_eq!(world.documents().await, expected);
    let lines: u64 = logs.iter().map(|log| log.lines).sum();
    let documents: u64 = logs.iter().map(|log| log.documents).sum();
    assert_eq!(
        (
            sum(&world, "lines"),
            sum(&world, "indexed"),
            sum(&world, "no_data")
        ),
        (lines, documents, lines - documents)
    );

    for number in 0..12 {
        let key = format!("AWSLogs/123456789012/vpcflowlogs/us-east-1/2026/11/18/{number}.log.gz");
        world.send(world.event(&[&key])).await;
    }
    world.drain().await;
    assert_eq!(world.documents().await, expected);
    assert_eq!(sum(&world, "duplicate"), documents, "all of the second pass");
    assert!(world.take_dead_letters().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_say_what_the_log_and_the_index_say() {
    let world = World::new("metrics").await;
    let log = FlowLog::new().records(0, 0, 300).no_data(7);
    let bytes = log.gzip();
    world.put("whole.gz", bytes.clone()).await;
    world.send(world.event(&["missing.gz"])).await;
    let (_, reports) = world.drain().await;

    let lines = world.metric_lines();
    assert_eq!(lines.len(), reports.len(), "one an invocation");
    for (line, logged) in lines.iter().zip(world.invocation_log()) {
        assert_eq!(line["FunctionName"], "shipper");
        assert_eq!(line["request_id"], logged["request_id"]);
        for metric in METRICS {
            let name = metric.name;
            if !name.starts_with("lag_") {
                assert_eq!(line[name], logged[name], "{name}");
            }
        }
    }
    let sum = |name: &str| -> u64 { lines.iter().filter_map(|line| line[name].as_u64()).sum() };
    let counted = [
        "lines",
        "indexed",
        "no_data",
        "dead_lettered",
        "failed",
        "bytes_read",
    ]
    .map(sum);
    assert_eq!(counted, [307, 300, 7, 1, 0, bytes.len() as u64]);
    // The records are of a day that is long over; how long, only the clock knows.
    let with_lag = lines.iter().filter(|line| line.get("lag_max_seconds").is_some());
    assert_eq!(with_lag.count(), 1, "only where something was indexed");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_every_spelling_are_found() {
    let world = World::new("key-spellings").await;
    let keys = [
        "with space/a b.gz",
        "plus+sign.gz",
        "percent%41.gz",
        "hive/year=2026/x.gz",
        "grüße/日本.gz",
        "all +%= é.gz",
    ];
    for (number, key) in (0..).zip(keys) {
        world.put(key, FlowLog::new().records(number, 0, 10).gzip()).await;
    }
    world.drain().await;
    assert_eq!(world.num_documents().await, 60);
    assert!(world.take_dead_letters().await.is_empty());

    // The same objects named the other ways: form-encoded by hand, through SNS, through EventBridge (not encoded).
    world
        .send(world.event(&["with+space/a+b.gz", "plus%2Bsign.gz"]))
        .await;
    let sns = json!({"Type": "Notification", "TopicArn": "arn:aws:sns:us-east-1:1:t", "Message": world.event(&["percent%2541.gz"])});
    world.send(sns.to_string()).await;
    let event_bridge = json!({"detail-type": "Object Created", "source": "aws.s3", "region": "us-east-1",
        "detail": {"bucket": {"name": world.bucket}, "object": {"key": "all +%= é.gz"}, "reason": "PutObject"}});
    world.send(event_bridge.to_string()).await;
    world.drain().await;
    assert_eq!(
        sum(&world, "duplicate"),
        40,
        "four objects of ten lines were found again"
    );
    assert!(world.take_dead_letters().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_asks_for_nothing_is_acknowledged_and_nonsense_is_kept_with_its_reason() {
    let world = World::new("asks-for-nothing").await;
    world
        .send(r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"b"}"#)
        .await;
    world
        .send(
            json!({"Records": [{"eventSource": "aws:s3", "eventName": "ObjectRemoved:Delete"}]}).to_string(),
        )
        .await;
    world.send("this is no notification").await;
    world.drain().await;
    assert_eq!(world.num_messages().await, 0);
    let letters = world.take_dead_letters().await;
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!(letters[0].body, "this is no notification");
    assert_eq!(attribute(&letters[0], "reason"), "notification.malformed");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_objects_the_missing_one_is_dead_lettered_and_can_be_put_back_by_hand() {
    let world = World::new("one-is-missing").await;
    let good = FlowLog::new().records(1, 0, 100);
    world.put("here.gz", good.gzip()).await;
    world.drain().await;
    world.send(world.event(&["here.gz", "not+here+%25.gz"])).await;
    world.drain().await;
    let letters = world.take_dead_letters().await;
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!(attribute(&letters[0], "reason"), "object.not_found");
    assert_eq!(attribute(&letters[0], "disposition"), "permanent");
    let body: serde_json::Value = serde_json::from_str(&letters[0].body).unwrap();
    assert_eq!(body, json!({"Records": [world.record("not+here+%25.gz")]}));
    assert_eq!(world.num_documents().await, 100);

    // The object appears; the body of the dead letter is a notification like S3's own.
    world
        .put("not here %.gz", FlowLog::new().records(2, 0, 50).gzip())
        .await;
    world.drain().await;
    assert_eq!(world.num_documents().await, 150);
    world.send(letters[0].body.clone()).await;
    world.drain().await;
    let last = world.object_log().pop().unwrap();
    assert_eq!(
        (&last["message"], &last["duplicate"]),
        (&json!("object shipped"), &json!(50))
    );
    assert_eq!(world.num_documents().await, 150);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_batch_of_ten_messages_exactly_the_failing_one_is_returned() {
    let world = World::new("one-of-ten").await;
    for number in 0..9 {
        world
            .put(
                &format!("{number}.gz"),
                FlowLog::new().records(number, 0, 20).gzip(),
            )
            .await;
    }
    // A dead letter for a missing object cannot be written to a queue that is not there: an item failure.
    let mut broken = World::new("one-of-ten-broken").await;
    broken.variables.insert(
        "FLOWSHIP_DLQ_URL".into(),
        format!("{}-gone", broken.dead_letters.url()),
    );
    let mut messages = Vec::new();
    world.send(world.event(&["missing.gz"])).await;
    while messages.len() < 11 {
        let received = world
            .queue
            .receive(10, std::time::Duration::from_secs(2), None)
            .await
            .unwrap();
        assert!(!received.is_empty(), "{} of 11 messages", messages.len());
        messages.extend(received);
    }
    // One of the eleven is S3's test event.
    messages.retain(|message| !message.body.contains("s3:TestEvent"));
    let failing: Vec<String> = messages
        .iter()
        .filter(|m| m.body.contains("missing.gz"))
        .map(|m| m.id.clone())
        .collect();
    broken
        .variables
        .insert("FLOWSHIP_INDEX_PREFIX".into(), world.prefix.clone());
    let report = broken.function().await.invoke(&messages).await.unwrap();
    match report.outcome {
        flowship::cli::lambda_local::Outcome::Succeeded { failed_ids } => assert_eq!(failed_ids, failing),
        other => panic!("{other:?}"),
    }
    assert_eq!(world.num_documents().await, 180);
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_objects_are_dead_lettered_with_their_reason_and_repaired_without_copies() {
    let mut world = World::new("damaged").await;
    world.variables.remove("FLOWSHIP_QUARANTINE_URI");
    let log = FlowLog::new().records(3, 0, 5000);
    let whole = log.gzip();
    let mut wrong_checksum = whole.clone();
    let crc = wrong_checksum.len() - 8;
    wrong_checksum[crc] ^= 1;
    world.put("truncated.gz", whole[..whole.len() / 2].to_vec()).await;
    world.put("corrupt.gz", wrong_checksum).await;
    world.put("prose.gz", gzip(b"this is no flow log\n")).await;
    world.put("parquet", b"PAR1....".to_vec()).await;
    world.put("empty", Vec::new()).await;
    let bad_line = FlowLog::new()
        .records(4, 0, 10)
        .line("2 123 eni-1 not-an-address", 0)
        .records(5, 0, 10);
    world.put("bad-line.gz", bad_line.gzip()).await;
    world.drain().await;
    let mut letters = world.take_dead_letters().await;
    letters.sort_by_key(|letter| attribute(letter, "reason"));
    let told: Vec<String> = letters
        .iter()
        .map(|letter| format!("{}: {}", attribute(letter, "reason"), attribute(letter, "detail")))
        .collect();
    let reasons: Vec<&str> = told.iter().map(|line| line.split_once(": ").unwrap().0).collect();
    assert_eq!(
        reasons,
        [
            "decode.corrupt_gzip",
            "decode.corrupt_parquet",
            "decode.truncated_gzip",
            "format.unknown",
            "line.malformed"
        ],
        "{told:#?}"
    );
    assert!(
        told[4].contains("1 of 21 lines: line 12 has 4 columns"),
        "{}",
        told[4]
    );
    let progress: serde_json::Value = serde_json::from_str(&attribute(&letters[4], "progress")).unwrap();
    assert_eq!(
        progress,
        json!({"lines": 21, "indexed": 20, "duplicate": 0, "no_data": 0, "quarantined": 0, "refused": 1})
    );

    // Repaired under their old keys, every line is there once for each object.
    world.put("truncated.gz", whole.clone()).await;
    world.put("corrupt.gz", whole).await;
    world.drain().await;
    assert_eq!(world.num_documents().await, 2 * log.documents + 20);
}
