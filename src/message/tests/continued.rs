//! Objects that need more than one invocation.

use super::*;
use crate::queue::Attribute;

/// Takes a few bodies an invocation.
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
    // Half of what twelve bodies take, and enough for one of them on a busy machine.
    let half = Duration::from_secs(2);
    let deadline = Deadline::new(Instant::now() + 2 * half, half);
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

pub(super) fn from_line(line: u64, counts: Counts) -> Message {
    let earlier = Earlier {
        passes: 1,
        counts,
        ..Earlier::default()
    };
    after(line, earlier)
}

/// Goes on with the object `good` at this line.
pub(super) fn after(line: u64, earlier: Earlier) -> Message {
    let continuation = Continuation {
        resume_line: line,
        etag: Some(MemoryStore::ETAG.to_owned()),
        earlier,
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
