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
    not_principal: Option<Principal>,
    #[serde(default)]
    action: OneOrMore<String>,
    #[serde(default)]
    not_action: OneOrMore<String>,
    #[serde(default)]
    resource: OneOrMore<String>,
    #[serde(default)]
    not_resource: OneOrMore<String>,
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

/// Whether something is so, as far as it can be told from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Answer {
    No,
    Unknown,
    Yes,
}

impl From<bool> for Answer {
    fn from(is_so: bool) -> Self {
        if is_so { Self::Yes } else { Self::No }
    }
}

/// Who sends, as conditions see it.
#[derive(Clone, Debug)]
struct Sender {
    service: &'static str,
    /// Its `aws:SourceArn`, if it is known.
    source: Option<String>,
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

    /// Whether a notification of this source meets the conditions on it. Others are not judged.
    fn takes_source(&self, arn: &str) -> bool {
        let of_source = self.conditions().filter(|(_, key, _)| is_source(key));
        of_source
            .map(|(operator, _, values)| fits(operator, &values, arn))
            .all(|fits| fits != Answer::No)
    }

    /// Whether, being a Deny, it hits what a sender sends to this queue.
    fn hits(&self, queue_arn: &str, sender: &Sender) -> Answer {
        let conditions = self
            .conditions()
            .map(|(operator, key, values)| meets(operator, key, &values, sender));
        let about = [
            self.hits_principal(sender.service),
            hits_name(&self.action, &self.not_action, |action| {
                matches(&action.to_ascii_lowercase(), "sqs:sendmessage")
            }),
            hits_name(&self.resource, &self.not_resource, |resource| {
                matches(resource, queue_arn)
            }),
            Answer::from(self.is_about_source_of(sender.service)),
        ];
        about.into_iter().chain(conditions).min().unwrap_or(Answer::Yes)
    }

    fn hits_principal(&self, service: &str) -> Answer {
        match self.not_principal {
            Some(_) => Answer::Unknown,
            None => Answer::from(self.is_for_anyone() || self.is_for_service(service)),
        }
    }
}

/// What is excepted is surely not hit; what is not, may be meant or not.
fn hits_name(
    names: &OneOrMore<String>,
    excepted: &OneOrMore<String>,
    fits: impl Fn(&String) -> bool,
) -> Answer {
    if excepted.as_slice().is_empty() {
        return Answer::from(names.as_slice().iter().any(fits));
    }
    match excepted.as_slice().iter().any(fits) {
        true => Answer::No,
        false => Answer::Unknown,
    }
}

fn is_source(key: &str) -> bool {
    key.eq_ignore_ascii_case("aws:SourceArn")
}

/// Whether a sender meets a condition.
fn meets(operator: &str, key: &str, values: &[String], sender: &Sender) -> Answer {
    let is_without_tls = key.eq_ignore_ascii_case("aws:SecureTransport")
        && operator.eq_ignore_ascii_case("Bool")
        && values.iter().all(|value| value.eq_ignore_ascii_case("false"));
    match &sender.source {
        // AWS's services use TLS.
        _ if is_without_tls => Answer::No,
        Some(arn) if is_source(key) => fits(operator, values, arn),
        _ => Answer::Unknown,
    }
}

/// Whether an operator of strings or ARNs holds for a value.
///
/// Source: "IAM JSON policy elements: Condition operators" in the IAM user guide.
fn fits(operator: &str, values: &[String], text: &str) -> Answer {
    let operator = operator.to_ascii_lowercase();
    let operator = operator.strip_suffix("ifexists").unwrap_or(&operator);
    let any = |fits: fn(&str, &str) -> bool| values.iter().any(|value| fits(value, text));
    Answer::from(match operator {
        "stringequals" => any(|value, text| value == text),
        "stringnotequals" => !any(|value, text| value == text),
        "stringlike" => any(matches),
        "stringnotlike" => !any(matches),
        "arnequals" | "arnlike" => any(matches_arn),
        "arnnotequals" | "arnnotlike" => !any(matches_arn),
        _ => return Answer::Unknown,
    })
}

fn matches(pattern: &str, text: &str) -> bool {
    pattern.parse::<Glob>().is_ok_and(|glob| glob.matches(text))
}

/// Each of the six parts by itself: a `*` does not reach over a colon, but in the last part.
fn matches_arn(pattern: &str, arn: &str) -> bool {
    let parts = |text: &str| -> Vec<String> { text.splitn(6, ':').map(str::to_owned).collect() };
    let (patterns, parts) = (parts(pattern), parts(arn));
    patterns.len() == 6
        && parts.len() == 6
        && patterns
            .iter()
            .zip(&parts)
            .all(|(pattern, part)| pattern == part || matches(pattern, part))
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
    let statements = policy.statement.as_slice().iter();
    let allowing = statements.filter(|statement| statement.effect == "Allow");
    let allowing: Vec<&Statement> = allowing
        .filter(|statement| statement.is_about_sending_to(arn) && !statement.senders().is_empty())
        .collect();
    let Some(first) = allowing.first() else {
        return Check::fail(NAME, "the main queue's policy does not let S3 send to it", remedy);
    };
    if let Some(check) = judge_denials(&policy, arn, &allowing, bucket) {
        return check;
    }
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
    let from_s3 = |statement: &&&Statement| statement.senders().contains(&"S3");
    let mut from_s3 = allowing.iter().filter(from_s3).peekable();
    if let (Some(bucket), true) = (bucket, from_s3.peek().is_some())
        && !from_s3.any(|statement| statement.takes_source(&bucket_arn(arn, bucket)))
    {
        let found = format!(
            "the main queue's policy takes notifications of other buckets than {bucket}: {}",
            first.conditions_text().join("; ")
        );
        return Check::fail(
            NAME,
            found,
            format!("add {} to aws:SourceArn", bucket_arn(arn, bucket)),
        );
    }
    Check::ok(NAME, told(&allowing))
}

fn bucket_arn(queue_arn: &str, bucket: &str) -> String {
    let partition = queue_arn.split(':').nth(1).unwrap_or("aws");
    format!("arn:{partition}:s3:::{bucket}")
}

/// Whether a Deny takes away what is allowed: of S3, or of what stands between, if S3 itself is not allowed to send.
fn judge_denials(policy: &Policy, arn: &str, allowing: &[&Statement], bucket: Option<&str>) -> Option<Check> {
    let is_allowed = |name: &str| {
        allowing
            .iter()
            .any(|statement| statement.senders().contains(&name))
    };
    let (service, name) = SENDERS.into_iter().find(|(_, name)| is_allowed(name))?;
    let source = bucket
        .filter(|_| name == "S3")
        .map(|bucket| bucket_arn(arn, bucket));
    let sender = Sender { service, source };
    let denials = policy
        .statement
        .as_slice()
        .iter()
        .filter(|statement| statement.effect == "Deny");
    let (hit, statement) = denials
        .map(|statement| (statement.hits(arn, &sender), statement))
        .max_by_key(|(hit, _)| *hit)?;
    match hit {
        Answer::No => None,
        Answer::Yes => Some(Check::fail(
            NAME,
            "the main queue's policy denies sqs:SendMessage whatever else allows it",
            "remove the statement with the effect Deny, or except the sender from it",
        )),
        Answer::Unknown => {
            let conditions = match statement.conditions_text().join("; ") {
                conditions if conditions.is_empty() => "what it excepts".to_owned(),
                conditions => conditions,
            };
            Some(Check::warn(
                NAME,
                format!("a Deny of the main queue's policy may hit {name}: cannot tell by {conditions}"),
                "give --object, if it is about the bucket; else look whether notifications arrive, and except the sender \
                 from it",
            ))
        }
    }
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
