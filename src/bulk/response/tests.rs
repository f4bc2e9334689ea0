//! Real answers of a real server (`tests/data/elasticsearch/`), and the ones that no server should send.

use bytes::Bytes;

use super::*;

fn recorded(case: &str) -> Bytes {
    let path = format!(
        "{}/tests/data/elasticsearch/{case}.8.19.8.json",
        env!("CARGO_MANIFEST_DIR")
    );
    Bytes::from(std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}")))
}

fn read_recorded(status: u16, case: &str, num_items: usize) -> Meaning {
    read(
        &BulkAnswer {
            status,
            retry_after: None,
            body: recorded(case),
        },
        num_items,
    )
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

#[test]
fn a_400_that_is_not_the_documents_fault_is_the_operators() {
    for (case, num_items) in [
        ("index_closed", 2),
        ("shard_limit", 2),
        ("alias_without_write_index", 1),
        ("missing_pipeline", 1),
    ] {
        let outcomes = items(case, num_items);
        assert!(
            matches!(outcomes[0], ItemOutcome::Stop(_)),
            "{case}: {:?}",
            outcomes[0]
        );
        assert_eq!(reason_of(&outcomes[0]), Reason::BulkMisconfigured, "{case}");
    }
    assert_eq!(
        reason_of(&items("auto_create_off", 2)[0]),
        Reason::BulkMisconfigured
    );
}

#[test]
fn blocks_and_missing_privileges_stop_without_a_retry() {
    for (case, reason) in [
        ("flood_stage", Reason::BulkBlocked),
        ("index_write_block", Reason::BulkBlocked),
        ("forbidden_other_index", Reason::BulkUnauthorized),
    ] {
        let outcomes = items(case, 2);
        assert!(matches!(outcomes[0], ItemOutcome::Stop(_)), "{case}");
        assert_eq!(
            (reason_of(&outcomes[0]), &outcomes[1]),
            (reason, &ItemOutcome::Delivered),
            "{case}"
        );
    }
}

#[test]
fn a_full_queue_and_a_missing_shard_are_retried() {
    let outcomes = items(
        "write_queue_full",
        serde_json::from_slice::<Reply<'_>>(&recorded("write_queue_full"))
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
    assert!(String::from_utf8_lossy(&recorded("unavailable_shards")).contains("source["));
    let ItemOutcome::Retry(retry) = &items("unavailable_shards", 2)[0] else {
        panic!()
    };
    assert_eq!(retry.failure.detail, "503 unavailable_shards_exception");
}

#[test]
fn whole_answers_are_read_by_status_then_type() {
    for (status, case, reason) in [
        (401, "auth_wrong", Reason::BulkUnauthorized),
        (403, "forbidden_no_create_doc", Reason::BulkUnauthorized),
        (403, "cluster_flood_stage", Reason::BulkBlocked),
        (400, "malformed_action", Reason::BulkMisconfigured),
    ] {
        match read_recorded(status, case, 1) {
            Meaning::Stop(failure) => assert_eq!(failure.reason, reason, "{case}"),
            other => panic!("{case}: {other:?}"),
        }
    }
    for case in ["indexing_pressure", "breaker_parent"] {
        match read_recorded(429, case, 1) {
            Meaning::Retry(retry) => assert!(retry.throttled, "{case}"),
            other => panic!("{case}: {other:?}"),
        }
    }
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
        let answer = BulkAnswer {
            status: 200,
            retry_after: None,
            body: Bytes::from(body),
        };
        assert!(invalid(read(&answer, 1)), "{body}");
    }
}

#[test]
fn answers_of_proxies_need_no_json() {
    for (status, reason) in [
        (502, Reason::BulkUnavailable),
        (504, Reason::BulkUnavailable),
        (429, Reason::BulkThrottled),
    ] {
        let answer = BulkAnswer {
            status,
            retry_after: None,
            body: Bytes::from("<html>bad gateway</html>"),
        };
        match read(&answer, 1) {
            Meaning::Retry(retry) => assert_eq!(
                (retry.failure.reason, retry.failure.detail),
                (reason, format!("status {status}"))
            ),
            other => panic!("{status}: {other:?}"),
        }
    }
    let answer = BulkAnswer {
        status: 413,
        retry_after: None,
        body: Bytes::new(),
    };
    assert_eq!(read(&answer, 1), Meaning::TooLarge);
    let answer = BulkAnswer {
        status: 404,
        retry_after: None,
        body: Bytes::new(),
    };
    assert!(
        matches!(read(&answer, 1), Meaning::Stop(failure) if failure.reason == Reason::BulkMisconfigured)
    );
}
