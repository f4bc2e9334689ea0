//! Inflated bytes → lines of bounded length.

use std::io::BufRead;

use memchr::memchr;

use super::{DecodeError, Inflated};

/// How much is inflated at once: larger reads cost less per byte up to here.
const READ_BYTES: usize = 256 << 10;

/// Longest line that is read. All fields of version 11 with the longest tags take about 20 KiB; what is longer is no
/// flow record.
pub const MAX_LINE_BYTES: usize = 64 << 10;

/// One line without its line break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// The line as it stands in the object, without `\n` or `\r\n`.
    Whole(&'a [u8]),
    /// A line longer than [`MAX_LINE_BYTES`], of which only the length is known.
    TooLong {
        /// Its length in bytes.
        num_bytes: u64,
    },
}

/// The lines of one object. An object that ends early gives an error in place of its last, partial line.
#[derive(Debug)]
pub struct Lines<R> {
    inflated: Inflated<R>,
    buffer: Vec<u8>,
    /// Unread bytes are `buffer[start..end]`.
    start: usize,
    end: usize,
    at_end: bool,
}

impl<R: BufRead> Lines<R> {
    /// The lines of these bytes.
    pub fn new(inflated: Inflated<R>) -> Self {
        let buffer = vec![0; READ_BYTES + MAX_LINE_BYTES];
        Self {
            inflated,
            buffer,
            start: 0,
            end: 0,
            at_end: false,
        }
    }

    /// The next line; `None` at the good end of the object.
    #[allow(
        clippy::should_implement_trait,
        reason = "a line borrows from the buffer, which an iterator cannot say"
    )]
    pub fn next(&mut self) -> Result<Option<Line<'_>>, DecodeError> {
        let mut scanned = self.start;
        loop {
            if let Some(offset) = memchr(b'\n', &self.buffer[scanned..self.end]) {
                let (from, to) = (self.start, scanned + offset);
                self.start = to + 1;
                return Ok(Some(self.line(from, to)));
            }
            if self.at_end {
                let (from, to) = (self.start, self.end);
                self.start = to;
                return Ok((from < to).then(|| self.line(from, to)));
            }
            if self.end - self.start > MAX_LINE_BYTES + 1 {
                return self.skip_line().map(Some);
            }
            scanned = self.end - self.start;
            self.fill()?;
        }
    }

    fn line(&self, from: usize, to: usize) -> Line<'_> {
        let line = &self.buffer[from..to];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > MAX_LINE_BYTES {
            return Line::TooLong {
                num_bytes: line.len() as u64,
            };
        }
        Line::Whole(line)
    }

    /// Moves the unread bytes to the front and reads behind them.
    fn fill(&mut self) -> Result<(), DecodeError> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let num_bytes = self.inflated.read(&mut self.buffer[self.end..])?;
        self.end += num_bytes;
        self.at_end = num_bytes == 0;
        Ok(())
    }

    /// Reads over the rest of a line that does not fit.
    fn skip_line(&mut self) -> Result<Line<'_>, DecodeError> {
        let mut num_bytes = (self.end - self.start) as u64;
        loop {
            self.start = self.end;
            self.fill()?;
            match memchr(b'\n', &self.buffer[..self.end]) {
                Some(offset) => {
                    self.start = offset + 1;
                    return Ok(Line::TooLong {
                        num_bytes: num_bytes + offset as u64,
                    });
                }
                None if self.at_end => return Ok(Line::TooLong { num_bytes }),
                None => num_bytes += self.end as u64,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::BufReader;

    #[derive(Debug, PartialEq)]
    enum Seen {
        Whole(Vec<u8>),
        TooLong(u64),
    }

    fn lines(bytes: &[u8], chunk_bytes: usize) -> Vec<Seen> {
        let mut lines = Lines::new(Inflated::open(BufReader::with_capacity(chunk_bytes, bytes)).unwrap());
        let mut seen = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            seen.push(match line {
                Line::Whole(line) => Seen::Whole(line.to_vec()),
                Line::TooLong { num_bytes } => Seen::TooLong(num_bytes),
            });
        }
        seen
    }

    /// What the lines of a text are, said slowly.
    fn expected(text: &[u8]) -> Vec<Seen> {
        let mut parts: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
        if parts.last().is_some_and(|last| last.is_empty()) {
            parts.pop();
        }
        let strip = |line: &[u8]| line.strip_suffix(b"\r").unwrap_or(line).to_vec();
        parts.into_iter().map(|line| Seen::Whole(strip(line))).collect()
    }

    #[test]
    fn line_breaks_of_both_kinds_and_a_missing_last_one() {
        let whole = |text: &str| Seen::Whole(text.as_bytes().to_vec());
        assert_eq!(
            lines(b"a\r\nb\n\nc", 3),
            [whole("a"), whole("b"), whole(""), whole("c")]
        );
        assert_eq!(lines(b"a\n", 3), [whole("a")]);
        assert_eq!(lines(b"", 3), []);
        assert_eq!(lines(b"\n", 3), [whole("")]);
    }

    #[test]
    fn a_line_of_ten_megabytes_costs_itself_and_nothing_else() {
        let mut text = b"before\n".to_vec();
        text.extend(std::iter::repeat_n(b'x', 10_000_000));
        text.extend_from_slice(b"\nafter\n");
        text.extend(std::iter::repeat_n(b'y', MAX_LINE_BYTES));
        text.extend_from_slice(b"\r\n");
        text.extend(std::iter::repeat_n(b'z', MAX_LINE_BYTES + 1));
        let seen = lines(&text, 65_536);
        assert_eq!(seen.len(), 5);
        assert_eq!(seen[1], Seen::TooLong(10_000_000));
        assert_eq!(seen[2], Seen::Whole(b"after".to_vec()));
        assert_eq!(seen[3], Seen::Whole(vec![b'y'; MAX_LINE_BYTES]));
        assert_eq!(seen[4], Seen::TooLong(MAX_LINE_BYTES as u64 + 1));
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_chunks(text in "[ab\r\n]{0,200}", chunk_bytes in 1_usize..40) {
            prop_assert_eq!(lines(text.as_bytes(), chunk_bytes), expected(text.as_bytes()));
        }
    }
}
