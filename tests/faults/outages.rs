//! Elasticsearch goes away in the middle of a run and comes back.

use std::cell::Cell;
use std::sync::{Arc, Mutex};

use flowship::cli::lambda_local::{InvocationReport, Until};
use serde_json::json;

use super::{SMALLEST_BODY, assert_complete, number, seconds, start_node};
use crate::support::stack::OwnElasticsearch;
use crate::support::world::{Options, wait_until};
use crate::support::{FlowLog, World};

const NUM_OBJECTS: u32 = 6;
const RECORDS_PER_OBJECT: u32 = 6_000;
const NUM_DOCUMENTS: u64 = NUM_OBJECTS as u64 * RECORDS_PER_OBJECT as u64;

async fn world_with_objects(name: &str, node: &Arc<OwnElasticsearch>, visibility_seconds: u32) -> World {
    let options = Options {
        elasticsearch_url: Some(node.url.clone()),
        visibility_seconds,
        ..Options::default()
    };
    let mut world = World::with(name, options).await;
    world
        .variables
        .insert("FLOWSHIP_BULK_MAX_BYTES".into(), SMALLEST_BODY.into());
    for number in 0..NUM_OBJECTS {
        let log = FlowLog::new().records(number, 0, RECORDS_PER_OBJECT);
        world.put(&format!("{number}.gz"), log.gzip()).await;
    }
    world
}

/// Stops the node when it has taken some documents and not yet all.
async fn stop_in_the_middle(world: &World, node: &Arc<OwnElasticsearch>) {
    wait_until("documents arrive", async || {
        world.num_documents_so_far().await > 0
    })
    .await;
    on_thread(node, OwnElasticsearch::stop).await;
}

/// The scripts block; what goes on beside them must not.
async fn on_thread(node: &Arc<OwnElasticsearch>, act: fn(&OwnElasticsearch)) {
    let node = Arc::clone(node);
    tokio::task::spawn_blocking(move || act(&node)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invocation_waits_until_elasticsearch_is_back() {
    let node = Arc::new(start_node("waited-out", &[]));
    let mut world = world_with_objects("waited-out", &node, 120).await;
    world.timeout = seconds(120);
    let messages = world.receive(NUM_OBJECTS as usize).await;
    let function = world.function().await;
    let has_ended = Cell::new(false);
    let invocation = async {
        let report = function.invoke(&messages).await.unwrap();
        has_ended.set(true);
        report
    };
    let outage = async {
        stop_in_the_middle(&world, &node).await;
        assert!(!has_ended.get(), "stopped too late");
        on_thread(&node, OwnElasticsearch::restart).await;
    };
    let (mut report, ()) = tokio::join!(invocation, outage);
    function.settle(&messages, &mut report).await;
    function.shut_down().await;
    assert!(report.outcome.is_complete_success(), "{report:?}");
    for line in world.object_log() {
        // Taken just before the end, answered never: such documents are found there at the second attempt.
        let there = number(&line, "indexed") + number(&line, "duplicate");
        assert_eq!((&line["attempt"], there), (&json!(1), RECORDS_PER_OBJECT.into()));
    }
    assert_complete(&world, NUM_DOCUMENTS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_come_back_until_elasticsearch_is_back() {
    let node = Arc::new(start_node("came-back", &[]));
    let mut world = world_with_objects("came-back", &node, 8).await;
    world.timeout = seconds(8);
    world
        .variables
        .insert("FLOWSHIP_MAX_RECEIVES".into(), "1000".into());
    let messages = world.receive(NUM_OBJECTS as usize).await;
    let function = world.function().await;
    let (report, ()) = tokio::join!(function.invoke(&messages), stop_in_the_middle(&world, &node));
    let mut report = report.unwrap();
    function.settle(&messages, &mut report).await;
    assert!(report.num_returned() > 0, "the node is gone for good: {report:?}");

    let reports: Mutex<Vec<InvocationReport>> = Mutex::default();
    let gone = Until::default().or_invocations(2);
    let run = function.run(gone, |report| reports.lock().unwrap().push(report.clone()));
    run.await.unwrap();
    for report in reports.into_inner().unwrap() {
        assert_eq!(report.num_returned(), report.message_ids.len(), "{report:?}");
    }
    on_thread(&node, OwnElasticsearch::restart).await;
    function.shut_down().await;
    let failed = world.object_log();
    let failed = failed.iter().filter(|line| line["message"] == "object failed");
    let (mut unavailable, mut not_begun) = (0, 0);
    for line in failed {
        assert_eq!(line["becomes"], "comes back", "{line}");
        match line["reason"].as_str() {
            Some("bulk.unavailable") => unavailable += 1,
            Some("deadline.exceeded") => not_begun += 1,
            _ => panic!("{line}"),
        }
    }
    assert!(unavailable > not_begun, "{unavailable} and {not_begun}");
    world.timeout = seconds(60);
    world.drain().await;
    assert_complete(&world, NUM_DOCUMENTS).await;
}
