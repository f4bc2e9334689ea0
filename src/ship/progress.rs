//! What has become of each object so far, and the report it ends in.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::account::{Account, Sum};
use super::aside::Aside;
use super::reader::{ObjectRead, ReadStretch};
use super::{ObjectPass, out_of_time};
use crate::bulk::delivery::BodyReport;
use crate::bulk::{Refusal, Segment, Verdicts};
use crate::config::QuarantineSettings;
use crate::object::ObjectRef;
use crate::outcome::{Counts, Disposition, Failure, Reason};

/// What one pass over one object came to.
#[derive(Clone, Debug)]
pub struct ObjectReport {
    /// The object.
    pub object: ObjectRef,
    /// What became of its lines.
    pub counts: Counts,
    /// The line that the pass began with, from 1.
    pub first_line: u64,
    /// Why it is not complete; `None`: every line is accounted for, and those that were refused are in quarantine.
    pub failure: Option<Failure>,
    /// Whether that is no more than want of time.
    pub is_late: bool,
    /// Why documents were not sent, or not taken, until the time was up, if that was so.
    pub in_the_way: Option<Failure>,
    /// Where the time was up in the middle: what another pass may go on with. The counters then are those of the lines
    /// before it. Without a quarantine, some of them may have been refused.
    pub rest: Option<ObjectPass>,
    /// The file in which those are.
    pub quarantine: Option<ObjectRef>,
    /// From the start of the pass to the object's last verdict.
    pub elapsed: Duration,
    /// Bytes of the object, as stored, that were read.
    pub num_bytes_read: u64,
    /// All of them, as far as the store has told.
    pub size: Option<u64>,
    /// What `@timestamp` says in its first and in its last document by time, Unix seconds.
    pub times: Option<(u32, u32)>,
}

/// What one pass over some objects came to.
#[derive(Clone, Debug, Default)]
pub struct ShipReport {
    /// One per object, in the order given.
    pub objects: Vec<ObjectReport>,
    /// What it took.
    pub work: Work,
}

/// What a pass over some objects took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Objects, each as often as it was named.
    pub num_objects: u64,
    /// Bytes read of them, as stored.
    pub num_bytes_read: u64,
    /// `_bulk` requests sent.
    pub num_requests: u64,
    /// Bytes of their bodies as sent.
    pub num_bytes_sent: u64,
    /// Documents that were sent again.
    pub num_resent: u64,
    /// Answers 429 or 503.
    pub num_throttles: u64,
    /// What `@timestamp` says in the oldest document of the objects of which some were indexed, Unix seconds.
    pub oldest: Option<u32>,
    /// In the newest.
    pub newest: Option<u32>,
}

impl ShipReport {
    /// The counters of all objects together.
    pub fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        for report in &self.objects {
            sum.add(&report.counts);
        }
        sum
    }

    pub(super) fn note_body(&mut self, body: &BodyReport) {
        self.work.num_requests += body.num_requests;
        self.work.num_bytes_sent += body.num_bytes_sent;
        self.work.num_resent += body.num_resent;
        self.work.num_throttles += body.num_throttles;
    }

    pub(super) fn note_object(&mut self, report: ObjectReport) {
        let work = &mut self.work;
        work.num_objects += 1;
        work.num_bytes_read += report.num_bytes_read;
        if let (Some((first, last)), 1..) = (report.times, report.counts.indexed) {
            work.oldest = Some(work.oldest.map_or(first, |oldest| oldest.min(first)));
            work.newest = work.newest.max(Some(last));
        }
        self.objects.push(report);
    }
}

/// One object on its way.
#[derive(Debug)]
pub(super) struct Progress {
    pass: ObjectPass,
    started: Instant,
    last_news: Instant,
    account: Account,
    /// How reading it ended, if it has.
    read: Option<ObjectRead>,
    failure: Option<Failure>,
    aside: Aside,
}

impl Progress {
    pub(super) fn new(pass: ObjectPass, quarantine: &QuarantineSettings) -> Self {
        let now = Instant::now();
        Self {
            pass,
            started: now,
            last_news: now,
            account: Account::new(quarantine.place.is_some()),
            read: None,
            failure: None,
            aside: Aside::new(quarantine),
        }
    }

    pub(super) fn note_stretch(&mut self, read: ReadStretch) -> Segment {
        self.account.note_read(&read.stretch, read.malformed);
        self.settle();
        read.stretch.segment
    }

    pub(super) fn note_verdicts(&mut self, number: u64, verdicts: Verdicts) {
        self.last_news = Instant::now();
        self.account.note_verdicts(number, verdicts);
        self.settle();
    }

    fn settle(&mut self) {
        while let Some(lines) = self.account.settle() {
            self.aside.gather(&lines);
        }
    }

    /// Whether no more of it should be read until documents are answered for.
    pub(super) fn is_clogged(&self) -> bool {
        self.account.is_clogged()
    }

    pub(super) fn note_read(&mut self, read: ObjectRead) {
        self.last_news = Instant::now();
        if let Some(first_line) = read.first_line {
            self.pass.first_line = first_line;
        }
        self.aside.note_read(read.info.clone(), self.pass.first_line);
        self.read = Some(read);
    }

    pub(super) fn note_failure(&mut self, failure: Failure) {
        self.failure.get_or_insert(failure);
    }

    /// The file of the object's refused lines, once: as soon as nothing more can be settled in this pass, and nothing
    /// but the time is in the way of the rest.
    pub(super) fn quarantine_file(&mut self, settings: &QuarantineSettings) -> Option<(ObjectRef, Bytes)> {
        let read = self.read.as_ref()?;
        if self.has_failed(read) || !self.is_answered(read) {
            return None;
        }
        let counts = self.counts(self.account.settled());
        self.aside
            .close(&self.pass.object, &counts, &read.summary.formats, settings)
    }

    /// What became of that file.
    pub(super) fn note_quarantine(&mut self, written: Result<(), Failure>) {
        self.last_news = Instant::now();
        self.aside.note_written(written);
    }

    fn counts(&self, sum: &Sum) -> Counts {
        sum.counts(matches!(self.aside, Aside::Kept(_)))
    }

    /// Other than for want of time.
    fn has_failed(&self, read: &ObjectRead) -> bool {
        read.summary.failure.is_some() || self.account.failure().is_some() || self.failure.is_some()
    }

    /// Whether every document that was read has a verdict.
    fn is_answered(&self, read: &ObjectRead) -> bool {
        self.account.num_read() == read.num_stretches && self.account.is_answered()
    }

    pub(super) fn into_report(mut self) -> ObjectReport {
        let read = self.read.take();
        let rest = read.as_ref().and_then(|read| self.rest(read));
        let (failure, sum) = match &rest {
            Some(_) => (Some(out_of_time()), self.account.settled().clone()),
            None => (self.judge(read.as_ref()), self.account.total()),
        };
        let has_failed = read.as_ref().is_some_and(|read| self.has_failed(read));
        let is_late = failure.as_ref().is_some_and(|failure| {
            let is_short_of_time = self.account.late().is_some() && !has_failed;
            failure.reason == Reason::DeadlineExceeded || is_short_of_time
        });
        let counts = self.counts(&sum);
        let read = read.unwrap_or_default();
        ObjectReport {
            object: self.pass.object,
            counts,
            first_line: self.pass.first_line,
            failure,
            is_late,
            in_the_way: self.account.late().cloned(),
            rest,
            quarantine: match self.aside {
                Aside::Kept(file) => Some(file),
                _ => None,
            },
            elapsed: self.last_news - self.started,
            num_bytes_read: read.summary.num_bytes_read,
            size: read.info.size,
            times: sum.read.times,
        }
    }

    /// What is left of an object of which some lines are settled, when nothing but the time was in the way of the others.
    fn rest(&self, read: &ObjectRead) -> Option<ObjectPass> {
        let is_whole = !read.summary.is_stopped && self.account.is_settled();
        let first_line = self.account.next_line();
        let has_moved = first_line > self.pass.first_line;
        let is_set_aside = match &self.aside {
            Aside::Nowhere | Aside::Kept(_) => true,
            Aside::Gathering(_) | Aside::Writing(_) | Aside::Failed(_) => {
                self.counts(self.account.settled()).refused == 0
            }
        };
        let goes_on =
            !is_whole && has_moved && is_set_aside && !self.has_failed(read) && self.is_answered(read);
        goes_on.then(|| ObjectPass {
            object: self.pass.object.clone(),
            first_line,
            etag: read.info.etag.clone(),
        })
    }

    /// What to report when several things went wrong: first what another attempt may mend, because only then are all
    /// good lines indexed; then what is wrong with the object; then what is wrong with single lines.
    fn judge(&self, read: Option<&ObjectRead>) -> Option<Failure> {
        let causes = [
            self.account.failure(),
            self.account.late(),
            read.and_then(|read| read.summary.failure.as_ref()),
            self.failure.as_ref(),
        ];
        let causes: Vec<&Failure> = causes.into_iter().flatten().collect();
        let transient = |failure: &&&Failure| failure.reason.disposition() == Disposition::Transient;
        if let Some(cause) = causes.iter().find(transient).or(causes.last()) {
            return Some((*cause).clone());
        }
        // It was cut off.
        let Some(read) = read else {
            return Some(out_of_time());
        };
        if !self.is_answered(read) {
            let counts = self.counts(&self.account.total());
            let detail = format!("{} of {} lines have an outcome", counts.accounted(), counts.lines);
            return Some(Failure::new(Reason::InternalError, detail));
        }
        let is_late = || read.summary.is_stopped.then(out_of_time);
        self.judge_bad_lines().or_else(is_late)
    }

    fn judge_bad_lines(&self) -> Option<Failure> {
        let settled = self.account.settled();
        if self.counts(settled).refused == 0 {
            return None;
        }
        let bad = malformed_lines(settled).or_else(|| refused_documents(settled))?;
        Some(match &self.aside {
            Aside::Failed(failure) if failure.reason == Reason::ObjectMostlyMalformed => {
                Failure::new(failure.reason, format!("{}: {}", failure.detail, bad.detail))
            }
            Aside::Failed(failure) => failure.clone(),
            Aside::Writing(file) => {
                let detail = format!("{file} was not written: the writing ended without an answer");
                Failure::new(Reason::QuarantineUnavailable, detail)
            }
            Aside::Nowhere | Aside::Gathering(_) | Aside::Kept(_) => bad,
        })
    }
}

fn malformed_lines(settled: &Sum) -> Option<Failure> {
    let (line_number, error) = settled.read.first_malformed.as_ref()?;
    let also = match settled.refused {
        0 => String::new(),
        refused => format!("; Elasticsearch refused {refused} more"),
    };
    let detail = format!(
        "{} of {} lines: line {line_number} {error}{also}",
        settled.read.malformed, settled.read.lines
    );
    Some(Failure::new(Reason::LineMalformed, detail))
}

fn refused_documents(settled: &Sum) -> Option<Failure> {
    let (line_number, refusal) = settled.first_refused.as_ref()?;
    let Refusal { status, kind, reason } = refusal;
    let (refused, lines) = (settled.refused, settled.read.lines);
    let detail = format!("{refused} of {lines} lines: line {line_number}: {status} {kind}: {reason}");
    Some(Failure::new(Reason::BulkRejected, detail))
}
