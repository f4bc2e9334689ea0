//! `flowctl lambda-local`: runs a Lambda binary as AWS would, without AWS.

use std::process::ExitCode;

use clap::Args;

mod child;
mod error;
mod event;
mod local;
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

/// Runs a Lambda binary as AWS would.
#[derive(Args, Debug)]
pub struct Arguments {}

/// Runs the command.
pub async fn run(_arguments: Arguments) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not there yet")
}
