//! Which quarantined lines a command is about.

use std::num::NonZeroUsize;

use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::cli::glob::Glob;
use crate::cli::redrive::select::{When, is_any};
use crate::flow::Dataset;
use crate::object::ObjectRef;
use crate::quarantine::{Cause, FileAddress, QuarantinedLine};

/// Without any of these, every line is selected. An option that is repeated selects what matches any of its values; of
/// several options, all must match.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Selection")]
pub(super) struct Selection {
    /// Only lines whose reason matches: `*` is any text, `?` one character
    #[arg(long = "reason", value_name = "GLOB")]
    reasons: Vec<Glob>,
    /// Only flow logs of this kind: vpc or tgw
    #[arg(long = "dataset", value_name = "NAME", value_parser = Dataset::ALL.map(Dataset::name), hide_possible_values = true)]
    datasets: Vec<String>,
    /// Only files of this day on, by the day in their key
    #[arg(long, value_name = "WHEN")]
    from: Option<When>,
    /// Only files of a day that begins before this
    #[arg(long, value_name = "WHEN")]
    to: Option<When>,
    /// Only objects of this account, by their key
    #[arg(long = "account", value_name = "ID")]
    accounts: Vec<String>,
    /// Only objects of this flow log, by their key
    #[arg(long = "flow-log", value_name = "ID")]
    flow_logs: Vec<String>,
    /// Only lines of objects whose whole key matches
    #[arg(long = "key", alias = "object", value_name = "GLOB")]
    keys: Vec<Glob>,
    /// At most N files, by dataset and day
    #[arg(long, value_name = "N")]
    limit: Option<NonZeroUsize>,
}

impl Selection {
    /// The limit as a number.
    pub(super) fn limit(&self) -> usize {
        self.limit.map_or(usize::MAX, NonZeroUsize::get)
    }

    /// The names of the datasets, in the order of their keys.
    pub(super) fn datasets(&self) -> Vec<&'static str> {
        let mut names: Vec<&str> = Dataset::ALL.iter().map(|dataset| dataset.name()).collect();
        names.retain(|name| is_any(&self.datasets, |wanted| wanted == name));
        names.sort_unstable();
        names
    }

    /// The first day, as it stands in keys; nothing if there is none.
    pub(super) fn first_day(&self, now: Timestamp) -> String {
        let from = self.from.map(|from| from.resolve(now).to_zoned(TimeZone::UTC));
        from.map_or_else(String::new, |from| from.strftime("%Y/%m/%d").to_string())
    }

    /// Whether it is too late for this file, and so for all that follow.
    pub(super) fn is_after(&self, address: &FileAddress<'_>, now: Timestamp) -> bool {
        let begins = address.day.to_zoned(TimeZone::UTC).map(|day| day.timestamp());
        let end = self.to.map(|to| to.resolve(now));
        matches!((begins, end), (Ok(begins), Some(end)) if begins >= end)
    }

    /// Whether lines of this object are meant.
    pub(super) fn matches_object(&self, object: &ObjectRef) -> bool {
        let origin = object.key_origin();
        is_any(&self.accounts, |account| origin.account.as_ref() == Some(account))
            && is_any(&self.flow_logs, |id| origin.flow_log_id.as_ref() == Some(id))
            && is_any(&self.keys, |glob| glob.matches(&object.key))
    }

    /// Whether this line of such an object is meant. The type of Elasticsearch's error belongs to the reason as `stats`
    /// shows it.
    pub(super) fn matches_line(&self, line: &QuarantinedLine) -> bool {
        is_any(&self.reasons, |glob| {
            glob.matches(&line.reason) || (line.kind.is_some() && glob.matches(&Cause::of(line).to_string()))
        })
    }
}
