//! How a queue is set, beyond what shipping needs to know of it.

use std::time::Duration;

use super::QueueStatus;

/// Everything that a queue says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueDetails {
    /// Its numbers and what shipping needs.
    pub status: QueueStatus,
    /// Its access policy: a JSON text of IAM's grammar.
    pub policy: Option<String>,
    /// Which queues may have it as their dead-letter queue: a JSON text.
    pub redrive_allow_policy: Option<String>,
    /// How long it keeps a message.
    pub retention: Duration,
    /// How long a receive waits for a message unless it says otherwise.
    pub receive_wait: Duration,
    /// The KMS key that encrypts its messages, if one does.
    pub kms_key: Option<String>,
}

/// Why a queue says nothing.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unanswered {
    /// There is no such queue.
    #[error("{0}")]
    Missing(String),
    /// It is not allowed to ask.
    #[error("{0}")]
    Denied(String),
    /// It cannot be asked: no region is set.
    #[error("{0}")]
    NoRegion(String),
    /// It cannot be asked: there are no credentials, or the service does not know them.
    #[error("{0}")]
    NoCredentials(String),
    /// Anything else: no network, a service that is out of order.
    #[error("{0}")]
    Failed(String),
}
