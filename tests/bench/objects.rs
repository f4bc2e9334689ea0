//! Flow log objects as S3 delivers them, from a seed: a header line, then records of 2,000 interfaces in 24 subnets of
//! four VPCs, grouped by interface, each flow with a record for each direction unless it was rejected, gzip'd at level 6.

use std::fmt::Write as _;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

const FIELDS_V2: &str = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes \
                         start end action log-status";
const FIELDS_V3_TO_V5: &str = "vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr region az-id \
                               sublocation-type sublocation-id pkt-src-aws-service pkt-dst-aws-service \
                               flow-direction traffic-path";
const ZONES: [&str; 3] = ["use1-az1", "use1-az2", "use1-az4"];
const SERVICE_PORTS: [u16; 8] = [443, 80, 8080, 5432, 3306, 6379, 9092, 9200];
/// VPC number `n` has the addresses of `10.(16 × (n + 1)).0.0/12`.
pub(crate) const NUM_VPCS: u64 = 4;
/// The subnets of a VPC that have interfaces; each is a /20.
pub(crate) const SUBNETS_PER_VPC: u64 = 6;
const NUM_INTERFACES: u64 = 2_000;
const NUM_PUBLIC_PEERS: u64 = 200_000;

/// Which fields the records have.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fields {
    /// The 14 of the default format.
    V2,
    /// The 29 until version 5.
    V5,
}

/// What an interface is, all of it from its number.
struct Interface {
    number: u64,
    vpc: u64,
    subnet: u64,
}

impl Interface {
    fn new(number: u64) -> Self {
        let subnet = mix(number) % (NUM_VPCS * SUBNETS_PER_VPC);
        Self {
            number,
            vpc: subnet / SUBNETS_PER_VPC,
            subnet,
        }
    }

    fn address(&self) -> String {
        let host = mix(self.number + 7) % 4_000 + 10;
        let third = self.subnet % SUBNETS_PER_VPC * 16 + host / 256;
        format!("10.{}.{third}.{}", 16 * (self.vpc + 1), host % 256)
    }
}

/// The gzip'd object of this seed.
pub(crate) fn object(fields: Fields, num_records: u64, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut text = match fields {
        Fields::V2 => format!("{FIELDS_V2}\n"),
        Fields::V5 => format!("{FIELDS_V2} {FIELDS_V3_TO_V5}\n"),
    };
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    let mut written = 0;
    while written < num_records {
        let interface = Interface::new(random.u64(..NUM_INTERFACES));
        let start = 1_795_000_000 + written / 2_000 * 60;
        for _ in 0..random.u64(1..30) {
            let flow = Flow::new(&mut random);
            let directions: &[bool] = match (flow.is_rejected, flow.is_opened_here) {
                (true, true) => &[true],
                (true, false) => &[false],
                (false, _) => &[true, false],
            };
            for is_egress in directions
                .iter()
                .take(usize::try_from(num_records - written).unwrap_or(2))
            {
                flow.write(&mut text, fields, &interface, *is_egress, start, &mut random);
                written += 1;
            }
        }
        if text.len() > 1 << 20 || written == num_records {
            encoder.write_all(text.as_bytes()).expect("memory takes it");
            text.clear();
        }
    }
    encoder.finish().expect("memory takes it")
}

/// What an interface exchanges with a peer in an interval: a record for each direction, or one that was rejected.
struct Flow {
    peer: String,
    peer_is_inside: bool,
    /// Whether the interface's side is the one that opened it.
    is_opened_here: bool,
    service: u16,
    ephemeral: u16,
    protocol: u8,
    is_rejected: bool,
}

impl Flow {
    fn new(random: &mut fastrand::Rng) -> Self {
        let peer_is_inside = random.u8(..100) < 58;
        let peer = if peer_is_inside {
            Interface::new(zipf(random, NUM_INTERFACES)).address()
        } else {
            public(zipf(random, NUM_PUBLIC_PEERS))
        };
        Self {
            peer,
            peer_is_inside,
            is_opened_here: random.bool(),
            service: SERVICE_PORTS[random.usize(..SERVICE_PORTS.len())],
            ephemeral: random.u16(32_768..60_999),
            protocol: if random.u8(..100) < 82 { 6 } else { 17 },
            is_rejected: random.u8(..100) < 15,
        }
    }

    /// Writes the record of one direction.
    fn write(
        &self,
        text: &mut String,
        fields: Fields,
        interface: &Interface,
        is_egress: bool,
        start: u64,
        random: &mut fastrand::Rng,
    ) {
        let own = interface.address();
        let (from, to) = if is_egress {
            (&own, &self.peer)
        } else {
            (&self.peer, &own)
        };
        let (from_port, to_port) = if is_egress == self.is_opened_here {
            (self.ephemeral, self.service)
        } else {
            (self.service, self.ephemeral)
        };
        let protocol = self.protocol;
        let packets = skewed(random, 5_000) + 1;
        let bytes = packets * (40 + random.u64(..1_400));
        let (start, end) = (start + random.u64(..20), start + random.u64(21..60));
        let action = if self.is_rejected { "REJECT" } else { "ACCEPT" };
        let version = match fields {
            Fields::V2 => 2,
            Fields::V5 => 5,
        };
        write!(
            text,
            "{version} 123456789010 eni-0{:016x} {from} {to} {from_port} {to_port} {protocol} {packets} {bytes} {start} {end} \
             {action} OK",
            mix(interface.number)
        )
        .expect("memory takes it");
        if matches!(fields, Fields::V5) {
            let flags = if protocol == 6 {
                [0, 2, 3, 18, 19][random.usize(..5)]
            } else {
                0
            };
            let (direction, path) = match (is_egress, self.peer_is_inside) {
                (true, true) => ("egress", "1"),
                (true, false) => ("egress", "8"),
                (false, _) => ("ingress", "-"),
            };
            write!(
                text,
                " {} {} i-0{:016x} {flags} IPv4 {from} {to} us-east-1 {} - - - - {direction} {path}",
                vpc_id(interface.vpc),
                subnet_id(interface.subnet),
                mix(interface.number + 1),
                zone_id(interface.subnet),
            )
            .expect("memory takes it");
        }
        text.push('\n');
    }
}

/// A rank below `limit` by Zipf's law, as the peers of real hosts are met: rank `k` as often as `k^-1.05`.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank is a small positive number"
)]
fn zipf(random: &mut fastrand::Rng, limit: u64) -> u64 {
    const EXPONENT: f64 = 1.0 - 1.05;
    let end = (limit as f64).powf(EXPONENT);
    let rank = (1.0 - random.f64() * (1.0 - end)).powf(1.0 / EXPONENT);
    (rank as u64).saturating_sub(1).min(limit - 1)
}

/// A number below `limit`, small ones far more often.
fn skewed(random: &mut fastrand::Rng, limit: u64) -> u64 {
    let position = u64::from(random.u32(..1 << 16));
    ((position.pow(3) / (1 << 32)) * limit) >> 16
}

pub(crate) fn vpc_id(vpc: u64) -> String {
    format!("vpc-0{:016x}", mix(vpc))
}

/// Subnets are counted over all VPCs.
pub(crate) fn subnet_id(subnet: u64) -> String {
    format!("subnet-0{:016x}", mix(subnet + 100))
}

pub(crate) fn zone_id(subnet: u64) -> &'static str {
    ZONES[(subnet % 3) as usize]
}

/// The first numbers of the addresses outside.
pub(crate) const PUBLIC: std::ops::Range<u8> = 11..111;

fn public(number: u64) -> String {
    let bits = mix(number);
    format!(
        "{}.{}.{}.{}",
        u64::from(PUBLIC.start) + bits % PUBLIC.len() as u64,
        bits >> 8 & 255,
        bits >> 16 & 255,
        bits >> 24 & 255
    )
}

/// Spreads the bits of a number (the finalizer of SplitMix64), 60 of them.
pub(crate) fn mix(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (bits ^ bits >> 31) >> 4
}
