//! Nothing lost, nothing twice, and the reason where something is refused: whatever fails between the function and
//! Elasticsearch, and however the function itself ends.

use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard};

use crate::support::World;
use crate::support::stack::OwnElasticsearch;
use crate::support::world::redrive;

mod interruptions;
mod operators;
mod outages;
mod pressure;
mod refusals;
mod returns;

/// The smallest bulk body that the settings allow: many bodies of few lines.
const SMALLEST_BODY: &str = "1048576";

/// A node with its own HTTP limit, for tests that may change its settings: one test at a time.
pub(crate) struct LimitedNode(MutexGuard<'static, Option<OwnElasticsearch>>);

impl LimitedNode {
    /// Takes the node; starts it for the first test, and after a test that failed.
    pub(crate) async fn take() -> Self {
        static NODE: Mutex<Option<OwnElasticsearch>> = Mutex::const_new(None);
        let mut node = NODE.lock().await;
        if node.is_none() {
            *node = Some(start_node("limited", &["-E", "http.max_content_length=1mb"]));
        }
        Self(node)
    }

    pub(crate) fn url(&self) -> String {
        self.node().url.clone()
    }

    pub(crate) fn node(&self) -> &OwnElasticsearch {
        self.0.as_ref().expect("it was started when it was taken")
    }
}

impl Drop for LimitedNode {
    fn drop(&mut self) {
        if std::thread::panicking() {
            *self.0 = None;
        }
    }
}

/// An own node. `options`: settings that the shared one must not have.
fn start_node(name: &str, options: &[&str]) -> OwnElasticsearch {
    tokio::task::block_in_place(|| OwnElasticsearch::start(name, options))
}

/// Every document is there once, no message is left and none was given up.
async fn assert_complete(world: &World, num_documents: u64) {
    assert_eq!(world.num_documents().await, num_documents);
    assert_eq!(world.num_messages().await, 0);
    assert_eq!(world.take_dead_letters().await, []);
}

/// Puts all dead letters back with `redrive`; returns its report.
fn put_back(world: &World) -> Value {
    let output = redrive(world, &["send", "--yes", "--force", "--no-canary", "--json"]);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The sum of a counter over all invocations.
fn invocation_sum(world: &World, field: &str) -> u64 {
    let lines = world.invocation_log();
    assert!(!lines.is_empty());
    lines.iter().map(|line| number(line, field)).sum()
}

fn number(line: &Value, field: &str) -> u64 {
    line[field]
        .as_u64()
        .unwrap_or_else(|| panic!("no `{field}`: {line}"))
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
