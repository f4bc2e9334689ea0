//! Environment → settings. The one table of settings, their checks, and the only place that reads the environment.
//! All problems are reported at once; nothing starts on settings that are wrong.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::flow::Format;
use crate::object::ObjectRef;
use crate::quarantine::Place;

mod checked;
mod reader;
mod table;

use reader::Reader;

pub use checked::CheckedSettings;
pub use table::{SETTINGS, Setting};

const PREFIX: &str = "FLOWSHIP_";

/// The values that settings are read from: the process environment, overridden by command-line flags.
#[derive(Clone, Default)]
pub struct Environment {
    values: BTreeMap<String, String>,
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may be secrets.
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Environment {
    /// The variables of this process.
    #[allow(
        clippy::disallowed_methods,
        reason = "this module is the one that reads the environment"
    )]
    pub fn of_process() -> Self {
        let values = std::env::vars_os()
            .filter_map(|(name, value)| {
                let name = name.into_string().ok()?.strip_prefix(PREFIX)?.to_owned();
                Some((name, value.to_string_lossy().into_owned()))
            })
            .collect();
        Self { values }
    }

    /// Sets one value; `name` is without the prefix. A flag that was not given (`None`) changes nothing.
    pub fn set(&mut self, name: &str, value: Option<impl Into<String>>) -> &mut Self {
        debug_assert!(
            SETTINGS.iter().any(|setting| setting.name == name),
            "no setting {name}"
        );
        if let Some(value) = value {
            self.values.insert(name.to_owned(), value.into());
        }
        self
    }

    /// Whether there is a value, whatever it is.
    pub fn is_set(&self, name: &str) -> bool {
        self.values
            .get(name)
            .is_some_and(|value| !value.trim().is_empty())
    }
}

/// Every variable of this process, for the child that `flowctl lambda-local` starts.
#[allow(
    clippy::disallowed_methods,
    reason = "this module is the one that reads the environment"
)]
pub fn process_variables() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Whether this process was started by Lambda, or by something that stands in for it.
pub fn is_in_lambda() -> bool {
    process_variables().contains_key("AWS_LAMBDA_RUNTIME_API")
}

/// Whether the SDK's own variables send S3 calls to another server.
pub fn has_custom_s3_endpoint() -> bool {
    let variables = process_variables();
    ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"]
        .iter()
        .any(|name| variables.get(*name).is_some_and(|value| !value.is_empty()))
}

/// One setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Name without the prefix.
    pub name: &'static str,
    /// What is wrong, with the value (never a secret's) and what is allowed.
    pub message: String,
}

impl Problem {
    /// The environment variable.
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A message that goes on from the name makes a sentence with it.
        let colon = if self.message.starts_with("is ") { "" } else { ":" };
        write!(f, "{}{colon} {}", self.variable(), self.message)
    }
}

/// Every problem that was found, one a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, problem) in self.problems.iter().enumerate() {
            let separator = if position == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// Where the Elasticsearch credentials come from.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// None: a cluster without security.
    Anonymous,
    /// An encoded API key.
    ApiKey(String),
    /// User name and password.
    Basic {
        /// User name.
        username: String,
        /// Password.
        password: String,
    },
    /// A secret in Secrets Manager, by ARN or name.
    SecretArn(String),
    /// A file with the secret's JSON.
    SecretFile(PathBuf),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anonymous => "Anonymous",
            Self::ApiKey(_) => "ApiKey",
            Self::Basic { .. } => "Basic",
            Self::SecretArn(_) => "SecretArn",
            Self::SecretFile(_) => "SecretFile",
        })
    }
}

/// How Elasticsearch is reached.
#[derive(Clone, Debug)]
pub struct ElasticsearchSettings {
    /// At least one.
    pub urls: Vec<Url>,
    /// How to authenticate.
    pub credentials: Credentials,
    /// PEM file of a private CA.
    pub ca_file: Option<PathBuf>,
}

impl ElasticsearchSettings {
    /// Reads `ELASTICSEARCH_*`.
    pub fn read(environment: &Environment) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(environment);
        let settings = reader.elasticsearch();
        reader.finish(settings)
    }
}

/// What an installation's indices and templates are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// First part of the names of flow log indices.
    pub index_prefix: String,
    /// First part of the names of the ledger's; `None`: there is no ledger.
    pub ledger_index: Option<String>,
}

impl Installation {
    /// Reads `INDEX_PREFIX` and `LEDGER_INDEX`.
    pub fn read(environment: &Environment) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(environment);
        let index_prefix = reader.index_prefix();
        let ledger_index = reader.ledger_index(&index_prefix);
        reader.finish(Some(Self {
            index_prefix,
            ledger_index,
        }))
    }
}

/// Where Kibana is, if it is to be told anything.
pub fn read_kibana_url(environment: &Environment) -> Result<Option<Url>, ConfigError> {
    let mut reader = Reader::new(environment);
    let url = reader.kibana_url();
    reader.finish(Some(url))
}

/// How long the function takes over what, as far as its settings say.
#[derive(Clone, Debug)]
pub struct FunctionTimes {
    /// Time kept free before an invocation ends.
    pub deadline_margin: Duration,
    /// Longest wait for one bulk answer.
    pub bulk_timeout: Duration,
}

impl FunctionTimes {
    /// Reads `DEADLINE_MARGIN_MS` and `BULK_TIMEOUT_MS`.
    pub fn read(environment: &Environment) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(environment);
        let times = Self {
            deadline_margin: reader.deadline_margin(),
            bulk_timeout: reader.bulk_timeout(),
        };
        reader.finish(Some(times))
    }
}

/// The queue that `name` (`QUEUE_URL` or `DLQ_URL`) points to.
pub fn read_queue_url(environment: &Environment, name: &'static str) -> Result<String, ConfigError> {
    let mut reader = Reader::new(environment);
    let url = reader.queue_url(name);
    reader.finish(url)
}

/// How objects are shipped.
#[derive(Clone, Debug)]
pub struct ShipSettings {
    /// First part of index names.
    pub index_prefix: String,
    /// Largest bulk body before compression, bytes.
    pub bulk_max_bytes: usize,
    /// Bulk requests at the same time.
    pub bulk_in_flight: usize,
    /// Objects read at the same time.
    pub objects_in_flight: usize,
    /// Longest wait for one bulk answer.
    pub bulk_timeout: Duration,
    /// Whether NODATA records are indexed.
    pub keep_no_data: bool,
    /// The format of objects without a header line, beside the default one.
    pub format: Option<Format>,
    /// What documents are enriched with.
    pub enrich: EnrichSettings,
    /// Where bad lines go.
    pub quarantine: QuarantineSettings,
}

/// Where the bad lines of an object go, and how many may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantineSettings {
    /// `None`: nowhere, an object that has any fails.
    pub place: Option<Place>,
    /// So many of an object may be bad whatever their share.
    pub max_lines: u64,
    /// Percent of an object's lines that may be bad however many they are.
    pub max_share: u64,
}

/// What documents are enriched with, and from what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrichSettings {
    /// Whether documents have a `network.community_id`.
    pub community_id: bool,
    /// Databases of countries or cities; none: documents have no `geo`.
    pub geo_city_db: Vec<Location>,
    /// Databases of autonomous systems; none: documents have no `as`.
    pub geo_asn_db: Vec<Location>,
    /// Whether documents have the zones of their ends.
    pub zones: bool,
    /// Descriptions of subnets and network interfaces.
    pub network_map: Vec<Location>,
}

/// Where a file lies that a setting names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// In the file system.
    Path(PathBuf),
    /// In S3.
    Object(ObjectRef),
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Object(object) => object.fmt(f),
        }
    }
}

impl ShipSettings {
    /// Reads how objects are shipped, without where to.
    pub fn read(environment: &Environment) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(environment);
        let settings = reader.ship();
        reader.finish(Some(settings))
    }
}

impl Default for ShipSettings {
    /// The defaults of the table.
    fn default() -> Self {
        let environment = Environment::default();
        let mut reader = Reader::new(&environment);
        reader.ship()
    }
}

/// Where the function keeps bad lines.
pub fn read_quarantine_place(environment: &Environment) -> Result<Place, ConfigError> {
    let mut reader = Reader::new(environment);
    let place = reader.quarantine_place();
    reader.finish(place)
}

/// What it takes to ship quarantined lines again: the function's settings, but not its queues.
#[derive(Clone, Debug)]
pub struct ReplaySettings {
    /// Where the lines are.
    pub place: Place,
    /// How they are shipped.
    pub ship: ShipSettings,
    /// How Elasticsearch is reached; `None`: it is not asked for anything.
    pub elasticsearch: Option<ElasticsearchSettings>,
}

impl ReplaySettings {
    /// Reads them; Elasticsearch's only if something is to be sent.
    pub fn read(environment: &Environment, sends: bool) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(environment);
        let elasticsearch = if sends { reader.elasticsearch() } else { None };
        let ship = reader.ship();
        let place = reader.quarantine_place();
        let settings = place.map(|place| Self {
            place,
            ship,
            elasticsearch,
        });
        reader.finish(settings)
    }
}

/// How long messages wait that come back because something failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackoffSettings {
    /// Longest wait after the first receive.
    pub base: Duration,
    /// Longest wait at all. SQS hides a message for 12 hours since its receive; the mapping's batching window (5 min)
    /// and the invocation (15 min) are over by then.
    pub max: Duration,
}

/// Everything the Lambda function needs.
#[derive(Clone, Debug)]
pub struct ShipperSettings {
    /// How Elasticsearch is reached.
    pub elasticsearch: ElasticsearchSettings,
    /// How objects are shipped.
    pub ship: ShipSettings,
    /// The main queue, if it need not be looked up.
    pub queue_url: Option<String>,
    /// Where failed S3 events go.
    pub dlq_url: String,
    /// Time kept free before an invocation ends.
    pub deadline_margin: Duration,
    /// Receives after which a message is dead-lettered.
    pub max_receives: u32,
    /// How long it waits until then.
    pub backoff: BackoffSettings,
    /// CloudWatch namespace of the metrics; `None`: no metrics.
    pub metrics_namespace: Option<String>,
    /// First part of the names of the ledger's indices; `None`: no ledger.
    pub ledger_index: Option<String>,
}

impl ShipperSettings {
    /// Reads all settings of the function.
    pub fn read(environment: &Environment) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(environment);
        let elasticsearch = reader.elasticsearch();
        let ship = reader.ship();
        let queue_url = reader.optional_queue_url("QUEUE_URL");
        let dlq_url = reader.queue_url("DLQ_URL");
        let deadline_margin = reader.deadline_margin();
        let max_receives = reader.max_receives();
        let backoff = BackoffSettings {
            base: Duration::from_secs(reader.number("BACKOFF_BASE_SECONDS", 1..=3600)),
            max: Duration::from_secs(reader.number("BACKOFF_MAX_SECONDS", 1..=39_600)),
        };
        let metrics_namespace = reader.metrics_namespace();
        let ledger_index = reader.ledger_index(&ship.index_prefix);
        let settings = elasticsearch.zip(dlq_url).map(|(elasticsearch, dlq_url)| Self {
            elasticsearch,
            ship,
            queue_url,
            dlq_url,
            deadline_margin,
            max_receives,
            backoff,
            metrics_namespace,
            ledger_index,
        });
        reader.finish(settings)
    }
}

/// The log filter, if one is set; the only setting that cannot be wrong, because logging must work to report the others.
pub fn log_filter(environment: &Environment) -> Option<String> {
    environment
        .values
        .get("LOG")
        .filter(|filter| !filter.is_empty())
        .cloned()
}

/// A key goes into an HTTP header: base64 of `id:key`, no line breaks.
pub(crate) fn check_api_key(key: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_');
    if key.is_empty() || !key.bytes().all(allowed) {
        return Err(
            "is not an encoded API key: one word of base64, the field `encoded` of the create call"
                .to_owned(),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests;
