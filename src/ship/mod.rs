//! Objects in, reports out: the only module that sees all stages.
//!
//! ```text
//!  store ──chunks──► blocking thread: inflate, split, parse, write ──segments──► packer ──bodies──► courier
//!  (one task an object, at most `objects_in_flight`)                            (at most `bulk_in_flight`)
//! ```
//!
//! Every arrow is bounded, so memory does not depend on the size or the number of objects: what is held is a few
//! chunks and one segment an object in flight, and the bodies in flight.

pub mod convert;
mod progress;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::bulk::delivery::{BodyReport, Courier};
use crate::bulk::{Body, BulkSink, Packer, Segment};
use crate::config::ShipSettings;
use crate::deadline::Deadline;
use crate::decode::ChunkReader;
use crate::enrich::Enrichment;
use crate::flow::LineError;
use crate::object::{ObjectBody, ObjectRef, ObjectStore};
use crate::outcome::{Failure, Reason};
use convert::{Closed, ConvertSettings, Converter, ReadSummary, Source, Taker};
use progress::Progress;

pub use progress::{ObjectReport, ShipReport, Work};

/// Chunks read ahead of the inflater: enough that the network and the CPU overlap.
const CHUNKS_AHEAD: usize = 4;

/// Segments waiting for the packer.
const SEGMENTS_AHEAD: usize = 2;

/// How long documents wait for company in a body that is not full.
const LINGER: Duration = Duration::from_millis(500);

/// Ships objects. One per process: the body limit that the server has taught is kept between invocations.
#[derive(Debug)]
pub struct Shipper<S, B> {
    store: Arc<S>,
    courier: Arc<Courier<B>>,
    converter: Arc<Converter>,
    settings: ShipSettings,
}

impl<S: ObjectStore, B: BulkSink> Shipper<S, B> {
    /// Reads from `store`, delivers to `sink` documents that are enriched so.
    pub fn new(store: S, sink: B, settings: ShipSettings, enrichment: Arc<Enrichment>) -> Self {
        let courier = Courier::new(sink, settings.bulk_max_bytes, settings.bulk_timeout);
        Self {
            store: Arc::new(store),
            courier: Arc::new(courier),
            converter: Arc::new(Converter::new(ConvertSettings::new(&settings, enrichment))),
            settings,
        }
    }

    /// Ships these objects, several at a time, and reports on each, in order.
    pub async fn ship(&self, objects: Vec<ObjectRef>, deadline: Deadline) -> ShipReport {
        Pass::start(self, objects, deadline).run().await
    }
}

/// One run over some objects.
struct Pass<'a, S, B> {
    shipper: &'a Shipper<S, B>,
    deadline: Deadline,
    readers: JoinSet<(usize, ReadSummary)>,
    /// Which object a reader task is for: a task that panics cannot tell.
    reader_ids: Vec<Id>,
    segments: mpsc::Receiver<Segment>,
    deliveries: JoinSet<BodyReport>,
    packer: Packer,
    /// Since when the packer's documents wait for company; waiting for a body to be delivered first does not count.
    packed_since: Option<Instant>,
    progress: Vec<Progress>,
    /// Set for an object that has failed: reading on would be in vain.
    stop: Arc<Vec<AtomicBool>>,
    report: ShipReport,
}

impl<'a, S: ObjectStore, B: BulkSink> Pass<'a, S, B> {
    fn start(shipper: &'a Shipper<S, B>, objects: Vec<ObjectRef>, deadline: Deadline) -> Self {
        let (sender, segments) = mpsc::channel(SEGMENTS_AHEAD);
        let permits = Arc::new(Semaphore::new(shipper.settings.objects_in_flight));
        let stop: Arc<Vec<AtomicBool>> = Arc::new(objects.iter().map(|_| AtomicBool::new(false)).collect());
        let mut readers = JoinSet::new();
        let mut reader_ids = Vec::with_capacity(objects.len());
        for (number, object) in objects.iter().enumerate() {
            let reader = ObjectReader {
                number,
                object: object.clone(),
                store: Arc::clone(&shipper.store),
                converter: Arc::clone(&shipper.converter),
                segments: sender.clone(),
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
            segments,
            deliveries: JoinSet::new(),
            packer: Packer::new(shipper.settings.bulk_max_bytes),
            packed_since: None,
            progress: objects.into_iter().map(Progress::new).collect(),
            stop,
            report: ShipReport::default(),
        }
    }

    async fn run(mut self) -> ShipReport {
        let mut open = true;
        while open || !self.readers.is_empty() || !self.deliveries.is_empty() {
            let may_deliver = self.deliveries.len() < self.shipper.settings.bulk_in_flight;
            let linger_until = self
                .packed_since
                .map_or_else(Instant::now, |since| since + LINGER);
            tokio::select! {
                segment = self.segments.recv(), if open && may_deliver => match segment {
                    Some(segment) => self.pack(segment),
                    None => {
                        open = false;
                        self.flush();
                    }
                },
                Some(read) = self.readers.join_next_with_id() => self.note_read(read),
                Some(delivered) = self.deliveries.join_next() => self.note_delivered(delivered),
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

    fn pack(&mut self, segment: Segment) {
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
        self.deliveries
            .spawn(async move { courier.deliver(body, deadline).await });
    }

    fn note_read(&mut self, read: Result<(Id, (usize, ReadSummary)), JoinError>) {
        match read {
            Ok((_, (number, summary))) => self.progress[number].note_read(summary),
            Err(error) => {
                let number = self.reader_ids.iter().position(|id| *id == error.id());
                let number = number.expect("every reader's id was noted");
                self.progress[number].note_failure(panicked("reading the object", error));
            }
        }
    }

    fn note_delivered(&mut self, delivered: Result<BodyReport, JoinError>) {
        // While every turn was taken nothing could leave: from now on the documents wait for company.
        if let Some(since) = &mut self.packed_since
            && self.deliveries.len() + 1 == self.shipper.settings.bulk_in_flight
        {
            *since = Instant::now();
        }
        match delivered {
            Ok(report) => {
                self.report.note_body(&report);
                for (number, verdicts) in report.verdicts {
                    if verdicts.failure.is_some() {
                        self.stop[number].store(true, Ordering::Relaxed);
                    }
                    self.progress[number].note_verdicts(verdicts);
                }
            }
            // Whose documents they were is lost with the body; the objects' sums no longer add up, which fails them.
            Err(error) => {
                tracing::error!(error = %panicked("delivering documents", error), "a bulk body was lost");
            }
        }
    }

    /// The time is up: nothing new starts; requests that are out may still be answered.
    async fn wind_up(&mut self) {
        self.readers.abort_all();
        self.segments.close();
        while let Some(delivered) = self.deliveries.join_next().await {
            self.note_delivered(delivered);
        }
        let failure = Failure::new(
            Reason::DeadlineExceeded,
            "the time was up before the object was finished",
        );
        for progress in &mut self.progress {
            progress.note_out_of_time(&failure);
        }
    }
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

/// Reads one object: its chunks here, its lines on a blocking thread.
struct ObjectReader<S> {
    number: usize,
    object: ObjectRef,
    store: Arc<S>,
    converter: Arc<Converter>,
    segments: mpsc::Sender<Segment>,
    stop: Arc<Vec<AtomicBool>>,
}

impl<S: ObjectStore> ObjectReader<S> {
    async fn read(self) -> ReadSummary {
        let opened = match self.store.open(&self.object).await {
            Ok(opened) => opened,
            Err(error) => {
                return ReadSummary {
                    failure: Some(error.failure()),
                    ..ReadSummary::default()
                };
            }
        };
        let source = Source::new(&self.object, opened.last_modified);
        let (chunks, reader) = mpsc::channel(CHUNKS_AHEAD);
        let Self {
            number,
            converter,
            segments,
            stop,
            ..
        } = self;
        let work = tokio::task::spawn_blocking(move || {
            let mut taker = SegmentSender {
                number,
                segments,
                stop,
            };
            converter.convert(ChunkReader::new(reader), number, &source, &mut taker)
        });
        let num_bytes_read = feed(opened.body, chunks).await;
        match work.await {
            Ok(summary) => ReadSummary {
                num_bytes_read,
                ..summary
            },
            Err(error) => {
                let failure = panicked("converting the object", error);
                ReadSummary {
                    failure: Some(failure),
                    ..ReadSummary::default()
                }
            }
        }
    }
}

/// Hands the segments of one object to the packer, until the object has failed.
struct SegmentSender {
    number: usize,
    segments: mpsc::Sender<Segment>,
    stop: Arc<Vec<AtomicBool>>,
}

impl Taker for SegmentSender {
    fn segment(&mut self, segment: Segment) -> Result<(), Closed> {
        if self.stop[self.number].load(Ordering::Relaxed) {
            return Err(Closed);
        }
        self.segments
            .blocking_send(segment)
            .map_err(|_receiver_is_gone| Closed)
    }

    /// The summary counts them and keeps the first.
    fn malformed(&mut self, _line_number: u64, _error: &LineError) {}
}

/// Passes the chunks on until the end, an error, or until nobody wants them any more. An empty chunk says that the
/// object is whole. Answers with the bytes that came.
async fn feed(
    mut body: impl ObjectBody,
    chunks: mpsc::Sender<Result<Bytes, crate::object::StoreError>>,
) -> u64 {
    let mut num_bytes = 0;
    loop {
        let chunk = match body.next_chunk().await {
            Ok(Some(chunk)) if chunk.is_empty() => continue,
            Ok(Some(chunk)) => {
                num_bytes += chunk.len() as u64;
                Ok(chunk)
            }
            Ok(None) => Ok(Bytes::new()),
            Err(error) => Err(error),
        };
        let is_last = !matches!(&chunk, Ok(chunk) if !chunk.is_empty());
        if chunks.send(chunk).await.is_err() || is_last {
            return num_bytes;
        }
    }
}

#[cfg(test)]
mod tests;
