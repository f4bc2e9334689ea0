//! SQS does not do what it is asked.

use std::time::Duration;

use flowship::outcome::Reason;

use super::audit::{Object, audit};
use super::case::{ATTEMPTS, Becomes, Case, Lasting, Place, Trouble};
use super::play;
use super::stage::{HIT, PUT_ASIDE, Stage};
use crate::support::proxy::{Fault, Requests, Uses};
use crate::support::{FlowLog, World};

const SEND_DEAD_LETTER: Requests =
    Requests::naming(&["AmazonSQS.SendMessage"]).with_body(|body| body.contains("-dlq"));
const SEND_CONTINUATION: Requests =
    Requests::naming(&["AmazonSQS.SendMessage"]).with_body(|body| body.contains("resume_line"));
const CHANGE_VISIBILITY: Requests = Requests::naming(&["AmazonSQS.ChangeMessageVisibility"]);
const GET_QUEUE_URL: Requests = Requests::naming(&["AmazonSQS.GetQueueUrl"]);

/// What the cases of this family have in common: there is a dead letter to be written.
const USUAL: Case = Case {
    name: "",
    place: Place::Sqs,
    trouble: Trouble::Broken,
    broken: Some(|bytes| bytes[..bytes.len() / 2].to_vec()),
    concerns: &[HIT],
    becomes: Becomes::ComesBack(Reason::DecodeTruncatedGzip),
    // A look at the fourth receive may come after the fifth.
    most_requests: 5 * ATTEMPTS,
    adjust: |_world| {},
};

const DEAD_LETTERS: &[Case] = &[
    Case {
        name: "sqs-dead-letter-unavailable",
        trouble: Trouble::Requests(SEND_DEAD_LETTER, UNAVAILABLE, ATTEMPTS),
        ..USUAL
    },
    Case {
        name: "sqs-dead-letter-denied",
        trouble: Trouble::Requests(SEND_DEAD_LETTER, ACCESS_DENIED, 1),
        most_requests: 5,
        ..USUAL
    },
    Case {
        name: "sqs-dead-letter-throttled",
        trouble: Trouble::Requests(SEND_DEAD_LETTER, THROTTLED, ATTEMPTS),
        ..USUAL
    },
    Case {
        name: "sqs-dead-letter-answer-lost",
        trouble: Trouble::Own(|stage, lasting| Box::pin(lose_the_answer(stage, lasting))),
        ..USUAL
    },
];

const RETURNS: &[Case] = &[
    Case {
        name: "sqs-visibility-unavailable",
        trouble: Trouble::Own(|stage, lasting| {
            Box::pin(return_by_timeout(
                stage,
                lasting,
                CHANGE_VISIBILITY,
                UNAVAILABLE,
                ATTEMPTS,
            ))
        }),
        adjust: receive_often,
        ..USUAL
    },
    Case {
        name: "sqs-visibility-denied",
        trouble: Trouble::Own(|stage, lasting| {
            Box::pin(return_by_timeout(
                stage,
                lasting,
                CHANGE_VISIBILITY,
                ACCESS_DENIED,
                1,
            ))
        }),
        adjust: receive_often,
        ..USUAL
    },
    Case {
        name: "sqs-queue-url-denied",
        trouble: Trouble::Own(|stage, lasting| {
            Box::pin(return_by_timeout(stage, lasting, GET_QUEUE_URL, ACCESS_DENIED, 1))
        }),
        adjust: |world| {
            receive_often(world);
            world.variables.remove("FLOWSHIP_QUEUE_URL");
        },
        ..USUAL
    },
    Case {
        name: "sqs-continuation-denied",
        trouble: Trouble::Own(|stage, lasting| Box::pin(keep_the_rest(stage, lasting))),
        adjust: |world| {
            // Half of it for work, some bodies; the other half to end in order.
            world.timeout = Duration::from_secs(20);
            world.variables.extend([
                ("FLOWSHIP_DEADLINE_MARGIN_MS".to_owned(), "10000".to_owned()),
                ("FLOWSHIP_BULK_IN_FLIGHT".to_owned(), "1".to_owned()),
                ("FLOWSHIP_BULK_MAX_BYTES".to_owned(), "1048576".to_owned()),
            ]);
        },
        ..USUAL
    },
];

fn receive_often(world: &mut World) {
    let variable = "FLOWSHIP_MAX_RECEIVES".to_owned();
    world.variables.insert(variable, "5".to_owned());
}

/// SQS takes the dead letter and its answer is lost: there are several, which is visible and harmless.
async fn lose_the_answer(stage: &Stage, lasting: Lasting) {
    let lost = Fault::ResetInsteadOfAnswer;
    stage.proxy.add(SEND_DEAD_LETTER, lost, lasting.uses(1));
    stage.put_all(USUAL.broken).await;
    if lasting == Lasting::ForEver {
        stage.run_until_received(3).await;
        assert_eq!(stage.audit().await.named_by_messages(), [HIT]);
        assert!(stage.proxy.tallies()[0].requests <= 4 * ATTEMPTS);
        stage.proxy.heal();
    }
    stage.world.drain().await;
    let account = stage.audit().await;
    assert!(account.messages.is_empty(), "{:?}", account.messages);
    assert!(account.letters.len() > 1, "{:?}", account.letters);
    for letter in &account.letters {
        assert_eq!((&*letter.key, &*letter.reason), (HIT, "decode.truncated_gzip"));
    }
    stage.repair().await;
    stage.put_back().await;
    stage.world.drain().await;
    stage.assert_complete_or(None).await;
}

/// The function cannot say when a message comes back: it does all the same, by the queue's own visibility timeout.
async fn return_by_timeout(stage: &Stage, lasting: Lasting, requests: Requests, fault: Fault, times: u64) {
    const RETURNS: u64 = 2;
    let num_by_timeout = if lasting == Lasting::Once { 1 } else { RETURNS };
    stage.proxy.add(requests, fault, lasting.uses(times));
    let s3 = stage.proxy_of(Place::S3);
    s3.add(
        PUT_ASIDE,
        Fault::Answer("403 Forbidden", &[], ""),
        Uses::Times(RETURNS),
    );
    stage.put_all(None).await;
    stage.world.drain().await;
    let log = stage.world.log().join("\n");
    let told = log.matches("by the queue's visibility timeout").count();
    assert_eq!(told as u64, num_by_timeout);
    assert!(stage.proxy.tallies()[0].requests <= times * RETURNS);
    assert_eq!(s3.tallies()[0].hits, RETURNS);
    stage.assert_complete_or(None).await;
}

/// The rest of a large object cannot be handed on: it is shipped from its start again, and in the end given up.
async fn keep_the_rest(stage: &Stage, lasting: Lasting) {
    stage.proxy.add(SEND_CONTINUATION, ACCESS_DENIED, lasting.uses(1));
    let bulk = Requests::naming(&["/_bulk"]);
    let elasticsearch = stage.proxy_of(Place::Elasticsearch);
    elasticsearch.add(bulk, Fault::Delay(Duration::from_millis(1500)), Uses::ForEver);
    let large = [Object::new(HIT, FlowLog::new().records(1, 0, 20_000))];
    stage.world.put(HIT, large[0].log.gzip()).await;
    stage.world.drain().await;
    let mut account = audit(&stage.world, &large).await;
    if lasting == Lasting::ForEver {
        let told: Vec<&str> = account.letters.iter().map(|letter| &*letter.reason).collect();
        assert_eq!(told, ["deadline.exceeded"], "{:?}", account.letters);
        assert!(account.indexed > 0 && account.waiting > 0, "{account:?}");
        assert_eq!(stage.proxy.tallies()[0].requests, 2, "one each receive");
        stage.proxy.heal();
        stage.put_back().await;
        stage.world.drain().await;
        account = audit(&stage.world, &large).await;
    }
    assert_eq!(account.indexed, 20_000);
    assert!(
        account.letters.is_empty() && account.messages.is_empty(),
        "{account:?}"
    );
    let log = stage.world.log().join("\n");
    assert!(log.contains("was not handed on") && log.contains(r#""becomes":"goes on""#));
}

// Errors: "Common errors" and SendMessage in the Amazon SQS API reference.
const UNAVAILABLE: Fault = Fault::Answer("503 Service Unavailable", &[], "unavailable");
const ACCESS_DENIED: Fault = Fault::Answer(
    "400 Bad Request",
    JSON,
    r#"{"__type":"com.amazonaws.sqs#AccessDeniedException","message":"not allowed"}"#,
);
const THROTTLED: Fault = Fault::Answer(
    "400 Bad Request",
    JSON,
    r#"{"__type":"com.amazonaws.sqs#RequestThrottled","message":"too many"}"#,
);
const JSON: &[(&str, &str)] = &[("Content-Type", "application/x-amz-json-1.0")];

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_cannot_be_written() {
    play(DEAD_LETTERS, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_cannot_be_scheduled_or_handed_on() {
    play(RETURNS, None).await;
}
