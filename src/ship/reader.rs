//! One object → its lines, stretch by stretch: its chunks are fetched here, its lines are converted on a blocking thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::convert::{Closed, Converter, ReadSummary, Source, Stretch, Taker};
use super::{ObjectPass, out_of_time, panicked};
use crate::decode::ChunkReader;
use crate::flow::LineError;
use crate::object::{ObjectBody, ObjectInfo, ObjectStore, OpenObject, StoreError};
use crate::outcome::Failure;
use crate::quarantine::{Origin, QuarantinedLine};

/// Chunks read ahead of the inflater: enough that the network and the CPU overlap.
const CHUNKS_AHEAD: usize = 4;

/// Reads one object: its chunks here, its lines on a blocking thread.
pub(super) struct ObjectReader<S> {
    pub(super) number: usize,
    pub(super) pass: ObjectPass,
    pub(super) store: Arc<S>,
    pub(super) converter: Arc<Converter>,
    pub(super) stretches: mpsc::Sender<ReadStretch>,
    pub(super) stop: Arc<Vec<AtomicBool>>,
}

impl<S: ObjectStore> ObjectReader<S> {
    /// Ends soon after the stretches are no longer received.
    pub(super) async fn read(self) -> ObjectRead {
        let opened = tokio::select! {
            biased;
            () = self.stretches.closed() => return ObjectRead::failed(out_of_time()),
            opened = self.store.open(&self.pass.object) => opened,
        };
        match opened {
            Ok(opened) => self.read_lines(opened).await,
            Err(error) => ObjectRead::failed(error.failure()),
        }
    }

    async fn read_lines(self, opened: OpenObject<S::Body>) -> ObjectRead {
        let first_line = self.pass.first_line_of(&opened.info);
        let source = Source::new(&self.pass.object, opened.info.last_modified).from_line(first_line);
        let until = self.stretches.clone();
        let (chunks, reader) = mpsc::channel(CHUNKS_AHEAD);
        let Self {
            number,
            converter,
            stretches,
            stop,
            ..
        } = self;
        let work = tokio::task::spawn_blocking(move || {
            let mut sender = StretchSender {
                number,
                stretches,
                stop,
                keeps_lines: converter.keeps_lines(),
                malformed: Vec::new(),
                num_sent: 0,
            };
            let summary = converter.convert(ChunkReader::new(reader), number, &source, &mut sender);
            (summary, sender.num_sent)
        });
        let num_bytes_read = feed(opened.body, chunks, &until).await;
        match work.await {
            Ok((summary, num_stretches)) => ObjectRead {
                summary: ReadSummary {
                    num_bytes_read,
                    ..summary
                },
                first_line: Some(first_line),
                info: opened.info,
                num_stretches,
            },
            Err(error) => ObjectRead::failed(panicked("converting the object", error)),
        }
    }
}

/// What reading one object came to.
#[derive(Debug, Default)]
pub(super) struct ObjectRead {
    pub(super) summary: ReadSummary,
    /// The line that reading began with, if it did.
    pub(super) first_line: Option<u64>,
    pub(super) info: ObjectInfo,
    /// How many were handed on.
    pub(super) num_stretches: u64,
}

/// Some lines of one object, as they are handed on.
#[derive(Debug)]
pub(super) struct ReadStretch {
    pub(super) stretch: Stretch,
    /// Those that cannot be read, where they are kept aside.
    pub(super) malformed: Vec<QuarantinedLine>,
}

impl ObjectRead {
    fn failed(failure: Failure) -> Self {
        let summary = ReadSummary {
            failure: Some(failure),
            ..ReadSummary::default()
        };
        Self {
            summary,
            ..Self::default()
        }
    }
}

/// Hands the lines of one object on, until the object has failed.
struct StretchSender {
    number: usize,
    stretches: mpsc::Sender<ReadStretch>,
    stop: Arc<Vec<AtomicBool>>,
    keeps_lines: bool,
    /// Of the next stretch.
    malformed: Vec<QuarantinedLine>,
    num_sent: u64,
}

impl Taker for StretchSender {
    fn stretch(&mut self, stretch: Stretch) -> Result<(), Closed> {
        if self.stop[self.number].load(Ordering::Relaxed) {
            return Err(Closed);
        }
        // Passed over: there is nothing to account for.
        if stretch.counts.lines == 0 {
            return Ok(());
        }
        let malformed = std::mem::take(&mut self.malformed);
        self.stretches
            .blocking_send(ReadStretch { stretch, malformed })
            .map_err(|_receiver_is_gone| Closed)?;
        self.num_sent += 1;
        Ok(())
    }

    /// The counts have them, and the first.
    fn malformed(&mut self, origin: &Origin<'_>, error: &LineError) {
        if self.keeps_lines {
            self.malformed.push(QuarantinedLine::malformed(origin, error));
        }
    }
}

/// Passes the chunks on until the end, an error, or until nobody wants them any more, or takes the
/// stretches (`until`). An empty chunk says that the object is whole. Answers with the bytes that came.
async fn feed(
    mut body: impl ObjectBody,
    chunks: mpsc::Sender<Result<Bytes, StoreError>>,
    until: &mpsc::Sender<ReadStretch>,
) -> u64 {
    let mut num_bytes = 0;
    loop {
        let next = tokio::select! {
            biased;
            // The chunks end without a word, which stops the conversion.
            () = until.closed() => return num_bytes,
            next = body.next_chunk() => next,
        };
        let chunk = match next {
            Ok(Some(chunk)) if chunk.is_empty() => continue,
            Ok(Some(chunk)) => {
                num_bytes += chunk.len() as u64;
                Ok(chunk)
            }
            Ok(None) => Ok(Bytes::new()),
            Err(error) => Err(error),
        };
        let is_last = !matches!(&chunk, Ok(chunk) if !chunk.is_empty());
        let is_taken = tokio::select! {
            biased;
            () = until.closed() => return num_bytes,
            sent = chunks.send(chunk) => sent.is_ok(),
        };
        if !is_taken || is_last {
            return num_bytes;
        }
    }
}
