//! Elasticsearch has too much to do and says so.

use std::time::Duration;

use flowship::aws::sqs::SqsQueue;
use flowship::cli::lambda_local::LambdaLocal;
use flowship::queue::{MessageQueue, ReceivedMessage};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{SMALLEST_BODY, assert_complete, invocation_sum, seconds, start_node};
use crate::support::world::Options;
use crate::support::{FlowLog, World};

const NUM_INSTANCES: u32 = 4;
const OBJECTS_PER_INSTANCE: u32 = 4;
const NUM_OBJECTS: u32 = NUM_INSTANCES * OBJECTS_PER_INSTANCE;
const RECORDS_PER_OBJECT: u32 = 6_000;
const NUM_DOCUMENTS: u64 = NUM_OBJECTS as u64 * RECORDS_PER_OBJECT as u64;

/// Bodies of four functions, four times larger than what the node lets in at a time.
const ROOM: &str = "indexing_pressure.memory.limit=256kb";

/// Least throughput of four functions, as a part of that of one.
const LEAST_THROUGHPUT: f64 = 0.8;

/// What each of them has got done at least when the first is through, as a part of its own. How evenly they share a
/// server is asserted over longer runs, in simulated time, in `bulk/simulation.rs`.
const LEAST_SHARE: f64 = 0.2;

/// How often the comparison is made before it counts: other tests use the same machine.
const MAX_ROUNDS: u32 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn four_functions_before_a_server_that_throttles_share_it_without_a_storm() {
    let node = start_node("throttling-four", &["-E", ROOM]);
    let options = Options {
        elasticsearch_url: Some(node.url.clone()),
        visibility_seconds: 600,
        ..Options::default()
    };
    let mut world = World::with("throttling-four", options).await;
    world.timeout = seconds(240);
    world
        .variables
        .insert("FLOWSHIP_BULK_MAX_BYTES".into(), SMALLEST_BODY.into());
    let mut instances = Vec::new();
    for _ in 0..NUM_INSTANCES {
        instances.push(world.function().await);
    }
    warm_up(&world, &instances).await;

    let mut num_rounds = 0;
    loop {
        let (alone, _) = Box::pin(ship(&world, &instances[..1], 2 * num_rounds)).await;
        let (together, shares) = Box::pin(ship(&world, &instances, 2 * num_rounds + 1)).await;
        num_rounds += 1;
        let throughput = alone.as_secs_f64() / together.as_secs_f64();
        println!(
            "four functions: {throughput:.2} of the throughput of one, {together:?}, shares {shares:.2?}"
        );
        let is_fair = shares.iter().all(|share| *share >= LEAST_SHARE);
        if throughput >= LEAST_THROUGHPUT && is_fair {
            break;
        }
        assert!(
            num_rounds < MAX_ROUNDS,
            "{alone:?} alone, {together:?} together: {throughput:.2}, shares {shares:.2?}"
        );
    }
    for instance in &instances {
        instance.shut_down().await;
    }
    let num_throttles = invocation_sum(&world, "throttles");
    let num_taken = invocation_sum(&world, "bulk_requests") - num_throttles;
    println!("{num_throttles} requests throttled, {num_taken} taken");
    assert!(num_throttles > 0, "the server does not throttle");
    assert!(
        num_throttles < num_taken,
        "{num_throttles} for {num_taken} that were taken"
    );
    let documents = u64::from(2 * num_rounds) * NUM_DOCUMENTS;
    assert_eq!(invocation_sum(&world, "indexed"), documents);
    assert_eq!(invocation_sum(&world, "duplicate"), 0);
    assert_complete(&world, documents).await;
}

/// All of them are up before anything is measured.
async fn warm_up(world: &World, instances: &[LambdaLocal<SqsQueue>]) {
    world
        .send(r#"{"Records":[{"eventSource":"aws:s3","eventName":"ObjectRemoved:Delete"}]}"#)
        .await;
    let messages = world.receive(1).await;
    for instance in instances {
        instance.invoke(&messages).await.unwrap();
    }
    world
        .queue
        .delete_batch(&[messages[0].receipt_handle.clone()])
        .await;
}

/// Ships new objects, as many for each of the instances as for the others, and says how long that takes, and what part of
/// its own each had got done when the first was through. Each gets all of its own done in its time.
async fn ship(world: &World, instances: &[LambdaLocal<SqsQueue>], day: u32) -> (Duration, Vec<f64>) {
    for number in day * NUM_OBJECTS..(day + 1) * NUM_OBJECTS {
        let log = FlowLog::new().records(number, day, RECORDS_PER_OBJECT);
        world.put(&format!("{number:08x}.gz"), log.gzip()).await;
    }
    let messages = world.receive(NUM_OBJECTS as usize).await;
    let batches: Vec<&[ReceivedMessage]> = messages.chunks(OBJECTS_PER_INSTANCE as usize).collect();
    let begin = Instant::now();
    let shares = tokio::sync::OnceCell::new();
    let lane = async |number: usize| {
        let Some(instance) = instances.get(number) else {
            return;
        };
        for messages in batches.iter().skip(number).step_by(instances.len()) {
            let mut report = instance.invoke(messages).await.unwrap();
            assert!(report.outcome.is_complete_success(), "{report:?}");
            instance.settle(messages, &mut report).await;
        }
        shares
            .get_or_init(async || done(world, &batches, instances.len()).await)
            .await;
    };
    tokio::join!(lane(0), lane(1), lane(2), lane(3));
    (begin.elapsed(), shares.into_inner().unwrap())
}

/// What part of the records that each of the instances was given is in Elasticsearch.
async fn done(world: &World, batches: &[&[ReceivedMessage]], num_instances: usize) -> Vec<f64> {
    // What was not refreshed is not found.
    world.num_documents_so_far().await;
    let mut shares = Vec::new();
    for number in 0..num_instances {
        let messages = batches
            .iter()
            .skip(number)
            .step_by(num_instances)
            .copied()
            .flatten();
        let interfaces: Vec<String> = messages.map(interface_of).collect();
        let num_records = interfaces.len() as f64 * f64::from(RECORDS_PER_OBJECT);
        let theirs = json!({"terms": {"aws.vpcflow.interface_id": interfaces}});
        let answer = world
            .search(&json!({"size": 0, "track_total_hits": true, "query": theirs}))
            .await;
        shares.push(answer["hits"]["total"]["value"].as_f64().unwrap() / num_records);
    }
    shares
}

/// The interface of all records of the object that a message names.
fn interface_of(message: &ReceivedMessage) -> String {
    let event: Value = serde_json::from_str(&message.body).unwrap();
    let key = event["Records"][0]["s3"]["object"]["key"].as_str().unwrap();
    format!("eni-{}", key.strip_suffix(".gz").unwrap())
}
