//! The one check at the end of every case: where is each line of each object?

use std::collections::{BTreeMap, BTreeSet};

use flowship::document::{DocumentId, ObjectHash};
use flowship::notification;
use flowship::outcome::Reason;
use serde_json::{Value, json};

use crate::support::peek::{Peeked, peek};
use crate::support::{FlowLog, World};

/// Documents of one page of a search; all pages together have no limit.
const PAGE: u64 = 10_000;

/// An account that is no number: a line with it belongs into quarantine, where the mapping of accounts is a number's.
pub(crate) const REFUSED_ACCOUNT: &str = "unknown";

/// An object that was put into a world's bucket, and the lines that must be accounted for.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) key: String,
    /// Every line of it has another interface and port, or another number of bytes, than all other lines of the world.
    pub(crate) log: FlowLog,
    /// It was overwritten before it was read: its lines may be indexed, and need not be.
    pub(crate) is_overwritten: bool,
}

impl Object {
    pub(crate) fn new(key: &str, log: FlowLog) -> Self {
        Self {
            key: key.to_owned(),
            log,
            is_overwritten: false,
        }
    }
}

/// What an audit found; that every line has its place is checked by then.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    /// Lines in Elasticsearch.
    pub(crate) indexed: usize,
    /// Lines in quarantine.
    pub(crate) quarantined: usize,
    /// Lines of which nothing is there but a dead letter or message that names their object.
    pub(crate) waiting: usize,
    /// The dead letters, by the key that they name; `-` for those that name none.
    pub(crate) letters: Vec<Letter>,
    /// The messages in the main queue, visible or not.
    pub(crate) messages: Vec<Peeked>,
}

impl Account {
    /// The keys of the objects that messages in the main queue name.
    pub(crate) fn named_by_messages(&self) -> Vec<String> {
        let messages = self.messages.iter();
        messages.flat_map(|message| keys(&message.body)).collect()
    }
}

/// The reason of a dead letter that the queue's own redrive policy has moved: the message as it was.
pub(crate) const UNKNOWN: &str = "unknown";

/// A dead letter.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) key: String,
    pub(crate) reason: String,
    pub(crate) message: Peeked,
}

/// One line that becomes a document, or goes aside.
struct Line<'a> {
    key: &'a str,
    ordinal: u64,
    raw: &'a str,
    /// What is in Elasticsearch once it is indexed: `_id`, and what tells it from all other lines. `None`: it is
    /// malformed, or its document is refused.
    document: Option<(String, String)>,
    is_required: bool,
}

/// Accounts for every line of these objects of a world, and for nothing else. Panics with all that does not fit.
pub(crate) async fn audit(world: &World, objects: &[Object]) -> Account {
    let lines: Vec<Line<'_>> = objects.iter().flat_map(|object| lines(world, object)).collect();
    let mut problems = Vec::new();
    let documents = documents(world).await;
    let quarantined = quarantined(world).await;
    let letters = letters(world, &mut problems).await;
    let messages = peek(&world.queue).await;
    let mut named: BTreeSet<String> = letters.iter().map(|letter| letter.key.clone()).collect();
    named.extend(messages.iter().flat_map(|message| keys(&message.body)));

    let mut account = Account::default();
    let mut expected_ids = BTreeSet::new();
    let mut expected_aside = BTreeSet::new();
    for line in &lines {
        let is_aside = quarantined.contains(&(line.key.to_owned(), line.ordinal, line.raw.to_owned()));
        let found = line.document.as_ref().and_then(|(id, _)| documents.get(id));
        match (&line.document, found) {
            (Some((id, content)), Some(found)) if found != content => {
                problems.push(format!("{id} is `{found}` and should be `{content}`"));
            }
            (None, _) if line.is_required => {
                expected_aside.insert((line.key, line.ordinal));
            }
            _ => {}
        }
        if let Some((id, _)) = &line.document {
            expected_ids.insert(id.clone());
        }
        match (found.is_some(), is_aside) {
            (true, true) => problems.push(format!("both indexed and in quarantine: {}", line.told())),
            (true, false) => account.indexed += 1,
            (false, true) => account.quarantined += 1,
            (false, false) if named.contains(line.key) => account.waiting += 1,
            (false, false) if line.is_required => problems.push(format!("lost: {}", line.told())),
            (false, false) => {}
        }
    }
    for (id, content) in &documents {
        if !expected_ids.contains(id) {
            problems.push(format!("belongs to no line: {id} `{content}`"));
        }
    }
    let contents: BTreeSet<&String> = documents.values().collect();
    if contents.len() != documents.len() {
        problems.push(format!(
            "{} lines in {} documents",
            contents.len(),
            documents.len()
        ));
    }
    for (key, ordinal, raw) in &quarantined {
        if !expected_aside.contains(&(&**key, *ordinal)) {
            problems.push(format!(
                "in quarantine without being malformed: {key} {ordinal} `{raw}`"
            ));
        }
    }
    problems.extend(letters.iter().flat_map(Letter::problems));
    let num_problems = problems.len();
    problems.truncate(12);
    assert!(
        num_problems == 0,
        "{num_problems} problems:\n  {}",
        problems.join("\n  ")
    );
    Account {
        letters,
        messages,
        ..account
    }
}

impl Line<'_> {
    fn told(&self) -> String {
        format!("{} record {}: `{}`", self.key, self.ordinal, self.raw)
    }
}

impl Letter {
    /// What is wrong with a dead letter whatever its reason.
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let reason = Reason::all().find(|reason| reason.as_str() == self.reason);
        let disposition = reason.map(|reason| reason.disposition().as_str());
        let told = self.message.attributes.get("disposition").map(String::as_str);
        if (reason.is_none() && self.reason != UNKNOWN) || told != disposition {
            problems.push(format!("reason or disposition: {:?}", self.message));
        }
        let body: Result<Value, _> = serde_json::from_str(&self.message.body);
        let num_records = body.ok().and_then(|body| Some(body["Records"].as_array()?.len()));
        if self.reason != "notification.malformed" && num_records != Some(1) {
            problems.push(format!("no event with one record: {}", self.message.body));
        }
        problems
    }
}

fn lines<'a>(world: &World, object: &'a Object) -> Vec<Line<'a>> {
    let hash = ObjectHash::new(&world.bucket, &object.key);
    let records = object.log.text().lines().skip(1);
    let line = |(ordinal, raw): (u64, &'a str)| {
        let columns: Vec<&str> = raw.split(' ').collect();
        let is_taken = columns.len() == 14 && columns[1] != REFUSED_ACCOUNT;
        let document = is_taken.then(|| {
            let end = columns[11].parse().expect("the time of a record");
            let id = DocumentId::new(hash, end, ordinal, raw.as_bytes(), &mut Vec::new());
            let id = String::from_utf8(id.to_text().to_vec()).unwrap();
            (id, format!("{} {} {}", columns[2], columns[5], columns[9]))
        });
        Line {
            key: &object.key,
            ordinal,
            raw,
            document,
            is_required: !object.is_overwritten,
        }
    };
    (0..).zip(records).map(line).collect()
}

/// Interface, source port and bytes of every document, by `_id`.
async fn documents(world: &World) -> BTreeMap<String, String> {
    let num_documents = world.num_documents().await;
    let mut found = BTreeMap::new();
    let body = json!({"size": PAGE, "sort": ["_doc"],
        "_source": ["aws.vpcflow.interface_id", "source.port", "source.bytes"]});
    let path = format!("{}-*/_search?ignore_unavailable=true&scroll=1m", world.prefix);
    let mut page = post(world, &path, &body).await;
    loop {
        let hits = page["hits"]["hits"].as_array().cloned().unwrap_or_default();
        for hit in &hits {
            let source = &hit["_source"];
            let interface = source["aws"]["vpcflow"]["interface_id"].as_str().unwrap_or("-");
            let content = format!(
                "{interface} {} {}",
                source["source"]["port"], source["source"]["bytes"]
            );
            found.insert(hit["_id"].as_str().unwrap().to_owned(), content);
        }
        if hits.is_empty() {
            break;
        }
        let next = json!({"scroll": "1m", "scroll_id": page["_scroll_id"]});
        page = post(world, "_search/scroll", &next).await;
    }
    assert_eq!(found.len() as u64, num_documents, "an id in two indices");
    found
}

async fn post(world: &World, path: &str, body: &Value) -> Value {
    let answer = world.elasticsearch.post(path, body.to_string()).await.unwrap();
    let text = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// Key, ordinal and text of every line in quarantine.
async fn quarantined(world: &World) -> BTreeSet<(String, u64, String)> {
    let mut lines = BTreeSet::new();
    for file in world.quarantine().await {
        for line in file.lines {
            let raw = line.raw().map(|raw| String::from_utf8_lossy(&raw).into_owned());
            lines.insert((
                file.head.object.key.clone(),
                line.ordinal,
                raw.unwrap_or_default(),
            ));
        }
    }
    lines
}

async fn letters(world: &World, problems: &mut Vec<String>) -> Vec<Letter> {
    let mut letters = Vec::new();
    for message in peek(&world.dead_letters).await {
        let reason = message.attributes.get("reason");
        let reason = reason.map_or_else(|| UNKNOWN.to_owned(), String::clone);
        let named = keys(&message.body);
        if named.len() > 1 {
            problems.push(format!("a dead letter of several objects: {}", message.body));
        }
        let key = named.into_iter().next().unwrap_or_else(|| "-".to_owned());
        letters.push(Letter { key, reason, message });
    }
    letters.sort_by(|one, other| one.key.cmp(&other.key));
    letters
}

/// The keys that a message names.
pub(crate) fn keys(body: &str) -> Vec<String> {
    let objects = notification::parse(body).map(|notification| notification.objects);
    let named = objects.into_iter().flatten();
    named.map(|named| named.object.key).collect()
}
