//! What became of the objects of a message → what becomes of the message.

use jiff::Timestamp;

use super::log::log_object;
use super::{Content, Message, ledger};
use crate::continuation::{Continuation, Earlier};
use crate::dead_letter::{self, Circumstances};
use crate::ledger::LedgerEntry;
use crate::outcome::{Counts, Disposition, Failure, Fate, Reason};
use crate::queue::OutgoingMessage;
use crate::ship::{ObjectPass, ObjectReport};

/// What a message comes to.
pub(super) struct Judgement {
    /// `None`: it is to come back.
    pub(super) settlement: Option<Settlement>,
    /// What the ledger is told of its objects, in their order.
    pub(super) entries: Vec<LedgerEntry>,
}

/// What settles a message.
#[derive(Default)]
pub(super) struct Settlement {
    pub(super) letters: Vec<OutgoingMessage>,
    pub(super) continuations: Vec<Rest>,
}

/// What is left of an object when the time is up.
pub(super) struct Rest {
    pub(super) continuation: OutgoingMessage,
    /// Where it does not get into the main queue.
    pub(super) letter: OutgoingMessage,
    /// Of the object among those of the message.
    pub(super) position: usize,
}

impl Judgement {
    /// Its message comes back, and with it whatever is not complete.
    pub(super) fn note_return(&mut self) {
        let incomplete = self.entries.iter_mut().filter(|entry| !entry.object.complete);
        incomplete.for_each(|entry| entry.set_fate(Fate::ComesBack));
    }
}

/// What a message comes to. It is decided as a whole: as long as it comes back for one object, its other failures
/// wait, or they would be dead-lettered at each return.
pub(super) fn judge(
    message: &Message,
    content: &Content,
    reports: &[&ObjectReport],
    request_id: &str,
    max_receives: u32,
    now: Timestamp,
) -> Judgement {
    let mut settlement = Settlement::default();
    let mut entries = Vec::with_capacity(reports.len());
    for (position, (named, report)) in content.named.iter().zip(reports).enumerate() {
        let earlier = content.earlier(report);
        let so_far = earlier.and(report);
        let refused_before = refused_before(&earlier.counts);
        let failure = report.failure.as_ref().or(refused_before.as_ref());
        let rest = failure.and_then(|_| rest_of(report, reports));
        let fate = match failure {
            None => Fate::Indexed,
            Some(_) if rest.is_some() => Fate::GoesOn,
            Some(failure) => fate_of(failure, message, max_receives),
        };
        log_object(report, &earlier, message, fate);
        entries.push(ledger::entry(named, report, &so_far, message, fate, failure, now));
        let Some(failure) = failure else { continue };
        let letter = dead_letter::for_object(
            named,
            failure,
            &so_far.counts,
            &circumstances(message, request_id),
        );
        match rest {
            Some(rest) => settlement.continuations.push(Rest {
                continuation: go_on(rest, so_far).message(named, message.hops),
                letter,
                position,
            }),
            None if fate == Fate::DeadLetter => settlement.letters.push(letter),
            None => {}
        }
    }
    let comes_back = entries.iter().any(|entry| entry.object.fate == Fate::ComesBack);
    Judgement {
        settlement: (!comes_back).then_some(settlement),
        entries,
    }
}

fn fate_of(failure: &Failure, message: &Message, max_receives: u32) -> Fate {
    let is_transient = failure.reason.disposition() == Disposition::Transient;
    if is_transient && message.receive_count < max_receives {
        Fate::ComesBack
    } else {
        Fate::DeadLetter
    }
}

/// Of a message that cannot be read, all that can be kept is its body.
pub(super) fn give_up(message: &Message, failure: &Failure, request_id: &str) -> Judgement {
    tracing::warn!(message_id = message.id, reason = %failure.reason, detail = failure.detail, "message dead-lettered");
    let letter = dead_letter::for_body(&message.body, failure, &circumstances(message, request_id));
    Judgement {
        settlement: Some(Settlement {
            letters: vec![letter],
            ..Settlement::default()
        }),
        entries: Vec::new(),
    }
}

fn go_on(rest: ObjectPass, earlier: Earlier) -> Continuation {
    Continuation {
        resume_line: rest.first_line,
        etag: rest.etag,
        earlier,
    }
}

/// What another invocation goes on with. Of a message with several objects that includes those for which there was no
/// time, as long as any other was taken further: alone they get their time. What a server in trouble did not take goes on
/// only beside what it did take, or the message would leave the queue during an outage.
fn rest_of(report: &ObjectReport, of_message: &[&ObjectReport]) -> Option<ObjectPass> {
    if report.rest.is_some() {
        return report.rest.clone();
    }
    let failure = report.failure.as_ref();
    let got_no_time = failure.is_some_and(|failure| failure.reason == Reason::DeadlineExceeded);
    let is_taken_further = |other: &&ObjectReport| other.rest.is_some() || (got_no_time && !other.is_late);
    let is_left = report.is_late && of_message.iter().any(is_taken_further);
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

fn circumstances(message: &Message, request_id: &str) -> Circumstances {
    Circumstances {
        attempts: message.receive_count,
        hops: message.hops,
        request_id: request_id.to_owned(),
        failed_at: Timestamp::now(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::object::ObjectRef;

    fn report(key: &str, reason: Option<Reason>) -> ObjectReport {
        let object = ObjectRef {
            bucket: "b".into(),
            key: key.into(),
            version_id: None,
        };
        ObjectReport {
            object,
            counts: Counts::default(),
            first_line: 1,
            failure: reason.map(|reason| Failure::new(reason, "")),
            is_late: false,
            in_the_way: None,
            rest: None,
            quarantine: None,
            elapsed: Duration::ZERO,
            num_bytes_read: 0,
            size: None,
            times: None,
        }
    }

    #[test]
    fn what_got_no_time_goes_on_where_another_object_of_its_message_did() {
        let late = |reason| ObjectReport {
            is_late: true,
            ..report("late", Some(reason))
        };
        let (no_time, throttled) = (late(Reason::DeadlineExceeded), late(Reason::BulkThrottled));
        let whole = report("whole", None);
        let begun = ObjectReport {
            is_late: true,
            rest: Some(ObjectPass {
                first_line: 7,
                ..ObjectPass::from(report("begun", None).object)
            }),
            ..report("begun", Some(Reason::DeadlineExceeded))
        };
        let rest = |report: &ObjectReport, of_message: &[&ObjectReport]| {
            rest_of(report, of_message).map(|rest| (rest.object.key, rest.first_line))
        };
        let first_line = Some(("late".to_owned(), 1));
        assert_eq!(rest(&begun, &[&begun]), Some(("begun".to_owned(), 7)));
        assert_eq!(rest(&no_time, &[&no_time, &whole]), first_line);
        assert_eq!(rest(&no_time, &[&begun, &no_time]), first_line);
        assert_eq!(rest(&throttled, &[&begun, &throttled]), first_line);
        assert_eq!(rest(&no_time, &[&no_time, &throttled]), None, "none got further");
        assert_eq!(
            rest(&throttled, &[&throttled, &whole]),
            None,
            "it may be an outage"
        );
        let refused = report("refused", Some(Reason::BulkUnauthorized));
        assert_eq!(rest(&refused, &[&refused, &whole]), None);
    }
}
