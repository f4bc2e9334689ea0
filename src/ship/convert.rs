//! The lines of one object → segments of bulk items. Synchronous: runs on a blocking thread, or in a test.

use std::io::BufRead;

use crate::bulk::Segment;
use crate::decode::{DecodeError, Inflated, Line, Lines, MAX_LINE_BYTES};
use crate::document::{DocumentId, DocumentWriter, IndexNames, ObjectHash};
use crate::flow::{Columns, Format, FormatError, LineError, LogStatus, Row, is_header};
use crate::object::ObjectRef;
use crate::outcome::{Failure, Reason};

/// A segment is handed on at this size: small enough that little waits in it, large enough that handing on costs
/// nothing.
const SEGMENT_BYTES: usize = 256 << 10;

/// The dataset part of index names.
const DATASET: &str = "vpc";

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What of an object goes into its documents beside its lines.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) hash: ObjectHash,
    /// The time of a record that has none, Unix seconds: the stamp in the key, else when the object was written.
    pub(super) fallback_time: Option<u32>,
}

impl Source {
    pub(super) fn new(object: &ObjectRef, last_modified: Option<u32>) -> Self {
        Self {
            hash: ObjectHash::new(&object.bucket, &object.key),
            fallback_time: object.key_stamp().or(last_modified),
        }
    }
}

/// What the settings say about conversion.
#[derive(Clone, Debug)]
pub(super) struct ConvertSettings {
    pub(super) index_prefix: String,
    pub(super) keep_no_data: bool,
}

/// What reading one object came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ReadSummary {
    /// Data lines.
    pub(super) lines: u64,
    /// NODATA records that were not turned into documents.
    pub(super) no_data: u64,
    /// Lines that cannot be read.
    pub(super) malformed: u64,
    /// The first of them: line number from 1, and why.
    pub(super) first_malformed: Option<(u64, LineError)>,
    /// Why the object was not read to its end.
    pub(super) failure: Option<Failure>,
}

/// Whoever takes the segments takes no more.
#[derive(Debug)]
pub(super) struct Closed;

/// Reads an object to its end, or to what stops it. `emit` gets every segment; its items carry the line number as
/// their token.
pub(super) fn convert(
    reader: impl BufRead,
    producer: usize,
    source: &Source,
    settings: &ConvertSettings,
    emit: impl FnMut(Segment) -> Result<(), Closed>,
) -> ReadSummary {
    let mut converter = Converter {
        source,
        keep_no_data: settings.keep_no_data,
        names: IndexNames::new(&settings.index_prefix, DATASET),
        writer: DocumentWriter::default(),
        columns: Columns::default(),
        scratch: Vec::new(),
        format: None,
        line_number: 0,
        segment: Segment::new(producer, 0),
        emit,
        summary: ReadSummary::default(),
    };
    if let Err(stop) = converter.read(reader) {
        converter.summary.failure = Some(stop.failure());
    }
    converter.summary
}

struct Converter<'a, E> {
    source: &'a Source,
    keep_no_data: bool,
    names: IndexNames,
    writer: DocumentWriter,
    columns: Columns,
    scratch: Vec<u8>,
    format: Option<Format>,
    /// Of the present line, from 1; header and blank lines count.
    line_number: u64,
    segment: Segment,
    emit: E,
    summary: ReadSummary,
}

/// Why an object is not read on.
enum Stop {
    Decode(DecodeError),
    Format(FormatError),
    Closed,
}

impl Stop {
    fn failure(&self) -> Failure {
        match self {
            Self::Decode(error) => error.failure(),
            Self::Format(error) => {
                let reason = match error {
                    FormatError::Unknown { .. } => Reason::FormatUnknown,
                    FormatError::Repeated { .. } => Reason::FormatInvalid,
                    FormatError::TransitGateway => Reason::FormatUnsupported,
                };
                Failure::new(reason, error.to_string())
            }
            Self::Closed => DecodeError::Stopped.failure(),
        }
    }
}

impl<E: FnMut(Segment) -> Result<(), Closed>> Converter<'_, E> {
    fn read(&mut self, reader: impl BufRead) -> Result<(), Stop> {
        let mut lines = Lines::new(Inflated::open(reader).map_err(Stop::Decode)?);
        loop {
            match lines.next() {
                Ok(Some(line)) => self.line(line)?,
                Ok(None) => return self.hand_on(0),
                Err(error) => {
                    // What was read before the damage is good: after a repair it is found again by its ids.
                    self.hand_on(0)?;
                    return Err(Stop::Decode(error));
                }
            }
        }
    }

    fn line(&mut self, line: Line<'_>) -> Result<(), Stop> {
        self.line_number += 1;
        let line = match line {
            Line::Whole(line) if self.line_number == 1 => line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line),
            Line::Whole(line) => line,
            Line::TooLong { num_bytes } => {
                self.summary.lines += 1;
                self.malformed(LineError::TooLong {
                    num_bytes,
                    max_bytes: MAX_LINE_BYTES,
                });
                return Ok(());
            }
        };
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        // Concatenated objects have a header in their middle: it switches the format.
        if is_header(line) {
            self.format = Some(Format::parse(line).map_err(Stop::Format)?);
            return Ok(());
        }
        let format = match self.format.take() {
            Some(format) => format,
            None => Format::without_header(line).map_err(Stop::Format)?,
        };
        self.record(&format, line);
        self.format = Some(format);
        if self.segment.num_bytes() >= SEGMENT_BYTES {
            return self.hand_on(SEGMENT_BYTES + SEGMENT_BYTES / 16);
        }
        Ok(())
    }

    fn record(&mut self, format: &Format, line: &[u8]) {
        // Every data line has its ordinal, whatever becomes of it: a later, better parser does not shift the ids.
        let ordinal = self.summary.lines;
        self.summary.lines += 1;
        let row = match self.columns.parse(format, line) {
            Ok(row) => row,
            Err(error) => return self.malformed(error),
        };
        if row.status() == LogStatus::NoData && !self.keep_no_data {
            self.summary.no_data += 1;
            return;
        }
        let Some(timestamp) = self.timestamp(&row) else {
            return self.malformed(LineError::NoTime);
        };
        let id = DocumentId::new(self.source.hash, timestamp, ordinal, line, &mut self.scratch);
        let (writer, columns) = (&mut self.writer, &self.columns);
        self.segment
            .push(self.names.at(timestamp), id.as_str(), self.line_number, |out| {
                writer.write(out, &row, timestamp, columns.extras(format, line));
            });
    }

    /// Never the clock: a replay must find the same index and the same id.
    fn timestamp(&self, row: &Row<'_>) -> Option<u32> {
        row.end.or(row.start).or(self.source.fallback_time)
    }

    fn malformed(&mut self, error: LineError) {
        self.summary.malformed += 1;
        if self.summary.first_malformed.is_none() {
            self.summary.first_malformed = Some((self.line_number, error));
        }
    }

    /// Hands the segment on and starts one with room for `capacity` bytes.
    fn hand_on(&mut self, capacity: usize) -> Result<(), Stop> {
        let next = Segment::new(self.segment.producer(), capacity);
        let segment = std::mem::replace(&mut self.segment, next);
        if segment.is_empty() {
            return Ok(());
        }
        (self.emit)(segment).map_err(|Closed| Stop::Closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bulk::Packer;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::{BufReader, Write};

    const HEADER: &str = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status";
    const GOOD: &str = "2 123456789010 eni-1 10.0.0.1 10.0.0.2 1 2 6 3 4 1418530010 1418530070 ACCEPT OK";

    fn settings() -> ConvertSettings {
        ConvertSettings {
            index_prefix: "flowlogs".into(),
            keep_no_data: false,
        }
    }

    fn source() -> Source {
        let object = ObjectRef {
            bucket: "b".into(),
            key: "k".into(),
            version_id: None,
        };
        Source::new(&object, Some(1_418_530_000))
    }

    fn run(object: &[u8], settings: &ConvertSettings) -> (ReadSummary, String) {
        let mut packer = Packer::new(usize::MAX);
        let reader = BufReader::with_capacity(37, object);
        let summary = convert(reader, 0, &source(), settings, |segment| {
            packer.push(segment);
            Ok(())
        });
        let text = packer.take().map(|body| body.to_ndjson()).unwrap_or_default();
        (summary, text)
    }

    fn ids(ndjson: &str) -> Vec<String> {
        let action = |line: &str| -> serde_json::Value { serde_json::from_str(line).unwrap() };
        ndjson
            .lines()
            .step_by(2)
            .map(|line| action(line)["create"]["_id"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn header_and_blank_lines_are_not_lines() {
        let text = format!("\u{feff}{HEADER}\r\n{GOOD}\r\n\r\n{GOOD}\n   \n{HEADER}\n{GOOD}");
        let (summary, ndjson) = run(text.as_bytes(), &settings());
        assert_eq!((summary.lines, summary.malformed, summary.failure), (3, 0, None));
        let ids = ids(&ndjson);
        assert!(
            ids[0] != ids[1] && ids[1] != ids[2],
            "equal lines stay different documents"
        );
        assert!(
            ndjson.starts_with(r#"{"create":{"_index":"flowlogs-vpc-2014.12.14","_id":"VI0N"#),
            "{ndjson}"
        );
    }

    #[test]
    fn ids_do_not_depend_on_what_became_of_the_neighbours() {
        let no_data = "2 1 eni-1 - - - - - - - 1431280876 1431280934 - NODATA";
        let with =
            |between: &str| ids(&run(format!("{HEADER}\n{between}\n{GOOD}\n").as_bytes(), &settings()).1);
        assert_eq!(with(no_data), with("not a flow record"));
        let kept = ConvertSettings {
            keep_no_data: true,
            ..settings()
        };
        let all = ids(&run(format!("{HEADER}\n{no_data}\n{GOOD}\n").as_bytes(), &kept).1);
        assert_eq!(all[1..], with(no_data));
    }

    #[test]
    fn a_bad_line_costs_that_line_and_is_named() {
        let text = format!("{HEADER}\n{GOOD}\n2 1 eni\n{GOOD}\n{}\n", "x".repeat(100_000));
        let (summary, ndjson) = run(text.as_bytes(), &settings());
        assert_eq!((summary.lines, summary.malformed, ids(&ndjson).len()), (4, 2, 2));
        let (line_number, error) = summary.first_malformed.unwrap();
        assert_eq!(
            (line_number, error.to_string()),
            (3, "has 3 columns, the format has 14".to_owned())
        );
    }

    #[test]
    fn without_a_header_only_the_default_format_is_taken() {
        assert_eq!(ids(&run(format!("{GOOD}\n").as_bytes(), &settings()).1).len(), 1);
        let (summary, _) = run(b"some text\n", &settings());
        assert_eq!(summary.failure.unwrap().reason, Reason::FormatUnknown);
    }

    #[test]
    fn an_empty_object_and_a_header_alone_hold_no_lines() {
        for text in ["", "\n", HEADER] {
            assert_eq!(
                run(text.as_bytes(), &settings()).0,
                ReadSummary::default(),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_record_without_a_time_takes_the_objects() {
        let (summary, ndjson) = run(b"srcaddr dstaddr\n10.0.0.1 10.0.0.2\n", &settings());
        assert_eq!(summary.malformed, 0);
        assert!(
            ndjson.contains(r#""@timestamp":"2014-12-14T04:06:40Z""#),
            "{ndjson}"
        );
    }

    #[test]
    fn lines_before_the_damage_are_handed_on_with_their_lasting_ids() {
        let text = format!("{HEADER}\n{}", format!("{GOOD}\n").repeat(5000));
        let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
        encoder.write_all(text.as_bytes()).unwrap();
        let whole = encoder.finish().unwrap();
        let (all, whole_ndjson) = run(&whole, &settings());
        let (some, cut_ndjson) = run(&whole[..whole.len() / 2], &settings());
        assert_eq!((all.lines, all.failure), (5000, None));
        assert_eq!(some.failure.unwrap().reason, Reason::DecodeTruncatedGzip);
        let num_cut = usize::try_from(some.lines).unwrap();
        assert!(num_cut > 1000 && num_cut < 5000);
        assert_eq!(ids(&cut_ndjson), ids(&whole_ndjson)[..num_cut]);
    }

    #[test]
    fn a_taker_that_takes_no_more_ends_the_reading() {
        let text = format!("{HEADER}\n{}", format!("{GOOD}\n").repeat(5000));
        let summary = convert(text.as_bytes(), 0, &source(), &settings(), |_| Err(Closed));
        assert_eq!(summary.failure.unwrap().reason, Reason::DeadlineExceeded);
        assert!(summary.lines < 5000);
    }
}
