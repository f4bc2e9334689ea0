//! Whether objects are complete, by the ledger.

use std::collections::HashMap;

use anyhow::{Context, bail};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use crate::cli::doctor::cluster::reply::{self, Reply};
use crate::document::ObjectHash;
use crate::elasticsearch::client::Client;
use crate::elasticsearch::setup::read_error;
use crate::ledger::LedgerEntry;

/// Entries a call.
const PAGE: usize = 500;

/// The ledger, as one reads it.
#[derive(Debug)]
pub(in crate::cli::redrive) struct Ledger {
    pub(in crate::cli::redrive) client: Client,
    pub(in crate::cli::redrive) index: String,
}

/// What the ledger says of an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) ended_at: Timestamp,
    pub(super) complete: bool,
    /// How often the message of that pass was redriven.
    pub(super) hops: u64,
}

#[derive(Deserialize)]
struct Answer {
    hits: Hits,
}

#[derive(Deserialize)]
struct Hits {
    hits: Vec<Hit>,
}

#[derive(Deserialize)]
struct Hit {
    #[serde(rename = "_source")]
    source: LedgerEntry,
}

impl Ledger {
    /// Why it cannot be read, if so: no object would ever be seen complete.
    pub(super) async fn why_unreadable(&self) -> Option<String> {
        let pattern = format!("{}-*", self.index);
        // A search for what one may not read may find nothing, and be answered with 200.
        let question = json!({"index": [{"names": [pattern], "privileges": ["read"]}]});
        let may_read = match reply::post(&self.client, "_security/user/_has_privileges", &question).await {
            Reply::Found(rights) => rights["index"][&pattern]["read"] != json!(false),
            // A server without security does not know; the search does.
            _ => true,
        };
        let found = reply::post(&self.client, &self.search_path(), &json!({"size": 0})).await;
        match found {
            Reply::Found(_) if may_read => None,
            Reply::Found(_) | Reply::Denied => Some(format!(
                "these credentials may not read {pattern}: use ones with the role flowlogs-reader, or --force to go on \
                 without the ledger"
            )),
            Reply::Absent => Some(format!("the ledger {pattern} cannot be searched on this server")),
            Reply::Failed(detail) => Some(format!("the ledger {pattern} cannot be searched: {detail}")),
        }
    }

    fn search_path(&self) -> String {
        format!("{}-*/_search?allow_partial_search_results=false", self.index)
    }

    /// The entries of these URIs; an object without one is left out.
    pub(super) async fn entries(&self, uris: &[&str]) -> anyhow::Result<HashMap<String, Entry>> {
        let mut entries: HashMap<String, Entry> = HashMap::new();
        for uris in uris.chunks(PAGE) {
            for Hit { source } in self.page(uris).await? {
                let entry = Entry {
                    ended_at: source.ended_at,
                    complete: source.object.complete,
                    hops: source.object.hops.into(),
                };
                // An object without a time of its own may have an entry in each of two months.
                let known = entries.entry(source.object.uri).or_insert(entry);
                if known.ended_at < entry.ended_at {
                    *known = entry;
                }
            }
        }
        Ok(entries)
    }

    async fn page(&self, uris: &[&str]) -> anyhow::Result<Vec<Hit>> {
        let ids: Vec<String> = uris.iter().filter_map(|uri| entry_id(uri)).collect();
        let body = json!({"size": 10 * PAGE, "query": {"ids": {"values": ids}}});
        let answer = self.client.post(&self.search_path(), body.to_string()).await?;
        if answer.status != 200 {
            let (kind, reason) = read_error(&answer.body);
            bail!("Elasticsearch answers {} {kind}: {reason}", answer.status);
        }
        let answer: Answer =
            serde_json::from_slice(&answer.body).context("what Elasticsearch found is no ledger")?;
        Ok(answer.hits.hits)
    }
}

fn entry_id(uri: &str) -> Option<String> {
    let (bucket, key) = uri.strip_prefix("s3://")?.split_once('/')?;
    Some(ObjectHash::new(bucket, key).to_id())
}
