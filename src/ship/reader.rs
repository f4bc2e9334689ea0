//! One object → segments of bulk items: its chunks are fetched here, its lines are converted on a blocking thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::convert::{Closed, Converter, ReadSummary, Source, Taker};
use super::panicked;
use crate::bulk::Segment;
use crate::decode::ChunkReader;
use crate::flow::LineError;
use crate::object::{ObjectBody, ObjectInfo, ObjectRef, ObjectStore, StoreError};
use crate::outcome::Failure;
use crate::quarantine::{Gathered, Origin, QuarantinedLine};

/// Chunks read ahead of the inflater: enough that the network and the CPU overlap.
const CHUNKS_AHEAD: usize = 4;

/// Reads one object: its chunks here, its lines on a blocking thread.
pub(super) struct ObjectReader<S> {
    pub(super) number: usize,
    pub(super) object: ObjectRef,
    pub(super) store: Arc<S>,
    pub(super) converter: Arc<Converter>,
    pub(super) segments: mpsc::Sender<Segment>,
    pub(super) stop: Arc<Vec<AtomicBool>>,
}

impl<S: ObjectStore> ObjectReader<S> {
    pub(super) async fn read(self) -> ObjectRead {
        let opened = match self.store.open(&self.object).await {
            Ok(opened) => opened,
            Err(error) => return ObjectRead::failed(error.failure()),
        };
        let source = Source::new(&self.object, opened.info.last_modified);
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
                malformed: converter.keeps_lines().then(Gathered::default),
            };
            let summary = converter.convert(ChunkReader::new(reader), number, &source, &mut taker);
            (summary, taker.malformed.unwrap_or_default())
        });
        let num_bytes_read = feed(opened.body, chunks).await;
        match work.await {
            Ok((summary, malformed)) => ObjectRead {
                summary: ReadSummary {
                    num_bytes_read,
                    ..summary
                },
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
    /// The lines that cannot be read; `None` where they are not kept.
    malformed: Option<Gathered>,
}

impl Taker for SegmentSender {
    fn segment(&mut self, segment: Segment) -> Result<(), Closed> {
        if self.stop[self.number].load(Ordering::Relaxed) {
            return Err(Closed);
        }
        self.segments
            .blocking_send(segment)
            .map_err(|_receiver_is_gone| Closed)
    }

    /// The summary counts them and keeps the first.
    fn malformed(&mut self, origin: &Origin<'_>, error: &LineError) {
        if let Some(malformed) = &mut self.malformed {
            malformed.add(&QuarantinedLine::malformed(origin, error));
        }
    }
}

/// Passes the chunks on until the end, an error, or until nobody wants them any more. An empty chunk says that the
/// object is whole. Answers with the bytes that came.
async fn feed(mut body: impl ObjectBody, chunks: mpsc::Sender<Result<Bytes, StoreError>>) -> u64 {
    let mut num_bytes = 0;
    loop {
        let chunk = match body.next_chunk().await {
            Ok(Some(chunk)) if chunk.is_empty() => continue,
            Ok(Some(chunk)) => {
                num_bytes += chunk.len() as u64;
                Ok(chunk)
            }
            Ok(None) => Ok(Bytes::new()),
            Err(error) => Err(error),
        };
        let is_last = !matches!(&chunk, Ok(chunk) if !chunk.is_empty());
        if chunks.send(chunk).await.is_err() || is_last {
            return num_bytes;
        }
    }
}
