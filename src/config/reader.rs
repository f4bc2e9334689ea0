//! Reads settings one by one, checks each, and gathers what is wrong.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::flow::{Dataset, Format};
use crate::object::ObjectRef;
use crate::quarantine::Place;

use super::{
    ConfigError, Credentials, ElasticsearchSettings, EnrichSettings, Environment, Location, Problem,
    QuarantineSettings, SETTINGS, ShipSettings, check_api_key,
};

pub(super) struct Reader<'a> {
    environment: &'a Environment,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(environment: &'a Environment) -> Self {
        Self {
            environment,
            problems: Vec::new(),
        }
    }

    /// `value` is `None` only where a problem was noted.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, ConfigError> {
        match value {
            Some(value) if self.problems.is_empty() => Ok(value),
            _ => Err(ConfigError {
                problems: self.problems,
            }),
        }
    }

    /// What is wrong, for who takes the values that can be read.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    fn problem(&mut self, name: &'static str, message: impl Into<String>) {
        self.problems.push(Problem {
            name,
            message: message.into(),
        });
    }

    /// The value, or the table's default. An empty variable counts as not set.
    fn get(&self, name: &'static str) -> Option<&'a str> {
        let row = SETTINGS
            .iter()
            .find(|row| row.name == name)
            .expect("every setting is in the table");
        match self.environment.values.get(name).map(|value| value.trim()) {
            Some(value) if !value.is_empty() => Some(value),
            _ => row.default,
        }
    }

    pub(super) fn number(&mut self, name: &'static str, allowed: RangeInclusive<u64>) -> u64 {
        let value = self.get(name).expect("every number has a default");
        match value.parse() {
            Ok(number) if allowed.contains(&number) => number,
            _ => {
                let (low, high) = (allowed.start(), allowed.end());
                self.problem(
                    name,
                    format!("`{value}` is not a whole number from {low} to {high}"),
                );
                *low
            }
        }
    }

    pub(super) fn count(&mut self, name: &'static str, allowed: RangeInclusive<u64>) -> usize {
        usize::try_from(self.number(name, allowed)).unwrap_or(usize::MAX)
    }

    pub(super) fn boolean(&mut self, name: &'static str) -> bool {
        match self.get(name) {
            Some("true") => true,
            Some("false") | None => false,
            Some(value) => {
                self.problem(name, format!("`{value}` is neither true nor false"));
                false
            }
        }
    }

    pub(super) fn bulk_timeout(&mut self) -> Duration {
        Duration::from_millis(self.number("BULK_TIMEOUT_MS", 1000..=900_000))
    }

    pub(super) fn deadline_margin(&mut self) -> Duration {
        Duration::from_millis(self.number("DEADLINE_MARGIN_MS", 500..=300_000))
    }

    pub(super) fn max_receives(&mut self) -> u32 {
        u32::try_from(self.number("MAX_RECEIVES", 1..=1000)).unwrap_or(u32::MAX)
    }

    pub(super) fn ship(&mut self) -> ShipSettings {
        ShipSettings {
            index_prefix: self.index_prefix(),
            bulk_max_bytes: self.count("BULK_MAX_BYTES", 1 << 20..=64 << 20),
            bulk_in_flight: self.count("BULK_IN_FLIGHT", 1..=16),
            objects_in_flight: self.count("OBJECTS_IN_FLIGHT", 1..=64),
            bulk_timeout: self.bulk_timeout(),
            keep_no_data: self.boolean("KEEP_NODATA"),
            format: self.format(),
            enrich: self.enrich(),
            quarantine: self.quarantine(),
        }
    }

    fn quarantine(&mut self) -> QuarantineSettings {
        const NAME: &str = "QUARANTINE_URI";
        let uri = self.get(NAME);
        let place = uri.and_then(Place::parse_uri);
        if let (Some(uri), None) = (uri, &place) {
            self.problem(
                NAME,
                format!("`{uri}` is not s3://bucket/prefix, with a prefix that no flow log is under"),
            );
        }
        QuarantineSettings {
            place,
            max_lines: self.number("QUARANTINE_MAX_LINES", 0..=1_000_000),
            max_share: self.number("QUARANTINE_MAX_SHARE", 0..=100),
        }
    }

    /// Where it must be known. What is wrong with a value is told by whoever reads the other settings, too.
    pub(super) fn quarantine_place(&mut self) -> Option<Place> {
        const NAME: &str = "QUARANTINE_URI";
        if self.get(NAME).is_none() {
            self.problem(NAME, "is not set: give the s3://bucket/prefix of the function");
        }
        if !self.problems.iter().any(|problem| problem.name == NAME) {
            return self.quarantine().place;
        }
        None
    }

    fn enrich(&mut self) -> EnrichSettings {
        EnrichSettings {
            community_id: self.boolean("COMMUNITY_ID"),
            geo_city_db: self.locations("GEO_CITY_DB"),
            geo_asn_db: self.locations("GEO_ASN_DB"),
            zones: self.boolean("ZONES"),
            network_map: self.locations("NETWORK_MAP"),
        }
    }

    /// Files, by path or by URI, separated by commas.
    fn locations(&mut self, name: &'static str) -> Vec<Location> {
        let mut locations = Vec::new();
        let texts = self.get(name).unwrap_or_default().split(',').map(str::trim);
        for text in texts.filter(|text| !text.is_empty()) {
            match ObjectRef::parse_uri(text) {
                Some(object) => locations.push(Location::Object(object)),
                None if text.contains("://") => {
                    self.problem(name, format!("`{text}` is neither a path nor s3://bucket/key"));
                }
                None => locations.push(Location::Path(PathBuf::from(text))),
            }
        }
        locations
    }

    /// CloudWatch's rule for namespaces.
    pub(super) fn metrics_namespace(&mut self) -> Option<String> {
        const NAME: &str = "METRICS_NAMESPACE";
        let value = self.get(NAME).filter(|value| *value != "none")?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_/#: ".contains(c);
        if !value.chars().all(allowed) || value.len() > 255 || value.starts_with("AWS/") {
            self.problem(
                NAME,
                format!(
                    "`{value}` is no namespace: letters, digits, `.-_/#:` and blanks, at most 255, not under AWS/"
                ),
            );
        }
        Some(value.to_owned())
    }

    fn format(&mut self) -> Option<Format> {
        const NAME: &str = "FORMAT";
        let text = self.get(NAME)?;
        match Format::parse_configured(text) {
            Ok(format) => Some(format),
            Err(error) => {
                self.problem(NAME, format!("`{text}`: {error}"));
                None
            }
        }
    }

    pub(super) fn index_prefix(&mut self) -> String {
        self.index_name("INDEX_PREFIX")
    }

    pub(super) fn ledger_index(&mut self, index_prefix: &str) -> Option<String> {
        const NAME: &str = "LEDGER_INDEX";
        if self.get(NAME) == Some("none") {
            return None;
        }
        let value = self.index_name(NAME);
        for dataset in Dataset::ALL {
            let flow_logs = format!("{index_prefix}-{}", dataset.name());
            if format!("{value}-").starts_with(&format!("{flow_logs}-")) {
                self.problem(
                    NAME,
                    format!("`{value}`: {flow_logs}-* are flow logs, name the ledger otherwise"),
                );
            }
        }
        Some(value)
    }

    /// Elasticsearch allows more; these need no escaping in JSON, URLs and file names.
    fn index_name(&mut self, name: &'static str) -> String {
        let value = self.get(name).expect("index names have defaults").to_owned();
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
        if !value.starts_with(|c: char| c.is_ascii_lowercase())
            || !value.chars().all(allowed)
            || value.len() > 100
        {
            self.problem(
                name,
                format!("`{value}` is no prefix of an index name: a letter first, then a-z, 0-9, `-`, `_`, `.`, at most 100"),
            );
        }
        value
    }

    pub(super) fn queue_url(&mut self, name: &'static str) -> Option<String> {
        if self.get(name).is_none() {
            self.problem(name, "is not set: give the URL of the SQS queue");
        }
        self.optional_queue_url(name)
    }

    pub(super) fn optional_queue_url(&mut self, name: &'static str) -> Option<String> {
        let value = self.get(name)?;
        match Url::parse(value) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Some(value.to_owned()),
            _ => {
                self.problem(
                    name,
                    format!(
                        "`{value}` is not a URL such as https://sqs.eu-west-1.amazonaws.com/123456789012/name"
                    ),
                );
                None
            }
        }
    }

    pub(super) fn elasticsearch(&mut self) -> Option<ElasticsearchSettings> {
        let urls = self.elasticsearch_urls();
        let credentials = self.credentials();
        let ca_file = self.get("ELASTICSEARCH_CA_FILE").map(PathBuf::from);
        Some(ElasticsearchSettings {
            urls: urls?,
            credentials: credentials?,
            ca_file,
        })
    }

    fn elasticsearch_urls(&mut self) -> Option<Vec<Url>> {
        const NAME: &str = "ELASTICSEARCH_URLS";
        let Some(value) = self.get(NAME) else {
            self.problem(
                NAME,
                "is not set: give the URL of Elasticsearch, for example https://es.example.com:9200",
            );
            return None;
        };
        if self.holds_credentials(NAME, value) {
            return None;
        }
        let texts = value.split(',').map(str::trim);
        let texts = texts.filter(|text| !text.is_empty());
        texts.map(|text| self.url(NAME, text)).collect()
    }

    pub(super) fn kibana_url(&mut self) -> Option<Url> {
        const NAME: &str = "KIBANA_URL";
        let text = self.get(NAME)?;
        match self.holds_credentials(NAME, text) {
            true => None,
            false => self.url(NAME, text),
        }
    }

    /// They would reach logs and error texts, hence the value is not repeated. What is left of an `@` need not parse:
    /// a password may have a `#` or a comma.
    fn holds_credentials(&mut self, name: &'static str, value: &str) -> bool {
        let holds = value.contains('@');
        if holds {
            let problem = "holds an `@`, as credentials do: use ELASTICSEARCH_USERNAME and _PASSWORD";
            self.problem(name, problem);
        }
        holds
    }

    fn url(&mut self, name: &'static str, text: &str) -> Option<Url> {
        match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
                Some(with_trailing_slash(url))
            }
            _ => {
                self.problem(
                    name,
                    format!("`{text}` is not a URL that starts with http:// or https://"),
                );
                None
            }
        }
    }

    fn credentials(&mut self) -> Option<Credentials> {
        let text = |reader: &Self, name| reader.get(name).map(str::to_owned);
        let api_key = text(self, "ELASTICSEARCH_API_KEY");
        let username = text(self, "ELASTICSEARCH_USERNAME");
        let password = text(self, "ELASTICSEARCH_PASSWORD");
        let arn = text(self, "ELASTICSEARCH_SECRET_ARN");
        let file = text(self, "ELASTICSEARCH_SECRET_FILE");
        match (api_key, username, password, arn, file) {
            (None, None, None, None, None) => Some(Credentials::Anonymous),
            (Some(key), None, None, None, None) => match check_api_key(&key) {
                Ok(()) => Some(Credentials::ApiKey(key)),
                Err(message) => {
                    self.problem("ELASTICSEARCH_API_KEY", message);
                    None
                }
            },
            (None, Some(username), Some(password), None, None) => {
                Some(Credentials::Basic { username, password })
            }
            (None, None, None, Some(arn), None) => Some(Credentials::SecretArn(arn)),
            (None, None, None, None, Some(file)) => Some(Credentials::SecretFile(PathBuf::from(file))),
            (None, Some(_), None, None, None) => {
                self.problem(
                    "ELASTICSEARCH_PASSWORD",
                    "is not set, but ELASTICSEARCH_USERNAME is",
                );
                None
            }
            (None, None, Some(_), None, None) => {
                self.problem(
                    "ELASTICSEARCH_USERNAME",
                    "is not set, but ELASTICSEARCH_PASSWORD is",
                );
                None
            }
            _ => {
                self.problem(
                    "ELASTICSEARCH_API_KEY",
                    "more than one kind of credentials is set: give an API key, or user name and password, \
                     or one of _SECRET_ARN and _SECRET_FILE",
                );
                None
            }
        }
    }
}

/// Without it the last segment of a path prefix would be replaced by the API path.
fn with_trailing_slash(mut url: Url) -> Url {
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    url
}
