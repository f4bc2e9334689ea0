//! Answers to a whole request: refusals of Elasticsearch, as recorded, those of a proxy in front of it, and such as no
//! server should give.

use flowship::outcome::Reason;
use serde_json::Value;

use super::super::case::{Becomes, Case, Trouble};
use super::super::{play, play_in_a_row};
use super::{BULK, OPERATORS, Requests, USUAL};
use crate::support::World;
use crate::support::proxy::{Fault, Message};
use crate::support::stack::repository;

const JSON: &[(&str, &str)] = &[("Content-Type", "application/json")];
const HTML: &[(&str, &str)] = &[("Content-Type", "text/html")];
const NO_BODY: &[(&str, &str)] = &[];

const THROTTLED: Becomes = Becomes::Letter(Reason::BulkThrottled);
const BLOCKED: Becomes = Becomes::Letter(Reason::BulkBlocked);
const UNAUTHORIZED: Becomes = Becomes::Letter(Reason::BulkUnauthorized);

/// Too much to do, or not there: asked again within the invocation.
const TRY_AGAIN: &[Case] = &[
    Case {
        name: "es-413-above-a-size",
        trouble: Trouble::Requests(
            BULK.with_body(|body| body.len() > 20_000),
            Fault::Answer("413 Payload Too Large", NO_BODY, ""),
            2,
        ),
        becomes: Becomes::Indexed,
        ..USUAL
    },
    Case {
        name: "es-429",
        trouble: Trouble::Requests(BULK, Fault::Answer("429 Too Many Requests", JSON, PRESSURE), 2),
        becomes: THROTTLED,
        ..USUAL
    },
    Case {
        name: "es-429-come-soon",
        trouble: Trouble::Requests(
            BULK,
            Fault::Answer("429 Too Many Requests", &[("Retry-After", "1")], ""),
            2,
        ),
        becomes: THROTTLED,
        ..USUAL
    },
    Case {
        // Longer than the invocation: it is not waited for, and the next one does not ask before either.
        name: "es-429-come-later",
        trouble: Trouble::Requests(
            BULK,
            Fault::Answer("429 Too Many Requests", &[("Retry-After", "9")], ""),
            1,
        ),
        becomes: THROTTLED,
        most_requests: 6,
        ..USUAL
    },
    Case {
        name: "es-429-circuit-breaker",
        trouble: Trouble::Requests(BULK, Fault::Answer("429 Too Many Requests", JSON, BREAKER), 2),
        becomes: THROTTLED,
        ..USUAL
    },
    Case {
        name: "es-500",
        trouble: Trouble::Requests(
            BULK,
            Fault::Answer("500 Internal Server Error", JSON, NO_INGEST_NODES),
            2,
        ),
        ..USUAL
    },
    Case {
        name: "es-502",
        trouble: Trouble::Requests(BULK, Fault::Answer("502 Bad Gateway", HTML, PAGE), 2),
        ..USUAL
    },
    Case {
        name: "es-503",
        trouble: Trouble::Requests(BULK, Fault::Answer("503 Service Unavailable", HTML, PAGE), 2),
        ..USUAL
    },
    Case {
        name: "es-503-rejected",
        trouble: Trouble::Requests(BULK, Fault::Answer("503 Service Unavailable", JSON, PRESSURE), 2),
        ..USUAL
    },
    Case {
        name: "es-504",
        trouble: Trouble::Requests(BULK, Fault::Answer("504 Gateway Timeout", HTML, PAGE), 2),
        ..USUAL
    },
    Case {
        name: "es-308-to-bulk",
        trouble: Trouble::Requests(
            Requests::naming(&["POST ", "/_bulk?filter_path"])
                .with_body(|body| body.starts_with("{\"create\":")),
            Fault::Answer("308 Permanent Redirect", &[("Location", "/_bulk?pretty")], ""),
            1,
        ),
        becomes: Becomes::Indexed,
        ..USUAL
    },
];

/// Nothing that asking again would change.
const LEAVE_ALONE: &[Case] = &[
    Case {
        name: "es-413-always",
        trouble: Trouble::Requests(BULK, Fault::Answer("413 Payload Too Large", NO_BODY, ""), 1),
        // Down to a single document: 2 to the power of 9 is more than there are.
        most_requests: 60,
        ..OPERATORS
    },
    Case {
        name: "es-400",
        trouble: Trouble::Requests(BULK, Fault::Answer("400 Bad Request", JSON, MALFORMED), 1),
        ..OPERATORS
    },
    Case {
        name: "es-404",
        trouble: Trouble::Requests(BULK, Fault::Answer("404 Not Found", HTML, PAGE), 1),
        ..OPERATORS
    },
    Case {
        name: "es-407",
        trouble: Trouble::Requests(
            BULK,
            Fault::Answer("407 Proxy Authentication Required", HTML, PAGE),
            1,
        ),
        ..OPERATORS
    },
    Case {
        name: "es-418",
        trouble: Trouble::Requests(BULK, Fault::Answer("418 I'm a teapot", JSON, "{}"), 1),
        ..OPERATORS
    },
    Case {
        name: "es-301",
        trouble: Trouble::Requests(
            BULK,
            Fault::Answer("301 Moved Permanently", &[("Location", "/elsewhere/_bulk")], ""),
            1,
        ),
        ..OPERATORS
    },
    Case {
        name: "es-302",
        trouble: Trouble::Requests(BULK, Fault::Answer("302 Found", &[("Location", "/")], ""), 1),
        ..OPERATORS
    },
    Case {
        name: "es-401",
        trouble: Trouble::Requests(BULK, Fault::Answer("401 Unauthorized", JSON, WRONG_PASSWORD), 1),
        becomes: UNAUTHORIZED,
        ..OPERATORS
    },
    Case {
        name: "es-403",
        trouble: Trouble::Requests(BULK, Fault::Answer("403 Forbidden", JSON, NO_RIGHT), 1),
        becomes: UNAUTHORIZED,
        ..OPERATORS
    },
    Case {
        name: "es-403-cluster-blocked",
        trouble: Trouble::Requests(BULK, Fault::Answer("403 Forbidden", JSON, CLUSTER_BLOCK), 1),
        becomes: BLOCKED,
        ..OPERATORS
    },
];

const WITH_A_SECRET: &[Case] = &[Case {
    // It is read again, and what was refused once is sent again.
    name: "es-401-with-a-secret",
    trouble: Trouble::Requests(BULK, Fault::Answer("401 Unauthorized", JSON, WRONG_PASSWORD), 1),
    becomes: UNAUTHORIZED,
    adjust: know_a_secret,
    ..OPERATORS
}];

/// What cannot be matched with the request: nothing of it counts, whatever the server did.
const NONSENSE: Case = Case {
    becomes: Becomes::Letter(Reason::BulkAnswerInvalid),
    // Three a receive.
    most_requests: 18,
    ..USUAL
};

const INVALID: &[Case] = &[
    Case {
        name: "es-200-truncated",
        trouble: Trouble::Requests(
            BULK,
            Fault::ChangeAnswer(|answer| answer.body.truncate(answer.body.len() / 2)),
            1,
        ),
        ..NONSENSE
    },
    Case {
        name: "es-200-short-length",
        trouble: Trouble::Requests(BULK, Fault::WrongLength(-10), 1),
        ..NONSENSE
    },
    Case {
        name: "es-200-empty",
        trouble: Trouble::Requests(BULK, Fault::ChangeAnswer(|answer| answer.body.clear()), 1),
        ..NONSENSE
    },
    Case {
        name: "es-200-html",
        trouble: Trouble::Requests(BULK, Fault::Answer("200 OK", HTML, PAGE), 1),
        ..NONSENSE
    },
    Case {
        name: "es-200-no-items",
        trouble: Trouble::Requests(BULK, Fault::Answer("200 OK", JSON, "{}"), 1),
        ..NONSENSE
    },
    Case {
        name: "es-200-fewer-items",
        trouble: Trouble::Requests(
            BULK,
            Fault::ChangeAnswer(|answer| {
                change_items(answer, |items| {
                    items.pop();
                });
            }),
            1,
        ),
        ..NONSENSE
    },
    Case {
        name: "es-200-more-items",
        trouble: Trouble::Requests(
            BULK,
            Fault::ChangeAnswer(|answer| change_items(answer, |items| items.push(items[0].clone()))),
            1,
        ),
        ..NONSENSE
    },
];

/// Changes the items of a bulk answer.
pub(super) fn change_items(answer: &mut Message, change: impl FnOnce(&mut Vec<Value>)) {
    let mut reply: Value = serde_json::from_slice(&answer.body).unwrap();
    change(reply["items"].as_array_mut().unwrap());
    answer.body = reply.to_string().into_bytes();
}

/// The server of these cases asks nobody for a password.
fn know_a_secret(world: &mut World) {
    let file = repository("tests/data/secret.json");
    let file = file.into_os_string().into_string().unwrap();
    world
        .variables
        .insert("FLOWSHIP_ELASTICSEARCH_SECRET_FILE".into(), file);
}

const PAGE: &str = "<html><body><h1>Not what you asked for</h1></body></html>";
const PRESSURE: &str = include_str!("../../data/elasticsearch/indexing_pressure.8.19.8.json");
const BREAKER: &str = include_str!("../../data/elasticsearch/breaker_parent.8.19.8.json");
const NO_INGEST_NODES: &str = include_str!("../../data/elasticsearch/missing_pipeline.opensearch-3.8.0.json");
const MALFORMED: &str = include_str!("../../data/elasticsearch/malformed_action.8.19.8.json");
const WRONG_PASSWORD: &str = include_str!("../../data/elasticsearch/auth_wrong.8.19.8.json");
const NO_RIGHT: &str = include_str!("../../data/elasticsearch/forbidden_no_create_doc.8.19.8.json");
const CLUSTER_BLOCK: &str = include_str!("../../data/elasticsearch/cluster_flood_stage.8.19.8.json");

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_refused_for_a_time() {
    play(TRY_AGAIN, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_refused_until_it_is_mended() {
    play_in_a_row("es-leave-alone", LEAVE_ALONE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_refused_and_the_secret_read_again() {
    play(WITH_A_SECRET, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_make_no_sense() {
    play_in_a_row("es-invalid", INVALID).await;
}
