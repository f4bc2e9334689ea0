//! Lines that were kept aside → the segments of bulk items that they made at first: the same ids, the same indices,
//! what is known beside them as it is today. Zones that other records of the object would tell are not there.

use std::sync::Arc;

use super::{Converter, ReadSummary, Reading, Source, Stop, Taker};
use crate::decode::{Line, unwrap_line};
use crate::flow::{Format, LineError};
use crate::outcome::Reason;
use crate::quarantine::{Head, QuarantinedLine};

/// A line that was kept aside, to be converted again.
#[derive(Debug)]
pub struct KeptLine {
    line_number: u64,
    offset: Option<u64>,
    ordinal: u64,
    format_number: Option<u32>,
    text: Vec<u8>,
    shape: Shape,
}

/// How the text of a line is read.
#[derive(Debug)]
enum Shape {
    Whole(Arc<Format>),
    /// Where its values are.
    Row(Arc<Format>, Vec<(usize, usize)>),
    NoMessage,
}

/// Why a line that was kept aside cannot be converted again.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotKept {
    /// It was too long to be read.
    #[error("only its length was kept")]
    NoText,
    /// The object had more formats than are told apart, the line stands before its header, or the file names a format
    /// that is none.
    #[error("its format was not kept")]
    NoFormat,
    /// Its row is not as flowship writes it.
    #[error("its row in the file is damaged")]
    Damaged,
}

/// The formats of a quarantine file.
#[derive(Debug)]
pub struct KeptFormats {
    formats: Vec<Option<Arc<Format>>>,
}

impl KeptFormats {
    /// Those that the head names.
    pub fn new(head: &Head) -> Self {
        let parse = |header: &String| Format::parse(header.as_bytes()).ok().map(Arc::new);
        Self {
            formats: head.formats.iter().map(parse).collect(),
        }
    }

    /// Makes a line ready to be converted.
    pub fn read(&self, line: &QuarantinedLine) -> Result<KeptLine, NotKept> {
        if line.num_bytes.is_some() {
            return Err(NotKept::NoText);
        }
        let text = line.raw().ok_or(NotKept::Damaged)?.into_owned();
        if line.line == 0 || line.ordinal == u64::MAX {
            return Err(NotKept::Damaged);
        }
        let (text, shape) = match &line.widths {
            _ if line.reason == Reason::LineNoMessage.as_str() => self.unwrap(text, line.format)?,
            None => (text, Shape::Whole(self.format(line.format)?)),
            Some(widths) => {
                let spans = spans(widths, text.len()).ok_or(NotKept::Damaged)?;
                (text, Shape::Row(self.format(line.format)?, spans))
            }
        };
        Ok(KeptLine {
            line_number: line.line,
            offset: line.offset,
            ordinal: line.ordinal,
            format_number: line.format,
            text,
            shape,
        })
    }

    fn format(&self, number: Option<u32>) -> Result<Arc<Format>, NotKept> {
        let number = number.and_then(|number| usize::try_from(number).ok());
        let format = number.and_then(|number| self.formats.get(number)?.clone());
        format.ok_or(NotKept::NoFormat)
    }

    /// The line in JSON that wrapped none then may wrap one for a later version.
    fn unwrap(&self, json: Vec<u8>, format: Option<u32>) -> Result<(Vec<u8>, Shape), NotKept> {
        let line = match unwrap_line(&json, &mut Vec::new()) {
            Line::Whole(line) => line.to_vec(),
            _ => return Ok((json, Shape::NoMessage)),
        };
        Ok((line, Shape::Whole(self.format(format)?)))
    }
}

/// Values of these widths with one blank between them.
fn spans(widths: &[u32], num_bytes: usize) -> Option<Vec<(usize, usize)>> {
    let mut spans = Vec::with_capacity(widths.len());
    let mut from = 0_usize;
    for width in widths {
        let to = from.checked_add(usize::try_from(*width).ok()?)?;
        spans.push((from, to));
        from = to + 1;
    }
    let (_, end) = spans.last()?;
    (*end == num_bytes).then_some(spans)
}

impl Converter {
    /// Converts lines of one object, in any order. Their items carry what those of [`Converter::convert`] do.
    pub fn convert_kept(
        &self,
        lines: impl Iterator<Item = KeptLine>,
        producer: usize,
        source: &Source,
        taker: &mut impl Taker,
    ) -> ReadSummary {
        self.run(producer, source, taker, |reading| reading.read_kept(lines))
    }
}

impl<T: Taker> Reading<'_, T> {
    fn read_kept(&mut self, lines: impl Iterator<Item = KeptLine>) -> Result<(), Stop> {
        for line in lines {
            self.line_number = line.line_number;
            self.offset = line.offset;
            self.ordinal = line.ordinal;
            self.format_number = line.format_number;
            match &line.shape {
                Shape::Whole(format) => self.record(format, &line.text, None),
                Shape::Row(format, spans) => self.record(format, &line.text, Some(spans)),
                Shape::NoMessage => self.not_read(Line::NoMessage(&line.text), LineError::NoMessage),
            }
            self.hand_on_if_full()?;
        }
        self.hand_on(0)
    }
}
