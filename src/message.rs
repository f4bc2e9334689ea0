//! A message batch → acknowledged, dead-lettered or failed messages.
//!
//! A message is acknowledged only when every object that it names is fully accounted for, safely in the dead-letter
//! queue, or safely handed on to another invocation. Everything else makes it an item failure: it comes back, later each
//! time ([`returns`]).

use jiff::Timestamp;
use tokio::time::{Instant, timeout};

use crate::bulk::BulkSink;
use crate::continuation::{Continuation, Earlier};
use crate::dead_letter::{self, Circumstances};
use crate::deadline::Deadline;
use crate::notification::{self, NotifiedObject};
use crate::object::ObjectStore;
use crate::outcome::{Counts, Disposition, Failure, Reason, error_chain};
use crate::quarantine::Quarantine;
use crate::queue::{Attributes, MessageQueue, OutgoingMessage, QueueFinder};
use crate::ship::{ObjectPass, ObjectReport, ShipReport, Shipper, Work};
use log::{Fate, log_invocation, log_object, milliseconds};
use returns::{Cause, Returns};

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
    /// Messages of the batch.
    pub num_messages: u64,
    /// From the event to the answer, ms.
    pub duration_ms: u64,
    /// Left at the end until work would have had to stop, ms.
    pub time_left_ms: u64,
}

/// Processes message batches. One per process.
#[derive(Debug)]
pub struct Processor<S, B, K, Q, F> {
    shipper: Shipper<S, B, K>,
    dead_letters: Q,
    returns: Returns<F>,
    max_receives: u32,
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
            earlier.counts = Counts::default();
        }
        earlier
    }
}

/// What settles a message.
#[derive(Default)]
struct Settlement {
    letters: Vec<OutgoingMessage>,
    continuations: Vec<Rest>,
}

/// What is left of an object when the time is up.
struct Rest {
    continuation: OutgoingMessage,
    /// Where it does not get into the main queue.
    letter: OutgoingMessage,
}

impl<S: ObjectStore, B: BulkSink, K: Quarantine, Q: MessageQueue, F: QueueFinder> Processor<S, B, K, Q, F> {
    /// Ships with `shipper`; writes dead letters to `dead_letters`, for transient failures once a message was received
    /// `max_receives` times; until then `returns` decides when it comes back. Objects that need more time are handed on to
    /// the queue that their message came from.
    pub fn new(shipper: Shipper<S, B, K>, dead_letters: Q, returns: Returns<F>, max_receives: u32) -> Self {
        Self {
            shipper,
            dead_letters,
            returns,
            max_receives,
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

        let mut failed = Vec::new();
        let mut cause = cause(&report);
        let mut reports = report.objects.iter();
        for Opened { message, content } in &opened {
            let settlement = match content {
                Ok(content) => {
                    let reports: Vec<_> = reports.by_ref().take(content.named.len()).collect();
                    self.judge(message, content, &reports, request_id)
                }
                Err(failure) => {
                    tracing::warn!(message_id = message.id, reason = %failure.reason, detail = failure.detail, "message dead-lettered");
                    let letter =
                        dead_letter::for_body(&message.body, failure, &circumstances(message, request_id));
                    Some(Settlement {
                        letters: vec![letter],
                        ..Settlement::default()
                    })
                }
            };
            match settlement {
                Some(settlement) if self.settle(message, &settlement, deadline, &mut batch).await => {}
                Some(_not_written) => {
                    cause = Cause::Trouble;
                    failed.push(*message);
                }
                None => failed.push(*message),
            }
        }
        self.returns
            .schedule(&failed, cause, deadline.settle_timeout())
            .await;
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

    /// The messages that settle a message, or `None` when it is to come back. A message is decided as a whole: as
    /// long as it comes back for one object, its other failures wait, or they would be dead-lettered at each return.
    fn judge(
        &self,
        message: &Message,
        content: &Content,
        reports: &[&ObjectReport],
        request_id: &str,
    ) -> Option<Settlement> {
        let mut settlement = Settlement::default();
        let mut comes_back = false;
        for (named, report) in content.named.iter().zip(reports) {
            let earlier = content.earlier(report);
            let refused_before = refused_before(&earlier.counts);
            let Some(failure) = report.failure.as_ref().or(refused_before.as_ref()) else {
                log_object(report, &earlier, message, Fate::Indexed);
                continue;
            };
            let mut counts = earlier.counts;
            counts.add(&report.counts);
            let letter =
                || dead_letter::for_object(named, failure, &counts, &circumstances(message, request_id));
            let is_transient = failure.reason.disposition() == Disposition::Transient;
            if let Some(rest) = rest_of(report, reports) {
                log_object(report, &earlier, message, Fate::GoesOn);
                let continuation = Continuation {
                    resume_line: rest.first_line,
                    etag: rest.etag,
                    earlier: Earlier {
                        passes: earlier.passes + 1,
                        counts,
                    },
                };
                settlement.continuations.push(Rest {
                    continuation: continuation.message(named, message.hops),
                    letter: letter(),
                });
            } else if is_transient && message.receive_count < self.max_receives {
                log_object(report, &earlier, message, Fate::ComesBack);
                comes_back = true;
            } else {
                log_object(report, &earlier, message, Fate::DeadLetter);
                settlement.letters.push(letter());
            }
        }
        (!comes_back).then_some(settlement)
    }

    /// `false` when a part of it was not confirmed: the message must come back then, and what was written may be written
    /// again, which is visible and harmless.
    async fn settle(
        &self,
        message: &Message,
        settlement: &Settlement,
        deadline: Deadline,
        batch: &mut BatchReport,
    ) -> bool {
        for letter in &settlement.letters {
            if !self.write_dead_letter(message, letter, deadline, batch).await {
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
                return false;
            }
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

/// What another invocation goes on with. Of a message with several objects that includes those for which there was no
/// time, as long as any other was taken further: alone they get their time.
fn rest_of(report: &ObjectReport, of_message: &[&ObjectReport]) -> Option<ObjectPass> {
    if report.rest.is_some() {
        return report.rest.clone();
    }
    let is_late = |report: &ObjectReport| {
        let reason = report.failure.as_ref().map(|failure| failure.reason);
        reason == Some(Reason::DeadlineExceeded)
    };
    let is_taken_further = |report: &&&ObjectReport| report.rest.is_some() || !is_late(report);
    let is_left = is_late(report) && of_message.iter().any(|report| is_taken_further(&report));
    is_left.then(|| report.object.clone().into())
}

/// Without a quarantine, an earlier pass may have left refused lines behind.
fn refused_before(earlier: &Counts) -> Option<Failure> {
    let Counts { lines, refused, .. } = earlier;
    (*refused > 0).then(|| {
        let detail = format!("{refused} of the first {lines} lines, in earlier passes over the object");
        Failure::new(Reason::LineMalformed, detail)
    })
}

/// Objects that were not finished in time because others had trouble wait as long as those.
fn cause(report: &ShipReport) -> Cause {
    let mut reasons = report
        .objects
        .iter()
        .filter_map(|object| Some(object.failure.as_ref()?.reason));
    let is_trouble =
        |reason: Reason| reason.disposition() == Disposition::Transient && reason != Reason::DeadlineExceeded;
    if reasons.any(is_trouble) {
        Cause::Trouble
    } else {
        Cause::OutOfTime
    }
}

fn circumstances(message: &Message, request_id: &str) -> Circumstances {
    Circumstances {
        attempts: message.receive_count,
        hops: message.hops,
        request_id: request_id.to_owned(),
        failed_at: Timestamp::now(),
    }
}

#[cfg(test)]
mod tests;
