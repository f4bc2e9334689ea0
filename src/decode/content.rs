//! What an object holds, by its first inflated bytes, and its lines one after the other.

use std::io::BufRead;

use super::events::{Events, begins_with_document};
use super::parquet::Rows;
use super::window::Window;
use super::{DecodeError, Inflated, Lines};

/// Written by some editors and by Windows in front of a text; no part of its first line.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const PARQUET_MAGIC: &[u8] = b"PAR1";
/// The first bytes of a Parquet file whose footer is encrypted.
const ENCRYPTED_PARQUET_MAGIC: &[u8] = b"PARE";

/// One record of an object as a line without its line break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// As it stands in the object, without `\n` or `\r\n`.
    Whole(&'a [u8]),
    /// The values of a row, joined by blanks; a value may hold blanks itself.
    Row {
        /// The values.
        line: &'a [u8],
        /// Where each of them is, from and to.
        spans: &'a [(usize, usize)],
    },
    /// Longer than [`MAX_LINE_BYTES`](super::MAX_LINE_BYTES), of which only the length is known.
    TooLong {
        /// Its length in bytes.
        num_bytes: u64,
    },
    /// Begins as JSON and is not `{"message": "…"}`: the JSON.
    NoMessage(&'a [u8]),
}

impl Line<'_> {
    /// What it takes in memory.
    pub fn num_bytes_held(self) -> usize {
        match self {
            Line::Whole(line) | Line::NoMessage(line) | Line::Row { line, .. } => line.len(),
            Line::TooLong { .. } => 0,
        }
    }
}

/// A line and where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed<'a> {
    /// The line.
    pub line: Line<'a>,
    /// How many inflated bytes come before it, or before the JSON that wraps it; `None` where records do not lie one
    /// after the other.
    pub offset: Option<u64>,
}

/// The lines of one object. An object that ends early gives an error in place of its last, partial line.
#[derive(Debug)]
pub struct Content<R> {
    kind: Kind<R>,
}

#[derive(Debug)]
enum Kind<R> {
    Lines(Lines<R>),
    Events(Events<R>),
    Rows(Box<Rows>),
}

impl<R: BufRead> Content<R> {
    /// Looks at the first bytes and decides how the rest is read.
    pub fn open(reader: R) -> Result<Self, DecodeError> {
        let mut window = Window::new(Inflated::open(reader)?);
        let head = window.peek()?;
        let kind = if head.starts_with(PARQUET_MAGIC) {
            Kind::Rows(Box::new(Rows::open(&mut window)?))
        } else if head.starts_with(ENCRYPTED_PARQUET_MAGIC) {
            let detail = "is encrypted".to_owned();
            return Err(DecodeError::UnsupportedParquet { detail });
        } else {
            if head.starts_with(BYTE_ORDER_MARK) {
                window.consume(BYTE_ORDER_MARK.len());
            }
            if begins_with_document(window.unread()) {
                Kind::Events(Events::new(window))
            } else {
                Kind::Lines(Lines::new(window))
            }
        };
        Ok(Self { kind })
    }

    /// The names of the columns where the object has them by other means than a header line.
    pub fn names(&self) -> Option<impl Iterator<Item = &str>> {
        match &self.kind {
            Kind::Rows(rows) => Some(rows.names()),
            Kind::Lines(_) | Kind::Events(_) => None,
        }
    }

    /// The next line; `None` at the good end of the object.
    #[allow(
        clippy::should_implement_trait,
        reason = "a line borrows from the buffer, which an iterator cannot say"
    )]
    pub fn next(&mut self) -> Result<Option<Placed<'_>>, DecodeError> {
        let line = match &mut self.kind {
            Kind::Lines(lines) => return lines.next(),
            Kind::Events(events) => events.next()?,
            Kind::Rows(rows) => rows.next()?,
        };
        Ok(line.map(|line| Placed { line, offset: None }))
    }
}
