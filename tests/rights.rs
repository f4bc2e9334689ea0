//! The rights that `infra/` grants the function, against the calls that it makes: the whole path, with a proxy between
//! the real binary and S3, SQS and Secrets Manager.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use flowship::cli::lambda_local::Until;
use serde_json::json;

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

async fn invoke_once(world: &World) {
    let function = world.function().await;
    let run = function.run(Until::default().or_invocations(1), |_report| {});
    let run = tokio::time::timeout(Duration::from_secs(120), run).await;
    run.expect("a message comes").unwrap();
    function.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_function_calls_what_its_role_allows_and_needs_all_of_it() {
    let recorder = Recorder::start().await;
    let config = Stack::shared().aws_config().await;
    let s3 = aws_sdk_s3::config::Builder::from(&config).force_path_style(true);
    let s3 = aws_sdk_s3::Client::from_conf(s3.build());

    let mut world = World::new("rights").await;
    let city = Description::parse(include_str!("data/geo/city.json")).write();
    let city = world.put_elsewhere("city.mmdb", city).await;
    let secret = aws_sdk_secretsmanager::Client::new(&config).create_secret();
    let secret = secret
        .name("rights")
        .secret_string(json!({"username": "u", "password": "p"}).to_string());
    let secret = secret.send().await.unwrap().arn.unwrap();
    let elasticsearch = world.variables["FLOWSHIP_ELASTICSEARCH_URLS"].clone();
    world.timeout = Duration::from_secs(4);
    world.variables.extend([
        ("AWS_ENDPOINT_URL".into(), recorder.proxy.url()),
        ("FLOWSHIP_ELASTICSEARCH_SECRET_ARN".into(), secret),
        ("FLOWSHIP_GEO_CITY_DB".into(), city),
        ("FLOWSHIP_BULK_IN_FLIGHT".into(), "1".into()),
        ("FLOWSHIP_BULK_MAX_BYTES".into(), (1 << 20).to_string()),
        ("FLOWSHIP_DEADLINE_MARGIN_MS".into(), "20000".into()),
        ("FLOWSHIP_MAX_RECEIVES".into(), "100".into()),
    ]);

    let bad_line = FlowLog::new().records(1, 0, 9).line("2 123 eni-1 x", 0);
    world.put("bad-line.gz", bad_line.gzip()).await;
    world.send(world.event(&["missing.gz"])).await;
    // Elasticsearch is away: messages are put off.
    world
        .variables
        .insert("FLOWSHIP_ELASTICSEARCH_URLS".into(), "http://127.0.0.1:1".into());
    invoke_once(&world).await;
    world
        .variables
        .insert("FLOWSHIP_ELASTICSEARCH_URLS".into(), elasticsearch);
    let versions = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled);
    let versions = s3
        .put_bucket_versioning()
        .versioning_configuration(versions.build());
    versions.bucket(&world.bucket).send().await.unwrap();
    // More than one invocation has time for.
    world
        .put("large.gz", FlowLog::new().records(2, 0, 60_000).gzip())
        .await;
    world.drain().await;

    assert_eq!(world.num_documents().await, 60_009);
    assert_eq!(world.quarantine().await.len(), 1);
    assert_eq!(world.take_dead_letters().await.len(), 1);
    let went_on = |line: &serde_json::Value| line["becomes"] == "goes on";
    assert!(world.object_log().iter().any(went_on));
    assert_eq!(recorder.actions(), granted());

    // Without `QUEUE_URL`, which both templates set, the function asks for it.
    world.variables.remove("FLOWSHIP_QUEUE_URL");
    world
        .variables
        .insert("FLOWSHIP_ELASTICSEARCH_URLS".into(), "http://127.0.0.1:1".into());
    world
        .put("again.gz", FlowLog::new().records(3, 0, 1).gzip())
        .await;
    invoke_once(&world).await;
    let mut more = granted();
    more.insert(GET_QUEUE_URL.to_owned());
    assert_eq!(recorder.actions(), more);
}
