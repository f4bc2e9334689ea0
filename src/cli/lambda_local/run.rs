//! A run: as many workers as invocations may run at the same time, and the decision when it is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::error::LambdaLocalError;
use super::local::Shared;
use super::report::{Ended, InvocationReport, Outcome, Summary};
use super::settings::Until;
use crate::queue::{MessageQueue, QueueStatus};

/// How long the end of a run waits for polls that are under way. A poll that is left alone may still be given
/// messages, which then stay hidden until their visibility timeout ends.
const LAST_POLLS: Duration = Duration::from_secs(2);

/// See [`LambdaLocal::run`](super::LambdaLocal::run). Dropping the future kills what is being invoked.
pub(super) async fn run<Q: MessageQueue>(
    shared: &Arc<Shared<Q>>,
    until: Until,
    observer: impl Fn(&InvocationReport),
) -> Result<Summary, LambdaLocalError> {
    let started = Instant::now();
    let (stop, stopping) = watch::channel(false);
    let (sender, mut reports) = mpsc::channel(16);
    let invocations_left = Arc::new(AtomicU64::new(until.invocations().unwrap_or(u64::MAX)));
    let mut workers = JoinSet::new();
    for _ in 0..shared.mapping.concurrency {
        workers.spawn(work(
            Arc::clone(shared),
            stopping.clone(),
            Arc::clone(&invocations_left),
            sender.clone(),
        ));
    }
    drop(sender);

    let mut summary = Summary::new();
    let mut ended = None;
    let ending = wait_for_end(shared, &until);
    tokio::pin!(ending);
    loop {
        tokio::select! {
            biased;
            // A worker sends its report before it ends, so every report is seen.
            Some(report) = reports.recv() => {
                summary.add(&report);
                observer(&report);
            }
            how = &mut ending, if ended.is_none() => {
                ended = Some(how);
                stop.send_replace(true);
            }
            worker = workers.join_next() => match worker {
                None => break,
                Some(Ok(result)) => result?,
                Some(Err(error)) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(_cancelled) => {}
                },
            },
        }
    }
    summary.ended = ended.unwrap_or(Ended::Invocations);
    summary.elapsed = started.elapsed();
    Ok(summary)
}

async fn work<Q: MessageQueue>(
    shared: Arc<Shared<Q>>,
    mut stopping: watch::Receiver<bool>,
    invocations_left: Arc<AtomicU64>,
    reports: mpsc::Sender<InvocationReport>,
) -> Result<(), LambdaLocalError> {
    // A place is taken before messages are: whoever receives must also invoke.
    while take_one(&invocations_left) {
        let messages = loop {
            if *stopping.borrow() {
                return Ok(());
            }
            let received = tokio::select! {
                biased;
                () = stopped_for(&mut stopping, LAST_POLLS) => return Ok(()),
                received = shared.receive_batch() => received?,
            };
            if !received.is_empty() {
                break received;
            }
        };
        shared.in_work.fetch_add(1, Ordering::Relaxed);
        let invoked = shared.invoke(&messages).await;
        let settled = match invoked {
            Ok(mut report) => {
                shared.settle(&messages, &mut report).await;
                Ok(report)
            }
            Err(error) => Err(error),
        };
        shared.in_work.fetch_sub(1, Ordering::Relaxed);
        let report = settled?;
        let outcome = report.outcome.clone();
        // The receiver is gone only when the run is.
        drop(reports.send(report).await);
        give_up_on_init(&shared, outcome)?;
    }
    Ok(())
}

/// Returns when the run has been stopping for so long.
async fn stopped_for(stopping: &mut watch::Receiver<bool>, time: Duration) {
    // Without a sender nobody waits for this worker any more.
    if stopping.wait_for(|stop| *stop).await.is_ok() {
        sleep(time).await;
    }
}

fn take_one(left: &AtomicU64) -> bool {
    let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
    taken.is_ok()
}

/// The error that ends a run after too many failed starts in a row.
fn give_up_on_init<Q>(shared: &Shared<Q>, outcome: Outcome) -> Result<(), LambdaLocalError> {
    let failures = shared.init_failures.load(Ordering::Relaxed);
    match outcome {
        Outcome::InitFailed { detail, output } if failures >= shared.mapping.max_init_failures => {
            Err(LambdaLocalError::InitFailed {
                failures,
                detail,
                output,
            })
        }
        _ => Ok(()),
    }
}

async fn wait_for_end<Q: MessageQueue>(shared: &Shared<Q>, until: &Until) -> Ended {
    let empty = async {
        if until.wants_empty() {
            wait_until_empty(shared).await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = until.stopped() => Ended::Stopped,
        () = empty => Ended::Empty,
    }
}

/// Looks until the queue was empty, and nothing moved here, several times in a row. A look that fails decides
/// nothing; a queue that is gone is noticed by the workers.
async fn wait_until_empty<Q: MessageQueue>(shared: &Shared<Q>) {
    let mut empty_looks = 0;
    let mut receives = shared.receives.load(Ordering::Relaxed);
    while empty_looks < shared.mapping.empty_looks {
        sleep(shared.mapping.look_interval).await;
        let status = shared.queue.status().await;
        let receives_before = std::mem::replace(&mut receives, shared.receives.load(Ordering::Relaxed));
        let is_still = receives == receives_before && shared.in_work.load(Ordering::Relaxed) == 0;
        empty_looks = match status {
            Ok(status) if is_empty(&status) && is_still => empty_looks + 1,
            _ => 0,
        };
    }
}

fn is_empty(status: &QueueStatus) -> bool {
    status.visible == 0 && status.in_flight == 0 && status.delayed == 0
}
