//! `redrive stats`: how many dead letters there are, why, of which accounts and days.

use std::collections::BTreeMap;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use self::tally::{Group, Part, Tally, sum};
use super::Session;
use super::scan::{Scan, Stopped};
use super::select::Filter;
use super::text;
use crate::dead_letter::{DeadLetter, UNKNOWN_REASON};
use crate::queue::{MessageQueue, QueueError, QueueStatus};

mod tally;

/// The table has at most this many reasons, and each at most so many accounts and days; `--json` has all.
const MAX_GROUPS: usize = 20;
const MAX_PARTS: usize = 8;

/// Options of `stats`.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Arguments {
    #[command(flatten, next_help_heading = "Selection")]
    pub(super) filter: Filter,
}

/// What `stats` found.
#[derive(Debug, Serialize)]
pub(super) struct Stats {
    queue_url: String,
    /// The queue's own numbers, before the pass; approximate.
    visible: u64,
    in_flight: u64,
    delayed: u64,
    /// URLs of the queues that this is the dead-letter queue of; `None`: SQS does not tell.
    source_queues: Option<Vec<String>>,
    /// Dead letters seen, selected or not.
    seen: u64,
    /// Dead letters selected: all numbers below are theirs.
    dead_letters: u64,
    /// Objects that they name.
    objects: u64,
    /// Size of these objects as stored, as far as the S3 events tell.
    bytes: u64,
    /// Whether the pass came to its end.
    complete: bool,
    oldest_failure: Option<String>,
    newest_failure: Option<String>,
    /// Dead letters by how often they were redriven.
    hops: BTreeMap<u64, u64>,
    /// Dead letters by the ARN of the queue whose redrive policy moved them here; the others were sent here.
    moved_from: BTreeMap<String, u64>,
    /// The largest first.
    reasons: Vec<Group>,
    /// The next sensible command, if all was looked at.
    next: Option<String>,
}

/// Looks at the whole queue.
pub(super) async fn look<Q: MessageQueue>(
    queue: &Q,
    queue_url: &str,
    status: &QueueStatus,
    filter: &Filter,
    session: &Session,
) -> Result<(Stats, Option<Stopped>), QueueError> {
    // A right that the other verbs do not need: without it, this is not told.
    let source_queues = queue.dead_letter_sources().await.ok();
    let mut scan = Scan::new(queue, status, &session.interrupt, &session.progress);
    let mut tally = Tally::default();
    let result = tally_all(&mut scan, filter, session.now, &mut tally).await;
    let stopped = scan.stopped();
    session.tell_if_some(scan.finish().await);
    let seen = result?;
    let mut stats = Stats::new(queue_url, status, tally, stopped.is_none());
    stats.seen = seen;
    if !filter.is_empty() {
        // It would select more than was counted.
        stats.next = None;
    }
    stats.source_queues = source_queues;
    Ok((stats, stopped))
}

/// Counts what is selected; how many were seen.
async fn tally_all<Q: MessageQueue>(
    scan: &mut Scan<'_, Q>,
    filter: &Filter,
    now: Timestamp,
    tally: &mut Tally,
) -> Result<u64, QueueError> {
    let mut seen = 0;
    while let Some(messages) = scan.next().await? {
        for message in &messages {
            seen += 1;
            let letter = DeadLetter::parse(message);
            if filter.matches(&letter, now) {
                tally.add(&letter);
            }
        }
    }
    Ok(seen)
}

impl Stats {
    fn new(queue_url: &str, status: &QueueStatus, tally: Tally, complete: bool) -> Self {
        let (hops, moved_from) = (tally.hops.clone(), tally.moved_from.clone());
        let reasons = tally.groups();
        let all = sum(reasons.iter().map(|group| group.numbers));
        Self {
            queue_url: queue_url.to_owned(),
            visible: status.visible,
            in_flight: status.in_flight,
            delayed: status.delayed,
            source_queues: None,
            seen: 0,
            dead_letters: all.map_or(0, |all| all.dead_letters),
            objects: all.map_or(0, |all| all.objects),
            bytes: all.map_or(0, |all| all.bytes),
            complete,
            oldest_failure: all.map(|all| text::time(all.oldest)),
            newest_failure: all.map(|all| text::time(all.newest)),
            hops,
            moved_from,
            next: next_command(&reasons),
            reasons,
        }
    }

    /// Whether nothing was selected of what is there.
    pub(super) fn selects_nothing(&self) -> bool {
        self.dead_letters == 0 && self.seen > 0
    }

    /// For people: at most 80 columns where the texts allow it.
    pub(super) fn lines(&self, now: Timestamp) -> Vec<String> {
        let Self {
            visible,
            in_flight,
            delayed,
            ..
        } = self;
        let mut lines = vec![self.queue_url.clone()];
        for url in self.source_queues.iter().flatten() {
            lines.push(format!("dead-letter queue of {}", text::printable(url)));
        }
        lines.push(format!(
            "the queue says: about {visible} visible, {in_flight} in flight, {delayed} delayed"
        ));
        let (Some(oldest), Some(newest)) = (&self.oldest_failure, &self.newest_failure) else {
            let seen = text::dead_letters(self.seen);
            lines.push(match self.selects_nothing() {
                true => format!("none of {seen} is selected"),
                false => "no dead letters".to_owned(),
            });
            return lines;
        };
        lines.push(String::new());
        lines.extend(self.table(now));
        lines.push(String::new());
        let seen = text::dead_letters(self.seen);
        let total = match self.dead_letters {
            all if all == self.seen => seen,
            some => format!("{some} of {seen}"),
        };
        lines.push(format!("{total}, failed from {oldest} to {newest}"));
        let plural = if self.objects == 1 { "" } else { "s" };
        lines.push(format!("{} object{plural}, {}", self.objects, size(self.bytes)));
        let hops: Vec<String> = self
            .hops
            .iter()
            .map(|(hops, number)| format!("hops {hops}: {number}"))
            .collect();
        lines.push(hops.join(", "));
        for (arn, number) in &self.moved_from {
            let arn = text::printable(arn);
            lines.push(format!("{number} moved here by the redrive policy of {arn}"));
        }
        lines = text::fit(lines);
        // A command, to be copied whole.
        if let Some(next) = &self.next {
            lines.push(String::new());
            lines.push(format!("next: {next}"));
        }
        lines
    }

    fn table(&self, now: Timestamp) -> Vec<String> {
        let row = |count: &str, oldest: &str, newest: &str, bytes: &str, rest: &str| {
            format!("{count:>5}  {oldest:<7}  {newest:<7}  {bytes:>8}  {rest}")
        };
        let mut lines = vec![row("COUNT", "OLDEST", "NEWEST", "BYTES", "REASON (DISPOSITION)")];
        lines.push(row("", "", "", "", "  ACCOUNT       DAY OF THE OBJECTS"));
        let numbers_row = |numbers: &tally::Numbers, rest: &str| {
            row(
                &numbers.dead_letters.to_string(),
                &text::age(now, numbers.oldest),
                &text::age(now, numbers.newest),
                &size(numbers.bytes),
                rest,
            )
        };
        for group in self.reasons.iter().take(MAX_GROUPS) {
            let disposition = group.disposition.as_ref();
            let disposition =
                disposition.map_or_else(String::new, |word| format!(" ({})", text::printable(word)));
            let rest = text::printable(&group.reason) + &disposition;
            lines.push(numbers_row(&group.numbers, &rest));
            if matches!(group.parts.as_slice(), [only] if !only.is_known()) {
                continue;
            }
            for part in group.parts.iter().take(MAX_PARTS) {
                lines.push(numbers_row(&part.numbers, &part.title()));
            }
            lines.extend(
                and_more(group.parts.len(), MAX_PARTS).map(|more| row("", "", "", "", &format!("  {more}"))),
            );
        }
        lines.extend(and_more(self.reasons.len(), MAX_GROUPS));
        lines
    }
}

/// No size is known where all are zero: S3 delivers no empty flow logs.
fn size(bytes: u64) -> String {
    if bytes == 0 {
        return "-".to_owned();
    }
    text::bytes(bytes)
}

fn and_more(number: usize, max: usize) -> Option<String> {
    let more = number.checked_sub(max).filter(|more| *more > 0)?;
    Some(format!("and {more} more: --json has all"))
}

impl Part {
    fn is_known(&self) -> bool {
        self.account.is_some() || self.day.is_some()
    }

    fn title(&self) -> String {
        let known = |value: &Option<String>| text::printable(value.as_deref().unwrap_or("-"));
        format!("  {:<12}  {}", known(&self.account), known(&self.day))
    }
}

/// What may succeed by itself is tried first (the command is a dry run); anything else is looked at.
fn next_command(groups: &[Group]) -> Option<String> {
    let is_transient = |group: &&Group| group.disposition.as_deref() == Some("transient");
    if let Some(group) = groups.iter().find(is_transient) {
        return Some(format!("redrive send --reason {}", pattern(&group.reason)));
    }
    let largest = groups.first()?;
    Some(format!(
        "redrive list --verbose --reason {}",
        pattern(&largest.reason)
    ))
}

fn pattern(reason: &str) -> String {
    if reason == UNKNOWN_REASON {
        "unknown".to_owned()
    } else {
        text::shell_word(reason)
    }
}

#[cfg(test)]
mod tests;
