use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::*;
use crate::assets::{ASSETS, LEDGER_FILE_PREFIX};
use crate::outcome::Reason;

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// An entry with every field.
fn entry() -> LedgerEntry {
    let name = "123456789012_vpcflowlogs_us-east-1_fl-1234abcd_20261120T0310Z_fe123456.log.gz";
    LedgerEntry {
        ended_at: time("2026-11-20T03:21:07.123Z"),
        account: Some("123456789012".into()),
        region: Some("us-east-1".into()),
        version: "0.1.0".into(),
        object: ObjectEntry {
            uri: format!("s3://logs/{name}"),
            bucket: "logs".into(),
            key: name.into(),
            version_id: Some("v1".into()),
            flow_log_id: Some("fl-1234abcd".into()),
            time: time("2026-11-20T03:10:00Z"),
            slot: Some(time("2026-11-20T03:10:00Z")),
            size: Some(1000),
            counts: Counts {
                lines: 15,
                indexed: 5,
                duplicate: 4,
                no_data: 3,
                quarantined: 2,
                refused: 1,
            },
            first_record: Some(time("2026-11-20T03:10:01Z")),
            last_record: Some(time("2026-11-20T03:14:59Z")),
            lag_ms: Some(368_123),
            complete: false,
            fate: Fate::DeadLetter,
            reason: Some("decode.truncated_gzip".into()),
            detail: Some("ends early".into()),
            quarantine: Some("s3://quarantine/bad/1.ndjson.gz".into()),
            attempts: 2,
            hops: 1,
            passes: 3,
            duration_ms: 250,
            message_id: "m1".into(),
        },
    }
}

/// The hash is the one in the names of quarantine files. What it is must never change: pinned.
#[test]
fn the_id_is_made_from_bucket_and_key_alone() {
    let mut one = entry();
    one.object.key = "one.gz".into();
    let id = one.id();
    let hash = ObjectHash::new("logs", "one.gz").to_string();
    let bytes = URL_SAFE_NO_PAD.decode(&id).unwrap();
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((bytes.len(), hash.starts_with(&digits)), (15, true));
    insta::assert_snapshot!(id, @"HcA5ZvKMhW2MKNiyJw8X");
    one.object.version_id = None;
    one.object.time = time("2027-01-01T00:00:00Z");
    assert_eq!(one.id(), id);
    one.object.bucket = "logs2".into();
    assert_ne!(one.id(), id);
}

#[test]
fn the_month_is_that_of_the_key_else_of_the_event_else_of_the_pass() {
    let object = |key: &str| ObjectRef {
        bucket: "logs".into(),
        key: key.into(),
        version_id: None,
    };
    let event = time("2026-12-01T00:04:00Z");
    let now = time("2027-02-03T00:00:00Z");
    let month = |key: &str, event| {
        let (time, _slot) = time_of(&object(key), event, now);
        let mut entry = entry();
        entry.object.time = time;
        entry.index_name("flowship-ledger")
    };
    let stamped = "1_vpcflowlogs_us-east-1_fl-1_20261130T2355Z_ab.log.gz";
    assert_eq!(month(stamped, Some(event)), "flowship-ledger-2026.11");
    assert_eq!(month("own-name.gz", Some(event)), "flowship-ledger-2026.12");
    assert_eq!(month("own-name.gz", None), "flowship-ledger-2027.02");
    assert_eq!(time_of(&object("own-name.gz"), Some(event), now).1, None);
}

#[test]
fn an_entry_is_read_as_it_was_written_and_absent_is_absent() {
    let mut entry = entry();
    let text = serde_json::to_string(&entry).unwrap();
    assert_eq!(serde_json::from_str::<LedgerEntry>(&text).unwrap(), entry);
    insta::assert_snapshot!(text, @r#"{"@timestamp":"2026-11-20T03:21:07.123Z","cloud.account.id":"123456789012","cloud.region":"us-east-1","flowship.version":"0.1.0","flowship.object":{"uri":"s3://logs/123456789012_vpcflowlogs_us-east-1_fl-1234abcd_20261120T0310Z_fe123456.log.gz","bucket":"logs","key":"123456789012_vpcflowlogs_us-east-1_fl-1234abcd_20261120T0310Z_fe123456.log.gz","version_id":"v1","flow_log_id":"fl-1234abcd","time":"2026-11-20T03:10:00Z","slot":"2026-11-20T03:10:00Z","size":1000,"lines":15,"indexed":5,"duplicate":4,"no_data":3,"quarantined":2,"refused":1,"first_record":"2026-11-20T03:10:01Z","last_record":"2026-11-20T03:14:59Z","lag_ms":368123,"complete":false,"fate":"dead letter","reason":"decode.truncated_gzip","detail":"ends early","quarantine":"s3://quarantine/bad/1.ndjson.gz","attempts":2,"hops":1,"passes":3,"duration_ms":250,"message_id":"m1"}}"#);
    entry.set_fate(Fate::Indexed);
    entry.account = None;
    entry.region = None;
    entry.object.reason = None;
    let value = serde_json::to_value(&entry).unwrap();
    assert!(value.get("cloud.region").is_none() && value["flowship.object"].get("reason").is_none());
    assert_eq!(value["flowship.object"]["complete"], true);
    assert_eq!(serde_json::from_value::<LedgerEntry>(value).unwrap(), entry);
}

/// Every field of an entry by its dotted name.
fn leaves(prefix: &str, value: &Value, found: &mut Vec<String>) {
    for (name, value) in value.as_object().unwrap() {
        let name = format!("{prefix}{name}");
        match value {
            Value::Object(_) => leaves(&format!("{name}."), value, found),
            _ => found.push(name),
        }
    }
}

#[test]
fn the_template_maps_every_field_and_no_other() {
    let asset = ASSETS
        .iter()
        .find(|asset| asset.name == LEDGER_FILE_PREFIX)
        .unwrap();
    let template: Value = serde_json::from_str(asset.text).unwrap();
    let mappings = &template["template"]["mappings"];
    assert_eq!(mappings["dynamic"], false);
    let mut mapped = Vec::new();
    fn collect(prefix: &str, properties: &Value, found: &mut Vec<String>) {
        for (name, definition) in properties.as_object().unwrap() {
            match definition.get("properties") {
                Some(inner) => collect(&format!("{prefix}{name}."), inner, found),
                None => found.push(format!("{prefix}{name}")),
            }
        }
    }
    collect("", &mappings["properties"], &mut mapped);
    let mut written = Vec::new();
    leaves("", &serde_json::to_value(entry()).unwrap(), &mut written);
    mapped.sort_unstable();
    written.sort_unstable();
    assert_eq!(mapped, written);
}

#[test]
fn a_body_replaces_what_is_not_newer() {
    let entries = [entry(), entry()];
    let body = String::from_utf8(bulk_body(&entries, "flowship-ledger")).unwrap();
    let lines: Vec<Value> = body
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(body.ends_with('\n'));
    assert_eq!(lines.len(), 4);
    let action = json!({"index": {
        "_index": "flowship-ledger-2026.11", "_id": entry().id(),
        "version": 1_795_144_867_123_u64, "version_type": "external_gte",
    }});
    assert_eq!((&lines[0], &lines[2]), (&action, &action));
    assert_eq!(lines[1], serde_json::to_value(entry()).unwrap());
}

fn read(status: u16, body: &str, num_entries: usize) -> Result<(), LedgerError> {
    let answer = BulkAnswer {
        status,
        retry_after: None::<Duration>,
        redirected_to: None,
        body: body.to_owned().into(),
    };
    read_answer(&answer, num_entries)
}

#[test]
fn a_newer_report_that_is_there_already_is_no_failure() {
    let answer = r#"{"errors":true,"items":[{"index":{"status":201}},{"index":{"status":200}},
        {"index":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"x"}}}]}"#;
    assert_eq!(read(200, answer, 3), Ok(()));
}

#[test]
fn what_was_not_taken_is_counted_and_told() {
    let forbidden = r#"{"errors":true,"items":[{"index":{"status":201}},
        {"index":{"status":403,"error":{"type":"security_exception","reason":"action is unauthorized"}}},
        {"index":{"status":429}}]}"#;
    let told: Vec<String> = [
        (200, forbidden, 3),
        (200, forbidden, 2),
        (200, "<html>", 1),
        (503, "", 4),
    ]
    .into_iter()
    .map(|(status, body, num_entries)| {
        let error = read(status, body, num_entries).unwrap_err();
        format!("{} {error}", error.num_failed)
    })
    .collect();
    insta::assert_snapshot!(told.join("\n"), @"
    2 403 security_exception: action is unauthorized
    2 the answer is not one to what was sent
    1 the answer is not one to what was sent
    4 Elasticsearch answers 503
    ");
}

#[test]
fn a_long_detail_is_cut() {
    let (reason, detail) = describe(&Failure::new(Reason::InternalError, "ä".repeat(5000)));
    assert_eq!(
        (reason.as_str(), detail.chars().count()),
        ("internal.error", 1024)
    );
}
