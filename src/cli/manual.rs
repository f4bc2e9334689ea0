//! `completions` and `man`, the same for every program: made from its command line, so that they are never behind it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;

use super::{Output, exit, tell};

/// Print the completions of a shell
#[derive(Args, Clone, Debug)]
pub struct CompletionArguments {
    /// The shell
    shell: Shell,
}

/// Print the manual page, or write all of them
#[derive(Args, Clone, Debug)]
pub struct ManArguments {
    /// Write a page per command into this folder
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Prints the completions of a program with this command line.
pub fn print_completions(arguments: &CompletionArguments, mut command: Command) -> anyhow::Result<ExitCode> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, name, &mut script);
    print(script)
}

/// Prints the first manual page of a program with this command line, or writes a page per command.
pub fn write_man(arguments: &ManArguments, command: Command) -> anyhow::Result<ExitCode> {
    // `help` has no page: it tells what the others do.
    let command = command.disable_help_subcommand(true);
    let Some(dir) = &arguments.dir else {
        let mut page = Vec::new();
        Man::new(command)
            .render(&mut page)
            .context("the page cannot be made")?;
        return print(page);
    };
    let created = std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(command, dir));
    created.with_context(|| format!("the pages cannot be written into {}", dir.display()))?;
    tell(format_args!("written into {}", dir.display()));
    Ok(ExitCode::from(exit::DONE))
}

fn print(text: Vec<u8>) -> anyhow::Result<ExitCode> {
    let text = String::from_utf8(text).context("a command line is text")?;
    let printed = Output::new().line(text.trim_end());
    printed.context("stdout cannot be written")?;
    Ok(ExitCode::from(exit::DONE))
}
