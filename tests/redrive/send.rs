//! `send` and `resume` on the real servers: many letters, crashes, a sick Elasticsearch, poison, two operators.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use flowship::cli::lambda_local::Until;
use flowship::queue::{Attribute, Attributes, MessageQueue, OutgoingMessage};
use serde_json::Value;
use tokio::sync::watch;

use super::{json_lines, one_json};
use crate::support::peek::peek;
use crate::support::proxy::{Fault, FaultProxy, Requests, Uses};
use crate::support::world::{attribute, redrive, redrive_command, wait_until};
use crate::support::{FlowLog, Stack, World};

pub(super) const REASONS: [&str; 6] = [
    "bulk.throttled",
    "bulk.unavailable",
    "object.not_found",
    "object.access_denied",
    "decode.truncated_gzip",
    "internal.panic",
];

const NUM_OBJECTS: usize = 12;

fn key(number: usize) -> String {
    format!("object-{:02}.gz", number % NUM_OBJECTS)
}

/// Puts so many letters of these reasons into the dead-letter queue; each body is another.
pub(super) async fn put_letters(world: &World, reasons: &[&str], number: usize) -> BTreeSet<String> {
    let letter = |position: usize| {
        let mut record = world.record(&key(position));
        record["letter"] = position.into();
        let reason = Attribute::Text(reasons[position % reasons.len()].to_owned());
        OutgoingMessage {
            body: serde_json::json!({ "Records": [record] }).to_string(),
            attributes: [("reason".to_owned(), reason)].into(),
        }
    };
    let letters: Vec<OutgoingMessage> = (0..number).map(letter).collect();
    for batch in letters.chunks(10) {
        let results = world.dead_letters.send_batch(batch).await;
        assert!(results.iter().all(Result::is_ok), "{results:?}");
    }
    letters.into_iter().map(|letter| letter.body).collect()
}

async fn put_objects(world: &World) -> u64 {
    let mut num_documents = 0;
    for number in 0..NUM_OBJECTS {
        let log = FlowLog::new().records(u32::try_from(number).unwrap(), 0, 20);
        num_documents += log.documents;
        world.put(&key(number), log.gzip()).await;
    }
    num_documents
}

/// Runs `redrive` while the function takes messages.
pub(super) async fn redrive_with_function(world: &World, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    with_function(world, async {
        let command = redrive_command(world, folder.path(), arguments);
        tokio::process::Command::from(command).output().await.unwrap()
    })
    .await
}

/// Does something while the function takes messages. It must not block: nothing is taken meanwhile.
pub(super) async fn with_function<T>(world: &World, act: impl Future<Output = T>) -> T {
    let (stop, stopped) = watch::channel(false);
    let function = world.function().await;
    let run = function.run(Until::default().or_stopped(stopped), |_report| {});
    let act = async {
        let result = act.await;
        stop.send_replace(true);
        result
    };
    let (summary, result) = tokio::join!(run, act);
    summary.unwrap();
    function.shut_down().await;
    result
}

/// Thousands take minutes on two cores; the number proves nothing that hundreds do not.
#[tokio::test(flavor = "multi_thread")]
async fn letters_of_six_reasons_are_sent_and_seen_complete_by_the_ledger() {
    many_letters("send-many", 600).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes more than a minute; six hundred letters are sent in every run"]
async fn five_thousand_letters_of_six_reasons_are_sent_and_seen_complete() {
    many_letters("send-5000", 5000).await;
}

async fn many_letters(name: &str, number: usize) {
    let world = World::new(name).await;
    let num_documents = put_objects(&world).await;
    world.drain().await;
    assert_eq!(world.num_documents().await, num_documents);
    put_letters(&world, &REASONS, number).await;
    let arguments = ["send", "--yes", "--rate", "0", "--wait", "5m", "--json"];
    let output = redrive_with_function(&world, &arguments).await;
    let report = one_json(&output);
    assert!(output.status.success(), "{output:?}");
    let expected = number as u64;
    for (field, value) in [
        ("selected", expected),
        ("sent", expected),
        ("delivered", expected),
        ("refailed", 0),
        ("still_in_flight", 0),
        ("gone", 0),
        ("skipped", 0),
        ("failed", 0),
    ] {
        assert_eq!(report[field], value, "{field}: {report}");
    }
    assert_eq!(report["reasons"].as_object().unwrap().len(), REASONS.len());
    world.drain().await;
    assert_eq!(world.num_documents().await, num_documents, "none twice");
    assert!(world.take_dead_letters().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sick_elasticsearch_costs_one_message_of_each_reason() {
    let mut world = World::new("send-sick").await;
    put_objects(&world).await;
    world.drain().await;
    put_letters(&world, &REASONS, 60).await;
    let proxy = FaultProxy::start(&Stack::shared().elasticsearch_url).await;
    let unavailable = Fault::Answer("503 Service Unavailable", &[], "{}");
    let rule = proxy.add(Requests::naming(&["_bulk"]), unavailable, Uses::ForEver);
    let url = proxy.url();
    world.variables.insert("FLOWSHIP_ELASTICSEARCH_URLS".into(), url);
    world.timeout = Duration::from_secs(8);
    let arguments = [
        "send",
        "--yes",
        "--rate",
        "0",
        "--canary-timeout",
        "10s",
        "--json",
    ];
    let output = redrive_with_function(&world, &arguments).await;
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let report = one_json(&output);
    assert_eq!(
        (&report["sent"], &report["skipped"]),
        (&6.into(), &54.into()),
        "{report}"
    );
    assert!(proxy.tallies()[rule].hits > 0, "the function met the fault");
    let left = peek(&world.dead_letters).await.len() as u64 + world.num_messages().await;
    assert_eq!(left, 60, "none is lost");

    // Red, or not there at all: nothing is sent.
    proxy.close().await;
    let output = redrive(&world, &["send", "--yes", "--json"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains("cannot be reached") && told.contains("--force"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_object_ends_at_its_hop_limit_in_the_dead_letter_queue() {
    let world = World::new("send-poison").await;
    world.put("poison.gz", &b"\x1f\x8b\x08 this is no gzip"[..]).await;
    world.drain().await;
    for hops in 0..3 {
        let listed = json_lines(&redrive(&world, &["list", "--json"]));
        assert_eq!(
            (listed.len(), &listed[0]["hops"]),
            (1, &Value::from(hops)),
            "{listed:?}"
        );
        let sent = redrive(&world, &["send", "--yes", "--no-canary", "--json"]);
        assert_eq!(one_json(&sent)["sent"], 1, "{sent:?}");
        world.drain().await;
    }
    let sent = one_json(&redrive(&world, &["send", "--yes", "--no-canary", "--json"]));
    assert_eq!(
        (&sent["sent"], &sent["skipped"]),
        (&0.into(), &1.into()),
        "{sent}"
    );
    assert_eq!(world.num_messages().await, 0);
    let letters = world.take_dead_letters().await;
    assert_eq!((letters.len(), attribute(&letters[0], "hops").as_str()), (1, "3"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_above_256_kib_and_one_with_three_records_go_through_unchanged() {
    let world = World::new("send-large").await;
    let mut large = world.record("large.gz");
    large["padding"] = "é".repeat(200_000).into();
    let large = serde_json::json!({ "Records": [large] }).to_string();
    let three = world.event(&["one+1.gz", "two%2B.gz", "three.gz"]);
    for body in [&large, &three] {
        let message = OutgoingMessage {
            body: body.clone(),
            attributes: Attributes::new(),
        };
        world.dead_letters.send(&message).await.unwrap();
    }
    // S3's test event waits in the main queue, and nobody takes it.
    let refused = redrive(&world, &["send", "--yes", "--no-canary", "--json"]);
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    let sent = redrive(&world, &["send", "--yes", "--force", "--no-canary", "--json"]);
    assert_eq!(one_json(&sent)["sent"], 2, "{sent:?}");
    let messages = peek(&world.queue).await;
    let bodies: BTreeMap<&str, &str> = messages
        .iter()
        .filter(|message| message.attributes.contains_key("hops"))
        .map(|message| (message.body.as_str(), message.attributes["hops"].as_str()))
        .collect();
    assert_eq!(
        bodies,
        BTreeMap::from([(large.as_str(), "1"), (three.as_str(), "1")])
    );
}

/// Starts `redrive`; its output goes nowhere, because a killed run has none.
fn start(world: &World, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_redrive"))
        .env_clear()
        .envs(&world.variables)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Bodies of redriven messages in the main queue, with how often each is there.
pub(super) async fn redriven(world: &World) -> BTreeMap<String, usize> {
    let mut bodies = BTreeMap::new();
    for message in peek(&world.queue).await {
        if message.attributes.contains_key("hops") {
            *bodies.entry(message.body).or_default() += 1;
        }
    }
    bodies
}

#[tokio::test(flavor = "multi_thread")]
async fn two_operators_at_once_send_each_letter_once() {
    let world = World::new("send-two").await;
    let bodies = put_letters(&world, &REASONS, 200).await;
    let arguments = ["send", "--yes", "--force", "--no-canary", "--rate", "0", "--json"];
    let operator = async || {
        let folder = tempfile::tempdir().unwrap();
        let command = redrive_command(&world, folder.path(), &arguments);
        let output = tokio::process::Command::from(command).output().await.unwrap();
        assert!(matches!(output.status.code(), Some(0 | 4)), "{output:?}");
        let report = one_json(&output);
        assert_eq!(report["selected"], report["sent"], "{report}");
        report["sent"].as_u64().unwrap()
    };
    let (first, second) = tokio::join!(operator(), operator());
    assert_eq!(first + second, 200);
    assert!(world.take_dead_letters().await.is_empty());
    let sent = redriven(&world).await;
    assert!(sent.values().all(|times| *times == 1), "{sent:?}");
    assert_eq!(sent.into_keys().collect::<BTreeSet<_>>(), bodies);
}

/// Whole rows of the journal.
pub(super) fn rows(journal: &Path) -> Vec<Value> {
    let text = fs::read_to_string(journal).unwrap_or_default();
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// Letters that were being sent when a process was killed: nobody knows whether they were.
fn in_doubt(rows: &[Value]) -> usize {
    let mut num_in_doubt = 0;
    let mut sending: BTreeSet<&str> = BTreeSet::new();
    for row in rows {
        let ids = row["ids"].as_array().into_iter().flatten();
        let ids = ids.map(|id| id.as_str().unwrap());
        match row["event"].as_str().unwrap() {
            "sending" => sending.extend(ids),
            "confirmed" => sending = &sending - &ids.collect(),
            "resumed" => num_in_doubt += std::mem::take(&mut sending).len(),
            _ => {}
        }
    }
    num_in_doubt
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_killed_twenty_times_loses_nothing_and_its_numbers_are_right() {
    kill_and_resume("send-killed", 300, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; twenty kills are in every run"]
async fn a_run_that_is_killed_fifty_times_loses_nothing_and_its_numbers_are_right() {
    kill_and_resume("send-killed-50", 900, 50).await;
}

async fn kill_and_resume(name: &str, num_letters: usize, num_kills: usize) {
    let world = World::new(name).await;
    let bodies = put_letters(&world, &REASONS, num_letters).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.ndjson");
    let journal = path.to_str().unwrap();
    let mut random = fastrand::Rng::with_seed(6);
    let mut num_killed = 0;
    let mut arguments = vec![
        "send",
        "--yes",
        "--force",
        "--no-canary",
        "--rate",
        "100000",
        "--journal",
        journal,
    ];
    while num_killed < num_kills {
        let is_over = peek(&world.dead_letters).await.is_empty();
        assert!(!is_over, "all were sent after {num_killed} kills");
        let mut run = start(&world, &arguments);
        // Somewhere from the first row of this process to some batches after the selection.
        let left = peek(&world.dead_letters).await.len();
        let at = rows(&path).len() + 1 + random.usize(..left);
        tokio::task::block_in_place(|| {
            while rows(&path).len() < at && run.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_millis(2));
            }
            if run.try_wait().unwrap().is_none() {
                run.kill().unwrap();
                num_killed += 1;
            }
            run.wait().unwrap();
        });
        arguments = vec!["resume", journal];
    }
    wait_until(
        "what a killed run had just received is visible again",
        async || {
            let status = world.dead_letters.status().await.unwrap();
            status.in_flight == 0
        },
    )
    .await;
    let output = redrive(&world, &["resume", journal, "--json"]);
    let report = one_json(&output);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        (&report["sent"], &report["selected"]),
        (&num_letters.into(), &num_letters.into())
    );
    assert_eq!(peek(&world.dead_letters).await.len(), 0, "{report}");
    let sent = redriven(&world).await;
    let num_sent: usize = sent.values().sum();
    assert_eq!(sent.into_keys().collect::<BTreeSet<_>>(), bodies, "none is lost");
    let num_in_doubt = in_doubt(&rows(&path));
    assert!(
        num_sent <= num_letters + num_in_doubt,
        "{num_sent} sent, {num_in_doubt} in doubt"
    );
}
