//! What Elasticsearch does not take: one document (400), as much as this just now (429), as much as this ever (413).

use serde_json::{Value, json};

use super::{LimitedNode, assert_complete, invocation_sum, number, start_node};
use crate::support::flowlogs::DAY;
use crate::support::world::{Options, attribute};
use crate::support::{FlowLog, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_document_costs_itself_and_not_its_neighbours() {
    let mut world = World::new("refused-document").await;
    let account_is_a_number = json!({"template": {"mappings": {"properties":
        {"cloud": {"properties": {"account": {"properties": {"id": {"type": "long"}}}}}}}}});
    world
        .configure(
            "_component_template/refused-document-vpc-custom",
            &account_is_a_number,
        )
        .await;
    let refused = format!(
        "2 unknown eni-9 10.0.0.1 10.0.0.2 1 2 6 3 4 {DAY} {} ACCEPT OK",
        DAY + 60
    );
    let bad = FlowLog::new()
        .records(1, 0, 150)
        .line(&refused, 0)
        .records(2, 0, 150);
    world
        .put("before.gz", FlowLog::new().records(3, 0, 100).gzip())
        .await;
    world.put("bad.gz", bad.gzip()).await;
    world
        .put("after.gz", FlowLog::new().records(4, 0, 100).gzip())
        .await;

    let messages = world.receive(3).await;
    let function = world.function().await;
    let mut report = function.invoke(&messages).await.unwrap();
    function.settle(&messages, &mut report).await;
    function.shut_down().await;
    assert!(report.outcome.is_complete_success(), "{report:?}");
    assert_eq!(world.num_documents().await, 500);
    assert_eq!(world.num_messages().await, 0);
    assert_eq!(invocation_sum(&world, "bulk_requests"), 1, "all shared one body");

    assert_eq!(world.take_dead_letters().await, []);
    let counters = ["lines", "indexed", "quarantined", "refused"].map(|name| invocation_sum(&world, name));
    assert_eq!(counters, [501, 500, 1, 0]);
    let mut files = world.quarantine().await;
    assert_eq!(files.len(), 1, "{files:?}");
    let line = files[0].lines.pop().unwrap();
    assert_eq!((line.line, &*line.reason), (152, "document.refused"));
    assert_eq!(line.raw().as_deref(), Some(refused.as_bytes()));
    assert_eq!(
        (line.status, line.kind.as_deref()),
        (Some(400), Some("document_parsing_exception"))
    );
    assert!(line.detail.contains("cloud.account.id"), "{line:?}");
    assert!(
        !world.log().join("\n").contains("'unknown'") && !line.detail.contains("unknown"),
        "no document is quoted: {line:?}"
    );

    // Without a quarantine the object is dead-lettered, and its neighbours are none the worse.
    world.variables.remove("FLOWSHIP_QUARANTINE_URI");
    world.send(world.event(&["bad.gz"])).await;
    world.drain().await;
    assert_eq!(world.num_documents().await, 500);
    let letters = world.take_dead_letters().await;
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!(attribute(&letters[0], "reason"), "bulk.rejected");
    assert_eq!(attribute(&letters[0], "disposition"), "permanent");
    let progress: Value = serde_json::from_str(&attribute(&letters[0], "progress")).unwrap();
    assert_eq!(
        progress,
        json!({"lines": 301, "indexed": 0, "duplicate": 300, "no_data": 0, "quarantined": 0, "refused": 1})
    );
    let detail = attribute(&letters[0], "detail");
    assert!(
        detail.contains("line 152: 400 document_parsing_exception") && !detail.contains("unknown"),
        "{detail}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttling_node_gets_smaller_bodies_and_then_everything() {
    let node = start_node("throttling", &["-E", "indexing_pressure.memory.limit=200kb"]);
    let options = Options {
        elasticsearch_url: Some(node.url.clone()),
        visibility_seconds: 120,
        ..Options::default()
    };
    let mut world = World::with("throttling", options).await;
    world.timeout = super::seconds(120);
    for number in 0..20 {
        let log = FlowLog::new().records(number, 0, 1000);
        world.put(&format!("{number}.gz"), log.gzip()).await;
    }
    world.drain().await;
    assert_complete(&world, 20_000).await;
    assert!(invocation_sum(&world, "throttles") > 0);
    assert_eq!(invocation_sum(&world, "failed"), 0, "all at the first attempt");
    // A refused request settled nothing: no document was sent again that had been taken.
    assert_eq!(
        (
            invocation_sum(&world, "indexed"),
            invocation_sum(&world, "duplicate")
        ),
        (20_000, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_larger_than_the_node_takes_are_split() {
    let node = LimitedNode::take().await;
    let options = Options {
        elasticsearch_url: Some(node.url()),
        ..Options::default()
    };
    let log = FlowLog::new().records(1, 0, 20_000).gzip();
    let control = World::new("too-large-control").await;
    let world = World::with("too-large", options).await;
    for world in [&control, &world] {
        world.put("large.gz", log.clone()).await;
        world.drain().await;
        assert_complete(world, 20_000).await;
        assert_eq!(invocation_sum(world, "throttles"), 0);
        let lines = world.object_log();
        assert_eq!(
            (lines.len(), number(&lines[0], "indexed")),
            (1, 20_000),
            "{lines:?}"
        );
    }
    let (bodies, requests) = (
        invocation_sum(&control, "bulk_requests"),
        invocation_sum(&world, "bulk_requests"),
    );
    assert!(requests > bodies, "{requests} requests for {bodies} bodies");
}
