//! `flowctl setup`: installs the index templates and the lifecycle policy, or shows what would change.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;

use super::{Output, exit, tell};
use crate::aws::AwsContext;
use crate::config::{ElasticsearchSettings, Environment, Installation};
use crate::elasticsearch::client::Client;
use crate::elasticsearch::renewal::SecretStore;
use crate::elasticsearch::setup;

mod calls;
mod choices;
mod report;

use calls::Call;
use choices::ChoiceArguments;
use report::Report;

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
    #[command(flatten)]
    choices: ChoiceArguments,
    #[command(flatten)]
    instead: InsteadArguments,
    /// Writes the result as one JSON document
    #[arg(long)]
    json: bool,
}

/// What needs no server.
#[derive(Args, Debug)]
#[group(multiple = false, conflicts_with_all = ["dry_run", "guard_auto_create", "install_roles", "reset_ilm"])]
struct InsteadArguments {
    /// Only prints the calls that make the roles of shipper, installer and reader
    #[arg(long)]
    print_roles: bool,
    /// Only prints the call that makes an API key with the rights of the shipper; the field `encoded` of its answer is
    /// FLOWSHIP_ELASTICSEARCH_API_KEY
    #[arg(long)]
    print_api_key_call: bool,
}

impl InsteadArguments {
    /// Whether this is all that was asked for.
    fn run(&self, installation: &Installation, json: bool) -> anyhow::Result<bool> {
        let calls: Vec<Call> = if self.print_roles {
            calls::roles(installation)
        } else if self.print_api_key_call {
            calls::api_key(installation).into_iter().collect()
        } else {
            return Ok(false);
        };
        let mut output = Output::new();
        if json {
            output.line(serde_json::to_string_pretty(&calls)?)?;
        } else {
            for call in calls {
                output.line(call)?;
            }
        }
        Ok(true)
    }
}

/// Runs the command.
pub async fn run(arguments: Arguments, mut environment: Environment) -> anyhow::Result<ExitCode> {
    let urls = Some(arguments.elasticsearch_url.join(",")).filter(|urls| !urls.is_empty());
    environment
        .set("ELASTICSEARCH_URLS", urls)
        .set("INDEX_PREFIX", arguments.index_prefix);
    if let Ok(installation) = Installation::read(&environment)
        && arguments.instead.run(&installation, arguments.json)?
    {
        return Ok(ExitCode::from(exit::DONE));
    }
    let (settings, installation) = read_settings(&environment)?;

    let client = Client::connect(&settings, async |arn| {
        AwsContext::load().await.read_secret(arn).await
    })
    .await?;
    client.probe().await?;

    let choices = arguments.choices.read();
    let plan = setup::plan_with(&client, &installation, &choices)
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
        for remark in report.remarks() {
            tell(remark);
        }
    }
    if let refused @ 1.. = plan.num_refused() {
        bail!(
            "nothing was changed: {refused} of these parts would overwrite somebody's changes; move what is yours \
             into the -custom templates (see --help), or overwrite it with --force"
        );
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

#[cfg(test)]
mod tests;
