//! The audit itself: every way to break the promise is found.

use std::sync::Arc;

use serde_json::{Value, json};

use super::audit::{Object, audit};
use super::objects;
use super::stage::{HIT, ONE_BAD_LINE, Stage};
use crate::support::FlowLog;

/// What an audit of these objects complains about.
async fn complaint(stage: &Arc<Stage>, objects: Vec<Object>) -> String {
    let stage = Arc::clone(stage);
    let audited = tokio::spawn(async move { audit(&stage.world, &objects).await });
    let panic = audited.await.unwrap_err().into_panic();
    panic.downcast_ref::<String>().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_doubled_changed_or_foreign_is_found() {
    let stage = Arc::new(Stage::set("audited", &objects::USUAL, None).await);
    stage.put_all(None).await;
    stage.world.drain().await;
    stage.assert_complete_or(None).await;
    let objects = stage.objects.clone();

    // An object that was never put; a line that is malformed and not aside, and one that is aside and not malformed.
    let foreign = Object::new("foreign.gz", FlowLog::new().records(9, 0, 1).line("x", 0));
    let with_foreign = [&objects[..], &[foreign]].concat();
    let told = complaint(&stage, with_foreign).await;
    assert!(
        told.starts_with("2 problems:\n  lost: foreign.gz record 0"),
        "{told}"
    );
    assert!(told.contains("lost: foreign.gz record 1: `x`"), "{told}");
    let without = objects.iter().filter(|object| object.key != ONE_BAD_LINE);
    let told = complaint(&stage, without.cloned().collect()).await;
    assert!(told.starts_with("81 problems:\n  belongs to no line:"), "{told}");

    let index = format!("{}-vpc-2026.11.18", stage.world.prefix);
    let hit = json!({"query": {"term": {"aws.vpcflow.interface_id": "eni-00000001"}}, "size": 1});
    let found = stage.world.search(&hit).await;
    let (id, source) = (
        &found["hits"]["hits"][0]["_id"],
        &found["hits"]["hits"][0]["_source"],
    );
    let id = id.as_str().unwrap();

    // The same line under another id.
    put(&stage, &format!("{index}/_doc/another"), source).await;
    let told = complaint(&stage, objects.clone()).await;
    assert!(
        told.starts_with("2 problems:\n  belongs to no line: another"),
        "{told}"
    );
    assert!(told.contains("290 lines in 291 documents"), "{told}");
    delete(&stage, &index, "another").await;

    // Another line under its id.
    let mut changed = source.clone();
    changed["source"]["bytes"] = json!(1_000_000);
    put(&stage, &format!("{index}/_doc/{id}"), &changed).await;
    let told = complaint(&stage, objects.clone()).await;
    assert!(
        told.starts_with(&format!("1 problems:\n  {id} is `eni-00000001 ")),
        "{told}"
    );

    delete(&stage, &index, id).await;
    let told = complaint(&stage, objects).await;
    assert!(
        told.starts_with(&format!("1 problems:\n  lost: {HIT} record ")),
        "{told}"
    );
}

async fn put(stage: &Stage, path: &str, source: &Value) {
    let answer = stage.world.elasticsearch.put(path, source.to_string()).await;
    let answer = answer.unwrap();
    assert!(matches!(answer.status, 200 | 201), "{answer:?}");
}

async fn delete(stage: &Stage, index: &str, id: &str) {
    let path = format!("{index}/_bulk");
    let action = format!("{}\n", json!({"delete": {"_id": id}}));
    let answer = stage.world.elasticsearch.post(&path, action).await.unwrap();
    assert!(
        String::from_utf8_lossy(&answer.body).contains(r#""result":"deleted""#),
        "{answer:?}"
    );
}
