//! `redrive`: looks into the dead-letter queue and puts failed S3 events back onto the main queue.
//!
//! A verb turns one pass through the queue (`scan`) into a value, and the value into lines of text or JSON. Each is
//! generic over [`MessageQueue`].

use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use indicatif::ProgressBar;
use jiff::Timestamp;
use serde::Serialize;

use self::queues::{Urls, check_direction, status_of, warning};
use self::scan::{Interrupt, Stopped};
use super::{Output, exit, tell};
use crate::aws::AwsContext;
use crate::aws::sqs::SqsQueue;
use crate::config::Environment;

mod list;
mod queues;
mod scan;
mod select;
mod send;
mod stats;
pub(super) mod text;

// Paragraphs are one line each: clap breaks them at the terminal's width.
const HELP: &str = "\
Looking (stats, list, and send without --yes) receives every message, hides it for as long as the pass takes, and \
makes it visible again at the end, also after Ctrl-C or an error. As every receive does, it raises the messages' \
ApproximateReceiveCount; a dead-letter queue should therefore have no redrive policy of its own. Messages that \
another program holds are not seen; their number is told as `in flight`.

A selection option that is given several times takes any of its values; of different options, all must match. A message \
that names several objects is selected as a whole if one of them has all that was asked for. WHEN is a time (2026-11-20, \
2026-11-20T03:00:00Z) or an age (30m, 2h, 3d). What is not selected is not touched.

Exit codes: 0 done, 1 an error or any failed message, 2 wrong command line, 3 stopped before the end (Ctrl-C, or \
100000 hidden messages), 4 nothing selected.

Data goes to stdout, everything else to stderr. Region, credentials and endpoint come from the AWS SDK's environment \
variables and profiles.

Examples:
  redrive stats                     why messages are here, and what to do next
  redrive send --reason 'bulk.*'    what would be sent back, and where";

/// Looks into the dead-letter queue and puts failed S3 events back onto the main queue.
#[derive(Debug, Parser)]
#[command(name = "redrive", version, arg_required_else_help = true, after_help = HELP)]
pub struct Arguments {
    /// URL of the main queue; replaces FLOWSHIP_QUEUE_URL
    #[arg(long, global = true, value_name = "URL", help_heading = "Global options")]
    queue_url: Option<String>,
    /// URL of the dead-letter queue; replaces FLOWSHIP_DLQ_URL
    #[arg(long, global = true, value_name = "URL", help_heading = "Global options")]
    dlq_url: Option<String>,
    /// Write JSON: one object, or for `list` one object a line
    #[arg(long, global = true, help_heading = "Global options")]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Count dead letters by reason, with their ages and hops, and name the next command
    #[command(after_help = STATS_EXAMPLES)]
    Stats,
    /// Show a line per dead letter, the oldest failure first
    #[command(after_help = LIST_EXAMPLES)]
    List(list::Arguments),
    /// Send dead letters back to the main queue (dry run unless --yes)
    #[command(after_help = SEND_EXAMPLES)]
    Send(send::Arguments),
}

const STATS_EXAMPLES: &str = "\
Examples:
  redrive stats
  redrive stats --json | jq '.reasons[] | [.reason, .dead_letters]'";

const LIST_EXAMPLES: &str = "\
Examples:
  redrive list --reason 'object.*' --limit 20
  redrive list --id 5fea7756 --verbose";

const SEND_EXAMPLES: &str = "\
A message is deleted from the dead-letter queue only after the main queue has confirmed it. Body and attributes stay \
as they are, and `hops` is counted up; a message that has ten attributes and no `hops` is sent without a count. What \
fails again while the command runs is left for the next run, and what was redriven 3 times is skipped unless --max-hops \
is larger.

Examples:
  redrive send --reason 'bulk.*'                    what would be sent, and where
  redrive send --reason 'bulk.*' --limit 1 --yes    one, to see whether it works";

/// What every verb is given beside its queues and options.
#[derive(Debug)]
struct Session {
    now: Timestamp,
    interrupt: Interrupt,
    progress: ProgressBar,
}

impl Session {
    /// For stderr, above the progress bar.
    fn tell_if_some(&self, line: Option<String>) {
        if let Some(line) = line {
            self.progress.suspend(|| tell(line));
        }
    }
}

/// Runs the command.
pub async fn run(arguments: Arguments, mut environment: Environment) -> anyhow::Result<ExitCode> {
    environment
        .set("QUEUE_URL", arguments.queue_url.as_deref())
        .set("DLQ_URL", arguments.dlq_url.as_deref());
    let session = Session {
        now: Timestamp::now(),
        interrupt: Interrupt::default(),
        progress: scan::progress_bar(),
    };
    let verb = Box::pin(run_verb(&arguments, &environment, &session));
    let code = tokio::select! {
        code = verb => code?,
        () = interrupted_twice(&session) => {
            tell("redrive: given up; messages that were looked at come back when their visibility timeout ends");
            exit::STOPPED
        }
    };
    Ok(ExitCode::from(code))
}

/// The first Ctrl-C lets the pass end in order; the second one ends the process.
async fn interrupted_twice(session: &Session) {
    if tokio::signal::ctrl_c().await.is_err() {
        return std::future::pending().await;
    }
    session.interrupt.set();
    session.tell_if_some(Some(
        "redrive: stopping; making messages visible again (Ctrl-C again to give up)".to_owned(),
    ));
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn run_verb(arguments: &Arguments, environment: &Environment, session: &Session) -> anyhow::Result<u8> {
    let is_send = matches!(arguments.verb, Verb::Send(_));
    let urls = Urls::read(environment, is_send)?;
    let context = AwsContext::load().await;
    let dlq = SqsQueue::new(&context, &urls.dlq);
    let status = status_of(&dlq, "dead-letter queue").await?;
    session.tell_if_some(warning(&status));
    let main = urls.main.as_ref().map(|url| SqsQueue::new(&context, url));
    if let Some(main) = &main
        && (is_send || status.redrive_policy.is_some())
    {
        check_direction(&status_of(main, "main queue").await?, &status)?;
    }
    match &arguments.verb {
        Verb::Stats => {
            let (stats, stopped) = stats::look(&dlq, &urls.dlq, &status, session).await?;
            print(arguments.json, &stats, || stats.lines(session.now))?;
            Ok(end_of_look(stopped, false))
        }
        Verb::List(options) => {
            let listing = list::look(&dlq, &status, &options.selection, session).await?;
            let lines = if arguments.json {
                listing.json_lines(options.selection.limit())
            } else {
                listing.lines(options, session.now)
            };
            print_lines(lines)?;
            tell(format_args!(
                "{}; {} in flight",
                listing.summary(options.selection.limit()),
                status.in_flight
            ));
            Ok(end_of_look(listing.stopped, listing.letters.is_empty()))
        }
        Verb::Send(options) => {
            let main = main.as_ref().context("send has a main queue")?;
            let route = send::Route {
                dlq: &dlq,
                dlq_url: &urls.dlq,
                dlq_status: &status,
                main,
                main_url: main.url(),
            };
            let report = send::send(&route, options, session).await;
            print(arguments.json, &report, || report.lines())?;
            report.notes().into_iter().for_each(tell);
            Ok(report.exit_code())
        }
    }
}

fn end_of_look(stopped: Option<Stopped>, is_empty: bool) -> u8 {
    match stopped {
        Some(stopped) => {
            tell(format_args!(
                "redrive: {stopped}: there may be more than is shown"
            ));
            exit::STOPPED
        }
        None if is_empty => exit::NOTHING,
        None => exit::DONE,
    }
}

fn print<T: Serialize>(json: bool, value: &T, lines: impl FnOnce() -> Vec<String>) -> anyhow::Result<()> {
    if json {
        print_lines(vec![serde_json::to_string(value)?])
    } else {
        print_lines(lines())
    }
}

fn print_lines(lines: Vec<String>) -> anyhow::Result<()> {
    let mut output = Output::new();
    for line in lines {
        output.line(line).context("stdout cannot be written")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
