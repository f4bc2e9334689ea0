//! Address → the members that show it and its place, rendered once and kept: a few addresses have most of the traffic.

use std::net::IpAddr;

use super::draft::Draft;
use super::json::push_address;
use super::place::push_place;
use crate::enrich::Geo;
use crate::flow::{Field, Row};

/// Pairs of slots. With geo a rendered address takes some 250 bytes, and every object in flight has its own slots: these
/// stay within a few MiB each.
const NUM_PAIRS: usize = 8 << 10;

/// Rendered members, by address; of two addresses that fall on one pair of slots, both fit, of three the one that was
/// looked for last and the one before it.
#[derive(Debug)]
pub(super) struct Addresses {
    pairs: Vec<[Slot; 2]>,
}

#[derive(Debug, Default)]
struct Slot {
    address: Option<IpAddr>,
    rendered: Vec<u8>,
}

impl Default for Addresses {
    fn default() -> Self {
        let pairs = std::iter::repeat_with(<[Slot; 2]>::default).take(NUM_PAIRS);
        Self {
            pairs: pairs.collect(),
        }
    }
}

impl Addresses {
    /// Writes the member `ip` and, where something is known, `geo` and `as`. The databases are the same at every call.
    #[inline(always)]
    pub(super) fn put(&mut self, draft: &mut Draft<'_>, row: &Row<'_>, field: Field, geo: Option<&Geo>) {
        let (Some(address), Some(text)) = (row.address(field), row.text(field)) else {
            return;
        };
        if address.is_ipv4() && geo.is_none() {
            draft.put(br#""ip":""#);
            draft.put_text(text);
            draft.put(b"\",");
        } else {
            draft.put_bytes(self.rendered(address, text.as_bytes(), geo));
        }
    }

    fn rendered(&mut self, address: IpAddr, text: &[u8], geo: Option<&Geo>) -> &[u8] {
        let [first, second] = &mut self.pairs[pair_of(address)];
        if first.address != Some(address) {
            std::mem::swap(first, second);
            if first.address != Some(address) {
                first.address = Some(address);
                first.rendered.clear();
                push_address(&mut first.rendered, br#""ip":"#, address, text);
                if let Some(geo) = geo {
                    push_place(&mut first.rendered, &geo.lookup(address));
                }
            }
        }
        &first.rendered
    }
}

fn pair_of(address: IpAddr) -> usize {
    let bits = match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    };
    // The upper bits of a product depend on all bits of its factors (Fibonacci hashing).
    let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or_default();
    let folded = half(bits >> 64) ^ half(bits);
    let hash = folded.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    usize::try_from(hash >> 32).unwrap_or_default() % NUM_PAIRS
}
