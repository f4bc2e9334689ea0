//! `redrive export`: copies of dead letters into a file. Nothing is deleted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde::Serialize;

use super::Session;
use super::copy::MessageCopy;
use super::copy_file::CopyFile;
use super::scan::Scan;
use super::select::Selection;
use super::text;
use crate::cli::{Output, exit};
use crate::dead_letter::DeadLetter;
use crate::queue::{MessageQueue, QueueStatus};

/// Options of `export`.
#[derive(Args, Clone, Debug)]
pub(super) struct Arguments {
    /// Where the copies go, a line of JSON each; `-` is stdout
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    pub(super) force: bool,
    #[command(flatten)]
    pub(super) selection: Selection,
}

/// What was copied.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The file with the copies, `-` for stdout; `None`: there is none.
    file: Option<String>,
    /// Messages that others held when the run began: not seen, not copied.
    in_flight: u64,
    /// Dead letters seen.
    seen: u64,
    exported: u64,
    /// Size of bodies and attributes.
    bytes: u64,
    /// Dead letters by reason.
    reasons: BTreeMap<String, u64>,
    /// Why the run ended before it had seen all.
    stopped: Option<String>,
}

/// Where copies go while a pass lasts.
#[derive(Debug)]
pub(super) enum Sink {
    File(CopyFile),
    Stdout(Output),
    /// Nowhere: they are only counted.
    Nowhere,
}

impl Sink {
    fn open(file: &Path, overwrite: bool) -> anyhow::Result<Self> {
        if file == Path::new("-") {
            return Ok(Self::Stdout(Output::new()));
        }
        CopyFile::create(file, overwrite)
            .map(Self::File)
            .context("the export was not begun; --force replaces a file")
    }

    fn write(&mut self, copy: &MessageCopy) -> anyhow::Result<()> {
        match self {
            Self::File(file) => file.write(copy),
            Self::Stdout(output) => output.line(copy.to_line()).context("stdout cannot be written"),
            Self::Nowhere => Ok(()),
        }
    }
}

/// The selected messages of a pass.
#[derive(Debug, Default)]
pub(super) struct Copied {
    pub(super) ids: Vec<String>,
    pub(super) bytes: u64,
    pub(super) reasons: BTreeMap<String, u64>,
}

/// Copies what is selected, up to the limit.
pub(super) async fn copy_selected<Q: MessageQueue>(
    scan: &mut Scan<'_, Q>,
    selection: &Selection,
    session: &Session,
    sink: &mut Sink,
) -> anyhow::Result<Copied> {
    let mut copied = Copied::default();
    while let Some(messages) = scan.next().await? {
        for message in &messages {
            let letter = DeadLetter::parse(message);
            if !selection.matches(&letter, session.now) {
                continue;
            }
            let copy = MessageCopy::of(message);
            sink.write(&copy)?;
            *copied.reasons.entry(letter.reason().to_owned()).or_default() += 1;
            copied.bytes += message.num_bytes() as u64;
            copied.ids.push(letter.id);
            if copied.ids.len() == selection.limit() {
                return Ok(copied);
            }
        }
    }
    Ok(copied)
}

/// Looks at the queue, and leaves it as it was. A file is there only if the pass came to its end.
pub(super) async fn export<Q: MessageQueue>(
    queue: &Q,
    status: &QueueStatus,
    arguments: &Arguments,
    session: &Session,
) -> anyhow::Result<Report> {
    let mut sink = Sink::open(&arguments.file, arguments.force)?;
    let mut scan = Scan::new(queue, status, &session.interrupt, &session.progress);
    let result = copy_selected(&mut scan, &arguments.selection, session, &mut sink).await;
    let (seen, stopped) = (scan.num_seen() as u64, scan.stopped());
    session.tell_if_some(scan.finish().await);
    let copied = result?;
    let is_whole = stopped.is_none() && !copied.ids.is_empty();
    let has_output = match sink {
        Sink::File(file) if is_whole => file.finish().map(|()| true)?,
        Sink::File(_) | Sink::Nowhere => false,
        Sink::Stdout(_) => true,
    };
    Ok(Report {
        file: has_output.then(|| arguments.file.display().to_string()),
        in_flight: status.in_flight,
        seen,
        exported: copied.ids.len() as u64,
        bytes: copied.bytes,
        reasons: copied.reasons,
        stopped: stopped.map(|stopped| stopped.to_string()),
    })
}

impl Report {
    /// Whether the copies went to stdout: the report must not, then.
    pub(super) fn is_of_stdout(&self) -> bool {
        self.file.as_deref() == Some("-")
    }

    /// One of [`exit`].
    pub(super) fn exit_code(&self) -> u8 {
        match self.exported {
            _ if self.stopped.is_some() => exit::STOPPED,
            0 => exit::NOTHING,
            _ => exit::DONE,
        }
    }

    /// For people.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = text::reason_lines(&self.reasons);
        let Self {
            seen,
            in_flight,
            exported,
            ..
        } = self;
        if let Some(stopped) = &self.stopped {
            lines.push(format!("ended early: {stopped}"));
        }
        lines.push(match &self.file {
            Some(file) if file != "-" => format!(
                "{exported} exported to {}, {}",
                text::printable(file),
                text::bytes(self.bytes)
            ),
            Some(_) => format!("{exported} exported, {}", text::bytes(self.bytes)),
            None => "no file was written".to_owned(),
        });
        lines.push(format!(
            "{} seen, about {in_flight} in flight; nothing was deleted",
            text::dead_letters(*seen)
        ));
        text::fit(lines)
    }
}

#[cfg(test)]
mod tests;
