//! Counting dead letters by what they have in common.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::cli::redrive::text;
use crate::dead_letter::DeadLetter;

/// Stands for the account or the day of a message whose objects have several.
const SEVERAL: &str = "several";

/// Numbers of dead letters that have something in common.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Numbers {
    pub(super) dead_letters: u64,
    /// Objects that they name.
    pub(super) objects: u64,
    /// Size of these objects as stored, as far as the S3 events tell.
    pub(super) bytes: u64,
    #[serde(rename = "oldest_failure", serialize_with = "text::as_time")]
    pub(super) oldest: Timestamp,
    #[serde(rename = "newest_failure", serialize_with = "text::as_time")]
    pub(super) newest: Timestamp,
}

impl Numbers {
    fn of(letter: &DeadLetter) -> Self {
        Self {
            dead_letters: 1,
            objects: letter.objects.len() as u64,
            bytes: letter.bytes().unwrap_or_default(),
            oldest: letter.time(),
            newest: letter.time(),
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.dead_letters += other.dead_letters;
        self.objects += other.objects;
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.oldest = self.oldest.min(other.oldest);
        self.newest = self.newest.max(other.newest);
    }
}

/// Dead letters of one reason and disposition.
#[derive(Debug, Serialize)]
pub(super) struct Group {
    pub(super) reason: String,
    pub(super) disposition: Option<String>,
    #[serde(flatten)]
    pub(super) numbers: Numbers,
    /// The largest first.
    pub(super) parts: Vec<Part>,
}

/// Those of a group whose objects are of one account and day.
#[derive(Debug, Serialize)]
pub(super) struct Part {
    /// `several`: one message names objects of several.
    pub(super) account: Option<String>,
    /// The day (UTC) of the object's own time.
    pub(super) day: Option<String>,
    #[serde(flatten)]
    pub(super) numbers: Numbers,
}

/// Account and day.
type PartKey = (Option<String>, Option<String>);

/// Reason, disposition, account and day of every dead letter that was seen.
#[derive(Debug, Default)]
pub(super) struct Tally {
    parts: BTreeMap<(String, Option<String>), BTreeMap<PartKey, Numbers>>,
    /// Dead letters by how often they were redriven.
    pub(super) hops: BTreeMap<u64, u64>,
    /// Dead letters by the ARN of the queue whose redrive policy moved them here.
    pub(super) moved_from: BTreeMap<String, u64>,
}

impl Tally {
    pub(super) fn add(&mut self, letter: &DeadLetter) {
        let group = (letter.reason().to_owned(), letter.disposition.clone());
        let numbers = Numbers::of(letter);
        match self.parts.entry(group).or_default().entry(part_key(letter)) {
            Entry::Vacant(place) => {
                place.insert(numbers);
            }
            Entry::Occupied(mut place) => place.get_mut().add(numbers),
        }
        *self.hops.entry(letter.hops).or_default() += 1;
        if let Some(arn) = &letter.moved_from {
            *self.moved_from.entry(arn.clone()).or_default() += 1;
        }
    }

    /// The largest first.
    pub(super) fn groups(self) -> Vec<Group> {
        let mut groups: Vec<Group> = self.parts.into_iter().map(to_group).collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.numbers.dead_letters));
        groups
    }
}

fn to_group(((reason, disposition), parts): ((String, Option<String>), BTreeMap<PartKey, Numbers>)) -> Group {
    let to_part = |((account, day), numbers)| Part {
        account,
        day,
        numbers,
    };
    let mut parts: Vec<Part> = parts.into_iter().map(to_part).collect();
    parts.sort_by_key(|part| std::cmp::Reverse(part.numbers.dead_letters));
    Group {
        reason,
        disposition,
        numbers: sum(parts.iter().map(|part| part.numbers)).expect("a group has a part"),
        parts,
    }
}

/// `None` without any.
pub(super) fn sum(numbers: impl Iterator<Item = Numbers>) -> Option<Numbers> {
    numbers.reduce(|mut sum, numbers| {
        sum.add(numbers);
        sum
    })
}

fn part_key(letter: &DeadLetter) -> PartKey {
    let accounts = letter
        .objects
        .iter()
        .map(|object| object.object.key_origin().account);
    let days = letter.objects.iter().map(|object| {
        let date = object.time()?.to_zoned(TimeZone::UTC).date();
        Some(date.to_string())
    });
    (in_common(accounts), in_common(days))
}

fn in_common(mut values: impl Iterator<Item = Option<String>>) -> Option<String> {
    let first = values.next()?;
    if values.all(|value| value == first) {
        first
    } else {
        Some(SEVERAL.to_owned())
    }
}
