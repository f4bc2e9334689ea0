//! Documents → bulk bodies → one verdict per document. Takes index, id and bytes; knows nothing of flows.
//!
//! [`Segment`]s (a run of documents of one object) are packed into [`Body`]s; [`deliver`](delivery::deliver) sends a
//! body until every document has a [`Verdict`] or the time is up.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;

/// An answer to `_bulk`, not yet read.
#[derive(Clone, Debug)]
pub struct BulkAnswer {
    /// HTTP status.
    pub status: u16,
    /// `Retry-After`, where a proxy in front of the server sent one.
    pub retry_after: Option<Duration>,
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
