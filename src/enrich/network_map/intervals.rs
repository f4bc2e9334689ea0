//! Networks, one in another → disjoint intervals of addresses, each with the value of its smallest network: one binary
//! search finds the longest prefix.

use std::cmp::Reverse;

/// An address as a number.
pub(super) trait Key: Copy + Ord {
    /// The next one; `None` after the last.
    fn next(self) -> Option<Self>;
}

impl Key for u32 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Key for u128 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

/// A network: all addresses from the first to the last. Of two networks, one holds the other, or they have nothing in
/// common; no two are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Network<K, V> {
    pub(super) first: K,
    pub(super) last: K,
    pub(super) value: V,
}

/// Disjoint intervals that cover all addresses. One ends where the next begins.
#[derive(Clone, Debug)]
pub(super) struct Intervals<K, V> {
    starts: Vec<K>,
    /// `None`: in no network.
    values: Vec<Option<V>>,
}

impl<K, V> Default for Intervals<K, V> {
    fn default() -> Self {
        Self {
            starts: Vec::new(),
            values: Vec::new(),
        }
    }
}

impl<K: Key, V: Copy + PartialEq> Intervals<K, V> {
    /// Intervals with the values of these networks.
    pub(super) fn of(mut networks: Vec<Network<K, V>>) -> Self {
        networks.sort_by_key(|network| (network.first, Reverse(network.last)));
        let mut intervals = Self::default();
        // The networks that hold the present address, the smallest one on top.
        let mut open: Vec<Network<K, V>> = Vec::new();
        for network in networks {
            intervals.close(&mut open, |last| last < network.first);
            intervals.push(network.first, Some(network.value));
            open.push(network);
        }
        intervals.close(&mut open, |_| true);
        intervals
    }

    /// Leaves the networks that are over.
    fn close(&mut self, open: &mut Vec<Network<K, V>>, is_over: impl Fn(K) -> bool) {
        while let Some(network) = open.pop_if(|network| is_over(network.last)) {
            if let Some(next) = network.last.next() {
                self.push(next, open.last().map(|outer| outer.value));
            }
        }
    }

    /// What begins at the same address later stands; what changes nothing is left out.
    fn push(&mut self, start: K, value: Option<V>) {
        if self.starts.last() == Some(&start) {
            self.starts.pop();
            self.values.pop();
        }
        if self.values.last().copied().flatten() != value {
            self.starts.push(start);
            self.values.push(value);
        }
    }

    /// Intervals with a value where exactly one of these has one.
    pub(super) fn in_only_one(all: &[&Self]) -> Self {
        let mut changes: Vec<(K, usize, Option<V>)> = Vec::new();
        for (number, one) in all.iter().enumerate() {
            let own = one.starts.iter().zip(&one.values);
            changes.extend(own.map(|(start, value)| (*start, number, *value)));
        }
        changes.sort_by_key(|(start, _, _)| *start);
        let mut present: Vec<Option<V>> = vec![None; all.len()];
        // The sum of the numbers of those that have a value is the number of the only one.
        let (mut num_present, mut sum) = (0_usize, 0_usize);
        let mut intervals = Self::default();
        for same_start in changes.chunk_by(|a, b| a.0 == b.0) {
            for (_, number, value) in same_start {
                match (present[*number].is_some(), value.is_some()) {
                    (false, true) => (num_present, sum) = (num_present + 1, sum + number),
                    (true, false) => (num_present, sum) = (num_present - 1, sum - number),
                    _ => {}
                }
                present[*number] = *value;
            }
            let only = if num_present == 1 { present[sum] } else { None };
            intervals.push(same_start[0].0, only);
        }
        intervals
    }

    /// The value of the smallest network that holds this address.
    pub(super) fn get(&self, key: K) -> Option<&V> {
        let after = self.starts.partition_point(|start| *start <= key);
        self.values[after.checked_sub(1)?].as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Net = Network<u32, u8>;

    fn network(first: u32, prefix_bits: u32, value: u8) -> Net {
        let mask = u32::MAX.checked_shr(prefix_bits).unwrap_or_default();
        Network {
            first: first & !mask,
            last: first | mask,
            value,
        }
    }

    #[test]
    fn the_smallest_network_wins_and_gaps_are_empty() {
        let intervals = Intervals::of(vec![
            network(0x0a00_0000, 8, 1),
            network(0x0a01_0000, 16, 2),
            network(0x0a01_0000, 24, 3),
            network(0xffff_ff00, 24, 4),
        ]);
        for (key, expected) in [
            (0x09ff_ffff, None),
            (0x0a00_0000, Some(1)),
            (0x0a01_00ff, Some(3)),
            (0x0a01_0100, Some(2)),
            (0x0a02_0000, Some(1)),
            (0x0b00_0000, None),
            (0xffff_ff00, Some(4)),
            (u32::MAX, Some(4)),
        ] {
            assert_eq!(intervals.get(key).copied(), expected, "{key:x}");
        }
        assert_eq!(Intervals::<u32, u8>::default().get(0), None);
    }

    /// Small networks in a small space, so that they often hold each other.
    fn networks() -> impl Strategy<Value = Vec<Net>> {
        let network = (0..8_u32, 26..=32_u32, 0..4_u8);
        prop::collection::vec(network, 0..12).prop_map(|all| {
            let mut kept: Vec<Net> = Vec::new();
            for (number, prefix_bits, value) in all {
                let network = network_at(number, prefix_bits, value);
                if !kept
                    .iter()
                    .any(|other| (other.first, other.last) == (network.first, network.last))
                {
                    kept.push(network);
                }
            }
            kept
        })
    }

    fn network_at(number: u32, prefix_bits: u32, value: u8) -> Net {
        // Both ends of all addresses are among them.
        network(number.wrapping_mul(0x25).wrapping_sub(40), prefix_bits, value)
    }

    fn naive(networks: &[Net], key: u32) -> Option<u8> {
        let holding = networks
            .iter()
            .filter(|network| (network.first..=network.last).contains(&key));
        holding
            .min_by_key(|network| network.last - network.first)
            .map(|network| network.value)
    }

    proptest! {
        #[test]
        fn looking_up_is_looking_at_all(sets in prop::collection::vec(networks(), 0..4)) {
            let tables: Vec<_> = sets.iter().map(|set| Intervals::of(set.clone())).collect();
            let only = Intervals::in_only_one(&tables.iter().collect::<Vec<_>>());
            for offset in 0..400_u32 {
                let key = offset.wrapping_sub(120);
                let each: Vec<Option<u8>> = sets.iter().map(|set| naive(set, key)).collect();
                for (table, expected) in tables.iter().zip(&each) {
                    prop_assert_eq!(table.get(key).copied(), *expected, "{:x}", key);
                }
                let found: Vec<u8> = each.into_iter().flatten().collect();
                let expected = if let [value] = found[..] { Some(value) } else { None };
                prop_assert_eq!(only.get(key).copied(), expected, "{:x}", key);
            }
        }
    }
}
