//! [`MessageQueue`] in memory, for tests: visibility timeouts on tokio's clock, receive counts, receipt handles that
//! go stale, and faults by script. A use that SQS would refuse outright, or that is not modelled, panics.
//!
//! Source of the behaviour: the Amazon SQS API reference, standard queues.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::limits::{self, MAX_MESSAGE_BYTES};
use super::{
    Attributes, MAX_BATCH_ENTRIES, MessageQueue, OutgoingMessage, QueueError, QueueFinder, QueueStatus,
    ReceivedMessage, RedrivePolicy, VisibilityChange,
};

/// Longest visibility timeout.
const MAX_VISIBILITY: Duration = Duration::from_secs(12 * 3600);

/// When the first message of every queue is sent at the earliest: 2026-11-20T03:00:00Z, Unix milliseconds.
pub(crate) const EPOCH_MS: u64 = 1_795_143_600_000;

/// What one call does instead of its work.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Nothing: the call works. Stands in front of faults for later calls.
    Pass,
    /// The call fails as a whole and changes nothing.
    Call,
    /// These entries of the batch fail, the others work.
    Entries(Vec<usize>),
    /// The call works, but its answer is lost.
    LostAnswer,
    /// The call never answers and changes nothing.
    Hang,
    /// The call works, and never answers.
    WorkAndHang,
}

/// One standard queue.
#[derive(Debug)]
pub(crate) struct MemoryQueue {
    name: &'static str,
    created: Instant,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    messages: Vec<Stored>,
    num_sent: u64,
    faults: BTreeMap<&'static str, VecDeque<Fault>>,
    calls: BTreeMap<&'static str, usize>,
    redrive_policy: Option<RedrivePolicy>,
    sources: Vec<String>,
}

#[derive(Debug)]
struct Stored {
    number: u64,
    message: OutgoingMessage,
    system_attributes: BTreeMap<String, String>,
    sent_at_ms: u64,
    visible_at: Instant,
    receive_count: u32,
}

impl MemoryQueue {
    /// An empty queue with a visibility timeout of 30 seconds.
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            created: Instant::now(),
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Puts a message in and answers with its id.
    pub(crate) fn put(&self, body: &str, attributes: Attributes) -> String {
        self.put_with_system_attributes(body, attributes, BTreeMap::new())
    }

    /// Puts a message in that carries attributes of the queue's own, such as `DeadLetterQueueSourceArn`.
    pub(crate) fn put_with_system_attributes(
        &self,
        body: &str,
        attributes: Attributes,
        system_attributes: BTreeMap<String, String>,
    ) -> String {
        let body = body.to_owned();
        let message = OutgoingMessage { body, attributes };
        assert_eq!(limits::why_refused(&message, MAX_MESSAGE_BYTES), None);
        let mut state = self.state();
        state.num_sent += 1;
        let number = state.num_sent;
        let now = Instant::now();
        let elapsed = u64::try_from((now - self.created).as_millis()).expect("a test is short");
        state.messages.push(Stored {
            number,
            message,
            system_attributes,
            sent_at_ms: EPOCH_MS + elapsed,
            visible_at: now,
            receive_count: 0,
        });
        drop(state);
        self.changed.notify_waiters();
        message_id(number)
    }

    /// What the next call of this name does; several line up.
    pub(crate) fn script(&self, call: &'static str, fault: Fault) {
        const CALLS: [&str; 7] = [
            "ChangeMessageVisibilityBatch",
            "DeleteMessageBatch",
            "GetQueueAttributes",
            "ListDeadLetterSourceQueues",
            "ReceiveMessage",
            "SendMessage",
            "SendMessageBatch",
        ];
        assert!(CALLS.contains(&call), "no call {call}");
        self.state().faults.entry(call).or_default().push_back(fault);
    }

    /// Gives the queue a redrive policy. It is stated, not acted upon.
    pub(crate) fn set_redrive_policy(&self, policy: RedrivePolicy) {
        self.state().redrive_policy = Some(policy);
    }

    /// Makes it the dead-letter queue of this one.
    pub(crate) fn add_source(&self, queue_url: &str) {
        self.state().sources.push(queue_url.to_owned());
    }

    /// Every message that is not deleted, visible or not, in the order of sending.
    pub(crate) fn messages(&self) -> Vec<OutgoingMessage> {
        let state = self.state();
        state
            .messages
            .iter()
            .map(|stored| stored.message.clone())
            .collect()
    }

    /// Ids of the same messages.
    pub(crate) fn ids(&self) -> Vec<String> {
        let state = self.state();
        state
            .messages
            .iter()
            .map(|stored| message_id(stored.number))
            .collect()
    }

    /// How many of them may be received now.
    pub(crate) fn num_visible(&self) -> usize {
        let now = Instant::now();
        let state = self.state();
        state
            .messages
            .iter()
            .filter(|stored| stored.visible_at <= now)
            .count()
    }

    /// How often this call was made.
    pub(crate) fn num_calls(&self, call: &str) -> usize {
        self.state().calls.get(call).copied().unwrap_or_default()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds the lock")
    }

    /// What events call it.
    pub(crate) fn arn(&self) -> String {
        format!("arn:aws:sqs:us-east-1:000000000000:{}", self.name)
    }

    /// Counts the call and takes its fault from the script.
    async fn begin(&self, call: &'static str) -> Fault {
        let fault = {
            let mut state = self.state();
            *state.calls.entry(call).or_default() += 1;
            state.faults.get_mut(call).and_then(VecDeque::pop_front)
        };
        let fault = fault.unwrap_or(Fault::Pass);
        if matches!(fault, Fault::Hang) {
            return std::future::pending().await;
        }
        fault
    }

    fn call_error(&self, call: &'static str, detail: &str) -> QueueError {
        QueueError::Call {
            call,
            queue_url: format!("memory:{}", self.name),
            detail: detail.to_owned(),
        }
    }

    /// A call without entries: `act` is left out, or its answer.
    async fn single<T: Send>(
        &self,
        call: &'static str,
        act: impl FnOnce() -> Result<T, QueueError> + Send,
    ) -> Result<T, QueueError> {
        match self.begin(call).await {
            Fault::Pass => act(),
            Fault::Call => Err(self.call_error(call, "InternalError: scripted")),
            Fault::LostAnswer => act().and(Err(self.call_error(call, "dispatch failure: scripted"))),
            Fault::WorkAndHang => {
                drop(act());
                std::future::pending().await
            }
            fault => panic!("{fault:?} cannot be scripted for {call}"),
        }
    }

    async fn batch<E: Sync>(
        &self,
        call: &'static str,
        entries: &[E],
        act: impl Fn(&E) -> Result<(), QueueError> + Send,
    ) -> Vec<Result<(), QueueError>> {
        assert!(
            (1..=MAX_BATCH_ENTRIES).contains(&entries.len()),
            "{call} with {} entries",
            entries.len()
        );
        match self.begin(call).await {
            Fault::Pass => entries.iter().map(act).collect(),
            Fault::Call => vec![Err(self.call_error(call, "InternalError: scripted")); entries.len()],
            Fault::LostAnswer => {
                entries.iter().for_each(|entry| drop(act(entry)));
                vec![Err(self.call_error(call, "dispatch failure: scripted")); entries.len()]
            }
            Fault::Entries(failing) => {
                assert!(
                    failing.iter().all(|position| *position < entries.len()),
                    "{call}: {failing:?} of {}",
                    entries.len()
                );
                let outcome = |(position, entry)| {
                    if failing.contains(&position) {
                        Err(refused(call, "InternalError: scripted"))
                    } else {
                        act(entry)
                    }
                };
                entries.iter().enumerate().map(outcome).collect()
            }
            Fault::WorkAndHang => {
                entries.iter().for_each(|entry| drop(act(entry)));
                std::future::pending().await
            }
            Fault::Hang => unreachable!("it has never returned"),
        }
    }

    /// Visible messages, at most `max`, each with a new receipt handle.
    fn take(&self, max: usize, visibility: Duration) -> Vec<ReceivedMessage> {
        let now = Instant::now();
        let mut state = self.state();
        let limit = state
            .redrive_policy
            .as_ref()
            .map(|policy| policy.max_receive_count);
        let visible = state
            .messages
            .iter_mut()
            .filter(|stored| stored.visible_at <= now);
        visible
            .take(max)
            .map(|stored| {
                assert!(
                    limit.is_none_or(|limit| stored.receive_count < limit),
                    "moving by the redrive policy is not modelled"
                );
                stored.receive_count += 1;
                stored.visible_at = now + visibility;
                stored.received(self.name)
            })
            .collect()
    }

    /// The earliest moment at which a hidden message becomes visible.
    fn next_visible(&self) -> Option<Instant> {
        self.state().messages.iter().map(|stored| stored.visible_at).min()
    }

    fn delete(&self, handle: &str) -> Result<(), QueueError> {
        let (number, receive) = self
            .read_handle(handle)
            .ok_or_else(|| refused("DeleteMessageBatch", "ReceiptHandleIsInvalid"))?;
        let mut state = self.state();
        // A stale handle is answered with success and deletes nothing; one whose timeout ended still deletes.
        let current = |stored: &Stored| stored.number == number && stored.receive_count == receive;
        if let Some(position) = state.messages.iter().position(current) {
            state.messages.remove(position);
        }
        Ok(())
    }

    fn hide(&self, handle: &str, timeout: Duration) -> Result<(), QueueError> {
        const CALL: &str = "ChangeMessageVisibilityBatch";
        assert!(timeout <= MAX_VISIBILITY, "a visibility timeout of {timeout:?}");
        let (number, receive) = self
            .read_handle(handle)
            .ok_or_else(|| refused(CALL, "ReceiptHandleIsInvalid"))?;
        let now = Instant::now();
        let mut state = self.state();
        let mut messages = state.messages.iter_mut();
        let in_flight = |stored: &&mut Stored| {
            stored.number == number && stored.receive_count == receive && stored.visible_at > now
        };
        let Some(stored) = messages.find(in_flight) else {
            return Err(refused(CALL, "MessageNotInflight"));
        };
        stored.visible_at = now + timeout;
        drop(state);
        self.changed.notify_waiters();
        Ok(())
    }

    fn read_handle(&self, handle: &str) -> Option<(u64, u32)> {
        let (number, receive) = handle
            .strip_prefix(self.name)?
            .strip_prefix('#')?
            .split_once('#')?;
        let number = number.parse().ok()?;
        (number <= self.state().num_sent).then_some((number, receive.parse().ok()?))
    }
}

impl Drop for MemoryQueue {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let faults = &self.state.get_mut().expect("no test panicked").faults;
        let left: Vec<_> = faults.iter().filter(|(_, faults)| !faults.is_empty()).collect();
        assert!(left.is_empty(), "scripted, but never called: {left:?}");
    }
}

impl Stored {
    fn received(&self, queue: &str) -> ReceivedMessage {
        let mut system_attributes = self.system_attributes.clone();
        system_attributes.insert("SentTimestamp".into(), self.sent_at_ms.to_string());
        system_attributes.insert("ApproximateReceiveCount".into(), self.receive_count.to_string());
        ReceivedMessage {
            id: message_id(self.number),
            receipt_handle: format!("{queue}#{}#{}", self.number, self.receive_count),
            body: self.message.body.clone(),
            attributes: self.message.attributes.clone(),
            receive_count: self.receive_count,
            sent_at_ms: self.sent_at_ms,
            system_attributes,
            // Nothing compares it; SQS states the real one.
            md5_of_body: String::new(),
        }
    }
}

/// Ids differ in their first characters, as random ones do.
fn message_id(number: u64) -> String {
    let spread = number.wrapping_mul(0x9e37_79b9) & 0xffff_ffff;
    format!("{spread:08x}-0000-4000-8000-{number:012x}")
}

fn refused(call: &'static str, detail: &str) -> QueueError {
    QueueError::Entry {
        call,
        detail: detail.to_owned(),
    }
}

impl MessageQueue for MemoryQueue {
    async fn send(&self, message: &OutgoingMessage) -> Result<(), QueueError> {
        const CALL: &str = "SendMessage";
        self.single(CALL, || {
            if let Some(why) = limits::why_refused(message, MAX_MESSAGE_BYTES) {
                return Err(self.call_error(CALL, &why));
            }
            self.put(&message.body, message.attributes.clone());
            Ok(())
        })
        .await
    }

    async fn send_batch(&self, messages: &[OutgoingMessage]) -> Vec<Result<(), QueueError>> {
        const CALL: &str = "SendMessageBatch";
        if messages.iter().map(OutgoingMessage::num_bytes).sum::<usize>() > MAX_MESSAGE_BYTES {
            return vec![Err(self.call_error(CALL, "BatchRequestTooLong")); messages.len()];
        }
        self.batch(CALL, messages, |message| {
            if let Some(why) = limits::why_refused(message, MAX_MESSAGE_BYTES) {
                return Err(refused(CALL, &why));
            }
            self.put(&message.body, message.attributes.clone());
            Ok(())
        })
        .await
    }

    async fn receive(
        &self,
        max: usize,
        wait: Duration,
        visibility: Option<Duration>,
    ) -> Result<Vec<ReceivedMessage>, QueueError> {
        let visibility = visibility.unwrap_or(Duration::from_secs(30));
        assert!(
            (1..=MAX_BATCH_ENTRIES).contains(&max),
            "ReceiveMessage of {max} messages"
        );
        assert!(
            wait <= Duration::from_secs(20) && wait.subsec_nanos() == 0,
            "a wait of {wait:?}"
        );
        assert!(
            visibility <= MAX_VISIBILITY,
            "a visibility timeout of {visibility:?}"
        );
        self.single("ReceiveMessage", || Ok(())).await?;
        let end = Instant::now() + wait;
        loop {
            let changed = self.changed.notified();
            let received = self.take(max, visibility);
            let now = Instant::now();
            if !received.is_empty() || now >= end {
                return Ok(received);
            }
            let until = self.next_visible().map_or(end, |visible| visible.min(end));
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep_until(until) => {}
            }
        }
    }

    async fn delete_batch(&self, receipt_handles: &[String]) -> Vec<Result<(), QueueError>> {
        self.batch("DeleteMessageBatch", receipt_handles, |handle| {
            self.delete(handle)
        })
        .await
    }

    async fn change_visibility(&self, changes: &[VisibilityChange]) -> Vec<Result<(), QueueError>> {
        self.batch("ChangeMessageVisibilityBatch", changes, |change| {
            self.hide(&change.receipt_handle, change.timeout)
        })
        .await
    }

    async fn status(&self) -> Result<QueueStatus, QueueError> {
        self.single("GetQueueAttributes", || {
            let visible = self.num_visible() as u64;
            let state = self.state();
            Ok(QueueStatus {
                arn: self.arn(),
                visible,
                in_flight: state.messages.len() as u64 - visible,
                delayed: 0,
                visibility_timeout: Duration::from_secs(30),
                max_message_bytes: Some(MAX_MESSAGE_BYTES),
                redrive_policy: state.redrive_policy.clone(),
            })
        })
        .await
    }

    async fn dead_letter_sources(&self) -> Result<Vec<String>, QueueError> {
        self.single("ListDeadLetterSourceQueues", || Ok(self.state().sources.clone()))
            .await
    }
}

/// Finds the one queue that there is, if it has that ARN.
impl QueueFinder for Arc<MemoryQueue> {
    type Queue = MemoryQueue;

    async fn find(&self, arn: &str) -> Result<Self, QueueError> {
        if arn == self.arn() {
            return Ok(Self::clone(self));
        }
        Err(self.call_error("GetQueueUrl", "NonExistentQueue"))
    }
}

#[cfg(test)]
mod tests;
