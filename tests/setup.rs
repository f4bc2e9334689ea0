//! `flowctl setup` against a real server: what it installs is found again, set back, and does what the templates
//! promise. Each test takes its own prefix, so they may share a server.

use std::process::Command;

use flowship::elasticsearch::client::Client;
use flowship::elasticsearch::setup::{self, Action, Choices, Plan, SkipReason, Store};
use flowship::kibana::check_rights;
use serde_json::{Value, json};

use crate::support::Stack;
use crate::support::world::{connect, installation};

async fn get(client: &Client, path: &str) -> Value {
    let answer = client.get(path).await.unwrap();
    assert_eq!(answer.status, 200, "{path}: {:?}", answer.body);
    serde_json::from_slice(&answer.body).unwrap()
}

async fn search(client: &Client, index: &str, body: &Value) -> Value {
    let answer = client
        .post(&format!("{index}/_search"), body.to_string())
        .await
        .unwrap();
    assert_eq!(answer.status, 200, "{body}: {:?}", answer.body);
    serde_json::from_slice(&answer.body).unwrap()
}

async fn install(client: &Client, prefix: &str) {
    let plan = setup::plan(client, &installation(prefix), false).await.unwrap();
    setup::apply(client, &plan).await.unwrap();
}

// Also that the ILM parts are left out exactly where the server has no ILM, as the servers of the tests have not.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_finds_everything_unchanged() {
    let (client, prefix) = (&connect(&Stack::shared().elasticsearch_url, &[]).await, "setup-0");
    let first = setup::plan(client, &installation(prefix), false).await.unwrap();
    for step in &first.steps {
        let wanted = match step.part.needs_ilm && !first.has_ilm {
            true => Action::Skip(SkipReason::NoIlm),
            false => Action::Create,
        };
        assert_eq!(step.action, wanted, "{}", step.part);
    }
    // Planning alone changes nothing.
    let template = client
        .get(&format!("_index_template/{prefix}-vpc"))
        .await
        .unwrap();
    assert_eq!(template.status, 404);

    setup::apply(client, &first).await.unwrap();
    let second = setup::plan(client, &installation(prefix), false).await.unwrap();
    for step in &second.steps {
        assert!(
            !matches!(step.action, Action::Create | Action::Change),
            "{}: {:?}",
            step.part,
            step.differences
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_changed_by_hand_is_shown_and_set_back_on_request() {
    let (client, prefix) = (&connect(&Stack::shared().elasticsearch_url, &[]).await, "setup-1");
    install(client, prefix).await;
    let path = format!("_component_template/{prefix}-vpc-settings");
    let parts = setup::parts(&installation(prefix));
    let settings = parts.iter().find(|part| part.path() == path).unwrap();
    let mut body = settings.body.clone();
    body["template"]["settings"]["index"]["refresh_interval"] = json!("5s");
    assert_eq!(client.put(&path, body.to_string()).await.unwrap().status, 200);

    let refused = setup::plan(client, &installation(prefix), false).await.unwrap();
    assert_eq!(refused.num_refused(), 1);
    setup::apply(client, &refused).await.unwrap();
    assert_eq!(refresh_interval(client, &path).await, "5s");

    let force = Choices {
        force: true,
        ..Choices::default()
    };
    let plan = setup::plan_with(client, &installation(prefix), &force)
        .await
        .unwrap();
    let changed: Vec<String> = plan
        .steps
        .iter()
        .filter(|step| step.action == Action::Change)
        .flat_map(|step| &step.differences)
        .map(ToString::to_string)
        .collect();
    assert_eq!(changed, ["settings.index.refresh_interval: 5s → 30s"]);
    setup::apply(client, &plan).await.unwrap();
    assert_eq!(refresh_interval(client, &path).await, "30s");
}

async fn refresh_interval(client: &Client, path: &str) -> Value {
    let settings = get(client, path).await;
    let template = &settings["component_templates"][0]["component_template"]["template"];
    template["settings"]["index"]["refresh_interval"].clone()
}

/// A document with every field of this version, found under every name and in every way that is promised.
#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_found_under_all_its_names() {
    let (client, prefix) = (&connect(&Stack::shared().elasticsearch_url, &[]).await, "setup-2");
    install(client, prefix).await;
    let index = format!("{prefix}-vpc-2026.11.20");
    let document = |source: &str, bytes: u64, second: u32| {
        json!({
            "@timestamp": format!("2026-11-20T03:10:{second:02}Z"),
            "ecs": {"version": "8.11.0"},
            "event": {
                "kind": "event", "category": ["network"], "type": ["connection", "denied"], "action": "REJECT",
                "outcome": "failure", "dataset": "aws.vpcflow", "start": "2026-11-20T03:09:00Z",
                "duration": 60_000_000_000_u64,
            },
            "cloud": {"provider": "aws", "account": {"id": "123456789012"}},
            "source": {"ip": source, "port": 49152, "bytes": bytes, "packets": 3},
            "destination": {"ip": "2001:db8::5", "port": 443},
            "network": {"transport": "tcp", "iana_number": "6", "type": "ipv4"},
            "aws": {"vpcflow": {
                "version": "2", "interface_id": "eni-0a1b2c3d", "log_status": "OK", "brand_new_field": "kept",
            }},
        })
    };
    let documents = [document("10.2.3.4", 1000, 1), document("192.0.2.7", 500, 59)];
    let mut body = String::new();
    for (number, document) in documents.iter().enumerate() {
        body.push_str(&json!({"create": {"_index": index, "_id": format!("id-{number}")}}).to_string());
        body.push('\n');
        body.push_str(&document.to_string());
        body.push('\n');
    }
    let answer = client.post("_bulk?refresh=true", body).await.unwrap();
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(answer["errors"], false, "{answer}");

    let queries = [
        (json!({"term": {"aws.vpcflow.action": "REJECT"}}), 2),
        (json!({"term": {"aws.vpcflow.account_id": "123456789012"}}), 2),
        (
            json!({"range": {"event.end": {"gte": "2026-11-20T03:10:30Z"}}}),
            1,
        ),
        (json!({"range": {"network.bytes": {"gt": 999}}}), 1),
        (json!({"term": {"network.packets": 3}}), 2),
        (json!({"term": {"related.ip": "10.0.0.0/8"}}), 1),
        (json!({"term": {"related.ip": "2001:db8::/32"}}), 2),
        (json!({"term": {"destination.ip": "2001:db8:0:0::5"}}), 2),
        (json!({"term": {"event.type": "denied"}}), 2),
        // Unknown columns are kept, and cost the index nothing.
        (json!({"exists": {"field": "aws.vpcflow.brand_new_field"}}), 0),
        // Free text: words and addresses, in both languages of the search bar.
        (json!({"query_string": {"query": "10.2.3.4"}}), 1),
        (json!({"query_string": {"query": "\"eni-0a1b2c3d\""}}), 2),
        (json!({"query_string": {"query": "REJECT AND 192.0.2.7"}}), 1),
        (json!({"multi_match": {"query": "192.0.2.7", "lenient": true}}), 1),
        (
            json!({"multi_match": {"query": "eni-0a1b2c3d", "lenient": true}}),
            2,
        ),
    ];
    for (query, hits) in queries {
        let found = search(client, &index, &json!({"query": query})).await;
        assert_eq!(found["hits"]["total"]["value"], hits, "{query}");
    }
    let found = search(
        client,
        &index,
        &json!({
            "size": 1, "sort": [{"event.end": "desc"}], "fields": ["network.bytes", "event.end", "related.ip"],
            "aggs": {
                "bytes": {"sum": {"field": "network.bytes"}},
                "minutes": {"date_histogram": {"field": "@timestamp", "fixed_interval": "1m"}},
                "talkers": {"terms": {"field": "related.ip"}},
            },
        }),
    )
    .await;
    assert_eq!(found["aggregations"]["bytes"]["value"], 1500.0);
    assert_eq!(found["aggregations"]["minutes"]["buckets"][0]["doc_count"], 2);
    assert_eq!(
        found["aggregations"]["talkers"]["buckets"][0]["key"],
        "2001:db8::5"
    );
    let hit = &found["hits"]["hits"][0];
    assert_eq!(hit["fields"]["network.bytes"], json!([500]));
    assert_eq!(hit["fields"]["event.end"], json!(["2026-11-20T03:10:59.000Z"]));
    assert_eq!(hit["_source"], documents[1]);

    let settings = get(client, &format!("{index}/_settings")).await;
    let settings = &settings[index.as_str()]["settings"]["index"];
    assert_eq!(settings["codec"], "best_compression");
    assert_eq!(settings["refresh_interval"], "30s");
    assert_eq!(settings.get("sort"), None);
}

/// On a server with one node a replica would be waited for, by ILM for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_single_node_has_all_shards() {
    let (client, prefix) = (&connect(&Stack::shared().elasticsearch_url, &[]).await, "setup-8");
    install(client, prefix).await;
    let ledger = installation(prefix).ledger_index.unwrap();
    for index in [format!("{prefix}-vpc-2026.11.21"), format!("{ledger}-2026.11")] {
        assert_eq!(client.put(&index, "{}").await.unwrap().status, 200);
        let health = get(client, &format!("_cluster/health/{index}")).await;
        assert_eq!(health["unassigned_shards"], 0, "{index}: {health}");
        let settings = get(client, &format!("{index}/_settings")).await;
        let settings = &settings[index.as_str()]["settings"]["index"];
        assert_eq!(settings["auto_expand_replicas"], "0-1", "{index}");
    }
}

/// The user's hook wins over what is installed, and setup leaves it alone.
#[tokio::test(flavor = "multi_thread")]
async fn the_custom_component_overrides() {
    let (client, prefix) = (&connect(&Stack::shared().elasticsearch_url, &[]).await, "setup-3");
    install(client, prefix).await;
    let replicas = json!({"auto_expand_replicas": false, "number_of_replicas": 2});
    let hook = json!({"template": {"settings": {"index": replicas}}});
    let path = format!("_component_template/{prefix}-vpc-custom");
    assert_eq!(client.put(&path, hook.to_string()).await.unwrap().status, 200);
    install(client, prefix).await;

    let index = format!("{prefix}-vpc-2026.11.21");
    assert_eq!(client.put(&index, "{}").await.unwrap().status, 200);
    let settings = get(client, &format!("{index}/_settings")).await;
    let replicas = &settings[index.as_str()]["settings"]["index"]["number_of_replicas"];
    assert_eq!(replicas, "2");
}

fn stored(store: Store) -> Choices {
    Choices {
        store: Some(store),
        ..Choices::default()
    }
}

async fn install_stored(client: &Client, prefix: &str, store: Store) {
    let plan = setup::plan_with(client, &installation(prefix), &stored(store))
        .await
        .unwrap();
    assert_eq!(
        plan.num_refused(),
        0,
        "an installed part is not taken for a changed one"
    );
    setup::apply(client, &plan).await.unwrap();
}

/// The index of a day gets the profile, refuses a second document of the same id, and takes no bad value silently.
#[tokio::test(flavor = "multi_thread")]
async fn documents_go_into_every_store_once_and_later_runs_keep_the_store() {
    let (client, prefix) = (&connect(&Stack::shared().elasticsearch_url, &[]).await, "setup-4");
    let sorted_by = |field: &str| json!({"field": [field, "@timestamp"], "order": ["asc", "desc"]});
    let stores = [
        (Store::Standard, Value::Null),
        (Store::Sorted, Value::Null),
        (Store::Logsdb, json!("logsdb")),
    ];
    for (day, (store, mode)) in stores.into_iter().enumerate() {
        install_stored(client, prefix, store).await;
        let again = setup::plan(client, &installation(prefix), false).await.unwrap();
        for step in &again.steps {
            let is_done = matches!(step.action, Action::Leave | Action::Skip(SkipReason::NoIlm));
            assert!(is_done, "{store}: {}: {:?}", step.part, step.differences);
        }
        for (dataset, field) in [
            ("vpc", "aws.vpcflow.interface_id"),
            ("tgw", "aws.vpcflow.tgw_attachment_id"),
        ] {
            let index = format!("{prefix}-{dataset}-2026.11.0{}", day + 1);
            assert_eq!(create(client, &index, "10.2.3.4").await, 201, "{store}");
            assert_eq!(create(client, &index, "10.2.3.4").await, 409, "{store}");
            assert_eq!(create(client, &index, "no address").await, 400, "{store}");
            let settings = get(client, &format!("{index}/_settings")).await;
            let settings = &settings[index.as_str()]["settings"]["index"];
            assert_eq!(settings["mode"], mode);
            let sort = match store {
                Store::Standard => Value::Null,
                _ => sorted_by(field),
            };
            assert_eq!(settings["sort"], sort);

            assert_eq!(
                client
                    .post(&format!("{index}/_refresh"), "")
                    .await
                    .unwrap()
                    .status,
                200
            );
            let query = json!({"query": {"term": {"related.ip": "10.2.3.4"}}});
            let found = search(client, &index, &query).await;
            assert_eq!(found["hits"]["total"]["value"], 1, "{store}: {found}");
        }
    }
}

/// Creates a document of one id.
async fn create(client: &Client, index: &str, source: &str) -> u16 {
    let document = json!({
        "@timestamp": "2026-11-01T03:10:00Z", "source": {"ip": source}, "aws": {"vpcflow": {"interface_id": "eni-0a1b2c3d"}},
    });
    let path = format!("{index}/_create/one");
    client.put(&path, document.to_string()).await.unwrap().status
}

/// What the cluster allowed before, it allows still.
#[tokio::test(flavor = "multi_thread")]
async fn a_guarded_cluster_makes_no_index_of_ours_without_its_template() {
    let (client, prefix) = (&connect(&Stack::shared().elasticsearch_url, &[]).await, "setup-5");
    let guarded = Choices {
        guard_auto_create: true,
        ..Choices::default()
    };
    let plan = setup::plan_with(client, &installation(prefix), &guarded)
        .await
        .unwrap();
    let setting = plan.steps.last().unwrap();
    let patterns = format!("-{prefix}-vpc-*,-{prefix}-tgw-*,-flowship-ledger-{prefix}-world-*");
    assert_eq!(
        setting.differences[0].to_string(),
        format!("persistent.action.auto_create_index: true → {patterns},*")
    );
    setup::apply(client, &plan).await.unwrap();
    let again = setup::plan_with(client, &installation(prefix), &guarded)
        .await
        .unwrap();
    assert_eq!(again.steps.last().unwrap().action, Action::Leave);

    assert_eq!(
        create(client, &format!("{prefix}-vpc-2026.11.20"), "10.2.3.4").await,
        201
    );
    assert_eq!(
        create(client, &format!("else-{prefix}-2026.11.20"), "10.2.3.4").await,
        201
    );
    // The prefix alone is not ours.
    assert_eq!(
        create(client, &format!("{prefix}-else-2026.11.20"), "10.2.3.4").await,
        201
    );
    // Another installation's name, guarded before its templates are there.
    let early = setup::plan_with(client, &installation("setup-6"), &guarded)
        .await
        .unwrap();
    let only_the_guard = Plan {
        steps: early.steps.into_iter().rev().take(1).collect(),
        ..early
    };
    setup::apply(client, &only_the_guard).await.unwrap();
    assert_eq!(create(client, "setup-6-vpc-2026.11.20", "10.2.3.4").await, 404);
    install(client, "setup-6").await;
    assert_eq!(create(client, "setup-6-vpc-2026.11.20", "10.2.3.4").await, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_security_rules_may_read_everything() {
    let client = connect(&Stack::shared().elasticsearch_url, &[]).await;
    check_rights(&client, &installation("setup-9")).await.unwrap();
}

/// The binary itself: the templates are there although nobody answers for Kibana, and both are told.
#[tokio::test(flavor = "multi_thread")]
async fn a_kibana_that_does_not_answer_costs_nothing_of_elasticsearchs_part() {
    let url = &Stack::shared().elasticsearch_url;
    let prefix = "setup-7";
    let flowctl = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_flowctl"))
            .env_clear()
            .args(["setup", "--index-prefix", prefix, "--elasticsearch-url", url])
            .args(["--ledger-index", "flowship-ledger-setup-7-world"])
            .args(arguments)
            .output()
            .unwrap()
    };
    // Nobody listens on the port of a listener that is gone.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let kibana = format!("http://127.0.0.1:{port}");
    let output = tokio::task::block_in_place(|| flowctl(&["--json", "--kibana-url", &kibana]));
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["parts"][1]["result"], "created");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.starts_with("flowctl: Elasticsearch's part is done, Kibana's is not"),
        "{told}"
    );
    assert!(
        told.contains(&format!(
            "Kibana does not answer at {kibana}/: is that FLOWSHIP_KIBANA_URL"
        )),
        "{told}"
    );

    let output = tokio::task::block_in_place(|| flowctl(&["--delete-after", "90"]));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains("nothing was changed") && told.contains("this server has no ILM"),
        "{told}"
    );
    let output = tokio::task::block_in_place(|| flowctl(&["--kibana-space", "net-ops"]));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("--kibana-space needs --kibana-url"), "{told}");
    let output = tokio::task::block_in_place(|| flowctl(&["--export", "x", "--kibana-url", &kibana]));
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_of_others_that_would_be_applied_instead_is_found_before_anything_is_changed() {
    let (client, prefix) = (
        &connect(&Stack::shared().elasticsearch_url, &[]).await,
        "setup-overlap",
    );
    let plan = setup::plan(client, &installation(prefix), false).await.unwrap();
    let parts: Vec<_> = plan.steps.iter().map(|step| &step.part).collect();
    assert_eq!(setup::overlaps(client, &parts).await.unwrap(), []);
    let theirs = json!({"index_patterns": ["setup-overlap-vpc-2*"], "priority": 500});
    let answer = client.put("_index_template/setup-overlap-theirs", theirs.to_string());
    assert_eq!(answer.await.unwrap().status, 200);
    let told: Vec<String> = setup::overlaps(client, &parts)
        .await
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        told,
        [
            "index template setup-overlap-theirs (setup-overlap-vpc-2*; priority 500) meets indices of \
             setup-overlap-vpc (priority 200): Elasticsearch would apply it, and not ours"
        ]
    );
}
