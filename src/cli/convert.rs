//! `flowctl convert`: flow log files → documents on stdout, by the same code that the Lambda function runs. Needs no
//! server.

use std::fs::{File, Metadata};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use anyhow::{Context, bail};
use clap::Args;

use super::{exit, tell, wrong_command_line};
use crate::aws::{AwsContext, s3::S3Store};
use crate::bulk::Segment;
use crate::config::{Environment, ShipSettings};
use crate::enrich::Enrichment;
use crate::flow::{Format, LineError};
use crate::object::ObjectRef;
use crate::quarantine::Origin;
use crate::ship::convert::{Closed, ConvertSettings, Converter, ReadSummary, Source, Stretch, Taker};

/// How much of a file is read at once.
const READ_BYTES: usize = 64 << 10;

const HELP: &str = "\
Files may be text, Parquet, or the JSON of Firehose and CloudWatch Logs, gzip'd or plain; what they are is seen from their \
bytes. A line that cannot be read is told on stderr with its file and number, and costs only itself. Without --bulk, \
nothing but the documents is written.

Exit codes: 0 every line was read, 1 a file could not be read to its end, 2 wrong command line, 3 some lines could not be \
read.

Examples:
  What would be indexed of an object:
    aws s3 cp s3://logs/AWSLogs/…/x.log.gz - | flowctl convert

  A body for Elasticsearch's _bulk, with the ids of the object's documents:
    flowctl convert --bulk --object s3://logs/AWSLogs/…/x.log.gz x.log.gz

  With places, from a database of your own (FLOWSHIP_… settings hold here, too):
    FLOWSHIP_GEO_CITY_DB=GeoLite2-City.mmdb flowctl convert x.log.gz";

/// Turns flow log files into documents, one JSON object a line
#[derive(Args, Debug)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// Flow log files; none, or `-`: stdin
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Write the action line of `_bulk` before each document
    #[arg(long)]
    bulk: bool,

    /// The object that the file is a copy of, so that ids are those of the object's documents
    #[arg(long, value_name = "S3 URI", value_parser = parse_object)]
    object: Option<ObjectRef>,

    /// Names of the columns, for input without a header line: as in the flow log's format, with or without `${…}`
    #[arg(long, value_name = "FIELDS", value_parser = Format::parse_configured)]
    format: Option<Format>,

    /// Write NODATA records too
    #[arg(long)]
    keep_nodata: bool,
}

fn parse_object(uri: &str) -> Result<ObjectRef, &'static str> {
    ObjectRef::parse_uri(uri).ok_or("no URI of an object, such as s3://bucket/key")
}

/// Runs the command.
pub async fn run(arguments: &Arguments, environment: &Environment) -> anyhow::Result<ExitCode> {
    if arguments.object.is_some() && arguments.files.len() > 1 {
        return Ok(wrong_command_line(
            "--object names one object: give one file with it",
        ));
    }
    let ship = ShipSettings::read(environment)?;
    let connect = async || S3Store::new(&AwsContext::load().await);
    let enrichment = Arc::new(Enrichment::open(&ship.enrich, connect).await?);
    let mut settings = ConvertSettings::new(&ship, enrichment);
    settings.keep_no_data |= arguments.keep_nodata;
    settings.keep_lines = false;
    if arguments.format.is_some() {
        settings.format.clone_from(&arguments.format);
    }
    let converter = Converter::new(settings);
    let stdin = [PathBuf::from("-")];
    let files = if arguments.files.is_empty() {
        &stdin[..]
    } else {
        &arguments.files[..]
    };
    let mut code = exit::DONE;
    for file in files {
        let mut printer = Printer {
            name: file.display().to_string(),
            with_actions: arguments.bulk,
            end: None,
        };
        let summary = match convert_file(file, arguments.object.as_ref(), &converter, &mut printer) {
            Ok(summary) => summary,
            Err(error) => {
                tell(format_args!("flowctl: {error:#}"));
                code = exit::ERROR;
                continue;
            }
        };
        match printer.end {
            // The reader has what it wanted.
            Some(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(ExitCode::from(code)),
            Some(error) => return Err(error).context("stdout cannot be written"),
            None => {}
        }
        if let Some(failure) = summary.failure {
            tell(format_args!("flowctl: {}: {failure}", printer.name));
            code = exit::ERROR;
        } else if summary.counts.malformed > 0 && code == exit::DONE {
            code = exit::STOPPED;
        }
    }
    Ok(ExitCode::from(code))
}

fn convert_file(
    file: &Path,
    object: Option<&ObjectRef>,
    converter: &Converter,
    printer: &mut Printer,
) -> anyhow::Result<ReadSummary> {
    let (reader, modified): (Box<dyn BufRead>, Option<u32>) = if file == Path::new("-") {
        (Box::new(io::stdin().lock()), None)
    } else {
        let opened = File::open(file).with_context(|| format!("{} cannot be opened", file.display()))?;
        let metadata = opened.metadata().ok();
        if metadata.as_ref().is_some_and(Metadata::is_dir) {
            bail!("{} is a folder: name the files in it", file.display());
        }
        let modified = metadata.and_then(|metadata| metadata.modified().ok());
        let seconds = modified
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .map(|time| time.as_secs());
        (
            Box::new(BufReader::with_capacity(READ_BYTES, opened)),
            seconds.and_then(|time| u32::try_from(time).ok()),
        )
    };
    // Without the object's name the file's own stands in: ids are then stable, but not those of the object.
    let named = object.cloned().unwrap_or_else(|| ObjectRef {
        bucket: String::new(),
        key: file.to_string_lossy().into_owned(),
        version_id: None,
    });
    Ok(converter.convert(reader, 0, &Source::new(&named, modified), printer))
}

/// Writes documents to stdout and complaints to stderr.
struct Printer {
    name: String,
    with_actions: bool,
    /// Why stdout takes no more.
    end: Option<io::Error>,
}

impl Printer {
    /// A segment at a time: stdout would write each line by itself.
    fn print(&self, segment: &Segment) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.with_actions {
            out.write_all(segment.as_bytes())?;
        } else {
            let documents: Vec<&[u8]> = segment.pairs().map(|(_, document)| document).collect();
            out.write_all(&documents.concat())?;
        }
        out.flush()
    }
}

impl Taker for Printer {
    fn stretch(&mut self, stretch: Stretch) -> Result<(), Closed> {
        self.print(&stretch.segment).map_err(|error| {
            self.end = Some(error);
            Closed
        })
    }

    fn malformed(&mut self, origin: &Origin<'_>, error: &LineError) {
        let line_number = origin.line_number;
        tell(format_args!("{}:{line_number}: {error}", self.name));
    }
}
