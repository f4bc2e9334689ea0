//! What is installed and what is indexed: templates, the indices made of them, and the newest entry of the ledger.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::super::check::Check;
use super::reply::Reply;
use crate::elasticsearch::setup::{Action, Plan, SetupError, SkipReason, Step};
use crate::outcome::error_chain;

/// Named one by one; of more, the number.
const MAX_NAMED: usize = 5;

/// Documents of so many days are still to come: flow logs are some minutes late, and a redrive takes a while.
const RECENT_DAYS: i64 = 2;

/// Something comes every ten minutes wherever there is traffic.
const QUIET_MINUTES: i64 = 60;

const INSTALL: &str =
    "flowctl setup --dry-run shows it, flowctl setup installs ours, over changes by hand only with --force";

pub(super) const INDEX_PRIVILEGE: &str = "view_index_metadata on the indices";

pub(super) fn judge_templates(plan: &Result<Plan, SetupError>) -> Check {
    const NAME: &str = "es.templates";
    let plan = match plan {
        Ok(plan) => plan,
        Err(SetupError::Forbidden { privilege, .. }) => {
            return Check::denied(
                NAME,
                "the credentials do not allow to look",
                format!("who looks needs the cluster privilege {privilege}"),
            );
        }
        Err(error) => {
            return Check::fail(
                NAME,
                error_chain(error),
                "see to the server's log, and run this again",
            );
        }
    };
    let steps = |is_meant: fn(&Step) -> bool| -> Vec<&Step> {
        plan.steps.iter().filter(|step| is_meant(step)).collect()
    };
    let missing = steps(|step| step.action == Action::Create);
    let skipped = steps(|step| step.action == Action::Skip(SkipReason::NoIlm)).len();
    // Whatever setup would do about them.
    let changed = steps(|step| {
        !step.differences.is_empty() && !matches!(step.action, Action::Create | Action::Skip(_))
    });
    let details: Vec<String> = missing
        .iter()
        .map(|step| format!("{}: missing", step.part))
        .chain(changed.iter().flat_map(|step| differences(step)))
        .collect();
    if !missing.is_empty() {
        let found = format!(
            "{} of {} parts are missing",
            missing.len(),
            plan.steps.len() - skipped
        );
        return Check::fail(NAME, found, INSTALL).with_details(named(details));
    }
    if changed.is_empty() {
        let kept = steps(|step| step.action == Action::Skip(SkipReason::PolicyKept)).len();
        let installed = plan.steps.len() - skipped - kept;
        let mut found = format!("{installed} parts of this version");
        if kept > 0 {
            found.push_str(", and a retention of your own");
        }
        if skipped > 0 {
            found.push_str("; this server has no ILM: nothing is deleted by itself");
        }
        return Check::ok(NAME, found);
    }
    let found = format!("parts that differ from this version's: {}", changed.len());
    // What decides how documents are read must be as they are written; the rest is a matter of taste.
    let is_of_meaning = |path: &str| {
        ["mappings", "index_patterns", "composed_of", "priority"]
            .iter()
            .any(|part| path.starts_with(part))
    };
    let mut paths = changed.iter().flat_map(|step| &step.differences);
    let check = if paths.any(|difference| is_of_meaning(&difference.path)) {
        Check::fail(NAME, found, INSTALL)
    } else {
        Check::warn(NAME, found, INSTALL)
    };
    check.with_details(named(details))
}

fn differences(step: &Step) -> Vec<String> {
    let each = step.differences.iter();
    each.map(|difference| format!("{}: {difference}", step.part))
        .collect()
}

/// The first ones, and how many more.
pub(super) fn named(mut names: Vec<String>) -> Vec<String> {
    let number = names.len();
    if number > MAX_NAMED {
        names.truncate(MAX_NAMED);
        names.push(format!("and {} more", number - MAX_NAMED));
    }
    names
}

/// The accident of the missing template: an index whose fields Elasticsearch guessed from the first document. That it
/// guesses is its default; `strict` may be a user's own wish.
pub(super) fn judge_mappings(indices: &Reply, mappings: &Reply) -> Check {
    const NAME: &str = "es.mappings";
    let (indices, mappings) = match (
        indices.for_check(NAME, INDEX_PRIVILEGE),
        mappings.for_check(NAME, INDEX_PRIVILEGE),
    ) {
        (Ok(indices), Ok(mappings)) => (indices, mappings),
        (Err(check), _) | (_, Err(check)) => return check,
    };
    let names = names_of(indices);
    if names.is_empty() {
        return Check::ok(NAME, "there are no indices yet");
    }
    let guessed: Vec<String> = names
        .iter()
        .filter(|name| {
            let dynamic = &mappings[name.as_str()]["mappings"]["dynamic"];
            dynamic.is_null() || ["true", "runtime"].iter().any(|value| dynamic == value) || *dynamic == true
        })
        .cloned()
        .collect();
    if guessed.is_empty() {
        return Check::ok(NAME, format!("all of flowship's templates: {}", names.len()));
    }
    Check::fail(
        NAME,
        format!(
            "{} of {} indices take any field with a type that is guessed: they were made without flowship's template",
            guessed.len(),
            names.len()
        ),
        "flowctl setup; then delete them and ship their days again, or reindex: an index keeps its mapping",
    )
    .with_details(named(guessed))
}

fn names_of(indices: &Value) -> Vec<String> {
    let mut names: Vec<String> = indices
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name.clone())
        .collect();
    names.sort();
    names
}

/// `indices`: `_settings?flat_settings=true`.
pub(super) fn judge_blocks(indices: &Reply, now: Timestamp) -> Check {
    const NAME: &str = "es.blocks";
    let indices = match indices.for_check(NAME, INDEX_PRIVILEGE) {
        Ok(indices) => indices,
        Err(check) => return check,
    };
    let today = now.to_zoned(TimeZone::UTC).date();
    let (mut full, mut recent, mut older) = (Vec::new(), Vec::new(), 0);
    for name in names_of(indices) {
        let settings = &indices[name.as_str()]["settings"];
        let is_set = |block: &str| settings[format!("index.blocks.{block}")] == "true";
        if is_set("read_only_allow_delete") {
            full.push(format!("{name}: read_only_allow_delete"));
        } else if let Some(block) = ["write", "read_only"].into_iter().find(|block| is_set(block)) {
            match is_recent(&name, today) {
                true => recent.push(format!("{name}: {block}")),
                false => older += 1,
            }
        }
    }
    if !full.is_empty() {
        return Check::fail(
            NAME,
            format!("indices that take no documents, because a disk was full: {}", full.len()),
            "make room; Elasticsearch takes the block away by itself when the disk is below the high watermark",
        )
        .with_details(named(full));
    }
    if !recent.is_empty() {
        return Check::fail(
            NAME,
            format!("recent indices that take no documents: {}", recent.len()),
            r#"PUT <index>/_settings {"index.blocks.write": false, "index.blocks.read_only": false}, once it is clear who set it"#,
        )
        .with_details(named(recent));
    }
    Check::ok(
        NAME,
        match older {
            0 => "none".to_owned(),
            _ => format!("older indices that take no documents, so that what comes late is refused: {older}"),
        },
    )
}

/// Whether an index is of these days, or, as those of the ledger, of a month that goes up to them.
fn is_recent(name: &str, today: Date) -> bool {
    let time = name.rsplit('-').next().unwrap_or_default();
    let month = || Date::strptime("%Y.%m.%d", format!("{time}.01")).ok();
    let day = Date::strptime("%Y.%m.%d", time).ok();
    let last = day.or_else(|| month().map(Date::last_of_month));
    last.is_none_or(|day| {
        let age = today.since(day).map_or(0, |age| i64::from(age.get_days()));
        age <= RECENT_DAYS
    })
}

/// Finds the newest entry.
pub(super) fn newest_question() -> Value {
    json!({
        "size": 1, "track_total_hits": false, "_source": ["@timestamp"], "sort": [{"@timestamp": {"order": "desc", "unmapped_type": "date"}}],
    })
}

pub(super) fn judge_ledger(newest: &Reply, index: &str, now: Timestamp) -> Check {
    const NAME: &str = "ledger.newest";
    const REMEDY: &str =
        "look whether S3 notifies, the queue fills, and the function runs: its log says why not";
    let newest = match newest {
        Reply::Absent => {
            return Check::warn(
                NAME,
                format!("there is no {index}-*: nothing was shipped yet"),
                REMEDY,
            );
        }
        newest => match newest.for_check(NAME, "read on the ledger's indices") {
            Ok(newest) => newest,
            Err(check) => return check,
        },
    };
    let time = newest
        .pointer("/hits/hits/0/_source/@timestamp")
        .and_then(Value::as_str);
    let Some(time) = time.and_then(|time| time.parse::<Timestamp>().ok()) else {
        return Check::warn(
            NAME,
            format!("{index}-* has no entry: nothing was shipped yet"),
            REMEDY,
        );
    };
    let minutes = now.duration_since(time).as_secs().max(0) / 60;
    let found = format!("the newest object was shipped at {time:.0}, {minutes} minutes ago");
    if minutes >= QUIET_MINUTES {
        Check::warn(NAME, found, REMEDY)
    } else {
        Check::ok(NAME, found)
    }
}
