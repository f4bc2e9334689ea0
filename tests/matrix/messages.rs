//! SQS delivers twice, or holds something else than notifications of flow logs.

use flowship::cli::lambda_local::Outcome;
use serde_json::json;

use super::audit::{Account, Object, audit};
use super::case::{Becomes, Case, Lasting, Place, Trouble};
use super::objects::wrong_checksum;
use super::play;
use super::stage::{BYSTANDER, HIT, ONE_BAD_LINE, PUT_ASIDE, Stage};
use crate::support::proxy::{Fault, Requests};
use crate::support::{FlowLog, gzip};

/// What the cases of this family have in common: a course of their own.
const USUAL: Case = Case {
    name: "",
    place: Place::S3,
    trouble: Trouble::Broken,
    broken: None,
    concerns: &[],
    becomes: Becomes::Indexed,
    most_requests: 0,
    adjust: |_world| {},
};

const MESSAGES: &[Case] = &[
    Case {
        name: "message-delivered-twice",
        trouble: Trouble::Own(|stage, lasting| Box::pin(deliver_twice(stage, lasting))),
        ..USUAL
    },
    Case {
        name: "message-malformed",
        trouble: Trouble::Own(|stage, lasting| Box::pin(send_nonsense(stage, lasting))),
        ..USUAL
    },
    Case {
        name: "message-of-others",
        trouble: Trouble::Own(|stage, lasting| Box::pin(send_what_is_for_others(stage, lasting))),
        ..USUAL
    },
    Case {
        name: "message-batch-of-failures",
        trouble: Trouble::Own(|stage, lasting| Box::pin(fail_in_ten_ways(stage, lasting))),
        ..USUAL
    },
];

/// Two instances get the same batch at the same time; "for ever": again and again.
async fn deliver_twice(stage: &Stage, lasting: Lasting) {
    stage.put_all(None).await;
    let messages = stage.world.receive(stage.objects.len()).await;
    let instances = [stage.world.function().await, stage.world.function().await];
    let [one, other] = &instances;
    let num_deliveries = if lasting == Lasting::Once { 1 } else { 3 };
    for _delivery in 0..num_deliveries {
        let (one, other) = tokio::join!(one.invoke(&messages), other.invoke(&messages));
        for report in [one.unwrap(), other.unwrap()] {
            assert!(report.outcome.is_complete_success(), "{report:?}");
        }
    }
    let mut report = one.invoke(&messages).await.unwrap();
    one.settle(&messages, &mut report).await;
    for instance in instances {
        instance.shut_down().await;
    }
    stage.assert_complete_or(None).await;
}

/// What nobody can read is a dead letter; put back, it is one again.
async fn send_nonsense(stage: &Stage, lasting: Lasting) {
    stage.put_all(None).await;
    for nonsense in NONSENSE {
        stage.world.send(nonsense).await;
    }
    stage.world.drain().await;
    assert_nonsense(&stage.audit().await, 0);
    if lasting == Lasting::ForEver {
        stage.put_back().await;
        stage.world.announced(NONSENSE.len() as u64);
        stage.world.drain().await;
        assert_nonsense(&stage.audit().await, 1);
    }
}

/// JSON that is cut off; an alarm; a record that names no object.
const NONSENSE: [&str; 3] = [
    r#"{"Records":[{"eventSource":"aws:s3""#,
    r#"{"AlarmName":"a","NewStateValue":"ALARM"}"#,
    r#"{"Records":[{"eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{}}}]}"#,
];

fn assert_nonsense(account: &Account, hops: u64) {
    let mut bodies: Vec<&str> = account
        .letters
        .iter()
        .map(|letter| &*letter.message.body)
        .collect();
    bodies.sort_unstable();
    let mut expected = NONSENSE;
    expected.sort_unstable();
    assert_eq!(bodies, expected);
    for letter in &account.letters {
        assert_eq!(letter.reason, "notification.malformed");
        assert_eq!(letter.message.attributes["hops"], hops.to_string(), "{letter:?}");
    }
    assert!(account.messages.is_empty() && account.waiting == 0, "{account:?}");
}

/// What asks for nothing of us is acknowledged, also among what does.
async fn send_what_is_for_others(stage: &Stage, lasting: Lasting) {
    stage.put_all(None).await;
    let num_rounds = if lasting == Lasting::Once { 1 } else { 5 };
    for _round in 0..num_rounds {
        for body in [
            json!({"Records": [{"eventSource": "aws:dynamodb", "eventName": "INSERT", "dynamodb": {}}]}),
            json!({"Records": [{"eventSource": "aws:s3", "eventName": "ObjectRemoved:Delete"}]}),
            json!({"detail-type": "EC2 Instance State-change Notification", "source": "aws.ec2", "detail": {}}),
            json!({"Records": [{"eventSource": "aws:s3", "eventName": "ObjectRemoved:Delete"},
                               stage.world.record(BYSTANDER)]}),
        ] {
            stage.world.send(body.to_string()).await;
        }
    }
    stage.world.drain().await;
    stage.assert_complete_or(None).await;
}

/// What becomes of the first receive of a batch of ten messages, each another failure; those that come back are dead
/// letters in the end where the trouble lasts.
const WAYS_TO_FAIL: [(&str, &str); 7] = [
    ("-", "notification.malformed"),
    ("corrupt.gz", "decode.corrupt_gzip"),
    ("cut.gz", "decode.truncated_gzip"),
    ("denied.gz", "object.access_denied"),
    ("header.gz", "format.invalid"),
    ("missing.gz", "object.not_found"),
    ("prose.gz", "format.unknown"),
];
const WAYS_TO_COME_BACK: [(&str, &str); 2] = [
    ("expired.gz", "object.unavailable"),
    (ONE_BAD_LINE, "quarantine.unavailable"),
];

/// A batch of ten messages of which each ends in another way, one of them well.
async fn fail_in_ten_ways(stage: &Stage, lasting: Lasting) {
    let denied = Fault::Answer("403 Forbidden", &[], "<Error><Code>AccessDenied</Code></Error>");
    let expired = Fault::Answer("400 Bad Request", &[], "<Error><Code>ExpiredToken</Code></Error>");
    for (requests, fault) in [
        (Requests::naming(&["GET ", "/denied.gz"]), denied),
        (Requests::naming(&["GET ", "/expired.gz"]), expired),
        (PUT_ASIDE, denied),
    ] {
        stage.proxy.add(requests, fault, lasting.uses(1));
    }
    let objects = put_in_ten_ways(stage).await;
    deliver_once(stage).await;
    stage.world.drain().await;
    let mut expected = WAYS_TO_FAIL.to_vec();
    if lasting == Lasting::ForEver {
        expected.extend(WAYS_TO_COME_BACK);
        expected.sort_unstable();
    }
    assert_eq!(told(&audit(&stage.world, &objects).await), expected);

    stage.proxy.heal();
    for object in &objects {
        stage.world.put(&object.key, object.log.gzip()).await;
    }
    stage.put_back().await;
    stage.world.drain().await;
    let account = audit(&stage.world, &objects).await;
    assert_eq!(told(&account), [WAYS_TO_FAIL[0]]);
    assert!(account.messages.is_empty() && account.waiting == 0, "{account:?}");
}

/// Nine objects as they fail, the notice of one that is missing among them, and nonsense. The answer is what they
/// should be.
async fn put_in_ten_ways(stage: &Stage) -> Vec<Object> {
    let world = &stage.world;
    let failing = [WAYS_TO_FAIL.as_slice(), &WAYS_TO_COME_BACK[..1]].concat();
    let keys = failing
        .iter()
        .map(|(key, _reason)| *key)
        .filter(|key| *key != "-");
    let objects = keys.chain([HIT]).zip(10..);
    let mut objects: Vec<Object> = objects
        .map(|(key, number)| Object::new(key, FlowLog::new().records(number, 0, 30)))
        .collect();
    let with_bad_line = stage.objects.iter().find(|object| object.key == ONE_BAD_LINE);
    objects.extend(with_bad_line.cloned());
    for object in &objects {
        let bytes = object.log.gzip();
        let bytes = match &*object.key {
            "missing.gz" => {
                world.send(world.event(&["missing.gz"])).await;
                continue;
            }
            "cut.gz" => bytes[..bytes.len() / 2].to_vec(),
            "corrupt.gz" => wrong_checksum(bytes),
            "prose.gz" => gzip(b"this is no flow log\n"),
            "header.gz" => gzip(b"version srcaddr srcaddr\n2 10.0.0.1 10.0.0.2\n"),
            _ => bytes,
        };
        world.put(&object.key, bytes).await;
    }
    world.send(NONSENSE[0]).await;
    objects
}

/// One invocation gets all ten messages; only those come back that may succeed later.
async fn deliver_once(stage: &Stage) {
    let messages = stage.world.receive(10).await;
    let function = stage.world.function().await;
    let mut report = function.invoke(&messages).await.unwrap();
    function.settle(&messages, &mut report).await;
    function.shut_down().await;
    let comes_back = |body: &str| WAYS_TO_COME_BACK.iter().any(|(key, _reason)| body.contains(key));
    let expected = messages.iter().filter(|message| comes_back(&message.body));
    let failed_ids = expected.map(|message| message.id.clone()).collect();
    assert_eq!(report.outcome, Outcome::Succeeded { failed_ids });
}

/// Key and reason of every dead letter.
fn told(account: &Account) -> Vec<(&str, &str)> {
    let letters = account.letters.iter();
    letters.map(|letter| (&*letter.key, &*letter.reason)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_not_what_they_should_be() {
    play(MESSAGES, None).await;
}
