//! What became of an object → one small document about it: was 03:00 to 04:00 fully ingested, and which object is
//! missing?
//!
//! An entry says what the last pass over its object came to. Its id is made from bucket and key, and its index is that of
//! a month which no pass changes, so that a later pass replaces it and an older report that arrives late does not. It
//! is a report, written last: a failure to write it costs nothing but the entry.

use std::collections::BTreeMap;
use std::future::Future;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::bulk::BulkAnswer;
use crate::document::ObjectHash;
use crate::object::ObjectRef;
use crate::outcome::{Counts, Failure, Fate};

#[cfg(test)]
pub(crate) mod memory;

/// Longest detail of a failure, characters: as much as its keyword field takes.
const MAX_DETAIL_CHARS: usize = 1024;

/// Where entries are written. Implemented for Elasticsearch in [`crate::elasticsearch::ledger`].
pub trait Ledger: Send + Sync + 'static {
    /// Writes these entries, of which later ones replace earlier ones of the same object.
    fn write(&self, entries: &[LedgerEntry]) -> impl Future<Output = Result<(), LedgerError>> + Send;
}

/// Entries that were not written, as far as is known.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{detail}")]
pub struct LedgerError {
    /// How many.
    pub num_failed: u64,
    /// Why, of the first of them, in one line.
    pub detail: String,
}

/// A document of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// When the pass ended.
    #[serde(rename = "@timestamp")]
    pub ended_at: Timestamp,
    /// The account in the object's name.
    #[serde(rename = "cloud.account.id", default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The region in the object's name.
    #[serde(rename = "cloud.region", default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// flowship's version.
    #[serde(rename = "flowship.version")]
    pub version: String,
    /// The object.
    #[serde(rename = "flowship.object")]
    pub object: ObjectEntry,
}

/// What an entry says of its object. The counters are the sums of all passes that went on from each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectEntry {
    /// `s3://bucket/key`.
    pub uri: String,
    /// Bucket name.
    pub bucket: String,
    /// Decoded key.
    pub key: String,
    /// The version that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// The flow log in the object's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_log_id: Option<String>,
    /// Where the object belongs in time, the same for every pass: the stamp in its key, else the time of its S3 event,
    /// else that of the pass. Its month is that of the index.
    pub time: Timestamp,
    /// The stamp in its key: the beginning of its slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<Timestamp>,
    /// Bytes, as stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// What became of its lines.
    #[serde(flatten)]
    pub counts: Counts,
    /// `@timestamp` of its first document by time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_record: Option<Timestamp>,
    /// `@timestamp` of its last document by time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_record: Option<Timestamp>,
    /// Milliseconds from there to the end of the pass: how late its documents came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_ms: Option<u64>,
    /// Whether every line is indexed, was there already, is NODATA, or is in quarantine.
    pub complete: bool,
    /// What becomes of it.
    pub fate: Fate,
    /// Class of the failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// One line about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The file with its refused lines; of several passes that refused some, the last one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<String>,
    /// How often its message was received.
    pub attempts: u32,
    /// How often its message was redriven.
    pub hops: u32,
    /// Passes that went on from each other.
    pub passes: u64,
    /// What the last pass took.
    pub duration_ms: u64,
    /// The message.
    pub message_id: String,
}

impl LedgerEntry {
    /// The `_id`.
    pub fn id(&self) -> String {
        ObjectHash::new(&self.object.bucket, &self.object.key).to_id()
    }

    /// The index: `{first part}-YYYY.MM`.
    pub fn index_name(&self, index: &str) -> String {
        let month = self
            .object
            .time
            .to_zoned(TimeZone::UTC)
            .strftime("%Y.%m")
            .to_string();
        format!("{index}-{month}")
    }

    /// Says what became of the object after all.
    pub fn set_fate(&mut self, fate: Fate) {
        self.object.fate = fate;
        self.object.complete = fate == Fate::Indexed;
    }
}

/// Where an object belongs in time, and the stamp in its key.
pub fn time_of(
    object: &ObjectRef,
    event_time: Option<Timestamp>,
    now: Timestamp,
) -> (Timestamp, Option<Timestamp>) {
    let slot = object.key_stamp().and_then(second);
    (slot.or(event_time).unwrap_or(now), slot)
}

/// Unix seconds as a time.
pub fn second(seconds: u32) -> Option<Timestamp> {
    Timestamp::from_second(seconds.into()).ok()
}

/// Reason and detail as an entry holds them.
pub fn describe(failure: &Failure) -> (String, String) {
    let detail = failure.detail.chars().take(MAX_DETAIL_CHARS).collect();
    (failure.reason.to_string(), detail)
}

/// The NDJSON of one `_bulk` call. A document replaces one that is not newer, by the end of the pass that it tells of.
pub fn bulk_body(entries: &[LedgerEntry], index: &str) -> Vec<u8> {
    const MEMORY: &str = "an entry is plain text and numbers";
    let mut body = Vec::new();
    for entry in entries {
        let action = json!({"index": {
            "_index": entry.index_name(index),
            "_id": entry.id(),
            "version": entry.ended_at.as_millisecond(),
            "version_type": "external_gte",
        }});
        serde_json::to_writer(&mut body, &action).expect(MEMORY);
        body.push(b'\n');
        serde_json::to_writer(&mut body, entry).expect(MEMORY);
        body.push(b'\n');
    }
    body
}

#[derive(Deserialize)]
struct Reply {
    items: Vec<BTreeMap<String, ItemReply>>,
}

#[derive(Deserialize)]
struct ItemReply {
    status: u16,
    error: Option<ItemError>,
}

#[derive(Deserialize)]
struct ItemError {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    reason: String,
}

/// What an answer to `num_entries` entries means. A conflict (409) is none: a newer report is there.
pub fn read_answer(answer: &BulkAnswer, num_entries: usize) -> Result<(), LedgerError> {
    let failed = |num_failed: usize, detail: String| {
        Err(LedgerError {
            num_failed: num_failed as u64,
            detail,
        })
    };
    if answer.status != 200 {
        return failed(num_entries, format!("Elasticsearch answers {}", answer.status));
    }
    let items = match serde_json::from_slice::<Reply>(&answer.body) {
        Ok(reply) if reply.items.len() == num_entries => reply.items,
        Ok(_) | Err(_) => return failed(num_entries, "the answer is not one to what was sent".to_owned()),
    };
    let mut refused = items
        .into_iter()
        .flat_map(BTreeMap::into_values)
        .filter(|item| !matches!(item.status, 200 | 201 | 409));
    let Some(first) = refused.next() else {
        return Ok(());
    };
    let detail = match first.error {
        Some(ItemError { kind, reason }) => {
            let reason: String = reason.chars().take(MAX_DETAIL_CHARS).collect();
            format!("{} {kind}: {reason}", first.status)
        }
        None => format!("status {}", first.status),
    };
    failed(1 + refused.count(), detail)
}

#[cfg(test)]
mod tests;
