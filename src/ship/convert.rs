//! The lines of one object → segments of bulk items. Synchronous: runs on a blocking thread, or in a test.

use std::io::BufRead;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::bulk::{Segment, SegmentId};
use crate::config::ShipSettings;
use crate::decode::{Content, Line, MAX_LINE_BYTES, Placed};
use crate::document::{DocumentId, DocumentWriter, IndexNames, ObjectHash};
use crate::enrich::Enrichment;
use crate::flow::{Columns, Dataset, Field, Format, LineError, LogStatus, Row, is_header};
use crate::object::ObjectRef;
use crate::outcome::Failure;
use crate::quarantine::Origin;

mod formats;
mod kept;
mod stop;
mod stretch;

pub use formats::Formats;
pub use kept::{KeptFormats, KeptLine, NotKept};
use stop::Stop;
pub use stretch::{LineCounts, Stretch};

/// A segment is handed on at this size: small enough that little waits in it, large enough that handing on costs
/// nothing.
const SEGMENT_BYTES: usize = 256 << 10;

/// So is one of this many lines, if few of them became documents: where they were passed over, or cannot be read.
const SEGMENT_LINES: u64 = 8 << 10;

/// What of an object goes into its documents beside its lines.
#[derive(Clone, Debug)]
pub struct Source {
    /// Bucket and key.
    pub hash: ObjectHash,
    /// The time of a record that has none, Unix seconds: the stamp in the key, else when the object was written.
    pub fallback_time: Option<u32>,
    /// The line that the pass begins with, from 1; header and blank lines count. Those before it only count for what
    /// the others refer to: formats, ordinals, and what documents learn from earlier records.
    pub first_line: u64,
}

impl Source {
    /// Of an object that was written at this time, Unix seconds.
    pub fn new(object: &ObjectRef, last_modified: Option<u32>) -> Self {
        Self {
            hash: ObjectHash::new(&object.bucket, &object.key),
            fallback_time: object.key_stamp().or(last_modified),
            first_line: 1,
        }
    }

    /// The same, beginning with another line.
    pub fn from_line(self, first_line: u64) -> Self {
        Self { first_line, ..self }
    }
}

/// What the settings say about conversion.
#[derive(Clone, Debug)]
pub struct ConvertSettings {
    /// First part of index names.
    pub index_prefix: String,
    /// Whether NODATA records become documents.
    pub keep_no_data: bool,
    /// The format of objects without a header line, beside the default one.
    pub format: Option<Format>,
    /// What documents are enriched with.
    pub enrichment: Arc<Enrichment>,
    /// Whether refused lines are kept aside: then documents travel with their lines.
    pub keep_lines: bool,
}

impl ConvertSettings {
    /// What these settings say.
    pub fn new(settings: &ShipSettings, enrichment: Arc<Enrichment>) -> Self {
        Self {
            index_prefix: settings.index_prefix.clone(),
            keep_no_data: settings.keep_no_data,
            enrichment,
            format: settings.format.clone(),
            keep_lines: settings.quarantine.place.is_some(),
        }
    }
}

/// What reading one object came to, from the first line of the pass on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadSummary {
    /// Of the lines that were taken.
    pub counts: LineCounts,
    /// What the lines that are kept aside refer to; nothing where none are.
    pub formats: Formats,
    /// Whether reading was stopped from outside.
    pub is_stopped: bool,
    /// Why else the object was not read to its end.
    pub failure: Option<Failure>,
    /// Bytes of the object, as stored; set by who reads it.
    pub num_bytes_read: u64,
}

/// Whoever takes the lines takes no more.
#[derive(Debug)]
pub struct Closed;

/// Who takes what is made of an object.
pub trait Taker {
    /// The next lines, in order, and their documents. With them it takes those that cannot be read since the last ones;
    /// there may be no documents between them, and none at all.
    fn stretch(&mut self, stretch: Stretch) -> Result<(), Closed>;

    /// A line that cannot be read, void unless the next stretch is taken.
    fn malformed(&mut self, origin: &Origin<'_>, error: &LineError);
}

/// Converts objects. One per process: what a conversion learned of values that repeat serves the next one.
#[derive(Debug)]
pub struct Converter {
    settings: ConvertSettings,
    /// Of conversions that have ended: as many as ever ran at the same time.
    idle: Mutex<Vec<Tools>>,
}

impl Converter {
    /// Converts by these settings.
    pub fn new(settings: ConvertSettings) -> Self {
        Self {
            settings,
            idle: Mutex::default(),
        }
    }

    /// Whether refused lines are kept aside.
    pub fn keeps_lines(&self) -> bool {
        self.settings.keep_lines
    }

    /// Reads an object to its end, or to what stops it.
    pub fn convert(
        &self,
        reader: impl BufRead,
        producer: usize,
        source: &Source,
        taker: &mut impl Taker,
    ) -> ReadSummary {
        self.run(producer, source, taker, |reading| reading.read(reader))
    }

    fn run<T: Taker>(
        &self,
        producer: usize,
        source: &Source,
        taker: &mut T,
        read: impl FnOnce(&mut Reading<'_, T>) -> Result<(), Stop>,
    ) -> ReadSummary {
        let mut tools = self.take_tools();
        tools.writer.start_object();
        let mut reading = Reading {
            source,
            settings: &self.settings,
            tools: &mut tools,
            format: None,
            ordinal: 0,
            line_number: 0,
            offset: None,
            format_number: None,
            segment: Segment::new(SegmentId { producer, number: 0 }, 0),
            counts: LineCounts::default(),
            malformed_bytes: 0,
            last_taken: source.first_line - 1,
            taker,
            summary: ReadSummary::default(),
        };
        if let Err(stop) = read(&mut reading) {
            reading.end(&stop);
        }
        let summary = reading.summary;
        self.idle().push(tools);
        summary
    }

    fn take_tools(&self) -> Tools {
        let idle = self.idle().pop();
        idle.unwrap_or_else(|| Tools::new(&self.settings))
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Tools>> {
        // Nothing can panic while the list is locked.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a conversion works with, and what stays warm from object to object.
#[derive(Debug)]
struct Tools {
    /// By dataset: concatenated objects may hold both.
    names: [IndexNames; 2],
    writer: DocumentWriter,
    columns: Columns,
    scratch: Vec<u8>,
}

impl Tools {
    fn new(settings: &ConvertSettings) -> Self {
        Self {
            names: Dataset::ALL.map(|dataset| IndexNames::new(&settings.index_prefix, dataset.name())),
            writer: DocumentWriter::new(Arc::clone(&settings.enrichment)),
            columns: Columns::default(),
            scratch: Vec::new(),
        }
    }
}

/// One object being read.
struct Reading<'a, T> {
    source: &'a Source,
    settings: &'a ConvertSettings,
    tools: &'a mut Tools,
    /// Taken out for every record, and put back.
    format: Option<Box<Format>>,
    /// Of the next data line.
    ordinal: u64,
    /// Of the present line, from 1; header and blank lines count.
    line_number: u64,
    /// Of the present line.
    offset: Option<u64>,
    /// Of `format`, where lines are kept aside.
    format_number: Option<u32>,
    segment: Segment,
    /// Of the lines that are not handed on yet.
    counts: LineCounts,
    /// Bytes of those of them that cannot be read.
    malformed_bytes: usize,
    /// The last line that was handed on, or that the pass has nothing to do with.
    last_taken: u64,
    taker: &'a mut T,
    summary: ReadSummary,
}

impl<T: Taker> Reading<'_, T> {
    fn read(&mut self, reader: impl BufRead) -> Result<(), Stop> {
        let mut content = Content::open(reader).map_err(Stop::Decode)?;
        if let Some(names) = content.names() {
            self.bind(Format::from_names(names).map_err(Stop::Format)?);
        }
        loop {
            match content.next() {
                Ok(Some(Placed { line, offset })) => {
                    self.offset = offset;
                    if let Err(stop) = self.line(line) {
                        // A header that cannot be used in the middle: the lines before it are good.
                        self.hand_on(0)?;
                        return Err(stop);
                    }
                    self.hand_on_if_full()?;
                }
                Ok(None) if self.line_number < self.source.first_line - 1 => return Err(Stop::Shorter),
                Ok(None) => return self.hand_on(0),
                Err(error) => {
                    // What was read before the damage is good: after a repair it is found again by its ids.
                    self.hand_on(0)?;
                    return Err(Stop::Decode(error));
                }
            }
        }
    }

    fn end(&mut self, stop: &Stop) {
        self.summary.failure = stop.failure(self.source.first_line);
        self.summary.is_stopped = self.summary.failure.is_none();
    }

    fn line(&mut self, line: Line<'_>) -> Result<(), Stop> {
        self.line_number += 1;
        let line = match line {
            Line::Whole(line) => line,
            Line::Row { line, spans } => return self.row(line, spans),
            Line::TooLong { num_bytes } => {
                let max_bytes = MAX_LINE_BYTES;
                self.not_read(line, LineError::TooLong { num_bytes, max_bytes });
                return Ok(());
            }
            Line::NoMessage(_) => {
                self.not_read(line, LineError::NoMessage);
                return Ok(());
            }
        };
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        // Concatenated objects have a header in their middle: it switches the format.
        if is_header(line) {
            self.bind(Format::parse(line).map_err(Stop::Format)?);
            return Ok(());
        }
        if self.format.is_none() {
            let configured = self.settings.format.as_ref();
            self.bind(Format::without_header(line, configured).map_err(Stop::Format)?);
        }
        let format = self.format.take().expect("it was just bound");
        self.record(&format, line, None);
        self.format = Some(format);
        Ok(())
    }

    /// A row is never a header, nor blank: all its values may be absent.
    fn row(&mut self, line: &[u8], spans: &[(usize, usize)]) -> Result<(), Stop> {
        let format = self.format.take().expect("the names of the columns came first");
        self.record(&format, line, Some(spans));
        self.format = Some(format);
        Ok(())
    }

    fn bind(&mut self, format: Format) {
        if self.settings.keep_lines {
            self.format_number = self.summary.formats.number(&format);
        }
        self.format = Some(Box::new(format));
    }

    fn hand_on_if_full(&mut self) -> Result<(), Stop> {
        if self.segment.num_bytes() + self.malformed_bytes >= SEGMENT_BYTES {
            return self.hand_on(SEGMENT_BYTES + SEGMENT_BYTES / 16);
        }
        if self.line_number.is_multiple_of(SEGMENT_LINES) {
            return self.hand_on(self.segment.num_bytes());
        }
        Ok(())
    }

    fn is_passed_over(&self) -> bool {
        self.line_number < self.source.first_line
    }

    fn record(&mut self, format: &Format, line: &[u8], spans: Option<&[(usize, usize)]>) {
        // Every data line has its ordinal, whatever becomes of it: a later, better parser does not shift the ids.
        let ordinal = self.ordinal;
        self.ordinal += 1;
        if self.is_passed_over() {
            return self.pass_over(format, line, spans);
        }
        self.counts.lines += 1;
        let tools = &mut *self.tools;
        let parsed = match spans {
            None => tools.columns.parse(format, line),
            Some(spans) => tools.columns.parse_spans(format, line, spans),
        };
        let row = match parsed {
            Ok(row) => row,
            Err(error) => return self.malformed(as_read(line, spans), error),
        };
        if row.status() == LogStatus::NoData && !self.settings.keep_no_data {
            self.counts.no_data += 1;
            return;
        }
        let Some(timestamp) = timestamp(&row, self.source) else {
            return self.malformed(as_read(line, spans), LineError::NoTime);
        };
        self.counts.note_time(timestamp);
        let id = DocumentId::new(self.source.hash, timestamp, ordinal, line, &mut tools.scratch);
        let index = tools.names[format.dataset() as usize].at(timestamp);
        let document = tools.writer.write(&row, timestamp);
        self.segment
            .push(index, &id.to_text(), self.line_number, document);
        if self.settings.keep_lines {
            let origin = self.origin(as_read(line, spans));
            self.segment.attach(|attached| origin.write(attached));
        }
    }

    /// Documents may say what earlier records of the object said.
    #[cold]
    fn pass_over(&mut self, format: &Format, line: &[u8], spans: Option<&[(usize, usize)]>) {
        let tools = &mut *self.tools;
        if !tools.writer.learns() {
            return;
        }
        let parsed = match spans {
            None => tools.columns.parse(format, line),
            Some(spans) => tools.columns.parse_spans(format, line, spans),
        };
        if let Ok(row) = parsed
            && (row.status() != LogStatus::NoData || self.settings.keep_no_data)
            && timestamp(&row, self.source).is_some()
        {
            tools.writer.learn(&row);
        }
    }

    /// Of the present line, which is counted already.
    fn origin<'l>(&self, line: Line<'l>) -> Origin<'l> {
        Origin {
            line_number: self.line_number,
            offset: self.offset,
            ordinal: self.ordinal - 1,
            format: self.format_number,
            line,
        }
    }

    fn not_read(&mut self, line: Line<'_>, error: LineError) {
        self.ordinal += 1;
        if self.is_passed_over() {
            return;
        }
        self.counts.lines += 1;
        self.malformed(line, error);
    }

    fn malformed(&mut self, line: Line<'_>, error: LineError) {
        self.counts.malformed += 1;
        self.malformed_bytes += line.num_bytes_held();
        let origin = self.origin(line);
        self.taker.malformed(&origin, &error);
        if self.counts.first_malformed.is_none() {
            self.counts.first_malformed = Some((self.line_number, error));
        }
    }

    /// Hands the lines on and starts a segment with room for `capacity` bytes.
    fn hand_on(&mut self, capacity: usize) -> Result<(), Stop> {
        if self.line_number == self.last_taken && self.counts.lines == 0 {
            return Ok(());
        }
        let SegmentId { producer, number } = self.segment.id();
        let number = number + 1;
        let next = Segment::new(SegmentId { producer, number }, capacity);
        let counts = std::mem::take(&mut self.counts);
        self.malformed_bytes = 0;
        self.last_taken = self.line_number;
        let stretch = Stretch {
            segment: std::mem::replace(&mut self.segment, next),
            counts: counts.clone(),
            next_line: self.line_number + 1,
        };
        self.taker.stretch(stretch).map_err(|Closed| Stop::Closed)?;
        self.summary.counts.add(&counts);
        Ok(())
    }
}

fn as_read<'a>(line: &'a [u8], spans: Option<&'a [(usize, usize)]>) -> Line<'a> {
    match spans {
        None => Line::Whole(line),
        Some(spans) => Line::Row { line, spans },
    }
}

/// Never the clock: a replay must find the same index and the same id.
fn timestamp(row: &Row<'_>, source: &Source) -> Option<u32> {
    row.time(Field::End)
        .or_else(|| row.time(Field::Start))
        .or(source.fallback_time)
}

#[cfg(test)]
mod allocations;
#[cfg(test)]
mod tests;
