//! SQS fails, delivers twice, or holds something else than notifications.

use flowship::outcome::Reason;

use super::case::{Becomes, Case, Lasting, Place, Trouble};
use super::play;
use super::stage::{HIT, Stage};
use crate::support::proxy::{Fault, Requests};

/// The SDK asks three times: a fault that outlasts them is one that we see.
const ATTEMPTS: u64 = 3;

const SEND_DEAD_LETTER: Requests =
    Requests::naming(&["AmazonSQS.SendMessage"]).with_body(|body| body.contains("-dlq"));

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

const DEAD_LETTERS: &[Case] = &[Case {
    name: "sqs-no-dead-letters",
    trouble: Trouble::Requests(SEND_DEAD_LETTER, SERVICE_UNAVAILABLE, ATTEMPTS),
    ..USUAL
}];

const DELIVERY: &[Case] = &[Case {
    name: "sqs-delivers-twice",
    trouble: Trouble::Own(|stage, lasting| Box::pin(deliver_twice(stage, lasting))),
    broken: None,
    ..USUAL
}];

/// Two instances get the same batch at the same time; for ever: they get it a second time, too.
async fn deliver_twice(stage: &Stage, lasting: Lasting) {
    stage.put_all(None).await;
    let num_messages = stage.objects.len();
    let messages = stage.world.receive(num_messages).await;
    let instances = [stage.world.function().await, stage.world.function().await];
    let num_deliveries = if lasting == Lasting::Once { 1 } else { 2 };
    for _delivery in 0..num_deliveries {
        let [one, other] = &instances;
        let (one, other) = tokio::join!(one.invoke(&messages), other.invoke(&messages));
        for report in [one.unwrap(), other.unwrap()] {
            assert!(report.outcome.is_complete_success(), "{report:?}");
        }
    }
    let mut report = instances[0].invoke(&messages).await.unwrap();
    instances[0].settle(&messages, &mut report).await;
    for instance in instances {
        instance.shut_down().await;
    }
    stage.assert_complete_or(None).await;
}

const SERVICE_UNAVAILABLE: Fault = Fault::Answer("503 Service Unavailable", &[], "unavailable");

#[tokio::test(flavor = "multi_thread")]
async fn sqs_fails() {
    play(DEAD_LETTERS, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqs_delivers_more_than_it_should() {
    play(DELIVERY, None).await;
}
