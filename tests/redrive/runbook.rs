//! README's "From alarm to proof", command by command: each is taken from the page, run by a shell as a person would
//! paste it, and does what its step says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use flowship::queue::{Attribute, MessageQueue, OutgoingMessage};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;

use super::send::{rows, with_function};
use super::{json_lines, text};
use crate::support::peek::peek;
use crate::support::proxy::{Fault, FaultProxy, Requests, Uses};
use crate::support::stack::repository;
use crate::support::world::wait_until;
use crate::support::{FlowLog, Stack, World};

/// Slots of 5 minutes from midnight on, each with an object.
const NUM_OBJECTS: u32 = 24;
const RANGE: &str = "--from 2026-11-18T00:00Z --to 2026-11-18T02:00Z";

/// The commands of the runbook, in their order.
fn commands() -> Vec<String> {
    let readme = fs::read_to_string(repository("README.md")).unwrap();
    let (_before, runbook) = readme.split_once("From alarm to proof:").unwrap();
    let (runbook, _after) = runbook.split_once("\n### ").unwrap();
    let spans = runbook.split('`').skip(1).step_by(2);
    let words = spans.map(|span| span.split_whitespace().collect::<Vec<_>>().join(" "));
    let is_command = |span: &String| ["redrive ", "flowctl "].iter().any(|name| span.starts_with(name));
    words.filter(is_command).collect()
}

/// A person at a shell, in a folder of their own.
struct Shell<'a> {
    world: &'a World,
    folder: tempfile::TempDir,
}

impl Shell<'_> {
    fn command(&self, line: &str) -> Command {
        let programs = Path::new(env!("CARGO_BIN_EXE_redrive")).parent().unwrap();
        let mut command = Command::new("/bin/sh");
        command.env_clear().envs(&self.world.variables);
        command.env("PATH", programs).current_dir(self.folder.path());
        command.args(["-c", &format!("exec {line}")]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    async fn run(&self, line: &str) -> Output {
        self.command(line).output().await.unwrap()
    }

    async fn succeed(&self, line: &str) -> String {
        let output = self.run(line).await;
        assert!(output.status.success(), "{line}: {output:?}");
        text(&output)
    }

    /// Presses Ctrl-C when the run has sent so many batches.
    async fn interrupt(&self, line: &str, num_batches: usize) -> Output {
        let run = self.command(line).spawn().unwrap();
        wait_until("it has sent some", async || {
            let rows = self.journal().map(|journal| rows(&journal)).unwrap_or_default();
            let deleted = rows.iter().filter(|row| row["event"] == "deleted");
            deleted.count() >= num_batches
        })
        .await;
        let id = i32::try_from(run.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), Signal::INT).unwrap();
        run.wait_with_output().await.unwrap()
    }

    fn journal(&self) -> Option<PathBuf> {
        let paths = fs::read_dir(self.folder.path()).unwrap();
        let mut paths = paths.map(|entry| entry.unwrap().path());
        paths.find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("redrive-"))
        })
    }
}

fn key(slot: u32) -> String {
    let (hour, minute) = (slot * 5 / 60, slot * 5 % 60);
    format!(
        "AWSLogs/1/vpcflowlogs/us-east-1/2026/11/18/1_vpcflowlogs_us-east-1_fl-1_20261118T{hour:02}{minute:02}Z_ab.log.gz"
    )
}

/// Objects that Elasticsearch did not take, and an old letter of one that is not there.
async fn raise_the_alarm(world: &World) -> u64 {
    let mut num_documents = 0;
    for slot in 0..NUM_OBJECTS {
        let log = FlowLog::new().records(slot, 0, 20);
        num_documents += log.documents;
        world.put(&key(slot), log.gzip()).await;
    }
    world.drain().await;
    let nine_days_ago = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(9 * 24);
    let text = |value: &str| Attribute::Text(value.to_owned());
    let old = OutgoingMessage {
        body: world.event(&["gone.gz"]),
        attributes: [
            ("reason".to_owned(), text("object.not_found")),
            ("disposition".to_owned(), text("permanent")),
            ("failed_at".to_owned(), text(&nine_days_ago.to_string())),
        ]
        .into(),
    };
    world.dead_letters.send(&old).await.unwrap();
    num_documents
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_runbook_does_what_its_step_says() {
    let mut world = World::new("runbook").await;
    let proxy = FaultProxy::start(&Stack::shared().elasticsearch_url).await;
    let unavailable = Fault::Answer("503 Service Unavailable", &[], "{}");
    proxy.add(Requests::naming(&["_bulk"]), unavailable, Uses::ForEver);
    let url = proxy.url();
    world.variables.insert("FLOWSHIP_ELASTICSEARCH_URLS".into(), url);
    world.variables.insert("FLOWSHIP_MAX_RECEIVES".into(), "1".into());
    world.timeout = Duration::from_secs(8);
    let num_documents = raise_the_alarm(&world).await;
    let num_letters = u64::from(NUM_OBJECTS) + 1;
    let alarm = world.dead_letters.status().await.unwrap();
    assert_eq!(alarm.visible, num_letters, "what the alarm counts");

    let shell = Shell {
        world: &world,
        folder: tempfile::tempdir().unwrap(),
    };
    let mut commands = commands().into_iter();
    let mut next = |expected: &str| {
        let command = commands.next().unwrap_or_default();
        assert!(
            command.starts_with(expected),
            "`{command}` comes where the test knows `{expected}`"
        );
        command
    };

    // 1: why, since when, what next; one with everything; a copy.
    let stats = shell.succeed(&next("redrive stats")).await;
    assert!(stats.contains("bulk.unavailable (transient)"), "{stats}");
    assert!(
        stats.contains("next: redrive send --reason bulk.unavailable"),
        "{stats}"
    );
    let listed = json_lines(&shell.run("redrive list --reason 'bulk.*' --limit 1 --json").await);
    let id = listed[0]["id"].as_str().unwrap();
    let shown = shell.succeed(&next("redrive show ID").replace("ID", id)).await;
    assert!(
        shown.contains("detail") && shown.contains("now      there"),
        "{shown}"
    );
    let export = next("redrive export ");
    shell.succeed(&export).await;
    let copy = shell.folder.path().join(export.rsplit(' ').next().unwrap());
    assert_eq!(
        fs::read_to_string(copy).unwrap().lines().count() as u64,
        num_letters
    );

    // 2: the cause is repaired; what would be sent.
    proxy.heal();
    let dry = shell.succeed(&next("redrive send --reason ")).await;
    let would_send = format!("{NUM_OBJECTS} selected = {NUM_OBJECTS} would send");
    assert!(
        dry.contains(&would_send) && dry.contains("nothing was sent"),
        "{dry}"
    );
    assert_eq!(
        world.dead_letters.status().await.unwrap().visible,
        num_letters,
        "untouched"
    );

    // 3 and 4: the first message, then the rest; Ctrl-C in the middle; resumed.
    let (send, resume) = (next("redrive send --reason "), next("redrive resume "));
    let told = with_function(&world, async {
        let stopped = shell.interrupt(&send, 2).await;
        assert_eq!(stopped.status.code(), Some(3), "{stopped:?}");
        let journal = shell.journal().unwrap();
        let events = rows(&journal);
        let event = |name: &str| events.iter().position(|row| row["event"] == name).unwrap();
        assert!(event("deleted") < event("canary"), "one goes ahead: {events:?}");
        assert_eq!(events[event("canary")]["passed"], true);
        let name = journal.file_name().unwrap().to_str().unwrap();
        let line = format!("to go on: redrive resume {name}");
        let told = String::from_utf8(stopped.stderr).unwrap();
        assert!(told.lines().any(|told| told == line), "{told}");
        shell
            .succeed(&resume.replace("redrive-<time>.ndjson", name))
            .await
    })
    .await;

    // 5: the proof.
    let proof = format!("{NUM_OBJECTS} sent = {NUM_OBJECTS} delivered + 0 refailed + 0 still in flight");
    assert!(told.lines().any(|line| line == proof), "{told}");
    let ledger = format!("{} {RANGE}", next("flowctl ledger"));
    shell.succeed(&ledger).await;
    assert_eq!(world.num_documents().await, num_documents, "all, and none twice");

    // What nobody wants, and back again.
    let discard = next("redrive discard ");
    let discarded = shell.succeed(&discard).await;
    assert!(discarded.contains("1 selected = 1 deleted"), "{discarded}");
    assert!(peek(&world.dead_letters).await.is_empty());
    let file = discard.rsplit(' ').next().unwrap();
    let import = format!("{} {file} --yes", next("redrive import"));
    shell.succeed(&import).await;
    assert_eq!(peek(&world.dead_letters).await.len(), 1);
    assert_eq!(commands.next(), None, "a command that the test does not know");
}
