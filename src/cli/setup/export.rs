//! An installation → plain files, for people with their own tools.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::assets::Kind;
use crate::cli::tell;
use crate::config::Installation;
use crate::elasticsearch::setup::{self, Choices};
use crate::kibana;

const README: &str = "\
# flowship: what `flowctl setup` installs

One file a call, in the order of the calls. The bodies carry a hash of themselves, by which `flowctl setup` later sees
whether somebody changed them: send them as they are. A server without ILM does without the policy and without the
template that ends in `-ilm`.

To Elasticsearch:

| call | body |
|---|---|
";

const README_KIBANA: &str = "
To Kibana, with the header `kbn-xsrf: true`; in a space, paths begin with `/s/<space>`:

| call | body |
|---|---|
";

/// One file and its call.
struct File {
    path: String,
    call: String,
    text: String,
}

/// Writes all files and a README. The folder is made, or empty, unless `choices.force`.
pub(super) fn write(folder: &Path, installation: &Installation, choices: &Choices) -> anyhow::Result<()> {
    let failed = || format!("writing to {}", folder.display());
    fs::create_dir_all(folder).with_context(failed)?;
    if fs::read_dir(folder).with_context(failed)?.next().is_some() && !choices.force {
        bail!(
            "{} is not empty: give another folder, or --force to write into it",
            folder.display()
        );
    }
    let (elasticsearch, kibana) = (
        for_elasticsearch(installation, choices)?,
        for_kibana(installation),
    );
    let readme = [README, &rows(&elasticsearch), README_KIBANA, &rows(&kibana)].concat();
    let readme = File {
        path: "README.md".to_owned(),
        call: String::new(),
        text: readme,
    };
    for file in elasticsearch.iter().chain(&kibana).chain([&readme]) {
        let path = folder.join(&file.path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(failed)?;
        }
        fs::write(&path, &file.text).with_context(|| format!("writing {}", path.display()))?;
    }
    let count = elasticsearch.len() + kibana.len();
    tell(format_args!(
        "{count} files and their README.md are in {}",
        folder.display()
    ));
    Ok(())
}

fn for_elasticsearch(installation: &Installation, choices: &Choices) -> anyhow::Result<Vec<File>> {
    let mut parts = setup::parts_with(installation, choices)?;
    parts.extend(setup::roles(installation));
    let files = parts.into_iter().map(|part| {
        let folder = match part.kind {
            Kind::IlmPolicy => "ilm",
            Kind::ComponentTemplate => "component",
            Kind::IndexTemplate => "index",
            Kind::Role => "role",
            Kind::ClusterSetting => "cluster",
        };
        File {
            path: format!("{folder}/{}.json", part.name),
            call: format!("PUT {}", part.path()),
            text: pretty(&part.body),
        }
    });
    Ok(files.collect())
}

fn for_kibana(installation: &Installation) -> Vec<File> {
    let objects = kibana::pack(installation);
    let mut files = vec![File {
        path: "kibana/flowship.ndjson".to_owned(),
        call: "POST api/saved_objects/_import?overwrite=true, as the file of a form".to_owned(),
        text: objects.iter().map(|object| format!("{object}\n")).collect(),
    }];
    files.extend(kibana::rules(installation).into_iter().map(|rule| File {
        path: format!("kibana/rules/{}.json", rule.file_name),
        call: format!("POST api/alerting/rule/{}", rule.id),
        text: pretty(&rule.body),
    }));
    files
}

fn rows(files: &[File]) -> String {
    files
        .iter()
        .map(|file| format!("| `{}` | `{}` |\n", file.call, file.path))
        .collect()
}

fn pretty(body: &Value) -> String {
    format!("{body:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;
    use crate::elasticsearch::setup::{Age, Ages, Store};

    fn installation() -> Installation {
        let mut environment = Environment::default();
        environment.set("INDEX_PREFIX", Some("net.flows"));
        Installation::read(&environment).unwrap()
    }

    #[test]
    fn the_files_are_what_would_be_sent_and_the_readme_names_each() {
        let folder = tempfile::tempdir().unwrap();
        let choices = Choices {
            ages: Ages {
                delete: Some(Age::Days(90)),
                ..Ages::default()
            },
            store: Some(Store::Sorted),
            ..Choices::default()
        };
        write(folder.path(), &installation(), &choices).unwrap();
        let read = |path: &str| fs::read_to_string(folder.path().join(path)).unwrap();
        let json = |path: &str| -> Value { serde_json::from_str(&read(path)).unwrap() };

        let policy = json("ilm/net.flows-vpc.json");
        assert_eq!(policy["policy"]["phases"]["delete"]["min_age"], "90d");
        let template = json("index/net.flows-vpc.json");
        assert_eq!(
            template["template"]["settings"]["index"]["sort"]["field"][1],
            "@timestamp"
        );
        assert_eq!(
            template,
            setup::parts_with(&installation(), &choices).unwrap()[4].body
        );
        let shipper = json("role/net.flows-shipper.json");
        assert_eq!(shipper["indices"][0]["names"][0], "net.flows-*");
        assert!(read("kibana/flowship.ndjson").contains(r#""title":"net.flows-*""#));

        let readme = read("README.md");
        for row in [
            "| `PUT _ilm/policy/net.flows-vpc` | `ilm/net.flows-vpc.json` |",
            "| `PUT _security/role/net.flows-shipper` | `role/net.flows-shipper.json` |",
            "| `POST api/alerting/rule/091cd799-1b81-4786-a6d0-dc4197211d00` | `kibana/rules/skipdata.json` |",
        ] {
            assert!(readme.contains(row), "{row}: {readme}");
        }
        assert_eq!(readme.matches(".json` |").count(), 8 + 3 + 10);
    }

    #[test]
    fn a_folder_with_files_is_left_alone_unless_forced() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("mine"), "").unwrap();
        let mut choices = Choices::default();
        let refused = write(folder.path(), &installation(), &choices).unwrap_err();
        assert!(refused.to_string().contains("is not empty"), "{refused}");
        choices.force = true;
        write(folder.path(), &installation(), &choices).unwrap();
        assert!(folder.path().join("mine").exists() && folder.path().join("README.md").exists());
    }
}
