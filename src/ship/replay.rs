//! A quarantine file → the documents of its lines, delivered → the file with what remains of it.
//!
//! The order is: deliver, confirmed, write the file anew, confirmed. A crash in between leaves the file as it was, and
//! the next replay finds duplicates. The file is written anew only if it is still the one that was read: what the
//! function or another replay wrote meanwhile wins, and stays whole. If the function writes after it, because a
//! pass over the object was under way, its file may again name lines that are delivered: the next replay finds them
//! to be duplicates, too. Nothing is deleted: a file of which nothing remains is a head without lines.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::convert::{Closed, Stretch, Taker};
use super::convert::{ConvertSettings, Converter, KeptFormats, KeptLine, NotKept, Source};
use super::panicked;
use crate::bulk::delivery::Courier;
use crate::bulk::{Body, BulkSink, Packer, Segment, Verdicts};
use crate::config::ShipSettings;
use crate::deadline::Deadline;
use crate::enrich::Enrichment;
use crate::flow::LineError;
use crate::object::{ObjectBody, ObjectRef, ObjectStore, StoreError};
use crate::outcome::{Failure, Reason};
use crate::quarantine::{
    Head, MAX_GATHERED_BYTES, Origin, Quarantine, QuarantineFile, QuarantinedLine, ReadError, Remainder,
    Replacement, Tally,
};

/// No quarantine file is as large, whose lines take at most twice this limit.
const MAX_FILE_BYTES: usize = 8 * MAX_GATHERED_BYTES;

/// How long a body is sent again and again: someone waits for it.
const PATIENCE: Duration = Duration::from_secs(300);

/// Of that, what the last request may take longer.
const MARGIN: Duration = Duration::from_secs(20);

/// Lines of a file that are named one by one.
const MAX_NAMED: usize = 20;

/// A quarantine file as it was when it was read.
#[derive(Clone, Debug)]
pub struct StoredFile {
    /// Its name.
    pub object: ObjectRef,
    /// What the store called its content.
    etag: Option<String>,
    bytes: Bytes,
}

/// Why there is nothing to be read of a file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The store does not hand it out.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is none of flowship's.
    #[error("it is larger than {MAX_FILE_BYTES} bytes, which no quarantine file is")]
    TooLarge,
    /// It is damaged.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl StoredFile {
    /// Reads a file.
    pub async fn fetch(store: &impl ObjectStore, object: &ObjectRef) -> Result<Self, FileError> {
        let mut opened = store.open(object).await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = opened.body.next_chunk().await? {
            if bytes.len() + chunk.len() > MAX_FILE_BYTES {
                return Err(FileError::TooLarge);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Self {
            object: object.clone(),
            etag: opened.info.etag,
            bytes: bytes.into(),
        })
    }

    /// Its head, and its lines one after the other.
    pub fn open(&self) -> Result<QuarantineFile<&[u8]>, ReadError> {
        QuarantineFile::open(&self.bytes)
    }
}

/// What became of the selected lines of a file: `selected = delivered + duplicate + no_data + refused + kept + failed`;
/// without a sink, `would_send` takes the place of the first two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ReplayCounts {
    /// Lines that were to be shipped again.
    pub selected: u64,
    /// Lines whose documents would be sent.
    pub would_send: u64,
    /// Documents that Elasticsearch created.
    pub delivered: u64,
    /// Documents that were there already.
    pub duplicate: u64,
    /// NODATA records, which are no longer indexed.
    pub no_data: u64,
    /// Refused again: they stay, with the reason of today.
    pub refused: u64,
    /// Lines that cannot be shipped again: they stay as they are.
    pub kept: u64,
    /// Lines without an outcome: they stay as they are.
    pub failed: u64,
}

impl ReplayCounts {
    /// Adds those of another file.
    pub fn add(&mut self, other: &Self) {
        self.selected += other.selected;
        self.would_send += other.would_send;
        self.delivered += other.delivered;
        self.duplicate += other.duplicate;
        self.no_data += other.no_data;
        self.refused += other.refused;
        self.kept += other.kept;
        self.failed += other.failed;
    }

    fn gone(&self) -> u64 {
        self.delivered + self.duplicate + self.no_data
    }

    fn settled(&self) -> u64 {
        self.would_send + self.gone() + self.refused + self.kept
    }
}

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileFate {
    /// It is as it was, because no line of it has another outcome than before, or because nothing was to be sent.
    Unchanged,
    /// Nothing remains of it.
    Emptied,
    /// It has so many lines left.
    Rewritten(u64),
    /// It was overwritten by someone else since it was read, and is theirs. What was delivered of it is delivered.
    Overtaken,
    /// It is as it was: not all lines have an outcome, or it could not be written. What was delivered is delivered.
    Failed(Failure),
    /// It is as it was: it cannot be read to its end. What was delivered is delivered.
    Damaged(String),
}

/// What a replay of a file came to.
#[derive(Clone, Debug)]
pub struct FileReport {
    /// The file.
    pub object: ObjectRef,
    /// What became of its lines.
    pub counts: ReplayCounts,
    /// What became of it.
    pub fate: FileFate,
    /// The lines that were refused again, by the reason of today.
    pub refused: Tally,
    /// The first lines that cannot be shipped again, by number, and why.
    pub kept: Vec<(u64, NotKept)>,
}

/// Ships quarantined lines again.
#[derive(Debug)]
pub struct Replayer<S, B> {
    store: S,
    /// `None`: nothing is sent, and nothing is written.
    courier: Option<Courier<B>>,
    converter: Arc<Converter>,
    bulk_max_bytes: usize,
}

impl<S: ObjectStore + Quarantine, B: BulkSink> Replayer<S, B> {
    /// Converts by these settings, which should be the function's own, and delivers to `sink`; without one, it only
    /// says what would be sent.
    pub fn new(store: S, sink: Option<B>, settings: &ShipSettings, enrichment: Arc<Enrichment>) -> Self {
        let (max_bytes, timeout) = (settings.bulk_max_bytes, settings.bulk_timeout);
        let courier = |sink| Courier::new(sink, max_bytes, settings.bulk_in_flight, timeout);
        let settings_of_lines = ConvertSettings {
            keep_lines: true,
            ..ConvertSettings::new(settings, enrichment)
        };
        Self {
            store,
            courier: sink.map(courier),
            converter: Arc::new(Converter::new(settings_of_lines)),
            bulk_max_bytes: max_bytes,
        }
    }

    /// Ships the lines of a file that `select` takes, and writes the file anew without those that have left it.
    pub async fn replay(
        &self,
        file: StoredFile,
        select: impl Fn(&QuarantinedLine) -> bool + Send + 'static,
        now: Timestamp,
    ) -> FileReport {
        let (sender, mut segments) = mpsc::channel(1);
        let converter = Arc::clone(&self.converter);
        let stored = file.clone();
        let reading = tokio::task::spawn_blocking(move || read_again(&stored, &converter, select, sender));
        let mut delivered = Delivered::default();
        let mut packer = Packer::new(self.bulk_max_bytes);
        while let Some(segment) = segments.recv().await {
            if let Some(body) = packer.push(segment) {
                self.deliver(body, &mut delivered).await;
            }
            if delivered.failure.is_some() {
                break;
            }
        }
        drop(segments);
        let read = match reading.await {
            Ok(read) => read,
            Err(error) => Read {
                problem: Some(panicked("reading a quarantine file", error).detail),
                ..Read::default()
            },
        };
        if delivered.failure.is_none()
            && let Some(body) = packer.take()
        {
            self.deliver(body, &mut delivered).await;
        }
        self.conclude(&file, read, delivered, now).await
    }

    async fn deliver(&self, body: Body, delivered: &mut Delivered) {
        let Some(courier) = &self.courier else {
            delivered.would_send += body.num_items() as u64;
            return;
        };
        let deadline = Deadline::new(Instant::now() + PATIENCE, MARGIN);
        let report = courier.deliver(body, deadline).await;
        for verdicts in report.verdicts.into_values() {
            delivered.note(verdicts);
        }
    }

    async fn conclude(
        &self,
        file: &StoredFile,
        read: Read,
        delivered: Delivered,
        now: Timestamp,
    ) -> FileReport {
        let mut refused = read.malformed;
        refused.append(delivered.refused);
        let mut counts = ReplayCounts {
            selected: read.selected,
            would_send: delivered.would_send,
            delivered: delivered.created,
            duplicate: delivered.duplicate,
            no_data: read.no_data,
            refused: refused.num_lines(),
            kept: read.num_kept,
            failed: 0,
        };
        counts.failed = counts.selected.saturating_sub(counts.settled());
        let fate = match (read.problem, delivered.failure, read.head) {
            (_, Some(failure), _) => FileFate::Failed(failure),
            (Some(problem), None, _) => FileFate::Damaged(problem),
            (None, None, _) if counts.settled() != counts.selected => FileFate::Failed(Failure::new(
                Reason::InternalError,
                format!(
                    "{} of {} lines have an outcome",
                    counts.settled(),
                    counts.selected
                ),
            )),
            (None, None, Some(head)) if self.courier.is_some() && counts.gone() + counts.refused > 0 => {
                let remainders = [read.untouched, read.again, delivered.again];
                self.write(file, &head, remainders, now).await
            }
            (None, None, _) => FileFate::Unchanged,
        };
        FileReport {
            object: file.object.clone(),
            counts,
            fate,
            refused,
            kept: read.kept,
        }
    }

    async fn write(
        &self,
        file: &StoredFile,
        head: &Head,
        remainders: [Remainder; 3],
        now: Timestamp,
    ) -> FileFate {
        let num_lines: u64 = remainders.iter().map(Remainder::num_lines).sum();
        let bytes = head.rewritten(remainders, now);
        let Some(etag) = &file.etag else {
            let detail = format!(
                "{} has no ETag, so a change in between would not be seen",
                file.object
            );
            return FileFate::Failed(Failure::new(Reason::QuarantineUnavailable, detail));
        };
        match self.store.replace(&file.object, etag, bytes.clone()).await {
            Ok(Replacement::Changed) if !self.has_now(file, &bytes).await => FileFate::Overtaken,
            Ok(_) if num_lines == 0 => FileFate::Emptied,
            Ok(_) => FileFate::Rewritten(num_lines),
            Err(error) => FileFate::Failed(error.failure()),
        }
    }

    /// An answer that was lost makes the client try again, and that attempt finds what the first one wrote.
    async fn has_now(&self, file: &StoredFile, bytes: &Bytes) -> bool {
        let found = StoredFile::fetch(&self.store, &file.object).await;
        found.is_ok_and(|found| found.bytes == *bytes)
    }
}

/// What became of the documents of a file.
#[derive(Debug, Default)]
struct Delivered {
    would_send: u64,
    created: u64,
    duplicate: u64,
    refused: Tally,
    again: Remainder,
    failure: Option<Failure>,
}

impl Delivered {
    fn note(&mut self, verdicts: Verdicts) {
        self.created += verdicts.delivered;
        self.duplicate += verdicts.duplicate;
        for item in &verdicts.refused {
            let line = QuarantinedLine::refused(item);
            self.refused.add(&line);
            self.again.add(&line);
        }
        if self.failure.is_none() {
            self.failure = verdicts.failure;
        }
    }
}

/// What reading a file again came to.
#[derive(Debug, Default)]
struct Read {
    head: Option<Head>,
    selected: u64,
    no_data: u64,
    num_kept: u64,
    kept: Vec<(u64, NotKept)>,
    /// Lines that cannot be read again, by the reason of today.
    malformed: Tally,
    again: Remainder,
    /// Lines that stay as they are.
    untouched: Remainder,
    problem: Option<String>,
}

fn read_again(
    stored: &StoredFile,
    converter: &Converter,
    select: impl Fn(&QuarantinedLine) -> bool,
    segments: mpsc::Sender<Segment>,
) -> Read {
    let file = match stored.open() {
        Ok(file) => file,
        Err(error) => {
            return Read {
                problem: Some(error.to_string()),
                ..Read::default()
            };
        }
    };
    let head = file.head.clone();
    let (object, last_modified) = head.object.to_object();
    let mut sorting = Sorting {
        formats: KeptFormats::new(&head),
        file,
        select,
        read: Read::default(),
    };
    let mut sending = Sending {
        segments,
        malformed: Tally::default(),
        again: Remainder::default(),
    };
    let source = Source::new(&object, last_modified);
    let summary = converter.convert_kept(&mut sorting, 0, &source, &mut sending);
    // Where nobody takes the documents any more: the other lines count all the same.
    sorting.by_ref().for_each(drop);
    Read {
        head: Some(head),
        no_data: summary.counts.no_data,
        malformed: sending.malformed,
        again: sending.again,
        ..sorting.read
    }
}

/// Takes out of the lines of a file those that are to be converted.
struct Sorting<'a, F> {
    file: QuarantineFile<&'a [u8]>,
    formats: KeptFormats,
    select: F,
    read: Read,
}

impl<F: Fn(&QuarantinedLine) -> bool> Iterator for Sorting<'_, F> {
    type Item = KeptLine;

    fn next(&mut self) -> Option<KeptLine> {
        loop {
            let line = match self.file.next()? {
                Ok(line) => line,
                Err(error) => {
                    self.read.problem = Some(error.to_string());
                    return None;
                }
            };
            if (self.select)(&line) {
                self.read.selected += 1;
                match self.formats.read(&line) {
                    Ok(ready) => return Some(ready),
                    Err(why) => self.keep(line.line, why),
                }
            }
            self.read.untouched.add(&line);
        }
    }
}

impl<F> Sorting<'_, F> {
    fn keep(&mut self, line_number: u64, why: NotKept) {
        self.read.num_kept += 1;
        if self.read.kept.len() < MAX_NAMED {
            self.read.kept.push((line_number, why));
        }
    }
}

/// Hands the segments of a file on, and keeps the lines that cannot be read.
struct Sending {
    segments: mpsc::Sender<Segment>,
    malformed: Tally,
    again: Remainder,
}

impl Taker for Sending {
    fn stretch(&mut self, stretch: Stretch) -> Result<(), Closed> {
        if stretch.segment.is_empty() {
            return Ok(());
        }
        let sent = self.segments.blocking_send(stretch.segment);
        sent.map_err(|_receiver_is_gone| Closed)
    }

    fn malformed(&mut self, origin: &Origin<'_>, error: &LineError) {
        let line = QuarantinedLine::malformed(origin, error);
        self.malformed.add(&line);
        self.again.add(&line);
    }
}
