//! One object → segments of bulk items: its chunks are fetched here, its lines are converted on a blocking thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::convert::{Closed, Converter, ReadSummary, Source, Taker};
use super::{ObjectPass, out_of_time, panicked};
use crate::bulk::Segment;
use crate::decode::ChunkReader;
use crate::flow::LineError;
use crate::object::{ObjectBody, ObjectInfo, ObjectStore, OpenObject, StoreError};
use crate::outcome::Failure;
use crate::quarantine::{Gathered, Origin, QuarantinedLine};

/// Chunks read ahead of the inflater: enough that the network and the CPU overlap.
const CHUNKS_AHEAD: usize = 4;

/// Reads one object: its chunks here, its lines on a blocking thread.
pub(super) struct ObjectReader<S> {
    pub(super) number: usize,
    pub(super) pass: ObjectPass,
    pub(super) store: Arc<S>,
    pub(super) converter: Arc<Converter>,
    pub(super) segments: mpsc::Sender<Segment>,
    pub(super) stop: Arc<Vec<AtomicBool>>,
}

impl<S: ObjectStore> ObjectReader<S> {
    /// Ends soon after the segments are no longer received.
    pub(super) async fn read(self) -> ObjectRead {
        let opened = tokio::select! {
            biased;
            () = self.segments.closed() => return ObjectRead::failed(out_of_time()),
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
        let until = self.segments.clone();
        let (chunks, reader) = mpsc::channel(CHUNKS_AHEAD);
        let Self {
            number,
            converter,
            segments,
            stop,
            ..
        } = self;
        let work = tokio::task::spawn_blocking(move || {
            let mut taker = SegmentSender {
                number,
                segments,
                stop,
                keeps_lines: converter.keeps_lines(),
                malformed: Gathered::default(),
                untaken: Vec::new(),
            };
            let summary = converter.convert(ChunkReader::new(reader), number, &source, &mut taker);
            (summary, taker.malformed)
        });
        let num_bytes_read = feed(opened.body, chunks, &until).await;
        match work.await {
            Ok((summary, malformed)) => ObjectRead {
                summary: ReadSummary {
                    num_bytes_read,
                    ..summary
                },
                first_line: Some(first_line),
                info: opened.info,
                malformed,
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
    /// The lines that cannot be read, where they are kept aside.
    pub(super) malformed: Gathered,
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

/// Hands the segments of one object to the packer, until the object has failed.
struct SegmentSender {
    number: usize,
    segments: mpsc::Sender<Segment>,
    stop: Arc<Vec<AtomicBool>>,
    keeps_lines: bool,
    /// The lines that cannot be read.
    malformed: Gathered,
    /// More of them, since the last segment.
    untaken: Vec<QuarantinedLine>,
}

impl Taker for SegmentSender {
    fn segment(&mut self, segment: Segment) -> Result<(), Closed> {
        if self.stop[self.number].load(Ordering::Relaxed) {
            return Err(Closed);
        }
        if !segment.is_empty() {
            self.segments
                .blocking_send(segment)
                .map_err(|_receiver_is_gone| Closed)?;
        }
        for line in self.untaken.drain(..) {
            self.malformed.add(&line);
        }
        Ok(())
    }

    /// The summary counts them and keeps the first.
    fn malformed(&mut self, origin: &Origin<'_>, error: &LineError) {
        if self.keeps_lines {
            self.untaken.push(QuarantinedLine::malformed(origin, error));
        }
    }
}

/// Passes the chunks on until the end, an error, or until nobody wants them any more, or takes the segments (`until`). An empty chunk says that the
/// object is whole. Answers with the bytes that came.
async fn feed(
    mut body: impl ObjectBody,
    chunks: mpsc::Sender<Result<Bytes, StoreError>>,
    until: &mpsc::Sender<Segment>,
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
