//! Inflated bytes → lines of bounded length, unwrapped where Firehose has wrapped each of them in JSON.

use std::io::BufRead;

use memchr::memchr;

use super::value::{ValueEnd, unwrap_line, value_end};
use super::window::Window;
use super::{DecodeError, Line, Placed};

/// Longest line that is read. All fields of version 11 with the longest tags take about 20 KiB; what is longer is no
/// flow record.
pub const MAX_LINE_BYTES: usize = 64 << 10;

/// The lines of a text.
#[derive(Debug)]
pub(super) struct Lines<R> {
    window: Window<R>,
    /// The last line was a JSON value, whose line break is not read yet.
    after_value: bool,
    scratch: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(window: Window<R>) -> Self {
        Self {
            window,
            after_value: false,
            scratch: Vec::new(),
        }
    }

    /// The next line; `None` at the good end of the text.
    pub(super) fn next(&mut self) -> Result<Option<Placed<'_>>, DecodeError> {
        if self.after_value {
            self.skip_line_break()?;
        }
        let offset = Some(self.window.offset());
        let line = self.line()?;
        Ok(line.map(|line| Placed { line, offset }))
    }

    fn line(&mut self) -> Result<Option<Line<'_>>, DecodeError> {
        let mut scanned = 0;
        loop {
            let unread = self.window.unread();
            let num_unread = unread.len();
            if unread.first() == Some(&b'{') {
                return self.wrapped().map(Some);
            }
            if let Some(offset) = memchr(b'\n', &unread[scanned..]) {
                let num_bytes = scanned + offset;
                return Ok(Some(self.take(num_bytes, num_bytes + 1)));
            }
            if self.window.at_end() {
                return Ok((num_unread > 0).then(|| self.take(num_unread, num_unread)));
            }
            if num_unread > MAX_LINE_BYTES + 1 {
                return self.skip_line().map(Some);
            }
            scanned = num_unread;
            self.window.fill()?;
        }
    }

    /// The first bytes as a line, of `num_consumed` with its line break.
    fn take(&mut self, num_bytes: usize, num_consumed: usize) -> Line<'_> {
        let line = &self.window.consume(num_consumed)[..num_bytes];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > MAX_LINE_BYTES {
            return Line::TooLong {
                num_bytes: line.len() as u64,
            };
        }
        Line::Whole(line)
    }

    /// The line that the next JSON value wraps. Firehose puts no line break between them unless it is told to.
    fn wrapped(&mut self) -> Result<Line<'_>, DecodeError> {
        let end = value_end(&mut self.window, true, MAX_LINE_BYTES)?;
        self.after_value = true;
        match end {
            ValueEnd::Closed(num_bytes) | ValueEnd::Open(num_bytes) => {
                let value = self.window.consume(num_bytes);
                Ok(unwrap_line(value, &mut self.scratch))
            }
            ValueEnd::TooLong { num_bytes, .. } => Ok(Line::TooLong { num_bytes }),
        }
    }

    /// Reads over what is left of the line of a value.
    fn skip_line_break(&mut self) -> Result<(), DecodeError> {
        self.after_value = false;
        loop {
            match self.window.unread().first() {
                Some(b' ' | b'\t' | b'\r') => {
                    self.window.consume(1);
                }
                Some(b'\n') => {
                    self.window.consume(1);
                    return Ok(());
                }
                None if !self.window.at_end() => self.window.fill()?,
                _ => return Ok(()),
            }
        }
    }

    /// Reads over the rest of a line that does not fit.
    fn skip_line(&mut self) -> Result<Line<'_>, DecodeError> {
        let mut num_bytes = 0;
        loop {
            let unread = self.window.unread();
            if let Some(offset) = memchr(b'\n', unread) {
                self.window.consume(offset + 1);
                num_bytes += offset as u64;
                return Ok(Line::TooLong { num_bytes });
            }
            let num_unread = unread.len();
            num_bytes += num_unread as u64;
            self.window.consume(num_unread);
            if self.window.at_end() {
                return Ok(Line::TooLong { num_bytes });
            }
            self.window.fill()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Content;
    use proptest::prelude::*;
    use std::io::BufReader;

    #[derive(Debug, PartialEq)]
    enum Seen {
        Whole(Vec<u8>),
        TooLong(u64),
    }

    fn lines(bytes: &[u8], chunk_bytes: usize) -> Vec<Seen> {
        let mut lines = Content::open(BufReader::with_capacity(chunk_bytes, bytes)).unwrap();
        let mut seen = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            seen.push(match line.line {
                Line::Whole(line) => Seen::Whole(line.to_vec()),
                Line::TooLong { num_bytes } => Seen::TooLong(num_bytes),
                other => panic!("{other:?} in a text"),
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

    /// The bytes from a line's offset on begin with the line.
    fn assert_offsets(text: &[u8], chunk_bytes: usize) -> usize {
        let mut lines = Content::open(BufReader::with_capacity(chunk_bytes, text)).unwrap();
        let mut num_lines = 0;
        while let Some(Placed { line, offset }) = lines.next().unwrap() {
            let rest = &text[usize::try_from(offset.unwrap()).unwrap()..];
            match line {
                Line::Whole(line) => assert!(rest.starts_with(line) || rest.starts_with(b"{\"message\":")),
                Line::NoMessage(json) => assert!(rest.starts_with(json) && json.starts_with(b"{")),
                Line::TooLong { num_bytes } => assert!(rest.len() as u64 >= num_bytes),
                Line::Row { .. } => panic!("a row in a text"),
            }
            num_lines += 1;
        }
        num_lines
    }

    #[test]
    fn a_line_is_where_its_offset_says() {
        let long = "x".repeat(3 * MAX_LINE_BYTES);
        let text = format!(
            "\u{feff}a b\r\n\n{long}\nc\n{{\"message\":\"d\"}}{{\"message\":\"e\"}} \r\n{{\"other\":1}}\n{{\"message\":\nf"
        );
        for chunk_bytes in [3, 100, 1 << 20] {
            assert_eq!(assert_offsets(text.as_bytes(), chunk_bytes), 9);
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_line() {
        let whole = |text: &str| Seen::Whole(text.as_bytes().to_vec());
        assert_eq!(
            lines("\u{feff}a\n\u{feff}b".as_bytes(), 2),
            [whole("a"), whole("\u{feff}b")]
        );
        assert_eq!(lines("\u{feff}".as_bytes(), 2), []);
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
