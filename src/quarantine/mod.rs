//! Single lines and documents that were refused, kept aside with their reasons: one file for one pass over one
//! object, gzip'd NDJSON. Its first row is its [`Head`]; each other row is a [`QuarantinedLine`], in no order.
//!
//! ```text
//! {"object":{"bucket":"logs","key":"AWSLogs/…","last_modified":"2026-11-20T16:25:04Z"},"first_line":1,"lines":1,"formats":["version account-id …"],"version":"0.1.0"}
//! {"line":12,"offset":1371,"ordinal":10,"format":0,"reason":"line.column_count","detail":"has 4 columns, the format has 14","raw":"2 123 eni-1 x"}
//! ```
//!
//! The same pass over the same object gives the same key, so that a replay overwrites the file and adds none. What goes
//! aside, and when, is decided in [`crate::ship`].

use std::future::Future;
use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::object::{ObjectInfo, ObjectRef};
use crate::outcome::{Failure, Reason};

mod line;
#[cfg(test)]
pub(crate) mod memory;
mod origin;
mod place;
mod read;
mod remainder;
mod tally;

pub use line::QuarantinedLine;
pub use origin::Origin;
pub use place::{FileAddress, Place};
pub use read::{QuarantineFile, ReadError};
pub use remainder::{Remainder, Replayed};
pub use tally::{Cause, Group, Tally};

/// Largest file before its head, half of it for lines that cannot be read, half for refused documents: some hundred
/// thousand lines, all of which are held in memory until the last document of their object has its verdict. An object
/// of which more is wrong is wrong as a whole.
pub const MAX_GATHERED_BYTES: usize = 4 << 20;

/// Rows repeat themselves nearly as much as bulk bodies do, for which level 1 does nearly all that can be done.
const GZIP_LEVEL: u32 = 1;

const MEMORY: &str = "writing to memory does not fail";

/// Where quarantine files are written. Implemented for S3 in [`crate::aws::s3`].
///
/// The function only puts: it knows nothing of what was there. Who has read a file and writes what remains of it
/// replaces, so that a file that the function wrote in between is never lost.
pub trait Quarantine: Send + Sync + 'static {
    /// Writes or overwrites an object. It is there when this returns `Ok`.
    fn put(
        &self,
        object: &ObjectRef,
        bytes: Bytes,
    ) -> impl Future<Output = Result<(), QuarantineError>> + Send;

    /// Overwrites an object that is still the one with this ETag, and no other one.
    fn replace(
        &self,
        object: &ObjectRef,
        etag: &str,
        bytes: Bytes,
    ) -> impl Future<Output = Result<Replacement, QuarantineError>> + Send;
}

/// What became of an object that was to be overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// The new bytes are there.
    Written,
    /// It is another one by now, and was left as it is.
    Changed,
}

/// A quarantine file that was not written, as far as is known.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{object} was not written: {detail}")]
pub struct QuarantineError {
    /// The file.
    pub object: ObjectRef,
    /// What the store says, in one line.
    pub detail: String,
}

impl QuarantineError {
    /// The failure to report for the object whose lines they are: it comes back with them.
    pub fn failure(&self) -> Failure {
        Failure::new(Reason::QuarantineUnavailable, self.to_string())
    }
}

fn timestamp(seconds: u32) -> Timestamp {
    Timestamp::from_second(seconds.into()).expect("four bytes of seconds are within jiff's years")
}

/// The first row: what the lines are of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The object.
    pub object: SourceObject,
    /// The line that the pass began with, from 1.
    pub first_line: u64,
    /// Lines in this file.
    pub lines: u64,
    /// The formats of the object, as header lines; lines name theirs by its place here.
    pub formats: Vec<String>,
    /// flowship's version.
    pub version: String,
    /// What became of lines that were in this file before; absent while it is as it was written first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed: Option<Replayed>,
}

/// The object that quarantined lines are of, and what the store said of it; what it did not say is absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceObject {
    /// Bucket name.
    pub bucket: String,
    /// Decoded key.
    pub key: String,
    /// The version that was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// Its length as stored, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// As S3 quotes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// When it was written: the time of records that have none, unless its key has a stamp.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<Timestamp>,
}

impl SourceObject {
    /// An object and what the store said of it.
    pub fn new(object: &ObjectRef, info: &ObjectInfo) -> Self {
        Self {
            bucket: object.bucket.clone(),
            key: object.key.clone(),
            version_id: object.version_id.clone().or_else(|| info.version_id.clone()),
            size: info.size,
            etag: info.etag.clone(),
            last_modified: info.last_modified.map(timestamp),
        }
    }

    /// The object, and as much of what the store said of it as documents depend on.
    pub fn to_object(&self) -> (ObjectRef, Option<u32>) {
        let object = ObjectRef {
            bucket: self.bucket.clone(),
            key: self.key.clone(),
            version_id: self.version_id.clone(),
        };
        let last_modified = self.last_modified.map(Timestamp::as_second);
        (
            object,
            last_modified.and_then(|seconds| u32::try_from(seconds).ok()),
        )
    }
}

impl Head {
    /// The head of a file of this version.
    pub fn new(object: SourceObject, first_line: u64, lines: u64, formats: Vec<String>) -> Self {
        Self {
            object,
            first_line,
            lines,
            formats,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            replayed: None,
        }
    }

    /// The whole file.
    pub fn file(&self, lines: impl IntoIterator<Item = Gathered>) -> Result<Bytes, TooMuch> {
        let mut encoder = encoder();
        write_row(&mut encoder, self);
        let mut file = encoder.finish().expect(MEMORY);
        for gathered in lines {
            if let Some(member) = gathered.finish()? {
                file.extend_from_slice(&member);
            }
        }
        Ok(file.into())
    }
}

/// More than is kept aside of one object.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("more than {MAX_GATHERED_BYTES} bytes after compression")]
pub struct TooMuch;

/// Lines of one object on their way into its file, compressed.
#[derive(Debug, Default)]
pub enum Gathered {
    /// None yet.
    #[default]
    Nothing,
    /// A gzip member that is not ended.
    Rows(Box<GzEncoder<Vec<u8>>>),
    /// It became too large: nothing is held any more.
    TooMuch,
}

impl Gathered {
    /// Adds a line, or lets go of all.
    pub fn add(&mut self, line: &QuarantinedLine) {
        if matches!(self, Self::Nothing) {
            *self = Self::Rows(Box::new(encoder()));
        }
        if let Self::Rows(encoder) = self {
            write_row(encoder, line);
            if encoder.get_ref().len() > MAX_GATHERED_BYTES {
                *self = Self::TooMuch;
            }
        }
    }

    /// A gzip member, if there were lines.
    fn finish(self) -> Result<Option<Vec<u8>>, TooMuch> {
        match self {
            Self::Nothing => Ok(None),
            Self::Rows(encoder) => Ok(Some(encoder.finish().expect(MEMORY))),
            Self::TooMuch => Err(TooMuch),
        }
    }
}

fn encoder() -> GzEncoder<Vec<u8>> {
    GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL))
}

fn write_row(encoder: &mut GzEncoder<Vec<u8>>, row: &impl Serialize) {
    serde_json::to_writer(&mut *encoder, row).expect("rows are numbers and texts");
    encoder.write_all(b"\n").expect(MEMORY);
}

#[cfg(test)]
mod tests;
