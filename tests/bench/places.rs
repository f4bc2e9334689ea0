//! What is known of the addresses in the objects of [`objects`](crate::objects): geo databases as large as a bench
//! needs them, and the subnets of the VPCs. Everything is made up, and the same in every run.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::mmdb::Description;
use crate::objects::{NUM_VPCS, PUBLIC, SUBNETS_PER_VPC, mix, subnet_id, vpc_id, zone_id};

const NUM_COUNTRIES: u64 = 120;
const NUM_REGIONS: u64 = 900;
const NUM_CITIES: u64 = 4_000;
const NUM_SYSTEMS: u64 = 3_000;
/// The subnets of a VPC in the map, most of them without traffic: 1,000 in all.
const MAPPED_PER_VPC: u64 = 250;

/// The files of one folder.
pub(crate) struct Places {
    pub(crate) city_database: PathBuf,
    pub(crate) asn_database: PathBuf,
    /// As `aws ec2 describe-subnets` prints it.
    pub(crate) subnets: PathBuf,
}

impl Places {
    /// Writes the files. Cities are told for networks of `network_bits`, 8 to 24: 18 make 102,400 networks.
    pub(crate) fn write(folder: &Path, network_bits: u8) -> Self {
        let places = Self {
            city_database: folder.join("city.mmdb"),
            asn_database: folder.join("asn.mmdb"),
            subnets: folder.join("subnets.json"),
        };
        let city = database("GeoLite2-City", network_bits, |network| {
            city(mix(network) % NUM_CITIES)
        });
        let asn = database("GeoLite2-ASN", network_bits.min(16), |network| {
            let number = mix(network + 1) % NUM_SYSTEMS;
            json!({
                "autonomous_system_number": 1_000 + number,
                "autonomous_system_organization": format!("Example Network {number} Ltd"),
            })
        });
        for (path, bytes) in [
            (&places.city_database, city.write()),
            (&places.asn_database, asn.write()),
            (&places.subnets, subnets().to_string().into_bytes()),
        ] {
            fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
        places
    }
}

fn database(database_type: &str, network_bits: u8, record: impl Fn(u64) -> Value) -> Description {
    let per_first_number = 1_u32 << (network_bits - 8);
    let networks = PUBLIC.flat_map(|first| {
        let record = &record;
        (0..per_first_number).map(move |network| {
            let address = u32::from(first) << 24 | network << (32 - network_bits);
            let address = IpAddr::V4(Ipv4Addr::from_bits(address));
            (
                address,
                network_bits,
                record(u64::from(network) << 8 | u64::from(first)),
            )
        })
    });
    Description {
        database_type: database_type.to_owned(),
        ip_version: 6,
        record_size: 28,
        has_floats: false,
        networks: networks.collect(),
    }
}

/// A record with what a program has to pass over, too: names in other languages, ids, a time zone.
fn city(number: u64) -> Value {
    let (region, country) = (number % NUM_REGIONS, number % NUM_REGIONS % NUM_COUNTRIES);
    let names = |what: &str, number: u64| json!({"de": format!("{what}stadt {number}"), "en": format!("{what} {number}"), "fr": format!("La {what} {number}")});
    let degrees = |bits: u64, limit: u64| {
        let ten_thousandths = u32::try_from(bits % (2 * limit)).expect("a circle has fewer");
        f64::from(ten_thousandths) / 10_000.0 - f64::from(u32::try_from(limit).expect("as above")) / 10_000.0
    };
    let letter = |number: u64| char::from(b'A' + u8::try_from(number % 26).expect("26 letters"));
    json!({
        "city": {"geoname_id": 5_000_000 + number, "names": names("City", number)},
        "continent": {"code": "EU", "geoname_id": 6_255_148, "names": names("Continent", country % 6)},
        "country": {
            "geoname_id": 2_000_000 + country,
            "iso_code": String::from_iter([letter(country / 26), letter(country)]),
            "names": names("Country", country),
        },
        "location": {
            "accuracy_radius": 20,
            "latitude": degrees(mix(number), 600_000),
            "longitude": degrees(mix(number + 1), 1_800_000),
            "time_zone": "Europe/London",
        },
        "subdivisions": [{
            "geoname_id": 3_000_000 + region,
            "iso_code": format!("{region:03}"),
            "names": names("Region", region),
        }],
    })
}

fn subnets() -> Value {
    let subnets = (0..NUM_VPCS).flat_map(|vpc| {
        (0..MAPPED_PER_VPC).map(move |position| {
            let number = if position < SUBNETS_PER_VPC {
                vpc * SUBNETS_PER_VPC + position
            } else {
                1_000 + vpc * MAPPED_PER_VPC + position
            };
            let (second, third) = (16 * (vpc + 1) + position / 16, position % 16 * 16);
            json!({
                "SubnetId": subnet_id(number),
                "VpcId": vpc_id(vpc),
                "AvailabilityZoneId": zone_id(number),
                "CidrBlock": format!("10.{second}.{third}.0/20"),
                "Ipv6CidrBlockAssociationSet": [],
            })
        })
    });
    json!({"Subnets": subnets.collect::<Vec<_>>()})
}
