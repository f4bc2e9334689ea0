//! Against a scripted server: every call must be the next of the script, with Kibana's header. The shapes are those of
//! Elastic's pages "Import saved objects", "Export saved objects", "Get rule", "Create a rule" and "Update a rule", and of
//! the tests of Kibana's own export for objects that are not there.

use hyper::Method;
use serde_json::json;

use super::*;
use crate::elasticsearch::script::{Call, Script, get};

const FIRST: &str = "2026-11-20T03:10:00.123Z";
const LATER: &str = "2026-11-21T09:00:00.456Z";
const EXPORT: &str = "api/saved_objects/_export";
const IMPORT: &str = "api/saved_objects/_import?overwrite=true";

pub(crate) fn names() -> Installation {
    Installation {
        index_prefix: "flowlogs".to_owned(),
        ledger_index: Some("flowship-ledger".to_owned()),
    }
}

async fn start(calls: Vec<Call>) -> (Script, Kibana) {
    let script = Script::start(calls).await;
    let url = script.settings.urls[0].clone();
    let client = Client::connect_to_kibana(url, &script.settings, async |_: &str| Err(String::new())).await;
    let kibana = Kibana::new(client.unwrap(), None);
    (script, kibana)
}

fn asked(objects: &[Value]) -> Value {
    let objects: Vec<Value> = objects
        .iter()
        .map(|object| json!({"type": object["type"], "id": object["id"]}))
        .collect();
    json!({"objects": objects, "excludeExportDetails": true, "includeReferencesDeep": false})
}

/// The pack as Kibana has it after one import.
fn imported(time: &str) -> Vec<Value> {
    let mut objects = pack(&names());
    for object in &mut objects {
        object["updated_at"] = time.into();
        object["created_at"] = time.into();
        object["version"] = "WzE0LDFd".into();
        // Some versions write the same in another way.
        if object["type"] == "dashboard" {
            object["attributes"]["panelsJSON"] = "[]".into();
        }
    }
    objects
}

fn object<'a>(objects: &'a mut [Value], id: &str) -> &'a mut Value {
    objects.iter_mut().find(|object| object["id"] == id).unwrap()
}

fn export(objects: &[Value]) -> Call {
    let lines: Vec<String> = objects.iter().map(ToString::to_string).collect();
    Call {
        method: Method::POST,
        answer: lines.join("\n"),
        body: Some(asked(&pack(&names()))),
        ..get(EXPORT, 200, &Value::Null)
    }
}

fn import(objects: &[Value]) -> Call {
    let lines: String = objects.iter().map(|object| format!("{object}\n")).collect();
    Call {
        method: Method::POST,
        body: Some(lines.into()),
        ..get(
            IMPORT,
            200,
            &json!({"success": true, "successCount": objects.len(), "successResults": [], "warnings": []}),
        )
    }
}

fn nothing_there() -> Call {
    let missing: Vec<Value> = pack(&names())
        .iter()
        .map(|object| json!({"id": object["id"], "type": object["type"], "error": {"statusCode": 404, "error": "Not Found"}}))
        .collect();
    Call {
        method: Method::POST,
        body: Some(asked(&pack(&names()))),
        ..get(
            EXPORT,
            400,
            &json!({"statusCode": 400, "error": "Bad Request", "message": "Error fetching objects to export", "attributes": {"objects": missing}}),
        )
    }
}

fn rule_path(rule: &Rule) -> String {
    format!("api/alerting/rule/{}", rule.id)
}

/// What Kibana answers that has the rule as it is, with what it adds.
fn held(rule: &Rule) -> Value {
    let mut body = rule.body.clone();
    body["id"] = rule.id.into();
    body["params"]["sourceFields"] = json!([{"label": "host", "searchPath": "host"}]);
    body["revision"] = 0.into();
    body["notify_when"] = Value::Null;
    body["execution_status"] = json!({"status": "ok"});
    body
}

fn rules_held() -> Vec<Call> {
    rules(&names())
        .iter()
        .map(|rule| get(&rule_path(rule), 200, &held(rule)))
        .collect()
}

async fn planned(calls: Vec<Call>, force: bool) -> Plan {
    let (script, kibana) = start(calls).await;
    let plan = kibana.plan(&names(), force).await.unwrap();
    let applied = kibana.apply(&plan).await;
    assert!(applied.failures.is_empty(), "{applied:?}");
    script.finish();
    plan
}

fn ids(plan: &Plan, action: Action) -> Vec<&str> {
    let items = plan.items.iter().filter(|item| item.action == action);
    items.map(|item| item.id.as_str()).collect()
}

/// The calls of a first installation.
pub(crate) fn of_first_installation() -> Vec<Call> {
    let mut calls = vec![nothing_there()];
    let not_found = json!({"statusCode": 404, "error": "Not Found", "message": "Saved object not found"});
    calls.extend(
        rules(&names())
            .iter()
            .map(|rule| get(&rule_path(rule), 404, &not_found)),
    );
    calls.push(import(&pack(&names())));
    calls.extend(rules(&names()).iter().map(|rule| Call {
        method: Method::POST,
        body: Some(rule.body.clone()),
        ..get(&rule_path(rule), 200, &held(rule))
    }));
    calls
}

#[tokio::test]
async fn an_empty_kibana_gets_everything() {
    let plan = planned(of_first_installation(), false).await;
    assert_eq!(
        ids(&plan, Action::Create).len(),
        pack(&names()).len() + rules(&names()).len()
    );
}

#[tokio::test]
async fn a_second_run_only_asks_also_where_kibana_rewrote_what_it_took() {
    let mut objects = imported(FIRST);
    // Somebody used a field of a data view: Kibana counts that, and saves the view.
    let view = object(&mut objects, "flowship-flows");
    view["updated_at"] = LATER.into();
    let mut attributes: Value =
        serde_json::from_str(view["attributes"]["fieldAttrs"].as_str().unwrap()).unwrap();
    attributes["source.ip"]["count"] = 3.into();
    attributes["never.seen"] = json!({"count": 1});
    view["attributes"]["fieldAttrs"] = attributes.to_string().into();
    let mut calls = vec![export(&objects)];
    calls.extend(rules_held());
    let plan = planned(calls, false).await;
    assert_eq!(ids(&plan, Action::Leave).len(), plan.items.len());
}

#[tokio::test]
async fn an_older_pack_is_replaced_but_for_what_somebody_changed() {
    let mut objects = imported(FIRST);
    object(&mut objects, "flowship-overview")["attributes"]["description"] =
        "… flowship 0123456789abcdef".into();
    for changed in ["flowship-who-talked-to", "flowship-one-host"] {
        object(&mut objects, changed)["updated_at"] = LATER.into();
    }
    let view = object(&mut objects, "flowship-ledger");
    view["updated_at"] = LATER.into();
    view["attributes"]["runtimeFieldMap"] = r#"{"mine":{"type":"keyword"}}"#.into();
    let kept = ["flowship-ledger", "flowship-who-talked-to", "flowship-one-host"];
    let others: Vec<Value> = pack(&names())
        .into_iter()
        .filter(|object| !kept.contains(&object["id"].as_str().unwrap()))
        .collect();

    let mut calls = vec![export(&objects)];
    calls.extend(rules_held());
    calls.push(import(&others));
    let plan = planned(calls, false).await;
    assert_eq!(ids(&plan, Action::Keep), kept);

    let mut calls = vec![export(&objects)];
    calls.extend(rules_held());
    calls.push(import(&pack(&names())));
    let plan = planned(calls, true).await;
    assert_eq!(ids(&plan, Action::Keep), [""; 0]);
}

#[tokio::test]
async fn what_somebody_deleted_comes_again_in_one_import() {
    let objects = imported(FIRST);
    let (gone, left) = objects.split_last().unwrap();
    let mut first = nothing_there();
    first.answer = json!({"message": "x", "attributes": {"objects": [
        {"id": gone["id"], "type": gone["type"], "error": {"statusCode": 404}},
    ]}})
    .to_string();
    let mut second = export(left);
    second.body = Some(asked(left));
    let mut calls = vec![first, second];
    calls.extend(rules_held());
    calls.push(import(&pack(&names())));
    let plan = planned(calls, false).await;
    assert_eq!(ids(&plan, Action::Create), [gone["id"].as_str().unwrap()]);
    assert_eq!(ids(&plan, Action::Change).len(), left.len());
}

/// An older version's rule has another threshold; its action and the operator's tag stay.
#[tokio::test]
async fn an_older_rule_is_changed_and_keeps_what_is_the_operators() {
    let rules = rules(&names());
    let mut older = rules[2].clone();
    older.body["schedule"]["interval"] = "10m".into();
    older = rules::stamped(older);
    let mut there = held(&older);
    there["tags"].as_array_mut().unwrap().push("mine".into());
    there["actions"] =
        json!([{"group": "fired", "id": "pager", "params": {"x": 1}, "connector_type_id": ".pagerduty"}]);
    there["alert_delay"] = json!({"active": 3});
    let mut calls = vec![export(&imported(FIRST))];
    calls.extend(rules_held());
    calls[3].answer = there.to_string();
    let wanted = &rules[2].body;
    calls.push(Call {
        method: Method::PUT,
        body: Some(json!({
            "name": wanted["name"], "schedule": wanted["schedule"], "params": wanted["params"],
            "tags": ["flowship", wanted["tags"][1], "mine"],
            "actions": [{"group": "fired", "id": "pager", "params": {"x": 1}}],
            "alert_delay": {"active": 3},
        })),
        ..get(&rule_path(&rules[2]), 200, &there)
    });
    let plan = planned(calls, false).await;
    assert_eq!(ids(&plan, Action::Change), [rules[2].id]);
}

#[tokio::test]
async fn a_rule_that_somebody_changed_is_kept() {
    let rules = rules(&names());
    let watch_list = rules
        .iter()
        .position(|rule| rule.file_name == "watch-list")
        .unwrap();
    let mut there = held(&rules[watch_list]);
    there["params"]["searchConfiguration"]["query"]["query"] = "related.ip: 10.9.0.0/16".into();
    there["enabled"] = true.into();
    let mut calls = vec![export(&imported(FIRST))];
    calls.extend(rules_held());
    calls[1 + watch_list].answer = there.to_string();
    let plan = planned(calls, false).await;
    assert_eq!(ids(&plan, Action::Keep), [rules[watch_list].id]);
}

#[tokio::test]
async fn a_rule_that_kibana_does_not_know_keeps_no_other_from_being_there() {
    let rules = rules(&names());
    let mut calls = vec![export(&imported(FIRST))];
    calls.extend(rules_held());
    for position in [0, 1] {
        calls[1 + position] = get(&rule_path(&rules[position]), 404, &json!({}));
    }
    let refused =
        json!({"statusCode": 400, "error": "Bad Request", "message": "Rule type \"x\" is not registered."});
    for (rule, (status, answer)) in rules.iter().zip([(400, &refused), (200, &held(&rules[1]))]) {
        calls.push(Call {
            method: Method::POST,
            body: Some(rule.body.clone()),
            ..get(&rule_path(rule), status, answer)
        });
    }
    let (script, kibana) = start(calls).await;
    let plan = kibana.plan(&names(), false).await.unwrap();
    let applied = kibana.apply(&plan).await;
    script.finish();
    let [(_, error)] = applied.failures.as_slice() else {
        panic!("one fails: {applied:?}");
    };
    insta::assert_snapshot!(error, @r#"alert rule flowship: an account has gone silent: Kibana answers 400: Rule type "x" is not registered."#);
    assert_eq!(applied.stopped_at, None);
}

#[tokio::test]
async fn an_import_that_fails_is_told_and_stops() {
    let cases = [
        json!({"success": false, "successCount": 0, "errors": [
            {"id": "flowship-overview", "type": "dashboard", "error": {"type": "unsupported_type"}},
        ]}),
        json!({"success": true, "successResults": [
            {"id": "flowship-overview", "type": "dashboard", "destinationId": "3a9d"},
        ]}),
    ];
    let mut told = Vec::new();
    for answer in cases {
        let mut calls = vec![nothing_there()];
        calls.extend(rules_held());
        calls.push(Call {
            answer: answer.to_string(),
            ..import(&pack(&names()))
        });
        let (script, kibana) = start(calls).await;
        let plan = kibana.plan(&names(), false).await.unwrap();
        let applied = kibana.apply(&plan).await;
        assert_eq!(applied.stopped_at, Some(0));
        told.push(applied.failures[0].1.to_string());
        script.finish();
    }
    insta::assert_snapshot!(told.join("\n"), @"
    importing saved objects: Kibana answers 200: dashboard flowship-overview: unsupported_type
    another space has these objects, so Kibana made copies with other ids, to which links and rules do not lead: dashboard flowship-overview; delete the copies and share the objects of the other space with this one
    ");
}

#[tokio::test]
async fn what_keeps_kibana_from_answering_is_told() {
    let mut told = Vec::new();
    let forbidden =
        json!({"statusCode": 403, "error": "Forbidden", "message": "Unable to bulk_get dashboard"});
    let page = Call {
        answer: "<html>\nno Kibana".to_owned(),
        ..export(&[])
    };
    for call in [
        Call {
            status: 403,
            answer: forbidden.to_string(),
            ..export(&[])
        },
        Call {
            status: 404,
            answer: json!({"statusCode": 404, "error": "Not Found", "message": "Not Found"}).to_string(),
            ..export(&[])
        },
        Call { status: 502, ..page },
        Call {
            answer: "<html>".to_owned(),
            ..export(&[])
        },
    ] {
        let (_script, kibana) = start(vec![call]).await;
        let error = kibana.plan(&names(), false).await.unwrap_err().to_string();
        told.push(error.replace(kibana.url(), "http://kibana:5601/"));
    }
    insta::assert_snapshot!(told.join("\n"), @"
    reading saved objects: not allowed (403): the user or API key needs Kibana's rights to manage saved objects and rules in this space: Unable to bulk_get dashboard
    reading saved objects: not found (404) at http://kibana:5601/: is this Kibana's URL, and is the space there?
    reading saved objects: Kibana answers 502: <html> no Kibana
    reading saved objects: the answer is not that of Kibana: expected value at line 1 column 1
    ");
}

#[tokio::test]
async fn another_space_has_its_own_paths() {
    let mut call = export(&imported(FIRST));
    call.path = format!("/s/net-ops/{EXPORT}");
    let space = json!({"id": "net-ops", "name": "Network operations", "disabledFeatures": []});
    let mut calls = vec![get("api/spaces/space/net-ops", 200, &space), call];
    calls.extend(
        rules(&names())
            .iter()
            .map(|rule| get(&format!("s/net-ops/{}", rule_path(rule)), 200, &held(rule))),
    );
    let (script, kibana) = start(calls).await;
    let kibana = Kibana::new(kibana.client, Some("net-ops"));
    kibana.plan(&names(), false).await.unwrap();
    script.finish();
}

/// Kibana would install into a space of any name; nobody would find it there.
#[tokio::test]
async fn a_space_that_is_not_there_is_told_before_anything_is_sent() {
    let not_found = json!({"statusCode": 404, "error": "Not Found", "message": "Not Found"});
    let (script, kibana) = start(vec![get("api/spaces/space/netops", 404, &not_found)]).await;
    let kibana = Kibana::new(kibana.client, Some("netops"));
    let error = kibana.plan(&names(), false).await.unwrap_err().to_string();
    let error = error.replace(kibana.url(), "http://kibana:5601/");
    insta::assert_snapshot!(error, @"there is no space `netops` at http://kibana:5601/ (404): make it in Kibana first, or is this not Kibana's URL?");
    script.finish();
}

/// Both have their objects under the same ids.
#[tokio::test]
async fn the_data_view_of_another_installation_is_not_taken_over_unless_forced() {
    let with_title = |title: &str| {
        let mut objects = imported(FIRST);
        object(&mut objects, "flowship-flows")["attributes"]["title"] = title.into();
        objects
    };
    for title in ["net-*", "flowlogs-eu-*"] {
        let (script, kibana) = start(vec![export(&with_title(title))]).await;
        let error = kibana.plan(&names(), false).await.unwrap_err().to_string();
        insta::allow_duplicates! {
            insta::assert_snapshot!(error.replace(title, "THEIRS"), @"the data view `flowship-flows` of this space shows THEIRS, not flowlogs-*: another installation uses it; take another space with --kibana-space, or another Kibana if this one gives the copies other ids, or take the view over with --force");
        }
        script.finish();
    }
    let mut calls = vec![export(&with_title("net-*"))];
    calls.extend(rules_held());
    calls.push(import(&pack(&names())));
    planned(calls, true).await;
    // What somebody made of ours is still ours.
    for title in [
        "flowlogs-vpc-*",
        "flowlogs-*, eu:flowlogs-*",
        "eu:flowlogs-tgw-2026*",
    ] {
        let mut calls = vec![export(&with_title(title))];
        calls.extend(rules_held());
        let (script, kibana) = start(calls).await;
        kibana.plan(&names(), false).await.unwrap();
        script.finish();
    }
}

/// What looks at indices that nobody writes would alert for ever, or be empty.
#[test]
fn without_a_ledger_nothing_of_it_is_installed() {
    let without = Installation {
        ledger_index: None,
        ..names()
    };
    let left_out: Vec<&str> = rules(&names())
        .iter()
        .map(|rule| rule.file_name)
        .filter(|name| !rules(&without).iter().any(|rule| rule.file_name == *name))
        .collect();
    assert_eq!(
        left_out,
        [
            "account-silent",
            "dead-letters",
            "not-complete",
            "nothing-arrives",
            "quarantine"
        ]
    );
    let kept = pack(&without);
    let left_out: Vec<String> = pack(&names())
        .iter()
        .map(|object| object["id"].as_str().unwrap().to_owned())
        .filter(|id| !kept.iter().any(|object| object["id"] == id.as_str()))
        .collect();
    let wanted = [
        "flowship-ledger",
        "flowship-ledger-passes",
        "flowship-not-complete",
        "flowship-quarantined",
        "flowship-ingest-health",
    ];
    assert_eq!(left_out, wanted);
    // What is left refers to nothing that is not there.
    for reference in kept
        .iter()
        .flat_map(|object| object["references"].as_array())
        .flatten()
    {
        assert!(
            kept.iter().any(|object| object["id"] == reference["id"]),
            "{reference}"
        );
    }
}
