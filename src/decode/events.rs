//! What a subscription of CloudWatch Logs delivers → the messages of its events. An object holds any number of JSON
//! documents, with or without line breaks between them, each with any number of events; one event is in memory.
//! Source: "Using CloudWatch Logs subscription filters" in the user guide of Amazon CloudWatch Logs.

use std::io::BufRead;

use super::value::{ValueEnd, unwrap, value_end};
use super::window::Window;
use super::{DecodeError, Line, MAX_LINE_BYTES};

/// Longest event that is looked into: its message, and as much again for what CloudWatch Logs adds (id, time, extracted
/// fields). Fits into the window.
const MAX_EVENT_BYTES: usize = 2 * MAX_LINE_BYTES;

/// Longest name of a member and longest type of a message; AWS's are shorter than 20 bytes.
const MAX_NAME_BYTES: usize = 256;

/// Names of which every document begins with one.
const NAMES: [&[u8]; 7] = [
    b"messageType",
    b"owner",
    b"logGroup",
    b"logStream",
    b"subscriptionFilters",
    b"policyLevel",
    EVENTS_NAME,
];
const TYPE_NAME: &[u8] = b"messageType";
const EVENTS_NAME: &[u8] = b"logEvents";

/// CloudWatch Logs asks whether the destination is there; its events are no log lines. The type stands before the
/// events.
const CONTROL_TYPE: &[u8] = b"CONTROL_MESSAGE";

/// Whether an object that begins so holds such documents.
pub(super) fn begins_with_document(head: &[u8]) -> bool {
    let Some(members) = head.trim_ascii_start().strip_prefix(b"{") else {
        return false;
    };
    let name = members.trim_ascii_start().strip_prefix(b"\"");
    let is_named = |name: &[u8], expected: &[u8]| {
        let rest = name.strip_prefix(expected);
        rest.is_some_and(|rest| rest.starts_with(b"\""))
    };
    name.is_some_and(|name| NAMES.iter().any(|expected| is_named(name, expected)))
}

/// The messages of the events of one object.
#[derive(Debug)]
pub(super) struct Events<R> {
    window: Window<R>,
    place: Place,
    document: Document,
    num_events: u64,
    scratch: Vec<u8>,
}

/// Where the reading is.
#[derive(Clone, Copy, Debug)]
enum Place {
    BetweenDocuments,
    InDocument,
    InEvents,
}

/// What is known of the document that is being read.
#[derive(Debug, Default)]
struct Document {
    is_control: bool,
    has_events: bool,
}

impl<R: BufRead> Events<R> {
    pub(super) fn new(window: Window<R>) -> Self {
        Self {
            window,
            place: Place::BetweenDocuments,
            document: Document::default(),
            num_events: 0,
            scratch: Vec::new(),
        }
    }

    /// The message of the next event; `None` at the good end of the object.
    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>, DecodeError> {
        loop {
            match (self.place, self.byte()?) {
                (Place::BetweenDocuments, None) => return Ok(None),
                (_, None) => return Err(self.corrupt("it ends in the middle")),
                (Place::BetweenDocuments, Some(b'{')) => {
                    self.window.consume(1);
                    self.document = Document::default();
                    self.place = Place::InDocument;
                }
                (Place::InDocument, Some(b'"')) => self.member()?,
                (Place::InDocument, Some(b'}')) => self.end_document()?,
                (Place::InEvents, Some(b']')) => {
                    self.window.consume(1);
                    self.place = Place::InDocument;
                }
                (Place::InEvents, Some(b'{')) => match value_end(&mut self.window, false, MAX_EVENT_BYTES)? {
                    ValueEnd::Closed(num_bytes) if self.document.is_control => {
                        self.window.consume(num_bytes);
                    }
                    ValueEnd::Closed(num_bytes) => return self.event(num_bytes).map(Some),
                    ValueEnd::TooLong {
                        num_bytes,
                        is_closed: true,
                    } => {
                        self.num_events += 1;
                        return Ok(Some(Line::TooLong { num_bytes }));
                    }
                    ValueEnd::Open(_) | ValueEnd::TooLong { .. } => {
                        return Err(self.corrupt("it ends in the middle of an event"));
                    }
                },
                (Place::InDocument | Place::InEvents, Some(b',')) => {
                    self.window.consume(1);
                }
                (_, Some(byte)) => {
                    return Err(self.corrupt(&format!("`{}` is out of place", byte.escape_ascii())));
                }
            }
        }
    }

    /// The next byte that is no white space.
    fn byte(&mut self) -> Result<Option<u8>, DecodeError> {
        loop {
            let unread = self.window.unread();
            let place = unread.iter().position(|byte| !byte.is_ascii_whitespace());
            let byte = place.map(|place| unread[place]);
            self.window.consume(place.unwrap_or(unread.len()));
            if byte.is_some() || self.window.at_end() {
                return Ok(byte);
            }
            self.window.fill()?;
        }
    }

    /// Reads a name and its value, or up to the first event.
    fn member(&mut self) -> Result<(), DecodeError> {
        let is_type = self.text()? == TYPE_NAME;
        let is_events = self.scratch == EVENTS_NAME;
        if self.byte()? != Some(b':') {
            return Err(self.corrupt("a name has no value"));
        }
        self.window.consume(1);
        match self.byte()? {
            Some(b'[') if is_events => {
                self.window.consume(1);
                self.document.has_events = true;
                self.place = Place::InEvents;
            }
            _ if is_events => return Err(self.corrupt("`logEvents` is no list")),
            Some(b'"') if is_type => self.document.is_control = self.text()? == CONTROL_TYPE,
            Some(b'"' | b'{' | b'[') => match value_end(&mut self.window, false, MAX_NAME_BYTES)? {
                ValueEnd::Closed(num_bytes) => {
                    self.window.consume(num_bytes);
                }
                ValueEnd::TooLong { is_closed: true, .. } => {}
                ValueEnd::Open(_) | ValueEnd::TooLong { .. } => {
                    return Err(self.corrupt("it ends in the middle of a value"));
                }
            },
            _ => self.skip_word()?,
        }
        Ok(())
    }

    /// Reads a short text: what is between its quotes.
    fn text(&mut self) -> Result<&[u8], DecodeError> {
        match value_end(&mut self.window, false, MAX_NAME_BYTES)? {
            ValueEnd::Closed(num_bytes) => {
                let text = self.window.consume(num_bytes);
                self.scratch.clear();
                self.scratch.extend_from_slice(&text[1..num_bytes - 1]);
                Ok(&self.scratch)
            }
            ValueEnd::Open(_) | ValueEnd::TooLong { .. } => Err(self.corrupt("a name has no end")),
        }
    }

    /// Reads over a number, `true`, `false` or `null`.
    fn skip_word(&mut self) -> Result<(), DecodeError> {
        loop {
            let unread = self.window.unread();
            let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace();
            let place = unread.iter().position(is_end);
            self.window.consume(place.unwrap_or(unread.len()));
            if place.is_some() || self.window.at_end() {
                return Ok(());
            }
            self.window.fill()?;
        }
    }

    fn event(&mut self, num_bytes: usize) -> Result<Line<'_>, DecodeError> {
        self.num_events += 1;
        let event = self.window.consume(num_bytes);
        match unwrap(event, &mut self.scratch) {
            Ok(line) => Ok(line),
            Err(error) if error.is_data() => Ok(Line::NoMessage(event)),
            Err(error) => Err(DecodeError::CorruptJson {
                num_events: self.num_events - 1,
                detail: error.to_string(),
            }),
        }
    }

    fn end_document(&mut self) -> Result<(), DecodeError> {
        if !self.document.has_events && !self.document.is_control {
            return Err(self.corrupt("a document has no `logEvents`"));
        }
        self.window.consume(1);
        self.place = Place::BetweenDocuments;
        Ok(())
    }

    fn corrupt(&self, detail: &str) -> DecodeError {
        DecodeError::CorruptJson {
            num_events: self.num_events,
            detail: detail.to_owned(),
        }
    }
}
