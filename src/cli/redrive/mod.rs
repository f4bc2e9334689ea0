//! `redrive`: looks into the dead-letter queue and puts failed S3 events back onto the main queue.

use std::process::ExitCode;

use clap::Parser;

use crate::config::Environment;

/// Looks into the dead-letter queue and puts failed S3 events back onto the main queue.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Arguments {}

/// Runs the command.
pub async fn run(_arguments: Arguments, _environment: Environment) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not there yet")
}
