//! Which addresses have a place: those that are routed on the internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Networks whose addresses are somebody's own, special or nobody's: the IANA IPv4 Special-Purpose Address Registry,
/// multicast and the reserved block.
const SPECIAL_V4: [(Ipv4Addr, u32); 14] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// The only part of IPv6 from which addresses are routed (RFC 4291, IANA IPv6 Global Unicast Address Assignments), and
/// what is special in it: protocol assignments with Teredo, and documentation (RFC 3849, RFC 9637).
const GLOBAL_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
const SPECIAL_V6: [(Ipv6Addr, u32); 3] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// IPv6 addresses that hold the IPv4 address of the same end, and how far it is from the lowest bit: IPv4-mapped
/// (RFC 4291), behind NAT64's well-known prefix (RFC 6052; what a subnet of IPv6 alone sends to), and 6to4 (RFC 3056).
const WITH_V4: [(Ipv6Addr, u32, u32); 3] = [
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, 0),
    (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96, 0),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, 80),
];

/// The address to look up for this one; `None` where no database can know it.
pub(super) fn routed(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => routed_v4(address),
        IpAddr::V6(address) => {
            let bits = u128::from(address);
            let is_in =
                |(network, length): (Ipv6Addr, u32)| (u128::from(network) ^ bits) >> (128 - length) == 0;
            for (network, length, shift) in WITH_V4 {
                if is_in((network, length)) {
                    let low = u32::try_from(bits >> shift & u128::from(u32::MAX)).ok()?;
                    return routed_v4(low.into());
                }
            }
            let is_routed = is_in(GLOBAL_V6) && !SPECIAL_V6.into_iter().any(is_in);
            is_routed.then_some(address.into())
        }
    }
}

fn routed_v4(address: Ipv4Addr) -> Option<IpAddr> {
    let bits = u32::from(address);
    let is_special = |(network, length): &(Ipv4Addr, u32)| (u32::from(*network) ^ bits) >> (32 - length) == 0;
    (!SPECIAL_V4.iter().any(is_special)).then_some(address.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routed_as(address: &str) -> Option<String> {
        routed(address.parse().unwrap()).map(|address| address.to_string())
    }

    /// Both ends of each network, as the registries have them, and their neighbours outside.
    #[test]
    fn private_and_special_addresses_are_not_looked_up() {
        for address in [
            "0.0.0.0",
            "0.255.255.255",
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.0.0",
            "192.168.255.255",
            "198.18.0.0",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.255",
            "224.0.0.0",
            "239.255.255.255",
            "240.0.0.0",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fdff::1",
            "ff02::1",
            "2001::1",
            "2001:1ff::1",
            "2001:db8::1",
            "3fff::1",
            "3fff:fff::1",
            "4000::1",
            "::a00:1",
        ] {
            assert_eq!(routed_as(address), None, "{address}");
        }
        for address in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "203.0.114.0",
            "223.255.255.255",
            "2000::",
            "2001:200::1",
            "2001:db7::1",
            "2001:db9::1",
            "2a05:d018::1",
            "3fff:1000::1",
        ] {
            assert_eq!(routed_as(address).as_deref(), Some(address));
        }
    }

    #[test]
    fn addresses_that_hold_one_of_ipv4_are_looked_up_as_that() {
        for address in [
            "::ffff:81.2.69.142",
            "64:ff9b::81.2.69.142",
            "2002:5102:458e::1",
            "2002:5102:458e:9::1",
        ] {
            assert_eq!(routed_as(address).as_deref(), Some("81.2.69.142"), "{address}");
        }
        for address in [
            "::ffff:10.0.0.1",
            "64:ff9b::192.168.0.1",
            "2002:a00:1::1",
            "64:ff9b:1::5102:458e",
        ] {
            assert_eq!(routed_as(address), None, "{address}");
        }
    }
}
