//! An object that needs more than one invocation → the message that says where the next one goes on. Its body is that of
//! a dead letter: an ordinary S3 event with exactly one record. Without its attributes it is the object's notification.

use crate::dead_letter::attribute::{HOPS, PROGRESS};
use crate::notification::NotifiedObject;
use crate::outcome::{Counts, Failure, Reason};
use crate::queue::{Attribute, Attributes, OutgoingMessage};
use crate::ship::{ObjectPass, ObjectReport};

/// Names of the attributes, beside those that dead letters have too.
pub mod attribute {
    /// The first line that is not accounted for, from 1; header and blank lines count.
    pub const RESUME_LINE: &str = "resume_line";
    /// What S3 called the content in which that line was counted.
    pub const ETAG: &str = "etag";
    /// Passes over the object until now.
    pub const PASSES: &str = "passes";
    /// What `@timestamp` says in the first document until now by time, Unix seconds.
    pub const FIRST_RECORD: &str = "first_record";
    /// In the last one.
    pub const LAST_RECORD: &str = "last_record";
    /// The last file in which refused lines are.
    pub const QUARANTINE: &str = "quarantine";
}

use attribute::{ETAG, FIRST_RECORD, LAST_RECORD, PASSES, QUARANTINE, RESUME_LINE};

/// What earlier passes over an object came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Earlier {
    /// How many there were.
    pub passes: u64,
    /// The counters of all of them.
    pub counts: Counts,
    /// What `@timestamp` says in their first and in their last document by time, Unix seconds.
    pub times: Option<(u32, u32)>,
    /// URI of the last file in which refused lines are.
    pub quarantine: Option<String>,
}

impl Earlier {
    /// With one pass more.
    pub fn and(&self, report: &ObjectReport) -> Self {
        let mut counts = self.counts;
        counts.add(&report.counts);
        let times = match (self.times, report.times) {
            (Some((first, last)), Some((next_first, next_last))) => {
                Some((first.min(next_first), last.max(next_last)))
            }
            (earlier, now) => now.or(earlier),
        };
        let quarantine = report.quarantine.as_ref().map(ToString::to_string);
        Self {
            passes: self.passes + 1,
            counts,
            times,
            quarantine: quarantine.or_else(|| self.quarantine.clone()),
        }
    }
}

/// Where a pass goes on, and what came before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Continuation {
    /// The first line that is not accounted for, from 1.
    pub resume_line: u64,
    /// What S3 called the content in which that line was counted.
    pub etag: Option<String>,
    /// What came before.
    pub earlier: Earlier,
}

impl Continuation {
    /// What the attributes of a message say; `None` where it is the first about its object.
    pub fn read(attributes: &Attributes) -> Result<Option<Self>, Failure> {
        let Some(line) = attributes.get(RESUME_LINE) else {
            return Ok(None);
        };
        let unreadable = |name: &str| {
            let value = attributes.get(name).and_then(Attribute::to_text);
            let value = value.map(|text| text.chars().take(100).collect::<String>());
            let detail = format!("its attribute `{name}` cannot be read: {value:?}");
            Failure::new(Reason::NotificationMalformed, detail)
        };
        let line = line.to_number().filter(|line| *line > 0);
        let passes = attributes.get(PASSES).map_or(Some(1), Attribute::to_number);
        let counts = match attributes.get(PROGRESS).and_then(Attribute::to_text) {
            Some(json) => serde_json::from_str(&json).ok(),
            None => Some(Counts::default()),
        };
        let time = |name: &str| attributes.get(name)?.to_number()?.try_into().ok();
        Ok(Some(Self {
            resume_line: line.ok_or_else(|| unreadable(RESUME_LINE))?,
            etag: attributes.get(ETAG).and_then(Attribute::to_text),
            earlier: Earlier {
                passes: passes.ok_or_else(|| unreadable(PASSES))?,
                counts: counts.ok_or_else(|| unreadable(PROGRESS))?,
                times: time(FIRST_RECORD).zip(time(LAST_RECORD)),
                quarantine: attributes.get(QUARANTINE).and_then(Attribute::to_text),
            },
        }))
    }

    /// The message for the main queue.
    pub fn message(&self, named: &NotifiedObject, hops: u32) -> OutgoingMessage {
        let progress = serde_json::to_string(&self.earlier.counts).expect("counters are plain numbers");
        let mut attributes = Attributes::from([
            (RESUME_LINE.to_owned(), Attribute::Number(self.resume_line)),
            (PASSES.to_owned(), Attribute::Number(self.earlier.passes)),
            (PROGRESS.to_owned(), Attribute::Text(progress)),
        ]);
        if let Some(etag) = self.etag.as_ref().filter(|etag| !etag.is_empty()) {
            attributes.insert(ETAG.to_owned(), Attribute::Text(etag.clone()));
        }
        if let Some((first, last)) = self.earlier.times {
            attributes.insert(FIRST_RECORD.to_owned(), Attribute::Number(first.into()));
            attributes.insert(LAST_RECORD.to_owned(), Attribute::Number(last.into()));
        }
        if let Some(file) = &self.earlier.quarantine {
            attributes.insert(QUARANTINE.to_owned(), Attribute::Text(file.clone()));
        }
        if hops > 0 {
            attributes.insert(HOPS.to_owned(), Attribute::Number(hops.into()));
        }
        OutgoingMessage {
            body: named.to_event(),
            attributes,
        }
    }

    /// The pass that it asks for.
    pub fn pass(&self, named: &NotifiedObject) -> ObjectPass {
        ObjectPass {
            object: named.object.clone(),
            first_line: self.resume_line,
            etag: self.etag.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification;

    const EVENT: &str = r#"{"Records":[{"eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"one+1"}}},{"eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"two"}}}]}"#;

    fn continuation() -> Continuation {
        Continuation {
            resume_line: 4711,
            etag: Some("\"abc\"".into()),
            earlier: Earlier {
                passes: 2,
                counts: Counts {
                    lines: 4000,
                    indexed: 3999,
                    no_data: 1,
                    ..Counts::default()
                },
                times: Some((1_418_530_010, 1_418_530_070)),
                quarantine: Some("s3://quarantine/bad/1.ndjson.gz".into()),
            },
        }
    }

    #[test]
    fn what_was_written_is_read_again_and_the_body_names_the_one_object() {
        let objects = notification::parse(EVENT).unwrap().objects;
        let message = continuation().message(&objects[1], 3);
        assert_eq!(Continuation::read(&message.attributes), Ok(Some(continuation())));
        assert_eq!(message.attributes[HOPS], Attribute::Number(3));
        let again = notification::parse(&message.body).unwrap().objects;
        assert_eq!((again.len(), &again[0].object), (1, &objects[1].object));
        let first = continuation().message(&objects[1], 0);
        assert!(!first.attributes.contains_key(HOPS));
    }

    #[test]
    fn attributes_that_cannot_be_read_are_not_taken_for_none() {
        let objects = notification::parse(EVENT).unwrap().objects;
        let bad = [
            (RESUME_LINE, Attribute::Text("x".into())),
            (RESUME_LINE, Attribute::Number(0)),
            (PASSES, Attribute::Text("-1".into())),
            (PROGRESS, Attribute::Text("{}".into())),
        ];
        for (name, value) in bad {
            let mut attributes = continuation().message(&objects[0], 0).attributes;
            attributes.insert(name.to_owned(), value);
            let failure = Continuation::read(&attributes).unwrap_err();
            assert_eq!(failure.reason, Reason::NotificationMalformed);
            assert!(failure.detail.contains(name), "{failure}");
        }
    }

    /// A dead letter that was redriven carries the counters of its failure.
    #[test]
    fn without_a_line_there_is_nothing_to_go_on_with() {
        let mut attributes = continuation()
            .message(&notification::parse(EVENT).unwrap().objects[0], 1)
            .attributes;
        attributes.remove(RESUME_LINE);
        assert_eq!(Continuation::read(&attributes), Ok(None));
    }
}
