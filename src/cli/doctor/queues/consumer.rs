//! Whether somebody takes messages from a queue.

use std::time::Duration;

use crate::queue::{MessageQueue, QueueError};

/// How often, and after how long each, one looks again before nobody is said to take messages.
const LOOKS: u32 = 5;
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Why nobody seems to take messages from the main queue: they wait while none is in flight. Whether an empty queue has a
/// consumer only a message shows.
pub(in crate::cli) async fn lacks_consumer<Q: MessageQueue>(main: &Q) -> Result<Option<String>, QueueError> {
    let first = main.status().await?;
    let mut last = first.clone();
    for _ in 0..LOOKS {
        if last.visible == 0 || last.in_flight > 0 || last.visible < first.visible {
            return Ok(None);
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
        last = main.status().await?;
    }
    Ok(Some(format!(
        "nobody takes messages from the main queue: {} wait there, none is in flight; is the event source mapping enabled?",
        last.visible
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Attributes;
    use crate::queue::memory::MemoryQueue;

    #[tokio::test(start_paused = true)]
    async fn messages_that_wait_while_none_is_in_flight_have_no_consumer() {
        let main = MemoryQueue::new("main");
        assert_eq!(lacks_consumer(&main).await.unwrap(), None, "empty");
        main.put("waits", Attributes::new());
        main.put("is taken", Attributes::new());
        let taken = main.receive(1, Duration::ZERO, None).await.unwrap();
        assert_eq!(lacks_consumer(&main).await.unwrap(), None, "one is in flight");
        drop(main.delete_batch(&[taken[0].receipt_handle.clone()]).await);
        let found = lacks_consumer(&main).await.unwrap().unwrap();
        insta::assert_snapshot!(found, @"nobody takes messages from the main queue: 1 wait there, none is in flight; is the event source mapping enabled?");
    }
}
