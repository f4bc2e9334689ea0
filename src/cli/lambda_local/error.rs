//! What stops `flowctl lambda-local`. What stops one invocation only is an [`Outcome`](super::Outcome).

use std::io;
use std::path::PathBuf;

use crate::queue::QueueError;

/// Why a function cannot be run, or not any longer.
#[derive(Debug, thiserror::Error)]
pub enum LambdaLocalError {
    /// A setting that AWS would refuse, or that cannot work.
    #[error("{0}")]
    Setting(String),
    /// There is no such file.
    #[error("there is no file {}: build the function first, or name another file", .path.display())]
    FunctionMissing {
        /// The file.
        path: PathBuf,
    },
    /// The file is a directory, or nobody may execute it.
    #[error("{} is not an executable file: name the function's binary, or `chmod +x` it", .path.display())]
    NotExecutable {
        /// The file.
        path: PathBuf,
    },
    /// The operating system did not start it.
    #[error("{} does not start: was it built for this machine (the binary, not the zip)?", .path.display())]
    Start {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file for the function's output cannot be written.
    #[error("the log file {} cannot be opened for writing", .path.display())]
    LogFile {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// No port of the loopback interface for the Runtime API.
    #[error("the Runtime API finds no port on 127.0.0.1")]
    Listen {
        /// What the operating system says.
        source: io::Error,
    },
    /// The queue cannot be used, or not any longer.
    #[error("the queue cannot be used: check its URL, AWS_REGION, AWS_ENDPOINT_URL and the credentials")]
    Queue {
        /// What the queue says.
        #[from]
        source: QueueError,
    },
    /// The function did not become ready, several times in a row.
    #[error(
        "the function did not start {failures} times in a row: {detail}; correct its settings and start again{}",
        quoted(.output)
    )]
    InitFailed {
        /// How often.
        failures: u32,
        /// How the last time ended.
        detail: String,
        /// The last lines that it wrote.
        output: Vec<String>,
    },
}

/// The last lines of a function's output, each on a line of its own.
pub(super) fn quoted(output: &[String]) -> String {
    if output.is_empty() {
        return " (it wrote nothing)".to_owned();
    }
    let lines: String = output.iter().map(|line| format!("\n  | {line}")).collect();
    format!("\nIts last lines:{lines}")
}
