//! `kibana/sources`: the pack as a person writes it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::mapping::Mapping;
use crate::support::stack::repository;

/// Everything, each kind in the order of its file names.
#[derive(Debug)]
pub(super) struct Sources {
    filters: BTreeMap<String, String>,
    pub(super) views: BTreeMap<String, View>,
    pub(super) dashboards: Vec<Dashboard>,
    pub(super) searches: Vec<Search>,
    /// By the name of the file.
    pub(super) rules: BTreeMap<String, Rule>,
}

/// A data view.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct View {
    pub(super) id: String,
    /// The index pattern.
    pub(super) title: String,
    pub(super) name: String,
    /// The field of its times.
    pub(super) time: String,
    /// The data view with the same indices and fields.
    like: Option<String>,
    /// Files of `index-templates` with the mapping of its indices.
    #[serde(default)]
    mappings: Vec<String>,
    #[serde(default)]
    pub(super) fields: BTreeMap<String, ShownField>,
}

impl View {
    pub(super) fn mapping(&self) -> Mapping {
        Mapping::read(&self.mappings)
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ShownField {
    pub(super) label: String,
    pub(super) format: Option<Format>,
}

/// How values are shown.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Format {
    Bytes,
    /// A time in nanoseconds.
    Nanoseconds,
    /// A time in milliseconds.
    Milliseconds,
    /// A number that is a name: no separators.
    Plain,
    /// An address, as a link to its dashboard.
    Host,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Dashboard {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) description: String,
    /// The data view of its controls, and of panels that name none.
    pub(super) view: String,
    /// Holds for every panel.
    #[serde(default)]
    pub(super) filter: String,
    pub(super) from: String,
    pub(super) controls: Vec<Control>,
    pub(super) panels: Vec<Panel>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Control {
    pub(super) label: String,
    pub(super) field: String,
    #[serde(default)]
    pub(super) single: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Panel {
    pub(super) title: String,
    #[serde(default)]
    pub(super) note: String,
    /// x, y, width, height.
    pub(super) at: [u32; 4],
    pub(super) show: Show,
    /// How `over_time` draws.
    #[serde(default)]
    pub(super) series: Series,
    pub(super) view: Option<String>,
    #[serde(default)]
    pub(super) filter: String,
    #[serde(default)]
    pub(super) rows: Vec<Row>,
    #[serde(default)]
    pub(super) values: Vec<Measure>,
    /// The saved search that it shows.
    pub(super) search: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Show {
    Metric,
    Table,
    OverTime,
    Bars,
    Donut,
    Heatmap,
    Search,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Series {
    #[default]
    BarStacked,
    Line,
}

/// What documents are grouped by.
#[derive(Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(super) enum Row {
    /// The values of a field that have most of the panel's first value.
    Top {
        label: String,
        top: u32,
        field: String,
        /// Whether the rest is shown as one.
        #[serde(default)]
        other: bool,
    },
    /// Queries, by the label of each.
    Cases {
        label: String,
        cases: Vec<(String, String)>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Measure {
    pub(super) label: String,
    pub(super) value: Aggregation,
    #[serde(default, rename = "where")]
    pub(super) filter: String,
}

/// `count`, or a word and a field: `sum network.bytes`.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub(super) enum Aggregation {
    Count,
    Sum(String),
    Unique(String),
    Min(String),
    Max(String),
    Percentile(u32, String),
    Last(String),
}

impl TryFrom<String> for Aggregation {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (word, field) = text.split_once(' ').unwrap_or((&text, ""));
        let own = || field.to_owned();
        match word {
            "count" if field.is_empty() => Ok(Self::Count),
            _ if field.is_empty() => Err(format!("`{text}` names no field")),
            "sum" => Ok(Self::Sum(own())),
            "unique" => Ok(Self::Unique(own())),
            "min" => Ok(Self::Min(own())),
            "max" => Ok(Self::Max(own())),
            "last" => Ok(Self::Last(own())),
            "median" => Ok(Self::Percentile(50, own())),
            "p95" => Ok(Self::Percentile(95, own())),
            _ => Err(format!("`{text}` is no aggregation")),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Search {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) description: String,
    pub(super) view: String,
    pub(super) query: String,
    pub(super) columns: Vec<String>,
    /// Field and `asc` or `desc`.
    pub(super) sort: [String; 2],
    pub(super) from: String,
    #[serde(default = "now")]
    pub(super) to: String,
}

fn now() -> String {
    "now".to_owned()
}

/// An alert rule.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    /// A UUID: Kibana takes no other before 8.17.
    pub(super) id: String,
    pub(super) name: String,
    pub(super) view: String,
    pub(super) filter: String,
    pub(super) measure: Aggregation,
    /// The field by whose values it looks; without, at everything.
    pub(super) per: Option<String>,
    pub(super) is: Condition,
    /// `30m`.
    pub(super) within: String,
    pub(super) enabled: bool,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Condition {
    Above(u64),
    Below(u64),
    /// A value of `per` that was there before is not any more.
    Gone,
}

impl Sources {
    pub(super) fn read() -> Self {
        let by_name = |folder: &str| -> Vec<(String, PathBuf)> {
            let entries = fs::read_dir(repository("kibana/sources").join(folder)).unwrap();
            let mut files: Vec<_> = entries
                .map(|entry| {
                    let path = entry.unwrap().path();
                    (path.file_stem().unwrap().to_str().unwrap().to_owned(), path)
                })
                .collect();
            files.sort();
            files
        };
        Self {
            filters: parse(&repository("kibana/sources/filters.json")),
            views: views(),
            dashboards: by_name("dashboards")
                .iter()
                .map(|(_, path)| parse(path))
                .collect(),
            searches: by_name("searches").iter().map(|(_, path)| parse(path)).collect(),
            rules: by_name("rules")
                .into_iter()
                .map(|(name, path)| (name, parse(&path)))
                .collect(),
        }
    }

    pub(super) fn view(&self, id: &str) -> &View {
        let view = self.views.values().find(|view| view.id == id);
        view.unwrap_or_else(|| panic!("no data view `{id}`"))
    }

    /// A query with the filters that it names.
    pub(super) fn expand(&self, query: &str) -> String {
        let Some((before, rest)) = query.split_once('{') else {
            return query.to_owned();
        };
        let (name, after) = rest.split_once('}').unwrap();
        let filter = self
            .filters
            .get(name)
            .unwrap_or_else(|| panic!("no filter `{name}`"));
        format!("{before}{}{}", self.expand(filter), self.expand(after))
    }

    /// What holds for both queries.
    pub(super) fn both(&self, one: &str, other: &str) -> String {
        match (one, other) {
            ("", only) | (only, "") => self.expand(only),
            (one, other) => format!("({}) and ({})", self.expand(one), self.expand(other)),
        }
    }
}

fn views() -> BTreeMap<String, View> {
    let mut views: BTreeMap<String, View> = parse(&repository("kibana/sources/data-views.json"));
    let names: Vec<String> = views.keys().cloned().collect();
    for name in names {
        if let Some(other) = views[&name].like.as_ref().map(|other| &views[other]) {
            let (mappings, fields) = (other.mappings.clone(), other.fields.clone());
            let view = views.get_mut(&name).unwrap();
            (view.mappings, view.fields) = (mappings, fields);
        }
    }
    views
}

fn parse<T: DeserializeOwned>(path: &PathBuf) -> T {
    let text = fs::read_to_string(path).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A part of a name: lower case, words joined by `-`.
pub(super) fn slug(title: &str) -> String {
    let words = title.split(|letter: char| !letter.is_ascii_alphanumeric());
    let words: Vec<_> = words
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    words.join("-")
}

/// JSON inside a JSON string, as saved objects have it.
pub(super) fn as_text(value: &Value) -> Value {
    Value::String(value.to_string())
}
