//! The text of a column with bytes behind it, so that it can be parsed and copied in whole blocks: a block of known
//! size is a few instructions, a copy of unknown length is a call and a branch that is often guessed wrong.

/// How many bytes there are behind the last column of a line.
pub(super) const PADDING: usize = 64;

/// A column's text. What follows it in memory is other text or zeros, never relied upon.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    padded: &'a [u8],
    length: usize,
}

impl<'a> Text<'a> {
    /// The text `padded[from..to]`; at least [`PADDING`] bytes follow.
    pub(super) fn new(padded: &'a [u8], from: usize, to: usize) -> Self {
        debug_assert!(from <= to && to + PADDING <= padded.len());
        Self {
            padded: &padded[from..],
            length: to - from,
        }
    }

    /// Length in bytes.
    #[allow(clippy::len_without_is_empty, reason = "the text of a column is never empty")]
    pub fn len(&self) -> usize {
        self.length
    }

    /// The text.
    pub fn as_bytes(&self) -> &'a [u8] {
        &self.padded[..self.length]
    }

    /// `N` bytes from the beginning of the text, at most `PADDING`; those after its end mean nothing.
    pub fn block<const N: usize>(&self) -> &'a [u8; N] {
        const { assert!(N <= PADDING) };
        self.padded.first_chunk().expect("texts are padded")
    }

    /// Eight bytes from this position in the text on.
    pub(super) fn word_at(&self, position: usize) -> u64 {
        let bytes = self.padded[position..].first_chunk().expect("texts are padded");
        u64::from_le_bytes(*bytes)
    }
}

/// The highest bit of every byte of `word` that is `byte`.
pub(super) const fn matches(word: u64, byte: u8) -> u64 {
    const LOW_BITS: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let differing = word ^ u64::from_ne_bytes([byte; 8]);
    // No carry leaves a byte: its sum is at most 0xfe.
    !(((differing & LOW_BITS) + LOW_BITS) | differing | LOW_BITS)
}

/// The highest bits of eight bytes as one byte, the first byte's lowest.
pub(super) const fn gather(high_bits: u64) -> u64 {
    (high_bits >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bits_stand_where_the_bytes_are(bytes in any::<[u8; 8]>(), picked in 0_usize..8) {
            let byte = bytes[picked];
            let found = gather(matches(u64::from_le_bytes(bytes), byte));
            for (position, other) in bytes.iter().enumerate() {
                prop_assert_eq!(found >> position & 1 == 1, *other == byte);
            }
            prop_assert!(found < 256);
        }
    }
}
