//! What becomes of messages that were sent: a dead letter that names the same object with the hop counted came back; an
//! object that the ledger calls complete, by a newer entry than before, was delivered.
//!
//! What comes back lies among all that was not selected. A look receives a part of it, and keeps it hidden until the
//! looks together have seen the whole queue (a sweep): the next look would be given the same part again otherwise.
//!
//! Without a ledger, what did not come back counts as delivered when the main queue has been empty for a minute, because
//! SQS's own numbers are right only so much later (GetQueueAttributes in the SQS API reference), and a whole sweep since
//! then has not found it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::Route;
use super::journal::Seen;
use super::letter::{self, Letter};
use super::proof::{Entry, Ledger};
use crate::cli::redrive::scan::{MAX_VISIBILITY, Scan};
use crate::dead_letter::DeadLetter;
use crate::queue::{MAX_BATCH_ENTRIES, MessageQueue, QueueError, ReceivedMessage, VisibilityChange};

/// Hides dead letters while they are looked at, for at least so long.
const MIN_VISIBILITY: Duration = Duration::from_secs(30);

/// Letters a second that looks see at least: so much longer a sweep through a large queue hides them.
const SWEPT_PER_SECOND: u64 = 50;

/// Receives of one look, four at a time: a second or two, in which nothing is sent.
const MAX_ROUNDS: usize = 25;

/// So long the main queue must be empty.
const QUIET: Duration = Duration::from_secs(60);

/// By how much the clocks of SQS and of this machine may differ.
const MAX_SKEW: SignedDuration = SignedDuration::from_mins(1);

/// Messages that were sent, and what is known of them.
#[derive(Debug)]
pub(super) struct Watch<'a, Q> {
    dlq: &'a Q,
    main: &'a Q,
    ledger: Option<&'a Ledger>,
    began: Timestamp,
    /// Dead letters that were looked at.
    known: HashSet<String>,
    sent: Vec<Sent>,
    by_name: HashMap<(String, u64), Vec<usize>>,
    /// An object's entry before the run.
    entry_before: HashMap<String, Timestamp>,
    quiet_since: Option<Instant>,
    visibility: Duration,
    /// Hidden by the looks of the sweep that is under way.
    swept: Vec<VisibilityChange>,
    sweep_began: Option<Instant>,
    /// When the last sweep began that has seen the whole queue.
    whole_sweep_began: Option<Instant>,
    /// Why the last question to the ledger has no answer.
    problem: Option<String>,
}

/// A message that the main queue has confirmed.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) id: String,
    names: Vec<String>,
    /// With which count it was sent.
    hops: u64,
    pub(super) seen: Option<Seen>,
}

impl<'a, Q: MessageQueue> Watch<'a, Q> {
    pub(super) fn new(route: &Route<'a, Q>, began: Timestamp) -> Self {
        let num_letters = route.dlq_status.visible + route.dlq_status.in_flight;
        Self {
            dlq: route.dlq,
            main: route.main,
            ledger: route.ledger,
            began,
            known: HashSet::new(),
            sent: Vec::new(),
            by_name: HashMap::new(),
            entry_before: HashMap::new(),
            quiet_since: None,
            visibility: (MIN_VISIBILITY + Duration::from_secs(num_letters / SWEPT_PER_SECOND))
                .min(MAX_VISIBILITY),
            swept: Vec::new(),
            sweep_began: None,
            whole_sweep_began: None,
            problem: None,
        }
    }

    /// Asks the ledger what it says of these before they are sent.
    pub(super) async fn prepare(&mut self, letters: &[Letter]) {
        let names = letters.iter().flat_map(|letter| &letter.names);
        let names: HashSet<&str> = names.map(String::as_str).collect();
        let names = names.into_iter().collect();
        let Some(entries) = entries(self.ledger, names, &mut self.problem).await else {
            return;
        };
        for (uri, entry) in entries {
            self.entry_before.entry(uri).or_insert(entry.ended_at);
        }
    }

    pub(super) fn add(&mut self, letter: &Letter) {
        self.quiet_since = None;
        self.add_sent(letter.id.clone(), letter.names.clone(), letter.hops, None);
    }

    /// A message that an earlier process of this run sent.
    pub(super) fn add_past(&mut self, id: &str, names: &[String], hops: u64, seen: Option<Seen>) {
        for name in names {
            self.entry_before.insert(name.clone(), self.began);
        }
        self.add_sent(id.to_owned(), names.to_vec(), hops, seen);
    }

    fn add_sent(&mut self, id: String, names: Vec<String>, hops: u64, seen: Option<Seen>) {
        let position = self.sent.len();
        for name in &names {
            let same = self.by_name.entry((name.clone(), hops)).or_default();
            same.push(position);
        }
        self.sent.push(Sent {
            id,
            names,
            hops,
            seen,
        });
    }

    pub(super) fn find(&self, id: &str) -> Option<&Sent> {
        self.sent.iter().find(|sent| sent.id == id)
    }

    pub(super) fn count(&self, seen: Seen) -> u64 {
        let sent = self.sent.iter();
        sent.filter(|sent| sent.seen == Some(seen)).count() as u64
    }

    pub(super) fn all_seen(&self) -> bool {
        self.sent.iter().all(|sent| sent.seen.is_some())
    }

    pub(super) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// Looks for dead letters that came back; ids of the messages that they were. What is still ours is not let go.
    pub(super) async fn look(
        &mut self,
        scan: &mut Scan<'_, Q>,
        wait: Duration,
    ) -> Result<Vec<String>, QueueError> {
        let mut returned = Vec::new();
        let mut num_calls = 1;
        self.sweep_began.get_or_insert_with(Instant::now);
        for _ in 0..MAX_ROUNDS {
            let mut is_end = true;
            let mut result = Ok(());
            for answer in self.receive(num_calls, wait).await {
                match answer {
                    Ok(messages) => {
                        is_end &= messages.is_empty();
                        returned.extend(self.note(scan, &messages));
                    }
                    Err(error) => result = Err(error),
                }
            }
            result?;
            if is_end {
                self.whole_sweep_began = self.sweep_began.take();
                self.let_go().await;
                break;
            }
            num_calls = 4;
        }
        Ok(returned)
    }

    /// The answers of up to four calls at a time.
    async fn receive(
        &self,
        num_calls: usize,
        wait: Duration,
    ) -> [Result<Vec<ReceivedMessage>, QueueError>; 4] {
        let call = async |number: usize| {
            if number >= num_calls {
                return Ok(Vec::new());
            }
            self.dlq
                .receive(MAX_BATCH_ENTRIES, wait, Some(self.visibility))
                .await
        };
        tokio::join!(call(0), call(1), call(2), call(3)).into()
    }

    fn note(&mut self, scan: &mut Scan<'_, Q>, messages: &[ReceivedMessage]) -> Vec<String> {
        let mut returned = Vec::new();
        for message in messages {
            if !scan.hold_again(message) {
                self.swept.push(VisibilityChange {
                    receipt_handle: message.receipt_handle.clone(),
                    timeout: Duration::ZERO,
                });
            }
            returned.extend(self.recognise(message));
        }
        returned
    }

    /// Makes visible again what looks have hidden.
    pub(super) async fn let_go(&mut self) {
        for batch in std::mem::take(&mut self.swept).chunks(MAX_BATCH_ENTRIES) {
            // What fails here comes back by itself.
            drop(self.dlq.change_visibility(batch).await);
        }
    }

    /// Whether a dead letter is new and came back; the id of the message that it was.
    pub(super) fn recognise(&mut self, message: &ReceivedMessage) -> Option<String> {
        if !self.known.insert(message.id.clone()) {
            return None;
        }
        let dead_letter = DeadLetter::parse(message);
        if dead_letter.sent_at + MAX_SKEW < self.began {
            return None;
        }
        let names = letter::names(&dead_letter, &message.body);
        let position = names.into_iter().find_map(|name| {
            let same = self.by_name.get_mut(&(name, dead_letter.hops))?;
            let undecided = |position: &usize| self.sent[*position].seen != Some(Seen::Refailed);
            let found = same.iter().position(undecided)?;
            Some(same.remove(found))
        })?;
        let sent = &mut self.sent[position];
        sent.seen = Some(Seen::Refailed);
        Some(sent.id.clone())
    }

    /// Asks whether objects are complete by now; ids of the messages of which all are.
    pub(super) async fn ask(&mut self) -> Result<Vec<String>, QueueError> {
        let undecided = self.sent.iter().filter(|sent| sent.seen.is_none());
        let names: HashSet<&str> = undecided
            .flat_map(|sent| sent.names.iter().map(String::as_str))
            .collect();
        let names: Vec<&str> = names.into_iter().collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let entries = entries(self.ledger, names, &mut self.problem).await;
        let is_quiet = self.is_main_quiet().await?;
        let (ledger, before, began) = (self.ledger, &self.entry_before, self.began);
        let is_complete = |name: &String, hops: u64| {
            if ledger.is_none() || !name.starts_with("s3://") {
                return is_quiet;
            }
            let entry = entries.as_ref().and_then(|entries| entries.get(name));
            entry.is_some_and(|entry| {
                let is_newer = before.get(name).is_none_or(|before| entry.ended_at > *before);
                // Entries are found only some seconds after they were written: one from just before the run looks new.
                let is_ours = entry.hops >= hops || entry.ended_at > began;
                entry.complete && is_newer && is_ours
            })
        };
        let mut delivered = Vec::new();
        for sent in self.sent.iter_mut().filter(|sent| sent.seen.is_none()) {
            if sent.names.iter().all(|name| is_complete(name, sent.hops)) {
                sent.seen = Some(Seen::Delivered);
                delivered.push(sent.id.clone());
            }
        }
        Ok(delivered)
    }

    async fn is_main_quiet(&mut self) -> Result<bool, QueueError> {
        let status = self.main.status().await?;
        if status.visible + status.in_flight + status.delayed > 0 {
            self.quiet_since = None;
            return Ok(false);
        }
        let since = *self.quiet_since.get_or_insert_with(Instant::now);
        let is_swept = self.whole_sweep_began.is_some_and(|began| began >= since);
        Ok(is_swept && since.elapsed() >= QUIET)
    }
}

async fn entries(
    ledger: Option<&Ledger>,
    names: Vec<&str>,
    problem: &mut Option<String>,
) -> Option<HashMap<String, Entry>> {
    match ledger?.entries(&names).await {
        Ok(entries) => {
            *problem = None;
            Some(entries)
        }
        Err(error) => {
            *problem = Some(format!("the ledger cannot be asked: {error:#}"));
            None
        }
    }
}
