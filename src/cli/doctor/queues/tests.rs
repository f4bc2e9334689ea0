use super::super::check::Verdict;
use super::*;
use crate::queue::RedrivePolicy;

const MAIN: &str = "arn:aws:sqs:eu-west-1:123456789012:flowlogs";
const DLQ: &str = "arn:aws:sqs:eu-west-1:123456789012:flowlogs-dlq";
const DAY: u64 = 86_400;

/// As AWS writes it in "Granting permissions to publish event notification messages to a destination".
const POLICY: &str = r#"{"Version": "2012-10-17", "Id": "example-ID", "Statement": [{
    "Sid": "example-statement-ID", "Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"},
    "Action": ["SQS:SendMessage"], "Resource": "arn:aws:sqs:eu-west-1:123456789012:flowlogs",
    "Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:s3:*:*:logs"}, "StringEquals": {"aws:SourceAccount": "123456789012"}}}]}"#;

fn main() -> QueueDetails {
    QueueDetails {
        status: QueueStatus {
            arn: MAIN.to_owned(),
            visibility_timeout: Duration::from_secs(5400),
            redrive_policy: Some(RedrivePolicy {
                dead_letter_arn: DLQ.to_owned(),
                max_receive_count: 100,
            }),
            ..QueueStatus::default()
        },
        policy: Some(POLICY.to_owned()),
        redrive_allow_policy: None,
        retention: Duration::from_secs(4 * DAY),
        receive_wait: Duration::from_secs(20),
        kms_key: None,
    }
}

fn dlq() -> QueueDetails {
    QueueDetails {
        status: QueueStatus {
            arn: DLQ.to_owned(),
            ..QueueStatus::default()
        },
        retention: Duration::from_secs(14 * DAY),
        ..QueueDetails::default()
    }
}

fn times() -> FunctionTimes {
    FunctionTimes {
        deadline_margin: Duration::from_secs(20),
        bulk_timeout: Duration::from_secs(90),
    }
}

/// The checks of queues that are as they should be but for what `change` does.
fn checks(change: impl FnOnce(&mut QueueDetails, &mut QueueDetails)) -> Vec<Check> {
    let (mut main, mut dlq) = (main(), dlq());
    change(&mut main, &mut dlq);
    judge(&Facts {
        main: Some(Ok(main)),
        dlq: Some(Ok(dlq)),
        consumer: None,
        max_receives: 5,
        times: &times(),
        function_timeout: Some(Duration::from_secs(900)),
        bucket: None,
    })
}

/// What is not ok.
fn complaints(checks: &[Check]) -> Vec<String> {
    let wrong = checks.iter().filter(|check| check.verdict != Verdict::Ok);
    wrong
        .map(|check| format!("{:?} {}: {}", check.verdict, check.name, check.found))
        .collect()
}

#[test]
fn queues_as_they_should_be_are_all_ok() {
    let checks = checks(|_, _| ());
    assert_eq!(complaints(&checks), [""; 0]);
    let told: Vec<String> = checks
        .iter()
        .map(|check| format!("{}: {}", check.name, check.found))
        .collect();
    insta::assert_snapshot!(told.join("\n"), @"
    sqs.queue: arn:aws:sqs:eu-west-1:123456789012:flowlogs
    sqs.policy: S3 may send if aws:SourceArn arn:aws:s3:*:*:logs; aws:SourceAccount 123456789012
    sqs.encryption: SQS's own key, or none
    sqs.visibility: 5400 s, the function's timeout is 900 s
    sqs.long-polling: 20 s
    sqs.redrive-policy: to arn:aws:sqs:eu-west-1:123456789012:flowlogs-dlq
    sqs.max-receives: maxReceiveCount 100, FLOWSHIP_MAX_RECEIVES 5
    sqs.backlog: 0 visible, 0 in flight, 0 delayed; for how long is CloudWatch's ApproximateAgeOfOldestMessage
    dlq.queue: arn:aws:sqs:eu-west-1:123456789012:flowlogs-dlq
    dlq.retention: 14 d
    dlq.redrive-policy: none of its own
    dlq.redrive-allow: every queue of the account and region may use it
    dlq.backlog: empty
    ");
}

#[test]
fn every_fault_is_named_and_nothing_else() {
    type Change = fn(&mut QueueDetails, &mut QueueDetails);
    let changes: [Change; 16] = [
        |main, _| main.policy = None,
        |main, _| main.policy = Some("{".to_owned()),
        |main, _| main.policy = Some(POLICY.replace("s3.amazonaws", "ec2.amazonaws")),
        |main, _| main.policy = Some(POLICY.replace(":flowlogs\"", ":other\"")),
        |main, _| main.policy = Some(POLICY.replace("SQS:SendMessage", "sqs:ReceiveMessage")),
        |main, _| main.kms_key = Some("alias/aws/sqs".to_owned()),
        |main, _| main.status.visibility_timeout = Duration::from_secs(300),
        |main, _| main.status.visibility_timeout = Duration::from_secs(5399),
        |main, _| main.receive_wait = Duration::ZERO,
        |main, _| main.status.redrive_policy = None,
        |main, _| {
            main.status.redrive_policy = Some(RedrivePolicy {
                dead_letter_arn: "arn:aws:sqs:eu-west-1:123456789012:other".to_owned(),
                max_receive_count: 5,
            });
        },
        |_, dlq| dlq.retention = Duration::from_secs(4 * DAY),
        |_, dlq| dlq.retention = Duration::from_secs(3 * DAY + 7200),
        |_, dlq| {
            dlq.status.redrive_policy = Some(RedrivePolicy {
                dead_letter_arn: MAIN.to_owned(),
                max_receive_count: 3,
            });
        },
        |_, dlq| {
            dlq.redrive_allow_policy = Some(format!(
                r#"{{"redrivePermission":"byQueue","sourceQueueArns":["{DLQ}"]}}"#
            ));
        },
        |_, dlq| dlq.status.visible = 600,
    ];
    let told = changes.map(|change| complaints(&checks(change)).join("\n"));
    insta::assert_snapshot!(told.join("\n"), @"
    Fail sqs.policy: the main queue has no access policy: S3 may not send to it
    Fail sqs.policy: the main queue's policy cannot be read: EOF while parsing an object at line 1 column 1
    Fail sqs.policy: the main queue's policy does not let S3 send to it
    Fail sqs.policy: the main queue's policy does not let S3 send to it
    Fail sqs.policy: the main queue's policy does not let S3 send to it
    Fail sqs.encryption: encrypted with alias/aws/sqs, which S3 may not use: its notifications do not arrive
    Fail sqs.visibility: 300 s, the function's timeout is 900 s: messages come back while they are being handled
    Warn sqs.visibility: 5399 s, the function's timeout is 900 s: messages may come back while they wait for a function that is busy
    Warn sqs.long-polling: off: a receive that does not ask for it may find nothing in a queue that has messages
    Fail sqs.redrive-policy: the main queue has no redrive policy: a message that crashes the function would go round for ever
    Fail sqs.redrive-policy: the main queue's redrive policy moves messages to arn:aws:sqs:eu-west-1:123456789012:other, not to arn:aws:sqs:eu-west-1:123456789012:flowlogs-dlq
    Fail sqs.max-receives: maxReceiveCount 5, FLOWSHIP_MAX_RECEIVES 5: the queue moves messages before the function writes the reason on them
    Warn dlq.retention: 4 d: what nobody looked at by then is gone
    Fail dlq.retention: 3 d 2 h, less than the main queue's 4 d: messages keep their age when they are moved, and may be gone at once
    Fail dlq.redrive-policy: it has one of its own: what is received more than 3 times, also by `redrive`, moves on to arn:aws:sqs:eu-west-1:123456789012:flowlogs
    Fail dlq.redrive-allow: its RedriveAllowPolicy (byQueue) does not let arn:aws:sqs:eu-west-1:123456789012:flowlogs use it
    Warn dlq.backlog: 600 visible, 0 in flight: objects that were not shipped, or not wholly
    ");
}

#[test]
fn queues_that_say_nothing_are_told_apart() {
    let of = |told: Told| {
        let checks = judge(&Facts {
            main: told,
            dlq: Some(Ok(dlq())),
            consumer: None,
            max_receives: 5,
            times: &times(),
            function_timeout: None,
            bucket: None,
        });
        complaints(&checks).join("\n")
    };
    let told = [
        of(None),
        of(Some(Err(Unanswered::Missing("QueueDoesNotExist".to_owned())))),
        of(Some(Err(Unanswered::Denied("AccessDenied".to_owned())))),
        of(Some(Err(Unanswered::NoRegion("no region".to_owned())))),
        of(Some(Err(Unanswered::NoCredentials("ExpiredToken".to_owned())))),
        of(Some(Err(Unanswered::Failed("no answer within 10 s".to_owned())))),
    ];
    insta::assert_snapshot!(told.join("\n"), @"
    Skip sqs.queue: FLOWSHIP_QUEUE_URL is not set
    Fail sqs.queue: the main queue is not there: QueueDoesNotExist
    Fail sqs.queue: the main queue may not be asked: AccessDenied
    Fail sqs.queue: the main queue cannot be asked without a region: no region
    Fail sqs.queue: the main queue cannot be asked without valid credentials: ExpiredToken
    Fail sqs.queue: the main queue does not answer: no answer within 10 s
    ");
}

#[test]
fn an_unknown_timeout_is_measured_by_what_the_settings_say() {
    let of = |seconds| {
        let status = QueueStatus {
            visibility_timeout: Duration::from_secs(seconds),
            ..QueueStatus::default()
        };
        judge_visibility(&status, None, &times()).verdict
    };
    assert_eq!(
        [19, 89, 90].map(of),
        [Verdict::Fail, Verdict::Warn, Verdict::Skip]
    );
}

fn with_policy(policy: &str, bucket: Option<&str>) -> String {
    let main = QueueDetails {
        policy: Some(policy.to_owned()),
        ..main()
    };
    let check = policy::judge(&main, bucket);
    format!("{:?} {}", check.verdict, check.found)
}

#[test]
fn policies_are_read_as_iam_reads_them() {
    let open = r#"{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": "*"}}"#;
    // As the console writes it for a topic.
    let topic = r#"{"Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "SQS:SendMessage",
        "Resource": "arn:aws:sqs:eu-west-1:123456789012:*",
        "Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:sns:eu-west-1:123456789012:topic"}}}]}"#;
    let bridge = POLICY
        .replace("s3.amazonaws", "events.amazonaws")
        .replace(":s3:*:*:logs", ":events:*:*:rule/x");
    let denied = POLICY.replace(
        r#""Statement": ["#,
        r#""Statement": [{"Effect": "Deny", "Principal": "*", "Action": "sqs:Send*", "Resource": "*"},"#,
    );
    let without_tls = denied.replace(
        r#""Resource": "*"}"#,
        r#""Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": false}}}"#,
    );
    let told = [
        with_policy(open, None),
        with_policy(topic, Some("logs")),
        with_policy(&bridge, Some("logs")),
        with_policy(&denied, None),
        with_policy(&without_tls, None),
        with_policy(POLICY, Some("logs")),
        with_policy(POLICY, Some("other-logs")),
    ];
    insta::assert_snapshot!(told.join("\n"), @"
    Warn anybody may send to the main queue (S3, SNS, EventBridge)
    Ok SNS may send if aws:SourceArn arn:aws:sns:eu-west-1:123456789012:topic
    Ok EventBridge may send if aws:SourceArn arn:aws:events:*:*:rule/x; aws:SourceAccount 123456789012
    Fail the main queue's policy denies sqs:SendMessage whatever else allows it
    Ok S3 may send if aws:SourceArn arn:aws:s3:*:*:logs; aws:SourceAccount 123456789012
    Ok S3 may send if aws:SourceArn arn:aws:s3:*:*:logs; aws:SourceAccount 123456789012
    Fail the main queue's policy takes notifications of other buckets than other-logs: aws:SourceArn arn:aws:s3:*:*:logs; aws:SourceAccount 123456789012
    ");
}

/// The ways of "Condition operators" and "NotPrincipal" in the IAM user guide; a bucket's ARN has neither region nor account.
#[test]
fn a_deny_counts_if_it_hits_the_sender_of_the_notifications() {
    let with_deny = |deny: &str, bucket: Option<&str>| {
        let deny = format!(r#""Statement": [{{"Effect": "Deny", {deny}}},"#);
        with_policy(&POLICY.replace(r#""Statement": ["#, &deny), bucket)
    };
    let on = |condition: &str| {
        let about = r#""Principal": "*", "Action": "sqs:SendMessage", "Resource": "*""#;
        with_deny(&format!(r#"{about}, "Condition": {condition}"#), Some("logs"))
    };
    let of = |deny: &str| with_deny(deny, Some("logs"));
    let told = [
        on(r#"{"ArnNotEquals": {"aws:SourceArn": "arn:aws:s3:::logs"}}"#),
        on(r#"{"ArnNotEquals": {"aws:SourceArn": ["arn:aws:s3:::other", "arn:aws:s3:*:*:l*"]}}"#),
        on(r#"{"ArnNotLike": {"aws:SourceArn": "arn:aws:s3:::other"}}"#),
        on(r#"{"ArnNotLike": {"aws:SourceArn": "arn:aws:s3:*"}}"#),
        on(r#"{"StringNotEquals": {"aws:SourceArn": "arn:aws:s3:::*"}}"#),
        on(r#"{"StringNotLike": {"aws:SourceArn": "arn:aws:s3:::*"}}"#),
        on(r#"{"ArnLike": {"aws:SourceArn": "arn:aws:sns:*:*:*"}}"#),
        on(r#"{"StringNotEquals": {"aws:SourceAccount": "123456789012"}}"#),
        of(r#""NotPrincipal": {"Service": "s3.amazonaws.com"}, "Action": "sqs:*", "Resource": "*""#),
        of(r#""Principal": "*", "NotAction": "sqs:SendMessage", "Resource": "*""#),
        of(r#""Principal": "*", "NotAction": "sqs:ReceiveMessage", "Resource": "*""#),
        of(
            r#""Principal": {"Service": ["sns.amazonaws.com", "events.amazonaws.com"]}, "Action": "sqs:*", "Resource": "*""#,
        ),
        with_deny(
            r#""Principal": "*", "Action": "sqs:*", "Resource": "*", "Condition": {"ArnNotLike": {"aws:SourceArn": "arn:aws:s3:::l*"}}"#,
            None,
        ),
    ];
    insta::assert_snapshot!(told.join("\n"), @"
    Ok S3 may send if aws:SourceArn arn:aws:s3:*:*:logs; aws:SourceAccount 123456789012
    Fail the main queue's policy denies sqs:SendMessage whatever else allows it
    Fail the main queue's policy denies sqs:SendMessage whatever else allows it
    Fail the main queue's policy denies sqs:SendMessage whatever else allows it
    Fail the main queue's policy denies sqs:SendMessage whatever else allows it
    Ok S3 may send if aws:SourceArn arn:aws:s3:*:*:logs; aws:SourceAccount 123456789012
    Ok S3 may send if aws:SourceArn arn:aws:s3:*:*:logs; aws:SourceAccount 123456789012
    Warn a Deny of the main queue's policy may hit S3: cannot tell by aws:SourceAccount 123456789012
    Warn a Deny of the main queue's policy may hit S3: cannot tell by what it excepts
    Ok S3 may send if aws:SourceArn arn:aws:s3:*:*:logs; aws:SourceAccount 123456789012
    Warn a Deny of the main queue's policy may hit S3: cannot tell by what it excepts
    Ok S3 may send if aws:SourceArn arn:aws:s3:*:*:logs; aws:SourceAccount 123456789012
    Warn a Deny of the main queue's policy may hit S3: cannot tell by aws:SourceArn arn:aws:s3:::l*
    ");
}

#[test]
fn an_allow_is_of_the_bucket_if_its_operator_says_so() {
    let of = |operator: &str, value: &str| {
        let policy = POLICY
            .replace(r#", "StringEquals": {"aws:SourceAccount": "123456789012"}"#, "")
            .replace("ArnLike", operator)
            .replace("arn:aws:s3:*:*:logs", value);
        with_policy(&policy, Some("logs")).starts_with("Ok")
    };
    let table = [
        ("ArnLike", "arn:aws:s3:*:*:logs", true),
        ("ArnEquals", "arn:aws:s3:::l?gs", true),
        ("ArnLike", "arn:aws:s3:*", false),
        ("ArnLike", "arn:*:logs", false),
        ("StringEquals", "arn:aws:s3:::logs", true),
        ("StringEquals", "arn:aws:s3:::*", false),
        ("StringLike", "arn:aws:s3:*", true),
        ("StringNotLike", "arn:aws:s3:::logs", false),
    ];
    for (operator, value, is_taken) in table {
        assert_eq!(of(operator, value), is_taken, "{operator} {value}");
    }
}
