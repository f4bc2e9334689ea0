//! The function here is a real process: `function.py`, which does what a message's body tells it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

use self::queue::TestQueue;
use super::*;

mod outcomes;
mod queue;
mod runs;

/// Nothing here takes this long.
const LIMIT: Duration = Duration::from_secs(60);

/// A function, its queue, and what both have seen.
struct Stage {
    queue: TestQueue,
    function: FunctionSettings,
    mapping: MappingSettings,
    output: Arc<Mutex<Vec<String>>>,
    folder: TempDir,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let output: Arc<Mutex<Vec<String>>> = Arc::default();
        let lines = Arc::clone(&output);
        let mut function = FunctionSettings::new(function_file());
        function.output =
            FunctionOutput::Lines(Arc::new(move |line| lines.lock().unwrap().push(line.to_owned())));
        // An interpreter may be anywhere; AWS's own PATH comes first so that a slow wrapper is not taken.
        let path = config::process_variables().remove("PATH").unwrap_or_default();
        let path = format!("/usr/local/bin:/usr/bin:/bin:{path}");
        function.environment.insert("PATH".to_owned(), path);
        let record = folder.path().join("record").to_string_lossy().into_owned();
        function.environment.insert("RECORD".to_owned(), record);
        let mapping = MappingSettings {
            poll_wait: Duration::from_secs(1),
            look_interval: Duration::from_millis(20),
            receive_retry_pause: Duration::from_millis(1),
            ..MappingSettings::default()
        };
        Self {
            queue: TestQueue::new(Duration::from_secs(600)),
            function,
            mapping,
            output,
            folder,
        }
    }

    /// Sets a variable of the function.
    fn with(mut self, name: &str, value: &str) -> Self {
        self.function
            .environment
            .insert(name.to_owned(), value.to_owned());
        self
    }

    async fn connect(&self) -> LambdaLocal<TestQueue> {
        let connected = LambdaLocal::connect(self.queue.clone(), self.function.clone(), self.mapping.clone());
        connected.await.unwrap()
    }

    /// Runs and collects the reports.
    async fn run(&self, until: Until) -> (Vec<InvocationReport>, Result<Summary, LambdaLocalError>) {
        let lambda = self.connect().await;
        let reports = Mutex::new(Vec::new());
        let run = lambda.run(until, |report| reports.lock().unwrap().push(report.clone()));
        let result = timeout(LIMIT, run).await.expect("the run ends");
        (reports.into_inner().unwrap(), result)
    }

    /// Puts these bodies, delivers them as one batch and settles it.
    async fn deliver<const N: usize>(
        &self,
        lambda: &LambdaLocal<TestQueue>,
        bodies: [&str; N],
    ) -> InvocationReport {
        self.queue.put(bodies);
        let messages = lambda.receive_batch().await.unwrap();
        assert_eq!(messages.len(), N);
        let mut report = timeout(LIMIT, lambda.invoke(&messages)).await.unwrap().unwrap();
        lambda.settle(&messages, &mut report).await;
        report
    }

    /// What the function noted, oldest first.
    fn record(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.path().join("record")).unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The notes that have this key, only its value.
    fn recorded(&self, key: &str) -> Vec<Value> {
        let notes = self.record().into_iter();
        notes
            .filter_map(|mut note| Some(note.get_mut(key)?.take()))
            .collect()
    }
}

fn function_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/lambda_local/tests/function.py")
}

async fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Whether a process is there; one that has ended and was not waited for does not count.
fn is_running(pid: u64) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}
