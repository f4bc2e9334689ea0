//! Objects in, reports out: the only module that sees all stages.
//!
//! ```text
//!  store ──chunks──► blocking thread: inflate, split, parse, write ──stretches──┬──► packer ──bodies──► courier
//!  (one task an object, at most `objects_in_flight`)                            │    (at most `bulk_in_flight`)
//!                                                                               └──► account ◄──verdicts──┘
//!                                     quarantine ◄──refused lines of what is settled────┘
//! ```
//!
//! Every arrow is bounded, so memory does not depend on the size or the number of objects: what is held is a few
//! chunks and one stretch an object in flight, the bodies in flight, and of each object its refused lines: those that are
//! settled compressed, and so many as fill a body before that.

mod account;
mod aside;
pub mod convert;
mod progress;
mod reader;
pub mod replay;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::bulk::delivery::{BodyReport, Courier};
use crate::bulk::{Body, BulkSink, Packer, SegmentId, Verdicts};
use crate::config::ShipSettings;
use crate::deadline::Deadline;
use crate::enrich::Enrichment;
use crate::object::{ObjectInfo, ObjectRef, ObjectStore};
use crate::outcome::{Failure, Reason};
use crate::quarantine::{Quarantine, QuarantineError};
use convert::{ConvertSettings, Converter};
use progress::Progress;
use reader::{ObjectRead, ObjectReader, ReadStretch};

pub use progress::{ObjectReport, ShipReport, Work};

/// Stretches waiting for the packer.
const STRETCHES_AHEAD: usize = 2;

/// How long documents wait for company in a body that is not full.
const LINGER: Duration = Duration::from_millis(500);

/// What readers get to end in however little time is left: they only wait for a line to be converted.
const LEAST_PATIENCE: Duration = Duration::from_millis(100);

/// Longest wait for a quarantine file to be written, the SDK's own attempts included.
const QUARANTINE_TIMEOUT: Duration = Duration::from_secs(60);

/// An object to ship, and where to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectPass {
    /// The object.
    pub object: ObjectRef,
    /// The first line that is not accounted for, from 1; header and blank lines count.
    pub first_line: u64,
    /// What S3 called the content in which that line was counted.
    pub etag: Option<String>,
}

impl From<ObjectRef> for ObjectPass {
    fn from(object: ObjectRef) -> Self {
        Self {
            object,
            first_line: 1,
            etag: None,
        }
    }
}

impl ObjectPass {
    /// Where to begin in what the store has now: other content is read from its start. Ids make that safe.
    fn first_line_of(&self, info: &ObjectInfo) -> u64 {
        match (&self.etag, &info.etag) {
            (Some(before), Some(now)) if before != now => {
                let (object, line) = (self.object.to_string(), self.first_line);
                tracing::warn!(
                    object,
                    line,
                    before,
                    now,
                    "the object was overwritten between two passes, it is read from its start"
                );
                1
            }
            _ => self.first_line,
        }
    }
}

/// Ships objects. One per process: how much the server takes is kept between invocations.
#[derive(Debug)]
pub struct Shipper<S, B, K> {
    store: Arc<S>,
    courier: Arc<Courier<B>>,
    quarantine: Arc<K>,
    converter: Arc<Converter>,
    settings: ShipSettings,
}

impl<S: ObjectStore, B: BulkSink, K: Quarantine> Shipper<S, B, K> {
    /// Reads from `store`, delivers to `sink` documents that are enriched so, keeps what is refused in `quarantine` if
    /// the settings name a place there.
    pub fn new(
        store: S,
        sink: B,
        quarantine: K,
        settings: ShipSettings,
        enrichment: Arc<Enrichment>,
    ) -> Self {
        let courier = Courier::new(
            sink,
            settings.bulk_max_bytes,
            settings.bulk_in_flight,
            settings.bulk_timeout,
        );
        Self {
            store: Arc::new(store),
            courier: Arc::new(courier),
            quarantine: Arc::new(quarantine),
            converter: Arc::new(Converter::new(ConvertSettings::new(&settings, enrichment))),
            settings,
        }
    }

    /// Whether this object is a quarantine file, which is never shipped: each would make another one.
    pub fn is_quarantine(&self, object: &ObjectRef) -> bool {
        let place = &self.settings.quarantine.place;
        place.as_ref().is_some_and(|place| place.holds(object))
    }

    /// Ships these objects, several at a time, and reports on each, in order.
    pub async fn ship(&self, objects: Vec<ObjectPass>, deadline: Deadline) -> ShipReport {
        Pass::start(self, objects, deadline).run().await
    }
}

/// One run over some objects.
struct Pass<'a, S, B, K> {
    shipper: &'a Shipper<S, B, K>,
    deadline: Deadline,
    readers: JoinSet<(usize, ObjectRead)>,
    /// Which object a reader task is for: a task that panics cannot tell.
    reader_ids: Vec<Id>,
    stretches: mpsc::Receiver<ReadStretch>,
    deliveries: JoinSet<BodyReport>,
    /// What is in a body under way: a task that panics cannot tell.
    bodies: HashMap<Id, Vec<(SegmentId, usize)>>,
    /// Quarantine files on their way.
    writes: JoinSet<(usize, Result<(), Failure>)>,
    packer: Packer,
    /// Since when the packer's documents wait for company; waiting for a body to be delivered first does not count.
    packed_since: Option<Instant>,
    progress: Vec<Progress>,
    /// Set for an object that has failed: reading on would be in vain.
    stop: Arc<Vec<AtomicBool>>,
    report: ShipReport,
}

impl<'a, S: ObjectStore, B: BulkSink, K: Quarantine> Pass<'a, S, B, K> {
    fn start(shipper: &'a Shipper<S, B, K>, objects: Vec<ObjectPass>, deadline: Deadline) -> Self {
        let (sender, stretches) = mpsc::channel(STRETCHES_AHEAD);
        let permits = Arc::new(Semaphore::new(shipper.settings.objects_in_flight));
        let stop: Arc<Vec<AtomicBool>> = Arc::new(objects.iter().map(|_| AtomicBool::new(false)).collect());
        let mut readers = JoinSet::new();
        let mut reader_ids = Vec::with_capacity(objects.len());
        for (number, pass) in objects.iter().enumerate() {
            let reader = ObjectReader {
                number,
                pass: pass.clone(),
                store: Arc::clone(&shipper.store),
                converter: Arc::clone(&shipper.converter),
                stretches: sender.clone(),
                stop: Arc::clone(&stop),
            };
            let permits = Arc::clone(&permits);
            let task = readers.spawn(async move {
                let _permit = permits
                    .acquire_owned()
                    .await
                    .expect("the semaphore is never closed");
                (number, reader.read().await)
            });
            reader_ids.push(task.id());
        }
        Self {
            shipper,
            deadline,
            readers,
            reader_ids,
            stretches,
            deliveries: JoinSet::new(),
            bodies: HashMap::new(),
            writes: JoinSet::new(),
            packer: Packer::new(shipper.settings.bulk_max_bytes),
            packed_since: None,
            progress: objects
                .into_iter()
                .map(|pass| Progress::new(pass, &shipper.settings.quarantine))
                .collect(),
            stop,
            report: ShipReport::default(),
        }
    }

    async fn run(mut self) -> ShipReport {
        let mut open = true;
        while open || !self.readers.is_empty() || !self.deliveries.is_empty() || !self.writes.is_empty() {
            let may_deliver = self.deliveries.len() < self.shipper.settings.bulk_in_flight;
            let may_read = may_deliver && !self.progress.iter().any(Progress::is_clogged);
            let linger_until = self
                .packed_since
                .map_or_else(Instant::now, |since| since + LINGER);
            tokio::select! {
                stretch = self.stretches.recv(), if open && may_read => match stretch {
                    Some(stretch) => self.pack(stretch),
                    None => {
                        open = false;
                        self.flush();
                    }
                },
                Some(read) = self.readers.join_next_with_id() => self.note_read(read),
                Some(delivered) = self.deliveries.join_next_with_id() => self.note_delivered(delivered),
                Some(written) = self.writes.join_next() => self.note_written(written),
                () = sleep_until(linger_until), if self.packed_since.is_some() && may_deliver => self.flush(),
                () = sleep_until(self.deadline.stop_at()) => {
                    self.wind_up().await;
                    break;
                }
            }
        }
        for progress in self.progress {
            self.report.note_object(progress.into_report());
        }
        self.report
    }

    fn pack(&mut self, stretch: ReadStretch) {
        let number = stretch.stretch.segment.id().producer;
        let segment = self.progress[number].note_stretch(stretch);
        if segment.is_empty() {
            self.set_aside(number);
            return;
        }
        self.packed_since.get_or_insert_with(Instant::now);
        if let Some(body) = self.packer.push(segment) {
            self.packed_since = Some(Instant::now());
            self.deliver(body);
        }
    }

    fn flush(&mut self) {
        self.packed_since = None;
        if let Some(body) = self.packer.take() {
            self.deliver(body);
        }
    }

    fn deliver(&mut self, body: Body) {
        let courier = Arc::clone(&self.shipper.courier);
        let deadline = self.deadline;
        let segments = body.segments().collect();
        let task = self
            .deliveries
            .spawn(async move { courier.deliver(body, deadline).await });
        self.bodies.insert(task.id(), segments);
    }

    fn note_read(&mut self, read: Result<(Id, (usize, ObjectRead)), JoinError>) {
        match read {
            Ok((_, (number, read))) => {
                self.progress[number].note_read(read);
                self.set_aside(number);
            }
            // It did not end in time.
            Err(error) if error.is_cancelled() => {}
            Err(error) => {
                let number = self.reader_ids.iter().position(|id| *id == error.id());
                let number = number.expect("every reader's id was noted");
                self.progress[number].note_failure(panicked("reading the object", error));
            }
        }
    }

    fn note_delivered(&mut self, delivered: Result<(Id, BodyReport), JoinError>) {
        // While every turn was taken nothing could leave: from now on the documents wait for company.
        if let Some(since) = &mut self.packed_since
            && self.deliveries.len() + 1 == self.shipper.settings.bulk_in_flight
        {
            *since = Instant::now();
        }
        match delivered {
            Ok((id, report)) => {
                self.bodies.remove(&id);
                self.report.note_body(&report);
                self.note_verdicts(report.verdicts);
            }
            Err(error) => {
                let segments = self.bodies.remove(&error.id()).unwrap_or_default();
                let failure = panicked("delivering documents", error);
                let lost = segments.into_iter().map(|(segment, num_items)| {
                    let verdicts = Verdicts {
                        failed: num_items as u64,
                        failure: Some(failure.clone()),
                        ..Verdicts::default()
                    };
                    (segment, verdicts)
                });
                self.note_verdicts(lost);
            }
        }
    }

    fn note_verdicts(&mut self, verdicts: impl IntoIterator<Item = (SegmentId, Verdicts)>) {
        for (segment, verdicts) in verdicts {
            let number = segment.producer;
            if verdicts.failed > 0 {
                self.stop[number].store(true, Ordering::Relaxed);
            }
            self.progress[number].note_verdicts(segment.number, verdicts);
            self.set_aside(number);
        }
    }

    /// Writes the refused lines of an object of which nothing more can be settled.
    fn set_aside(&mut self, number: usize) {
        let settings = &self.shipper.settings.quarantine;
        let Some((file, bytes)) = self.progress[number].quarantine_file(settings) else {
            return;
        };
        let quarantine = Arc::clone(&self.shipper.quarantine);
        let limit = self.deadline.settle_timeout().min(QUARANTINE_TIMEOUT);
        self.writes.spawn(async move {
            let written = match timeout(limit, quarantine.put(&file, bytes)).await {
                Ok(written) => written,
                Err(_elapsed) => Err(QuarantineError {
                    object: file,
                    detail: "no answer in time".to_owned(),
                }),
            };
            (number, written.map_err(|error| error.failure()))
        });
    }

    fn note_written(&mut self, written: Result<(usize, Result<(), Failure>), JoinError>) {
        match written {
            Ok((number, written)) => self.progress[number].note_quarantine(written),
            // Whose lines they were is lost with the task; an object whose file was not confirmed comes back.
            Err(error) => {
                tracing::error!(error = %panicked("writing a quarantine file", error), "a quarantine file was lost");
            }
        }
    }

    /// The time for reading is up: what was read until now is sent, as far as the time that is kept for it goes. What is
    /// not settled then is the next pass's.
    async fn wind_up(&mut self) {
        for stop in self.stop.iter() {
            stop.store(true, Ordering::Relaxed);
        }
        self.stretches.close();
        while let Some(stretch) = self.stretches.recv().await {
            self.pack(stretch);
        }
        self.flush();
        while !(self.readers.is_empty() && self.deliveries.is_empty() && self.writes.is_empty()) {
            let patience = self.deadline.sending_time_left();
            tokio::select! {
                Some(read) = self.readers.join_next_with_id() => self.note_read(read),
                Some(delivered) = self.deliveries.join_next_with_id() => self.note_delivered(delivered),
                Some(written) = self.writes.join_next() => self.note_written(written),
                () = sleep(patience.max(LEAST_PATIENCE)), if !self.readers.is_empty() => self.readers.abort_all(),
            }
        }
    }
}

fn out_of_time() -> Failure {
    Failure::new(
        Reason::DeadlineExceeded,
        "the time was up before the object was finished",
    )
}

fn panicked(doing: &str, error: JoinError) -> Failure {
    let message = match error.try_into_panic() {
        Ok(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            text.or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "panic".to_owned())
        }
        Err(error) => error.to_string(),
    };
    Failure::new(Reason::InternalError, format!("{doing}: {message}"))
}

#[cfg(test)]
mod tests;
