//! `redrive quarantine list`: a row a file, or a row a line.

use std::collections::BTreeMap;

use clap::Args;
use jiff::civil::Date;
use serde::Serialize;

use super::files::{Files, Found, Unreadable};
use super::select::Selection;
use super::stats::plural;
use crate::cli::exit;
use crate::cli::redrive::text::printable;
use crate::object::ObjectStore;
use crate::quarantine::{QuarantinedLine, Replayed, SourceObject};

/// Characters of a line that the text shows; `--json` has all.
const MAX_RAW_CHARS: usize = 1000;

/// Characters of the hash of bucket and key by which a row tells files apart.
const HASH_CHARS: usize = 12;

/// Characters for the reasons in a row of 80.
const REASON_CHARS: usize = 33;

/// The row above all others.
const TITLE: &str = "DAY         DATASET    LINES  FILE             REASONS";

/// Options of `list`.
#[derive(Args, Clone, Debug)]
pub(super) struct Arguments {
    /// Show every selected line, with its detail and its text
    #[arg(long, short)]
    pub(super) verbose: bool,
    #[command(flatten)]
    pub(super) selection: Selection,
}

/// How a listing ended.
#[derive(Debug, Default)]
pub(super) struct Listing {
    num_files: usize,
    num_lines: u64,
    unreadable: Vec<Unreadable>,
    is_interrupted: bool,
}

impl Listing {
    /// For stderr.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = vec![format!(
            "{} in {}",
            plural(self.num_lines, "line"),
            plural(self.num_files as u64, "file")
        )];
        for Unreadable { file, problem } in &self.unreadable {
            notes.push(format!("redrive: {}: {}", printable(file), printable(problem)));
        }
        if self.is_interrupted {
            notes.push("redrive: interrupted: there may be more than is shown".to_owned());
        }
        notes
    }

    /// One of [`exit`].
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            _ if !self.unreadable.is_empty() => exit::ERROR,
            _ if self.is_interrupted => exit::STOPPED,
            _ if self.num_files == 0 => exit::NOTHING,
            _ => exit::DONE,
        }
    }
}

/// Hands the rows of all selected files to `print`, while the next files are read.
pub(super) async fn show<S: ObjectStore + Clone>(
    mut files: Files<'_, S>,
    options: &Arguments,
    json: bool,
    mut print: impl FnMut(String) -> anyhow::Result<()>,
) -> anyhow::Result<Listing> {
    let mut listing = Listing::default();
    while listing.num_files < options.selection.limit()
        && let Some(looked) = files.next().await?
    {
        let found = match looked {
            Ok(found) => found,
            Err(unreadable) => {
                listing.unreadable.push(unreadable);
                continue;
            }
        };
        if listing.num_files == 0 && !json && !options.verbose {
            print(TITLE.to_owned())?;
        }
        listing.num_files += 1;
        listing.num_lines += found.tally.num_lines();
        match (json, options.verbose) {
            (true, false) => print(file_json(&found)?)?,
            (false, false) => print(file_row(&found))?,
            (true, true) => each_line(&found, &options.selection, |line| print(line_json(&found, line)?))?,
            (false, true) => {
                file_title(&found).into_iter().try_for_each(&mut print)?;
                each_line(&found, &options.selection, |line| {
                    line_rows(line).into_iter().try_for_each(&mut print)
                })?;
            }
        }
    }
    listing.is_interrupted = files.is_interrupted();
    Ok(listing)
}

#[derive(Serialize)]
struct File<'a> {
    file: String,
    dataset: &'a str,
    day: Date,
    object: &'a SourceObject,
    /// Selected lines.
    lines: u64,
    /// All lines.
    lines_in_file: u64,
    /// Selected lines by reason, with the type of Elasticsearch's error.
    reasons: BTreeMap<String, u64>,
    replayed: Option<Replayed>,
}

#[derive(Serialize)]
struct Line<'a> {
    file: String,
    object: String,
    #[serde(flatten)]
    line: &'a QuarantinedLine,
}

/// A file as a JSON object.
fn file_json(found: &Found) -> serde_json::Result<String> {
    let groups = found.tally.groups();
    serde_json::to_string(&File {
        file: found.file.object.to_string(),
        dataset: &found.dataset,
        day: found.day,
        object: &found.head.object,
        lines: found.tally.num_lines(),
        lines_in_file: found.head.lines,
        reasons: groups
            .map(|(cause, group)| (cause.to_string(), group.lines))
            .collect(),
        replayed: found.head.replayed,
    })
}

/// A file as a row of the table.
fn file_row(found: &Found) -> String {
    let (hash, first_line) = found.name.rsplit_once('-').unwrap_or((&found.name, ""));
    let hash: String = hash.chars().take(HASH_CHARS).collect();
    let name = format!("{hash}-{first_line}");
    let reasons: Vec<String> = found
        .tally
        .groups()
        .map(|(cause, group)| format!("{} {}", printable(&cause.reason), group.lines))
        .collect();
    let reasons = reasons.join(", ");
    let mut shown: String = reasons.chars().take(REASON_CHARS).collect();
    if shown.len() < reasons.len() {
        shown.pop();
        shown.push('…');
    }
    let (day, dataset, lines) = (found.day, &found.dataset, found.tally.num_lines());
    format!("{day}  {dataset:<7}  {lines:>7}  {name:<15}  {shown}")
}

/// What is told before the lines of a file.
fn file_title(found: &Found) -> Vec<String> {
    let (object, _) = found.head.object.to_object();
    let mut lines = vec![
        printable(&found.file.object.to_string()),
        format!(
            "  {} of {}",
            plural(found.tally.num_lines(), "line"),
            printable(&object.to_string())
        ),
    ];
    if let Some(Replayed { at, lines: gone }) = found.head.replayed {
        lines.push(format!("  sent again last at {at:.0}; {gone} have left the file"));
    }
    lines
}

/// Hands the selected lines of a file to `print`, one after the other.
fn each_line(
    found: &Found,
    selection: &Selection,
    mut print: impl FnMut(&QuarantinedLine) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for line in found.file.open()? {
        let line = line?;
        if selection.matches_line(&line) {
            print(&line)?;
        }
    }
    Ok(())
}

/// A line as a JSON object.
fn line_json(found: &Found, line: &QuarantinedLine) -> serde_json::Result<String> {
    let (object, _) = found.head.object.to_object();
    serde_json::to_string(&Line {
        file: found.file.object.to_string(),
        object: object.to_string(),
        line,
    })
}

/// A line for people: its number, why it is here, and the line.
fn line_rows(line: &QuarantinedLine) -> Vec<String> {
    let kind = line.kind.as_deref().map(|kind| format!(" ({})", printable(kind)));
    let kind = kind.unwrap_or_default();
    let mut rows = vec![
        format!("  line {}: {}{kind}", line.line, printable(&line.reason)),
        format!("    {}", printable(&line.detail)),
    ];
    if let Some(raw) = line.raw() {
        let text = String::from_utf8_lossy(&raw);
        let mut shown: String = text.chars().take(MAX_RAW_CHARS).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        rows.push(format!("    {}", printable(&shown)));
    }
    rows
}
