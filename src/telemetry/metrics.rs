//! What an invocation came to → one line in CloudWatch's embedded metric format: CloudWatch makes metrics of it, with
//! no call and no right needed. The one table of metrics; names are those of the log fields.
//!
//! Source of the format: "Specification: Embedded metric format", CloudWatch user guide.

use std::io::{self, Write};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::message::BatchReport;

/// The dimension of all metrics. The version is only a member of the line: as a dimension, it would part every alarm
/// from its metric with each deployment.
const FUNCTION: &str = "FunctionName";

/// Something that is counted or measured once an invocation.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name, also in the log.
    pub name: &'static str,
    /// One of CloudWatch's units.
    pub unit: &'static str,
    /// What it says.
    pub meaning: &'static str,
    value: fn(&Invocation<'_>) -> Option<u64>,
}

/// What metrics are made from.
#[derive(Clone, Copy, Debug)]
pub struct Invocation<'a> {
    /// What became of the batch.
    pub report: &'a BatchReport,
    /// When it ended.
    pub now: Timestamp,
    /// The invocation's id.
    pub request_id: &'a str,
    /// The function's name.
    pub function: &'a str,
    /// The function's version.
    pub version: &'a str,
}

impl Invocation<'_> {
    fn lag(&self, second: Option<u32>) -> Option<u64> {
        let lag = self.now.as_second() - i64::from(second?);
        // A record of the future has no lag.
        Some(u64::try_from(lag).unwrap_or_default())
    }
}

const fn metric(
    name: &'static str,
    unit: &'static str,
    meaning: &'static str,
    value: fn(&Invocation<'_>) -> Option<u64>,
) -> Metric {
    Metric {
        name,
        unit,
        meaning,
        value,
    }
}

/// Every metric. One without a value is left out of the line.
pub const METRICS: [Metric; 20] = [
    metric("messages", "Count", "messages of the batch", |of| {
        Some(of.report.num_messages)
    }),
    metric("failed", "Count", "messages that come back", |of| {
        Some(of.report.failed_ids.len() as u64)
    }),
    metric("dead_lettered", "Count", "dead letters written", |of| {
        Some(of.report.num_dead_letters)
    }),
    metric("objects", "Count", "objects read", |of| {
        Some(of.report.work.num_objects)
    }),
    metric("lines", "Count", "data lines read", |of| {
        Some(of.report.counts.lines)
    }),
    metric(
        "indexed",
        "Count",
        "documents created; of an object that goes on, those before the line with which it does",
        |of| Some(of.report.counts.indexed),
    ),
    metric("duplicate", "Count", "documents that were there already", |of| {
        Some(of.report.counts.duplicate)
    }),
    metric("no_data", "Count", "NODATA records, not indexed", |of| {
        Some(of.report.counts.no_data)
    }),
    metric("quarantined", "Count", "lines and documents kept aside", |of| {
        Some(of.report.counts.quarantined)
    }),
    metric(
        "refused",
        "Count",
        "lines and documents refused for good, not kept aside",
        |of| Some(of.report.counts.refused),
    ),
    metric("ledger_failed", "Count", "ledger entries not written", |of| {
        Some(of.report.num_ledger_failed)
    }),
    metric("bulk_requests", "Count", "`_bulk` requests sent", |of| {
        Some(of.report.work.num_requests)
    }),
    metric("resent", "Count", "documents sent again", |of| {
        Some(of.report.work.num_resent)
    }),
    metric("throttles", "Count", "answers 429 or 503", |of| {
        Some(of.report.work.num_throttles)
    }),
    metric("bytes_read", "Bytes", "of objects, as stored", |of| {
        Some(of.report.work.num_bytes_read)
    }),
    metric("bulk_bytes", "Bytes", "of bulk bodies, compressed", |of| {
        Some(of.report.work.num_bytes_sent)
    }),
    metric(
        "lag_max_seconds",
        "Seconds",
        "age of the oldest record of the objects indexed",
        |of| of.lag(of.report.work.oldest),
    ),
    metric("lag_min_seconds", "Seconds", "age of the newest", |of| {
        of.lag(of.report.work.newest)
    }),
    metric(
        "duration_ms",
        "Milliseconds",
        "from the event to the answer",
        |of| Some(of.report.duration_ms),
    ),
    metric(
        "time_left_ms",
        "Milliseconds",
        "until work would have had to stop",
        |of| Some(of.report.time_left_ms),
    ),
];

/// Writes the line of each invocation to stdout, where Lambda takes it to CloudWatch.
#[derive(Clone, Debug)]
pub struct MetricLog {
    namespace: Option<String>,
}

impl MetricLog {
    /// Metrics of this namespace; `None`: none at all.
    pub fn new(namespace: Option<String>) -> Self {
        Self { namespace }
    }

    /// Writes one line. A failure is only logged.
    pub fn write(&self, invocation: &Invocation<'_>) {
        let Some(namespace) = &self.namespace else {
            return;
        };
        let line = format!("{}\n", to_line(namespace, invocation));
        if let Err(error) = io::stdout().lock().write_all(line.as_bytes()) {
            tracing::warn!(%error, "metrics not written");
        }
    }
}

fn to_line(namespace: &str, invocation: &Invocation<'_>) -> Value {
    let mut line = Map::new();
    let mut directives = Vec::with_capacity(METRICS.len());
    for metric in &METRICS {
        if let Some(value) = (metric.value)(invocation) {
            directives.push(json!({"Name": metric.name, "Unit": metric.unit}));
            line.insert(metric.name.to_owned(), value.into());
        }
    }
    let metrics = json!([{"Namespace": namespace, "Dimensions": [[FUNCTION]], "Metrics": directives}]);
    let metadata = json!({"Timestamp": invocation.now.as_millisecond(), "CloudWatchMetrics": metrics});
    line.insert("_aws".to_owned(), metadata);
    line.insert(FUNCTION.to_owned(), invocation.function.into());
    line.insert("function_version".to_owned(), invocation.version.into());
    line.insert("request_id".to_owned(), invocation.request_id.into());
    Value::Object(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Counts;
    use crate::ship::Work;

    fn report() -> BatchReport {
        BatchReport {
            failed_ids: vec!["m1".to_owned()],
            counts: Counts {
                lines: 3,
                indexed: 2,
                ..Counts::default()
            },
            work: Work {
                oldest: Some(1_000),
                newest: Some(2_000),
                ..Work::default()
            },
            ..BatchReport::default()
        }
    }

    fn line(report: &BatchReport) -> Value {
        let invocation = Invocation {
            report,
            now: Timestamp::from_second(1_500).unwrap(),
            request_id: "request-1",
            function: "shipper",
            version: "7",
        };
        to_line("flowship", &invocation)
    }

    /// The rules of the specification: at most 100 metrics and 30 dimensions, each a member of the line, a number or a
    /// text; units as `MetricDatum` has them.
    #[test]
    fn the_line_keeps_the_rules_of_the_format() {
        let line = line(&report());
        let metadata = &line["_aws"];
        assert_eq!(metadata["Timestamp"], 1_500_000);
        let [directive] = metadata["CloudWatchMetrics"].as_array().unwrap().as_slice() else {
            panic!("{line}");
        };
        assert_eq!(directive["Namespace"], "flowship");
        assert_eq!(directive["Dimensions"], json!([["FunctionName"]]));
        assert_eq!(line["FunctionName"], "shipper");
        let metrics = directive["Metrics"].as_array().unwrap();
        assert_eq!(metrics.len(), METRICS.len());
        assert!(metrics.len() <= 100);
        for metric in metrics {
            let unit = metric["Unit"].as_str().unwrap();
            assert!(
                ["Seconds", "Milliseconds", "Bytes", "Count"].contains(&unit),
                "{metric}"
            );
            let name = metric["Name"].as_str().unwrap();
            assert!(line[name].is_u64(), "{name}: {line}");
        }
        assert!(!line.to_string().contains('\n'));
    }

    #[test]
    fn values_are_those_of_the_report_and_the_future_has_no_lag() {
        let line = line(&report());
        assert_eq!(
            (&line["lines"], &line["indexed"], &line["failed"]),
            (&json!(3), &json!(2), &json!(1))
        );
        assert_eq!(
            (&line["lag_max_seconds"], &line["lag_min_seconds"]),
            (&json!(500), &json!(0))
        );
    }

    #[test]
    fn what_has_no_value_is_not_announced_either() {
        let line = line(&BatchReport::default());
        assert!(line.get("lag_max_seconds").is_none());
        assert!(!line["_aws"].to_string().contains("lag_max_seconds"));
        assert_eq!(line["lines"], 0);
    }
}
