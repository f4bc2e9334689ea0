//! The documents of `tests/data/flowlogs-known` on a real server: every one is accepted, reads back equal, and is found
//! and summed up under all its names, as what it is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;

use flowship::document::fields;
use flowship::elasticsearch::client::Client;
use flowship::elasticsearch::setup;
use flowship::flow::Dataset;
use serde_json::{Value, json};

use crate::support::Stack;
use crate::support::stack::repository;
use crate::support::world::{connect, installation};

/// The names of addresses in a document.
const ADDRESSES: [&str; 4] = [
    "source.ip",
    "destination.ip",
    "aws.vpcflow.pkt_srcaddr",
    "aws.vpcflow.pkt_dstaddr",
];

/// Other names, and what they stand for.
const ALIASES: [(&str, &str); 7] = [
    ("event.end", "@timestamp"),
    ("network.bytes", "source.bytes"),
    ("network.packets", "source.packets"),
    ("aws.vpcflow.account_id", "cloud.account.id"),
    ("aws.vpcflow.instance_id", "cloud.instance.id"),
    ("aws.vpcflow.az_id", "cloud.availability_zone"),
    ("aws.vpcflow.action", "event.action"),
];

/// The known documents of a dataset by their ids.
fn known(dataset: Dataset) -> BTreeMap<String, Value> {
    let mut documents = BTreeMap::new();
    for entry in fs::read_dir(repository("tests/data/flowlogs-known")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if !name.ends_with(".ndjson") || name.starts_with("tgw") != (dataset == Dataset::Tgw) {
            continue;
        }
        for (number, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            documents.insert(format!("{name}-{number}"), serde_json::from_str(line).unwrap());
        }
    }
    documents
}

fn leaf<'a>(document: &'a Value, path: &str) -> Option<&'a Value> {
    document.pointer(&format!("/{}", path.replace('.', "/")))
}

struct Index<'a> {
    client: &'a Client,
    name: String,
}

impl Index<'_> {
    async fn post(&self, path: &str, body: String) -> Value {
        let answer = self.client.post(path, body.clone()).await.unwrap();
        assert_eq!(answer.status, 200, "{path} {body}: {:?}", answer.body);
        serde_json::from_slice(&answer.body).unwrap()
    }

    async fn search(&self, body: &Value) -> Value {
        self.post(&format!("{}/_search", self.name), body.to_string())
            .await
    }

    async fn count(&self, query: &Value) -> usize {
        let body = json!({"size": 0, "track_total_hits": true, "query": query});
        let found = self.search(&body).await;
        usize::try_from(found["hits"]["total"]["value"].as_u64().unwrap()).unwrap()
    }

    async fn fill(&self, documents: &BTreeMap<String, Value>) {
        let mut body = String::new();
        for (id, document) in documents {
            let action = json!({"create": {"_index": self.name, "_id": id}});
            body.push_str(&format!("{action}\n{document}\n"));
        }
        let answer = self.post("_bulk?refresh=true", body).await;
        assert_eq!(answer["errors"], false, "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn known_documents_are_accepted_and_found_as_what_they_are() {
    let (client, prefix) = (&connect(&Stack::shared().elasticsearch_url, &[]).await, "known-0");
    let plan = setup::plan(client, &installation(prefix), false).await.unwrap();
    setup::apply(client, &plan).await.unwrap();
    for dataset in Dataset::ALL {
        let documents = known(dataset);
        let index = Index {
            client,
            name: format!("{prefix}-{}-2026.11.20", dataset.name()),
        };
        index.fill(&documents).await;
        every_document_reads_back(&index, &documents).await;
        every_field_is_searchable(&index, dataset, &documents).await;
        values_are_what_their_types_say(&index, &documents).await;
    }
}

async fn every_document_reads_back(index: &Index<'_>, documents: &BTreeMap<String, Value>) {
    let found = index.search(&json!({"size": 1000})).await;
    let found: BTreeMap<String, Value> = found["hits"]["hits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hit| (hit["_id"].as_str().unwrap().to_owned(), hit["_source"].clone()))
        .collect();
    assert_eq!(&found, documents);
}

/// Every field that a document can hold, and every other name of one, is there for searches and aggregations and
/// finds as many documents as have it.
async fn every_field_is_searchable(index: &Index<'_>, dataset: Dataset, documents: &BTreeMap<String, Value>) {
    let holding = |path: &str| {
        documents
            .values()
            .filter(|document| leaf(document, path).is_some())
            .count()
    };
    let caps = index
        .post(&format!("{}/_field_caps?fields=*", index.name), String::new())
        .await;
    let names: BTreeSet<&str> = fields(dataset).collect();
    let aliases = ALIASES.iter().filter(|(_, path)| names.contains(path));
    for (name, path) in names
        .iter()
        .map(|name| (name, name))
        .chain(aliases.map(|(name, path)| (name, path)))
    {
        let types = caps["fields"][*name]
            .as_object()
            .unwrap_or_else(|| panic!("{name} is not mapped"));
        for capability in types.values() {
            assert_eq!(capability["searchable"], true, "{name}");
            assert_eq!(capability["aggregatable"], true, "{name}");
        }
        let found = index.count(&json!({"exists": {"field": name}})).await;
        assert_eq!(found, holding(path), "{name}");
        let is_shown = dataset == Dataset::Tgw || found > 0;
        assert!(is_shown, "no known document holds {name}");
    }
}

async fn values_are_what_their_types_say(index: &Index<'_>, documents: &BTreeMap<String, Value>) {
    // One search finds every record of a network.
    for (network, start) in [
        ("203.0.113.0/24", "203.0.113."),
        ("10.20.33.164", "10.20.33.164"),
        ("2001:db8::/32", "2001:db8:"),
    ] {
        let holds = |document: &&Value| {
            let mut addresses = ADDRESSES.iter().filter_map(|name| leaf(document, name)?.as_str());
            addresses.any(|address| address.starts_with(start))
        };
        let found = index.count(&json!({"term": {"related.ip": network}})).await;
        assert_eq!(found, documents.values().filter(holds).count(), "{network}");
    }
    let texts = |path: &'static str| {
        documents
            .values()
            .filter_map(move |document| leaf(document, path)?.as_str())
    };
    let sources: BTreeSet<IpAddr> = texts("source.ip")
        .map(|address| address.parse().unwrap())
        .collect();

    let middle = "2016-01-01T00:00:00Z";
    let later = index
        .count(&json!({"range": {"event.end": {"gte": middle}}}))
        .await;
    assert_eq!(later, texts("@timestamp").filter(|time| *time >= middle).count());

    let aggregations = json!({
        "years": {"date_histogram": {
            "field": "event.end", "calendar_interval": "year", "format": "yyyy", "min_doc_count": 1,
        }},
        "bytes": {"sum": {"field": "network.bytes"}},
        "sources": {"cardinality": {"field": "source.ip"}},
        "seconds": {"max": {"field": "event.duration"}},
    });
    let found = index.search(&json!({"size": 0, "aggs": aggregations})).await;
    let found = &found["aggregations"];
    let years: Vec<(String, u64)> = found["years"]["buckets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|year| {
            (
                year["key_as_string"].as_str().unwrap().to_owned(),
                year["doc_count"].as_u64().unwrap(),
            )
        })
        .collect();
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    for time in texts("@timestamp") {
        *expected
            .entry(time.split('-').next().unwrap().to_owned())
            .or_default() += 1;
    }
    assert_eq!(years, expected.into_iter().collect::<Vec<_>>());
    let numbers = |path: &'static str| {
        documents
            .values()
            .filter_map(move |document| leaf(document, path)?.as_u64())
    };
    assert_eq!(
        found["bytes"]["value"].as_f64(),
        Some(numbers("source.bytes").sum::<u64>() as f64)
    );
    assert_eq!(found["sources"]["value"], sources.len());
    assert_eq!(
        found["seconds"]["value"].as_f64(),
        numbers("event.duration").max().map(|max| max as f64)
    );
}
