//! The text of a column with bytes behind it, so that it can be parsed and copied in whole blocks: a block of known
//! size is a few instructions, a copy of unknown length is a call and a branch that is often guessed wrong.

/// How many bytes there are behind the last column of a line.
pub(super) const PADDING: usize = 64;

/// A column's text. What follows it in memory is other text or blanks, never relied upon.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    padded: &'a [u8],
    length: usize,
}

impl<'a> Text<'a> {
    /// The text `padded[from..to]`; at least as many as [`PADDING`] says follow.
    #[inline(always)]
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

    /// `N` bytes from the beginning of the text, at most 64; those after its end mean nothing.
    #[inline(always)]
    pub fn block<const N: usize>(&self) -> &'a [u8; N] {
        const { assert!(N <= PADDING) };
        self.padded.first_chunk().expect("texts are padded")
    }

    /// Whether the text is this word of at most eight letters.
    #[inline(always)]
    pub fn is<const N: usize>(&self, word: &[u8; N]) -> bool {
        const { assert!(N <= 8) };
        self.length == N && self.block::<N>() == word
    }

    /// Eight bytes from this position in the text on.
    #[inline(always)]
    pub(super) fn word_at(&self, position: usize) -> u64 {
        let bytes = self.padded[position..].first_chunk().expect("texts are padded");
        u64::from_le_bytes(*bytes)
    }
}

impl PartialEq for Text<'_> {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        // Compared in two words, as long as they reach: a comparison of unknown length is a call.
        let words = |text: &Self| {
            let block: u128 = u128::from_le_bytes(*text.block());
            block << (8 * (16 - self.length.min(16)))
        };
        self.length == other.length
            && words(self) == words(other)
            && (self.length <= 16 || self.as_bytes() == other.as_bytes())
    }
}

impl Eq for Text<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn texts_are_equal_when_their_bytes_are(a in "[ab]{1,40}", b in "[ab]{1,40}") {
            let padded = |text: &str| format!("{text}{}", "x".repeat(PADDING)).into_bytes();
            let (padded_a, padded_b) = (padded(&a), padded(&b));
            let text_a = Text::new(&padded_a, 0, a.len());
            prop_assert_eq!(text_a == Text::new(&padded_b, 0, b.len()), a == b);
            let longer = padded(&format!("{a}{b}"));
            prop_assert!(text_a == Text::new(&longer, 0, a.len()));
        }
    }
}
