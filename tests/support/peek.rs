//! Looks into a queue without receiving: in LocalStack's own way, which SQS does not have.

use std::collections::BTreeMap;

use flowship::aws::sqs::SqsQueue;
use serde::Deserialize;

use super::proxy::{self, Message};

/// A message, whatever state it is in.
#[derive(Clone, Debug)]
pub(crate) struct Peeked {
    pub(crate) body: String,
    /// Its attributes, as far as they are text or numbers.
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) receive_count: u32,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Answer {
    messages: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    body: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default)]
    message_attributes: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Value {
    string_value: Option<String>,
}

/// All messages of a queue: visible, in flight and delayed.
pub(crate) async fn peek(queue: &SqsQueue) -> Vec<Peeked> {
    let url = queue.url().strip_prefix("http://").expect("LocalStack is local");
    let (server, path) = url.split_once('/').expect("a queue URL has a path");
    let mut parts = path.rsplit('/');
    let (name, account) = (parts.next().unwrap(), parts.next().unwrap());
    let request = Message {
        first_line: format!(
            "GET /_aws/sqs/messages/us-east-1/{account}/{name}?ShowInvisible=true&ShowDelayed=true HTTP/1.1"
        ),
        headers: vec![
            ("Host".into(), server.into()),
            ("Content-Type".into(), "application/x-amz-json-1.0".into()),
        ],
        body: Vec::new(),
    };
    let answer = proxy::ask(proxy::address(server), &request).await.unwrap();
    assert!(answer.first_line.contains(" 200 "), "{answer:?}");
    let answer: Answer = serde_json::from_str(&answer.text()).unwrap();
    answer.messages.into_iter().map(Peeked::from).collect()
}

impl From<Row> for Peeked {
    fn from(row: Row) -> Self {
        let attributes = row.message_attributes.into_iter();
        let attributes = attributes.filter_map(|(name, value)| Some((name, value.string_value?)));
        let receive_count = row.attributes.get("ApproximateReceiveCount");
        Self {
            body: row.body,
            attributes: attributes.collect(),
            receive_count: receive_count.map_or(0, |count| count.parse().unwrap()),
        }
    }
}
