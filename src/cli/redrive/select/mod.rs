//! Which dead letters a command is about.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

use clap::Args;
use jiff::Timestamp;

pub(super) use self::when::{When, parse_duration};
use crate::cli::glob::Glob;
use crate::dead_letter::{DeadLetter, FailedObject};

mod when;

/// Shortest beginning of a message id that is taken for one.
pub(super) const MIN_ID_CHARS: usize = 8;

/// The options that every verb selects by.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Selection")]
pub(super) struct Selection {
    #[command(flatten)]
    pub(super) filter: Filter,
    /// Only what was redriven less often than N times
    #[arg(long, value_name = "N")]
    pub(super) max_hops: Option<u32>,
    /// At most N: `list` shows the oldest; others take what comes first
    #[arg(long, value_name = "N")]
    pub(super) limit: Option<NonZeroUsize>,
}

impl Selection {
    /// Whether the dead letter is meant, by filter and hops; the limit is left to whoever counts.
    pub(super) fn matches(&self, letter: &DeadLetter, now: Timestamp) -> bool {
        let few_hops = self.max_hops.is_none_or(|max| letter.hops < u64::from(max));
        few_hops && self.filter.matches(letter, now)
    }

    /// The limit as a number.
    pub(super) fn limit(&self) -> usize {
        self.limit.map_or(usize::MAX, NonZeroUsize::get)
    }
}

/// Without any of these, every dead letter is selected. An option that is repeated selects what matches any of its
/// values; of several options, all must match.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(super) struct Filter {
    /// Only reasons that match: `*` is any text, `?` one character
    #[arg(long = "reason", value_name = "GLOB")]
    pub(super) reasons: Vec<Glob>,
    /// Only these failures: transient, permanent, or unknown
    #[arg(long = "disposition", value_name = "WORD", value_parser = ["transient", "permanent", "unknown"], hide_possible_values = true)]
    pub(super) dispositions: Vec<String>,
    /// Only objects of this account, by their key
    #[arg(long = "account", value_name = "ID")]
    pub(super) accounts: Vec<String>,
    /// Only objects of this region, by their key
    #[arg(long = "region", value_name = "REGION")]
    pub(super) regions: Vec<String>,
    /// Only objects of this flow log, by their key
    #[arg(long = "flow-log", value_name = "ID")]
    pub(super) flow_logs: Vec<String>,
    /// Only objects whose whole key matches
    #[arg(long = "key", value_name = "GLOB")]
    pub(super) keys: Vec<Glob>,
    /// Only objects of this time on, by the stamp in their key, else by the event's time
    #[arg(long, value_name = "WHEN")]
    pub(super) from: Option<When>,
    /// Only objects of a time before this
    #[arg(long, value_name = "WHEN")]
    pub(super) to: Option<When>,
    /// Only failures before this time or age: 2026-11-20, 2h, 3d
    #[arg(long, value_name = "WHEN")]
    pub(super) older: Option<When>,
    /// Only failures from this time or age on
    #[arg(long, value_name = "WHEN")]
    pub(super) newer: Option<When>,
    /// Only this message, by its id or the beginning that `list` shows
    #[arg(long = "id", value_name = "ID")]
    pub(super) ids: Vec<IdPrefix>,
}

impl Filter {
    /// Whether nothing was asked for: everything matches.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// A message with several objects matches as a whole if one of them does.
    pub(super) fn matches(&self, letter: &DeadLetter, now: Timestamp) -> bool {
        let names_a_match = || {
            letter
                .objects
                .iter()
                .any(|object| self.matches_object(object, now))
        };
        self.matches_failure(letter, now) && (!self.asks_for_objects() || names_a_match())
    }

    fn matches_failure(&self, letter: &DeadLetter, now: Timestamp) -> bool {
        let reason = letter.reason();
        // `unknown (…)` is also found by its first word.
        let class = reason.split(' ').next().unwrap_or(reason);
        let disposition = letter.disposition.as_deref().unwrap_or("unknown");
        is_any(&self.reasons, |glob| glob.matches(reason) || glob.matches(class))
            && is_any(&self.dispositions, |wanted| wanted == disposition)
            && is_any(&self.ids, |id| id.begins(&letter.id))
            && is_between(letter.time(), self.newer, self.older, now)
    }

    /// A body that names no object has no account, region or time, and no such question is answered with yes.
    fn asks_for_objects(&self) -> bool {
        let lists = [&self.accounts, &self.regions, &self.flow_logs];
        lists.iter().any(|wanted| !wanted.is_empty()) || !self.keys.is_empty() || self.asks_for_time()
    }

    fn asks_for_time(&self) -> bool {
        self.from.is_some() || self.to.is_some()
    }

    fn matches_object(&self, failed: &FailedObject, now: Timestamp) -> bool {
        let origin = failed.object.key_origin();
        let by_time = match failed.time() {
            Some(time) => is_between(time, self.from, self.to, now),
            None => !self.asks_for_time(),
        };
        by_time
            && is_any(&self.accounts, |account| origin.account.as_ref() == Some(account))
            && is_any(&self.regions, |region| origin.region.as_ref() == Some(region))
            && is_any(&self.flow_logs, |id| origin.flow_log_id.as_ref() == Some(id))
            && is_any(&self.keys, |glob| glob.matches(&failed.object.key))
    }
}

/// Whether any of the values fits, or none was asked for.
pub(super) fn is_any<T>(wanted: &[T], fits: impl Fn(&T) -> bool) -> bool {
    wanted.is_empty() || wanted.iter().any(fits)
}

/// From `first` on, and before `end`.
fn is_between(time: Timestamp, first: Option<When>, end: Option<When>, now: Timestamp) -> bool {
    first.is_none_or(|first| time >= first.resolve(now)) && end.is_none_or(|end| time < end.resolve(now))
}

/// A message id, or the beginning of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IdPrefix(String);

impl IdPrefix {
    /// Whether the message is meant.
    pub(super) fn begins(&self, id: &str) -> bool {
        id.starts_with(&self.0)
    }

    pub(super) fn num_chars(&self) -> usize {
        self.0.chars().count()
    }
}

impl fmt::Display for IdPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for IdPrefix {
    type Err = String;

    fn from_str(id: &str) -> Result<Self, Self::Err> {
        if id.chars().count() < MIN_ID_CHARS {
            return Err(format!(
                "give at least {MIN_ID_CHARS} characters of the message id, as `redrive list` shows it"
            ));
        }
        Ok(Self(id.to_owned()))
    }
}

#[cfg(test)]
mod tests;
