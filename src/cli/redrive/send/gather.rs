//! What is selected: received, held hidden until it is sent, and told to the journal; everything else is let go.

use std::collections::HashSet;

use tokio::time::Instant;

use super::journal::{Event, Place, Seen};
use super::letter::Letter;
use super::pace::Pace;
use super::report::{Fate, Halt};
use super::{Redrive, resume};
use crate::cli::redrive::scan::{self, Stopped};
use crate::dead_letter::DeadLetter;
use crate::queue::{MessageQueue, ReceivedMessage};

/// What was redriven this often is left alone: it would go round in circles.
const DEFAULT_MAX_HOPS: u32 = 3;

/// Messages are held in memory until they are sent; a run that has so much does not take more.
const MAX_HELD_BYTES: usize = 256 << 20;

impl<Q: MessageQueue> Redrive<'_, Q> {
    /// What an earlier process of this run has sent counts, and what it left half done is brought to its end.
    pub(super) async fn take_up(&mut self) -> Result<(), Halt> {
        let Some(past) = &self.memory.past else {
            return Ok(());
        };
        for (id, letter) in past.sent() {
            self.report.selected += 1;
            self.report.sent += 1;
            self.report.count_reason(&letter.reason);
            self.watch.add_past(id, &letter.names, letter.hops, letter.seen);
        }
        resume::delete(self.dlq, &self.memory.journal, past).await?;
        self.session
            .tell_if_some(resume::release(self.dlq, past.handles(Place::Dlq)).await);
        Ok(())
    }

    /// Receives all and keeps what is selected; why there may be more than that.
    pub(super) async fn gather(&mut self) -> Result<Option<Stopped>, Halt> {
        while let Some(messages) = self.scan.next().await? {
            let hidden_until = Instant::now() + self.scan.visibility();
            for message in messages {
                // Of what an earlier process has sent, some came back.
                let returned = self.watch.recognise(&message);
                self.note_seen(Vec::from_iter(returned), Seen::Refailed)?;
                if !self.is_limit_reached() {
                    self.consider(message, hidden_until).await?;
                }
            }
            if self.is_limit_reached() {
                return Ok(None);
            }
            if self.num_held_bytes >= MAX_HELD_BYTES {
                return Ok(Some(Stopped::TooLarge));
            }
        }
        match self.scan.stopped() {
            Some(Stopped::Interrupted) => Err(Halt::Stopped(Stopped::Interrupted)),
            stopped => Ok(stopped),
        }
    }

    async fn consider(&mut self, message: ReceivedMessage, hidden_until: Instant) -> Result<(), Halt> {
        let dead_letter = DeadLetter::parse(&message);
        if self.was_sent(&dead_letter.id) {
            return self.delete_again(&dead_letter.id).await;
        }
        // What has too many hops is selected and skipped: it must not disappear from the report.
        let filter = &self.arguments.selection.filter;
        if !filter.matches(&dead_letter, self.session.now) {
            return Ok(());
        }
        self.report.selected += 1;
        if let Some(why) = self.why_to_skip(&dead_letter) {
            self.report.skipped += 1;
            self.write(Event::Skipped {
                id: dead_letter.id.clone(),
                why: why.clone(),
            })?;
            self.report.except(dead_letter.id, Fate::Skipped, why);
            return Ok(());
        }
        self.num_held_bytes += message.body.len();
        let letter = Letter::new(message, dead_letter, hidden_until);
        self.write(Event::selected(&letter, self.scan.receipt_handle(&letter.id)))?;
        self.waiting.push_back(letter);
        Ok(())
    }

    fn was_sent(&self, id: &str) -> bool {
        let letter = self.memory.past.as_ref().and_then(|past| past.letters.get(id));
        letter.is_some_and(|letter| letter.place != Place::Dlq)
    }

    /// The main queue has it, and the earlier deletion came to nothing.
    async fn delete_again(&mut self, id: &str) -> Result<(), Halt> {
        let handle = self.scan.receipt_handle(id).to_owned();
        let results = self.dlq.delete_batch(&[handle]).await;
        if results.iter().all(Result::is_ok) {
            self.scan.forget(id);
            self.write(Event::Deleted {
                ids: vec![id.to_owned()],
            })?;
        }
        Ok(())
    }

    fn why_to_skip(&self, letter: &DeadLetter) -> Option<String> {
        let max_hops = self.arguments.selection.max_hops.unwrap_or(DEFAULT_MAX_HOPS);
        if letter.hops >= u64::from(max_hops) {
            let hops = letter.hops;
            return Some(format!("redriven {hops} times already: --max-hops is {max_hops}"));
        }
        // What fails again during the run comes back here, and would go round until its hops are used up.
        (letter.sent_at > self.session.now).then(|| {
            "arrived after this run began (by this machine's clock): left for the next run".to_owned()
        })
    }

    fn is_limit_reached(&self) -> bool {
        let taken = self.report.sent + self.waiting.len() as u64;
        taken >= self.arguments.selection.limit() as u64
    }

    /// Lets go what is not selected.
    pub(super) async fn begin(&mut self) -> Result<(), Halt> {
        let selected: HashSet<&str> = self.waiting.iter().map(|letter| letter.id.as_str()).collect();
        let problem = self.scan.release(|id| !selected.contains(id)).await;
        self.session.tell_if_some(problem);
        if let Some(journal) = &self.memory.journal {
            journal.sync()?;
        }
        self.count_missing();
        self.watch.prepare(self.waiting.make_contiguous()).await;
        self.session.progress.reset();
        self.session.progress.set_style(scan::sending_style());
        self.session
            .progress
            .set_length(self.waiting.len() as u64 + self.report.sent);
        self.plan_renewal();
        self.pace = Pace::new(self.arguments.rate);
        Ok(())
    }

    /// What an earlier process held, and is neither sent nor here any more.
    fn count_missing(&mut self) {
        let Some(past) = &self.memory.past else {
            return;
        };
        for (id, _handle) in past.handles(Place::Dlq) {
            let is_here = self.scan.has_seen(&id);
            if !is_here {
                self.report.selected += 1;
                self.report.gone += 1;
                let why = "no longer in the dead-letter queue, or in another program's hands".to_owned();
                self.report.except(id, Fate::Gone, why);
            }
        }
    }
}
