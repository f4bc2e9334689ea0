//! A document being written, by hand, into a buffer that is used again for the next one. Pieces are copied in blocks
//! of a known size wherever there is room, which is a few instructions where a copy of unknown length is a call.
//!
//! Every member ends with a comma, which the end of its object turns into a brace. Correctness is held by tests that
//! parse every document back. A `member` is a key as JSON writes it, with its colon: `"port":`; that of a string
//! includes the opening quote: `"action":"`.

use std::io;
use std::net::IpAddr;

use super::json::is_plain;
use crate::flow::Text;

/// Most texts of a record fit: addresses, names, the ids of AWS.
const BLOCK_BYTES: usize = 32;

/// Room that a document finds at first; there is always more.
const INITIAL_BYTES: usize = 4 << 10;

/// The document's bytes so far.
#[derive(Debug)]
pub(super) struct Draft {
    bytes: Vec<u8>,
    length: usize,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            bytes: vec![0; INITIAL_BYTES],
            length: 0,
        }
    }
}

impl Draft {
    /// Starts the next document.
    pub(super) fn clear(&mut self) {
        self.length = 0;
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Appends a constant.
    #[inline(always)]
    pub(super) fn put<const N: usize>(&mut self, constant: &[u8; N]) {
        self.put_block(constant, N);
    }

    /// Appends the first `length` bytes of a block.
    #[inline(always)]
    pub(super) fn put_block<const N: usize>(&mut self, block: &[u8; N], length: usize) {
        debug_assert!(length <= N);
        if self.bytes.len() < self.length + N {
            self.grow(N);
        }
        self.bytes[self.length..self.length + N].copy_from_slice(block);
        self.length += length;
    }

    /// Appends bytes of any number.
    #[inline]
    pub(super) fn put_bytes(&mut self, bytes: &[u8]) {
        if self.bytes.len() < self.length + bytes.len() {
            self.grow(bytes.len());
        }
        self.bytes[self.length..self.length + bytes.len()].copy_from_slice(bytes);
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

    #[cold]
    fn grow(&mut self, num_bytes: usize) {
        let wanted = (self.length + num_bytes).max(2 * self.bytes.len());
        self.bytes.resize(wanted, 0);
    }

    /// The value of a string member, any bytes, and its end. Bytes that are not UTF-8 become the replacement character:
    /// JSON has no other way to hold them.
    pub(super) fn put_string(&mut self, value: &[u8]) {
        if is_plain(value) && !value.contains(&b'\t') {
            self.put(b"\"");
            self.put_bytes(value);
            self.put(b"\",");
        } else {
            let text = String::from_utf8_lossy(value);
            serde_json::to_writer(&mut *self, &text).expect("a string is written to memory");
            self.put(b",");
        }
    }

    /// The value of a number member that stands in the line: its digits, if nobody wrote zeros in front.
    #[inline(always)]
    pub(super) fn put_number(&mut self, number: u64, digits: Text<'_>) {
        if digits.block::<1>() == b"0" && digits.len() > 1 {
            self.put_bytes(itoa::Buffer::new().format(number).as_bytes());
        } else {
            self.put_text(digits);
        }
        self.put(b",");
    }

    /// The value of an address member, canonical (IPv6: RFC 5952), and its end.
    pub(super) fn put_address(&mut self, address: IpAddr, text: Text<'_>) {
        match address {
            // There is one way only to write an IPv4 address.
            IpAddr::V4(_) => self.put_text(text),
            IpAddr::V6(address) => {
                io::Write::write_fmt(self, format_args!("{address}"))
                    .expect("writing to memory does not fail");
            }
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
        debug_assert_eq!(self.as_bytes().last(), Some(&b','));
        self.bytes[self.length - 1] = b'}';
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Takes back what was written after the first `length` bytes.
    pub(super) fn truncate(&mut self, length: usize) {
        debug_assert!(length <= self.length);
        self.length = length;
    }
}

impl io::Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put_bytes(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
