//! What the command line prints → zones of addresses, and what is refused.

use super::*;
use crate::outcome::error_chain;

const SUBNETS: &str = r#"{"Subnets": [
    {"SubnetId": "subnet-1", "VpcId": "vpc-a", "AvailabilityZoneId": "use1-az1", "CidrBlock": "10.0.0.0/24"},
    {"SubnetId": "subnet-2", "VpcId": "vpc-b", "AvailabilityZoneId": "use1-az2", "CidrBlock": "10.0.0.0/16"}
]}"#;

fn read(files: &[&str]) -> Result<NetworkMap, Vec<NetworkMapError>> {
    let names = ["one.json", "two.json", "three.json"].map(str::to_owned);
    NetworkMap::read(names.into_iter().zip(files.iter().map(|file| file.as_bytes())))
}

fn told(files: &[&str]) -> String {
    let errors = read(files).unwrap_err();
    let errors: Vec<String> = errors.iter().map(|error| error_chain(error)).collect();
    let text = errors.join("\n");
    // Said of every file that does not parse.
    let unexpected =
        "is not what `aws ec2 describe-subnets` or `describe-network-interfaces` prints with `--output json`";
    text.replace(unexpected, "is not …")
}

fn within(map: &NetworkMap, vpc: &str, address: &str) -> Option<Option<String>> {
    let vpc = map.vpc(Tag::of_id(vpc.as_bytes())).unwrap();
    let zone = map.within(vpc, address.parse().unwrap())?;
    Some(zone.map(|zone| zone.to_string()))
}

fn only(map: &NetworkMap, address: &str) -> Option<String> {
    let zone = map.in_only_one_vpc(address.parse().unwrap())?;
    Some(zone.to_string())
}

#[test]
fn an_address_is_where_its_vpc_has_it() {
    let map = read(&[SUBNETS]).unwrap();
    let zone = |name: &str| Some(Some(name.to_owned()));
    assert_eq!(within(&map, "vpc-a", "10.0.0.9"), zone("use1-az1"));
    assert_eq!(within(&map, "vpc-b", "10.0.0.9"), zone("use1-az2"));
    assert_eq!(within(&map, "vpc-a", "10.0.1.9"), None);
    assert_eq!(within(&map, "vpc-a", "2001:db8::1"), None);
    assert!(map.vpc(Tag::of_id(b"vpc-c")).is_none());
    assert_eq!(only(&map, "10.0.0.9"), None, "both VPCs hold it");
    assert_eq!(only(&map, "10.0.1.9").as_deref(), Some("use1-az2"));
    assert_eq!(only(&map, "10.1.0.9"), None);
}

#[test]
fn interfaces_and_subnets_say_it_together_in_any_order() {
    let interfaces = r#"{"NetworkInterfaces": [
        {"NetworkInterfaceId": "eni-1", "VpcId": "vpc-a", "SubnetId": "subnet-1", "PrivateIpAddress": "10.0.0.5"},
        {"NetworkInterfaceId": "eni-2", "VpcId": "vpc-c", "SubnetId": "subnet-9", "PrivateIpAddress": "10.9.0.5"}
    ]}
    {"NetworkInterfaces": [{"NetworkInterfaceId": "eni-3", "VpcId": "vpc-c", "SubnetId": "subnet-9",
        "AvailabilityZoneId": "use1-az3", "PrivateIpAddresses": [{"PrivateIpAddress": "10.9.0.6"}],
        "Ipv6Addresses": [{"Ipv6Address": "2001:db8::6"}], "Ipv6Prefixes": [{"Ipv6Prefix": "2001:db8:1::/80"}]}]}"#;
    for files in [[interfaces, SUBNETS], [SUBNETS, interfaces]] {
        let map = read(&files).unwrap();
        let interface = |id: &str| map.interface(Tag::of_id(id.as_bytes())).unwrap();
        let zone = |id| interface(id).zone.map(|zone| zone.to_string());
        assert_eq!(zone("eni-1").as_deref(), Some("use1-az1"));
        assert_eq!(zone("eni-2"), None, "its subnet is not described");
        assert_eq!(zone("eni-3").as_deref(), Some("use1-az3"));
        assert_eq!(within(&map, "vpc-c", "10.9.0.5"), Some(None));
        assert_eq!(only(&map, "2001:db8:1::77").as_deref(), Some("use1-az3"));
        assert!(interface("eni-3").owns("2001:db8:1::77".parse().unwrap()));
        assert!(!interface("eni-3").owns("10.9.0.5".parse().unwrap()));
        assert!(!interface("eni-3").owns("2001:db8:1:0:1::".parse().unwrap()));
    }
}

#[test]
fn the_same_said_twice_is_fine_and_addresses_may_have_come() {
    let one = r#"{"NetworkInterfaces": [{"NetworkInterfaceId": "eni-1", "VpcId": "vpc-a",
        "PrivateIpAddress": "10.0.0.5"}]}"#;
    let later = r#"{"NetworkInterfaces": [{"NetworkInterfaceId": "eni-1", "VpcId": "vpc-a",
        "AvailabilityZoneId": "use1-az1", "PrivateIpAddresses": [{"PrivateIpAddress": "10.0.0.6"}]}]}"#;
    let map = read(&[SUBNETS, SUBNETS, &format!("{one}{later}")]).unwrap();
    let interface = map.interface(Tag::of_id(b"eni-1")).unwrap();
    assert_eq!(interface.zone, ZoneId::parse(b"use1-az1"));
    assert!(interface.owns("10.0.0.5".parse().unwrap()) && interface.owns("10.0.0.6".parse().unwrap()));
}

#[test]
fn everything_that_cannot_be_used_is_told_with_file_and_position() {
    let without = |member: &str| SUBNETS.replace(member, "Other");
    let files = [
        SUBNETS.strip_suffix("\"}\n]}").unwrap().to_owned(),
        r#"[{"SubnetId": "subnet-1"}]"#.to_owned(),
        r#"{"Vpcs": []}"#.to_owned(),
        "\n".to_owned(),
        format!("{SUBNETS}\n{{\"Vpcs\": []}}"),
        without("AvailabilityZoneId"),
        without("VpcId"),
        without("CidrBlock"),
        SUBNETS.replace("use1-az2", "us east 1"),
        SUBNETS.replace("10.0.0.0/16", "10.0.0.0/33"),
        r#"{"NetworkInterfaces": [{"NetworkInterfaceId": "eni-1"}]}"#.to_owned(),
    ];
    let told: Vec<String> = files.iter().map(|file| told(&[file])).collect();
    insta::assert_snapshot!(told.join("\n"), @"
    one.json is not …: EOF while parsing a string at line 3 column 106
    one.json is not …: invalid type: sequence, expected an object at line 1 column 0
    one.json has neither `Subnets` nor `NetworkInterfaces` at line 1
    one.json has neither `Subnets` nor `NetworkInterfaces` at line 1
    one.json has neither `Subnets` nor `NetworkInterfaces` at line 5
    one.json is not …: missing field `AvailabilityZoneId` at line 2 column 95
    one.json is not …: missing field `VpcId` at line 2 column 108
    one.json is not …: subnet-1 has neither `CidrBlock` nor an associated `Ipv6CidrBlock` at line 3 column 4
    one.json is not …: `us east 1` is no zone id such as use1-az4 at line 3 column 80
    one.json is not …: `10.0.0.0/33` is no CIDR block at line 3 column 108
    one.json is not …: missing field `VpcId` at line 1 column 54
    ");
}

#[test]
fn descriptions_that_contradict_each_other_are_refused() {
    let moved = SUBNETS.replace("use1-az2", "use1-az3");
    let reused = r#"{"Subnets": [{"SubnetId": "subnet-3", "VpcId": "vpc-a", "AvailabilityZoneId": "use1-az3",
        "CidrBlock": "10.0.0.0/24"}]}"#;
    let interface = |vpc: &str| {
        let text = r#"{"NetworkInterfaces": [{"NetworkInterfaceId": "eni-1", "VpcId": "VPC"}]}"#;
        text.replace("VPC", vpc)
    };
    let all = [
        told(&[SUBNETS, &moved]),
        told(&[SUBNETS, reused]),
        told(&[&interface("vpc-a"), &interface("vpc-b")]),
        told(&["{", "[", SUBNETS]),
    ];
    insta::assert_snapshot!(all.join("\n"), @"
    two.json says of subnet-2 another VPC, zone or CIDR block than what was read before it
    10.0.0.0/24 of vpc-a lies in use1-az1 by one description and in use1-az3 by another
    two.json says of eni-1 another VPC, zone or CIDR block than what was read before it
    one.json is not …: EOF while parsing an object at line 1 column 1
    two.json is not …: invalid type: sequence, expected an object at line 1 column 0
    ");
}
