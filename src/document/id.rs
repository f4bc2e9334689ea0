//! The identity of a document: the same line of the same object has the same id for ever, whatever the delivery.

use std::fmt;

use xxhash_rust::xxh3::xxh3_128;

use crate::radix64;

/// 15 bytes are 20 characters: 4 bytes of time, 11 of hash. Elasticsearch stores unpadded URL-safe base64 as these
/// bytes; the time in front keeps its term dictionary sorted.
const NUM_CHARS: usize = 20;
const NUM_HASH_BITS: u32 = 88;

/// What of an object goes into the ids of its documents: bucket and key, nothing of the notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectHash([u8; 16]);

impl ObjectHash {
    /// The hash of a bucket and a decoded key.
    pub fn new(bucket: &str, key: &str) -> Self {
        // A bucket name never holds a `/`: the two cannot be confused.
        let name = format!("{bucket}/{key}");
        Self(xxh3_128(name.as_bytes()).to_be_bytes())
    }
}

impl ObjectHash {
    /// The `_id` of what is known of the object as a whole: 15 of its 16 bytes, as 20 characters of URL-safe base64.
    pub fn to_id(self) -> String {
        let mut text = [0; NUM_CHARS];
        radix64::encode(radix64::URL_SAFE, u128::from_be_bytes(self.0) >> 8, &mut text);
        text.map(char::from).iter().collect()
    }
}

impl fmt::Display for ObjectHash {
    /// 32 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// The `_id` of a document: 20 characters of URL-safe base64, kept as the 120 bits that they stand for.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DocumentId(u128);

impl DocumentId {
    /// The id of a line. `timestamp`: what `@timestamp` says, Unix seconds; `ordinal`: the line's number among the
    /// records of its object, from 0; `scratch` is overwritten.
    pub fn new(object: ObjectHash, timestamp: u32, ordinal: u64, line: &[u8], scratch: &mut Vec<u8>) -> Self {
        scratch.clear();
        scratch.extend_from_slice(&object.0);
        scratch.extend_from_slice(&ordinal.to_be_bytes());
        scratch.extend_from_slice(line);
        let hash = xxh3_128(scratch) >> (128 - NUM_HASH_BITS);
        Self(u128::from(timestamp) << NUM_HASH_BITS | hash)
    }

    /// The id as text: ASCII that needs no escaping anywhere.
    pub fn to_text(self) -> [u8; NUM_CHARS] {
        let mut text = [0; NUM_CHARS];
        radix64::encode(radix64::URL_SAFE, self.0, &mut text);
        text
    }
}

impl fmt::Debug for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_text()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;
    use std::collections::HashSet;

    const LINE: &[u8] = b"2 123456789010 eni-1235b8ca123456789 172.31.16.139 172.31.16.21 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK";

    fn id(bucket: &str, key: &str, timestamp: u32, ordinal: u64, line: &[u8]) -> DocumentId {
        DocumentId::new(
            ObjectHash::new(bucket, key),
            timestamp,
            ordinal,
            line,
            &mut Vec::new(),
        )
    }

    /// Computed with Python's `xxhash` package: an id must never change, or replays would index everything twice.
    #[test]
    fn ids_are_what_they_always_were() {
        assert_eq!(
            &id("logs", "a b/c.log.gz", 1_418_530_070, 0, LINE).to_text(),
            b"VI0NFhb3NcHHJfcleb5e"
        );
        assert_eq!(
            &id("logs", "a b/c.log.gz", 1_418_530_070, 1, LINE).to_text(),
            b"VI0NFu_8m8tSsbQv5xE5"
        );
    }

    #[test]
    fn everything_that_tells_lines_apart_is_in_the_id() {
        let ids = [
            id("b", "k", 1, 0, b"line"),
            id("c", "k", 1, 0, b"line"),
            id("b", "l", 1, 0, b"line"),
            id("b", "k", 2, 0, b"line"),
            id("b", "k", 1, 1, b"line"),
            id("b", "k", 1, 0, b"lime"),
            id("b/k", "", 1, 0, b"line"),
        ];
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
    }

    proptest! {
        #[test]
        fn ids_sort_by_time_once_decoded(a in any::<u32>(), b in any::<u32>(), ordinal in any::<u64>()) {
            let decode = |timestamp| URL_SAFE_NO_PAD.decode(id("b", "k", timestamp, ordinal, LINE).to_text()).unwrap();
            prop_assert_eq!(decode(a).cmp(&decode(b)), a.cmp(&b));
        }
    }
}
