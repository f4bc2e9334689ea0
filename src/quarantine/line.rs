//! One line in quarantine: its row in the file, and what that row is made from.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::origin::{Attached, Origin};
use crate::bulk::RefusedItem;
use crate::decode::Line;
use crate::flow::LineError;
use crate::outcome::Reason;

/// A line that is not indexed, and why. A member without a value is not written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantinedLine {
    /// Its number in the object, from 1; header and blank lines count.
    pub line: u64,
    /// Inflated bytes before it; absent for Parquet and for events of CloudWatch Logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Its number among the records, from 0: part of the document's id.
    pub ordinal: u64,
    /// The place of its format among those in the file's head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<u32>,
    /// The stable dotted class.
    pub reason: Cow<'static, str>,
    /// One line for people.
    pub detail: String,
    /// The status with which Elasticsearch refused the document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The type of error that it named.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The length of a line that is too long to be read, bytes; nothing else of it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_bytes: Option<u64>,
    /// The widths in bytes of its values, which stand in the line with one blank between them, where they are known by
    /// other means than blanks (Parquet).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub widths: Option<Vec<u32>>,
    /// The line, where it is UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<String>,
    /// Its bytes in base64, where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_base64: Option<String>,
}

impl QuarantinedLine {
    /// A line that cannot be read.
    pub fn malformed(origin: &Origin<'_>, error: &LineError) -> Self {
        let unread = Self {
            line: origin.line_number,
            offset: origin.offset,
            ordinal: origin.ordinal,
            format: origin.format,
            reason: Cow::Borrowed(reason(error).as_str()),
            detail: error.to_string(),
            ..Self::default()
        };
        match origin.line {
            Line::Whole(line) | Line::NoMessage(line) => unread.with_raw(line),
            Line::Row { line, spans } => {
                let widths = spans.iter().map(|(from, to)| u32::try_from(to - from));
                Self {
                    widths: widths.collect::<Result<_, _>>().ok(),
                    ..unread.with_raw(line)
                }
            }
            Line::TooLong { num_bytes } => Self {
                num_bytes: Some(num_bytes),
                ..unread
            },
        }
    }

    /// A line whose document Elasticsearch refused for good. [`Origin::write`] was attached to the document, and its
    /// token is the number of the line.
    pub fn refused(item: &RefusedItem) -> Self {
        let refused = Self {
            line: item.token,
            reason: Cow::Borrowed(Reason::DocumentRefused.as_str()),
            detail: item.refusal.reason.clone(),
            status: Some(item.refusal.status),
            kind: Some(item.refusal.kind.clone()),
            ..Self::default()
        };
        let Some(attached) = Attached::parse(&item.attached) else {
            return refused;
        };
        Self {
            offset: attached.offset,
            ordinal: attached.ordinal,
            format: attached.format,
            widths: attached.widths,
            ..refused.with_raw(attached.line)
        }
    }

    /// What its texts take in memory, bytes.
    pub fn num_bytes_held(&self) -> usize {
        let raw = self.raw.as_ref().or(self.raw_base64.as_ref());
        let widths = self.widths.as_ref().map_or(0, |widths| 4 * widths.len());
        raw.map_or(0, String::len) + self.detail.len() + widths
    }

    fn with_raw(self, line: &[u8]) -> Self {
        match std::str::from_utf8(line) {
            Ok(text) => Self {
                raw: Some(text.to_owned()),
                ..self
            },
            Err(_) => Self {
                raw_base64: Some(STANDARD.encode(line)),
                ..self
            },
        }
    }

    /// The line, byte for byte; `None` where it was too long to be read, or where the row is damaged.
    pub fn raw(&self) -> Option<Cow<'_, [u8]>> {
        match (&self.raw, &self.raw_base64) {
            (Some(text), _) => Some(Cow::Borrowed(text.as_bytes())),
            (None, Some(encoded)) => STANDARD.decode(encoded).ok().map(Cow::Owned),
            (None, None) => None,
        }
    }
}

/// The class of a line that cannot be read.
fn reason(error: &LineError) -> Reason {
    match error {
        LineError::ColumnCount { .. } => Reason::LineColumnCount,
        LineError::Number { .. } => Reason::LineNumber,
        LineError::Address { .. } => Reason::LineAddress,
        LineError::Time { .. } => Reason::LineTime,
        LineError::NoTime => Reason::LineNoTime,
        LineError::NoMessage => Reason::LineNoMessage,
        LineError::TooLong { .. } => Reason::LineTooLong,
    }
}
