//! Message outcomes in memory: who is acknowledged, who comes back, and what lies in the dead-letter queue.

use std::sync::Arc;

use tokio::time::Instant;

use super::*;
use crate::bulk::memory::{Fault, MemorySink};
use crate::config::ShipSettings;
use crate::object::memory::MemoryStore;
use crate::quarantine::Place;
use crate::quarantine::memory::MemoryQuarantine;
use crate::queue::Attribute;
use crate::queue::memory::{Fault as QueueFault, MemoryQueue};

const LINES: &str = "srcaddr dstaddr end\n10.0.0.1 10.0.0.2 1418530070\n10.0.0.1 10.0.0.3 1418530071\n";

const ARN: &str = "arn:aws:sqs:us-east-1:000000000000:main";

struct World {
    main: Arc<MemoryQueue>,
    store: MemoryStore,
    sink: MemorySink,
    quarantine: MemoryQuarantine,
    processor: Processor<MemoryStore, MemorySink, MemoryQuarantine, MemoryQueue, Arc<MemoryQueue>>,
}

impl World {
    fn new() -> Self {
        Self::with(ShipSettings::default())
    }

    fn with(settings: ShipSettings) -> Self {
        let main = Arc::new(MemoryQueue::new("main"));
        let (store, sink) = (MemoryStore::default(), MemorySink::default());
        let quarantine = MemoryQuarantine::default();
        let shipper = Shipper::new(
            store.clone(),
            sink.clone(),
            quarantine.clone(),
            settings,
            Arc::default(),
        );
        let processor = Processor::new(shipper, MemoryQueue::new("dlq"), Arc::clone(&main), 5);
        Self {
            main,
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
        id: "m4".into(),
        body: "?".into(),
        ..message("", 1, &[])
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

/// Two objects that take more time than there is, together.
fn slow() -> World {
    let world = World::with(ShipSettings {
        bulk_max_bytes: 1 << 20,
        bulk_in_flight: 1,
        ..ShipSettings::default()
    });
    world.sink.delay(Duration::from_millis(300));
    world
}

/// Twelve bodies.
fn large() -> String {
    let line = |number: u32| format!("10.0.0.1 10.0.0.2 {}\n", 1_418_530_070 + number);
    format!(
        "srcaddr dstaddr end\n{}",
        (0..24_000).map(line).collect::<String>()
    )
}

async fn process_briefly(world: &World, messages: &[Message]) -> BatchReport {
    let second = Duration::from_secs(1);
    let deadline = Deadline::new(Instant::now() + 2 * second, second);
    world.processor.process(messages, "request-1", deadline).await
}

/// The one message of the main queue, received.
async fn receive(world: &World) -> Option<Message> {
    let mut received = world.main.receive(1, Duration::ZERO, None).await.unwrap();
    let received = received.pop()?;
    world.main.delete_batch(&[received.receipt_handle]).await;
    Some(Message {
        body: received.body,
        attributes: received.attributes,
        ..message(&received.id, received.receive_count, &[])
    })
}

#[tokio::test]
async fn what_needs_more_time_is_handed_on_until_every_line_is_accounted_for() {
    let world = slow();
    world.store.put("large", large());
    let mut next = Some(Message {
        hops: 2,
        ..message("m1", 1, &["large"])
    });
    let (mut counts, mut num_passes) = (Counts::default(), 0);
    while let Some(message) = next {
        let report = process_briefly(&world, std::slice::from_ref(&message)).await;
        if !report.failed_ids.is_empty() {
            // Too slow a machine: it comes back.
            next = Some(message);
            continue;
        }
        counts.add(&report.counts);
        num_passes += 1;
        next = receive(&world).await;
        assert_eq!(report.num_continuations, u64::from(next.is_some()));
        if let Some(message) = &mut next {
            let continuation = Continuation::read(&message.attributes).unwrap().unwrap();
            assert_eq!(continuation.earlier.counts, counts);
            assert_eq!(continuation.earlier.passes, num_passes);
            assert_eq!(message.attributes["hops"].to_number(), Some(2));
            message.hops = 2;
        }
    }
    assert!(num_passes > 1);
    assert_eq!((counts.lines, counts.accounted()), (24_000, 24_000));
    assert_eq!((world.sink.num_documents(), world.letters()), (24_000, vec![]));
}

#[tokio::test]
async fn what_is_not_handed_on_comes_back_and_is_dead_lettered_at_last() {
    let world = slow();
    world.store.put("large", large());
    world.main.script("SendMessage", QueueFault::Call);
    let report = process_briefly(&world, &[message("m1", 1, &["large"])]).await;
    assert_eq!((report.failed_ids.len(), report.num_continuations), (1, 0));
    let elsewhere = Message {
        queue_arn: String::new(),
        ..message("m1", 5, &["large"])
    };
    let report = process_briefly(&world, &[elsewhere]).await;
    assert_eq!((report.failed_ids.len(), report.num_dead_letters), (0, 1));
    let expected = ("deadline.exceeded".to_owned(), "large".to_owned());
    assert_eq!((world.letters(), world.main.messages()), (vec![expected], vec![]));
}

#[tokio::test]
async fn a_line_to_go_on_with_that_cannot_be_read_is_not_taken_for_none() {
    let world = World::new();
    world.store.put("good", LINES);
    let attributes = Attributes::from([("resume_line".to_owned(), Attribute::Text("x".to_owned()))]);
    let damaged = Message {
        attributes,
        ..message("m1", 1, &["good"])
    };
    world.process(&[damaged]).await;
    let expected = ("notification.malformed".to_owned(), "good".to_owned());
    assert_eq!((world.letters(), world.sink.num_documents()), (vec![expected], 0));
}

fn from_line(line: u64, earlier: Counts) -> Message {
    let continuation = Continuation {
        resume_line: line,
        etag: Some(MemoryStore::ETAG.to_owned()),
        earlier: Earlier {
            passes: 1,
            counts: earlier,
        },
    };
    let named = notification::parse(&message("", 1, &["good"]).body)
        .unwrap()
        .objects;
    Message {
        attributes: continuation.message(&named[0], 0).attributes,
        ..message("m1", 1, &["good"])
    }
}

#[tokio::test]
async fn a_continuation_ships_the_rest_and_a_dead_letter_of_it_counts_all_passes() {
    let world = World::new();
    world.store.put("good", format!("{LINES}x\n"));
    let before = Counts {
        lines: 1,
        indexed: 1,
        ..Counts::default()
    };
    let report = world.process(&[from_line(3, before)]).await;
    assert_eq!((report.counts.indexed, report.counts.lines), (1, 2));
    let letters = world.processor.dead_letters.messages();
    let progress = letters[0].attributes["progress"].to_text().unwrap();
    let expected = r#"{"lines":3,"indexed":2,"duplicate":0,"no_data":0,"quarantined":0,"refused":1}"#;
    assert_eq!(progress, expected);
    assert!(
        !letters[0].attributes.contains_key("resume_line"),
        "redriven, it begins from the start"
    );
}

#[tokio::test]
async fn lines_that_an_earlier_pass_left_behind_are_not_forgotten() {
    let world = World::new();
    world.store.put("good", LINES);
    let before = Counts {
        lines: 1,
        refused: 1,
        ..Counts::default()
    };
    world.process(&[from_line(3, before)]).await;
    let expected = ("line.malformed".to_owned(), "good".to_owned());
    assert_eq!(world.letters(), [expected]);
}

#[tokio::test]
async fn of_a_message_with_several_objects_those_without_time_get_their_own() {
    let world = slow();
    world.store.put("large", large());
    world.store.put_stalled("stalled", LINES, 30);
    let report = process_briefly(&world, &[message("m1", 1, &["large", "stalled"])]).await;
    assert_eq!((report.failed_ids.len(), report.num_continuations), (0, 2));
    let report = process_briefly(&world, &[message("m2", 1, &["stalled"])]).await;
    assert_eq!(
        (report.failed_ids.len(), report.num_continuations),
        (1, 0),
        "alone it has no excuse"
    );
}
