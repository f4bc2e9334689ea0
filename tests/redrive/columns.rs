//! What is told to people fits 80 columns: a wider line is one value, which stands alone to be copied whole.

use std::collections::BTreeMap;

use flowship::queue::{Attribute, Attributes, MessageQueue, OutgoingMessage};

use super::{json_lines, text};
use crate::support::world::redrive;
use crate::support::{FlowLog, World};

const KEY: &str = "AWSLogs/aws-account-id=123456789012/aws-service=vpcflowlogs/aws-region=us-east-1/year=2026/\
    month=11/day=20/hour=03/123456789012_vpcflowlogs_us-east-1_fl-0123456789abcdef0_20261120T0300Z_fe123456.log.gz";

/// As the function writes them, with the longest texts that it does.
fn attributes(reason: &str, detail: &str) -> Attributes {
    let counters = "{\"bytes_read\":123456789,\"duplicate\":1234567,\"indexed\":12345678,\"lines\":12345678,\
        \"no_data\":1234567,\"quarantined\":1234567,\"refused\":1234567}";
    let texts = [
        ("reason", reason),
        ("disposition", "permanent"),
        ("detail", detail),
        ("failed_at", "2026-11-20T03:11:00.123456789Z"),
        ("request_id", "5fea7756-0ea4-451a-a703-a558b933e274"),
        ("progress", counters),
        ("version", "0.1.0"),
    ];
    let text = |(name, value): (&str, &str)| (name.to_owned(), Attribute::Text(value.to_owned()));
    let mut attributes = BTreeMap::from(texts.map(text));
    attributes.insert("attempts".to_owned(), Attribute::Number(1000));
    attributes.insert("hops".to_owned(), Attribute::Number(2));
    attributes
}

fn assert_narrow(what: &str, told: &str) {
    for line in told.lines() {
        let is_one_value = !line.trim().contains(' ');
        assert!(
            line.chars().count() <= 80 || is_one_value,
            "{what}: {line}\n\n{told}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_and_report_fits_80_columns() {
    let world = World::new("flowship-production-us-east-1-logging-columns").await;
    let bad = FlowLog::new().records(1, 0, 3).line("2 123 eni-1 x", 0);
    world.put(KEY, bad.gzip()).await;
    world.drain().await;
    let detail = format!(
        "https://elasticsearch.example.com:9200/_bulk answers 403 security_exception: action [indices:data/write/bulk] \
         is unauthorized for user [flowship] on indices [flowlogs-vpc-2026.11.20], s3://{}/{KEY}",
        world.bucket
    );
    let letters = [
        (
            world.event(&[KEY, KEY, "b.gz"]),
            attributes("bulk.misconfigured", &detail),
        ),
        (world.event(&[KEY]), attributes("decode.truncated_gzip", "short")),
        (world.event(&[KEY]), Attributes::new()),
        (
            "no event".to_owned(),
            attributes("notification.malformed", &detail),
        ),
    ];
    for (body, attributes) in letters {
        let message = OutgoingMessage { body, attributes };
        world.dead_letters.send(&message).await.unwrap();
    }
    let tell = |arguments: &[&str]| {
        let output = redrive(&world, arguments);
        let told = text(&output);
        assert!(told.lines().count() > 2, "{arguments:?}: {output:?}");
        // The body of a message is shown as it is.
        let told = told.split("\nbody\n").next().unwrap();
        assert_narrow(&arguments.join(" "), told);
    };
    for letter in json_lines(&redrive(&world, &["list", "--json"])) {
        tell(&["show", letter["id"].as_str().unwrap(), "--presign"]);
    }
    tell(&["stats"]);
    tell(&["list"]);
    tell(&["list", "--check"]);
    tell(&["list", "--verbose"]);
    tell(&["quarantine", "stats"]);
    tell(&["quarantine", "send"]);
    tell(&["discard", "--reason", "notification.*"]);
    tell(&["send"]);
    // Nobody takes them: the first of a reason is waited for in vain.
    let send = ["send", "--yes", "--force", "--canary-timeout", "1s"];
    tell(&[&send[..], &["--reason", "decode.*", "--reason", "bulk.*"]].concat());
    tell(&[&send[..], &["--no-canary", "--wait", "1s"]].concat());
}
