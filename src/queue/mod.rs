//! A message queue as flowship uses it: the seam in front of SQS.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

pub(crate) mod arn;
mod details;
pub(crate) mod limits;
#[cfg(test)]
pub(crate) mod memory;

pub use details::{QueueDetails, Unanswered};

/// Most entries of one batch call. Source: SQS quotas.
pub const MAX_BATCH_ENTRIES: usize = 10;

/// Most message attributes of one message. Source: SQS quotas.
pub const MAX_ATTRIBUTES: usize = 10;

/// A message attribute. SQS knows binary ones too; nothing here writes them, and they are carried as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// Data type `String` (or a custom type of it, kept in the first place).
    Text(String),
    /// Data type `Number`.
    Number(u64),
    /// Anything else, unread: data type and value.
    Other {
        /// The data type, for example `Binary` or `String.custom`.
        data_type: String,
        /// The value's bytes.
        value: Vec<u8>,
    },
}

impl Attribute {
    /// The value of data type `Number`, in the spelling that it has.
    pub fn from_number(text: String) -> Self {
        match text.parse::<u64>() {
            Ok(number) if number.to_string() == text => Self::Number(number),
            _ => Self::Other {
                data_type: "Number".to_owned(),
                value: text.into_bytes(),
            },
        }
    }

    /// The value as text, for display; `None` for a binary one.
    pub fn to_text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Number(number) => Some(number.to_string()),
            Self::Other { data_type, value } if !data_type.starts_with("Binary") => {
                String::from_utf8(value.clone()).ok()
            }
            Self::Other { .. } => None,
        }
    }

    /// The value as a whole number, whether it was written as `Number` or as text.
    pub fn to_number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => self.to_text()?.parse().ok(),
        }
    }
}

/// Attributes by name.
pub type Attributes = BTreeMap<String, Attribute>;

/// A message to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingMessage {
    /// The body.
    pub body: String,
    /// At most [`MAX_ATTRIBUTES`].
    pub attributes: Attributes,
}

impl OutgoingMessage {
    /// The size that SQS counts against its limits: the body, and each attribute's name, data type and value.
    pub fn num_bytes(&self) -> usize {
        num_bytes(&self.body, &self.attributes)
    }
}

fn num_bytes(body: &str, attributes: &Attributes) -> usize {
    let attributes = attributes.iter().map(|(name, attribute)| {
        let (data_type, value) = match attribute {
            Attribute::Text(text) => ("String", text.len()),
            Attribute::Number(number) => ("Number", number.to_string().len()),
            Attribute::Other { data_type, value } => (data_type.as_str(), value.len()),
        };
        name.len() + data_type.len() + value
    });
    body.len() + attributes.sum::<usize>()
}

/// A message that was received and is hidden from others until its visibility timeout ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedMessage {
    /// The queue's id of the message.
    pub id: String,
    /// What deletes it, or changes its visibility.
    pub receipt_handle: String,
    /// The body.
    pub body: String,
    /// Message attributes, as the sender set them.
    pub attributes: Attributes,
    /// How often it was received, this time included.
    pub receive_count: u32,
    /// When it was sent, Unix milliseconds.
    pub sent_at_ms: u64,
    /// The queue's own attributes as strings (`SentTimestamp`, `DeadLetterQueueSourceArn`, …).
    pub system_attributes: BTreeMap<String, String>,
    /// MD5 of the body, as the queue states it.
    pub md5_of_body: String,
}

impl ReceivedMessage {
    /// See [`OutgoingMessage::num_bytes`].
    pub fn num_bytes(&self) -> usize {
        num_bytes(&self.body, &self.attributes)
    }
}

/// When a received message becomes visible again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisibilityChange {
    /// Of the last receive.
    pub receipt_handle: String,
    /// From now on, in whole seconds; zero: at once. SQS allows 12 hours since the receive.
    pub timeout: Duration,
}

/// How a queue stands. The numbers are approximate, as SQS says of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueStatus {
    /// ARN of the queue.
    pub arn: String,
    /// Messages that may be received.
    pub visible: u64,
    /// Messages received and not yet deleted.
    pub in_flight: u64,
    /// Messages that become visible later.
    pub delayed: u64,
    /// The queue's visibility timeout.
    pub visibility_timeout: Duration,
    /// Largest message that it takes, if it says so.
    pub max_message_bytes: Option<usize>,
    /// ARN of the queue that its redrive policy names, and the receive count at which it moves messages there.
    pub redrive_policy: Option<RedrivePolicy>,
}

/// A queue's redrive policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedrivePolicy {
    /// Where messages are moved.
    pub dead_letter_arn: String,
    /// After how many receives.
    pub max_receive_count: u32,
}

/// Why a queue did not do what was asked.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum QueueError {
    /// The call failed, or the queue refused the whole of it.
    #[error("{call} on {queue_url}: {detail}")]
    Call {
        /// The API call, for example `SendMessage`.
        call: &'static str,
        /// The queue.
        queue_url: String,
        /// The error code and message.
        detail: String,
    },
    /// The queue took the batch, but not this entry.
    #[error("{call} refused this message: {detail}")]
    Entry {
        /// The API call, for example `SendMessageBatch`.
        call: &'static str,
        /// The error code and message.
        detail: String,
    },
}

/// One queue. Implemented for SQS in [`crate::aws::sqs`].
pub trait MessageQueue: Send + Sync + 'static {
    /// Sends one message; `Ok` means that the queue has confirmed it.
    fn send(&self, message: &OutgoingMessage) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Sends up to [`MAX_BATCH_ENTRIES`] messages and answers for each, in order.
    fn send_batch(
        &self,
        messages: &[OutgoingMessage],
    ) -> impl Future<Output = Vec<Result<(), QueueError>>> + Send;

    /// Receives up to `max` (1 to [`MAX_BATCH_ENTRIES`]) messages, waiting up to `wait` (whole seconds, at most 20)
    /// for the first. `visibility` hides them for another time than the queue's own setting.
    fn receive(
        &self,
        max: usize,
        wait: Duration,
        visibility: Option<Duration>,
    ) -> impl Future<Output = Result<Vec<ReceivedMessage>, QueueError>> + Send;

    /// Deletes up to [`MAX_BATCH_ENTRIES`] messages by receipt handle and answers for each, in order.
    fn delete_batch(
        &self,
        receipt_handles: &[String],
    ) -> impl Future<Output = Vec<Result<(), QueueError>>> + Send;

    /// Changes when up to [`MAX_BATCH_ENTRIES`] received messages become visible again, and answers for each, in
    /// order.
    fn change_visibility(
        &self,
        changes: &[VisibilityChange],
    ) -> impl Future<Output = Vec<Result<(), QueueError>>> + Send;

    /// Asks for the queue's numbers and settings.
    fn status(&self) -> impl Future<Output = Result<QueueStatus, QueueError>> + Send;

    /// URLs of the queues whose redrive policy moves messages here.
    fn dead_letter_sources(&self) -> impl Future<Output = Result<Vec<String>, QueueError>> + Send;
}

/// Finds a queue by what events call it. Implemented for SQS in [`crate::aws::sqs`].
pub trait QueueFinder: Send + Sync + 'static {
    /// What is found.
    type Queue: MessageQueue;

    /// The queue of this ARN.
    fn find(&self, arn: &str) -> impl Future<Output = Result<Arc<Self::Queue>, QueueError>> + Send;
}
