//! The shape of the source: which names may turn up where, how long a file may be, one version of everything heavy.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use flowship::config::SETTINGS;
use flowship::outcome::Reason;
use flowship::telemetry::metrics::METRICS;

use crate::support::stack::repository;

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn files() -> Vec<(String, String)> {
    let root = repository("src");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    let name = |path: &PathBuf| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
    paths
        .iter()
        .map(|path| (name(path), fs::read_to_string(path).unwrap()))
        .collect()
}

#[test]
fn the_outside_worlds_types_stay_in_their_rooms() {
    let rooms: [(&str, &[&str]); 7] = [
        ("aws_sdk_", &["aws/"]),
        ("aws_config::", &["aws/"]),
        ("aws_smithy", &["aws/"]),
        ("lambda_runtime::", &["lambda.rs", "bin/shipper.rs"]),
        ("aws_lambda_events::", &["lambda.rs", "bin/shipper.rs"]),
        ("use elasticsearch::", &["elasticsearch/client.rs"]),
        (
            "use parquet::",
            &[
                "decode/parquet/",
                "ship/convert/tests/",
                "ship/convert/allocations.rs",
            ],
        ),
    ];
    for (file, text) in files() {
        for (name, allowed) in rooms {
            let inside = allowed.iter().any(|room| file.starts_with(room));
            assert!(inside || !text.contains(name), "{file} names `{name}`");
        }
    }
}

#[test]
fn the_middle_knows_nothing_of_its_surroundings() {
    for (file, text) in files() {
        let forbidden: &[&str] = match file.split('/').next().unwrap() {
            "flow" => &["crate::"],
            "document" => &[
                "tokio",
                "crate::ship",
                "crate::aws",
                "crate::object",
                "crate::decode",
                "async fn",
            ],
            "bulk" => &[
                "crate::flow",
                "crate::document",
                "crate::aws",
                "crate::object",
                "crate::elasticsearch::client::",
            ],
            _ => &[],
        };
        // Tests may look at the neighbours.
        let code = text.split("#[cfg(test)]").next().unwrap();
        let code: String = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect();
        if file.ends_with("tests.rs") {
            continue;
        }
        for name in forbidden {
            assert!(!code.contains(name), "{file} names `{name}`");
        }
    }
}

#[test]
fn no_file_is_longer_than_a_reader_likes() {
    for (file, text) in files() {
        let num_lines = text.lines().count();
        assert!(num_lines <= 500, "{file} has {num_lines} lines");
    }
}

#[test]
fn the_documentation_shows_every_setting() {
    let page = fs::read_to_string(repository("src/config/settings.md")).unwrap();
    for setting in SETTINGS {
        let default = setting.default.unwrap_or_default();
        let row = format!("| `{}` | {default} | {} |", setting.name, setting.meaning);
        assert!(page.contains(&row), "{row} is not in settings.md");
    }
}

#[test]
fn the_readme_names_every_reason() {
    let readme = fs::read_to_string(repository("README.md")).unwrap();
    for reason in Reason::all() {
        assert!(
            readme.contains(&format!("`{reason}`")),
            "{reason} is not in the README"
        );
    }
}

#[test]
fn the_documentation_shows_every_metric() {
    let page = fs::read_to_string(repository("src/telemetry/metrics.md")).unwrap();
    for metric in METRICS {
        let row = format!("| `{}` | {} | {}", metric.name, metric.unit, metric.meaning);
        assert!(page.contains(&row), "{row} is not in metrics.md");
    }
}

#[test]
fn there_is_one_http_stack_and_one_tls_stack() {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--offline",
            "-e",
            "normal,build",
            "--prefix",
            "none",
        ])
        .current_dir(repository("."))
        .output()
        .unwrap();
    let tree = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && tree.contains("hyper v1"),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for unwanted in [
        "aws-lc",
        "openssl-sys",
        "native-tls",
        "hyper v0",
        "rustls v0.21",
        "rustls v0.22",
    ] {
        assert!(
            !tree.lines().any(|line| line.starts_with(unwanted)),
            "{unwanted} is in the tree"
        );
    }
}
