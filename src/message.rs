//! A message batch → acknowledged, dead-lettered or failed messages.
//!
//! A message is acknowledged only when every object that it names is fully accounted for or safely in the dead-letter
//! queue. Everything else makes it an item failure: it comes back, later each time ([`returns`]).

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, timeout};

use crate::bulk::BulkSink;
use crate::dead_letter::{self, Circumstances};
use crate::deadline::Deadline;
use crate::notification::{self, NotifiedObject};
use crate::object::ObjectStore;
use crate::outcome::{Counts, Disposition, Failure, Reason, error_chain};
use crate::quarantine::Quarantine;
use crate::queue::{MessageQueue, OutgoingMessage, QueueFinder};
use crate::ship::{ObjectReport, ShipReport, Shipper, Work};
use returns::{Cause, Returns};

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
}

/// What became of a message batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchReport {
    /// Ids of the messages that must come back, in the order of the batch.
    pub failed_ids: Vec<String>,
    /// Dead letters that were written and confirmed.
    pub num_dead_letters: u64,
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
    content: Result<Vec<NotifiedObject>, Failure>,
}

impl<S: ObjectStore, B: BulkSink, K: Quarantine, Q: MessageQueue, F: QueueFinder> Processor<S, B, K, Q, F> {
    /// Ships with `shipper`; writes dead letters to `dead_letters`, for transient failures once a message was received
    /// `max_receives` times; until then `returns` decides when it comes back.
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
        let objects = opened
            .iter()
            .filter_map(|opened| opened.content.as_ref().ok())
            .flatten();
        let objects = objects.map(|named| named.object.clone()).collect();
        let report = self.shipper.ship(objects, deadline).await;

        let mut failed = Vec::new();
        let mut cause = cause(&report);
        let mut reports = report.objects.iter();
        for Opened { message, content } in &opened {
            let letters = match content {
                Ok(named) => self.judge(message, named, reports.by_ref().take(named.len()), request_id),
                Err(failure) => {
                    tracing::warn!(message_id = message.id, reason = %failure.reason, detail = failure.detail, "message dead-lettered");
                    Some(vec![dead_letter::for_body(
                        &message.body,
                        failure,
                        &circumstances(message, request_id),
                    )])
                }
            };
            match letters {
                Some(letters)
                    if self
                        .write_dead_letters(message, &letters, deadline, &mut batch)
                        .await => {}
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
                Ok(named)
            }
            Err(error) => Err(Failure::new(Reason::NotificationMalformed, error_chain(&error))),
        };
        Opened { message, content }
    }

    /// The dead letters that settle a message, or `None` when it is to come back. A message is decided as a whole: as
    /// long as it comes back for one object, its other failures wait, or they would be dead-lettered at each return.
    fn judge<'r>(
        &self,
        message: &Message,
        named: &[NotifiedObject],
        reports: impl Iterator<Item = &'r ObjectReport>,
        request_id: &str,
    ) -> Option<Vec<OutgoingMessage>> {
        let mut letters = Vec::new();
        let mut comes_back = false;
        for (named, report) in named.iter().zip(reports) {
            let Some(failure) = &report.failure else {
                log_object(report, message, "indexed");
                continue;
            };
            let is_transient = failure.reason.disposition() == Disposition::Transient;
            if is_transient && message.receive_count < self.max_receives {
                log_object(report, message, "comes back");
                comes_back = true;
            } else {
                log_object(report, message, "dead letter");
                letters.push(dead_letter::for_object(
                    named,
                    failure,
                    &report.counts,
                    &circumstances(message, request_id),
                ));
            }
        }
        (!comes_back).then_some(letters)
    }

    /// `false` when one of them was not confirmed: the message must come back then, and a dead letter that was
    /// written may be written again, which is visible and harmless.
    async fn write_dead_letters(
        &self,
        message: &Message,
        letters: &[OutgoingMessage],
        deadline: Deadline,
        batch: &mut BatchReport,
    ) -> bool {
        for letter in letters {
            let error = match timeout(deadline.settle_timeout(), self.dead_letters.send(letter)).await {
                Ok(Ok(())) => {
                    batch.num_dead_letters += 1;
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_elapsed) => "SQS does not answer in time".to_owned(),
            };
            tracing::error!(
                message_id = message.id,
                error,
                "dead letter not written, the message comes back"
            );
            return false;
        }
        true
    }
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

/// One line an object: what became of its lines, and of the object.
fn log_object(report: &ObjectReport, message: &Message, becomes: &str) {
    let Counts {
        lines,
        indexed,
        duplicate,
        no_data,
        quarantined,
        refused,
    } = report.counts;
    let elapsed_ms = milliseconds(report.elapsed);
    let bytes_read = report.num_bytes_read;
    let object = report.object.to_string();
    let (message_id, attempt) = (&message.id, message.receive_count);
    match &report.failure {
        None => tracing::info!(
            object,
            bytes_read,
            lines,
            indexed,
            duplicate,
            no_data,
            quarantined,
            refused,
            elapsed_ms,
            message_id,
            attempt,
            becomes,
            quarantine = report.quarantine.as_ref().map(ToString::to_string),
            "object shipped"
        ),
        Some(failure) => tracing::warn!(
            object, bytes_read, lines, indexed, duplicate, no_data, quarantined, refused, elapsed_ms, message_id, attempt,
            becomes,
            reason = %failure.reason, detail = failure.detail,
            "object failed"
        ),
    }
}

/// Whole milliseconds, as a number in the log.
fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn log_invocation(batch: &BatchReport, request_id: &str) {
    let Counts {
        lines,
        indexed,
        duplicate,
        no_data,
        quarantined,
        refused,
    } = batch.counts;
    let work = &batch.work;
    tracing::info!(
        request_id,
        messages = batch.num_messages,
        failed = batch.failed_ids.len(),
        dead_lettered = batch.num_dead_letters,
        ignored = batch.num_ignored,
        objects = work.num_objects,
        lines,
        indexed,
        duplicate,
        no_data,
        quarantined,
        refused,
        bytes_read = work.num_bytes_read,
        bulk_requests = work.num_requests,
        bulk_bytes = work.num_bytes_sent,
        resent = work.num_resent,
        throttles = work.num_throttles,
        duration_ms = batch.duration_ms,
        time_left_ms = batch.time_left_ms,
        "invocation finished"
    );
}

#[cfg(test)]
mod tests;
