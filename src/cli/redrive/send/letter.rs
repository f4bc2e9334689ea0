//! A dead letter that is to be sent, and by what it is known when it comes back.

use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

use crate::dead_letter::{DeadLetter, count_hop};
use crate::queue::{OutgoingMessage, ReceivedMessage};

/// A selected dead letter, as it will be sent.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) id: String,
    pub(super) reason: String,
    pub(super) message: OutgoingMessage,
    /// Whether there was room for the count.
    pub(super) has_hops: bool,
    /// With which count it would come back.
    pub(super) hops: u64,
    /// What it names.
    pub(super) names: Vec<String>,
    /// Nobody else gets it before.
    pub(super) hidden_until: Instant,
}

impl Letter {
    /// Body and attributes as they are, `hops` counted up.
    pub(super) fn new(message: ReceivedMessage, letter: DeadLetter, hidden_until: Instant) -> Self {
        let names = names(&letter, &message.body);
        let mut attributes = message.attributes;
        let has_hops = count_hop(&mut attributes);
        Self {
            reason: letter.reason().to_owned(),
            hops: letter.hops + u64::from(has_hops),
            id: letter.id,
            message: OutgoingMessage {
                body: message.body,
                attributes,
            },
            has_hops,
            names,
            hidden_until,
        }
    }
}

/// The URIs of a message's objects; for a body that names none, its hash. A message that comes back names one of them:
/// flowship writes a dead letter per object, and a redrive policy moves the message as it is.
pub(super) fn names(letter: &DeadLetter, body: &str) -> Vec<String> {
    if letter.objects.is_empty() {
        return vec![format!("body:{:016x}", xxh3_64(body.as_bytes()))];
    }
    let objects = letter.objects.iter();
    objects
        .map(|failed| format!("s3://{}/{}", failed.object.bucket, failed.object.key))
        .collect()
}
