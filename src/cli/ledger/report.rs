//! Entries → the answer, for people and for programs.

use std::collections::BTreeMap;

use jiff::{Timestamp, ToSpan};
use serde::Serialize;

use super::gaps::{Coverage, FlowLog, SlotSet};
use super::range::Range;
use crate::cli::text::{printable, shell_word};
use crate::ledger::LedgerEntry;
use crate::outcome::{Counts, Fate};

/// Incomplete objects and flow logs with gaps that are shown to people; programs get all.
const MAX_SHOWN: usize = 50;

/// Longest detail that is shown to people, characters.
const MAX_DETAIL_CHARS: usize = 160;

/// Longest run of hours without an object that is shown hour by hour.
const MAX_EMPTY_HOURS: i64 = 24;

/// What the ledger says of a range.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    index: String,
    from: Timestamp,
    to: Timestamp,
    /// Whether every object is complete and no slot is missing.
    pub(super) complete: bool,
    #[serde(flatten)]
    total: Tally,
    missing_slots: i64,
    /// Objects without a stamp in their key: gaps cannot be told.
    without_slot: u64,
    hours: Vec<Hour>,
    incomplete: Vec<LedgerEntry>,
    flow_logs: Vec<Coverage>,
    #[serde(skip)]
    by_hour: BTreeMap<Timestamp, Tally>,
    #[serde(skip)]
    earlier: BTreeMap<FlowLog, SlotSet>,
    #[serde(skip)]
    seen: BTreeMap<FlowLog, SlotSet>,
}

/// Some objects together.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Tally {
    objects: u64,
    complete_objects: u64,
    incomplete_objects: u64,
    #[serde(flatten)]
    counts: Counts,
}

#[derive(Debug, Serialize)]
struct Hour {
    hour: Timestamp,
    #[serde(flatten)]
    tally: Tally,
}

impl Tally {
    fn add(&mut self, entry: &LedgerEntry) {
        self.objects += 1;
        if entry.object.complete {
            self.complete_objects += 1;
        } else {
            self.incomplete_objects += 1;
        }
        self.counts.add(&entry.object.counts);
    }

    fn row(&self, name: &str) -> String {
        let Counts {
            lines,
            indexed,
            duplicate,
            quarantined,
            ..
        } = self.counts;
        format!(
            "{name:16} {:7} {:8} {:10} {lines:10} {:10} {quarantined:11}",
            self.objects,
            self.complete_objects,
            self.incomplete_objects,
            indexed + duplicate,
        )
    }
}

impl Report {
    /// Of a range before which these slots were seen.
    pub(super) fn new(index: &str, range: Range, earlier: BTreeMap<FlowLog, SlotSet>) -> Self {
        Self {
            index: index.to_owned(),
            from: range.from,
            to: range.to,
            complete: false,
            total: Tally::default(),
            missing_slots: 0,
            without_slot: 0,
            hours: Vec::new(),
            incomplete: Vec::new(),
            flow_logs: Vec::new(),
            by_hour: BTreeMap::new(),
            earlier,
            seen: BTreeMap::new(),
        }
    }

    pub(super) fn add(&mut self, entry: LedgerEntry) {
        let object = &entry.object;
        self.total.add(&entry);
        self.by_hour.entry(hour_of(object.time)).or_default().add(&entry);
        match (&entry.account, &entry.region, &object.flow_log_id, object.slot) {
            (Some(account), Some(region), Some(id), Some(slot)) => {
                let flow_log = FlowLog {
                    account: account.clone(),
                    region: region.clone(),
                    id: id.clone(),
                };
                self.seen.entry(flow_log).or_default().insert(slot.as_second());
            }
            _ => self.without_slot += 1,
        }
        if !object.complete {
            self.incomplete.push(entry);
        }
    }

    /// After the last entry: finds what is missing as of `now`.
    pub(super) fn close(&mut self, now: Timestamp) {
        let range = Range {
            from: self.from,
            to: self.to,
        };
        let mut seen = std::mem::take(&mut self.seen);
        let earlier = std::mem::take(&mut self.earlier);
        for flow_log in earlier.keys() {
            seen.entry(flow_log.clone()).or_default();
        }
        for (flow_log, slots) in seen {
            let nothing = SlotSet::new();
            let before = earlier.get(&flow_log).unwrap_or(&nothing);
            self.flow_logs
                .push(Coverage::new(flow_log, before, &slots, range, now));
        }
        self.missing_slots = self.flow_logs.iter().map(|coverage| coverage.missing_slots).sum();
        self.complete = self.total.objects > 0 && self.incomplete.is_empty() && self.missing_slots == 0;
        let mut last: Option<Timestamp> = None;
        for (hour, tally) in std::mem::take(&mut self.by_hour) {
            self.hours
                .extend(last.into_iter().flat_map(|last| empty_hours(last, hour)));
            self.hours.push(Hour { hour, tally });
            last = Some(hour);
        }
    }

    /// Neither an object in the range nor a flow log that should have one.
    pub(super) fn is_empty(&self) -> bool {
        self.total.objects == 0 && self.missing_slots == 0
    }

    /// For people: at most 80 columns, but for URIs and details.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{}, {:.0} to {:.0}", self.index, self.from, self.to)];
        if self.is_empty() {
            return lines;
        }
        lines.push(String::new());
        lines.push(
            "hour (UTC)       objects complete incomplete      lines   in index quarantined".to_owned(),
        );
        let hours = self.hours.iter();
        lines.extend(hours.map(|hour| hour.tally.row(&minute(hour.hour))));
        if self.hours.len() != 1 {
            lines.push(self.total.row("together"));
        }
        self.incomplete_lines(&mut lines);
        self.gap_lines(&mut lines);
        lines.push(String::new());
        lines.extend(self.verdict().lines().map(str::to_owned));
        lines
    }

    fn incomplete_lines(&self, lines: &mut Vec<String>) {
        if self.incomplete.is_empty() {
            return;
        }
        lines.push(String::new());
        lines.push("Incomplete objects".to_owned());
        for entry in self.incomplete.iter().take(MAX_SHOWN) {
            let object = &entry.object;
            let reason = object.reason.as_deref().unwrap_or("-");
            lines.push(format!(
                "{}  {}  {}",
                minute(object.time),
                object.fate.as_str(),
                printable(reason)
            ));
            lines.push(format!("  {}", printable(&object.uri)));
            if let Some(detail) = &object.detail {
                lines.push(format!("  {}", cut(&printable(detail))));
            }
            lines.push(format!("  next: {}", next_step(entry)));
        }
        lines.extend(more(self.incomplete.len()));
    }

    fn gap_lines(&self, lines: &mut Vec<String>) {
        if self.missing_slots == 0 {
            return;
        }
        lines.push(String::new());
        lines.push("Slots without an object".to_owned());
        let with_gaps: Vec<&Coverage> = self
            .flow_logs
            .iter()
            .filter(|log| log.missing_slots > 0)
            .collect();
        for coverage in with_gaps.iter().take(MAX_SHOWN) {
            let FlowLog { account, region, id } = &coverage.flow_log;
            lines.push(format!(
                "{} {} {}, a slot every {} min",
                printable(id),
                printable(account),
                printable(region),
                coverage.interval_seconds / 60
            ));
            for gap in coverage.gaps.iter().take(MAX_SHOWN) {
                lines.push(format!(
                    "  {} to {}  {} missing",
                    minute(gap.from),
                    minute(gap.to),
                    number(gap.slots, "slot")
                ));
            }
            lines.extend(more(coverage.gaps.len()));
        }
        lines.extend(more(with_gaps.len()));
        lines
            .push("  next: is the object in the bucket? If so, its notification was lost, or its".to_owned());
        lines.push("  ledger entry not written; if not, was the flow log switched off?".to_owned());
    }

    fn verdict(&self) -> String {
        let with_slots = match self.flow_logs.len() {
            0 => "no flow log with slots".to_owned(),
            flow_logs => format!("{}{}", number(flow_logs, "flow log"), self.intervals()),
        };
        let what = match (self.incomplete.len(), self.missing_slots) {
            (0, 0) => "complete\n".to_owned(),
            (incomplete, missing) => format!(
                "not complete: {} incomplete, {} missing\n",
                number(incomplete, "object"),
                number(missing, "slot")
            ),
        };
        let unknown = match self.without_slot {
            0 => String::new(),
            objects => format!(
                "\n{} without a time stamp in the key: gaps cannot be told",
                number(objects, "object")
            ),
        };
        format!("{what}{with_slots}{unknown}")
    }

    /// The intervals that were found.
    fn intervals(&self) -> String {
        let mut by_interval: BTreeMap<i64, usize> = BTreeMap::new();
        for coverage in &self.flow_logs {
            *by_interval.entry(coverage.interval_seconds / 60).or_default() += 1;
        }
        let told = by_interval
            .iter()
            .map(|(minutes, flow_logs)| format!("{flow_logs} with a slot every {minutes} min"));
        format!(" ({})", told.collect::<Vec<_>>().join(", "))
    }
}

fn next_step(entry: &LedgerEntry) -> String {
    match entry.object.fate {
        Fate::DeadLetter => {
            let reason = shell_word(entry.object.reason.as_deref().unwrap_or("*"));
            format!("redrive list -v --reason {reason}\n  then: redrive send --reason {reason}")
        }
        Fate::ComesBack => {
            let received = number(entry.object.attempts, "time");
            format!("its message comes back by itself; it was received {received}")
        }
        Fate::GoesOn => "another invocation goes on with it; if none does, redrive stats".to_owned(),
        Fate::Indexed => "nothing".to_owned(),
    }
}

fn hour_of(time: Timestamp) -> Timestamp {
    let second = time.as_second();
    Timestamp::from_second(second - second.rem_euclid(3600)).unwrap_or(time)
}

/// Hours without an object between two with some are shown, too, unless they are more than a day's.
fn empty_hours(last: Timestamp, next: Timestamp) -> impl Iterator<Item = Hour> {
    let num_hours = (next.as_second() - last.as_second()) / 3600 - 1;
    let num_shown = if num_hours > MAX_EMPTY_HOURS { 0 } else { num_hours };
    (1..=num_shown).filter_map(move |number| {
        let hour = last.checked_add(number.hours()).ok()?;
        let tally = Tally::default();
        Some(Hour { hour, tally })
    })
}

fn minute(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M").to_string()
}

fn cut(text: &str) -> String {
    if text.chars().count() <= MAX_DETAIL_CHARS {
        return text.to_owned();
    }
    text.chars().take(MAX_DETAIL_CHARS - 1).chain(['…']).collect()
}

fn more(number_of: usize) -> Option<String> {
    let more = number_of.saturating_sub(MAX_SHOWN);
    (more > 0).then(|| format!("  and {more} more, with --json"))
}

/// `1 slot`, `2 slots`.
fn number<N: std::fmt::Display + PartialEq + From<u8>>(number: N, of: &str) -> String {
    let plural = if number == N::from(1) { "" } else { "s" };
    format!("{number} {of}{plural}")
}
