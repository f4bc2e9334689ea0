//! Data views, saved searches and dashboards. Kibana rewrites them as its version needs, so their text does not tell who
//! wrote it last. Two things do: one import gives all its objects one `updated_at`, to the millisecond, and whoever saves
//! an object later gives it another; and dashboards say in their description which pack they are of. Data views are
//! compared by what they say, because Kibana itself writes to them when their fields are used.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::{Action, Item, Kibana, KibanaError, parse, refusal, unreadable};
use crate::assets::LEDGER_FILE_PREFIX;
use crate::assets::kibana::saved_objects;
use crate::config::Installation;
use crate::flow::Dataset;

const DATA_VIEW: &str = "index-pattern";
const DASHBOARD: &str = "dashboard";

/// Type and id → the object as Kibana exports it.
pub(super) type Found = BTreeMap<(String, String), Value>;

/// The saved objects for an installation, one after the other as they are imported; without a ledger, those that show
/// it are left out.
pub fn pack(installation: &Installation) -> Vec<Value> {
    let ledger = installation.ledger_index.as_deref();
    let text = saved_objects(&installation.index_prefix, ledger.unwrap_or(LEDGER_FILE_PREFIX));
    let pack = format!("flowship {:016x}", xxh3_64(text.as_bytes()));
    let mut objects: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("a test parses every line"))
        .filter(|object| ledger.is_some() || !shows_ledger(object))
        .collect();
    for object in objects.iter_mut().filter(|object| object["type"] == DASHBOARD) {
        let description = &mut object["attributes"]["description"];
        *description = format!("{}\n\n{pack}", description.as_str().unwrap_or_default()).into();
    }
    objects
}

/// The ids of the ledger's data views begin like its index.
fn shows_ledger(object: &Value) -> bool {
    let references = object["references"].as_array().into_iter().flatten();
    let ids = references
        .map(|reference| &reference["id"])
        .chain([&object["id"]]);
    let mut ids = ids.filter_map(Value::as_str);
    ids.any(|id| id.starts_with(LEDGER_FILE_PREFIX))
}

/// By the export, because the calls that get single objects are deprecated.
pub(super) async fn read(kibana: &Kibana, pack: &[Value]) -> Result<Found, KibanaError> {
    const WHAT: &str = "reading saved objects";
    let mut wanted: Vec<Value> = pack
        .iter()
        .map(|object| json!({"type": object["type"], "id": object["id"]}))
        .collect();
    while !wanted.is_empty() {
        let body = json!({"objects": wanted, "excludeExportDetails": true, "includeReferencesDeep": false});
        let path = kibana.path("saved_objects/_export");
        let answer = kibana.client.post(&path, body.to_string()).await;
        let answer = kibana.answered(WHAT, answer)?;
        if answer.status == 200 {
            return parse_objects(WHAT, &answer.body);
        }
        // An object that is not there fails the whole export; the answer names those.
        let told: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let missing: Vec<(&Value, &Value)> = told["attributes"]["objects"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|object| object["error"]["statusCode"] == 404)
            .map(|object| (&object["type"], &object["id"]))
            .collect();
        let before = wanted.len();
        wanted.retain(|object| !missing.contains(&(&object["type"], &object["id"])));
        if answer.status != 400 || wanted.len() == before {
            return Err(refusal(kibana, WHAT, &answer));
        }
    }
    Ok(Found::new())
}

fn parse_objects(what: &str, body: &[u8]) -> Result<Found, KibanaError> {
    let text = std::str::from_utf8(body).map_err(|error| unreadable(what, &error))?;
    let objects = text.lines().map(|line| {
        let object = parse(what, line.as_bytes())?;
        Ok((key(&object), object))
    });
    objects.collect()
}

fn key(object: &Value) -> (String, String) {
    let text = |name: &str| object[name].as_str().unwrap_or_default().to_owned();
    (text("type"), text("id"))
}

/// A data view of our id that shows the indices of another installation is that one's.
pub(super) fn refuse_others(pack: &[Value], found: &Found) -> Result<(), KibanaError> {
    let views = pack.iter().filter(|object| object["type"] == DATA_VIEW);
    for view in views {
        let Some(theirs) = found.get(&key(view)) else {
            continue;
        };
        let title = |object: &Value| {
            object["attributes"]["title"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        let (ours, theirs) = (title(view), title(theirs));
        if !theirs.split(',').any(|pattern| is_part_of(pattern, &ours)) {
            let (_, id) = key(view);
            return Err(KibanaError::OtherInstallation { id, theirs, ours });
        }
    }
    Ok(())
}

/// Whether a pattern that somebody may have narrowed, or widened by other clusters, is still of the indices of `ours`,
/// which ends in `*`. What only begins the same is not: `flows-eu-*` is another installation than `flows-*`.
fn is_part_of(pattern: &str, ours: &str) -> bool {
    let pattern = pattern.trim();
    let pattern = pattern
        .rsplit_once(':')
        .map_or(pattern, |(_cluster, pattern)| pattern);
    let Some(rest) = pattern.strip_prefix(ours.trim_end_matches('*')) else {
        return false;
    };
    let is_of_dataset = |dataset: &Dataset| rest.split('-').next() == Some(dataset.name());
    rest.starts_with(|c: char| c == '*' || c.is_ascii_digit()) || Dataset::ALL.iter().any(is_of_dataset)
}

/// What is to be done about each object, and what is imported for it. If anything is, everything is that nobody changed:
/// only so all of them have one time.
pub(super) fn compare(pack: &[Value], found: &Found, force: bool) -> (Vec<Item>, Option<String>) {
    let imported_at = time_of_import(found);
    let is_kept = |ours: &Value, theirs: &Value| {
        let is_same = ours["type"] == DATA_VIEW && says_the_same(ours, theirs);
        !force && !is_same && theirs["updated_at"].as_str() != imported_at
    };
    let is_old = |ours: &Value| match found.get(&key(ours)) {
        None => true,
        Some(theirs) if is_kept(ours, theirs) => false,
        Some(theirs) if ours["type"] == DATA_VIEW => !says_the_same(ours, theirs),
        Some(theirs) => {
            let is_saved_later = theirs["updated_at"].as_str() != imported_at;
            let description = "/attributes/description";
            let is_other_pack =
                ours["type"] == DASHBOARD && ours.pointer(description) != theirs.pointer(description);
            is_saved_later || is_other_pack
        }
    };
    let is_any_old = pack.iter().any(is_old);
    let mut import = String::new();
    let mut items = Vec::new();
    for ours in pack {
        let action = match found.get(&key(ours)) {
            None => Action::Create,
            Some(theirs) if is_kept(ours, theirs) => Action::Keep,
            Some(_) if is_any_old => Action::Change,
            Some(_) => Action::Leave,
        };
        if matches!(action, Action::Create | Action::Change) {
            import.push_str(&format!("{ours}\n"));
        }
        items.push(Item {
            kind: kind(ours),
            id: key(ours).1,
            title: title(ours),
            action,
            call: None,
        });
    }
    (items, Some(import).filter(|import| !import.is_empty()))
}

/// The time that the most searches and dashboards have; an object that is the only one counts as imported.
fn time_of_import(found: &Found) -> Option<&str> {
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    let objects = found.values().filter(|object| object["type"] != DATA_VIEW);
    for time in objects.filter_map(|object| object["updated_at"].as_str()) {
        *times.entry(time).or_default() += 1;
    }
    let (time, count) = times.iter().max_by_key(|(_, count)| **count)?;
    (*count > 1 || times.len() == 1).then_some(*time)
}

/// Whether a data view is ours but for what its use changes.
fn says_the_same(ours: &Value, theirs: &Value) -> bool {
    let names = [
        "title",
        "name",
        "timeFieldName",
        "fieldFormatMap",
        "runtimeFieldMap",
        "sourceFilters",
        "fieldAttrs",
    ];
    let said = |object: &Value, name: &str| without_counts(&object["attributes"][name]);
    names.iter().all(|name| said(ours, name) == said(theirs, name))
}

/// The value of an attribute, which often is JSON in a text, without how often fields were used; empty ones are none.
fn without_counts(attribute: &Value) -> Value {
    let text = attribute.as_str().unwrap_or_default();
    let mut value = serde_json::from_str(text).unwrap_or_else(|_not_json| attribute.clone());
    if let Some(fields) = value.as_object_mut() {
        for field in fields.values_mut().filter_map(Value::as_object_mut) {
            field.remove("count");
        }
        fields.retain(|_, field| *field != json!({}));
    }
    match value {
        Value::Object(fields) if fields.is_empty() => Value::Null,
        Value::Array(items) if items.is_empty() => Value::Null,
        Value::String(text) if text.is_empty() => Value::Null,
        value => value,
    }
}

fn kind(object: &Value) -> &'static str {
    match object["type"].as_str() {
        Some(DATA_VIEW) => "data view",
        Some(DASHBOARD) => "dashboard",
        _ => "saved search",
    }
}

fn title(object: &Value) -> String {
    let attributes = &object["attributes"];
    let title = attributes["name"]
        .as_str()
        .or_else(|| attributes["title"].as_str());
    title.unwrap_or_default().to_owned()
}

/// All objects in one call, because all of them get the time of it.
pub(super) async fn import(kibana: &Kibana, objects: &str) -> Result<(), KibanaError> {
    const WHAT: &str = "importing saved objects";
    let boundary = format!("flowship-{:016x}", xxh3_64(objects.as_bytes()));
    let body = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"flowship.ndjson\"\r\n\
         Content-Type: application/ndjson\r\n\r\n{objects}\r\n--{boundary}--\r\n"
    );
    let path = kibana.path("saved_objects/_import?overwrite=true");
    let answer = kibana.client.post_form(&path, &boundary, body).await;
    let answer = kibana.answered(WHAT, answer)?;
    if answer.status != 200 {
        return Err(refusal(kibana, WHAT, &answer));
    }
    let told = parse(WHAT, &answer.body)?;
    if told["success"] != true {
        let errors = told["errors"].as_array().into_iter().flatten();
        let errors: Vec<String> = errors
            .map(|error| {
                let (kind, id) = key(error);
                let reason = error["error"]["type"].as_str().unwrap_or("unknown");
                format!("{kind} {id}: {reason}")
            })
            .collect();
        return Err(KibanaError::Refused {
            what: WHAT.to_owned(),
            status: answer.status,
            reason: errors.join(", "),
        });
    }
    let copies: Vec<String> = told["successResults"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|result| result["destinationId"].is_string() && result["destinationId"] != result["id"])
        .map(|result| {
            let (kind, id) = key(result);
            format!("{kind} {id}")
        })
        .collect();
    if copies.is_empty() {
        return Ok(());
    }
    Err(KibanaError::OtherIds {
        ids: copies.join(", "),
    })
}
