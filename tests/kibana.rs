//! The Kibana pack: `kibana/sources` → `kibana/flowship.ndjson` and `kibana/rules`, what is checked of them without a
//! Kibana, and what every panel and rule answers over known flow logs on a real server.
//!
//! After a change of the sources: `cargo test --test integration kibana::write -- --ignored`.

mod alerts;
mod answers;
mod kql;
mod lens;
mod lint;
mod mapping;
mod objects;
mod pack;
mod panels;
mod sources;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use sources::Sources;

use crate::support::stack::repository;

/// The generated files and what is in them.
fn generated() -> BTreeMap<PathBuf, String> {
    let sources = Sources::read();
    let rules = objects::rules(&sources).into_iter().map(|(name, body)| {
        let path = repository("kibana/rules").join(format!("{name}.json"));
        (path, format!("{body:#}\n"))
    });
    let objects = (
        repository("kibana/flowship.ndjson"),
        objects::saved_objects(&sources),
    );
    rules.chain([objects]).collect()
}

/// The files of the pack that are there.
fn committed() -> BTreeMap<PathBuf, String> {
    let rules = fs::read_dir(repository("kibana/rules")).unwrap();
    let rules = rules.map(|entry| entry.unwrap().path());
    let paths = rules.chain([repository("kibana/flowship.ndjson")]);
    paths
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path, text)
        })
        .collect()
}

#[test]
fn the_files_are_what_the_sources_give() {
    let (generated, committed) = (generated(), committed());
    assert!(
        generated.keys().eq(committed.keys()),
        "other files than {:?}",
        generated.keys()
    );
    for (path, text) in generated {
        let hint = "run `cargo test --test integration kibana::write -- --ignored`";
        assert!(
            text == committed[&path],
            "{} is not what the sources give: {hint}",
            path.display()
        );
    }
}

#[test]
fn the_readme_shows_every_dashboard_search_and_rule() {
    let readme = fs::read_to_string(repository("kibana/README.md")).unwrap();
    let sources = Sources::read();
    let dashboards = sources.dashboards.iter().map(|dashboard| &dashboard.title);
    let searches = sources.searches.iter().map(|search| &search.title);
    for title in dashboards.chain(searches) {
        let name = title.strip_prefix("[flowship] ").unwrap();
        assert!(readme.contains(name), "{name} is not in the README");
    }
    for (name, rule) in &sources.rules {
        let row = readme
            .lines()
            .find(|line| line.starts_with(&format!("| `{name}` ")));
        let is_shown = row.is_some_and(|row| row.ends_with(&format!("| `{}` |", rule.id)));
        assert!(is_shown, "{name} is not in the README with {}", rule.id);
    }
}

#[test]
#[ignore = "no test: it writes the files that another test compares with their sources"]
fn write() {
    let folder = repository("kibana/rules");
    fs::remove_dir_all(&folder).ok();
    fs::create_dir_all(&folder).unwrap();
    for (path, text) in generated() {
        fs::write(path, text).unwrap();
    }
}
