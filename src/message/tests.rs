//! Message outcomes in memory: who is acknowledged, who comes back, and what lies in the dead-letter queue.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::bulk::memory::{Fault, MemorySink};
use crate::config::{BackoffSettings, ShipSettings};
use crate::ledger::memory::MemoryLedger;
use crate::object::memory::MemoryStore;
use crate::quarantine::Place;
use crate::quarantine::memory::MemoryQuarantine;
use crate::queue::ReceivedMessage;
use crate::queue::memory::{Fault as QueueFault, MemoryQueue};

mod continued;
mod ledger;

const LINES: &str = "srcaddr dstaddr end\n10.0.0.1 10.0.0.2 1418530070\n10.0.0.1 10.0.0.3 1418530071\n";

const ARN: &str = "arn:aws:sqs:us-east-1:000000000000:main";

/// Without jitter: every wait is its limit.
const BACKOFF: BackoffSettings = BackoffSettings {
    base: Duration::from_secs(300),
    max: Duration::from_secs(3600),
};

/// The main queue's own visibility timeout.
const VISIBILITY: Duration = Duration::from_secs(700);

struct World {
    main: Arc<MemoryQueue>,
    store: MemoryStore,
    sink: MemorySink,
    quarantine: MemoryQuarantine,
    ledger: MemoryLedger,
    processor:
        Processor<MemoryStore, MemorySink, MemoryQuarantine, MemoryQueue, Arc<MemoryQueue>, MemoryLedger>,
}

impl World {
    fn new() -> Self {
        Self::with(ShipSettings::default())
    }

    fn with(settings: ShipSettings) -> Self {
        let main = Arc::new(MemoryQueue::new("main"));
        let (store, sink) = (MemoryStore::default(), MemorySink::default());
        let quarantine = MemoryQuarantine::default();
        let ledger = MemoryLedger::default();
        let shipper = Shipper::new(
            store.clone(),
            sink.clone(),
            quarantine.clone(),
            settings,
            Arc::default(),
        );
        let returns = Returns::new(Arc::clone(&main), BACKOFF, || 1.0);
        let processor = Processor::new(shipper, MemoryQueue::new("dlq"), returns, 5, Some(ledger.clone()));
        Self {
            main,
            store,
            sink,
            quarantine,
            ledger,
            processor,
        }
    }

    async fn process(&self, messages: &[Message]) -> BatchReport {
        self.process_within(messages, Duration::from_secs(30)).await
    }

    async fn process_within(&self, messages: &[Message], time: Duration) -> BatchReport {
        let deadline = Deadline::new(Instant::now() + time, Duration::ZERO);
        self.processor.process(messages, "request-1", deadline).await
    }

    /// Receives what comes within a day, processes it as a batch, deletes what did not fail, and says after which wait
    /// it came and how it ended.
    async fn receive(&self) -> (Duration, BatchReport) {
        self.receive_within(Duration::from_secs(30)).await
    }

    /// The same, with this much time for the invocation.
    async fn receive_within(&self, time: Duration) -> (Duration, BatchReport) {
        let begin = Instant::now();
        let mut received = Vec::new();
        while received.is_empty() {
            assert!(
                begin.elapsed() < Duration::from_secs(86_400),
                "nothing comes back"
            );
            let wait = Duration::from_secs(20);
            received = self.main.receive(10, wait, Some(VISIBILITY)).await.unwrap();
        }
        let waited = begin.elapsed();
        let queue_arn = self.main.arn();
        let message = |received: &ReceivedMessage| Message {
            id: received.id.clone(),
            receipt_handle: received.receipt_handle.clone(),
            queue_arn: queue_arn.clone(),
            body: received.body.clone(),
            receive_count: received.receive_count,
            hops: 0,
            attributes: received.attributes.clone(),
        };
        let messages: Vec<Message> = received.iter().map(message).collect();
        let report = self.process_within(&messages, time).await;
        received.retain(|message| !report.failed_ids.contains(&message.id));
        let done: Vec<String> = received
            .into_iter()
            .map(|message| message.receipt_handle)
            .collect();
        if !done.is_empty() {
            assert!(self.main.delete_batch(&done).await.iter().all(Result::is_ok));
        }
        (waited, report)
    }

    /// Reason and key of each dead letter.
    fn letters(&self) -> Vec<(String, String)> {
        let letters = self.processor.dead_letters.messages();
        let told = letters.iter().map(|letter| {
            let objects = notification::parse(&letter.body).map(|notification| notification.objects);
            let keys: Vec<String> = objects
                .into_iter()
                .flatten()
                .map(|named| named.object.key)
                .collect();
            (letter.attributes["reason"].to_text().unwrap(), keys.join(","))
        });
        told.collect()
    }
}

fn message(id: &str, receive_count: u32, keys: &[&str]) -> Message {
    let record = |key: &&str| {
        serde_json::json!({"eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
                           "s3": {"bucket": {"name": "logs"}, "object": {"key": key}}})
    };
    let records: Vec<_> = keys.iter().map(record).collect();
    let body = serde_json::json!({ "Records": records }).to_string();
    Message {
        id: id.to_owned(),
        receipt_handle: String::new(),
        body,
        receive_count,
        hops: 0,
        queue_arn: ARN.to_owned(),
        attributes: Attributes::new(),
    }
}

#[tokio::test]
async fn what_is_accounted_for_or_dead_lettered_is_acknowledged() {
    let world = World::new();
    world.store.put("good", LINES);
    world.store.put("bad", format!("{LINES}x\n"));
    let nonsense = Message {
        body: "?".into(),
        ..message("m4", 1, &[])
    };
    let messages = [
        message("m1", 1, &["good"]),
        message("m2", 1, &["bad"]),
        message("m3", 1, &["missing", "good"]),
        nonsense,
    ];
    let report = world.process(&messages).await;
    assert_eq!(report.failed_ids, [""; 0]);
    assert_eq!(report.num_dead_letters, 3);
    let letters = world.letters();
    let expected = [
        ("line.malformed", "bad"),
        ("object.not_found", "missing"),
        ("notification.malformed", ""),
    ];
    assert_eq!(
        letters,
        expected.map(|(reason, key)| (reason.to_owned(), key.to_owned()))
    );
    assert_eq!(world.sink.num_documents(), 4);
}

fn keeping() -> World {
    let mut settings = ShipSettings::default();
    settings.quarantine.place = Place::parse_uri("s3://logs/quarantine");
    World::with(settings)
}

#[tokio::test]
async fn what_is_in_quarantine_is_acknowledged_and_what_is_not_comes_back() {
    let world = keeping();
    world.store.put("bad", format!("{LINES}x\n"));
    world.quarantine.refuse(true);
    let report = world.process(&[message("m1", 1, &["bad"])]).await;
    assert_eq!((report.failed_ids.len(), report.counts.quarantined), (1, 0));
    world.quarantine.refuse(false);
    let report = world.process(&[message("m1", 2, &["bad"])]).await;
    assert_eq!((report.failed_ids.len(), report.counts.quarantined), (0, 1));
    assert_eq!(world.letters(), []);
    assert_eq!(world.quarantine.files().len(), 1);

    world.quarantine.refuse(true);
    world.process(&[message("m1", 5, &["bad"])]).await;
    let expected = ("quarantine.unavailable".to_owned(), "bad".to_owned());
    assert_eq!(world.letters(), [expected], "the last receive");
}

/// Or a bucket that announces all its objects would ship them in a circle.
#[tokio::test]
async fn quarantine_files_are_not_shipped() {
    let world = keeping();
    world.store.put("quarantine/vpc/x.ndjson.gz", "{\"line\":1}\n");
    let report = world
        .process(&[message("m1", 1, &["quarantine/vpc/x.ndjson.gz"])])
        .await;
    assert_eq!((report.failed_ids.len(), report.num_ignored), (0, 1));
    assert_eq!((world.quarantine.files(), world.letters()), (vec![], vec![]));
}

#[tokio::test(start_paused = true)]
async fn an_outage_comes_back_until_the_last_receive_and_then_says_why() {
    let world = World::new();
    world.store.put("good", LINES);
    world.sink.always(Some(Fault::Status(503)));
    let report = world.process(&[message("m1", 4, &["good"])]).await;
    assert_eq!(
        (report.failed_ids, report.num_dead_letters),
        (vec!["m1".to_owned()], 0)
    );
    let report = world.process(&[message("m1", 5, &["good"])]).await;
    assert_eq!((report.failed_ids.len(), report.num_dead_letters), (0, 1));
    assert_eq!(
        world.letters(),
        [("bulk.unavailable".to_owned(), "good".to_owned())]
    );
}

#[tokio::test(start_paused = true)]
async fn a_message_that_fails_waits_longer_each_time_and_then_says_why() {
    let world = World::new();
    world.store.put("good", LINES);
    world
        .sink
        .always(Some(Fault::Items(vec![0], 403, "cluster_block_exception")));
    world.main.put(&message("", 0, &["good"]).body, Attributes::new());
    let mut waits = Vec::new();
    while !world.main.messages().is_empty() {
        let (waited, report) = world.receive().await;
        waits.push(waited.as_secs());
        assert_eq!(report.failed_ids.len(), world.main.messages().len());
    }
    assert_eq!(waits, [0, 300, 600, 1200, 2400]);
    assert_eq!(world.letters(), [("bulk.blocked".to_owned(), "good".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_only_ran_out_of_time_comes_back_soon() {
    let world = World::new();
    world.store.put("good", LINES);
    world.main.put(&message("", 0, &["good"]).body, Attributes::new());
    let (_, report) = world.receive_within(Duration::ZERO).await;
    assert_eq!(report.failed_ids.len(), 1);
    let (waited, report) = world.receive().await;
    assert_eq!((waited.as_secs(), report.counts.indexed), (10, 2));
}

#[tokio::test(start_paused = true)]
async fn what_sqs_does_not_take_comes_back_by_the_queues_own_timeout() {
    for fault in [QueueFault::Call, QueueFault::Entries(vec![0]), QueueFault::Hang] {
        let world = World::new();
        world
            .sink
            .always(Some(Fault::Items(vec![0], 403, "cluster_block_exception")));
        world.store.put("good", LINES);
        world.main.put(&message("", 0, &["good"]).body, Attributes::new());
        world.main.script("ChangeMessageVisibilityBatch", fault);
        let begin = Instant::now();
        let (_, report) = world.receive().await;
        assert_eq!(report.failed_ids.len(), 1);
        world.sink.always(None);
        world.receive().await;
        assert_eq!(begin.elapsed(), VISIBILITY);
        assert_eq!(world.main.messages(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_at_its_limit_stays_a_failure_until_its_dead_letter_is_written() {
    for fault in [QueueFault::Call, QueueFault::LostAnswer, QueueFault::Hang] {
        let world = World::new();
        world.store.put("good", LINES);
        world.sink.always(Some(Fault::Status(503)));
        world.processor.dead_letters.script("SendMessage", fault);
        let last = [message("m1", 5, &["good"])];
        let report = world.process(&last).await;
        assert_eq!(
            (report.failed_ids, report.num_dead_letters),
            (vec!["m1".to_owned()], 0)
        );
        let report = world.process(&last).await;
        assert_eq!((report.failed_ids.len(), report.num_dead_letters), (0, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_is_decided_as_a_whole() {
    let world = World::new();
    world.store.put("good", LINES);
    world.sink.always(Some(Fault::Status(503)));
    let both = ["missing", "good"];
    let report = world.process(&[message("m1", 1, &both)]).await;
    assert_eq!(
        (report.failed_ids.len(), world.letters().len()),
        (1, 0),
        "its permanent failure waits"
    );
    world.sink.always(None);
    let report = world.process(&[message("m1", 2, &both)]).await;
    assert_eq!(report.failed_ids.len(), 0);
    assert_eq!(
        world.letters(),
        [("object.not_found".to_owned(), "missing".to_owned())]
    );
    assert_eq!(world.sink.num_documents(), 2);
}

#[tokio::test]
async fn a_dead_letter_that_is_not_confirmed_brings_exactly_its_message_back() {
    let world = World::new();
    world.store.put("good", LINES);
    world
        .processor
        .dead_letters
        .script("SendMessage", QueueFault::Call);
    let messages = [
        message("m1", 1, &["missing"]),
        message("m2", 1, &["good"]),
        message("m3", 1, &["gone"]),
    ];
    let report = world.process(&messages).await;
    assert_eq!(report.failed_ids, ["m1"]);
    assert_eq!(
        world.letters(),
        [("object.not_found".to_owned(), "gone".to_owned())]
    );
}

#[tokio::test]
async fn one_object_in_two_messages_is_indexed_once() {
    let world = World::new();
    world.store.put("good", LINES);
    let report = world
        .process(&[message("m1", 1, &["good"]), message("m2", 1, &["good"])])
        .await;
    assert!(report.failed_ids.is_empty());
    assert_eq!((report.counts.indexed, report.counts.duplicate), (2, 2));
    assert_eq!(world.sink.num_documents(), 2);
}

#[tokio::test]
async fn a_panic_costs_one_message() {
    let world = World::new();
    world.store.put("good", LINES);
    world.store.put_panicking("poison");
    let report = world
        .process(&[message("m1", 1, &["poison"]), message("m2", 1, &["good"])])
        .await;
    assert_eq!(report.failed_ids, ["m1"]);
    assert_eq!(report.counts.indexed, 2);
}

#[tokio::test]
async fn hops_and_attempts_are_on_the_dead_letter() {
    let world = World::new();
    let redriven = Message {
        hops: 2,
        ..message("m1", 3, &["missing"])
    };
    world.process(&[redriven]).await;
    let letters = world.processor.dead_letters.messages();
    let number = |name: &str| letters[0].attributes[name].to_number();
    assert_eq!((number("hops"), number("attempts")), (Some(2), Some(3)));
    assert_eq!(
        letters[0].attributes["request_id"].to_text().as_deref(),
        Some("request-1")
    );
}
