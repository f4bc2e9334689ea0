//! `redrive list`: a line per dead letter, the oldest failure first.

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use super::Session;
use super::scan::{Scan, Stopped};
use super::select::Selection;
use super::text::{self, MAX_COLUMNS};
use crate::dead_letter::DeadLetter;
use crate::queue::{MessageQueue, QueueError, QueueStatus};

/// Options of `list`.
#[derive(Args, Clone, Debug)]
pub(super) struct Arguments {
    /// Also show time, detail and progress of each
    #[arg(short, long)]
    pub(super) verbose: bool,
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
            if arguments.verbose {
                lines.extend(text::fit(details(letter)));
            }
        }
        lines
    }

    /// One JSON object per dead letter.
    pub(super) fn json_lines(&self, limit: usize) -> Vec<String> {
        let to_json =
            |letter| serde_json::to_string(&JsonLetter::new(letter)).expect("plain values become JSON");
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
    for object in letter.objects.iter().skip(1) {
        add("object", Some(&object.object.to_string()));
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
mod tests {
    use super::*;
    use crate::cli::redrive::tests::{letter, now, s3_event, selection, session};
    use crate::queue::Attributes;
    use crate::queue::memory::MemoryQueue;

    const LONG_KEY: &str = "AWSLogs/123456789012/vpcflowlogs/us-east-1/2026/11/20/\
        123456789012_vpcflowlogs_us-east-1_fl-1234abcd_20261120T0300Z_fe123456.log.gz";

    fn arguments(options: &[&str]) -> Arguments {
        Arguments {
            selection: selection(options),
            verbose: false,
        }
    }

    async fn look_at(queue: &MemoryQueue, arguments: &Arguments) -> Listing {
        let status = queue.status().await.unwrap();
        look(queue, &status, &arguments.selection, &session())
            .await
            .unwrap()
    }

    fn filled() -> MemoryQueue {
        let queue = MemoryQueue::new("dlq");
        letter("object.not_found", "permanent").key("a.gz").put(&queue);
        letter("bulk.throttled", "transient")
            .failed_at("2026-11-19T23:00:00Z")
            .hops(2)
            .key(LONG_KEY)
            .put(&queue);
        queue.put(&s3_event(&["one.gz", "two.gz"]), Attributes::new());
        queue.put("\u{202e}[2J", Attributes::new());
        queue
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_letter_is_a_line_and_a_long_key_another() {
        let queue = filled();
        let arguments = arguments(&[]);
        let listing = look_at(&queue, &arguments).await;
        insta::assert_snapshot!(listing.lines(&arguments, now()).join("\n"), @"
        ID        AGE      ATTEMPTS  HOPS  REASON
        3c6ef372  5h 0m           5     2  bulk.throttled
          s3://logs/AWSLogs/123456789012/vpcflowlogs/us-east-1/2026/11/20/123456789012_vpcflowlogs_us-east-1_fl-1234abcd_20261120T0300Z_fe123456.log.gz
        78dde6e4  1h 0m           -     0  unknown (moved by the queue's redrive policy)
        daa66d2b  1h 0m           -     0  unknown (moved by the queue's redrive policy)
          s3://logs/one.gz
          and 1 more
        9e3779b9  50m             5     0  object.not_found
          s3://logs/a.gz
        ");
        assert_eq!(listing.summary(usize::MAX), "4 dead letters");
        assert_eq!(queue.num_visible(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn verbose_adds_what_explains_the_failure() {
        let arguments = Arguments {
            verbose: true,
            ..arguments(&[])
        };
        let listing = look_at(&filled(), &arguments).await;
        insta::assert_snapshot!(listing.lines(&arguments, now()).join("\n"), @"
        ID        AGE      ATTEMPTS  HOPS  REASON
        3c6ef372  5h 0m           5     2  bulk.throttled
          s3://logs/AWSLogs/123456789012/vpcflowlogs/us-east-1/2026/11/20/123456789012_vpcflowlogs_us-east-1_fl-1234abcd_20261120T0300Z_fe123456.log.gz
            id        3c6ef372-0000-4000-8000-000000000002
            failed    2026-11-19T23:00:00Z
            detail    what went wrong
            progress  indexed 7, lines 7
            request   8476a536-e9f4-11e8-9739-2dfe598c3fcd
        78dde6e4  1h 0m           -     0  unknown (moved by the queue's redrive policy)
            id        78dde6e4-0000-4000-8000-000000000004
            sent      2026-11-20T03:00:00Z
            body      message body is not the JSON of a notification
        daa66d2b  1h 0m           -     0  unknown (moved by the queue's redrive policy)
          s3://logs/one.gz
          and 1 more
            id        daa66d2b-0000-4000-8000-000000000003
            sent      2026-11-20T03:00:00Z
            object    s3://logs/two.gz
        9e3779b9  50m             5     0  object.not_found
          s3://logs/a.gz
            id        9e3779b9-0000-4000-8000-000000000001
            failed    2026-11-20T03:10:00Z
            detail    what went wrong
            progress  indexed 7, lines 7
            request   8476a536-e9f4-11e8-9739-2dfe598c3fcd
        ");
    }

    #[tokio::test(start_paused = true)]
    async fn reason_and_limit_select_the_oldest() {
        let queue = filled();
        let arguments = arguments(&["--reason", "*.*", "--limit", "1"]);
        let listing = look_at(&queue, &arguments).await;
        assert_eq!(listing.lines(&arguments, now()).len(), 3, "header, row and key");
        assert_eq!(listing.summary(1), "1 shown of 2 selected; 4 dead letters in all");
        assert!(listing.lines(&arguments, now())[0].ends_with("REASON          OBJECT"));
        let unknown = self::arguments(&["--reason", "unknown"]);
        assert_eq!(look_at(&queue, &unknown).await.letters.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_id_selects_its_message() {
        let queue = filled();
        let id = queue.ids().remove(2);
        let short: String = id.chars().take(8).collect();
        let listing = look_at(&queue, &arguments(&["--id", &short])).await;
        assert_eq!(listing.letters.len(), 1);
        assert_eq!(listing.letters[0].id, id);
    }

    #[tokio::test(start_paused = true)]
    async fn json_has_a_line_for_each_and_keeps_everything() {
        let listing = look_at(&filled(), &arguments(&[])).await;
        let lines = listing.json_lines(usize::MAX);
        assert_eq!(lines.len(), 4);
        let values: Vec<serde_json::Value> = lines
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(values[0]["reason"], "bulk.throttled");
        assert_eq!(values[0]["hops"], 2);
        assert_eq!(values[0]["progress"]["lines"], 7);
        assert_eq!(
            values[2]["reason"],
            "unknown (moved by the queue's redrive policy)"
        );
        assert_eq!(
            values[2]["objects"],
            serde_json::json!(["s3://logs/one.gz", "s3://logs/two.gz"])
        );
        assert!(values[1]["body_problem"].is_string());
    }
}
