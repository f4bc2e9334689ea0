use super::*;

fn environment(values: &[(&str, &str)]) -> Environment {
    let values = values
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Environment { values }
}

const GOOD: [(&str, &str); 2] = [
    ("ELASTICSEARCH_URLS", "http://127.0.0.1:9200"),
    ("DLQ_URL", "http://127.0.0.1:4566/000000000000/dlq"),
];

#[test]
fn defaults_are_those_of_the_table() {
    let settings = ShipperSettings::read(&environment(&GOOD)).unwrap();
    assert_eq!(settings.ship.bulk_max_bytes, 4 << 20);
    assert_eq!(settings.ship.index_prefix, "flowlogs");
    assert_eq!(settings.ledger_index.as_deref(), Some("flowship-ledger"));
    assert_eq!(settings.deadline_margin, Duration::from_secs(20));
    assert_eq!(settings.elasticsearch.credentials, Credentials::Anonymous);
    assert_eq!(settings.elasticsearch.urls[0].as_str(), "http://127.0.0.1:9200/");
}

#[test]
fn all_problems_are_reported_at_once() {
    let environment = environment(&[
        ("ELASTICSEARCH_URLS", "localhost"),
        ("ELASTICSEARCH_USERNAME", "shipper"),
        ("INDEX_PREFIX", "Flow"),
        ("BULK_MAX_BYTES", "4MB"),
        ("KEEP_NODATA", "yes"),
        ("FORMAT", "srcaddr srcaddr"),
        ("GEO_CITY_DB", "a.mmdb, s3://bucket, https://example.com/b.mmdb"),
        ("QUARANTINE_URI", "s3://bucket/"),
        ("QUARANTINE_MAX_SHARE", "101"),
        ("MAX_RECEIVES", "0"),
        ("BACKOFF_MAX_SECONDS", "43200"),
        ("METRICS_NAMESPACE", "AWS/Lambda"),
    ]);
    insta::assert_snapshot!(ShipperSettings::read(&environment).unwrap_err(), @"
    FLOWSHIP_ELASTICSEARCH_URLS: `localhost` is not a URL that starts with http:// or https://
    FLOWSHIP_ELASTICSEARCH_PASSWORD is not set, but ELASTICSEARCH_USERNAME is
    FLOWSHIP_INDEX_PREFIX: `Flow` is no prefix of an index name: a letter first, then a-z, 0-9, `-`, `_`, `.`, at most 100
    FLOWSHIP_BULK_MAX_BYTES: `4MB` is not a whole number from 1048576 to 67108864
    FLOWSHIP_KEEP_NODATA: `yes` is neither true nor false
    FLOWSHIP_FORMAT: `srcaddr srcaddr`: the header names the column `srcaddr` twice
    FLOWSHIP_GEO_CITY_DB: `s3://bucket` is neither a path nor s3://bucket/key
    FLOWSHIP_GEO_CITY_DB: `https://example.com/b.mmdb` is neither a path nor s3://bucket/key
    FLOWSHIP_QUARANTINE_URI: `s3://bucket/` is not s3://bucket/prefix, with a prefix that no flow log is under
    FLOWSHIP_QUARANTINE_MAX_SHARE: `101` is not a whole number from 0 to 100
    FLOWSHIP_DLQ_URL is not set: give the URL of the SQS queue
    FLOWSHIP_MAX_RECEIVES: `0` is not a whole number from 1 to 1000
    FLOWSHIP_BACKOFF_MAX_SECONDS: `43200` is not a whole number from 1 to 39600
    FLOWSHIP_METRICS_NAMESPACE: `AWS/Lambda` is no namespace: letters, digits, `.-_/#:` and blanks, at most 255, not under AWS/
    ");
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let error = ElasticsearchSettings::read(&environment(&[("ELASTICSEARCH_URLS", " ")])).unwrap_err();
    insta::assert_snapshot!(error, @"FLOWSHIP_ELASTICSEARCH_URLS is not set: give the URL of Elasticsearch, for example https://es.example.com:9200");
}

#[test]
fn secrets_are_in_no_message_and_in_no_debug_text() {
    let bad = environment(&[
        ("ELASTICSEARCH_URLS", "https://elastic:hunter2@es:9200"),
        ("ELASTICSEARCH_API_KEY", "hunter2\n!"),
        ("ELASTICSEARCH_PASSWORD", "hunter2"),
    ]);
    let error = ElasticsearchSettings::read(&bad).unwrap_err();
    assert_eq!(error.problems.len(), 2);
    let good = environment(&[
        ("ELASTICSEARCH_URLS", "https://es"),
        ("ELASTICSEARCH_API_KEY", "aHVudGVyMg=="),
    ]);
    let settings = ElasticsearchSettings::read(&good).unwrap();
    let told = format!("{error} {error:?} {bad:?} {settings:?}");
    assert!(
        !told.contains("hunter2") && !told.contains("aHVudGVyMg"),
        "{told}"
    );
}

/// A `#` ends the host, a comma the URL, and what stands before the first `:` is a scheme: none parses as meant.
#[test]
fn credentials_in_what_is_no_url_are_not_repeated() {
    for wrong in [
        "https://elastic:p#hunter2@es:9200",
        "https://elastic:hunter2,4@es:9200",
        "elastic:hunter2@es:9200",
        "https://elastic#hunter2@es:9200",
    ] {
        let environment = environment(&[("ELASTICSEARCH_URLS", wrong), ("KIBANA_URL", wrong)]);
        let error = ElasticsearchSettings::read(&environment).unwrap_err();
        let kibana = read_kibana_url(&environment).unwrap_err();
        let told = format!("{error} {error:?} {kibana} {kibana:?}");
        assert!(!told.contains("hunter2") && !told.contains("es:9200"), "{told}");
        insta::allow_duplicates! {
            insta::assert_snapshot!(error, @"FLOWSHIP_ELASTICSEARCH_URLS: holds an `@`, as credentials do: use ELASTICSEARCH_USERNAME and _PASSWORD");
        }
    }
}

#[test]
fn several_urls_and_path_prefixes_are_kept() {
    let environment = environment(&[("ELASTICSEARCH_URLS", "https://a:9200/es, https://b:9200")]);
    let settings = ElasticsearchSettings::read(&environment).unwrap();
    let urls: Vec<&str> = settings.urls.iter().map(Url::as_str).collect();
    assert_eq!(urls, ["https://a:9200/es/", "https://b:9200/"]);
}

#[test]
fn files_are_named_by_path_or_uri() {
    let environment = environment(&[("GEO_CITY_DB", " /opt/geo/v4.mmdb, s3://bucket/a b/v6.mmdb,")]);
    let settings = ShipSettings::read(&environment).unwrap().enrich;
    let object = ObjectRef::parse_uri("s3://bucket/a b/v6.mmdb").unwrap();
    assert_eq!(
        settings.geo_city_db,
        [
            Location::Path("/opt/geo/v4.mmdb".into()),
            Location::Object(object)
        ]
    );
    assert_eq!(settings.geo_asn_db, []);
}

#[test]
fn shipping_lines_again_needs_the_functions_settings_but_no_queues() {
    let values = [GOOD[0], ("QUARANTINE_URI", "s3://kept/bad")];
    let settings = ReplaySettings::read(&environment(&values), true).unwrap();
    assert_eq!(settings.place.to_string(), "s3://kept/bad/");
    assert!(settings.elasticsearch.is_some());
    let only_looks = ReplaySettings::read(&environment(&values[1..]), false).unwrap();
    assert!(only_looks.elasticsearch.is_none());
    let problems = ReplaySettings::read(&environment(&[("KEEP_NODATA", "yes")]), true).unwrap_err();
    insta::assert_snapshot!(problems, @"
    FLOWSHIP_ELASTICSEARCH_URLS is not set: give the URL of Elasticsearch, for example https://es.example.com:9200
    FLOWSHIP_KEEP_NODATA: `yes` is neither true nor false
    FLOWSHIP_QUARANTINE_URI is not set: give the s3://bucket/prefix of the function
    ");
    let wrong = environment(&[("QUARANTINE_URI", "s3://kept")]);
    let problems = ReplaySettings::read(&wrong, false).unwrap_err();
    insta::assert_snapshot!(problems, @"FLOWSHIP_QUARANTINE_URI: `s3://kept` is not s3://bucket/prefix, with a prefix that no flow log is under");
    assert_eq!(read_quarantine_place(&wrong).unwrap_err(), problems);
}
