//! `redrive`: looks into the dead-letter queue and puts failed S3 events back onto the main queue.

use std::process::ExitCode;

use clap::Parser;
use flowship::cli::{self, exit};
use flowship::config::{self, Environment};
use flowship::telemetry::{self, Audience};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = cli::redrive::Arguments::parse();
    let environment = Environment::of_process();
    telemetry::init(Audience::Person, config::log_filter(&environment).as_deref());
    cli::redrive::run(arguments, environment)
        .await
        .unwrap_or_else(|error| {
            cli::tell(format_args!("redrive: {error:#}"));
            ExitCode::from(exit::ERROR)
        })
}
