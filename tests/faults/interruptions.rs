//! The function does not get to its end, or there are two of it.

use std::sync::Mutex;
use std::time::Duration;

use flowship::aws::sqs::SqsQueue;
use flowship::cli::lambda_local::{InvocationReport, LambdaLocal, Outcome, Until};
use flowship::queue::MessageQueue;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::time::Instant;

use super::{SMALLEST_BODY, assert_complete, number, seconds};
use crate::support::proxy::{Fault, FaultProxy, Requests, Uses};
use crate::support::world::{Options, wait_until};
use crate::support::{FlowLog, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_function_killed_three_times_within_one_object_loses_and_repeats_nothing() {
    const NUM_DOCUMENTS: u32 = 50_000;
    let options = Options {
        visibility_seconds: 5,
        ..Options::default()
    };
    let mut world = World::with("killed", options).await;
    world
        .variables
        .insert("FLOWSHIP_BULK_MAX_BYTES".into(), SMALLEST_BODY.into());
    let log = FlowLog::new().records(1, 0, NUM_DOCUMENTS);
    world.put("large.gz", log.gzip()).await;

    let function = world.function().await;
    let reports: Mutex<Vec<InvocationReport>> = Mutex::default();
    let run = function.run(Until::default().or_empty(), |report| {
        reports.lock().unwrap().push(report.clone());
    });
    let kills = async {
        let mut killed = Vec::new();
        for num_documents in [1, 12_000, 24_000] {
            let what = format!("{num_documents} documents are there");
            wait_until(&what, async || {
                world.num_documents_so_far().await >= num_documents
            })
            .await;
            let pids = function.child_pids();
            assert_eq!(pids.len(), 1);
            let pid = Pid::from_raw(pids[0].try_into().unwrap()).unwrap();
            kill_process(pid, Signal::KILL).unwrap();
            killed.push(pids[0]);
        }
        killed
    };
    let (summary, killed) = tokio::join!(run, kills);
    function.shut_down().await;
    let reports = reports.into_inner().unwrap();
    let crashed: Vec<u32> = reports
        .iter()
        .filter(
            |report| matches!(&report.outcome, Outcome::Crashed { status } if status.contains("signal: 9")),
        )
        .filter_map(|report| report.pid)
        .collect();
    assert_eq!(crashed, killed, "in the middle of an invocation: {reports:#?}");
    assert_eq!(summary.unwrap().failed, 3);
    let last = world.object_log().pop().unwrap();
    assert!(number(&last, "duplicate") >= 24_000, "{last}");
    assert_complete(&world, NUM_DOCUMENTS.into()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_too_large_for_its_time_goes_on_in_more_than_ten_invocations() {
    const NUM_DOCUMENTS: u32 = 60_000;
    let options = Options {
        visibility_seconds: 6,
        ..Options::default()
    };
    let mut world = World::with("overrun", options).await;
    // Each invocation delivers two or three of about thirty bodies.
    let proxy = FaultProxy::start(&world.variables["FLOWSHIP_ELASTICSEARCH_URLS"]).await;
    let slowly = Fault::Delay(Duration::from_millis(900));
    proxy.add(Requests::naming(&["/_bulk"]), slowly, Uses::ForEver);
    // Half of it for work, the other half to end in order, however long the margin is set.
    world.timeout = seconds(4);
    world.variables.extend([
        ("FLOWSHIP_ELASTICSEARCH_URLS".into(), proxy.url()),
        ("FLOWSHIP_DEADLINE_MARGIN_MS".into(), "20000".into()),
        ("FLOWSHIP_BULK_IN_FLIGHT".into(), "1".into()),
        ("FLOWSHIP_MAX_RECEIVES".into(), "100".into()),
        ("FLOWSHIP_BULK_MAX_BYTES".into(), SMALLEST_BODY.into()),
    ]);
    let log = FlowLog::new().records(1, 0, NUM_DOCUMENTS);
    world.put("large.gz", log.gzip()).await;
    let (_, reports) = world.drain().await;
    for report in &reports {
        assert!(
            matches!(report.outcome, Outcome::Succeeded { .. }),
            "ended by itself: {report:?}"
        );
    }
    let mut passes = world.object_log();
    let last = passes.pop().unwrap();
    assert_eq!(last["becomes"], "indexed", "{last}");
    let handed_on: Vec<&Value> = passes
        .iter()
        .filter(|line| line["becomes"] == "goes on")
        .collect();
    assert!(handed_on.len() > 10, "{} were enough: {last}", handed_on.len());
    assert_eq!(number(&last, "pass"), 1 + handed_on.len() as u64);
    // Each begins where the one before it stopped, and none sends what was answered for.
    let (mut next_line, mut num_lines) = (1, 0);
    for line in handed_on.into_iter().chain([&last]) {
        assert_eq!(number(line, "lines_before"), num_lines, "{line}");
        assert!(number(line, "first_line") >= next_line, "{line}");
        let num_answered = number(line, "indexed") + number(line, "duplicate");
        assert_eq!(number(line, "lines"), num_answered, "{line}");
        next_line = number(line, "first_line") + 1;
        num_lines += number(line, "lines");
    }
    assert_eq!(num_lines, u64::from(NUM_DOCUMENTS));
    assert_complete(&world, NUM_DOCUMENTS.into()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_handled_by_two_instances_at_the_same_time_is_indexed_once() {
    const RECORDS_PER_OBJECT: u32 = 2_000;
    let world = World::new("handled-twice").await;
    // Both are up before the race.
    let instances = [world.function().await, world.function().await];
    world
        .send(r#"{"Records":[{"eventSource":"aws:s3","eventName":"ObjectRemoved:Delete"}]}"#)
        .await;
    let warm_up = world.receive(1).await;
    for instance in &instances {
        instance.invoke(&warm_up).await.unwrap();
    }
    world
        .queue
        .delete_batch(&[warm_up[0].receipt_handle.clone()])
        .await;
    for number in 0..8 {
        let log = FlowLog::new().records(number, 0, RECORDS_PER_OBJECT);
        world.put(&format!("{number}.gz"), log.gzip()).await;
    }
    let messages = world.receive(8).await;
    let handle = async |instance: &LambdaLocal<SqsQueue>| {
        let report = instance.invoke(&messages).await.unwrap();
        let end = Instant::now();
        (end - report.duration, end, report)
    };
    let ((first_begin, first_end, mut first), (second_begin, second_end, second)) =
        tokio::join!(handle(&instances[0]), handle(&instances[1]));
    assert!(
        first_begin.max(second_begin) < first_end.min(second_end),
        "at the same time"
    );
    for (instance, report) in instances.iter().zip([&first, &second]) {
        assert!(report.outcome.is_complete_success(), "{report:?}");
        assert_eq!(report.init_duration, None, "it was warm");
        instance.shut_down().await;
    }
    instances[0].settle(&messages, &mut first).await;
    let passes = world.object_log();
    let sum = |field| passes.iter().map(|line| number(line, field)).sum::<u64>();
    let num_documents = 8 * u64::from(RECORDS_PER_OBJECT);
    assert_eq!((sum("indexed"), sum("duplicate")), (num_documents, num_documents));
    assert_complete(&world, num_documents).await;
}
