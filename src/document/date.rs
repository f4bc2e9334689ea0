//! Unix seconds → the text of a time, and the name of the day's index. Days repeat, so their text is kept.

use jiff::civil::Date;
use jiff::{Span, ToSpan};

/// Seconds of a UTC day; Unix time has no leap seconds.
pub const SECONDS_PER_DAY: u32 = 86_400;

/// Records around midnight alternate between two days, and late ones add a few more.
const NUM_SLOTS: usize = 8;

/// The texts of days, by day modulo the number of slots.
#[derive(Debug)]
struct DayCache {
    slots: [Option<(u32, String)>; NUM_SLOTS],
}

impl DayCache {
    const fn new() -> Self {
        Self {
            slots: [const { None }; NUM_SLOTS],
        }
    }

    fn get(&mut self, day: u32, make: impl FnOnce(Date) -> String) -> &str {
        let slot = &mut self.slots[day as usize % NUM_SLOTS];
        if slot.as_ref().is_none_or(|(kept, _)| *kept != day) {
            *slot = Some((day, make(civil(day))));
        }
        slot.as_ref()
            .map(|(_, text)| text.as_str())
            .expect("the slot was just filled")
    }
}

fn civil(day: u32) -> Date {
    let since_epoch: Span = i64::from(day).days();
    Date::constant(1970, 1, 1)
        .checked_add(since_epoch)
        .expect("2^32 seconds end in 2106")
}

/// Times as text: `2026-11-20T03:10:00Z`.
#[derive(Debug)]
pub(super) struct Dates {
    days: DayCache,
}

impl Default for Dates {
    fn default() -> Self {
        Self {
            days: DayCache::new(),
        }
    }
}

impl Dates {
    pub(super) fn push_time(&mut self, out: &mut Vec<u8>, seconds: u32) {
        let day = self.days.get(seconds / SECONDS_PER_DAY, |date| {
            date.strftime("%Y-%m-%d").to_string()
        });
        out.extend_from_slice(day.as_bytes());
        let second = seconds % SECONDS_PER_DAY;
        let mut text = *b"T00:00:00Z";
        for (position, value) in [(1, second / 3600), (4, second / 60 % 60), (7, second % 60)] {
            // Two digits: every value is below 60.
            text[position] += u8::try_from(value / 10).unwrap_or_default();
            text[position + 1] += u8::try_from(value % 10).unwrap_or_default();
        }
        out.extend_from_slice(&text);
    }
}

/// Index names by day: `{prefix}-{dataset}-2026.11.20`, UTC. ILM reads the day back from the name
/// (`parse_origination_date`).
#[derive(Debug)]
pub struct IndexNames {
    stem: String,
    days: DayCache,
}

impl IndexNames {
    /// Names for this prefix and dataset.
    pub fn new(prefix: &str, dataset: &str) -> Self {
        Self {
            stem: format!("{prefix}-{dataset}-"),
            days: DayCache::new(),
        }
    }

    /// The index of this moment.
    pub fn at(&mut self, seconds: u32) -> &str {
        let stem = &self.stem;
        self.days.get(seconds / SECONDS_PER_DAY, |date| {
            format!("{stem}{}", date.strftime("%Y.%m.%d"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use proptest::prelude::*;

    fn time(seconds: u32) -> String {
        let mut out = Vec::new();
        Dates::default().push_time(&mut out, seconds);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_and_names_of_known_moments() {
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
        assert_eq!(time(1_418_530_070), "2014-12-14T04:07:50Z");
        assert_eq!(time(u32::MAX), "2106-02-07T06:28:15Z");
        let mut names = IndexNames::new("flowlogs", "vpc");
        assert_eq!(names.at(1_418_530_070), "flowlogs-vpc-2014.12.14");
        assert_eq!(names.at(1_709_164_799), "flowlogs-vpc-2024.02.28");
        assert_eq!(names.at(1_709_164_800), "flowlogs-vpc-2024.02.29");
    }

    proptest! {
        #[test]
        fn times_are_those_of_a_calendar_library(all in prop::collection::vec(any::<u32>(), 1..20)) {
            let mut dates = Dates::default();
            for seconds in all {
                let mut out = Vec::new();
                dates.push_time(&mut out, seconds);
                let expected = Timestamp::from_second(i64::from(seconds)).unwrap().to_string();
                prop_assert_eq!(String::from_utf8(out).unwrap(), expected);
            }
        }
    }
}
