//! The two ends of a flow → Community ID v1: one short text for both directions, the same as Zeek's and Suricata's.
//!
//! Specification: github.com/corelight/community-id-spec. `"1:"` and base64 of the SHA-1 of seed, the two ends in
//! order, and the protocol.

use std::fmt;
use std::net::IpAddr;

use sha1::block_api::compress;

use crate::radix64;

const VERSION: &[u8; 2] = b"1:";
const NUM_CHARS: usize = VERSION.len() + 28;

/// The seed that everybody uses.
const SEED: u16 = 0;

const ICMP: u8 = 1;
const ICMP_V6: u8 = 58;

/// Protocols whose ports are part of the id: TCP, UDP and SCTP. (ICMP's are its type and code.)
const WITH_PORTS: [u8; 3] = [6, 17, 132];

/// The id of a flow: a SHA-1 digest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CommunityId([u32; 5]);

impl CommunityId {
    /// The text: ASCII that needs no escaping.
    #[inline(always)]
    pub fn to_text(self) -> [u8; NUM_CHARS] {
        let [a, b, c, d, e] = self.0.map(u128::from);
        let mut text = [0; NUM_CHARS];
        text[..2].copy_from_slice(VERSION);
        // 160 bits are 26 digits of six bits and four bits more, which base64 fills up with zeros.
        let first = a << 96 | b << 64 | c << 32 | d;
        let last = (first & 0xff) << 34 | e << 2;
        if let Some(digits) = text[2..].first_chunk_mut::<20>() {
            radix64::encode(radix64::STANDARD, first >> 8, digits);
        }
        if let Some(digits) = text[22..].first_chunk_mut::<7>() {
            radix64::encode(radix64::STANDARD, last, digits);
        }
        text[NUM_CHARS - 1] = b'=';
        text
    }
}

impl fmt::Debug for CommunityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_text()))
    }
}

/// The ids of flows that were met a short while ago: the two directions of a flow have one id, and stand near each other.
#[derive(Debug)]
pub struct CommunityIds {
    recent: Box<[(u128, CommunityId); NUM_RECENT]>,
}

/// 12 KiB: what is kept is found in the processor's first cache.
const NUM_RECENT: usize = 256;

impl Default for CommunityIds {
    fn default() -> Self {
        // No flow has the key 0: its addresses would both be 0.0.0.0 and its protocol too.
        Self {
            recent: Box::new([(0, CommunityId([0; 5])); NUM_RECENT]),
        }
    }
}

impl CommunityIds {
    /// The same as [`community_id`].
    #[inline(always)]
    pub fn get(&mut self, protocol: u8, source: End, destination: End) -> Option<CommunityId> {
        let (IpAddr::V4(a), IpAddr::V4(b), Some(a_port), Some(b_port)) =
            (source.0, destination.0, source.1, destination.1)
        else {
            return community_id(protocol, source, destination);
        };
        if !WITH_PORTS.contains(&protocol) {
            return community_id(protocol, source, destination);
        }
        let [a, b] = [(a, a_port), (b, b_port)]
            .map(|(address, port)| u64::from(address.to_bits()) << 16 | u64::from(port));
        let (first, second) = if a <= b { (a, b) } else { (b, a) };
        let key = u128::from(first) << 64 | u128::from(second) | u128::from(protocol) << 120;
        // Fibonacci hashing: the upper bits depend on all.
        let hash = (first ^ second.rotate_left(24)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
        let slot = &mut self.recent[usize::try_from(hash).unwrap_or_default() % NUM_RECENT];
        if slot.0 != key {
            *slot = (key, community_id(protocol, source, destination)?);
        }
        Some(slot.1)
    }
}

/// One end of a flow: an address and, where the protocol has them, a port.
type End = (IpAddr, Option<u16>);

/// The id of a flow. `None` for ICMP and ICMPv6, whose type and code flow logs do not carry: computed from ports of 0
/// the two directions would differ, and neither would match another tool's. Also `None` where a port is missing that
/// the protocol has, or where the addresses are of two families.
pub fn community_id(protocol: u8, source: End, destination: End) -> Option<CommunityId> {
    if matches!(protocol, ICMP | ICMP_V6) {
        return None;
    }
    if WITH_PORTS.contains(&protocol) {
        source.1.and(destination.1)?;
        return ordered(SEED, protocol, source, destination);
    }
    ordered(SEED, protocol, (source.0, None), (destination.0, None))
}

/// The smaller end comes first, so that both directions have one id.
fn ordered(seed: u16, protocol: u8, a: End, b: End) -> Option<CommunityId> {
    match (a.0, b.0) {
        (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => {}
        _ => return None,
    }
    let (first, second) = if a <= b { (a, b) } else { (b, a) };
    Some(hash(seed, protocol, first, second))
}

/// The message is at most 40 bytes, so that with SHA-1's padding it is one block: compressed without a hasher.
fn hash(seed: u16, protocol: u8, first: End, second: End) -> CommunityId {
    const INITIAL_STATE: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    let block = match (first, second) {
        ((IpAddr::V4(a), Some(a_port)), (IpAddr::V4(b), Some(b_port))) => {
            short_block(seed, protocol, a.to_bits(), b.to_bits(), a_port, b_port)
        }
        _ => block(seed, protocol, first, second),
    };
    let mut state = INITIAL_STATE;
    compress(&mut state, &[block]);
    CommunityId(state)
}

/// The block of most flows: a message of 16 bytes, put together as one number.
#[inline(always)]
fn short_block(seed: u16, protocol: u8, a: u32, b: u32, a_port: u16, b_port: u16) -> [u8; 64] {
    let addresses = u128::from(seed) << 112 | u128::from(a) << 80 | u128::from(b) << 48;
    let rest = u128::from(protocol) << 40 | u128::from(a_port) << 16 | u128::from(b_port);
    let mut block = [0; 64];
    block[..16].copy_from_slice(&(addresses | rest).to_be_bytes());
    block[16] = 0x80;
    block[63] = 16 * 8;
    block
}

fn block(seed: u16, protocol: u8, first: End, second: End) -> [u8; 64] {
    let mut block = [0; 64];
    let mut length = 0;
    let mut push = |piece: &[u8]| {
        block[length..length + piece.len()].copy_from_slice(piece);
        length += piece.len();
    };
    push(&seed.to_be_bytes());
    for (address, _) in [first, second] {
        match address {
            IpAddr::V4(address) => push(&address.octets()),
            IpAddr::V6(address) => push(&address.octets()),
        }
    }
    push(&[protocol, 0]);
    for (_, port) in [first, second] {
        if let Some(port) = port {
            push(&port.to_be_bytes());
        }
    }
    block[length] = 0x80;
    block[56..].copy_from_slice(&(8 * length as u64).to_be_bytes());
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: u8 = 6;
    const UDP: u8 = 17;
    const SCTP: u8 = 132;

    fn end(address: &str, port: u16) -> End {
        (address.parse().unwrap(), Some(port))
    }

    fn text(id: CommunityId) -> String {
        format!("{id:?}")
    }

    /// The flow's id, which must be that of the other direction too.
    fn both_ways(protocol: u8, a: End, b: End) -> String {
        let id = community_id(protocol, a, b).unwrap();
        assert_eq!(community_id(protocol, b, a), Some(id));
        text(id)
    }

    // Baseline vectors of the specification; the last four were computed with Python's `communityid` package.
    #[test]
    fn known_flows_have_their_known_ids() {
        let (a, b) = (end("1.2.3.4", 1122), end("5.6.7.8", 3344));
        assert_eq!(both_ways(TCP, a, b), "1:wCb3OG7yAFWelaUydu0D+125CLM=");
        assert_eq!(both_ways(UDP, a, b), "1:0Mu9InQx6z4ZiCZM/7HXi2WMhOg=");
        assert_eq!(both_ways(SCTP, a, b), "1:EKt4MsxuyaE6mL+hmrEkQ9csDD8=");
        assert_eq!(both_ways(46, a, b), "1:ikv3kmf89luf73WPz1jOs49S768=");
        assert_eq!(
            text(ordered(1, TCP, a, b).unwrap()),
            "1:HhA1B+6CoLbiKPEs5nhNYN4XWfk="
        );

        let (a, b) = (end("2001:db8:10:1::25", 41822), end("2001:db8:20:2::99", 443));
        assert_eq!(both_ways(TCP, a, b), "1:psL0CrtZJPzBB1u9ltZRFFc8OS0=");
        let (a, b) = (end("203.0.113.9", 53411), end("10.0.2.14", 53));
        assert_eq!(both_ways(UDP, a, b), "1:JX5D2B0kgV9YAcNLyXNzHdvDPPk=");
        let (a, b) = (end("10.0.1.5", 0), end("10.1.1.5", 0));
        assert_eq!(both_ways(47, a, b), "1:g9TfNGctdhc+Gm+SLTWz0/fD+y0=");
    }

    /// What the hash makes of ICMP when type and code are known, and why it is left out when they are not.
    #[test]
    fn icmp_needs_what_flow_logs_do_not_have() {
        let icmp = |protocol, a: End, b: End| text(ordered(0, protocol, a, b).unwrap());
        let echo = icmp(ICMP, end("1.2.3.4", 8), end("5.6.7.8", 0));
        assert_eq!(echo, "1:crodRHL2FEsHjbv3UkRrfbs4bZ0=");
        assert_eq!(icmp(ICMP, end("5.6.7.8", 0), end("1.2.3.4", 8)), echo);
        let time_exceeded = hash(0, ICMP, end("1.2.3.4", 11), end("5.6.7.8", 0));
        assert_eq!(text(time_exceeded), "1:f/YiSyWqczrTgfUCZlBUnvHRcPk=");
        let (a, b) = (
            "fe80:1:203:405:607:809:a0b:c0d",
            "fe80:1011:1213:1415:1617:1819:1a1b:1c1d",
        );
        assert_eq!(
            icmp(ICMP_V6, end(a, 128), end(b, 129)),
            "1:0bf7hyMJUwt3fMED7z8LIfRpBeo="
        );

        // Type 0 taken literally: the two directions of one ping would differ.
        let there = icmp(ICMP, end("192.0.2.10", 0), end("10.0.1.5", 8));
        let back = icmp(ICMP, end("10.0.1.5", 0), end("192.0.2.10", 8));
        assert_eq!(there, "1:CvIRdyUghWKXYuWkx6B2ru9tnLQ=");
        assert_eq!(back, "1:RSrSeR7aX0k/po3mvAkD6NbCy7E=");
        for protocol in [ICMP, ICMP_V6] {
            assert_eq!(community_id(protocol, end("1.2.3.4", 0), end("5.6.7.8", 0)), None);
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_remembered_is_what_would_be_computed(
            flows in proptest::collection::vec((0_u8..20, 0_u32..4, 0_u16..3, 0_u32..4, 0_u16..3), 1..2000),
        ) {
            let mut ids = CommunityIds::default();
            for (protocol, a, a_port, b, b_port) in flows {
                let (a, b) = ((IpAddr::from(a.to_be_bytes()), Some(a_port)), (IpAddr::from(b.to_be_bytes()), Some(b_port)));
                proptest::prop_assert_eq!(ids.get(protocol, a, b), community_id(protocol, a, b));
            }
        }
    }

    #[test]
    fn what_is_missing_or_mixed_has_no_id() {
        let (a, b) = (end("1.2.3.4", 1), end("5.6.7.8", 2));
        assert_eq!(community_id(TCP, (a.0, None), b), None);
        assert_eq!(community_id(TCP, a, (b.0, None)), None);
        assert_eq!(community_id(TCP, a, end("2001:db8::1", 2)), None);
        assert!(
            community_id(47, (a.0, None), b).is_some(),
            "ports are no part of it"
        );
    }
}
