use std::fs;

use tempfile::TempDir;

use super::*;
use crate::cli::redrive::tests::{letter, selection, session};
use crate::queue::memory::{Fault, MemoryQueue};

/// 14 letters, of which 12 are selected by `--reason 'bulk.*'`.
fn filled() -> MemoryQueue {
    let queue = MemoryQueue::new("dlq");
    letter("object.not_found", "permanent").put(&queue);
    for _ in 0..12 {
        letter("bulk.rejected", "permanent").put(&queue);
    }
    letter("object.not_found", "permanent").put(&queue);
    queue
}

fn arguments(folder: &TempDir, yes: bool) -> Arguments {
    Arguments {
        yes,
        export: Some(folder.path().join("gone.ndjson")),
        selection: selection(&["--reason", "bulk.*"]),
    }
}

async fn run(queue: &MemoryQueue, arguments: &Arguments, session: &Session) -> anyhow::Result<Report> {
    let status = queue.status().await.unwrap();
    let report = discard(queue, &status, arguments, session).await?;
    assert_eq!(
        report.selected,
        report.deleted + report.failed + report.kept,
        "{report:?}"
    );
    Ok(report)
}

fn exported(folder: &TempDir) -> Vec<String> {
    let mut copies = Copies::open(&folder.path().join("gone.ndjson")).unwrap();
    let mut ids = Vec::new();
    while let Some((_, copy)) = copies.next().unwrap() {
        ids.push(copy.unwrap().id);
    }
    ids
}

fn lines(report: &Report, folder: &TempDir) -> String {
    report
        .lines()
        .join("\n")
        .replace(folder.path().to_str().unwrap(), "…")
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_changes_nothing() {
    let (queue, folder) = (filled(), tempfile::tempdir().unwrap());
    let before = queue.messages();
    let report = run(&queue, &arguments(&folder, false), &session()).await.unwrap();
    insta::assert_snapshot!(lines(&report, &folder), @"
         12  bulk.rejected
    12 selected = 0 deleted + 0 failed + 12 kept (14 seen)
    nothing was deleted, and no file was written
    dry run; to delete, repeat with --yes --export FILE
    ");
    assert_eq!(report.exit_code(), exit::DONE);
    assert_eq!((queue.messages(), queue.num_visible()), (before, 14));
    assert_eq!(queue.num_calls("DeleteMessageBatch"), 0);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_is_what_is_in_the_file_and_nothing_else() {
    let (queue, folder) = (filled(), tempfile::tempdir().unwrap());
    let ids = queue.ids();
    let report = run(&queue, &arguments(&folder, true), &session()).await.unwrap();
    insta::assert_snapshot!(lines(&report, &folder), @"
         12  bulk.rejected
    12 selected = 12 deleted + 0 failed + 0 kept (14 seen)
    a copy of all 12 is in …/gone.ndjson
    ");
    assert_eq!(exported(&folder), ids[1..13]);
    assert_eq!(queue.ids(), [ids[0].clone(), ids[13].clone()]);
    assert_eq!(queue.num_visible(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_selected_is_visible_again_before_the_first_deletion() {
    let (queue, folder) = (filled(), tempfile::tempdir().unwrap());
    queue.script("DeleteMessageBatch", Fault::Hang);
    let arguments = arguments(&folder, true);
    let session = session();
    let hung = tokio::time::timeout(Duration::from_secs(5), run(&queue, &arguments, &session));
    assert!(hung.await.is_err());
    assert_eq!(queue.num_visible(), 2);
    assert_eq!(
        exported(&folder).len(),
        12,
        "the copies are safe when it is killed here"
    );
}

#[tokio::test(start_paused = true)]
async fn a_file_that_cannot_be_written_keeps_all() {
    let (queue, folder) = (filled(), tempfile::tempdir().unwrap());
    let arguments = arguments(&folder, true);
    fs::write(arguments.export.as_ref().unwrap(), "mine").unwrap();
    let error = run(&queue, &arguments, &session()).await.unwrap_err();
    assert!(error.to_string().ends_with("is there already"), "{error}");
    let nowhere = Arguments {
        export: Some(folder.path().join("no/such/folder/file")),
        ..arguments
    };
    assert!(run(&queue, &nowhere, &session()).await.is_err());
    assert_eq!((queue.messages().len(), queue.num_visible()), (14, 14));
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_took_meanwhile_is_not_counted_as_deleted() {
    let (queue, folder) = (filled(), tempfile::tempdir().unwrap());
    queue.script("ChangeMessageVisibilityBatch", Fault::Pass);
    queue.script("ChangeMessageVisibilityBatch", Fault::Entries(vec![0]));
    queue.script("DeleteMessageBatch", Fault::Entries(vec![8]));
    let report = run(&queue, &arguments(&folder, true), &session()).await.unwrap();
    assert_eq!((report.deleted, report.failed), (10, 2));
    assert_eq!(report.exit_code(), exit::ERROR);
    assert_eq!((queue.messages().len(), queue.num_visible()), (4, 4));
    insta::assert_snapshot!(lines(&report, &folder), @"
         12  bulk.rejected
    12 selected = 10 deleted + 2 failed + 0 kept (14 seen)
    a copy of all 12 is in …/gone.ndjson
    2 perhaps still in the queue:
      3c6ef372-0000-4000-8000-000000000002
        ChangeMessageVisibilityBatch refused this message: InternalError: scripted
      cc623af3-0000-4000-8000-00000000000b
        DeleteMessageBatch refused this message: InternalError: scripted
    ");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_as_a_whole_ends_the_run() {
    let (queue, folder) = (filled(), tempfile::tempdir().unwrap());
    queue.script("DeleteMessageBatch", Fault::LostAnswer);
    let report = run(&queue, &arguments(&folder, true), &session()).await.unwrap();
    assert_eq!((report.deleted, report.failed, report.kept), (0, 10, 2));
    assert_eq!(
        queue.messages().len(),
        4,
        "an answer that is lost does not undo the deletion"
    );
    assert_eq!(exported(&folder).len(), 12);
    assert_eq!(report.exit_code(), exit::ERROR);
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_deletes_nothing_more_and_says_what_is_where() {
    let (queue, folder) = (filled(), tempfile::tempdir().unwrap());
    let stopping = session();
    stopping.interrupt.set();
    let report = run(&queue, &arguments(&folder, true), &stopping).await.unwrap();
    assert_eq!((report.exit_code(), report.deleted), (exit::STOPPED, 0));
    assert_eq!((queue.messages().len(), queue.num_visible()), (14, 14));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_selected_writes_no_file() {
    let (queue, folder) = (filled(), tempfile::tempdir().unwrap());
    let nothing = Arguments {
        selection: selection(&["--reason", "other"]),
        ..arguments(&folder, true)
    };
    let report = run(&queue, &nothing, &session()).await.unwrap();
    assert_eq!(report.exit_code(), exit::NOTHING);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
