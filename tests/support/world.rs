//! One test's bucket, queues, index prefix and function.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Event, NotificationConfiguration, QueueConfiguration};
use aws_sdk_sqs::types::QueueAttributeName;
use flowship::aws::AwsContext;
use flowship::aws::sqs::SqsQueue;
use flowship::cli::lambda_local::{FunctionOutput, FunctionSettings, LambdaLocal, MappingSettings};
use flowship::cli::lambda_local::{InvocationReport, Summary, Until};
use flowship::config::{ElasticsearchSettings, Environment, Installation};
use flowship::elasticsearch::{client::Client, setup};
use flowship::object::ObjectRef;
use flowship::quarantine::{Head, QuarantineFile, QuarantinedLine};
use flowship::queue::{MessageQueue, OutgoingMessage, ReceivedMessage};
use serde_json::{Value, json};

use super::Stack;

mod log;

/// Everything that a test works with. Nothing of it is shared with another test.
pub(crate) struct World {
    pub(crate) prefix: String,
    pub(crate) bucket: String,
    pub(crate) queue: SqsQueue,
    pub(crate) dead_letters: SqsQueue,
    pub(crate) elasticsearch: Client,
    /// Settings of the function; a test may change them before it runs it.
    pub(crate) variables: BTreeMap<String, String>,
    /// The function, or what starts it.
    pub(crate) binary: PathBuf,
    /// The timeout of the function.
    pub(crate) timeout: Duration,
    /// How messages reach the function.
    pub(crate) mapping: MappingSettings,
    s3: aws_sdk_s3::Client,
    sqs: aws_sdk_sqs::Client,
    log: Arc<Mutex<Vec<String>>>,
    /// Messages that are on their way to the queue since it was drained last: S3 sends its own with a delay.
    num_announced: AtomicU64,
}

/// One file in quarantine.
#[derive(Debug, PartialEq)]
pub(crate) struct Quarantined {
    pub(crate) key: String,
    pub(crate) head: Head,
    /// In the order of the object.
    pub(crate) lines: Vec<QuarantinedLine>,
}

/// How a world differs from the usual one.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Elasticsearch, if not the shared one.
    pub(crate) elasticsearch_url: Option<String>,
    /// How the test itself reaches it (`ELASTICSEARCH_…` settings beside the URL); the function is told nothing of it.
    pub(crate) admin: Vec<(&'static str, String)>,
    /// Seconds after which a message that was not deleted comes back.
    pub(crate) visibility_seconds: u32,
    /// Receives after which the queue's own redrive policy takes a message.
    pub(crate) max_receive_count: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            elasticsearch_url: None,
            admin: Vec::new(),
            visibility_seconds: 15,
            max_receive_count: 100,
        }
    }
}

impl World {
    /// A bucket whose notifications go to a queue with a dead-letter queue, and installed templates. `name`: of the
    /// test, unique in the run.
    pub(crate) async fn new(name: &str) -> Self {
        Self::with(name, Options::default()).await
    }

    pub(crate) async fn with(name: &str, options: Options) -> Self {
        static NAMES: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
        let is_new = NAMES.lock().unwrap().insert(name.to_owned());
        assert!(is_new, "two tests call their world `{name}`");
        let stack = Stack::shared();
        let config = stack.aws_config().await;
        let s3 = aws_sdk_s3::Client::from_conf(
            aws_sdk_s3::config::Builder::from(&config)
                .force_path_style(true)
                .build(),
        );
        let context = AwsContext::from_sdk_config(config.clone());
        let sqs = aws_sdk_sqs::Client::new(&config);
        let dlq_url = create_queue(&sqs, &format!("{name}-dlq"), &[]).await;
        let dead_letters = SqsQueue::new(&context, dlq_url.clone());
        let policy = redrive_policy(&dead_letters, options.max_receive_count).await;
        let visibility = options.visibility_seconds.to_string();
        let attributes = [
            (QueueAttributeName::VisibilityTimeout, visibility.as_str()),
            (QueueAttributeName::RedrivePolicy, &policy),
        ];
        let queue_url = create_queue(&sqs, name, &attributes).await;
        let queue = SqsQueue::new(&context, queue_url.clone());
        s3.create_bucket().bucket(name).send().await.unwrap();
        let notification = QueueConfiguration::builder()
            .queue_arn(queue.status().await.unwrap().arn)
            .events(Event::from("s3:ObjectCreated:*"))
            .build()
            .unwrap();
        s3.put_bucket_notification_configuration()
            .bucket(name)
            .notification_configuration(
                NotificationConfiguration::builder()
                    .queue_configurations(notification)
                    .build(),
            )
            .send()
            .await
            .unwrap();

        let quarantine = format!("{name}-quarantine");
        s3.create_bucket().bucket(&quarantine).send().await.unwrap();

        let elasticsearch_url = options
            .elasticsearch_url
            .unwrap_or_else(|| stack.elasticsearch_url.clone());
        let elasticsearch = connect(&elasticsearch_url, &options.admin).await;
        let installation = installation(name);
        let plan = setup::plan(&elasticsearch, &installation, false).await.unwrap();
        setup::apply(&elasticsearch, &plan).await.unwrap();

        let ledger = installation.ledger_index.unwrap();
        let mut variables = stack.aws_variables();
        for (variable, value) in [
            ("FLOWSHIP_ELASTICSEARCH_URLS", elasticsearch_url.as_str()),
            ("FLOWSHIP_QUEUE_URL", &queue_url),
            ("FLOWSHIP_DLQ_URL", &dlq_url),
            ("FLOWSHIP_INDEX_PREFIX", name),
            ("FLOWSHIP_LEDGER_INDEX", &ledger),
            ("FLOWSHIP_QUARANTINE_URI", &format!("s3://{quarantine}/bad")),
            ("FLOWSHIP_DEADLINE_MARGIN_MS", "3000"),
            ("FLOWSHIP_BACKOFF_BASE_SECONDS", "1"),
            ("FLOWSHIP_BACKOFF_MAX_SECONDS", "4"),
        ] {
            variables.insert(variable.to_owned(), value.to_owned());
        }
        Self {
            prefix: name.to_owned(),
            bucket: name.to_owned(),
            queue,
            dead_letters,
            elasticsearch,
            variables,
            binary: env!("CARGO_BIN_EXE_shipper").into(),
            timeout: Duration::from_secs(60),
            mapping: MappingSettings {
                poll_wait: Duration::from_secs(1),
                look_interval: Duration::from_millis(300),
                ..MappingSettings::default()
            },
            s3,
            sqs,
            log: Arc::default(),
            // S3's test event.
            num_announced: AtomicU64::new(1),
        }
    }

    /// Uploads an object; S3 sends the notification.
    pub(crate) async fn put(&self, key: &str, bytes: impl Into<Vec<u8>>) {
        self.num_announced.fetch_add(1, Ordering::Relaxed);
        let body = ByteStream::from(bytes.into());
        self.s3
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .body(body)
            .send()
            .await
            .unwrap();
    }

    /// Deletes an object; nobody is notified.
    pub(crate) async fn delete(&self, key: &str) {
        let delete = self.s3.delete_object().bucket(&self.bucket).key(key);
        delete.send().await.unwrap();
    }

    /// Uploads an object into a second bucket, of which nobody is notified. The answer is its URI.
    pub(crate) async fn put_elsewhere(&self, key: &str, bytes: Vec<u8>) -> String {
        let bucket = format!("{}-elsewhere", self.bucket);
        self.s3.create_bucket().bucket(&bucket).send().await.unwrap();
        let put = self.s3.put_object().bucket(&bucket).key(key);
        put.body(ByteStream::from(bytes)).send().await.unwrap();
        format!("s3://{bucket}/{key}")
    }

    /// Makes a bucket of which nobody is notified.
    pub(crate) async fn create_bucket(&self, bucket: &str) {
        self.s3.create_bucket().bucket(bucket).send().await.unwrap();
    }

    /// The files in quarantine by key, read as the library reads them.
    pub(crate) async fn quarantine(&self) -> Vec<Quarantined> {
        let uri = ObjectRef::parse_uri(&self.variables["FLOWSHIP_QUARANTINE_URI"]).unwrap();
        let list = self.s3.list_objects_v2().bucket(&uri.bucket).prefix(&uri.key);
        let mut files = Vec::new();
        for object in list.send().await.unwrap().contents() {
            let key = object.key().unwrap().to_owned();
            let get = self.s3.get_object().bucket(&uri.bucket).key(&key);
            let bytes = get
                .send()
                .await
                .unwrap()
                .body
                .collect()
                .await
                .unwrap()
                .into_bytes();
            let file = QuarantineFile::open(&bytes[..]).unwrap();
            let head = file.head.clone();
            let mut lines: Vec<QuarantinedLine> = file.map(Result::unwrap).collect();
            lines.sort_by_key(|line| line.line);
            files.push(Quarantined { key, head, lines });
        }
        files
    }

    /// Sends a message to the main queue.
    pub(crate) async fn send(&self, body: impl Into<String>) {
        self.num_announced.fetch_add(1, Ordering::Relaxed);
        let message = OutgoingMessage {
            body: body.into(),
            attributes: BTreeMap::new(),
        };
        self.queue.send(&message).await.unwrap();
    }

    /// An S3 event record for a key as S3 would write it into the event.
    pub(crate) fn record(&self, encoded_key: &str) -> Value {
        json!({"eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1",
               "eventName": "ObjectCreated:Put",
               "s3": {"bucket": {"name": self.bucket}, "object": {"key": encoded_key, "size": 1}}})
    }

    /// An S3 event that names these keys.
    pub(crate) fn event(&self, encoded_keys: &[&str]) -> String {
        let records: Vec<Value> = encoded_keys.iter().map(|key| self.record(key)).collect();
        json!({ "Records": records }).to_string()
    }

    /// The function with its event source mapping.
    pub(crate) async fn function(&self) -> LambdaLocal<SqsQueue> {
        let mut function = FunctionSettings::new(&self.binary);
        function.environment = self.variables.clone();
        function.timeout = self.timeout;
        let log = Arc::clone(&self.log);
        function.output =
            FunctionOutput::Lines(Arc::new(move |line| log.lock().unwrap().push(line.to_owned())));
        LambdaLocal::connect(self.queue.clone(), function, self.mapping.clone())
            .await
            .unwrap()
    }

    /// Runs the function until the queue is empty.
    pub(crate) async fn drain(&self) -> (Summary, Vec<InvocationReport>) {
        self.wait_for_announced().await;
        let reports = Mutex::new(Vec::new());
        let function = self.function().await;
        let run = function.run(Until::default().or_empty(), |report| {
            reports.lock().unwrap().push(report.clone());
        });
        let summary = tokio::time::timeout(Duration::from_secs(300), run)
            .await
            .expect("drained in time");
        let summary = summary.unwrap_or_else(|error| panic!("{error}\n{}", self.log().join("\n")));
        function.shut_down().await;
        (summary, reports.into_inner().unwrap())
    }

    /// Says that so many more messages are on their way.
    pub(crate) fn announced(&self, num_messages: u64) {
        self.num_announced.fetch_add(num_messages, Ordering::Relaxed);
    }

    /// Waits until every announced message is in the queue, or a while: a test may have taken some out itself.
    pub(crate) async fn wait_for_announced(&self) {
        let num_announced = self.num_announced.swap(0, Ordering::Relaxed);
        let limit = tokio::time::Instant::now() + Duration::from_secs(10);
        while self.num_messages().await < num_announced && tokio::time::Instant::now() < limit {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Documents of this test, by index.
    pub(crate) async fn documents(&self) -> BTreeMap<String, u64> {
        self.refresh().await;
        let body = json!({"size": 0, "aggs": {"index": {"terms": {"field": "_index", "size": 1000}}}});
        let answer = self.search(&body).await;
        let buckets = answer["aggregations"]["index"]["buckets"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        buckets
            .iter()
            .map(|bucket| {
                (
                    bucket["key"].as_str().unwrap().to_owned(),
                    bucket["doc_count"].as_u64().unwrap(),
                )
            })
            .collect()
    }

    /// All documents of this test.
    pub(crate) async fn num_documents(&self) -> u64 {
        self.documents().await.values().sum()
    }

    /// The same while the function runs: there may be no index yet.
    pub(crate) async fn num_documents_so_far(&self) -> u64 {
        let all = format!("{}-*", self.prefix);
        self.elasticsearch.post(&format!("{all}/_refresh"), "").await.ok();
        let answer = self.elasticsearch.get(&format!("{all}/_count")).await.unwrap();
        let count: Value = serde_json::from_slice(&answer.body).unwrap();
        count["count"].as_u64().unwrap_or_default()
    }

    pub(crate) async fn search(&self, body: &Value) -> Value {
        let path = format!("{}-*/_search?ignore_unavailable=true", self.prefix);
        let answer = self.elasticsearch.post(&path, body.to_string()).await.unwrap();
        let answer_body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(answer.status, 200, "{answer_body}");
        answer_body
    }

    async fn refresh(&self) {
        let path = format!("{}-*/_refresh?ignore_unavailable=true", self.prefix);
        let answer = self.elasticsearch.post(&path, "").await.unwrap();
        assert!(matches!(answer.status, 200 | 404), "{answer:?}");
    }

    /// Puts what Elasticsearch keeps under this path.
    pub(crate) async fn configure(&self, path: &str, body: &Value) {
        let answer = self.elasticsearch.put(path, body.to_string()).await.unwrap();
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }

    /// Receives this many notifications, to be delivered as one batch.
    pub(crate) async fn receive(&self, num_messages: usize) -> Vec<ReceivedMessage> {
        let mut messages = Vec::new();
        while messages.len() < num_messages {
            let received = self
                .queue
                .receive(10, Duration::from_secs(10), None)
                .await
                .unwrap();
            assert!(
                !received.is_empty(),
                "{} of {num_messages} messages",
                messages.len()
            );
            for message in received {
                if message.body.contains("s3:TestEvent") {
                    let deleted = self.queue.delete_batch(&[message.receipt_handle]).await;
                    assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
                } else {
                    messages.push(message);
                }
            }
        }
        assert_eq!(messages.len(), num_messages);
        messages
    }

    /// Takes every dead letter out of its queue.
    pub(crate) async fn take_dead_letters(&self) -> Vec<ReceivedMessage> {
        let mut all = Vec::new();
        loop {
            let messages = self.dead_letters.receive(10, Duration::ZERO, None).await.unwrap();
            if messages.is_empty() {
                return all;
            }
            let handles: Vec<String> = messages
                .iter()
                .map(|message| message.receipt_handle.clone())
                .collect();
            assert!(
                self.dead_letters
                    .delete_batch(&handles)
                    .await
                    .iter()
                    .all(Result::is_ok)
            );
            all.extend(messages);
        }
    }

    /// From now on the queue's own redrive policy takes messages after so many receives.
    pub(crate) async fn give_up_after(&self, max_receive_count: u32) {
        let policy = redrive_policy(&self.dead_letters, max_receive_count).await;
        let request = self.sqs.set_queue_attributes().queue_url(self.queue.url());
        let request = request.attributes(QueueAttributeName::RedrivePolicy, policy);
        request.send().await.unwrap();
    }

    /// How many messages the main queue still has, in whatever state.
    pub(crate) async fn num_messages(&self) -> u64 {
        let status = self.queue.status().await.unwrap();
        status.visible + status.in_flight + status.delayed
    }
}

/// The names of a test's indices. No pattern of a ledger holds another test's, and no search of `{name}-*` finds it.
pub(crate) fn installation(name: &str) -> Installation {
    Installation {
        index_prefix: name.to_owned(),
        ledger_index: Some(format!("flowship-ledger-{name}-world")),
    }
}

/// Runs `redrive` on the queues of this test, in a folder of its own.
pub(crate) fn redrive(world: &World, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    redrive_command(world, folder.path(), arguments).output().unwrap()
}

/// `redrive` on the queues of this test, to be run in this folder.
pub(crate) fn redrive_command(world: &World, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_redrive"));
    command.env_clear().envs(&world.variables);
    command.current_dir(folder).args(arguments);
    command
}

/// A dead letter's attribute as text.
pub(crate) fn attribute(letter: &ReceivedMessage, name: &str) -> String {
    letter
        .attributes
        .get(name)
        .and_then(|value| value.to_text())
        .unwrap_or_else(|| panic!("no `{name}`: {letter:?}"))
}

/// A client of the test itself; `settings` are `ELASTICSEARCH_…` settings beside the URL.
pub(crate) async fn connect(url: &str, settings: &[(&'static str, String)]) -> Client {
    let mut environment = Environment::default();
    environment.set("ELASTICSEARCH_URLS", Some(url));
    for (name, value) in settings {
        environment.set(name, Some(value.as_str()));
    }
    let settings = ElasticsearchSettings::read(&environment).unwrap();
    Client::connect(&settings, async |_: &str| unreachable!("no secret is named"))
        .await
        .unwrap()
}

async fn redrive_policy(dead_letters: &SqsQueue, max_receive_count: u32) -> String {
    let arn = dead_letters.status().await.unwrap().arn;
    json!({"deadLetterTargetArn": arn, "maxReceiveCount": max_receive_count}).to_string()
}

async fn create_queue(
    sqs: &aws_sdk_sqs::Client,
    name: &str,
    attributes: &[(QueueAttributeName, &str)],
) -> String {
    let mut request = sqs.create_queue().queue_name(name);
    for (attribute, value) in attributes {
        request = request.attributes(attribute.clone(), *value);
    }
    request.send().await.unwrap().queue_url.unwrap()
}

/// Looks until `condition` holds.
pub(crate) async fn wait_until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(120), waiting).await;
    waited.unwrap_or_else(|_| panic!("in two minutes it did not come about that {what}"));
}
