//! Against a scripted server: every call must be the next of the script. The answers have the shapes of real ones of
//! Elasticsearch 8.19.8 (templates, refusals) and of Elastic's page "Get lifecycle policy API" (policies).

use hyper::Method;
use serde_json::json;

use super::error::MAX_REASON;
use super::*;
use crate::elasticsearch::script::{Call, Script, get};

mod choices;

/// A `PUT` of the part, with the answer "done".
fn put(part: &Part) -> Call {
    Call {
        method: Method::PUT,
        path: format!("/{}", part.path()),
        status: 200,
        answer: json!({"acknowledged": true}).to_string(),
        body: Some(part.body.clone()),
    }
}

fn names() -> Installation {
    Installation {
        index_prefix: "flowlogs".to_owned(),
        ledger_index: Some("flowship-ledger".to_owned()),
    }
}

fn no_handler() -> Value {
    json!({"error": "no handler found for uri [/_ilm/policy/flowlogs-vpc] and method [GET]"})
}

fn not_found() -> Value {
    json!({"error": {"type": "resource_not_found_exception", "reason": "not found"}, "status": 404})
}

fn forbidden() -> Value {
    json!({"error": {"type": "security_exception", "reason": "action [x] is unauthorized for user [y]"}, "status": 403})
}

/// What a server answers that has the part as it is.
fn held(part: &Part) -> Value {
    let (name, mut body) = (&part.name, part.body.clone());
    match part.kind {
        Kind::IlmPolicy => {
            body["version"] = json!(3);
            body["modified_date"] = json!("2026-11-20T03:10:00.000Z");
            body["in_use_by"] = json!({"indices": [], "data_streams": [], "composable_templates": [name]});
            json!({name: body})
        }
        Kind::ComponentTemplate => {
            json!({"component_templates": [{"name": name, "component_template": body}]})
        }
        Kind::Role => json!({name: body}),
        Kind::ClusterSetting => body,
        Kind::IndexTemplate => json!({"index_templates": [{"name": name, "index_template": body}]}),
    }
}

fn actions(plan: &Plan) -> Vec<Action> {
    plan.steps.iter().map(|step| step.action).collect()
}

#[tokio::test]
async fn an_empty_server_gets_everything_in_order() {
    let parts = parts(&names());
    let mut calls: Vec<Call> = parts
        .iter()
        .map(|part| get(&part.path(), 404, &not_found()))
        .collect();
    calls.extend(parts.iter().map(put));
    let server = Script::start(calls).await;
    let plan = plan(&server.client, &names(), false).await.unwrap();
    assert!(plan.has_ilm);
    assert_eq!(actions(&plan), [Action::Create; 8]);
    apply(&server.client, &plan).await.unwrap();
    server.finish();
}

#[tokio::test]
async fn a_second_run_only_asks() {
    let calls = parts(&names())
        .iter()
        .map(|part| get(&part.path(), 200, &held(part)))
        .collect();
    let server = Script::start(calls).await;
    let plan = plan(&server.client, &names(), false).await.unwrap();
    assert_eq!(actions(&plan), [Action::Leave; 8]);
    apply(&server.client, &plan).await.unwrap();
    server.finish();
}

#[tokio::test]
async fn a_server_without_ilm_gets_no_ilm_part() {
    for status in [400, 405, 410] {
        let parts = parts(&names());
        let (without_ilm, only_ilm): (Vec<&Part>, Vec<&Part>) =
            parts.iter().partition(|part| !part.needs_ilm);
        assert_eq!(only_ilm, [&parts[0], &parts[3]]);
        let mut calls = vec![get(&parts[0].path(), status, &no_handler())];
        calls.extend(
            without_ilm
                .iter()
                .map(|part| get(&part.path(), 404, &not_found())),
        );
        calls.extend(without_ilm.into_iter().map(put));
        let server = Script::start(calls).await;
        let plan = plan(&server.client, &names(), false).await.unwrap();
        assert!(!plan.has_ilm);
        let mut wanted = [Action::Create; 8];
        (wanted[0], wanted[3]) = (Action::Skip(SkipReason::NoIlm), Action::Skip(SkipReason::NoIlm));
        assert_eq!(actions(&plan), wanted);
        apply(&server.client, &plan).await.unwrap();
        server.finish();
    }
}

/// A server on which somebody keeps flows for three years, and refreshes less often if `also_settings`.
fn changed_by_hand(also_settings: bool) -> Vec<Call> {
    parts(&names())
        .iter()
        .enumerate()
        .map(|(position, part)| {
            let mut part = part.clone();
            match position {
                0 => part.body["policy"]["phases"]["delete"]["min_age"] = json!("1100d"),
                1 if also_settings => {
                    part.body["template"]["settings"]["index"]["refresh_interval"] = json!("60s");
                }
                _ => {}
            }
            get(&part.path(), 200, &held(&part))
        })
        .collect()
}

#[tokio::test]
async fn what_was_changed_by_hand_is_not_overwritten_and_nothing_else_is_done() {
    let mut calls = changed_by_hand(true);
    let last = parts(&names()).len() - 1;
    (calls[last].status, calls[last].answer) = (404, not_found().to_string());
    let server = Script::start(calls).await;
    let plan = plan(&server.client, &names(), false).await.unwrap();
    assert_eq!(plan.steps[1].action, Action::Refuse(Refusal::ChangedByHand));
    assert_eq!(
        plan.steps[1].differences[0].to_string(),
        "settings.index.refresh_interval: 60s → 30s"
    );
    assert_eq!(plan.steps[last].action, Action::Create);
    assert_eq!(plan.num_refused(), 1);
    apply(&server.client, &plan).await.unwrap();
    server.finish();
}

#[tokio::test]
async fn what_was_changed_by_hand_is_set_back_on_request_but_not_the_retention() {
    let mut calls = changed_by_hand(true);
    calls.push(put(&parts(&names())[1]));
    let server = Script::start(calls).await;
    let choices = Choices {
        force: true,
        ..Choices::default()
    };
    let plan = plan_with(&server.client, &names(), &choices).await.unwrap();
    let [policy, settings, rest @ ..] = plan.steps.as_slice() else {
        panic!("eight steps");
    };
    assert_eq!(policy.action, Action::Skip(SkipReason::PolicyKept));
    assert_eq!(
        policy.differences[0].to_string(),
        "phases.delete.min_age: 1100d → 400d"
    );
    assert_eq!(settings.action, Action::Change);
    assert!(rest.iter().all(|step| step.action == Action::Leave));
    apply(&server.client, &plan).await.unwrap();
    server.finish();
}

#[tokio::test]
async fn the_retention_is_set_back_on_request() {
    let mut calls = changed_by_hand(false);
    calls.push(put(&parts(&names())[0]));
    let server = Script::start(calls).await;
    let plan = plan(&server.client, &names(), true).await.unwrap();
    assert_eq!(plan.steps[0].action, Action::Change);
    apply(&server.client, &plan).await.unwrap();
    server.finish();
}

/// As an older version would have installed it, or one from before there was a hash.
#[tokio::test]
async fn what_an_older_version_installed_is_updated() {
    let parts = parts(&names());
    let mut older = parts[1].clone();
    older.body["template"]["settings"]["index"]["refresh_interval"] = json!("60s");
    stamp::stamp(older.kind, &mut older.body);
    let mut first = parts[2].clone();
    first.body["_meta"].as_object_mut().unwrap().remove("hash");
    let mut calls: Vec<Call> = parts
        .iter()
        .map(|part| get(&part.path(), 200, &held(part)))
        .collect();
    calls[1] = get(&older.path(), 200, &held(&older));
    calls[2] = get(&first.path(), 200, &held(&first));
    calls.extend([put(&parts[1]), put(&parts[2])]);
    let server = Script::start(calls).await;
    let plan = plan(&server.client, &names(), false).await.unwrap();
    assert_eq!(plan.num_refused(), 0);
    apply(&server.client, &plan).await.unwrap();
    server.finish();
}

#[tokio::test]
async fn an_older_flowship_does_not_take_back_what_a_newer_one_installed() {
    let parts = parts(&names());
    for position in [0, 1] {
        let mut newer = parts[position].clone();
        let about = match newer.kind {
            Kind::IlmPolicy => "/policy/_meta",
            _ => "/_meta",
        };
        newer.body.pointer_mut(about).unwrap()["version"] = json!(99);
        stamp::stamp(newer.kind, &mut newer.body);
        let mut calls: Vec<Call> = parts
            .iter()
            .map(|part| get(&part.path(), 200, &held(part)))
            .collect();
        calls[position] = get(&newer.path(), 200, &held(&newer));
        let server = Script::start(calls).await;
        let plan = plan(&server.client, &names(), false).await.unwrap();
        assert_eq!(plan.steps[position].action, Action::Refuse(Refusal::Newer));
        server.finish();
    }
}

#[tokio::test]
async fn a_part_of_our_name_that_is_not_ours_is_not_overwritten() {
    let parts = parts(&names());
    for position in [0, 4] {
        let mut foreign = parts[position].clone();
        let about = match foreign.kind {
            Kind::IlmPolicy => "/policy/_meta",
            _ => "/_meta",
        };
        *foreign.body.pointer_mut(about).unwrap() = json!({"managed": true});
        let mut calls: Vec<Call> = parts
            .iter()
            .map(|part| get(&part.path(), 200, &held(part)))
            .collect();
        calls[position] = get(&foreign.path(), 200, &held(&foreign));
        let server = Script::start(calls).await;
        let plan = plan(&server.client, &names(), false).await.unwrap();
        assert_eq!(plan.steps[position].action, Action::Refuse(Refusal::NotOurs));
        apply(&server.client, &plan).await.unwrap();
        server.finish();
    }
}

#[tokio::test]
async fn a_refusal_in_the_middle_tells_the_place_and_the_next_run_goes_on() {
    let parts = parts(&names());
    let mut calls: Vec<Call> = parts
        .iter()
        .map(|part| get(&part.path(), 404, &not_found()))
        .collect();
    calls.extend([
        put(&parts[0]),
        Call {
            status: 400,
            answer: json!({"error": {
                "type": "illegal_argument_exception", "reason": "updating component template\nresults in invalid template",
                "caused_by": {"type": "x", "reason": "unknown setting [index.codecc]"},
            }, "status": 400})
            .to_string(),
            ..put(&parts[1])
        },
    ]);
    let server = Script::start(calls).await;
    let first = plan(&server.client, &names(), false).await.unwrap();
    let stopped = apply(&server.client, &first).await.unwrap_err();
    assert_eq!(stopped.position, 1);
    insta::assert_snapshot!(stopped.error, @"installing component template flowlogs-vpc-settings: Elasticsearch answers 400 illegal_argument_exception: updating component template results in invalid template: unknown setting [index.codecc]");
    server.finish();

    let mut calls: Vec<Call> = parts
        .iter()
        .map(|part| get(&part.path(), 404, &not_found()))
        .collect();
    calls[0] = get(&parts[0].path(), 200, &held(&parts[0]));
    calls.extend(parts[1..].iter().map(put));
    let server = Script::start(calls).await;
    let second = plan(&server.client, &names(), false).await.unwrap();
    assert_eq!(second.steps[0].action, Action::Leave);
    apply(&server.client, &second).await.unwrap();
    server.finish();
}

#[tokio::test]
async fn a_missing_privilege_is_named() {
    let parts = parts(&names());
    let server = Script::start(vec![get(&parts[0].path(), 403, &forbidden())]).await;
    let error = plan(&server.client, &names(), false).await.unwrap_err();
    insta::assert_snapshot!(error, @"reading ILM policy flowlogs-vpc: not allowed (403): the user or API key needs the cluster privilege `manage_ilm`");
    server.finish();

    let server = Script::start(vec![
        get(&parts[0].path(), 400, &no_handler()),
        get(&parts[1].path(), 403, &forbidden()),
    ])
    .await;
    let error = plan(&server.client, &names(), false).await.unwrap_err();
    insta::assert_snapshot!(error, @"reading component template flowlogs-vpc-settings: not allowed (403): the user or API key needs the cluster privilege `manage_index_templates`");
    server.finish();
}

#[tokio::test]
async fn a_blocked_cluster_is_not_a_missing_privilege() {
    let path = parts(&names())[0].path();
    let blocked = json!({"error": {"type": "cluster_block_exception", "reason": "blocked by: [FORBIDDEN/6/cluster read-only (api)];"}, "status": 403});
    let server = Script::start(vec![get(&path, 403, &blocked)]).await;
    let error = plan(&server.client, &names(), false).await.unwrap_err();
    insta::assert_snapshot!(error, @"reading ILM policy flowlogs-vpc: Elasticsearch answers 403 cluster_block_exception: blocked by: [FORBIDDEN/6/cluster read-only (api)];");
}

#[tokio::test]
async fn answers_of_something_else_are_errors() {
    let path = parts(&names())[0].path();
    let mut page = get(&path, 200, &json!(null));
    page.answer = "<html>".to_owned();
    let mut bad_gateway = get(&path, 502, &json!(null));
    bad_gateway.answer = "<html>\n bad gateway".to_owned();
    for (call, wanted) in [
        (
            page,
            "the answer is not that of Elasticsearch: expected value at line 1 column 1",
        ),
        (
            get(&path, 200, &json!({})),
            "the answer is not that of Elasticsearch: it does not hold what was asked for",
        ),
        (bad_gateway, "Elasticsearch answers 502 -: <html> bad gateway"),
    ] {
        let server = Script::start(vec![call]).await;
        let error = plan(&server.client, &names(), false).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("reading ILM policy flowlogs-vpc: {wanted}")
        );
    }
}

#[test]
fn a_long_refusal_is_cut() {
    let body = json!({"error": "ä".repeat(2 * MAX_REASON)}).to_string();
    let (_, reason) = read_error(body.as_bytes());
    assert_eq!(reason.chars().count(), MAX_REASON + 1);
    assert!(reason.ends_with('…'));
}
