//! What has become of each object so far, and the report it ends in.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::aside::Aside;
use super::convert::ReadSummary;
use super::reader::ObjectRead;
use super::{ObjectPass, out_of_time};
use crate::bulk::delivery::BodyReport;
use crate::bulk::{Refusal, Verdicts};
use crate::config::QuarantineSettings;
use crate::object::{ObjectInfo, ObjectRef};
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
    /// Where the time was up in the middle and all lines of the pass before are accounted for: what another pass may go
    /// on with. Without a quarantine, lines may have been refused before.
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
    info: ObjectInfo,
    started: Instant,
    last_news: Instant,
    read: Option<ReadSummary>,
    verdicts: Sum,
    failure: Option<Failure>,
    aside: Aside,
}

/// The verdicts of all documents of an object.
#[derive(Debug, Default)]
struct Sum {
    delivered: u64,
    duplicate: u64,
    refused: u64,
    /// The first refused one by line, whatever the order of the bodies.
    first_refused: Option<(u64, Refusal)>,
    failed: u64,
    failure: Option<Failure>,
}

impl Progress {
    pub(super) fn new(pass: ObjectPass, quarantine: &QuarantineSettings) -> Self {
        let now = Instant::now();
        Self {
            pass,
            info: ObjectInfo::default(),
            started: now,
            last_news: now,
            read: None,
            verdicts: Sum::default(),
            failure: None,
            aside: Aside::new(quarantine),
        }
    }

    pub(super) fn note_read(&mut self, read: ObjectRead) {
        self.last_news = Instant::now();
        self.read = Some(read.summary);
        if let Some(first_line) = read.first_line {
            self.pass.first_line = first_line;
        }
        self.info = read.info.clone();
        self.aside
            .note_read(read.info, self.pass.first_line, read.malformed);
    }

    pub(super) fn note_verdicts(&mut self, verdicts: Verdicts) {
        self.last_news = Instant::now();
        let sum = &mut self.verdicts;
        sum.delivered += verdicts.delivered;
        sum.duplicate += verdicts.duplicate;
        for item in verdicts.refused {
            self.aside.note_refused(&item);
            sum.refused += 1;
            if sum
                .first_refused
                .as_ref()
                .is_none_or(|(first, _)| item.token < *first)
            {
                sum.first_refused = Some((item.token, item.refusal));
            }
        }
        sum.failed += verdicts.failed;
        if sum.failure.is_none() {
            sum.failure = verdicts.failure;
        }
    }

    pub(super) fn note_failure(&mut self, failure: Failure) {
        self.failure.get_or_insert(failure);
    }

    /// Only objects that are not finished are out of time.
    pub(super) fn note_out_of_time(&mut self, failure: &Failure) {
        let finished = self
            .read
            .as_ref()
            .is_some_and(|read| self.counts(read).accounted() == read.lines);
        if !finished {
            self.note_failure(failure.clone());
        }
    }

    /// The file of the object's refused lines, once: as soon as all of its lines have an outcome and nothing else is
    /// wrong with it.
    pub(super) fn quarantine_file(&mut self, settings: &QuarantineSettings) -> Option<(ObjectRef, Bytes)> {
        let read = self.read.as_ref()?;
        let failures = [&read.failure, &self.verdicts.failure, &self.failure];
        let counts = self.counts(read);
        if failures.into_iter().any(Option::is_some) || counts.accounted() != counts.lines {
            return None;
        }
        self.aside
            .close(&self.pass.object, &counts, &read.formats, settings)
    }

    /// What became of that file.
    pub(super) fn note_quarantine(&mut self, written: Result<(), Failure>) {
        self.last_news = Instant::now();
        self.aside.note_written(written);
    }

    fn counts(&self, read: &ReadSummary) -> Counts {
        let Sum {
            delivered,
            duplicate,
            refused,
            failed,
            ..
        } = self.verdicts;
        let bad = read.malformed + refused;
        let is_kept = matches!(self.aside, Aside::Kept(_));
        Counts {
            // A reader that was cut off cannot tell; what was sent was read.
            lines: read.lines.max(delivered + duplicate + refused + failed),
            indexed: delivered,
            duplicate,
            no_data: read.no_data,
            quarantined: if is_kept { bad } else { 0 },
            refused: if is_kept { 0 } else { bad },
        }
    }

    pub(super) fn into_report(mut self) -> ObjectReport {
        let read = self.read.take().unwrap_or_default();
        let counts = self.counts(&read);
        let (failure, rest) = match self.rest(&read, &counts) {
            Some(rest) => (Some(out_of_time()), Some(rest)),
            None => {
                let stopped = || read.stopped_at.map(|_| out_of_time());
                (self.judge(&read, &counts).or_else(stopped), None)
            }
        };
        ObjectReport {
            object: self.pass.object,
            counts,
            first_line: self.pass.first_line,
            failure,
            rest,
            quarantine: match self.aside {
                Aside::Kept(file) => Some(file),
                _ => None,
            },
            elapsed: self.last_news - self.started,
            num_bytes_read: read.num_bytes_read,
            size: self.info.size,
            times: read.times,
        }
    }

    /// What is left of an object that was stopped in the middle and has nothing else wrong with it.
    fn rest(&self, read: &ReadSummary, counts: &Counts) -> Option<ObjectPass> {
        let first_line = read.stopped_at.filter(|line| *line > self.pass.first_line)?;
        let failures = [&read.failure, &self.verdicts.failure, &self.failure];
        let is_set_aside = match &self.aside {
            Aside::Nowhere | Aside::Kept(_) => true,
            Aside::Gathering(_) | Aside::Writing(_) | Aside::Failed(_) => counts.refused == 0,
        };
        let is_good = failures.into_iter().all(Option::is_none) && counts.accounted() == counts.lines;
        (is_good && is_set_aside).then(|| ObjectPass {
            object: self.pass.object.clone(),
            first_line,
            etag: self.info.etag.clone(),
        })
    }

    /// What to report when several things went wrong: first what another attempt may mend, because only then are all
    /// good lines indexed; then what is wrong with the object; then what is wrong with single lines.
    fn judge(&mut self, read: &ReadSummary, counts: &Counts) -> Option<Failure> {
        let verdict = self.verdicts.failure.take();
        let causes = [verdict, read.failure.clone(), self.failure.take()];
        let transient = |failure: &Failure| failure.reason.disposition() == Disposition::Transient;
        let mut causes: Vec<Failure> = causes.into_iter().flatten().collect();
        if let Some(position) = causes.iter().position(transient) {
            return Some(causes.swap_remove(position));
        }
        if let Some(failure) = causes.pop() {
            return Some(failure);
        }
        if counts.accounted() != counts.lines {
            let detail = format!("{} of {} lines have an outcome", counts.accounted(), counts.lines);
            return Some(Failure::new(Reason::InternalError, detail));
        }
        if counts.refused == 0 {
            return None;
        }
        let bad = self
            .malformed_lines(read)
            .or_else(|| self.refused_documents(read))?;
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

    fn malformed_lines(&self, read: &ReadSummary) -> Option<Failure> {
        let (line_number, error) = read.first_malformed.as_ref()?;
        let also = match self.verdicts.refused {
            0 => String::new(),
            refused => format!("; Elasticsearch refused {refused} more"),
        };
        let detail = format!(
            "{} of {} lines: line {line_number} {error}{also}",
            read.malformed, read.lines
        );
        Some(Failure::new(Reason::LineMalformed, detail))
    }

    fn refused_documents(&self, read: &ReadSummary) -> Option<Failure> {
        let (line_number, refusal) = self.verdicts.first_refused.as_ref()?;
        let Refusal { status, kind, reason } = refusal;
        let (refused, lines) = (self.verdicts.refused, read.lines);
        let detail = format!("{refused} of {lines} lines: line {line_number}: {status} {kind}: {reason}");
        Some(Failure::new(Reason::BulkRejected, detail))
    }
}
