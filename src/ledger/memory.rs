//! A ledger in memory, which can be told to fail.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::{Ledger, LedgerEntry, LedgerError};

/// Entries by index and id, shared by clones.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryLedger {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    entries: BTreeMap<(String, String), LedgerEntry>,
    refuses: bool,
    never_answers: bool,
    num_calls: usize,
}

impl MemoryLedger {
    /// Every entry is refused from now on.
    pub(crate) fn refuse(&self) {
        self.state.lock().unwrap().refuses = true;
    }

    /// No answer comes any more.
    pub(crate) fn stall(&self) {
        self.state.lock().unwrap().never_answers = true;
    }

    /// How often it was written to.
    pub(crate) fn num_calls(&self) -> usize {
        self.state.lock().unwrap().num_calls
    }

    /// The entry about a key.
    pub(crate) fn entry(&self, key: &str) -> LedgerEntry {
        let entries = &self.state.lock().unwrap().entries;
        let mut of_key = entries.values().filter(|entry| entry.object.key == key);
        let entry = of_key.next().unwrap_or_else(|| panic!("no entry of {key}"));
        assert_eq!(of_key.next(), None, "one entry an object");
        entry.clone()
    }

    /// How many objects have an entry.
    pub(crate) fn num_entries(&self) -> usize {
        self.state.lock().unwrap().entries.len()
    }
}

impl Ledger for MemoryLedger {
    async fn write(&self, entries: &[LedgerEntry]) -> Result<(), LedgerError> {
        if self.state.lock().unwrap().never_answers {
            return std::future::pending().await;
        }
        let mut state = self.state.lock().unwrap();
        state.num_calls += 1;
        if state.refuses {
            return Err(LedgerError {
                num_failed: entries.len() as u64,
                detail: "403 security_exception: scripted".into(),
            });
        }
        for entry in entries {
            let place = (entry.index_name("ledger"), entry.id());
            let newer = state
                .entries
                .get(&place)
                .is_some_and(|old| old.ended_at > entry.ended_at);
            if !newer {
                state.entries.insert(place, entry.clone());
            }
        }
        Ok(())
    }
}
