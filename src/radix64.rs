//! Bits → base64 where their number is known, without the loops and checks of an encoder for any length: twice a record.

/// The alphabet of RFC 4648, section 4.
pub(crate) const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The alphabet for URLs and file names, section 5.
pub(crate) const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Writes the lowest `6 * N` bits, the highest of them first.
#[inline(always)]
pub(crate) fn encode<const N: usize>(alphabet: &[u8; 64], bits: u128, out: &mut [u8; N]) {
    const { assert!(N <= 21) };
    for (position, out) in out.iter_mut().enumerate() {
        let digit = bits >> (6 * (N - 1 - position)) & 63;
        *out = alphabet[usize::try_from(digit).unwrap_or_default() % 64];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD as REFERENCE, URL_SAFE as URL_REFERENCE};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whole_bytes_are_what_the_crate_makes_of_them(bytes in any::<[u8; 15]>()) {
            let mut padded = [0; 16];
            padded[1..].copy_from_slice(&bytes);
            let mut text = [0; 20];
            encode(STANDARD, u128::from_be_bytes(padded), &mut text);
            prop_assert_eq!(text.to_vec(), REFERENCE.encode(bytes).into_bytes());
            encode(URL_SAFE, u128::from_be_bytes(padded), &mut text);
            prop_assert_eq!(text.to_vec(), URL_REFERENCE.encode(bytes).into_bytes());
        }
    }
}
