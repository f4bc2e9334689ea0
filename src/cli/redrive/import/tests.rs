use std::io::Write;

use super::*;
use crate::cli::redrive::tests::{s3_event, session};
use crate::queue::memory::{Fault, MemoryQueue};

const DLQ: Rules = Rules {
    to: Destination::Dlq,
    any_body: false,
    max_bytes: MAX_MESSAGE_BYTES,
};

fn line(body: &str) -> String {
    serde_json::json!({"body": body, "attributes": {"reason": {"type": "String", "value": "bulk.throttled"}}})
        .to_string()
}

fn file(lines: &[String]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    for line in lines {
        writeln!(file, "{line}").unwrap();
    }
    file
}

fn events(number: usize) -> Vec<String> {
    (0..number)
        .map(|number| line(&s3_event(&[&format!("{number}.gz")])))
        .collect()
}

async fn import(queue: &MemoryQueue, file: &File, rules: Rules, session: &Session) -> Report {
    let report = check(file, rules).unwrap().addressed_to("http://q/dlq", false);
    let report = send(queue, file, rules, report, session).await.unwrap();
    assert_eq!(
        report.messages,
        report.sent + report.failed + report.kept,
        "{report:?}"
    );
    report
}

#[tokio::test]
async fn messages_go_in_batches_as_they_are() {
    let queue = MemoryQueue::new("dlq");
    let mut lines = events(23);
    lines.push(line(&s3_event(&["one.gz", "two.gz"])));
    let report = import(&queue, &file(&lines), DLQ, &session()).await;
    insta::assert_snapshot!(report.lines().join("\n"), @"
    to http://q/dlq
         24  bulk.throttled
    objects: 25; size: 3.6 KiB
    24 in the file = 24 sent + 0 failed + 0 kept
    ");
    assert_eq!(report.exit_code(), exit::DONE);
    assert_eq!(queue.num_calls("SendMessageBatch"), 3);
    let sent = queue.messages();
    for (line, message) in lines.iter().zip(&sent) {
        let copy = MessageCopy::parse(line.as_bytes()).unwrap();
        assert_eq!(copy.to_message().unwrap(), *message);
    }
    assert_eq!(sent.len(), 24);
}

#[tokio::test]
async fn large_messages_go_in_smaller_batches() {
    let queue = MemoryQueue::new("dlq");
    let large = |num_bytes: usize| line(&s3_event(&[&"k".repeat(num_bytes)]));
    let lines = [
        large(100_000),
        large(100_000),
        large(100_000),
        large(600_000),
        large(100_000),
    ];
    let report = import(&queue, &file(&lines), DLQ, &session()).await;
    assert_eq!((report.sent, queue.num_calls("SendMessageBatch")), (5, 4));
}

#[test]
fn all_lines_that_cannot_be_imported_are_told_at_once() {
    let mut lines = events(2);
    lines.push("nonsense".to_owned());
    lines.push(line("nonsense"));
    lines.push(line(r#"{"Records":[]}"#));
    lines.push(line(&s3_event(&[&"x".repeat(1 << 20)])));
    let error = check(&file(&lines), DLQ).unwrap_err();
    insta::assert_snapshot!(error, @"
    nothing was sent: 4 of 6 lines cannot be imported
    line 3: this is no exported message: expected ident at line 1 column 2
    line 4: the body is no S3 event: message body is not the JSON of a notification: expected ident at line 1 column 2
    line 5: the body names no object
    line 6: 1048724 bytes: the queue takes at most 1048576
    ");
    let many: Vec<String> = (0..25).map(|_| "x".to_owned()).collect();
    let told = check(&file(&many), DLQ).unwrap_err().to_string();
    assert!(
        told.ends_with("and 5 more") && told.lines().count() == 22,
        "{told}"
    );
}

#[tokio::test]
async fn any_body_goes_back_into_the_dead_letter_queue_if_that_is_wanted() {
    let any_body = Rules {
        any_body: true,
        ..DLQ
    };
    let queue = MemoryQueue::new("dlq");
    let report = import(&queue, &file(&[line("nonsense")]), any_body, &session()).await;
    assert_eq!((report.sent, queue.messages()[0].body.as_str()), (1, "nonsense"));
    assert!(
        check(&file(&["nonsense".to_owned()]), any_body).is_err(),
        "a line must still be a copy"
    );
    assert!(
        check(&file(&[line("")]), any_body).is_err(),
        "and one that SQS takes"
    );
}

#[tokio::test]
async fn the_way_to_the_main_queue_counts_a_hop() {
    let queue = MemoryQueue::new("main");
    let main = Rules {
        to: Destination::Main,
        ..DLQ
    };
    import(&queue, &file(&events(1)), main, &session()).await;
    assert_eq!(queue.messages()[0].attributes["hops"], Attribute::Number(1));
}

#[tokio::test]
async fn entries_that_are_not_confirmed_are_named_by_line() {
    let queue = MemoryQueue::new("dlq");
    queue.script("SendMessageBatch", Fault::Entries(vec![1]));
    let report = import(&queue, &file(&events(12)), DLQ, &session()).await;
    assert_eq!(
        (report.sent, report.failed, report.exit_code()),
        (11, 1, exit::ERROR)
    );
    insta::assert_snapshot!(report.lines().join("\n"), @"
    to http://q/dlq
         12  bulk.throttled
    objects: 12; size: 1.7 KiB
    12 in the file = 11 sent + 1 failed + 0 kept
    1 not confirmed, perhaps sent:
      line 2
        SendMessageBatch refused this message: InternalError: scripted
    ");
}

#[tokio::test]
async fn a_call_that_fails_as_a_whole_ends_the_run_and_names_the_rest() {
    let queue = MemoryQueue::new("dlq");
    queue.script("SendMessageBatch", Fault::Pass);
    queue.script("SendMessageBatch", Fault::Call);
    let report = import(&queue, &file(&events(25)), DLQ, &session()).await;
    assert_eq!((report.sent, report.failed, report.kept), (10, 10, 5));
    assert_eq!((report.next_line, report.exit_code()), (Some(21), exit::ERROR));
}

#[tokio::test]
async fn an_interrupt_names_the_rest() {
    let queue = MemoryQueue::new("dlq");
    let stopping = session();
    stopping.interrupt.set();
    let report = import(&queue, &file(&events(12)), DLQ, &stopping).await;
    assert_eq!(
        (report.sent, report.kept, report.exit_code()),
        (0, 12, exit::STOPPED)
    );
    insta::assert_snapshot!(report.lines().join("\n"), @"
    to http://q/dlq
         12  bulk.throttled
    objects: 12; size: 1.7 KiB
    12 in the file = 0 sent + 0 failed + 12 kept
    ended early: interrupted
    the rest begins at line 1: tail -n +1 FILE | redrive import -
    ");
    assert_eq!(queue.messages(), []);
}

#[tokio::test]
async fn a_file_that_changes_under_the_import_stops_it() {
    let queue = MemoryQueue::new("dlq");
    let mut file = file(&events(12));
    let report = check(&file, DLQ).unwrap();
    writeln!(file, "nonsense").unwrap();
    let report = send(&queue, &file, DLQ, report, &session()).await.unwrap();
    assert_eq!(
        (report.sent, report.next_line, report.exit_code()),
        (10, Some(11), exit::STOPPED)
    );
}

#[test]
fn an_empty_file_is_nothing_selected() {
    let report = check(&file(&[]), DLQ).unwrap();
    assert!(report.is_empty());
    assert_eq!(report.exit_code(), exit::NOTHING);
}
