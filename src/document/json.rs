//! JSON written by hand into a reused buffer: a comma, a key, a value. Correctness is held by tests that parse every
//! document back.

use std::io::Write;
use std::net::IpAddr;

/// Starts the next member of an object: a comma unless it is the first, the key, a colon. The key needs no escaping.
pub(super) fn push_key(out: &mut Vec<u8>, key: &str) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    out.push(b'"');
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
}

/// A member whose value is a string that needs no escaping.
pub(super) fn push_member(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    push_key(out, key);
    out.push(b'"');
    out.extend_from_slice(value);
    out.push(b'"');
}

/// A member that is an object; none if `write` writes no members.
pub(super) fn push_object(out: &mut Vec<u8>, key: &str, write: impl FnOnce(&mut Vec<u8>)) {
    let before = out.len();
    push_key(out, key);
    out.push(b'{');
    let start = out.len();
    write(out);
    if out.len() == start {
        out.truncate(before);
    } else {
        out.push(b'}');
    }
}

/// A number.
pub(super) fn push_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// A string. Bytes that are not UTF-8 become the replacement character: JSON has no other way to hold them.
pub(super) fn push_string(out: &mut Vec<u8>, text: &[u8]) {
    let plain = |byte: &u8| matches!(*byte, b' '..=b'~') && *byte != b'"' && *byte != b'\\';
    if text.iter().all(plain) {
        out.push(b'"');
        out.extend_from_slice(text);
        out.push(b'"');
        return;
    }
    serde_json::to_writer(out, &String::from_utf8_lossy(text)).expect("a string is written to memory");
}

/// An address as a string, in its canonical form (IPv6: RFC 5952).
pub(super) fn push_address(out: &mut Vec<u8>, address: IpAddr) {
    out.push(b'"');
    match address {
        IpAddr::V4(address) => {
            let mut separator: &[u8] = b"";
            for octet in address.octets() {
                out.extend_from_slice(separator);
                push_number(out, u64::from(octet));
                separator = b".";
            }
        }
        IpAddr::V6(address) => write!(out, "{address}").expect("writing to memory does not fail"),
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn members_are_separated_by_commas() {
        let mut out = b"{".to_vec();
        for key in ["a", "b"] {
            push_key(&mut out, key);
            push_number(&mut out, 7);
        }
        assert_eq!(out, br#"{"a":7,"b":7"#);
    }

    #[test]
    fn an_object_without_members_is_not_there() {
        let mut out = b"{".to_vec();
        push_object(&mut out, "a", |out| push_object(out, "b", |_| {}));
        push_object(&mut out, "c", |out| push_member(out, "d", b"e"));
        assert_eq!(out, br#"{"c":{"d":"e"}"#);
    }

    #[test]
    fn addresses_are_canonical() {
        let mut out = Vec::new();
        push_address(&mut out, "2001:0DB8:0:0:0:0:0:1".parse().unwrap());
        push_address(&mut out, "10.0.0.1".parse().unwrap());
        assert_eq!(out, br#""2001:db8::1""10.0.0.1""#);
    }

    proptest! {
        #[test]
        fn any_bytes_make_a_json_string(text in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut out = Vec::new();
            push_string(&mut out, &text);
            let back: String = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(back, String::from_utf8_lossy(&text));
        }
    }
}
