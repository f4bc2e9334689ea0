//! The message in the dead-letter queue: an ordinary S3 event with exactly one record as its body, so that the main
//! queue takes it as it is, and the reason in its attributes, so that a person and `redrive` can read it.

use jiff::Timestamp;

use crate::notification::NotifiedObject;
use crate::outcome::{Counts, Failure};
use crate::queue::{Attribute, Attributes, OutgoingMessage};

/// Longest detail, bytes: enough for one line of explanation, far from the message size limit.
const MAX_DETAIL_BYTES: usize = 1024;

/// Names of the attributes.
pub mod attribute {
    /// The stable dotted class of the failure.
    pub const REASON: &str = "reason";
    /// `transient` or `permanent`.
    pub const DISPOSITION: &str = "disposition";
    /// One line for people.
    pub const DETAIL: &str = "detail";
    /// Receives of the message until now.
    pub const ATTEMPTS: &str = "attempts";
    /// How often the dead letter was redriven.
    pub const HOPS: &str = "hops";
    /// RFC 3339, UTC.
    pub const FAILED_AT: &str = "failed_at";
    /// The invocation that gave up.
    pub const REQUEST_ID: &str = "request_id";
    /// The counters of the last pass, as JSON.
    pub const PROGRESS: &str = "progress";
    /// flowship's version.
    pub const VERSION: &str = "version";
}

/// The circumstances of a failure, the same for all dead letters of one message.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// Receives of the message, this one included.
    pub attempts: u32,
    /// How often the message was redriven before.
    pub hops: u32,
    /// The Lambda request id, or what stands for it.
    pub request_id: String,
    /// When the failure was established.
    pub failed_at: Timestamp,
}

/// The dead letter of one object.
pub fn for_object(
    named: &NotifiedObject,
    failure: &Failure,
    progress: &Counts,
    circumstances: &Circumstances,
) -> OutgoingMessage {
    let body = format!(r#"{{"Records":[{}]}}"#, named.record.get());
    OutgoingMessage {
        body,
        attributes: attributes(failure, progress, circumstances),
    }
}

/// The dead letter of a body that is no notification: the body as it came.
pub fn for_body(body: &str, failure: &Failure, circumstances: &Circumstances) -> OutgoingMessage {
    OutgoingMessage {
        body: body.to_owned(),
        attributes: attributes(failure, &Counts::default(), circumstances),
    }
}

fn attributes(failure: &Failure, progress: &Counts, circumstances: &Circumstances) -> Attributes {
    let progress = serde_json::to_string(progress).expect("counters are plain numbers");
    let text = |value: &str| Attribute::Text(value.to_owned());
    Attributes::from([
        (attribute::REASON.to_owned(), text(failure.reason.as_str())),
        (
            attribute::DISPOSITION.to_owned(),
            text(failure.reason.disposition().as_str()),
        ),
        (
            attribute::DETAIL.to_owned(),
            Attribute::Text(one_line(&failure.detail)),
        ),
        (
            attribute::ATTEMPTS.to_owned(),
            Attribute::Number(circumstances.attempts.into()),
        ),
        (
            attribute::HOPS.to_owned(),
            Attribute::Number(circumstances.hops.into()),
        ),
        (
            attribute::FAILED_AT.to_owned(),
            Attribute::Text(circumstances.failed_at.to_string()),
        ),
        (
            attribute::REQUEST_ID.to_owned(),
            text(non_empty(&circumstances.request_id)),
        ),
        (attribute::PROGRESS.to_owned(), Attribute::Text(progress)),
        (attribute::VERSION.to_owned(), text(env!("CARGO_PKG_VERSION"))),
    ])
}

/// SQS refuses empty attribute values.
fn non_empty(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// One line of at most [`MAX_DETAIL_BYTES`], without the control characters that SQS refuses in a message.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(MAX_DETAIL_BYTES));
    for c in text.chars() {
        let c = if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') {
            ' '
        } else {
            c
        };
        if line.len() + c.len_utf8() > MAX_DETAIL_BYTES {
            break;
        }
        line.push(c);
    }
    non_empty(line.trim()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification;
    use crate::outcome::Reason;
    use crate::queue::MAX_ATTRIBUTES;

    const EVENT: &str = r#"{"Records":[{"eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"one+1"}}},{"eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"two"}}}]}"#;

    fn circumstances() -> Circumstances {
        Circumstances {
            attempts: 2,
            hops: 1,
            request_id: String::new(),
            failed_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn the_body_is_an_s3_event_of_the_one_record() {
        let objects = notification::parse(EVENT).unwrap().objects;
        let failure = Failure::new(Reason::ObjectNotFound, "gone");
        let letter = for_object(&objects[0], &failure, &Counts::default(), &circumstances());
        let again = notification::parse(&letter.body).unwrap().objects;
        assert_eq!(again.len(), 1);
        assert_eq!(again[0].object, objects[0].object);
    }

    #[test]
    fn the_attributes_say_why_and_fit_sqs() {
        let failure = Failure::new(
            Reason::DecodeCorruptGzip,
            "bad\nblock\0 in a long text ".repeat(100),
        );
        let letter = for_body("{}", &failure, &circumstances());
        assert!(letter.attributes.len() <= MAX_ATTRIBUTES);
        assert_eq!(
            letter.attributes["reason"],
            Attribute::Text("decode.corrupt_gzip".into())
        );
        assert_eq!(
            letter.attributes["disposition"],
            Attribute::Text("permanent".into())
        );
        assert_eq!(letter.attributes["attempts"], Attribute::Number(2));
        assert_eq!(letter.attributes["hops"], Attribute::Number(1));
        let detail = letter.attributes["detail"].to_text().unwrap();
        assert!(detail.len() <= MAX_DETAIL_BYTES && !detail.contains(['\n', '\0']));
        assert!(
            letter
                .attributes
                .values()
                .all(|value| value.to_text().is_some_and(|text| !text.is_empty()))
        );
    }
}
