//! What is run, how messages reach it, and the environment that it sees.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use super::error::LambdaLocalError;
use super::event::EventSource;
use super::sandbox::random_hex;
use crate::queue::MAX_BATCH_ENTRIES;

/// Lambda's limit on the initialisation of a function. Source: Lambda Developer Guide, "execution environment".
const INIT_TIMEOUT: Duration = Duration::from_secs(10);

/// Largest batch and longest window of an event source mapping. Source: Lambda API, `CreateEventSourceMapping`.
const MAX_BATCH_SIZE: usize = 10_000;
const MAX_BATCHING_WINDOW: Duration = Duration::from_secs(300);

/// Longest wait of one `ReceiveMessage`. Source: SQS API.
const MAX_POLL_WAIT: Duration = Duration::from_secs(20);

/// Longest run of one invocation. Source: Lambda quotas.
const MAX_TIMEOUT: Duration = Duration::from_secs(900);

/// More processes than anybody runs at home.
const MAX_CONCURRENCY: usize = 100;

/// Where the lines go that a function writes to stdout and stderr.
#[derive(Clone)]
pub enum FunctionOutput {
    /// To our stderr.
    Stderr,
    /// Appended to this file.
    File(PathBuf),
    /// To whoever takes them, one call a line.
    Lines(Arc<dyn Fn(&str) + Send + Sync>),
}

impl fmt::Debug for FunctionOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stderr => f.write_str("Stderr"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Lines(_) => f.write_str("Lines"),
        }
    }
}

/// The function, as its configuration on AWS would describe it.
#[derive(Clone)]
pub struct FunctionSettings {
    /// The binary (on AWS: `bootstrap`).
    pub binary: PathBuf,
    /// Its name, as it sees it.
    pub name: String,
    /// Its environment, beside what AWS itself sets. Values may be secrets.
    pub environment: BTreeMap<String, String>,
    /// How long one invocation may run.
    pub timeout: Duration,
    /// How long a process may take until it asks for its first event.
    pub init_timeout: Duration,
    /// The memory it is told to have, MiB. Not enforced: compare [`InvocationReport::memory_mb_used`].
    ///
    /// [`InvocationReport::memory_mb_used`]: super::InvocationReport::memory_mb_used
    pub memory_mb: u32,
    /// Where its output goes.
    pub output: FunctionOutput,
}

impl fmt::Debug for FunctionSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values of the environment may be secrets.
        f.debug_struct("FunctionSettings")
            .field("binary", &self.binary)
            .field("environment", &self.environment.keys())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl FunctionSettings {
    /// This binary, named after its file, with 60 s, 512 MiB and an empty environment of its own.
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        let binary = binary.into();
        let name = binary.file_stem().map_or_else(
            || "function".to_owned(),
            |stem| stem.to_string_lossy().into_owned(),
        );
        Self {
            binary,
            name,
            environment: BTreeMap::new(),
            timeout: Duration::from_secs(60),
            init_timeout: INIT_TIMEOUT,
            memory_mb: 512,
            output: FunctionOutput::Stderr,
        }
    }

    /// Checks the values and finds the binary; its path is absolute afterwards.
    pub(super) fn checked(mut self) -> Result<Self, LambdaLocalError> {
        let timeout_ms = self.timeout.as_millis();
        if timeout_ms == 0 || self.timeout > MAX_TIMEOUT {
            return Err(LambdaLocalError::Setting(format!(
                "a timeout of {timeout_ms} ms is not allowed: give up to {} s",
                MAX_TIMEOUT.as_secs()
            )));
        }
        self.binary = find_binary(&self.binary)?;
        Ok(self)
    }

    /// The whole environment of a process: nothing of ours but what was asked for. Variables that AWS reserves win.
    pub(super) fn process_environment(
        &self,
        source: &EventSource,
        runtime_api: &str,
    ) -> BTreeMap<String, String> {
        let task_root = self.binary.parent().unwrap_or(Path::new("/"));
        let usual = [
            ("PATH", "/usr/local/bin:/usr/bin:/bin:/opt/bin".to_owned()),
            ("LANG", "en_US.UTF-8".to_owned()),
            ("TZ", ":UTC".to_owned()),
        ];
        let reserved = [
            ("AWS_LAMBDA_RUNTIME_API", runtime_api.to_owned()),
            ("AWS_LAMBDA_FUNCTION_NAME", self.name.clone()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", self.memory_mb.to_string()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", self.name)),
            ("AWS_LAMBDA_LOG_STREAM_NAME", log_stream_name()),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
            ("LAMBDA_TASK_ROOT", task_root.to_string_lossy().into_owned()),
            ("_HANDLER", "bootstrap".to_owned()),
        ];
        let mut environment: BTreeMap<String, String> = own(usual).collect();
        environment.extend(self.environment.clone());
        environment.extend(own(reserved));
        // Lambda sets both; whoever has set one means it for both.
        let region = ["AWS_REGION", "AWS_DEFAULT_REGION"]
            .iter()
            .find_map(|name| environment.get(*name).filter(|region| !region.is_empty()))
            .unwrap_or(&source.region)
            .clone();
        environment.insert("AWS_DEFAULT_REGION".to_owned(), region.clone());
        environment.insert("AWS_REGION".to_owned(), region);
        environment
    }
}

fn own<const N: usize>(pairs: [(&str, String); N]) -> impl Iterator<Item = (String, String)> {
    pairs.map(|(name, value)| (name.to_owned(), value)).into_iter()
}

fn log_stream_name() -> String {
    let day = Timestamp::now().strftime("%Y/%m/%d").to_string();
    format!("{day}/[$LATEST]{}", random_hex(32))
}

/// What a function gets of the caller's `variables`: `AWS_*` and `FLOWSHIP_*`, then `extra`, which wins.
///
/// `AWS_LAMBDA_*` of the caller are left out: they describe another function. A process without `HOME` does not find
/// the AWS configuration files of the caller, so their places are named.
pub fn function_environment(
    variables: &BTreeMap<String, String>,
    extra: impl IntoIterator<Item = (String, String)>,
) -> BTreeMap<String, String> {
    let mut environment: BTreeMap<String, String> = variables
        .iter()
        .filter(|(name, _)| name.starts_with("AWS_") || name.starts_with("FLOWSHIP_"))
        .filter(|(name, _)| !name.starts_with("AWS_LAMBDA_") && *name != "AWS_EXECUTION_ENV")
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if let Some(home) = variables.get("HOME") {
        for (name, file) in [
            ("AWS_CONFIG_FILE", "config"),
            ("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
        ] {
            let path = Path::new(home).join(".aws").join(file);
            if !environment.contains_key(name) && path.is_file() {
                environment.insert(name.to_owned(), path.to_string_lossy().into_owned());
            }
        }
    }
    environment.extend(extra);
    environment
}

/// How the event source mapping is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingSettings {
    /// Most messages of one invocation; over 10 only with a batching window.
    pub batch_size: usize,
    /// How long messages are collected after the first one, until the batch is full.
    pub batching_window: Duration,
    /// How long one look into the queue waits for a message; whole seconds, at most 20.
    pub poll_wait: Duration,
    /// Invocations at the same time, each in its own process.
    pub concurrency: usize,
    /// `ReportBatchItemFailures`: whether the answer says which messages failed.
    pub partial_batch_responses: bool,
    /// Failed starts in a row after which a run gives up.
    pub max_init_failures: u32,
    /// Looks in a row that must find the queue empty; SQS counts approximately.
    pub empty_looks: u32,
    /// Time between two such looks.
    pub look_interval: Duration,
    /// Pause after the first receive that failed; it grows with each further one.
    pub receive_retry_pause: Duration,
}

impl Default for MappingSettings {
    /// AWS's defaults, with partial batch responses and one invocation at a time.
    fn default() -> Self {
        Self {
            batch_size: 10,
            batching_window: Duration::ZERO,
            poll_wait: MAX_POLL_WAIT,
            concurrency: 1,
            partial_batch_responses: true,
            max_init_failures: 3,
            empty_looks: 3,
            look_interval: Duration::from_secs(2),
            receive_retry_pause: Duration::from_secs(1),
        }
    }
}

impl MappingSettings {
    /// Refuses what AWS would refuse.
    pub(super) fn check(&self) -> Result<(), LambdaLocalError> {
        let refuse = |reason: String| Err(LambdaLocalError::Setting(reason));
        if !(1..=MAX_BATCH_SIZE).contains(&self.batch_size) {
            return refuse(format!(
                "a batch size of {} is not allowed: give 1 to {MAX_BATCH_SIZE}",
                self.batch_size
            ));
        }
        if self.batch_size > MAX_BATCH_ENTRIES && self.batching_window < Duration::from_secs(1) {
            return refuse(format!(
                "a batch size over {MAX_BATCH_ENTRIES} needs a batching window of 1 s or more, as on AWS"
            ));
        }
        if self.batching_window > MAX_BATCHING_WINDOW {
            return refuse(format!(
                "a batching window of {} s is not allowed: give up to {} s",
                self.batching_window.as_secs(),
                MAX_BATCHING_WINDOW.as_secs()
            ));
        }
        if self.poll_wait > MAX_POLL_WAIT {
            return refuse(format!(
                "SQS waits at most {} s for a message",
                MAX_POLL_WAIT.as_secs()
            ));
        }
        if !(1..=MAX_CONCURRENCY).contains(&self.concurrency) {
            return refuse(format!(
                "a concurrency of {} is not allowed: give 1 to {MAX_CONCURRENCY}",
                self.concurrency
            ));
        }
        Ok(())
    }
}

/// When a run ends: at the first of what is set here. With nothing set it never does.
#[derive(Clone, Debug, Default)]
pub struct Until {
    empty: bool,
    invocations: Option<u64>,
    stop: Option<watch::Receiver<bool>>,
}

impl Until {
    /// When the queue has no visible, hidden or delayed message and none is being handled.
    #[must_use]
    pub fn or_empty(mut self) -> Self {
        self.empty = true;
        self
    }

    /// After this many invocations.
    #[must_use]
    pub fn or_invocations(mut self, invocations: u64) -> Self {
        self.invocations = Some(invocations);
        self
    }

    /// When the channel says `true`; invocations that run by then are finished.
    #[must_use]
    pub fn or_stopped(mut self, stop: watch::Receiver<bool>) -> Self {
        self.stop = Some(stop);
        self
    }

    pub(super) fn wants_empty(&self) -> bool {
        self.empty
    }

    pub(super) fn invocations(&self) -> Option<u64> {
        self.invocations
    }

    /// Ends when the channel says so; never, if there is none or nobody can say it any longer.
    pub(super) async fn stopped(&self) {
        if let Some(stop) = &self.stop
            && stop.clone().wait_for(|stop| *stop).await.is_ok()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}

fn find_binary(path: &Path) -> Result<PathBuf, LambdaLocalError> {
    let not_executable = || LambdaLocalError::NotExecutable {
        path: path.to_owned(),
    };
    let found = fs::canonicalize(path).map_err(|_missing| LambdaLocalError::FunctionMissing {
        path: path.to_owned(),
    })?;
    let metadata = fs::metadata(&found).map_err(|_unreadable| not_executable())?;
    if !metadata.is_file() || !is_executable(&metadata) {
        return Err(not_executable());
    }
    Ok(found)
}

fn is_executable(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o111 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(own).collect()
    }

    #[test]
    fn only_aws_and_flowship_variables_are_passed_on() {
        let caller = variables(&[
            ("AWS_REGION", "eu-west-1"),
            ("AWS_LAMBDA_FUNCTION_NAME", "other"),
            ("AWS_EXECUTION_ENV", "CloudShell"),
            ("FLOWSHIP_LOG", "info"),
            ("FLOWSHIP_DLQ_URL", "http://localhost/dlq"),
            ("SECRET", "x"),
            ("PATH", "/opt"),
        ]);
        let extra = [("FLOWSHIP_LOG", "debug"), ("OTHER", "1")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(
            function_environment(&caller, extra),
            variables(&[
                ("AWS_REGION", "eu-west-1"),
                ("FLOWSHIP_LOG", "debug"),
                ("FLOWSHIP_DLQ_URL", "http://localhost/dlq"),
                ("OTHER", "1"),
            ])
        );
    }

    #[test]
    fn the_callers_aws_files_are_named_where_they_exist() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(".aws")).unwrap();
        let config = home.path().join(".aws/config");
        fs::write(&config, "").unwrap();
        let caller = variables(&[("HOME", home.path().to_str().unwrap())]);
        assert_eq!(
            function_environment(&caller, []),
            variables(&[("AWS_CONFIG_FILE", config.to_str().unwrap())])
        );
    }

    #[test]
    fn what_aws_reserves_wins_and_the_region_is_never_missing() {
        let mut function = FunctionSettings::new("/opt/function/shipper");
        function.environment = variables(&[("AWS_LAMBDA_RUNTIME_API", "elsewhere"), ("PATH", "/opt")]);
        let source = EventSource::parse("arn:aws:sqs:eu-west-1:1:q").unwrap();
        let environment = function.process_environment(&source, "127.0.0.1:9");
        let get = |name: &str| environment.get(name).map(String::as_str);
        assert_eq!(get("AWS_LAMBDA_RUNTIME_API"), Some("127.0.0.1:9"));
        assert_eq!(get("PATH"), Some("/opt"));
        assert_eq!(get("AWS_REGION"), Some("eu-west-1"));
        assert_eq!(get("LAMBDA_TASK_ROOT"), Some("/opt/function"));
        assert_eq!(get("AWS_LAMBDA_FUNCTION_NAME"), Some("shipper"));
        assert_eq!(get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"), Some("512"));

        function.environment = variables(&[("AWS_DEFAULT_REGION", "us-west-2")]);
        let environment = function.process_environment(&source, "127.0.0.1:9");
        assert_eq!(
            environment.get("AWS_REGION").map(String::as_str),
            Some("us-west-2")
        );
    }

    #[test]
    fn what_aws_refuses_is_refused() {
        let check = |change: fn(&mut MappingSettings)| {
            let mut mapping = MappingSettings::default();
            change(&mut mapping);
            mapping.check().map_err(|error| error.to_string())
        };
        assert_eq!(check(|_| ()), Ok(()));
        let window = |mapping: &mut MappingSettings| {
            mapping.batch_size = 100;
            mapping.batching_window = Duration::from_secs(1);
        };
        assert_eq!(check(window), Ok(()));
        assert!(check(|mapping| mapping.batch_size = 0).is_err());
        assert!(check(|mapping| mapping.concurrency = 0).is_err());
        assert!(check(|mapping| mapping.poll_wait = Duration::from_secs(21)).is_err());
        assert!(check(|mapping| mapping.batching_window = Duration::from_secs(301)).is_err());
        assert_eq!(
            check(|mapping| mapping.batch_size = 11).unwrap_err(),
            "a batch size over 10 needs a batching window of 1 s or more, as on AWS"
        );
    }
}
