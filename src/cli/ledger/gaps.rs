//! The slots that were seen of a flow log → those that are missing.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::range::Range;

/// AWS publishes the objects of a flow log every 5 minutes. Source: "Publish flow logs to Amazon S3", Amazon VPC user
/// guide.
const USUAL_INTERVAL: i64 = 300;

/// Some flow logs only have every second slot.
const LONG_INTERVAL: i64 = 600;

/// Without so many slots the longer interval is a guess.
const MIN_SLOTS: usize = 3;

/// How long after the end of a slot its objects may take to be there, seconds: AWS publishes usually within 10 minutes.
const PATIENCE: i64 = 900;

/// Beginnings of slots, Unix seconds.
pub(super) type SlotSet = BTreeSet<i64>;

/// A flow log as the names of its objects have it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct FlowLog {
    pub(super) account: String,
    pub(super) region: String,
    pub(super) id: String,
}

/// What is there and what is missing of one flow log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Coverage {
    #[serde(flatten)]
    pub(super) flow_log: FlowLog,
    /// From one slot to the next.
    pub(super) interval_seconds: i64,
    /// Slots of the range of which there is an object.
    pub(super) slots: usize,
    /// Slots of the range of which there is none.
    pub(super) missing_slots: i64,
    pub(super) gaps: Vec<Gap>,
}

/// Missing slots in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Gap {
    /// Beginning of the first.
    pub(super) from: Timestamp,
    /// End of the last.
    pub(super) to: Timestamp,
    pub(super) slots: i64,
}

impl Coverage {
    /// `earlier`: the slots before the range; a flow log that has any is expected from the beginning of the range on,
    /// another one from its first slot on.
    pub(super) fn new(
        flow_log: FlowLog,
        earlier: &SlotSet,
        seen: &SlotSet,
        range: Range,
        now: Timestamp,
    ) -> Self {
        let interval = interval(earlier.union(seen));
        let start = match seen.first() {
            Some(first) if earlier.is_empty() => floor(*first, interval),
            _ => floor(range.from.as_second() + interval - 1, interval),
        };
        let due = now.as_second() - PATIENCE - interval;
        let end = range.to.as_second().min(due + 1);
        let there: SlotSet = seen.iter().map(|slot| floor(*slot, interval)).collect();
        let mut gaps: Vec<(i64, i64)> = Vec::new();
        let mut slot = start;
        while slot < end {
            let next = slot + interval;
            match gaps.last_mut() {
                _ if there.contains(&slot) => {}
                Some((_, last)) if *last == slot => *last = next,
                _ => gaps.push((slot, next)),
            }
            slot = next;
        }
        let gaps: Vec<Gap> = gaps
            .into_iter()
            .filter_map(|gap| Gap::new(gap, interval))
            .collect();
        Self {
            flow_log,
            interval_seconds: interval,
            slots: there.len(),
            missing_slots: gaps.iter().map(|gap| gap.slots).sum(),
            gaps,
        }
    }
}

impl Gap {
    fn new((from, to): (i64, i64), interval: i64) -> Option<Self> {
        Some(Self {
            from: Timestamp::from_second(from).ok()?,
            to: Timestamp::from_second(to).ok()?,
            slots: (to - from) / interval,
        })
    }
}

fn floor(second: i64, interval: i64) -> i64 {
    second - second.rem_euclid(interval)
}

/// The longer one only where no two slots are nearer than that, and most are as near.
fn interval<'a>(slots: impl Iterator<Item = &'a i64>) -> i64 {
    let slots: SlotSet = slots.map(|slot| floor(*slot, USUAL_INTERVAL)).collect();
    let steps: Vec<i64> = slots
        .iter()
        .zip(slots.iter().skip(1))
        .map(|(one, next)| next - one)
        .collect();
    let num_long = steps.iter().filter(|step| **step == LONG_INTERVAL).count();
    let is_long = slots.len() >= MIN_SLOTS
        && steps.iter().all(|step| step % LONG_INTERVAL == 0)
        && num_long * 2 > steps.len();
    if is_long { LONG_INTERVAL } else { USUAL_INTERVAL }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-20T00:00:00Z.
    const DAY: i64 = 1_795_132_800;

    fn slots(minutes: &[i64]) -> SlotSet {
        minutes.iter().map(|minute| DAY + minute * 60).collect()
    }

    /// What is missing in minutes of the day, of a range in minutes, seen at a minute.
    fn missing(
        earlier: &[i64],
        seen: &[i64],
        (from, to): (i64, i64),
        now: i64,
    ) -> (i64, Vec<(i64, i64, i64)>) {
        let time = |minute: i64| Timestamp::from_second(DAY + minute * 60).unwrap();
        let range = Range {
            from: time(from),
            to: time(to),
        };
        let flow_log = FlowLog {
            account: "1".into(),
            region: "r".into(),
            id: "fl-1".into(),
        };
        let coverage = Coverage::new(flow_log, &slots(earlier), &slots(seen), range, time(now));
        let minute = |time: Timestamp| (time.as_second() - DAY) / 60;
        let gaps = coverage.gaps.iter();
        (
            coverage.interval_seconds / 60,
            gaps.map(|gap| (minute(gap.from), minute(gap.to), gap.slots))
                .collect(),
        )
    }

    const TOMORROW: i64 = 24 * 60;

    #[test]
    fn the_day_of_these_tests_begins_at_midnight() {
        assert_eq!(
            Timestamp::from_second(DAY).unwrap().to_string(),
            "2026-11-20T00:00:00Z"
        );
    }

    #[test]
    fn slots_without_an_object_are_gaps_and_several_in_a_row_are_one() {
        let seen = [180, 185, 200, 205, 210, 220, 225, 230, 235];
        let expected = (5, vec![(190, 200, 2), (215, 220, 1)]);
        assert_eq!(missing(&[175], &seen, (180, 240), TOMORROW), expected);
    }

    #[test]
    fn a_flow_log_that_was_there_before_is_missed_at_the_beginning_and_wholly() {
        assert_eq!(
            missing(&[175], &[190, 195], (180, 200), TOMORROW),
            (5, vec![(180, 190, 2)])
        );
        assert_eq!(
            missing(&[175], &[], (180, 200), TOMORROW),
            (5, vec![(180, 200, 4)])
        );
        assert_eq!(
            missing(&[], &[190, 195], (180, 200), TOMORROW),
            (5, vec![]),
            "a new one is not"
        );
    }

    #[test]
    fn what_is_not_due_is_not_missing() {
        // The slot of 195 ends at 200 and is due at 215.
        assert_eq!(missing(&[], &[180, 185, 190], (180, 240), 214), (5, vec![]));
        assert_eq!(
            missing(&[], &[180, 185, 190], (180, 240), 215),
            (5, vec![(195, 200, 1)])
        );
    }

    #[test]
    fn a_flow_log_of_every_ten_minutes_has_no_gap_in_between() {
        let seen = [180, 190, 200, 210, 230];
        assert_eq!(
            missing(&[], &seen, (180, 240), TOMORROW),
            (10, vec![(220, 230, 1)])
        );
        // In the half of each slot that the range does not begin with.
        let shifted = [185, 195, 205, 215, 225, 235];
        assert_eq!(missing(&[175], &shifted, (180, 240), TOMORROW), (10, vec![]));
    }

    #[test]
    fn the_longer_interval_needs_evidence() {
        let (interval, gaps) = missing(&[], &[180, 190], (180, 200), TOMORROW);
        assert_eq!(
            (interval, gaps),
            (5, vec![(185, 190, 1), (195, 200, 1)]),
            "two slots say nothing"
        );
        let (interval, _) = missing(&[165, 170, 175], &[180, 190, 200, 210], (180, 220), TOMORROW);
        assert_eq!(interval, 5, "it was seen every 5 minutes before");
        let (interval, _) = missing(&[], &[0, 60, 120], (0, 180), TOMORROW);
        assert_eq!(interval, 5, "hours are no interval of AWS");
    }

    #[test]
    fn a_range_that_begins_in_a_slot_does_not_expect_it() {
        assert_eq!(missing(&[175], &[185], (182, 190), TOMORROW), (5, vec![]));
    }
}
