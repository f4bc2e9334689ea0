//! Writes databases in the MaxMind DB format 2.0 (maxmind.github.io/MaxMind-DB): search tree, data section, metadata.
//! Not supported, because no test needs it: pointers inside the data section, aliased networks.

use std::collections::HashMap;
use std::net::IpAddr;

use serde_json::{Value, json};

/// What a database is written from.
#[derive(Clone, Debug)]
pub(crate) struct Description {
    /// Such as `GeoLite2-City`.
    pub(crate) database_type: String,
    /// 4 or 6. IPv4 networks lie in `::/96` of a tree of IPv6.
    pub(crate) ip_version: u8,
    /// Bits of a record in the tree: 24, 28 or 32.
    pub(crate) record_size: u8,
    /// Whether numbers with a point are floats, not doubles.
    pub(crate) has_floats: bool,
    /// Records by network, in any order; the longest that holds an address counts.
    pub(crate) networks: Vec<(IpAddr, u8, Value)>,
}

impl Description {
    /// Reads `{"database_type", "ip_version", "record_size", "has_floats", "networks": {"<network>": <record>}}`.
    pub(crate) fn parse(json: &str) -> Self {
        let json: Value = serde_json::from_str(json).unwrap();
        let number = |name: &str| u8::try_from(json[name].as_u64().unwrap()).unwrap();
        let networks = json["networks"].as_object().unwrap().iter();
        Self {
            database_type: json["database_type"].as_str().unwrap().to_owned(),
            ip_version: number("ip_version"),
            record_size: number("record_size"),
            has_floats: json["has_floats"].as_bool().unwrap(),
            networks: networks
                .map(|(network, record)| {
                    let (address, length) = network.split_once('/').unwrap();
                    (address.parse().unwrap(), length.parse().unwrap(), record.clone())
                })
                .collect(),
        }
    }

    /// The bytes of the database.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut tree = Tree::new();
        let mut data = Vec::new();
        let mut offsets: HashMap<Vec<u8>, usize> = HashMap::new();
        let mut networks: Vec<_> = self.networks.iter().collect();
        networks.sort_by_key(|(address, length, _)| self.path(*address, *length).1);
        for (address, length, record) in networks {
            let mut bytes = Vec::new();
            self.push_value(&mut bytes, record);
            let offset = *offsets.entry(bytes).or_insert_with_key(|bytes| {
                data.extend_from_slice(bytes);
                data.len() - bytes.len()
            });
            let (bits, length) = self.path(*address, *length);
            tree.insert(bits, length, offset);
        }
        let mut out = tree.to_bytes(self.record_size);
        out.extend_from_slice(&[0; 16]);
        out.extend_from_slice(&data);
        out.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
        push_header(&mut out, 7, 9);
        for (key, type_number, value) in [
            ("binary_format_major_version", 5, 2),
            ("binary_format_minor_version", 5, 0),
            ("build_epoch", 9, 1_700_000_000),
            ("ip_version", 5, u64::from(self.ip_version)),
            ("node_count", 6, tree.nodes.len() as u64),
            ("record_size", 5, u64::from(self.record_size)),
        ] {
            push_text(&mut out, key);
            push_unsigned(&mut out, type_number, value);
        }
        for (key, value) in [
            ("database_type", json!(self.database_type)),
            ("description", json!({"en": "made by a test"})),
            ("languages", json!(["en"])),
        ] {
            push_text(&mut out, key);
            self.push_value(&mut out, &value);
        }
        out
    }

    /// The way through the tree: bits from the highest, and how many of them count.
    fn path(&self, address: IpAddr, length: u8) -> (u128, u8) {
        match (address, self.ip_version) {
            (IpAddr::V4(address), 4) => (u128::from(u32::from(address)) << 96, length),
            (IpAddr::V4(address), _) => (u128::from(u32::from(address)), 96 + length),
            (IpAddr::V6(address), 6) => (u128::from(address), length),
            (IpAddr::V6(address), _) => panic!("{address} in a tree of IPv4"),
        }
    }

    fn push_value(&self, out: &mut Vec<u8>, value: &Value) {
        match value {
            Value::Object(members) => {
                push_header(out, 7, members.len());
                for (key, member) in members {
                    push_text(out, key);
                    self.push_value(out, member);
                }
            }
            Value::Array(elements) => {
                push_header(out, 11, elements.len());
                for element in elements {
                    self.push_value(out, element);
                }
            }
            Value::String(text) => push_text(out, text),
            Value::Bool(value) => push_header(out, 14, usize::from(*value)),
            Value::Number(number) => match (number.as_u64(), number.as_f64().unwrap()) {
                (Some(number), _) => push_unsigned(out, 6, number),
                (None, number) if self.has_floats => {
                    push_header(out, 15, 4);
                    let float: f32 = number.to_string().parse().unwrap();
                    out.extend_from_slice(&float.to_be_bytes());
                }
                (None, number) => {
                    push_header(out, 3, 8);
                    out.extend_from_slice(&number.to_be_bytes());
                }
            },
            Value::Null => panic!("the format has no null"),
        }
    }
}

/// A type and a size: "Data field format" of the specification.
fn push_header(out: &mut Vec<u8>, type_number: u8, size: usize) {
    let (first, extended) = if type_number > 7 {
        (0, Some(type_number - 7))
    } else {
        (type_number << 5, None)
    };
    // The size follows in one or two bytes where five bits do not hold it; three are more than a test needs.
    let (small, more) = match size {
        0..29 => (u8::try_from(size).unwrap(), Vec::new()),
        29..285 => (29, vec![u8::try_from(size - 29).unwrap()]),
        _ => (30, u16::try_from(size - 285).unwrap().to_be_bytes().to_vec()),
    };
    out.push(first | small);
    out.extend(extended);
    out.extend(more);
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    push_header(out, 2, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// Leading zero bytes are left out.
fn push_unsigned(out: &mut Vec<u8>, type_number: u8, number: u64) {
    let bytes = number.to_be_bytes();
    let bytes = &bytes[number.leading_zeros() as usize / 8..];
    push_header(out, type_number, bytes.len());
    out.extend_from_slice(bytes);
}

#[derive(Clone, Copy, Debug)]
enum Branch {
    Nothing,
    Node(usize),
    Data(usize),
}

#[derive(Debug)]
struct Tree {
    nodes: Vec<[Branch; 2]>,
}

impl Tree {
    fn new() -> Self {
        Self {
            nodes: vec![[Branch::Nothing; 2]],
        }
    }

    /// Networks come with the shorter ones first, so that a longer one takes its part of a shorter one's.
    fn insert(&mut self, bits: u128, length: u8, offset: usize) {
        let side = |depth: u8| usize::from(bits >> (127 - depth) & 1 == 1);
        if length == 0 {
            self.nodes[0] = [Branch::Data(offset); 2];
            return;
        }
        let mut node = 0;
        for depth in 0..length - 1 {
            node = match self.nodes[node][side(depth)] {
                Branch::Node(next) => next,
                leaf => {
                    self.nodes.push([leaf; 2]);
                    let next = self.nodes.len() - 1;
                    self.nodes[node][side(depth)] = Branch::Node(next);
                    next
                }
            };
        }
        self.nodes[node][side(length - 1)] = Branch::Data(offset);
    }

    fn to_bytes(&self, record_size: u8) -> Vec<u8> {
        let num_nodes = self.nodes.len();
        let value = |branch: Branch| match branch {
            Branch::Nothing => num_nodes,
            Branch::Node(node) => node,
            Branch::Data(offset) => num_nodes + 16 + offset,
        };
        let to_bytes = |branch: Branch| u32::try_from(value(branch)).unwrap().to_be_bytes();
        let mut out = Vec::new();
        for node in &self.nodes {
            let [left, right] = node.map(to_bytes);
            match record_size {
                24 => out.extend([&left[1..], &right[1..]].concat()),
                // The high bits of both share the byte in the middle.
                28 => out.extend([&left[1..], &[left[0] << 4 | right[0]], &right[1..]].concat()),
                32 => out.extend([left, right].concat()),
                _ => panic!("no record has {record_size} bits"),
            }
        }
        out
    }
}
