//! Alert rules. Kibana fills in defaults, so a rule is compared at the places that our file names. A tag holds the hash of
//! what was sent: as long as it fits, nobody changed the rule, and a newer version may. Actions, and whether the rule is
//! switched on, are the operator's and stay as they are.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use xxhash_rust::xxh3::Xxh3;

use super::{Action, Item, Kibana, KibanaError, parse, refusal};
use crate::assets::LEDGER_FILE_PREFIX;
use crate::assets::kibana::ALERT_RULES;
use crate::config::Installation;
use crate::elasticsearch::setup::text_leaves;

const HASH_TAG: &str = "flowship:";

/// What a rule is.
const CONTENT: [&str; 5] = ["name", "rule_type_id", "consumer", "schedule", "params"];

/// What the call that changes a rule takes beside what is ours, and would reset if it were left out.
const OPERATORS: [&str; 4] = ["throttle", "notify_when", "alert_delay", "flapping"];

/// What the call takes of an action (Elastic's page "Update a rule"); the answer of a `GET` has more.
const OF_ACTION: [&str; 7] = [
    "group",
    "id",
    "params",
    "frequency",
    "uuid",
    "alerts_filter",
    "use_alert_data_for_template",
];

/// One rule as it is created.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Name of its file.
    pub file_name: &'static str,
    /// The id that it is created under.
    pub id: &'static str,
    /// The body of the `POST`, with the hash in a tag.
    pub body: Value,
}

/// The rules of an installation. They find their indices through the data views; without a ledger, those that look at it
/// would alert for ever, or never.
pub fn rules(installation: &Installation) -> Vec<Rule> {
    let rules = ALERT_RULES.iter().map(|asset| {
        let body = serde_json::from_str(asset.text).expect("a test parses every rule");
        stamped(Rule {
            file_name: asset.name,
            id: asset.id,
            body,
        })
    });
    let has_ledger = installation.ledger_index.is_some();
    rules
        .filter(|rule| has_ledger || !looks_at_ledger(rule))
        .collect()
}

/// The ids of the ledger's data views begin like its index.
fn looks_at_ledger(rule: &Rule) -> bool {
    let view = rule.body.pointer("/params/searchConfiguration/index");
    let view = view.and_then(Value::as_str);
    view.is_some_and(|view| view.starts_with(LEDGER_FILE_PREFIX))
}

pub(super) fn stamped(mut rule: Rule) -> Rule {
    let tag = format!("{HASH_TAG}{}", hash(&content(&rule.body)));
    if let Some(tags) = rule.body["tags"].as_array_mut() {
        tags.retain(|tag| !is_hash(tag));
        tags.push(tag.into());
    }
    rule
}

fn is_hash(tag: &Value) -> bool {
    tag.as_str().is_some_and(|tag| tag.starts_with(HASH_TAG))
}

/// Asks for the rule, and compares.
pub(super) async fn read(kibana: &Kibana, rule: &Rule, force: bool) -> Result<Item, KibanaError> {
    let what = format!("reading alert rule {}", rule.file_name);
    let answer = kibana.client.get(&path(kibana, rule.id)).await;
    let answer = kibana.answered(&what, answer)?;
    let found = match answer.status {
        200 => Some(parse(&what, &answer.body)?),
        404 => None,
        _ => return Err(refusal(kibana, &what, &answer)),
    };
    let (action, call) = match &found {
        None => (Action::Create, Some(rule.body.clone())),
        Some(theirs) => match compare(&rule.body, theirs, force) {
            Action::Change => (Action::Change, Some(changed(&rule.body, theirs))),
            action => (action, None),
        },
    };
    Ok(Item {
        kind: "alert rule",
        id: rule.id.to_owned(),
        title: rule.body["name"].as_str().unwrap_or_default().to_owned(),
        action,
        call,
    })
}

fn compare(ours: &Value, theirs: &Value, force: bool) -> Action {
    let ours = content(ours);
    let mut at_our_places = content(theirs);
    at_our_places.retain(|path, _| ours.contains_key(path));
    let hash = format!("{HASH_TAG}{}", hash(&at_our_places));
    let has_tag = |tags: &Vec<Value>| tags.iter().any(|tag| *tag == hash.as_str());
    if at_our_places == ours {
        Action::Leave
    } else if force || theirs["tags"].as_array().is_some_and(has_tag) {
        Action::Change
    } else {
        Action::Keep
    }
}

/// The body that makes `theirs` ours and leaves the operator's what it is.
fn changed(ours: &Value, theirs: &Value) -> Value {
    let mut body = Map::new();
    for name in ["name", "schedule", "params"] {
        body.insert(name.to_owned(), ours[name].clone());
    }
    let mut tags: Vec<Value> = ours["tags"].as_array().cloned().unwrap_or_default();
    for tag in theirs["tags"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|tag| !is_hash(tag))
    {
        if !tags.contains(tag) {
            tags.push(tag.clone());
        }
    }
    body.insert("tags".to_owned(), tags.into());
    let actions = theirs["actions"].as_array().into_iter().flatten();
    let actions: Vec<Value> = actions.map(|action| only(action, &OF_ACTION)).collect();
    body.insert("actions".to_owned(), actions.into());
    if let Value::Object(kept) = only(theirs, &OPERATORS) {
        body.extend(kept);
    }
    body.into()
}

fn only(object: &Value, names: &[&str]) -> Value {
    let fields = names.iter().filter_map(|name| {
        let field = object.get(*name).filter(|field| !field.is_null())?;
        Some(((*name).to_owned(), field.clone()))
    });
    Value::Object(fields.collect())
}

fn content(rule: &Value) -> BTreeMap<String, String> {
    let fields = CONTENT
        .iter()
        .map(|name| ((*name).to_owned(), rule[*name].clone()));
    text_leaves(&Value::Object(fields.collect()))
}

fn hash(content: &BTreeMap<String, String>) -> String {
    let mut hash = Xxh3::new();
    for (path, value) in content {
        for part in [path, "\0", value, "\n"] {
            hash.update(part.as_bytes());
        }
    }
    format!("{:016x}", hash.digest())
}

/// Creates or changes the rule; whatever needs nothing is done.
pub(super) async fn write(kibana: &Kibana, item: &Item) -> Result<(), KibanaError> {
    let Some(call) = &item.call else {
        return Ok(());
    };
    let path = path(kibana, &item.id);
    let answer = match item.action {
        Action::Create => kibana.client.post(&path, call.to_string()).await,
        _ => kibana.client.put(&path, call.to_string()).await,
    };
    let what = format!("alert rule {}", item.title);
    let answer = kibana.answered(&what, answer)?;
    match answer.status {
        200 => Ok(()),
        _ => Err(refusal(kibana, &what, &answer)),
    }
}

fn path(kibana: &Kibana, id: &str) -> String {
    kibana.path(&format!("alerting/rule/{id}"))
}
