//! Flow log objects with known numbers.

use std::fmt::Write as _;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

pub(crate) const HEADER: &str = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status";

/// 2026-11-18T00:00:00Z.
pub(crate) const DAY: u32 = 1_794_960_000;

/// An object of the default format. Two flow logs with different numbers have no line in common.
#[derive(Clone, Debug)]
pub(crate) struct FlowLog {
    text: String,
    /// Data lines.
    pub(crate) lines: u64,
    /// Data lines that become documents.
    pub(crate) documents: u64,
}

impl FlowLog {
    /// A header and nothing else.
    pub(crate) fn new() -> Self {
        Self {
            text: format!("{HEADER}\n"),
            lines: 0,
            documents: 0,
        }
    }

    /// `num_records` records of flow log `number` that end on day `day` after [`DAY`].
    pub(crate) fn records(mut self, number: u32, day: u32, num_records: u32) -> Self {
        for record in 0..num_records {
            let end = DAY + day * 86_400 + record % 86_000 + 60;
            let action = if record % 7 == 0 { "REJECT" } else { "ACCEPT" };
            writeln!(
                self.text,
                "2 123456789012 eni-{number:08x} 10.{}.{}.1 10.200.0.{} {} 443 6 {} {} {} {end} {action} OK",
                record / 250 % 250,
                record % 250,
                number % 250,
                1024 + record % 60_000,
                1 + record % 9,
                40 + record,
                end - 55,
            )
            .unwrap();
        }
        self.lines += u64::from(num_records);
        self.documents += u64::from(num_records);
        self
    }

    /// Records of an interface without traffic.
    pub(crate) fn no_data(mut self, num_records: u32) -> Self {
        for record in 0..num_records {
            let end = DAY + record;
            writeln!(
                self.text,
                "2 123456789012 eni-1 - - - - - - - {} {end} - NODATA",
                end - 60
            )
            .unwrap();
        }
        self.lines += u64::from(num_records);
        self
    }

    /// Any line, of which `documents` (0 or 1) become documents.
    pub(crate) fn line(mut self, line: &str, documents: u64) -> Self {
        self.text.push_str(line);
        self.text.push('\n');
        self.lines += 1;
        self.documents += documents;
        self
    }

    /// Uncompressed.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// As S3 delivers it.
    pub(crate) fn gzip(&self) -> Vec<u8> {
        gzip(self.text.as_bytes())
    }

    /// The same in several gzip members, cut in the middle of lines.
    pub(crate) fn gzip_members(&self, num_members: usize) -> Vec<u8> {
        let bytes = self.text.as_bytes();
        bytes
            .chunks(bytes.len().div_ceil(num_members))
            .flat_map(gzip)
            .collect()
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
