//! Quarantined lines, counted by why they are there.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use super::QuarantinedLine;

/// Why lines are in quarantine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cause {
    /// The stable dotted class.
    pub reason: Cow<'static, str>,
    /// The type of error that Elasticsearch named, where it was Elasticsearch.
    pub kind: Option<String>,
}

impl Cause {
    /// Of this line.
    pub fn of(line: &QuarantinedLine) -> Self {
        Self {
            reason: line.reason.clone(),
            kind: line.kind.clone(),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Some(kind) => write!(f, "{} ({kind})", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

/// Lines of the same cause.
#[derive(Clone, Debug)]
pub struct Group {
    /// How many.
    pub lines: u64,
    /// One of them.
    pub example: QuarantinedLine,
}

/// The lines of a file by cause.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    groups: BTreeMap<Cause, Group>,
}

impl Tally {
    /// Counts a line.
    pub fn add(&mut self, line: &QuarantinedLine) {
        let group = self.groups.entry(Cause::of(line)).or_insert_with(|| Group {
            lines: 0,
            example: line.clone(),
        });
        group.lines += 1;
    }

    /// Adds lines that were counted elsewhere.
    pub fn append(&mut self, other: Self) {
        for (cause, group) in other.groups {
            match self.groups.entry(cause) {
                Entry::Occupied(mut entry) => entry.get_mut().lines += group.lines,
                Entry::Vacant(entry) => {
                    entry.insert(group);
                }
            }
        }
    }

    /// How many lines were counted.
    pub fn num_lines(&self) -> u64 {
        self.groups.values().map(|group| group.lines).sum()
    }

    /// By cause, in the order of the names.
    pub fn groups(&self) -> impl Iterator<Item = (&Cause, &Group)> {
        self.groups.iter()
    }
}
