//! A queue in memory, with visibility timeouts as SQS has them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::queue::{
    MessageQueue, OutgoingMessage, QueueError, QueueStatus, ReceivedMessage, VisibilityChange,
};

pub(super) const ARN: &str = "arn:aws:sqs:eu-west-1:123456789012:flowlogs";

#[derive(Debug)]
struct Stored {
    message: ReceivedMessage,
    visible_at: Instant,
}

#[derive(Debug, Default)]
struct State {
    messages: Vec<Stored>,
    deleted: Vec<String>,
    max_asked: Vec<usize>,
    num_sent: u32,
}

/// Clones are the same queue.
#[derive(Clone, Debug)]
pub(super) struct TestQueue {
    state: Arc<Mutex<State>>,
    visibility_timeout: Duration,
    failing_receives: Arc<AtomicU32>,
    num_abandoned: Arc<AtomicU32>,
}

/// Counts a receive whose caller does not wait for its end.
struct Poll {
    num_abandoned: Arc<AtomicU32>,
    is_over: bool,
}

impl Drop for Poll {
    fn drop(&mut self) {
        if !self.is_over {
            self.num_abandoned.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl TestQueue {
    pub(super) fn new(visibility_timeout: Duration) -> Self {
        Self {
            state: Arc::default(),
            visibility_timeout,
            failing_receives: Arc::default(),
            num_abandoned: Arc::default(),
        }
    }

    /// Puts messages with these bodies in; their ids are `m1`, `m2`, ….
    pub(super) fn put<const N: usize>(&self, bodies: [&str; N]) {
        let mut state = self.state.lock().unwrap();
        for body in bodies {
            state.num_sent += 1;
            let message = ReceivedMessage {
                id: format!("m{}", state.num_sent),
                receipt_handle: String::new(),
                body: body.to_owned(),
                attributes: BTreeMap::new(),
                receive_count: 0,
                sent_at_ms: 1_700_000_000_000,
                system_attributes: BTreeMap::new(),
                md5_of_body: "md5".to_owned(),
            };
            let visible_at = Instant::now();
            state.messages.push(Stored { message, visible_at });
        }
    }

    /// The next receives fail.
    pub(super) fn fail_receives(&self, times: u32) {
        self.failing_receives.store(times, Ordering::Relaxed);
    }

    /// Ids of deleted messages, in the order of their deletion.
    pub(super) fn deleted(&self) -> Vec<String> {
        self.state.lock().unwrap().deleted.clone()
    }

    /// Ids of messages still there.
    pub(super) fn left(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        state
            .messages
            .iter()
            .map(|stored| stored.message.id.clone())
            .collect()
    }

    /// The most messages that each receive asked for.
    pub(super) fn max_asked(&self) -> Vec<usize> {
        self.state.lock().unwrap().max_asked.clone()
    }

    /// How many receives were left alone before they ended.
    pub(super) fn num_abandoned(&self) -> u32 {
        self.num_abandoned.load(Ordering::Relaxed)
    }

    fn take(&self, max: usize) -> Vec<ReceivedMessage> {
        let mut state = self.state.lock().unwrap();
        let now = Instant::now();
        let visible = state
            .messages
            .iter_mut()
            .filter(|stored| stored.visible_at <= now);
        visible
            .take(max)
            .map(|stored| {
                stored.visible_at = now + self.visibility_timeout;
                stored.message.receive_count += 1;
                let message = &mut stored.message;
                message.receipt_handle = format!("{}#{}", message.id, message.receive_count);
                message.clone()
            })
            .collect()
    }
}

impl MessageQueue for TestQueue {
    async fn send(&self, message: &OutgoingMessage) -> Result<(), QueueError> {
        self.put([message.body.as_str()]);
        Ok(())
    }

    async fn send_batch(&self, _messages: &[OutgoingMessage]) -> Vec<Result<(), QueueError>> {
        panic!("an event source mapping sends nothing");
    }

    async fn receive(
        &self,
        max: usize,
        wait: Duration,
        visibility: Option<Duration>,
    ) -> Result<Vec<ReceivedMessage>, QueueError> {
        assert!((1..=10).contains(&max), "SQS refuses to hand out {max} messages");
        assert_eq!(wait.subsec_nanos(), 0, "SQS waits for whole seconds");
        assert_eq!(visibility, None, "the queue's own timeout is left alone");
        let one_less = |left: u32| left.checked_sub(1);
        if self
            .failing_receives
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
            .is_ok()
        {
            return Err(QueueError::Call {
                call: "ReceiveMessage",
                queue_url: "http://queue".to_owned(),
                detail: "InternalError".to_owned(),
            });
        }
        self.state.lock().unwrap().max_asked.push(max);
        let end = Instant::now() + wait;
        let mut poll = Poll {
            num_abandoned: Arc::clone(&self.num_abandoned),
            is_over: false,
        };
        loop {
            let messages = self.take(max);
            if !messages.is_empty() || Instant::now() >= end {
                poll.is_over = true;
                return Ok(messages);
            }
            sleep(Duration::from_millis(2)).await;
        }
    }

    async fn delete_batch(&self, receipt_handles: &[String]) -> Vec<Result<(), QueueError>> {
        assert!((1..=10).contains(&receipt_handles.len()));
        let mut state = self.state.lock().unwrap();
        let mut results = Vec::new();
        for handle in receipt_handles {
            let found = state
                .messages
                .iter()
                .position(|stored| stored.message.receipt_handle == *handle);
            results.push(match found {
                Some(position) => {
                    let stored = state.messages.remove(position);
                    state.deleted.push(stored.message.id);
                    Ok(())
                }
                None => Err(QueueError::Entry {
                    call: "DeleteMessageBatch",
                    detail: "ReceiptHandleIsInvalid".to_owned(),
                }),
            });
        }
        results
    }

    async fn change_visibility(&self, _changes: &[VisibilityChange]) -> Vec<Result<(), QueueError>> {
        panic!("an event source mapping never touches the visibility of a message");
    }

    async fn status(&self) -> Result<QueueStatus, QueueError> {
        let state = self.state.lock().unwrap();
        let now = Instant::now();
        let visible = state
            .messages
            .iter()
            .filter(|stored| stored.visible_at <= now)
            .count();
        Ok(QueueStatus {
            arn: ARN.to_owned(),
            visible: visible as u64,
            in_flight: (state.messages.len() - visible) as u64,
            visibility_timeout: self.visibility_timeout,
            ..QueueStatus::default()
        })
    }

    async fn dead_letter_sources(&self) -> Result<Vec<String>, QueueError> {
        panic!("an event source mapping never asks whose dead-letter queue it reads");
    }
}
