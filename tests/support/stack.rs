//! The local servers: started once per run by the scripts that users start them with, stopped when this process ends.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::Credentials;
use aws_smithy_http_client::{Builder, tls};

/// Where the servers of this run are.
#[derive(Clone, Debug)]
pub(crate) struct Stack {
    pub(crate) aws_url: String,
    pub(crate) elasticsearch_url: String,
}

impl Stack {
    /// The servers shared by all tests. The first caller starts them; what the script says goes to the terminal.
    pub(crate) fn shared() -> &'static Self {
        static STACK: OnceLock<Option<Stack>> = OnceLock::new();
        let stack = STACK.get_or_init(start);
        stack
            .as_ref()
            .expect("the local servers do not start; infra/local/stack says why, above")
    }

    /// What any AWS client needs to reach the local server, as environment variables.
    pub(crate) fn aws_variables(&self) -> BTreeMap<String, String> {
        let variables = [
            ("AWS_ENDPOINT_URL", self.aws_url.as_str()),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ];
        variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    /// The same for clients in this process.
    pub(crate) async fn aws_config(&self) -> SdkConfig {
        let tls = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
        aws_config::defaults(BehaviorVersion::latest())
            .http_client(Builder::new().tls_provider(tls).build_https())
            .endpoint_url(&self.aws_url)
            .region(Region::from_static("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "tests"))
            .load()
            .await
    }
}

/// A file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn start() -> Option<Stack> {
    let owner = std::process::id().to_string();
    let output = Command::new(repository("infra/local/stack"))
        .args(["start", "--state"])
        .arg(repository("target/local-tests"))
        .args(["--es-port", "0", "--aws-port", "0", "--until-exit-of", &owner])
        .stderr(Stdio::inherit())
        .output()
        .expect("infra/local/stack can be run");
    if !output.status.success() {
        return None;
    }
    let text = String::from_utf8(output.stdout).expect("the script prints text");
    let variables: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("export ")?.split_once('='))
        .collect();
    Some(Stack {
        aws_url: variables["AWS_ENDPOINT_URL"].to_owned(),
        elasticsearch_url: variables["FLOWSHIP_ELASTICSEARCH_URLS"].to_owned(),
    })
}

/// An Elasticsearch of a test's own, with settings that a shared one must not have. Stopped when dropped, and at the
/// latest when this process ends: it may stay in a static.
#[derive(Debug)]
pub(crate) struct OwnElasticsearch {
    state: PathBuf,
    options: Vec<String>,
    pub(crate) url: String,
}

impl OwnElasticsearch {
    /// Starts an empty node. `options`: those of `infra/local/elasticsearch start`.
    pub(crate) fn start(name: &str, options: &[&str]) -> Self {
        let state = repository("target/local-tests-nodes").join(name);
        let owner = std::process::id().to_string();
        let options: Vec<String> = [&["--quick", "--until-exit-of", &owner], options]
            .concat()
            .iter()
            .map(|option| (*option).to_owned())
            .collect();
        let url = elasticsearch("start", &state, &[&["--port", "0"], &*as_str(&options)].concat());
        Self { state, options, url }
    }

    /// Stops the node; its data stays.
    pub(crate) fn stop(&self) {
        elasticsearch("stop", &self.state, &[]);
    }

    /// Starts the stopped node with its data and settings, on its old port.
    pub(crate) fn restart(&self) {
        let options = [&["--keep-data"], &*as_str(&self.options)].concat();
        let url = elasticsearch("start", &self.state, &options);
        assert_eq!(url, self.url, "the node comes back where it was");
    }

    /// The folder with the node's own settings and users.
    pub(crate) fn config(&self) -> PathBuf {
        let moved = std::fs::read_to_string(self.state.join("moved-to"));
        let folder = moved.map_or_else(|_not_moved| self.state.clone(), |path| PathBuf::from(path.trim()));
        folder.join("node/config")
    }

    /// The CA that signed the certificate of a node started with `--secure`.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.state.join("ca.crt")
    }
}

impl Drop for OwnElasticsearch {
    fn drop(&mut self) {
        elasticsearch("stop", &self.state, &["--remove"]);
    }
}

fn as_str(options: &[String]) -> Vec<&str> {
    options.iter().map(String::as_str).collect()
}

fn elasticsearch(verb: &str, state: &PathBuf, options: &[&str]) -> String {
    let output = Command::new(repository("infra/local/elasticsearch"))
        .arg(verb)
        .arg("--state")
        .arg(state)
        .args(options)
        .stderr(Stdio::inherit())
        .output()
        .expect("infra/local/elasticsearch can be run");
    assert!(
        output.status.success(),
        "infra/local/elasticsearch {verb} failed, see above"
    );
    String::from_utf8(output.stdout)
        .expect("the script prints text")
        .trim()
        .to_owned()
}
