//! Elasticsearch takes a part of a request and refuses the rest of it.

use flowship::outcome::Reason;
use serde_json::{Value, json};

use super::super::case::{Becomes, Case, Trouble};
use super::super::play_in_a_row;
use super::super::stage::HIT;
use super::answers::change_items;
use super::{BULK, OPERATORS, USUAL};
use crate::support::proxy::{Fault, Message};

const THROTTLED: Becomes = Becomes::Letter(Reason::BulkThrottled);

/// What the object fares whose documents are refused; the others of the same request are indexed.
const SOME: Case = Case {
    concerns: &[HIT],
    ..USUAL
};

const CASES: &[Case] = &[
    Case {
        name: "es-some-429",
        trouble: Trouble::Requests(BULK, Fault::ChangeBoth(misplace_hit, refuse_misplaced::<429>), 2),
        becomes: THROTTLED,
        ..SOME
    },
    Case {
        name: "es-all-429",
        trouble: Trouble::Requests(BULK, Fault::ChangeBoth(misplace_all, refuse_misplaced::<429>), 2),
        becomes: THROTTLED,
        ..USUAL
    },
    Case {
        name: "es-some-500",
        trouble: Trouble::Requests(BULK, Fault::ChangeBoth(misplace_hit, refuse_misplaced::<500>), 2),
        ..SOME
    },
    Case {
        name: "es-some-503",
        trouble: Trouble::Requests(BULK, Fault::ChangeBoth(misplace_hit, refuse_misplaced::<503>), 2),
        ..SOME
    },
    Case {
        name: "es-some-404",
        trouble: Trouble::Requests(BULK, Fault::ChangeBoth(misplace_hit, refuse_misplaced::<404>), 1),
        concerns: &[HIT],
        ..OPERATORS
    },
    Case {
        name: "es-some-418",
        trouble: Trouble::Requests(BULK, Fault::ChangeBoth(misplace_hit, refuse_misplaced::<418>), 1),
        concerns: &[HIT],
        ..OPERATORS
    },
];

/// No index can have such a name.
const NOWHERE: &str = "Nowhere";

/// Sends the documents of [`HIT`] to where they cannot be indexed.
fn misplace_hit(request: &mut Message) {
    misplace(request, |document| document.contains("\"eni-00000001\""));
}

fn misplace_all(request: &mut Message) {
    misplace(request, |_document| true);
}

fn misplace(request: &mut Message, is_hit: fn(&str) -> bool) {
    let text = request.text();
    let lines: Vec<&str> = text.lines().collect();
    let mut changed = String::new();
    for pair in lines.chunks(2) {
        let mut action: Value = serde_json::from_str(pair[0]).unwrap();
        if is_hit(pair[1]) {
            action["create"]["_index"] = json!(NOWHERE);
        }
        changed.push_str(&format!("{action}\n{}\n", pair[1]));
    }
    request.body = changed.into_bytes();
    request.remove_header("content-encoding");
}

/// Items that could not be indexed have this status, and an error that goes with it.
fn refuse_misplaced<const STATUS: u16>(answer: &mut Message) {
    let (kind, reason) = match STATUS {
        404 => ("index_not_found_exception", "no such index [flowlogs]"),
        429 => ("es_rejected_execution_exception", "rejected execution"),
        500 => ("illegal_state_exception", "out of order"),
        503 => ("unavailable_shards_exception", "primary shard is not active"),
        _ => ("new_exception", "of a version to come"),
    };
    change_items(answer, |items| {
        for item in items {
            let item = &mut item["create"];
            if item["error"]["type"] == "invalid_index_name_exception" {
                *item = json!({"status": STATUS, "error": {"type": kind, "reason": reason}});
            }
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_requests_are_refused() {
    play_in_a_row("es-items", CASES).await;
}
