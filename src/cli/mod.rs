//! The command lines: one file a command. Data goes to stdout, everything else to stderr; exit codes are those of
//! [`exit`]; a reader that closes the pipe is no error.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

pub mod convert;
pub mod doctor;
mod glob;
pub mod lambda_local;
pub mod ledger;
pub mod manual;
pub mod redrive;
pub mod setup;
mod signals;
mod text;

/// Exit codes of `flowctl` and `redrive`.
pub mod exit {
    /// Done.
    pub const DONE: u8 = 0;
    /// It failed; stderr says why.
    pub const ERROR: u8 = 1;
    /// The command line is wrong (clap's code).
    pub const USAGE: u8 = 2;
    /// It stopped by itself before the end; stderr says why.
    pub const STOPPED: u8 = 3;
    /// It found something that is incomplete or missing (`flowctl ledger`).
    pub const INCOMPLETE: u8 = 3;
    /// Nothing was selected.
    pub const NOTHING: u8 = 4;
}

/// Writes to stdout. A closed pipe ends the output silently: `redrive list | head` is no error.
#[derive(Debug)]
pub struct Output {
    closed: bool,
}

impl Output {
    /// Stdout, open.
    #[allow(
        clippy::new_without_default,
        reason = "there is one stdout; a default would hide that"
    )]
    pub fn new() -> Self {
        Self { closed: false }
    }

    /// Writes one line.
    pub fn line(&mut self, line: impl fmt::Display) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        match writeln!(io::stdout().lock(), "{line}") {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            result => result,
        }
    }
}

/// Ends `flowctl` over a command line whose mistake clap cannot see.
fn wrong_command_line(why: impl fmt::Display) -> ExitCode {
    tell(format_args!("flowctl: {why}"));
    ExitCode::from(exit::USAGE)
}

/// Writes one line to stderr; nothing can be done about a stderr that is gone.
pub fn tell(line: impl fmt::Display) {
    drop(writeln!(io::stderr().lock(), "{line}"));
}
