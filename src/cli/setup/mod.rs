//! `flowctl setup`: installs what Elasticsearch and Kibana need, or shows what would change.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use url::Url;

use super::{Output, exit, tell};
use crate::aws::AwsContext;
use crate::config::{ConfigError, ElasticsearchSettings, Environment, Installation, read_kibana_url};
use crate::elasticsearch::client::Client;
use crate::elasticsearch::renewal::SecretStore;
use crate::elasticsearch::setup::{self, Choices, Plan};

mod calls;
mod choices;
mod export;
mod help;
mod instead;
mod outcome;
mod pack;
mod report;

use choices::ChoiceArguments;
use instead::InsteadArguments;
use pack::{KibanaArguments, PackReport, Target};
use report::Report;

/// Installs index templates, lifecycle policy and, if asked for, Kibana's dashboards and rules
///
/// Compares with what the server has and installs only what is missing or different. One line a part on stdout, with
/// its outcome; under it every difference as `path: server → ours`. What a flag does not ask for stays as it is on the
/// server.
#[derive(Args, Debug)]
#[command(after_long_help = help::AFTER)]
pub struct Arguments {
    /// Shows what would change, and changes nothing
    #[arg(long)]
    dry_run: bool,
    /// First part of index and template names [default: FLOWSHIP_INDEX_PREFIX, else flowlogs]
    #[arg(long, value_name = "PREFIX")]
    index_prefix: Option<String>,
    /// First part of the ledger's index and template names; `none`: without templates, dashboard and rules of a ledger
    /// [default: FLOWSHIP_LEDGER_INDEX, else flowship-ledger]
    #[arg(long, value_name = "NAME|none")]
    ledger_index: Option<String>,
    /// URLs of the cluster's nodes or of its load balancer [default: FLOWSHIP_ELASTICSEARCH_URLS]
    #[arg(long, value_name = "URL", num_args = 1.., value_delimiter = ',')]
    elasticsearch_url: Vec<String>,
    #[command(flatten)]
    kibana: KibanaArguments,
    #[command(flatten)]
    choices: ChoiceArguments,
    #[command(flatten)]
    instead: InsteadArguments,
    /// Writes the result as one JSON document
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub async fn run(arguments: Arguments, mut environment: Environment) -> anyhow::Result<ExitCode> {
    let urls = Some(arguments.elasticsearch_url.join(",")).filter(|urls| !urls.is_empty());
    environment
        .set("ELASTICSEARCH_URLS", urls)
        .set("KIBANA_URL", arguments.kibana.kibana_url)
        .set("INDEX_PREFIX", arguments.index_prefix)
        .set("LEDGER_INDEX", arguments.ledger_index);
    let choices = arguments.choices.read();
    if arguments.instead.is_any() {
        let installation = Installation::read(&environment)?;
        arguments.instead.run(&installation, &choices, arguments.json)?;
        return Ok(ExitCode::from(exit::DONE));
    }
    let settings = Settings::read(&environment)?;
    if arguments.kibana.kibana_space.is_some() && settings.kibana_url.is_none() {
        bail!("--kibana-space needs --kibana-url or FLOWSHIP_KIBANA_URL");
    }
    let client = Client::connect(&settings.elasticsearch, async |arn| {
        AwsContext::load().await.read_secret(arn).await
    })
    .await?;
    client.probe().await?;
    let asked = Asked {
        choices,
        dry_run: arguments.dry_run,
        json: arguments.json,
        kibana_space: arguments.kibana.kibana_space,
    };
    install(&client, &settings, asked).await?;
    Ok(ExitCode::from(exit::DONE))
}

struct Asked {
    choices: Choices,
    dry_run: bool,
    json: bool,
    kibana_space: Option<String>,
}

/// Elasticsearch's part, then Kibana's; then tells what became of both, and fails if anything did.
async fn install(client: &Client, settings: &Settings, asked: Asked) -> anyhow::Result<()> {
    let installation = &settings.installation;
    let plan = setup::plan_with(client, installation, &asked.choices)
        .await
        .with_context(|| format!("nothing was changed at {}", client.url()))?;
    if !asked.choices.force {
        check_overlaps(client, &plan).await?;
    }
    let stopped = match asked.dry_run {
        true => None,
        false => setup::apply(client, &plan).await.err(),
    };
    let is_done = stopped.is_none() && plan.num_refused() == 0;
    let pack = match &settings.kibana_url {
        Some(url) if is_done => {
            let target = Target {
                url: url.clone(),
                space: asked.kibana_space,
                elasticsearch: &settings.elasticsearch,
                elasticsearch_client: client,
            };
            Some(pack::install(target, installation, asked.choices.force, asked.dry_run).await)
        }
        _ => None,
    };

    let prefix = &installation.index_prefix;
    let mut report = Report::new(client.url(), prefix, &plan, asked.dry_run, stopped.as_ref());
    report.kibana = pack.as_ref().and_then(|pack| pack.as_ref().ok());
    print(&report, asked.json)?;
    if let refused @ 1.. = plan.num_refused() {
        bail!(
            "nothing was changed: {refused} of these parts would overwrite somebody's work; move what is yours \
             into the -custom templates (see --help), or overwrite it with --force"
        );
    }
    if let Some(stopped) = stopped {
        let again = "the installation stopped, another run goes on from here";
        return Err(anyhow::Error::new(stopped.error).context(again));
    }
    let done = match asked.dry_run {
        true => "Elasticsearch's part is shown, Kibana's cannot be",
        false => "Elasticsearch's part is done, Kibana's is not; another run goes on from here",
    };
    pack.map_or(Ok(()), |pack| pack.and_then(PackReport::into_result))
        .context(done)
}

/// Templates of others in the way are told before anything is changed: each run would stop at them, or install in vain.
async fn check_overlaps(client: &Client, plan: &Plan) -> anyhow::Result<()> {
    let parts: Vec<_> = plan.steps.iter().map(|step| &step.part).collect();
    let overlaps = setup::overlaps(client, &parts).await?;
    if overlaps.is_empty() {
        return Ok(());
    }
    let told: Vec<String> = overlaps.iter().map(ToString::to_string).collect();
    bail!(
        "nothing was changed: {}; give it other patterns or a lower priority, or take another --index-prefix \
         or --ledger-index; --force goes on all the same, and overwrites what was changed by hand",
        told.join("; ")
    )
}

fn print(report: &Report<'_>, json: bool) -> anyhow::Result<()> {
    let mut output = Output::new();
    if json {
        output.line(serde_json::to_string_pretty(report)?)?;
        return Ok(());
    }
    for line in report.lines() {
        output.line(line)?;
    }
    for remark in report.remarks() {
        tell(remark);
    }
    Ok(())
}

struct Settings {
    elasticsearch: ElasticsearchSettings,
    installation: Installation,
    kibana_url: Option<Url>,
}

impl Settings {
    /// All problems of all settings at once.
    fn read(environment: &Environment) -> Result<Self, ConfigError> {
        match (
            ElasticsearchSettings::read(environment),
            Installation::read(environment),
            read_kibana_url(environment),
        ) {
            (Ok(elasticsearch), Ok(installation), Ok(kibana_url)) => Ok(Self {
                elasticsearch,
                installation,
                kibana_url,
            }),
            (elasticsearch, installation, kibana_url) => {
                let errors = [elasticsearch.err(), installation.err(), kibana_url.err()];
                let problems = errors.into_iter().flatten().flat_map(|error| error.problems);
                Err(ConfigError {
                    problems: problems.collect(),
                })
            }
        }
    }
}

#[cfg(test)]
mod tests;
