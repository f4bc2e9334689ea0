//! `redrive list`: a line per dead letter, the oldest failure first.

use std::collections::HashMap;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use super::Session;
use super::presence::Presence;
use super::scan::{Scan, Stopped};
use super::select::Selection;
use super::text::{self, MAX_COLUMNS};
use crate::dead_letter::DeadLetter;
use crate::object::ObjectStore;
use crate::queue::{MessageQueue, QueueError, QueueStatus};

/// Options of `list`.
#[derive(Args, Clone, Debug)]
pub(super) struct Arguments {
    /// Also show time, detail and progress of each
    #[arg(short, long)]
    pub(super) verbose: bool,
    /// Also tell of each object whether it is still there, which takes a HEAD each
    #[arg(long)]
    pub(super) check: bool,
    #[command(flatten)]
    pub(super) selection: Selection,
}

/// What `list` found.
#[derive(Debug)]
pub(super) struct Listing {
    /// Selected dead letters, the oldest failure first.
    pub(super) letters: Vec<DeadLetter>,
    /// Dead letters seen, selected or not.
    pub(super) num_seen: usize,
    /// Characters that tell all ids apart that were seen.
    id_chars: usize,
    pub(super) stopped: Option<Stopped>,
    /// What became of the objects of those that were checked, by message id.
    now: HashMap<String, Vec<Presence>>,
}

/// Looks at the whole queue.
pub(super) async fn look<Q: MessageQueue>(
    queue: &Q,
    status: &QueueStatus,
    selection: &Selection,
    session: &Session,
) -> Result<Listing, QueueError> {
    let mut scan = Scan::new(queue, status, &session.interrupt, &session.progress);
    let result = read_all(&mut scan).await;
    let stopped = scan.stopped();
    session.tell_if_some(scan.finish().await);
    let mut letters = result?;
    let num_seen = letters.len();
    let id_chars = text::short_id_chars(letters.iter().map(|letter| letter.id.as_str()));
    letters.retain(|letter| selection.matches(letter, session.now));
    letters.sort_by(|a, b| (a.time(), &a.id).cmp(&(b.time(), &b.id)));
    Ok(Listing {
        letters,
        num_seen,
        id_chars,
        stopped,
        now: HashMap::new(),
    })
}

async fn read_all<Q: MessageQueue>(scan: &mut Scan<'_, Q>) -> Result<Vec<DeadLetter>, QueueError> {
    let mut letters = Vec::new();
    while let Some(messages) = scan.next().await? {
        letters.extend(messages.iter().map(DeadLetter::parse));
    }
    Ok(letters)
}

impl Listing {
    /// Asks for the objects of what will be shown.
    pub(super) async fn check<S: ObjectStore>(&mut self, store: &S, limit: usize, session: &Session) {
        let shown = self.letters.get(..limit).unwrap_or(&self.letters);
        session.progress.reset();
        session.progress.set_length(shown.len() as u64);
        for letter in shown {
            let mut now = Vec::with_capacity(letter.objects.len());
            for object in &letter.objects {
                if session.interrupt.is_set() {
                    self.stopped = Some(Stopped::Interrupted);
                    return;
                }
                now.push(Presence::ask(store, object).await);
            }
            self.now.insert(letter.id.clone(), now);
            session.progress.inc(1);
        }
        session.progress.finish_and_clear();
    }

    /// The dead letters to show.
    fn shown(&self, limit: usize) -> &[DeadLetter] {
        self.letters.get(..limit).unwrap_or(&self.letters)
    }

    /// A table for people; nothing at all if nothing was selected.
    pub(super) fn lines(&self, arguments: &Arguments, now: Timestamp) -> Vec<String> {
        let shown = self.shown(arguments.selection.limit());
        if shown.is_empty() {
            return Vec::new();
        }
        let reason_chars = shown.iter().map(|letter| letter.reason().chars().count());
        let table = Table {
            id_chars: self.id_chars,
            reason_chars: reason_chars.max().unwrap_or_default(),
            now,
        };
        let mut lines = vec![table.header()];
        for letter in shown {
            lines.extend(table.letter(letter));
            let now = self.now.get(&letter.id).map_or(&[][..], Vec::as_slice);
            if arguments.verbose {
                lines.extend(text::fit(details(letter)));
            }
            lines.extend(text::fit(object_lines(letter, now, arguments.verbose)));
        }
        lines
    }

    /// One JSON object per dead letter.
    pub(super) fn json_lines(&self, limit: usize) -> Vec<String> {
        #[derive(Serialize)]
        struct Json<'a> {
            #[serde(flatten)]
            letter: JsonLetter<'a>,
            /// In the order of its objects.
            #[serde(skip_serializing_if = "Option::is_none")]
            now: Option<&'a Vec<Presence>>,
        }
        let to_json = |letter: &DeadLetter| {
            let json = Json {
                letter: JsonLetter::new(letter),
                now: self.now.get(&letter.id),
            };
            serde_json::to_string(&json).expect("plain values become JSON")
        };
        self.shown(limit).iter().map(to_json).collect()
    }

    /// For stderr: how much of what was seen is shown.
    pub(super) fn summary(&self, limit: usize) -> String {
        let num_shown = self.shown(limit).len();
        let seen = text::dead_letters(self.num_seen as u64);
        if num_shown == self.num_seen {
            return seen;
        }
        let num_selected = self.letters.len();
        if num_shown == num_selected {
            return format!("{num_selected} of {seen}");
        }
        format!("{num_shown} shown of {num_selected} selected; {seen} in all")
    }
}

struct Table {
    id_chars: usize,
    reason_chars: usize,
    now: Timestamp,
}

impl Table {
    fn row(&self, id: &str, age: &str, attempts: &str, hops: &str, reason: &str, rest: &str) -> String {
        let (id_chars, reason_chars) = (self.id_chars, self.reason_chars);
        let row =
            format!("{id:<id_chars$}  {age:<7}  {attempts:>8}  {hops:>4}  {reason:<reason_chars$}  {rest}");
        row.trim_end().to_owned()
    }

    fn header(&self) -> String {
        let row = |object| self.row("ID", "AGE", "ATTEMPTS", "HOPS", "REASON", object);
        let header = row("OBJECT");
        if header.len() <= MAX_COLUMNS {
            header
        } else {
            row("")
        }
    }

    fn letter(&self, letter: &DeadLetter) -> Vec<String> {
        let object = letter.objects.first();
        let object = object.map(|first| text::printable(&first.object.to_string()));
        let object = object.unwrap_or_default();
        let num_more = letter.objects.len().saturating_sub(1);
        let more = (num_more > 0).then(|| format!("and {num_more} more"));
        let size = letter.bytes().map(text::bytes);
        let facts: Vec<String> = [more, size].into_iter().flatten().collect();
        let facts = facts.join("  ");
        let attempts = letter
            .attempts
            .map_or_else(|| "-".to_owned(), |attempts| attempts.to_string());
        let row = |rest: &str| {
            self.row(
                &text::short_id(&letter.id, self.id_chars),
                &text::age(self.now, letter.time()),
                &attempts,
                &letter.hops.to_string(),
                &text::printable(letter.reason()),
                rest,
            )
        };
        let fits = |line: &String| line.chars().count() <= MAX_COLUMNS;
        let whole = row(format!("{object}  {facts}").trim());
        if object.is_empty() || fits(&whole) {
            return vec![whole];
        }
        let object = format!("  {object}");
        // The object stands alone, to be copied whole.
        match Some(row(&facts)).filter(fits) {
            Some(row) => vec![row, object],
            None => vec![row(""), object, format!("  {facts}")],
        }
    }
}

/// What `--verbose` adds below the line of a dead letter.
fn details(letter: &DeadLetter) -> Vec<String> {
    let mut lines = vec![format!("    id        {}", letter.id)];
    let mut add = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            lines.push(format!("    {name:<8}  {}", text::printable(value)));
        }
    };
    let time = text::time(letter.time());
    let time_name = if letter.failed_at.is_some() {
        "failed"
    } else {
        "sent"
    };
    add(time_name, Some(&time));
    add("detail", letter.detail.as_deref());
    let progress = letter.progress.as_deref().map(text::progress);
    add("progress", progress.as_deref());
    add("request", letter.request_id.as_deref());
    add("body", letter.body_problem.as_deref());
    lines
}

/// The objects below the line of a dead letter that names the first one, and what became of each.
fn object_lines(letter: &DeadLetter, now: &[Presence], is_verbose: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for (position, object) in letter.objects.iter().enumerate() {
        let now = now.get(position);
        if position > 0 && (is_verbose || now.is_some()) {
            let object = text::printable(&object.object.to_string());
            lines.push(format!("    object    {object}"));
        }
        lines.extend(now.map(|now| format!("    now       {}", now.line())));
    }
    lines
}

/// A dead letter as a program reads it: nothing is cut short or replaced.
#[derive(Serialize)]
pub(super) struct JsonLetter<'a> {
    id: &'a str,
    reason: &'a str,
    disposition: Option<&'a str>,
    detail: Option<&'a str>,
    attempts: Option<u64>,
    hops: u64,
    failed_at: Option<String>,
    sent_at: String,
    receive_count: u32,
    request_id: Option<&'a str>,
    version: Option<&'a str>,
    moved_from: Option<&'a str>,
    progress: Option<&'a RawValue>,
    objects: Vec<String>,
    /// Of all objects, as far as the S3 event tells.
    bytes: Option<u64>,
    body_problem: Option<&'a str>,
}

impl<'a> JsonLetter<'a> {
    pub(super) fn new(letter: &'a DeadLetter) -> Self {
        Self {
            id: &letter.id,
            reason: letter.reason(),
            disposition: letter.disposition.as_deref(),
            detail: letter.detail.as_deref(),
            attempts: letter.attempts,
            hops: letter.hops,
            failed_at: letter.failed_at.map(|time| time.to_string()),
            sent_at: letter.sent_at.to_string(),
            receive_count: letter.receive_count,
            request_id: letter.request_id.as_deref(),
            version: letter.version.as_deref(),
            moved_from: letter.moved_from.as_deref(),
            // JSON by contract; anything else would break the line.
            progress: letter
                .progress
                .as_deref()
                .filter(|progress| !progress.contains('\n'))
                .and_then(|progress| serde_json::from_str(progress).ok()),
            objects: letter
                .objects
                .iter()
                .map(|failed| failed.object.to_string())
                .collect(),
            bytes: letter.bytes(),
            body_problem: letter.body_problem.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests;
