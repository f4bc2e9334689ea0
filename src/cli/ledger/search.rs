//! The ledger's entries of a time range, page by page, however many there are.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::gaps::{FlowLog, SlotSet};
use super::range::Range;
use crate::elasticsearch::client::Client;
use crate::elasticsearch::setup::read_error;
use crate::ledger::LedgerEntry;

/// Entries a call: some megabytes.
const PAGE: usize = 5000;

/// Slots a call.
const SLOTS_PAGE: usize = 5000;

/// How long before the range flow logs are looked for.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(24);

const TIME: &str = "flowship.object.time";
const SLOT: &str = "flowship.object.slot";

/// Which objects are looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    pub(super) account: Option<String>,
    pub(super) region: Option<String>,
    pub(super) flow_log: Option<String>,
}

/// Questions to one ledger.
#[derive(Debug)]
pub(super) struct Search<'a> {
    client: &'a Client,
    path: String,
    range: Range,
    filter: Filter,
}

/// Some entries, in the order of time, and where the next ones begin; `None`: there are no more.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) entries: Vec<LedgerEntry>,
    pub(super) last: Option<Value>,
}

impl<'a> Search<'a> {
    pub(super) fn new(client: &'a Client, index: &str, range: Range, filter: Filter) -> Self {
        Self {
            client,
            // Half an answer must not look like a whole one.
            path: format!("{index}-*/_search?allow_partial_search_results=false"),
            range,
            filter,
        }
    }

    pub(super) fn range(&self) -> Range {
        self.range
    }

    /// The entries after `after`. Their order is by time and URI, which no pass over an object changes: each object is
    /// seen exactly once, whatever is written meanwhile.
    pub(super) async fn page(&self, after: Option<Value>) -> anyhow::Result<Page> {
        let mut body = json!({
            "size": PAGE,
            "track_total_hits": false,
            "query": self.query(TIME, self.range),
            "sort": [{TIME: "asc"}, {"flowship.object.uri": "asc"}],
        });
        if let Some(after) = after {
            body["search_after"] = after;
        }
        let answer: Answer<EntryHit> = self.ask(&body).await?;
        let mut hits = answer.hits.hits;
        let last = match hits.len() {
            PAGE => hits.last_mut().map(|hit| hit.sort.take()),
            _ => None,
        };
        Ok(Page {
            entries: hits.into_iter().map(|hit| hit.source).collect(),
            last,
        })
    }

    /// The slots that were seen in the time before the range.
    pub(super) async fn earlier_slots(&self) -> anyhow::Result<BTreeMap<FlowLog, SlotSet>> {
        let before = Range {
            from: self.range.from.checked_sub(LOOK_BACK).unwrap_or(Timestamp::MIN),
            to: self.range.from,
        };
        let terms = |name: &str, field: &str| json!({name: {"terms": {"field": field}}});
        let mut composite = json!({"size": SLOTS_PAGE, "sources": [
            terms("account", "cloud.account.id"), terms("region", "cloud.region"),
            terms("id", "flowship.object.flow_log_id"), terms("slot", SLOT),
        ]});
        let mut found: BTreeMap<FlowLog, SlotSet> = BTreeMap::new();
        loop {
            let body = json!({
                "size": 0,
                "query": self.query(SLOT, before),
                "aggs": {"slots": {"composite": composite}},
            });
            let answer: Answer<Value> = self.ask(&body).await?;
            // Where there is no index, there is no aggregation either.
            let Some(Aggregations { slots }) = answer.aggregations else {
                return Ok(found);
            };
            for SlotBucket { key } in slots.buckets {
                found.entry(key.flow_log).or_default().insert(key.slot / 1000);
            }
            match slots.after_key {
                Some(after) => composite["after"] = after,
                None => return Ok(found),
            }
        }
    }

    fn query(&self, field: &str, range: Range) -> Value {
        let mut filters = vec![json!({"range": {field: {
            "gte": range.from.to_string(), "lt": range.to.to_string(), "format": "strict_date_optional_time",
        }}})];
        let Filter {
            account,
            region,
            flow_log,
        } = &self.filter;
        for (field, value) in [
            ("cloud.account.id", account),
            ("cloud.region", region),
            ("flowship.object.flow_log_id", flow_log),
        ] {
            if let Some(value) = value {
                filters.push(json!({"term": {field: value}}));
            }
        }
        json!({"bool": {"filter": filters}})
    }

    async fn ask<H: for<'de> Deserialize<'de>>(&self, body: &Value) -> anyhow::Result<Answer<H>> {
        let answer = self.client.post(&self.path, body.to_string()).await?;
        if answer.status != 200 {
            let (kind, reason) = read_error(&answer.body);
            bail!(
                "Elasticsearch answers {} {kind}: {reason}; the ledger's indices need the template that `flowctl setup` \
                 installs, and whoever reads them `read`",
                answer.status
            );
        }
        serde_json::from_slice(&answer.body).context("what Elasticsearch found is no ledger")
    }
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "H: Deserialize<'de>"))]
struct Answer<H> {
    hits: Hits<H>,
    aggregations: Option<Aggregations>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "H: Deserialize<'de>"))]
struct Hits<H> {
    hits: Vec<H>,
}

#[derive(Debug, Deserialize)]
struct EntryHit {
    #[serde(rename = "_source")]
    source: LedgerEntry,
    sort: Value,
}

#[derive(Debug, Deserialize)]
struct Aggregations {
    slots: Slots,
}

#[derive(Debug, Deserialize)]
struct Slots {
    buckets: Vec<SlotBucket>,
    after_key: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct SlotBucket {
    key: SlotKey,
}

#[derive(Debug, Deserialize)]
struct SlotKey {
    #[serde(flatten)]
    flow_log: FlowLog,
    /// Unix milliseconds.
    slot: i64,
}
