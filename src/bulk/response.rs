//! An answer to `_bulk` → what to do with the request and with each of its items. By status first, by error type
//! second, never by text: type names differ between versions, texts carry document contents.

use std::borrow::Cow;

use serde::Deserialize;

use super::{BulkAnswer, Refusal};
use crate::outcome::{Failure, Reason};

/// The closed list of item errors (status 400) that are the document's own fault. Every other 400 means that the
/// cluster is not ready (closed index, shard limit, missing pipeline, …).
const DOCUMENT_ERRORS: [&str; 3] = [
    "document_parsing_exception",
    "mapper_parsing_exception",
    "strict_dynamic_mapping_exception",
];

/// Longest quotation of a server's reason, characters.
const MAX_REASON_CHARS: usize = 300;

/// What an answer means for the whole request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// One outcome per item, in order.
    Items(Vec<ItemOutcome>),
    /// The body is larger than the server takes: split it.
    TooLarge,
    /// Nothing of it counts; send it again.
    Retry(Retry),
    /// Nothing of it counts, and sending it again now would not help.
    Stop(Failure),
}

/// What an answer means for one item.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ItemOutcome {
    /// Created.
    Delivered,
    /// Already there.
    Duplicate,
    /// The document will never be taken.
    Refused(Refusal),
    /// Send this item again.
    Retry(Retry),
    /// Sending it again now would not help.
    Stop(Failure),
}

/// Why something is to be sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Retry {
    /// What to report when the time is up.
    pub(super) failure: Failure,
    /// The server has too much to do: 429, also of an item, and 503 for the whole request.
    pub(super) throttled: bool,
}

impl Retry {
    pub(super) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self {
            failure: Failure::new(reason, detail),
            throttled: reason == Reason::BulkThrottled,
        }
    }
}

/// Reads the answer to a request of `num_items` items.
pub(super) fn read(answer: &BulkAnswer, num_items: usize) -> Meaning {
    let meaning = match answer.status {
        200 => read_items(&answer.body, num_items),
        413 => Meaning::TooLarge,
        status => read_refused_request(status, &answer.body),
    };
    match &answer.redirected_to {
        Some(url) => read_redirected(url, meaning),
        None => meaning,
    }
}

/// What is no bulk answer is that of a login page or of another server, which asking again does not change.
fn read_redirected(url: &str, meaning: Meaning) -> Meaning {
    let failure = match meaning {
        Meaning::Retry(retry) if retry.failure.reason == Reason::BulkAnswerInvalid => retry.failure,
        Meaning::Stop(failure) => failure,
        meaning => return meaning,
    };
    let detail = format!("redirected to {url}: {}", failure.detail);
    Meaning::Stop(Failure::new(Reason::BulkMisconfigured, detail))
}

fn read_items(body: &[u8], num_items: usize) -> Meaning {
    let items = match serde_json::from_slice::<Reply<'_>>(body) {
        Ok(reply) => reply.items,
        Err(error) => {
            return Meaning::Retry(Retry::new(
                Reason::BulkAnswerInvalid,
                format!("200 with a body that is no bulk answer: {error}"),
            ));
        }
    };
    if items.len() != num_items {
        let detail = format!("200 with {} items for {num_items} documents", items.len());
        return Meaning::Retry(Retry::new(Reason::BulkAnswerInvalid, detail));
    }
    Meaning::Items(items.into_iter().map(|item| read_item(item.create)).collect())
}

fn read_item(item: ItemReply<'_>) -> ItemOutcome {
    let ItemReply { status, error } = item;
    let error = error.unwrap_or_default();
    let kind = error.kind.as_ref();
    match (status, kind) {
        (200 | 201, _) => ItemOutcome::Delivered,
        (409, _) => ItemOutcome::Duplicate,
        // Flood stage: it lasts until someone makes room, so trying again at once only adds load.
        (403 | 429, "cluster_block_exception") => {
            ItemOutcome::Stop(failure(Reason::BulkBlocked, status, &error))
        }
        (429, _) => ItemOutcome::Retry(Retry::new(Reason::BulkThrottled, describe(status, &error))),
        (408 | 500..=599, _) => {
            ItemOutcome::Retry(Retry::new(Reason::BulkUnavailable, describe(status, &error)))
        }
        (400, kind) if DOCUMENT_ERRORS.contains(&kind) => ItemOutcome::Refused(Refusal {
            status,
            kind: kind.to_owned(),
            reason: scrub(&error.reason),
        }),
        (401 | 403, _) => ItemOutcome::Stop(failure(Reason::BulkUnauthorized, status, &error)),
        _ => ItemOutcome::Stop(failure(Reason::BulkMisconfigured, status, &error)),
    }
}

fn read_refused_request(status: u16, body: &[u8]) -> Meaning {
    // Proxies answer with HTML, some calls with no body at all: the status is enough then.
    let error = serde_json::from_slice::<ErrorReply<'_>>(body)
        .map(|reply| reply.error)
        .unwrap_or_default();
    match (status, error.kind.as_ref()) {
        (429, _) => Meaning::Retry(Retry::new(Reason::BulkThrottled, describe(status, &error))),
        (408 | 500..=599, _) => Meaning::Retry(Retry {
            throttled: status == 503,
            ..Retry::new(Reason::BulkUnavailable, describe(status, &error))
        }),
        (403, "cluster_block_exception") => Meaning::Stop(failure(Reason::BulkBlocked, status, &error)),
        (401 | 403, _) => Meaning::Stop(failure(Reason::BulkUnauthorized, status, &error)),
        _ => Meaning::Stop(failure(Reason::BulkMisconfigured, status, &error)),
    }
}

fn failure(reason: Reason, status: u16, error: &ItemError<'_>) -> Failure {
    Failure::new(reason, describe(status, error))
}

/// `status type: reason`. Of a 5xx only the type: `unavailable_shards_exception` prints the whole document.
fn describe(status: u16, error: &ItemError<'_>) -> String {
    match (error.kind.as_ref(), error.reason.as_ref()) {
        ("", _) => format!("status {status}"),
        (kind, "") => format!("{status} {kind}"),
        (kind, _) if status >= 500 => format!("{status} {kind}"),
        (kind, reason) => format!("{status} {kind}: {}", scrub(reason)),
    }
}

/// The reason without the field value that Elasticsearch quotes in it, in one line, cut.
fn scrub(reason: &str) -> String {
    let shown = reason
        .split("Preview of field's value")
        .next()
        .unwrap_or_default();
    let line: String = shown
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_REASON_CHARS)
        .collect();
    line.trim_end().to_owned()
}

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow)]
    items: Vec<ActionReply<'a>>,
}

#[derive(Deserialize)]
struct ActionReply<'a> {
    #[serde(borrow)]
    create: ItemReply<'a>,
}

#[derive(Deserialize)]
struct ItemReply<'a> {
    status: u16,
    #[serde(borrow)]
    error: Option<ItemError<'a>>,
}

#[derive(Default, Deserialize)]
struct ItemError<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    reason: Cow<'a, str>,
}

#[derive(Deserialize)]
struct ErrorReply<'a> {
    #[serde(borrow)]
    error: ItemError<'a>,
}

#[cfg(test)]
mod tests;
