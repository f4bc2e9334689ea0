//! JSON in the window: where a value ends, found without parsing it, and the message that it wraps.

use std::borrow::Cow;
use std::io::BufRead;

use memchr::memchr3;
use serde::Deserialize;

use super::window::Window;
use super::{DecodeError, Line, MAX_LINE_BYTES};

/// Where the value ends that the unread bytes begin with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ValueEnd {
    /// After so many of the unread bytes.
    Closed(usize),
    /// It is still open at a line break, or at the end of the object, after so many of the unread bytes.
    Open(usize),
    /// It is longer than allowed, of this length, and has been consumed.
    TooLong {
        num_bytes: u64,
        /// False where it was still open at a line break, or at the end of the object.
        is_closed: bool,
    },
}

/// How far into a value the reading has come.
#[derive(Debug, Default)]
struct Nesting {
    depth: usize,
    in_text: bool,
    is_escaped: bool,
}

enum Scan {
    Closed(usize),
    LineBreak(usize),
    Open,
}

/// Finds the end of the object, list or text that the unread bytes begin with. With `in_one_line`, a line break ends
/// it too: what was broken off costs its line and nothing else.
pub(super) fn value_end<R: BufRead>(
    window: &mut Window<R>,
    in_one_line: bool,
    max_bytes: usize,
) -> Result<ValueEnd, DecodeError> {
    let mut nesting = Nesting::default();
    let mut scanned = 0;
    let mut num_skipped = 0;
    loop {
        let unread = window.unread();
        let num_unread = unread.len();
        let end = match nesting.scan(&unread[scanned..]) {
            Scan::Closed(num_bytes) => Some((scanned + num_bytes, true)),
            Scan::LineBreak(num_bytes) if in_one_line => Some((scanned + num_bytes, false)),
            Scan::LineBreak(num_bytes) => {
                scanned += num_bytes + 1;
                continue;
            }
            Scan::Open if window.at_end() => Some((num_unread, false)),
            Scan::Open => None,
        };
        match end {
            Some((num_bytes, is_closed)) if num_skipped > 0 || num_bytes > max_bytes => {
                window.consume(num_bytes);
                return Ok(ValueEnd::TooLong {
                    num_bytes: num_skipped + num_bytes as u64,
                    is_closed,
                });
            }
            Some((num_bytes, true)) => return Ok(ValueEnd::Closed(num_bytes)),
            Some((num_bytes, false)) => return Ok(ValueEnd::Open(num_bytes)),
            None => {}
        }
        scanned = num_unread;
        if num_unread > max_bytes {
            num_skipped += num_unread as u64;
            window.consume(num_unread);
            scanned = 0;
        }
        window.fill()?;
    }
}

impl Nesting {
    /// Looks at the next bytes. After a line break the reading goes on behind it.
    fn scan(&mut self, bytes: &[u8]) -> Scan {
        let mut at = 0;
        while at < bytes.len() {
            if self.in_text && !self.is_escaped {
                let Some(offset) = memchr3(b'"', b'\\', b'\n', &bytes[at..]) else {
                    return Scan::Open;
                };
                at += offset;
            }
            let byte = bytes[at];
            if byte == b'\n' {
                self.is_escaped = false;
                return Scan::LineBreak(at);
            }
            at += 1;
            if self.is_escaped {
                self.is_escaped = false;
                continue;
            }
            match byte {
                b'\\' => self.is_escaped = self.in_text,
                b'"' => self.in_text = !self.in_text,
                b'{' | b'[' if !self.in_text => self.depth += 1,
                b'}' | b']' if !self.in_text => self.depth = self.depth.saturating_sub(1),
                _ => continue,
            }
            if self.depth == 0 && !self.in_text {
                return Scan::Closed(at);
            }
        }
        Scan::Open
    }
}

/// What wraps a line, whatever its other members are: Firehose's `{"message":"…"}`, an event of CloudWatch Logs.
#[derive(Deserialize)]
struct Wrapper<'a> {
    #[serde(borrow)]
    message: Cow<'a, str>,
}

/// The line that this JSON wraps, else the JSON: what is read of it where it stands in a text.
pub fn unwrap_line<'a>(json: &'a [u8], scratch: &'a mut Vec<u8>) -> Line<'a> {
    unwrap(json, scratch).unwrap_or(Line::NoMessage(json))
}

/// The wrapped line. `scratch` holds it where it has escaped characters.
pub(super) fn unwrap<'a>(value: &'a [u8], scratch: &'a mut Vec<u8>) -> Result<Line<'a>, serde_json::Error> {
    let wrapper: Wrapper<'_> = serde_json::from_slice(value)?;
    let message = match wrapper.message {
        Cow::Borrowed(message) => message.as_bytes(),
        Cow::Owned(message) => {
            scratch.clear();
            scratch.extend_from_slice(message.as_bytes());
            scratch
        }
    };
    let line = message.strip_suffix(b"\n").unwrap_or(message);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() > MAX_LINE_BYTES {
        let num_bytes = line.len() as u64;
        return Ok(Line::TooLong { num_bytes });
    }
    Ok(Line::Whole(line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Inflated;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use std::io::BufReader;

    /// Where the value at the beginning of these bytes ends, and what is left of them.
    fn end(bytes: &[u8], chunk_bytes: usize, in_one_line: bool, max_bytes: usize) -> (ValueEnd, Vec<u8>) {
        let reader = BufReader::with_capacity(chunk_bytes, bytes);
        let mut window = Window::new(Inflated::open(reader).unwrap());
        let end = value_end(&mut window, in_one_line, max_bytes).unwrap();
        let mut left = window.unread().to_vec();
        while !window.at_end() {
            let num_unread = window.unread().len();
            window.consume(num_unread);
            window.fill().unwrap();
            left.extend_from_slice(window.unread());
        }
        (end, left)
    }

    #[test]
    fn a_value_that_stays_open_ends_with_its_line_or_with_the_object() {
        let text = b"{\"a\":\"b\\\n}\"}";
        assert_eq!(end(text, 3, true, 100).0, ValueEnd::Open(8));
        assert_eq!(end(text, 3, false, 100).0, ValueEnd::Closed(12));
        assert_eq!(end(b"{\"a\":[1", 3, true, 100).0, ValueEnd::Open(7));
    }

    #[test]
    fn a_value_that_is_too_long_is_read_over() {
        let (found, left) = end(b"{\"a\":\"0123456789\"} rest", 4, true, 8);
        let (num_bytes, is_closed) = (18, true);
        assert_eq!(found, ValueEnd::TooLong { num_bytes, is_closed });
        assert_eq!(left, b" rest");
        let (found, left) = end(b"{\"a\":\"0123456789\nrest", 4, true, 8);
        let (num_bytes, is_closed) = (16, false);
        assert_eq!(found, ValueEnd::TooLong { num_bytes, is_closed });
        assert_eq!(left, b"\nrest");
    }

    fn any_text() -> impl Strategy<Value = String> {
        "[a\"\\\\{}\\[\\]\n\u{e9}]{0,12}"
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any_text().prop_map(Value::from),
            any::<i32>().prop_map(Value::from)
        ];
        let inner = leaf.prop_recursive(3, 20, 4, |inner| {
            let lists = prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from);
            let objects = prop::collection::btree_map(any_text(), inner, 0..4);
            prop_oneof![lists, objects.prop_map(|members| json!(members))]
        });
        inner.prop_map(|value| json!({"value": value}))
    }

    proptest! {
        #[test]
        fn a_value_ends_where_its_text_ends(
            value in any_value(), rest in any_text(), chunk_bytes in 1_usize..40, pretty: bool,
        ) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
            let text = text.unwrap();
            let (found, _) = end(format!("{text}{rest}").as_bytes(), chunk_bytes, !pretty, 1000);
            prop_assert_eq!(found, ValueEnd::Closed(text.len()));
        }

        #[test]
        fn the_wrapped_line_is_what_was_wrapped(message in "[a-z\"\\\\\u{e9}\t ]{0,12}", before: bool) {
            let (timestamp, wrapped) = (1_418_530_070, message.clone() + "\n");
            let text = if before {
                json!({"a": timestamp, "message": wrapped})
            } else {
                json!({"message": message, "timestamp": timestamp})
            };
            let (text, mut scratch) = (text.to_string(), Vec::new());
            let line = unwrap(text.as_bytes(), &mut scratch).map_err(|error| error.to_string());
            prop_assert_eq!(line, Ok(Line::Whole(message.as_bytes())));
        }
    }
}
