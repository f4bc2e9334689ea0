//! A panel → the search that Kibana makes of it, and the table that it shows.

use serde_json::{Map, Value, json};

use super::kql::Query;
use super::pack::{Lens, text};

/// The interval of histograms; Kibana takes one by the width of the panel.
const INTERVAL: &str = "1h";

/// The body of the search. `chosen` is what the controls of the dashboard say.
pub(super) fn search(lens: Lens<'_>, chosen: &str) -> Value {
    let columns = lens.columns();
    let (groups, values): (Vec<_>, Vec<_>) = columns
        .into_iter()
        .partition(|(_, column)| column["isBucketed"] == true);
    let mut aggregations = Map::new();
    for (id, column) in &values {
        if let Some(aggregation) = value_aggregation(column) {
            aggregations.insert((*id).to_owned(), aggregation);
        }
    }
    for (id, column) in groups.iter().rev() {
        let mut group = group_aggregation(lens, column);
        // What orders the groups is asked of each, above the groups within it.
        if let Some(by) = column["params"].pointer("/orderBy/columnId").map(text)
            && let Some(aggregation) = value_aggregation(&lens.layer().1["columns"][by])
        {
            aggregations.insert(by.to_owned(), aggregation);
        }
        group["aggs"] = aggregations.into();
        aggregations = Map::from_iter([((*id).to_owned(), group)]);
    }
    let filter = [lens.filter(), chosen].map(|query| Query::parse(query).to_search());
    json!({"size": 0, "track_total_hits": true, "query": {"bool": {"filter": filter}}, "aggs": aggregations})
}

/// A row for every innermost group: the keys of its groups, then the values.
pub(super) fn table(lens: Lens<'_>, answer: &Value) -> Vec<Vec<Value>> {
    let mut rows = Vec::new();
    let total = &answer["hits"]["total"]["value"];
    let columns = lens.columns();
    push_rows(
        &columns,
        &answer["aggregations"],
        total,
        &mut Vec::new(),
        &mut rows,
    );
    rows
}

fn group_aggregation(lens: Lens<'_>, column: &Value) -> Value {
    let params = &column["params"];
    match text(&column["operationType"]) {
        "terms" => {
            let by = text(&params["orderBy"]["columnId"]);
            let (_, layer) = lens.layer();
            let by_column = &layer["columns"][by];
            let is_count = by_column["operationType"] == "count";
            let path = match (is_count, by_column.get("filter").is_some()) {
                (true, false) => "_count".to_owned(),
                (true, true) => format!("{by}._count"),
                (false, false) => by.to_owned(),
                (false, true) => format!("{by}>value"),
            };
            let order = json!({path: params["orderDirection"]});
            json!({"terms": {"field": column["sourceField"], "size": params["size"], "order": order}})
        }
        "date_histogram" => {
            json!({"date_histogram": {"field": column["sourceField"], "fixed_interval": INTERVAL, "min_doc_count": 0}})
        }
        "filters" => {
            let filters: Map<_, _> = params["filters"]
                .as_array()
                .unwrap()
                .iter()
                .map(|filter| {
                    let query = Query::parse(text(&filter["input"]["query"]));
                    (text(&filter["label"]).to_owned(), query.to_search())
                })
                .collect();
            json!({"filters": {"filters": filters}})
        }
        operation => panic!("{operation} makes no groups"),
    }
}

/// `None`: the count of the group itself.
fn value_aggregation(column: &Value) -> Option<Value> {
    let field = &column["sourceField"];
    let metric = match text(&column["operationType"]) {
        "count" => None,
        "sum" => Some(json!({"sum": {"field": field}})),
        "unique_count" => Some(json!({"cardinality": {"field": field}})),
        "min" => Some(json!({"min": {"field": field}})),
        "max" => Some(json!({"max": {"field": field}})),
        "percentile" => {
            Some(json!({"percentiles": {"field": field, "percents": [column["params"]["percentile"]]}}))
        }
        // Kibana asks for `top_metrics`, which is a module that the servers of the tests do not have.
        "last_value" => {
            let sort = json!([{text(&column["params"]["sortField"]): "desc"}]);
            Some(json!({"top_hits": {"size": 1, "_source": false, "fields": [field], "sort": sort}}))
        }
        operation => panic!("{operation} is no value"),
    };
    let exists = || json!({"exists": {"field": field}});
    let filter = match column.get("filter") {
        Some(filter) => Some(Query::parse(text(&filter["query"])).to_search()),
        None if column["operationType"] == "last_value" => Some(exists()),
        None => None,
    };
    match (filter, metric) {
        (None, metric) => metric,
        (Some(filter), None) => Some(json!({"filter": filter})),
        (Some(filter), Some(metric)) => Some(json!({"filter": filter, "aggs": {"value": metric}})),
    }
}

fn push_rows(
    columns: &[(&str, &Value)],
    aggregations: &Value,
    count: &Value,
    keys: &mut Vec<Value>,
    rows: &mut Vec<Vec<Value>>,
) {
    let Some(((id, column), inner)) = columns
        .split_first()
        .filter(|((_, first), _)| first["isBucketed"] == true)
    else {
        let values = columns
            .iter()
            .map(|(id, column)| value(column, &aggregations[*id], count));
        rows.push(keys.iter().cloned().chain(values).collect());
        return;
    };
    let buckets = &aggregations[*id]["buckets"];
    let buckets: Vec<(Value, &Value)> = match column["params"].get("filters") {
        Some(filters) => {
            let labels = filters.as_array().unwrap().iter().map(|filter| &filter["label"]);
            labels
                .map(|label| (label.clone(), &buckets[text(label)]))
                .collect()
        }
        None => {
            let buckets = buckets.as_array().unwrap().iter();
            buckets
                .map(|bucket| {
                    let key = bucket.get("key_as_string").unwrap_or(&bucket["key"]);
                    (key.clone(), bucket)
                })
                .collect()
        }
    };
    for (key, bucket) in buckets {
        keys.push(key);
        push_rows(inner, bucket, &bucket["doc_count"], keys, rows);
        keys.pop();
    }
}

fn value(column: &Value, answer: &Value, count: &Value) -> Value {
    let operation = text(&column["operationType"]);
    if operation == "count" {
        return answer.get("doc_count").unwrap_or(count).clone();
    }
    let answer = answer.get("doc_count").map_or(answer, |_| &answer["value"]);
    match operation {
        "percentile" => answer["values"]
            .as_object()
            .unwrap()
            .values()
            .next()
            .unwrap()
            .clone(),
        "last_value" => {
            let field = text(&column["sourceField"]);
            let fields = answer.pointer("/hits/hits/0/fields");
            fields.map_or(Value::Null, |fields| fields[field][0].clone())
        }
        _ => answer.get("value_as_string").unwrap_or(&answer["value"]).clone(),
    }
}
