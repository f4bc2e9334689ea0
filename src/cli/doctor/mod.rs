//! `flowctl doctor`: is everything around the shipper as it must be?
//!
//! Every part is asked first (queues, Elasticsearch, files, an object), and what it said is judged then: a question that
//! fails is a finding like any other. `check` is one finding and the report of all.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use super::{Output, exit, tell};
use crate::aws::AwsContext;
use crate::config::{CheckedSettings, Environment, Location};
use check::{Check, Report};

pub(in crate::cli) mod check;
pub(in crate::cli) mod cluster;
mod files;
mod format;
pub(in crate::cli) mod queues;

/// Longest wait for one answer.
const LIMIT: Duration = Duration::from_secs(10);

const HELP: &str = "\
It takes the settings of the function (FLOWSHIP_…, see the README) and looks with the rights of who runs it: what those do \
not allow to see is skipped, with the right that it takes. Nothing is changed, and nothing is written without \
--write-probes. It needs sqs:GetQueueAttributes on both queues, s3:ListBucket on the quarantine's prefix, and in \
Elasticsearch monitor, read_ilm, view_index_metadata on the indices, read on the ledger, and for the templates \
manage_index_templates.

Each finding is ok, warn (it works; one should know), fail (something is lost, late or refused, or will be) or skip (it \
could not be looked at). Below what is not ok stands what to do.

Exit codes: 0 nothing fails, 1 something fails, 2 wrong command line, or nothing to look at.

Examples:
  flowctl doctor --function-timeout 900
      before the first deployment is trusted, and at 3 am: everything that the environment names
  flowctl doctor --object s3://logs/AWSLogs/123456789012/vpcflowlogs/…/x.log.gz
      also that object's format, and which panels of the dashboards it leaves empty";

/// Checks queues, Elasticsearch, files and formats, and says what to do
///
/// A line for each finding, its remedy below it, in an order that stays the same.
#[derive(Args, Debug)]
#[command(after_long_help = HELP)]
pub struct Arguments {
    /// URL of the main queue [default: FLOWSHIP_QUEUE_URL]
    #[arg(long, value_name = "URL")]
    queue_url: Option<String>,
    /// URL of the dead-letter queue [default: FLOWSHIP_DLQ_URL]
    #[arg(long, value_name = "URL")]
    dlq_url: Option<String>,
    /// URLs of the cluster's nodes or of its load balancer [default: FLOWSHIP_ELASTICSEARCH_URLS]
    #[arg(long, value_name = "URL", num_args = 1.., value_delimiter = ',')]
    elasticsearch_url: Vec<String>,
    /// Timeout of the Lambda function: the visibility timeout is measured by it
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=900))]
    function_timeout: Option<u32>,
    /// A flow log object or file, whose first lines are read
    #[arg(long, value_name = "S3 URI|FILE")]
    object: Option<String>,
    /// The credentials for Elasticsearch are those of `flowctl setup`: judges its rights, not the function's
    #[arg(long)]
    installer: bool,
    /// Writes a small object under the quarantine's prefix, to see whether that works
    #[arg(long)]
    write_probes: bool,
    /// Writes the result as one JSON document: `checks` with name, verdict, found, details and remedy, and how many of each
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub async fn run(arguments: Arguments, mut environment: Environment) -> anyhow::Result<ExitCode> {
    let urls = Some(arguments.elasticsearch_url.join(",")).filter(|urls| !urls.is_empty());
    environment
        .set("QUEUE_URL", arguments.queue_url.clone())
        .set("DLQ_URL", arguments.dlq_url.clone())
        .set("ELASTICSEARCH_URLS", urls);
    let settings = CheckedSettings::read(&environment);
    if !has_anything(&arguments, &settings) {
        tell("flowctl: there is nothing to look at: set FLOWSHIP_…, or give URLs or --object");
        return Ok(ExitCode::from(exit::USAGE));
    }
    let report = Report::new(Box::pin(look(&arguments, &settings)).await);
    let mut output = Output::new();
    if arguments.json {
        output.line(serde_json::to_string_pretty(&report)?)?;
    } else {
        for line in report.lines() {
            output.line(line)?;
        }
    }
    Ok(ExitCode::from(if report.has_failures() {
        exit::ERROR
    } else {
        exit::DONE
    }))
}

async fn look(arguments: &Arguments, settings: &CheckedSettings) -> Vec<Check> {
    let aws = match needs_aws(arguments, settings) {
        true => {
            let queue_url = settings.queue_url.as_deref().or(settings.dlq_url.as_deref());
            Some(AwsContext::load_for(queue_url).await)
        }
        false => None,
    };
    let aws = aws.as_ref();
    let timeout = arguments
        .function_timeout
        .map(|seconds| Duration::from_secs(seconds.into()));
    let bucket = arguments.object.as_deref().and_then(format::bucket_of);
    let object = async {
        match &arguments.object {
            Some(target) => format::look(target, &settings.ship, aws).await,
            None => vec![Check::skip(
                "object.format",
                "no object was given",
                "give --object to see which panels its format leaves empty",
            )],
        }
    };
    let quarantine = settings.ship.quarantine.place.as_ref();
    let parts = tokio::join!(
        queues::look(settings, aws, timeout, bucket.as_deref()),
        cluster::look(
            settings.elasticsearch.as_ref(),
            &settings.installation,
            arguments.installer
        ),
        files::look_at_quarantine(quarantine, aws, arguments.write_probes),
        files::look_at_enrichment(&settings.ship, aws, Timestamp::now()),
        object,
    );
    let mut checks = judge_settings(settings);
    for part in [parts.0, parts.1, parts.2, parts.3, parts.4] {
        checks.extend(part);
    }
    checks
}

fn has_anything(arguments: &Arguments, settings: &CheckedSettings) -> bool {
    let enrich = &settings.ship.enrich;
    let files = [&enrich.geo_city_db, &enrich.geo_asn_db, &enrich.network_map];
    needs_aws(arguments, settings)
        || settings.elasticsearch.is_some()
        || arguments.object.is_some()
        || !settings.problems.is_empty()
        || files.iter().any(|files| !files.is_empty())
}

fn needs_aws(arguments: &Arguments, settings: &CheckedSettings) -> bool {
    let enrich = &settings.ship.enrich;
    let mut locations = [&enrich.geo_city_db, &enrich.geo_asn_db, &enrich.network_map]
        .into_iter()
        .flatten();
    settings.queue_url.is_some()
        || settings.dlq_url.is_some()
        || settings.ship.quarantine.place.is_some()
        || locations.any(|location| matches!(location, Location::Object(_)))
        || arguments
            .object
            .as_deref()
            .is_some_and(|target| format::bucket_of(target).is_some())
}

/// What is set wrongly is looked at no further.
fn judge_settings(settings: &CheckedSettings) -> Vec<Check> {
    const NAME: &str = "settings";
    let problems = settings.problems.iter();
    problems
        .map(|problem| {
            Check::fail(
                NAME,
                problem.to_string(),
                "correct it: the function does not start",
            )
        })
        .collect()
}

#[cfg(test)]
mod tests;
