//! `flowctl`: sets up, checks and tries out flowship from the command line.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use flowship::cli::manual::{CompletionArguments, ManArguments, print_completions, write_man};
use flowship::cli::{self, exit};
use flowship::config::{self, Environment};
use flowship::telemetry::{self, Audience};

/// Sets up, checks and tries out flowship.
#[derive(Debug, Parser)]
#[command(name = "flowctl", version, arg_required_else_help = true, after_help = HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Convert(Box<cli::convert::Arguments>),
    Setup(cli::setup::Arguments),
    Doctor(cli::doctor::Arguments),
    Ledger(cli::ledger::Arguments),
    LambdaLocal(cli::lambda_local::Arguments),
    /// Print the completions of a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions(CompletionArguments),
    /// Print the manual page, or write a page per command
    #[command(after_help = MAN_EXAMPLES)]
    Man(ManArguments),
}

const HELP: &str = "\
flowship is a Lambda function that ships AWS VPC flow logs from S3 to Elasticsearch: every line is indexed exactly once, or \
is kept where you can see it, with the reason. Settings are the environment variables FLOWSHIP_…, the same as the \
function's; an option replaces its variable. `redrive` handles what failed.

Examples:
  flowctl setup                install or update the templates
  flowctl doctor               what is wrong, and what to do about it
  flowctl ledger --from 24h    was everything ingested?
  flowctl convert x.log.gz     what would be indexed of a file";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  flowctl completions bash > ~/.local/share/bash-completion/completions/flowctl
  flowctl completions fish > ~/.config/fish/completions/flowctl.fish";

const MAN_EXAMPLES: &str = "\
Examples:
  flowctl man | man -l -
  flowctl man --dir ~/.local/share/man/man1";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let environment = Environment::of_process();
    telemetry::init(Audience::Person, config::log_filter(&environment).as_deref());
    let result = match arguments.command {
        Command::Convert(arguments) => cli::convert::run(&arguments, &environment).await,
        Command::Setup(arguments) => cli::setup::run(arguments, environment).await,
        Command::Doctor(arguments) => cli::doctor::run(arguments, environment).await,
        Command::Ledger(arguments) => cli::ledger::run(arguments, environment).await,
        Command::LambdaLocal(arguments) => cli::lambda_local::run(arguments).await,
        Command::Completions(arguments) => print_completions(&arguments, Arguments::command()),
        Command::Man(arguments) => write_man(&arguments, Arguments::command()),
    };
    result.unwrap_or_else(|error| {
        cli::tell(format_args!("flowctl: {error:#}"));
        ExitCode::from(exit::ERROR)
    })
}
