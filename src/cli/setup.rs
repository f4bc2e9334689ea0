//! `flowctl setup`: installs the index templates and the lifecycle policy, or shows what would change.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde::Serialize;

use super::{Output, exit, tell};
use crate::aws::{AwsContext, secrets};
use crate::config::{self, ElasticsearchSettings, Environment};
use crate::elasticsearch::client::Client;
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

Own index settings and mappings belong into the component template flowlogs-vpc-custom, which setup
never touches and which wins over the installed ones.

Exit codes: 0 done, 1 failed (stderr says why), 2 wrong command line.";

/// Installs the index templates and the lifecycle policy
///
/// Compares with what the server has and installs only what is missing or different. One line a part on stdout:
/// created, changed, unchanged or skipped; under it every difference as `path: server → installed`.
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
    let (settings, prefix) = read_settings(&environment)?;

    let client = Client::connect(&settings, async |arn| {
        secrets::read(&AwsContext::load().await, arn)
            .await
            .map_err(|error| error.to_string())
    })
    .await?;
    client.probe().await?;

    let plan = setup::plan(&client, &prefix, arguments.reset_ilm)
        .await
        .with_context(|| format!("nothing was changed at {}", client.url()))?;
    let stopped = if arguments.dry_run {
        None
    } else {
        setup::apply(&client, &plan).await.err()
    };

    let report = Report::new(client.url(), &prefix, &plan, arguments.dry_run, stopped.as_ref());
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
            let again = "the installation is not complete; run it again when the cause is gone: it goes on from there";
            Err(anyhow::Error::new(stopped.error).context(again))
        }
    }
}

/// All problems of all settings at once.
fn read_settings(environment: &Environment) -> anyhow::Result<(ElasticsearchSettings, String)> {
    match (
        ElasticsearchSettings::read(environment),
        config::read_index_prefix(environment),
    ) {
        (Ok(settings), Ok(prefix)) => Ok((settings, prefix)),
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
    installed: Option<&'a str>,
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
        let any = |outcome| self.parts.iter().any(|row| row.result == outcome);
        if self.dry_run {
            Some("dry run: nothing was changed")
        } else if any(Outcome::Changed) {
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
                installed: difference.ours.as_deref(),
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
