//! `redrive`: looks into the dead-letter queue and puts failed S3 events back onto the main queue.
//!
//! A verb turns one pass through the queue (`scan`) into a value, and the value into lines of text or JSON. Each is
//! generic over [`MessageQueue`].

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{CommandFactory, Parser, Subcommand};
use indicatif::ProgressBar;
use jiff::Timestamp;
use serde::Serialize;

use self::import::Destination;
use self::queues::{Urls, check_direction, check_redrive_policy, status_of};
use self::scan::{Interrupt, Stopped};
use self::send::journal::Past;
use self::show::Shown;
use super::manual::{CompletionArguments, ManArguments, print_completions, write_man};
use super::signals::Signals;
use super::{Output, exit, tell};
use crate::aws::AwsContext;
use crate::aws::s3::S3Store;
use crate::aws::sqs::SqsQueue;
use crate::config::Environment;
use crate::object::ObjectStore;
use crate::queue::{MessageQueue, QueueStatus};

mod copy;
mod copy_file;
mod discard;
mod export;
mod help;
mod import;
mod list;
mod presence;
mod quarantine;
mod queues;
mod scan;
pub(super) mod select;
pub(super) mod send;
mod show;
mod stats;
mod text;

/// Looks into the dead-letter queue and puts failed S3 events back onto the main queue.
#[derive(Debug, Parser)]
#[command(name = "redrive", version, arg_required_else_help = true, after_help = help::ALL)]
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
    /// Look although a redrive policy of the dead-letter queue may move messages on
    #[arg(long, global = true, help_heading = "Global options")]
    despite_redrive_policy: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    DeadLetters(Verb),
    /// Look into the single lines that were kept aside, and ship them again
    Quarantine(quarantine::Arguments),
    /// Print the completions of a shell
    #[command(after_help = help::COMPLETIONS)]
    Completions(CompletionArguments),
    /// Print the manual page, or write a page per command
    #[command(after_help = help::MAN)]
    Man(ManArguments),
}

/// What is done with the dead-letter queue.
#[derive(Debug, Subcommand)]
enum Verb {
    /// Count dead letters by reason, account and day, and name the next command
    #[command(after_help = help::STATS)]
    Stats(stats::Arguments),
    /// Show a line per dead letter, the oldest failure first
    #[command(after_help = help::LIST)]
    List(list::Arguments),
    /// Show everything about one dead letter, and what became of its objects
    #[command(after_help = help::SHOW)]
    Show(show::Arguments),
    /// Send dead letters back to the main queue (dry run unless --yes)
    #[command(after_help = help::SEND)]
    Send(send::Arguments),
    /// Go on with a run of `send` that ended early
    #[command(after_help = help::RESUME)]
    Resume(send::resume::Arguments),
    /// Copy dead letters into a file, and leave the queue as it is
    #[command(after_help = help::EXPORT)]
    Export(export::Arguments),
    /// Send what `export` wrote back to a queue (dry run unless --yes)
    #[command(after_help = help::IMPORT)]
    Import(import::Arguments),
    /// Delete dead letters after an export (dry run unless --yes)
    #[command(after_help = help::DISCARD)]
    Discard(discard::Arguments),
}

impl Verb {
    /// Whether it sends to the main queue; the others only check, if it is set, that it is another one.
    fn needs_main(&self) -> bool {
        match self {
            Self::Send(_) | Self::Resume(_) => true,
            Self::Import(options) => options.to == Destination::Main,
            _ => false,
        }
    }

    fn looks(&self) -> bool {
        !matches!(self, Self::Import(_))
    }

    /// What clap cannot see in a command line.
    fn why_wrong(&self) -> Option<&'static str> {
        match self {
            Self::Discard(options) if options.selection.filter.is_empty() => {
                Some("discard needs a selection, such as --reason; '--reason *' is all")
            }
            Self::Discard(options) if options.export.as_deref() == Some(Path::new("-")) => {
                Some("discard exports to a file, not to stdout")
            }
            Self::Import(options) if options.any_body && options.to == Destination::Main => {
                Some("--any-body is for the dead-letter queue: the main queue's function would send it back")
            }
            _ => None,
        }
    }
}

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
    let verb = match &arguments.command {
        Command::DeadLetters(verb) => verb,
        Command::Quarantine(options) => return quarantine::run(options, environment, arguments.json).await,
        Command::Completions(options) => return print_completions(options, Arguments::command()),
        Command::Man(options) => return write_man(options, Arguments::command()),
    };
    environment
        .set("QUEUE_URL", arguments.queue_url.as_deref())
        .set("DLQ_URL", arguments.dlq_url.as_deref());
    let past = match verb {
        Verb::Resume(options) => Some(Past::read(&options.journal)?),
        _ => None,
    };
    if let Some(past) = &past {
        environment
            .set("QUEUE_URL", Some(past.to.as_str()))
            .set("DLQ_URL", Some(past.from.as_str()));
    }
    let session = Session {
        // What is resumed selects as it did before.
        now: past.as_ref().map_or_else(Timestamp::now, |past| past.began),
        interrupt: Interrupt::default(),
        progress: scan::progress_bar(),
    };
    let run = Box::pin(run_verb(verb, &arguments, &environment, &session, past));
    let code = tokio::select! {
        code = run => code?,
        given_up = interrupted_twice(&session) => {
            given_up?;
            tell("redrive: given up; messages that were looked at come back when their visibility timeout ends");
            exit::STOPPED
        }
    };
    Ok(ExitCode::from(code))
}

/// The first Ctrl-C, or whatever else asks for the end, lets the pass end in order; the second one ends the process.
async fn interrupted_twice(session: &Session) -> anyhow::Result<()> {
    let mut signals = Signals::listen().context("signals cannot be handled")?;
    signals.next().await;
    session.interrupt.set();
    session.tell_if_some(Some(
        "redrive: stopping in order (Ctrl-C again to give up)".to_owned(),
    ));
    signals.next().await;
    Ok(())
}

async fn run_verb(
    verb: &Verb,
    arguments: &Arguments,
    environment: &Environment,
    session: &Session,
    past: Option<Past>,
) -> anyhow::Result<u8> {
    if let Some(why) = verb.why_wrong() {
        tell(format_args!("redrive: {why}"));
        return Ok(exit::USAGE);
    }
    let needs_main = verb.needs_main();
    let urls = Urls::read(environment, needs_main)?;
    let context = AwsContext::load_for(Some(&urls.dlq)).await;
    let dlq = SqsQueue::new(&context, &urls.dlq);
    let status = status_of(&dlq, "dead-letter queue").await?;
    if verb.looks() {
        check_redrive_policy(&status, arguments.despite_redrive_policy)?;
    }
    let main = urls.main.as_ref().map(|url| SqsQueue::new(&context, url));
    if let Some(main) = &main
        && (needs_main || status.redrive_policy.is_some())
    {
        check_direction(&status_of(main, "main queue").await?, &status)?;
    }
    match verb {
        Verb::Stats(options) => {
            let looked = stats::look(&dlq, &urls.dlq, &status, &options.filter, session);
            let (stats, stopped) = looked.await?;
            print(arguments.json, &stats, || stats.lines(session.now))?;
            Ok(end_of_look(stopped, stats.selects_nothing()))
        }
        Verb::List(options) => {
            let mut listing = list::look(&dlq, &status, &options.selection, session).await?;
            if options.check {
                let store = S3Store::new(&context);
                listing.check(&store, options.selection.limit(), session).await;
            }
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
        Verb::Show(options) => {
            let found = show::find(&dlq, &status, &options.id, session).await?;
            show_found(
                found,
                options,
                arguments.json,
                &status,
                &S3Store::new(&context),
                session,
            )
            .await
        }
        Verb::Send(_) | Verb::Resume(_) => {
            let main = main.as_ref().context("send has a main queue")?;
            let queues = send::Queues {
                dlq: &dlq,
                dlq_status: &status,
                main,
            };
            let Some(report) = send::run(verb, environment, &queues, session, past).await? else {
                return Ok(exit::STOPPED);
            };
            print(arguments.json, &report, || report.lines())?;
            report.notes().into_iter().for_each(tell);
            Ok(report.exit_code())
        }
        Verb::Export(options) => {
            let report = export::export(&dlq, &status, options, session).await?;
            if report.is_of_stdout() {
                report.lines().into_iter().for_each(tell);
            } else {
                print(arguments.json, &report, || report.lines())?;
            }
            Ok(report.exit_code())
        }
        Verb::Import(options) => {
            let queue = main.as_ref().filter(|_| needs_main).unwrap_or(&dlq);
            let max_bytes = status_of(queue, "queue").await?.max_message_bytes;
            let report = run_import(queue, queue.url(), options, max_bytes, session).await?;
            print(arguments.json, &report, || report.lines())?;
            Ok(report.exit_code())
        }
        Verb::Discard(options) => {
            let report = discard::discard(&dlq, &status, options, session).await?;
            print(arguments.json, &report, || report.lines())?;
            Ok(report.exit_code())
        }
    }
}

async fn run_import<Q: MessageQueue>(
    queue: &Q,
    queue_url: &str,
    options: &import::Arguments,
    max_bytes: Option<usize>,
    session: &Session,
) -> anyhow::Result<import::Report> {
    let rules = import::Rules::new(options, max_bytes);
    let file = import::open(&options.file)?;
    let report = import::check(&file, rules)?.addressed_to(queue_url, !options.yes);
    if !options.yes || report.is_empty() {
        return Ok(report);
    }
    import::send(queue, &file, rules, report, session).await
}

async fn show_found<S: ObjectStore>(
    found: show::Found,
    options: &show::Arguments,
    json: bool,
    status: &QueueStatus,
    store: &S,
    session: &Session,
) -> anyhow::Result<u8> {
    let mut messages = found.messages;
    let Some(message) = messages.pop() else {
        let seen = text::dead_letters(found.num_seen as u64);
        let (id, in_flight) = (&options.id, status.in_flight);
        tell(format_args!(
            "no id begins with {id}: {seen} seen, about {in_flight} in flight"
        ));
        return Ok(end_of_look(found.stopped, true));
    };
    if !messages.is_empty() {
        messages.push(message);
        let ids: Vec<&str> = messages.iter().map(|message| message.id.as_str()).collect();
        bail!("several ids begin with {}: {}", options.id, ids.join(", "));
    }
    let shown = Shown::new(message, store, options.presign.then_some(options.expires)).await?;
    print_lines(if json {
        vec![shown.json()]
    } else {
        shown.lines(session.now)
    })?;
    Ok(exit::DONE)
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
