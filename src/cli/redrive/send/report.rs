//! What a run of `send` did, as text and as JSON.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::{Arguments, Parcel, Route};
use crate::cli::exit;
use crate::cli::redrive::scan::Stopped;
use crate::cli::redrive::text;
use crate::queue::QueueError;

/// What became of the selected dead letters: `selected = sent + skipped + failed` (in a dry run, `would_send` takes
/// the place of `sent`).
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
    pub(super) skipped: u64,
    /// Not confirmed by the main queue; still in the dead-letter queue.
    pub(super) failed: u64,
    /// Of those sent: still in the dead-letter queue, because it did not confirm the deletion.
    pub(super) not_deleted: u64,
    /// Of those sent: without a hop count, because ten other attributes leave no room for it.
    pub(super) sent_without_hops: u64,
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
    NotDeleted,
    SentWithoutHops,
}

/// Why a run ended before it had seen all.
#[derive(Debug, thiserror::Error)]
pub(super) enum Halt {
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error("{0}")]
    Stopped(Stopped),
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
            skipped: 0,
            failed: 0,
            not_deleted: 0,
            sent_without_hops: 0,
            reasons: BTreeMap::new(),
            exceptions: Vec::new(),
            halt: None,
        }
    }

    /// A message that was, or would be, sent.
    pub(super) fn count(&mut self, parcel: Parcel) {
        if !parcel.has_hops {
            self.sent_without_hops += 1;
            let detail = "its 10 attributes leave no room for `hops`".to_owned();
            self.except(parcel.id, Fate::SentWithoutHops, detail);
        }
        *self.reasons.entry(parcel.reason).or_default() += 1;
    }

    pub(super) fn except(&mut self, id: String, fate: Fate, detail: String) {
        self.exceptions.push(Exception { id, fate, detail });
    }

    /// One of [`exit`].
    pub(in crate::cli::redrive) fn exit_code(&self) -> u8 {
        let has_failed = self.failed + self.not_deleted > 0;
        match &self.halt {
            Some(Halt::Queue(_)) => exit::ERROR,
            _ if has_failed => exit::ERROR,
            Some(Halt::Stopped(_)) => exit::STOPPED,
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
            notes.push(format!("redrive: ended before the whole queue was seen: {halt}"));
        }
        notes
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
            skipped,
            failed,
            ..
        } = self;
        lines.push(format!(
            "{selected} selected = {number} {what} + {skipped} skipped + {failed} failed ({} seen)",
            self.seen
        ));
        lines.extend(self.exception_lines());
        if self.dry_run && self.would_send > 0 {
            lines.push("dry run: nothing was sent; to send, repeat with --yes".to_owned());
        }
        lines
    }

    fn exception_lines(&self) -> Vec<String> {
        let meanings = [
            (Fate::Skipped, "skipped"),
            (
                Fate::Failed,
                "failed: not sent, and still in the dead-letter queue",
            ),
            (
                Fate::NotDeleted,
                "sent, but still in the dead-letter queue: may be processed twice, which gives the\n\
                 same documents under the same ids",
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
