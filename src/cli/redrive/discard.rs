//! `redrive discard`: deletes dead letters, after a copy of each is safely in a file.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde::Serialize;

use super::Session;
use super::copy_file::{Copies, CopyFile};
use super::export::{Copied, Sink, copy_selected};
use super::scan::Scan;
use super::select::Selection;
use super::text;
use crate::cli::exit;
use crate::queue::{MAX_BATCH_ENTRIES, MessageQueue, QueueError, QueueStatus, VisibilityChange};

/// What is held for so long at the moment of its deletion is not in anybody else's hands.
const HOLD: Duration = Duration::from_secs(60);

/// Options of `discard`.
#[derive(Args, Clone, Debug)]
pub(super) struct Arguments {
    /// Really delete, after the export; without it, only say what would be deleted
    #[arg(long, requires = "export")]
    pub(super) yes: bool,
    /// Where copies of what is deleted go; must not be there yet
    #[arg(long, value_name = "FILE")]
    pub(super) export: Option<PathBuf>,
    #[command(flatten)]
    pub(super) selection: Selection,
}

/// What became of the selected dead letters: `selected = deleted + failed + kept` (in a dry run, all are kept).
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    dry_run: bool,
    /// The file with a copy of each; `None` if none was written.
    file: Option<String>,
    /// Messages that others held when the run began: not seen, not selected.
    in_flight: u64,
    /// Dead letters seen.
    seen: u64,
    selected: u64,
    deleted: u64,
    /// The deletion was tried and is not confirmed.
    failed: u64,
    /// Not tried.
    kept: u64,
    /// Selected dead letters by reason.
    reasons: BTreeMap<String, u64>,
    /// What failed.
    failures: Vec<Failed>,
    /// Why the run ended before its end.
    stopped: Option<String>,
}

#[derive(Debug, Serialize)]
struct Failed {
    id: String,
    detail: String,
}

/// Deletes what is selected, or says what would be deleted. An error means that nothing was deleted.
pub(super) async fn discard<Q: MessageQueue>(
    queue: &Q,
    status: &QueueStatus,
    arguments: &Arguments,
    session: &Session,
) -> anyhow::Result<Report> {
    let file = arguments.export.as_deref().filter(|_| arguments.yes);
    let mut sink = match file {
        Some(path) => Sink::File(CopyFile::create(path, false)?),
        None => Sink::Nowhere,
    };
    let mut scan = Scan::new(queue, status, &session.interrupt, &session.progress);
    let copied = copy_selected(&mut scan, &arguments.selection, session, &mut sink).await;
    let report = match copied {
        Ok(copied) => run(&mut scan, queue, file, sink, copied, session).await,
        Err(error) => Err(error),
    };
    let seen = scan.num_seen() as u64;
    session.tell_if_some(scan.finish().await);
    Ok(Report {
        dry_run: !arguments.yes,
        in_flight: status.in_flight,
        seen,
        ..report?
    })
}

async fn run<Q: MessageQueue>(
    scan: &mut Scan<'_, Q>,
    queue: &Q,
    path: Option<&Path>,
    sink: Sink,
    copied: Copied,
    session: &Session,
) -> anyhow::Result<Report> {
    let mut report = Report {
        selected: copied.ids.len() as u64,
        kept: copied.ids.len() as u64,
        reasons: copied.reasons,
        stopped: scan.stopped().map(|stopped| stopped.to_string()),
        ..Report::default()
    };
    let (Sink::File(file), Some(path)) = (sink, path) else {
        return Ok(report);
    };
    if report.stopped.is_some() || report.selected == 0 {
        return Ok(report);
    }
    let selected: HashSet<String> = copied.ids.iter().cloned().collect();
    session.tell_if_some(scan.release(|id| !selected.contains(id)).await);
    file.finish()?;
    report.file = Some(path.display().to_string());
    let ids = confirmed(path, copied.ids)?;
    delete(scan, queue, &ids, &mut report, session).await;
    Ok(report)
}

/// Of these messages, those that the file gives back when it is read.
fn confirmed(path: &Path, ids: Vec<String>) -> anyhow::Result<Vec<String>> {
    let unreadable = || {
        format!(
            "{} does not give back what was written; nothing was deleted",
            path.display()
        )
    };
    let mut copies = Copies::open(path).with_context(unreadable)?;
    let mut written = HashSet::new();
    while let Some((_, copy)) = copies.next().with_context(unreadable)? {
        let copy = copy.map_err(anyhow::Error::msg).with_context(unreadable)?;
        written.insert(copy.id);
    }
    Ok(ids.into_iter().filter(|id| written.contains(id)).collect())
}

async fn delete<Q: MessageQueue>(
    scan: &mut Scan<'_, Q>,
    queue: &Q,
    ids: &[String],
    report: &mut Report,
    session: &Session,
) {
    for ids in ids.chunks(MAX_BATCH_ENTRIES) {
        if session.interrupt.is_set() {
            report.stopped = Some("interrupted".to_owned());
            return;
        }
        report.kept -= ids.len() as u64;
        for (id, result) in delete_batch(scan, queue, ids).await {
            match result {
                Ok(()) => {
                    report.deleted += 1;
                    scan.forget(&id);
                }
                Err(error) => {
                    if matches!(error, QueueError::Call { .. }) {
                        report.stopped = Some(error.to_string());
                    }
                    let detail = error.to_string();
                    report.failures.push(Failed { id, detail });
                    report.failed += 1;
                }
            }
        }
        if report.stopped.is_some() {
            return;
        }
    }
}

/// Deletes only what is still held: SQS answers a receipt handle that is out of date with success, and deletes nothing.
async fn delete_batch<Q: MessageQueue>(
    scan: &Scan<'_, Q>,
    queue: &Q,
    ids: &[String],
) -> Vec<(String, Result<(), QueueError>)> {
    let change = |id: &String| VisibilityChange {
        receipt_handle: scan.receipt_handle(id).to_owned(),
        timeout: HOLD,
    };
    let changes: Vec<VisibilityChange> = ids.iter().map(change).collect();
    let holds = queue.change_visibility(&changes).await;
    let mut results = Vec::with_capacity(ids.len());
    let mut held = Vec::with_capacity(ids.len());
    for (id, hold) in ids.iter().zip(holds) {
        match hold {
            Ok(()) => held.push(id.clone()),
            Err(error) => results.push((id.clone(), Err(error))),
        }
    }
    if !held.is_empty() {
        let handles: Vec<String> = held.iter().map(|id| scan.receipt_handle(id).to_owned()).collect();
        let deleted = queue.delete_batch(&handles).await;
        results.extend(held.into_iter().zip(deleted));
    }
    results
}

impl Report {
    /// One of [`exit`].
    pub(super) fn exit_code(&self) -> u8 {
        match &self.stopped {
            _ if self.failed > 0 => exit::ERROR,
            Some(_) => exit::STOPPED,
            None if self.selected == 0 => exit::NOTHING,
            None => exit::DONE,
        }
    }

    /// For people.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = text::reason_lines(&self.reasons);
        let Self {
            selected,
            deleted,
            failed,
            kept,
            seen,
            ..
        } = self;
        lines.push(format!(
            "{selected} selected = {deleted} deleted + {failed} failed + {kept} kept ({seen} seen)"
        ));
        if let Some(stopped) = &self.stopped {
            lines.push(format!("ended early: {}", text::printable(stopped)));
        }
        match &self.file {
            Some(file) => lines.push(format!(
                "a copy of all {selected} is in {}",
                text::printable(file)
            )),
            None if self.selected > 0 => {
                lines.push("nothing was deleted, and no file was written".to_owned());
            }
            None => {}
        }
        if self.dry_run && self.selected > 0 {
            lines.push("dry run; to delete, repeat with --yes --export FILE".to_owned());
        }
        let failures = self
            .failures
            .iter()
            .map(|failed| (failed.id.as_str(), failed.detail.as_str()));
        lines.extend(text::named_lines("perhaps still in the queue", failures));
        text::fit(lines)
    }
}

#[cfg(test)]
mod tests;
