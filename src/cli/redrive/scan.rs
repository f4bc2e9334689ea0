//! One pass through the dead-letter queue: every message is received once, hidden for as long as the pass may take,
//! and made visible again at its end, whatever that end is.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use crate::queue::{
    MAX_BATCH_ENTRIES, MessageQueue, QueueError, QueueStatus, ReceivedMessage, VisibilityChange,
};

/// Long polling asks all servers of a queue, short polling only some: an answer without messages means then that
/// there are none. Source: "Amazon SQS short and long polling".
const WAIT: Duration = Duration::from_secs(1);

/// A pass that hides this many stops: SQS allows about 120,000 messages in flight, and others need some of them.
const MAX_MESSAGES: usize = 100_000;

/// Hides a message for the first seconds of a pass.
const MIN_VISIBILITY: Duration = Duration::from_secs(30);

/// Longest visibility timeout that SQS takes.
pub(super) const MAX_VISIBILITY: Duration = Duration::from_secs(12 * 3600);

/// Ten messages are received, sent and deleted in half a second, also from afar.
const MESSAGES_PER_SECOND: u64 = 20;

/// Set when the user wants it to end. Looked at between calls: a call that was begun is brought to its end, because
/// the messages that it hides or sends would be unknown otherwise.
#[derive(Clone, Debug, Default)]
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why a pass ended before it had seen all messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stopped {
    /// The user pressed Ctrl-C.
    #[error("interrupted")]
    Interrupted,
    /// There are more messages than one pass may hide.
    #[error("it hides {MAX_MESSAGES} messages, the most of one pass")]
    Full,
    /// The messages are larger than one run may hold.
    #[error("it holds 256 MiB of messages, the most of one run")]
    TooLarge,
}

/// The progress bar of a pass: on stderr, and only on a terminal.
pub(super) fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos} of about {len} dead letters  {elapsed}")
        .expect("the template is valid");
    ProgressBar::new(0).with_style(style)
}

/// What the progress bar becomes when messages are sent.
pub(super) fn sending_style() -> ProgressStyle {
    ProgressStyle::with_template("{bar:30} {pos} of {len} sent  {per_sec}  {eta} left")
        .expect("the template is valid")
}

/// A pass that is under way. It must be ended with [`Scan::finish`]; dropped, its messages stay hidden for
/// [`Scan::visibility`].
#[derive(Debug)]
pub(super) struct Scan<'a, Q> {
    queue: &'a Q,
    interrupt: Interrupt,
    progress: ProgressBar,
    visibility: Duration,
    seen: HashSet<String>,
    /// Receipt handles of hidden messages, by message id; the newest of each, because only that one works.
    held: HashMap<String, String>,
    /// Messages received again since the last new one.
    num_repeats: usize,
    began: Instant,
    stopped: Option<Stopped>,
}

impl<'a, Q: MessageQueue> Scan<'a, Q> {
    /// Begins a pass through a queue that stands like this.
    pub(super) fn new(
        queue: &'a Q,
        status: &QueueStatus,
        interrupt: &Interrupt,
        progress: &ProgressBar,
    ) -> Self {
        let num_messages = status.visible + status.in_flight;
        let time_needed = Duration::from_secs(num_messages / MESSAGES_PER_SECOND);
        progress.set_length(status.visible);
        Self {
            queue,
            interrupt: interrupt.clone(),
            progress: progress.clone(),
            visibility: (MIN_VISIBILITY + time_needed).min(MAX_VISIBILITY),
            seen: HashSet::new(),
            held: HashMap::new(),
            num_repeats: 0,
            began: Instant::now(),
            stopped: None,
        }
    }

    /// Messages that were not seen before, at least one; `None` when all were seen, or when the pass was stopped.
    ///
    /// Messages come back when a pass takes longer than was thought. They are hidden for longer then, and the pass
    /// ends at the latest when as many came back as were seen.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<ReceivedMessage>>, QueueError> {
        while self.num_repeats <= self.seen.len() {
            if self.interrupt.is_set() {
                self.stopped = Some(Stopped::Interrupted);
            } else if self.held.len() >= MAX_MESSAGES {
                self.stopped = Some(Stopped::Full);
            }
            if self.stopped.is_some() {
                return Ok(None);
            }
            let answer = self
                .queue
                .receive(MAX_BATCH_ENTRIES, WAIT, Some(self.visibility))
                .await?;
            if answer.is_empty() {
                return Ok(None);
            }
            let num_received = answer.len();
            let new = self.note(answer);
            if !new.is_empty() {
                self.num_repeats = 0;
                self.progress.inc(new.len() as u64);
                return Ok(Some(new));
            }
            self.num_repeats += num_received;
            let seconds = self.began.elapsed().as_secs() * 2;
            self.visibility = Duration::from_secs(seconds).clamp(self.visibility, MAX_VISIBILITY);
        }
        Ok(None)
    }

    fn note(&mut self, answer: Vec<ReceivedMessage>) -> Vec<ReceivedMessage> {
        let mut new = Vec::with_capacity(answer.len());
        for message in answer {
            self.held
                .insert(message.id.clone(), message.receipt_handle.clone());
            if self.seen.insert(message.id.clone()) {
                new.push(message);
            }
        }
        new
    }

    /// How many messages were seen.
    pub(super) fn num_seen(&self) -> usize {
        self.seen.len()
    }

    /// Why the pass ended early, if it did.
    pub(super) fn stopped(&self) -> Option<Stopped> {
        self.stopped
    }

    /// Whether the message was seen.
    pub(super) fn has_seen(&self, id: &str) -> bool {
        self.seen.contains(id)
    }

    /// For how long received messages are hidden.
    pub(super) fn visibility(&self) -> Duration {
        self.visibility
    }

    /// Notes the new receipt handle of a message that came back while it was held; `false`: it is not held.
    pub(super) fn hold_again(&mut self, message: &ReceivedMessage) -> bool {
        match self.held.get_mut(&message.id) {
            Some(handle) => {
                handle.clone_from(&message.receipt_handle);
                true
            }
            None => false,
        }
    }

    /// What deletes a message that was seen.
    pub(super) fn receipt_handle(&self, id: &str) -> &str {
        self.held
            .get(id)
            .expect("a message is held from its receive until it is forgotten")
    }

    /// The message was deleted: there is nothing to make visible.
    pub(super) fn forget(&mut self, id: &str) {
        self.held.remove(id);
    }

    /// Makes all messages visible again, and answers with what a person must know if that fails.
    pub(super) async fn finish(mut self) -> Option<String> {
        let problem = self.release(|_id| true).await;
        self.progress.finish_and_clear();
        problem
    }

    /// Makes these messages visible again now: nobody else should wait for what is not needed any longer. Answers with
    /// what a person must know if that fails.
    pub(super) async fn release(&mut self, is_free: impl Fn(&str) -> bool) -> Option<String> {
        let free = self.held.extract_if(|id, _handle| is_free(id));
        let at_once = |(_id, receipt_handle)| VisibilityChange {
            receipt_handle,
            timeout: Duration::ZERO,
        };
        let changes: Vec<VisibilityChange> = free.map(at_once).collect();
        let mut num_hidden = 0;
        let mut first_error = None;
        for batch in changes.chunks(MAX_BATCH_ENTRIES) {
            let results = self.queue.change_visibility(batch).await;
            for error in results.into_iter().filter_map(Result::err) {
                num_hidden += 1;
                first_error.get_or_insert(error);
            }
        }
        first_error.map(|error| {
            let seconds = self.visibility.as_secs();
            format!(
                "{num_hidden} of the messages that were looked at become visible again only within {seconds} s: {error}"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Attributes;
    use crate::queue::memory::{Fault, MemoryQueue};

    async fn begin(queue: &MemoryQueue, interrupt: &Interrupt) -> (QueueStatus, Interrupt) {
        (queue.status().await.unwrap(), interrupt.clone())
    }

    async fn all<Q: MessageQueue>(scan: &mut Scan<'_, Q>) -> Vec<String> {
        let mut ids = Vec::new();
        while let Some(messages) = scan.next().await.unwrap() {
            ids.extend(messages.into_iter().map(|message| message.id));
        }
        ids
    }

    fn filled(num_messages: usize) -> MemoryQueue {
        let queue = MemoryQueue::new("dlq");
        for number in 0..num_messages {
            queue.put(&number.to_string(), Attributes::new());
        }
        queue
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_sees_every_message_once_and_leaves_all_visible() {
        let queue = filled(25);
        let (status, interrupt) = begin(&queue, &Interrupt::default()).await;
        let mut scan = Scan::new(&queue, &status, &interrupt, &ProgressBar::hidden());
        assert_eq!(all(&mut scan).await, queue.ids());
        assert_eq!((scan.num_seen(), queue.num_visible()), (25, 0));
        assert_eq!(scan.finish().await, None);
        assert_eq!(queue.num_visible(), 25);
        assert_eq!(
            queue.num_calls("ChangeMessageVisibilityBatch"),
            3,
            "ten a call, not one by one"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_that_takes_longer_than_its_timeout_ends_and_counts_nothing_twice() {
        let queue = filled(12);
        let (status, interrupt) = begin(&queue, &Interrupt::default()).await;
        let mut scan = Scan::new(&queue, &status, &interrupt, &ProgressBar::hidden());
        let mut num_messages = 0;
        while let Some(messages) = scan.next().await.unwrap() {
            num_messages += messages.len();
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        assert_eq!((num_messages, scan.num_seen()), (12, 12));
        assert_eq!(scan.finish().await, None, "the newest receipt handles work");
        assert_eq!(queue.num_visible(), 12);
    }

    #[tokio::test(start_paused = true)]
    async fn an_interrupt_ends_the_pass_after_the_call_that_runs() {
        let queue = filled(25);
        let (status, interrupt) = begin(&queue, &Interrupt::default()).await;
        let mut scan = Scan::new(&queue, &status, &interrupt, &ProgressBar::hidden());
        assert_eq!(scan.next().await.unwrap().unwrap().len(), 10);
        interrupt.set();
        assert_eq!(scan.next().await.unwrap(), None);
        assert_eq!(scan.stopped(), Some(Stopped::Interrupted));
        assert_eq!(scan.finish().await, None);
        assert_eq!(queue.num_visible(), 25);
    }

    #[tokio::test(start_paused = true)]
    async fn messages_that_stay_hidden_are_told_with_the_time_of_their_return() {
        let queue = filled(3);
        let (status, interrupt) = begin(&queue, &Interrupt::default()).await;
        let mut scan = Scan::new(&queue, &status, &interrupt, &ProgressBar::hidden());
        all(&mut scan).await;
        queue.script("ChangeMessageVisibilityBatch", Fault::Entries(vec![0, 2]));
        insta::assert_snapshot!(scan.finish().await.unwrap(), @"2 of the messages that were looked at become visible again only within 30 s: ChangeMessageVisibilityBatch refused this message: InternalError: scripted");
        tokio::time::sleep(MIN_VISIBILITY).await;
        assert_eq!(queue.num_visible(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_receive_still_leaves_all_visible() {
        let queue = filled(15);
        let (status, interrupt) = begin(&queue, &Interrupt::default()).await;
        let mut scan = Scan::new(&queue, &status, &interrupt, &ProgressBar::hidden());
        scan.next().await.unwrap();
        queue.script("ReceiveMessage", Fault::Call);
        assert!(scan.next().await.is_err());
        assert_eq!(scan.finish().await, None);
        assert_eq!(queue.num_visible(), 15);
    }
}
