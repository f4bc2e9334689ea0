//! The function's process: started from an empty environment, its output passed on, and never left behind.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child as Process, Command};
use tokio::task::JoinSet;

use super::error::LambdaLocalError;
use super::settings::FunctionOutput;
use crate::cli::tell;

/// How many lines are quoted when a process does not start.
const LAST_LINES: usize = 20;

/// A longer line is passed on in pieces.
const MAX_LINE_BYTES: u64 = 64 * 1024;

/// How long the rest of a dead process's output is waited for.
const OUTPUT_TIMEOUT: Duration = Duration::from_secs(1);

/// Ids of the processes that run now.
#[derive(Clone, Debug, Default)]
pub(super) struct Pids(Arc<Mutex<BTreeSet<u32>>>);

impl Pids {
    /// All, in order.
    pub(super) fn list(&self) -> Vec<u32> {
        self.lock().iter().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// [`FunctionOutput`], opened.
#[derive(Clone, Debug)]
pub(super) struct Sink {
    output: FunctionOutput,
    file: Option<Arc<File>>,
}

impl Sink {
    /// Opens the log file, if there is one.
    pub(super) fn open(output: &FunctionOutput) -> Result<Self, LambdaLocalError> {
        let file = match output {
            FunctionOutput::File(path) => {
                let file = OpenOptions::new().create(true).append(true).open(path);
                Some(Arc::new(file.map_err(|source| LambdaLocalError::LogFile {
                    path: path.clone(),
                    source,
                })?))
            }
            FunctionOutput::Stderr | FunctionOutput::Lines(_) => None,
        };
        Ok(Self {
            output: output.clone(),
            file,
        })
    }

    fn write(&self, line: &str) {
        match (&self.output, &self.file) {
            (FunctionOutput::Lines(handler), _) => handler(line),
            // Appending one short line is atomic; a full disk must not stop the function.
            (_, Some(file)) => drop(file.as_ref().write_all(format!("{line}\n").as_bytes())),
            (_, None) => tell(line),
        }
    }
}

/// Memory of a process, MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Memory {
    /// Most it ever had.
    pub(super) peak_mb: u64,
    /// What it has now.
    pub(super) resting_mb: u64,
}

/// One process of the function. Dropping it kills it, and what it has started.
#[derive(Debug)]
pub(super) struct Child {
    process: Process,
    pid: u32,
    pids: Pids,
    readers: JoinSet<()>,
    last_lines: Arc<Mutex<VecDeque<String>>>,
}

impl Child {
    /// Starts `binary` with nothing but `environment`.
    pub(super) fn start(
        binary: &Path,
        environment: &BTreeMap<String, String>,
        sink: &Sink,
        pids: &Pids,
    ) -> Result<Self, LambdaLocalError> {
        let could_not_start = |source| LambdaLocalError::Start {
            path: binary.to_owned(),
            source,
        };
        // In a process group of its own a Ctrl-C at the terminal does not reach it, so an invocation can be finished,
        // and a wrapper script dies together with what it runs.
        let mut process = Command::new(binary)
            .env_clear()
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(could_not_start)?;
        let pid = process.id().expect("a process that was not waited for has an id");
        pids.lock().insert(pid);
        let last_lines = Arc::default();
        let mut readers = JoinSet::new();
        if let Some(stdout) = process.stdout.take() {
            readers.spawn(pass_on(stdout, sink.clone(), Arc::clone(&last_lines)));
        }
        if let Some(stderr) = process.stderr.take() {
            readers.spawn(pass_on(stderr, sink.clone(), Arc::clone(&last_lines)));
        }
        Ok(Self {
            process,
            pid,
            pids: pids.clone(),
            readers,
            last_lines,
        })
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until it ends. May be called again afterwards.
    pub(super) async fn ended(&mut self) -> Result<ExitStatus, String> {
        self.process.wait().await.map_err(|error| error.to_string())
    }

    /// Whether it is still there.
    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// Kills it and waits until it is gone and its output is passed on.
    pub(super) async fn kill(&mut self) {
        self.kill_group();
        // An error means that there is no such process any longer.
        drop(self.process.wait().await);
        let rest = async { while self.readers.join_next().await.is_some() {} };
        // Output that is still held open elsewhere is not waited for.
        drop(tokio::time::timeout(OUTPUT_TIMEOUT, rest).await);
    }

    /// The last lines that it wrote, oldest first.
    pub(super) fn last_lines(&self) -> Vec<String> {
        lock(&self.last_lines).iter().cloned().collect()
    }

    /// Its memory, as Linux counts it; `None` elsewhere, and for a process that has ended.
    pub(super) fn memory(&self) -> Option<Memory> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        parse_memory(&status)
    }

    fn kill_group(&self) {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        if let Some(group) = pid {
            // An error means that there is no such group any longer.
            kill_process_group(group, Signal::KILL).ok();
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill_group();
        self.pids.lock().remove(&self.pid);
    }
}

fn lock(lines: &Mutex<VecDeque<String>>) -> MutexGuard<'_, VecDeque<String>> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn pass_on(output: impl AsyncRead + Unpin, sink: Sink, last_lines: Arc<Mutex<VecDeque<String>>>) {
    let mut reader = BufReader::new(output);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut reader)
            .take(MAX_LINE_BYTES)
            .read_until(b'\n', &mut line)
            .await;
        if !matches!(read, Ok(1..)) {
            return;
        }
        let text = String::from_utf8_lossy(line.trim_ascii_end());
        sink.write(&text);
        let mut last_lines = lock(&last_lines);
        if last_lines.len() == LAST_LINES {
            last_lines.pop_front();
        }
        last_lines.push_back(text.chars().take(500).collect());
    }
}

/// Reads `VmHWM` and `VmRSS` of `/proc/<pid>/status`, which are in kB; rounded up to MiB.
fn parse_memory(status: &str) -> Option<Memory> {
    let field = |name: &str| -> Option<u64> {
        let value = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kilobytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kilobytes.div_ceil(1024))
    };
    Some(Memory {
        peak_mb: field("VmHWM:")?,
        resting_mb: field("VmRSS:")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_as_linux_writes_it() {
        let status = "Name:\tshipper\nVmPeak:\t  999 kB\nVmHWM:\t   20481 kB\nVmRSS:\t   10240 kB\n";
        let memory = Memory {
            peak_mb: 21,
            resting_mb: 10,
        };
        assert_eq!(parse_memory(status), Some(memory));
        // A process that has ended but was not waited for has no memory lines.
        assert_eq!(parse_memory("Name:\tshipper\nState:\tZ (zombie)\n"), None);
    }
}
