//! Why the bytes of an object cannot be read to their end.

use std::io;

use crate::object::StoreError;
use crate::outcome::{Failure, Reason};

/// Why the bytes of an object cannot be read to their end.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The store failed in the middle.
    #[error(transparent)]
    Store(StoreError),
    /// Reading was stopped from outside (deadline, another failure of the object).
    #[error("reading was stopped")]
    Stopped,
    /// A damaged gzip stream.
    #[error("the gzip stream is damaged after {num_bytes} inflated bytes: {source}")]
    CorruptGzip {
        /// Bytes that could be inflated before.
        num_bytes: u64,
        /// What the decoder says.
        source: io::Error,
    },
    /// A gzip stream without its end.
    #[error("the gzip stream ends before its trailer, after {num_bytes} inflated bytes")]
    TruncatedGzip {
        /// Bytes that could be inflated.
        num_bytes: u64,
    },
    /// A damaged Parquet file, or the beginning of one.
    #[error("the Parquet file is damaged after {num_rows} rows: {detail}")]
    CorruptParquet {
        /// Rows that could be read before.
        num_rows: u64,
        /// What the decoder says.
        detail: String,
    },
    /// A Parquet file that uses what is not read.
    #[error("the Parquet file {detail}")]
    UnsupportedParquet {
        /// What it has.
        detail: String,
    },
    /// Damaged documents of CloudWatch Logs, or their beginning.
    #[error("the JSON is damaged after {num_events} events: {detail}")]
    CorruptJson {
        /// Events that could be read before.
        num_events: u64,
        /// What is wrong.
        detail: String,
    },
    /// A Parquet file could not be put into the folder for temporary files, where it is read from.
    #[error("the Parquet file does not get into the folder for temporary files: {source}")]
    Spool {
        /// What the system says: no space left, most often.
        source: io::Error,
    },
}

impl DecodeError {
    /// The failure to report for the object.
    pub fn failure(&self) -> Failure {
        let reason = match self {
            Self::Store(error) => return error.failure(),
            Self::Stopped => Reason::DeadlineExceeded,
            Self::CorruptGzip { .. } => Reason::DecodeCorruptGzip,
            Self::TruncatedGzip { .. } => Reason::DecodeTruncatedGzip,
            Self::CorruptParquet { .. } => Reason::DecodeCorruptParquet,
            Self::UnsupportedParquet { .. } => Reason::FormatUnsupported,
            Self::CorruptJson { .. } => Reason::DecodeCorruptJson,
            Self::Spool { .. } => Reason::DecodeSpoolFailed,
        };
        Failure::new(reason, self.to_string())
    }
}
