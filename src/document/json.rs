//! JSON written by hand into a reused buffer. Every member ends with a comma, which the end of its object turns into a
//! brace. Correctness is held by tests that parse every document back.
//!
//! A `member` is a key as JSON writes it, with its colon: `"port":`.

use std::io::Write;
use std::net::IpAddr;

/// Whether a string of these bytes is written as it is.
pub(super) fn is_plain(text: &[u8]) -> bool {
    text.iter().all(|byte| is_plain_byte(*byte))
}

/// The same of whole blocks. Looks at all bytes: the compiler makes vector instructions of a loop without an exit.
#[inline(always)]
pub(super) fn are_plain(blocks: &[[u8; 32]]) -> bool {
    let mut found = [false; 32];
    for block in blocks {
        for (found, byte) in found.iter_mut().zip(block) {
            *found |= !is_plain_byte(*byte);
        }
    }
    found == [false; 32]
}

#[inline(always)]
fn is_plain_byte(byte: u8) -> bool {
    (byte.wrapping_sub(b' ') <= b'~' - b' ') & (byte != b'"') & (byte != b'\\')
}

/// A member whose value is a string that needs no escaping.
pub(super) fn push_plain(out: &mut Vec<u8>, member: &[u8], value: &[u8]) {
    out.reserve(member.len() + value.len() + 3);
    out.extend_from_slice(member);
    out.push(b'"');
    out.extend_from_slice(value);
    out.extend_from_slice(b"\",");
}

/// A member whose value is a string. Bytes that are not UTF-8 become the replacement character: JSON has no other way
/// to hold them.
pub(super) fn push_string(out: &mut Vec<u8>, member: &[u8], value: &[u8]) {
    if is_plain(value) {
        return push_plain(out, member, value);
    }
    out.extend_from_slice(member);
    serde_json::to_writer(&mut *out, &String::from_utf8_lossy(value)).expect("a string is written to memory");
    out.push(b',');
}

/// A member whose value is a number.
pub(super) fn push_number(out: &mut Vec<u8>, member: &[u8], number: u64) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(number).as_bytes();
    out.reserve(member.len() + digits.len() + 1);
    out.extend_from_slice(member);
    out.extend_from_slice(digits);
    out.push(b',');
}

/// A member whose value is an address, as a string in its canonical form (IPv6: RFC 5952). `text` is what was parsed.
pub(super) fn push_address(out: &mut Vec<u8>, member: &[u8], address: IpAddr, text: &[u8]) {
    match address {
        // There is one way only to write an IPv4 address.
        IpAddr::V4(_) => push_plain(out, member, text),
        IpAddr::V6(address) => {
            out.extend_from_slice(member);
            write!(out, "\"{address}\",").expect("writing to memory does not fail");
        }
    }
}

/// A member that is an object; none if `write` writes no members. `member` includes the opening brace.
pub(super) fn push_object(out: &mut Vec<u8>, member: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
    let before = out.len();
    out.extend_from_slice(member);
    let start = out.len();
    write(out);
    if out.len() == start {
        out.truncate(before);
    } else {
        close_object(out);
        out.push(b',');
    }
}

/// Ends an object that has members.
pub(super) fn close_object(out: &mut [u8]) {
    debug_assert_eq!(out.last(), Some(&b','));
    if let Some(last) = out.last_mut() {
        *last = b'}';
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn object(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = b"{".to_vec();
        write(&mut out);
        close_object(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn members_are_separated_by_commas() {
        let text = object(|out| {
            push_number(out, br#""a":"#, 7);
            push_object(out, br#""b":{"#, |out| push_plain(out, br#""c":"#, b"d"));
            push_number(out, br#""e":"#, u64::MAX);
        });
        assert_eq!(text, r#"{"a":7,"b":{"c":"d"},"e":18446744073709551615}"#);
    }

    #[test]
    fn an_object_without_members_is_not_there() {
        let text = object(|out| {
            push_object(out, br#""a":{"#, |out| push_object(out, br#""b":{"#, |_| {}));
            push_object(out, br#""c":{"#, |out| push_plain(out, br#""d":"#, b"e"));
        });
        assert_eq!(text, r#"{"c":{"d":"e"}}"#);
    }

    #[test]
    fn addresses_are_canonical() {
        let address = |out: &mut Vec<u8>, member: &[u8], text: &str| {
            push_address(out, member, text.parse().unwrap(), text.as_bytes());
        };
        let text = object(|out| {
            address(out, br#""a":"#, "2001:0DB8:0:0:0:0:0:1");
            address(out, br#""b":"#, "10.0.0.1");
        });
        assert_eq!(text, r#"{"a":"2001:db8::1","b":"10.0.0.1"}"#);
    }

    proptest! {
        #[test]
        fn blocks_are_plain_when_all_their_bytes_are(
            blocks in prop::collection::vec(prop::array::uniform32(b' '..=b'!'), 0..5), odd in any::<u8>(), at in 0_usize..160,
        ) {
            let mut blocks = blocks;
            if let Some(byte) = blocks.as_flattened_mut().get_mut(at) {
                *byte = odd;
            }
            prop_assert_eq!(are_plain(&blocks), is_plain(blocks.as_flattened()));
        }

        #[test]
        fn any_bytes_make_a_json_string(text in prop::collection::vec(any::<u8>(), 0..40)) {
            let whole = object(|out| push_string(out, br#""a":"#, &text));
            let back: serde_json::Value = serde_json::from_str(&whole).unwrap();
            prop_assert_eq!(back["a"].as_str().unwrap(), String::from_utf8_lossy(&text));
        }
    }
}
