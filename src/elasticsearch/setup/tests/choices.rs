//! What may be chosen: ages, store, guard, roles.

use hyper::Method;
use serde_json::json;

use super::super::*;
use super::{actions, held, names, no_handler, not_found, put};
use crate::elasticsearch::script::{Call, Script, get};

/// The policy as `--delete-after DAYS` installs it.
fn policy_deleting_after(days: u32) -> Part {
    let mut policy = parts(&names()).remove(0);
    policy.body["policy"]["phases"]["delete"]["min_age"] = format!("{days}d").into();
    stamp::stamp(policy.kind, &mut policy.body);
    policy
}

fn asking_to_delete_after(days: u32) -> Choices {
    let ages = Ages {
        delete: Some(Age::Days(days)),
        ..Ages::default()
    };
    Choices {
        ages,
        ..Choices::default()
    }
}

/// The answers of a server that has every part as it should be, but for this policy.
fn holding(policy: &Part) -> Vec<Call> {
    let mut calls: Vec<Call> = parts(&names())
        .iter()
        .map(|part| get(&part.path(), 200, &held(part)))
        .collect();
    calls[0] = get(&policy.path(), 200, &held(policy));
    calls
}

#[tokio::test]
async fn an_age_that_is_asked_for_is_set_and_kept_by_later_runs() {
    let mut calls = holding(&policy_deleting_after(400));
    calls.push(put(&policy_deleting_after(90)));
    let server = Script::start(calls).await;
    let choices = asking_to_delete_after(90);
    let first = plan_with(&server.client, &names(), &choices).await.unwrap();
    assert_eq!(
        first.steps[0].differences.last().unwrap().to_string(),
        "phases.delete.min_age: 400d → 90d"
    );
    apply(&server.client, &first).await.unwrap();
    server.finish();

    let server = Script::start(holding(&policy_deleting_after(90))).await;
    let second = plan(&server.client, &names(), false).await.unwrap();
    assert_eq!(actions(&second), [Action::Leave; 8]);
    server.finish();

    let server = Script::start(holding(&policy_deleting_after(90))).await;
    let reset = plan(&server.client, &names(), true).await.unwrap();
    assert_eq!(reset.steps[0].part, parts(&names())[0]);
    assert_eq!(reset.steps[0].action, Action::Change);
}

/// A person keeps indices on a rack, and in snapshots; what asks for another age changes nothing else of that.
#[tokio::test]
async fn in_a_policy_that_was_changed_by_hand_only_the_age_is_set_and_only_if_forced() {
    let mut policy = policy_deleting_after(400);
    let phases = &mut policy.body["policy"]["phases"];
    phases["warm"]["min_age"] = json!("5d");
    phases["warm"]["actions"]["allocate"] = json!({"require": {"rack": "slow"}});
    phases["frozen"] = json!({
        "min_age": "30d", "actions": {"searchable_snapshot": {"snapshot_repository": "backup"}},
    });
    let server = Script::start(holding(&policy)).await;
    let mut choices = asking_to_delete_after(90);
    let refused = plan_with(&server.client, &names(), &choices).await.unwrap();
    assert_eq!(refused.steps[0].action, Action::Refuse(Refusal::ChangedByHand));
    server.finish();

    let mut edited = policy.clone();
    edited.body["policy"]["phases"]["delete"]["min_age"] = json!("90d");
    let mut calls = holding(&policy);
    calls.push(put(&edited));
    let server = Script::start(calls).await;
    choices.force = true;
    let forced = plan_with(&server.client, &names(), &choices).await.unwrap();
    let differences: Vec<String> = forced.steps[0]
        .differences
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(differences, ["phases.delete.min_age: 400d → 90d"]);
    apply(&server.client, &forced).await.unwrap();
    server.finish();

    // It is still known to be changed by hand: the next run keeps it, and one that asks for the same finds it done.
    for (choices, wanted) in [
        (Choices::default(), Action::Skip(SkipReason::PolicyKept)),
        (asking_to_delete_after(90), Action::Leave),
    ] {
        let server = Script::start(holding(&edited)).await;
        let next = plan_with(&server.client, &names(), &choices).await.unwrap();
        assert_eq!(next.steps[0].action, wanted);
        server.finish();
    }
}

/// Of somebody else: its `_meta` does not say that it is flowship's. Of a newer flowship: its version does.
#[tokio::test]
async fn a_reset_overwrites_no_policy_of_others_or_of_a_newer_flowship_unless_forced() {
    let mut foreign = policy_deleting_after(400);
    foreign.body["policy"]["_meta"] = json!({"managed": true});
    let mut newer = policy_deleting_after(90);
    newer.body["policy"]["_meta"]["version"] = json!(99);
    stamp::stamp(newer.kind, &mut newer.body);
    let mut newer_and_changed = newer.clone();
    newer_and_changed.body["policy"]["phases"]["delete"]["min_age"] = json!("91d");
    for (policy, refusal) in [
        (foreign, Refusal::NotOurs),
        (newer, Refusal::Newer),
        (newer_and_changed, Refusal::Newer),
    ] {
        for force in [false, true] {
            let server = Script::start(holding(&policy)).await;
            let choices = Choices {
                reset_ilm: true,
                force,
                ..Choices::default()
            };
            let plan = plan_with(&server.client, &names(), &choices).await.unwrap();
            let wanted = match force {
                false => Action::Refuse(refusal),
                true => Action::Change,
            };
            assert_eq!(plan.steps[0].action, wanted);
            server.finish();
        }
    }
}

#[tokio::test]
async fn ages_that_cannot_be_set_are_told_before_anything_is_changed() {
    let not_there: Vec<Call> = parts(&names())
        .iter()
        .map(|part| get(&part.path(), 404, &not_found()))
        .collect();
    let server = Script::start(not_there).await;
    let choices = asking_to_delete_after(1);
    let error = plan_with(&server.client, &names(), &choices).await.unwrap_err();
    insta::assert_snapshot!(error, @"the lifecycle policy would be in delete after 1d, before warm after 2d: give both ages");
    server.finish();

    let mut calls = holding(&policy_deleting_after(400));
    calls.remove(3);
    calls[0] = get(&parts(&names())[0].path(), 405, &no_handler());
    let server = Script::start(calls).await;
    let error = plan_with(&server.client, &names(), &choices).await.unwrap_err();
    insta::assert_snapshot!(error, @"this server has no ILM: there is no lifecycle policy whose ages could be set");
    server.finish();
}

/// The words are those of 8.19.8 to a mode that it does not know.
#[tokio::test]
async fn a_store_that_the_server_does_not_know_is_refused_before_anything_is_changed() {
    let mut calls: Vec<Call> = parts(&names())
        .iter()
        .map(|part| get(&part.path(), 404, &not_found()))
        .collect();
    calls.push(Call {
        method: Method::POST,
        body: Some(json!({
            "index_patterns": ["flowlogs-vpc-*"], "priority": 201,
            "template": {"settings": {"index": {
                "mode": "logsdb", "mapping": {"ignore_malformed": false},
                "sort": {"field": ["aws.vpcflow.interface_id", "@timestamp"], "order": ["asc", "desc"]},
            }}},
        })),
        ..get(
            "_index_template/_simulate",
            400,
            &json!({"error": {
                "type": "illegal_argument_exception",
                "reason": "No enum constant org.elasticsearch.index.IndexMode.LOGSDB",
            }, "status": 400}),
        )
    });
    let server = Script::start(calls).await;
    let choices = Choices {
        store: Some(Store::Logsdb),
        ..Choices::default()
    };
    let error = plan_with(&server.client, &names(), &choices).await.unwrap_err();
    insta::assert_snapshot!(crate::outcome::error_chain(&error), @"this server cannot store documents as `--store logsdb` asks; nothing was changed: trying index template flowlogs-vpc: Elasticsearch answers 400 illegal_argument_exception: No enum constant org.elasticsearch.index.IndexMode.LOGSDB");
    server.finish();
}

#[tokio::test]
async fn every_template_keeps_its_store_and_a_missing_one_takes_that_of_the_other() {
    const TEMPLATES: [usize; 2] = [4, 6];
    let stored = |store: Store| part::parts_stored(&names(), |_| store);
    for missing in TEMPLATES {
        let sorted = stored(Store::Sorted);
        let mut calls: Vec<Call> = sorted
            .iter()
            .map(|part| get(&part.path(), 200, &held(part)))
            .collect();
        calls[missing] = get(&sorted[missing].path(), 404, &not_found());
        calls.push(put(&sorted[missing]));
        let server = Script::start(calls).await;
        let plan = plan(&server.client, &names(), false).await.unwrap();
        assert_eq!(plan.steps[missing].action, Action::Create);
        apply(&server.client, &plan).await.unwrap();
        server.finish();
    }
    // Each in its own way.
    let mut mixed = stored(Store::Standard);
    mixed[TEMPLATES[1]] = stored(Store::Sorted).swap_remove(TEMPLATES[1]);
    let calls = mixed
        .iter()
        .map(|part| get(&part.path(), 200, &held(part)))
        .collect();
    let server = Script::start(calls).await;
    let plan = plan(&server.client, &names(), false).await.unwrap();
    assert_eq!(actions(&plan), [Action::Leave; 8]);
    server.finish();
}

/// The answer has the shape of 8.19.8's.
#[tokio::test]
async fn a_transient_setting_is_in_the_way_of_the_guard() {
    let mut calls = holding(&policy_deleting_after(400));
    calls.push(get(
        "_cluster/settings?include_defaults=true&filter_path=*.action.auto_create_index",
        200,
        &json!({"transient": {"action": {"auto_create_index": "false"}}}),
    ));
    let server = Script::start(calls).await;
    let choices = Choices {
        guard_auto_create: true,
        ..Choices::default()
    };
    let error = plan_with(&server.client, &names(), &choices).await.unwrap_err();
    insta::assert_snapshot!(error, @r#"the cluster has a transient action.auto_create_index (`false`), which goes before a lasting one: remove it first, with PUT _cluster/settings {"transient":{"action.auto_create_index":null}}"#);
    server.finish();
}

/// A test server cannot keep roles: its module for the index that holds them is missing.
#[tokio::test]
async fn roles_are_installed_on_request_and_found_again() {
    let roles = roles(&names());
    let mut calls = holding(&policy_deleting_after(400));
    calls.extend(roles.iter().map(|role| get(&role.path(), 404, &json!({}))));
    calls.extend(roles.iter().map(put));
    let server = Script::start(calls).await;
    let choices = Choices {
        install_roles: true,
        ..Choices::default()
    };
    let first = plan_with(&server.client, &names(), &choices).await.unwrap();
    apply(&server.client, &first).await.unwrap();
    server.finish();

    let mut calls = holding(&policy_deleting_after(400));
    calls.extend(roles.iter().map(|role| get(&role.path(), 200, &held(role))));
    let server = Script::start(calls).await;
    let second = plan_with(&server.client, &names(), &choices).await.unwrap();
    assert_eq!(actions(&second), [Action::Leave; 11]);
    server.finish();
}

#[tokio::test]
async fn a_server_without_security_is_told_to_have_no_roles() {
    let mut calls = holding(&policy_deleting_after(400));
    let no_handler =
        json!({"error": "no handler found for uri [/_security/role/flowlogs-installer] and method [GET]"});
    calls.push(get(&roles(&names())[0].path(), 400, &no_handler));
    let server = Script::start(calls).await;
    let choices = Choices {
        install_roles: true,
        ..Choices::default()
    };
    let error = plan_with(&server.client, &names(), &choices).await.unwrap_err();
    insta::assert_snapshot!(error, @"security is off on this server: it has no roles; leave out --install-roles");
    server.finish();
}
