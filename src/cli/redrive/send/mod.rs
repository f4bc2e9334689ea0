//! `redrive send`: dead letters back onto the main queue. A message is deleted from the dead-letter queue only after
//! the main queue has confirmed it, entry by entry; whatever goes wrong in between leaves it in both.
//!
//! Nothing is lost then, and a message that is processed twice gives the same documents under the same ids.

use clap::Args;
use jiff::Timestamp;

use self::report::{Fate, Halt, Report};
use super::Session;
use super::scan::Scan;
use super::select::Selection;
use crate::dead_letter::{DeadLetter, count_hop};
use crate::queue::limits::MAX_BATCH_BYTES;
use crate::queue::{
    MAX_BATCH_ENTRIES, MessageQueue, OutgoingMessage, QueueError, QueueStatus, ReceivedMessage,
};

mod report;

/// What was redriven this often is left alone: it would go round in circles.
const DEFAULT_MAX_HOPS: u32 = 3;

/// Options of `send`.
#[derive(Args, Clone, Debug)]
pub(super) struct Arguments {
    /// Really send; without it, only say what would be sent
    #[arg(long)]
    pub(super) yes: bool,
    #[command(flatten)]
    pub(super) selection: Selection,
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

/// A selected dead letter that is to be sent.
struct Parcel {
    id: String,
    reason: String,
    message: OutgoingMessage,
    has_hops: bool,
}

impl Parcel {
    /// Body and attributes as they are, `hops` counted up.
    fn new(message: ReceivedMessage, letter: DeadLetter) -> Self {
        let mut attributes = message.attributes;
        let has_hops = count_hop(&mut attributes);
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
        // What has too many hops is selected and skipped: it must not disappear from the report.
        if !self.arguments.selection.filter.matches(&letter, self.began) {
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
        let max_hops = self.arguments.selection.max_hops.unwrap_or(DEFAULT_MAX_HOPS);
        if letter.hops >= u64::from(max_hops) {
            let hops = letter.hops;
            return Some(format!("redriven {hops} times already: --max-hops is {max_hops}"));
        }
        // What fails again during the run comes back here, and would go round until its hops are used up.
        (letter.sent_at > self.began).then(|| {
            "arrived after this run began (by this machine's clock): left for the next run".to_owned()
        })
    }

    fn is_limit_reached(&self) -> bool {
        let report = &self.report;
        let taken = report.would_send + report.sent + report.failed + self.parcels.len() as u64;
        taken >= self.arguments.selection.limit() as u64
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

#[cfg(test)]
mod tests;
