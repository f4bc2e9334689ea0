//! What can become of a line, a document and an object: the words, the counters and the closed list of reasons.
//! Every other module speaks of failure in these terms; nothing here knows where a failure came from.

use std::fmt;

use serde::{Deserialize, Serialize};

/// May the same input succeed later?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Disposition {
    /// Another attempt may succeed: the message comes back by its visibility timeout.
    Transient,
    /// The input will fail again until someone repairs it: it goes to the dead-letter queue at once.
    Permanent,
    /// So will one line of an object, whose other lines are none the worse: it is kept aside.
    Quarantine,
}

impl Disposition {
    /// The word used in dead letters and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Permanent => "permanent",
            Self::Quarantine => "quarantine",
        }
    }
}

/// Why an object, or one line of it, was not indexed. The dotted names are stable: alarms and `redrive` select by
/// them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The message body is no notification that flowship knows.
    NotificationMalformed,
    /// S3 has no such bucket, key or version.
    ObjectNotFound,
    /// S3 refuses to hand the object out (policy, KMS key).
    ObjectAccessDenied,
    /// The object lies in an archive storage class and must be restored first.
    ObjectArchived,
    /// The object was overwritten by a shorter one between two passes over it.
    ObjectChanged,
    /// S3 failed, throttled or broke off in the middle of the object.
    ObjectUnavailable,
    /// The gzip stream is damaged: bad checksum, bad block, or bytes after its end.
    DecodeCorruptGzip,
    /// The gzip stream ends before its trailer.
    DecodeTruncatedGzip,
    /// The Parquet file is damaged: no footer, bad checksum, bad page.
    DecodeCorruptParquet,
    /// The JSON documents of CloudWatch Logs are damaged: out of shape, or ended in the middle.
    DecodeCorruptJson,
    /// The folder for temporary files, where Parquet files are read from, is full or cannot be written.
    DecodeSpoolFailed,
    /// No header line, and not the default format either.
    FormatUnknown,
    /// The header line cannot be used: a column name appears twice.
    FormatInvalid,
    /// A Parquet file with nested columns, encryption or a compression that is not read.
    FormatUnsupported,
    /// More of the object's lines were refused than are kept aside; all others were indexed.
    ObjectMostlyMalformed,
    /// Without a quarantine: at least one line cannot be read; all others were indexed.
    LineMalformed,
    /// Without a quarantine: Elasticsearch refused at least one document for good; all others were indexed.
    BulkRejected,
    /// A line with another number of columns than its format has.
    LineColumnCount,
    /// A line with something else where a number should be.
    LineNumber,
    /// A line with something else where an address should be.
    LineAddress,
    /// A line with something else where a time should be.
    LineTime,
    /// A line without a time, of an object that has none either.
    LineNoTime,
    /// A line in JSON that wraps no record.
    LineNoMessage,
    /// A line that is longer than any flow record.
    LineTooLong,
    /// A line whose document Elasticsearch refused for good.
    DocumentRefused,
    /// The lines that are to be kept aside could not be written.
    QuarantineUnavailable,
    /// Elasticsearch was not reachable, or answered 5xx, until the time was up.
    BulkUnavailable,
    /// Elasticsearch answered 429 until the time was up.
    BulkThrottled,
    /// Elasticsearch refused the credentials, or they lack a privilege.
    BulkUnauthorized,
    /// The index or the cluster is blocked for writes (read-only, flood stage).
    BulkBlocked,
    /// Elasticsearch refused for a reason that is not the document's (shard limit, closed or missing index, …).
    BulkMisconfigured,
    /// A `_bulk` answer that cannot be matched with what was sent; nothing of it counts as delivered.
    BulkAnswerInvalid,
    /// The invocation's time was up before the object was finished.
    DeadlineExceeded,
    /// A defect in flowship itself.
    InternalError,
}

use Disposition::{Permanent, Quarantine, Transient};

/// The one table of reasons: name and disposition.
const REASONS: [(Reason, &str, Disposition); 34] = [
    (Reason::NotificationMalformed, "notification.malformed", Permanent),
    (Reason::ObjectNotFound, "object.not_found", Permanent),
    (Reason::ObjectAccessDenied, "object.access_denied", Permanent),
    (Reason::ObjectArchived, "object.archived", Permanent),
    (Reason::ObjectChanged, "object.changed", Permanent),
    (Reason::ObjectUnavailable, "object.unavailable", Transient),
    (Reason::DecodeCorruptGzip, "decode.corrupt_gzip", Permanent),
    (Reason::DecodeTruncatedGzip, "decode.truncated_gzip", Permanent),
    (Reason::DecodeCorruptParquet, "decode.corrupt_parquet", Permanent),
    (Reason::DecodeCorruptJson, "decode.corrupt_json", Permanent),
    (Reason::DecodeSpoolFailed, "decode.spool_failed", Transient),
    (Reason::FormatUnknown, "format.unknown", Permanent),
    (Reason::FormatInvalid, "format.invalid", Permanent),
    (Reason::FormatUnsupported, "format.unsupported", Permanent),
    (
        Reason::ObjectMostlyMalformed,
        "object.mostly_malformed",
        Permanent,
    ),
    (Reason::LineMalformed, "line.malformed", Permanent),
    (Reason::BulkRejected, "bulk.rejected", Permanent),
    (Reason::LineColumnCount, "line.column_count", Quarantine),
    (Reason::LineNumber, "line.number", Quarantine),
    (Reason::LineAddress, "line.address", Quarantine),
    (Reason::LineTime, "line.time", Quarantine),
    (Reason::LineNoTime, "line.no_time", Quarantine),
    (Reason::LineNoMessage, "line.no_message", Quarantine),
    (Reason::LineTooLong, "line.too_long", Quarantine),
    (Reason::DocumentRefused, "document.refused", Quarantine),
    (Reason::QuarantineUnavailable, "quarantine.unavailable", Transient),
    (Reason::BulkUnavailable, "bulk.unavailable", Transient),
    (Reason::BulkThrottled, "bulk.throttled", Transient),
    (Reason::BulkUnauthorized, "bulk.unauthorized", Transient),
    (Reason::BulkBlocked, "bulk.blocked", Transient),
    (Reason::BulkMisconfigured, "bulk.misconfigured", Transient),
    (Reason::BulkAnswerInvalid, "bulk.answer_invalid", Transient),
    (Reason::DeadlineExceeded, "deadline.exceeded", Transient),
    (Reason::InternalError, "internal.error", Transient),
];

impl Reason {
    /// The stable dotted class, for example `object.not_found`.
    pub fn as_str(self) -> &'static str {
        self.row().1
    }

    /// Whether the same input may succeed later.
    pub fn disposition(self) -> Disposition {
        self.row().2
    }

    /// All reasons, in the order of the stages they come from.
    pub fn all() -> impl Iterator<Item = Self> {
        REASONS.iter().map(|row| row.0)
    }

    fn row(self) -> &'static (Self, &'static str, Disposition) {
        REASONS
            .iter()
            .find(|row| row.0 == self)
            .expect("every reason has a row in the table")
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why one object failed: the class for machines, one line of detail for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The class.
    pub reason: Reason,
    /// One line: where and what. Never a secret, never a whole document.
    pub detail: String,
}

impl Failure {
    /// A failure of this class with its detail.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.detail)
    }
}

/// What becomes of an object after a pass over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {
    /// Every line has its outcome.
    #[serde(rename = "indexed")]
    Indexed,
    /// Another invocation takes the rest.
    #[serde(rename = "goes on")]
    GoesOn,
    /// Its message comes back.
    #[serde(rename = "comes back")]
    ComesBack,
    /// It goes to the dead-letter queue.
    #[serde(rename = "dead letter")]
    DeadLetter,
}

impl Fate {
    /// The words used in logs and in the ledger.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Indexed => "indexed",
            Self::GoesOn => "goes on",
            Self::ComesBack => "comes back",
            Self::DeadLetter => "dead letter",
        }
    }
}

/// An error and its causes in one line, each said once.
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = inner.source();
    }
    text
}

/// What became of the lines of one object (header and blank lines are not lines). For an object that was read to
/// its end and answered for, `lines = indexed + duplicate + no_data + quarantined + refused`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Data lines read.
    pub lines: u64,
    /// Documents that Elasticsearch created (201).
    pub indexed: u64,
    /// Documents that were there already (409 on `create`).
    pub duplicate: u64,
    /// NODATA records, which are counted and by default not indexed.
    pub no_data: u64,
    /// Lines that cannot be read and documents that Elasticsearch refused for good, once they are in quarantine.
    pub quarantined: u64,
    /// The same, where they are not: an object that has any has failed.
    pub refused: u64,
}

impl Counts {
    /// Lines that have a final outcome.
    pub fn accounted(&self) -> u64 {
        self.indexed + self.duplicate + self.no_data + self.quarantined + self.refused
    }

    /// Adds another object's counters to these.
    pub fn add(&mut self, other: &Self) {
        self.lines += other.lines;
        self.indexed += other.indexed;
        self.duplicate += other.duplicate;
        self.no_data += other.no_data;
        self.quarantined += other.quarantined;
        self.refused += other.refused;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn reason_names_are_unique_and_dotted() {
        let names: HashSet<_> = Reason::all().map(Reason::as_str).collect();
        assert_eq!(names.len(), REASONS.len());
        assert!(names.iter().all(|name| name.split('.').count() == 2));
    }

    #[test]
    fn counts_account_for_every_line() {
        let mut counts = Counts {
            lines: 6,
            indexed: 2,
            duplicate: 1,
            no_data: 1,
            quarantined: 1,
            refused: 1,
        };
        assert_eq!(counts.accounted(), counts.lines);
        counts.add(&counts.clone());
        assert_eq!((counts.lines, counts.accounted()), (12, 12));
    }
}
