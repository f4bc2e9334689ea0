//! The inflated bytes that are in memory: what was read and not yet taken.

use std::io::BufRead;

use super::{DecodeError, Inflated, MAX_LINE_BYTES};

/// How much is inflated at once: larger reads cost less per byte up to here.
const READ_BYTES: usize = 256 << 10;

/// As many bytes tell all kinds of content apart.
const PEEK_BYTES: usize = 64;

/// A moving view of an object. Nothing of it is lost before it was consumed.
#[derive(Debug)]
pub(super) struct Window<R> {
    inflated: Inflated<R>,
    buffer: Vec<u8>,
    /// How many inflated bytes came before the buffer's first one.
    num_passed: u64,
    /// Unread bytes are `buffer[start..end]`.
    start: usize,
    end: usize,
    at_end: bool,
}

impl<R: BufRead> Window<R> {
    pub(super) fn new(inflated: Inflated<R>) -> Self {
        Self {
            inflated,
            buffer: vec![0; READ_BYTES + MAX_LINE_BYTES],
            num_passed: 0,
            start: 0,
            end: 0,
            at_end: false,
        }
    }

    /// What was read and not yet consumed.
    pub(super) fn unread(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Where in the inflated bytes the unread ones begin.
    pub(super) fn offset(&self) -> u64 {
        self.num_passed + self.start as u64
    }

    /// Whether nothing follows on the unread bytes.
    pub(super) fn at_end(&self) -> bool {
        self.at_end
    }

    /// Takes the first unread bytes.
    pub(super) fn consume(&mut self, num_bytes: usize) -> &[u8] {
        let from = self.start;
        self.start += num_bytes;
        &self.buffer[from..self.start]
    }

    /// Moves the unread bytes to the front and reads behind them. Whoever needs more bytes than there is room for has to
    /// consume some first.
    pub(super) fn fill(&mut self) -> Result<(), DecodeError> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.num_passed += self.start as u64;
        self.end -= self.start;
        self.start = 0;
        debug_assert!(self.end < self.buffer.len());
        let num_bytes = self.inflated.read(&mut self.buffer[self.end..])?;
        self.end += num_bytes;
        self.at_end = num_bytes == 0;
        Ok(())
    }

    /// The first bytes, as many as tell what they are; all where there are fewer.
    pub(super) fn peek(&mut self) -> Result<&[u8], DecodeError> {
        while self.unread().len() < PEEK_BYTES && !self.at_end {
            self.fill()?;
        }
        Ok(self.unread())
    }
}
