//! Real answers of a real server (`tests/data/elasticsearch/`), and the ones that no server should send.

use bytes::Bytes;

use super::*;

/// By case and the version of the server.
fn recorded(case: &str) -> Bytes {
    let path = format!(
        "{}/tests/data/elasticsearch/{case}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    Bytes::from(std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}")))
}

fn answer(status: u16, body: impl Into<Bytes>) -> BulkAnswer {
    BulkAnswer {
        status,
        retry_after: None,
        redirected_to: None,
        body: body.into(),
    }
}

fn read_recorded(status: u16, case: &str, num_items: usize) -> Meaning {
    read(&answer(status, recorded(&format!("{case}.8.19.8"))), num_items)
}

fn items(case: &str, num_items: usize) -> Vec<ItemOutcome> {
    match read_recorded(200, case, num_items) {
        Meaning::Items(items) => items,
        other => panic!("{case}: {other:?}"),
    }
}

fn reason_of(outcome: &ItemOutcome) -> Reason {
    match outcome {
        ItemOutcome::Retry(retry) => retry.failure.reason,
        ItemOutcome::Stop(failure) => failure.reason,
        other => panic!("neither retry nor stop: {other:?}"),
    }
}

#[test]
fn created_and_existing_documents_are_told_apart_by_status() {
    assert_eq!(
        items("bulk_created", 2),
        [ItemOutcome::Delivered, ItemOutcome::Delivered]
    );
    assert_eq!(
        items("bulk_conflict_filtered", 2),
        [ItemOutcome::Duplicate, ItemOutcome::Duplicate]
    );
}

#[test]
fn a_refused_document_does_not_touch_its_neighbours() {
    let outcomes = items("filter_path_with_status", 3);
    assert_eq!(outcomes[0], ItemOutcome::Delivered);
    assert_eq!(outcomes[2], ItemOutcome::Duplicate);
    let ItemOutcome::Refused(refusal) = &outcomes[1] else {
        panic!("{:?}", outcomes[1])
    };
    assert_eq!(
        (refusal.status, refusal.kind.as_str()),
        (400, "document_parsing_exception")
    );
    assert!(
        refusal.reason.contains("[source.ip] of type [ip]"),
        "{}",
        refusal.reason
    );
    assert!(
        !refusal.reason.contains("not-an-ip"),
        "the value stays out: {}",
        refusal.reason
    );
    assert!(matches!(
        items("strict_dynamic_mapping", 1)[0],
        ItemOutcome::Refused(_)
    ));
}

/// What real servers answered when they took less than everything: HTTP status, recording, what it means for each item
/// or, in one word, for the whole request.
const RECORDED_REFUSALS: &[(u16, &str, &[&str])] = &[
    // The document's own fault.
    (
        200,
        "bulk_mixed.8.19.8",
        &["delivered", "refused", "duplicate", "refused"],
    ),
    (
        200,
        "bulk_mixed.opensearch-3.8.0",
        &["delivered", "refused", "duplicate", "refused"],
    ),
    (200, "bad_timestamp.8.19.8", &["refused"]),
    (200, "truncated_document.8.19.8", &["refused", "delivered"]),
    (200, "empty_document_line.8.19.8", &["refused", "delivered"]),
    (200, "strict_dynamic_mapping.8.19.8", &["refused"]),
    // By its type this one cannot be told from a bad value. Our mapping adds no fields, so it has no such limit.
    (200, "field_limit.8.19.8", &["refused"]),
    // The operator's: an index or a cluster that is not as it should be.
    (200, "field_limit.opensearch-3.8.0", &["stop bulk.misconfigured"]),
    (200, "immense_term.opensearch-3.8.0", &["stop bulk.misconfigured"]),
    (
        200,
        "index_closed.8.19.8",
        &["stop bulk.misconfigured", "delivered"],
    ),
    (
        200,
        "shard_limit.8.19.8",
        &["stop bulk.misconfigured", "delivered"],
    ),
    (
        200,
        "shard_limit.opensearch-3.8.0",
        &["stop bulk.misconfigured", "delivered"],
    ),
    (
        200,
        "invalid_index_name.8.19.8",
        &["stop bulk.misconfigured", "delivered"],
    ),
    (
        200,
        "alias_without_write_index.8.19.8",
        &["stop bulk.misconfigured"],
    ),
    (200, "missing_pipeline.8.19.8", &["stop bulk.misconfigured"]),
    (200, "require_alias.8.19.8", &["stop bulk.misconfigured"]),
    (
        200,
        "auto_create_off.8.19.8",
        &["stop bulk.misconfigured", "delivered"],
    ),
    (200, "auto_create_off_template_allows.8.19.8", &["delivered"]),
    // The operator's: blocks.
    (200, "flood_stage.8.19.8", &["stop bulk.blocked", "delivered"]),
    (
        200,
        "flood_stage.opensearch-3.8.0",
        &["stop bulk.blocked", "delivered"],
    ),
    (
        200,
        "index_write_block.8.19.8",
        &["stop bulk.blocked", "delivered"],
    ),
    (200, "index_read_only.8.19.8", &["stop bulk.blocked"]),
    (403, "cluster_flood_stage.8.19.8", &["stop bulk.blocked"]),
    (403, "cluster_read_only.8.19.8", &["stop bulk.blocked"]),
    // The operator's: rights.
    (401, "auth_missing.8.19.8", &["stop bulk.unauthorized"]),
    (401, "auth_wrong.8.19.8", &["stop bulk.unauthorized"]),
    (401, "auth_bad_api_key.8.19.8", &["stop bulk.unauthorized"]),
    (403, "forbidden_no_create_doc.8.19.8", &["stop bulk.unauthorized"]),
    (
        200,
        "forbidden_no_auto_configure.8.19.8",
        &["stop bulk.unauthorized", "stop bulk.unauthorized"],
    ),
    (
        200,
        "forbidden_other_index.8.19.8",
        &["stop bulk.unauthorized", "delivered"],
    ),
    // The server has too much to do, or parts of it are away.
    (429, "indexing_pressure.8.19.8", &["retry bulk.throttled"]),
    (429, "breaker_parent.8.19.8", &["retry bulk.throttled"]),
    (429, "breaker_inflight.8.19.8", &["retry bulk.throttled"]),
    (
        200,
        "unavailable_shards.8.19.8",
        &["retry bulk.unavailable", "delivered"],
    ),
    (200, "wait_for_active_shards.8.19.8", &["retry bulk.unavailable"]),
    (
        500,
        "missing_pipeline.opensearch-3.8.0",
        &["retry bulk.unavailable"],
    ),
    // Not ours to send, or not an Elasticsearch of this version.
    (400, "malformed_action.8.19.8", &["stop bulk.misconfigured"]),
    (400, "no_index.8.19.8", &["stop bulk.misconfigured"]),
    (400, "compatible_with_9.8.19.8", &["stop bulk.misconfigured"]),
    (405, "wrong_path.8.19.8", &["stop bulk.misconfigured"]),
    (406, "content_type_text.8.19.8", &["stop bulk.misconfigured"]),
];

fn told(outcome: &ItemOutcome) -> String {
    match outcome {
        ItemOutcome::Delivered => "delivered".to_owned(),
        ItemOutcome::Duplicate => "duplicate".to_owned(),
        ItemOutcome::Refused(_) => "refused".to_owned(),
        ItemOutcome::Retry(retry) => format!("retry {}", retry.failure.reason),
        ItemOutcome::Stop(failure) => format!("stop {}", failure.reason),
    }
}

#[test]
fn every_recorded_refusal_has_its_meaning() {
    for (status, case, expected) in RECORDED_REFUSALS {
        let meaning = read(&answer(*status, recorded(case)), expected.len());
        let told: Vec<String> = match meaning {
            Meaning::Items(items) => items.iter().map(told).collect(),
            Meaning::Retry(retry) => vec![told(&ItemOutcome::Retry(retry))],
            Meaning::Stop(failure) => vec![told(&ItemOutcome::Stop(failure))],
            Meaning::TooLarge => vec!["too large".to_owned()],
        };
        assert_eq!(told, *expected, "{case}");
    }
}

#[test]
fn what_is_not_the_documents_fault_may_be_tried_again_later() {
    use crate::outcome::Disposition;
    for reason in Reason::all().filter(|reason| reason.as_str().starts_with("bulk.")) {
        // Without a quarantine, an object with a refused document.
        let expected = match reason {
            Reason::BulkRejected => Disposition::Permanent,
            _ => Disposition::Transient,
        };
        assert_eq!(reason.disposition(), expected, "{reason}");
    }
}

#[test]
fn a_status_that_is_new_to_us_is_the_operators() {
    let item = r#"{"items":[{"create":{"status":418,"error":{"type":"new_exception","reason":"r"}}}]}"#;
    let stop = ItemOutcome::Stop(Failure::new(Reason::BulkMisconfigured, "418 new_exception: r"));
    assert_eq!(read(&answer(200, item), 1), Meaning::Items(vec![stop]));
    for status in [204, 304, 404, 407, 418, 451] {
        let expected = Failure::new(Reason::BulkMisconfigured, format!("status {status}"));
        assert_eq!(read(&answer(status, "<html>"), 1), Meaning::Stop(expected));
    }
}

#[test]
fn a_redirect_that_did_not_lead_to_bulk_is_told() {
    let redirected = |status, body: &'static str| {
        let answer = BulkAnswer {
            redirected_to: Some("https://login.example.com/".to_owned()),
            ..answer(status, body)
        };
        read(&answer, 1)
    };
    for (status, detail) in [
        (200, "200 with a body that is no bulk answer"),
        (404, "status 404"),
    ] {
        let Meaning::Stop(failure) = redirected(status, "<html>") else {
            panic!("{status}")
        };
        let expected = format!("redirected to https://login.example.com/: {detail}");
        assert_eq!(failure.reason, Reason::BulkMisconfigured);
        assert!(failure.detail.starts_with(&expected), "{failure}");
    }
    // It kept the body, and the answer is Elasticsearch's.
    let delivered = r#"{"items":[{"create":{"status":201}}]}"#;
    assert_eq!(
        redirected(200, delivered),
        Meaning::Items(vec![ItemOutcome::Delivered])
    );
    assert!(matches!(redirected(429, ""), Meaning::Retry(retry) if retry.throttled));
}

#[test]
fn a_full_queue_and_a_missing_shard_are_retried() {
    let outcomes = items(
        "write_queue_full",
        serde_json::from_slice::<Reply<'_>>(&recorded("write_queue_full.8.19.8"))
            .unwrap()
            .items
            .len(),
    );
    let retried: Vec<_> = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, ItemOutcome::Retry(retry) if retry.throttled))
        .collect();
    assert!(!retried.is_empty() && retried.len() < outcomes.len());
    assert_eq!(
        reason_of(&items("unavailable_shards", 2)[0]),
        Reason::BulkUnavailable
    );
}

#[test]
fn of_a_5xx_nothing_but_the_type_is_told() {
    // Elasticsearch prints the whole document into this reason.
    assert!(String::from_utf8_lossy(&recorded("unavailable_shards.8.19.8")).contains("source["));
    let ItemOutcome::Retry(retry) = &items("unavailable_shards", 2)[0] else {
        panic!()
    };
    assert_eq!(retry.failure.detail, "503 unavailable_shards_exception");
}

#[test]
fn an_answer_that_does_not_match_delivers_nothing() {
    let invalid = |meaning: Meaning| matches!(meaning, Meaning::Retry(retry) if retry.failure.reason == Reason::BulkAnswerInvalid);
    // The server ignored a trailing action line: one item fewer than sent.
    assert!(invalid(read_recorded(200, "odd_line_count", 2)));
    // A filter_path that leaves nothing.
    assert!(invalid(read_recorded(200, "filter_path_nothing_left", 1)));
    for body in [
        "",
        "{",
        r#"{"items":[{"create":{}}]}"#,
        r#"{"items":[{"index":{"status":201}}]}"#,
        "<html>",
    ] {
        assert!(invalid(read(&answer(200, body), 1)), "{body}");
    }
}

#[test]
fn answers_of_proxies_need_no_json() {
    for (status, reason) in [
        (502, Reason::BulkUnavailable),
        (504, Reason::BulkUnavailable),
        (429, Reason::BulkThrottled),
    ] {
        match read(&answer(status, "<html>bad gateway</html>"), 1) {
            Meaning::Retry(retry) => assert_eq!(
                (retry.failure.reason, retry.failure.detail),
                (reason, format!("status {status}"))
            ),
            other => panic!("{status}: {other:?}"),
        }
    }
    assert_eq!(read(&answer(413, ""), 1), Meaning::TooLarge);
}
