//! What a run of `send` decided and did, a line of JSON each, written before and after every act: whatever ends the
//! run, the file tells where each message is.
//!
//! It is on the disk when the first message is sent (the command and what it selected), and at the end. In between a
//! power cut may cost the last rows, and nothing else: the queues have the messages. What the lost rows told of is met
//! again by `resume`: sent once more if it was not deleted yet, else counted as gone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, bail};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::letter::Letter;

/// A file that is being written. It is locked: nobody resumes a run that still lives.
#[derive(Debug)]
pub(in crate::cli::redrive) struct Journal {
    path: PathBuf,
    file: Mutex<File>,
}

/// The journal cannot be written: nothing may be done that it does not tell of.
#[derive(Debug, thiserror::Error)]
#[error("the journal {path} cannot be written: {detail}")]
pub(super) struct JournalError {
    path: String,
    detail: String,
}

/// What one line tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Event {
    /// The run begins: the command, and what it works on.
    Run {
        command: Vec<String>,
        from: String,
        to: String,
        began: Timestamp,
    },
    /// Another process goes on with it.
    Resumed,
    /// This message is to be sent. The receipt handle deletes it, or makes it visible, also after a crash.
    Selected {
        id: String,
        reason: String,
        hops: u64,
        names: Vec<String>,
        receipt_handle: String,
    },
    Skipped {
        id: String,
        why: String,
    },
    /// Before the call: until `confirmed`, nobody knows whether the main queue has them.
    Sending {
        ids: Vec<String>,
    },
    /// The main queue has them.
    Confirmed {
        ids: Vec<String>,
    },
    Failed {
        id: String,
        why: String,
    },
    Deleted {
        ids: Vec<String>,
    },
    NotDeleted {
        id: String,
        why: String,
    },
    /// No longer in our hands: not sent, not touched.
    Gone {
        ids: Vec<String>,
        why: String,
    },
    /// What the first message of a reason came to.
    Canary {
        reason: String,
        passed: bool,
        why: String,
    },
    /// Its objects were seen complete, or it came back as a dead letter.
    Seen {
        id: String,
        fate: Seen,
    },
    /// The run ends, with its numbers.
    Ended {
        report: serde_json::Value,
    },
}

/// What became of a message that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::cli::redrive) enum Seen {
    Delivered,
    Refailed,
}

#[derive(Serialize, Deserialize)]
struct Row {
    at: Timestamp,
    #[serde(flatten)]
    event: Event,
}

impl Journal {
    /// A new file; one that is there is not touched.
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let file = OpenOptions::new().append(true).create_new(true).open(path);
        let file = file.with_context(|| {
            format!(
                "the journal {} cannot be made; give --journal with the name of a new file",
                path.display()
            )
        })?;
        Self::locked(path, file)
    }

    /// A new file, with the command of this process in its first line.
    pub(in crate::cli::redrive) fn begin(
        path: &Path,
        from: &str,
        to: &str,
        began: Timestamp,
    ) -> anyhow::Result<Self> {
        let journal = Self::create(path)?;
        let words = std::env::args_os().skip(1);
        journal.write(Event::Run {
            command: words.map(|word| word.to_string_lossy().into_owned()).collect(),
            from: from.to_owned(),
            to: to.to_owned(),
            began,
        })?;
        Ok(journal)
    }

    /// The file of a run that ended, to go on with it.
    pub(in crate::cli::redrive) fn reopen(path: &Path) -> anyhow::Result<Self> {
        let file = OpenOptions::new().append(true).open(path);
        let file = file.with_context(|| format!("the journal {} cannot be opened", path.display()))?;
        let journal = Self::locked(path, file)?;
        // A row that a crash cut off must not swallow the next one.
        journal.write_line(b"\n")?;
        journal.write(Event::Resumed)?;
        Ok(journal)
    }

    fn locked(path: &Path, file: File) -> anyhow::Result<Self> {
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("the run that writes {} still lives", path.display()),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("{} cannot be locked", path.display()));
            }
        }
        Ok(Self {
            path: path.to_owned(),
            file: Mutex::new(file),
        })
    }

    pub(in crate::cli::redrive) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes one line, in one call.
    pub(super) fn write(&self, event: Event) -> Result<(), JournalError> {
        let row = Row {
            at: Timestamp::now(),
            event,
        };
        let mut line = serde_json::to_vec(&row).expect("texts and numbers become JSON");
        line.push(b'\n');
        self.write_line(&line)
    }

    /// Returns when all that was written survives a power cut.
    pub(super) fn sync(&self) -> Result<(), JournalError> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.sync_all().map_err(|error| self.error(&error))
    }

    fn write_line(&self, line: &[u8]) -> Result<(), JournalError> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(line).map_err(|error| self.error(&error))
    }

    fn error(&self, error: &io::Error) -> JournalError {
        JournalError {
            path: self.path.display().to_string(),
            detail: error.to_string(),
        }
    }
}

/// What a journal tells of the run so far.
#[derive(Debug)]
pub(in crate::cli::redrive) struct Past {
    pub(in crate::cli::redrive) command: Vec<String>,
    pub(in crate::cli::redrive) from: String,
    pub(in crate::cli::redrive) to: String,
    pub(in crate::cli::redrive) began: Timestamp,
    pub(super) letters: BTreeMap<String, PastLetter>,
    /// Reasons whose first message was seen complete.
    pub(super) passed: BTreeSet<String>,
}

/// A message that was selected.
#[derive(Clone, Debug)]
pub(super) struct PastLetter {
    pub(super) reason: String,
    pub(super) hops: u64,
    pub(super) names: Vec<String>,
    pub(super) receipt_handle: String,
    pub(super) place: Place,
    pub(super) seen: Option<Seen>,
}

/// Where a message is, as far as the journal knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the dead-letter queue; perhaps in the main queue too, if it was just being sent.
    Dlq,
    /// In the main queue, and perhaps still in the dead-letter queue.
    Both,
    /// In the main queue only.
    Main,
}

impl Past {
    pub(in crate::cli::redrive) fn read(path: &Path) -> anyhow::Result<Self> {
        let unreadable = || format!("the journal {} cannot be read", path.display());
        let mut past = None;
        let reader = BufReader::new(File::open(path).with_context(unreadable)?);
        for line in reader.split(b'\n') {
            // Only a row that a crash cut off is none, and what it would tell is not known to have happened.
            let Ok(row) = serde_json::from_slice::<Row>(&line.with_context(unreadable)?) else {
                continue;
            };
            match (&mut past, row.event) {
                (
                    None,
                    Event::Run {
                        command,
                        from,
                        to,
                        began,
                    },
                ) => {
                    past = Some(Self {
                        command,
                        from,
                        to,
                        began,
                        letters: BTreeMap::new(),
                        passed: BTreeSet::new(),
                    });
                }
                (None, _) => break,
                (Some(past), event) => past.apply(event),
            }
        }
        past.with_context(|| format!("{} is no journal of `redrive send`", path.display()))
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Selected {
                id,
                reason,
                hops,
                names,
                receipt_handle,
            } => {
                let letter = PastLetter {
                    reason,
                    hops,
                    names,
                    receipt_handle,
                    place: Place::Dlq,
                    seen: None,
                };
                self.letters.insert(id, letter);
            }
            Event::Confirmed { ids } => self.place(&ids, Place::Both),
            Event::Deleted { ids } => self.place(&ids, Place::Main),
            Event::Canary {
                reason, passed: true, ..
            } => {
                self.passed.insert(reason);
            }
            Event::Seen { id, fate } => {
                if let Some(letter) = self.letters.get_mut(&id) {
                    letter.seen = Some(fate);
                }
            }
            _ => {}
        }
    }

    fn place(&mut self, ids: &[String], place: Place) {
        for id in ids {
            if let Some(letter) = self.letters.get_mut(id) {
                letter.place = place;
            }
        }
    }

    /// Messages that the main queue has confirmed.
    pub(super) fn sent(&self) -> impl Iterator<Item = (&String, &PastLetter)> {
        let letters = self.letters.iter();
        letters.filter(|(_id, letter)| letter.place != Place::Dlq)
    }

    /// Receipt handles of those at this place, with their ids.
    pub(super) fn handles(&self, place: Place) -> Vec<(String, String)> {
        let letters = self.letters.iter().filter(|(_id, letter)| letter.place == place);
        letters
            .map(|(id, letter)| (id.clone(), letter.receipt_handle.clone()))
            .collect()
    }
}

impl Event {
    pub(super) fn selected(letter: &Letter, receipt_handle: &str) -> Self {
        Self::Selected {
            id: letter.id.clone(),
            reason: letter.reason.clone(),
            hops: letter.hops,
            names: letter.names.clone(),
            receipt_handle: receipt_handle.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Event {
        Event::Run {
            command: vec!["send".to_owned(), "--yes".to_owned()],
            from: "dlq".to_owned(),
            to: "main".to_owned(),
            began: Timestamp::UNIX_EPOCH,
        }
    }

    fn selected(id: &str) -> Event {
        Event::Selected {
            id: id.to_owned(),
            reason: "bulk.throttled".to_owned(),
            hops: 1,
            names: vec!["s3://b/k".to_owned()],
            receipt_handle: format!("handle of {id}"),
        }
    }

    fn ids(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    #[test]
    fn a_journal_tells_where_each_message_is_also_when_its_last_row_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j.ndjson");
        let journal = Journal::create(&path).unwrap();
        for event in [run(), selected("a"), selected("b"), selected("c"), selected("d")] {
            journal.write(event).unwrap();
        }
        journal
            .write(Event::Sending {
                ids: ids(&["a", "b", "c"]),
            })
            .unwrap();
        journal
            .write(Event::Confirmed {
                ids: ids(&["a", "b"]),
            })
            .unwrap();
        journal.write(Event::Deleted { ids: ids(&["a"]) }).unwrap();
        journal.write_line(br#"{"at":"2026-11-20T03:0"#).unwrap();
        drop(journal);

        let journal = Journal::reopen(&path).unwrap();
        journal.write(Event::Deleted { ids: ids(&["b"]) }).unwrap();
        let past = Past::read(&path).unwrap();
        assert_eq!((past.command.len(), past.from.as_str()), (2, "dlq"));
        let places: Vec<Place> = past.letters.values().map(|letter| letter.place).collect();
        assert_eq!(places, [Place::Main, Place::Main, Place::Dlq, Place::Dlq]);
        assert_eq!(past.handles(Place::Dlq)[0].1, "handle of c");
    }

    #[test]
    fn a_run_that_lives_is_not_resumed_and_no_file_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j.ndjson");
        let journal = Journal::create(&path).unwrap();
        let told = Journal::reopen(&path).unwrap_err().to_string();
        assert!(told.ends_with("still lives"), "{told}");
        drop(journal);
        assert!(Journal::reopen(&path).is_ok());
        assert!(Journal::create(&path).is_err());
        let told = Past::read(&path).unwrap_err().to_string();
        assert!(told.ends_with("is no journal of `redrive send`"), "{told}");
    }
}
