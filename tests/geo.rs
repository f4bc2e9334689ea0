//! Geo databases: `flowctl convert` with files alone, the function with files from S3, the layer.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::mmdb::Description;
use crate::support::stack::repository;
use crate::support::{World, gzip};

/// A database of `tests/data/geo`.
fn database(name: &str) -> Vec<u8> {
    let path = repository("tests/data/geo").join(format!("{name}.json"));
    Description::parse(&fs::read_to_string(path).unwrap()).write()
}

fn known(name: &str) -> String {
    fs::read_to_string(repository("tests/data/flowlogs-known").join(name)).unwrap()
}

fn values(ndjson: &str) -> Vec<Value> {
    ndjson
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn convert_needs_the_files_and_nothing_of_aws() {
    let folder = tempfile::tempdir().unwrap();
    let (city, asn) = (folder.path().join("city.mmdb"), folder.path().join("asn.mmdb"));
    fs::write(&city, database("city")).unwrap();
    fs::write(&asn, database("asn")).unwrap();
    let convert = |asn: &Path| {
        Command::new(env!("CARGO_BIN_EXE_flowctl"))
            .env_clear()
            .env("FLOWSHIP_GEO_CITY_DB", &city)
            .env("FLOWSHIP_GEO_ASN_DB", asn)
            .args(["convert", "--keep-nodata"])
            .arg(repository("tests/data/flowlogs-known/geo.log"))
            .output()
            .unwrap()
    };
    let output = convert(&asn);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let documents = String::from_utf8(output.stdout).unwrap();
    assert_eq!(values(&documents), values(&known("geo.expected.ndjson")));

    let output = convert(&city);
    assert_eq!((output.status.code(), output.stdout), (Some(1), Vec::new()));
    let told = String::from_utf8(output.stderr).unwrap();
    let told = told.replace(city.to_str().unwrap(), "/city.mmdb");
    insta::assert_snapshot!(told, @"flowctl: FLOWSHIP_GEO_ASN_DB: /city.mmdb is a database of type `GeoLite2-City` (it tells places); needed are autonomous systems: `autonomous_system_number` as in GeoLite2, DB-IP and ip-location-db");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_with_databases_from_s3_makes_places_searchable() {
    let mut world = World::new("geo").await;
    for (variable, name) in [("FLOWSHIP_GEO_CITY_DB", "city"), ("FLOWSHIP_GEO_ASN_DB", "asn")] {
        let uri = world.put_elsewhere(&format!("{name}.mmdb"), database(name)).await;
        world.variables.insert(variable.to_owned(), uri);
    }
    world.put("geo.log.gz", gzip(known("geo.log").as_bytes())).await;
    let (summary, _) = world.drain().await;
    assert_eq!(summary.failed, 0, "{summary:?}");
    assert_eq!(world.num_documents().await, 5);

    let count =
        async |query: Value| world.search(&json!({"query": query})).await["hits"]["total"]["value"].clone();
    // The two sources in London are 2.8 km from one another.
    let center = json!({"lat": 51.5142, "lon": -0.0931});
    let near =
        |kilometres: &str| json!({"geo_distance": {"distance": kilometres, "source.geo.location": center}});
    assert_eq!(count(near("10km")).await, 2);
    assert_eq!(count(near("1km")).await, 1);
    let north_west = json!({"top_left": {"lat": 49, "lon": -125}, "bottom_right": {"lat": 45, "lon": -116}});
    let washington = json!({"geo_bounding_box": {"destination.geo.location": north_west}});
    assert_eq!(count(washington).await, 1);
    assert_eq!(
        count(json!({"range": {"source.as.number": {"gte": 20712}}})).await,
        2
    );

    let terms = |field: &str| json!({"terms": {"field": field}});
    let found = world
        .search(&json!({"size": 0, "aggs": {
            "countries": terms("source.geo.country_iso_code"),
            "systems": terms("destination.as.organization.name"),
        }}))
        .await;
    let buckets = |name: &str| -> Vec<(String, u64)> {
        let buckets = found["aggregations"][name]["buckets"].as_array().unwrap().iter();
        buckets
            .map(|bucket| {
                let key = bucket["key"].as_str().unwrap().to_owned();
                (key, bucket["doc_count"].as_u64().unwrap())
            })
            .collect()
    };
    assert_eq!(buckets("countries"), [("GB".to_owned(), 2), ("NO".to_owned(), 1)]);
    let one = |name: &str| (name.to_owned(), 1);
    assert_eq!(buckets("systems"), [one("Example-Cloud"), one("Example-US-West")]);
}

fn build_layer(folder: &Path, files: &[&str]) -> Output {
    Command::new(repository("infra/geo-layer/build"))
        .current_dir(folder)
        .args(files)
        .output()
        .unwrap()
}

#[test]
fn a_layer_holds_the_files_where_the_settings_look_for_them() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for name in ["city", "asn"] {
        fs::write(folder.join(format!("{name}.mmdb")), database(name)).unwrap();
    }
    let output = build_layer(folder, &["city.mmdb", "asn.mmdb"]);
    assert!(output.status.success(), "{output:?}");
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(told, "/opt/geo/asn.mmdb\n/opt/geo/city.mmdb\n");
    // What Lambda does with a layer: it is unpacked into /opt.
    let unpacked = Command::new("python3")
        .current_dir(folder)
        .args(["-m", "zipfile", "-e", "geo-layer.zip", "opt"])
        .status()
        .unwrap();
    assert!(unpacked.success());
    for name in ["city", "asn"] {
        let unpacked = fs::read(folder.join(format!("opt/geo/{name}.mmdb"))).unwrap();
        assert_eq!(unpacked, database(name));
    }
}

#[test]
fn a_layer_is_not_made_of_what_is_no_database() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("city.mmdb"), database("city")).unwrap();
    fs::write(folder.join("a.mmdb.gz"), gzip(&database("city"))).unwrap();
    fs::write(folder.join("b.csv"), "1.0.0.0,1.0.0.255,AU\n").unwrap();
    let output = build_layer(folder, &["city.mmdb", "a.mmdb.gz", "b.csv", "./city.mmdb"]);
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(String::from_utf8(output.stderr).unwrap(), @"
    a.mmdb.gz: is compressed with gzip: unpack it first
    b.csv: is no mmdb file
    city.mmdb: given twice
    ");
    assert!(!folder.join("geo-layer.zip").exists());
}
