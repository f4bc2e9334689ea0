//! The Kibana part of a run: the plan, its calls, and what became of each object and rule.

use anyhow::{Context, anyhow};
use clap::Args;
use serde::Serialize;
use url::Url;

use super::outcome::Outcome;
use crate::aws::AwsContext;
use crate::config::{ElasticsearchSettings, Installation};
use crate::elasticsearch::client::Client;
use crate::elasticsearch::renewal::SecretStore;
use crate::kibana::{Action, Applied, Kibana, KibanaError, Plan, check_rights};
use crate::outcome::error_chain;

/// Where Kibana is.
#[derive(Args, Debug)]
#[group(id = "kibana", multiple = true)]
pub(super) struct KibanaArguments {
    /// URL of Kibana: data views, dashboards, saved searches and alert rules are installed, too
    /// [default: FLOWSHIP_KIBANA_URL, else Kibana is left alone]
    #[arg(long, value_name = "URL")]
    pub(super) kibana_url: Option<String>,
    /// Space of Kibana [default: the default one]
    #[arg(long, value_name = "SPACE", value_parser = parse_space)]
    pub(super) kibana_space: Option<String>,
}

/// Kibana's rule for the identifiers of spaces.
fn parse_space(text: &str) -> Result<String, String> {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
    if text.is_empty() || !text.chars().all(is_allowed) {
        return Err("a space is named in its URL by a-z, 0-9, `_`, `-`".to_owned());
    }
    Ok(text.to_owned())
}

/// What became of the pack.
#[derive(Serialize)]
pub(super) struct PackReport {
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    space: Option<String>,
    pub(super) parts: Vec<PackRow>,
    /// What failed, each with its reason.
    #[serde(skip)]
    pub(super) failures: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct PackRow {
    pub(super) result: Outcome,
    /// One word for programs.
    kind: String,
    #[serde(skip)]
    pub(super) kind_in_words: &'static str,
    id: String,
    pub(super) title: String,
}

/// What it takes to reach Kibana.
pub(super) struct Target<'a> {
    pub(super) url: Url,
    pub(super) space: Option<String>,
    pub(super) elasticsearch: &'a ElasticsearchSettings,
    pub(super) elasticsearch_client: &'a Client,
}

/// Installs the pack, or in a dry run only looks.
pub(super) async fn install(
    target: Target<'_>,
    installation: &Installation,
    force: bool,
    dry_run: bool,
) -> anyhow::Result<PackReport> {
    let client = Client::connect_to_kibana(target.url, target.elasticsearch, async |arn| {
        AwsContext::load().await.read_secret(arn).await
    })
    .await?;
    let kibana = Kibana::new(client, target.space.as_deref());
    let unchanged = "nothing was changed in Kibana";
    let mut plan = kibana.plan(installation, force).await.context(unchanged)?;
    let mut refused = None;
    if plan.has_due_rules() {
        match check_rights(target.elasticsearch_client, installation).await {
            Ok(()) => {}
            Err(error @ KibanaError::RulesCannotRead { .. }) => {
                plan.refuse_rules();
                refused = Some(error_chain(&error));
            }
            Err(error) => return Err(error).context(unchanged),
        }
    }
    let applied = match dry_run {
        true => Applied::default(),
        false => kibana.apply(&plan).await,
    };
    let mut report = PackReport::new(kibana.url(), target.space, &plan, &applied, dry_run);
    report.failures.extend(refused);
    Ok(report)
}

fn rows(plan: &Plan, applied: &Applied, dry_run: bool) -> Vec<PackRow> {
    let rows = plan.items.iter().enumerate().map(|(position, item)| PackRow {
        result: outcome(item.action, position, applied, dry_run),
        kind: item.kind.replace(' ', "_"),
        kind_in_words: item.kind,
        id: item.id.clone(),
        title: item.title.clone(),
    });
    rows.collect()
}

fn outcome(action: Action, position: usize, applied: &Applied, dry_run: bool) -> Outcome {
    let failed = applied.failures.iter().any(|(failed, _)| *failed == position);
    let is_tried = applied.stopped_at.is_none_or(|stopped| position <= stopped);
    match action {
        Action::Leave => Outcome::Unchanged,
        Action::Keep => Outcome::Kept,
        Action::Refuse => Outcome::Refused,
        _ if failed => Outcome::Failed,
        _ if !is_tried => Outcome::Pending,
        Action::Create if dry_run => Outcome::WouldCreate,
        Action::Change if dry_run => Outcome::WouldChange,
        Action::Create => Outcome::Created,
        Action::Change => Outcome::Changed,
    }
}

impl PackReport {
    pub(super) fn new(
        url: &str,
        space: Option<String>,
        plan: &Plan,
        applied: &Applied,
        dry_run: bool,
    ) -> Self {
        let failures = applied.failures.iter();
        Self {
            url: url.to_owned(),
            space,
            parts: rows(plan, applied, dry_run),
            failures: failures.map(|(_, error)| error_chain(error)).collect(),
        }
    }

    /// One error for everything that failed.
    pub(super) fn into_result(self) -> anyhow::Result<()> {
        match self.failures.is_empty() {
            true => Ok(()),
            false => Err(anyhow!("{}", self.failures.join("; "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::Method;
    use serde_json::json;

    use super::*;
    use crate::elasticsearch::script::{Call, Script, get};
    use crate::kibana::tests::{names, of_first_installation};

    /// The answer has the shape of Elastic's page "Check user privileges".
    fn asked_for_rights(has_them: bool) -> Call {
        Call {
            method: Method::POST,
            body: Some(
                json!({"index": [{"names": ["flowlogs-*", "flowship-ledger-*"], "privileges": ["read"]}]}),
            ),
            ..get(
                "_security/user/_has_privileges",
                200,
                &json!({"username": "x", "has_all_requested": has_them, "cluster": {}, "index": {}, "application": {}}),
            )
        }
    }

    async fn installed(of_kibana: Vec<Call>, of_elasticsearch: Call, dry_run: bool) -> PackReport {
        let kibana = Script::start(of_kibana).await;
        let elasticsearch = Script::start(vec![of_elasticsearch]).await;
        let target = Target {
            url: kibana.settings.urls[0].clone(),
            space: None,
            elasticsearch: &kibana.settings,
            elasticsearch_client: &elasticsearch.client,
        };
        let report = install(target, &names(), false, dry_run).await.unwrap();
        kibana.finish();
        elasticsearch.finish();
        report
    }

    #[tokio::test]
    async fn rules_that_could_not_read_are_refused_and_the_rest_is_installed() {
        let mut calls = of_first_installation();
        calls.retain(|call| call.method == "GET" || call.path.contains("saved_objects"));
        let report = installed(calls, asked_for_rights(false), false).await;
        for row in &report.parts {
            let wanted = match row.kind.as_str() {
                "alert_rule" => Outcome::Refused,
                _ => Outcome::Created,
            };
            assert!(row.result == wanted, "{}", row.title);
        }
        insta::assert_snapshot!(report.into_result().unwrap_err(), @"alert rules run with the rights of whoever installs them, and these credentials may not read flowlogs-* and flowship-ledger-*: give them the role flowlogs-reader in addition");
    }

    #[tokio::test]
    async fn without_security_rules_may_read_everything() {
        let no_handler =
            json!({"error": "no handler found for uri [/_security/user/_has_privileges] and method [POST]"});
        let security_off = Call {
            status: 400,
            answer: no_handler.to_string(),
            ..asked_for_rights(true)
        };
        let report = installed(of_first_installation(), security_off, false).await;
        assert!(report.parts.iter().all(|row| row.result == Outcome::Created));
    }

    #[tokio::test]
    async fn a_dry_run_only_asks_and_a_run_tells_what_it_did() {
        for dry_run in [true, false] {
            let mut calls = of_first_installation();
            if dry_run {
                calls.retain(|call| call.method == "GET" || call.path.ends_with("_export"));
            }
            let report = installed(calls, asked_for_rights(true), dry_run).await;
            let wanted = match dry_run {
                true => Outcome::WouldCreate,
                false => Outcome::Created,
            };
            assert!(report.parts.iter().all(|row| row.result == wanted));
            assert!(report.into_result().is_ok());
        }
    }

    #[test]
    fn a_space_is_one_part_of_a_path() {
        assert_eq!(parse_space("net-ops_2").as_deref(), Ok("net-ops_2"));
        for wrong in ["", "Net", "a/b", "..", "a b"] {
            assert!(parse_space(wrong).is_err(), "{wrong}");
        }
    }
}
