//! The text of one column → its value. `None` for anything else: who knows the column makes an error of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::matches::matches;
use super::text::Text;

/// A larger number cannot be seconds of this century: SKIPDATA records with milliseconds occur.
const MAX_SECONDS: u64 = i32::MAX as u64;

/// An address of either family.
#[inline(always)]
pub(super) fn address(text: Text<'_>) -> Option<IpAddr> {
    match ipv4(text) {
        Some(address) => Some(IpAddr::V4(address)),
        None => ipv6(text.as_bytes()).map(IpAddr::V6),
    }
}

#[inline(never)]
fn ipv6(text: &[u8]) -> Option<Ipv6Addr> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Four numbers up to 255 without leading zeros, separated by dots: what the standard library takes. Where the dots are
/// is found first, so that nothing branches on the lengths of the numbers, which are never the same.
#[inline(always)]
fn ipv4(text: Text<'_>) -> Option<Ipv4Addr> {
    const SHORTEST: usize = "0.0.0.0".len();
    const LONGEST: usize = "255.255.255.255".len();
    let length = text.len();
    if !(SHORTEST..=LONGEST).contains(&length) {
        return None;
    }
    let mut dots = matches(text.block(), b'.') & ((1 << length) - 1);
    if dots.count_ones() != 3 {
        return None;
    }
    let mut next_dot = || {
        let dot = dots.trailing_zeros() as usize;
        dots &= dots - 1;
        dot
    };
    let (first, second, third) = (next_dot(), next_dot(), next_dot());
    let bits = octet(text, 0, first)? << 24
        | octet(text, first + 1, second)? << 16
        | octet(text, second + 1, third)? << 8
        | octet(text, third + 1, length)?;
    Some(Ipv4Addr::from_bits(bits))
}

#[inline(always)]
fn octet(text: Text<'_>, from: usize, to: usize) -> Option<u32> {
    let num_digits = to - from;
    if !(1..=3).contains(&num_digits) {
        return None;
    }
    let digits = digits(text.word_at(from), num_digits)?;
    let has_leading_zero = num_digits > 1 && digits >> (64 - 8 * num_digits) & 0xff == 0;
    let value = (digits >> 56) + 10 * (digits >> 48 & 0xff) + 100 * (digits >> 40 & 0xff);
    if has_leading_zero {
        return None;
    }
    u32::try_from(value).ok().filter(|value| *value <= 255)
}

/// A Unix time in seconds, or in milliseconds where the number is too large for seconds.
#[inline(always)]
pub(super) fn seconds(text: Text<'_>) -> Option<u64> {
    let number = number(text)?;
    let seconds = if number > MAX_SECONDS {
        number / 1000
    } else {
        number
    };
    (seconds <= MAX_SECONDS).then_some(seconds)
}

/// Plain decimal digits and nothing else: no sign, no `0x`.
#[inline(always)]
pub(super) fn number(text: Text<'_>) -> Option<u64> {
    match text.len() {
        length @ 1..=8 => digits(text.word_at(0), length).map(eight_digits),
        length @ 9..=16 => {
            let high = digits(text.word_at(0), length - 8).map(eight_digits)?;
            let low = digits(text.word_at(length - 8), 8).map(eight_digits)?;
            Some(high * 100_000_000 + low)
        }
        _ => long_number(text.as_bytes()),
    }
}

/// The values of the first `num_digits` (1 to 8) bytes, which must be digits, in the upper bytes of a word, zeros below.
#[inline(always)]
fn digits(word: u64, num_digits: usize) -> Option<u64> {
    let values = (word ^ u64::from_ne_bytes([b'0'; 8])) << (64 - 8 * num_digits);
    // A value above 9 gets the highest bit of its byte.
    let above_nine = values.wrapping_add(u64::from_ne_bytes([0x76; 8])) | values;
    (above_nine & u64::from_ne_bytes([0x80; 8]) == 0).then_some(values)
}

/// The number of eight digit values, the first digit in the lowest byte: neighbours are added up to pairs, to fours, to
/// eight.
fn eight_digits(digits: u64) -> u64 {
    const EVERY_FOURTH: u64 = 0x0000_00ff_0000_00ff;
    let pairs = (digits * 10).wrapping_add(digits >> 8);
    let first = (pairs & EVERY_FOURTH).wrapping_mul(100 + (1_000_000 << 32));
    let second = (pairs >> 16 & EVERY_FOURTH).wrapping_mul(1 + (10_000 << 32));
    first.wrapping_add(second) >> 32
}

#[inline(never)]
fn long_number(text: &[u8]) -> Option<u64> {
    text.iter()
        .try_fold(0_u64, |number, byte| {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            number.checked_mul(10)?.checked_add(u64::from(digit))
        })
        .filter(|_| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::text::PADDING;
    use super::*;
    use proptest::prelude::*;

    /// What `parse` makes of a text that stands among others.
    fn parse<T>(text: &str, parse: impl Fn(Text<'_>) -> T) -> T {
        let line = format!("1.2{text}345{}", "6".repeat(PADDING));
        parse(Text::new(line.as_bytes(), 3, 3 + text.len()))
    }

    fn seconds(text: &str) -> Option<u64> {
        parse(text, super::seconds)
    }

    #[test]
    fn seconds_and_milliseconds_are_told_apart_by_their_size() {
        assert_eq!(seconds("2147483647"), Some(2_147_483_647));
        assert_eq!(seconds("2147483648"), Some(2_147_483));
        assert_eq!(seconds("1418530010123"), Some(1_418_530_010));
        assert_eq!(seconds("2147483648000"), None);
    }

    proptest! {
        #[test]
        fn addresses_are_those_of_the_standard_library(text in "[0-9]{1,4}(\\.[0-9]{0,4}){2,4}|[0-9.]{0,16}|[0-9]{1,3}(\\.[0-9]{1,3}){3}") {
            prop_assert_eq!(parse(&text, ipv4), text.parse().ok());
        }

        #[test]
        fn numbers_are_those_of_the_standard_library(text in "[0-9]{0,22}|[0-9a:/.+-]{0,22}|1844674407370955[0-9]{4}") {
            let expected = text.parse::<u64>().ok().filter(|_| !text.starts_with('+'));
            prop_assert_eq!(parse(&text, number), expected);
        }
    }
}
