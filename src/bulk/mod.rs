//! Documents → bulk bodies → one verdict per document. Takes index, id and bytes; knows nothing of flows.
//!
//! [`Segment`]s (a run of documents of one object) are packed into [`Body`]s; [`Courier`](delivery::Courier) sends a
//! body until every document has a verdict or the time is up.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::outcome::Failure;

pub mod delivery;
#[cfg(test)]
pub(crate) mod memory;
mod packing;
mod pressure;
mod response;
#[cfg(test)]
mod simulation;

pub use packing::{Body, Packer, Position, Segment, SegmentId};

/// An answer to `_bulk`, not yet read.
#[derive(Clone, Debug)]
pub struct BulkAnswer {
    /// HTTP status.
    pub status: u16,
    /// `Retry-After`, where a proxy in front of the server sent one.
    pub retry_after: Option<Duration>,
    /// The URL that answered, where it is not the one that was asked: most redirects lose the body on the way.
    pub redirected_to: Option<String>,
    /// The body.
    pub body: Bytes,
}

/// A call that got no answer.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum SendError {
    /// No answer in time; the server may have acted all the same.
    #[error("no answer in time")]
    Timeout,
    /// No connection, or it broke.
    #[error("{detail}")]
    Connection {
        /// The chain of causes.
        detail: String,
    },
}

/// Where bulk bodies go. Implemented for Elasticsearch in [`crate::elasticsearch::client`].
pub trait BulkSink: Send + Sync + 'static {
    /// Sends one gzip'd NDJSON body to `_bulk`.
    fn send_bulk(
        &self,
        gzip: Bytes,
        timeout: Duration,
    ) -> impl Future<Output = Result<BulkAnswer, SendError>> + Send;
}

impl<B: BulkSink> BulkSink for Arc<B> {
    async fn send_bulk(&self, gzip: Bytes, timeout: Duration) -> Result<BulkAnswer, SendError> {
        (**self).send_bulk(gzip, timeout).await
    }
}

/// Elasticsearch refused this document for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Status of the item.
    pub status: u16,
    /// Error type, for example `document_parsing_exception`.
    pub kind: String,
    /// The server's reason, without the value it quotes.
    pub reason: String,
}

/// A refused document, named by what its producer called it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedItem {
    /// The token given to [`Segment::push`].
    pub token: u64,
    /// What was given to [`Segment::attach`]; else nothing.
    pub attached: Vec<u8>,
    /// Why.
    pub refusal: Refusal,
}

/// What became of the documents of one segment: every document is counted exactly once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdicts {
    /// Created (201).
    pub delivered: u64,
    /// Already there (409).
    pub duplicate: u64,
    /// Refused for good.
    pub refused: Vec<RefusedItem>,
    /// Neither delivered nor refused when the time or the patience was up.
    pub failed: u64,
    /// Why the first of the failed ones failed.
    pub failure: Option<Failure>,
    /// Whether it is want of time: with more of it they would have been sent again.
    pub is_late: bool,
}
