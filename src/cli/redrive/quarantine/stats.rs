//! `redrive quarantine stats`: how many lines are in quarantine, why, and what may be done.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Serialize;

use super::files::{Files, Found, Unreadable};
use crate::cli::exit;
use crate::cli::redrive::text::{fit, printable, shell_word};
use crate::object::ObjectStore;
use crate::outcome::Reason;
use crate::quarantine::{Cause, Place, QuarantinedLine};

/// Accounts that the text names; `--json` has all.
const MAX_ACCOUNTS: usize = 3;

/// The columns before the reason, and how far the rows below are moved in.
const INDENT: usize = 15;

/// What `stats` found.
#[derive(Debug, Serialize)]
pub(super) struct Stats {
    place: String,
    /// Selected lines.
    lines: u64,
    /// Files that have any.
    files: u64,
    first_day: Option<Date>,
    last_day: Option<Date>,
    /// The largest first.
    reasons: Vec<Group>,
    /// Files that cannot be read to their end.
    unreadable: Vec<Unreadable>,
    /// Whether the pass came to its end.
    complete: bool,
    /// The next sensible command.
    next: Option<String>,
}

/// Lines of one cause.
#[derive(Debug, Serialize)]
struct Group {
    reason: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    lines: u64,
    files: u64,
    first_day: Date,
    last_day: Date,
    /// Lines by dataset.
    datasets: BTreeMap<String, u64>,
    /// Lines by account, where the object's key names one.
    accounts: BTreeMap<String, u64>,
    example: Example,
}

/// One of the lines.
#[derive(Debug, Serialize)]
struct Example {
    object: String,
    #[serde(flatten)]
    line: QuarantinedLine,
}

/// Looks at all selected lines.
pub(super) async fn look<S: ObjectStore + Clone>(
    mut files: Files<'_, S>,
    place: &Place,
    limit: usize,
) -> anyhow::Result<Stats> {
    let mut groups = BTreeMap::new();
    let mut unreadable = Vec::new();
    let mut num_files = 0;
    while num_files < limit
        && let Some(looked) = files.next().await?
    {
        match looked {
            Ok(found) => {
                num_files += 1;
                enter(&found, &mut groups);
            }
            Err(file) => unreadable.push(file),
        }
    }
    let mut reasons: Vec<Group> = groups.into_values().collect();
    reasons.sort_by_key(|group| Reverse(group.lines));
    Ok(Stats {
        place: place.to_string(),
        lines: reasons.iter().map(|group| group.lines).sum(),
        files: num_files as u64,
        first_day: reasons.iter().map(|group| group.first_day).min(),
        last_day: reasons.iter().map(|group| group.last_day).max(),
        next: next_command(&reasons),
        reasons,
        unreadable,
        complete: !files.is_interrupted(),
    })
}

fn enter(found: &Found, groups: &mut BTreeMap<Cause, Group>) {
    let (object, _) = found.head.object.to_object();
    for (cause, counted) in found.tally.groups() {
        let group = groups.entry(cause.clone()).or_insert_with(|| Group {
            reason: cause.reason.to_string(),
            kind: cause.kind.clone(),
            lines: 0,
            files: 0,
            first_day: found.day,
            last_day: found.day,
            datasets: BTreeMap::new(),
            accounts: BTreeMap::new(),
            example: Example {
                object: object.to_string(),
                line: counted.example.clone(),
            },
        });
        group.lines += counted.lines;
        group.files += 1;
        group.first_day = group.first_day.min(found.day);
        group.last_day = group.last_day.max(found.day);
        *group.datasets.entry(found.dataset.clone()).or_default() += counted.lines;
        if let Some(account) = object.key_origin().account {
            *group.accounts.entry(account).or_default() += counted.lines;
        }
    }
}

/// What Elasticsearch refused may be taken once the mapping is mended; a line that cannot be read waits for a better
/// parser. The command is a dry run.
fn next_command(groups: &[Group]) -> Option<String> {
    let refused = Reason::DocumentRefused.as_str();
    if groups.iter().any(|group| group.reason == refused) {
        return Some(format!("redrive quarantine send --reason {refused}"));
    }
    let reason = shell_word(&groups.first()?.reason);
    Some(format!(
        "redrive quarantine list --verbose --limit 1 --reason {reason}"
    ))
}

impl Stats {
    /// One of [`exit`]. No lines are good news.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            _ if !self.unreadable.is_empty() => exit::ERROR,
            _ if !self.complete => exit::STOPPED,
            _ => exit::DONE,
        }
    }

    /// For people: at most 80 columns where the texts allow it.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.place.clone()];
        if let (Some(first), Some(last)) = (self.first_day, self.last_day) {
            let (files, of) = (plural(self.files, "file"), plural(self.lines, "line"));
            lines.push(format!("{of} in {files}, of {first} to {last}"));
            lines.push(String::new());
            lines.push("  LINES  FILES  FIRST DAY   LAST DAY    REASON".to_owned());
        } else {
            lines.push("no such lines".to_owned());
        }
        for group in &self.reasons {
            lines.extend(group.lines());
        }
        lines.extend(unreadable_lines(&self.unreadable));
        if !self.complete {
            lines.push(String::new());
            lines.push("interrupted: there may be more than is shown".to_owned());
        }
        lines = fit(lines);
        // A command, to be copied whole.
        if let Some(next) = &self.next {
            lines.push(String::new());
            lines.push(format!("next: {next}"));
        }
        lines
    }
}

impl Group {
    fn lines(&self) -> Vec<String> {
        let Self {
            lines,
            files,
            first_day,
            last_day,
            reason,
            ..
        } = self;
        let reason = printable(reason);
        let mut shown = vec![format!(
            "{lines:>7}  {files:>5}  {first_day}  {last_day}  {reason}"
        )];
        let mut below = |text: String| shown.push(format!("{:INDENT$}{text}", ""));
        if let Some(kind) = &self.kind {
            below(printable(kind));
        }
        let counted = |(name, lines): (&String, &u64)| format!("{} {lines}", printable(name));
        let datasets: Vec<String> = self.datasets.iter().map(counted).collect();
        below(format!("lines by dataset: {}", datasets.join(", ")));
        let mut accounts: Vec<(&String, &u64)> = self.accounts.iter().collect();
        accounts.sort_by_key(|(_, lines)| Reverse(**lines));
        let more = accounts.len().saturating_sub(MAX_ACCOUNTS);
        accounts.truncate(MAX_ACCOUNTS);
        let mut accounts: Vec<String> = accounts.into_iter().map(counted).collect();
        if more > 0 {
            accounts.push(format!("and {more} more"));
        }
        if !accounts.is_empty() {
            below(format!("by account: {}", accounts.join(", ")));
        }
        let Example { object, line } = &self.example;
        below(format!("line {} of", line.line));
        below(printable(object));
        below(printable(&line.detail));
        shown
    }
}

/// `1 line`, `2 lines`.
pub(super) fn plural(number: u64, word: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {word}{plural}")
}

/// What is told of files that cannot be read.
pub(super) fn unreadable_lines(unreadable: &[Unreadable]) -> Vec<String> {
    if unreadable.is_empty() {
        return Vec::new();
    }
    let files = plural(unreadable.len() as u64, "file");
    let mut lines = vec![String::new(), format!("{files} cannot be read:")];
    for Unreadable { file, problem } in unreadable {
        lines.push(format!("  {}", printable(file)));
        lines.push(format!("    {}", printable(problem)));
    }
    lines
}
