//! Whether the cluster is well and has room: health, shards, disks, clocks, and what it creates by itself.

use jiff::Timestamp;
use serde_json::Value;

use super::super::check::{Check, Verdict};
use super::reply::Reply;
use crate::cli::text::bytes;
use crate::config::Installation;
use crate::flow::Dataset;

const MONITOR: &str = "the cluster privilege monitor";

/// Percent of the shards that may be, above which there is time to act, but not much.
const SHARDS_PERCENT: u64 = 90;

/// More is no matter of a slow network or of a lazy time server.
const CLOCK_SECONDS: i64 = 30;

/// Also asked by `redrive send`.
pub(in crate::cli) fn judge_health(health: &Reply) -> Check {
    const NAME: &str = "es.health";
    let health = match health.for_check(NAME, MONITOR) {
        Ok(health) => health,
        Err(check) => return check,
    };
    match health["status"].as_str() {
        Some("red") => Check::fail(
            NAME,
            "Elasticsearch's health is red: some indices cannot be written",
            "GET _cluster/allocation/explain tells why",
        ),
        Some(status @ "yellow") => Check::ok(
            NAME,
            format!("{status}: replicas are missing, nothing is refused"),
        ),
        Some(status) => Check::ok(NAME, status),
        None => Check::fail(
            NAME,
            "the answer tells no health",
            "ask GET _cluster/health by hand",
        ),
    }
}

/// A setting as it is in force: `?include_defaults=true&flat_settings=true`. A list is as one writes it.
fn setting(settings: &Value, name: &str) -> Option<String> {
    let levels = ["transient", "persistent", "defaults"];
    levels.iter().find_map(|level| match &settings[*level][name] {
        Value::String(text) => Some(text.clone()),
        Value::Array(list) => Some(
            list.iter()
                .filter_map(Value::as_str)
                .collect::<Vec<_>>()
                .join(","),
        ),
        _ => None,
    })
}

/// Every new index needs room for its shards. Shards of the frozen tier and others have limits of their own, and those of
/// closed indices do not count, which only the server adds up rightly.
///
/// `capacity`: `_health_report/shards_capacity`, since 8.8. Source: "Health API" in the Elasticsearch reference.
pub(super) fn judge_shards(capacity: &Reply, health: &Reply, settings: &Reply, stats: &Reply) -> Check {
    let told = match capacity {
        Reply::Found(capacity) => judge_capacity(&capacity["indicators"]["shards_capacity"]),
        _ => None,
    };
    match told {
        Some(check) if check.verdict != Verdict::Ok || has_frozen_nodes(stats) => check,
        // The server warns when there is room for ten more.
        told => {
            let counted = judge_number(health, settings);
            told.filter(|_| counted.verdict != Verdict::Warn)
                .unwrap_or(counted)
        }
    }
}

const SHARDS: &str = "es.shards";

const SHARDS_REMEDY: &str =
    "delete old indices (ILM's min_age), fewer replicas, more nodes, or raise cluster.max_shards_per_node";

/// What the server says of its room for shards; `None` if it does not know.
fn judge_capacity(indicator: &Value) -> Option<Check> {
    let groups = [("data", "all but frozen"), ("frozen", "frozen")];
    let told = groups.iter().filter_map(|(group, nodes)| {
        let group = &indicator["details"][group];
        let most = group["max_shards_in_cluster"].as_u64()?;
        // It tells how many there are only where it gets tight.
        Some(match group["current_used_shards"].as_u64() {
            Some(used) => format!("{used} of {most} on {nodes} nodes"),
            None => format!("{most} may be on {nodes} nodes"),
        })
    });
    let found = told.collect::<Vec<_>>().join(", ");
    match indicator["status"].as_str()? {
        "green" => Some(Check::ok(SHARDS, format!("room for more: {found}"))),
        "yellow" => Some(Check::warn(
            SHARDS,
            format!("room for less than 10 more: {found}"),
            SHARDS_REMEDY,
        )),
        "red" => Some(Check::fail(
            SHARDS,
            format!("{found}: soon no new index can be created, or none now"),
            SHARDS_REMEDY,
        )),
        _ => None,
    }
}

/// All shards against the limit of those that are not frozen; copies that have no node count, too.
fn judge_number(health: &Reply, settings: &Reply) -> Check {
    let (health, settings) = match (
        health.for_check(SHARDS, MONITOR),
        settings.for_check(SHARDS, MONITOR),
    ) {
        (Ok(health), Ok(settings)) => (health, settings),
        (Err(check), _) | (_, Err(check)) => return check,
    };
    let number = |name: &str| health[name].as_u64().unwrap_or_default();
    let per_node = setting(settings, "cluster.max_shards_per_node").and_then(|text| text.parse::<u64>().ok());
    let (Some(per_node), nodes @ 1..) = (per_node, number("number_of_data_nodes")) else {
        return Check::skip(
            SHARDS,
            "this server does not say how many there may be",
            "nothing",
        );
    };
    let most = per_node.saturating_mul(nodes);
    let used = number("active_shards") + number("initializing_shards") + number("unassigned_shards");
    let percent = used.saturating_mul(100) / most.max(1);
    let found = format!("{used} of {most} ({percent} %), {per_node} a data node");
    if percent >= SHARDS_PERCENT {
        let found = format!("{found}, if none is frozen or of a closed index");
        Check::warn(SHARDS, found, SHARDS_REMEDY)
    } else {
        Check::ok(SHARDS, found)
    }
}

fn has_frozen_nodes(stats: &Reply) -> bool {
    let Reply::Found(stats) = stats else {
        return false;
    };
    let mut nodes = stats["nodes"].as_object().into_iter().flatten();
    nodes.any(|(_, node)| is_frozen(node))
}

/// A watermark's name, what becomes of a node above it, and what that is to us.
type Watermark = (&'static str, &'static str, Verdict);

const WATERMARKS: [Watermark; 3] = [
    ("flood_stage", "indices are write-blocked", Verdict::Fail),
    ("high", "shards are moved away", Verdict::Warn),
    ("low", "no more shards are put here", Verdict::Warn),
];

/// The only one of a node that has but frozen data, most of which is a cache that fills the disk; nothing is blocked.
const FROZEN_WATERMARK: Watermark = (
    "flood_stage.frozen",
    "above the frozen tier's watermark",
    Verdict::Warn,
);

/// Source: "Disk-based shard allocation settings" in the Elasticsearch reference.
pub(super) fn judge_disks(stats: &Reply, settings: &Reply) -> Check {
    const NAME: &str = "es.disk";
    let (stats, settings) = match (stats.for_check(NAME, MONITOR), settings.for_check(NAME, MONITOR)) {
        (Ok(stats), Ok(settings)) => (stats, settings),
        (Err(check), _) | (_, Err(check)) => return check,
    };
    const PREFIX: &str = "cluster.routing.allocation.disk";
    if setting(settings, &format!("{PREFIX}.threshold_enabled")).as_deref() == Some("false") {
        let found = "the watermarks are switched off: a full disk stops a node";
        return Check::skip(NAME, found, format!("{PREFIX}.threshold_enabled"));
    }
    let limit = |stage: &str, total: u64| {
        let watermark = setting(settings, &format!("{PREFIX}.watermark.{stage}"))?;
        let headroom = setting(settings, &format!("{PREFIX}.watermark.{stage}.max_headroom"));
        free_needed(&watermark, headroom.as_deref(), total)
    };
    let mut told = Vec::new();
    let mut worst = None;
    for node in stats["nodes"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(_, node)| node)
    {
        let amount = |name: &str| node["fs"]["total"][name].as_u64();
        let (Some(total), Some(available), true) = (
            amount("total_in_bytes"),
            amount("available_in_bytes"),
            has_data(node),
        ) else {
            continue;
        };
        let name = node["name"].as_str().unwrap_or("a node");
        let is_crossed = |stage: &str| limit(stage, total).is_some_and(|needed| available < needed);
        let crossed = match is_frozen(node) {
            true => is_crossed(FROZEN_WATERMARK.0).then_some(FROZEN_WATERMARK),
            false => WATERMARKS.into_iter().find(|(stage, ..)| is_crossed(stage)),
        };
        let state = crossed.map_or("below the watermarks", |(_, state, _)| state);
        told.push(format!(
            "{name}: {} of {} free, {state}",
            bytes(available),
            bytes(total)
        ));
        if let Some((_, _, verdict)) = crossed
            && worst != Some(Verdict::Fail)
        {
            worst = Some(verdict);
        }
    }
    let remedy = "delete old indices (ILM's min_age), or give the nodes more disk";
    let found = match told.len() {
        0 => return Check::skip(NAME, "no node tells its disk", "nothing"),
        1 => told.remove(0),
        number => format!("{number} nodes with data"),
    };
    let check = match worst {
        None => Check::ok(NAME, found),
        Some(Verdict::Fail) => Check::fail(NAME, found, remedy),
        Some(_) => Check::warn(NAME, found, remedy),
    };
    check.with_details(told)
}

fn data_roles(node: &Value) -> Option<Vec<&str>> {
    let roles = node["roles"].as_array()?.iter().filter_map(Value::as_str);
    Some(roles.filter(|role| role.starts_with("data")).collect())
}

fn has_data(node: &Value) -> bool {
    data_roles(node).is_none_or(|roles| !roles.is_empty())
}

/// Whether it holds nothing but frozen data.
fn is_frozen(node: &Value) -> bool {
    data_roles(node).is_some_and(|roles| roles == ["data_frozen"])
}

/// How many bytes must be free: a watermark is a share of the disk that may be used (`85%`, `0.85`), or what must be left
/// (`500mb`). Of a large disk no more than the headroom must be left.
fn free_needed(watermark: &str, max_headroom: Option<&str>, total: u64) -> Option<u64> {
    let percent = match watermark.strip_suffix('%') {
        Some(percent) => percent.parse::<f64>().ok(),
        None => watermark.parse::<f64>().ok().map(|ratio| ratio * 100.0),
    };
    let Some(percent) = percent else {
        return parse_bytes(watermark);
    };
    // In thousandths of a percent: a u128 holds every disk.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the value is between 0 and 100,000"
    )]
    let used = (percent.clamp(0.0, 100.0) * 1000.0).round() as u128;
    let needed = u128::from(total) * (100_000 - used) / 100_000;
    let needed = u64::try_from(needed).unwrap_or(u64::MAX);
    let headroom = max_headroom.and_then(parse_bytes);
    Some(headroom.map_or(needed, |headroom| needed.min(headroom)))
}

/// `500mb`, `1.5gb`; `None` for `-1`, which is no limit.
fn parse_bytes(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 6] = [
        ("pb", 1 << 50),
        ("tb", 1 << 40),
        ("gb", 1 << 30),
        ("mb", 1 << 20),
        ("kb", 1 << 10),
        ("b", 1),
    ];
    let text = text.to_ascii_lowercase();
    let (number, unit) = UNITS
        .iter()
        .find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, *unit)))?;
    let (whole, tenths) = number.split_once('.').unwrap_or((number, "0"));
    let tenths = tenths.chars().next()?.to_digit(10)?;
    Some(whole.parse::<u64>().ok()?.checked_mul(unit)? + u64::from(tenths) * unit / 10)
}

/// A node's clock, told between two looks at ours.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    pub(super) before: Timestamp,
    pub(super) stats: Reply,
    pub(super) after: Timestamp,
}

/// The nodes' clocks decide when indices age; ours is on the ledger's entries, and signs what is sent to AWS.
pub(super) fn judge_clock(clock: &Clock) -> Check {
    const NAME: &str = "es.clock";
    let stats = match clock.stats.for_check(NAME, MONITOR) {
        Ok(stats) => stats,
        Err(check) => return check,
    };
    let nodes = stats["nodes"].as_object().into_iter().flatten();
    let differences = nodes.filter_map(|(_, node)| {
        let theirs = node["timestamp"].as_i64()?;
        let (before, after) = (clock.before.as_millisecond(), clock.after.as_millisecond());
        // What the way of question and answer may explain is none.
        Some((theirs - after).max(0) + (theirs - before).min(0))
    });
    let Some(difference) = differences.max_by_key(|difference| difference.abs()) else {
        return Check::skip(NAME, "this server does not tell its time", "nothing");
    };
    let exact = clock.after.duration_since(clock.before).as_millis();
    let direction = if difference < 0 { "behind" } else { "ahead of" };
    let found = match difference {
        0 => format!("no difference that could be seen (to {exact} ms)"),
        _ => format!(
            "a node is {}.{:03} s {direction} the clock here (to {exact} ms)",
            difference.abs() / 1000,
            difference.abs() % 1000
        ),
    };
    if difference.abs() > CLOCK_SECONDS * 1000 {
        Check::warn(NAME, found, "set both by a time server")
    } else {
        Check::ok(NAME, found)
    }
}

/// Whether Elasticsearch makes an index of flow logs by itself if the template is missing: with the types that it guesses
/// from the first document. The templates allow it for themselves.
pub(super) fn judge_auto_create(settings: &Reply, installation: &Installation) -> Check {
    const NAME: &str = "es.auto-create";
    let settings = match settings.for_check(NAME, MONITOR) {
        Ok(settings) => settings,
        Err(check) => return check,
    };
    let value = setting(settings, "action.auto_create_index").unwrap_or_else(|| "true".to_owned());
    let prefix = &installation.index_prefix;
    let flow_logs = Dataset::ALL.map(|dataset| format!("{prefix}-{}-2026.11.20", dataset.name()));
    let ledger = installation.ledger_index.iter();
    let ledger = ledger.map(|ledger| format!("{ledger}-2026.11"));
    let mut indices = flow_logs.into_iter().chain(ledger);
    if !indices.any(|index| creates(&value, &index)) {
        return Check::ok(NAME, "an index of which the template is missing is not created");
    }
    Check::warn(
        NAME,
        "if a template is missing, its indices are created all the same, with types that are guessed",
        "flowctl setup --guard-auto-create: the templates still create theirs",
    )
}

/// Source: "Automatically create data streams and indices" in the Elasticsearch reference: the first pattern that fits
/// decides; what none fits is not created.
fn creates(setting: &str, index: &str) -> bool {
    match setting.trim() {
        "true" => return true,
        "false" => return false,
        _ => {}
    }
    for part in setting.split(',').map(str::trim) {
        let (allowed, pattern) = match part.strip_prefix('-') {
            Some(pattern) => (false, pattern),
            None => (true, part.strip_prefix('+').unwrap_or(part)),
        };
        if super::matches(pattern, index) {
            return allowed;
        }
    }
    false
}

#[cfg(test)]
mod tests;
