//! A point in time as a person writes it: a date, a time, or so long ago.

use std::str::FromStr;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// `2026-11-20`, `2026-11-20T03:00`, `2026-11-20T03:00:00Z` (UTC where nothing else is said), or an age such as `2h`,
/// `90m`, `1d12h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli::redrive) enum When {
    At(Timestamp),
    Ago(SignedDuration),
}

impl When {
    /// The point in time, seen from `now`.
    pub(in crate::cli::redrive) fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Ago(age) => now.checked_sub(age).unwrap_or(Timestamp::MIN),
        }
    }
}

impl FromStr for When {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(age) = parse_duration(text) {
            return Ok(Self::Ago(age));
        }
        if let Ok(time) = text.parse() {
            return Ok(Self::At(time));
        }
        let date_time = text.parse::<DateTime>();
        let date_time = date_time.or_else(|_no_time| text.parse::<Date>().map(DateTime::from));
        date_time
            .and_then(|date_time| date_time.to_zoned(TimeZone::UTC))
            .map(|zoned| Self::At(zoned.timestamp()))
            .map_err(|_no_time| {
                "give an age such as 30m, 2h or 3d, or a time such as 2026-11-20 or 2026-11-20T03:00:00Z"
            })
    }
}

/// Whole numbers with the units `s`, `m`, `h`, `d` and `w`, one after the other: `1d12h`. `None` for anything else.
pub(in crate::cli::redrive) fn parse_duration(text: &str) -> Option<SignedDuration> {
    let mut seconds = 0_i64;
    let mut digits = String::new();
    for c in text.chars() {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        let unit = match c {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 7 * 86_400,
            _ => return None,
        };
        let number: i64 = digits.parse().ok()?;
        seconds = seconds.checked_add(number.checked_mul(unit)?)?;
        digits.clear();
    }
    (digits.is_empty() && !text.is_empty()).then(|| SignedDuration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_times_are_read() {
        let now: Timestamp = "2026-11-20T04:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("2h", "2026-11-20T02:00:00Z"),
            ("1d12h", "2026-11-18T16:00:00Z"),
            ("90m", "2026-11-20T02:30:00Z"),
            ("1w", "2026-11-13T04:00:00Z"),
            ("0s", "2026-11-20T04:00:00Z"),
            ("2026-11-19", "2026-11-19T00:00:00Z"),
            ("2026-11-19T03:10", "2026-11-19T03:10:00Z"),
            ("2026-11-19T03:10:05+01:00", "2026-11-19T02:10:05Z"),
        ] {
            let expected: Timestamp = expected.parse().unwrap();
            assert_eq!(text.parse::<When>().unwrap().resolve(now), expected, "{text}");
        }
    }

    #[test]
    fn an_age_without_end_is_the_beginning_of_time() {
        let when: When = "999999999999999s".parse().unwrap();
        assert_eq!(when.resolve(Timestamp::UNIX_EPOCH), Timestamp::MIN);
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "2",
            "h",
            "2x",
            "-2h",
            "yesterday",
            "2026-13-01",
            "99999999999999999999d",
        ] {
            assert!(text.parse::<When>().is_err(), "{text}");
        }
    }
}
