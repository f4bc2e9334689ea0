//! `flowctl lambda-local`: runs a Lambda binary as AWS would.

use std::process::ExitCode;

use clap::Args;

/// Runs a Lambda binary as AWS would.
#[derive(Args, Debug)]
pub struct Arguments {}

/// Runs the command.
pub async fn run(_arguments: Arguments) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not there yet")
}
