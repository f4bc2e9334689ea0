//! One execution environment: a process of the function and the Runtime API that it talks to, one event at a time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use super::child::{Child, Memory, Pids, Sink};
use super::error::LambdaLocalError;
use super::event::EventSource;
use super::runtime_api::{Answer, Call, Event, RuntimeApi, Verdict};
use super::settings::FunctionSettings;

/// How long a process that has reported an init error may take to end by itself.
const EXIT_TIMEOUT: Duration = Duration::from_secs(1);

/// What every process of the function has in common.
#[derive(Debug)]
pub(super) struct Launch {
    pub(super) function: FunctionSettings,
    pub(super) source: EventSource,
    pub(super) sink: Sink,
    pub(super) pids: Pids,
}

impl Launch {
    fn function_arn(&self) -> String {
        let EventSource { region, account, .. } = &self.source;
        format!(
            "arn:aws:lambda:{region}:{account}:function:{}",
            self.function.name
        )
    }
}

/// Why there is no sandbox.
#[derive(Debug)]
pub(super) enum StartError {
    /// The process started, but did not become ready.
    Init {
        /// How it ended.
        detail: String,
        /// The last lines that it wrote.
        output: Vec<String>,
        /// How long it lived.
        duration: Duration,
    },
    /// Nothing was started.
    Unable(LambdaLocalError),
}

/// How the process dealt with an event.
#[derive(Debug)]
pub(super) enum Ending {
    /// It answered, and is ready for the next event.
    Answered(Answer),
    /// It was killed at the deadline.
    TimedOut,
    /// It ended; the text says how.
    Crashed(String),
    /// It was gone before it got the event.
    Gone,
}

/// What one event came to.
#[derive(Debug)]
pub(super) struct Handled {
    pub(super) ending: Ending,
    pub(super) duration: Duration,
    pub(super) memory: Option<Memory>,
}

/// One execution environment. Dropping it kills the process.
#[derive(Debug)]
pub(super) struct Sandbox {
    child: Child,
    calls: mpsc::Receiver<Call>,
    _api: RuntimeApi,
    /// Where the process waits for its next event.
    waiting: Option<oneshot::Sender<Event>>,
    /// How long it took to become ready.
    pub(super) init_duration: Duration,
}

impl Sandbox {
    /// Starts a process and waits until it asks for its first event.
    pub(super) async fn start(launch: &Launch) -> Result<Self, StartError> {
        let (api, calls) = RuntimeApi::start()
            .await
            .map_err(|source| StartError::Unable(LambdaLocalError::Listen { source }))?;
        let function = &launch.function;
        let environment = function.process_environment(&launch.source, &api.address());
        let started = Instant::now();
        let child = Child::start(&function.binary, &environment, &launch.sink, &launch.pids)
            .map_err(StartError::Unable)?;
        let mut sandbox = Self {
            child,
            calls,
            _api: api,
            waiting: None,
            init_duration: Duration::ZERO,
        };
        let ready = timeout(function.init_timeout, sandbox.wait_until_ready()).await;
        sandbox.init_duration = started.elapsed();
        let detail = match ready {
            Ok(Ok(())) => return Ok(sandbox),
            Ok(Err(detail)) => detail,
            Err(_elapsed) => format!(
                "it did not ask for its first event within {} and was killed",
                in_seconds(function.init_timeout)
            ),
        };
        sandbox.child.kill().await;
        Err(StartError::Init {
            detail,
            output: sandbox.child.last_lines(),
            duration: sandbox.init_duration,
        })
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Whether the process is still there.
    pub(super) fn is_alive(&mut self) -> bool {
        self.child.is_alive()
    }

    /// Kills the process and waits until it is gone.
    pub(super) async fn kill(&mut self) {
        self.child.kill().await;
    }

    async fn wait_until_ready(&mut self) -> Result<(), String> {
        loop {
            tokio::select! {
                biased;
                Some(call) = self.calls.recv() => match call {
                    Call::Next(waiting) => {
                        self.waiting = Some(waiting);
                        return Ok(());
                    }
                    Call::Answer { verdict, .. } => reply(verdict, Verdict::InvalidRequestId),
                    Call::InitError { error, verdict } => {
                        reply(verdict, Verdict::Accepted);
                        // Either way it is killed next; its own end only gives it time for its last lines.
                        drop(timeout(EXIT_TIMEOUT, self.child.ended()).await);
                        return Err(format!("it reported {}: {}", error.error_type, error.message));
                    }
                },
                status = self.child.ended() => {
                    let status = describe(status);
                    return Err(format!("it ended with {status} before it asked for its first event"));
                }
            }
        }
    }

    /// Delivers an event and waits for the answer, the deadline or the end of the process. After anything but
    /// [`Ending::Answered`] the process is gone.
    pub(super) async fn handle(&mut self, launch: &Launch, request_id: &str, body: Bytes) -> Handled {
        let mut started = Instant::now();
        let limit = launch.function.timeout;
        let mut event = Some(new_event(launch, request_id, body));
        let mut deadline = started + limit;
        let ending = loop {
            if let Some(waiting) = self.waiting.take()
                && let Some(mut open) = event.take()
            {
                started = Instant::now();
                deadline = started + limit;
                open.deadline_ms = unix_ms_after(limit);
                // Whoever waited may have given up and asked again on another connection.
                event = waiting.send(open).err();
            }
            tokio::select! {
                biased;
                Some(call) = self.calls.recv() => match call {
                    Call::Next(waiting) if event.is_some() => self.waiting = Some(waiting),
                    // Asking again without an answer: as on AWS, it gets none.
                    Call::Next(waiting) => drop(waiting),
                    Call::Answer { request_id: answered, answer, verdict } => {
                        if event.is_some() || answered != request_id {
                            reply(verdict, Verdict::InvalidRequestId);
                            continue;
                        }
                        let too_large = matches!(answer, Answer::TooLarge);
                        reply(verdict, if too_large { Verdict::TooLarge } else { Verdict::Accepted });
                        break Ending::Answered(answer);
                    }
                    Call::InitError { verdict, .. } => reply(verdict, Verdict::InvalidState),
                },
                status = self.child.ended() => {
                    break if event.is_some() { Ending::Gone } else { Ending::Crashed(describe(status)) };
                }
                () = sleep_until(deadline) => break Ending::TimedOut,
            }
        };
        let duration = started.elapsed();
        let memory = self.child.memory();
        if !matches!(ending, Ending::Answered(_)) {
            self.child.kill().await;
        }
        Handled {
            ending,
            duration,
            memory,
        }
    }
}

fn new_event(launch: &Launch, request_id: &str, body: Bytes) -> Event {
    let seconds = unix_ms_after(Duration::ZERO) / 1000;
    let (root, parent) = (random_hex(24), random_hex(16));
    Event {
        request_id: request_id.to_owned(),
        deadline_ms: 0,
        function_arn: launch.function_arn(),
        trace_id: format!("Root=1-{seconds:08x}-{root};Parent={parent};Sampled=0"),
        body,
    }
}

/// Nobody may be listening any longer; then nobody minds.
fn reply(verdict: oneshot::Sender<Verdict>, what: Verdict) {
    verdict.send(what).ok();
}

fn describe(status: Result<std::process::ExitStatus, String>) -> String {
    match status {
        Ok(status) => status.to_string(),
        Err(error) => format!("an unknown status ({error})"),
    }
}

fn unix_ms_after(time: Duration) -> u128 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (now + time).as_millis()
}

/// A duration as people write it, to the millisecond.
pub(super) fn in_seconds(duration: Duration) -> String {
    format!("{} s", (duration.as_secs_f64() * 1000.0).round() / 1000.0)
}

/// Random digits; for ids that nobody has to guard.
pub(super) fn random_hex(num_digits: usize) -> String {
    (0..num_digits)
        .map(|_| char::from(b"0123456789abcdef"[fastrand::usize(0..16)]))
        .collect()
}

/// A random UUID (version 4), as Lambda's request ids are.
pub(super) fn new_request_id() -> String {
    let variant = ["8", "9", "a", "b"][fastrand::usize(0..4)];
    format!(
        "{}-{}-4{}-{variant}{}-{}",
        random_hex(8),
        random_hex(4),
        random_hex(3),
        random_hex(3),
        random_hex(12)
    )
}
