//! What has few values, rendered once: the members of protocols and TCP flags.

use std::sync::LazyLock;

use super::json::push_plain;
use crate::flow::{TCP_FLAGS, transport_name};

/// Members by protocol number: the number, which ECS keeps as a keyword, and the name where there is one.
static PROTOCOLS: LazyLock<[Vec<u8>; 256]> = LazyLock::new(|| {
    std::array::from_fn(|number| {
        let mut out = Vec::new();
        push_plain(&mut out, br#""iana_number":"#, number.to_string().as_bytes());
        let name = u8::try_from(number).ok().and_then(transport_name);
        if let Some(name) = name {
            push_plain(&mut out, br#""transport":"#, name.as_bytes());
        }
        out
    })
});

/// Members by the low byte of the flags: the list of names; nothing where there is none.
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
        format!(r#""tcp_flags_array":["{}"],"#, names.join(r#"",""#)).into_bytes()
    })
});

/// `iana_number` and `transport`.
pub(super) fn push_protocol(out: &mut Vec<u8>, protocol: u64) {
    let number = usize::try_from(protocol).unwrap_or_default() % PROTOCOLS.len();
    out.extend_from_slice(&PROTOCOLS[number]);
}

/// `tcp_flags` and, unless none is known, `tcp_flags_array`.
pub(super) fn push_tcp_flags(out: &mut Vec<u8>, flags: u64) {
    push_plain(
        out,
        br#""tcp_flags":"#,
        itoa::Buffer::new().format(flags).as_bytes(),
    );
    let low_byte = usize::try_from(flags & 0xff).unwrap_or_default();
    out.extend_from_slice(&FLAG_NAMES[low_byte]);
}
