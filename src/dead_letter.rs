//! The message in the dead-letter queue: an ordinary S3 event with exactly one record as its body, so that the main
//! queue takes it as it is, and the reason in its attributes, so that a person and `redrive` can read it.

use jiff::Timestamp;

use crate::notification::{self, NotifiedObject, RecordFacts};
use crate::object::ObjectRef;
use crate::outcome::{Counts, Failure};
use crate::queue::{Attribute, Attributes, MAX_ATTRIBUTES, OutgoingMessage, ReceivedMessage};

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
    /// The counters of the last pass, and of those that it went on from, as JSON.
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
    OutgoingMessage {
        body: named.to_event(),
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

/// What a message without a reason of its own reads as.
pub const UNKNOWN_REASON: &str = "unknown (moved by the queue's redrive policy)";

/// SQS sets it on a message that a redrive policy moved. Source: ReceiveMessage in the SQS API reference.
const MOVED_FROM: &str = "DeadLetterQueueSourceArn";

/// A message of the dead-letter queue, as it reads.
///
/// A message that the queue's redrive policy moved says nothing about this failure. If it was redriven before, its
/// attributes tell of an earlier one: only `hops` still holds, and `detail` names the earlier reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The queue's id of the message.
    pub id: String,
    /// The stable dotted class; `None` if the message does not say.
    pub reason: Option<String>,
    /// `transient` or `permanent`.
    pub disposition: Option<String>,
    /// One line for people.
    pub detail: Option<String>,
    /// Receives until the failure was established.
    pub attempts: Option<u64>,
    /// How often it was redriven.
    pub hops: u64,
    /// When the failure was established, by the clock of the function.
    pub failed_at: Option<Timestamp>,
    /// When the message was sent, by the clock of SQS: into this queue, or into the main queue if it was moved.
    pub sent_at: Timestamp,
    /// How often the dead letter itself was received.
    pub receive_count: u32,
    /// The invocation that gave up.
    pub request_id: Option<String>,
    /// The counters of the last pass, as JSON.
    pub progress: Option<String>,
    /// flowship's version.
    pub version: Option<String>,
    /// ARN of the queue whose redrive policy moved it; `None`: it was sent here.
    pub moved_from: Option<String>,
    /// The objects that the body names.
    pub objects: Vec<FailedObject>,
    /// Why the body is no notification, in one line.
    pub body_problem: Option<String>,
}

impl DeadLetter {
    /// Reads any message; what is missing or unreadable is `None`.
    pub fn parse(message: &ReceivedMessage) -> Self {
        let text = |name: &str| message.attributes.get(name).and_then(Attribute::to_text);
        let number = |name: &str| message.attributes.get(name).and_then(Attribute::to_number);
        let (objects, body_problem) = match notification::parse(&message.body) {
            Ok(notification) => {
                let named = notification.objects.into_iter();
                (named.map(FailedObject::new).collect(), None)
            }
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        let sent_at_ms = i64::try_from(message.sent_at_ms).unwrap_or(i64::MAX);
        let letter = Self {
            id: message.id.clone(),
            reason: text(attribute::REASON),
            disposition: text(attribute::DISPOSITION),
            detail: text(attribute::DETAIL),
            attempts: number(attribute::ATTEMPTS),
            hops: number(attribute::HOPS).unwrap_or_default(),
            failed_at: text(attribute::FAILED_AT).and_then(|time| time.parse().ok()),
            sent_at: Timestamp::from_millisecond(sent_at_ms).unwrap_or(Timestamp::MAX),
            receive_count: message.receive_count,
            request_id: text(attribute::REQUEST_ID),
            progress: text(attribute::PROGRESS),
            version: text(attribute::VERSION),
            moved_from: message.system_attributes.get(MOVED_FROM).cloned(),
            objects,
            body_problem,
        };
        if letter.moved_from.is_some() {
            letter.forget_earlier_failure()
        } else {
            letter
        }
    }

    fn forget_earlier_failure(self) -> Self {
        let detail = self.reason.map(|reason| {
            let detail = self.detail.unwrap_or_default();
            format!("no reason for this failure; before it was redriven: {reason}: {detail}")
        });
        Self {
            reason: None,
            disposition: None,
            detail,
            attempts: None,
            failed_at: None,
            request_id: None,
            progress: None,
            version: None,
            ..self
        }
    }

    /// The reason, or [`UNKNOWN_REASON`].
    pub fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or(UNKNOWN_REASON)
    }

    /// Size of all objects as stored, as far as the S3 event tells; `None`: it tells none.
    pub fn bytes(&self) -> Option<u64> {
        let sizes = self.objects.iter().filter_map(|failed| failed.facts.size);
        sizes.reduce(u64::saturating_add)
    }

    /// When it failed, or else when it was sent.
    pub fn time(&self) -> Timestamp {
        self.failed_at.unwrap_or(self.sent_at)
    }
}

/// Counts one redrive more. A message with ten attributes and no `hops` keeps them all and goes without a count
/// (`false`): when it fails again, flowship writes a dead letter that has one.
pub fn count_hop(attributes: &mut Attributes) -> bool {
    let has_room = attributes.contains_key(attribute::HOPS) || attributes.len() < MAX_ATTRIBUTES;
    if has_room {
        let hops = attributes.get(attribute::HOPS).and_then(Attribute::to_number);
        let hops = hops.unwrap_or_default().saturating_add(1);
        attributes.insert(attribute::HOPS.to_owned(), Attribute::Number(hops));
    }
    has_room
}

/// An object that a dead letter names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedObject {
    /// Its name.
    pub object: ObjectRef,
    /// When it was written, by its S3 event record.
    pub event_time: Option<Timestamp>,
    /// What else that record tells of it.
    pub facts: RecordFacts,
}

impl FailedObject {
    fn new(named: NotifiedObject) -> Self {
        Self {
            event_time: named.event_time,
            facts: named.facts(),
            object: named.object,
        }
    }

    /// The object's own time: the stamp in its key, or else when it was written.
    pub fn time(&self) -> Option<Timestamp> {
        let stamp = self.object.key_stamp();
        let stamp = stamp.and_then(|seconds| Timestamp::from_second(seconds.into()).ok());
        stamp.or(self.event_time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Reason;

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

    fn received(body: &str, attributes: Attributes) -> ReceivedMessage {
        ReceivedMessage {
            id: "id".into(),
            receipt_handle: "handle".into(),
            body: body.into(),
            attributes,
            receive_count: 3,
            sent_at_ms: 1_000,
            system_attributes: [("SentTimestamp".to_owned(), "1000".to_owned())].into(),
            md5_of_body: String::new(),
        }
    }

    #[test]
    fn what_was_written_is_read_again() {
        let objects = notification::parse(EVENT).unwrap().objects;
        let failure = Failure::new(Reason::BulkThrottled, "429 until the time was up");
        let progress = Counts {
            lines: 7,
            ..Counts::default()
        };
        let written = for_object(&objects[0], &failure, &progress, &circumstances());
        let letter = DeadLetter::parse(&received(&written.body, written.attributes));
        assert_eq!(letter.reason(), "bulk.throttled");
        assert_eq!(letter.disposition.as_deref(), Some("transient"));
        assert_eq!(letter.detail.as_deref(), Some("429 until the time was up"));
        assert_eq!((letter.attempts, letter.hops), (Some(2), 1));
        assert_eq!(letter.time(), Timestamp::UNIX_EPOCH);
        assert!(letter.progress.unwrap().contains(r#""lines":7"#));
        assert_eq!(letter.objects[0].object.key, "one 1");
    }

    #[test]
    fn a_message_without_attributes_has_an_unknown_reason_and_the_time_of_sending() {
        let letter = DeadLetter::parse(&received("not json", Attributes::new()));
        assert_eq!(letter.reason(), "unknown (moved by the queue's redrive policy)");
        assert_eq!((letter.attempts, letter.hops), (None, 0));
        assert_eq!(letter.time(), Timestamp::from_second(1).unwrap());
        assert_eq!(letter.objects, []);
        assert!(letter.body_problem.is_some());
    }

    #[test]
    fn a_redriven_message_that_the_policy_moved_does_not_pass_off_its_old_reason_as_the_new_one() {
        let failure = Failure::new(Reason::BulkUnavailable, "connection refused");
        let written = for_body(EVENT, &failure, &circumstances());
        let mut message = received(&written.body, written.attributes);
        message
            .system_attributes
            .insert(MOVED_FROM.into(), "arn:aws:sqs:us-east-1:1:main".into());
        let letter = DeadLetter::parse(&message);
        assert_eq!(letter.reason(), UNKNOWN_REASON);
        assert_eq!((letter.hops, letter.failed_at), (1, None));
        assert_eq!(
            letter.detail.as_deref(),
            Some("no reason for this failure; before it was redriven: bulk.unavailable: connection refused")
        );
    }
}
