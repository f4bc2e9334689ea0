//! A quarantine file → its head and its lines, one after the other.

use std::io::{self, BufRead, BufReader, Read};

use flate2::read::MultiGzDecoder;

use super::{Head, QuarantinedLine};

/// A quarantine file whose head was read; its lines follow, as an iterator.
#[derive(Debug)]
pub struct QuarantineFile<R> {
    /// What the lines are of.
    pub head: Head,
    reader: BufReader<MultiGzDecoder<R>>,
    row: Vec<u8>,
    num_lines: u64,
    has_ended: bool,
}

/// Why a file cannot be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not there to its end, or no gzip.
    #[error("the quarantine file cannot be read after {num_lines} lines")]
    Unreadable {
        /// Lines before.
        num_lines: u64,
        /// What the decoder says.
        source: io::Error,
    },
    /// Not a row as flowship writes it.
    #[error("a row of the quarantine file is damaged after {num_lines} lines")]
    Damaged {
        /// Lines before.
        num_lines: u64,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// Its head says so.
    #[error("the quarantine file ends after {num_lines} of {expected} lines")]
    Incomplete {
        /// Lines that it has.
        num_lines: u64,
        /// Lines that it should have.
        expected: u64,
    },
}

impl<R: Read> QuarantineFile<R> {
    /// Reads the head.
    pub fn open(file: R) -> Result<Self, ReadError> {
        let mut reader = BufReader::new(MultiGzDecoder::new(file));
        let mut row = Vec::new();
        let num_lines = 0;
        let unreadable = |source| ReadError::Unreadable { num_lines, source };
        reader.read_until(b'\n', &mut row).map_err(unreadable)?;
        let head = serde_json::from_slice(&row).map_err(|source| ReadError::Damaged { num_lines, source })?;
        Ok(Self {
            head,
            reader,
            row,
            num_lines,
            has_ended: false,
        })
    }

    fn read(&mut self) -> Result<Option<QuarantinedLine>, ReadError> {
        let num_lines = self.num_lines;
        self.row.clear();
        let read = self.reader.read_until(b'\n', &mut self.row);
        if read.map_err(|source| ReadError::Unreadable { num_lines, source })? == 0 {
            let expected = self.head.lines;
            if num_lines != expected {
                return Err(ReadError::Incomplete { num_lines, expected });
            }
            return Ok(None);
        }
        let line = serde_json::from_slice(&self.row);
        let line = line.map_err(|source| ReadError::Damaged { num_lines, source })?;
        self.num_lines += 1;
        Ok(Some(line))
    }
}

impl<R: Read> Iterator for QuarantineFile<R> {
    type Item = Result<QuarantinedLine, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }
        let line = self.read();
        self.has_ended = !matches!(line, Ok(Some(_)));
        line.transpose()
    }
}
