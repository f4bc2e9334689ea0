//! Whole runs: polling, batching, starting again, ending.

use tokio::sync::watch;

use super::*;

#[tokio::test]
async fn a_run_ends_when_the_queue_is_empty() {
    let stage = Stage::new();
    stage.queue.put(["a"; 25]);
    let (reports, result) = stage.run(Until::default().or_empty()).await;
    let summary = result.unwrap();
    let sizes: Vec<usize> = reports.iter().map(|report| report.message_ids.len()).collect();
    assert_eq!(sizes, [10, 10, 5]);
    assert_eq!(stage.queue.left(), [""; 0]);
    assert_eq!(summary.ended, Ended::Empty);
    assert_eq!(
        (summary.invocations, summary.succeeded, summary.failed),
        (3, 3, 0)
    );
    assert_eq!((summary.messages_deleted, summary.messages_returned), (25, 0));
    assert_eq!(summary.cold_starts, 1);
    assert_eq!(
        summary.memory_mb_used,
        reports.iter().map(|report| report.memory_mb_used).max().unwrap()
    );
}

#[tokio::test]
async fn a_run_that_is_over_leaves_no_poll_behind() {
    let mut stage = Stage::new();
    stage.mapping.concurrency = 3;
    stage.queue.put(["a"; 3]);
    let (_, result) = stage.run(Until::default().or_empty()).await;
    assert_eq!(result.unwrap().ended, Ended::Empty);
    assert_eq!(stage.queue.num_abandoned(), 0);
}

#[tokio::test]
async fn hidden_messages_keep_a_run_going_until_they_succeed() {
    let mut stage = Stage::new();
    stage.queue = TestQueue::new(Duration::from_millis(300));
    stage.queue.put(["bad until 3", "ok"]);
    let (reports, result) = stage.run(Until::default().or_empty()).await;
    let summary = result.unwrap();
    let ids: Vec<&[String]> = reports
        .iter()
        .map(|report| report.message_ids.as_slice())
        .collect();
    assert_eq!(ids, [&["m1", "m2"][..], &["m1"], &["m1"]]);
    assert_eq!(summary.ended, Ended::Empty);
    assert_eq!(
        (summary.succeeded, summary.failed, summary.messages_returned),
        (1, 2, 2)
    );
    assert_eq!(stage.queue.deleted(), ["m2", "m1"]);
}

#[tokio::test]
async fn a_message_of_a_crash_comes_back_by_the_visibility_timeout() {
    let mut stage = Stage::new();
    stage.queue = TestQueue::new(Duration::from_millis(50));
    stage.queue.put(["exit 3"]);
    let (reports, result) = stage.run(Until::default().or_invocations(2)).await;
    let summary = result.unwrap();
    assert_eq!(summary.ended, Ended::Invocations);
    assert_eq!(
        (summary.failed, summary.messages_returned, summary.cold_starts),
        (2, 2, 2)
    );
    assert_eq!(reports[0].message_ids, reports[1].message_ids);
    assert_ne!(reports[0].pid, reports[1].pid);
    let events = stage.recorded("event");
    let counts: Vec<&Value> = events
        .iter()
        .map(|event| &event["Records"][0]["attributes"]["ApproximateReceiveCount"])
        .collect();
    assert_eq!(counts, ["1", "2"]);
}

#[tokio::test]
async fn a_run_gives_up_after_three_failed_starts_and_quotes_the_function() {
    let mut stage = Stage::new().with("TEST_INIT", "exit");
    stage.queue = TestQueue::new(Duration::from_millis(1));
    stage.queue.put(["a"]);
    let (reports, result) = stage.run(Until::default()).await;
    assert_eq!(reports.len(), 3);
    let error = result.unwrap_err().to_string();
    let (message, quoted) = error.split_once("\nIts last lines:\n").unwrap();
    assert_eq!(
        message,
        "the function did not start 3 times in a row: it ended with exit status: 7 before it asked for its first \
         event; correct its settings and start again"
    );
    assert!(quoted.contains("  | FLOWSHIP_DLQ_URL is not set"), "{error}");
    assert_eq!(stage.queue.left(), ["m1"]);
}

#[tokio::test]
async fn a_failed_start_is_tried_again_with_the_next_batch() {
    let stage = Stage::new();
    let flag = stage.folder.path().join("flag");
    let mut stage = stage.with("TEST_INIT", &format!("exit unless {}", flag.display()));
    stage.queue = TestQueue::new(Duration::from_millis(1));
    stage.queue.put(["a"]);
    let lambda = stage.connect().await;
    let run = lambda.run(Until::default().or_empty(), |_| fs::write(&flag, "").unwrap());
    let summary = timeout(LIMIT, run).await.unwrap().unwrap();
    assert_eq!((summary.failed, summary.succeeded), (1, 1));
    assert_eq!(stage.queue.deleted(), ["m1"]);
}

#[tokio::test]
async fn a_batching_window_joins_several_receives() {
    let mut stage = Stage::new();
    stage.mapping.batch_size = 25;
    stage.mapping.batching_window = Duration::from_secs(30);
    stage.queue.put(["a"; 25]);
    let (reports, result) = stage.run(Until::default().or_invocations(1)).await;
    result.unwrap();
    assert_eq!(reports[0].message_ids.len(), 25);
    assert_eq!(reports[0].deleted_ids.len(), 25);
    assert_eq!(stage.queue.max_asked(), [10, 10, 5]);
}

#[tokio::test]
async fn a_batching_window_takes_late_messages_and_ends() {
    let mut stage = Stage::new();
    stage.mapping.batching_window = Duration::from_millis(1200);
    let lambda = stage.connect().await;
    stage.queue.put(["a"]);
    let started = Instant::now();
    let late = async {
        wait_until("the window is open", || stage.queue.max_asked().len() == 2).await;
        stage.queue.put(["b"]);
    };
    let (batch, ()) = tokio::join!(timeout(LIMIT, lambda.receive_batch()), late);
    assert_eq!(batch.unwrap().unwrap().len(), 2);
    assert!(started.elapsed() >= stage.mapping.batching_window);
    assert_eq!(stage.queue.max_asked()[..2], [10, 9]);
}

#[tokio::test]
async fn without_a_window_a_batch_is_one_receive() {
    let mut stage = Stage::new();
    stage.mapping.batch_size = 3;
    let lambda = stage.connect().await;
    stage.queue.put(["a"; 4]);
    assert_eq!(lambda.receive_batch().await.unwrap().len(), 3);
    assert_eq!(lambda.receive_batch().await.unwrap().len(), 1);
    assert_eq!(lambda.receive_batch().await.unwrap().len(), 0);
    assert_eq!(stage.queue.max_asked(), [3, 3, 3]);
}

#[tokio::test]
async fn messages_that_do_not_fit_into_an_event_go_into_the_next_one() {
    let stage = Stage::new();
    let lambda = stage.connect().await;
    let large = "x".repeat(2_500_000);
    stage.queue.put([large.as_str(); 5]);
    let mut sizes = Vec::new();
    for _ in 0..3 {
        sizes.push(lambda.receive_batch().await.unwrap().len());
    }
    assert_eq!(sizes, [2, 2, 1]);
    assert_eq!(stage.queue.max_asked().len(), 1);
}

#[tokio::test]
async fn each_of_several_invocations_at_once_has_its_own_process() {
    let mut stage = Stage::new();
    stage.mapping.concurrency = 3;
    stage.mapping.batch_size = 1;
    stage.queue.put(["slow"; 9]);
    let (reports, result) = stage.run(Until::default().or_empty()).await;
    assert_eq!(result.unwrap().messages_deleted, 9);
    let mut pids: Vec<u32> = reports.iter().filter_map(|report| report.pid).collect();
    pids.sort_unstable();
    pids.dedup();
    assert_eq!(pids.len(), 3);
}

#[tokio::test]
async fn a_run_that_is_stopped_finishes_what_it_has_begun() {
    let mut stage = Stage::new();
    stage.mapping.batch_size = 1;
    stage.queue.put(["slow", "slow"]);
    let (stop, stopped) = watch::channel(false);
    let stopper = async {
        wait_until("an event is delivered", || !stage.recorded("event").is_empty()).await;
        stop.send_replace(true);
    };
    let run = stage.run(Until::default().or_empty().or_stopped(stopped));
    let ((reports, result), ()) = tokio::join!(run, stopper);
    let summary = result.unwrap();
    assert_eq!(summary.ended, Ended::Stopped);
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].deleted_ids, ["m1"]);
    assert_eq!(stage.queue.left(), ["m2"]);
}

#[tokio::test]
async fn a_run_that_waits_for_messages_stops_at_once() {
    let mut stage = Stage::new();
    stage.mapping.poll_wait = Duration::from_secs(20);
    let (stop, stopped) = watch::channel(false);
    let started = Instant::now();
    let stopper = async {
        wait_until("the queue is asked", || !stage.queue.max_asked().is_empty()).await;
        stop.send_replace(true);
    };
    let ((_, result), ()) = tokio::join!(stage.run(Until::default().or_stopped(stopped)), stopper);
    assert_eq!(result.unwrap().ended, Ended::Stopped);
    assert!(started.elapsed() < stage.mapping.poll_wait);
}

#[tokio::test]
async fn no_process_outlives_its_owner() {
    let stage = Stage::new();
    let lambda = stage.connect().await;
    let idle = u64::from(stage.deliver(&lambda, ["ok"]).await.pid.unwrap());
    assert!(is_running(idle));
    drop(lambda);
    wait_until("the idle process is gone", || !is_running(idle)).await;

    let lambda = stage.connect().await;
    stage.queue.put(["hang"]);
    let mut run = Box::pin(lambda.run(Until::default(), |_| ()));
    let delivered = wait_until("the event is delivered", || !stage.recorded("sleeper").is_empty());
    tokio::select! {
        _ = &mut run => panic!("nothing ends this run"),
        () = delivered => {}
    }
    let busy = u64::from(lambda.child_pids()[0]);
    let sleeper = stage.recorded("sleeper")[0].as_u64().unwrap();
    assert!(is_running(busy) && is_running(sleeper));
    drop(run);
    wait_until("both are gone", || !is_running(busy) && !is_running(sleeper)).await;
}

#[test]
fn no_process_outlives_a_program_that_ends_in_the_middle() {
    let stage = Stage::new();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let (busy, sleeper) = runtime.block_on(async {
        let lambda = stage.connect().await;
        stage.queue.put(["hang"]);
        tokio::select! {
            _ = lambda.run(Until::default(), |_| ()) => panic!("nothing ends this run"),
            () = wait_until("the event is delivered", || !stage.recorded("sleeper").is_empty()) => {}
        }
        let sleeper = stage.recorded("sleeper")[0].as_u64().unwrap();
        let pid = stage.record()[0]["pid"].as_u64().unwrap();
        lambda.shut_down().await;
        (pid, sleeper)
    });
    drop(runtime);
    let end = Instant::now() + LIMIT;
    while is_running(busy) || is_running(sleeper) {
        assert!(Instant::now() < end, "a process is left behind");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[tokio::test]
async fn an_idle_process_is_gone_after_a_shut_down() {
    let stage = Stage::new();
    let lambda = stage.connect().await;
    let report = stage.deliver(&lambda, ["ok"]).await;
    lambda.shut_down().await;
    assert!(!is_running(u64::from(report.pid.unwrap())));
    assert_eq!(lambda.child_pids(), [0; 0]);
    assert_eq!(*stage.output.lock().unwrap(), ["hello from the function"]);
}

#[tokio::test]
async fn a_receive_that_fails_is_repeated_a_few_times() {
    let stage = Stage::new();
    stage.queue.put(["a"]);
    stage.queue.fail_receives(4);
    let (_, result) = stage.run(Until::default().or_empty()).await;
    assert_eq!(result.unwrap().messages_deleted, 1);

    stage.queue.fail_receives(5);
    let (_, result) = stage.run(Until::default()).await;
    assert!(
        matches!(result, Err(LambdaLocalError::Queue { .. })),
        "{result:?}"
    );
}

#[tokio::test]
async fn the_output_can_go_to_a_file() {
    let mut stage = Stage::new();
    let file = stage.folder.path().join("function.log");
    stage.function.output = FunctionOutput::File(file.clone());
    let lambda = stage.connect().await;
    stage.deliver(&lambda, ["exit 3"]).await;
    stage.deliver(&lambda, ["ok"]).await;
    lambda.shut_down().await;
    let lines = fs::read_to_string(&file).unwrap();
    let hello = "hello from the function\n";
    assert_eq!(lines, format!("{hello}last words\n{hello}"));
}
