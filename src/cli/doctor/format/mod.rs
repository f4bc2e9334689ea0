//! The first lines of one flow log object → its format, and what Kibana cannot show for lack of a column.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::LIMIT;
use super::check::{Check, counted};
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

/// Why nothing was read, and what to do about it.
#[derive(Debug)]
struct Unread {
    detail: String,
    remedy: &'static str,
}

/// Reads it and says what it is good for.
pub(super) async fn look(target: &str, settings: &ShipSettings, aws: Option<&AwsContext>) -> Vec<Check> {
    let read = tokio::time::timeout(LIMIT, read(target, settings, aws)).await;
    let late = |_elapsed| {
        Err(Unread::unavailable(format!(
            "not read within {} s",
            LIMIT.as_secs()
        )))
    };
    match read.unwrap_or_else(late) {
        Ok(summary) => judge(target, &summary, settings),
        Err(Unread { detail, remedy }) => {
            vec![Check::fail(READABLE, format!("{target}: {detail}"), remedy)]
        }
    }
}

impl Unread {
    fn unavailable(detail: String) -> Self {
        let remedy = "see to the network, AWS_REGION and the credentials of who runs this";
        Self { detail, remedy }
    }
}

impl From<StoreError> for Unread {
    fn from(error: StoreError) -> Self {
        let (detail, remedy) = match error {
            StoreError::NotFound { detail, .. } => (detail, "correct the URI"),
            StoreError::AccessDenied { detail, .. } => (
                detail,
                "allow s3:GetObject on it, and kms:Decrypt on its key; without s3:ListBucket what is not there is refused, \
                 too",
            ),
            StoreError::Archived { detail, .. } => (detail, "restore it, or give another one"),
            StoreError::Unavailable { detail, .. } => return Self::unavailable(detail),
        };
        Self { detail, remedy }
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
) -> Result<ReadSummary, Unread> {
    let Some(object) = ObjectRef::parse_uri(target) else {
        let file = File::open(target).map_err(|error| Unread {
            detail: error.to_string(),
            remedy: "give s3://bucket/key, or a file that can be read",
        })?;
        let object = ObjectRef {
            bucket: String::new(),
            key: target.to_owned(),
            version_id: None,
        };
        return convert(BufReader::new(file), &object, None, settings).await;
    };
    let store = match aws {
        Some(aws) => S3Store::new(aws),
        None => S3Store::new(&AwsContext::load().await),
    };
    let opened = store.open(&object).await?;
    let (chunks, reader) = mpsc::channel(CHUNKS_AHEAD);
    let written = opened.info.last_modified;
    let convert = convert(ChunkReader::new(reader), &object, written, settings);
    let ((), summary) = tokio::join!(feed(opened.body, chunks), convert);
    summary
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
) -> Result<ReadSummary, Unread> {
    let mut settings = ConvertSettings::new(settings, Arc::new(Enrichment::default()));
    // Otherwise formats are not kept.
    settings.keep_lines = true;
    let source = Source::new(object, written);
    let work = move || Converter::new(settings).convert(reader, 0, &source, &mut FirstLines::default());
    let converted = tokio::task::spawn_blocking(work).await;
    converted.map_err(|error| Unread {
        detail: format!("reading it failed: {error}"),
        remedy: "this is a defect of flowship: please report it with the object",
    })
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
        "{kind} flow log, {} columns, up to version {version}; {} read",
        format.num_columns(),
        counted(summary.counts.lines, "line")
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// What is said of a file of `tests/data/flowlogs-known`, whose README says where they come from.
    async fn told(name: &str) -> String {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/flowlogs-known");
        let file = folder.join(name).to_string_lossy().into_owned();
        let checks = look(&file, &ShipSettings::default(), None).await;
        let lines = checks
            .iter()
            .map(|check| format!("{name}: {:?} {}: {}", check.verdict, check.name, check.found));
        lines.collect::<Vec<_>>().join("\n").replace(&file, "it")
    }

    #[tokio::test]
    async fn the_format_is_seen_whatever_the_file_is() {
        let names = [
            "v2.log",
            "v2.firehose.json",
            "v5-services.parquet",
            "v11.log",
            "tgw.log",
            "tgw-other-name.log",
            "README.md",
            "missing.log",
        ];
        let mut all = Vec::new();
        for name in names {
            all.push(told(name).await);
        }
        insta::assert_snapshot!(all.join("\n"), @"
        v2.log: Ok object.format: VPC flow log, 14 columns, up to version 2; 7 lines read
        v2.log: Warn object.panels: 18 of 43 panels show nothing (empty), or less than they could or twice (partly), for lack of:
        v2.firehose.json: Ok object.format: VPC flow log, 14 columns, up to version 2; 7 lines read
        v2.firehose.json: Warn object.panels: 18 of 43 panels show nothing (empty), or less than they could or twice (partly), for lack of:
        v5-services.parquet: Ok object.format: VPC flow log, 29 columns, up to version 5; 2 lines read
        v5-services.parquet: Warn object.panels: 15 of 43 panels show nothing (empty), or less than they could or twice (partly), for lack of:
        v11.log: Ok object.format: VPC flow log, 54 columns, up to version 11; 2 lines read
        v11.log: Ok object.panels: every column that the dashboards use is there
        tgw.log: Ok object.format: transit gateway flow log, 36 columns, up to version 6; 3 lines read
        tgw.log: Ok object.panels: every column that the dashboards use of transit gateways is there
        tgw-other-name.log: Ok object.format: transit gateway flow log, 6 columns, up to version 6; 1 line read
        tgw-other-name.log: Warn object.panels: 26 of 43 panels show nothing (empty), or less than they could or twice (partly), for lack of:
        README.md: Fail object.readable: it: format.unknown: the object has no header line, and its first line has 7 columns (14 in the default format, and no other configured one fits)
        missing.log: Fail object.readable: it: No such file or directory (os error 2)
        ");
    }
}
