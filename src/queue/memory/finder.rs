//! [`QueueFinder`] of one queue.

use std::sync::Arc;

use super::MemoryQueue;
use crate::queue::{QueueError, QueueFinder};

/// Finds the one queue that there is, if it has that ARN.
impl QueueFinder for Arc<MemoryQueue> {
    type Queue = MemoryQueue;

    async fn find(&self, arn: &str) -> Result<Arc<MemoryQueue>, QueueError> {
        if arn == self.arn() {
            return Ok(Self::clone(self));
        }
        Err(self.call_error("GetQueueUrl", "NonExistentQueue"))
    }
}
