//! Databases of every layout, written by the tests' own writer, against what their descriptions say.

use std::io::{Seek, Write};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::{EnrichSettings, Location};
use crate::enrich::Enrichment;
use crate::object::memory::MemoryStore;

#[path = "../../../tests/support/mmdb.rs"]
mod mmdb;

use mmdb::Description;

/// A description of `tests/data/geo`, whose README says where they come from.
fn described(name: &str) -> Description {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/geo");
    Description::parse(&std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap())
}

fn local_file(bytes: &[u8]) -> LocalFile {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    LocalFile {
        location: Location::Path(PathBuf::from("/geo/db.mmdb")),
        file,
    }
}

fn geo(places: &[&Description], systems: &[&Description]) -> Geo {
    let mut geo = Geo::default();
    for description in places {
        geo.add_places(local_file(&description.write())).unwrap();
    }
    for description in systems {
        geo.add_systems(local_file(&description.write())).unwrap();
    }
    geo
}

/// The databases `city` and `asn`.
pub(crate) fn known() -> Geo {
    geo(&[&described("city")], &[&described("asn")])
}

/// Addresses that the databases `city` and `asn` know, and some like them.
pub(crate) const ADDRESSES: [&str; 12] = [
    "1.0.0.1",
    "81.2.69.142",
    "81.2.69.1",
    "81.2.127.255",
    "81.2.128.0",
    "216.160.83.57",
    "216.160.83.64",
    "203.0.113.7",
    "10.0.0.1",
    "2a02:cf47:ffff::1",
    "2600:1f18::1",
    "::ffff:81.2.69.142",
];

/// The record of the longest network that holds an address.
fn record_of(description: &Description, address: IpAddr) -> Option<&Value> {
    let holds = |network: IpAddr, length: u8| match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            (0..u32::from(length)).all(|bit| (u32::from(network) ^ u32::from(address)) << bit >> 31 == 0)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            (0..u32::from(length)).all(|bit| (u128::from(network) ^ u128::from(address)) << bit >> 127 == 0)
        }
        _ => false,
    };
    let networks = description.networks.iter();
    let held = networks.filter(|(network, length, _)| holds(*network, *length));
    held.max_by_key(|(_, length, _)| *length)
        .map(|(_, _, record)| record)
}

/// What the databases `city` and `asn` say of an address, found slowly: values by their names in ECS.
pub(crate) fn found_slowly(address: IpAddr) -> Vec<(&'static str, Value)> {
    let Some(address) = address::routed(address) else {
        return Vec::new();
    };
    let (city, asn) = (described("city"), described("asn"));
    let of = |database, pointer| record_of(database, address)?.pointer(pointer).cloned();
    let mut found = Vec::new();
    for (name, pointer) in [
        ("geo.country_iso_code", "/country/iso_code"),
        ("geo.country_name", "/country/names/en"),
        ("geo.region_name", "/subdivisions/0/names/en"),
        ("geo.city_name", "/city/names/en"),
    ] {
        found.extend(of(&city, pointer).map(|text| (name, text)));
    }
    if let (Some(country), Some(region)) = (
        of(&city, "/country/iso_code"),
        of(&city, "/subdivisions/0/iso_code"),
    ) {
        let code = format!("{}-{}", country.as_str().unwrap(), region.as_str().unwrap());
        found.push(("geo.region_iso_code", json!(code)));
    }
    if let (Some(lat), Some(lon)) = (of(&city, "/location/latitude"), of(&city, "/location/longitude")) {
        // Whole degrees are written without a point, as Rust writes them.
        let [lat, lon] = [lat, lon].map(|degrees| degrees.as_f64().unwrap().to_string());
        let [lat, lon]: [Value; 2] = [lat, lon].map(|text| text.parse().unwrap());
        found.push(("geo.location", json!({"lat": lat, "lon": lon})));
    }
    let number = of(&asn, "/autonomous_system_number").filter(|number| *number != 0);
    found.extend(number.map(|number| ("as.number", number)));
    let name = of(&asn, "/autonomous_system_organization").filter(|name| *name != "");
    found.extend(name.map(|name| ("as.organization.name", name)));
    found
}

fn lookup<'a>(geo: &'a Geo, address: &str) -> Place<'a> {
    geo.lookup(address.parse().unwrap())
}

const LONDON: Coordinates = Coordinates {
    latitude: 515_142,
    longitude: -931,
};

#[test]
fn a_nested_record_is_understood() {
    let geo = known();
    let expected = Place {
        country_iso_code: Some("GB"),
        country_name: Some("United Kingdom"),
        region_iso_code: RegionCode::new(Some("GB"), Some("ENG")),
        region_name: Some("England"),
        city_name: Some("London"),
        coordinates: Some(LONDON),
        asn: Some(20_712),
        organization: Some("Andrews & Arnold \\ Ltd"),
    };
    for address in [
        "81.2.69.142",
        "::ffff:81.2.69.142",
        "64:ff9b::5102:458e",
        "2002:5102:458e::1",
    ] {
        assert_eq!(lookup(&geo, address), expected, "{address}");
    }
    let norway = Place {
        country_iso_code: Some("NO"),
        country_name: Some("Norway"),
        coordinates: Some(Coordinates {
            latitude: 620_000,
            longitude: 100_000,
        }),
        ..Place::default()
    };
    assert_eq!(lookup(&geo, "2a02:cf40::1"), norway);
}

#[test]
fn what_is_not_known_or_not_routed_has_no_place() {
    let geo = known();
    for address in [
        "1.0.0.1",
        "8.8.8.8",
        "2a03::1",
        "10.0.0.1",
        "203.0.113.7",
        "::1",
        "::ffff:10.0.0.1",
    ] {
        assert_eq!(lookup(&geo, address), Place::default(), "{address}");
    }
}

#[test]
fn subdivisions_without_codes_have_names_only() {
    let geo = geo(&[&described("city-dbip")], &[]);
    let expected = Place {
        country_iso_code: Some("GB"),
        country_name: Some("United Kingdom"),
        region_name: Some("England"),
        city_name: Some("London"),
        // 51.50853, -0.12574
        coordinates: Some(Coordinates {
            latitude: 515_085,
            longitude: -1257,
        }),
        ..Place::default()
    };
    assert_eq!(lookup(&geo, "81.2.69.142"), expected);
}

#[test]
fn flat_files_of_two_families_are_one_database() {
    let (v4, v6) = (described("city-flat-ipv4"), described("city-flat-ipv6"));
    let london = Place {
        country_iso_code: Some("GB"),
        region_name: Some("England"),
        city_name: Some("London"),
        coordinates: Some(LONDON),
        ..Place::default()
    };
    let us = Place {
        country_iso_code: Some("US"),
        ..Place::default()
    };
    let oslo = Place {
        country_iso_code: Some("NO"),
        region_name: Some("Oslo"),
        city_name: Some("Oslo"),
        coordinates: Some(Coordinates {
            latitude: 599_127,
            longitude: 107_461,
        }),
        ..Place::default()
    };
    for order in [[&v4, &v6], [&v6, &v4]] {
        let geo = geo(&order, &[]);
        assert_eq!(lookup(&geo, "81.2.69.142"), london);
        assert_eq!(lookup(&geo, "216.160.83.57"), us);
        assert_eq!(lookup(&geo, "2a02:cf40::1"), oslo);
        assert_eq!(lookup(&geo, "2a03::1"), Place::default());
    }
    assert_eq!(lookup(&geo(&[&v4], &[]), "2a02:cf40::1"), Place::default());
    assert_eq!(lookup(&geo(&[&v6], &[]), "81.2.69.142"), Place::default());
}

fn one(database_type: &str, record: Value) -> Description {
    Description {
        database_type: database_type.to_owned(),
        ip_version: 4,
        record_size: 24,
        has_floats: false,
        networks: vec![("8.8.8.0".parse().unwrap(), 24, record)],
    }
}

#[test]
fn databases_of_countries_alone_are_understood() {
    let nested = json!({"country": {"iso_code": "US", "names": {"en": "United States"}}});
    let nested = geo(&[&one("GeoLite2-Country", nested)], &[]);
    assert_eq!(lookup(&nested, "8.8.8.8").country_name, Some("United States"));
    let flat = geo(&[&one("country ipv4", json!({"country_code": "US"}))], &[]);
    let us = Place {
        country_iso_code: Some("US"),
        ..Place::default()
    };
    assert_eq!(lookup(&flat, "8.8.8.8"), us);
}

#[test]
fn the_first_database_that_has_a_record_is_taken() {
    let (first, second) = (
        one("a", json!({"country_code": "AA"})),
        one("b", json!({"country_code": "BB"})),
    );
    assert_eq!(
        lookup(&geo(&[&first, &second], &[]), "8.8.8.8").country_iso_code,
        Some("AA")
    );
    assert_eq!(
        lookup(&geo(&[&described("city"), &second], &[]), "8.8.8.8").country_iso_code,
        Some("BB")
    );
}

#[test]
fn a_point_that_is_not_on_the_globe_is_left_out() {
    for (latitude, longitude, expected) in [
        (json!(90), json!(-180), Some((900_000, -1_800_000))),
        (json!(-90.0), json!(180.0), Some((-900_000, 1_800_000))),
        (json!(-0.00001), json!(0.00005), Some((0, 1))),
        (json!(90.1), json!(0), None),
        (json!(0), json!(-180.1), None),
        (json!(1e300), json!(0), None),
    ] {
        let record = json!({"country_code": "US", "latitude": latitude, "longitude": longitude});
        let geo = geo(&[&one("city ipv4", record)], &[]);
        let found = lookup(&geo, "8.8.8.8")
            .coordinates
            .map(|point| (point.latitude, point.longitude));
        assert_eq!(found, expected, "{latitude} {longitude}");
    }
    assert_eq!(Coordinates::new(f64::NAN, 0.0), None);
}

#[test]
fn a_code_that_is_none_of_iso_3166_2_is_left_out() {
    let code = |country, region| RegionCode::new(Some(country), Some(region)).map(|code| format!("{code:?}"));
    assert_eq!(code("US", "OR").as_deref(), Some("US-OR"));
    assert_eq!(code("FR", "6AE").as_deref(), Some("FR-6AE"));
    for (country, region) in [
        ("US", ""),
        ("", "OR"),
        ("USA", "OR"),
        ("US", "US-OR"),
        ("US", "O\""),
        ("é", "OR"),
    ] {
        assert_eq!(code(country, region), None, "{country} {region}");
    }
}

#[test]
fn a_record_that_cannot_be_read_is_a_miss() {
    let mut description = one("country ipv4", json!({"country_code": "US"}));
    let wrong = json!({"country_code": 7});
    description.networks.push(("9.9.9.0".parse().unwrap(), 24, wrong));
    let geo = geo(&[&description], &[]);
    assert_eq!(lookup(&geo, "9.9.9.9"), Place::default());
    assert_eq!(lookup(&geo, "8.8.8.8").country_iso_code, Some("US"));
}

#[tokio::test]
async fn databases_are_opened_by_path_and_from_s3() {
    let store = MemoryStore::default();
    let path = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&path, described("city").write()).unwrap();
    let settings = EnrichSettings {
        community_id: false,
        geo_city_db: vec![Location::Path(path.path().to_owned())],
        geo_asn_db: vec![Location::Object(store.put("asn.mmdb", described("asn").write()))],
        zones: true,
        network_map: Vec::new(),
    };
    let enrichment = Enrichment::open(&settings, async || store.clone()).await.unwrap();
    let geo = enrichment.geo.unwrap();
    let place = lookup(&geo, "81.2.69.142");
    assert_eq!((place.city_name, place.asn), (Some("London"), Some(20_712)));
    assert!(!enrichment.community_id);
}

#[tokio::test]
async fn databases_that_cannot_be_used_are_told_with_their_setting() {
    let store = MemoryStore::default();
    let object = |name: &str, bytes: Vec<u8>| Location::Object(store.put(name, bytes));
    let city = described("city").write();
    let nothing = Description {
        networks: Vec::new(),
        ..described("city")
    };
    let settings = EnrichSettings {
        community_id: true,
        geo_city_db: vec![
            object("good.mmdb", city.clone()),
            object("asn.mmdb", described("asn").write()),
            object("a.csv", b"1.0.0.0,1.0.0.255,AU\n".repeat(99)),
            object("cut.mmdb", city[city.len() / 2..].to_vec()),
            object("nothing.mmdb", nothing.write()),
            object(
                "text.mmdb",
                one("city", json!({"country_code": "US", "latitude": "51.5"})).write(),
            ),
            object(
                "vpn.mmdb",
                one("GeoIP2-Anonymous-IP", json!({"is_vpn": true, "is_tor": true})).write(),
            ),
            Location::Object(crate::object::ObjectRef::parse_uri("s3://logs/missing.mmdb").unwrap()),
        ],
        geo_asn_db: vec![
            object("city.mmdb", city),
            object("list.mmdb", one("x\n", json!(["a"])).write()),
        ],
        zones: true,
        network_map: Vec::new(),
    };
    let error = Enrichment::open(&settings, async || store.clone())
        .await
        .unwrap_err();
    insta::assert_snapshot!(error, @r#"
    FLOWSHIP_GEO_CITY_DB: s3://logs/missing.mmdb: NoSuchKey
    FLOWSHIP_GEO_CITY_DB: s3://logs/asn.mmdb is a database of type `GeoLite2-ASN` (it tells autonomous systems); needed are places: `country.iso_code` as in GeoLite2, GeoIP2 and DB-IP, or `country_code` as in ip-location-db
    FLOWSHIP_GEO_CITY_DB: s3://logs/a.csv cannot be read as a MaxMind database (mmdb): invalid database: could not find MaxMind DB metadata in file
    FLOWSHIP_GEO_CITY_DB: s3://logs/cut.mmdb cannot be read as a MaxMind database (mmdb): invalid database: the MaxMind DB file's search tree extends beyond the metadata section
    FLOWSHIP_GEO_CITY_DB: s3://logs/nothing.mmdb is a database of type `GeoLite2-City` (it has no records); needed are places: `country.iso_code` as in GeoLite2, GeoIP2 and DB-IP, or `country_code` as in ip-location-db
    FLOWSHIP_GEO_CITY_DB: s3://logs/text.mmdb cannot be read as a MaxMind database (mmdb): decoding error: invalid type: string "51.5", expected a number
    FLOWSHIP_GEO_CITY_DB: s3://logs/vpn.mmdb is a database of type `GeoIP2-Anonymous-IP` (its first record has `is_tor`, `is_vpn`); needed are places: `country.iso_code` as in GeoLite2, GeoIP2 and DB-IP, or `country_code` as in ip-location-db
    FLOWSHIP_GEO_ASN_DB: s3://logs/city.mmdb is a database of type `GeoLite2-City` (it tells places); needed are autonomous systems: `autonomous_system_number` as in GeoLite2, DB-IP and ip-location-db
    FLOWSHIP_GEO_ASN_DB: s3://logs/list.mmdb cannot be read as a MaxMind database (mmdb): decoding error at offset 2: expected map, got type 11
    "#);
}

/// Networks of both families with an own record each, a third of them inside one another.
fn networks(ip_version: u8) -> impl Strategy<Value = Vec<(IpAddr, u8)>> {
    let v4 = (0x5102_0000..0x5102_4000_u32, 14..=32_u8).prop_map(|(bits, length)| {
        let mask = u32::MAX << (32 - length);
        (IpAddr::V4((bits & mask).into()), length)
    });
    let v6 = (0..0x4000_u128, 100..=128_u8).prop_map(|(low, length)| {
        let mask = u128::MAX << (128 - length);
        let bits = 0x2a02_cf40_u128 << 96 | low;
        (IpAddr::V6((bits & mask).into()), length)
    });
    let network = if ip_version == 4 {
        v4.boxed()
    } else {
        prop_oneof![v4, v6].boxed()
    };
    prop::collection::vec(network, 1..40)
}

fn any_description() -> impl Strategy<Value = Description> {
    (
        prop::sample::select(vec![4_u8, 6]),
        prop::sample::select(vec![24_u8, 28, 32]),
    )
        .prop_flat_map(|(ip_version, record_size)| {
            networks(ip_version).prop_map(move |mut networks| {
                networks.sort();
                networks.dedup();
                let record = |number: usize| json!({"country_code": "US", "city": format!("city {number}")});
                Description {
                    database_type: "city".to_owned(),
                    ip_version,
                    record_size,
                    has_floats: true,
                    networks: networks
                        .into_iter()
                        .enumerate()
                        .map(|(number, (address, length))| (address, length, record(number)))
                        .collect(),
                }
            })
        })
}

fn any_address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (0x5102_0000..0x5102_4000_u32).prop_map(|bits| IpAddr::V4(bits.into())),
        (0..0x4000_u128).prop_map(|low| IpAddr::V6((0x2a02_cf40_u128 << 96 | low).into())),
    ]
}

proptest! {
    #[test]
    fn the_record_of_the_longest_network_is_found(
        description in any_description(), addresses in prop::collection::vec(any_address(), 1..40),
    ) {
        maxminddb::Reader::from_source(description.write()).unwrap().verify().unwrap();
        let geo = geo(&[&description], &[]);
        for address in addresses {
            let expected = record_of(&description, address).map(|record| record["city"].as_str().unwrap());
            prop_assert_eq!(geo.lookup(address).city_name, expected, "{}", address);
        }
    }

    /// A damaged file is refused or has misses.
    #[test]
    fn no_file_panics(damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20), cut in 0..200_usize) {
        let mut bytes = described("city").write();
        for (position, byte) in damage {
            let position = position.index(bytes.len());
            bytes[position] = byte;
        }
        bytes.truncate(bytes.len() - cut);
        let mut geo = Geo::default();
        if geo.add_places(local_file(&bytes)).is_ok() {
            for address in ADDRESSES {
                lookup(&geo, address);
            }
        }
    }
}
