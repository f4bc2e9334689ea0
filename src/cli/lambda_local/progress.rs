//! What a person sees of a run: one line that is redrawn on a terminal, plain lines elsewhere, all on stderr; and
//! what a program sees: JSON on stdout.

use std::io::{self, IsTerminal};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::error::quoted;
use super::local::LambdaLocal;
use super::report::{Ended, InvocationReport, Outcome, Summary};
use super::sandbox::in_seconds;
use crate::cli::{Output, tell};
use crate::queue::{MessageQueue, QueueStatus};

/// How often a terminal asks for the queue's numbers, and how often plain lines do.
const TERMINAL_INTERVAL: Duration = Duration::from_secs(1);
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

/// Shows one run.
#[derive(Debug)]
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    json: Option<Mutex<Output>>,
    memory_mb: u32,
    /// Whether the function's output is out of sight.
    output_is_hidden: bool,
    started: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    queue: QueueStatus,
    so_far: Summary,
}

#[derive(Serialize)]
struct Row<'a, T> {
    r#type: &'static str,
    #[serde(flatten)]
    value: &'a T,
}

impl Progress {
    pub(super) fn new(json: bool, memory_mb: u32, output_is_hidden: bool) -> Self {
        Self {
            bar: io::stderr().is_terminal().then(new_bar),
            json: json.then(|| Mutex::new(Output::new())),
            memory_mb,
            output_is_hidden,
            started: Instant::now(),
            state: Mutex::new(State {
                queue: QueueStatus::default(),
                so_far: Summary::new(),
            }),
        }
    }

    /// The queue was found.
    pub(super) fn start(&self, queue: &QueueStatus, timeout_seconds: u64) {
        let visibility = queue.visibility_timeout.as_secs();
        if visibility < timeout_seconds {
            self.print(&format!(
                "warning: the queue's visibility timeout ({visibility} s) is shorter than the function's timeout \
                 ({timeout_seconds} s): messages may come back while they are being handled, and AWS refuses such \
                 a mapping; set it to {} s",
                6 * timeout_seconds
            ));
        }
        lock(&self.state).queue = queue.clone();
        self.redraw();
    }

    /// One line on stderr, above the line that is redrawn.
    pub(super) fn print(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| tell(line)),
            None => tell(line),
        }
    }

    /// An invocation is over.
    pub(super) fn invocation(&self, report: &InvocationReport) {
        lock(&self.state).so_far.add(report);
        self.row("invocation", report);
        // On a terminal the counters tell of what went well.
        let is_told = match (&self.bar, &self.json) {
            (None, None) => true,
            (None, Some(_)) => false,
            (Some(_), _) => !report.outcome.is_complete_success(),
        };
        if is_told {
            self.print(&describe(report, self.memory_mb, self.output_is_hidden));
        }
        self.redraw();
    }

    /// The run is over.
    pub(super) fn summary(&self, summary: &Summary) {
        self.row("summary", summary);
        let why = match summary.ended {
            Ended::Empty => "the queue is empty",
            Ended::Invocations => "the number of invocations is reached",
            Ended::Stopped => "stopped",
        };
        tell(format_args!("{why}: {}", counters(summary, summary.elapsed)));
    }

    /// Takes the redrawn line away.
    pub(super) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Asks for the queue's numbers for ever, and shows them.
    pub(super) async fn follow<Q: MessageQueue>(&self, lambda: &LambdaLocal<Q>) {
        loop {
            sleep(if self.bar.is_some() {
                TERMINAL_INTERVAL
            } else {
                PLAIN_INTERVAL
            })
            .await;
            // The numbers are an ornament: a queue that is gone is told of by the run itself.
            let Ok(status) = lambda.queue_status().await else {
                continue;
            };
            lock(&self.state).queue = status;
            self.redraw();
            if self.bar.is_none() && self.json.is_none() {
                tell(self.line());
            }
        }
    }

    fn redraw(&self) {
        if let Some(bar) = &self.bar {
            bar.set_message(self.line());
        }
    }

    fn line(&self) -> String {
        let state = lock(&self.state);
        let QueueStatus {
            visible,
            in_flight,
            delayed,
            ..
        } = &state.queue;
        let delayed = if *delayed == 0 {
            String::new()
        } else {
            format!(", {delayed} delayed")
        };
        let so_far = counters(&state.so_far, self.started.elapsed());
        format!("queue: {visible} visible, {in_flight} in flight{delayed}; {so_far}")
    }

    fn row<T: Serialize>(&self, r#type: &'static str, value: &T) {
        if let Some(output) = &self.json {
            let row = serde_json::to_string(&Row { r#type, value }).expect("reports always serialize");
            // A full disk behind stdout must not end the run half way.
            if let Err(error) = lock(output).line(row) {
                self.print(&format!("stdout cannot be written: {error}"));
            }
        }
    }
}

fn new_bar() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    let style = ProgressStyle::with_template("{spinner} {wide_msg}").expect("the template is well-formed");
    bar.set_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn counters(summary: &Summary, elapsed: Duration) -> String {
    let Summary {
        invocations,
        succeeded,
        failed,
        messages_deleted,
        messages_returned,
        ..
    } = summary;
    let memory = summary
        .memory_mb_used
        .map(|memory| format!(", {memory} MiB at most"));
    format!(
        "{} ({succeeded} succeeded, {failed} failed), {} deleted, {messages_returned} left in the queue, {} s{}",
        counted(*invocations, "invocation"),
        counted(*messages_deleted, "message"),
        elapsed.as_secs(),
        memory.unwrap_or_default()
    )
}

fn counted(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// One invocation in one line; the last lines of a process that did not start follow if they are nowhere else in
/// sight.
fn describe(report: &InvocationReport, memory_mb: u32, output_is_hidden: bool) -> String {
    let what = match &report.outcome {
        Outcome::Succeeded { failed_ids } if failed_ids.is_empty() => "succeeded".to_owned(),
        Outcome::Succeeded { failed_ids } => {
            format!(
                "{} failed: {}",
                counted(failed_ids.len() as u64, "message"),
                failed_ids.join(", ")
            )
        }
        Outcome::FunctionError { error_type, message } => {
            format!("the function reported {error_type}: {message}")
        }
        Outcome::TimedOut => "killed at its deadline".to_owned(),
        Outcome::Crashed { status } => format!("the process ended with {status}, without an answer"),
        Outcome::MalformedResponse { detail } => {
            format!("malformed answer, so the whole batch failed: {detail}")
        }
        Outcome::InitFailed { detail, output } if output_is_hidden => {
            format!("the function did not start: {detail}.{}", quoted(output))
        }
        Outcome::InitFailed { detail, .. } => format!("the function did not start: {detail}"),
    };
    let mut line = format!(
        "{}  {}, {} deleted, {}",
        report.request_id,
        counted(report.message_ids.len() as u64, "message"),
        report.deleted_ids.len(),
        in_seconds(report.duration)
    );
    if let Some(init) = report.init_duration {
        line.push_str(&format!(" after {} of init", in_seconds(init)));
    }
    if let Some(used) = report.memory_mb_used {
        line.push_str(&format!(", {used} MiB"));
        if used > u64::from(memory_mb) {
            line.push_str(&format!(" (more than its {memory_mb}: AWS would have killed it)"));
        }
    }
    line.push_str(": ");
    line.push_str(&what);
    for error in &report.delete_errors {
        line.push_str("; not deleted: ");
        line.push_str(error);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(outcome: Outcome) -> InvocationReport {
        InvocationReport {
            request_id: "8f8c1fd4-8a06-4a5b-9a0e-1f2d3c4b5a69".to_owned(),
            message_ids: vec!["a".to_owned(), "b".to_owned()],
            outcome,
            duration: Duration::from_micros(1_234_567),
            init_duration: Some(Duration::from_millis(80)),
            pid: Some(7),
            memory_mb_used: Some(21),
            resting_memory_mb: Some(20),
            deleted_ids: vec!["a".to_owned()],
            delete_errors: Vec::new(),
        }
    }

    #[test]
    fn an_invocation_is_told_in_one_line() {
        let mut partial = report(Outcome::Succeeded {
            failed_ids: vec!["b".to_owned()],
        });
        insta::assert_snapshot!(describe(&partial, 512, false), @"8f8c1fd4-8a06-4a5b-9a0e-1f2d3c4b5a69  2 messages, 1 deleted, 1.235 s after 0.08 s of init, 21 MiB: 1 message failed: b");
        partial.init_duration = None;
        partial.outcome = Outcome::TimedOut;
        insta::assert_snapshot!(describe(&partial, 20, false), @"8f8c1fd4-8a06-4a5b-9a0e-1f2d3c4b5a69  2 messages, 1 deleted, 1.235 s, 21 MiB (more than its 20: AWS would have killed it): killed at its deadline");
    }

    #[test]
    fn a_failed_start_quotes_what_nobody_has_seen() {
        let failed = report(Outcome::InitFailed {
            detail: "it ended with exit status: 1 before it asked for its first event".to_owned(),
            output: vec!["one".to_owned(), "two".to_owned()],
        });
        assert!(!describe(&failed, 512, false).contains('\n'));
        assert!(describe(&failed, 512, true).ends_with("\nIts last lines:\n  | one\n  | two"));
    }

    #[test]
    fn json_rows_name_their_type_and_are_flat() {
        let report = report(Outcome::Succeeded {
            failed_ids: Vec::new(),
        });
        let row = serde_json::to_value(Row {
            r#type: "invocation",
            value: &report,
        });
        let expected = serde_json::json!({
            "type": "invocation", "request_id": "8f8c1fd4-8a06-4a5b-9a0e-1f2d3c4b5a69", "message_ids": ["a", "b"],
            "outcome": "succeeded", "failed_ids": [], "duration_ms": 1234, "init_duration_ms": 80, "pid": 7,
            "memory_mb_used": 21, "resting_memory_mb": 20, "deleted_ids": ["a"], "delete_errors": []
        });
        assert_eq!(row.unwrap(), expected);
        let row = serde_json::to_value(Row {
            r#type: "summary",
            value: &Summary::new(),
        });
        assert_eq!(row.unwrap()["ended"], "invocations");
    }
}
