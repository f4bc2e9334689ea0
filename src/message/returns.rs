//! Messages that failed → when each of them comes back.
//!
//! Lambda leaves the visibility of messages alone that a partial batch response names: what is set here stays. Where
//! it cannot be set, a message comes back by the queue's own visibility timeout.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::Message;
use crate::config::BackoffSettings;
use crate::queue::{MAX_BATCH_ENTRIES, MessageQueue, QueueError, QueueFinder, VisibilityChange};

/// Longest wait when nothing went wrong but the time was up: enough to spread what a busy function left over.
const NEXT_TURN: Duration = Duration::from_secs(10);

/// Decides when failed messages come back, on whatever queue they came from.
#[derive(Debug)]
pub struct Returns<F> {
    queues: F,
    backoff: BackoffSettings,
    random: fn() -> f64,
}

/// Why messages come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Something does not work: each receive in vain doubles the wait.
    Trouble,
    /// Only the time was up.
    OutOfTime,
}

impl<F: QueueFinder> Returns<F> {
    /// `random`: numbers from 0 to below 1.
    pub fn new(queues: F, backoff: BackoffSettings, random: fn() -> f64) -> Self {
        Self {
            queues,
            backoff,
            random,
        }
    }

    /// The queue that messages of this ARN came from.
    pub(super) async fn find(&self, arn: &str) -> Result<Arc<F::Queue>, QueueError> {
        self.queues.find(arn).await
    }

    /// Hides these messages for as long as their receive counts ask for. Takes no longer than `limit`; what fails is
    /// only logged.
    pub(super) async fn schedule(&self, messages: &[&Message], cause: Cause, limit: Duration) {
        if timeout(limit, self.hide(messages, cause)).await.is_err() {
            tracing::warn!("SQS does not answer, messages come back by the queue's visibility timeout");
        }
    }

    async fn hide(&self, messages: &[&Message], cause: Cause) {
        for messages in messages.chunk_by(|one, next| one.queue_arn == next.queue_arn) {
            let queue = match self.queues.find(&messages[0].queue_arn).await {
                Ok(queue) => queue,
                Err(error) => {
                    tracing::warn!(%error, "messages come back by the queue's visibility timeout");
                    continue;
                }
            };
            for messages in messages.chunks(MAX_BATCH_ENTRIES) {
                let changes: Vec<VisibilityChange> = messages
                    .iter()
                    .map(|message| self.change(message, cause))
                    .collect();
                let results = queue.change_visibility(&changes).await;
                for ((message, change), result) in messages.iter().zip(&changes).zip(results) {
                    log_return(message, change.timeout, result.err());
                }
            }
        }
    }

    fn change(&self, message: &Message, cause: Cause) -> VisibilityChange {
        let random = (self.random)();
        VisibilityChange {
            receipt_handle: message.receipt_handle.clone(),
            timeout: match cause {
                Cause::Trouble => wait(&self.backoff, message.receive_count, random),
                Cause::OutOfTime => NEXT_TURN.min(self.backoff.base).mul_f64(random),
            },
        }
    }
}

/// Full jitter: anything from nothing to a limit that doubles with every receive. Source: "Exponential backoff and
/// jitter", AWS architecture blog. `random` is in 0..1.
fn wait(backoff: &BackoffSettings, receive_count: u32, random: f64) -> Duration {
    let doublings = receive_count.saturating_sub(1).min(31);
    let limit = backoff.base.saturating_mul(1 << doublings).min(backoff.max);
    limit.mul_f64(random)
}

fn log_return(message: &Message, wait: Duration, error: Option<QueueError>) {
    let (message_id, receives) = (&message.id, message.receive_count);
    match error {
        None => tracing::info!(
            message_id,
            receives,
            wait_seconds = wait.as_secs(),
            "message comes back"
        ),
        Some(error) => {
            tracing::warn!(message_id, receives, %error, "message comes back by the queue's visibility timeout");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: BackoffSettings = BackoffSettings {
        base: Duration::from_secs(300),
        max: Duration::from_secs(3600),
    };

    #[test]
    fn the_wait_doubles_with_every_receive_up_to_its_limit() {
        let almost = |receive_count| wait(&BACKOFF, receive_count, 1.0).as_secs();
        assert_eq!(
            [0, 1, 2, 3, 4, 5, 6, 1000, u32::MAX].map(almost),
            [300, 300, 600, 1200, 2400, 3600, 3600, 3600, 3600]
        );
    }

    #[test]
    fn the_wait_is_anything_up_to_its_limit() {
        let seconds = [0.0, 0.25, 0.5, 0.999].map(|random| wait(&BACKOFF, 2, random).as_secs());
        assert_eq!(seconds, [0, 150, 300, 599]);
    }
}
