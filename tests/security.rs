//! A cluster with TLS and users: what the function needs to be told, and the least rights that it works with.

use std::collections::BTreeMap;

use flowship::elasticsearch::setup::{self, SetupError};
use serde_json::json;

use crate::settings::start_shipper;
use crate::support::stack::OwnElasticsearch;
use crate::support::world::{Options, World, connect};
use crate::support::{FlowLog, Stack};

#[tokio::test(flavor = "multi_thread")]
async fn a_secured_cluster_is_used_with_the_least_rights_and_wrong_settings_are_named() {
    let node = OwnElasticsearch::start("secure", &["--secure"]);
    let ca = node.ca_file().to_str().unwrap().to_owned();
    let user = |name: &str| {
        vec![
            ("ELASTICSEARCH_CA_FILE", ca.clone()),
            ("ELASTICSEARCH_USERNAME", name.to_owned()),
            ("ELASTICSEARCH_PASSWORD", format!("{name}-password")),
        ]
    };

    // The installer's rights are needed for templates; the function's do not suffice, and the error says which do.
    let shipper = connect(&node.url, &user("shipper")).await;
    let refused = setup::plan(&shipper, "flowlogs-secure", false).await.unwrap_err();
    let named = matches!(
        refused,
        SetupError::Forbidden {
            status: 403,
            privilege: "manage_index_templates",
            ..
        }
    );
    assert!(named, "{refused}");

    let options = Options {
        elasticsearch_url: Some(node.url.clone()),
        admin: user("admin"),
        ..Options::default()
    };
    let mut world = World::with("flowlogs-secure", options).await;

    // Wrong ways first: each is one clear message and no start.
    let mut wrong = world.variables.clone();
    let problem = start_shipper(&wrong);
    assert!(
        problem.starts_with("FLOWSHIP_ELASTICSEARCH_CA_FILE: the certificate of"),
        "{problem}"
    );
    wrong.insert("FLOWSHIP_ELASTICSEARCH_CA_FILE".into(), ca.clone());
    let problem = start_shipper(&wrong);
    assert!(
        problem.starts_with("FLOWSHIP_ELASTICSEARCH_API_KEY: Elasticsearch at"),
        "{problem}"
    );
    wrong.insert("FLOWSHIP_ELASTICSEARCH_USERNAME".into(), "shipper".into());
    wrong.insert("FLOWSHIP_ELASTICSEARCH_PASSWORD".into(), "hunter2".into());
    let problem = start_shipper(&wrong);
    assert!(
        problem.starts_with("FLOWSHIP_ELASTICSEARCH_PASSWORD: Elasticsearch at"),
        "{problem}"
    );
    assert!(!problem.contains("hunter2"), "{problem}");

    // Rightly told, with the password in Secrets Manager.
    world
        .variables
        .insert("FLOWSHIP_ELASTICSEARCH_CA_FILE".into(), ca);
    world
        .variables
        .insert("FLOWSHIP_ELASTICSEARCH_SECRET_ARN".into(), create_secret().await);
    world
        .put("one.gz", FlowLog::new().records(1, 0, 200).gzip())
        .await;
    world.drain().await;
    let expected = BTreeMap::from([("flowlogs-secure-vpc-2026.11.18".to_owned(), 200)]);
    assert_eq!(world.documents().await, expected);

    // An index outside the role's pattern: the operator's problem, not the data's.
    world
        .variables
        .insert("FLOWSHIP_INDEX_PREFIX".into(), "elsewhere".into());
    world.variables.insert("FLOWSHIP_MAX_RECEIVES".into(), "1".into());
    world.send(world.event(&["one.gz"])).await;
    world.drain().await;
    let letters = world.take_dead_letters().await;
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!(
        crate::support::world::attribute(&letters[0], "reason"),
        "bulk.unauthorized"
    );
}

async fn create_secret() -> String {
    let client = aws_sdk_secretsmanager::Client::new(&Stack::shared().aws_config().await);
    let text = json!({"username": "shipper", "password": "shipper-password"}).to_string();
    client
        .create_secret()
        .name("flowlogs-secure")
        .secret_string(text)
        .send()
        .await
        .unwrap()
        .arn
        .unwrap()
}
