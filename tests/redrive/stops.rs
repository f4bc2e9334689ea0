//! `send` is asked to end: it stops in order, says what is where, and can be resumed.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Output, Stdio};

use flowship::queue::MessageQueue;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::one_json;
use super::send::{REASONS, put_letters, redriven, rows};
use crate::support::World;
use crate::support::peek::peek;
use crate::support::world::{redrive_command, wait_until};

fn start(world: &World, folder: &Path, arguments: &[&str]) -> Child {
    let mut command = redrive_command(world, folder, arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Starts a run, and sends it the signal when it has sent so many batches.
async fn signal_after(
    world: &World,
    folder: &Path,
    arguments: &[&str],
    num_batches: usize,
    signal: Signal,
) -> Output {
    let run = start(world, folder, arguments);
    let journal = folder.join("journal");
    wait_until("it has sent some", async || {
        let rows = rows(&journal);
        let deleted = rows.iter().filter(|row| row["event"] == "deleted");
        deleted.count() >= num_batches
    })
    .await;
    kill_process(Pid::from_child(&run), signal).unwrap();
    tokio::task::block_in_place(|| run.wait_with_output()).unwrap()
}

fn number(report: &Value, field: &str) -> u64 {
    report[field].as_u64().unwrap()
}

/// The number of letters that were sent, of which the report, the queues and stderr tell the same.
async fn check_stopped(world: &World, output: &Output, num_letters: u64) -> u64 {
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let told = String::from_utf8(output.stderr.clone()).unwrap();
    for line in [
        "redrive: stopping in order (Ctrl-C again to give up)",
        "redrive: ended early: interrupted",
        "to go on: redrive resume journal",
    ] {
        assert!(told.lines().any(|told| told == line), "{line}: {told}");
    }
    let report = one_json(output);
    let sent = number(&report, "sent");
    assert!((1..num_letters).contains(&sent), "{report}");
    assert_eq!(number(&report, "selected"), num_letters, "{report}");
    assert_eq!(number(&report, "skipped"), num_letters - sent, "{report}");
    assert_eq!(number(&report, "failed") + number(&report, "gone"), 0, "{report}");
    let status = world.dead_letters.status().await.unwrap();
    assert_eq!(
        (status.visible, status.in_flight),
        (num_letters - sent, 0),
        "nothing stays hidden"
    );
    sent
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_and_sigterm_end_a_run_in_order_and_resume_finishes_it() {
    for (name, signal) in [("send-int", Signal::INT), ("send-term", Signal::TERM)] {
        let world = World::new(name).await;
        let bodies = put_letters(&world, &REASONS, 300).await;
        let folder = tempfile::tempdir().unwrap();
        let arguments = [
            "send",
            "--yes",
            "--force",
            "--no-canary",
            "--rate",
            "1000",
            "--json",
            "--journal",
            "journal",
        ];
        let output = signal_after(&world, folder.path(), &arguments, 2, signal).await;
        let sent = check_stopped(&world, &output, 300).await;
        assert_eq!(redriven(&world).await.len() as u64, sent);

        let resumed = start(&world, folder.path(), &["resume", "journal", "--json"]);
        let resumed = tokio::task::block_in_place(|| resumed.wait_with_output()).unwrap();
        assert!(resumed.status.success(), "{resumed:?}");
        let report = one_json(&resumed);
        assert_eq!(
            (&report["selected"], &report["sent"]),
            (&300.into(), &300.into()),
            "{report}"
        );
        assert_eq!(peek(&world.dead_letters).await.len(), 0);
        let sent = redriven(&world).await;
        assert!(sent.values().all(|times| *times == 1), "{sent:?}");
        assert_eq!(sent.into_keys().collect::<BTreeSet<_>>(), bodies);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_a_run_that_waits_for_its_first_messages() {
    let world = World::new("send-int-canary").await;
    put_letters(&world, &REASONS, 60).await;
    let folder = tempfile::tempdir().unwrap();
    // Nobody takes them.
    let arguments = ["send", "--yes", "--force", "--json", "--journal", "journal"];
    let output = signal_after(&world, folder.path(), &arguments, 1, Signal::INT).await;
    assert_eq!(check_stopped(&world, &output, 60).await, 6);
}
