//! Copies of dead letters: `export`, `import`, `discard`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use flowship::queue::{Attribute, Attributes, MessageQueue, OutgoingMessage};
use serde_json::{Value, json};

use super::{json_lines, one_json, text};
use crate::support::World;
use crate::support::world::redrive;

async fn put_letter(world: &World, body: &str, attributes: Attributes) {
    let message = OutgoingMessage {
        body: body.to_owned(),
        attributes,
    };
    world.dead_letters.send(&message).await.unwrap();
}

fn because(reason: &str) -> Attributes {
    [("reason".to_owned(), Attribute::Text(reason.to_owned()))].into()
}

/// Takes every dead letter out: attributes by body.
async fn take(world: &World) -> BTreeMap<String, Attributes> {
    let letters = world.take_dead_letters().await.into_iter();
    letters.map(|letter| (letter.body, letter.attributes)).collect()
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_and_imported_is_the_same_also_above_256_kib_and_with_three_records() {
    let world = World::new("copies").await;
    let mut large = world.record("large.gz");
    large["padding"] = "é".repeat(200_000).into();
    let large = json!({ "Records": [large] }).to_string();
    assert!(large.len() > 256 * 1024);
    let three = world.event(&["one+1.gz", "two%2B.gz", "three.gz"]);
    let mut attributes = because("bulk.throttled");
    attributes.insert("hops".to_owned(), Attribute::Number(2));
    attributes.insert(
        "blob".to_owned(),
        Attribute::Other {
            data_type: "Binary.gzip".to_owned(),
            value: vec![0, 159, 255],
        },
    );
    put_letter(&world, &large, because("bulk.rejected")).await;
    put_letter(&world, &three, attributes.clone()).await;
    put_letter(&world, "no event", Attributes::new()).await;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dlq.ndjson");
    let file = path.to_str().unwrap();
    let exported = one_json(&redrive(&world, &["export", file, "--json"]));
    assert_eq!((&exported["exported"], &exported["seen"]), (&json!(3), &json!(3)));
    assert_eq!(lines(&path).len(), 3);
    assert_eq!(
        redrive(&world, &["export", file]).status.code(),
        Some(1),
        "it is there already"
    );
    let to_stdout = redrive(&world, &["export", "-", "--reason", "bulk.*"]);
    assert_eq!(json_lines(&to_stdout).len(), 2);
    let before = take(&world).await;
    assert_eq!(before.len(), 3);

    // One line is no S3 event: nothing is sent, not even in part.
    let refused = redrive(&world, &["import", file, "--yes"]);
    assert_eq!(refused.status.code(), Some(1));
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(told.contains("nothing was sent: 1 of 3 lines"), "{told}");
    let dry = one_json(&redrive(&world, &["import", file, "--any-body", "--json"]));
    assert_eq!(
        (&dry["messages"], &dry["objects"], &dry["sent"]),
        (&json!(3), &json!(4), &json!(0))
    );
    assert!(world.take_dead_letters().await.is_empty());

    let sent = redrive(&world, &["import", file, "--any-body", "--yes", "--json"]);
    assert_eq!(one_json(&sent)["sent"], 3);
    let after = take(&world).await;
    assert_eq!(after, before);
    assert_eq!(after[&three], attributes);
    assert!(after.contains_key(&large));
}

#[tokio::test(flavor = "multi_thread")]
async fn discard_deletes_what_is_in_its_file_and_keeps_the_rest() {
    let world = World::new("discard").await;
    for number in 0..12 {
        let reason = ["object.not_found", "bulk.throttled"][number % 2];
        put_letter(&world, &world.event(&[&format!("{number}.gz")]), because(reason)).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gone.ndjson");
    let file = path.to_str().unwrap();

    assert_eq!(
        redrive(&world, &["discard"]).status.code(),
        Some(2),
        "no selection"
    );
    let without_file = redrive(&world, &["discard", "--reason", "*", "--yes"]);
    assert_eq!(without_file.status.code(), Some(2), "no export");
    let dry = redrive(&world, &["discard", "--reason", "object.*"]);
    assert!(
        text(&dry).contains("6 selected = 0 deleted + 0 failed + 6 kept (12 seen)"),
        "{dry:?}"
    );
    assert!(!path.exists());
    let none = redrive(
        &world,
        &["discard", "--reason", "other", "--yes", "--export", file],
    );
    assert_eq!(none.status.code(), Some(4));

    let gone = redrive(
        &world,
        &[
            "discard", "--reason", "object.*", "--yes", "--export", file, "--json",
        ],
    );
    let gone = one_json(&gone);
    assert_eq!(
        (&gone["deleted"], &gone["failed"], &gone["kept"]),
        (&json!(6), &json!(0), &json!(0))
    );
    let copies = lines(&path);
    assert_eq!(copies.len(), 6);
    assert!(
        copies
            .iter()
            .all(|copy| copy["attributes"]["reason"]["value"] == "object.not_found")
    );
    let left = json_lines(&redrive(&world, &["list", "--json"]));
    assert_eq!(left.len(), 6);
    assert!(
        left.iter().all(|letter| letter["reason"] == "bulk.throttled"),
        "{left:?}"
    );

    assert!(redrive(&world, &["import", file, "--yes"]).status.success());
    assert_eq!(world.take_dead_letters().await.len(), 12);
}
