//! Ids and addresses → 64 bits that stand for them in tables: compared and looked up without touching text.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::net::IpAddr;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Stands for an id or an address. Among a million of them, another one has the same tag once in 10^13 look-ups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Tag(u64);

impl Tag {
    pub(super) fn of_id(id: &[u8]) -> Self {
        Self(xxh3_64(id))
    }

    pub(super) fn of_address(address: IpAddr) -> Self {
        const IS_IPV6: u64 = 1 << 63;
        Self(match address {
            IpAddr::V4(address) => address.to_bits().into(),
            IpAddr::V6(address) => xxh3_64(&address.octets()) | IS_IPV6,
        })
    }

    /// Stands for both, in this order.
    pub(super) fn and(self, other: Self) -> Self {
        Self(xxh3_64_with_seed(&self.0.to_le_bytes(), other.0))
    }

    /// One of `num_slots`, which is a power of two.
    pub(super) fn slot(self, num_slots: usize) -> usize {
        debug_assert!(num_slots.is_power_of_two());
        let number = usize::try_from(self.0 & u64::from(u32::MAX)).unwrap_or_default();
        number & (num_slots - 1)
    }
}

/// A map whose keys are hashes already.
pub(super) type TagMap<V> = HashMap<Tag, V, BuildHasherDefault<TagHasher>>;

/// Takes a tag for its own hash.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TagHasher(u64);

impl Hasher for TagHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}
