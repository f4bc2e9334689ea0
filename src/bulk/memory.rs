//! A sink in memory: an index that behaves as `create` does, and a script of what goes wrong before that.

use std::collections::{BTreeMap, VecDeque};
use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use serde_json::{Value, json};

use super::{BulkAnswer, BulkSink, SendError};

/// What happens to one request instead of success.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// This status for the whole request, nothing stored.
    Status(u16),
    /// The connection breaks before anything is stored.
    Refuse,
    /// A defect.
    Panic,
    /// Everything is stored, but no answer arrives.
    LoseAnswer,
    /// The answer has one item fewer than the request; everything is stored.
    DropItem,
    /// These items (by position in the request) get this status and error type; the others are stored.
    Items(Vec<usize>, u16, &'static str),
}

/// The index, shared by clones.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemorySink {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    documents: BTreeMap<(String, String), Value>,
    faults: VecDeque<Fault>,
    always: Option<Fault>,
    max_bytes: Option<usize>,
    refused_marker: Option<&'static str>,
    requests: Vec<usize>,
    delay: Duration,
}

impl MemorySink {
    /// The next requests fail like this, one after the other.
    pub(crate) fn script(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.lock().unwrap().faults.extend(faults);
    }

    /// Every request fails like this, once the script is through.
    pub(crate) fn always(&self, fault: Option<Fault>) {
        self.state.lock().unwrap().always = fault;
    }

    /// Larger requests are answered 413.
    pub(crate) fn limit(&self, max_bytes: usize) {
        self.state.lock().unwrap().max_bytes = Some(max_bytes);
    }

    /// Every answer takes this long.
    pub(crate) fn delay(&self, delay: Duration) {
        self.state.lock().unwrap().delay = delay;
    }

    /// Documents that contain this text are refused as if a field did not parse.
    pub(crate) fn refuse_containing(&self, marker: &'static str) {
        self.state.lock().unwrap().refused_marker = Some(marker);
    }

    /// No document is refused any more.
    pub(crate) fn mend(&self) {
        self.state.lock().unwrap().refused_marker = None;
    }

    pub(crate) fn num_documents(&self) -> usize {
        self.state.lock().unwrap().documents.len()
    }

    /// Documents by index and id.
    pub(crate) fn documents(&self) -> BTreeMap<(String, String), Value> {
        self.state.lock().unwrap().documents.clone()
    }

    /// Number of items of each request, in order.
    pub(crate) fn requests(&self) -> Vec<usize> {
        self.state.lock().unwrap().requests.clone()
    }
}

impl State {
    fn answer(&mut self, text: &str) -> Result<BulkAnswer, SendError> {
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            text.ends_with('\n') && lines.len().is_multiple_of(2),
            "a bulk body is pairs of whole lines"
        );
        self.requests.push(lines.len() / 2);
        let fault = self.faults.pop_front().or_else(|| self.always.clone());
        let answer = |status, body: Value| BulkAnswer {
            status,
            retry_after: None,
            redirected_to: None,
            body: Bytes::from(body.to_string()),
        };
        match &fault {
            Some(Fault::Status(status)) => return Ok(answer(*status, json!({}))),
            Some(Fault::Refuse) => {
                return Err(SendError::Connection {
                    detail: "connection refused".into(),
                });
            }
            _ => {}
        }
        if self.max_bytes.is_some_and(|max_bytes| text.len() > max_bytes) {
            return Ok(answer(413, json!({})));
        }
        let mut items = Vec::new();
        for (position, pair) in lines.chunks(2).enumerate() {
            let (status, kind) = match &fault {
                Some(Fault::Items(failing, status, kind)) if failing.contains(&position) => (*status, *kind),
                _ => self.create(pair[0], pair[1]),
            };
            items.push(if kind.is_empty() {
                json!({"create": {"status": status}})
            } else {
                json!({"create": {"status": status, "error": {"type": kind, "reason": "scripted"}}})
            });
        }
        match fault {
            Some(Fault::LoseAnswer) => return Err(SendError::Timeout),
            Some(Fault::DropItem) => drop(items.pop()),
            _ => {}
        }
        Ok(answer(200, json!({"errors": true, "items": items})))
    }

    fn create(&mut self, action: &str, document: &str) -> (u16, &'static str) {
        let action: Value = serde_json::from_str(action).expect("an action line is JSON");
        let document_json: Value = serde_json::from_str(document).expect("a document is JSON");
        let text = |field: &str| {
            action["create"][field]
                .as_str()
                .expect("index and id are strings")
                .to_owned()
        };
        if self
            .refused_marker
            .is_some_and(|marker| document.contains(marker))
        {
            return (400, "document_parsing_exception");
        }
        match self.documents.entry((text("_index"), text("_id"))) {
            std::collections::btree_map::Entry::Occupied(_) => (409, "version_conflict_engine_exception"),
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(document_json);
                (201, "")
            }
        }
    }
}

impl BulkSink for MemorySink {
    async fn send_bulk(&self, gzip: Bytes, _timeout: Duration) -> Result<BulkAnswer, SendError> {
        let delay = self.state.lock().unwrap().delay;
        tokio::time::sleep(delay).await;
        let panics = self
            .state
            .lock()
            .unwrap()
            .faults
            .pop_front_if(|fault| matches!(fault, Fault::Panic));
        assert!(panics.is_none(), "scripted");
        let mut text = String::new();
        MultiGzDecoder::new(&gzip[..])
            .read_to_string(&mut text)
            .expect("bodies are gzip'd UTF-8");
        self.state.lock().unwrap().answer(&text)
    }
}
