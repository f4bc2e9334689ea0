use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;
use crate::cli::redrive::tests::{letter, now, selection};

const ACCOUNTS: [&str; 2] = ["111111111111", "222222222222"];
const REGIONS: [&str; 2] = ["us-east-1", "eu-west-1"];
const FLOW_LOGS: [&str; 2] = ["fl-1", "fl-2"];
const REASONS: [&str; 3] = ["bulk.throttled", "bulk.rejected", "object.not_found"];
const GLOBS: [&str; 7] = [
    "bulk.*",
    "*",
    "*.not?found",
    "unknown",
    "unknown*",
    "object",
    "*a*",
];
const KEY_GLOBS: [&str; 5] = ["AWSLogs/*", "*/20/*", "*fl-1_*", "plain.gz", "*.gz"];
const TIMES: [&str; 4] = [
    "2026-11-18T00:00:00Z",
    "2026-11-19T00:00:00Z",
    "2026-11-20T00:00:00Z",
    "1d",
];

/// An object as the reference sees it: what was written down, not what was parsed.
#[derive(Clone, Debug)]
struct Object {
    /// Account, region, flow log, and day of November 2026; `None`: a key that tells nothing.
    told: Option<(&'static str, &'static str, &'static str, u32)>,
    event_day: Option<u32>,
}

impl Object {
    fn key(&self) -> String {
        let Some((account, region, flow_log, day)) = self.told else {
            return "plain.gz".to_owned();
        };
        format!(
            "AWSLogs/{account}/vpcflowlogs/{region}/2026/11/{day}/\
             {account}_vpcflowlogs_{region}_{flow_log}_202611{day}T0000Z_0.log.gz"
        )
    }

    fn record(&self) -> serde_json::Value {
        let mut record = serde_json::json!({"eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": "logs"}, "object": {"key": self.key()}}});
        if let Some(day) = self.event_day {
            record["eventTime"] = format!("2026-11-{day}T00:00:00.000Z").into();
        }
        record
    }

    fn day(&self) -> Option<u32> {
        self.told.map(|(.., day)| day).or(self.event_day)
    }
}

#[derive(Clone, Debug)]
struct Written {
    id: String,
    reason: Option<&'static str>,
    disposition: Option<&'static str>,
    hops: u64,
    /// Day of November 2026.
    failed: Option<u32>,
    objects: Vec<Object>,
}

impl Written {
    fn to_letter(&self) -> DeadLetter {
        let records: Vec<_> = self.objects.iter().map(Object::record).collect();
        let mut written = letter("", "")
            .hops(self.hops)
            .body(&serde_json::json!({ "Records": records }).to_string());
        let text = |value: &str| crate::queue::Attribute::Text(value.to_owned());
        written = match self.reason {
            Some(reason) => written.with("reason", text(reason)),
            None => written.without("reason"),
        };
        written = match self.disposition {
            Some(word) => written.with("disposition", text(word)),
            None => written.without("disposition"),
        };
        written = match self.failed {
            Some(day) => written.failed_at(&format!("2026-11-{day}T00:00:00Z")),
            None => written.without("failed_at"),
        };
        DeadLetter {
            id: self.id.clone(),
            ..written.parsed()
        }
    }
}

/// Options as they stand on the command line: name and value.
type Options = Vec<(&'static str, &'static str)>;

/// The slow way: every glob by trying all splits, every option by walking over all options of its name.
mod reference {
    use super::*;

    fn glob(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|taken| glob(rest, &text[taken..])),
            Some((b'?', rest)) => !text.is_empty() && glob(rest, &text[1..]),
            Some((literal, rest)) => text.first() == Some(literal) && glob(rest, &text[1..]),
        }
    }

    fn time_of(day: u32) -> i64 {
        // 2026-11-01T00:00:00Z, from `date -d`.
        1_793_491_200 + (i64::from(day) - 1) * 86_400
    }

    fn time(text: &str) -> i64 {
        if text == "1d" {
            return now().as_second() - 86_400;
        }
        time_of(text.get(8..10).unwrap().parse().unwrap())
    }

    pub(super) fn matches(written: &Written, options: &Options) -> bool {
        let all = |name: &'static str| -> Vec<&'static str> {
            options
                .iter()
                .filter(|option| option.0 == name)
                .map(|option| option.1)
                .collect()
        };
        let one_of = |name: &'static str, fits: &dyn Fn(&str) -> bool| {
            let values = all(name);
            values.is_empty() || values.into_iter().any(fits)
        };
        // A message in memory is sent at this second.
        let failed = written.failed.map_or(now().as_second() - 3600, time_of);
        let names = ["unknown", "unknown (moved by the queue's redrive policy)"];
        let names = written.reason.as_ref().map_or(&names[..], std::slice::from_ref);
        let by_failure = one_of("--reason", &|value| {
            names.iter().any(|name| glob(value.as_bytes(), name.as_bytes()))
        }) && one_of("--disposition", &|value| {
            value == written.disposition.unwrap_or("unknown")
        }) && one_of("--id", &|value| written.id.starts_with(value))
            && one_of("--older", &|value| failed < time(value))
            && one_of("--newer", &|value| failed >= time(value))
            && one_of("--max-hops", &|value| {
                written.hops < value.parse::<u64>().unwrap()
            });
        let about_objects = ["--account", "--region", "--flow-log", "--key", "--from", "--to"];
        if !options.iter().any(|option| about_objects.contains(&option.0)) {
            return by_failure;
        }
        by_failure
            && written.objects.iter().any(|object| {
                let told = |value: &str, part: usize| {
                    object.told.is_some_and(|(account, region, flow_log, _)| {
                        [account, region, flow_log][part] == value
                    })
                };
                let day = object.day().map(time_of);
                one_of("--account", &|value| told(value, 0))
                    && one_of("--region", &|value| told(value, 1))
                    && one_of("--flow-log", &|value| told(value, 2))
                    && one_of("--key", &|value| glob(value.as_bytes(), object.key().as_bytes()))
                    && one_of("--from", &|value| day.is_some_and(|day| day >= time(value)))
                    && one_of("--to", &|value| day.is_some_and(|day| day < time(value)))
            })
    }
}

fn any_object() -> impl Strategy<Value = Object> {
    let told = (
        select(&ACCOUNTS[..]),
        select(&REGIONS[..]),
        select(&FLOW_LOGS[..]),
        17_u32..22,
    );
    (prop::option::weighted(0.8, told), prop::option::of(17_u32..22))
        .prop_map(|(told, event_day)| Object { told, event_day })
}

fn any_letter() -> impl Strategy<Value = Written> {
    (
        "[ab]{8}-[ab]{2}",
        prop::option::of(select(&REASONS[..])),
        prop::option::of(select(&["transient", "permanent"][..])),
        0_u64..5,
        prop::option::of(17_u32..22),
        prop::collection::vec(any_object(), 0..4),
    )
        .prop_map(|(id, reason, disposition, hops, failed, objects)| Written {
            id,
            reason,
            disposition,
            hops,
            failed,
            objects,
        })
}

/// Some of these options; only times and hops come once.
fn any_options() -> impl Strategy<Value = Options> {
    let several = |name: &'static str, values: &'static [&'static str]| {
        prop::option::weighted(0.25, subsequence(values, 1..=values.len()))
            .prop_map(move |values| {
                values
                    .into_iter()
                    .flatten()
                    .map(|value| (name, value))
                    .collect::<Options>()
            })
            .boxed()
    };
    let once = |name: &'static str, values: &'static [&'static str]| {
        prop::option::weighted(0.2, select(values))
            .prop_map(move |value| value.into_iter().map(|value| (name, value)).collect::<Options>())
            .boxed()
    };
    vec![
        several("--reason", &GLOBS),
        several("--disposition", &["transient", "permanent", "unknown"]),
        several("--account", &ACCOUNTS),
        several("--region", &REGIONS),
        several("--flow-log", &FLOW_LOGS),
        several("--key", &KEY_GLOBS),
        several("--id", &["aaaaaaaa", "abababab", "bbbbbbbb"]),
        once("--from", &TIMES),
        once("--to", &TIMES),
        once("--older", &TIMES),
        once("--newer", &TIMES),
        once("--max-hops", &["0", "1", "3"]),
    ]
    .prop_map(|options| options.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_combination_of_options_selects_what_the_slow_reference_selects(
        letters in prop::collection::vec(any_letter(), 1..30),
        options in any_options(),
    ) {
        let words: Vec<&str> = options.iter().flat_map(|(name, value)| [*name, *value]).collect();
        let selection = selection(&words);
        for written in letters {
            prop_assert_eq!(
                selection.matches(&written.to_letter(), now()),
                reference::matches(&written, &options),
                "{:?} {:?}", written, options
            );
        }
    }
}

#[test]
fn a_message_is_selected_by_one_object_that_has_all_that_was_asked_for() {
    let object = |account, day| Object {
        told: Some((account, "us-east-1", "fl-1", day)),
        event_day: None,
    };
    let written = Written {
        id: "aaaaaaaa-aa".into(),
        reason: None,
        disposition: None,
        hops: 0,
        failed: None,
        objects: vec![object(ACCOUNTS[0], 18), object(ACCOUNTS[1], 20)],
    };
    let matches = |options: &[&str]| selection(options).matches(&written.to_letter(), now());
    assert!(matches(&["--account", ACCOUNTS[0]]) && matches(&["--account", ACCOUNTS[1]]));
    assert!(matches(&["--account", ACCOUNTS[1], "--from", "2026-11-20"]));
    assert!(
        !matches(&["--account", ACCOUNTS[0], "--from", "2026-11-20"]),
        "they are two objects"
    );
}

#[test]
fn only_a_filter_makes_a_selection() {
    assert!(selection(&[]).filter.is_empty());
    assert!(selection(&["--limit", "1", "--max-hops", "1"]).filter.is_empty());
    assert!(!selection(&["--reason", "*"]).filter.is_empty());
    assert!(!selection(&["--older", "2h"]).filter.is_empty());
}

#[test]
fn too_short_an_id_is_refused() {
    insta::assert_snapshot!("0a1b".parse::<IdPrefix>().unwrap_err(), @"give at least 8 characters of the message id, as `redrive list` shows it");
}
