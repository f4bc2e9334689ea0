//! `flowctl setup`: installs the index templates and the lifecycle policy, or shows what would change.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde::Serialize;

use super::{Output, exit, tell};
use crate::assets::Kind;
use crate::aws::AwsContext;
use crate::config::{ElasticsearchSettings, Environment, Installation};
use crate::elasticsearch::client::Client;
use crate::elasticsearch::renewal::SecretStore;
use crate::elasticsearch::setup::{self, Action, Difference, Interrupted, Plan, Step};

const EXAMPLES: &str = "\
Examples:
  flowctl setup --elasticsearch-url http://localhost:9200 --dry-run
      shows what an installation would do, and changes nothing
  flowctl setup --elasticsearch-url https://es-1:9200 https://es-2:9200
      installs; a second run finds everything unchanged

Credentials and the file of a private CA come from FLOWSHIP_ELASTICSEARCH_API_KEY, _USERNAME and
_PASSWORD, _SECRET_ARN, _SECRET_FILE and _CA_FILE. They need the cluster privileges
manage_index_templates and manage_ilm.

Own index settings and mappings belong into the component templates flowlogs-vpc-custom,
flowlogs-tgw-custom and flowship-ledger-custom, which setup never touches and which win over the
installed ones.

Exit codes: 0 done, 1 failed (stderr says why), 2 wrong command line.";

/// Installs the index templates and the lifecycle policy
///
/// Compares with what the server has and installs only what is missing or different. One line a part on stdout:
/// created, changed, unchanged or skipped; under it every difference as `path: server → ours`.
#[derive(Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Arguments {
    /// Shows what would change, and changes nothing
    #[arg(long)]
    dry_run: bool,
    /// First part of index and template names [default: FLOWSHIP_INDEX_PREFIX, else flowlogs]
    #[arg(long, value_name = "PREFIX")]
    index_prefix: Option<String>,
    /// URLs of the cluster's nodes or of its load balancer [default: FLOWSHIP_ELASTICSEARCH_URLS]
    #[arg(long, value_name = "URL", num_args = 1.., value_delimiter = ',')]
    elasticsearch_url: Vec<String>,
    /// Replaces a lifecycle policy that differs; without it a changed retention is kept
    #[arg(long)]
    reset_ilm: bool,
    /// Writes the result as one JSON document
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub async fn run(arguments: Arguments, mut environment: Environment) -> anyhow::Result<ExitCode> {
    let urls = Some(arguments.elasticsearch_url.join(",")).filter(|urls| !urls.is_empty());
    environment
        .set("ELASTICSEARCH_URLS", urls)
        .set("INDEX_PREFIX", arguments.index_prefix);
    let (settings, installation) = read_settings(&environment)?;

    let client = Client::connect(&settings, async |arn| {
        AwsContext::load().await.read_secret(arn).await
    })
    .await?;
    client.probe().await?;

    let plan = setup::plan(&client, &installation, arguments.reset_ilm)
        .await
        .with_context(|| format!("nothing was changed at {}", client.url()))?;
    let stopped = if arguments.dry_run {
        None
    } else {
        setup::apply(&client, &plan).await.err()
    };

    let report = Report::new(
        client.url(),
        &installation.index_prefix,
        &plan,
        arguments.dry_run,
        stopped.as_ref(),
    );
    let mut output = Output::new();
    if arguments.json {
        output.line(serde_json::to_string_pretty(&report)?)?;
    } else {
        for line in report.lines() {
            output.line(line)?;
        }
        if let Some(remark) = report.remark() {
            tell(remark);
        }
    }
    match stopped {
        None => Ok(ExitCode::from(exit::DONE)),
        Some(stopped) => {
            let again = "the installation stopped, another run goes on from here";
            Err(anyhow::Error::new(stopped.error).context(again))
        }
    }
}

/// All problems of all settings at once.
fn read_settings(environment: &Environment) -> anyhow::Result<(ElasticsearchSettings, Installation)> {
    match (
        ElasticsearchSettings::read(environment),
        Installation::read(environment),
    ) {
        (Ok(settings), Ok(installation)) => Ok((settings, installation)),
        (Err(mut error), Err(more)) => {
            error.problems.extend(more.problems);
            Err(error.into())
        }
        (Err(error), _) | (_, Err(error)) => Err(error.into()),
    }
}

#[derive(Serialize)]
struct Report<'a> {
    url: &'a str,
    index_prefix: &'a str,
    dry_run: bool,
    /// Whether the server has the ILM module.
    ilm: bool,
    parts: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    result: Outcome,
    kind: &'static str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differences: Vec<Changed<'a>>,
    #[serde(skip)]
    step: &'a Step,
}

#[derive(Serialize)]
struct Changed<'a> {
    path: &'a str,
    server: Option<&'a str>,
    ours: Option<&'a str>,
    #[serde(skip)]
    difference: &'a Difference,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    WouldCreate,
    WouldChange,
    Created,
    Changed,
    Unchanged,
    Skipped,
    Failed,
    Pending,
}

impl Outcome {
    const fn words(self) -> &'static str {
        match self {
            Self::WouldCreate => "would create",
            Self::WouldChange => "would change",
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Pending => "pending",
        }
    }
}

impl<'a> Report<'a> {
    fn new(
        url: &'a str,
        index_prefix: &'a str,
        plan: &'a Plan,
        dry_run: bool,
        stopped: Option<&Interrupted>,
    ) -> Self {
        let failed_at = stopped.map(|stopped| stopped.position);
        let parts = plan
            .steps
            .iter()
            .enumerate()
            .map(|(position, step)| Row::new(step, outcome(step, position, dry_run, failed_at)))
            .collect();
        Self {
            url,
            index_prefix,
            dry_run,
            ilm: plan.has_ilm,
            parts,
        }
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        let width = if self.dry_run { 12 } else { 9 };
        self.parts.iter().flat_map(move |row| {
            let mut line = format!(
                "{:width$}  {:18}  {}",
                row.result.words(),
                row.step.part.kind,
                row.name
            );
            if let Some(reason) = &row.reason {
                line.push_str(&format!("  ({reason})"));
            }
            let differences = row
                .differences
                .iter()
                .map(|changed| format!("    {}", changed.difference));
            std::iter::once(line).chain(differences).collect::<Vec<_>>()
        })
    }

    /// What a person should know beside the lines.
    fn remark(&self) -> Option<&'static str> {
        let template_changed =
            |row: &Row<'_>| row.result == Outcome::Changed && row.step.part.kind != Kind::IlmPolicy;
        if self.dry_run {
            Some("dry run: nothing was changed")
        } else if self.parts.iter().any(template_changed) {
            Some("indices that exist keep their settings and mappings; new ones get what was installed")
        } else {
            None
        }
    }
}

impl<'a> Row<'a> {
    fn new(step: &'a Step, result: Outcome) -> Self {
        let reason = match (step.action, step.differences.len()) {
            (Action::Skip(reason), _) => Some(reason.to_string()),
            (_, 0) => None,
            (_, 1) => Some("1 difference".to_owned()),
            (_, count) => Some(format!("{count} differences")),
        };
        let differences = step
            .differences
            .iter()
            .map(|difference| Changed {
                path: &difference.path,
                server: difference.server.as_deref(),
                ours: difference.ours.as_deref(),
                difference,
            })
            .collect();
        Self {
            result,
            kind: step.part.kind.word(),
            name: &step.part.name,
            reason,
            differences,
            step,
        }
    }
}

fn outcome(step: &Step, position: usize, dry_run: bool, failed_at: Option<usize>) -> Outcome {
    match (step.action, failed_at) {
        (Action::Leave, _) => Outcome::Unchanged,
        (Action::Skip(_), _) => Outcome::Skipped,
        (_, Some(failed)) if position == failed => Outcome::Failed,
        (_, Some(failed)) if position > failed => Outcome::Pending,
        (Action::Create, _) if dry_run => Outcome::WouldCreate,
        (Action::Change, _) if dry_run => Outcome::WouldChange,
        (Action::Create, _) => Outcome::Created,
        (Action::Change, _) => Outcome::Changed,
    }
}

#[cfg(test)]
mod tests {
    use clap::Command;

    use super::*;
    use crate::bulk::SendError;
    use crate::elasticsearch::setup::{SetupError, SkipReason, Verb, parts};

    /// One of everything.
    fn a_plan() -> Plan {
        let actions = [
            Action::Skip(SkipReason::PolicyKept),
            Action::Change,
            Action::Leave,
            Action::Create,
            Action::Create,
        ];
        let installation = Installation::read(&Environment::default()).unwrap();
        let mut steps: Vec<Step> = parts(&installation)
            .into_iter()
            .zip(actions)
            .map(|(part, action)| Step {
                part,
                action,
                differences: Vec::new(),
            })
            .collect();
        let difference = |path: &str, server: Option<&str>, ours: &str| Difference {
            path: path.to_owned(),
            server: server.map(str::to_owned),
            ours: Some(ours.to_owned()),
        };
        steps[0].differences = vec![difference("phases.delete.min_age", Some("30d"), "400d")];
        steps[1].differences = vec![
            difference("settings.index.codec", None, "best_compression"),
            difference("settings.index.refresh_interval", Some("5s"), "30s"),
        ];
        Plan { steps, has_ilm: true }
    }

    fn told(dry_run: bool, stopped: Option<&Interrupted>) -> String {
        let plan = a_plan();
        let report = Report::new("http://localhost:9200/", "flowlogs", &plan, dry_run, stopped);
        let lines = report
            .lines()
            .chain(report.remark().map(str::to_owned))
            .collect::<Vec<_>>();
        lines.join("\n")
    }

    #[test]
    fn a_run_tells_one_line_a_part_and_every_difference() {
        insta::assert_snapshot!(told(false, None), @"
        skipped    ILM policy          flowlogs-vpc  (differs from ours and is kept, because it decides what is deleted; --reset-ilm installs ours)
            phases.delete.min_age: 30d → 400d
        changed    component template  flowlogs-vpc-settings  (2 differences)
            settings.index.codec: (none) → best_compression
            settings.index.refresh_interval: 5s → 30s
        unchanged  component template  flowlogs-vpc-mappings
        created    component template  flowlogs-vpc-ilm
        created    index template      flowlogs-vpc
        indices that exist keep their settings and mappings; new ones get what was installed
        ");
    }

    #[test]
    fn a_dry_run_says_would() {
        insta::assert_snapshot!(told(true, None), @"
        skipped       ILM policy          flowlogs-vpc  (differs from ours and is kept, because it decides what is deleted; --reset-ilm installs ours)
            phases.delete.min_age: 30d → 400d
        would change  component template  flowlogs-vpc-settings  (2 differences)
            settings.index.codec: (none) → best_compression
            settings.index.refresh_interval: 5s → 30s
        unchanged     component template  flowlogs-vpc-mappings
        would create  component template  flowlogs-vpc-ilm
        would create  index template      flowlogs-vpc
        dry run: nothing was changed
        ");
    }

    #[test]
    fn an_interrupted_run_tells_what_is_installed_and_what_not() {
        let stopped = Interrupted {
            position: 3,
            error: SetupError::NoAnswer {
                verb: Verb::Install,
                part: "component template flowlogs-vpc-ilm".to_owned(),
                source: SendError::Timeout,
            },
        };
        insta::assert_snapshot!(told(false, Some(&stopped)), @"
        skipped    ILM policy          flowlogs-vpc  (differs from ours and is kept, because it decides what is deleted; --reset-ilm installs ours)
            phases.delete.min_age: 30d → 400d
        changed    component template  flowlogs-vpc-settings  (2 differences)
            settings.index.codec: (none) → best_compression
            settings.index.refresh_interval: 5s → 30s
        unchanged  component template  flowlogs-vpc-mappings
        failed     component template  flowlogs-vpc-ilm
        pending    index template      flowlogs-vpc
        indices that exist keep their settings and mappings; new ones get what was installed
        ");
        let error = anyhow::Error::new(stopped.error);
        insta::assert_snapshot!(format!("{error:#}"), @"installing component template flowlogs-vpc-ilm at Elasticsearch: no answer in time");
    }

    #[test]
    fn programs_get_the_same_as_json() {
        let plan = a_plan();
        let mut report = Report::new("http://localhost:9200/", "flowlogs", &plan, true, None);
        report.parts.truncate(2);
        report.parts.remove(0);
        insta::assert_snapshot!(serde_json::to_string(&report).unwrap(), @r#"{"url":"http://localhost:9200/","index_prefix":"flowlogs","dry_run":true,"ilm":true,"parts":[{"result":"would_change","kind":"component_template","name":"flowlogs-vpc-settings","reason":"2 differences","differences":[{"path":"settings.index.codec","server":null,"ours":"best_compression"},{"path":"settings.index.refresh_interval","server":"5s","ours":"30s"}]}]}"#);
    }

    #[test]
    fn all_wrong_settings_are_told_at_once() {
        let mut environment = Environment::default();
        environment.set("INDEX_PREFIX", Some("Net"));
        let error = read_settings(&environment).unwrap_err().to_string();
        assert!(
            error.contains("FLOWSHIP_ELASTICSEARCH_URLS") && error.contains("FLOWSHIP_INDEX_PREFIX"),
            "{error}"
        );
    }

    #[test]
    fn help_teaches() {
        let mut command = Arguments::augment_args(Command::new("setup")).term_width(100);
        insta::assert_snapshot!(command.render_long_help(), @"
        Installs the index templates and the lifecycle policy

        Compares with what the server has and installs only what is missing or different. One line a part on
        stdout: created, changed, unchanged or skipped; under it every difference as `path: server → ours`.

        Usage: setup [OPTIONS]

        Options:
              --dry-run
                  Shows what would change, and changes nothing

              --index-prefix <PREFIX>
                  First part of index and template names [default: FLOWSHIP_INDEX_PREFIX, else flowlogs]

              --elasticsearch-url <URL>...
                  URLs of the cluster's nodes or of its load balancer [default: FLOWSHIP_ELASTICSEARCH_URLS]

              --reset-ilm
                  Replaces a lifecycle policy that differs; without it a changed retention is kept

              --json
                  Writes the result as one JSON document

          -h, --help
                  Print help (see a summary with '-h')

        Examples:
          flowctl setup --elasticsearch-url http://localhost:9200 --dry-run
              shows what an installation would do, and changes nothing
          flowctl setup --elasticsearch-url https://es-1:9200 https://es-2:9200
              installs; a second run finds everything unchanged

        Credentials and the file of a private CA come from FLOWSHIP_ELASTICSEARCH_API_KEY, _USERNAME and
        _PASSWORD, _SECRET_ARN, _SECRET_FILE and _CA_FILE. They need the cluster privileges
        manage_index_templates and manage_ilm.

        Own index settings and mappings belong into the component templates flowlogs-vpc-custom,
        flowlogs-tgw-custom and flowship-ledger-custom, which setup never touches and which win over the
        installed ones.

        Exit codes: 0 done, 1 failed (stderr says why), 2 wrong command line.
        ");
    }
}
