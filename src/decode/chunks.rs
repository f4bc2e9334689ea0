//! The bridge from an asynchronous stream of chunks to a blocking reader.

use std::io::{self, BufRead, Read};

use bytes::{Buf, Bytes};
use tokio::sync::mpsc::Receiver;

use crate::object::StoreError;

/// Reads what another task sends. The end is only good when the sender says so with an empty chunk: a sender that
/// goes away without a word has been stopped, and what it sent is no whole object.
#[derive(Debug)]
pub struct ChunkReader {
    chunks: Receiver<Result<Bytes, StoreError>>,
    current: Bytes,
    ended: bool,
}

/// The sender went away before the end of the object.
#[derive(Debug, thiserror::Error)]
#[error("reading was stopped")]
pub(super) struct Stopped;

impl ChunkReader {
    /// Reads from this channel; to be used on a blocking thread only.
    pub fn new(chunks: Receiver<Result<Bytes, StoreError>>) -> Self {
        Self {
            chunks,
            current: Bytes::new(),
            ended: false,
        }
    }
}

impl BufRead for ChunkReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.current.is_empty() && !self.ended {
            match self.chunks.blocking_recv() {
                Some(Ok(chunk)) => {
                    self.ended = chunk.is_empty();
                    self.current = chunk;
                }
                Some(Err(error)) => return Err(io::Error::other(error)),
                None => return Err(io::Error::other(Stopped)),
            }
        }
        Ok(&self.current)
    }

    fn consume(&mut self, num_bytes: usize) {
        self.current.advance(num_bytes);
    }
}

impl Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let num_bytes = buffer.len().min(available.len());
        buffer[..num_bytes].copy_from_slice(&available[..num_bytes]);
        self.consume(num_bytes);
        Ok(num_bytes)
    }
}
