//! Wrong settings: one clear message at start that names the setting.

use std::collections::BTreeMap;
use std::process::{Command, Output};

use serde_json::Value;

/// Starts `shipper` as Lambda would, with these variables alone; it must end by itself, and is told by its only error
/// lines, joined.
fn start_shipper(variables: &BTreeMap<String, String>) -> String {
    let output = run_shipper(variables);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    errors_of(&output).join("\n")
}

/// The first error that `shipper` logs when it starts with these variables alone, and goes on.
pub(crate) fn first_error(variables: &BTreeMap<String, String>) -> String {
    errors_of(&run_shipper(variables)).swap_remove(0)
}

fn run_shipper(variables: &BTreeMap<String, String>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_shipper"))
        .env_clear()
        .envs(variables)
        // Nobody listens there: a function that gets as far as to ask for an event ends.
        .env("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .output()
        .unwrap()
}

fn errors_of(output: &Output) -> Vec<String> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .map(|line| {
            assert_eq!(line["level"], "ERROR", "{line}");
            line["message"].as_str().unwrap().to_owned()
        })
        .collect()
}

fn variables(changes: &[(&str, &str)]) -> BTreeMap<String, String> {
    let good = [
        ("FLOWSHIP_ELASTICSEARCH_URLS", "http://127.0.0.1:1"),
        (
            "FLOWSHIP_DLQ_URL",
            "http://127.0.0.1:1/queue/us-east-1/000000000000/dlq",
        ),
        ("AWS_REGION", "us-east-1"),
    ];
    good.iter()
        .chain(changes)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn each_wrong_setting_is_named_at_start() {
    let told: Vec<String> = [
        variables(&[("FLOWSHIP_ELASTICSEARCH_URLS", "")]),
        variables(&[("FLOWSHIP_ELASTICSEARCH_URLS", "localhost:9200")]),
        variables(&[
            ("FLOWSHIP_BULK_MAX_BYTES", "4MB"),
            ("FLOWSHIP_KEEP_NODATA", "maybe"),
        ]),
        variables(&[("FLOWSHIP_ELASTICSEARCH_CA_FILE", "/nowhere/ca.crt")]),
        variables(&[("FLOWSHIP_ELASTICSEARCH_SECRET_FILE", "/nowhere/secret.json")]),
        variables(&[
            ("FLOWSHIP_GEO_CITY_DB", "/nowhere/city.mmdb"),
            ("FLOWSHIP_GEO_ASN_DB", "/nowhere/asn.mmdb"),
            ("FLOWSHIP_NETWORK_MAP", "/nowhere/map.json"),
        ]),
    ]
    .iter()
    .map(start_shipper)
    .collect();
    insta::assert_snapshot!(told.join("\n"), @"
    FLOWSHIP_ELASTICSEARCH_URLS is not set: give the URL of Elasticsearch, for example https://es.example.com:9200
    FLOWSHIP_ELASTICSEARCH_URLS: `localhost:9200` is not a URL that starts with http:// or https://
    FLOWSHIP_BULK_MAX_BYTES: `4MB` is not a whole number from 1048576 to 67108864
    FLOWSHIP_KEEP_NODATA: `maybe` is neither true nor false
    FLOWSHIP_ELASTICSEARCH_CA_FILE: /nowhere/ca.crt: No such file or directory (os error 2)
    FLOWSHIP_ELASTICSEARCH_SECRET_FILE: /nowhere/secret.json: No such file or directory (os error 2)
    FLOWSHIP_GEO_CITY_DB: /nowhere/city.mmdb: No such file or directory (os error 2)
    FLOWSHIP_GEO_ASN_DB: /nowhere/asn.mmdb: No such file or directory (os error 2)
    FLOWSHIP_NETWORK_MAP: /nowhere/map.json: No such file or directory (os error 2)
    ");
}

#[test]
fn a_server_that_cannot_be_reached_is_named_with_its_setting() {
    let told = first_error(&variables(&[]));
    let expected = "FLOWSHIP_ELASTICSEARCH_URLS: Elasticsearch cannot be reached at http://127.0.0.1:1/: ";
    assert!(told.starts_with(expected) && told.contains("refused"), "{told}");
}

#[test]
fn outside_lambda_it_says_how_it_is_run() {
    let output = Command::new(env!("CARGO_BIN_EXE_shipper"))
        .env_clear()
        .envs(variables(&[]))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("flowctl lambda-local --function"), "{text}");
}
