//! What happened: one report for each invocation, and their sum.

use std::time::Duration;

use serde::{Serialize, Serializer};

/// How one invocation ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The function answered; messages that it did not list are deleted.
    Succeeded {
        /// Messages that it listed as failed.
        failed_ids: Vec<String>,
    },
    /// The function reported an error.
    FunctionError {
        /// Its `errorType`.
        error_type: String,
        /// Its `errorMessage`.
        message: String,
    },
    /// The function was killed at its deadline.
    TimedOut,
    /// The process ended without an answer.
    Crashed {
        /// Its exit status or signal.
        status: String,
    },
    /// The answer is none that the event source mapping understands: the whole message batch failed.
    MalformedResponse {
        /// What is wrong with it.
        detail: String,
    },
    /// The process was not ready for its first event, so this one was never delivered.
    InitFailed {
        /// How it ended.
        detail: String,
        /// The last lines that it wrote.
        output: Vec<String>,
    },
}

impl Outcome {
    /// Those of `message_ids` that the event source mapping deletes.
    pub fn succeeded_ids<'a>(&self, message_ids: &'a [String]) -> Vec<&'a String> {
        let Self::Succeeded { failed_ids } = self else {
            return Vec::new();
        };
        let succeeded = message_ids.iter().filter(|id| !failed_ids.contains(id));
        succeeded.collect()
    }

    /// Whether every message of the batch succeeded.
    pub fn is_complete_success(&self) -> bool {
        matches!(self, Self::Succeeded { failed_ids } if failed_ids.is_empty())
    }
}

/// One invocation, as Lambda's REPORT line and the event source mapping would tell it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InvocationReport {
    /// The request id that the function saw.
    pub request_id: String,
    /// The messages delivered, in order.
    pub message_ids: Vec<String>,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// From the delivery of the event to the answer, the deadline or the crash.
    #[serde(rename = "duration_ms", serialize_with = "milliseconds")]
    pub duration: Duration,
    /// From the start of the process to its first `next`; `None` for a process that was there already.
    #[serde(rename = "init_duration_ms", serialize_with = "milliseconds_if_any")]
    pub init_duration: Option<Duration>,
    /// Process id of the function.
    pub pid: Option<u32>,
    /// Most memory that the process ever used, MiB. Linux only, and not known of a process that is gone.
    pub memory_mb_used: Option<u64>,
    /// Memory of the process after the answer, MiB.
    pub resting_memory_mb: Option<u64>,
    /// Messages deleted from the queue.
    pub deleted_ids: Vec<String>,
    /// Messages that succeeded but could not be deleted, with the reason: they will be delivered again.
    pub delete_errors: Vec<String>,
}

impl InvocationReport {
    /// Messages that stay in the queue and come back when its visibility timeout ends.
    pub fn num_returned(&self) -> usize {
        self.message_ids.len() - self.deleted_ids.len()
    }
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// The queue was empty.
    Empty,
    /// The number of invocations was reached.
    Invocations,
    /// Someone asked.
    Stopped,
}

/// The sum of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Why it ended.
    pub ended: Ended,
    /// Invocations, whatever their outcome.
    pub invocations: u64,
    /// Invocations of which no message failed.
    pub succeeded: u64,
    /// The others.
    pub failed: u64,
    /// Messages deleted.
    pub messages_deleted: u64,
    /// Messages left in the queue; one that came back several times counts several times.
    pub messages_returned: u64,
    /// Processes that became ready.
    pub cold_starts: u64,
    /// Most memory that one process used, MiB.
    pub memory_mb_used: Option<u64>,
    /// How long the run took.
    #[serde(rename = "elapsed_ms", serialize_with = "milliseconds")]
    pub elapsed: Duration,
}

impl Summary {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self {
            ended: Ended::Invocations,
            invocations: 0,
            succeeded: 0,
            failed: 0,
            messages_deleted: 0,
            messages_returned: 0,
            cold_starts: 0,
            memory_mb_used: None,
            elapsed: Duration::ZERO,
        }
    }

    /// Adds one invocation.
    pub(super) fn add(&mut self, report: &InvocationReport) {
        self.invocations += 1;
        if report.outcome.is_complete_success() {
            self.succeeded += 1;
        } else {
            self.failed += 1;
        }
        self.messages_deleted += report.deleted_ids.len() as u64;
        self.messages_returned += report.num_returned() as u64;
        self.cold_starts += u64::from(report.init_duration.is_some());
        self.memory_mb_used = self.memory_mb_used.max(report.memory_mb_used);
    }
}

fn milliseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

fn milliseconds_if_any<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => milliseconds(duration, serializer),
        None => serializer.serialize_none(),
    }
}
