//! One body → one verdict per document. Sends what is still due, reads what became of each item, and sends the rest
//! again when the server may be asked again, until nothing is due, the time is up, or trying again makes no sense.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::packing::{Body, Position, SegmentId};
use super::pressure::{OutOfTurns, Pressure, PushBack, Turn};
use super::response::{self, ItemOutcome, Meaning, Retry};
use super::{BulkAnswer, BulkSink, Refusal, RefusedItem, Verdicts};
use crate::deadline::Deadline;
use crate::outcome::{Failure, Reason};

/// Requests in a row that settle nothing. At 15 s of waiting each on average this outlasts the longest Lambda
/// invocation (15 min), so there the deadline decides; elsewhere this does.
const MAX_FRUITLESS_ATTEMPTS: u32 = 60;

/// An answer that cannot be matched with the request, or none at all, may be the body's own fault: a damaged body
/// is not sent for ever.
const MAX_INVALID_ANSWERS: u32 = 3;

/// What became of a body: verdicts by segment, and what it took.
#[derive(Debug, Default)]
pub struct BodyReport {
    /// Verdicts by segment.
    pub verdicts: BTreeMap<SegmentId, Verdicts>,
    /// `_bulk` requests sent.
    pub num_requests: u64,
    /// Bytes of their bodies as sent.
    pub num_bytes_sent: u64,
    /// Documents that were sent again.
    pub num_resent: u64,
    /// Answers that say that the server has too much to do (429, 503).
    pub num_throttles: u64,
}

impl BodyReport {
    fn of(&mut self, segment: SegmentId) -> &mut Verdicts {
        self.verdicts.entry(segment).or_default()
    }
}

/// Carries bodies to a sink. Shared by all bodies of an invocation.
#[derive(Debug)]
pub struct Courier<S> {
    sink: S,
    pressure: Pressure,
    request_timeout: Duration,
}

impl<S: BulkSink> Courier<S> {
    /// `max_bytes`: largest NDJSON of one request; `max_in_flight`: most requests at a time; `request_timeout`: longest
    /// wait for one answer.
    pub fn new(sink: S, max_bytes: usize, max_in_flight: usize, request_timeout: Duration) -> Self {
        Self {
            sink,
            pressure: Pressure::new(max_bytes, max_in_flight, fastrand::f64),
            request_timeout,
        }
    }

    /// Delivers one body. Every item of it is in the report exactly once.
    pub async fn deliver(&self, body: Body, deadline: Deadline) -> BodyReport {
        let body = Arc::new(body);
        let mut report = BodyReport::default();
        let mut due = body.positions();
        // How many of those in front were sent before.
        let mut num_tried = 0;
        let mut patience = Patience::default();
        while !due.is_empty() {
            let turn = match self.pressure.turn(deadline).await {
                Ok(turn) => turn,
                Err(OutOfTurns { last_failure }) => {
                    let failure = last_failure.unwrap_or_else(|| patience.failure());
                    give_up(&body, &due, &failure, true, &mut report);
                    break;
                }
            };
            let (step, num_sent) = self.send_piece(turn, &body, &due, deadline, &mut report).await;
            report.num_resent += num_tried.min(num_sent) as u64;
            num_tried = num_tried.max(num_sent);
            let failure = match step {
                Step::Settled { again, retry } => {
                    patience.progress(num_sent > again.len());
                    num_tried = num_tried - num_sent + again.len();
                    due.splice(..num_sent, again);
                    retry.and_then(|retry| patience.note(retry))
                }
                Step::Shrunk => None,
                Step::Nothing(retry) => patience.note(retry),
                Step::TakesNothing(failure) | Step::Stopped(failure) => Some(failure),
            };
            if let Some(failure) = failure {
                give_up(&body, &due, &failure, false, &mut report);
                break;
            }
        }
        report
    }

    /// Sends the first due items that fit into one request; says how many they were and what came of it.
    async fn send_piece(
        &self,
        turn: Turn<'_>,
        body: &Arc<Body>,
        due: &[Position],
        deadline: Deadline,
        report: &mut BodyReport,
    ) -> (Step, usize) {
        let num_sent = body.fitting(due, turn.max_bytes());
        let piece = &due[..num_sent];
        let gzip = compress(Arc::clone(body), piece.to_vec()).await;
        report.num_requests += 1;
        report.num_bytes_sent += gzip.len() as u64;
        let answer = self
            .sink
            .send_bulk(gzip, deadline.request_timeout(self.request_timeout))
            .await;
        let (step, retry_after) = match answer {
            Ok(answer) => (read(body, piece, &answer, report), answer.retry_after),
            Err(error) => {
                let retry = Retry::new(Reason::BulkUnavailable, error.to_string());
                (Step::Nothing(retry), None)
            }
        };
        match &step {
            Step::Settled { retry: None, .. } => turn.taken(),
            Step::Settled {
                retry: Some(retry), ..
            }
            | Step::Nothing(retry) => {
                report.num_throttles += u64::from(retry.throttled);
                let push_back = PushBack {
                    failure: &retry.failure,
                    throttled: retry.throttled,
                    took_some: matches!(&step, Step::Settled { again, .. } if again.len() < num_sent),
                    retry_after,
                };
                turn.pushed_back(&push_back, deadline);
            }
            Step::Shrunk => turn.too_large(num_bytes(body, piece)),
            Step::TakesNothing(_) => turn.takes_nothing(),
            Step::Stopped(_) => {}
        }
        (step, num_sent)
    }
}

/// What one request came to.
enum Step {
    /// Every item sent has an outcome; `again` are those to be sent again.
    Settled {
        again: Vec<Position>,
        retry: Option<Retry>,
    },
    /// Too large; less next time.
    Shrunk,
    /// Too large although it is a single document.
    TakesNothing(Failure),
    /// Nothing counts.
    Nothing(Retry),
    /// Trying again makes no sense now.
    Stopped(Failure),
}

/// How long it has been in vain.
#[derive(Default)]
struct Patience {
    fruitless_attempts: u32,
    invalid_answers: u32,
    last_failure: Option<Failure>,
}

impl Patience {
    fn progress(&mut self, settled_any: bool) {
        if settled_any {
            *self = Self {
                last_failure: self.last_failure.take(),
                ..Self::default()
            };
        }
    }

    /// The failure when it is enough.
    fn note(&mut self, retry: Retry) -> Option<Failure> {
        self.fruitless_attempts += 1;
        self.invalid_answers += u32::from(retry.failure.reason == Reason::BulkAnswerInvalid);
        self.last_failure = Some(retry.failure);
        let goes_on =
            self.fruitless_attempts < MAX_FRUITLESS_ATTEMPTS && self.invalid_answers < MAX_INVALID_ANSWERS;
        if goes_on { None } else { self.last_failure.clone() }
    }

    fn failure(&self) -> Failure {
        self.last_failure.clone().unwrap_or_else(out_of_time)
    }
}

fn out_of_time() -> Failure {
    Failure::new(
        Reason::DeadlineExceeded,
        "the time was up before the documents could be sent",
    )
}

async fn compress(body: Arc<Body>, piece: Vec<Position>) -> Bytes {
    let work = tokio::task::spawn_blocking(move || Bytes::from(body.compress(&piece)));
    match work.await {
        Ok(gzip) => gzip,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

fn num_bytes(body: &Body, piece: &[Position]) -> usize {
    let items = piece.iter();
    items.map(|position| body.item_bytes(*position).len()).sum()
}

fn read(body: &Body, piece: &[Position], answer: &BulkAnswer, report: &mut BodyReport) -> Step {
    match response::read(answer, piece.len()) {
        Meaning::Items(outcomes) => {
            let (again, retry) = settle(body, piece, outcomes, report);
            Step::Settled { again, retry }
        }
        Meaning::TooLarge => split(body, piece),
        Meaning::Retry(retry) => Step::Nothing(retry),
        Meaning::Stop(failure) => Step::Stopped(failure),
    }
}

/// 413: less next time. No document is as large as the smallest body that the settings allow: a server that does not
/// take one alone takes too little.
fn split(body: &Body, piece: &[Position]) -> Step {
    let num_bytes = num_bytes(body, piece);
    if piece.len() == 1 {
        let detail = format!("413 for a single document, of {num_bytes} bytes");
        return Step::TakesNothing(Failure::new(Reason::BulkMisconfigured, detail));
    }
    tracing::warn!(
        num_bytes,
        "Elasticsearch does not take a bulk body of this size (413); set FLOWSHIP_BULK_MAX_BYTES lower"
    );
    Step::Shrunk
}

/// Enters the outcomes into the report; returns the items to be sent again and why.
fn settle(
    body: &Body,
    piece: &[Position],
    outcomes: Vec<ItemOutcome>,
    report: &mut BodyReport,
) -> (Vec<Position>, Option<Retry>) {
    let mut again = Vec::new();
    let mut why: Option<Retry> = None;
    for (position, outcome) in piece.iter().zip(outcomes) {
        let verdicts = report.of(body.segment_id(*position));
        match outcome {
            ItemOutcome::Delivered => verdicts.delivered += 1,
            ItemOutcome::Duplicate => verdicts.duplicate += 1,
            ItemOutcome::Refused(refusal) => refuse(body, *position, refusal, report),
            ItemOutcome::Stop(failure) => {
                verdicts.failed += 1;
                verdicts.failure.get_or_insert(failure);
            }
            ItemOutcome::Retry(retry) => {
                again.push(*position);
                why = Some(match why {
                    Some(first) if first.throttled || !retry.throttled => first,
                    _ => retry,
                });
            }
        }
    }
    (again, why)
}

fn refuse(body: &Body, position: Position, refusal: Refusal, report: &mut BodyReport) {
    report.of(body.segment_id(position)).refused.push(RefusedItem {
        token: body.token(position),
        attached: body.attached(position).to_vec(),
        refusal,
    });
}

fn give_up(body: &Body, due: &[Position], failure: &Failure, is_late: bool, report: &mut BodyReport) {
    for position in due {
        let verdicts = report.of(body.segment_id(*position));
        verdicts.failed += 1;
        if verdicts.failure.is_none() {
            verdicts.failure = Some(failure.clone());
            verdicts.is_late = is_late;
        }
    }
}

#[cfg(test)]
mod tests;
