//! The id of a zone: `use1-az4`. The same zone in every account, which its name (`us-east-1a`) is not.

use std::fmt;
use std::num::NonZeroU8;

use serde::de::{Deserialize, Deserializer, Error};

/// Longest id that is taken for one; those of wavelength zones have about 18.
const MAX_BYTES: usize = 24;

/// The id of an availability zone, a local zone or a wavelength zone: ASCII that needs no escaping.
///
/// Aligned, because it is copied more often than written: processors wait for copies in pieces that overlap.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(align(16))]
pub struct ZoneId {
    bytes: [u8; MAX_BYTES],
    num_bytes: NonZeroU8,
}

impl ZoneId {
    /// Takes lower-case letters, digits and `-`, at most 24 of them. Anything else is no zone.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let num_bytes = NonZeroU8::new(u8::try_from(text.len()).ok()?)?;
        let mut bytes = [0; MAX_BYTES];
        if text.len() > MAX_BYTES {
            return None;
        }
        for (own, byte) in bytes.iter_mut().zip(text) {
            if !matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-') {
                return None;
            }
            *own = *byte;
        }
        Some(Self { bytes, num_bytes })
    }

    /// The text with zeros behind it, for whoever copies blocks of known size.
    pub fn block(&self) -> &[u8; MAX_BYTES] {
        &self.bytes
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.num_bytes.get())]
    }
}

impl fmt::Display for ZoneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}

impl fmt::Debug for ZoneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'de> Deserialize<'de> for ZoneId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(text.as_bytes())
            .ok_or_else(|| D::Error::custom(format_args!("`{text}` is no zone id such as use1-az4")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_a_zone_is_taken_for_one() {
        let kept = |text: &str| ZoneId::parse(text.as_bytes()).map(|zone| zone.to_string());
        for zone in ["use1-az4", "use1-wl1-bos-wlz1", "a", "123456789012345678901234"] {
            assert_eq!(kept(zone).as_deref(), Some(zone));
        }
        for text in [
            "",
            "use1_az4",
            "USE1-AZ4",
            "use1-az\"",
            "1234567890123456789012345",
        ] {
            assert_eq!(kept(text), None, "{text}");
        }
    }
}
