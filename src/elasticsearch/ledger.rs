//! Ledger entries → one `_bulk` call, sent once: what is not taken is reported and let go.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::bulk::BulkSink;
use crate::ledger::{Ledger, LedgerEntry, LedgerError, bulk_body, read_answer};

/// Longest wait for the answer: an entry is not worth more of an invocation.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Rows repeat themselves as those of bulk bodies do.
const GZIP_LEVEL: u32 = 1;

/// The ledger in Elasticsearch.
#[derive(Debug)]
pub struct ElasticsearchLedger<B> {
    sink: B,
    index: String,
}

impl<B: BulkSink> ElasticsearchLedger<B> {
    /// Writes into the indices `{index}-YYYY.MM`.
    pub fn new(sink: B, index: String) -> Self {
        Self { sink, index }
    }
}

impl<B: BulkSink> Ledger for ElasticsearchLedger<B> {
    async fn write(&self, entries: &[LedgerEntry]) -> Result<(), LedgerError> {
        let body = gzip(&bulk_body(entries, &self.index));
        let answer = self.sink.send_bulk(body, TIMEOUT).await;
        let answer = answer.map_err(|error| LedgerError {
            num_failed: entries.len() as u64,
            detail: error.to_string(),
        })?;
        read_answer(&answer, entries.len())
    }
}

fn gzip(bytes: &[u8]) -> Bytes {
    const MEMORY: &str = "writing to memory does not fail";
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL));
    encoder.write_all(bytes).expect(MEMORY);
    encoder.finish().expect(MEMORY).into()
}
