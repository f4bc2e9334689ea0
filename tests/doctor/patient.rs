//! A set-up of which the doctor has nothing to say, and what it says of it once it is broken.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_sqs::types::QueueAttributeName;
use flowship::flow::{Dataset, FIELDS};
use flowship::queue::MessageQueue;
use serde_json::{Value, json};

use super::NAME;
use crate::security::{ca, user};
use crate::support::mmdb::Description;
use crate::support::stack::{OwnElasticsearch, repository};
use crate::support::world::{Options, World};
use crate::support::{Stack, gzip};

/// An index is created only by a template of ours.
const GUARD: &str = "-flowlogs-*,-flowship-ledger-*,+*";

/// A set-up of which there is nothing to say, and what to break it with.
pub(super) struct Patient {
    pub(super) world: World,
    pub(super) node: OwnElasticsearch,
    pub(super) sqs: aws_sdk_sqs::Client,
    pub(super) files: tempfile::TempDir,
    pub(super) object: String,
}

/// What the doctor found that is not ok, as `fail sqs.policy`; its exit code; its whole report.
pub(super) struct Found {
    faults: Vec<String>,
    code: Option<i32>,
    pub(super) report: Value,
}

impl Patient {
    pub(super) async fn sound() -> Self {
        let guard = format!("action.auto_create_index={GUARD}");
        let node =
            tokio::task::block_in_place(|| OwnElasticsearch::start("doctor", &["--secure", "-E", &guard]));
        let options = Options {
            elasticsearch_url: Some(node.url.clone()),
            admin: user(&node, "admin"),
            visibility_seconds: 360,
            ..Options::default()
        };
        let mut world = World::with(NAME, options).await;
        let sqs = aws_sdk_sqs::Client::new(&Stack::shared().aws_config().await);
        let files = tempfile::tempdir().unwrap();
        let set = |name: &str, value: String| (format!("FLOWSHIP_{name}"), value);
        world.variables.extend([
            set("ELASTICSEARCH_CA_FILE", ca(&node)),
            set("ELASTICSEARCH_USERNAME", "shipper".to_owned()),
            set("ELASTICSEARCH_PASSWORD", "shipper-password".to_owned()),
        ]);
        let log = [header(), line()].join("\n");
        world.put("all-columns.log.gz", gzip(log.as_bytes())).await;
        world.drain().await;
        let ledger = format!("{}-*/_refresh", world.variables["FLOWSHIP_LEDGER_INDEX"]);
        assert_eq!(world.elasticsearch.post(&ledger, "").await.unwrap().status, 200);
        let map = files.path().join("map.json");
        std::fs::copy(repository("tests/data/kibana/network-map.json"), &map).unwrap();
        world.variables.extend([
            set("ELASTICSEARCH_USERNAME", "admin".to_owned()),
            set("ELASTICSEARCH_PASSWORD", "admin-password".to_owned()),
            set("GEO_CITY_DB", database(files.path(), "city", true)),
            set("GEO_ASN_DB", database(files.path(), "asn", true)),
            set("NETWORK_MAP", path(&map)),
        ]);
        let object = format!("s3://{}/all-columns.log.gz", world.bucket);
        let patient = Self {
            world,
            node,
            sqs,
            files,
            object,
        };
        patient
            .set(QueueAttributeName::ReceiveMessageWaitTimeSeconds, "20")
            .await;
        patient
            .set(QueueAttributeName::Policy, &patient.policy(NAME).await)
            .await;
        patient
            .set_dlq(QueueAttributeName::MessageRetentionPeriod, "1209600")
            .await;
        patient
    }

    /// What lets a bucket send.
    pub(super) async fn policy(&self, bucket: &str) -> String {
        json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sqs:SendMessage",
            "Resource": self.arn().await, "Condition": {"ArnLike": {"aws:SourceArn": format!("arn:aws:s3:*:*:{bucket}")}},
        }]})
        .to_string()
    }

    pub(super) async fn arn(&self) -> String {
        self.world.queue.status().await.unwrap().arn
    }

    pub(super) async fn dlq_arn(&self) -> String {
        self.world.dead_letters.status().await.unwrap().arn
    }

    pub(super) async fn set(&self, attribute: QueueAttributeName, value: &str) {
        let call = self.sqs.set_queue_attributes().queue_url(self.world.queue.url());
        call.attributes(attribute, value).send().await.unwrap();
    }

    pub(super) async fn set_dlq(&self, attribute: QueueAttributeName, value: &str) {
        let call = self
            .sqs
            .set_queue_attributes()
            .queue_url(self.world.dead_letters.url());
        call.attributes(attribute, value).send().await.unwrap();
    }

    pub(super) async fn persist(&self, settings: Value) {
        let body = json!({ "persistent": settings });
        self.world.configure("_cluster/settings", &body).await;
    }

    /// A file for a setting.
    pub(super) fn file(&self, name: &str, content: &[u8]) -> String {
        let file = self.files.path().join(name);
        std::fs::write(&file, content).unwrap();
        path(&file)
    }

    pub(super) fn run(&self, changed: &[(&str, &str)], arguments: &[&str]) -> Output {
        let mut variables: BTreeMap<String, String> = self.world.variables.clone();
        for (name, value) in changed {
            let name = match name.starts_with("AWS_") {
                true => (*name).to_owned(),
                false => format!("FLOWSHIP_{name}"),
            };
            variables.insert(name, (*value).to_owned());
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_flowctl"));
        command
            .env_clear()
            .envs(variables)
            .args(["doctor", "--function-timeout", "60"]);
        command.args(arguments).output().unwrap()
    }

    /// With other settings than those of the sound set-up.
    pub(super) fn with(&self, changed: &[(&str, &str)], object: &str) -> Found {
        self.with_arguments(changed, &["--write-probes", "--object", object])
    }

    pub(super) fn with_arguments(&self, changed: &[(&str, &str)], arguments: &[&str]) -> Found {
        let output = self.run(changed, &[arguments, &["--json"]].concat());
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        let checks = report["checks"].as_array().unwrap().iter();
        let faults = checks.filter(|check| check["verdict"] == "warn" || check["verdict"] == "fail");
        let faults = faults.map(|check| {
            assert!(check["remedy"].is_string(), "{check}");
            format!(
                "{} {}",
                check["verdict"].as_str().unwrap(),
                check["name"].as_str().unwrap()
            )
        });
        let faults = faults.collect();
        let code = output.status.code();
        Found { faults, code, report }
    }

    pub(super) fn names(&self, expected: &[&str]) {
        self.names_with(&[], expected);
    }

    pub(super) fn names_with(&self, changed: &[(&str, &str)], expected: &[&str]) {
        self.with(changed, &self.object).is(expected);
    }

    pub(super) fn names_of_object(&self, object: &str, expected: &[&str]) {
        self.with(&[], object).is(expected);
    }
}

impl Found {
    pub(super) fn is(&self, expected: &[&str]) {
        assert_eq!(self.faults, expected, "{:#}", self.report);
        let fails = expected.iter().any(|fault| fault.starts_with("fail "));
        assert_eq!(self.code, Some(i32::from(fails)));
    }
}

pub(super) fn path(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// All columns of VPC flow logs.
pub(super) fn header() -> String {
    let columns = FIELDS.iter().filter(|spec| spec.datasets.contains(&Dataset::Vpc));
    columns.map(|spec| spec.name).collect::<Vec<_>>().join(" ")
}

pub(super) fn line() -> String {
    let value = |name: &str| match name {
        "version" => "11",
        "start" => "1795000000",
        "end" => "1795000060",
        "log-status" => "OK",
        _ => "-",
    };
    header().split(' ').map(value).collect::<Vec<_>>().join(" ")
}

/// A database that was built today, or years ago.
pub(super) fn database(folder: &Path, name: &str, is_new: bool) -> String {
    let json = repository("tests/data/geo").join(format!("{name}.json"));
    let mut bytes = Description::parse(&std::fs::read_to_string(json).unwrap()).write();
    if is_new {
        let built = 1_700_000_000_u32.to_be_bytes();
        let at = bytes.windows(4).rposition(|window| window == built).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        bytes[at..at + 4].copy_from_slice(&u32::try_from(now).unwrap().to_be_bytes());
    }
    let file: PathBuf = folder.join(format!("{name}-{is_new}.mmdb"));
    std::fs::write(&file, bytes).unwrap();
    path(&file)
}
