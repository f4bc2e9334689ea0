//! The roles that `flowctl setup --print-roles` prints, given to users of a real cluster: each may do its work, and
//! nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Output};
use std::sync::OnceLock;

use flowship::config::Installation;
use flowship::elasticsearch::client::Client;
use flowship::kibana::{KibanaError, check_rights};
use serde_json::{Value, json};

use crate::security::user;
use crate::support::stack::{OwnElasticsearch, repository};
use crate::support::world::{connect, wait_until};

const PREFIX: &str = "roles";
const LEDGER: &str = "flowship-ledger-roles";

/// Roles of the product, and who of the local users lends a password to the user who has that role alone.
const USERS: [(&str, &str); 3] = [
    ("installer", "noauto"),
    ("reader", "nocreate"),
    ("shipper", "shipper"),
];

/// A node of this module's own, because its users are others.
fn node() -> &'static OwnElasticsearch {
    static NODE: OnceLock<OwnElasticsearch> = OnceLock::new();
    tokio::task::block_in_place(|| {
        NODE.get_or_init(|| {
            let node = OwnElasticsearch::start("roles", &["--secure"]);
            add_users(&node);
            node
        })
    })
}

/// Users and roles of the local server are lines in files, which it reads again when they change. JSON is YAML.
fn add_users(node: &OwnElasticsearch) {
    let read = |file: &str| fs::read_to_string(node.config().join(file)).unwrap();
    let (mut users, mut users_roles, mut roles) = (read("users"), read("users_roles"), read("roles.yml"));
    for (role, body) in printed_roles() {
        let name = role.strip_prefix("roles-").unwrap();
        let (_, lender) = USERS.iter().find(|(user, _)| *user == name).unwrap();
        let prefix = format!("{lender}:");
        let hash = users.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap();
        let user = format!("only-{name}:{hash}\n");
        users.push_str(&user);
        users_roles.push_str(&format!("{role}:only-{name}\n"));
        let rights = json!({"cluster": body["cluster"], "indices": body["indices"]});
        roles.push_str(&format!("{role}: {rights}\n"));
    }
    for (file, text) in [
        ("roles.yml", roles),
        ("users_roles", users_roles),
        ("users", users),
    ] {
        fs::write(node.config().join(file), text).unwrap();
    }
}

fn flowctl(variables: &BTreeMap<&str, String>, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flowctl"))
        .env_clear()
        .env("FLOWSHIP_INDEX_PREFIX", PREFIX)
        .env("FLOWSHIP_LEDGER_INDEX", LEDGER)
        .envs(variables)
        .arg("setup")
        .args(arguments)
        .output()
        .unwrap()
}

/// Name of the role → body of its `PUT`.
fn printed_roles() -> BTreeMap<String, Value> {
    let output = flowctl(&BTreeMap::new(), &["--print-roles", "--json"]);
    assert!(output.status.success(), "{output:?}");
    let calls: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    calls
        .into_iter()
        .map(|call| {
            let path = call["path"].as_str().unwrap();
            let name = path.strip_prefix("_security/role/").unwrap();
            (name.to_owned(), call["body"].clone())
        })
        .collect()
}

/// The settings of the user who has that role alone.
fn settings(name: &str) -> Vec<(&'static str, String)> {
    let (_, lender) = USERS.iter().find(|(user, _)| *user == name).unwrap();
    let mut settings = user(node(), lender);
    settings[1].1 = format!("only-{name}");
    settings
}

/// Connected once the server knows user and role.
async fn connect_as(name: &str) -> Client {
    let client = connect(&node().url, &settings(name)).await;
    wait_until("the server knows the user and its role", async || {
        let answer = client.get("_security/user/_privileges").await.unwrap();
        let rights: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        answer.status == 200 && rights["indices"].as_array().is_some_and(|list| !list.is_empty())
    })
    .await;
    client
}

async fn install() {
    connect_as("installer").await;
    let mut variables: BTreeMap<&str, String> = BTreeMap::new();
    variables.insert("FLOWSHIP_ELASTICSEARCH_URLS", node().url.clone());
    let names = [
        "FLOWSHIP_ELASTICSEARCH_CA_FILE",
        "FLOWSHIP_ELASTICSEARCH_USERNAME",
        "FLOWSHIP_ELASTICSEARCH_PASSWORD",
    ];
    for (name, (_, value)) in names.into_iter().zip(settings("installer")) {
        variables.insert(name, value);
    }
    for arguments in [&["--store", "sorted"][..], &[]] {
        let output = tokio::task::block_in_place(|| flowctl(&variables, arguments));
        assert!(output.status.success(), "{output:?}");
    }
    // What it may not do is said with the right that it takes.
    for (flag, privilege) in [
        ("--guard-auto-create", "monitor"),
        ("--install-roles", "read_security"),
    ] {
        let output = tokio::task::block_in_place(|| flowctl(&variables, &[flag]));
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(
            told.contains(&format!("needs the cluster privilege `{privilege}`")),
            "{told}"
        );
    }
}

async fn put(client: &Client, path: &str) -> u16 {
    let body = match path {
        "_cluster/settings" => json!({"persistent": {"action.auto_create_index": "true"}}),
        "_security/role/mine" => json!({"cluster": ["all"]}),
        "_index_template/roles-vpc" => json!({"index_patterns": ["roles-vpc-*"]}),
        "_component_template/roles-vpc-custom" => json!({"template": {}}),
        _ if path.contains("/_") => json!({"@timestamp": "2026-11-20T03:10:00Z"}),
        _ => json!({}),
    };
    client.put(path, body.to_string()).await.unwrap().status
}

/// The status of the one item of a `_bulk` of one action, or of the whole when that is refused.
async fn bulk(client: &Client, action: Value) -> u64 {
    let verb = action.as_object().unwrap().keys().next().unwrap().clone();
    let body = match verb.as_str() {
        "delete" => format!("{action}\n"),
        "update" => format!("{action}\n{}\n", json!({"doc": {"x": 1}})),
        _ => format!("{action}\n{}\n", json!({"@timestamp": "2026-11-20T03:10:00Z"})),
    };
    let answer = client.post("_bulk", body).await.unwrap();
    if answer.status != 200 {
        return answer.status.into();
    }
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    answer["items"][0][verb.as_str()]["status"].as_u64().unwrap()
}

/// Kibana runs rules with the rights of whoever installs them.
#[tokio::test(flavor = "multi_thread")]
async fn rules_take_the_right_to_read_which_the_reader_has_and_the_installer_has_not() {
    let installation = Installation {
        index_prefix: PREFIX.to_owned(),
        ledger_index: Some(LEDGER.to_owned()),
    };
    let reader = connect_as("reader").await;
    check_rights(&reader, &installation).await.unwrap();
    let installer = connect_as("installer").await;
    let refused = check_rights(&installer, &installation).await.unwrap_err();
    assert!(
        matches!(refused, KibanaError::RulesCannotRead { .. }),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_may_do_its_work_and_nothing_else() {
    install().await;
    let flows = "roles-vpc-2026.11.20";
    let ledger = "flowship-ledger-roles-2026.11";

    let shipper = connect_as("shipper").await;
    assert_eq!(put(&shipper, &format!("{flows}/_create/one")).await, 201);
    assert_eq!(put(&shipper, &format!("{flows}/_create/one")).await, 409);
    assert_eq!(
        bulk(&shipper, json!({"create": {"_index": flows, "_id": "two"}})).await,
        201
    );
    assert_eq!(put(&shipper, &format!("{ledger}/_doc/one")).await, 201);
    assert_eq!(
        put(&shipper, &format!("{ledger}/_doc/one")).await,
        200,
        "entries are replaced"
    );
    for action in [
        json!({"index": {"_index": flows, "_id": "one"}}),
        json!({"update": {"_index": flows, "_id": "one"}}),
        json!({"delete": {"_index": flows, "_id": "one"}}),
        json!({"delete": {"_index": ledger, "_id": "one"}}),
        json!({"create": {"_index": "elsewhere", "_id": "one"}}),
    ] {
        assert_eq!(bulk(&shipper, action.clone()).await, 403, "{action}");
    }
    for path in [
        "elsewhere/_create/one",
        "elsewhere",
        "_index_template/roles-vpc",
        "_component_template/roles-vpc-custom",
        "_cluster/settings",
        "_security/role/mine",
    ] {
        assert_eq!(put(&shipper, path).await, 403, "{path}");
    }
    let searches = [flows, ledger].map(|index| format!("{index}/_search"));
    for path in &searches {
        assert_eq!(shipper.get(path).await.unwrap().status, 403, "{path}");
    }

    // What `redrive send` asks first: with these rights it would wait for entries that it cannot see.
    let all = format!("{LEDGER}-*/_search");
    assert_eq!(shipper.get(&all).await.unwrap().status, 403);

    let installer = connect_as("installer").await;
    for path in [
        &format!("{flows}/_create/three"),
        &format!("{ledger}/_create/three"),
        "elsewhere",
        "_cluster/settings",
        "_security/role/mine",
    ] {
        assert_eq!(put(&installer, path).await, 403, "{path}");
    }
    for path in &searches {
        assert_eq!(installer.get(path).await.unwrap().status, 403, "{path}");
    }

    let reader = connect_as("reader").await;
    for path in &searches {
        assert_eq!(reader.get(path).await.unwrap().status, 200, "{path}");
    }
    for path in [
        &format!("{flows}/_create/four"),
        &format!("{ledger}/_doc/one"),
        "_component_template/roles-vpc-custom",
    ] {
        assert_eq!(put(&reader, path).await, 403, "{path}");
    }
    assert_eq!(reader.get("elsewhere/_search").await.unwrap().status, 403);
}

/// The page names every right of the roles, and the local server's `shipper` has those of the product's.
#[test]
fn the_rights_of_the_roles_are_those_of_the_page_and_of_the_local_server() {
    let read = |file: &str| -> Value {
        let text = fs::read_to_string(repository("index-templates/role").join(file)).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let quoted = |list: &Value, quote: &str| -> String {
        let names = list.as_array().unwrap().iter();
        let names: Vec<String> = names
            .map(|name| format!("{quote}{}{quote}", name.as_str().unwrap()))
            .collect();
        names.join(", ")
    };

    let page = fs::read_to_string(repository("infra/rights.md")).unwrap();
    for role in ["shipper", "installer", "reader"] {
        let body = read(&format!("flowlogs-{role}.json"));
        let mut rows = vec![format!(
            "| `flowlogs-{role}` | the cluster | {} |",
            quoted(&body["cluster"], "`")
        )];
        for entry in body["indices"].as_array().unwrap() {
            let (names, rights) = (quoted(&entry["names"], "`"), quoted(&entry["privileges"], "`"));
            rows.push(format!("| `flowlogs-{role}` | {names} | {rights} |"));
        }
        for row in rows.iter().filter(|row| !row.ends_with("|  |")) {
            assert!(page.contains(row.as_str()), "{row} is not in infra/rights.md");
        }
        assert_eq!(
            page.matches(&format!("| `flowlogs-{role}` |")).count(),
            rows.iter().filter(|row| !row.ends_with("|  |")).count()
        );
    }

    let local = fs::read_to_string(repository("infra/local/users/roles.yml")).unwrap();
    let mut wanted = "flowship_shipper:\n  indices:\n".to_owned();
    for entry in read("flowlogs-shipper.json")["indices"].as_array().unwrap() {
        let (names, rights) = (quoted(&entry["names"], "'"), quoted(&entry["privileges"], "'"));
        wanted.push_str(&format!("    - names: [{names}]\n      privileges: [{rights}]\n"));
    }
    assert!(local.starts_with(&wanted), "{wanted}");
}
