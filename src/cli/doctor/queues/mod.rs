//! The main queue and the dead-letter queue: what they say of themselves → checks.

use std::time::Duration;

use super::LIMIT;
use super::check::Check;
use crate::aws::AwsContext;
use crate::aws::sqs::SqsQueue;
use crate::config::{CheckedSettings, FunctionTimes};
use crate::queue::{QueueDetails, QueueStatus, Unanswered};

mod consumer;
mod dead_letters;
mod policy;
#[cfg(test)]
mod tests;

pub(in crate::cli) use consumer::lacks_consumer;

/// AWS's advice, because a message must not come back while it waits for its turn or is handled again.
const VISIBILITY_FACTOR: u32 = 6;

/// The key that belongs to SQS: its policy, which nobody can change, does not let S3 use it.
const AWS_MANAGED_KEY: &str = "alias/aws/sqs";

/// What a queue said, if it was asked.
type Told = Option<Result<QueueDetails, Unanswered>>;

/// Everything that the checks look at.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) main: Told,
    pub(super) dlq: Told,
    /// Why nobody seems to take messages.
    pub(super) consumer: Option<String>,
    pub(super) max_receives: u32,
    pub(super) times: &'a FunctionTimes,
    pub(super) function_timeout: Option<Duration>,
    /// A bucket with flow logs.
    pub(super) bucket: Option<&'a str>,
}

/// Asks both queues.
pub(super) async fn look(
    settings: &CheckedSettings,
    aws: Option<&AwsContext>,
    function_timeout: Option<Duration>,
    bucket: Option<&str>,
) -> Vec<Check> {
    let queue = |url: &Option<String>| Some(SqsQueue::new(aws?, url.clone()?));
    let (main, dlq) = (queue(&settings.queue_url), queue(&settings.dlq_url));
    let (main_told, dlq_told) = tokio::join!(ask(main.as_ref()), ask(dlq.as_ref()));
    let consumer = match (&main, &main_told) {
        (Some(main), Some(Ok(_))) => ask_for_consumer(main).await,
        _ => None,
    };
    judge(&Facts {
        main: main_told,
        dlq: dlq_told,
        consumer,
        max_receives: settings.max_receives,
        times: &settings.times,
        function_timeout,
        bucket,
    })
}

async fn ask(queue: Option<&SqsQueue>) -> Told {
    let told = tokio::time::timeout(LIMIT, queue?.details()).await;
    let late = |_elapsed| {
        Err(Unanswered::Failed(format!(
            "no answer within {} s",
            LIMIT.as_secs()
        )))
    };
    Some(told.unwrap_or_else(late))
}

async fn ask_for_consumer(main: &SqsQueue) -> Option<String> {
    let looked = tokio::time::timeout(LIMIT, lacks_consumer(main)).await;
    // A queue that answered a moment ago and does not now is no news about its consumer.
    looked.ok()?.ok()?
}

/// All checks of the queues, in their order.
pub(super) fn judge(facts: &Facts<'_>) -> Vec<Check> {
    let mut checks = vec![judge_queue("sqs.queue", "main", "QUEUE_URL", &facts.main)];
    if let Some(Ok(main)) = &facts.main {
        let dlq_arn = match &facts.dlq {
            Some(Ok(dlq)) => Some(dlq.status.arn.as_str()),
            _ => None,
        };
        checks.extend([
            policy::judge(main, facts.bucket),
            judge_encryption(main),
            judge_visibility(&main.status, facts.function_timeout, facts.times),
            judge_polling(main),
            judge_redrive_policy(&main.status, dlq_arn),
        ]);
        checks.extend(judge_max_receives(&main.status, facts.max_receives));
        checks.push(judge_backlog(&main.status, facts.consumer.as_deref()));
    }
    checks.push(judge_queue("dlq.queue", "dead-letter", "DLQ_URL", &facts.dlq));
    if let Some(Ok(dlq)) = &facts.dlq {
        let main = match &facts.main {
            Some(Ok(main)) => Some(main),
            _ => None,
        };
        checks.extend(dead_letters::judge(dlq, main));
    }
    checks
}

fn judge_queue(name: &'static str, which: &str, setting: &str, told: &Told) -> Check {
    match told {
        None => Check::skip(
            name,
            format!("FLOWSHIP_{setting} is not set"),
            format!(
                "set it, or give --{}",
                setting.to_ascii_lowercase().replace('_', "-")
            ),
        ),
        Some(Ok(details)) if details.status.arn.ends_with(".fifo") => Check::fail(
            name,
            format!(
                "{} is a FIFO queue, to which S3 sends nothing",
                details.status.arn
            ),
            format!("make a standard queue the {which} queue"),
        ),
        Some(Ok(details)) => Check::ok(name, details.status.arn.clone()),
        Some(Err(Unanswered::Missing(detail))) => Check::fail(
            name,
            format!("the {which} queue is not there: {detail}"),
            format!("correct FLOWSHIP_{setting}: name, account and region must be the queue's"),
        ),
        Some(Err(Unanswered::Denied(detail))) => Check::fail(
            name,
            format!("the {which} queue may not be asked: {detail}"),
            "allow sqs:GetQueueAttributes on the queue to who runs this",
        ),
        Some(Err(Unanswered::NoRegion(detail))) => Check::fail(
            name,
            format!("the {which} queue cannot be asked without a region: {detail}"),
            "set AWS_REGION to the queue's region",
        ),
        Some(Err(Unanswered::NoCredentials(detail))) => Check::fail(
            name,
            format!("the {which} queue cannot be asked without valid credentials: {detail}"),
            "give who runs this credentials for AWS: AWS_PROFILE, aws sso login, or AWS_ACCESS_KEY_ID and the like",
        ),
        Some(Err(Unanswered::Failed(detail))) => Check::fail(
            name,
            format!("the {which} queue does not answer: {detail}"),
            "see to the network between here and SQS, and whether AWS_REGION is the queue's",
        ),
    }
}

/// Source: "Amazon S3 event notifications … encrypted queues" in the Amazon S3 user guide.
fn judge_encryption(main: &QueueDetails) -> Check {
    const NAME: &str = "sqs.encryption";
    match main.kms_key.as_deref() {
        None => Check::ok(NAME, "SQS's own key, or none"),
        Some(key) if key.ends_with(AWS_MANAGED_KEY) => Check::fail(
            NAME,
            format!(
                "encrypted with {AWS_MANAGED_KEY}, which S3 may not use: its notifications do not arrive"
            ),
            "encrypt it with SQS's own key (SqsManagedSseEnabled), or with a KMS key of yours whose policy lets \
             s3.amazonaws.com use it",
        ),
        Some(key) => Check::ok(
            NAME,
            format!(
                "KMS key {key}; its policy, which is not looked at, must give s3.amazonaws.com kms:GenerateDataKey and \
                 kms:Decrypt"
            ),
        ),
    }
}

/// Whether messages stay hidden for as long as they are handled. `redrive send` asks it, too.
pub(in crate::cli) fn judge_visibility(
    main: &QueueStatus,
    function_timeout: Option<Duration>,
    times: &FunctionTimes,
) -> Check {
    const NAME: &str = "sqs.visibility";
    let visibility = main.visibility_timeout;
    let seconds = visibility.as_secs();
    let advice = "set it to 6 times the function's timeout, as AWS advises";
    let Some(timeout) = function_timeout else {
        let below = |setting: &str, will: &str| {
            format!(
                "the main queue's visibility timeout of {seconds} s is below {setting}: messages {will} while they are \
                 being handled"
            )
        };
        return if visibility < times.deadline_margin {
            Check::fail(NAME, below("FLOWSHIP_DEADLINE_MARGIN_MS", "come back"), advice)
        } else if visibility < times.bulk_timeout {
            Check::warn(NAME, below("FLOWSHIP_BULK_TIMEOUT_MS", "may come back"), advice)
        } else {
            Check::skip(
                NAME,
                format!("{seconds} s, and the function's timeout is not known"),
                "give --function-timeout SECONDS",
            )
        };
    };
    let found = format!("{seconds} s, the function's timeout is {} s", timeout.as_secs());
    if visibility < timeout {
        let found = format!("{found}: messages come back while they are being handled");
        Check::fail(NAME, found, advice)
    } else if visibility < timeout * VISIBILITY_FACTOR {
        let found = format!("{found}: messages may come back while they wait for a function that is busy");
        Check::warn(NAME, found, advice)
    } else {
        Check::ok(NAME, found)
    }
}

fn judge_polling(main: &QueueDetails) -> Check {
    const NAME: &str = "sqs.long-polling";
    match main.receive_wait.as_secs() {
        0 => Check::warn(
            NAME,
            "off: a receive that does not ask for it may find nothing in a queue that has messages",
            "set ReceiveMessageWaitTimeSeconds to 20",
        ),
        seconds => Check::ok(NAME, format!("{seconds} s")),
    }
}

/// Whether a message that crashes the function ends in the dead-letter queue. `redrive send` asks it, too.
pub(in crate::cli) fn judge_redrive_policy(main: &QueueStatus, dlq_arn: Option<&str>) -> Check {
    const NAME: &str = "sqs.redrive-policy";
    match (&main.redrive_policy, dlq_arn) {
        (None, _) => Check::fail(
            NAME,
            "the main queue has no redrive policy: a message that crashes the function would go round for ever",
            "set its RedrivePolicy to the dead-letter queue",
        ),
        (Some(policy), Some(dlq)) if policy.dead_letter_arn != dlq => Check::fail(
            NAME,
            format!(
                "the main queue's redrive policy moves messages to {}, not to {dlq}",
                policy.dead_letter_arn
            ),
            "set both to the same queue: otherwise half of the dead letters lie where nobody looks",
        ),
        (Some(policy), _) => Check::ok(NAME, format!("to {}", policy.dead_letter_arn)),
    }
}

/// The queue's policy is for crashes: it moves messages without a reason on them.
fn judge_max_receives(main: &QueueStatus, max_receives: u32) -> Option<Check> {
    const NAME: &str = "sqs.max-receives";
    let count = main.redrive_policy.as_ref()?.max_receive_count;
    let found = format!("maxReceiveCount {count}, FLOWSHIP_MAX_RECEIVES {max_receives}");
    Some(if count > max_receives {
        Check::ok(NAME, found)
    } else {
        Check::fail(
            NAME,
            format!("{found}: the queue moves messages before the function writes the reason on them"),
            format!(
                "set maxReceiveCount to at least {}",
                max_receives.saturating_add(1)
            ),
        )
    })
}

fn judge_backlog(main: &QueueStatus, consumer: Option<&str>) -> Check {
    const NAME: &str = "sqs.backlog";
    match consumer {
        Some(found) => Check::fail(
            NAME,
            found,
            "enable the mapping, and look whether the function is throttled or has no concurrency left",
        ),
        None => Check::ok(
            NAME,
            format!(
                "{} visible, {} in flight, {} delayed; for how long is CloudWatch's ApproximateAgeOfOldestMessage",
                main.visible, main.in_flight, main.delayed
            ),
        ),
    }
}
