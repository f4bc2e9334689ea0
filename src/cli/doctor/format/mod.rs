//! The first lines of one flow log object → its format, and what Kibana cannot show for lack of a column.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::LIMIT;
use super::check::Check;
use crate::aws::AwsContext;
use crate::aws::s3::S3Store;
use crate::config::ShipSettings;
use crate::decode::ChunkReader;
use crate::enrich::Enrichment;
use crate::flow::{Dataset, FIELDS, Format, LineError};
use crate::object::{ObjectBody, ObjectRef, ObjectStore, StoreError};
use crate::quarantine::Origin;
use crate::ship::convert::{Closed, ConvertSettings, Converter, ReadSummary, Source, Stretch, Taker};

mod kql;
mod lacks;
mod needs;
mod panels;

const READABLE: &str = "object.readable";

const NO_FLOW_LOG: &str = "is it a flow log object, and whole? The function would not ship it either";

/// Chunks read ahead; only the first lines are wanted.
const CHUNKS_AHEAD: usize = 1;

/// Reads it and says what it is good for.
pub(super) async fn look(target: &str, settings: &ShipSettings, aws: Option<&AwsContext>) -> Vec<Check> {
    let read = tokio::time::timeout(LIMIT, read(target, settings, aws)).await;
    let read = read.unwrap_or_else(|_elapsed| Err(format!("not read within {} s", LIMIT.as_secs())));
    match read {
        Ok(summary) => judge(target, &summary, settings),
        Err(detail) => vec![Check::fail(
            READABLE,
            format!("{target}: {detail}"),
            "s3:GetObject on it is what the function needs, too; s3:ListBucket tells what is gone from what is refused",
        )],
    }
}

/// The bucket of an object in S3.
pub(super) fn bucket_of(target: &str) -> Option<String> {
    ObjectRef::parse_uri(target).map(|object| object.bucket)
}

async fn read(
    target: &str,
    settings: &ShipSettings,
    aws: Option<&AwsContext>,
) -> Result<ReadSummary, String> {
    let Some(object) = ObjectRef::parse_uri(target) else {
        let file = File::open(target).map_err(|error| error.to_string())?;
        let key = PathBuf::from(target).to_string_lossy().into_owned();
        let object = ObjectRef {
            bucket: String::new(),
            key,
            version_id: None,
        };
        return convert(BufReader::new(file), &object, None, settings).await;
    };
    let store = match aws {
        Some(aws) => S3Store::new(aws),
        None => S3Store::new(&AwsContext::load().await),
    };
    let opened = store.open(&object).await.map_err(|error| detail_of(&error))?;
    let (chunks, reader) = mpsc::channel(CHUNKS_AHEAD);
    let written = opened.info.last_modified;
    let convert = convert(ChunkReader::new(reader), &object, written, settings);
    let ((), summary) = tokio::join!(feed(opened.body, chunks), convert);
    summary
}

fn detail_of(error: &StoreError) -> String {
    match error {
        StoreError::NotFound { detail, .. }
        | StoreError::AccessDenied { detail, .. }
        | StoreError::Archived { detail, .. }
        | StoreError::Unavailable { detail, .. } => detail.clone(),
    }
}

/// Until the object ends, or nobody wants more of it.
async fn feed(mut body: impl ObjectBody, chunks: mpsc::Sender<Result<Bytes, StoreError>>) {
    loop {
        let chunk = match body.next_chunk().await {
            Ok(Some(chunk)) if chunk.is_empty() => continue,
            // An empty chunk is the good end.
            next => next.map(Option::unwrap_or_default),
        };
        let is_last = !matches!(&chunk, Ok(chunk) if !chunk.is_empty());
        if chunks.send(chunk).await.is_err() || is_last {
            return;
        }
    }
}

/// By the function's own code.
async fn convert(
    reader: impl BufRead + Send + 'static,
    object: &ObjectRef,
    written: Option<u32>,
    settings: &ShipSettings,
) -> Result<ReadSummary, String> {
    let mut settings = ConvertSettings::new(settings, Arc::new(Enrichment::default()));
    // Otherwise formats are not kept.
    settings.keep_lines = true;
    let source = Source::new(object, written);
    let work = move || Converter::new(settings).convert(reader, 0, &source, &mut FirstLines::default());
    let converted = tokio::task::spawn_blocking(work).await;
    converted.map_err(|error| format!("reading it failed: {error}"))
}

/// Takes the first lines and no more.
#[derive(Default)]
struct FirstLines {
    has_enough: bool,
}

impl Taker for FirstLines {
    fn stretch(&mut self, _stretch: Stretch) -> Result<(), Closed> {
        if std::mem::replace(&mut self.has_enough, true) {
            return Err(Closed);
        }
        Ok(())
    }

    fn malformed(&mut self, _origin: &Origin<'_>, _error: &LineError) {}
}

fn judge(target: &str, summary: &ReadSummary, settings: &ShipSettings) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(failure) = &summary.failure {
        checks.push(Check::fail(READABLE, format!("{target}: {failure}"), NO_FLOW_LOG));
    }
    let header = summary.formats.headers.first();
    let Some(format) = header.and_then(|header| Format::parse(header.as_bytes()).ok()) else {
        if checks.is_empty() {
            checks.push(judge_nothing(target, summary));
        }
        return checks;
    };
    checks.push(judge_format(&format, summary));
    checks.push(lacks::judge(&format, &settings.enrich));
    checks
}

/// Of an object whose columns nothing tells.
fn judge_nothing(target: &str, summary: &ReadSummary) -> Check {
    match &summary.counts.first_malformed {
        Some((line, error)) => Check::fail(
            READABLE,
            format!("{target} has no flow records: line {line}: {error}"),
            NO_FLOW_LOG,
        ),
        None => Check::warn(
            "object.format",
            format!("{target} has no records"),
            "give one that has some",
        ),
    }
}

fn judge_format(format: &Format, summary: &ReadSummary) -> Check {
    const NAME: &str = "object.format";
    let kind = match format.dataset() {
        Dataset::Vpc => "VPC",
        Dataset::Tgw => "transit gateway",
    };
    let names = format.header().split(' ').collect::<Vec<_>>();
    let known = FIELDS.iter().filter(|spec| names.contains(&spec.name));
    let version = known.map(|spec| spec.version).max().unwrap_or_default();
    let found = format!(
        "{kind} flow log, {} columns, up to version {version}; {} lines read",
        format.num_columns(),
        summary.counts.lines
    );
    match &summary.counts.first_malformed {
        None => Check::ok(NAME, found),
        Some((line, error)) => Check::warn(
            NAME,
            format!(
                "{found}, {} cannot be: line {line}: {error}",
                summary.counts.malformed
            ),
            "flowctl convert tells each of them; the function keeps them aside in quarantine",
        ),
    }
}
