//! An installation → plain files, for people with their own tools.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use serde_json::Value;

use super::calls;
use crate::assets::Kind;
use crate::cli::tell;
use crate::config::Installation;
use crate::elasticsearch::setup::{self, Choices};
use crate::kibana;

const README: &str = "\
# flowship: what `flowctl setup` installs

One file a call, in the order of the calls. The bodies carry a hash of themselves, by which `flowctl setup` later sees
whether somebody changed them: send them as they are. A server without ILM does without the policy and without the
template that ends in `-ilm`. Roles and API key take the cluster privileges `manage_security` and `manage_api_key`; the
answer's field `encoded` is what the function is given as `FLOWSHIP_ELASTICSEARCH_API_KEY`.

Every line is run in this folder, in a shell that has these:

```sh
ELASTICSEARCH_URL=https://es.example.com:9200
KIBANA_URL=https://kibana.example.com:5601  # for a space: …:5601/s/<space>
AUTHORIZATION='ApiKey …'  # or \"Basic $(printf %s 'user:password' | base64)\"
call() { curl -sS --fail-with-body -H \"authorization: $AUTHORIZATION\" -H 'kbn-xsrf: true' \"$@\"; echo; }
json() { call -H 'content-type: application/json' \"$@\"; }
```

To Elasticsearch:

";

const README_KIBANA: &str = "
To Kibana. Rules run with the rights of whoever creates them, which must hold those of the role that ends in `-reader`;
created with an API key, they end with it.

";

const README_RULES: &str = "
A rule that is there already answers 409. This brings it up to date, and leaves its actions what they are (it takes `jq`):

```sh
update() { # file, id
  call \"$KIBANA_URL/api/alerting/rule/$2\" | jq --slurpfile ours \"$1\" '
    def set: with_entries(select(.value != null));
    ($ours[0] | {name, tags, schedule, params}) + ({throttle, notify_when, alert_delay, flapping} | set) +
    {actions: [.actions[] | {group, id, params, frequency, uuid, alerts_filter, use_alert_data_for_template} | set]}' |
    json -X PUT --data-binary @- \"$KIBANA_URL/api/alerting/rule/$2\"
}
";

/// One file and its call.
struct File {
    path: String,
    /// Lines of shell.
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
    let updates: String = kibana::rules(installation)
        .iter()
        .map(|rule| format!("update kibana/rules/{}.json {}\n", rule.file_name, rule.id))
        .collect();
    let readme = [
        README,
        &shell(&elasticsearch),
        README_KIBANA,
        &shell(&kibana),
        README_RULES,
        &updates,
        "```\n",
    ]
    .concat();
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
        let path = format!("{folder}/{}.json", part.name);
        let url = format!("$ELASTICSEARCH_URL/{}", part.path());
        File {
            call: format!("json -X PUT --data-binary @{path} \"{url}\""),
            path,
            text: pretty(&part.body),
        }
    });
    let key = calls::api_key(installation).map(|call| File {
        path: "api-key.json".to_owned(),
        call: format!(
            "json -X {} --data-binary @api-key.json \"$ELASTICSEARCH_URL/{}\"",
            call.method, call.path
        ),
        text: pretty(&call.body),
    });
    Ok(files.chain(key).collect())
}

fn for_kibana(installation: &Installation) -> Vec<File> {
    let objects = kibana::pack(installation);
    let mut files = vec![File {
        path: "kibana/flowship.ndjson".to_owned(),
        call: "call -F file=@kibana/flowship.ndjson \"$KIBANA_URL/api/saved_objects/_import?overwrite=true\""
            .to_owned(),
        text: objects.iter().map(|object| format!("{object}\n")).collect(),
    }];
    files.extend(kibana::rules(installation).into_iter().map(|rule| {
        let path = format!("kibana/rules/{}.json", rule.file_name);
        let url = format!("$KIBANA_URL/api/alerting/rule/{}", rule.id);
        File {
            call: format!("json -X POST --data-binary @{path} \"{url}\""),
            path,
            text: pretty(&rule.body),
        }
    }));
    files
}

fn shell(files: &[File]) -> String {
    let lines: String = files.iter().map(|file| format!("{}\n", file.call)).collect();
    format!("```sh\n{lines}```\n")
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
        for line in [
            r#"json -X PUT --data-binary @ilm/net.flows-vpc.json "$ELASTICSEARCH_URL/_ilm/policy/net.flows-vpc""#,
            r#"json -X PUT --data-binary @role/net.flows-shipper.json "$ELASTICSEARCH_URL/_security/role/net.flows-shipper""#,
            r#"json -X POST --data-binary @api-key.json "$ELASTICSEARCH_URL/_security/api_key""#,
            r#"call -F file=@kibana/flowship.ndjson "$KIBANA_URL/api/saved_objects/_import?overwrite=true""#,
            r#"json -X POST --data-binary @kibana/rules/skipdata.json "$KIBANA_URL/api/alerting/rule/091cd799-1b81-4786-a6d0-dc4197211d00""#,
            "update kibana/rules/skipdata.json 091cd799-1b81-4786-a6d0-dc4197211d00",
        ] {
            assert!(readme.lines().any(|told| told == line), "{line}: {readme}");
        }
        assert_eq!(readme.matches(" --data-binary @").count(), 8 + 3 + 1 + 10 + 1);
        for told in readme.lines().filter(|line| line.contains(" --data-binary @")) {
            let (_, rest) = told.split_once('@').unwrap();
            let path = rest.split_whitespace().next().unwrap();
            assert!(path == "-" || folder.path().join(path).is_file(), "{told}");
        }
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
