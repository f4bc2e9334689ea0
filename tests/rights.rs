//! The rights that `infra/` grants the function, against the calls that it makes: the whole path, with a proxy between
//! the real binary and S3, SQS and Secrets Manager.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use serde_json::{Value, json};

use crate::support::mmdb::Description;
use crate::support::proxy::{Fault, Requests, Uses};
use crate::support::stack::repository;
use crate::support::{FaultProxy, FlowLog, Stack, World};

/// Every call that anything of ours makes, with the action that it needs; how it looks on the wire.
/// Source: "Actions, resources, and condition keys" for each service, service authorization reference.
const CALLS: [(&str, &[&str]); 12] = [
    // Also `s3:GetObject`'s, and counted there too: a read of a version needs this instead.
    (GET_VERSION, &["GET /", "x-id=GetObject", "versionId="]),
    ("s3:GetObject", &["GET /", "x-id=GetObject"]),
    ("s3:ListBucket", &["GET /", "list-type=2"]),
    ("s3:PutObject", &["PUT /", "x-id=PutObject"]),
    (
        "secretsmanager:GetSecretValue",
        &["secretsmanager.GetSecretValue"],
    ),
    (
        "sqs:ChangeMessageVisibility",
        &["AmazonSQS.ChangeMessageVisibility"],
    ),
    ("sqs:DeleteMessage", &["AmazonSQS.DeleteMessage"]),
    ("sqs:GetQueueAttributes", &["AmazonSQS.GetQueueAttributes"]),
    (GET_QUEUE_URL, &["AmazonSQS.GetQueueUrl"]),
    (
        "sqs:ListDeadLetterSourceQueues",
        &["AmazonSQS.ListDeadLetterSourceQueues"],
    ),
    ("sqs:ReceiveMessage", &["AmazonSQS.ReceiveMessage"]),
    ("sqs:SendMessage", &["AmazonSQS.SendMessage"]),
];
const GET_VERSION: &str = "s3:GetObjectVersion";
const GET_QUEUE_URL: &str = "sqs:GetQueueUrl";

/// A proxy that counts [`CALLS`] and everything else.
struct Recorder {
    proxy: FaultProxy,
}

impl Recorder {
    async fn start() -> Self {
        let proxy = FaultProxy::start(&Stack::shared().aws_url).await;
        let anything: &[&str] = &[];
        for naming in CALLS.into_iter().map(|(_, naming)| naming).chain([anything]) {
            proxy.add(Requests::naming(naming), Fault::Reset, Uses::Times(0));
        }
        Self { proxy }
    }

    /// The actions that were needed until now.
    fn actions(&self) -> BTreeSet<String> {
        let mut counts: Vec<u64> = self.proxy.tallies().iter().map(|tally| tally.requests).collect();
        let all = counts.pop().unwrap();
        counts[1] -= counts[0];
        assert_eq!(
            counts.iter().sum::<u64>(),
            all,
            "a call that is in no row: {counts:?}"
        );
        let called = CALLS.iter().zip(counts).filter(|(_, count)| *count > 0);
        called.map(|((action, _), _)| (*action).to_owned()).collect()
    }
}

/// The actions that the page grants on behalf of the function's own calls.
fn granted() -> BTreeSet<String> {
    let page = fs::read_to_string(repository("infra/rights.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    rows.filter(|cells| cells[2].starts_with("shipper"))
        .map(|cells| cells[0].trim_end_matches('`').to_owned())
        .collect()
}

/// Handles one message, which finds Elasticsearch away.
async fn fail_one(world: &mut World) {
    const URLS: &str = "FLOWSHIP_ELASTICSEARCH_URLS";
    let away = "http://127.0.0.1:1".to_owned();
    let elasticsearch = world.variables.insert(URLS.to_owned(), away).unwrap();
    let messages = world.receive(1).await;
    let function = world.function().await;
    let report = function.invoke(&messages).await.unwrap();
    assert!(!report.outcome.is_complete_success(), "{report:?}");
    function.shut_down().await;
    world.variables.insert(URLS.to_owned(), elasticsearch);
}

/// A world whose function uses every service: a secret, a database in S3, a quarantine, both queues.
async fn world_behind(recorder: &Recorder, config: &aws_config::SdkConfig) -> World {
    let mut world = World::new("rights").await;
    let city = Description::parse(include_str!("data/geo/city.json")).write();
    let city = world.put_elsewhere("city.mmdb", city).await;
    let secret = json!({"username": "u", "password": "p"}).to_string();
    let create = aws_sdk_secretsmanager::Client::new(config).create_secret();
    let secret = create.name("rights").secret_string(secret).send().await.unwrap();
    world.timeout = Duration::from_secs(4);
    world.variables.extend([
        ("AWS_ENDPOINT_URL".into(), recorder.proxy.url()),
        ("FLOWSHIP_ELASTICSEARCH_SECRET_ARN".into(), secret.arn.unwrap()),
        ("FLOWSHIP_GEO_CITY_DB".into(), city),
        ("FLOWSHIP_BULK_IN_FLIGHT".into(), "1".into()),
        ("FLOWSHIP_BULK_MAX_BYTES".into(), (1 << 20).to_string()),
        ("FLOWSHIP_DEADLINE_MARGIN_MS".into(), "20000".into()),
        ("FLOWSHIP_MAX_RECEIVES".into(), "100".into()),
    ]);
    world
}

async fn keep_versions(bucket: &str, config: &aws_config::SdkConfig) {
    let s3 = aws_sdk_s3::config::Builder::from(config).force_path_style(true);
    let call = aws_sdk_s3::Client::from_conf(s3.build()).put_bucket_versioning();
    let enabled = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled);
    let call = call.bucket(bucket).versioning_configuration(enabled.build());
    call.send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_function_calls_what_its_role_allows_and_needs_all_of_it() {
    let recorder = Recorder::start().await;
    let config = Stack::shared().aws_config().await;
    let mut world = world_behind(&recorder, &config).await;
    let bad_line = FlowLog::new().records(1, 0, 9).line("2 123 eni-1 x", 0);
    world.put("bad-line.gz", bad_line.gzip()).await;
    fail_one(&mut world).await;
    world.send(world.event(&["missing.gz"])).await;
    keep_versions(&world.bucket, &config).await;
    let large = FlowLog::new().records(2, 0, 60_000);
    world.put("large.gz", large.gzip()).await;
    world.drain().await;

    assert_eq!(world.num_documents().await, 60_009);
    assert_eq!(world.quarantine().await.len(), 1);
    assert_eq!(world.take_dead_letters().await.len(), 1);
    let went_on = |line: &Value| line["becomes"] == "goes on";
    assert!(
        world.object_log().iter().any(went_on),
        "one invocation was enough"
    );
    assert_eq!(recorder.actions(), granted());

    // Without `QUEUE_URL`, which both templates set, the function asks for it.
    world.variables.remove("FLOWSHIP_QUEUE_URL");
    world
        .put("again.gz", FlowLog::new().records(3, 0, 1).gzip())
        .await;
    fail_one(&mut world).await;
    let mut more = granted();
    more.insert(GET_QUEUE_URL.to_owned());
    assert_eq!(recorder.actions(), more);
}
