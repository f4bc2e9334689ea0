//! A message batch → acknowledged, dead-lettered or failed messages.
//!
//! A message is acknowledged only when every object that it names is fully accounted for, safely in the dead-letter
//! queue, or safely handed on to another invocation. Everything else makes it an item failure: it comes back, later each
//! time ([`returns`]).

use jiff::Timestamp;
use tokio::time::{Instant, timeout};

use crate::bulk::BulkSink;
use crate::continuation::{Continuation, Earlier};
use crate::deadline::Deadline;
use crate::ledger::Ledger;
use crate::notification::{self, NotifiedObject};
use crate::object::ObjectStore;
use crate::outcome::{Counts, Disposition, Failure, Fate, Reason, error_chain};
use crate::quarantine::Quarantine;
use crate::queue::{Attributes, MessageQueue, OutgoingMessage, QueueFinder};
use crate::ship::{ObjectPass, ObjectReport, ShipReport, Shipper, Work};
use judgement::{Judgement, give_up, judge};
use log::{log_invocation, milliseconds};
use returns::{Cause, Returns};

mod judgement;
mod ledger;
mod log;
pub mod returns;

/// One message of the main queue, as the event source mapping hands it over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The queue's id of the message.
    pub id: String,
    /// What changes its visibility.
    pub receipt_handle: String,
    /// ARN of the queue that it comes from.
    pub queue_arn: String,
    /// A notification.
    pub body: String,
    /// How often it was received, this time included.
    pub receive_count: u32,
    /// How often it was redriven from the dead-letter queue.
    pub hops: u32,
    /// Its attributes, as far as they are text.
    pub attributes: Attributes,
}

/// What became of a message batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchReport {
    /// Ids of the messages that must come back, in the order of the batch.
    pub failed_ids: Vec<String>,
    /// Dead letters that were written and confirmed.
    pub num_dead_letters: u64,
    /// Objects that another invocation goes on with: written to the main queue and confirmed.
    pub num_continuations: u64,
    /// Records of notifications that asked for nothing, or named a quarantine file.
    pub num_ignored: u64,
    /// The counters of all objects.
    pub counts: Counts,
    /// What shipping them took.
    pub work: Work,
    /// Ledger entries that were not written.
    pub num_ledger_failed: u64,
    /// Messages of the batch.
    pub num_messages: u64,
    /// From the event to the answer, ms.
    pub duration_ms: u64,
    /// Left at the end until work would have had to stop, ms.
    pub time_left_ms: u64,
}

/// Processes message batches. One per process.
#[derive(Debug)]
pub struct Processor<S, B, K, Q, F, L> {
    shipper: Shipper<S, B, K>,
    dead_letters: Q,
    returns: Returns<F>,
    max_receives: u32,
    ledger: Option<L>,
}

/// A message whose body was read.
struct Opened<'a> {
    message: &'a Message,
    content: Result<Content, Failure>,
}

#[derive(Default)]
struct Content {
    named: Vec<NotifiedObject>,
    /// Where to go on with its one object.
    continuation: Option<Continuation>,
}

impl Content {
    fn pass(&self, named: &NotifiedObject) -> ObjectPass {
        match &self.continuation {
            Some(continuation) => continuation.pass(named),
            None => named.object.clone().into(),
        }
    }

    /// What the passes before this one came to, as far as it went on from them.
    fn earlier(&self, report: &ObjectReport) -> Earlier {
        let earlier = self
            .continuation
            .as_ref()
            .map(|continuation| &continuation.earlier);
        let mut earlier = earlier.cloned().unwrap_or_default();
        if report.first_line == 1 {
            earlier = Earlier {
                passes: earlier.passes,
                ..Earlier::default()
            };
        }
        earlier
    }
}

impl<S: ObjectStore, B: BulkSink, K: Quarantine, Q: MessageQueue, F: QueueFinder, L: Ledger>
    Processor<S, B, K, Q, F, L>
{
    /// Ships with `shipper`; writes dead letters to `dead_letters`, for transient failures once a message was received
    /// `max_receives` times; until then `returns` decides when it comes back. Objects that need more time are handed on to
    /// the queue that their message came from. What became of each object goes into the `ledger`, if there is one.
    pub fn new(
        shipper: Shipper<S, B, K>,
        dead_letters: Q,
        returns: Returns<F>,
        max_receives: u32,
        ledger: Option<L>,
    ) -> Self {
        Self {
            shipper,
            dead_letters,
            returns,
            max_receives,
            ledger,
        }
    }

    /// Processes one batch. `request_id` names the invocation in dead letters and logs.
    pub async fn process(&self, messages: &[Message], request_id: &str, deadline: Deadline) -> BatchReport {
        let begin = Instant::now();
        let mut batch = BatchReport {
            num_messages: messages.len() as u64,
            ..BatchReport::default()
        };
        let opened: Vec<Opened<'_>> = messages
            .iter()
            .map(|message| self.open(message, &mut batch))
            .collect();
        let contents = opened.iter().filter_map(|opened| opened.content.as_ref().ok());
        let passes = contents.flat_map(|content| content.named.iter().map(|named| content.pass(named)));
        let report = self.shipper.ship(passes.collect(), deadline).await;

        let now = Timestamp::now();
        let mut entries = Vec::new();
        let mut failed = Vec::new();
        let mut cause = cause(&report);
        let mut reports = report.objects.iter();
        for Opened { message, content } in &opened {
            let mut judgement = match content {
                Ok(content) => {
                    let reports: Vec<_> = reports.by_ref().take(content.named.len()).collect();
                    judge(message, content, &reports, request_id, self.max_receives, now)
                }
                Err(failure) => give_up(message, failure, request_id),
            };
            if !self
                .settle(message, &mut judgement, deadline, &mut batch, &mut cause)
                .await
            {
                failed.push(*message);
                judgement.note_return();
            }
            entries.append(&mut judgement.entries);
        }
        self.returns
            .schedule(&failed, cause, deadline.settle_timeout())
            .await;
        if let Some(ledger) = &self.ledger {
            let limit = deadline.settle_timeout();
            batch.num_ledger_failed = ledger::write(ledger, entries, limit).await;
        }
        batch.failed_ids = failed.iter().map(|message| message.id.clone()).collect();
        batch.counts = report.counts();
        batch.work = report.work;
        batch.duration_ms = milliseconds(begin.elapsed());
        batch.time_left_ms = milliseconds(deadline.time_left());
        log_invocation(&batch, request_id);
        batch
    }

    fn open<'a>(&self, message: &'a Message, batch: &mut BatchReport) -> Opened<'a> {
        let content = match notification::parse(&message.body) {
            Ok(notification) => {
                let mut named = notification.objects;
                let num_named = named.len();
                named.retain(|named| !self.shipper.is_quarantine(&named.object));
                batch.num_ignored += (notification.ignored + num_named - named.len()) as u64;
                open_continuation(message, named)
            }
            Err(error) => Err(Failure::new(Reason::NotificationMalformed, error_chain(&error))),
        };
        Opened { message, content }
    }

    /// `false`: the message must come back. Where a part of what settles it was not confirmed, what was written may be
    /// written again, which is visible and harmless.
    async fn settle(
        &self,
        message: &Message,
        judgement: &mut Judgement,
        deadline: Deadline,
        batch: &mut BatchReport,
        cause: &mut Cause,
    ) -> bool {
        let Some(settlement) = &judgement.settlement else {
            return false;
        };
        for letter in &settlement.letters {
            if !self.write_dead_letter(message, letter, deadline, batch).await {
                *cause = Cause::Trouble;
                return false;
            }
        }
        for rest in &settlement.continuations {
            if self.hand_on(message, &rest.continuation, deadline).await {
                batch.num_continuations += 1;
                continue;
            }
            let is_last = message.receive_count >= self.max_receives;
            if !is_last
                || !self
                    .write_dead_letter(message, &rest.letter, deadline, batch)
                    .await
            {
                *cause = Cause::Trouble;
                return false;
            }
            judgement.entries[rest.position].set_fate(Fate::DeadLetter);
        }
        true
    }

    async fn write_dead_letter(
        &self,
        message: &Message,
        letter: &OutgoingMessage,
        deadline: Deadline,
        batch: &mut BatchReport,
    ) -> bool {
        let error = match timeout(deadline.settle_timeout(), self.dead_letters.send(letter)).await {
            Ok(Ok(())) => {
                batch.num_dead_letters += 1;
                return true;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_elapsed) => NO_ANSWER.to_owned(),
        };
        let message_id = &message.id;
        tracing::error!(
            message_id,
            error,
            "dead letter not written, the message comes back"
        );
        false
    }

    /// Whether the main queue has confirmed it.
    async fn hand_on(&self, message: &Message, continuation: &OutgoingMessage, deadline: Deadline) -> bool {
        let send = async {
            self.returns
                .find(&message.queue_arn)
                .await?
                .send(continuation)
                .await
        };
        let error = match timeout(deadline.settle_timeout(), send).await {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => error.to_string(),
            Err(_elapsed) => NO_ANSWER.to_owned(),
        };
        let message_id = &message.id;
        tracing::error!(
            message_id,
            error,
            "the rest of an object was not handed on, all of it is shipped again; the function needs \
             sqs:SendMessage on the main queue, and QUEUE_URL or sqs:GetQueueUrl"
        );
        false
    }
}

const NO_ANSWER: &str = "SQS does not answer in time";

fn open_continuation(message: &Message, named: Vec<NotifiedObject>) -> Result<Content, Failure> {
    let continuation = Continuation::read(&message.attributes)?;
    if continuation.is_some() && named.len() > 1 {
        let detail = "it names several objects, and one line to go on with";
        return Err(Failure::new(Reason::NotificationMalformed, detail));
    }
    Ok(Content { named, continuation })
}

/// Objects that were not finished in time because others had trouble wait as long as those.
fn cause(report: &ShipReport) -> Cause {
    let failures = report
        .objects
        .iter()
        .flat_map(|object| [&object.failure, &object.in_the_way]);
    let mut reasons = failures.flatten().map(|failure| failure.reason);
    let is_trouble =
        |reason: Reason| reason.disposition() == Disposition::Transient && reason != Reason::DeadlineExceeded;
    if reasons.any(is_trouble) {
        Cause::Trouble
    } else {
        Cause::OutOfTime
    }
}

#[cfg(test)]
mod tests;
