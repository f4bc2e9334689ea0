use std::fs;

use tempfile::TempDir;

use super::*;
use crate::cli::redrive::copy_file::Copies;
use crate::cli::redrive::tests::{letter, s3_event, selection, session};
use crate::queue::memory::{Fault, MemoryQueue};
use crate::queue::{Attribute, Attributes};

fn filled() -> MemoryQueue {
    let queue = MemoryQueue::new("dlq");
    for _ in 0..12 {
        letter("bulk.throttled", "transient").put(&queue);
    }
    let binary = Attribute::Other {
        data_type: "Binary".into(),
        value: vec![0, 255],
    };
    queue.put(
        &s3_event(&["one.gz", "two.gz"]),
        [("blob".to_owned(), binary)].into(),
    );
    queue
}

fn arguments(folder: &TempDir, options: &[&str]) -> Arguments {
    Arguments {
        file: folder.path().join("dlq.ndjson"),
        force: false,
        selection: selection(options),
    }
}

async fn run(queue: &MemoryQueue, arguments: &Arguments, session: &Session) -> anyhow::Result<Report> {
    let status = queue.status().await.unwrap();
    export(queue, &status, arguments, session).await
}

#[tokio::test(start_paused = true)]
async fn the_file_has_every_selected_message_and_the_queue_is_as_it_was() {
    let (queue, folder) = (filled(), tempfile::tempdir().unwrap());
    let (before, ids) = (queue.messages(), queue.ids());
    let mut arguments = arguments(&folder, &[]);
    arguments.file = folder.path().join("dlq\u{202e}.ndjson");
    let report = run(&queue, &arguments, &session()).await.unwrap();
    let lines = report
        .lines()
        .join("\n")
        .replace(folder.path().to_str().unwrap(), "…");
    insta::assert_snapshot!(lines, @"
         12  bulk.throttled
          1  unknown (moved by the queue's redrive policy)
    13 exported to …/dlq�.ndjson, 4.6 KiB
    13 dead letters seen, about 0 in flight; nothing was deleted
    ");
    assert_eq!(report.exit_code(), exit::DONE);
    let mut copies = Copies::open(&arguments.file).unwrap();
    for (number, (message, id)) in before.iter().zip(ids).enumerate() {
        let (line, copy) = copies.next().unwrap().unwrap();
        let copy = copy.unwrap();
        assert_eq!(
            (line, &copy.to_message().unwrap(), &copy.id),
            (number as u64 + 1, message, &id)
        );
        assert_eq!(copy.system_attributes["ApproximateReceiveCount"], "1");
    }
    assert_eq!(copies.next().unwrap(), None);
    assert_eq!((queue.messages(), queue.num_visible()), (before, 13));
}

#[tokio::test(start_paused = true)]
async fn selection_and_limit_hold() {
    let (queue, folder) = (filled(), tempfile::tempdir().unwrap());
    let arguments = arguments(&folder, &["--reason", "bulk.*", "--limit", "3"]);
    assert_eq!(run(&queue, &arguments, &session()).await.unwrap().exported, 3);
    assert_eq!(fs::read_to_string(&arguments.file).unwrap().lines().count(), 3);
    assert_eq!(queue.num_visible(), 13);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_there_is_not_replaced_and_the_queue_is_not_touched() {
    let (queue, folder) = (filled(), tempfile::tempdir().unwrap());
    let mut arguments = arguments(&folder, &[]);
    fs::write(&arguments.file, "mine").unwrap();
    let error = run(&queue, &arguments, &session()).await.unwrap_err();
    let told = format!("{error:#}").replace(folder.path().to_str().unwrap(), "…");
    insta::assert_snapshot!(told, @"the export was not begun; --force replaces a file: …/dlq.ndjson is there already");
    assert_eq!(queue.num_calls("ReceiveMessage"), 0);
    arguments.force = true;
    assert_eq!(run(&queue, &arguments, &session()).await.unwrap().exported, 13);
}

#[tokio::test(start_paused = true)]
async fn nothing_selected_an_interrupt_and_an_error_leave_no_file_and_all_visible() {
    let (queue, folder) = (filled(), tempfile::tempdir().unwrap());
    let nothing = arguments(&folder, &["--reason", "other"]);
    let report = run(&queue, &nothing, &session()).await.unwrap();
    assert_eq!(report.exit_code(), exit::NOTHING);

    let stopping = session();
    stopping.interrupt.set();
    let all = arguments(&folder, &[]);
    let report = run(&queue, &all, &stopping).await.unwrap();
    assert_eq!((report.exit_code(), report.exported), (exit::STOPPED, 0));
    insta::assert_snapshot!(report.lines().join("\n"), @"
    ended early: interrupted
    no file was written
    0 dead letters seen, about 0 in flight; nothing was deleted
    ");

    queue.script("ReceiveMessage", Fault::Pass);
    queue.script("ReceiveMessage", Fault::Call);
    run(&queue, &all, &session()).await.unwrap_err();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    assert_eq!(queue.num_visible(), 13);
}

#[tokio::test(start_paused = true)]
async fn a_malformed_message_is_copied_too() {
    let (queue, folder) = (MemoryQueue::new("dlq"), tempfile::tempdir().unwrap());
    queue.put("{ not json\n\"é\u{2028}", Attributes::new());
    let arguments = arguments(&folder, &[]);
    run(&queue, &arguments, &session()).await.unwrap();
    let (_, copy) = Copies::open(&arguments.file).unwrap().next().unwrap().unwrap();
    assert_eq!(copy.unwrap().body, "{ not json\n\"é\u{2028}");
}
