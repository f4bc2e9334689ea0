//! An object that needs more than one invocation → the message that says where the next one goes on. Its body is that of
//! a dead letter: an ordinary S3 event with exactly one record. Without its attributes it is the object's notification.

use crate::dead_letter::attribute::{HOPS, PROGRESS};
use crate::notification::NotifiedObject;
use crate::outcome::{Counts, Failure, Reason};
use crate::queue::{Attribute, Attributes, OutgoingMessage};
use crate::ship::ObjectPass;

/// Names of the attributes, beside those that dead letters have too.
pub mod attribute {
    /// The first line that is not accounted for, from 1; header and blank lines count.
    pub const RESUME_LINE: &str = "resume_line";
    /// What S3 called the content in which that line was counted.
    pub const ETAG: &str = "etag";
    /// Passes over the object until now.
    pub const PASSES: &str = "passes";
}

use attribute::{ETAG, PASSES, RESUME_LINE};

/// What earlier passes over an object came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Earlier {
    /// How many there were.
    pub passes: u64,
    /// The counters of all of them.
    pub counts: Counts,
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
        Ok(Some(Self {
            resume_line: line.ok_or_else(|| unreadable(RESUME_LINE))?,
            etag: attributes.get(ETAG).and_then(Attribute::to_text),
            earlier: Earlier {
                passes: passes.ok_or_else(|| unreadable(PASSES))?,
                counts: counts.ok_or_else(|| unreadable(PROGRESS))?,
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
