//! Settings of the cluster that keep an index from being made, and a node that goes away in the middle of a request. On
//! a node that has no other user meanwhile, one course after the other.

use std::sync::Arc;

use flowship::elasticsearch::setup;
use flowship::outcome::Reason;
use serde_json::{Value, json};

use super::super::case::{Becomes, Case, Trouble};
use super::super::play_at_most;
use super::super::stage::Stage;
use super::connections::NEVER;
use super::{BULK, OPERATORS, USUAL};
use crate::faults::LimitedNode;
use crate::support::World;
use crate::support::proxy::{Fault, Message, Uses, address, ask};
use crate::support::world::{Options, installation, wait_until};

const CASES: &[Case] = &[
    Case {
        name: "es-shard-limit",
        trouble: Trouble::State(|stage, on| Box::pin(limit_shards(stage, on))),
        ..OPERATORS
    },
    Case {
        name: "es-auto-create-off",
        trouble: Trouble::State(|stage, on| Box::pin(switch_auto_create(stage, on))),
        becomes: Becomes::Indexed,
        ..USUAL
    },
    Case {
        name: "es-template-missing",
        trouble: Trouble::State(|stage, on| Box::pin(lose_the_template(stage, on))),
        ..OPERATORS
    },
];

async fn limit_shards(stage: &Stage, on: bool) {
    let limit = if on { json!(1) } else { Value::Null };
    set(stage, "cluster.max_shards_per_node", limit).await;
}

/// The template allows what the cluster does not.
async fn switch_auto_create(stage: &Stage, on: bool) {
    let allowed = if on { json!("false") } else { Value::Null };
    set(stage, "action.auto_create_index", allowed).await;
}

/// No index of ours is made without its template, and any is with it: also this setting then stays as it is.
async fn lose_the_template(stage: &Stage, on: bool) {
    let World {
        prefix,
        elasticsearch,
        ..
    } = &stage.world;
    if on {
        let only_others = format!("-{prefix}-*,+*");
        set(stage, "action.auto_create_index", json!(only_others)).await;
        delete(stage, &format!("_index_template/{prefix}-vpc")).await;
    } else {
        let plan = setup::plan(elasticsearch, &installation(prefix), false)
            .await
            .unwrap();
        setup::apply(elasticsearch, &plan).await.unwrap();
    }
}

async fn set(stage: &Stage, setting: &str, value: Value) {
    let settings = json!({"persistent": {setting: value}});
    stage.world.configure("_cluster/settings", &settings).await;
}

async fn delete(stage: &Stage, path: &str) {
    let server = address(stage.world.elasticsearch.url());
    let request = Message {
        first_line: format!("DELETE /{path} HTTP/1.1"),
        headers: vec![("Host".into(), server.to_string())],
        body: Vec::new(),
    };
    let answer = ask(server, &request).await.unwrap();
    assert!(answer.first_line.contains(" 200 "), "{answer:?}");
}

/// The node has taken a request, is gone before it could answer, and comes back: meanwhile the function goes on asking,
/// or gives up.
async fn goes_away_and_comes_back(node: &LimitedNode, options: &Options, gives_up: bool) {
    const CASE: Case = Case {
        name: "es-node-restarts",
        ..USUAL
    };
    let name = format!("{}-{gives_up}", CASE.name);
    let mut stage = Stage::set(&name, &CASE, Some(options.clone())).await;
    if !gives_up {
        stage.be_patient();
    }
    stage.proxy.add(BULK, Fault::Delay(NEVER), Uses::Times(1));
    stage.put_all(None).await;
    let stage = Arc::new(stage);
    let on_stage = Arc::clone(&stage);
    let drained = tokio::spawn(async move { on_stage.world.drain().await });
    wait_until("the request was taken", async || {
        stage.world.num_documents_so_far().await > 0
    })
    .await;
    tokio::task::block_in_place(|| node.node().stop());
    stage.proxy.close().await;
    stage.proxy.open().await;
    if !gives_up {
        tokio::task::block_in_place(|| node.node().restart());
    }
    drained.await.unwrap();
    if gives_up {
        tokio::task::block_in_place(|| node.node().restart());
        let account = stage.audit().await;
        let reasons: Vec<&str> = account.letters.iter().map(|letter| &*letter.reason).collect();
        assert_eq!(reasons, [Reason::BulkUnavailable.as_str(); 3], "{account:#?}");
        stage.put_back().await;
        stage.world.announced(3);
        stage.world.drain().await;
    }
    stage.assert_complete_or(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_takes_no_new_index_or_goes_away() {
    let node = LimitedNode::take().await;
    let options = Options {
        elasticsearch_url: Some(node.url()),
        ..Options::default()
    };
    play_at_most(1, CASES, Some(&options)).await;
    for gives_up in [false, true] {
        goes_away_and_comes_back(&node, &options, gives_up).await;
    }
}
