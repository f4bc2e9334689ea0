//! One message of each reason goes ahead; the others of its reason follow when its objects are seen complete.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::journal::{Event, Seen};
use super::letter::Letter;
use super::report::Halt;
use super::{Redrive, take_batch};
use crate::cli::redrive::text;
use crate::queue::{MAX_BATCH_ENTRIES, MessageQueue};

/// How often one looks what became of the first messages.
const INTERVAL: Duration = Duration::from_secs(1);

impl<Q: MessageQueue> Redrive<'_, Q> {
    /// Sends the first message of each reason and waits for its fate; what must not follow is taken out.
    pub(super) async fn send_canaries(&mut self) -> Result<(), Halt> {
        if self.arguments.no_canary {
            return Ok(());
        }
        let canaries = self.split_off_first();
        let with_followers = self.waiting.iter().map(|letter| letter.reason.clone());
        let with_followers: BTreeSet<String> = with_followers.collect();
        let ids: BTreeMap<String, String> = canaries
            .iter()
            .filter(|letter| with_followers.contains(&letter.reason))
            .map(|letter| (letter.reason.clone(), letter.id.clone()))
            .collect();
        let mut canaries = VecDeque::from(canaries);
        while !canaries.is_empty() {
            let batch = take_batch(&mut canaries, MAX_BATCH_ENTRIES);
            if let Err(halt) = self.post(vec![batch]).await {
                self.waiting.extend(canaries);
                return Err(halt);
            }
        }
        if ids.is_empty() {
            return Ok(());
        }
        self.wait_for(&ids).await?;
        self.decide(ids).await
    }

    /// The first message of each reason that has not passed in an earlier process of this run.
    fn split_off_first(&mut self) -> Vec<Letter> {
        let past = self.memory.past.as_ref();
        let mut reasons = past.map(|past| past.passed.clone()).unwrap_or_default();
        let (mut first, mut rest) = (Vec::new(), VecDeque::with_capacity(self.waiting.len()));
        for letter in std::mem::take(&mut self.waiting) {
            if reasons.insert(letter.reason.clone()) {
                first.push(letter);
            } else {
                rest.push_back(letter);
            }
        }
        self.waiting = rest;
        first
    }

    async fn wait_for(&mut self, ids: &BTreeMap<String, String>) -> Result<(), Halt> {
        let end = Instant::now() + self.arguments.canary_timeout;
        loop {
            self.look(Duration::ZERO).await?;
            self.ask().await?;
            // One that could not be sent is not watched.
            let is_undecided = |id: &String| matches!(self.watch.find(id), Some(sent) if sent.seen.is_none());
            if !ids.values().any(is_undecided) || Instant::now() >= end {
                return Ok(());
            }
            self.keep_hold().await?;
            self.pause(INTERVAL).await;
        }
    }

    /// Waiting is not sending: what came back stops its reason only.
    async fn keep_hold(&mut self) -> Result<(), Halt> {
        self.num_refailed = 0;
        self.keep_going().await
    }

    async fn decide(&mut self, ids: BTreeMap<String, String>) -> Result<(), Halt> {
        let num_canaries = ids.len();
        let silence = self.why_silent().await?;
        let mut num_failed = 0;
        for (reason, id) in ids {
            let why = match self.watch.find(&id).map(|sent| sent.seen) {
                Some(Some(Seen::Delivered)) => None,
                Some(Some(Seen::Refailed)) => Some("it came back as a dead letter".to_owned()),
                Some(None) => Some(silence.clone()),
                None => Some("it could not be sent".to_owned()),
            };
            self.write(Event::Canary {
                reason: reason.clone(),
                passed: why.is_none(),
                why: why.clone().unwrap_or_default(),
            })?;
            if let Some(why) = why {
                num_failed += 1;
                self.stop_reason(&reason, &why).await?;
            }
        }
        self.num_refailed = 0;
        if num_failed == num_canaries && self.waiting.is_empty() {
            return Err(Halt::Canaries);
        }
        Ok(())
    }

    /// Why a message has no fate yet.
    async fn why_silent(&self) -> Result<String, Halt> {
        let main = self.main.status().await?;
        let timeout = self.arguments.canary_timeout.as_secs();
        if main.visible > 0 && main.in_flight == 0 {
            return Ok(format!(
                "nobody takes messages from the main queue: {} wait there, none is in flight",
                main.visible
            ));
        }
        Ok(match self.watch.problem() {
            Some(problem) => format!("not seen complete within {timeout} s: {problem}"),
            None => format!("not seen complete within {timeout} s"),
        })
    }

    /// The others of this reason stay where they are, and everybody may have them.
    async fn stop_reason(&mut self, reason: &str, why: &str) -> Result<(), Halt> {
        let waiting = std::mem::take(&mut self.waiting);
        let (stay, go): (VecDeque<Letter>, VecDeque<Letter>) =
            waiting.into_iter().partition(|letter| letter.reason == reason);
        self.waiting = go;
        let why = format!("the first of {}: {why}", text::printable(reason));
        self.report.leave(why.clone(), stay.len() as u64);
        self.report.stopped_reasons.push(reason.to_owned());
        for letter in &stay {
            self.write(Event::Skipped {
                id: letter.id.clone(),
                why: why.clone(),
            })?;
        }
        let ids: BTreeSet<&str> = stay.iter().map(|letter| letter.id.as_str()).collect();
        let problem = self.scan.release(|id| ids.contains(id)).await;
        self.session.tell_if_some(problem);
        Ok(())
    }
}
