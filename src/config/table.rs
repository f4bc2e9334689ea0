//! The table of settings.

/// One setting: an environment variable `FLOWSHIP_<name>`.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Name without the prefix `FLOWSHIP_`.
    pub name: &'static str,
    /// Value when it is not set; `None`: none.
    pub default: Option<&'static str>,
    /// What it means, with its unit and limits.
    pub meaning: &'static str,
}

const fn setting(name: &'static str, default: Option<&'static str>, meaning: &'static str) -> Setting {
    Setting {
        name,
        default,
        meaning,
    }
}

/// Every setting of every binary.
pub const SETTINGS: [Setting; 32] = [
    setting(
        "ELASTICSEARCH_URLS",
        None,
        "URLs of the cluster's nodes or of its load balancer, separated by commas",
    ),
    setting("ELASTICSEARCH_API_KEY", None, "API key in its encoded form"),
    setting(
        "ELASTICSEARCH_USERNAME",
        None,
        "user name, together with ELASTICSEARCH_PASSWORD",
    ),
    setting(
        "ELASTICSEARCH_PASSWORD",
        None,
        "password, together with ELASTICSEARCH_USERNAME",
    ),
    setting(
        "ELASTICSEARCH_SECRET_ARN",
        None,
        "secret in Secrets Manager: JSON with `api_key`, or with `username` and `password`",
    ),
    setting("ELASTICSEARCH_SECRET_FILE", None, "file with the same JSON"),
    setting(
        "ELASTICSEARCH_CA_FILE",
        None,
        "PEM file with the certificate of a private CA",
    ),
    setting(
        "KIBANA_URL",
        None,
        "URL of Kibana, for flowctl setup; the credentials are Elasticsearch's",
    ),
    setting(
        "INDEX_PREFIX",
        Some("flowlogs"),
        "first part of index and template names: a-z, 0-9, `-`, `_`, `.`",
    ),
    setting(
        "LEDGER_INDEX",
        Some("flowship-ledger"),
        "first part of the names of the ledger's indices and template; `none`: no ledger",
    ),
    setting("QUEUE_URL", None, "URL of the main queue"),
    setting("DLQ_URL", None, "URL of the dead-letter queue"),
    setting(
        "QUARANTINE_URI",
        None,
        "s3://bucket/prefix for single bad lines; without it an object that has one is dead-lettered",
    ),
    setting(
        "QUARANTINE_MAX_LINES",
        Some("1000"),
        "bad lines of an object that are kept aside whatever their share, 0 to 1,000,000",
    ),
    setting(
        "QUARANTINE_MAX_SHARE",
        Some("10"),
        "percent of an object's lines that are kept aside where there are more, 0 to 100",
    ),
    setting(
        "BULK_MAX_BYTES",
        Some("4194304"),
        "largest bulk body before compression, 1 MiB to 64 MiB",
    ),
    setting(
        "BULK_IN_FLIGHT",
        Some("2"),
        "bulk requests at the same time, 1 to 16",
    ),
    setting(
        "OBJECTS_IN_FLIGHT",
        Some("4"),
        "objects read at the same time, 1 to 64",
    ),
    setting(
        "BULK_TIMEOUT_MS",
        Some("90000"),
        "longest wait for one bulk answer, 1,000 to 900,000 ms",
    ),
    setting(
        "DEADLINE_MARGIN_MS",
        Some("20000"),
        "time kept free before an invocation ends, 500 to 300,000 ms",
    ),
    setting(
        "MAX_RECEIVES",
        Some("5"),
        "receives after which a message is dead-lettered, 1 to 1,000",
    ),
    setting(
        "BACKOFF_BASE_SECONDS",
        Some("300"),
        "longest wait after the first receive that failed, doubled by each further one, 1 to 3,600 s",
    ),
    setting(
        "BACKOFF_MAX_SECONDS",
        Some("3600"),
        "longest wait after any receive, 1 to 39,600 s",
    ),
    setting(
        "KEEP_NODATA",
        Some("false"),
        "index NODATA records too: true or false",
    ),
    setting(
        "FORMAT",
        None,
        "fields of objects without a header line, such as `version srcaddr dstaddr`, with or without ${…}",
    ),
    setting(
        "COMMUNITY_ID",
        Some("true"),
        "write network.community_id, a fifth of the store: true or false",
    ),
    setting(
        "GEO_CITY_DB",
        None,
        "mmdb files with countries or cities: paths or s3://bucket/key, separated by commas",
    ),
    setting(
        "GEO_ASN_DB",
        None,
        "mmdb files with autonomous systems: paths or s3://bucket/key, separated by commas",
    ),
    setting(
        "ZONES",
        Some("true"),
        "write the zones of both ends, as far as they are known: true or false",
    ),
    setting(
        "NETWORK_MAP",
        None,
        "JSON of describe-subnets and describe-network-interfaces: paths or s3://bucket/key, separated by commas",
    ),
    setting(
        "METRICS_NAMESPACE",
        Some("flowship"),
        "CloudWatch namespace of the function's metrics; `none`: no metrics",
    ),
    setting(
        "LOG",
        Some("info"),
        "log filter: error, warn, info, debug, trace, or per module",
    ),
];
