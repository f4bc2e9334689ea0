//! A document being written, by hand, into a buffer that is used again for the next one. Pieces are copied in blocks
//! of a known size, which is a few instructions where a copy of unknown length is a call; how far the document has come
//! stays in a register, because nothing that is called takes the address of a [`Draft`].
//!
//! Every member ends with a comma, which the end of its object turns into a brace. Correctness is held by tests that
//! parse every document back. A `member` is a key as JSON writes it, with its colon: `"port":`; that of a string
//! includes the opening quote: `"action":"`.

use std::io::{self, Write};
use std::net::IpAddr;

use super::json::is_plain;
use crate::flow::Text;

/// Most texts of a record fit: addresses, names, the ids of AWS.
const BLOCK_BYTES: usize = 32;

/// Largest block.
pub(super) const MAX_BLOCK_BYTES: usize = 128;

/// The document's bytes so far. What does not fit is only counted: whoever began the document sees it by [`Draft::fits`]
/// and begins again with a larger buffer.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    buffer: &'a mut [u8],
    length: usize,
}

impl<'a> Draft<'a> {
    /// An empty document.
    pub(super) fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, length: 0 }
    }

    /// Bytes until now, whether there was room for them or not.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Whether there was room for everything: a block that found none began less than its size before the end.
    pub(super) fn fits(&self) -> bool {
        self.length + MAX_BLOCK_BYTES <= self.buffer.len()
    }

    /// Takes back what was written after the first `length` bytes.
    #[inline(always)]
    pub(super) fn truncate(&mut self, length: usize) {
        debug_assert!(length <= self.length);
        self.length = length;
    }

    /// Appends a constant.
    #[inline(always)]
    pub(super) fn put<const N: usize>(&mut self, constant: &[u8; N]) {
        self.put_block(constant, N);
    }

    /// Appends the first `length` bytes of a block.
    #[inline(always)]
    pub(super) fn put_block<const N: usize>(&mut self, block: &[u8; N], length: usize) {
        const { assert!(N <= MAX_BLOCK_BYTES) };
        debug_assert!(length <= N);
        if let Some(room) = self.room() {
            *room = *block;
        }
        self.length += length;
    }

    /// The next `N` bytes, to be written to; part of the document when [`Draft::advance`] says so.
    #[inline(always)]
    pub(super) fn room<const N: usize>(&mut self) -> Option<&mut [u8; N]> {
        self.buffer
            .get_mut(self.length..)
            .and_then(|rest| rest.first_chunk_mut())
    }

    /// Takes over `num_bytes` of the room.
    #[inline(always)]
    pub(super) fn advance(&mut self, num_bytes: usize) {
        self.length += num_bytes;
    }

    /// Appends bytes of any number.
    #[inline(always)]
    pub(super) fn put_bytes(&mut self, bytes: &[u8]) {
        if let Some(room) = self.buffer.get_mut(self.length..self.length + bytes.len()) {
            room.copy_from_slice(bytes);
        }
        self.length += bytes.len();
    }

    /// Appends a column's text.
    #[inline(always)]
    pub(super) fn put_text(&mut self, text: Text<'_>) {
        if text.len() <= BLOCK_BYTES {
            self.put_block(text.block::<BLOCK_BYTES>(), text.len());
        } else {
            self.put_bytes(text.as_bytes());
        }
    }

    /// Appends what `write` writes; for what is rare.
    #[inline(always)]
    fn put_written(&mut self, write: impl FnOnce(&mut Cursor<'_>) -> io::Result<()>) {
        let mut cursor = Cursor {
            buffer: self.buffer.get_mut(self.length..).unwrap_or_default(),
            length: 0,
        };
        write(&mut cursor).expect("writing to memory does not fail");
        self.length += cursor.length;
    }

    /// The value of a string member whose opening quote is there, any bytes, and its end. Bytes that are not UTF-8 become
    /// the replacement character: JSON has no other way to hold them.
    #[inline(always)]
    pub(super) fn put_string(&mut self, value: &[u8]) {
        if is_plain(value) {
            self.put_bytes(value);
            self.put(b"\",");
        } else {
            // With its opening quote once more.
            self.length -= 1;
            self.put_written(|cursor| write_escaped(cursor, value));
        }
    }

    /// The value of a number member that stands in the line: its digits, if nobody wrote zeros in front.
    #[inline(always)]
    pub(super) fn put_number(&mut self, number: u64, digits: Text<'_>) {
        if digits.block::<1>() == b"0" && digits.len() > 1 {
            self.put_written(|cursor| write!(cursor, "{number}"));
        } else {
            self.put_text(digits);
        }
        self.put(b",");
    }

    /// The value of an address member, canonical (IPv6: RFC 5952), and its end.
    #[inline(always)]
    pub(super) fn put_address(&mut self, address: IpAddr, text: Text<'_>) {
        match address {
            // There is one way only to write an IPv4 address.
            IpAddr::V4(_) => self.put_text(text),
            IpAddr::V6(address) => self.put_written(|cursor| write!(cursor, "{address}")),
        }
        self.put(b"\",");
    }

    /// A member that is an object; none if `write` writes no members. `member` includes the opening brace.
    #[inline(always)]
    pub(super) fn object<const N: usize>(&mut self, member: &[u8; N], write: impl FnOnce(&mut Self)) {
        let before = self.length;
        self.put(member);
        let start = self.length;
        write(self);
        if self.length == start {
            self.length = before;
        } else {
            self.close_object();
            self.put(b",");
        }
    }

    /// Ends an object that has members.
    #[inline(always)]
    pub(super) fn close_object(&mut self) {
        if let Some(comma) = self.buffer.get_mut(self.length - 1) {
            debug_assert_eq!(*comma, b',');
            *comma = b'}';
        }
    }
}

#[cold]
fn write_escaped(cursor: &mut Cursor<'_>, value: &[u8]) -> io::Result<()> {
    serde_json::to_writer(&mut *cursor, &String::from_utf8_lossy(value))?;
    cursor.write_all(b",")
}

/// Writes what fits and counts all.
struct Cursor<'a> {
    buffer: &'a mut [u8],
    length: usize,
}

impl Write for Cursor<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(room) = self.buffer.get_mut(self.length..self.length + bytes.len()) {
            room.copy_from_slice(bytes);
        }
        self.length += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
