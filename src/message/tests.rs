//! Message outcomes in memory: who is acknowledged, who comes back, and what lies in the dead-letter queue.

use std::sync::Arc;

use tokio::time::Instant;

use super::*;
use crate::bulk::memory::{Fault, MemorySink};
use crate::config::ShipSettings;
use crate::object::memory::MemoryStore;
use crate::quarantine::Place;
use crate::quarantine::memory::MemoryQuarantine;
use crate::queue::memory::{Fault as QueueFault, MemoryQueue};

const LINES: &str = "srcaddr dstaddr end\n10.0.0.1 10.0.0.2 1418530070\n10.0.0.1 10.0.0.3 1418530071\n";

struct World {
    store: MemoryStore,
    sink: MemorySink,
    quarantine: MemoryQuarantine,
    processor: Processor<MemoryStore, MemorySink, MemoryQuarantine, MemoryQueue>,
}

impl World {
    fn new() -> Self {
        Self::with(ShipSettings::default())
    }

    fn with(settings: ShipSettings) -> Self {
        let (store, sink) = (MemoryStore::default(), MemorySink::default());
        let quarantine = MemoryQuarantine::default();
        let shipper = Shipper::new(
            store.clone(),
            sink.clone(),
            quarantine.clone(),
            settings,
            Arc::default(),
        );
        let processor = Processor::new(shipper, MemoryQueue::new("dlq"), 5);
        Self {
            store,
            sink,
            quarantine,
            processor,
        }
    }

    async fn process(&self, messages: &[Message]) -> BatchReport {
        let deadline = Deadline::new(Instant::now() + Duration::from_secs(30), Duration::ZERO);
        self.processor.process(messages, "request-1", deadline).await
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
        body,
        receive_count,
        hops: 0,
    }
}

#[tokio::test]
async fn what_is_accounted_for_or_dead_lettered_is_acknowledged() {
    let world = World::new();
    world.store.put("good", LINES);
    world.store.put("bad", format!("{LINES}x\n"));
    let nonsense = Message {
        id: "m4".into(),
        body: "?".into(),
        receive_count: 1,
        hops: 0,
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
