//! `redrive send`: dead letters back onto the main queue. A message is deleted from the dead-letter queue only after
//! the main queue has confirmed it, entry by entry; whatever goes wrong in between leaves it in both.
//!
//! Nothing is lost then, and a message that is processed twice gives the same documents under the same ids. A run
//! gathers what is selected and holds it hidden, sends one message of each reason (`canary`), and when its object is
//! seen complete, the rest at its `pace` in batches (`post`); `watch` looks for what comes back, and the `journal` tells
//! of everything. `resume` goes on after a crash.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use tokio::time::Instant;

pub(super) use self::command::{Queues, run};
use self::journal::{Event, Journal, Past, Seen};
use self::letter::Letter;
use self::pace::Pace;
use self::post::{Posted, post};
use self::proof::Ledger;
use self::report::{Fate, Halt, Report};
use self::watch::Watch;
use super::Session;
use super::scan::{Scan, Stopped};
use super::select::{Selection, parse_duration};
use crate::cli::tell;
use crate::queue::limits::MAX_BATCH_BYTES;
use crate::queue::{MAX_BATCH_ENTRIES, MessageQueue, QueueError, QueueStatus, VisibilityChange};

mod canary;
mod command;
mod gather;
mod health;
pub(super) mod journal;
mod letter;
mod pace;
mod post;
pub(super) mod proof;
mod report;
pub(super) mod resume;
mod watch;

/// Batches at the same time where the rate is not limited.
const LANES: usize = 4;

/// What waits is hidden for so long at a time: after a crash nobody waits longer for it.
const HOLD: Duration = Duration::from_secs(300);

/// A hold is renewed when it lasts no longer than that: a batch is sent and deleted in this time.
const SHORT_HOLD: Duration = Duration::from_secs(20);

/// How often a run looks for what comes back.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// How often plain lines tell how far a run is.
const TELL_INTERVAL: Duration = Duration::from_secs(10);

/// Options of `send`.
#[derive(Args, Clone, Debug)]
pub(super) struct Arguments {
    /// Really send; without it, only say what would be sent
    #[arg(long)]
    pub(super) yes: bool,
    /// Messages a second, after a slow start; 0: no limit
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(super) rate: u32,
    /// Send everything at once, not one message of each reason ahead
    #[arg(long)]
    pub(super) no_canary: bool,
    /// How long the objects of the first messages may take
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_time)]
    pub(super) canary_timeout: Duration,
    /// Stop when N of those sent have come back as dead letters; 0: never
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(super) stop_on_refail: u64,
    /// At the end, wait at most so long for what becomes of them [default: do not wait]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(super) wait: Option<Duration>,
    /// Send although a check says that it would be in vain
    #[arg(long)]
    pub(super) force: bool,
    /// Where every decision is written, for `redrive resume`; a new file [default: redrive-<time>.ndjson]
    #[arg(long, value_name = "FILE")]
    pub(super) journal: Option<PathBuf>,
    #[command(flatten)]
    pub(super) selection: Selection,
}

impl Arguments {
    /// Where the journal of a run that begins now is.
    pub(super) fn journal_path(&self, now: Timestamp) -> PathBuf {
        let name = || PathBuf::from(format!("redrive-{}.ndjson", now.strftime("%Y%m%dT%H%M%S%.3fZ")));
        self.journal.clone().unwrap_or_else(name)
    }
}

fn parse_time(text: &str) -> Result<Duration, &'static str> {
    let time = parse_duration(text).and_then(|time| Duration::try_from(time).ok());
    time.ok_or("give a time such as 30s, 5m or 2h")
}

/// Where messages come from and where they go.
#[derive(Debug)]
pub(super) struct Route<'a, Q> {
    pub(super) dlq: &'a Q,
    pub(super) dlq_url: &'a str,
    pub(super) dlq_status: &'a QueueStatus,
    pub(super) main: &'a Q,
    pub(super) main_url: &'a str,
    /// Tells whether objects are complete.
    pub(super) ledger: Option<&'a Ledger>,
}

/// Where a run writes, and what one that it goes on with has written. A dry run has neither.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) journal: Option<Journal>,
    pub(super) past: Option<Past>,
}

/// A run.
struct Redrive<'a, Q> {
    arguments: &'a Arguments,
    session: &'a Session,
    main: &'a Q,
    dlq: &'a Q,
    memory: &'a Memory,
    scan: Scan<'a, Q>,
    watch: Watch<'a, Q>,
    pace: Pace,
    /// Selected, held, and not yet sent.
    waiting: VecDeque<Letter>,
    num_held_bytes: usize,
    /// Came back since the first messages were seen complete.
    num_refailed: u64,
    next_look: Instant,
    next_line: Instant,
    next_renewal: Instant,
    report: Report,
}

/// Sends what is selected, or says what would be sent. What happened is in the report also when it ended early.
pub(super) async fn send<Q: MessageQueue>(
    route: &Route<'_, Q>,
    arguments: &Arguments,
    session: &Session,
    memory: &Memory,
) -> Report {
    let now = Instant::now();
    let mut redrive = Redrive {
        arguments,
        session,
        main: route.main,
        dlq: route.dlq,
        memory,
        scan: Scan::new(route.dlq, route.dlq_status, &session.interrupt, &session.progress),
        watch: Watch::new(route, session.now),
        pace: Pace::new(arguments.rate),
        waiting: VecDeque::new(),
        num_held_bytes: 0,
        num_refailed: 0,
        next_look: now + LOOK_INTERVAL,
        next_line: now + TELL_INTERVAL,
        next_renewal: now,
        report: Report::new(route, arguments),
    };
    let result = Box::pin(redrive.run()).await;
    redrive.finish(result).await
}

impl<Q: MessageQueue> Redrive<'_, Q> {
    async fn run(&mut self) -> Result<(), Halt> {
        self.take_up().await?;
        let rest = self.gather().await?;
        if !self.arguments.yes {
            for letter in std::mem::take(&mut self.waiting) {
                self.report.would_send += 1;
                self.report.count(&letter);
            }
            return rest.map_or(Ok(()), |stopped| Err(Halt::Stopped(stopped)));
        }
        self.begin().await?;
        self.send_canaries().await?;
        self.send_rest().await?;
        self.wait_for_proof().await?;
        rest.map_or(Ok(()), |stopped| Err(Halt::Stopped(stopped)))
    }

    async fn send_rest(&mut self) -> Result<(), Halt> {
        while !self.waiting.is_empty() {
            self.keep_going().await?;
            let wait = self.pace.wait();
            if wait.is_zero() {
                self.send_some().await?;
            } else {
                self.pause(wait.min(Duration::from_secs(1))).await;
            }
        }
        Ok(())
    }

    /// What is due beside sending. Ends the run if it was interrupted, or too much came back.
    async fn keep_going(&mut self) -> Result<(), Halt> {
        if self.session.interrupt.is_set() {
            return Err(Halt::Stopped(Stopped::Interrupted));
        }
        self.renew().await?;
        if self.next_look <= Instant::now() && self.report.sent > 0 {
            self.look(Duration::ZERO).await?;
            self.next_look = Instant::now() + LOOK_INTERVAL;
        }
        if self.next_line <= Instant::now() {
            self.next_line = Instant::now() + TELL_INTERVAL;
            self.tell_progress();
        }
        let limit = self.arguments.stop_on_refail;
        if limit > 0 && self.num_refailed >= limit && !self.waiting.is_empty() {
            return Err(Halt::Refailed(self.num_refailed));
        }
        Ok(())
    }

    fn tell_progress(&self) {
        if !self.session.progress.is_hidden() {
            return;
        }
        let (sent, waiting) = (self.report.sent, self.waiting.len());
        let returned = self.watch.count(Seen::Refailed);
        tell(format_args!(
            "redrive: {sent} sent, {waiting} to go, {returned} came back"
        ));
    }

    /// Looks for what came back.
    async fn look(&mut self, wait: Duration) -> Result<(), Halt> {
        let ids = self.watch.look(&mut self.scan, wait).await?;
        self.num_refailed += ids.len() as u64;
        self.note_seen(ids, Seen::Refailed)
    }

    /// Asks for what is complete.
    async fn ask(&mut self) -> Result<(), Halt> {
        let ids = self.watch.ask().await?;
        self.note_seen(ids, Seen::Delivered)
    }

    fn note_seen(&mut self, ids: Vec<String>, fate: Seen) -> Result<(), Halt> {
        for id in ids {
            self.write(Event::Seen { id, fate })?;
        }
        Ok(())
    }

    /// Keeps what waits hidden from others. What is no longer in our hands is given up.
    async fn renew(&mut self) -> Result<(), Halt> {
        let now = Instant::now();
        if now < self.next_renewal {
            return Ok(());
        }
        let due: Vec<usize> = (0..self.waiting.len())
            .filter(|position| self.waiting[*position].hidden_until < now + 2 * SHORT_HOLD)
            .collect();
        let mut gone = Vec::new();
        let mut why = String::new();
        for positions in due.chunks(MAX_BATCH_ENTRIES) {
            let change = |position: &usize| VisibilityChange {
                receipt_handle: self.scan.receipt_handle(&self.waiting[*position].id).to_owned(),
                timeout: HOLD,
            };
            let changes: Vec<VisibilityChange> = positions.iter().map(change).collect();
            let hidden_until = Instant::now() + HOLD;
            for (position, result) in positions.iter().zip(self.dlq.change_visibility(&changes).await) {
                match result {
                    Ok(()) => self.waiting[*position].hidden_until = hidden_until,
                    Err(QueueError::Entry { detail, .. }) => {
                        gone.push(self.waiting[*position].id.clone());
                        why = detail;
                    }
                    Err(error @ QueueError::Call { .. }) => return Err(error.into()),
                }
            }
        }
        self.give_up(gone, &why)?;
        self.plan_renewal();
        Ok(())
    }

    fn plan_renewal(&mut self) {
        if let Some(first) = self.waiting.iter().map(|letter| letter.hidden_until).min() {
            self.next_renewal = first - SHORT_HOLD;
        }
    }

    fn give_up(&mut self, ids: Vec<String>, why: &str) -> Result<(), Halt> {
        if ids.is_empty() {
            return Ok(());
        }
        self.waiting.retain(|letter| !ids.contains(&letter.id));
        let why = format!("our hold on it ended, and another program may have it: {why}");
        for id in &ids {
            self.scan.forget(id);
            self.report.gone += 1;
            self.report.except(id.clone(), Fate::Gone, why.clone());
        }
        self.write(Event::Gone { ids, why })
    }

    /// Sends one batch, or several at a time where there is no limit.
    async fn send_some(&mut self) -> Result<(), Halt> {
        let num_lanes = if self.pace.is_limited() { 1 } else { LANES };
        let batches = (0..num_lanes).map(|_| take_batch(&mut self.waiting, self.pace.batch()));
        let batches: Vec<Vec<Letter>> = batches.collect();
        self.pace.count(batches.iter().map(Vec::len).sum());
        self.post(batches).await
    }

    async fn post(&mut self, batches: Vec<Vec<Letter>>) -> Result<(), Halt> {
        let journal = self
            .memory
            .journal
            .as_ref()
            .expect("a run that sends has a journal");
        let (main, dlq, scan) = (self.main, self.dlq, &self.scan);
        let handle = |letter: &Letter| scan.receipt_handle(&letter.id).to_owned();
        let one = async |letters: Option<Vec<Letter>>| match letters {
            Some(letters) if !letters.is_empty() => {
                let handles = letters.iter().map(handle).collect();
                post(main, dlq, journal, letters, handles).await
            }
            _ => Posted::default(),
        };
        let mut batches = batches.into_iter();
        let (first, second, third, fourth) = tokio::join!(
            one(batches.next()),
            one(batches.next()),
            one(batches.next()),
            one(batches.next()),
        );
        let mut result = Ok(());
        for posted in [first, second, third, fourth] {
            let noted = self.note(posted);
            result = result.and(noted);
        }
        self.session.progress.set_position(self.report.sent);
        result
    }

    /// Ends the run when a call failed as a whole: the next batch would fare no better.
    fn note(&mut self, posted: Posted) -> Result<(), Halt> {
        let mut result = Ok(());
        for (letter, deleted) in posted.sent {
            self.report.sent += 1;
            self.report.count(&letter);
            self.watch.add(&letter);
            match deleted {
                Ok(()) => self.scan.forget(&letter.id),
                Err(error) => {
                    self.report.not_deleted += 1;
                    self.report.except(letter.id, Fate::NotDeleted, error.to_string());
                    result = result.and(only_entry(error));
                }
            }
        }
        for (letter, error) in posted.failed {
            self.report.failed += 1;
            self.report.except(letter.id, Fate::Failed, error.to_string());
            result = result.and(only_entry(error));
        }
        self.waiting.extend(posted.not_tried);
        match posted.problem {
            Some(problem) => Err(Halt::Journal(problem)),
            None => result,
        }
    }

    /// Until everything is seen complete or came back, or the time is up.
    async fn wait_for_proof(&mut self) -> Result<(), Halt> {
        let Some(wait) = self.arguments.wait else {
            return Ok(());
        };
        self.report.waited = true;
        let end = Instant::now() + wait;
        loop {
            self.look(Duration::from_secs(1)).await?;
            self.ask().await?;
            if self.watch.all_seen() || Instant::now() >= end {
                return Ok(());
            }
            self.keep_going().await?;
            self.pause(Duration::from_secs(1)).await;
        }
    }

    /// Waits in small steps, to hear an interrupt.
    async fn pause(&self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end && !self.session.interrupt.is_set() {
            let step = Duration::from_millis(200).min(end - Instant::now());
            tokio::time::sleep(step).await;
        }
    }

    fn write(&self, event: Event) -> Result<(), Halt> {
        match &self.memory.journal {
            Some(journal) => Ok(journal.write(event)?),
            None => Ok(()),
        }
    }

    /// Lets go what was not sent, and closes the report.
    async fn finish(mut self, result: Result<(), Halt>) -> Report {
        self.report.halt = result.err();
        if let (Some(halt), false) = (&self.report.halt, self.waiting.is_empty()) {
            let why = format!("the run ended before: {halt}");
            let waiting = std::mem::take(&mut self.waiting);
            self.report.leave(why, waiting.len() as u64);
        }
        self.report.seen = self.scan.num_seen() as u64;
        self.report.delivered = self.watch.count(Seen::Delivered);
        self.report.refailed = self.watch.count(Seen::Refailed);
        self.report.still_in_flight = self.report.sent - self.report.delivered - self.report.refailed;
        self.report.problem = self.watch.problem().map(str::to_owned);
        self.watch.let_go().await;
        self.session.tell_if_some(self.scan.finish().await);
        if let Some(journal) = &self.memory.journal {
            self.report.journal = Some(journal.path().display().to_string());
            let report = serde_json::to_value(&self.report).expect("a report becomes JSON");
            if let Err(error) = journal
                .write(Event::Ended { report })
                .and_then(|()| journal.sync())
            {
                tell(format_args!("redrive: {error}"));
            }
        }
        self.report
    }
}

/// The next messages that go in one call.
fn take_batch(waiting: &mut VecDeque<Letter>, max_messages: usize) -> Vec<Letter> {
    let mut batch = Vec::new();
    let mut num_bytes = 0;
    while batch.len() < max_messages
        && let Some(letter) = waiting.front()
    {
        num_bytes += letter.message.num_bytes();
        if num_bytes > MAX_BATCH_BYTES && !batch.is_empty() {
            break;
        }
        batch.extend(waiting.pop_front());
    }
    batch
}

/// An error of one entry is that entry's; one of the whole call ends the run.
fn only_entry(error: QueueError) -> Result<(), Halt> {
    match error {
        QueueError::Entry { .. } => Ok(()),
        QueueError::Call { .. } => Err(Halt::Queue(error)),
    }
}

#[cfg(test)]
mod tests;
