//! Quarantined lines on their second way: `redrive quarantine` with the real servers.

use std::process::{Command, Output, Stdio};

use flowship::aws::AwsContext;
use flowship::aws::s3::S3Store;
use flowship::object::{ObjectRef, ObjectStore};
use flowship::quarantine::{Quarantine, Replacement};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::flowlogs::DAY;
use crate::support::proxy::{Fault, FaultProxy, Requests, Uses};
use crate::support::world::{redrive, wait_until};
use crate::support::{FlowLog, Stack, World};

/// A mapping that takes no account which is not a number.
async fn world_with_a_wrong_mapping(name: &str) -> World {
    let world = World::new(name).await;
    let template = format!("_component_template/{name}-vpc-custom");
    world
        .configure(&template, &json!({"template": mapping(json!({"type": "long"}))}))
        .await;
    world
}

fn mapping(account: Value) -> Value {
    json!({"mappings": {"properties": {"cloud": {"properties": {"account": {"properties": {"id": account}}}}}}})
}

/// Mends the mapping of the index of [`DAY`].
async fn mend(world: &World) {
    let path = format!("{}-vpc-2026.11.18/_mapping", world.prefix);
    let mended = mapping(json!({"type": "long", "ignore_malformed": true}));
    world.configure(&path, &mended["mappings"]).await;
}

/// A log of good records, and of records that such a mapping refuses.
fn log(number: u32, num_good: u32, num_refused: u32) -> FlowLog {
    (0..num_refused).fold(FlowLog::new().records(number, 0, num_good), |log, record| {
        let end = DAY + record + 1;
        let line = format!("2 unknown eni-{number} 10.0.0.1 10.0.0.2 1 2 6 3 {record} {DAY} {end} ACCEPT OK");
        log.line(&line, 1)
    })
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// The numbers of a report that are not zero.
fn counts(report: &Value) -> Vec<(&str, u64)> {
    [
        "selected",
        "would_send",
        "delivered",
        "duplicate",
        "no_data",
        "refused",
        "kept",
        "failed",
    ]
    .into_iter()
    .map(|name| (name, report[name].as_u64().unwrap()))
    .filter(|(_, number)| *number > 0)
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mended_mapping_takes_what_it_refused_under_the_ids_of_the_objects() {
    let mut world = world_with_a_wrong_mapping("mended-mapping").await;
    let long = "x".repeat(70_000);
    let first = log(1, 50, 20).line("2 123 bad", 0).line(&long, 0);
    let second = log(2, 50, 10);
    world.put("first.gz", first.gzip()).await;
    world.put("second.gz", second.gzip()).await;
    world.drain().await;
    assert_eq!(world.num_documents().await, 100);
    assert_eq!(world.take_dead_letters().await, []);
    let before = world.quarantine().await;
    assert_eq!(before.len(), 2, "{before:?}");

    // It is about no queue.
    world.variables.remove("FLOWSHIP_QUEUE_URL");
    world.variables.remove("FLOWSHIP_DLQ_URL");
    let stats = report(&redrive(&world, &["quarantine", "stats", "--json"]));
    let reasons: Vec<(&Value, &Value)> = stats["reasons"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| (&group["reason"], &group["lines"]))
        .collect();
    assert_eq!(
        reasons,
        [
            (&json!("document.refused"), &json!(30)),
            (&json!("line.column_count"), &json!(1)),
            (&json!("line.too_long"), &json!(1))
        ]
    );
    let listed = redrive(&world, &["quarantine", "list", "--key", "first.gz"]);
    let rows = String::from_utf8(listed.stdout).unwrap();
    assert!(
        rows.lines().count() == 2 && rows.contains("document.refused 20"),
        "{rows}"
    );

    let dry = redrive(&world, &["quarantine", "send", "--json"]);
    assert!(dry.status.success(), "{dry:?}");
    assert_eq!(
        counts(&report(&dry)),
        [("selected", 32), ("would_send", 30), ("refused", 1), ("kept", 1)]
    );

    // Too early: all is refused again.
    let early = redrive(&world, &["quarantine", "send", "--yes", "--json"]);
    assert_eq!(
        counts(&report(&early)),
        [("selected", 32), ("refused", 31), ("kept", 1)]
    );
    assert_eq!(world.num_documents().await, 100);
    let lines = |files: &[crate::support::world::Quarantined]| -> Vec<_> {
        files.iter().map(|file| file.lines.clone()).collect()
    };
    assert_eq!(lines(&world.quarantine().await), lines(&before));

    mend(&world).await;
    let sent = redrive(&world, &["quarantine", "send", "--yes", "--json"]);
    assert!(sent.status.success(), "{sent:?}");
    let sent = report(&sent);
    assert_eq!(
        counts(&sent),
        [("selected", 32), ("delivered", 30), ("refused", 1), ("kept", 1)]
    );
    assert_eq!(
        (&sent["files"]["emptied"], &sent["files"]["rewritten"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(world.num_documents().await, 130);
    let left: Vec<String> = world
        .quarantine()
        .await
        .iter()
        .flat_map(|file| file.lines.iter().map(|line| line.reason.to_string()))
        .collect();
    assert_eq!(left, ["line.column_count", "line.too_long"]);
    let none = redrive(&world, &["quarantine", "send", "--reason", "document.*", "--yes"]);
    assert_eq!(none.status.code(), Some(4), "{none:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_shipped_again_finds_its_replayed_lines() {
    let world = world_with_a_wrong_mapping("replayed-object").await;
    let log = log(1, 50, 20);
    world.put("object.gz", log.gzip()).await;
    world.drain().await;
    mend(&world).await;
    let sent = redrive(&world, &["quarantine", "send", "--yes", "--json"]);
    assert_eq!(counts(&report(&sent)), [("selected", 20), ("delivered", 20)]);

    world.send(world.event(&["object.gz"])).await;
    world.drain().await;
    let last = world.object_log().pop().unwrap();
    let shown = ["lines", "indexed", "duplicate", "quarantined"].map(|name| &last[name]);
    assert_eq!(shown, [&json!(70), &json!(0), &json!(70), &json!(0)]);
    assert_eq!(world.num_documents().await, 70);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_is_killed_is_finished_by_the_next_one() {
    const NUM_OBJECTS: u32 = 60;
    let mut world = world_with_a_wrong_mapping("killed-replay").await;
    world
        .variables
        .insert("FLOWSHIP_OBJECTS_IN_FLIGHT".into(), "2".into());
    for number in 0..NUM_OBJECTS {
        world.put(&format!("{number}.gz"), log(number, 1, 3).gzip()).await;
    }
    world.drain().await;
    let num_good = u64::from(NUM_OBJECTS);
    assert_eq!(world.num_documents().await, num_good);
    mend(&world).await;

    for num_documents in [num_good + 1, num_good + 61, num_good + 121] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_redrive"))
            .env_clear()
            .envs(&world.variables)
            .args(["quarantine", "send", "--yes"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_until("documents are there", async || {
            world.num_documents_so_far().await >= num_documents
        })
        .await;
        kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
        child.wait().unwrap();
        let left: usize = world.quarantine().await.iter().map(|file| file.lines.len()).sum();
        let documents = world.num_documents().await;
        assert!(
            documents + left as u64 >= 4 * num_good,
            "{documents} documents, {left} lines in quarantine"
        );
    }

    let sent = redrive(&world, &["quarantine", "send", "--yes", "--json"]);
    assert!(matches!(sent.status.code(), Some(0 | 4)), "{sent:?}");
    assert_eq!(world.num_documents().await, 4 * num_good);
    assert!(world.quarantine().await.iter().all(|file| file.lines.is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_written_repeats_its_lines_which_is_harmless() {
    const PUT: Requests = Requests::naming(&["PUT ", "/bad/"]);
    let mut world = world_with_a_wrong_mapping("replay-unwritten").await;
    world.put("object.gz", log(1, 10, 20).gzip()).await;
    world.drain().await;
    mend(&world).await;
    let before = world.quarantine().await;
    let proxy = FaultProxy::start(&world.variables["AWS_ENDPOINT_URL"]).await;
    world.variables.insert("AWS_ENDPOINT_URL_S3".into(), proxy.url());

    let denied = Fault::Answer("403 Forbidden", &[], "<Error><Code>AccessDenied</Code></Error>");
    proxy.add(PUT, denied, Uses::Times(1));
    let sent = redrive(&world, &["quarantine", "send", "--yes", "--json"]);
    assert_eq!(sent.status.code(), Some(1), "{sent:?}");
    assert_eq!(counts(&report(&sent)), [("selected", 20), ("delivered", 20)]);
    assert!(
        report(&sent)["stopped"]
            .as_str()
            .unwrap()
            .contains("AccessDenied")
    );
    assert_eq!(
        (world.num_documents().await, world.quarantine().await),
        (30, before)
    );

    // This time it is written, but the answer is lost: the client's next attempt finds another file.
    proxy.add(PUT, Fault::ResetInsteadOfAnswer, Uses::Times(1));
    let sent = redrive(&world, &["quarantine", "send", "--yes", "--json"]);
    assert_eq!(sent.status.code(), Some(0), "{sent:?}");
    assert_eq!(counts(&report(&sent)), [("selected", 20), ("duplicate", 20)]);
    assert_eq!(report(&sent)["files"]["emptied"], 1);
    assert!(
        proxy.tallies().iter().all(|tally| tally.hits == 1),
        "{:?}",
        proxy.tallies()
    );
    assert_eq!(world.num_documents().await, 30);
    assert_eq!(world.quarantine().await[0].lines, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_elasticsearch_is_away_nothing_changes() {
    let mut world = World::new("replay-outage").await;
    world
        .put("bad.gz", FlowLog::new().records(1, 0, 5).line("x", 0).gzip())
        .await;
    world.drain().await;
    let before = world.quarantine().await;
    // Nothing listens there: the port of a listener that is gone.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    world.variables.insert("FLOWSHIP_ELASTICSEARCH_URLS".into(), url);
    let sent = redrive(&world, &["quarantine", "send", "--yes"]);
    assert_eq!(sent.status.code(), Some(1), "{sent:?}");
    let told = String::from_utf8(sent.stderr).unwrap();
    assert!(told.contains("nothing was sent"), "{told}");
    assert_eq!(world.quarantine().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_replaced_only_if_it_is_the_one_that_was_read() {
    let world = World::new("replace").await;
    let store = S3Store::new(&AwsContext::from_sdk_config(Stack::shared().aws_config().await));
    let file = |key: &str| ObjectRef {
        bucket: format!("{}-quarantine", world.bucket),
        key: key.to_owned(),
        version_id: None,
    };
    let etag = async |key: &str| store.open(&file(key)).await.unwrap().info.etag.unwrap();
    store.put(&file("a/1"), "first".into()).await.unwrap();
    let first = etag("a/1").await;
    assert_eq!(
        store.replace(&file("a/1"), &first, "second".into()).await,
        Ok(Replacement::Written)
    );
    let second = etag("a/1").await;
    assert_eq!(
        store.replace(&file("a/1"), &first, "third".into()).await,
        Ok(Replacement::Changed)
    );
    assert_eq!(etag("a/1").await, second);
    assert_eq!(
        store.replace(&file("a/none"), &first, "x".into()).await,
        Ok(Replacement::Changed)
    );

    for key in ["a/2", "a/3", "b/1"] {
        store.put(&file(key), "x".into()).await.unwrap();
    }
    let bucket = file("").bucket;
    let page = store.list(&bucket, "a/", "a/1").await.unwrap();
    let listed: Vec<(&str, u64)> = page
        .objects
        .iter()
        .map(|listed| (listed.object.key.as_str(), listed.size))
        .collect();
    assert_eq!((listed, page.has_more), (vec![("a/2", 1), ("a/3", 1)], false));
    let missing = store.list("no-such-bucket", "", "").await.unwrap_err();
    assert!(missing.to_string().contains("NoSuchBucket"), "{missing}");
}
