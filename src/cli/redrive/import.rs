//! `redrive import`: copies of messages, as `export` writes them, back into a queue. The whole file is checked before
//! the first message is sent.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Seek};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::Session;
use super::copy::MessageCopy;
use super::copy_file::Copies;
use super::text;
use crate::cli::exit;
use crate::dead_letter::{attribute, count_hop};
use crate::notification;
use crate::outcome::error_chain;
use crate::queue::limits::{self, MAX_BATCH_BYTES, MAX_MESSAGE_BYTES};
use crate::queue::{Attribute, MAX_BATCH_ENTRIES, MessageQueue, OutgoingMessage, QueueError};

/// So many bad lines are told one by one.
const MAX_TOLD: usize = 20;

/// Options of `import`.
#[derive(Args, Clone, Debug)]
pub(super) struct Arguments {
    /// What `export` wrote; `-` is stdin
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// Really send; without it, only check the file and say what would be sent
    #[arg(long)]
    pub(super) yes: bool,
    /// The queue to send to: dlq, or main (which counts a hop)
    #[arg(
        long,
        value_name = "QUEUE",
        default_value = "dlq",
        hide_possible_values = true
    )]
    pub(super) to: Destination,
    /// Also take bodies that are no S3 event; only for the dead-letter queue
    #[arg(long)]
    pub(super) any_body: bool,
}

/// The queue that messages are sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Destination {
    Dlq,
    Main,
}

/// What became of the messages of the file: `messages = sent + failed + kept` (in a dry run, all are kept).
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    dry_run: bool,
    to: String,
    messages: u64,
    /// Objects that they name.
    objects: u64,
    /// Size of bodies and attributes.
    bytes: u64,
    /// Messages by reason.
    reasons: BTreeMap<String, u64>,
    /// Confirmed by the queue.
    sent: u64,
    /// Not confirmed.
    failed: u64,
    /// Not tried.
    kept: u64,
    /// What failed.
    failures: Vec<Failed>,
    /// Why the run ended before its end.
    stopped: Option<String>,
    /// From this line of the file on, nothing was tried.
    next_line: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Failed {
    line: u64,
    detail: String,
}

/// The file, to be read more than once; stdin is put into one first.
pub(super) fn open(path: &Path) -> anyhow::Result<File> {
    if path != Path::new("-") {
        return File::open(path).with_context(|| format!("{} cannot be read", path.display()));
    }
    let mut file = tempfile::tempfile().context("no temporary file can be made for stdin")?;
    io::copy(&mut io::stdin().lock(), &mut file).context("stdin cannot be put into a temporary file")?;
    Ok(file)
}

/// A message of the file that the queue will take.
struct Checked {
    message: OutgoingMessage,
    reason: String,
    num_objects: u64,
}

/// What a line must be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) to: Destination,
    pub(super) any_body: bool,
    /// The largest message that the queue takes.
    pub(super) max_bytes: usize,
}

impl Rules {
    /// Of a queue that takes messages of this size.
    pub(super) fn new(arguments: &Arguments, max_bytes: Option<usize>) -> Self {
        Self {
            to: arguments.to,
            any_body: arguments.any_body,
            max_bytes: max_bytes.unwrap_or(MAX_MESSAGE_BYTES),
        }
    }

    fn check(&self, copy: &MessageCopy) -> Result<Checked, String> {
        let mut message = copy.to_message()?;
        let num_objects = match notification::parse(&message.body) {
            Ok(notification) => notification.objects.len(),
            Err(_) if self.any_body => 0,
            Err(error) => return Err(format!("the body is no S3 event: {}", error_chain(&error))),
        };
        if num_objects == 0 && !self.any_body {
            return Err("the body names no object".to_owned());
        }
        let reason = message
            .attributes
            .get(attribute::REASON)
            .and_then(Attribute::to_text);
        if self.to == Destination::Main {
            count_hop(&mut message.attributes);
        }
        match limits::why_refused(&message, self.max_bytes) {
            Some(why) => Err(why),
            None => Ok(Checked {
                message,
                reason: reason.unwrap_or_else(|| "no reason given".to_owned()),
                num_objects: num_objects as u64,
            }),
        }
    }
}

/// Reads the whole file. The error names every line (the first ones, if many) that cannot be sent.
pub(super) fn check(file: &File, rules: Rules) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let mut problems = Vec::new();
    let mut copies = read_again(file)?;
    while let Some((line, copy)) = copies.next().context("the file cannot be read")? {
        match copy.and_then(|copy| rules.check(&copy)) {
            Ok(checked) => report.add(checked),
            Err(why) => problems.push(format!("line {line}: {}", text::printable(&why))),
        }
    }
    if problems.is_empty() {
        return Ok(report);
    }
    let number = problems.len();
    let all = report.messages + number as u64;
    problems.truncate(MAX_TOLD);
    if number > MAX_TOLD {
        problems.push(format!("and {} more", number - MAX_TOLD));
    }
    bail!(
        "nothing was sent: {number} of {all} lines cannot be imported\n{}",
        problems.join("\n")
    )
}

fn read_again(mut file: &File) -> anyhow::Result<Copies<BufReader<&File>>> {
    file.rewind().context("the file cannot be read twice")?;
    Ok(Copies::new(BufReader::new(file)))
}

/// Sends every message of a file that was checked.
pub(super) async fn send<Q: MessageQueue>(
    queue: &Q,
    file: &File,
    rules: Rules,
    mut report: Report,
    session: &Session,
) -> anyhow::Result<Report> {
    let mut copies = read_again(file)?;
    let mut batch: Vec<(u64, OutgoingMessage)> = Vec::with_capacity(MAX_BATCH_ENTRIES);
    let mut num_bytes = 0;
    session.progress.set_length(report.messages);
    while let Some((line, copy)) = copies.next().context("the file cannot be read")? {
        // It may have changed since it was checked.
        let checked = copy.and_then(|copy| rules.check(&copy));
        let message = match checked {
            Ok(checked) => checked.message,
            Err(why) => {
                report.stop(
                    batch.first().map_or(line, |first| first.0),
                    &format!("line {line} has changed: {why}"),
                );
                return Ok(report);
            }
        };
        if batch.len() == MAX_BATCH_ENTRIES || num_bytes + message.num_bytes() > MAX_BATCH_BYTES {
            num_bytes = 0;
            send_batch(queue, std::mem::take(&mut batch), &mut report, session).await;
            if report.stopped.is_some() {
                report.next_line.get_or_insert(line);
                return Ok(report);
            }
        }
        num_bytes += message.num_bytes();
        batch.push((line, message));
    }
    send_batch(queue, batch, &mut report, session).await;
    Ok(report)
}

async fn send_batch<Q: MessageQueue>(
    queue: &Q,
    batch: Vec<(u64, OutgoingMessage)>,
    report: &mut Report,
    session: &Session,
) {
    let (lines, messages): (Vec<u64>, Vec<OutgoingMessage>) = batch.into_iter().unzip();
    let Some(first) = lines.first() else { return };
    if session.interrupt.is_set() {
        report.stop(*first, "interrupted");
        return;
    }
    let results = queue.send_batch(&messages).await;
    session.progress.inc(messages.len() as u64);
    for (line, result) in lines.into_iter().zip(results) {
        report.kept = report.kept.saturating_sub(1);
        let Err(error) = result else {
            report.sent += 1;
            continue;
        };
        let detail = error.to_string();
        if matches!(error, QueueError::Call { .. }) {
            report.stopped = Some(detail.clone());
        }
        report.failed += 1;
        report.failures.push(Failed { line, detail });
    }
}

impl Report {
    fn add(&mut self, checked: Checked) {
        self.messages += 1;
        self.kept += 1;
        self.objects += checked.num_objects;
        self.bytes += checked.message.num_bytes() as u64;
        *self.reasons.entry(checked.reason).or_default() += 1;
    }

    fn stop(&mut self, next_line: u64, why: &str) {
        self.stopped = Some(why.to_owned());
        self.next_line = Some(next_line);
    }

    /// Where it goes, and whether it really goes there.
    pub(super) fn addressed_to(self, url: &str, dry_run: bool) -> Self {
        Self {
            to: url.to_owned(),
            dry_run,
            ..self
        }
    }

    /// Whether there is anything to send.
    pub(super) fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// One of [`exit`].
    pub(super) fn exit_code(&self) -> u8 {
        match &self.stopped {
            _ if self.failed > 0 => exit::ERROR,
            Some(_) => exit::STOPPED,
            None if self.is_empty() => exit::NOTHING,
            None => exit::DONE,
        }
    }

    /// For people.
    pub(super) fn lines(&self) -> Vec<String> {
        let Self {
            messages,
            objects,
            sent,
            failed,
            kept,
            ..
        } = self;
        let mut lines = vec![format!("to {}", self.to)];
        lines.extend(text::reason_lines(&self.reasons));
        lines.push(format!("objects: {objects}; size: {}", text::bytes(self.bytes)));
        lines.push(format!(
            "{messages} in the file = {sent} sent + {failed} failed + {kept} kept"
        ));
        if let Some(stopped) = &self.stopped {
            lines.push(format!("ended early: {}", text::printable(stopped)));
        }
        let line_numbers: Vec<String> = self
            .failures
            .iter()
            .map(|failed| format!("line {}", failed.line))
            .collect();
        let details = self.failures.iter().map(|failed| failed.detail.as_str());
        let named: Vec<(&str, &str)> = line_numbers.iter().map(String::as_str).zip(details).collect();
        lines.extend(text::named_lines(
            "not confirmed, perhaps sent",
            named.into_iter(),
        ));
        if let Some(line) = self.next_line {
            lines.push(format!(
                "the rest begins at line {line}: tail -n +{line} FILE | redrive import -"
            ));
        }
        if self.dry_run && *messages > 0 {
            lines.push("dry run: nothing was sent; to send, repeat with --yes".to_owned());
        }
        text::fit(lines)
    }
}

#[cfg(test)]
mod tests;
