//! A rule → the search that Kibana makes of it at a moment, and what it finds for whom.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::kql::Query;
use super::pack::{Pack, text};

/// What a rule looks at.
#[derive(Debug)]
pub(super) struct Check<'a> {
    params: &'a Value,
    aggregation: &'a str,
    field: Option<&'a Value>,
    group: Option<&'a Value>,
    window: String,
    comparator: &'a str,
    threshold: f64,
    time: &'a str,
    /// Whether it alerts on groups that were there before.
    pub(super) alerts_on_gone: bool,
}

impl<'a> Check<'a> {
    /// `pack`: where the data view of the rule is.
    pub(super) fn new(pack: &'a Pack, rule: &'a Value) -> Self {
        let params = &rule["params"];
        let number = |value: &Value| value.as_u64().unwrap();
        let view_id = text(&params["searchConfiguration"]["index"]);
        let time = pack.sources.view(view_id).time.as_str();
        match text(&rule["rule_type_id"]) {
            ".es-query" => Self {
                params,
                aggregation: text(&params["aggType"]),
                field: params.get("aggField"),
                group: params.get("termField"),
                window: format!(
                    "{}{}",
                    number(&params["timeWindowSize"]),
                    text(&params["timeWindowUnit"])
                ),
                comparator: text(&params["thresholdComparator"]),
                threshold: params["threshold"][0].as_f64().unwrap(),
                time,
                alerts_on_gone: false,
            },
            _ => {
                let criterion = &params["criteria"][0];
                let metric = &criterion["metrics"][0];
                Self {
                    params,
                    aggregation: text(&metric["aggType"]),
                    field: metric.get("field"),
                    group: params.pointer("/groupBy/0"),
                    window: format!(
                        "{}{}",
                        number(&criterion["timeSize"]),
                        text(&criterion["timeUnit"])
                    ),
                    comparator: text(&criterion["comparator"]),
                    threshold: criterion["threshold"][0].as_f64().unwrap(),
                    time,
                    alerts_on_gone: params["alertOnGroupDisappear"] == true,
                }
            }
        }
    }

    pub(super) fn view_id(&self) -> &'a str {
        text(&self.params["searchConfiguration"]["index"])
    }

    /// The body of the search at `now`, a date.
    pub(super) fn search(&self, now: &str) -> Value {
        let query = Query::parse(text(&self.params["searchConfiguration"]["query"]["query"])).at(now);
        let window = json!({"range": {self.time: {"gte": format!("{now}||-{}", self.window), "lte": now}}});
        let metric = match (self.aggregation, self.field) {
            ("count", None) => None,
            (aggregation, field) => Some(json!({aggregation: {"field": field}})),
        };
        let mut aggregations = json!({});
        if let Some(metric) = metric {
            aggregations["value"] = metric;
        }
        if let Some(group) = self.group {
            let terms = json!({"field": group, "size": 100});
            aggregations = json!({"group": {"terms": terms, "aggs": aggregations}});
        }
        json!({
            "size": 0, "track_total_hits": true, "aggs": aggregations,
            "query": {"bool": {"filter": [query.to_search(), window]}},
        })
    }

    /// Values by group; of a rule without groups, by an empty name.
    pub(super) fn values(&self, answer: &Value) -> BTreeMap<String, f64> {
        let value = |bucket: &Value, count: &Value| match bucket.pointer("/value/value") {
            Some(value) => value.as_f64().unwrap_or_default(),
            None => count.as_f64().unwrap(),
        };
        if self.group.is_none() {
            let all = value(&answer["aggregations"], &answer["hits"]["total"]["value"]);
            return BTreeMap::from([(String::new(), all)]);
        }
        let buckets = answer["aggregations"]["group"]["buckets"]
            .as_array()
            .unwrap()
            .iter();
        buckets
            .map(|bucket| {
                (
                    text(&bucket["key"]).to_owned(),
                    value(bucket, &bucket["doc_count"]),
                )
            })
            .collect()
    }

    pub(super) fn fires(&self, value: f64) -> bool {
        match self.comparator {
            ">" => value > self.threshold,
            "<" => value < self.threshold,
            comparator => panic!("{comparator}"),
        }
    }
}
