//! A line and its format → a row: a view of the line, with its typed columns parsed once. Nothing is owned.

use std::net::IpAddr;

use super::field::{Dataset, Field, Kind, NUM_ADDRESSES, NUM_NUMBERS};
use super::format::{Format, ParsedColumn};
use super::matches::matches;
use super::text::{PADDING, Text};
use super::value;

/// Longest piece of a line that an error quotes, characters.
const MAX_QUOTED_CHARS: usize = 40;

/// TCP has nine flags, of which AWS logs the lower six.
const MAX_FLAGS: u64 = u16::MAX as u64;

/// Why a line cannot be read. The line number is the caller's to add.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum LineError {
    /// Another number of columns than the format has.
    #[error("has {found} columns, the format has {expected}")]
    ColumnCount {
        /// Columns of the format.
        expected: usize,
        /// Columns of the line.
        found: usize,
    },
    /// A column that should hold a whole number.
    #[error("column `{column}` holds `{value}`, not a whole number up to {max}")]
    Number {
        /// Name of the column.
        column: &'static str,
        /// Its value, cut short.
        value: String,
        /// The largest number allowed.
        max: u64,
    },
    /// A column that should hold an address.
    #[error("column `{column}` holds `{value}`, not an IP address")]
    Address {
        /// Name of the column.
        column: &'static str,
        /// Its value, cut short.
        value: String,
    },
    /// A column that should hold a time.
    #[error("column `{column}` holds `{value}`, not a Unix time")]
    Time {
        /// Name of the column.
        column: &'static str,
        /// Its value, cut short.
        value: String,
    },
    /// Neither the record nor its object has a time to file it under.
    #[error("has neither an end nor a start, and its object has no time either")]
    NoTime,
    /// A line in JSON that wraps no record.
    #[error("begins as JSON and is not `{{\"message\": \"…\"}}`")]
    NoMessage,
    /// A line that was not even read.
    #[error("is {num_bytes} bytes long, at most {max_bytes} are read")]
    TooLong {
        /// Its length.
        num_bytes: u64,
        /// The limit.
        max_bytes: usize,
    },
}

/// What AWS says about the record's completeness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStatus {
    /// An ordinary record, or one that does not say.
    Ok,
    /// No traffic in the interval.
    NoData,
    /// AWS dropped records: totals are a lower bound.
    SkipData,
}

/// Splits and parses lines. Reused from line to line, so that no line allocates.
#[derive(Debug)]
pub struct Columns {
    /// A copy of the line, with [`PADDING`] blanks behind it.
    padded: Vec<u8>,
    length: usize,
    spans: Vec<(usize, usize)>,
    addresses: [Option<IpAddr>; NUM_ADDRESSES],
    numbers: [Option<u64>; NUM_NUMBERS],
}

impl Default for Columns {
    fn default() -> Self {
        Self {
            padded: vec![b' '; PADDING],
            length: 0,
            spans: Vec::new(),
            addresses: [None; NUM_ADDRESSES],
            numbers: [None; NUM_NUMBERS],
        }
    }
}

/// One flow record: a view of a line. Absent (`-`, empty) is `None`, never a value.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    format: &'a Format,
    columns: &'a Columns,
}

/// A value that goes into the document under the column's own name.
#[derive(Clone, Copy, Debug)]
pub enum RawValue<'a> {
    /// As it is.
    Text(Text<'a>),
    /// Percent-encoded.
    Tag(Text<'a>),
    /// A number, and its digits as they stand in the line.
    Number(u64, Text<'a>),
}

impl Columns {
    /// Splits `line` and parses the typed columns of `format`.
    pub fn parse<'a>(&'a mut self, format: &'a Format, line: &[u8]) -> Result<Row<'a>, LineError> {
        self.take(line);
        self.split();
        self.parse_split(format)
    }

    /// The same for a line whose columns are known: a value may then hold blanks.
    pub fn parse_spans<'a>(
        &'a mut self,
        format: &'a Format,
        line: &[u8],
        spans: &[(usize, usize)],
    ) -> Result<Row<'a>, LineError> {
        self.take(line);
        self.spans.clear();
        self.spans.extend_from_slice(spans);
        self.parse_split(format)
    }

    #[inline(always)]
    fn parse_split<'a>(&'a mut self, format: &'a Format) -> Result<Row<'a>, LineError> {
        let expected = format.num_columns();
        if self.spans.len() != expected {
            return Err(LineError::ColumnCount {
                expected,
                found: self.spans.len(),
            });
        }
        self.addresses = [None; NUM_ADDRESSES];
        self.numbers = [None; NUM_NUMBERS];
        for parsed in format.parsed() {
            let Some(text) = self.text(parsed.column) else {
                continue;
            };
            match parsed.kind {
                Kind::Address => self.addresses[parsed.slot] = Some(self.address(format, parsed, text)?),
                Kind::Number(max) => self.numbers[parsed.slot] = Some(number(parsed.field, text, max)?),
                Kind::Flags => self.numbers[parsed.slot] = Some(number(parsed.field, text, MAX_FLAGS)?),
                Kind::Time => self.numbers[parsed.slot] = Some(time(parsed.field, text)?),
                Kind::Text | Kind::Tag => {}
            }
        }
        Ok(Row {
            format,
            columns: self,
        })
    }

    /// The packet's own ends are most often those that the interface saw, and stand behind them.
    #[inline(always)]
    fn address(&self, format: &Format, parsed: &ParsedColumn, text: Text<'_>) -> Result<IpAddr, LineError> {
        let other = match parsed.field {
            Field::PktSrcaddr => Field::Srcaddr,
            Field::PktDstaddr => Field::Dstaddr,
            _ => return address(parsed.field, text),
        };
        match (self.addresses[other.slot()], self.text(format.position(other))) {
            (Some(address), Some(same)) if text == same => Ok(address),
            _ => address(parsed.field, text),
        }
    }

    fn take(&mut self, line: &[u8]) {
        self.length = line.len();
        if self.padded.len() < line.len() + PADDING {
            self.padded.resize(line.len() + PADDING, 0);
        }
        self.padded[..line.len()].copy_from_slice(line);
        self.padded[line.len()..][..PADDING].fill(b' ');
    }

    /// Splits the line at runs of blanks: finds the blanks of 64 bytes at once, because columns are too short for a
    /// search of the next blank to pay.
    #[inline(always)]
    fn split(&mut self) {
        self.spans.clear();
        let mut start = 0;
        for (number, block) in self.padded[..self.length + PADDING]
            .as_chunks::<64>()
            .0
            .iter()
            .enumerate()
        {
            let mut blanks = blanks_of(block);
            while blanks != 0 {
                let blank = number * 64 + blanks.trailing_zeros() as usize;
                if blank > start {
                    self.spans.push((start, blank));
                }
                start = blank + 1;
                blanks &= blanks - 1;
            }
        }
    }

    #[inline(always)]
    fn text(&self, column: usize) -> Option<Text<'_>> {
        let (from, to) = *self.spans.get(column)?;
        let is_absent = to - from == 1 && self.padded[from] == b'-';
        (!is_absent).then(|| Text::new(&self.padded, from, to))
    }
}

impl<'a> Row<'a> {
    /// The text of a field, whatever its kind.
    #[inline(always)]
    pub fn text(&self, field: Field) -> Option<Text<'a>> {
        self.columns.text(self.format.position(field))
    }

    /// Whether the object has a column for a field.
    #[inline(always)]
    pub fn has_column(&self, field: Field) -> bool {
        self.format.position(field) < self.format.num_columns()
    }

    /// The text of a field as bytes.
    #[inline(always)]
    pub fn bytes(&self, field: Field) -> Option<&'a [u8]> {
        self.text(field).map(|text| text.as_bytes())
    }

    /// The value of a field that is an address.
    pub fn address(&self, field: Field) -> Option<IpAddr> {
        debug_assert_eq!(field.spec().kind, Kind::Address);
        self.columns.addresses[field.slot()]
    }

    /// The value of a field that is a number or a set of flags.
    pub fn number(&self, field: Field) -> Option<u64> {
        debug_assert!(matches!(field.spec().kind, Kind::Number(_) | Kind::Flags));
        self.columns.numbers[field.slot()]
    }

    /// The value of a field that is a time: Unix seconds.
    pub fn time(&self, field: Field) -> Option<u32> {
        debug_assert_eq!(field.spec().kind, Kind::Time);
        self.columns.numbers[field.slot()].and_then(|seconds| u32::try_from(seconds).ok())
    }

    /// Which kind of flow log it is of.
    pub fn dataset(&self) -> Dataset {
        self.format.dataset()
    }

    /// The line that it is a view of, filled up with blanks to whole blocks of 32 bytes.
    #[inline(always)]
    pub fn blocks(&self) -> &'a [[u8; 32]] {
        self.columns.padded[..self.columns.length + 31].as_chunks().0
    }

    /// The present values that go into the document under their columns' own names, unknown columns included: key as
    /// JSON writes it, with its colon and a string's opening quote, and value.
    pub fn raw(&self) -> impl Iterator<Item = (Text<'a>, RawValue<'a>)> {
        let Self { format, columns } = *self;
        format.raw().iter().filter_map(move |raw| {
            let text = columns.text(raw.column)?;
            let value = match raw.number_slot {
                Some(slot) => RawValue::Number(columns.numbers[slot]?, text),
                None if raw.is_tag => RawValue::Tag(text),
                None => RawValue::Text(text),
            };
            Some((raw.member(), value))
        })
    }

    /// The record's completeness.
    pub fn status(&self) -> LogStatus {
        match self.text(Field::LogStatus) {
            Some(status) if status.is(b"NODATA") => LogStatus::NoData,
            Some(status) if status.is(b"SKIPDATA") => LogStatus::SkipData,
            _ => LogStatus::Ok,
        }
    }
}

/// A bit for every byte that is a blank or a tab, the first byte's lowest.
#[inline(always)]
fn blanks_of(block: &[u8; 64]) -> u64 {
    let quarters = block.as_chunks::<16>().0.iter().enumerate();
    quarters.fold(0, |blanks, (number, bytes)| {
        blanks | (matches(bytes, b' ') | matches(bytes, b'\t')) << (16 * number)
    })
}

#[inline(always)]
fn address(field: Field, text: Text<'_>) -> Result<IpAddr, LineError> {
    value::address(text).ok_or_else(|| LineError::Address {
        column: field.spec().name,
        value: quote(text),
    })
}

#[inline(always)]
fn number(field: Field, text: Text<'_>, max: u64) -> Result<u64, LineError> {
    let number = value::number(text).filter(|number| *number <= max);
    number.ok_or_else(|| LineError::Number {
        column: field.spec().name,
        value: quote(text),
        max,
    })
}

#[inline(always)]
fn time(field: Field, text: Text<'_>) -> Result<u64, LineError> {
    value::seconds(text).ok_or_else(|| LineError::Time {
        column: field.spec().name,
        value: quote(text),
    })
}

#[cold]
fn quote(text: Text<'_>) -> String {
    let text = String::from_utf8_lossy(text.as_bytes());
    let mut quoted: String = text
        .chars()
        .take(MAX_QUOTED_CHARS)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(MAX_QUOTED_CHARS).is_some() {
        quoted.push('…');
    }
    quoted
}

#[cfg(test)]
mod tests;
