//! The dead-letter queue → checks.

use serde::Deserialize;
use std::time::Duration;

use super::super::check::Check;
use crate::queue::QueueDetails;

/// What SQS allows: every day counts when nobody looked over the holidays.
const LONGEST_RETENTION: Duration = Duration::from_secs(14 * 86_400);

pub(super) fn judge(dlq: &QueueDetails, main: Option<&QueueDetails>) -> Vec<Check> {
    let mut checks = vec![judge_retention(dlq, main), judge_redrive_policy(dlq)];
    checks.extend(main.map(|main| judge_allow_policy(dlq, &main.status.arn)));
    checks.push(judge_backlog(dlq));
    checks
}

/// A message that the queue's own redrive policy moves keeps its age. Source: "Amazon SQS dead-letter queues" in the
/// Amazon SQS developer guide.
fn judge_retention(dlq: &QueueDetails, main: Option<&QueueDetails>) -> Check {
    const NAME: &str = "dlq.retention";
    const REMEDY: &str = "set its MessageRetentionPeriod to 1209600 (14 days)";
    let days = |retention: Duration| {
        let (days, hours) = (retention.as_secs() / 86_400, retention.as_secs() % 86_400 / 3600);
        match hours {
            0 => format!("{days} d"),
            _ => format!("{days} d {hours} h"),
        }
    };
    let found = days(dlq.retention);
    match main.filter(|main| dlq.retention < main.retention) {
        Some(main) => Check::fail(
            NAME,
            format!(
                "{found}, less than the main queue's {}: messages keep their age when they are moved, and may be gone at \
                 once",
                days(main.retention)
            ),
            REMEDY,
        ),
        None if dlq.retention < LONGEST_RETENTION => Check::warn(
            NAME,
            format!("{found}: what nobody looked at by then is gone"),
            REMEDY,
        ),
        None => Check::ok(NAME, found),
    }
}

/// To look is to receive, and a policy moves on what was received too often.
fn judge_redrive_policy(dlq: &QueueDetails) -> Check {
    const NAME: &str = "dlq.redrive-policy";
    match &dlq.status.redrive_policy {
        None => Check::ok(NAME, "none of its own"),
        Some(policy) => Check::fail(
            NAME,
            format!(
                "it has one of its own: what is received more than {} times, also by `redrive`, moves on to {}",
                policy.max_receive_count, policy.dead_letter_arn
            ),
            "remove its RedrivePolicy",
        ),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AllowPolicy {
    redrive_permission: String,
    #[serde(default)]
    source_queue_arns: Vec<String>,
}

fn judge_allow_policy(dlq: &QueueDetails, main_arn: &str) -> Check {
    const NAME: &str = "dlq.redrive-allow";
    const REMEDY: &str = "add the main queue to the sourceQueueArns of its RedriveAllowPolicy";
    let Some(text) = &dlq.redrive_allow_policy else {
        return Check::ok(NAME, "every queue of the account and region may use it");
    };
    let Ok(policy) = serde_json::from_str::<AllowPolicy>(text) else {
        return Check::fail(
            NAME,
            format!("its RedriveAllowPolicy cannot be read: {text}"),
            REMEDY,
        );
    };
    match policy.redrive_permission.as_str() {
        "allowAll" => Check::ok(NAME, "every queue of the account and region may use it"),
        "byQueue" if policy.source_queue_arns.iter().any(|arn| arn == main_arn) => {
            Check::ok(NAME, "the main queue may use it")
        }
        permission => Check::fail(
            NAME,
            format!("its RedriveAllowPolicy ({permission}) does not let {main_arn} use it"),
            REMEDY,
        ),
    }
}

fn judge_backlog(dlq: &QueueDetails) -> Check {
    const NAME: &str = "dlq.backlog";
    let (visible, in_flight) = (dlq.status.visible, dlq.status.in_flight);
    if visible + in_flight == 0 {
        return Check::ok(NAME, "empty");
    }
    Check::warn(
        NAME,
        format!("{visible} visible, {in_flight} in flight: objects that were not shipped, or not wholly"),
        "redrive stats",
    )
}
