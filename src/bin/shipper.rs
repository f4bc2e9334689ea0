//! `shipper`: the Lambda function, packaged as `bootstrap`.

use std::process::ExitCode;
use std::sync::Arc;

use flowship::aws::{
    AwsContext,
    s3::S3Store,
    sqs::{SqsQueue, SqsQueues},
};
use flowship::cli::Output;
use flowship::config::{self, ConfigError, Environment, ShipperSettings};
use flowship::elasticsearch::client::{Client, ClientError};
use flowship::elasticsearch::ledger::ElasticsearchLedger;
use flowship::elasticsearch::renewal::{RenewingClient, SecretStore};
use flowship::enrich::Enrichment;
use flowship::lambda;
use flowship::message::{Processor, returns::Returns};
use flowship::ship::Shipper;
use flowship::telemetry::{self, Audience, metrics::MetricLog};

const HELP: &str = "\
The Lambda function of flowship: AWS VPC flow logs from S3 to Elasticsearch.
AWS Lambda runs it, packaged as `bootstrap`; it takes no arguments, only settings
(FLOWSHIP_…). To run it here, fed from a queue:
  flowctl lambda-local --function <this file> --help";

#[tokio::main]
async fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("--help" | "-h") => return print(HELP),
        Some("--version" | "-V") => return print(concat!("shipper ", env!("CARGO_PKG_VERSION"))),
        _ => {}
    }
    let environment = Environment::of_process();
    telemetry::init(Audience::Machine, config::log_filter(&environment).as_deref());
    match start(&environment).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error.log();
            ExitCode::FAILURE
        }
    }
}

fn print(text: &str) -> ExitCode {
    match Output::new().line(text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

async fn start(environment: &Environment) -> Result<(), StartError> {
    let settings = ShipperSettings::read(environment)?;
    if !config::is_in_lambda() {
        return Err(StartError::NotInLambda);
    }
    let aws = AwsContext::load().await;
    let read_secret = async |arn: &str| aws.read_secret(arn).await;
    let store = S3Store::new(&aws);
    let enrichment = Enrichment::open(&settings.ship.enrich, async || store.clone()).await?;
    let client = Client::connect(&settings.elasticsearch, read_secret).await?;
    if let Err(error) = client.probe().await {
        // Not a reason to end: the messages of a function that does not start reach the dead-letter queue without one.
        tracing::error!("{error}; until it is mended, messages come back");
    }
    let client = RenewingClient::new(client, settings.elasticsearch.credentials, aws.clone());
    let client = Arc::new(client);
    let ledger = settings
        .ledger_index
        .map(|index| ElasticsearchLedger::new(Arc::clone(&client), index));
    let shipper = Shipper::new(store.clone(), client, store, settings.ship, Arc::new(enrichment));
    let processor = Processor::new(
        shipper,
        SqsQueue::new(&aws, settings.dlq_url),
        Returns::new(
            SqsQueues::new(&aws, settings.queue_url),
            settings.backoff,
            fastrand::f64,
        ),
        settings.max_receives,
        ledger,
    );
    let metrics = MetricLog::new(settings.metrics_namespace);
    lambda::run(processor, settings.deadline_margin, metrics)
        .await
        .map_err(StartError::Runtime)
}

/// Why the function does not start.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(
        "shipper is run by AWS Lambda; to run it here, use `flowctl lambda-local --function <this file>`"
    )]
    NotInLambda,
    #[error("the Lambda runtime ended")]
    Runtime(#[source] lambda_runtime::Error),
}

impl StartError {
    /// One line a problem.
    fn log(&self) {
        match self {
            Self::Config(error) => {
                for problem in &error.problems {
                    tracing::error!(setting = problem.variable(), "{problem}");
                }
            }
            Self::Runtime(cause) => tracing::error!(%cause, "{self}"),
            _ => tracing::error!("{self}"),
        }
    }
}
