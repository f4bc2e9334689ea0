//! The access policy of the main queue → whether notifications may arrive.
//!
//! Source: "Grammar of the IAM JSON policy language" in the IAM user guide; "Granting permissions to publish event
//! notification messages to a destination" in the Amazon S3 user guide.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::check::Check;
use crate::cli::glob::Glob;
use crate::queue::QueueDetails;

/// Who may bring the notifications: S3 itself, or what stands between.
const SENDERS: [(&str, &str); 3] = [
    ("s3.amazonaws.com", "S3"),
    ("sns.amazonaws.com", "SNS"),
    ("events.amazonaws.com", "EventBridge"),
];

const NAME: &str = "sqs.policy";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Policy {
    statement: OneOrMore<Statement>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    effect: String,
    principal: Option<Principal>,
    #[serde(default)]
    action: OneOrMore<String>,
    #[serde(default)]
    resource: OneOrMore<String>,
    /// Operator → key → values.
    #[serde(default)]
    condition: BTreeMap<String, BTreeMap<String, OneOrMore<Scalar>>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Principal {
    /// `*`.
    Anyone(String),
    Of(BTreeMap<String, OneOrMore<String>>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore<T> {
    One(T),
    More(Vec<T>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Other(serde_json::Value),
}

impl<T> Default for OneOrMore<T> {
    fn default() -> Self {
        Self::More(Vec::new())
    }
}

impl<T> OneOrMore<T> {
    fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::More(more) => more,
        }
    }
}

impl Scalar {
    fn to_text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Other(value) => value.to_string(),
        }
    }
}

impl Statement {
    /// Whether it speaks of sending to this queue.
    fn is_about_sending_to(&self, queue_arn: &str) -> bool {
        let action = |action: &String| matches(&action.to_ascii_lowercase(), "sqs:sendmessage");
        let resource = |resource: &String| matches(resource, queue_arn);
        self.action.as_slice().iter().any(action) && self.resource.as_slice().iter().any(resource)
    }

    fn is_for_anyone(&self) -> bool {
        match &self.principal {
            Some(Principal::Anyone(who)) => who == "*",
            Some(Principal::Of(kinds)) => kinds
                .get("AWS")
                .is_some_and(|who| who.as_slice().iter().any(|who| who == "*")),
            None => false,
        }
    }

    fn is_for_service(&self, service: &str) -> bool {
        match &self.principal {
            Some(Principal::Of(kinds)) => kinds
                .get("Service")
                .is_some_and(|who| who.as_slice().iter().any(|who| who == service)),
            _ => false,
        }
    }

    /// Who of [`SENDERS`] it speaks of.
    fn senders(&self) -> Vec<&'static str> {
        let is_meant = |service: &str| {
            (self.is_for_anyone() || self.is_for_service(service)) && self.is_about_source_of(service)
        };
        let senders = SENDERS.iter().filter(|(service, _)| is_meant(service));
        senders.map(|(_, name)| *name).collect()
    }

    /// Whether the source that it names, if it names one, may be of this service: what is open to anybody is mostly
    /// meant for one topic.
    fn is_about_source_of(&self, service: &str) -> bool {
        let short = service.split('.').next().unwrap_or_default();
        let may_be = |arn: &String| arn.split(':').nth(2).is_none_or(|part| matches(part, short));
        self.sources().all(|arns| arns.iter().any(may_be))
    }

    /// What each condition on the source allows.
    fn sources(&self) -> impl Iterator<Item = Vec<String>> {
        let of_source = self.conditions().filter(|(operator, key, _)| {
            key.eq_ignore_ascii_case("aws:SourceArn") && !operator.contains("Not")
        });
        of_source.map(|(_, _, values)| values)
    }

    fn conditions(&self) -> impl Iterator<Item = (&str, &str, Vec<String>)> {
        self.condition.iter().flat_map(|(operator, keys)| {
            keys.iter().map(move |(key, values)| {
                let values = values.as_slice().iter().map(Scalar::to_text).collect();
                (operator.as_str(), key.as_str(), values)
            })
        })
    }

    fn conditions_text(&self) -> Vec<String> {
        self.conditions()
            .map(|(_, key, values)| format!("{key} {}", values.join(", ")))
            .collect()
    }

    /// Whether a notification of this bucket meets the condition of its source. Others are not judged.
    fn takes_bucket(&self, bucket: &str, partition: &str) -> bool {
        let arn = format!("arn:{partition}:s3:::{bucket}");
        self.sources()
            .all(|arns| arns.iter().any(|pattern| matches(pattern, &arn)))
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    pattern.parse::<Glob>().is_ok_and(|glob| glob.matches(text))
}

/// `bucket`: one with flow logs, if it is known.
pub(super) fn judge(main: &QueueDetails, bucket: Option<&str>) -> Check {
    let arn = &main.status.arn;
    let remedy = format!(
        "allow sqs:SendMessage on {arn} to the service s3.amazonaws.com, on the conditions aws:SourceArn (the bucket) and \
         aws:SourceAccount (its owner)"
    );
    let Some(text) = &main.policy else {
        return Check::fail(
            NAME,
            "the main queue has no access policy: S3 may not send to it",
            remedy,
        );
    };
    let policy: Policy = match serde_json::from_str(text) {
        Ok(policy) => policy,
        Err(error) => {
            return Check::fail(
                NAME,
                format!("the main queue's policy cannot be read: {error}"),
                remedy,
            );
        }
    };
    let about = policy.statement.as_slice().iter();
    let about: Vec<&Statement> = about
        .filter(|statement| statement.is_about_sending_to(arn))
        .collect();
    let denies = |statement: &&&Statement| {
        statement.effect == "Deny" && !statement.senders().is_empty() && statement.condition.is_empty()
    };
    if about.iter().any(|statement| denies(&statement)) {
        let found = "the main queue's policy denies sqs:SendMessage whatever else allows it";
        return Check::fail(NAME, found, "remove the statement with the effect Deny");
    }
    let allowing = about.into_iter().filter(|statement| statement.effect == "Allow");
    let allowing: Vec<&Statement> = allowing
        .filter(|statement| !statement.senders().is_empty())
        .collect();
    let Some(first) = allowing.first() else {
        return Check::fail(NAME, "the main queue's policy does not let S3 send to it", remedy);
    };
    if let Some(open) = allowing
        .iter()
        .find(|statement| statement.is_for_anyone() && statement.condition.is_empty())
    {
        let found = format!(
            "anybody may send to the main queue ({})",
            open.senders().join(", ")
        );
        return Check::warn(NAME, found, remedy);
    }
    let partition = arn.split(':').nth(1).unwrap_or("aws");
    let from_s3 = |statement: &&&Statement| statement.senders().contains(&"S3");
    let mut from_s3 = allowing.iter().filter(from_s3).peekable();
    if let (Some(bucket), true) = (bucket, from_s3.peek().is_some())
        && !from_s3.any(|statement| statement.takes_bucket(bucket, partition))
    {
        let found = format!(
            "the main queue's policy takes notifications of other buckets than {bucket}: {}",
            first.conditions_text().join("; ")
        );
        return Check::fail(
            NAME,
            found,
            format!("add arn:{partition}:s3:::{bucket} to aws:SourceArn"),
        );
    }
    Check::ok(NAME, told(&allowing))
}

fn told(allowing: &[&Statement]) -> String {
    let each = allowing.iter().map(|statement| {
        let senders = statement.senders().join(", ");
        match statement.conditions_text().join("; ") {
            conditions if conditions.is_empty() => format!("{senders} may send, of any bucket and account"),
            conditions => format!("{senders} may send if {conditions}"),
        }
    });
    each.collect::<Vec<_>>().join("; ")
}
