//! Elasticsearch has too much to do and says so.

use std::collections::BTreeMap;
use std::time::Duration;

use flowship::aws::sqs::SqsQueue;
use flowship::cli::lambda_local::LambdaLocal;
use flowship::queue::{MessageQueue, ReceivedMessage};
use serde_json::json;
use tokio::time::Instant;

use super::{SMALLEST_BODY, assert_complete, invocation_sum, seconds, start_node};
use crate::support::world::{Options, wait_until};
use crate::support::{FlowLog, World};

const NUM_INSTANCES: u32 = 4;
const OBJECTS_PER_INSTANCE: u32 = 4;
const NUM_OBJECTS: u32 = NUM_INSTANCES * OBJECTS_PER_INSTANCE;
const RECORDS_PER_OBJECT: u32 = 3_000;
const NUM_DOCUMENTS: u64 = NUM_OBJECTS as u64 * RECORDS_PER_OBJECT as u64;

/// Bodies of four functions, four times larger than what the node lets in at a time.
const ROOM: &str = "indexing_pressure.memory.limit=256kb";

/// How often the comparison of throughput is made before it counts: other tests use the same machine.
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
        let alone = Box::pin(ship(&world, &instances[..1], 2 * num_rounds)).await;
        let together = Box::pin(ship(&world, &instances, 2 * num_rounds + 1)).await;
        num_rounds += 1;
        let throughput = alone.as_secs_f64() / together.as_secs_f64();
        println!("four functions: {throughput:.2} of the throughput of one");
        if throughput >= 0.8 {
            break;
        }
        assert!(
            num_rounds < MAX_ROUNDS,
            "{alone:?} alone, {together:?} together: {throughput:.2}"
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

/// Ships new objects, as many for each of the instances as for the others, and says how long that takes. In the middle
/// of it none is far behind.
async fn ship(world: &World, instances: &[LambdaLocal<SqsQueue>], day: u32) -> Duration {
    for number in 0..NUM_OBJECTS {
        let log = FlowLog::new().records(number, day, RECORDS_PER_OBJECT);
        world.put(&format!("{day}-{number}.gz"), log.gzip()).await;
    }
    let messages = world.receive(NUM_OBJECTS as usize).await;
    let batches: Vec<&[ReceivedMessage]> = messages.chunks(OBJECTS_PER_INSTANCE as usize).collect();
    let begin = Instant::now();
    let lane = async |number: usize| {
        let Some(instance) = instances.get(number) else {
            return;
        };
        for messages in batches.iter().skip(number).step_by(instances.len()) {
            let mut report = instance.invoke(messages).await.unwrap();
            assert!(report.outcome.is_complete_success(), "{report:?}");
            instance.settle(messages, &mut report).await;
        }
    };
    let half_time = async {
        let mut taken = BTreeMap::new();
        wait_until("half of the documents are there", async || {
            taken = documents_by_interface(world, day).await;
            taken.values().sum::<u64>() >= NUM_DOCUMENTS / 2
        })
        .await;
        taken
    };
    let work = async {
        tokio::join!(lane(0), lane(1), lane(2), lane(3));
        begin.elapsed()
    };
    let (elapsed, taken) = tokio::join!(work, half_time);
    if instances.len() > 1 {
        let fair_share = taken.values().sum::<u64>() / u64::from(NUM_INSTANCES);
        for batch in &batches {
            let of_batch = taken.iter().filter(|(interface, _)| {
                let is_its =
                    |message: &ReceivedMessage| message.body.contains(&format!("{day}-{interface}.gz"));
                batch.iter().any(is_its)
            });
            let share: u64 = of_batch.map(|(_, num_documents)| num_documents).sum();
            assert!(share >= fair_share / 4, "{share} of {fair_share}: {taken:?}");
        }
    }
    elapsed
}

/// Documents of that day by the number of their flow log.
async fn documents_by_interface(world: &World, day: u32) -> BTreeMap<u32, u64> {
    let index = format!("{}-vpc-2026.11.{:02}", world.prefix, 18 + day);
    // There may be no index yet.
    world
        .elasticsearch
        .post(&format!("{index}/_refresh"), "")
        .await
        .ok();
    let field = "aws.vpcflow.interface_id";
    let body = json!({"size": 0, "query": {"term": {"_index": index}},
                      "aggs": {"interface": {"terms": {"field": field, "size": 100}}}});
    let answer = world.search(&body).await;
    let buckets = answer["aggregations"]["interface"]["buckets"].as_array().cloned();
    let number = |interface: &str| u32::from_str_radix(interface.trim_start_matches("eni-"), 16).unwrap();
    buckets
        .unwrap_or_default()
        .iter()
        .map(|bucket| {
            let interface = number(bucket["key"].as_str().unwrap());
            (interface, bucket["doc_count"].as_u64().unwrap())
        })
        .collect()
}
