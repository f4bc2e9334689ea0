//! `redrive quarantine send`: quarantined lines into Elasticsearch, by the code of the function and under its ids.

use std::collections::VecDeque;
use std::sync::Arc;

use clap::Args;
use tokio::task::JoinHandle;

use super::files::{Files, Found};
use super::report::{Report, Stopped};
use super::select::Selection;
use crate::bulk::BulkSink;
use crate::cli::redrive::Session;
use crate::object::ObjectStore;
use crate::quarantine::{Quarantine, QuarantinedLine};
use crate::ship::replay::{FileReport, Replayer};

/// Options of `send`.
#[derive(Args, Clone, Debug)]
pub(super) struct Arguments {
    /// Really send; without it, only say what would be sent
    #[arg(long)]
    pub(super) yes: bool,
    #[command(flatten)]
    pub(super) selection: Selection,
}

/// A run that is under way.
pub(super) struct Sending<'a, S, B> {
    files: Files<'a, S>,
    replayer: Arc<Replayer<S, B>>,
    selection: Arc<Selection>,
    session: &'a Session,
    /// Files at the same time.
    max_running: usize,
    running: VecDeque<JoinHandle<FileReport>>,
    report: Report,
}

impl<'a, S: ObjectStore + Quarantine + Clone, B: BulkSink> Sending<'a, S, B> {
    pub(super) fn new(
        files: Files<'a, S>,
        replayer: Replayer<S, B>,
        selection: &Selection,
        session: &'a Session,
        max_running: usize,
        report: Report,
    ) -> Self {
        Self {
            files,
            replayer: Arc::new(replayer),
            selection: Arc::new(selection.clone()),
            session,
            max_running,
            running: VecDeque::new(),
            report,
        }
    }

    /// Ships the files one after the other, some at the same time. Ends early when one has failed: the next would fare
    /// no better. What was begun is brought to its end.
    pub(super) async fn run(mut self) -> Report {
        let mut num_left = self.selection.limit();
        while num_left > 0 && self.report.is_running() {
            match self.files.next().await {
                Ok(Some(Ok(found))) => {
                    num_left -= 1;
                    self.start(found).await;
                }
                Ok(Some(Err(unreadable))) => self.report.note_unreadable(unreadable),
                Ok(None) if self.files.is_interrupted() => self.report.stop(Stopped::Interrupted),
                Ok(None) => break,
                Err(error) => self.report.stop(Stopped::Error(format!("{error:#}"))),
            }
        }
        while !self.running.is_empty() {
            self.finish_one().await;
        }
        self.report
    }

    async fn start(&mut self, found: Found) {
        if self.running.len() >= self.max_running {
            self.finish_one().await;
        }
        if !self.report.is_running() {
            return;
        }
        let (replayer, selection) = (Arc::clone(&self.replayer), Arc::clone(&self.selection));
        let now = self.session.now;
        self.running.push_back(tokio::spawn(async move {
            let select = move |line: &QuarantinedLine| selection.matches_line(line);
            replayer.replay(found.file, select, now).await
        }));
    }

    async fn finish_one(&mut self) {
        let Some(running) = self.running.pop_front() else {
            return;
        };
        match running.await {
            Ok(file) => self.report.note(file),
            Err(error) => self
                .report
                .stop(Stopped::Error(format!("a defect of flowship: {error}"))),
        }
    }
}
