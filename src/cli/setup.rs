//! `flowctl setup`: installs the index templates.

use std::process::ExitCode;

use clap::Args;

use crate::config::Environment;

/// Installs the index templates.
#[derive(Args, Debug)]
pub struct Arguments {}

/// Runs the command.
pub async fn run(_arguments: Arguments, _environment: Environment) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not there yet")
}
