//! `flowctl doctor` on the real servers: it has nothing to say of a sound set-up, and of each that was broken it names
//! the fault and nothing else.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::Command;

use aws_sdk_sqs::types::QueueAttributeName;
use flowship::elasticsearch::setup;
use flowship::queue::{MessageQueue, OutgoingMessage};
use serde_json::{Value, json};

use crate::security::user;
use crate::support::proxy::{Fault, Requests, Uses};
use crate::support::world::{Options, World, installation};
use crate::support::{FaultProxy, FlowLog};
use patient::{Patient, database, header, line, path};

mod patient;

const NAME: &str = "flowlogs-doctor";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_said_of_a_sound_set_up_and_every_fault_is_named_alone() {
    let patient = Patient::sound().await;
    let sound = patient.with(&[], &patient.object);
    sound.is(&[]);
    let checks = sound.report["checks"].as_array().unwrap().iter();
    let skipped: Vec<&str> = checks
        .filter(|check| check["verdict"] == "skip")
        .map(|check| check["name"].as_str().unwrap())
        .collect();
    // The node of the tests has no ILM, and no watermarks, because the disk is everybody's.
    assert_eq!(skipped, ["es.disk", "es.ilm"], "{:#}", sound.report);
    let text = String::from_utf8(patient.run(&[], &[]).stdout).unwrap();
    assert!(text.contains("\nok    es.templates"), "{text}");
    assert!(!text.contains("admin-password"), "{text}");

    queues(&patient).await;
    silence(&patient).await;
    access(&patient);
    content(&patient).await;
    room(&patient).await;
    files(&patient);
    objects(&patient).await;
    patient.names(&[]);
}

async fn queues(patient: &Patient) {
    use QueueAttributeName::{
        KmsMasterKeyId, MessageRetentionPeriod, Policy, ReceiveMessageWaitTimeSeconds, RedriveAllowPolicy,
        RedrivePolicy, VisibilityTimeout,
    };
    let other = patient.world.queue.url().replace(NAME, "flowlogs-nowhere");
    patient.names_with(&[("QUEUE_URL", &other)], &["fail sqs.queue"]);
    patient.names_with(&[("DLQ_URL", &other)], &["fail dlq.queue"]);

    patient.set(Policy, "").await;
    patient.names(&["fail sqs.policy"]);
    patient.set(Policy, &patient.policy("another-bucket").await).await;
    patient.names(&["fail sqs.policy"]);
    patient.set(Policy, &patient.policy(NAME).await).await;

    patient.set(VisibilityTimeout, "59").await;
    patient.names(&["fail sqs.visibility"]);
    patient.set(VisibilityTimeout, "359").await;
    patient.names(&["warn sqs.visibility"]);
    patient.set(VisibilityTimeout, "360").await;

    patient.set(ReceiveMessageWaitTimeSeconds, "0").await;
    patient.names(&["warn sqs.long-polling"]);
    patient.set(ReceiveMessageWaitTimeSeconds, "20").await;

    patient.set(KmsMasterKeyId, "alias/aws/sqs").await;
    patient.names(&["fail sqs.encryption"]);
    patient.set(KmsMasterKeyId, "").await;

    let (arn, dlq_arn) = (patient.arn().await, patient.dlq_arn().await);
    let redrive =
        |arn: &str, count: u32| json!({"deadLetterTargetArn": arn, "maxReceiveCount": count}).to_string();
    let elsewhere = patient.sqs.create_queue().queue_name("flowlogs-doctor-elsewhere");
    elsewhere.send().await.unwrap();
    let elsewhere_arn = dlq_arn.replace("flowlogs-doctor-dlq", "flowlogs-doctor-elsewhere");
    patient.set(RedrivePolicy, "").await;
    patient.names(&["fail sqs.redrive-policy"]);
    patient.set(RedrivePolicy, &redrive(&elsewhere_arn, 100)).await;
    patient.names(&["fail sqs.redrive-policy"]);
    patient.set(RedrivePolicy, &redrive(&dlq_arn, 5)).await;
    patient.names(&["fail sqs.max-receives"]);
    patient.set(RedrivePolicy, &redrive(&dlq_arn, 100)).await;

    patient.set_dlq(MessageRetentionPeriod, "345600").await;
    patient.names(&["warn dlq.retention"]);
    patient.set_dlq(MessageRetentionPeriod, "86400").await;
    patient.names(&["fail dlq.retention"]);
    patient.set_dlq(MessageRetentionPeriod, "1209600").await;

    patient.set_dlq(RedrivePolicy, &redrive(&elsewhere_arn, 3)).await;
    patient.names(&["fail dlq.redrive-policy"]);
    patient.set_dlq(RedrivePolicy, "").await;

    let deny = json!({"redrivePermission": "denyAll"}).to_string();
    patient.set_dlq(RedriveAllowPolicy, &deny).await;
    patient.names(&["fail dlq.redrive-allow"]);
    let allow = json!({"redrivePermission": "byQueue", "sourceQueueArns": [arn]}).to_string();
    patient.set_dlq(RedriveAllowPolicy, &allow).await;
    patient.names(&[]);

    let message = OutgoingMessage {
        body: patient.world.event(&["gone.log.gz"]),
        attributes: BTreeMap::new(),
    };
    patient.world.dead_letters.send(&message).await.unwrap();
    patient.names(&["warn dlq.backlog"]);
    patient.world.take_dead_letters().await;
    // No mapping is running.
    patient.world.queue.send(&message).await.unwrap();
    patient.names(&["fail sqs.backlog"]);
    let taken = patient.world.receive(1).await;
    let deleted = patient
        .world
        .queue
        .delete_batch(&[taken[0].receipt_handle.clone()])
        .await;
    assert!(deleted[0].is_ok());
}

/// Queues that refuse to be asked, and servers that do not answer.
async fn silence(patient: &Patient) {
    let ask = Requests::naming(&["AmazonSQS.GetQueueAttributes"]);
    let denied = Fault::Answer(
        "400 Bad Request",
        &[("content-type", "application/x-amz-json-1.0")],
        r#"{"__type":"com.amazonaws.sqs#AccessDeniedException","message":"not allowed"}"#,
    );
    for (fault, told) in [
        (denied, "sqs:GetQueueAttributes"),
        (Fault::StallAfter(0), "no answer within 10 s"),
    ] {
        let proxy = FaultProxy::start(&patient.world.variables["AWS_ENDPOINT_URL"]).await;
        proxy.add(ask, fault, Uses::ForEver);
        let found = patient.with(&[("AWS_ENDPOINT_URL_SQS", &proxy.url())], &patient.object);
        found.is(&["fail sqs.queue", "fail dlq.queue"]);
        assert!(found.report.to_string().contains(told), "{:#}", found.report);
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    patient.names_with(&[("ELASTICSEARCH_URLS", &url)], &["fail es.reachable"]);
}

fn access(patient: &Patient) {
    patient.names_with(
        &[("ELASTICSEARCH_URLS", "https://127.0.0.1:1")],
        &["fail es.reachable"],
    );
    let two = format!("{},https://127.0.0.1:1", patient.node.url);
    patient.names_with(&[("ELASTICSEARCH_URLS", &two)], &["warn es.reachable"]);
    patient.names_with(&[("ELASTICSEARCH_CA_FILE", "")], &["fail es.certificate"]);
    let wrong = patient.with(&[("ELASTICSEARCH_PASSWORD", "hunter2")], &patient.object);
    wrong.is(&["fail es.credentials"]);
    assert!(!wrong.report.to_string().contains("hunter2"));
    let as_user = |name: &str| {
        let password = format!("{name}-password");
        let changed = [
            ("ELASTICSEARCH_USERNAME", name),
            ("ELASTICSEARCH_PASSWORD", &password),
        ];
        patient.with(&changed, &patient.object)
    };
    as_user("nocreate").is(&["fail es.rights.flow-logs", "fail es.rights.ledger"]);
    let to_install = ["--installer", "--object", &patient.object];
    patient.with_arguments(&[], &to_install).is(&[]);
    let installer = [
        ("ELASTICSEARCH_USERNAME", "shipper"),
        ("ELASTICSEARCH_PASSWORD", "shipper-password"),
    ];
    patient
        .with_arguments(&installer, &to_install)
        .is(&["fail es.rights.installer", "fail es.rights.installer"]);
    // What the function may not look at is not taken for missing.
    let shipper = as_user("shipper");
    shipper.is(&[]);
    let text = patient.run(&installer, &[]).stdout;
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.ends_with("checks were not made for lack of rights\n"),
        "{text}"
    );
    let checks = shipper.report["checks"].as_array().unwrap().iter();
    let is_skipped = |name: &str| {
        checks
            .clone()
            .any(|check| check["name"] == name && check["verdict"] == "skip")
    };
    for name in [
        "es.health",
        "es.templates",
        "es.mappings",
        "es.blocks",
        "ledger.newest",
    ] {
        assert!(is_skipped(name), "{name}: {:#}", shipper.report);
    }
}

async fn content(patient: &Patient) {
    let world = &patient.world;
    patient.names_with(&[("INDEX_PREFIX", "flowlogs-never")], &["fail es.templates"]);

    for (part, pointer, value, expected) in [
        (
            "settings",
            "/template/settings/index/refresh_interval",
            json!("5s"),
            "warn es.templates",
        ),
        (
            "mappings",
            "/template/mappings/dynamic",
            json!(true),
            "fail es.templates",
        ),
    ] {
        let path = format!("_component_template/{NAME}-vpc-{part}");
        let parts = setup::parts(&installation(NAME));
        let ours = parts.iter().find(|part| part.path() == path).unwrap();
        let mut body = ours.body.clone();
        *body.pointer_mut(pointer).unwrap() = value;
        world.configure(&path, &body).await;
        patient.names(&[expected]);
        world.configure(&path, &ours.body).await;
    }

    let index = format!("{NAME}-vpc-2100.01.01");
    world.configure(&index, &json!({})).await;
    let block = async |name: &str, value: bool| {
        let settings = json!({format!("index.blocks.{name}"): value});
        world.configure(&format!("{index}/_settings"), &settings).await;
    };
    for name in ["write", "read_only_allow_delete"] {
        block(name, true).await;
        patient.names(&["fail es.blocks"]);
        block(name, false).await;
    }

    // In a prefix of its own, because no test deletes indices.
    let guessed = World::with(
        "flowlogs-doctor-guessed",
        Options {
            elasticsearch_url: Some(patient.node.url.clone()),
            admin: user(&patient.node, "admin"),
            ..Options::default()
        },
    )
    .await;
    let dynamic = json!({"mappings": {"dynamic": true}});
    guessed
        .configure("flowlogs-doctor-guessed-vpc-2026.11.20", &dynamic)
        .await;
    patient.names_with(
        &[("INDEX_PREFIX", "flowlogs-doctor-guessed")],
        &["fail es.mappings"],
    );
}

async fn room(patient: &Patient) {
    patient.persist(json!({"cluster.max_shards_per_node": 1})).await;
    patient.names(&["fail es.shards"]);
    patient
        .persist(json!({"cluster.max_shards_per_node": null}))
        .await;

    let disk = |name: &str| format!("cluster.routing.allocation.disk.{name}");
    let names = [
        "threshold_enabled",
        "watermark.low",
        "watermark.high",
        "watermark.flood_stage",
    ]
    .map(disk);
    let all = |values: [Value; 4]| Value::Object(names.iter().cloned().zip(values).collect());
    // The lowest one only keeps shards away.
    patient
        .persist(all([
            json!(true),
            json!("0.1%"),
            json!("99.98%"),
            json!("99.99%"),
        ]))
        .await;
    patient.names(&["warn es.disk"]);
    patient
        .persist(all([Value::Null, Value::Null, Value::Null, Value::Null]))
        .await;

    patient.persist(json!({"action.auto_create_index": "true"})).await;
    patient.names(&["warn es.auto-create"]);
    patient.persist(json!({"action.auto_create_index": null})).await;
}

fn files(patient: &Patient) {
    let missing = path(&patient.files.path().join("missing.mmdb"));
    let corrupt = patient.file("corrupt.mmdb", b"this is no database");
    let asn = database(patient.files.path(), "asn", true);
    for file in [&missing, &corrupt, &asn] {
        patient.names_with(&[("GEO_CITY_DB", file)], &["fail geo.city"]);
    }
    let old = database(patient.files.path(), "asn", false);
    patient.names_with(&[("GEO_ASN_DB", &old)], &["warn geo.asn"]);
    let map = patient.file("broken.json", b"{\"Subnets\": [{}]}");
    patient.names_with(&[("NETWORK_MAP", &map)], &["fail network-map"]);
    patient.names_with(
        &[("QUARANTINE_URI", "s3://flowlogs-doctor-nowhere/bad")],
        &["fail quarantine.place", "fail quarantine.write"],
    );
    patient.names_with(&[("QUARANTINE_URI", "")], &["warn quarantine.place"]);
    patient.names_with(&[("BULK_IN_FLIGHT", "0")], &["fail settings"]);
}

async fn objects(patient: &Patient) {
    let put = async |key: &str, bytes: Vec<u8>| patient.world.put(key, bytes).await;
    put("default.log.gz", FlowLog::new().records(1, 0, 10).gzip()).await;
    put(
        "damaged.log.gz",
        FlowLog::new().records(1, 0, 10).gzip()[..40].to_vec(),
    )
    .await;
    put("other.json", b"{\"Records\": []}".to_vec()).await;
    patient.world.receive(3).await;
    let object = |key: &str| format!("s3://{NAME}/{key}");
    patient.names_of_object(&object("default.log.gz"), &["warn object.panels"]);
    patient.names_of_object(&object("damaged.log.gz"), &["fail object.readable"]);
    patient.names_of_object(&object("other.json"), &["fail object.readable"]);
    patient.names_of_object(&object("gone.log.gz"), &["fail object.readable"]);
    let file = patient.file("all.log", [header(), line()].join("\n").as_bytes());
    patient.names_of_object(&file, &[]);
}

/// Where no credentials are to be had, the report says so, and the SDK does not say it before.
#[test]
fn without_credentials_the_report_is_all_there_is_to_read() {
    let url = "https://sqs.eu-west-1.amazonaws.com/123456789012/flowlogs";
    let output = Command::new(env!("CARGO_BIN_EXE_flowctl"))
        .env_clear()
        .env("HOME", "/nonexistent")
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")
        .args(["doctor", "--json", "--queue-url", url])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = report["checks"][0]["found"].as_str().unwrap();
    assert!(found.contains("without valid credentials"), "{report:#}");
}

#[test]
fn with_nothing_to_look_at_the_command_line_is_wrong() {
    let output = Command::new(env!("CARGO_BIN_EXE_flowctl"))
        .env_clear()
        .arg("doctor")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(output.stdout.is_empty());
}
