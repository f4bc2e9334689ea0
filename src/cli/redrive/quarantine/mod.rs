//! `redrive quarantine`: looks into the lines that were kept aside, and ships them again.
//!
//! A verb turns one pass through the files (`files`) into a value, and the value into lines of text or JSON. Each is
//! generic over where the files are.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;

use self::files::Files;
use self::report::Report;
use self::send::Sending;
use super::{Interrupt, Session, interrupted_twice, print};
use crate::aws::AwsContext;
use crate::aws::s3::S3Store;
use crate::cli::{Output, exit, tell};
use crate::config::{self, Environment, ReplaySettings};
use crate::elasticsearch::client::Client;
use crate::elasticsearch::renewal::SecretStore;
use crate::enrich::Enrichment;
use crate::ship::replay::Replayer;

mod files;
mod list;
mod report;
mod select;
mod send;
mod stats;
#[cfg(test)]
mod tests;

const HELP: &str = "\
Bad lines lie in S3 under FLOWSHIP_QUARANTINE_URI, a file a pass over an object. Looking changes nothing. WHEN is a \
time (2026-11-20) or an age (30d); files have a day, and no time. `stats` and `list` need s3:ListBucket and s3:GetObject on the quarantine's prefix.

Exit codes: 0 done, 1 an error or any failed line or file, 2 wrong command line, 3 stopped by Ctrl-C, 4 nothing \
selected.

Examples:
  redrive quarantine stats    why lines are here, and what to do next
  redrive quarantine send     what would be sent";

const STATS_EXAMPLES: &str = "\
Examples:
  redrive quarantine stats
  redrive quarantine stats --from 7d --json | jq '.reasons[].accounts'";

const LIST_EXAMPLES: &str = "\
With --json, a file is one object; with --verbose as well, a line is one, as it stands in its file.

Examples:
  redrive quarantine list --dataset vpc --from 2026-11-20 --to 2026-11-21
  redrive quarantine list --verbose --limit 1 --reason line.number";

const SEND_EXAMPLES: &str = "\
Ships lines by the settings of the function (FLOWSHIP_ELASTICSEARCH_…, _INDEX_PREFIX, _GEO_…, …), which must be set \
here, too. They get the ids that their object gives them, so nothing is added that is there already. What is delivered \
leaves its file, which is written anew once Elasticsearch has confirmed, and only if nobody else wrote it meanwhile; \
what is refused again stays, with the reason of today. A file that nothing remains of is kept as a head without lines. \
Whatever goes wrong leaves lines in their files, and sending again is always safe.

Needs s3:ListBucket, GetObject and PutObject on the quarantine's prefix, and in Elasticsearch the function's `create_doc` \
and `auto_configure` on flow logs.

Examples:
  redrive quarantine send --reason 'document.*'          what would be sent
  redrive quarantine send --reason 'document.*' --yes    with a mended mapping";

/// Looks into the lines that were kept aside, and ships them again.
#[derive(Args, Debug)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    /// Where bad lines are kept; replaces FLOWSHIP_QUARANTINE_URI
    #[arg(long, global = true, value_name = "URI", help_heading = "Global options")]
    quarantine_uri: Option<String>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Count lines by reason, with an example of each, and name the next command
    #[command(after_help = STATS_EXAMPLES)]
    Stats {
        #[command(flatten)]
        selection: select::Selection,
    },
    /// Show a row per file, or with --verbose its lines
    #[command(after_help = LIST_EXAMPLES)]
    List(list::Arguments),
    /// Ship lines again (dry run unless --yes)
    #[command(after_help = SEND_EXAMPLES)]
    Send(send::Arguments),
}

/// Runs the command.
pub(super) async fn run(
    arguments: &Arguments,
    mut environment: Environment,
    json: bool,
) -> anyhow::Result<ExitCode> {
    environment.set("QUARANTINE_URI", arguments.quarantine_uri.as_deref());
    let session = Session {
        now: Timestamp::now(),
        interrupt: Interrupt::default(),
        progress: progress_bar(),
    };
    let verb = Box::pin(run_verb(&arguments.verb, &environment, &session, json));
    let code = tokio::select! {
        code = verb => code?,
        given_up = interrupted_twice(&session) => {
            given_up?;
            tell("redrive: given up; every file is as it was, or without what was delivered");
            exit::STOPPED
        }
    };
    Ok(ExitCode::from(code))
}

/// On stderr, and only on a terminal.
fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos} of {len} files listed so far  {elapsed}")
        .expect("the template is valid");
    ProgressBar::new(0).with_style(style)
}

async fn run_verb(
    verb: &Verb,
    environment: &Environment,
    session: &Session,
    json: bool,
) -> anyhow::Result<u8> {
    match verb {
        Verb::Stats { selection } => {
            let place = config::read_quarantine_place(environment)?;
            let store = S3Store::new(&AwsContext::load().await);
            let files = Files::new(store, &place, selection, session);
            let stats = stats::look(files, &place, selection.limit()).await?;
            session.progress.finish_and_clear();
            print(json, &stats, || stats.lines())?;
            Ok(stats.exit_code())
        }
        Verb::List(options) => {
            let place = config::read_quarantine_place(environment)?;
            let store = S3Store::new(&AwsContext::load().await);
            let files = Files::new(store, &place, &options.selection, session);
            let mut output = Output::new();
            let print = |line: String| {
                let printed = session.progress.suspend(|| output.line(line));
                printed.context("stdout cannot be written")
            };
            let listing = list::show(files, options, json, print).await?;
            session.progress.finish_and_clear();
            listing.notes().into_iter().for_each(tell);
            Ok(listing.exit_code())
        }
        Verb::Send(options) => send(environment, options, session, json).await,
    }
}

async fn send(
    environment: &Environment,
    options: &send::Arguments,
    session: &Session,
    json: bool,
) -> anyhow::Result<u8> {
    let settings = ReplaySettings::read(environment, options.yes)?;
    let aws = AwsContext::load().await;
    let store = S3Store::new(&aws);
    let indices = format!("{}-*", settings.ship.index_prefix);
    let (client, to) = match &settings.elasticsearch {
        Some(elasticsearch) => {
            let client = Client::connect(elasticsearch, async |arn| aws.read_secret(arn).await).await?;
            client.probe().await.context("nothing was sent")?;
            let to = format!("{indices} at {}", client.url());
            (Some(client), to)
        }
        None => (None, indices),
    };
    let enrichment = Enrichment::open(&settings.ship.enrich, async || store.clone()).await?;
    let replayer = Replayer::new(store.clone(), client, &settings.ship, Arc::new(enrichment));
    let files = Files::new(store, &settings.place, &options.selection, session);
    let report = Report::new(!options.yes, settings.place.to_string(), to);
    let max_running = settings.ship.objects_in_flight;
    let sending = Sending::new(files, replayer, &options.selection, session, max_running, report);
    let report = sending.run().await;
    session.progress.finish_and_clear();
    print(json, &report, || report.lines())?;
    report.note_of_end().into_iter().for_each(tell);
    Ok(report.exit_code())
}
