//! Every panel and every rule over the flow logs of `tests/data/kibana`, shipped by the function into a real server:
//! what they answer is what a person reads out of the logs.

use std::collections::BTreeMap;
use std::fs;

use flowship::assets::kibana::saved_objects;
use flowship::ledger::{self, LedgerEntry};
use serde_json::{Value, json};

use super::alerts::Check;
use super::kql::Query;
use super::pack::{Pack, nested, text};
use super::panels;
use crate::support::flowlogs::{DAY as DAY_START, HEADER};
use crate::support::mmdb::Description;
use crate::support::stack::repository;
use crate::support::world::installation;
use crate::support::{World, gzip};

/// The address that is chosen on the dashboard of one host.
const HOST: &str = "related.ip: \"10.0.1.10\"";

/// The time range of the dashboards, in a data view with this field of times.
fn day(time: &str) -> String {
    format!("{time} >= \"2026-11-18\" and {time} < \"2026-11-19\"")
}

/// When the rules look: half an hour after most of the records, and on the next day after those of [`storm`].
const NOW: &str = "2026-11-18T10:30:00Z";
const AFTER_STORM: &str = "2026-11-19T00:15:00Z";

/// Made, not read.
const STORM: &str = "storm";

/// An hour in which one source and one interface are above every threshold, and others at it: records of
/// 2026-11-19T00:10:00Z.
fn storm() -> String {
    let mut text = format!("{HEADER}\n");
    let mut push = |interface: u32, ends: &str, port: u32, bytes: u64, action: &str| {
        let end = DAY_START + 86_400 + 600;
        let start = end - 60;
        let line = format!(
            "2 444455556666 eni-{interface:017x} {ends} 50000 {port} 6 1 {bytes} {start} {end} {action} OK\n"
        );
        text.push_str(&line);
    };
    for number in 0..1001 {
        push(0xb001, "198.51.100.66 172.31.0.5", 1 + number % 101, 40, "REJECT");
    }
    for number in 0..1000 {
        push(0xb001, "198.51.100.67 172.31.0.5", 1 + number % 100, 40, "REJECT");
    }
    push(0xc001, "172.31.0.8 8.8.8.8", 443, 53_687_091_201, "ACCEPT");
    push(0xc002, "172.31.0.9 8.8.8.8", 443, 53_687_091_200, "ACCEPT");
    text
}

fn data(name: &str) -> String {
    fs::read_to_string(repository("tests/data/kibana").join(name)).unwrap()
}

async fn ship(world: &mut World) {
    for (variable, name) in [("FLOWSHIP_GEO_CITY_DB", "city"), ("FLOWSHIP_GEO_ASN_DB", "asn")] {
        let description =
            fs::read_to_string(repository("tests/data/geo").join(format!("{name}.json"))).unwrap();
        let database = Description::parse(&description).write();
        let uri = world.put_elsewhere(&format!("{name}.mmdb"), database).await;
        world.variables.insert(variable.to_owned(), uri);
    }
    let map = world
        .put_elsewhere("network-map.json", data("network-map.json").into_bytes())
        .await;
    world.variables.insert("FLOWSHIP_NETWORK_MAP".to_owned(), map);
    for (account, flow_log, name) in [
        ("111122223333", "fl-0000000000000000a", "inside.log"),
        ("444455556666", "fl-0000000000000000b", "default-format.log"),
        ("111122223333", "fl-0000000000000000c", "nat-gateway.log"),
        ("111122223333", "fl-0000000000000000d", "transit-gateway.log"),
        ("444455556666", "fl-0000000000000000e", STORM),
    ] {
        let text = if name == STORM { storm() } else { data(name) };
        let folder = format!("AWSLogs/{account}/vpcflowlogs/us-east-1/2026/11/18");
        let key =
            format!("{folder}/{account}_vpcflowlogs_us-east-1_{flow_log}_20261118T1000Z_0a1b2c3d.log.gz");
        world.put(&key, gzip(text.as_bytes())).await;
    }
    let (summary, _) = world.drain().await;
    assert_eq!(summary.failed, 0, "{summary:?}\n{}", world.log().join("\n"));
}

/// The known entries of the ledger; the function of this test writes none.
async fn write_ledger(world: &World) {
    let entries: Vec<LedgerEntry> = data("ledger.ndjson")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let ledger = installation(&world.prefix).ledger_index.unwrap();
    let body = ledger::bulk_body(&entries, &ledger);
    let answer = world
        .elasticsearch
        .post("_bulk?refresh=true", body)
        .await
        .unwrap();
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(answer["errors"], false, "{answer}");
}

/// Searches what the data view shows, in an installation with the names of this test.
async fn ask(world: &World, view_id: &str, body: &Value) -> Value {
    let ledger = installation(&world.prefix).ledger_index.unwrap();
    let objects = saved_objects(&world.prefix, &ledger);
    let mut objects = objects
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let view = objects.find(|object| object["id"] == view_id).unwrap();
    let path = format!("{}/_search", text(&view["attributes"]["title"]));
    let answer = world.elasticsearch.post(&path, body.to_string()).await.unwrap();
    let answer_body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(answer.status, 200, "{body}: {answer_body}");
    answer_body
}

/// Numbers are numbers: Elasticsearch writes sums with a point.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let is_same = |(name, value)| other.get(name).is_some_and(|other| same(value, other));
            one.len() == other.len() && one.iter().all(is_same)
        }
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        _ => one == other,
    }
}

/// What every panel shows, by dashboard and title.
async fn panel_answers(world: &World, pack: &Pack) -> BTreeMap<String, Value> {
    let mut answers = BTreeMap::new();
    for panel in pack.panels() {
        let Some(lens) = panel.lens() else { continue };
        let mut chosen = day(&pack.sources.view(lens.view_id()).time);
        if panel.dashboard == "flowship-one-host" {
            chosen = format!("{chosen} and {HOST}");
        }
        let found = ask(world, lens.view_id(), &panels::search(lens, &chosen)).await;
        let name = format!("{} / {}", panel.dashboard, panel.title());
        answers.insert(name, panels::table(lens, &found).into());
    }
    answers
}

/// How much every saved search finds.
async fn search_answers(world: &World, pack: &Pack) -> BTreeMap<String, Value> {
    let mut answers = BTreeMap::new();
    for search in pack.of_type("search") {
        let source = nested(&search["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"]);
        let view_id = text(&search["references"][0]["id"]);
        let day = day(&pack.sources.view(view_id).time);
        let queries = [text(&source["query"]["query"]), &day].map(|query| Query::parse(query).to_search());
        let sort = &search["attributes"]["sort"][0];
        let body = json!({
            "query": {"bool": {"filter": queries}}, "fields": search["attributes"]["columns"],
            "sort": [{text(&sort[0]): sort[1]}],
        });
        let found = ask(world, view_id, &body).await;
        answers.insert(
            text(&search["id"]).to_owned(),
            found["hits"]["total"]["value"].clone(),
        );
    }
    answers
}

/// The values that every rule finds at [`NOW`], and for whom it fires after the storm.
async fn rule_answers(world: &World, pack: &Pack) -> [BTreeMap<String, Value>; 2] {
    let (mut found, mut fired) = (BTreeMap::new(), BTreeMap::new());
    for (name, rule) in &pack.rules {
        let check = Check::new(pack, rule);
        let values = async |now| check.values(&ask(world, check.view_id(), &check.search(now)).await);
        let (before, after) = (values(NOW).await, values(AFTER_STORM).await);
        let groups: Vec<_> = if check.alerts_on_gone {
            let is_gone = |group: &&String| !after.contains_key(*group);
            before.keys().filter(is_gone).collect()
        } else {
            let fires = after.iter().filter(|(_, value)| check.fires(**value));
            fires.map(|(group, _)| group).collect()
        };
        fired.insert(name.clone(), json!(groups));
        found.insert(name.clone(), json!(before));
    }
    [found, fired]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_and_every_rule_answers_what_the_logs_say() {
    let mut world = World::new("kibana-0").await;
    let no_ledger = ("FLOWSHIP_LEDGER_INDEX".to_owned(), "none".to_owned());
    world.variables.extend([no_ledger]);
    ship(&mut world).await;
    write_ledger(&world).await;
    assert_eq!(world.num_documents().await, 26 + 2003);
    let pack = Pack::read();
    let [rules, alerts] = rule_answers(&world, &pack).await;
    let sections = [
        ("panels", panel_answers(&world, &pack).await),
        ("searches", search_answers(&world, &pack).await),
        ("rules", rules),
        ("rules in the storm", alerts),
    ];
    let expected: BTreeMap<String, BTreeMap<String, Value>> =
        serde_json::from_str(&data("answers.json")).unwrap();
    let mut wrong = Vec::new();
    for (section, found) in &sections {
        let expected = &expected[*section];
        assert!(
            found.keys().eq(expected.keys()),
            "{section}: each has an answer, and no other"
        );
        for (name, found) in found {
            if !same(found, &expected[name]) {
                wrong.push(format!("{name}\n  is {found}\n  not {}", expected[name]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
