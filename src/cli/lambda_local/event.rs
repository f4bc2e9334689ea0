//! Messages → the event that Lambda receives for them, in AWS's spelling.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::queue::arn::QueueArn;
use crate::queue::{Attribute, ReceivedMessage};

/// Largest event: Lambda's limit for a synchronous invocation. Source: Lambda quotas.
const MAX_EVENT_BYTES: usize = 6 * 1024 * 1024;

/// Room for what stands around the records.
const ENVELOPE_BYTES: usize = 32;

/// The queue as an event names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EventSource {
    /// ARN of the queue.
    pub(super) arn: String,
    /// Its region.
    pub(super) region: String,
    /// Its account.
    pub(super) account: String,
}

impl EventSource {
    /// Reads `arn:aws:sqs:region:account:name`; `None` for anything else.
    pub(super) fn parse(arn: &str) -> Option<Self> {
        let QueueArn { region, account, .. } = QueueArn::parse(arn)?;
        Some(Self {
            arn: arn.to_owned(),
            region: region.to_owned(),
            account: account.to_owned(),
        })
    }
}

#[derive(Serialize)]
struct Event<'a> {
    #[serde(rename = "Records")]
    records: Vec<Record<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    message_id: &'a str,
    receipt_handle: &'a str,
    body: &'a str,
    attributes: BTreeMap<&'a str, String>,
    message_attributes: BTreeMap<&'a str, MessageAttribute<'a>>,
    md5_of_body: &'a str,
    event_source: &'static str,
    #[serde(rename = "eventSourceARN")]
    event_source_arn: &'a str,
    aws_region: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MessageAttribute<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    string_value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    binary_value: Option<String>,
    string_list_values: [&'a str; 0],
    binary_list_values: [&'a str; 0],
    data_type: &'a str,
}

/// The event for these messages.
pub(super) fn to_event(messages: &[ReceivedMessage], source: &EventSource) -> Vec<u8> {
    let records = messages.iter().map(|message| record(message, source)).collect();
    serde_json::to_vec(&Event { records }).expect("strings and maps with string keys always serialize")
}

/// How many bytes this message adds to an event.
pub(super) fn record_bytes(message: &ReceivedMessage, source: &EventSource) -> usize {
    let record = serde_json::to_vec(&record(message, source));
    record
        .expect("strings and maps with string keys always serialize")
        .len()
        + 1
}

/// Splits off the messages with which the event would be larger than Lambda allows. The first one always stays.
pub(super) fn split_off_excess(
    messages: &mut Vec<ReceivedMessage>,
    source: &EventSource,
) -> Vec<ReceivedMessage> {
    let mut event_bytes = ENVELOPE_BYTES;
    for (position, message) in messages.iter().enumerate() {
        event_bytes += record_bytes(message, source);
        if event_bytes > MAX_EVENT_BYTES && position > 0 {
            return messages.split_off(position);
        }
    }
    Vec::new()
}

/// Whether messages of this many bytes fill an event.
pub(super) fn fills_event(records_bytes: usize) -> bool {
    ENVELOPE_BYTES + records_bytes >= MAX_EVENT_BYTES
}

fn record<'a>(message: &'a ReceivedMessage, source: &'a EventSource) -> Record<'a> {
    let mut attributes: BTreeMap<&str, String> = BTreeMap::from([
        ("ApproximateReceiveCount", message.receive_count.to_string()),
        ("SentTimestamp", message.sent_at_ms.to_string()),
    ]);
    for (name, value) in &message.system_attributes {
        attributes.insert(name, value.clone());
    }
    let message_attributes = message
        .attributes
        .iter()
        .map(|(name, value)| (name.as_str(), message_attribute(value)));
    Record {
        message_id: &message.id,
        receipt_handle: &message.receipt_handle,
        body: &message.body,
        attributes,
        message_attributes: message_attributes.collect(),
        md5_of_body: &message.md5_of_body,
        event_source: "aws:sqs",
        event_source_arn: &source.arn,
        aws_region: &source.region,
    }
}

fn message_attribute(attribute: &Attribute) -> MessageAttribute<'_> {
    let (data_type, string_value, binary_value) = match attribute {
        Attribute::Text(text) => ("String", Some(text.clone()), None),
        Attribute::Number(number) => ("Number", Some(number.to_string()), None),
        Attribute::Other { data_type, value } if data_type.starts_with("Binary") => {
            (data_type.as_str(), None, Some(STANDARD.encode(value)))
        }
        Attribute::Other { data_type, value } => {
            let text = String::from_utf8_lossy(value).into_owned();
            (data_type.as_str(), Some(text), None)
        }
    };
    MessageAttribute {
        string_value,
        binary_value,
        string_list_values: [],
        binary_list_values: [],
        data_type,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str, body: String) -> ReceivedMessage {
        ReceivedMessage {
            id: id.to_owned(),
            receipt_handle: format!("handle of {id}"),
            body,
            attributes: BTreeMap::new(),
            receive_count: 2,
            sent_at_ms: 1_523_232_000_000,
            system_attributes: BTreeMap::new(),
            md5_of_body: "098f6bcd4621d373cade4e832627b4f6".to_owned(),
        }
    }

    fn source() -> EventSource {
        EventSource::parse("arn:aws:sqs:us-east-2:123456789012:my-queue").unwrap()
    }

    #[test]
    fn a_message_is_spelt_as_in_the_developer_guide() {
        let mut message = message(
            "059f36b4-87a3-44ab-83d2-661975830a7d",
            "Test \"message\".".to_owned(),
        );
        message.system_attributes = [
            ("SentTimestamp", "1545082649183"),
            ("SenderId", "AIDAIENQZJOLO23YVJ4VO"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        message.attributes = [
            ("text", Attribute::Text("myValue".to_owned())),
            ("number", Attribute::Number(7)),
            (
                "bytes",
                Attribute::Other {
                    data_type: "Binary.gif".to_owned(),
                    value: vec![0, 255],
                },
            ),
            (
                "custom",
                Attribute::Other {
                    data_type: "String.json".to_owned(),
                    value: b"{}".to_vec(),
                },
            ),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let event: serde_json::Value = serde_json::from_slice(&to_event(&[message], &source())).unwrap();
        let expected = serde_json::json!({"Records": [{
            "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d",
            "receiptHandle": "handle of 059f36b4-87a3-44ab-83d2-661975830a7d",
            "body": "Test \"message\".",
            "attributes": {
                "ApproximateReceiveCount": "2",
                "SentTimestamp": "1545082649183",
                "SenderId": "AIDAIENQZJOLO23YVJ4VO"
            },
            "messageAttributes": {
                "text": {"stringValue": "myValue", "stringListValues": [], "binaryListValues": [], "dataType": "String"},
                "number": {"stringValue": "7", "stringListValues": [], "binaryListValues": [], "dataType": "Number"},
                "bytes": {"binaryValue": "AP8=", "stringListValues": [], "binaryListValues": [], "dataType": "Binary.gif"},
                "custom": {"stringValue": "{}", "stringListValues": [], "binaryListValues": [], "dataType": "String.json"}
            },
            "md5OfBody": "098f6bcd4621d373cade4e832627b4f6",
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-2:123456789012:my-queue",
            "awsRegion": "us-east-2"
        }]});
        assert_eq!(event, expected);
    }

    #[test]
    fn an_event_is_cut_to_what_lambda_takes() {
        // A quote takes two bytes in JSON: 2 MiB of each of these three.
        let half_full = || "\"".repeat(1024 * 1024);
        let mut messages: Vec<ReceivedMessage> = ["a", "b", "c"].map(|id| message(id, half_full())).into();
        let rest = split_off_excess(&mut messages, &source());
        assert_eq!((messages.len(), rest.len()), (2, 1));
        assert_eq!(rest[0].id, "c");
        assert!(to_event(&messages, &source()).len() <= MAX_EVENT_BYTES);

        let mut alone = vec![message("a", "x".repeat(7 * 1024 * 1024))];
        assert!(split_off_excess(&mut alone, &source()).is_empty());
        assert_eq!(alone.len(), 1);
    }

    #[test]
    fn only_the_arn_of_a_queue_is_a_source() {
        for arn in [
            "",
            "queue",
            "arn:aws:s3:::bucket",
            "arn:aws:sqs:us-east-2:1",
            "arn:aws:sqs::1:q",
        ] {
            assert_eq!(EventSource::parse(arn), None, "{arn}");
        }
        let source = EventSource::parse("arn:aws-cn:sqs:cn-north-1:123456789012:q.fifo").unwrap();
        assert_eq!(
            (source.region.as_str(), source.account.as_str()),
            ("cn-north-1", "123456789012")
        );
    }
}
