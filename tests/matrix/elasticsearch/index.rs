//! The index itself takes no documents, or not this one.

use flowship::outcome::Reason;
use serde_json::json;

use super::super::audit::{self, Object, REFUSED_ACCOUNT};
use super::super::case::{Becomes, Case, Lasting, Trouble};
use super::super::play;
use super::super::stage::Stage;
use super::OPERATORS;
use crate::support::FlowLog;
use crate::support::flowlogs::DAY;

const BLOCKED: Becomes = Becomes::Letter(Reason::BulkBlocked);

const CASES: &[Case] = &[
    Case {
        name: "es-index-closed",
        trouble: Trouble::State(|stage, on| Box::pin(close(stage, on))),
        ..OPERATORS
    },
    Case {
        name: "es-index-write-blocked",
        trouble: Trouble::State(|stage, on| Box::pin(block(stage, "index.blocks.write", on))),
        becomes: BLOCKED,
        ..OPERATORS
    },
    Case {
        name: "es-index-read-only",
        trouble: Trouble::State(|stage, on| Box::pin(block(stage, "index.blocks.read_only", on))),
        becomes: BLOCKED,
        ..OPERATORS
    },
    Case {
        // What a node does whose disk is full.
        name: "es-flood-stage",
        trouble: Trouble::State(|stage, on| {
            Box::pin(block(stage, "index.blocks.read_only_allow_delete", on))
        }),
        becomes: BLOCKED,
        ..OPERATORS
    },
    Case {
        name: "es-document-refused",
        trouble: Trouble::Own(|stage, lasting| Box::pin(refuse_one_document(stage, lasting))),
        ..OPERATORS
    },
];

fn index(stage: &Stage) -> String {
    format!("{}-vpc-2026.11.18", stage.world.prefix)
}

async fn close(stage: &Stage, on: bool) {
    let index = index(stage);
    let verb = if on {
        stage.world.configure(&index, &json!({})).await;
        "_close"
    } else {
        "_open"
    };
    let answer = stage
        .world
        .elasticsearch
        .post(&format!("{index}/{verb}"), "")
        .await;
    let answer = answer.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
}

async fn block(stage: &Stage, setting: &str, on: bool) {
    let index = index(stage);
    if on {
        stage.world.configure(&index, &json!({})).await;
    }
    let settings = json!({ setting: on });
    stage
        .world
        .configure(&format!("{index}/_settings"), &settings)
        .await;
}

/// A document that contradicts the mapping goes into quarantine, alone; for ever: at every delivery.
async fn refuse_one_document(stage: &Stage, lasting: Lasting) {
    let prefix = &stage.world.prefix;
    let account_is_a_number = json!({"template": {"mappings": {"properties":
        {"cloud": {"properties": {"account": {"properties": {"id": {"type": "long"}}}}}}}}});
    let path = format!("_component_template/{prefix}-vpc-custom");
    stage.world.configure(&path, &account_is_a_number).await;
    let refused = format!(
        "2 {REFUSED_ACCOUNT} eni-9 10.0.0.1 10.0.0.2 1 2 6 3 4 {DAY} {} ACCEPT OK",
        DAY + 60
    );
    let log = FlowLog::new()
        .records(5, 0, 20)
        .line(&refused, 0)
        .records(6, 0, 20);
    let mut objects = stage.objects.clone();
    stage.world.put("refused.gz", log.gzip()).await;
    objects.push(Object::new("refused.gz", log));
    stage.put_all(None).await;
    let num_deliveries = if lasting == Lasting::Once { 1 } else { 2 };
    for delivery in 1..=num_deliveries {
        stage.world.drain().await;
        let account = audit::audit(&stage.world, &objects).await;
        assert!(
            account.letters.is_empty() && account.messages.is_empty(),
            "{account:#?}"
        );
        let documents: u64 = objects.iter().map(|object| object.log.documents).sum();
        assert_eq!((account.indexed as u64, account.quarantined), (documents, 2));
        let files = stage.world.quarantine().await;
        let lines = files.iter().flat_map(|file| &file.lines);
        let mut reasons: Vec<&str> = lines.map(|line| &*line.reason).collect();
        reasons.sort_unstable();
        assert_eq!(reasons, ["document.refused", "line.column_count"]);
        if delivery < num_deliveries {
            stage.world.send(stage.world.event(&["refused.gz"])).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_takes_nothing_or_not_everything() {
    play(CASES, None).await;
}
