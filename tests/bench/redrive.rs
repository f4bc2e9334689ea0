//! `redrive send --yes --rate 0 --no-canary` beside plain loops of the SDK's own batch calls, on LocalStack: messages a
//! second while they are sent and deleted, and with receiving them first.
//!
//! ```text
//! cargo bench --bench redrive               # 5,000 letters, three times
//! cargo test --bench redrive -- 5000 3      # the same with the build of the tests
//! ```
//!
//! All are measured in turn, each on queues of its own. LocalStack is one Python process: what the loops with several
//! calls at a time reach is its limit on this machine.
#![allow(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Credentials;
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, Message, MessageAttributeValue, QueueAttributeName,
    SendMessageBatchRequestEntry,
};
use aws_smithy_http_client::{Builder, tls};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// The most of one call.
const BATCH: usize = 10;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_bench = arguments.iter().any(|argument| argument == "--bench");
    let numbers: Vec<usize> = arguments
        .iter()
        .filter_map(|argument| argument.parse().ok())
        .collect();
    let (num_letters, num_rounds) = match numbers[..] {
        [num_letters, num_rounds] => (num_letters, num_rounds),
        _ if is_bench => (5000, 3),
        _ => (50, 1),
    };
    let runtime = tokio::runtime::Runtime::new().expect("there are threads");
    let server = Server::start();
    runtime.block_on(compare(&server, num_letters, num_rounds));
}

async fn compare(server: &Server, num_letters: usize, num_rounds: usize) {
    let sqs = server.client().await;
    println!("{num_letters} letters: a second while sent and deleted (received, too)");
    for round in 0..num_rounds {
        let mut line = Vec::new();
        for lanes in [1, 4, 8] {
            let queues = Queues::create(&sqs, &format!("loop-{lanes}-{round}"), num_letters).await;
            line.push(format!("loop x{lanes} {}", queues.run_loop(&sqs, lanes).await));
        }
        let queues = Queues::create(&sqs, &format!("redrive-{round}"), num_letters).await;
        line.push(format!("redrive {}", queues.run_redrive(server)));
        println!("  {}", line.join("   "));
    }
}

/// Messages a second.
struct Speed {
    sending: f64,
    all: f64,
}

impl std::fmt::Display for Speed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.0} ({:.0})", self.sending, self.all)
    }
}

/// A full dead-letter queue, and where its letters go.
struct Queues {
    main: String,
    dlq: String,
    num_letters: usize,
}

impl Queues {
    async fn create(sqs: &Client, name: &str, num_letters: usize) -> Self {
        let dlq = create_queue(sqs, &format!("{name}-dlq"), None).await;
        let attributes = sqs.get_queue_attributes().queue_url(&dlq);
        let attributes = attributes.attribute_names(QueueAttributeName::QueueArn);
        let attributes = attributes
            .send()
            .await
            .expect("the queue is there")
            .attributes
            .unwrap_or_default();
        let policy =
            json!({"deadLetterTargetArn": attributes[&QueueAttributeName::QueueArn], "maxReceiveCount": 10});
        let main = create_queue(sqs, name, Some(policy.to_string())).await;
        for first in (0..num_letters).step_by(BATCH) {
            let mut call = sqs.send_message_batch().queue_url(&dlq);
            for number in first..num_letters.min(first + BATCH) {
                call = call.entries(letter(number));
            }
            let answer = call.send().await.expect("LocalStack takes the letters");
            assert!(answer.failed().is_empty(), "{answer:?}");
        }
        Self {
            main,
            dlq,
            num_letters,
        }
    }

    /// Receives all, then sends and deletes with so many calls at a time.
    async fn run_loop(&self, sqs: &Client, num_lanes: usize) -> Speed {
        let began = Instant::now();
        let mut batches = Vec::new();
        let mut num_received = 0;
        while num_received < self.num_letters {
            let call = sqs
                .receive_message()
                .queue_url(&self.dlq)
                .visibility_timeout(3600);
            let call = call.max_number_of_messages(10).message_attribute_names("All");
            let messages = call.send().await.expect("LocalStack answers").messages;
            let messages = messages.unwrap_or_default();
            num_received += messages.len();
            batches.push(messages);
        }
        let sending = Instant::now();
        let batches = Arc::new(Mutex::new(batches));
        let mut lanes = JoinSet::new();
        for _ in 0..num_lanes {
            let (sqs, main, dlq) = (sqs.clone(), self.main.clone(), self.dlq.clone());
            let batches = Arc::clone(&batches);
            let next = move || batches.lock().expect("no lane panics").pop();
            lanes.spawn(async move {
                while let Some(messages) = next() {
                    send_and_delete(&sqs, &main, &dlq, messages).await;
                }
            });
        }
        lanes.join_all().await;
        Speed {
            sending: self.num_letters as f64 / sending.elapsed().as_secs_f64(),
            all: self.num_letters as f64 / began.elapsed().as_secs_f64(),
        }
    }

    /// The real program; its journal tells when it sent.
    fn run_redrive(&self, server: &Server) -> Speed {
        let folder = tempfile::tempdir().expect("there is a folder for temporary files");
        let journal = folder.path().join("journal.ndjson");
        let began = Instant::now();
        let output = Command::new(env!("CARGO_BIN_EXE_redrive"))
            .env_clear()
            .envs(server.variables())
            .args(["send", "--yes", "--rate", "0", "--no-canary", "--json"])
            .args(["--queue-url", &self.main, "--dlq-url", &self.dlq, "--journal"])
            .arg(&journal)
            .output()
            .expect("redrive can be run");
        let all = began.elapsed().as_secs_f64();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        assert_eq!(report["sent"], self.num_letters, "{output:?}");
        Speed {
            sending: self.num_letters as f64 / seconds_of_sending(&journal),
            all: self.num_letters as f64 / all,
        }
    }
}

async fn create_queue(sqs: &Client, name: &str, redrive_policy: Option<String>) -> String {
    let mut call = sqs.create_queue().queue_name(name);
    if let Some(policy) = redrive_policy {
        call = call.attributes(QueueAttributeName::RedrivePolicy, policy);
    }
    let answer = call.send().await.expect("LocalStack makes queues");
    answer.queue_url.expect("a queue has a URL")
}

/// As the function writes them: about 900 bytes with nine attributes.
fn letter(number: usize) -> SendMessageBatchRequestEntry {
    let key = format!(
        "AWSLogs/123456789012/vpcflowlogs/us-east-1/2026/11/20/\
         123456789012_vpcflowlogs_us-east-1_fl-1234abcd_20261120T0300Z_{number:08x}.log.gz"
    );
    let record = json!({"eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1",
        "eventTime": "2026-11-20T03:05:12.345Z", "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "flow-logs"}, "object": {"key": key, "size": 1_234_567}}});
    let text = |value: &str| attribute("String", value);
    let count = |value: &str| attribute("Number", value);
    SendMessageBatchRequestEntry::builder()
        .id(number.to_string())
        .message_body(json!({ "Records": [record] }).to_string())
        .message_attributes("reason", text("bulk.unavailable"))
        .message_attributes("disposition", text("transient"))
        .message_attributes(
            "detail",
            text("no answer within 90 s from https://es.example.com:9200"),
        )
        .message_attributes("attempts", count("5"))
        .message_attributes("hops", count("0"))
        .message_attributes("failed_at", text("2026-11-20T03:11:00Z"))
        .message_attributes("request_id", text("5fea7756-0ea4-451a-a703-a558b933e274"))
        .message_attributes("progress", text("{\"lines\":0,\"indexed\":0,\"duplicate\":0}"))
        .message_attributes("version", text("0.1.0"))
        .build()
        .expect("id and body are set")
}

fn attribute(data_type: &str, value: &str) -> MessageAttributeValue {
    let builder = MessageAttributeValue::builder().data_type(data_type);
    builder.string_value(value).build().expect("the type is set")
}

async fn send_and_delete(sqs: &Client, main: &str, dlq: &str, messages: Vec<Message>) {
    let mut send = sqs.send_message_batch().queue_url(main);
    let mut delete = sqs.delete_message_batch().queue_url(dlq);
    for (position, message) in messages.into_iter().enumerate() {
        let entry = SendMessageBatchRequestEntry::builder()
            .id(position.to_string())
            .message_body(message.body.expect("it has a body"))
            .set_message_attributes(message.message_attributes);
        send = send.entries(entry.build().expect("id and body are set"));
        let entry = DeleteMessageBatchRequestEntry::builder()
            .id(position.to_string())
            .receipt_handle(message.receipt_handle.expect("it was received"));
        delete = delete.entries(entry.build().expect("id and handle are set"));
    }
    let sent = send.send().await.expect("LocalStack answers");
    assert!(sent.failed().is_empty(), "{sent:?}");
    let deleted = delete.send().await.expect("LocalStack answers");
    assert!(deleted.failed().is_empty(), "{deleted:?}");
}

/// From the first `sending` to the last `deleted`.
fn seconds_of_sending(journal: &Path) -> f64 {
    let text = fs::read_to_string(journal).expect("a run has a journal");
    let rows = text.lines().map(serde_json::from_str::<Value>);
    let rows: Vec<Value> = rows.collect::<Result<_, _>>().expect("rows are JSON");
    let at = |row: &Value| -> Timestamp {
        let at = row["at"].as_str().and_then(|at| at.parse().ok());
        at.expect("a row has a time")
    };
    let first = rows.iter().find(|row| row["event"] == "sending");
    let last = rows.iter().rfind(|row| row["event"] == "deleted");
    let (first, last) = (first.expect("it sent"), last.expect("it deleted"));
    at(last).duration_since(at(first)).as_secs_f64()
}

/// LocalStack, stopped when dropped.
struct Server {
    state: PathBuf,
    url: String,
}

impl Server {
    fn start() -> Self {
        let state = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench-redrive");
        let url = aws(&["start", "--port", "0"], &state);
        Self { state, url }
    }

    fn variables(&self) -> [(&str, &str); 5] {
        [
            ("AWS_ENDPOINT_URL", &self.url),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ]
    }

    async fn client(&self) -> Client {
        let tls = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
        let config = aws_config::defaults(BehaviorVersion::latest())
            .http_client(Builder::new().tls_provider(tls).build_https())
            .endpoint_url(&self.url)
            .region(Region::from_static("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "bench"));
        Client::new(&config.load().await)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        aws(&["stop", "--remove"], &self.state);
    }
}

/// Runs `infra/local/aws`; what it prints on stdout.
fn aws(arguments: &[&str], state: &Path) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("infra/local/aws");
    let command = Command::new(script)
        .args(arguments)
        .arg("--state")
        .arg(state)
        .stderr(Stdio::inherit())
        .output();
    let output = command.expect("infra/local/aws can be run");
    assert!(
        output.status.success(),
        "infra/local/aws {arguments:?} failed, see above"
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
