//! When messages come back that failed: as the function says, not by the queue's own visibility timeout.

use flowship::cli::lambda_local::Outcome;
use serde_json::json;

use super::assert_complete;
use crate::support::world::Options;
use crate::support::{FlowLog, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_message_comes_back_when_its_receive_count_says_so() {
    // Drained by the queue's own timeout, this test would take longer than it may.
    let options = Options {
        visibility_seconds: 3600,
        ..Options::default()
    };
    let mut world = World::with("returns", options).await;
    world
        .put("before.gz", FlowLog::new().records(0, 0, 100).gzip())
        .await;
    world.drain().await;

    // The queue is looked up by its ARN.
    world.variables.remove("FLOWSHIP_QUEUE_URL");
    block(&world, true).await;
    world
        .put("after.gz", FlowLog::new().records(1, 0, 100).gzip())
        .await;
    let function = world.function().await;
    for receive in 1..=3 {
        let messages = world.receive(1).await;
        assert_eq!(messages[0].receive_count, receive);
        let mut report = function.invoke(&messages).await.unwrap();
        function.settle(&messages, &mut report).await;
        let failed_ids = vec![messages[0].id.clone()];
        assert_eq!(report.outcome, Outcome::Succeeded { failed_ids });
    }
    function.shut_down().await;
    let log = world.log().join("\n");
    assert_eq!(log.matches("\"message comes back\"").count(), 3, "{log}");
    block(&world, false).await;
    world.drain().await;
    assert_complete(&world, 200).await;
}

async fn block(world: &World, on: bool) {
    let path = format!("{}-*/_settings", world.prefix);
    world.configure(&path, &json!({ "index.blocks.write": on })).await;
}
