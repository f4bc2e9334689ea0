//! Lines of one object that follow each other, as they are handed on: their documents, and what else they came to.

use crate::bulk::Segment;
use crate::flow::LineError;

/// Some lines of an object, in order, none left out.
#[derive(Debug)]
pub struct Stretch {
    /// Their documents, if any. The items carry the line number as their token, and their line's
    /// [`Origin`](crate::quarantine::Origin) where lines are kept aside.
    pub segment: Segment,
    /// How many they are.
    pub counts: LineCounts,
    /// The line after the last of them, from 1; header and blank lines count.
    pub next_line: u64,
}

/// What reading some lines came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineCounts {
    /// Data lines.
    pub lines: u64,
    /// NODATA records that were not turned into documents.
    pub no_data: u64,
    /// Lines that cannot be read.
    pub malformed: u64,
    /// The first of them: line number from 1, and why.
    pub first_malformed: Option<(u64, LineError)>,
    /// What `@timestamp` says in the first and in the last document by time, Unix seconds.
    pub times: Option<(u32, u32)>,
}

impl LineCounts {
    /// Adds those of lines that come after these.
    pub fn add(&mut self, later: &Self) {
        self.lines += later.lines;
        self.no_data += later.no_data;
        self.malformed += later.malformed;
        if self.first_malformed.is_none() {
            self.first_malformed.clone_from(&later.first_malformed);
        }
        if let Some((first, last)) = later.times {
            self.note_time(first);
            self.note_time(last);
        }
    }

    pub(super) fn note_time(&mut self, timestamp: u32) {
        let (first, last) = self.times.unwrap_or((timestamp, timestamp));
        self.times = Some((first.min(timestamp), last.max(timestamp)));
    }
}
