//! A quarantine in memory, which can be told to fail.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::{Head, Quarantine, QuarantineError, QuarantineFile, QuarantinedLine};
use crate::object::ObjectRef;

/// Files by key, shared by clones.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryQuarantine {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<String, Bytes>,
    refuses: bool,
    never_answers: bool,
}

impl MemoryQuarantine {
    /// Whether every file is refused from now on.
    pub(crate) fn refuse(&self, refuses: bool) {
        self.state.lock().unwrap().refuses = refuses;
    }

    /// No answer comes any more.
    pub(crate) fn stall(&self) {
        self.state.lock().unwrap().never_answers = true;
    }

    /// Keys in order, each with the head of its file and its lines in their order.
    pub(crate) fn files(&self) -> Vec<(String, Head, Vec<QuarantinedLine>)> {
        let files = &self.state.lock().unwrap().files;
        let read = files.iter().map(|(key, bytes)| {
            let file = QuarantineFile::open(&bytes[..]).unwrap();
            let head = file.head.clone();
            let mut lines: Vec<QuarantinedLine> = file.map(Result::unwrap).collect();
            lines.sort_by_key(|line| line.line);
            (key.clone(), head, lines)
        });
        read.collect()
    }
}

impl Quarantine for MemoryQuarantine {
    async fn put(&self, object: &ObjectRef, bytes: Bytes) -> Result<(), QuarantineError> {
        if self.state.lock().unwrap().never_answers {
            return std::future::pending().await;
        }
        let mut state = self.state.lock().unwrap();
        if state.refuses {
            return Err(QuarantineError {
                object: object.clone(),
                detail: "AccessDenied: scripted".into(),
            });
        }
        state.files.insert(object.key.clone(), bytes);
        Ok(())
    }
}
