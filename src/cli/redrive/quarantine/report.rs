//! What `redrive quarantine send` tells at its end.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

use super::files::Unreadable;
use super::stats::{plural, unreadable_lines};
use crate::cli::exit;
use crate::cli::redrive::text::{fit, printable};
use crate::quarantine::{Cause, Group};
use crate::ship::replay::{FileFate, FileReport, ReplayCounts};

/// Lines and files that are named one by one.
const MAX_NAMED: usize = 20;

/// What became of the selected lines and of their files.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    dry_run: bool,
    from: String,
    to: String,
    #[serde(flatten)]
    counts: ReplayCounts,
    files: FileCounts,
    /// By the reason of today.
    refused_again: BTreeMap<String, Refused>,
    /// The first lines that cannot be sent, and why.
    cannot_be_sent: Vec<Named>,
    /// Files that are not as they should be.
    exceptions: Vec<Exception>,
    unreadable: Vec<Unreadable>,
    /// Why the run ended before it had seen all.
    #[serde(serialize_with = "as_text")]
    stopped: Option<Stopped>,
}

/// Files with selected lines, by what became of them.
#[derive(Debug, Default, Serialize)]
struct FileCounts {
    /// Nothing remains of them.
    emptied: u64,
    /// Some of their lines are left.
    rewritten: u64,
    unchanged: u64,
    /// Overwritten by someone else meanwhile.
    overtaken: u64,
    failed: u64,
}

/// Lines that were refused again.
#[derive(Debug, Serialize)]
struct Refused {
    lines: u64,
    example: String,
}

/// A line that cannot be sent.
#[derive(Debug, Serialize)]
struct Named {
    file: String,
    line: u64,
    why: String,
}

/// A file that is not as it should be.
#[derive(Debug, Serialize)]
struct Exception {
    file: String,
    problem: String,
}

/// Why a run ended before it had seen all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// The user pressed Ctrl-C.
    Interrupted,
    /// The files after this one would have fared no better.
    Error(String),
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupted => "interrupted",
            Self::Error(problem) => problem,
        })
    }
}

fn as_text<S: Serializer>(stopped: &Option<Stopped>, serializer: S) -> Result<S::Ok, S::Error> {
    stopped.as_ref().map(ToString::to_string).serialize(serializer)
}

impl Report {
    pub(super) fn new(dry_run: bool, from: String, to: String) -> Self {
        Self {
            dry_run,
            from,
            to,
            counts: ReplayCounts::default(),
            files: FileCounts::default(),
            refused_again: BTreeMap::new(),
            cannot_be_sent: Vec::new(),
            exceptions: Vec::new(),
            unreadable: Vec::new(),
            stopped: None,
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.stopped.is_none()
    }

    /// The first cause counts.
    pub(super) fn stop(&mut self, stopped: Stopped) {
        self.stopped.get_or_insert(stopped);
    }

    pub(super) fn note_unreadable(&mut self, file: Unreadable) {
        self.unreadable.push(file);
    }

    pub(super) fn note(&mut self, file: FileReport) {
        self.counts.add(&file.counts);
        let name = file.object.to_string();
        for (cause, group) in file.refused.groups() {
            self.note_refused(cause, group, &name);
        }
        let room = MAX_NAMED.saturating_sub(self.cannot_be_sent.len());
        self.cannot_be_sent
            .extend(file.kept.iter().take(room).map(|(line, why)| Named {
                file: name.clone(),
                line: *line,
                why: why.to_string(),
            }));
        self.note_fate(name, file.fate);
    }

    fn note_refused(&mut self, cause: &Cause, group: &Group, file: &str) {
        let refused = self
            .refused_again
            .entry(cause.to_string())
            .or_insert_with(|| Refused {
                lines: 0,
                example: format!("{file} line {}: {}", group.example.line, group.example.detail),
            });
        refused.lines += group.lines;
    }

    fn note_fate(&mut self, file: String, fate: FileFate) {
        let problem = match fate {
            FileFate::Unchanged => {
                self.files.unchanged += 1;
                return;
            }
            FileFate::Emptied => {
                self.files.emptied += 1;
                return;
            }
            FileFate::Rewritten(_) => {
                self.files.rewritten += 1;
                return;
            }
            FileFate::Overtaken => {
                self.files.overtaken += 1;
                "someone else wrote it meanwhile: left as it is now, send it again".to_owned()
            }
            FileFate::Failed(failure) => {
                self.files.failed += 1;
                self.stop(Stopped::Error(failure.to_string()));
                format!("left as it was: {failure}")
            }
            FileFate::Damaged(problem) => {
                self.files.failed += 1;
                format!("left as it was: {problem}")
            }
        };
        self.exceptions.push(Exception { file, problem });
    }

    /// One of [`exit`].
    pub(super) fn exit_code(&self) -> u8 {
        let has_failed = self.counts.failed + self.files.failed > 0 || !self.unreadable.is_empty();
        match &self.stopped {
            _ if has_failed => exit::ERROR,
            Some(Stopped::Error(_)) => exit::ERROR,
            Some(Stopped::Interrupted) => exit::STOPPED,
            None if self.counts.selected == 0 => exit::NOTHING,
            None => exit::DONE,
        }
    }

    /// For stderr: what the numbers do not say.
    pub(super) fn note_of_end(&self) -> Option<String> {
        let stopped = self.stopped.as_ref()?;
        Some(format!(
            "redrive: ended before all files were seen: {}; every file is as it was, or without what was delivered",
            printable(&stopped.to_string())
        ))
    }

    /// For people: at most 80 columns where the texts allow it.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!("from {}", printable(&self.from)),
            format!("to   {}", printable(&self.to)),
        ];
        lines.extend(self.refused_lines());
        lines.extend(self.cannot_be_sent_lines());
        lines.extend(self.exception_lines());
        lines.extend(unreadable_lines(&self.unreadable));
        lines.push(String::new());
        lines.extend(self.sums());
        if self.dry_run && self.counts.would_send > 0 {
            lines.push("dry run: nothing was sent; to send, repeat with --yes".to_owned());
        }
        fit(lines)
    }

    fn sums(&self) -> [String; 4] {
        let ReplayCounts {
            selected,
            would_send,
            delivered,
            duplicate,
            no_data,
            refused,
            kept,
            failed,
        } = self.counts;
        let sent = if self.dry_run {
            format!("{would_send} would be sent")
        } else {
            format!("{delivered} delivered + {duplicate} duplicate")
        };
        let FileCounts {
            emptied,
            rewritten,
            unchanged,
            overtaken,
            failed: failed_files,
        } = &self.files;
        let files = plural(emptied + rewritten + unchanged + overtaken + failed_files, "file");
        [
            format!("{selected} selected = {sent} + {no_data} no data"),
            format!("  + {refused} refused again + {kept} cannot be sent + {failed} failed"),
            format!("{files} = {emptied} emptied + {rewritten} rewritten + {unchanged} unchanged"),
            format!("  + {overtaken} overtaken + {failed_files} failed"),
        ]
    }

    fn refused_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (
            cause,
            Refused {
                lines: number,
                example,
            },
        ) in &self.refused_again
        {
            let again = if self.dry_run {
                "would be refused"
            } else {
                "refused"
            };
            lines.push(format!("{number:>7}  {again} again: {}", printable(cause)));
            lines.push(format!("         {}", printable(example)));
        }
        lines
    }

    fn cannot_be_sent_lines(&self) -> Vec<String> {
        let number = self.counts.kept;
        if number == 0 {
            return Vec::new();
        }
        let mut lines = vec![format!("{number:>7}  cannot be sent, and stay:")];
        for Named { file, line, why } in &self.cannot_be_sent {
            lines.push(format!("         {} line {line}: {why}", printable(file)));
        }
        let more = number.saturating_sub(self.cannot_be_sent.len() as u64);
        if more > 0 {
            lines.push(format!("         and {more} more"));
        }
        lines
    }

    fn exception_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for Exception { file, problem } in self.exceptions.iter().take(MAX_NAMED) {
            lines.push(printable(file));
            lines.push(format!("  {}", printable(problem)));
        }
        if self.exceptions.len() > MAX_NAMED {
            let more = self.exceptions.len() - MAX_NAMED;
            lines.push(format!(
                "and {} more: --json names all",
                plural(more as u64, "file")
            ));
        }
        lines
    }
}
