//! The answers are written by hand, in the shapes of the Elasticsearch reference's pages on each API.

use serde_json::{Value, json};

use super::*;
use crate::config::Environment;

const NOW: &str = "2026-11-21T12:00:00Z";

pub(super) fn now() -> Timestamp {
    NOW.parse().unwrap()
}

pub(super) fn installation() -> Installation {
    Installation::read(&Environment::default()).unwrap()
}

fn told(check: &Check) -> String {
    let lines = [format!("{:?} {}: {}", check.verdict, check.name, check.found)];
    lines
        .iter()
        .chain(&check.details)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join("\n    ")
}

pub(super) fn all(checks: impl IntoIterator<Item = Check>) -> String {
    checks
        .into_iter()
        .map(|check| told(&check))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn questions_that_fail_are_findings() {
    let replies = [
        Reply::Denied,
        Reply::Absent,
        Reply::Failed("Elasticsearch answers 503 -: down".to_owned()),
        Reply::Found(json!([])),
        Reply::Found(json!({})),
    ];
    for reply in &replies {
        let facts = Facts {
            now: now(),
            is_https: true,
            root: reply.clone(),
            nodes: reply.clone(),
            certificates: reply.clone(),
            rights: reply.clone(),
            health: reply.clone(),
            capacity: reply.clone(),
            settings: reply.clone(),
            clock: Clock {
                before: now(),
                stats: reply.clone(),
                after: now(),
            },
            plan: Err(SetupError::Forbidden {
                verb: setup::Verb::Read,
                part: "x".to_owned(),
                status: 403,
                privilege: "manage_index_templates",
            }),
            indices: reply.clone(),
            mappings: reply.clone(),
            lifecycle: Lifecycle {
                status: reply.clone(),
                policies: reply.clone(),
                explained: reply.clone(),
            },
            newest: Some(reply.clone()),
        };
        let checks = judge(&facts, &installation(), true);
        assert!(checks.len() >= 12, "{reply:?}: {checks:?}");
    }
}

#[test]
fn each_node_that_is_not_reached_is_named() {
    let unreachable = || {
        Err(ClientError::Unreachable {
            url: "https://es-2/".to_owned(),
            detail: "connection refused".to_owned(),
        })
    };
    let one = access::judge_probes(&[("https://es-1/", Ok(())), ("https://es-2/", unreachable())]);
    let none = access::judge_probes(&[("https://es-2/", unreachable())]);
    insta::assert_snapshot!(all(one.into_iter().chain(none)), @"
    Ok es.reachable: https://es-1/
    Warn es.reachable: one of several: FLOWSHIP_ELASTICSEARCH_URLS: Elasticsearch cannot be reached at https://es-2/: connection refused
    Fail es.reachable: FLOWSHIP_ELASTICSEARCH_URLS: Elasticsearch cannot be reached at https://es-2/: connection refused
    ");
}

#[test]
fn versions_are_those_that_were_tried() {
    let root = |version: Value| Reply::Found(json!({ "version": version }));
    let checks = [
        root(json!({"number": "8.19.8"})),
        root(json!({"number": "9.2.0", "build_flavor": "serverless"})),
        root(json!({"number": "7.17.0"})),
        root(json!({"number": "3.8.0", "distribution": "opensearch"})),
        Reply::Absent,
    ]
    .map(|root| {
        access::judge_version(
            &root,
            &Reply::Found(json!({"nodes": {"a": {"version": "9.0.1"}}})),
        )
    });
    insta::assert_snapshot!(all(checks), @"
    Ok es.version: 8.19.8
    Ok es.version: 9.2.0
    Fail es.version: 7.17.0
    Warn es.version: opensearch 3.8.0, which nobody has tried
    Ok es.version: 9.0.1
    ");
}

#[test]
fn certificates_end() {
    let ends = |expiry: &str| {
        let list = json!([
            {"path": "ca.crt", "format": "PEM", "subject_dn": "CN=ca", "has_private_key": false, "expiry": "2026-11-22T00:00:00.000Z"},
            {"path": "http.crt", "format": "PEM", "subject_dn": "CN=es-1", "has_private_key": true, "expiry": expiry},
        ]);
        access::judge_certificates(&Reply::Found(list), true, now())
    };
    let checks = [
        ends("2027-11-21T12:00:00.000Z"),
        ends("2026-12-20T12:00:00.000Z"),
        ends("2026-11-21T11:00:00.000Z"),
        access::judge_certificates(&Reply::Denied, true, now()),
        access::judge_certificates(&Reply::Absent, false, now()),
    ];
    insta::assert_snapshot!(all(checks), @"
    Ok es.certificate: trusted; CN=es-1 ends 2027-11-21T12:00:00Z, in 365 days
    Warn es.certificate: trusted; CN=es-1 ends 2026-12-20T12:00:00Z, in 29 days
    Fail es.certificate: trusted; CN=es-1 ends 2026-11-21T11:00:00Z, in 0 days
    Skip es.certificate: trusted; the credentials do not allow to look
    Warn es.certificate: none: what is sent, credentials with it, can be read on the way
    ");
}

#[test]
fn only_the_rights_of_one_role_are_asked_for() {
    let question = |installer| access::rights_question(&installation(), installer);
    let function = ["create_doc", "auto_configure", "view_index_metadata"];
    assert_eq!(
        question(false),
        json!({
            "index": [
                {"names": ["flowlogs-vpc-*"], "privileges": function},
                {"names": ["flowlogs-tgw-*"], "privileges": function},
                {"names": ["flowship-ledger-*"], "privileges": ["index", "auto_configure", "read"]},
            ],
            "cluster": ["monitor"],
        })
    );
    assert_eq!(
        question(true),
        json!({
            "index": [
                {"names": ["flowlogs-vpc-*"], "privileges": ["manage", "view_index_metadata"]},
                {"names": ["flowlogs-tgw-*"], "privileges": ["manage", "view_index_metadata"]},
                {"names": ["flowship-ledger-*"], "privileges": ["read"]},
            ],
            "cluster": ["manage_index_templates", "manage_ilm"],
        })
    );
}

/// What the function's credentials come to: on flow logs `vpc` and `tgw` (create_doc, the rest granted), on the cluster
/// monitor.
fn rights_of(vpc: bool, tgw: bool, monitor: bool) -> Vec<Check> {
    let answer = json!({
        "username": "shipper", "has_all_requested": false, "cluster": {"monitor": monitor},
        "index": {
            "flowlogs-vpc-*": {"create_doc": vpc, "auto_configure": true, "view_index_metadata": false},
            "flowlogs-tgw-*": {"create_doc": tgw, "auto_configure": true, "view_index_metadata": false},
            "flowship-ledger-*": {"index": true, "auto_configure": true, "read": false},
        },
        "application": {},
    });
    access::judge_rights(&Reply::Found(answer), &installation(), false)
}

#[test]
fn every_right_of_the_function_is_told() {
    let checks = [
        rights_of(true, true, false),
        rights_of(true, false, true),
        rights_of(false, false, false),
    ];
    let off = access::judge_rights(&Reply::Absent, &installation(), false);
    insta::assert_snapshot!(all(checks.into_iter().flatten().chain(off)), @"
    Ok es.rights.flow-logs: shipper, on flowlogs-vpc-*: create_doc yes, auto_configure yes; on flowlogs-tgw-*: create_doc yes, auto_configure yes
    Ok es.rights.ledger: shipper, on flowship-ledger-*: index yes, auto_configure yes
    Warn es.rights.flow-logs: shipper, on flowlogs-vpc-*: create_doc yes, auto_configure yes; on flowlogs-tgw-*: create_doc NO, auto_configure yes
    Ok es.rights.ledger: shipper, on flowship-ledger-*: index yes, auto_configure yes
    Fail es.rights.flow-logs: shipper, on flowlogs-vpc-*: create_doc NO, auto_configure yes; on flowlogs-tgw-*: create_doc NO, auto_configure yes
    Ok es.rights.ledger: shipper, on flowship-ledger-*: index yes, auto_configure yes
    Warn es.security: off: whoever reaches the server may read and delete everything
    ");
}

#[test]
fn who_may_look_but_not_write_is_not_told_to_take_the_functions_rights() {
    insta::assert_snapshot!(all(rights_of(false, false, true)), @"
    Skip es.rights.flow-logs: these (shipper) are not the function's credentials
    Skip es.rights.ledger: these (shipper) are not the function's credentials
    ");
}

#[test]
fn of_the_installer_only_its_own_rights_are_judged() {
    let answer = json!({
        "username": "installer", "has_all_requested": false,
        "cluster": {"manage_index_templates": true, "manage_ilm": false},
        "index": {"flowlogs-vpc-*": {"manage": true}, "flowlogs-tgw-*": {"manage": true}, "flowship-ledger-*": {"read": false}},
        "application": {},
    });
    let checks = access::judge_rights(&Reply::Found(answer), &installation(), true);
    insta::assert_snapshot!(all(checks), @"
    Fail es.rights.installer: installer, on the cluster: manage_index_templates yes, manage_ilm NO
    Ok es.rights.installer: installer, on flowlogs-vpc-*: manage yes; on flowlogs-tgw-*: manage yes
    ");
}

/// A search for what one may not read finds nothing, and is answered with 200.
#[test]
fn what_may_not_be_seen_is_not_taken_for_nothing() {
    let answer = |may_read: bool| Reply::Found(json!({"index": {"flowship-ledger-*": {"read": may_read}}}));
    let nothing = Reply::Found(json!({"hits": {"hits": []}}));
    let seen =
        |rights: &Reply| access::seen(rights, &["flowship-ledger-*".to_owned()], "read", &nothing).clone();
    assert_eq!(seen(&answer(false)), Reply::Denied);
    assert_eq!(seen(&answer(true)), nothing);
    assert_eq!(seen(&Reply::Absent), nothing);
}

fn plan(change: impl FnOnce(&mut Vec<setup::Step>)) -> Result<Plan, SetupError> {
    let mut steps: Vec<setup::Step> = setup::parts(&installation())
        .into_iter()
        .map(|part| setup::Step {
            part,
            action: setup::Action::Leave,
            differences: Vec::new(),
        })
        .collect();
    change(&mut steps);
    Ok(Plan { steps, has_ilm: true })
}

fn changed(step: &mut setup::Step, path: &str) {
    step.action = setup::Action::Change;
    step.differences.push(setup::Difference {
        path: path.to_owned(),
        server: Some("a".to_owned()),
        ours: Some("b".to_owned()),
    });
}

#[test]
fn templates_are_missing_or_differ_in_meaning_or_in_taste() {
    let plans = [
        plan(|_| ()),
        plan(|steps| steps[0].action = setup::Action::Skip(setup::SkipReason::PolicyKept)),
        plan(|steps| steps[0].action = setup::Action::Skip(setup::SkipReason::NoIlm)),
        plan(|steps| changed(&mut steps[1], "settings.index.refresh_interval")),
        plan(|steps| changed(&mut steps[2], "mappings.dynamic")),
        plan(|steps| steps[4].action = setup::Action::Create),
    ];
    insta::assert_snapshot!(all(plans.iter().map(content::judge_templates)), @"
    Ok es.templates: 8 parts of this version
    Ok es.templates: 7 parts of this version, and a retention of your own
    Ok es.templates: 7 parts of this version; this server has no ILM: nothing is deleted by itself
    Warn es.templates: parts that differ from this version's: 1
        component template flowlogs-vpc-settings: settings.index.refresh_interval: a → b
    Fail es.templates: parts that differ from this version's: 1
        component template flowlogs-vpc-mappings: mappings.dynamic: a → b
    Fail es.templates: 1 of 8 parts are missing
        index template flowlogs-vpc: missing
    ");
}

#[test]
fn indices_with_guessed_fields_are_named() {
    let indices =
        json!({"flowlogs-vpc-2026.11.20": {"settings": {}}, "flowlogs-vpc-2026.11.21": {"settings": {}}});
    let of =
        |mappings: Value| content::judge_mappings(&Reply::Found(indices.clone()), &Reply::Found(mappings));
    let checks = [
        of(json!({
            "flowlogs-vpc-2026.11.20": {"mappings": {"dynamic": "false"}},
            "flowlogs-vpc-2026.11.21": {"mappings": {"dynamic": "false"}},
        })),
        of(json!({"flowlogs-vpc-2026.11.20": {"mappings": {"dynamic": "false"}}})),
        of(json!({
            "flowlogs-vpc-2026.11.20": {"mappings": {"dynamic": "strict"}},
            "flowlogs-vpc-2026.11.21": {"mappings": {"dynamic": false}},
        })),
        of(json!({
            "flowlogs-vpc-2026.11.20": {"mappings": {"dynamic": "true"}},
            "flowlogs-vpc-2026.11.21": {"mappings": {"dynamic": "runtime"}},
        })),
        content::judge_mappings(&Reply::Found(json!({})), &Reply::Found(json!({}))),
    ];
    insta::assert_snapshot!(all(checks), @"
    Ok es.mappings: all of flowship's templates: 2
    Fail es.mappings: 1 of 2 indices take any field with a type that is guessed: they were made without flowship's template
        flowlogs-vpc-2026.11.21
    Ok es.mappings: all of flowship's templates: 2
    Fail es.mappings: 2 of 2 indices take any field with a type that is guessed: they were made without flowship's template
        flowlogs-vpc-2026.11.20
        flowlogs-vpc-2026.11.21
    Ok es.mappings: there are no indices yet
    ");
}

#[test]
fn blocks_matter_where_documents_still_come() {
    let of = |index: &str, block: &str| {
        let settings = json!({index: {"settings": {format!("index.blocks.{block}"): "true"}}});
        content::judge_blocks(&Reply::Found(settings), now())
    };
    let checks = [
        of("flowlogs-vpc-2026.11.21", "write"),
        of("flowlogs-vpc-2026.11.10", "write"),
        of("flowlogs-vpc-2026.11.10", "read_only_allow_delete"),
        of("flowship-ledger-2026.11", "read_only"),
        of("flowship-ledger-2026.10", "read_only"),
        of("flowlogs-vpc-2026.11.21", "metadata"),
    ];
    insta::assert_snapshot!(all(checks), @"
    Fail es.blocks: recent indices that take no documents: 1
        flowlogs-vpc-2026.11.21: write
    Ok es.blocks: older indices that take no documents, so that what comes late is refused: 1
    Fail es.blocks: indices that take no documents, because a disk was full: 1
        flowlogs-vpc-2026.11.10: read_only_allow_delete
    Fail es.blocks: recent indices that take no documents: 1
        flowship-ledger-2026.11: read_only
    Ok es.blocks: older indices that take no documents, so that what comes late is refused: 1
    Ok es.blocks: none
    ");
}

#[test]
fn a_ledger_that_is_quiet_is_a_warning() {
    let of = |time: &str| {
        let hits = json!({"hits": {"hits": [{"_source": {"@timestamp": time}}]}});
        content::judge_ledger(&Reply::Found(hits), "flowship-ledger", now())
    };
    let checks = [
        of("2026-11-21T11:59:00.123Z"),
        of("2026-11-21T11:00:00.000Z"),
        content::judge_ledger(
            &Reply::Found(json!({"hits": {"hits": []}})),
            "flowship-ledger",
            now(),
        ),
    ];
    insta::assert_snapshot!(all(checks), @"
    Ok ledger.newest: the newest object was shipped at 2026-11-21T11:59:00Z, 0 minutes ago
    Warn ledger.newest: the newest object was shipped at 2026-11-21T11:00:00Z, 60 minutes ago
    Warn ledger.newest: flowship-ledger-* has no entry: nothing was shipped yet
    ");
}
