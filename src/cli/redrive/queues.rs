//! Which queues a command works on, and whether they are the right way round.

use anyhow::{Context, bail};

use crate::config::{self, Environment};
use crate::queue::{MessageQueue, QueueStatus};

pub(super) async fn status_of<Q: MessageQueue>(queue: &Q, name: &str) -> anyhow::Result<QueueStatus> {
    let status = queue.status().await;
    status.with_context(|| {
        format!("the {name} does not tell how it stands: check its URL, the region and the permission sqs:GetQueueAttributes")
    })
}

/// The queues of a command. Only `send` needs the main queue; the others check, if it is set, that it is another one.
#[derive(Debug)]
pub(super) struct Urls {
    pub(super) dlq: String,
    pub(super) main: Option<String>,
}

impl Urls {
    /// Reads both settings before it complains, so that both problems are told at once.
    pub(super) fn read(environment: &Environment, needs_main: bool) -> anyhow::Result<Self> {
        let dlq = config::read_queue_url(environment, "DLQ_URL");
        let main = config::read_queue_url(environment, "QUEUE_URL");
        let problems = [dlq.as_ref().err(), main.as_ref().err().filter(|_| needs_main)];
        let problems: Vec<String> = problems.into_iter().flatten().map(ToString::to_string).collect();
        let (Ok(dlq), true) = (dlq, problems.is_empty()) else {
            bail!(
                "the queues are not known; set these, or give --dlq-url and --queue-url\n{}",
                problems.join("\n")
            );
        };
        let main = main.ok();
        let without_slash = |url: &str| url.trim_end_matches('/').to_owned();
        if main.as_deref().map(without_slash) == Some(without_slash(&dlq)) {
            bail!("main queue and dead-letter queue are the same: {dlq}");
        }
        Ok(Self { dlq, main })
    }
}

/// One queue may have several URLs, and two URLs are easily swapped: sending would then go round in circles, or
/// drain the main queue into the dead-letter queue.
pub(super) fn check_direction(main: &QueueStatus, dlq: &QueueStatus) -> anyhow::Result<()> {
    if main.arn == dlq.arn {
        bail!("main queue and dead-letter queue are the same: {}", dlq.arn);
    }
    let dlq_moves_to = dlq.redrive_policy.as_ref().map(|policy| &policy.dead_letter_arn);
    if dlq_moves_to == Some(&main.arn) {
        bail!(
            "main queue and dead-letter queue are swapped: by its redrive policy, {} is the dead-letter queue of {}",
            main.arn,
            dlq.arn
        );
    }
    Ok(())
}

/// A look raises the receive count of every message, and a redrive policy moves on what was received too often: the
/// letters would disappear from under those who look for them.
pub(super) fn check_redrive_policy(dlq: &QueueStatus, go_on: bool) -> anyhow::Result<()> {
    match &dlq.redrive_policy {
        Some(policy) if !go_on => bail!(
            "the dead-letter queue has a redrive policy of its own: what is received more than {} times moves on to {}, and \
             to look is to receive; remove the policy, or give --despite-redrive-policy",
            policy.max_receive_count,
            policy.dead_letter_arn
        ),
        _ => Ok(()),
    }
}
