//! What only an operator can mend: meanwhile nothing is lost and Elasticsearch is not hammered, afterwards nothing is
//! missing.

use flowship::cli::lambda_local::Outcome;
use flowship::queue::MessageQueue;
use serde_json::{Value, json};

use super::{LimitedNode, assert_complete, number, put_back};
use crate::support::world::{Options, attribute};
use crate::support::{FlowLog, World};

const RECORDS_PER_OBJECT: u32 = 1_000;

enum Fault {
    /// A setting of the index that blocks it.
    Block(&'static str),
    ClosedIndex,
    /// No index can be made any more.
    ShardLimit,
}

impl Fault {
    async fn set(&self, world: &World, on: bool) {
        match self {
            Self::Block(setting) => {
                let path = format!("{}-*/_settings", world.prefix);
                world.configure(&path, &json!({ *setting: on })).await;
            }
            Self::ClosedIndex => {
                let verb = if on { "_close" } else { "_open" };
                let path = format!("{}-vpc-2026.11.18/{verb}", world.prefix);
                let answer = world.elasticsearch.post(&path, "").await.unwrap();
                assert_eq!(answer.status, 200, "{answer:?}");
            }
            Self::ShardLimit => {
                let limit = if on { json!(1) } else { Value::Null };
                let settings = json!({"persistent": {"cluster.max_shards_per_node": limit}});
                world.configure("_cluster/settings", &settings).await;
            }
        }
    }

    /// Flow log `number`, affected by the fault.
    fn log(&self, number: u32) -> Vec<u8> {
        let day = if matches!(self, Self::ShardLimit) {
            number
        } else {
            0
        };
        FlowLog::new().records(number, day, RECORDS_PER_OBJECT).gzip()
    }

    /// The whole course: messages come back, are given up, are put back, and all documents are there once.
    async fn take_its_course(&self, mut world: World, reason: &str) {
        let per_object = u64::from(RECORDS_PER_OBJECT);
        world.put("before.gz", self.log(0)).await;
        world.drain().await;
        assert_eq!(world.num_documents().await, per_object);

        self.set(&world, true).await;
        world.put("comes-back.gz", self.log(1)).await;
        let messages = world.receive(1).await;
        let function = world.function().await;
        let mut report = function.invoke(&messages).await.unwrap();
        function.settle(&messages, &mut report).await;
        function.shut_down().await;
        let failed_ids = vec![messages[0].id.clone()];
        assert_eq!(report.outcome, Outcome::Succeeded { failed_ids });
        let last = world.object_log().pop().unwrap();
        assert_eq!(
            (&last["reason"], &last["becomes"]),
            (&json!(reason), &json!("comes back")),
            "{last}"
        );
        let last = world.invocation_log().pop().unwrap();
        assert!(
            number(&last, "bulk_requests") <= 2,
            "not asked again and again: {last}"
        );
        assert!(
            number(&last, "time_left_ms") > 30_000,
            "not waited for either: {last}"
        );
        self.set(&world, false).await;
        world.drain().await;
        assert_complete(&world, 2 * per_object).await;

        self.set(&world, true).await;
        world.variables.insert("FLOWSHIP_MAX_RECEIVES".into(), "1".into());
        world.put("given-up.gz", self.log(2)).await;
        world.drain().await;
        self.set(&world, false).await;
        assert_eq!(world.num_documents().await, 2 * per_object);
        let sent = put_back(&world);
        assert_eq!(sent["reasons"], json!({ reason: 1 }), "{sent}");
        world.drain().await;
        assert_complete(&world, 3 * per_object).await;
    }
}

async fn world(name: &str) -> World {
    let options = Options {
        visibility_seconds: 5,
        ..Options::default()
    };
    World::with(name, options).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_blocked_for_writes() {
    let fault = Fault::Block("index.blocks.write");
    fault
        .take_its_course(world("write-block").await, "bulk.blocked")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_at_its_flood_stage() {
    let fault = Fault::Block("index.blocks.read_only_allow_delete");
    fault
        .take_its_course(world("flood-stage").await, "bulk.blocked")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_index() {
    let world = world("closed-index").await;
    Fault::ClosedIndex
        .take_its_course(world, "bulk.misconfigured")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_room_for_another_shard() {
    let node = LimitedNode::take().await;
    let options = Options {
        elasticsearch_url: Some(node.url()),
        visibility_seconds: 5,
        ..Options::default()
    };
    let world = World::with("shard-limit", options).await;
    Fault::ShardLimit
        .take_its_course(world, "bulk.misconfigured")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_counts_how_often_it_was_put_back() {
    let mut world = world("hops").await;
    world.variables.insert("FLOWSHIP_MAX_RECEIVES".into(), "1".into());
    let fault = Fault::Block("index.blocks.write");
    world.put("before.gz", fault.log(0)).await;
    world.drain().await;
    fault.set(&world, true).await;
    world.put("blocked.gz", fault.log(1)).await;
    for hops in ["0", "1", "2"] {
        world.drain().await;
        let letters = world
            .dead_letters
            .receive(10, super::seconds(5), Some(std::time::Duration::ZERO))
            .await
            .unwrap();
        assert_eq!(letters.len(), 1, "{letters:?}");
        assert!(letters[0].body.contains("blocked.gz"), "{letters:?}");
        assert_eq!(attribute(&letters[0], "hops"), hops);
        assert_eq!(
            attribute(&letters[0], "attempts"),
            "1",
            "each hop is a new message"
        );
        if hops == "2" {
            fault.set(&world, false).await;
        }
        let sent = put_back(&world);
        assert_eq!(sent["sent"], 1, "{sent}");
    }
    world.drain().await;
    assert_complete(&world, 2 * u64::from(RECORDS_PER_OBJECT)).await;
}
