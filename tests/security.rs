//! A cluster with TLS and users: what the function needs to be told, the least rights that it works with, and what
//! becomes of it when its secret is rotated.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use flowship::aws::sqs::SqsQueue;
use flowship::cli::lambda_local::{InvocationReport, LambdaLocal, Outcome};
use flowship::elasticsearch::setup::{self, SetupError};
use serde_json::json;

use crate::settings::first_error;
use crate::support::stack::OwnElasticsearch;
use crate::support::world::{Options, World, attribute, connect, installation, wait_until};
use crate::support::{FlowLog, Stack};

/// The secured node, for all tests of this module.
pub(crate) fn secured_node() -> &'static OwnElasticsearch {
    static NODE: OnceLock<OwnElasticsearch> = OnceLock::new();
    tokio::task::block_in_place(|| NODE.get_or_init(|| OwnElasticsearch::start("secure", &["--secure"])))
}

pub(crate) fn user(node: &OwnElasticsearch, name: &str) -> Vec<(&'static str, String)> {
    vec![
        ("ELASTICSEARCH_CA_FILE", ca(node)),
        ("ELASTICSEARCH_USERNAME", name.to_owned()),
        ("ELASTICSEARCH_PASSWORD", format!("{name}-password")),
    ]
}

pub(crate) fn ca(node: &OwnElasticsearch) -> String {
    node.ca_file().to_str().unwrap().to_owned()
}

async fn secured_world(name: &str, node: &OwnElasticsearch) -> World {
    let options = Options {
        elasticsearch_url: Some(node.url.clone()),
        admin: user(node, "admin"),
        ..Options::default()
    };
    World::with(name, options).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secured_cluster_is_used_with_the_least_rights_and_wrong_settings_are_named() {
    let node = secured_node();

    // The installer's rights are needed for templates; the function's do not suffice, and the error says which do.
    let shipper = connect(&node.url, &user(node, "shipper")).await;
    let refused = setup::plan(&shipper, &installation("flowlogs-secure"), false)
        .await
        .unwrap_err();
    let named = matches!(
        refused,
        SetupError::Forbidden {
            status: 403,
            privilege: "manage_index_templates",
            ..
        }
    );
    assert!(named, "{refused}");

    let mut world = secured_world("flowlogs-secure", node).await;

    // Wrong ways first: each is one clear message.
    let mut wrong = world.variables.clone();
    let problem = first_error(&wrong);
    assert!(
        problem.starts_with("FLOWSHIP_ELASTICSEARCH_CA_FILE: the certificate of"),
        "{problem}"
    );
    wrong.insert("FLOWSHIP_ELASTICSEARCH_CA_FILE".into(), ca(node));
    let problem = first_error(&wrong);
    assert!(
        problem.starts_with("FLOWSHIP_ELASTICSEARCH_API_KEY: Elasticsearch at"),
        "{problem}"
    );
    wrong.insert("FLOWSHIP_ELASTICSEARCH_USERNAME".into(), "shipper".into());
    wrong.insert("FLOWSHIP_ELASTICSEARCH_PASSWORD".into(), "hunter2".into());
    let problem = first_error(&wrong);
    assert!(
        problem.starts_with("FLOWSHIP_ELASTICSEARCH_PASSWORD: Elasticsearch at"),
        "{problem}"
    );
    assert!(!problem.contains("hunter2"), "{problem}");

    // Rightly told, with the password in Secrets Manager.
    world
        .variables
        .insert("FLOWSHIP_ELASTICSEARCH_CA_FILE".into(), ca(node));
    world.variables.insert(
        "FLOWSHIP_ELASTICSEARCH_SECRET_ARN".into(),
        create_secret("flowlogs-secure", "shipper", "shipper-password").await,
    );
    world
        .put("one.gz", FlowLog::new().records(1, 0, 200).gzip())
        .await;
    world.drain().await;
    let expected = BTreeMap::from([("flowlogs-secure-vpc-2026.11.18".to_owned(), 200)]);
    assert_eq!(world.documents().await, expected);

    // Its rights are enough for the ledger, where entries are replaced, and for nothing of the kind in flow logs.
    let ledger = world.variables["FLOWSHIP_LEDGER_INDEX"].clone();
    let refresh = format!("{ledger}-*/_refresh");
    assert_eq!(world.elasticsearch.post(&refresh, "").await.unwrap().status, 200);
    let count = format!("{ledger}-*/_count");
    let entries = world.elasticsearch.get(&count).await.unwrap();
    assert!(entries.body.starts_with(br#"{"count":1,"#), "{entries:?}");
    assert!(!world.log().join("\n").contains("ledger entries"));
    let replaced = shipper.put("flowlogs-secure-vpc-2026.11.18/_doc/1", "{}").await;
    assert_eq!(replaced.unwrap().status, 403);

    // An index outside the role's pattern: the operator's problem, not the data's.
    world
        .variables
        .insert("FLOWSHIP_INDEX_PREFIX".into(), "elsewhere".into());
    world
        .variables
        .insert("FLOWSHIP_LEDGER_INDEX".into(), "elsewhere-ledger".into());
    world.variables.insert("FLOWSHIP_MAX_RECEIVES".into(), "1".into());
    world.send(world.event(&["one.gz"])).await;
    world.drain().await;
    let letters = world.take_dead_letters().await;
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!(attribute(&letters[0], "reason"), "bulk.unauthorized");
    let log = world.log().join("\n");
    assert_eq!(log.matches("ledger entries not written").count(), 1, "{log}");
    assert!(log.contains("security_exception"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_secret_costs_nothing_and_one_that_was_forgotten_is_named() {
    let node = secured_node();
    let mut world = secured_world("flowlogs-rotated", node).await;
    set_password(node, "shipper-password").await;
    let secret = create_secret("flowlogs-rotated", USER, "shipper-password").await;
    for (name, value) in [
        ("FLOWSHIP_ELASTICSEARCH_CA_FILE", ca(node)),
        ("FLOWSHIP_ELASTICSEARCH_SECRET_ARN", secret.clone()),
    ] {
        world.variables.insert(name.to_owned(), value);
    }
    let function = world.function().await;
    let before = ship(&world, &function, 0).await;
    assert!(before.outcome.is_complete_success(), "{before:?}");

    set_password(node, "noauto-password").await;
    put_secret(&secret, USER, "noauto-password").await;
    let after = ship(&world, &function, 1).await;
    assert!(after.outcome.is_complete_success(), "{after:?}");
    assert_eq!(before.pid, after.pid, "the same process goes on");
    assert_eq!(world.num_documents().await, 200);

    // The password is another one, the secret is not: the message comes back, as from any other trouble.
    set_password(node, "nocreate-password").await;
    let refused = ship(&world, &function, 2).await;
    let failed_ids = refused.message_ids.clone();
    assert_eq!(refused.outcome, Outcome::Succeeded { failed_ids });
    let last = world.object_log().pop().unwrap();
    assert_eq!(
        (&last["reason"], &last["becomes"]),
        (&json!("bulk.unauthorized"), &json!("comes back")),
        "{last}"
    );
    function.shut_down().await;

    put_secret(&secret, USER, "nocreate-password").await;
    world.drain().await;
    assert_eq!(world.num_documents().await, 300);
    assert_eq!(world.num_messages().await, 0);
    assert_eq!(world.take_dead_letters().await, []);
    let log = world.log().join("\n");
    assert_eq!(log.matches("the secret was read again").count(), 1, "{log}");
    assert!(!log.contains("-password"), "{log}");
}

/// A user of this test alone, with the rights of `shipper`.
const USER: &str = "rotated";

/// Gives the user the password of another one: the local server's users are lines of name and hash in files, which it
/// reads again when they change.
async fn set_password(node: &OwnElasticsearch, password: &str) {
    let config = node.config();
    let read = |file: &str| std::fs::read_to_string(config.join(file)).unwrap();
    let like = password.strip_suffix("password").unwrap().replace('-', ":");
    let users = read("users");
    let hash = users.lines().find_map(|line| line.strip_prefix(&like)).unwrap();
    let others: String = users
        .lines()
        .filter(|line| !line.starts_with(USER))
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(config.join("users"), format!("{others}{USER}:{hash}\n")).unwrap();
    let roles = read("users_roles").replace("_shipper:shipper\n", &format!("_shipper:shipper,{USER}\n"));
    std::fs::write(config.join("users_roles"), roles).unwrap();
    let settings = [
        ("ELASTICSEARCH_CA_FILE", ca(node)),
        ("ELASTICSEARCH_USERNAME", USER.to_owned()),
        ("ELASTICSEARCH_PASSWORD", password.to_owned()),
    ];
    let client = connect(&node.url, &settings).await;
    wait_until("the node takes the new password", async || {
        client.probe().await.is_ok()
    })
    .await;
}

/// One object of 100 records, from its upload to the end of its invocation.
async fn ship(world: &World, function: &LambdaLocal<SqsQueue>, number: u32) -> InvocationReport {
    let log = FlowLog::new().records(number, 0, 100);
    world.put(&format!("{number}.gz"), log.gzip()).await;
    let messages = world.receive(1).await;
    let mut report = function.invoke(&messages).await.unwrap();
    function.settle(&messages, &mut report).await;
    report
}

async fn secrets_manager() -> aws_sdk_secretsmanager::Client {
    aws_sdk_secretsmanager::Client::new(&Stack::shared().aws_config().await)
}

pub(crate) async fn create_secret(name: &str, username: &str, password: &str) -> String {
    let text = json!({"username": username, "password": password}).to_string();
    let call = secrets_manager()
        .await
        .create_secret()
        .name(name)
        .secret_string(text);
    call.send().await.unwrap().arn.unwrap()
}

pub(crate) async fn put_secret(arn: &str, username: &str, password: &str) {
    let text = json!({"username": username, "password": password}).to_string();
    let call = secrets_manager()
        .await
        .put_secret_value()
        .secret_id(arn)
        .secret_string(text);
    call.send().await.unwrap();
}
