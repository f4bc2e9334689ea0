//! `redrive resume`: what a run left half done, by its journal. What the main queue has confirmed is deleted; what it was
//! still holding is let go, and then received again.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Parser};

use super::journal::{Event, Journal, JournalError, Past, Place};
use crate::cli::redrive::{Arguments as CommandLine, Command, Verb};
use crate::queue::{MAX_BATCH_ENTRIES, MessageQueue, VisibilityChange};

/// Options of `resume`.
#[derive(Args, Clone, Debug)]
pub(in crate::cli::redrive) struct Arguments {
    /// What `send` has written
    #[arg(value_name = "JOURNAL")]
    pub(in crate::cli::redrive) journal: PathBuf,
}

/// The options of the run that wrote the journal.
pub(in crate::cli::redrive) fn options(past: &Past) -> anyhow::Result<super::Arguments> {
    let words = std::iter::once("redrive").chain(past.command.iter().map(String::as_str));
    let line = CommandLine::try_parse_from(words).context("the journal's command is none of this version")?;
    match line.command {
        Command::DeadLetters(Verb::Send(options)) if options.yes => Ok(options),
        _ => bail!("the journal is not of `redrive send --yes`"),
    }
}

/// Deletes what the main queue has confirmed. What cannot be deleted is met again in the queue.
pub(super) async fn delete<Q: MessageQueue>(
    dlq: &Q,
    journal: &Option<Journal>,
    past: &Past,
) -> Result<(), JournalError> {
    let confirmed = past.handles(Place::Both);
    for batch in confirmed.chunks(MAX_BATCH_ENTRIES) {
        let handles: Vec<String> = batch.iter().map(|(_id, handle)| handle.clone()).collect();
        let results = dlq.delete_batch(&handles).await;
        let deleted = batch
            .iter()
            .zip(results)
            .filter(|(_letter, result)| result.is_ok());
        let ids = deleted.map(|((id, _handle), _result)| id.clone()).collect();
        if let Some(journal) = journal {
            journal.write(Event::Deleted { ids })?;
        }
    }
    Ok(())
}

/// Makes visible what the earlier process still hides, and says what may stay hidden for a while.
pub(super) async fn release<Q: MessageQueue>(dlq: &Q, letters: Vec<(String, String)>) -> Option<String> {
    let mut num_hidden = 0;
    for batch in letters.chunks(MAX_BATCH_ENTRIES) {
        let change = |(_id, handle): &(String, String)| VisibilityChange {
            receipt_handle: handle.clone(),
            timeout: Duration::ZERO,
        };
        let changes: Vec<VisibilityChange> = batch.iter().map(change).collect();
        let results = dlq.change_visibility(&changes).await;
        num_hidden += results.iter().filter(|result| result.is_err()).count();
    }
    (num_hidden > 0).then(|| {
        format!("{num_hidden} of the messages that were selected are no longer held, or were let go before")
    })
}
