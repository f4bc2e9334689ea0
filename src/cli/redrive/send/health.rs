//! Whether it is any use to send: Elasticsearch answers, the main queue is well set, and somebody takes messages from it.

use super::proof::Ledger;
use crate::aws::AwsContext;
use crate::cli::doctor::check::{Check, Verdict};
use crate::cli::doctor::cluster::{judge_health, reply};
use crate::cli::doctor::queues::{judge_redrive_policy, judge_visibility};
use crate::config::{ElasticsearchSettings, Environment, FunctionTimes, Installation};
use crate::elasticsearch::client::Client;
use crate::elasticsearch::renewal::SecretStore;
use crate::queue::QueueStatus;

/// What the checks found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::cli::redrive) struct Findings {
    /// Why it should not be sent.
    pub(in crate::cli::redrive) refusals: Vec<String>,
    /// What one should know.
    pub(in crate::cli::redrive) notes: Vec<String>,
}

impl Findings {
    /// What a check of `flowctl doctor` found.
    fn take(&mut self, check: &Check) {
        let complaints = match check.verdict {
            Verdict::Fail => &mut self.refusals,
            _ => &mut self.notes,
        };
        complaints.extend(check.complaint());
    }
}

/// Asks Elasticsearch, if it is set; the ledger, if there is one.
pub(in crate::cli::redrive) async fn check_elasticsearch(
    environment: &Environment,
    findings: &mut Findings,
) -> Option<Ledger> {
    if !environment.is_set("ELASTICSEARCH_URLS") {
        findings.notes.push(
            "FLOWSHIP_ELASTICSEARCH_URLS is not set: neither Elasticsearch's health nor the ledger can be asked"
                .to_owned(),
        );
        return None;
    }
    match ask(environment, findings).await {
        Ok(ledger) => ledger,
        Err(error) => {
            findings.refusals.push(format!("{error:#}"));
            None
        }
    }
}

async fn ask(environment: &Environment, findings: &mut Findings) -> anyhow::Result<Option<Ledger>> {
    let settings = ElasticsearchSettings::read(environment)?;
    let index = Installation::read(environment)?.ledger_index;
    let client = Client::connect(&settings, async |arn| {
        AwsContext::load().await.read_secret(arn).await
    })
    .await?;
    client.probe().await?;
    let answer = reply::get(&client, reply::HEALTH).await;
    let health = judge_health(&answer);
    if health.verdict == Verdict::Skip {
        let why = health.remedy.as_deref().unwrap_or_default();
        findings.notes.push(format!(
            "Elasticsearch's health is not known: {}; {why}",
            health.found
        ));
    }
    findings.take(&health);
    let Some(index) = index else {
        return Ok(None);
    };
    let ledger = Ledger { client, index };
    let why = ledger.why_unreadable().await;
    let readable = why.is_none().then_some(ledger);
    findings.refusals.extend(why);
    Ok(readable)
}

/// Looks at the main queue's settings.
pub(in crate::cli::redrive) fn check_settings(
    main: &QueueStatus,
    dlq: &QueueStatus,
    times: &FunctionTimes,
    findings: &mut Findings,
) {
    findings.take(&judge_redrive_policy(main, Some(&dlq.arn)));
    findings.take(&judge_visibility(main, None, times));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hyper::Method;
    use serde_json::{Value, json};

    use super::*;
    use crate::elasticsearch::script::{Call, Script, get};
    use crate::queue::RedrivePolicy;

    fn status(visibility_seconds: u64, policy: Option<&str>) -> QueueStatus {
        QueueStatus {
            arn: "arn:main".to_owned(),
            visibility_timeout: Duration::from_secs(visibility_seconds),
            redrive_policy: policy.map(|arn| RedrivePolicy {
                dead_letter_arn: arn.to_owned(),
                max_receive_count: 5,
            }),
            ..QueueStatus::default()
        }
    }

    fn found(main: &QueueStatus) -> Vec<String> {
        let dlq = QueueStatus {
            arn: "arn:dlq".to_owned(),
            ..QueueStatus::default()
        };
        let times = FunctionTimes {
            deadline_margin: Duration::from_secs(20),
            bulk_timeout: Duration::from_secs(90),
        };
        let mut findings = Findings::default();
        check_settings(main, &dlq, &times, &mut findings);
        let notes = findings.notes.into_iter().map(|note| format!("note: {note}"));
        findings.refusals.into_iter().chain(notes).collect()
    }

    const RIGHTS: &str = "_security/user/_has_privileges";
    const SEARCH: &str = "flowship-ledger-*/_search?allow_partial_search_results=false";

    /// What is found when Elasticsearch answers these questions so, and whether the ledger is asked later.
    async fn asked(may_read: (u16, Value), search: (u16, Value)) -> (String, bool) {
        let rights = json!({"index": [{"names": ["flowship-ledger-*"], "privileges": ["read"]}]});
        let script = Script::start(vec![
            get("_security/_authenticate", 200, &json!({})),
            get("_cluster/health", 200, &json!({"status": "green"})),
            post(RIGHTS, may_read, rights),
            post(SEARCH, search, json!({"size": 0})),
        ])
        .await;
        let mut environment = Environment::default();
        environment.set("ELASTICSEARCH_URLS", Some(script.client.url()));
        let mut findings = Findings::default();
        let ledger = check_elasticsearch(&environment, &mut findings).await;
        script.finish();
        assert_eq!(findings.notes, [""; 0]);
        (findings.refusals.join("\n"), ledger.is_some())
    }

    fn post(path: &str, (status, answer): (u16, Value), body: Value) -> Call {
        Call {
            method: Method::POST,
            body: Some(body),
            ..get(path, status, &answer)
        }
    }

    #[tokio::test]
    async fn who_may_not_read_the_ledger_is_told_before_anything_is_sent() {
        let rights = |read: bool| (200, json!({"index": {"flowship-ledger-*": {"read": read}}}));
        let error = |kind: &str| json!({"error": {"type": kind, "reason": "no"}});
        let nothing = || (200, json!({"hits": {"hits": []}}));
        let without_security = || (400, json!({"error": "no handler found for uri"}));
        for answers in [(rights(true), nothing()), (without_security(), nothing())] {
            assert_eq!(asked(answers.0, answers.1).await, (String::new(), true));
        }
        let mut told = Vec::new();
        for answers in [
            (rights(false), (403, error("security_exception"))),
            (rights(false), nothing()),
            (
                without_security(),
                (503, error("search_phase_execution_exception")),
            ),
        ] {
            let (why, is_asked_later) = asked(answers.0, answers.1).await;
            assert!(!is_asked_later, "{why}");
            told.push(why);
        }
        insta::assert_snapshot!(told.join("\n"), @"
        these credentials may not read flowship-ledger-*: use ones with the role flowlogs-reader, or --force to go on without the ledger
        these credentials may not read flowship-ledger-*: use ones with the role flowlogs-reader, or --force to go on without the ledger
        the ledger flowship-ledger-* cannot be searched: Elasticsearch answers 503 search_phase_execution_exception: no
        ");
    }

    #[test]
    fn settings_that_let_messages_go_round_are_found() {
        assert_eq!(found(&status(5400, Some("arn:dlq"))), [""; 0]);
        let told = [
            found(&status(5400, None)),
            found(&status(5400, Some("arn:other"))),
            found(&status(10, Some("arn:dlq"))),
            found(&status(30, Some("arn:dlq"))),
        ];
        insta::assert_snapshot!(told.concat().join("\n"), @"
        the main queue has no redrive policy: a message that crashes the function would go round for ever; set its RedrivePolicy to the dead-letter queue
        the main queue's redrive policy moves messages to arn:other, not to arn:dlq; set both to the same queue: otherwise half of the dead letters lie where nobody looks
        the main queue's visibility timeout of 10 s is below FLOWSHIP_DEADLINE_MARGIN_MS: messages come back while they are being handled; set it to 6 times the function's timeout, as AWS advises
        note: the main queue's visibility timeout of 30 s is below FLOWSHIP_BULK_TIMEOUT_MS: messages may come back while they are being handled; set it to 6 times the function's timeout, as AWS advises
        ");
    }
}
