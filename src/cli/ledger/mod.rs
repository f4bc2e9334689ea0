//! `flowctl ledger`: was a time range fully ingested, and which object is missing?
//!
//! `search` reads the entries of the range page by page, `report` adds them up, `gaps` finds the slots of which no
//! object was ever seen.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use jiff::Timestamp;

use super::{Output, exit, tell, wrong_command_line};
use crate::aws::AwsContext;
use crate::config::{ElasticsearchSettings, Environment, Installation};
use crate::elasticsearch::client::Client;
use crate::elasticsearch::renewal::SecretStore;
use report::Report;
use search::{Filter, Search};

mod gaps;
mod range;
mod report;
mod search;

const HELP: &str = "\
An object belongs to the time stamp in its key, which is the beginning of its slot: AWS writes the \
objects of a flow log every 5 minutes, some every 10. Which of both is derived from the slots of the range and of the \
24 hours before it. A slot is missing when no object of it was ever seen, 15 minutes after its end; a flow log that \
was not seen in the 24 hours before the range is expected from its first slot on. Objects without a stamp belong to the \
time of their S3 event.

Credentials and the file of a private CA come from FLOWSHIP_ELASTICSEARCH_API_KEY, _USERNAME and _PASSWORD, \
_SECRET_ARN, _SECRET_FILE and _CA_FILE. They need `read` on the ledger's indices, as the role flowlogs-reader has it \
(not the function's), and no right in AWS beyond secretsmanager:GetSecretValue for _SECRET_ARN.

Exit codes: 0 every object complete and no slot missing, 1 failed (stderr says why), 2 wrong command line, 3 something \
incomplete or missing, 4 nothing there at all.

Examples:
  flowctl ledger --from 2026-11-20T03:00Z --to 2026-11-20T04:00Z
  flowctl ledger --from 7d --flow-log fl-1234abcd --json | jq '.incomplete[]'";

/// Shows whether a time range was fully ingested, and what is missing
///
/// Prints the objects by hour, every incomplete one with what to do about it, and the missing slots of every flow log.
#[derive(Args, Debug)]
#[command(after_long_help = HELP)]
pub struct Arguments {
    /// Beginning: RFC 3339, a date or time (UTC), or so long ago as 90m or 7d [default: 24h]
    #[arg(long, value_name = "TIME", default_value = "24h", hide_default_value = true)]
    from: String,
    /// End, exclusive; the same forms, and now [default: now]
    #[arg(long, value_name = "TIME", default_value = "now", hide_default_value = true)]
    to: String,
    /// Only objects of this account
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    /// Only objects of this region
    #[arg(long, value_name = "NAME")]
    region: Option<String>,
    /// Only objects of this flow log
    #[arg(long, value_name = "ID")]
    flow_log: Option<String>,
    /// URLs of the cluster's nodes or of its load balancer [default: FLOWSHIP_ELASTICSEARCH_URLS]
    #[arg(long, value_name = "URL", num_args = 1.., value_delimiter = ',')]
    elasticsearch_url: Vec<String>,
    /// Writes the result as one JSON document
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub async fn run(arguments: Arguments, mut environment: Environment) -> anyhow::Result<ExitCode> {
    let now = Timestamp::now();
    let range = match range::parse(&arguments.from, &arguments.to, now) {
        Ok(range) => range,
        Err(error) => return Ok(wrong_command_line(format_args!("{error:#}"))),
    };
    let urls = Some(arguments.elasticsearch_url.join(",")).filter(|urls| !urls.is_empty());
    environment.set("ELASTICSEARCH_URLS", urls);
    let settings = ElasticsearchSettings::read(&environment)?;
    let Some(index) = Installation::read(&environment)?.ledger_index else {
        bail!("FLOWSHIP_LEDGER_INDEX is `none`: there is no ledger");
    };
    let client = Client::connect(&settings, async |arn| {
        AwsContext::load().await.read_secret(arn).await
    })
    .await?;
    client.probe().await?;

    let filter = Filter {
        account: arguments.account,
        region: arguments.region,
        flow_log: arguments.flow_log,
    };
    let search = Search::new(&client, &index, range, filter);
    let report = look(&search, &index, now)
        .await
        .with_context(|| format!("the ledger at {} cannot be read", client.url()))?;
    let mut output = Output::new();
    if arguments.json {
        output.line(serde_json::to_string(&report)?)?;
    } else {
        for line in report.lines() {
            output.line(line)?;
        }
    }
    if report.is_empty() {
        tell(format_args!("the ledger {index} has no object in this range"));
        return Ok(ExitCode::from(exit::NOTHING));
    }
    Ok(ExitCode::from(if report.complete {
        exit::DONE
    } else {
        exit::INCOMPLETE
    }))
}

async fn look(search: &Search<'_>, index: &str, now: Timestamp) -> anyhow::Result<Report> {
    let mut report = Report::new(index, search.range(), search.earlier_slots().await?);
    let mut after = None;
    loop {
        let page = search.page(after.take()).await?;
        for entry in page.entries {
            report.add(entry);
        }
        match page.last {
            Some(last) => after = Some(last),
            None => break,
        }
    }
    report.close(now);
    Ok(report)
}

#[cfg(test)]
mod tests;
