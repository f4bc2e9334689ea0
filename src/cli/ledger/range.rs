//! `--from` and `--to` → a time range.

use anyhow::{Context, bail};
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// From the first moment to before the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

pub(super) fn parse(from: &str, to: &str, now: Timestamp) -> anyhow::Result<Range> {
    let range = Range {
        from: time(from, now).with_context(|| format!("--from: `{from}`"))?,
        to: time(to, now).with_context(|| format!("--to: `{to}`"))?,
    };
    if range.from >= range.to {
        bail!("--from {:.0} is not before --to {:.0}", range.from, range.to);
    }
    Ok(range)
}

fn time(text: &str, now: Timestamp) -> anyhow::Result<Timestamp> {
    if text == "now" {
        return Ok(now);
    }
    if let Some(time) = ago(text, now) {
        return Ok(time);
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    // A text with an offset would be taken for its local time.
    let local = match text.parse::<Date>() {
        Ok(date) if text.len() == 10 => Some(date.at(0, 0, 0, 0)),
        _ => text.parse::<DateTime>().ok(),
    };
    match local.and_then(|local| local.to_zoned(TimeZone::UTC).ok()) {
        Some(time) => Ok(time.timestamp()),
        None => bail!(
            "is no time such as 2026-11-20T03:00Z, 2026-11-20T03:00, 2026-11-20, `now`, or so long ago as 90m, 24h, 7d"
        ),
    }
}

/// `90m`, `24h`, `7d`.
fn ago(text: &str, now: Timestamp) -> Option<Timestamp> {
    let unit = text.chars().last()?;
    let number: i64 = text
        .strip_suffix(unit)?
        .parse()
        .ok()
        .filter(|number| *number >= 0)?;
    let minutes = match unit {
        'm' => 1,
        'h' => 60,
        'd' => 24 * 60,
        _ => return None,
    };
    let duration = SignedDuration::from_secs(number.checked_mul(minutes)?.checked_mul(60)?);
    now.checked_sub(duration).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-21T12:34:56Z";

    fn range(from: &str, to: &str) -> anyhow::Result<String> {
        let range = parse(from, to, NOW.parse().unwrap())?;
        Ok(format!("{} {}", range.from, range.to))
    }

    #[test]
    fn every_form_is_read() {
        let good = [
            ("24h", "now", "2026-11-20T12:34:56Z 2026-11-21T12:34:56Z"),
            ("7d", "90m", "2026-11-14T12:34:56Z 2026-11-21T11:04:56Z"),
            (
                "2026-11-20",
                "2026-11-21",
                "2026-11-20T00:00:00Z 2026-11-21T00:00:00Z",
            ),
            (
                "2026-11-20T03:00Z",
                "2026-11-20T05:00:00+01:00",
                "2026-11-20T03:00:00Z 2026-11-20T04:00:00Z",
            ),
            (
                "2026-11-20T03:00",
                "0m",
                "2026-11-20T03:00:00Z 2026-11-21T12:34:56Z",
            ),
        ];
        for (from, to, expected) in good {
            assert_eq!(range(from, to).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_no_range_is_named() {
        let told: Vec<String> = [
            ("yesterday", "now"),
            ("1h", "2h"),
            ("1h", "-3h"),
            ("1h", "99999999999999d"),
        ]
        .iter()
        .map(|(from, to)| format!("{:#}", range(from, to).unwrap_err()))
        .collect();
        insta::assert_snapshot!(told.join("\n"), @"
        --from: `yesterday`: is no time such as 2026-11-20T03:00Z, 2026-11-20T03:00, 2026-11-20, `now`, or so long ago as 90m, 24h, 7d
        --from 2026-11-21T11:34:56Z is not before --to 2026-11-21T10:34:56Z
        --to: `-3h`: is no time such as 2026-11-20T03:00Z, 2026-11-20T03:00, 2026-11-20, `now`, or so long ago as 90m, 24h, 7d
        --to: `99999999999999d`: is no time such as 2026-11-20T03:00Z, 2026-11-20T03:00, 2026-11-20, `now`, or so long ago as 90m, 24h, 7d
        ");
    }
}
