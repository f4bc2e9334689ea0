use std::collections::BTreeMap;

use clap::Command;

use super::gaps::{FlowLog, SlotSet};
use super::range::Range;
use super::*;
use crate::ledger::{LedgerEntry, ObjectEntry};
use crate::outcome::{Counts, Fate};

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A complete object of 100 lines in this slot of 2026-11-20.
fn entry(flow_log: &str, slot: &str) -> LedgerEntry {
    let slot = time(&format!("2026-11-20T{slot}:00Z"));
    let stamp = slot.strftime("%Y%m%dT%H%MZ");
    let key = format!("123456789012_vpcflowlogs_us-east-1_{flow_log}_{stamp}_ab.log.gz");
    LedgerEntry {
        ended_at: slot,
        account: Some("123456789012".into()),
        region: Some("us-east-1".into()),
        version: "0.1.0".into(),
        object: ObjectEntry {
            uri: format!("s3://logs/{key}"),
            bucket: "logs".into(),
            key,
            version_id: None,
            flow_log_id: Some(flow_log.into()),
            time: slot,
            slot: Some(slot),
            size: Some(1000),
            counts: Counts {
                lines: 100,
                indexed: 90,
                duplicate: 5,
                no_data: 5,
                ..Counts::default()
            },
            first_record: Some(slot),
            last_record: Some(slot),
            lag_ms: None,
            complete: true,
            fate: Fate::Indexed,
            reason: None,
            detail: None,
            quarantine: None,
            attempts: 1,
            hops: 0,
            passes: 1,
            duration_ms: 10,
            message_id: "m1".into(),
        },
    }
}

fn failed(slot: &str, fate: Fate, reason: &str, detail: &str) -> LedgerEntry {
    let mut entry = entry("fl-1", slot);
    entry.set_fate(fate);
    entry.object.reason = Some(reason.into());
    entry.object.detail = Some(detail.into());
    entry
}

fn report(entries: Vec<LedgerEntry>, earlier: &[(&str, &str)]) -> Report {
    let range = Range {
        from: time("2026-11-20T03:00:00Z"),
        to: time("2026-11-20T06:00:00Z"),
    };
    let mut before: BTreeMap<FlowLog, SlotSet> = BTreeMap::new();
    for (id, slot) in earlier {
        let flow_log = FlowLog {
            account: "123456789012".into(),
            region: "us-east-1".into(),
            id: (*id).into(),
        };
        let slot = time(&format!("2026-11-20T{slot}:00Z"));
        before.entry(flow_log).or_default().insert(slot.as_second());
    }
    let mut report = Report::new("flowship-ledger", range, before);
    for entry in entries {
        report.add(entry);
    }
    // The slot of 05:10 is the last one that is due.
    report.close(time("2026-11-20T05:30:00Z"));
    report
}

fn every_five_minutes() -> impl Iterator<Item = String> {
    (180..315)
        .step_by(5)
        .map(|minute| format!("{:02}:{:02}", minute / 60, minute % 60))
}

#[test]
fn what_is_missing_and_what_to_do_about_it_is_told() {
    let mut entries: Vec<LedgerEntry> = every_five_minutes()
        .filter(|slot| !["03:20", "03:25", "05:05"].contains(&slot.as_str()))
        .map(|slot| entry("fl-1", &slot))
        .collect();
    entries.push(failed(
        "03:30",
        Fate::DeadLetter,
        "decode.truncated_gzip",
        "the stream ends early\u{1b}[2J",
    ));
    entries.push(failed(
        "04:10",
        Fate::ComesBack,
        "bulk.unavailable",
        &"x".repeat(200),
    ));
    entries.push(failed(
        "05:10",
        Fate::GoesOn,
        "deadline.exceeded",
        "the time was up",
    ));
    let mut own_name = entry("fl-1", "03:40");
    own_name.object.slot = None;
    own_name.object.counts.quarantined = 2;
    entries.push(own_name);
    let report = report(entries, &[("fl-1", "02:55"), ("fl-2", "01:00")]);
    assert!(!report.complete && !report.is_empty());
    insta::assert_snapshot!(report.lines().join("\n"), @"
    flowship-ledger, 2026-11-20T03:00:00Z to 2026-11-20T06:00:00Z

    hour (UTC)       objects complete incomplete      lines   in index quarantined
    2026-11-20 03:00      12       11          1       1200       1140           2
    2026-11-20 04:00      13       12          1       1300       1235           0
    2026-11-20 05:00       3        2          1        300        285           0
    together              28       25          3       2800       2660           2

    Incomplete objects
    2026-11-20 03:30  dead letter  decode.truncated_gzip
      s3://logs/123456789012_vpcflowlogs_us-east-1_fl-1_20261120T0330Z_ab.log.gz
      the stream ends early�[2J
      next: redrive list -v --reason decode.truncated_gzip
      then: redrive send --reason decode.truncated_gzip
    2026-11-20 04:10  comes back  bulk.unavailable
      s3://logs/123456789012_vpcflowlogs_us-east-1_fl-1_20261120T0410Z_ab.log.gz
      xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
      next: its message comes back by itself; it was received 1 time
    2026-11-20 05:10  goes on  deadline.exceeded
      s3://logs/123456789012_vpcflowlogs_us-east-1_fl-1_20261120T0510Z_ab.log.gz
      the time was up
      next: another invocation goes on with it; if none does, redrive stats

    Slots without an object
    fl-1 123456789012 us-east-1, a slot every 5 min
      2026-11-20 03:20 to 2026-11-20 03:30  2 slots missing
      2026-11-20 05:05 to 2026-11-20 05:10  1 slot missing
    fl-2 123456789012 us-east-1, a slot every 5 min
      2026-11-20 03:00 to 2026-11-20 05:15  27 slots missing
      next: is the object in the bucket? If so, its notification was lost, or its
      ledger entry not written; if not, was the flow log switched off?

    not complete: 3 objects incomplete, 30 slots missing
    2 flow logs (2 with a slot every 5 min)
    1 object without a time stamp in the key: gaps cannot be told
    ");
}

#[test]
fn a_complete_range_is_told_in_few_lines() {
    let mut entries: Vec<LedgerEntry> = every_five_minutes().map(|slot| entry("fl-1", &slot)).collect();
    entries.extend(
        (180..315)
            .step_by(10)
            .map(|minute| entry("fl-2", &format!("{:02}:{:02}", minute / 60, minute % 60))),
    );
    let report = report(entries, &[("fl-1", "02:55")]);
    assert!(report.complete);
    insta::assert_snapshot!(report.lines().join("\n"), @"
    flowship-ledger, 2026-11-20T03:00:00Z to 2026-11-20T06:00:00Z

    hour (UTC)       objects complete incomplete      lines   in index quarantined
    2026-11-20 03:00      18       18          0       1800       1710           0
    2026-11-20 04:00      18       18          0       1800       1710           0
    2026-11-20 05:00       5        5          0        500        475           0
    together              41       41          0       4100       3895           0

    complete
    2 flow logs (1 with a slot every 5 min, 1 with a slot every 10 min)
    ");
}

#[test]
fn hours_without_an_object_are_shown_and_long_lists_are_cut() {
    let mut entries: Vec<LedgerEntry> = (0..52)
        .map(|_| failed("03:00", Fate::DeadLetter, "object.not_found", "gone"))
        .collect();
    entries.push(entry("fl-1", "05:00"));
    let lines = report(entries, &[]).lines();
    let mut distant = entry("fl-1", "03:00");
    distant.object.time = time("2025-11-20T03:00:00Z");
    let other = report(vec![distant, entry("fl-1", "03:00")], &[]).lines();
    let hours = other.iter().filter(|line| line.starts_with("202"));
    assert_eq!(hours.count(), 2, "a year is not shown hour by hour: {other:#?}");
    let hour = lines
        .iter()
        .find(|line| line.starts_with("2026-11-20 04:00"))
        .unwrap();
    assert_eq!(
        hour,
        "2026-11-20 04:00       0        0          0          0          0           0"
    );
    assert!(
        lines.contains(&"  and 2 more, with --json".to_owned()),
        "{lines:#?}"
    );
}

#[test]
fn nothing_at_all_is_neither_complete_nor_missing() {
    let report = report(Vec::new(), &[]);
    assert!(report.is_empty() && !report.complete);
    assert_eq!(
        report.lines(),
        ["flowship-ledger, 2026-11-20T03:00:00Z to 2026-11-20T06:00:00Z"]
    );
}

#[test]
fn help_teaches() {
    let mut command = Arguments::augment_args(Command::new("ledger")).term_width(100);
    insta::assert_snapshot!(command.render_long_help(), @"
    Shows whether a time range was fully ingested, and what is missing

    Prints the objects by hour, every incomplete one with what to do about it, and the missing slots of
    every flow log.

    Usage: ledger [OPTIONS]

    Options:
          --from <TIME>
              Beginning: RFC 3339, a date or time (UTC), or so long ago as 90m or 7d [default: 24h]

          --to <TIME>
              End, exclusive; the same forms, and now [default: now]

          --account <ID>
              Only objects of this account

          --region <NAME>
              Only objects of this region

          --flow-log <ID>
              Only objects of this flow log

          --elasticsearch-url <URL>...
              URLs of the cluster's nodes or of its load balancer [default: FLOWSHIP_ELASTICSEARCH_URLS]

          --json
              Writes the result as one JSON document

      -h, --help
              Print help (see a summary with '-h')

    An object belongs to the time stamp in its key, which is the beginning of its slot: AWS writes the
    objects of a flow log every 5 minutes, some every 10. Which of both is derived from the slots of the
    range and of the 24 hours before it. A slot is missing when no object of it was ever seen, 15
    minutes after its end; a flow log that was not seen in the 24 hours before the range is expected
    from its first slot on. Objects without a stamp belong to the time of their S3 event.

    Credentials and the file of a private CA come from FLOWSHIP_ELASTICSEARCH_API_KEY, _USERNAME and
    _PASSWORD, _SECRET_ARN, _SECRET_FILE and _CA_FILE. They need `read` on the ledger's indices, as the
    role flowlogs-reader has it (not the function's), and no right in AWS beyond
    secretsmanager:GetSecretValue for _SECRET_ARN.

    Exit codes: 0 every object complete and no slot missing, 1 failed (stderr says why), 2 wrong command
    line, 3 something incomplete or missing, 4 nothing there at all.

    Examples:
      flowctl ledger --from 2026-11-20T03:00Z --to 2026-11-20T04:00Z
      flowctl ledger --from 7d --flow-log fl-1234abcd --json | jq '.incomplete[]'
    ");
}
