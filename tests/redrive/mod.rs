//! The way back: from a dead letter to an indexed object, with the real `redrive`.

use std::process::Output;

use serde_json::Value;

use crate::support::world::{attribute, redrive, wait_until};
use crate::support::{FlowLog, World};

mod columns;
mod copies;
mod looks;
mod many;
mod runbook;
mod send;
mod stops;

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn one_json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn json_lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_looked_at_put_back_and_indexed_once_it_can_be() {
    let world = World::new("way-back").await;
    world.send(world.event(&["late+%2B.gz"])).await;
    world.drain().await;

    let listed = json_lines(&redrive(&world, &["list", "--json"]));
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(listed[0]["reason"], "object.not_found");

    // Without --yes nothing moves.
    let dry = redrive(&world, &["send"]);
    assert!(dry.status.success(), "{dry:?}");
    assert_eq!(world.num_messages().await, 0);

    // Put back too early, it returns with one hop more.
    assert!(
        redrive(&world, &["send", "--yes", "--no-canary"])
            .status
            .success()
    );
    world.drain().await;
    let listed = json_lines(&redrive(&world, &["list", "--json"]));
    assert_eq!(
        (listed.len(), &listed[0]["hops"]),
        (1, &Value::from(1)),
        "{listed:?}"
    );

    let log = FlowLog::new().records(1, 0, 100);
    world.put("late +.gz", log.gzip()).await;
    wait_until("its message is there", async || world.num_messages().await == 1).await;
    // The object's own message waits, and no function runs: that is told, and stops it.
    let refused = redrive(&world, &["send", "--yes", "--no-canary"]);
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(
        refused.status.code() == Some(3) && why.contains("nobody takes messages"),
        "{why}"
    );
    let sent = redrive(&world, &["send", "--yes", "--force", "--no-canary", "--json"]);
    assert!(sent.status.success(), "{sent:?}");
    world.drain().await;
    assert_eq!(world.num_documents().await, log.documents);
    assert!(world.take_dead_letters().await.is_empty());
    assert_eq!(
        redrive(&world, &["list"]).status.code(),
        Some(4),
        "nothing is left to list"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn stats_tell_the_reasons() {
    let world = World::new("stats").await;
    for key in ["a", "b", "c"] {
        world.send(world.event(&[key])).await;
    }
    world.send("nonsense").await;
    world.drain().await;
    let output = redrive(&world, &["stats"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("object.not_found") && text.contains("notification.malformed"),
        "{text}"
    );
    let letters = world.take_dead_letters().await;
    assert_eq!(letters.len(), 4);
    assert!(letters.iter().all(|letter| attribute(letter, "attempts") == "1"));
}
