//! What a run of `send` did, as text and as JSON.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::journal::JournalError;
use super::letter::Letter;
use super::{Arguments, Route};
use crate::cli::exit;
use crate::cli::redrive::scan::Stopped;
use crate::cli::redrive::text;
use crate::queue::QueueError;

/// What became of the selected dead letters: `selected = sent + gone + skipped + failed` (in a dry run, `would_send`
/// takes the place of `sent`), and of those sent: `sent = delivered + refailed + still_in_flight`.
#[derive(Debug, Serialize)]
pub(in crate::cli::redrive) struct Report {
    pub(super) dry_run: bool,
    pub(super) from: String,
    pub(super) to: String,
    /// Messages that others held when the run began: not seen, not selected.
    pub(super) in_flight: u64,
    /// Dead letters seen.
    pub(super) seen: u64,
    pub(super) selected: u64,
    pub(super) would_send: u64,
    /// Confirmed by the main queue.
    pub(super) sent: u64,
    /// No longer in our hands before they could be sent.
    pub(super) gone: u64,
    pub(super) skipped: u64,
    /// Not confirmed by the main queue; still in the dead-letter queue.
    pub(super) failed: u64,
    /// Of those sent: still in the dead-letter queue, because it did not confirm the deletion.
    pub(super) not_deleted: u64,
    /// Of those sent: without a hop count, because ten other attributes leave no room for it.
    pub(super) sent_without_hops: u64,
    /// Of those sent: their objects were seen complete.
    pub(super) delivered: u64,
    /// Of those sent: they came back as dead letters.
    pub(super) refailed: u64,
    /// Of those sent: neither, as far as was looked.
    pub(super) still_in_flight: u64,
    /// Whether the run waited for what becomes of them.
    pub(super) waited: bool,
    /// Of those skipped: how many were not tried, and why.
    pub(super) left: BTreeMap<String, u64>,
    /// Reasons of which only the first message was sent.
    pub(super) stopped_reasons: Vec<String>,
    /// The file for `redrive resume`.
    pub(super) journal: Option<String>,
    /// Why the ledger does not tell what is complete.
    pub(super) problem: Option<String>,
    /// (Would-be) sent dead letters by reason.
    pub(super) reasons: BTreeMap<String, u64>,
    /// Messages with another fate than to be sent and deleted.
    pub(super) exceptions: Vec<Exception>,
    /// Why the run ended before it had seen all.
    #[serde(rename = "stopped", serialize_with = "as_text")]
    pub(super) halt: Option<Halt>,
}

/// A message with another fate than to be sent and deleted.
#[derive(Debug, Serialize)]
pub(super) struct Exception {
    pub(super) id: String,
    pub(super) fate: Fate,
    pub(super) detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fate {
    Skipped,
    Failed,
    Gone,
    NotDeleted,
    SentWithoutHops,
}

/// Why a run ended before it had seen all.
#[derive(Debug, thiserror::Error)]
pub(super) enum Halt {
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("{0}")]
    Stopped(Stopped),
    #[error("{0} of those sent came back as dead letters")]
    Refailed(u64),
    #[error("of no reason was the first message seen complete")]
    Canaries,
}

fn as_text<S: Serializer>(halt: &Option<Halt>, serializer: S) -> Result<S::Ok, S::Error> {
    halt.as_ref().map(ToString::to_string).serialize(serializer)
}

impl Report {
    pub(super) fn new<Q>(route: &Route<'_, Q>, arguments: &Arguments) -> Self {
        Self {
            dry_run: !arguments.yes,
            from: route.dlq_url.to_owned(),
            to: route.main_url.to_owned(),
            in_flight: route.dlq_status.in_flight,
            seen: 0,
            selected: 0,
            would_send: 0,
            sent: 0,
            gone: 0,
            skipped: 0,
            failed: 0,
            not_deleted: 0,
            sent_without_hops: 0,
            delivered: 0,
            refailed: 0,
            still_in_flight: 0,
            waited: false,
            left: BTreeMap::new(),
            stopped_reasons: Vec::new(),
            journal: None,
            problem: None,
            reasons: BTreeMap::new(),
            exceptions: Vec::new(),
            halt: None,
        }
    }

    /// A message that was, or would be, sent.
    pub(super) fn count(&mut self, letter: &Letter) {
        if !letter.has_hops {
            self.sent_without_hops += 1;
            let detail = "its 10 attributes leave no room for `hops`".to_owned();
            self.except(letter.id.clone(), Fate::SentWithoutHops, detail);
        }
        self.count_reason(&letter.reason);
    }

    pub(super) fn count_reason(&mut self, reason: &str) {
        *self.reasons.entry(reason.to_owned()).or_default() += 1;
    }

    /// So many selected messages are not tried.
    pub(super) fn leave(&mut self, why: String, number: u64) {
        self.skipped += number;
        *self.left.entry(why).or_default() += number;
    }

    pub(super) fn except(&mut self, id: String, fate: Fate, detail: String) {
        self.exceptions.push(Exception { id, fate, detail });
    }

    /// One of [`exit`].
    pub(in crate::cli::redrive) fn exit_code(&self) -> u8 {
        let has_failed = self.failed + self.not_deleted > 0;
        match &self.halt {
            Some(Halt::Queue(_) | Halt::Journal(_)) => exit::ERROR,
            _ if has_failed => exit::ERROR,
            Some(Halt::Stopped(_) | Halt::Refailed(_) | Halt::Canaries) => exit::STOPPED,
            None if !self.stopped_reasons.is_empty() => exit::STOPPED,
            None if self.selected == 0 => exit::NOTHING,
            None => exit::DONE,
        }
    }

    /// For stderr: what the numbers do not say.
    pub(in crate::cli::redrive) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.in_flight > 0 {
            let number = self.in_flight;
            notes.push(format!(
                "about {number} in flight were not seen: another program holds them"
            ));
        }
        if let Some(halt) = &self.halt {
            notes.push(format!("redrive: ended early: {halt}"));
        }
        if let Some(problem) = &self.problem {
            notes.push(format!("redrive: {problem}"));
        }
        if let (Some(journal), true) = (&self.journal, self.left_over() > 0) {
            let word = text::shell_word(journal);
            notes.push(format!("to go on: redrive resume {word}"));
        }
        notes
    }

    /// Selected, and still to be sent.
    fn left_over(&self) -> u64 {
        self.failed + self.left.values().sum::<u64>()
    }

    /// For people.
    pub(in crate::cli::redrive) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("from {}", self.from), format!("to   {}", self.to)];
        let (number, what) = if self.dry_run {
            (self.would_send, "would send")
        } else {
            (self.sent, "sent")
        };
        lines.extend(text::reason_lines(&self.reasons));
        let Self {
            selected,
            gone,
            skipped,
            failed,
            ..
        } = self;
        lines.push(format!(
            "{selected} selected = {number} {what} + {gone} gone + {skipped} skipped + {failed} failed ({} seen)",
            self.seen
        ));
        if self.waited || self.delivered + self.refailed > 0 {
            lines.push(format!(
                "{} sent = {} delivered + {} refailed + {} still in flight",
                self.sent, self.delivered, self.refailed, self.still_in_flight
            ));
        }
        for (why, number) in &self.left {
            lines.push(format!("{number} not tried:"));
            lines.push(format!("    {}", text::printable(why)));
        }
        lines.extend(self.exception_lines());
        if self.dry_run && self.would_send > 0 {
            lines.push("dry run: nothing was sent; to send, repeat with --yes".to_owned());
        }
        text::fit(lines)
    }

    fn exception_lines(&self) -> Vec<String> {
        let meanings = [
            (Fate::Skipped, "skipped"),
            (
                Fate::Failed,
                "failed: not sent, and still in the dead-letter queue",
            ),
            (Fate::Gone, "gone: not sent, and no longer ours"),
            (
                Fate::NotDeleted,
                "sent, but still in the dead-letter queue: may be processed twice, which gives the same documents under \
                 the same ids",
            ),
            (Fate::SentWithoutHops, "without a hop count"),
        ];
        let mut lines = Vec::new();
        for (fate, meaning) in meanings {
            let of_this_fate = self.exceptions.iter().filter(|exception| exception.fate == fate);
            let named: Vec<(&str, &str)> = of_this_fate
                .map(|exception| (exception.id.as_str(), exception.detail.as_str()))
                .collect();
            lines.extend(text::named_lines(meaning, named.into_iter()));
        }
        lines
    }
}
