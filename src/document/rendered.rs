//! What has few values, rendered once: the members of protocols and TCP flags.

use std::sync::LazyLock;

use super::json::{push_key, push_member, push_number};
use crate::flow::{TCP_FLAGS, transport_name};

/// Members by protocol number: the number, which ECS keeps as a keyword, and the name where there is one.
static PROTOCOLS: LazyLock<[Vec<u8>; 256]> = LazyLock::new(|| {
    std::array::from_fn(|number| {
        let mut out = Vec::new();
        push_member(&mut out, "iana_number", number.to_string().as_bytes());
        let name = u8::try_from(number).ok().and_then(transport_name);
        if let Some(name) = name {
            push_member(&mut out, "transport", name.as_bytes());
        }
        out
    })
});

/// Lists of names by the low byte of the flags; empty where there is none.
static FLAG_NAMES: LazyLock<[Vec<u8>; 256]> = LazyLock::new(|| {
    std::array::from_fn(|flags| {
        let names = TCP_FLAGS.iter().enumerate();
        let names: Vec<&str> = names
            .filter(|(bit, _)| flags >> bit & 1 == 1)
            .map(|(_, name)| *name)
            .collect();
        if names.is_empty() {
            return Vec::new();
        }
        format!("[\"{}\"]", names.join("\",\"")).into_bytes()
    })
});

/// `iana_number` and `transport`.
pub(super) fn push_protocol(out: &mut Vec<u8>, protocol: u64) {
    let number = usize::try_from(protocol).unwrap_or_default() % PROTOCOLS.len();
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    // The first rendered byte is the comma that a member in the middle of an object needs.
    out.extend_from_slice(&PROTOCOLS[number][1..]);
}

/// `tcp_flags` and, unless none is known, `tcp_flags_array`.
pub(super) fn push_tcp_flags(out: &mut Vec<u8>, flags: u64) {
    push_key(out, "tcp_flags");
    out.push(b'"');
    push_number(out, flags);
    out.push(b'"');
    let low_byte = usize::try_from(flags & 0xff).unwrap_or_default();
    let names = &FLAG_NAMES[low_byte];
    if !names.is_empty() {
        push_key(out, "tcp_flags_array");
        out.extend_from_slice(names);
    }
}
