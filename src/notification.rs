//! Message body → object references. Knows the S3 event, its SNS envelope, EventBridge's shape and the test event;
//! decodes each key once, by the rule of its envelope. What happens to the objects is left to [`crate::message`].
//!
//! Sources: "Event message structure" in the Amazon S3 user guide; "EventBridge event message structure" there;
//! "Parsing message formats" in the Amazon SNS developer guide.

use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::object::ObjectRef;

/// SNS inside SNS does not occur; the bound only keeps a crafted body from recursing.
const MAX_ENVELOPES: usize = 3;

/// One object named by a notification, with the S3 event record that names it.
#[derive(Clone, Debug)]
pub struct NotifiedObject {
    /// The object to ship.
    pub object: ObjectRef,
    /// When S3 says that it was written.
    pub event_time: Option<Timestamp>,
    /// The S3 event record as it came (made from the event, for EventBridge): the body of a dead letter.
    pub record: Box<RawValue>,
}

impl NotifiedObject {
    /// An S3 event that names this object alone.
    pub fn to_event(&self) -> String {
        format!(r#"{{"Records":[{}]}}"#, self.record.get())
    }

    /// What the record tells beside the name; empty where its fields have other types.
    pub fn facts(&self) -> RecordFacts {
        let facts: Result<Facts, _> = serde_json::from_str(self.record.get());
        let object = facts.map(|facts| facts.s3.object).unwrap_or_default();
        RecordFacts {
            size: object.size,
            etag: object.etag,
        }
    }
}

/// What an S3 event record tells of an object beside its name, as far as it does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordFacts {
    /// Its length as stored, bytes.
    pub size: Option<u64>,
    /// Without the quotes that GetObject puts around it.
    pub etag: Option<String>,
}

/// What a message body asks for.
#[derive(Clone, Debug, Default)]
pub struct Notification {
    /// Objects that were created.
    pub objects: Vec<NotifiedObject>,
    /// Records that ask for nothing: test events, deletions, other services.
    pub ignored: usize,
}

/// Why a message body cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum NotificationError {
    /// Not JSON, or JSON of another shape than its envelope promises.
    #[error("message body is not the JSON of a notification")]
    Json(#[from] serde_json::Error),
    /// JSON, but no envelope that carries S3 notifications.
    #[error(
        "message body is no S3 notification: no `Records`, no SNS `Message`, no EventBridge `detail-type`"
    )]
    UnknownShape,
    /// Envelopes inside envelopes.
    #[error("message body is wrapped more than {MAX_ENVELOPES} times")]
    TooManyEnvelopes,
    /// A record of an object without its name.
    #[error("record {index} of the notification has no `{field}`")]
    MissingField {
        /// Position in `Records`, from 0.
        index: usize,
        /// The field that is missing.
        field: &'static str,
    },
    /// A key whose escapes do not give UTF-8.
    #[error("record {index} of the notification has a key that is not UTF-8 once decoded")]
    KeyNotUtf8 {
        /// Position in `Records`, from 0.
        index: usize,
    },
}

/// Reads a message body of any supported shape.
pub fn parse(body: &str) -> Result<Notification, NotificationError> {
    parse_envelope(body, 0)
}

fn parse_envelope(body: &str, depth: usize) -> Result<Notification, NotificationError> {
    if depth == MAX_ENVELOPES {
        return Err(NotificationError::TooManyEnvelopes);
    }
    let envelope: Envelope<'_> = serde_json::from_str(body)?;
    if envelope.event.as_deref() == Some("s3:TestEvent") {
        return Ok(Notification {
            objects: Vec::new(),
            ignored: 1,
        });
    }
    if let (Some(_), Some(message)) = (envelope.topic_arn, envelope.message) {
        return parse_envelope(&message, depth + 1);
    }
    if let Some(detail_type) = envelope.detail_type {
        return parse_event_bridge(body, &detail_type);
    }
    let Some(records) = envelope.records else {
        return Err(NotificationError::UnknownShape);
    };
    parse_records(&records)
}

fn parse_records(records: &[&RawValue]) -> Result<Notification, NotificationError> {
    let mut notification = Notification::default();
    for (index, raw) in records.iter().enumerate() {
        let record: Record = serde_json::from_str(raw.get())?;
        let event_name = record.event_name.ok_or(NotificationError::MissingField {
            index,
            field: "eventName",
        })?;
        if record.event_source.as_deref() != Some("aws:s3") || !event_name.starts_with("ObjectCreated:") {
            notification.ignored += 1;
            continue;
        }
        let bucket = record.s3.bucket.name.filter(|name| !name.is_empty());
        let key = record.s3.object.key.filter(|key| !key.is_empty());
        let object = ObjectRef {
            bucket: bucket.ok_or(NotificationError::MissingField {
                index,
                field: "s3.bucket.name",
            })?,
            key: decode_form_key(&key.ok_or(NotificationError::MissingField {
                index,
                field: "s3.object.key",
            })?)
            .ok_or(NotificationError::KeyNotUtf8 { index })?,
            version_id: record.s3.object.version_id.filter(|version| !version.is_empty()),
        };
        notification.objects.push(NotifiedObject {
            object,
            event_time: record.event_time.as_deref().and_then(parse_time),
            record: (*raw).to_owned(),
        });
    }
    Ok(notification)
}

/// Nothing depends on it that a message should fail for.
fn parse_time(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// S3 events carry the key form-encoded: `+` is a space and must be read before `%2B` becomes a plus.
fn decode_form_key(key: &str) -> Option<String> {
    let spaced = key.replace('+', " ");
    percent_decode_str(&spaced)
        .decode_utf8()
        .ok()
        .map(|decoded| decoded.into_owned())
}

/// What S3 leaves as it is in the key of an event.
const KEY_SAFE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'*')
    .remove(b' ');

fn encode_form_key(key: &str) -> String {
    utf8_percent_encode(key, KEY_SAFE).to_string().replace(' ', "+")
}

/// EventBridge carries the key as it is: nothing is decoded.
fn parse_event_bridge(body: &str, detail_type: &str) -> Result<Notification, NotificationError> {
    let event: EventBridgeEvent = serde_json::from_str(body)?;
    if event.source.as_deref() != Some("aws.s3") || detail_type != "Object Created" {
        return Ok(Notification {
            objects: Vec::new(),
            ignored: 1,
        });
    }
    let missing = |field| NotificationError::MissingField { index: 0, field };
    let detail = event.detail.ok_or_else(|| missing("detail"))?;
    let object = ObjectRef {
        bucket: detail.bucket.name.ok_or_else(|| missing("detail.bucket.name"))?,
        key: detail.object.key.ok_or_else(|| missing("detail.object.key"))?,
        version_id: detail.object.version_id.filter(|version| !version.is_empty()),
    };
    let reason = detail.reason.unwrap_or_default().replace(' ', "");
    let event_name = match reason.as_str() {
        "CopyObject" => "ObjectCreated:Copy",
        "CompleteMultipartUpload" => "ObjectCreated:CompleteMultipartUpload",
        "POSTObject" => "ObjectCreated:Post",
        _ => "ObjectCreated:Put",
    };
    let record = serde_json::json!({
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": event.region,
        "eventTime": event.time,
        "eventName": event_name,
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": { "name": object.bucket, "arn": format!("arn:aws:s3:::{}", object.bucket) },
            "object": {
                "key": encode_form_key(&object.key),
                "size": detail.object.size,
                "eTag": detail.object.etag,
                "versionId": object.version_id,
                "sequencer": detail.object.sequencer,
            },
        },
    });
    let record = RawValue::from_string(record.to_string())?;
    Ok(Notification {
        objects: vec![NotifiedObject {
            object,
            event_time: event.time.as_deref().and_then(parse_time),
            record,
        }],
        ignored: 0,
    })
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "Event")]
    event: Option<String>,
    #[serde(rename = "TopicArn")]
    topic_arn: Option<String>,
    #[serde(rename = "Message")]
    message: Option<String>,
    #[serde(rename = "detail-type")]
    detail_type: Option<String>,
    #[serde(rename = "Records", borrow)]
    records: Option<Vec<&'a RawValue>>,
}

/// The few fields that flowship needs; the rest of a record is free to change or to be left out.
#[derive(Deserialize)]
struct Record {
    #[serde(rename = "eventSource")]
    event_source: Option<String>,
    #[serde(rename = "eventName")]
    event_name: Option<String>,
    #[serde(rename = "eventTime")]
    event_time: Option<String>,
    #[serde(default)]
    s3: RecordS3,
}

#[derive(Default, Deserialize)]
struct RecordS3 {
    #[serde(default)]
    bucket: Bucket,
    #[serde(default)]
    object: RecordObject,
}

#[derive(Default, Deserialize)]
struct Bucket {
    name: Option<String>,
}

#[derive(Default, Deserialize)]
struct RecordObject {
    key: Option<String>,
    #[serde(rename = "versionId")]
    version_id: Option<String>,
}

#[derive(Deserialize)]
struct Facts {
    #[serde(default)]
    s3: FactsS3,
}

#[derive(Default, Deserialize)]
struct FactsS3 {
    #[serde(default)]
    object: FactsObject,
}

#[derive(Default, Deserialize)]
struct FactsObject {
    size: Option<u64>,
    #[serde(rename = "eTag")]
    etag: Option<String>,
}

#[derive(Deserialize)]
struct EventBridgeEvent {
    source: Option<String>,
    region: Option<String>,
    time: Option<String>,
    detail: Option<EventBridgeDetail>,
}

#[derive(Deserialize)]
struct EventBridgeDetail {
    #[serde(default)]
    bucket: Bucket,
    #[serde(default)]
    object: EventBridgeObject,
    reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct EventBridgeObject {
    key: Option<String>,
    size: Option<u64>,
    etag: Option<String>,
    #[serde(rename = "version-id")]
    version_id: Option<String>,
    sequencer: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn s3_event(keys: &[&str]) -> String {
        let records: Vec<_> = keys
            .iter()
            .map(|key| {
                json!({"eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
                       "s3": {"bucket": {"name": "logs"}, "object": {"key": key, "size": 1}}})
            })
            .collect();
        json!({ "Records": records }).to_string()
    }

    fn keys(notification: &Notification) -> Vec<&str> {
        notification
            .objects
            .iter()
            .map(|named| named.object.key.as_str())
            .collect()
    }

    #[test]
    fn every_record_of_a_message_is_read_and_its_key_decoded_once() {
        let body = s3_event(&["a+b%2Bc/%C3%A9%3D1/100%2525.gz", "plain.gz"]);
        let notification = parse(&body).unwrap();
        assert_eq!(keys(&notification), ["a b+c/é=1/100%25.gz", "plain.gz"]);
    }

    #[test]
    fn percent_twenty_is_a_space_too() {
        assert_eq!(keys(&parse(&s3_event(&["a%20b"])).unwrap()), ["a b"]);
    }

    #[test]
    fn the_record_is_kept_as_it_came() {
        let record = r#"{"eventSource":"aws:s3","eventName":"ObjectCreated:Copy","extra":[1, 2],
            "s3":{"bucket":{"name":"logs"},"object":{"key":"k","versionId":"v7"}}}"#;
        let notification = parse(&format!(r#"{{"Records":[{record}]}}"#)).unwrap();
        assert_eq!(notification.objects[0].record.get(), record);
        assert_eq!(notification.objects[0].object.version_id.as_deref(), Some("v7"));
    }

    #[test]
    fn size_and_etag_are_read_from_the_record() {
        let record = |size: serde_json::Value| {
            json!({"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
                "s3": {"bucket": {"name": "b"}, "object": {"key": "k", "size": size, "eTag": "0e1"}}}]})
            .to_string()
        };
        let facts = |body: &str| parse(body).unwrap().objects[0].facts();
        let read = facts(&record(json!(7)));
        assert_eq!((read.size, read.etag.as_deref()), (Some(7), Some("0e1")));
        assert_eq!(facts(&record(json!("seven"))), RecordFacts::default());
    }

    #[test]
    fn an_sns_envelope_is_opened() {
        let body = json!({"Type": "Notification", "TopicArn": "arn:aws:sns:us-east-1:1:t",
                          "Message": s3_event(&["a+b"])})
        .to_string();
        assert_eq!(keys(&parse(&body).unwrap()), ["a b"]);
    }

    #[test]
    fn an_event_bridge_key_is_not_decoded_and_its_record_says_the_same_as_an_s3_event() {
        let body = json!({"detail-type": "Object Created", "source": "aws.s3", "region": "us-east-1",
            "time": "2026-11-20T03:10:00Z",
            "detail": {"bucket": {"name": "logs"}, "reason": "PutObject",
                       "object": {"key": "a+b %25é=1.gz", "size": 9, "version-id": "v1"}}})
        .to_string();
        let notification = parse(&body).unwrap();
        assert_eq!(keys(&notification), ["a+b %25é=1.gz"]);
        let written = notification.objects[0].event_time;
        assert_eq!(written, "2026-11-20T03:10:00Z".parse().ok());
        let again = parse(&format!(
            r#"{{"Records":[{}]}}"#,
            notification.objects[0].record.get()
        ))
        .unwrap();
        assert_eq!(again.objects[0].object, notification.objects[0].object);
        assert_eq!(again.objects[0].event_time, written);
    }

    #[test]
    fn test_events_deletions_and_other_services_ask_for_nothing() {
        let test_event = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"logs"}"#;
        let wrapped = json!({"Type": "Notification", "TopicArn": "t", "Message": test_event}).to_string();
        let deletion = json!({"Records": [{"eventSource": "aws:s3", "eventName": "ObjectRemoved:Delete"}]});
        let other = json!({"Records": [{"eventSource": "aws:ses", "eventName": "x"}]});
        let tags = json!({"detail-type": "Object Tags Added", "source": "aws.s3", "detail": {}});
        for body in [
            test_event,
            &wrapped,
            &deletion.to_string(),
            &other.to_string(),
            &tags.to_string(),
        ] {
            let notification = parse(body).unwrap();
            assert_eq!(
                (notification.objects.len(), notification.ignored),
                (0, 1),
                "{body}"
            );
        }
    }

    #[test]
    fn what_is_no_notification_is_refused_with_the_place() {
        let no_key = json!({"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
                                         "s3": {"bucket": {"name": "b"}, "object": {}}}]});
        let not_utf8 = s3_event(&["%ff"]);
        let errors: Vec<String> = ["not json", "{}", "[]", &no_key.to_string(), &not_utf8]
            .iter()
            .map(|body| parse(body).unwrap_err().to_string())
            .collect();
        insta::assert_snapshot!(errors.join("\n"), @"
        message body is not the JSON of a notification
        message body is no S3 notification: no `Records`, no SNS `Message`, no EventBridge `detail-type`
        message body is not the JSON of a notification
        record 0 of the notification has no `s3.object.key`
        record 0 of the notification has a key that is not UTF-8 once decoded
        ");
    }

    #[test]
    fn envelopes_do_not_nest_for_ever() {
        let mut body = s3_event(&["k"]);
        for _ in 0..4 {
            body = json!({"TopicArn": "t", "Message": body}).to_string();
        }
        assert!(matches!(parse(&body), Err(NotificationError::TooManyEnvelopes)));
    }
}
