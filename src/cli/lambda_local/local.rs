//! The event source mapping: queue → message batches → invocations → deletions.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use super::child::{Pids, Sink};
use super::error::LambdaLocalError;
use super::event::{self, EventSource};
use super::report::{InvocationReport, Outcome, Summary};
use super::response;
use super::run;
use super::runtime_api::{Answer, MAX_RESPONSE_BYTES};
use super::sandbox::{Ending, Handled, Launch, Sandbox, StartError, new_request_id};
use super::settings::{FunctionSettings, MappingSettings, Until};
use crate::queue::{MAX_BATCH_ENTRIES, MessageQueue, QueueStatus, ReceivedMessage};

/// Failed receives in a row after which the queue counts as unusable.
const MAX_RECEIVE_ERRORS: u32 = 5;

/// Pause between looks that do not wait, in the last part of a batching window.
const SHORT_POLL_PAUSE: Duration = Duration::from_millis(50);

/// A function and the queue that feeds it.
///
/// [`run`](Self::run) does what an event source mapping does. Its steps [`receive_batch`](Self::receive_batch),
/// [`invoke`](Self::invoke) and [`settle`](Self::settle) can be called one by one, to deliver a batch twice, or to
/// delete late. Processes start with the first event that needs one, stay for the next, and are killed when this is
/// dropped.
#[derive(Debug)]
pub struct LambdaLocal<Q> {
    shared: Arc<Shared<Q>>,
}

#[derive(Debug)]
pub(super) struct Shared<Q> {
    pub(super) queue: Q,
    pub(super) mapping: MappingSettings,
    launch: Launch,
    permits: Semaphore,
    idle: Mutex<Vec<Sandbox>>,
    /// Messages that did not fit into their batch's event: received, and first in the next batch.
    carried: Mutex<Vec<ReceivedMessage>>,
    /// Failed starts in a row.
    pub(super) init_failures: AtomicU32,
    /// Batches that are being handled now.
    pub(super) in_work: AtomicUsize,
    /// Receives that brought messages, ever.
    pub(super) receives: AtomicU64,
}

impl<Q: MessageQueue> LambdaLocal<Q> {
    /// Checks the settings, the binary and the queue. Nothing is started yet.
    pub async fn connect(
        queue: Q,
        function: FunctionSettings,
        mapping: MappingSettings,
    ) -> Result<Self, LambdaLocalError> {
        let function = function.checked()?;
        mapping.check()?;
        let sink = Sink::open(&function.output)?;
        let status = queue.status().await?;
        let Some(source) = EventSource::parse(&status.arn) else {
            let message = format!("the queue's ARN `{}` is not that of an SQS queue", status.arn);
            return Err(LambdaLocalError::Setting(message));
        };
        let shared = Shared {
            permits: Semaphore::new(mapping.concurrency),
            queue,
            mapping,
            launch: Launch {
                function,
                source,
                sink,
                pids: Pids::default(),
            },
            idle: Mutex::default(),
            carried: Mutex::default(),
            init_failures: AtomicU32::new(0),
            in_work: AtomicUsize::new(0),
            receives: AtomicU64::new(0),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Feeds the function until `until`; `observer` sees every invocation when it is over and settled.
    pub async fn run(
        &self,
        until: Until,
        observer: impl Fn(&InvocationReport),
    ) -> Result<Summary, LambdaLocalError> {
        run::run(&self.shared, until, observer).await
    }

    /// Receives one batch as the mapping does: empty if no message came within one wait.
    pub async fn receive_batch(&self) -> Result<Vec<ReceivedMessage>, LambdaLocalError> {
        self.shared.receive_batch().await
    }

    /// Delivers one batch and tells how it ended. Deletes nothing.
    pub async fn invoke(&self, messages: &[ReceivedMessage]) -> Result<InvocationReport, LambdaLocalError> {
        self.shared.invoke(messages).await
    }

    /// Deletes what succeeded, and nothing else; the report then says so.
    pub async fn settle(&self, messages: &[ReceivedMessage], report: &mut InvocationReport) {
        self.shared.settle(messages, report).await;
    }

    /// Ids of the function's processes that run now.
    pub fn child_pids(&self) -> Vec<u32> {
        self.shared.launch.pids.list()
    }

    /// How the queue stands.
    pub async fn queue_status(&self) -> Result<QueueStatus, LambdaLocalError> {
        Ok(self.shared.queue.status().await?)
    }

    /// Kills the processes that wait for an event, and waits until they are gone and their output is passed on.
    pub async fn shut_down(&self) {
        let idle = std::mem::take(&mut *lock(&self.shared.idle));
        for mut sandbox in idle {
            sandbox.kill().await;
        }
    }
}

impl<Q: MessageQueue> Shared<Q> {
    pub(super) async fn receive_batch(&self) -> Result<Vec<ReceivedMessage>, LambdaLocalError> {
        let mapping = &self.mapping;
        let mut batch = std::mem::take(&mut *lock(&self.carried));
        if batch.is_empty() {
            batch = self.receive(mapping.batch_size, mapping.poll_wait).await?;
        }
        if !batch.is_empty() && !mapping.batching_window.is_zero() {
            self.fill(&mut batch).await?;
        }
        let mut excess = event::split_off_excess(&mut batch, &self.launch.source);
        if batch.len() > mapping.batch_size {
            excess.splice(0..0, batch.split_off(mapping.batch_size));
        }
        lock(&self.carried).append(&mut excess);
        Ok(batch)
    }

    /// Joins what comes within the batching window.
    async fn fill(&self, batch: &mut Vec<ReceivedMessage>) -> Result<(), LambdaLocalError> {
        let mapping = &self.mapping;
        let size = |messages: &[ReceivedMessage]| -> usize {
            let sizes = messages
                .iter()
                .map(|message| event::record_bytes(message, &self.launch.source));
            sizes.sum()
        };
        let end = Instant::now() + mapping.batching_window;
        let mut records_bytes = size(batch);
        while batch.len() < mapping.batch_size && !event::fills_event(records_bytes) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            // SQS waits for whole seconds; a fraction that is left is spent on looks that do not wait.
            let wait = Duration::from_secs(left.min(mapping.poll_wait).as_secs());
            let received = self.receive(mapping.batch_size - batch.len(), wait).await?;
            if received.is_empty() && wait.is_zero() {
                sleep(left.min(SHORT_POLL_PAUSE)).await;
            }
            records_bytes += size(&received);
            batch.extend(received);
        }
        Ok(())
    }

    /// One `ReceiveMessage`, repeated when it fails. The queue's own visibility timeout is left alone.
    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<ReceivedMessage>, LambdaLocalError> {
        let mut failures = 0;
        loop {
            let error = match self.queue.receive(max.min(MAX_BATCH_ENTRIES), wait, None).await {
                Ok(messages) => {
                    let some = u64::from(!messages.is_empty());
                    self.receives.fetch_add(some, Ordering::Relaxed);
                    return Ok(messages);
                }
                Err(error) => error,
            };
            failures += 1;
            if failures == MAX_RECEIVE_ERRORS {
                return Err(error.into());
            }
            tracing::warn!(%error, failures, "receiving failed, trying again");
            sleep(self.mapping.receive_retry_pause * failures).await;
        }
    }

    pub(super) async fn invoke(
        &self,
        messages: &[ReceivedMessage],
    ) -> Result<InvocationReport, LambdaLocalError> {
        let permit = self.permits.acquire().await;
        let _permit = permit.expect("the semaphore is never closed");
        let request_id = new_request_id();
        let body = Bytes::from(event::to_event(messages, &self.launch.source));
        let mut report = InvocationReport {
            request_id: request_id.clone(),
            message_ids: messages.iter().map(|message| message.id.clone()).collect(),
            outcome: Outcome::TimedOut,
            duration: Duration::ZERO,
            init_duration: None,
            pid: None,
            memory_mb_used: None,
            resting_memory_mb: None,
            deleted_ids: Vec::new(),
            delete_errors: Vec::new(),
        };
        loop {
            let mut sandbox = match self.idle_sandbox() {
                Some(sandbox) => sandbox,
                None => match self.start().await {
                    Ok(sandbox) => {
                        report.init_duration = Some(sandbox.init_duration);
                        sandbox
                    }
                    Err(StartError::Unable(error)) => return Err(error),
                    Err(StartError::Init {
                        detail,
                        output,
                        duration,
                    }) => {
                        report.outcome = Outcome::InitFailed { detail, output };
                        report.duration = duration;
                        return Ok(report);
                    }
                },
            };
            report.pid = Some(sandbox.pid());
            let handled = sandbox.handle(&self.launch, &request_id, body.clone()).await;
            // A process that ended between two events costs no message anything: another one gets the event.
            let was_warm = report.init_duration.is_none();
            if matches!(handled.ending, Ending::Gone) && was_warm {
                continue;
            }
            if matches!(handled.ending, Ending::Answered(_)) {
                lock(&self.idle).push(sandbox);
            }
            self.conclude(handled, &mut report);
            return Ok(report);
        }
    }

    fn conclude(&self, handled: Handled, report: &mut InvocationReport) {
        report.duration = handled.duration;
        report.memory_mb_used = handled.memory.map(|memory| memory.peak_mb);
        report.resting_memory_mb = handled.memory.map(|memory| memory.resting_mb);
        report.outcome = match handled.ending {
            Ending::Answered(Answer::Response(body)) => {
                let partial_batch_responses = self.mapping.partial_batch_responses;
                response::judge(&body, &report.message_ids, partial_batch_responses)
            }
            Ending::Answered(Answer::TooLarge) => Outcome::FunctionError {
                error_type: "Function.ResponseSizeTooLarge".to_owned(),
                message: format!("the answer is larger than {MAX_RESPONSE_BYTES} bytes"),
            },
            Ending::Answered(Answer::Error(error)) => Outcome::FunctionError {
                error_type: error.error_type,
                message: error.message,
            },
            Ending::TimedOut => Outcome::TimedOut,
            Ending::Crashed(status) => Outcome::Crashed { status },
            Ending::Gone => Outcome::Crashed {
                status: "it ended before it got the event".to_owned(),
            },
        };
    }

    /// The process that was used last: the others may then be idle for good, as on AWS.
    fn idle_sandbox(&self) -> Option<Sandbox> {
        let mut idle = lock(&self.idle);
        loop {
            let mut sandbox = idle.pop()?;
            if sandbox.is_alive() {
                return Some(sandbox);
            }
        }
    }

    async fn start(&self) -> Result<Sandbox, StartError> {
        let started = Sandbox::start(&self.launch).await;
        match &started {
            Ok(_) => self.init_failures.store(0, Ordering::Relaxed),
            Err(_) => {
                self.init_failures.fetch_add(1, Ordering::Relaxed);
            }
        }
        started
    }

    pub(super) async fn settle(&self, messages: &[ReceivedMessage], report: &mut InvocationReport) {
        let succeeded = report.outcome.succeeded_ids(&report.message_ids);
        let done: Vec<&ReceivedMessage> = messages
            .iter()
            .filter(|message| succeeded.contains(&&message.id))
            .collect();
        for chunk in done.chunks(MAX_BATCH_ENTRIES) {
            let handles: Vec<String> = chunk
                .iter()
                .map(|message| message.receipt_handle.clone())
                .collect();
            let results = self.queue.delete_batch(&handles).await;
            for (message, result) in chunk.iter().zip(results) {
                match result {
                    Ok(()) => report.deleted_ids.push(message.id.clone()),
                    Err(error) => report.delete_errors.push(format!("{}: {error}", message.id)),
                }
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
