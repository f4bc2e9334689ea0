//! Lambda's SQS event → [`crate::message`] → a partial batch response. The only place that knows Lambda's types.
//!
//! The event source mapping must have `ReportBatchItemFailures`: without it Lambda ignores the answer and deletes the
//! whole batch.

use std::time::{Duration, SystemTime};

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use jiff::Timestamp;
use lambda_runtime::{Context, Error, LambdaEvent, service_fn};
use tokio::time::Instant;

use crate::bulk::BulkSink;
use crate::dead_letter::attribute;
use crate::deadline::Deadline;
use crate::ledger::Ledger;
use crate::message::{Message, Processor};
use crate::object::ObjectStore;
use crate::quarantine::Quarantine;
use crate::queue::{Attribute, Attributes, MessageQueue, QueueFinder};
use crate::telemetry::metrics::{Invocation, MetricLog};

/// Taken where the clock does not tell: as short as a function can be that gets anything done.
const LEAST_TIME: Duration = Duration::from_secs(5);

/// Longest time of any. Source: Lambda quotas.
const MOST_TIME: Duration = Duration::from_secs(900);

/// Answers invocations until the environment is taken down. `margin`: time kept free before an invocation ends;
/// `metrics`: where each invocation's go.
pub async fn run<S: ObjectStore, B: BulkSink, K: Quarantine, Q: MessageQueue, F: QueueFinder, L: Ledger>(
    processor: Processor<S, B, K, Q, F, L>,
    margin: Duration,
    metrics: MetricLog,
) -> Result<(), Error> {
    let (processor, metrics) = (&processor, &metrics);
    lambda_runtime::run(service_fn(|event: LambdaEvent<SqsEvent>| async move {
        let LambdaEvent { payload, context } = event;
        let messages = payload
            .records
            .into_iter()
            .map(message)
            .collect::<Result<Vec<_>, _>>()?;
        let deadline = deadline(&context, margin);
        let report = Box::pin(processor.process(&messages, &context.request_id, deadline)).await;
        metrics.write(&Invocation {
            report: &report,
            now: Timestamp::now(),
            request_id: &context.request_id,
            function: &context.env_config.function_name,
            version: &context.env_config.version,
        });
        let mut response = SqsBatchResponse::default();
        response.set_failures(report.failed_ids);
        Ok::<_, Error>(response)
    }))
    .await
}

/// A message without an id cannot be reported as failed: then the whole batch must come back.
fn message(message: SqsMessage) -> Result<Message, Error> {
    let receive_count = message
        .attributes
        .get("ApproximateReceiveCount")
        .and_then(|text| text.parse().ok());
    let texts = message.message_attributes.into_iter();
    let attributes: Attributes = texts
        .filter_map(|(name, value)| Some((name, Attribute::Text(value.string_value?))))
        .collect();
    let hops = attributes.get(attribute::HOPS).and_then(Attribute::to_number);
    Ok(Message {
        id: message
            .message_id
            .filter(|id| !id.is_empty())
            .ok_or("the event holds a message without an id")?,
        receipt_handle: message.receipt_handle.unwrap_or_default(),
        queue_arn: message.event_source_arn.unwrap_or_default(),
        body: message.body.unwrap_or_default(),
        receive_count: receive_count.unwrap_or(1),
        hops: hops.and_then(|hops| u32::try_from(hops).ok()).unwrap_or_default(),
        attributes,
    })
}

fn deadline(context: &Context, margin: Duration) -> Deadline {
    let time_left = time_left(context.deadline(), SystemTime::now());
    Deadline::new(Instant::now() + time_left, margin)
}

/// What an invocation that begins now may use. Where its end is over already, or too far away, the clock is wrong; with
/// no time at all every dead letter would be written and none of them confirmed, again and again.
fn time_left(deadline: SystemTime, now: SystemTime) -> Duration {
    match deadline.duration_since(now) {
        Ok(time_left) => time_left.min(MOST_TIME),
        Err(_is_over) => LEAST_TIME,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_clock_that_is_an_hour_wrong_leaves_time_to_work_and_to_answer() {
        let (now, hour) = (
            SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30),
            Duration::from_secs(3600),
        );
        let minute = Duration::from_secs(60);
        assert_eq!(time_left(now + minute, now), minute);
        assert_eq!(time_left(now + minute / 60, now), minute / 60, "a short timeout");
        assert_eq!(time_left(now + minute, now + hour), LEAST_TIME);
        assert_eq!(time_left(now + minute, now - hour), MOST_TIME);
    }

    #[test]
    fn what_a_message_tells_is_read_from_the_event() {
        let event: SqsEvent = serde_json::from_value(json!({"Records": [
            {"messageId": "m1", "receiptHandle": "r", "body": "{}", "eventSourceARN": "arn:aws:sqs:us-east-2:1:q",
             "attributes": {"ApproximateReceiveCount": "3"},
             "messageAttributes": {"hops": {"stringValue": "2", "dataType": "Number"},
                                   "resume_line": {"stringValue": "x", "dataType": "String"}}},
            {"messageId": "m2", "body": "{}", "attributes": {}, "messageAttributes": {}},
            {"messageId": "", "body": "{}", "attributes": {}, "messageAttributes": {}},
        ]}))
        .unwrap();
        let mut messages = event.records.into_iter().map(message);
        let first = messages.next().unwrap().unwrap();
        assert_eq!((first.id.as_str(), first.receive_count, first.hops), ("m1", 3, 2));
        assert_eq!(
            (first.receipt_handle.as_str(), first.queue_arn.as_str()),
            ("r", "arn:aws:sqs:us-east-2:1:q")
        );
        assert_eq!(first.attributes["resume_line"], Attribute::Text("x".into()));
        let second = messages.next().unwrap().unwrap();
        assert_eq!((second.receive_count, second.hops), (1, 0));
        assert!(messages.next().unwrap().is_err());
    }
}
