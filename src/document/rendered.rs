//! What has few values, rendered once: the members of protocols and TCP flags.

use std::sync::LazyLock;

use super::draft::Draft;
use super::json::push_plain;
use crate::flow::{TCP_FLAGS, transport_name};

/// Longest of them: all eight flags with their names.
const MAX_BYTES: usize = 96;

/// Members in a block of one size for all.
struct Rendered {
    bytes: [u8; MAX_BYTES],
    length: usize,
}

impl Rendered {
    fn new(text: &[u8]) -> Self {
        let mut bytes = [0; MAX_BYTES];
        bytes[..text.len()].copy_from_slice(text);
        Self {
            bytes,
            length: text.len(),
        }
    }
}

/// Members by protocol number: the number, which ECS keeps as a keyword, and the name where there is one.
static PROTOCOLS: LazyLock<[Rendered; 256]> = LazyLock::new(|| {
    std::array::from_fn(|number| {
        let mut out = Vec::new();
        push_plain(&mut out, br#""iana_number":"#, number.to_string().as_bytes());
        let name = u8::try_from(number).ok().and_then(transport_name);
        if let Some(name) = name {
            push_plain(&mut out, br#""transport":"#, name.as_bytes());
        }
        Rendered::new(&out)
    })
});

/// The member with the names of the flags in the low byte; nothing where there is none.
static FLAG_NAMES: LazyLock<[Rendered; 256]> = LazyLock::new(|| {
    std::array::from_fn(|flags| {
        let names = TCP_FLAGS.iter().enumerate();
        let names: Vec<&str> = names
            .filter(|(bit, _)| flags >> bit & 1 == 1)
            .map(|(_, name)| *name)
            .collect();
        if names.is_empty() {
            return Rendered::new(b"");
        }
        let text = format!(r#""tcp_flags_array":["{}"],"#, names.join(r#"",""#));
        Rendered::new(text.as_bytes())
    })
});

/// `iana_number` and `transport`.
#[inline(always)]
pub(super) fn put_protocol(draft: &mut Draft<'_>, protocol: u64) {
    let rendered = &PROTOCOLS[usize::try_from(protocol).unwrap_or_default() % PROTOCOLS.len()];
    draft.put_block(&rendered.bytes, rendered.length);
}

/// `tcp_flags` and, unless none is known, `tcp_flags_array`.
#[inline(always)]
pub(super) fn put_tcp_flags(draft: &mut Draft<'_>, flags: u64) {
    draft.put(br#""tcp_flags":""#);
    draft.put_bytes(itoa::Buffer::new().format(flags).as_bytes());
    draft.put(b"\",");
    let rendered = &FLAG_NAMES[usize::try_from(flags & 0xff).unwrap_or_default()];
    draft.put_block(&rendered.bytes, rendered.length);
}
