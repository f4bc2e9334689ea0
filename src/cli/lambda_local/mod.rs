//! `flowctl lambda-local`: runs a Lambda binary as AWS would, without AWS Lambda.
//!
//! Two emulations and a process: the Lambda Runtime API (`runtime_api`, `sandbox`), the SQS event source mapping
//! (`local`, `run`), and the function itself (`child`). [`LambdaLocal`] is the whole of it as a library; what is left
//! here is the command line.

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use tokio::sync::watch;

use self::progress::Progress;
use crate::aws::AwsContext;
use crate::aws::sqs::SqsQueue;
use crate::cli::signals::Signals;
use crate::cli::{exit, tell, wrong_command_line};
use crate::config::{self, Environment};

mod child;
mod error;
mod event;
mod local;
mod progress;
mod report;
mod response;
mod run;
mod runtime_api;
mod sandbox;
mod settings;
#[cfg(test)]
mod tests;

pub use error::LambdaLocalError;
pub use local::LambdaLocal;
pub use report::{Ended, InvocationReport, Outcome, Summary};
pub use settings::{FunctionOutput, FunctionSettings, MappingSettings, Until, function_environment};

/// How long one look into the queue waits in a run that ends when the queue is empty.
const SHORT_POLL_WAIT: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "\
The function sees what it would see on AWS: an environment of its own (of yours only AWS_* and FLOWSHIP_*, plus \
--env), one event at a time, and a deadline at which it is killed. Messages are deleted only when it has answered \
that they succeeded; all others come back when the queue's visibility timeout ends. Ctrl-C finishes what is being \
handled, a second one kills it.

Exit codes: 0 done, 1 it cannot run or the function does not start, 2 wrong command line, 3 interrupted before \
--until-empty or --invocations was reached.

It needs sqs:GetQueueAttributes, sqs:ReceiveMessage and sqs:DeleteMessage on the queue; the function has your rights.

Examples:
  Handle what is in the queue, then stop:
    flowctl lambda-local --function target/release/shipper --until-empty \\
      --queue-url https://sqs.eu-west-1.amazonaws.com/123456789012/flowlogs

  Against a local stack, the function's log in a file and the reports as JSON:
    export AWS_ENDPOINT_URL=http://127.0.0.1:4566
    flowctl lambda-local --function target/debug/shipper --concurrency 2 \\
      --queue-url http://127.0.0.1:4566/000000000000/flowlogs \\
      --env FLOWSHIP_LOG=debug --log-file shipper.log --json > reports.ndjson";

/// Runs a Lambda binary as AWS would: fed from an SQS queue, on this machine.
#[derive(Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Arguments {
    /// The function's binary: what is packaged as `bootstrap`.
    #[arg(long, value_name = "PATH")]
    function: PathBuf,
    /// The queue that feeds it [default: FLOWSHIP_QUEUE_URL].
    #[arg(long, value_name = "URL")]
    queue_url: Option<String>,
    /// Most messages of one invocation: 1 to 10, with a batching window to 10,000.
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    batch_size: usize,
    /// Seconds to collect messages after the first one: 0 to 300.
    #[arg(long, alias = "batching-window", value_name = "SECONDS", default_value_t = 0)]
    batching_window_seconds: u64,
    /// Seconds that one invocation may take, then the function is killed: 1 to 900.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=900))]
    timeout_seconds: u64,
    /// Memory that the function is told it has, in MiB; more is reported, not refused.
    #[arg(long, value_name = "MIB", default_value_t = 512, value_parser = clap::value_parser!(u32).range(128..=10240))]
    memory: u32,
    /// Invocations at the same time, each in a process of its own.
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    concurrency: usize,
    /// Stop when the queue has no message left, visible, in flight or delayed.
    #[arg(long)]
    until_empty: bool,
    /// Stop after this many invocations.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    invocations: Option<u64>,
    /// One more variable for the function; may be repeated.
    #[arg(long = "env", value_name = "NAME=VALUE")]
    variables: Vec<Variable>,
    /// Any answer deletes the whole batch: a mapping without ReportBatchItemFailures.
    #[arg(long)]
    no_partial_batch_responses: bool,
    /// Append the function's output to this file instead of stderr.
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,
    /// Print one JSON object for each invocation and one for the sum on stdout.
    #[arg(long)]
    json: bool,
}

/// `NAME=VALUE`; the value may be a secret.
#[derive(Clone)]
struct Variable {
    name: String,
    value: String,
}

impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl std::str::FromStr for Variable {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Self {
                name: name.to_owned(),
                value: value.to_owned(),
            }),
            _ => Err("write it as NAME=VALUE"),
        }
    }
}

impl Arguments {
    fn function(&self, output: FunctionOutput) -> FunctionSettings {
        let extra = self.variables.iter();
        let extra = extra.map(|variable| (variable.name.clone(), variable.value.clone()));
        let mut function = FunctionSettings::new(&self.function);
        function.environment = function_environment(&config::process_variables(), extra);
        function.timeout = Duration::from_secs(self.timeout_seconds);
        function.memory_mb = self.memory;
        function.output = output;
        function
    }

    fn mapping(&self) -> MappingSettings {
        MappingSettings {
            batch_size: self.batch_size,
            batching_window: Duration::from_secs(self.batching_window_seconds),
            concurrency: self.concurrency,
            partial_batch_responses: !self.no_partial_batch_responses,
            poll_wait: self.poll_wait(),
            ..MappingSettings::default()
        }
    }

    /// A run that ends by itself polls shortly, so that its end can wait for the last polls.
    fn poll_wait(&self) -> Duration {
        if self.until_empty {
            SHORT_POLL_WAIT
        } else {
            MappingSettings::default().poll_wait
        }
    }

    fn until(&self, stop: watch::Receiver<bool>) -> Until {
        let mut until = Until::default().or_stopped(stop);
        if self.until_empty {
            until = until.or_empty();
        }
        if let Some(invocations) = self.invocations {
            until = until.or_invocations(invocations);
        }
        until
    }

    /// Without an end of its own a run is ended by Ctrl-C, and that is no interruption.
    fn has_end(&self) -> bool {
        self.until_empty || self.invocations.is_some()
    }
}

/// Runs the command.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    if let Err(error) = arguments.mapping().check() {
        return Ok(wrong_command_line(error));
    }
    let mut environment = Environment::of_process();
    environment.set("QUEUE_URL", arguments.queue_url.clone());
    if !environment.is_set("QUEUE_URL") {
        bail!("no queue to read from: give --queue-url or set FLOWSHIP_QUEUE_URL");
    }
    let queue_url = config::read_queue_url(&environment, "QUEUE_URL")?;
    let progress = Arc::new(Progress::new(
        arguments.json,
        arguments.memory,
        arguments.log_file.is_some(),
    ));
    let output = match &arguments.log_file {
        Some(file) => FunctionOutput::File(file.clone()),
        None => {
            let progress = Arc::clone(&progress);
            FunctionOutput::Lines(Arc::new(move |line| progress.print(line)))
        }
    };
    let mut signals = Signals::listen().context("signals cannot be handled")?;
    let queue = SqsQueue::new(&AwsContext::load().await, queue_url);
    let lambda = LambdaLocal::connect(queue, arguments.function(output), arguments.mapping()).await?;
    progress.start(&lambda.queue_status().await?, arguments.timeout_seconds);

    let (stop, stopped) = watch::channel(false);
    let result = tokio::select! {
        result = lambda.run(arguments.until(stopped), |report| progress.invocation(report)) => Some(result),
        () = progress.follow(&lambda) => None,
        () = stop_then_kill(&mut signals, &stop, &progress) => None,
    };
    lambda.shut_down().await;
    progress.clear();
    let Some(result) = result else {
        tell("killed; messages that were being handled come back when the queue's visibility timeout ends");
        return Ok(ExitCode::from(exit::STOPPED));
    };
    let summary = result?;
    progress.summary(&summary);
    let interrupted = summary.ended == Ended::Stopped && arguments.has_end();
    Ok(ExitCode::from(if interrupted {
        exit::STOPPED
    } else {
        exit::DONE
    }))
}

/// The first signal ends the run after what is being handled; this returns with the second. The function gets neither:
/// it runs in a process group of its own.
async fn stop_then_kill(signals: &mut Signals, stop: &watch::Sender<bool>, progress: &Progress) {
    signals.next().await;
    progress.print("finishing what is being handled; interrupt again to kill it");
    stop.send_replace(true);
    signals.next().await;
}
