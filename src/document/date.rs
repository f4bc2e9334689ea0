//! Unix seconds → the text of a time, and the name of the day's index. Days repeat, so their text is kept.

use jiff::civil::Date;
use jiff::{Span, ToSpan};

use super::draft::Draft;

/// Seconds of a UTC day; Unix time has no leap seconds.
pub const SECONDS_PER_DAY: u32 = 86_400;

/// Records around midnight alternate between two days, and late ones add a few more.
const NUM_SLOTS: usize = 8;

/// What is made of a day, by day modulo the number of slots.
#[derive(Debug)]
struct DayCache<T> {
    slots: [Option<(u32, T)>; NUM_SLOTS],
}

impl<T> DayCache<T> {
    const fn new() -> Self {
        Self {
            slots: [const { None }; NUM_SLOTS],
        }
    }

    fn get(&mut self, day: u32, make: impl FnOnce(Date) -> T) -> &T {
        let slot = &mut self.slots[day as usize % NUM_SLOTS];
        if slot.as_ref().is_none_or(|(kept, _)| *kept != day) {
            *slot = Some((day, make(civil(day))));
        }
        slot.as_ref()
            .map(|(_, made)| made)
            .expect("the slot was just filled")
    }
}

fn civil(day: u32) -> Date {
    let since_epoch: Span = i64::from(day).days();
    Date::constant(1970, 1, 1)
        .checked_add(since_epoch)
        .expect("2^32 seconds end in 2106")
}

/// Of a time as text: `2026-11-20T03:10:00Z`.
const NUM_CHARS: usize = 20;

/// Times as text.
#[derive(Debug)]
pub(super) struct Dates {
    /// The day's midnight.
    days: DayCache<[u8; NUM_CHARS]>,
}

impl Default for Dates {
    fn default() -> Self {
        Self {
            days: DayCache::new(),
        }
    }
}

impl Dates {
    /// Appends the text of this moment.
    #[inline(always)]
    pub(super) fn put(&mut self, draft: &mut Draft<'_>, seconds: u32) {
        let midnight = self.days.get(seconds / SECONDS_PER_DAY, |date| {
            let text = date.strftime("%Y-%m-%dT00:00:00Z").to_string();
            *text
                .as_bytes()
                .first_chunk()
                .expect("years have four digits until 2106")
        });
        if let Some(room) = draft.room::<NUM_CHARS>() {
            *room = *midnight;
            let second = seconds % SECONDS_PER_DAY;
            for (position, value) in [(11, second / 3600), (14, second / 60 % 60), (17, second % 60)] {
                [room[position], room[position + 1]] = two_digits(value);
            }
        }
        draft.advance(NUM_CHARS);
    }
}

/// Of a number below 60.
fn two_digits(number: u32) -> [u8; 2] {
    let digit = |digit: u32| b'0' + u8::try_from(digit).unwrap_or_default();
    [digit(number / 10), digit(number % 10)]
}

/// Index names by day: `{prefix}-{dataset}-2026.11.20`, UTC. ILM reads the day back from the name
/// (`parse_origination_date`).
#[derive(Debug)]
pub struct IndexNames {
    stem: String,
    days: DayCache<String>,
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

    fn text_of(dates: &mut Dates, seconds: u32) -> String {
        let mut buffer = [0; 256];
        let mut draft = Draft::new(&mut buffer);
        dates.put(&mut draft, seconds);
        assert!(draft.fits() && draft.len() == NUM_CHARS);
        String::from_utf8(buffer[..NUM_CHARS].to_vec()).unwrap()
    }

    fn time(seconds: u32) -> String {
        text_of(&mut Dates::default(), seconds)
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
                let expected = Timestamp::from_second(i64::from(seconds)).unwrap().to_string();
                prop_assert_eq!(text_of(&mut dates, seconds), expected);
            }
        }
    }
}
