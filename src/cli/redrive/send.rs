//! `redrive send`: dead letters back onto the main queue. A message is deleted from the dead-letter queue only after
//! the main queue has confirmed it, entry by entry; whatever goes wrong in between leaves it in both.
//!
//! Nothing is lost then, and a message that is processed twice gives the same documents under the same ids.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use clap::Args;
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::Session;
use super::scan::{Scan, Stopped};
use super::select::Selection;
use super::show;
use crate::cli::exit;
use crate::dead_letter::{DeadLetter, attribute};
use crate::queue::{
    Attribute, MAX_ATTRIBUTES, MAX_BATCH_ENTRIES, MessageQueue, OutgoingMessage, QueueError, QueueStatus,
    ReceivedMessage,
};

/// Largest sum of a batch, bytes. SQS allows 1 MiB today; queues made before 2025 may still stand at this.
const MAX_BATCH_BYTES: usize = 256 * 1024;

/// The report names this many messages one by one; `--json` names all.
const MAX_NAMED: usize = 20;

/// Options of `send`.
#[derive(Args, Clone, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) selection: Selection,
    /// Send at most this many, in the order in which the queue hands them out
    #[arg(long, value_name = "N")]
    pub(super) limit: Option<NonZeroUsize>,
    /// Really send; without it, only say what would be sent
    #[arg(long)]
    pub(super) yes: bool,
    /// Leave alone what was redriven this often
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(super) max_hops: u32,
}

/// Where messages come from and where they go.
#[derive(Debug)]
pub(super) struct Route<'a, Q> {
    pub(super) dlq: &'a Q,
    pub(super) dlq_url: &'a str,
    pub(super) dlq_status: &'a QueueStatus,
    pub(super) main: &'a Q,
    pub(super) main_url: &'a str,
}

/// What became of the selected dead letters: `selected = sent + skipped + failed` (in a dry run, `would_send` takes
/// the place of `sent`).
#[derive(Debug, Serialize)]
pub(super) struct Report {
    dry_run: bool,
    from: String,
    to: String,
    /// Messages that others held when the run began: not seen, not selected.
    in_flight: u64,
    /// Dead letters seen.
    seen: u64,
    selected: u64,
    would_send: u64,
    /// Confirmed by the main queue.
    sent: u64,
    skipped: u64,
    /// Not confirmed by the main queue; still in the dead-letter queue.
    failed: u64,
    /// Of those sent: still in the dead-letter queue, because it did not confirm the deletion.
    not_deleted: u64,
    /// Of those sent: without a hop count, because ten other attributes leave no room for it.
    sent_without_hops: u64,
    /// (Would-be) sent dead letters by reason.
    reasons: BTreeMap<String, u64>,
    /// Messages with another fate than to be sent and deleted.
    exceptions: Vec<Exception>,
    /// Why the run ended before it had seen all.
    #[serde(rename = "stopped", serialize_with = "as_text")]
    halt: Option<Halt>,
}

/// A message with another fate than to be sent and deleted.
#[derive(Debug, Serialize)]
struct Exception {
    id: String,
    fate: Fate,
    detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Fate {
    Skipped,
    Failed,
    NotDeleted,
    SentWithoutHops,
}

/// A selected dead letter that is to be sent.
struct Parcel {
    id: String,
    reason: String,
    message: OutgoingMessage,
    has_hops: bool,
}

impl Parcel {
    /// Body and attributes as they are, `hops` counted up. A message with ten attributes and no `hops` is sent
    /// without a count rather than with one of its attributes missing: when it fails again, flowship writes a dead
    /// letter that has one.
    fn new(message: ReceivedMessage, letter: DeadLetter) -> Self {
        let mut attributes = message.attributes;
        let has_hops = attributes.contains_key(attribute::HOPS) || attributes.len() < MAX_ATTRIBUTES;
        if has_hops {
            let hops = Attribute::Number(letter.hops.saturating_add(1));
            attributes.insert(attribute::HOPS.to_owned(), hops);
        }
        Self {
            reason: letter.reason().to_owned(),
            id: letter.id,
            message: OutgoingMessage {
                body: message.body,
                attributes,
            },
            has_hops,
        }
    }
}

/// A pass that sends what it selects.
struct Redrive<'a, Q> {
    arguments: &'a Arguments,
    main: &'a Q,
    dlq: &'a Q,
    scan: Scan<'a, Q>,
    began: Timestamp,
    /// At most one batch.
    parcels: Vec<Parcel>,
    report: Report,
}

/// Sends what is selected, or says what would be sent. What happened is in the report also when it ended early.
pub(super) async fn send<Q: MessageQueue>(
    route: &Route<'_, Q>,
    arguments: &Arguments,
    session: &Session,
) -> Report {
    let mut redrive = Redrive {
        arguments,
        main: route.main,
        dlq: route.dlq,
        scan: Scan::new(route.dlq, route.dlq_status, &session.interrupt, &session.progress),
        began: session.now,
        parcels: Vec::with_capacity(MAX_BATCH_ENTRIES),
        report: Report::new(route, arguments),
    };
    let result = redrive.run().await;
    let Redrive { scan, mut report, .. } = redrive;
    report.seen = scan.num_seen() as u64;
    report.halt = result.err();
    session.tell_if_some(scan.finish().await);
    report
}

fn as_text<S: Serializer>(halt: &Option<Halt>, serializer: S) -> Result<S::Ok, S::Error> {
    halt.as_ref().map(ToString::to_string).serialize(serializer)
}

/// Why a run ended before it had seen all.
#[derive(Debug, thiserror::Error)]
enum Halt {
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error("{0}")]
    Stopped(Stopped),
}

impl<Q: MessageQueue> Redrive<'_, Q> {
    async fn run(&mut self) -> Result<(), Halt> {
        while let Some(messages) = self.scan.next().await? {
            for message in messages {
                self.consider(message).await?;
                if self.is_limit_reached() {
                    return self.flush().await;
                }
            }
        }
        match self.scan.stopped() {
            Some(stopped) => Err(Halt::Stopped(stopped)),
            None => self.flush().await,
        }
    }

    async fn consider(&mut self, message: ReceivedMessage) -> Result<(), Halt> {
        let letter = DeadLetter::parse(&message);
        if !self.arguments.selection.matches(&letter) {
            return Ok(());
        }
        if let Some(why) = self.why_to_skip(&letter) {
            self.report.selected += 1;
            self.report.skipped += 1;
            self.report.except(letter.id, Fate::Skipped, why);
            return Ok(());
        }
        let parcel = Parcel::new(message, letter);
        let num_bytes: usize = self.parcels.iter().map(|parcel| parcel.message.num_bytes()).sum();
        if num_bytes + parcel.message.num_bytes() > MAX_BATCH_BYTES {
            self.flush().await?;
        }
        self.parcels.push(parcel);
        if self.parcels.len() == MAX_BATCH_ENTRIES {
            self.flush().await?;
        }
        Ok(())
    }

    fn why_to_skip(&self, letter: &DeadLetter) -> Option<String> {
        if letter.hops >= u64::from(self.arguments.max_hops) {
            return Some(format!(
                "redriven {} times already: --max-hops is {}",
                letter.hops, self.arguments.max_hops
            ));
        }
        // What fails again during the run comes back here, and would go round until its hops are used up.
        (letter.sent_at > self.began).then(|| {
            "arrived after this run began (by this machine's clock): left for the next run".to_owned()
        })
    }

    fn is_limit_reached(&self) -> bool {
        let report = &self.report;
        let taken = report.would_send + report.sent + report.failed + self.parcels.len() as u64;
        self.arguments
            .limit
            .is_some_and(|limit| taken >= limit.get() as u64)
    }

    /// Sends the batch, then deletes what was confirmed. Ends the run when a call fails as a whole: the next batch
    /// would fare no better.
    async fn flush(&mut self) -> Result<(), Halt> {
        let parcels = std::mem::take(&mut self.parcels);
        if parcels.is_empty() {
            return Ok(());
        }
        self.report.selected += parcels.len() as u64;
        if !self.arguments.yes {
            for parcel in parcels {
                self.report.would_send += 1;
                self.report.count(parcel);
            }
            return Ok(());
        }
        let messages: Vec<OutgoingMessage> = parcels.iter().map(|parcel| parcel.message.clone()).collect();
        let results = self.main.send_batch(&messages).await;
        let mut halt = Ok(());
        let mut confirmed = Vec::with_capacity(parcels.len());
        for (parcel, result) in parcels.into_iter().zip(results) {
            match result {
                Ok(()) => {
                    self.report.sent += 1;
                    confirmed.push(parcel.id.clone());
                    self.report.count(parcel);
                }
                Err(error) => {
                    self.report.failed += 1;
                    self.report.except(parcel.id, Fate::Failed, error.to_string());
                    halt = halt.and(only_entry(error));
                }
            }
        }
        self.delete(confirmed).await?;
        halt
    }

    async fn delete(&mut self, ids: Vec<String>) -> Result<(), Halt> {
        if ids.is_empty() {
            return Ok(());
        }
        let handle = |id: &String| self.scan.receipt_handle(id).to_owned();
        let handles: Vec<String> = ids.iter().map(handle).collect();
        let results = self.dlq.delete_batch(&handles).await;
        let mut halt = Ok(());
        for (id, result) in ids.into_iter().zip(results) {
            match result {
                Ok(()) => self.scan.forget(&id),
                Err(error) => {
                    self.report.not_deleted += 1;
                    self.report.except(id, Fate::NotDeleted, error.to_string());
                    halt = halt.and(only_entry(error));
                }
            }
        }
        halt
    }
}

/// An error of one entry is that entry's; one of the whole call ends the run.
fn only_entry(error: QueueError) -> Result<(), Halt> {
    match error {
        QueueError::Entry { .. } => Ok(()),
        QueueError::Call { .. } => Err(Halt::Queue(error)),
    }
}

impl Report {
    fn new<Q>(route: &Route<'_, Q>, arguments: &Arguments) -> Self {
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
    fn count(&mut self, parcel: Parcel) {
        if !parcel.has_hops {
            self.sent_without_hops += 1;
            let detail = "its 10 attributes leave no room for `hops`".to_owned();
            self.except(parcel.id, Fate::SentWithoutHops, detail);
        }
        *self.reasons.entry(parcel.reason).or_default() += 1;
    }

    fn except(&mut self, id: String, fate: Fate, detail: String) {
        self.exceptions.push(Exception { id, fate, detail });
    }

    /// One of [`exit`].
    pub(super) fn exit_code(&self) -> u8 {
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
    pub(super) fn notes(&self) -> Vec<String> {
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
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("from {}", self.from), format!("to   {}", self.to)];
        let (number, what) = if self.dry_run {
            (self.would_send, "would send")
        } else {
            (self.sent, "sent")
        };
        for (reason, number) in &self.reasons {
            lines.push(format!("{number:>7}  {}", show::printable(reason)));
        }
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
            let of_this_fate = || self.exceptions.iter().filter(|exception| exception.fate == fate);
            let number = of_this_fate().count();
            if number == 0 {
                continue;
            }
            lines.push(format!("{number} {meaning}:"));
            for Exception { id, detail, .. } in of_this_fate().take(MAX_NAMED) {
                lines.push(format!("  {id}"));
                lines.push(format!("    {}", show::printable(detail)));
            }
            if number > MAX_NAMED {
                lines.push(format!("  and {} more: --json names all", number - MAX_NAMED));
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests;
