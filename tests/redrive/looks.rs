//! Looking at dead letters: `show`, and messages that the queue's own redrive policy moved.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;
use flowship::queue::{Attributes, MessageQueue, OutgoingMessage};
use serde_json::{Value, json};

use super::{json_lines, one_json, text};
use crate::support::world::{redrive, wait_until};
use crate::support::{Stack, World};

/// GET without any headers of AWS's; the answer's status and body.
fn get(url: &str) -> (u16, Vec<u8>) {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path} HTTP/1.0\r\nHost: {host}\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let status = std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap();
    (status, answer.split_off(end + 4))
}

#[tokio::test(flavor = "multi_thread")]
async fn show_tells_what_became_of_the_object() {
    let world = World::new("show").await;
    world.put("a b+.gz", "four").await;
    let mut record = world.record("a+b%2B.gz");
    record["s3"]["object"]["size"] = 4.into();
    let message = OutgoingMessage {
        body: json!({ "Records": [record] }).to_string(),
        attributes: Attributes::new(),
    };
    world.dead_letters.send(&message).await.unwrap();
    let listed = json_lines(&redrive(&world, &["list", "--json"]));
    let id: String = listed[0]["id"].as_str().unwrap().chars().take(8).collect();
    let shown = |options: &[&str]| one_json(&redrive(&world, &[&["show", &id, "--json"], options].concat()));
    let state = |shown: &Value| shown["object_details"][0]["now"]["state"].clone();

    let there = shown(&["--presign", "--expires", "5m"]);
    assert_eq!(state(&there), "unchanged", "{there}");
    assert_eq!(there["body"], message.body.as_str());
    let url = there["object_details"][0]["presigned_url"].as_str().unwrap();
    assert_eq!(get(url), (200, b"four".to_vec()), "{url}");

    world.put("a b+.gz", "seven 7").await;
    assert_eq!(state(&shown(&[])), "changed");
    world.delete("a b+.gz").await;
    assert_eq!(state(&shown(&[])), "missing");
    let told = text(&redrive(&world, &["show", &id]));
    assert!(told.contains("now      not there ("), "{told}");

    let unknown = redrive(&world, &["show", "00000000-ffff"]);
    assert_eq!(unknown.status.code(), Some(4), "{unknown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_the_redrive_policy_moved_are_seen_and_not_used_up() {
    let world = World::new("moved").await;
    let sqs = aws_sdk_sqs::Client::new(&Stack::shared().aws_config().await);
    let status = world.queue.status().await.unwrap();
    let policy =
        json!({"deadLetterTargetArn": status.redrive_policy.unwrap().dead_letter_arn, "maxReceiveCount": 1});
    sqs.set_queue_attributes()
        .queue_url(world.queue.url())
        .attributes(QueueAttributeName::RedrivePolicy, policy.to_string())
        .send()
        .await
        .unwrap();
    let key = "AWSLogs/123456789012/vpcflowlogs/us-east-1/2026/11/20/\
        123456789012_vpcflowlogs_us-east-1_fl-1234abcd_20261120T0300Z_fe123456.log.gz";
    world.send(world.event(&[key, "two.gz", "three.gz"])).await;
    wait_until("the message was moved", async || {
        let received = world
            .queue
            .receive(10, Duration::ZERO, Some(Duration::ZERO))
            .await;
        drop(received.unwrap());
        world.dead_letters.status().await.unwrap().visible > 0
    })
    .await;

    // S3's own test event may have been moved, too.
    let about_us = ["--account", "123456789012", "--json"];
    for _ in 0..3 {
        let listed = json_lines(&redrive(&world, &[&["list"], &about_us[..]].concat()));
        assert_eq!(listed.len(), 1, "looking does not use it up: {listed:?}");
        assert_eq!(
            listed[0]["reason"],
            "unknown (moved by the queue's redrive policy)"
        );
        assert_eq!(listed[0]["moved_from"], status.arn.as_str());
        assert_eq!(
            listed[0]["objects"].as_array().unwrap().len(),
            3,
            "the message is one"
        );
    }
    let none = redrive(&world, &["list", "--account", "123456789012", "--key", "two.gz"]);
    assert_eq!(none.status.code(), Some(4), "no object has both");
    let stats = one_json(&redrive(&world, &["stats", "--json"]));
    assert!(
        stats["moved_from"][status.arn.as_str()].as_u64().unwrap() >= 1,
        "{stats}"
    );
    assert_eq!(stats["source_queues"].as_array().unwrap().len(), 1, "{stats}");
    let copies = json_lines(&redrive(&world, &["export", "-", "--account", "123456789012"]));
    assert_eq!(
        copies[0]["system_attributes"]["DeadLetterQueueSourceArn"],
        status.arn.as_str()
    );

    // A dead-letter queue that moves messages on is not looked at.
    let refused = redrive(
        &world,
        &[
            "list",
            "--dlq-url",
            world.queue.url(),
            "--queue-url",
            world.dead_letters.url(),
        ],
    );
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
}
