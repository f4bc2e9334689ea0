//! What remains of a quarantine file when some of its lines were shipped after all.

use bytes::Bytes;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Head, MEMORY, QuarantinedLine, encoder, write_row};

/// Lines that stay in a file, compressed. They need no limit of their own: they were in a file that had one.
#[derive(Debug)]
pub struct Remainder {
    encoder: GzEncoder<Vec<u8>>,
    num_lines: u64,
}

/// What became of lines that were in a file before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replayed {
    /// When its lines were shipped again last.
    pub at: Timestamp,
    /// Lines that have left the file until then: their documents are in Elasticsearch, or they are NODATA records.
    pub lines: u64,
}

impl Default for Remainder {
    fn default() -> Self {
        Self {
            encoder: encoder(),
            num_lines: 0,
        }
    }
}

impl Remainder {
    /// Adds a line.
    pub fn add(&mut self, line: &QuarantinedLine) {
        write_row(&mut self.encoder, line);
        self.num_lines += 1;
    }

    /// How many lines stay.
    pub fn num_lines(&self) -> u64 {
        self.num_lines
    }
}

impl Head {
    /// The file of the same object with these lines only, written anew at this time. It may be a head without lines.
    pub fn rewritten(&self, remainders: [Remainder; 3], at: Timestamp) -> Bytes {
        let lines = remainders.iter().map(Remainder::num_lines).sum();
        let before = self.replayed.map_or(0, |replayed| replayed.lines);
        let head = Self {
            lines,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            replayed: Some(Replayed {
                at,
                lines: before + self.lines.saturating_sub(lines),
            }),
            ..self.clone()
        };
        let mut encoder = encoder();
        write_row(&mut encoder, &head);
        let mut file = encoder.finish().expect(MEMORY);
        for remainder in remainders {
            if remainder.num_lines > 0 {
                file.extend_from_slice(&remainder.encoder.finish().expect(MEMORY));
            }
        }
        file.into()
    }
}
