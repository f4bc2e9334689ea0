//! One invocation: what the function sees, how it may end, and what is deleted for it.

use super::*;

#[tokio::test]
async fn a_batch_that_succeeds_is_deleted() {
    let stage = Stage::new();
    let lambda = stage.connect().await;
    let report = stage.deliver(&lambda, ["a", "b"]).await;
    assert!(report.outcome.is_complete_success(), "{report:?}");
    assert_eq!(report.message_ids, ["m1", "m2"]);
    assert_eq!(report.deleted_ids, ["m1", "m2"]);
    assert_eq!(stage.queue.deleted(), ["m1", "m2"]);
    assert!(report.init_duration.is_some());
    assert!(report.memory_mb_used >= report.resting_memory_mb);
    assert!(report.resting_memory_mb > Some(0) || !cfg!(target_os = "linux"));

    let again = stage.deliver(&lambda, ["c"]).await;
    assert_eq!(
        (again.pid, again.init_duration),
        (report.pid, None),
        "the process is kept"
    );
    assert_ne!(again.request_id, report.request_id);
    wait_until("output is passed on", || !stage.output.lock().unwrap().is_empty()).await;
    assert_eq!(*stage.output.lock().unwrap(), ["hello from the function"]);
}

#[tokio::test]
async fn the_event_and_its_headers_are_those_of_aws() {
    let stage = Stage::new();
    let lambda = stage.connect().await;
    let report = stage.deliver(&lambda, ["a"]).await;
    let event = stage.recorded("event").remove(0);
    let expected = serde_json::json!({"Records": [{
        "messageId": "m1",
        "receiptHandle": "m1#1",
        "body": "a",
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1700000000000"},
        "messageAttributes": {},
        "md5OfBody": "md5",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:flowlogs",
        "awsRegion": "eu-west-1"
    }]});
    assert_eq!(event, expected);

    let headers = stage.recorded("headers").remove(0);
    let header = |name: &str| -> String {
        let headers = headers.as_object().unwrap();
        let found = headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.unwrap().1.as_str().unwrap().to_owned()
    };
    assert_eq!(header("Lambda-Runtime-Aws-Request-Id"), report.request_id);
    assert_eq!(report.request_id.len(), 36);
    assert_eq!(
        header("Lambda-Runtime-Invoked-Function-Arn"),
        "arn:aws:lambda:eu-west-1:123456789012:function:function"
    );
    assert!(header("Lambda-Runtime-Trace-Id").starts_with("Root=1-"));
    assert_eq!(header("Content-Type"), "application/json");
    let deadline_ms: f64 = header("Lambda-Runtime-Deadline-Ms").parse().unwrap();
    let now_ms = stage.recorded("received_at_ms")[0].as_f64().unwrap();
    let left_ms = deadline_ms - now_ms;
    assert!(
        (50_000.0..=60_001.0).contains(&left_ms),
        "{left_ms} ms left of 60 s"
    );

    wait_until("the function hears what becomes of its answer", || {
        !stage.recorded("status").is_empty()
    })
    .await;
    assert_eq!(stage.recorded("status"), [202]);
}

#[tokio::test]
async fn the_environment_is_what_aws_sets_and_what_was_given() {
    let stage = Stage::new()
        .with("FLOWSHIP_LOG", "debug")
        .with("TMPDIR", "/tmp/x");
    let lambda = stage.connect().await;
    stage.deliver(&lambda, ["a"]).await;
    let environment = stage.recorded("environment").remove(0);
    let mut names: Vec<&str> = environment
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    // The interpreter adds this one where the locale is missing.
    names.retain(|name| *name != "LC_CTYPE");
    assert_eq!(
        names,
        [
            "AWS_DEFAULT_REGION",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
            "AWS_LAMBDA_FUNCTION_NAME",
            "AWS_LAMBDA_FUNCTION_VERSION",
            "AWS_LAMBDA_INITIALIZATION_TYPE",
            "AWS_LAMBDA_LOG_GROUP_NAME",
            "AWS_LAMBDA_LOG_STREAM_NAME",
            "AWS_LAMBDA_RUNTIME_API",
            "AWS_REGION",
            "FLOWSHIP_LOG",
            "LAMBDA_TASK_ROOT",
            "LANG",
            "PATH",
            "RECORD",
            "TMPDIR",
            "TZ",
            "_HANDLER",
        ]
    );
    assert_eq!(environment["AWS_LAMBDA_FUNCTION_VERSION"], "$LATEST");
    assert_eq!(environment["FLOWSHIP_LOG"], "debug");
}

#[tokio::test]
async fn only_the_listed_messages_stay() {
    let stage = Stage::new();
    let lambda = stage.connect().await;
    let report = stage.deliver(&lambda, ["a", "bad", "c", "bad"]).await;
    let failed_ids = vec!["m2".to_owned(), "m4".to_owned()];
    assert_eq!(report.outcome, Outcome::Succeeded { failed_ids });
    assert_eq!(report.deleted_ids, ["m1", "m3"]);
    assert_eq!(report.num_returned(), 2);
    assert_eq!(stage.queue.left(), ["m2", "m4"]);
}

#[tokio::test]
async fn a_malformed_answer_deletes_nothing_and_the_process_lives_on() {
    let stage = Stage::new();
    let lambda = stage.connect().await;
    let mut pids = Vec::new();
    for answer in [
        r#"answer {"batchItemFailures":[{"itemIdentifier":"unknown"}]}"#,
        r#"answer {"batchItemFailures":[{"itemIdentifier":""}]}"#,
        "answer {not json",
    ] {
        let report = stage.deliver(&lambda, [answer, "b"]).await;
        assert!(
            matches!(report.outcome, Outcome::MalformedResponse { .. }),
            "{report:?}"
        );
        pids.push(report.pid);
    }
    assert_eq!(stage.queue.deleted(), [""; 0]);
    assert_eq!(stage.queue.left().len(), 6);
    pids.dedup();
    assert_eq!(pids.len(), 1);
}

#[tokio::test]
async fn an_empty_answer_deletes_all() {
    let stage = Stage::new();
    let lambda = stage.connect().await;
    for answer in ["answer ", "answer null", "answer {}"] {
        let report = stage.deliver(&lambda, [answer, "bad"]).await;
        assert_eq!(report.deleted_ids.len(), 2, "{answer}");
    }
    assert_eq!(stage.queue.left(), [""; 0]);
}

#[tokio::test]
async fn without_partial_batch_responses_listed_messages_go_too() {
    let mut stage = Stage::new();
    stage.mapping.partial_batch_responses = false;
    let lambda = stage.connect().await;
    let report = stage.deliver(&lambda, ["a", "bad"]).await;
    assert_eq!(report.deleted_ids, ["m1", "m2"]);
    let report = stage.deliver(&lambda, ["error"]).await;
    assert_eq!(report.deleted_ids, [""; 0]);
}

#[tokio::test]
async fn an_error_deletes_nothing_and_the_process_lives_on() {
    let stage = Stage::new();
    let lambda = stage.connect().await;
    let report = stage.deliver(&lambda, ["error", "b"]).await;
    let expected = Outcome::FunctionError {
        error_type: "Custom.Broken".to_owned(),
        message: "it broke".to_owned(),
    };
    assert_eq!(report.outcome, expected);
    assert_eq!(stage.queue.left(), ["m1", "m2"]);
    assert_eq!(stage.deliver(&lambda, ["ok"]).await.pid, report.pid);
}

#[tokio::test]
async fn an_answer_larger_than_lambda_takes_is_an_error() {
    let stage = Stage::new();
    let lambda = stage.connect().await;
    let report = stage.deliver(&lambda, ["7 MiB"]).await;
    let Outcome::FunctionError { error_type, .. } = &report.outcome else {
        panic!("{report:?}");
    };
    assert_eq!(error_type, "Function.ResponseSizeTooLarge");
    assert_eq!(report.deleted_ids, [""; 0]);
}

#[tokio::test]
async fn a_crash_deletes_nothing_and_the_next_batch_finds_a_new_process() {
    let stage = Stage::new();
    let lambda = stage.connect().await;
    let exited = stage.deliver(&lambda, ["exit 3"]).await;
    let status = "exit status: 3".to_owned();
    assert_eq!(exited.outcome, Outcome::Crashed { status });
    let killed = stage.deliver(&lambda, ["kill"]).await;
    let status = "signal: 9 (SIGKILL)".to_owned();
    assert_eq!(killed.outcome, Outcome::Crashed { status });
    assert_ne!(exited.pid, killed.pid);
    assert_eq!(lambda.child_pids(), [0; 0]);

    let after = stage.deliver(&lambda, ["ok"]).await;
    assert!(after.init_duration.is_some());
    assert_eq!(after.deleted_ids, ["m3"]);
    assert_eq!(lambda.child_pids(), [after.pid.unwrap()]);
    assert!(stage.output.lock().unwrap().contains(&"last words".to_owned()));
}

#[tokio::test]
async fn a_process_that_is_killed_from_outside_has_crashed() {
    let stage = Stage::new();
    let lambda = stage.connect().await;
    stage.queue.put(["hang"]);
    let messages = lambda.receive_batch().await.unwrap();
    let kill = async {
        wait_until("the event is delivered", || !stage.recorded("sleeper").is_empty()).await;
        let pid = lambda.child_pids()[0].to_string();
        let killed = tokio::process::Command::new("kill")
            .args(["-9", &pid])
            .status()
            .await;
        assert!(killed.unwrap().success());
    };
    let (report, ()) = tokio::join!(timeout(LIMIT, lambda.invoke(&messages)), kill);
    let status = "signal: 9 (SIGKILL)".to_owned();
    assert_eq!(report.unwrap().unwrap().outcome, Outcome::Crashed { status });
    let sleeper = stage.recorded("sleeper")[0].as_u64().unwrap();
    wait_until("what it had started is gone", || !is_running(sleeper)).await;
}

#[tokio::test]
async fn a_process_that_ends_between_two_events_costs_no_message() {
    let stage = Stage::new();
    let lambda = stage.connect().await;
    let first = stage.deliver(&lambda, ["leave after the answer"]).await;
    assert_eq!(first.deleted_ids, ["m1"]);
    let second = stage.deliver(&lambda, ["ok"]).await;
    assert_eq!(second.deleted_ids, ["m2"]);
    assert_ne!(first.pid, second.pid);
}

#[tokio::test]
async fn an_overrun_is_killed_at_the_deadline_with_all_it_started() {
    let mut stage = Stage::new();
    stage.function.timeout = Duration::from_millis(1500);
    let lambda = stage.connect().await;
    let report = stage.deliver(&lambda, ["hang", "b"]).await;
    assert_eq!(report.outcome, Outcome::TimedOut);
    assert!(report.duration >= stage.function.timeout, "{report:?}");
    assert_eq!(stage.queue.left(), ["m1", "m2"]);
    assert_eq!(lambda.child_pids(), [0; 0]);
    let pid = report.pid.unwrap();
    let sleeper = stage.recorded("sleeper")[0].as_u64().unwrap();
    assert!(!is_running(u64::from(pid)));
    wait_until("what it had started is gone", || !is_running(sleeper)).await;
    assert_ne!(stage.deliver(&lambda, ["ok"]).await.pid, Some(pid));
}

#[tokio::test]
async fn an_answer_counts_once_and_under_its_own_request_id() {
    let stage = Stage::new();
    let lambda = stage.connect().await;
    let report = stage.deliver(&lambda, ["repeat the answer"]).await;
    assert_eq!(report.deleted_ids, ["m1"]);
    // The third post is heard when the process is given its next event.
    stage.deliver(&lambda, ["ok"]).await;
    wait_until("all posts are heard", || stage.recorded("status").len() == 4).await;
    assert_eq!(stage.recorded("status"), [400, 202, 400, 202]);
}

#[tokio::test]
async fn a_batch_can_be_delivered_twice_and_deleted_late() {
    let mut stage = Stage::new();
    stage.queue = TestQueue::new(Duration::from_millis(1));
    let lambda = stage.connect().await;
    stage.queue.put(["a"]);
    let messages = lambda.receive_batch().await.unwrap();
    let mut first = lambda.invoke(&messages).await.unwrap();
    let second = lambda.invoke(&messages).await.unwrap();
    assert_ne!(first.request_id, second.request_id);
    assert_eq!(stage.recorded("event").len(), 2);
    assert_eq!(stage.queue.deleted(), [""; 0]);

    let again = lambda.receive_batch().await.unwrap();
    assert_eq!(again[0].receive_count, 2);
    lambda.settle(&messages, &mut first).await;
    assert_eq!(first.deleted_ids, [""; 0]);
    assert_eq!(
        first.delete_errors,
        ["m1: DeleteMessageBatch refused this message: ReceiptHandleIsInvalid"]
    );
}

#[tokio::test]
async fn a_start_that_fails_is_an_outcome_with_the_last_lines() {
    let stage = Stage::new().with("TEST_INIT", "exit");
    let lambda = stage.connect().await;
    let report = stage.deliver(&lambda, ["a"]).await;
    let Outcome::InitFailed { detail, output } = &report.outcome else {
        panic!("{report:?}");
    };
    assert_eq!(
        detail,
        "it ended with exit status: 7 before it asked for its first event"
    );
    let mut output = output.clone();
    output.sort();
    assert_eq!(
        output,
        [
            "FLOWSHIP_DLQ_URL is not set",
            "hello from the function",
            "reading settings"
        ]
    );
    assert_eq!(stage.queue.left(), ["m1"]);

    let stage = Stage::new().with("TEST_INIT", "error");
    let report = stage.deliver(&stage.connect().await, ["a"]).await;
    let Outcome::InitFailed { detail, .. } = &report.outcome else {
        panic!("{report:?}");
    };
    assert_eq!(detail, "it reported Runtime.BadSettings: no secret");
    assert_eq!(stage.recorded("status"), [202]);
}

#[tokio::test]
async fn a_start_that_takes_too_long_is_killed() {
    let mut stage = Stage::new().with("TEST_INIT", "hang");
    assert_eq!(stage.function.init_timeout, Duration::from_secs(10));
    stage.function.init_timeout = Duration::from_millis(300);
    let lambda = stage.connect().await;
    let report = stage.deliver(&lambda, ["a"]).await;
    let Outcome::InitFailed { detail, .. } = &report.outcome else {
        panic!("{report:?}");
    };
    assert_eq!(
        detail,
        "it did not ask for its first event within 0.3 s and was killed"
    );
    assert_eq!(lambda.child_pids(), [0; 0]);
}

#[tokio::test]
async fn what_cannot_be_run_is_named_at_once() {
    let connect = async |binary: &str, queue: TestQueue| {
        let function = FunctionSettings::new(binary);
        let connected = LambdaLocal::connect(queue, function, MappingSettings::default()).await;
        connected.unwrap_err().to_string()
    };
    let queue = || TestQueue::new(Duration::from_secs(1));
    assert_eq!(
        connect("/nonexistent/bootstrap", queue()).await,
        "there is no file /nonexistent/bootstrap: build the function first, or name another file"
    );
    assert_eq!(
        connect("/etc/passwd", queue()).await,
        "/etc/passwd is not an executable file: name the function's binary, or `chmod +x` it"
    );
}

#[tokio::test]
async fn a_binary_of_another_kind_is_named_when_it_does_not_start() {
    use std::os::unix::fs::PermissionsExt;
    let mut stage = Stage::new();
    let binary = stage.folder.path().join("bootstrap");
    fs::write(&binary, b"PK\x03\x04 no program at all").unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    stage.function.binary = binary;
    stage.queue.put(["a"]);
    let lambda = stage.connect().await;
    let messages = lambda.receive_batch().await.unwrap();
    let error = lambda.invoke(&messages).await.unwrap_err();
    assert!(matches!(error, LambdaLocalError::Start { .. }), "{error}");
}
