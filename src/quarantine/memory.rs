//! A quarantine in memory, which can be told to fail.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use super::{Head, Quarantine, QuarantineError, QuarantineFile, QuarantinedLine, Replacement};
use crate::object::memory::{MemoryBody, page};
use crate::object::{ObjectInfo, ObjectPage, ObjectRef, ObjectStore, OpenObject, StoreError};

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
    loses_answers: bool,
    /// What another program writes before the next replacement.
    intruder: Option<(String, Bytes)>,
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

    /// Replacements are done and, by an attempt after an answer that was lost, told to be in vain.
    pub(crate) fn lose_answers(&self) {
        self.state.lock().unwrap().loses_answers = true;
    }

    /// Another program writes this file just before the next replacement.
    pub(crate) fn intrude(&self, key: &str, bytes: impl Into<Bytes>) {
        self.state.lock().unwrap().intruder = Some((key.to_owned(), bytes.into()));
    }

    /// Writes a file as it is.
    pub(crate) fn insert(&self, key: &str, bytes: impl Into<Bytes>) {
        self.state
            .lock()
            .unwrap()
            .files
            .insert(key.to_owned(), bytes.into());
    }

    /// The bytes of a file.
    pub(crate) fn bytes(&self, key: &str) -> Bytes {
        self.state.lock().unwrap().files[key].clone()
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

fn etag(bytes: &[u8]) -> String {
    format!("\"{:x}\"", xxh3_64(bytes))
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

    async fn replace(
        &self,
        object: &ObjectRef,
        expected: &str,
        bytes: Bytes,
    ) -> Result<Replacement, QuarantineError> {
        let loses_answer = {
            let mut state = self.state.lock().unwrap();
            if let Some((key, bytes)) = state.intruder.take() {
                state.files.insert(key, bytes);
            }
            let found = state.files.get(&object.key).map(|bytes| etag(bytes));
            if found.as_deref() != Some(expected) {
                return Ok(Replacement::Changed);
            }
            state.loses_answers
        };
        self.put(object, bytes).await?;
        Ok(if loses_answer {
            Replacement::Changed
        } else {
            Replacement::Written
        })
    }
}

impl ObjectStore for MemoryQuarantine {
    type Body = MemoryBody;

    async fn open(&self, object: &ObjectRef) -> Result<OpenObject<MemoryBody>, StoreError> {
        let bytes = self.state.lock().unwrap().files.get(&object.key).cloned();
        let bytes = bytes.ok_or_else(|| StoreError::NotFound {
            object: object.clone(),
            detail: "NoSuchKey".into(),
        })?;
        Ok(OpenObject {
            info: ObjectInfo {
                etag: Some(etag(&bytes)),
                ..ObjectInfo::default()
            },
            body: MemoryBody::of(object, bytes),
        })
    }

    async fn head(&self, object: &ObjectRef) -> Result<ObjectInfo, StoreError> {
        Ok(self.open(object).await?.info)
    }

    async fn presigned_url(&self, object: &ObjectRef, _: Duration) -> Result<String, StoreError> {
        panic!("nobody asks for a URL of a quarantine file, such as {object}")
    }

    async fn list(&self, bucket: &str, prefix: &str, after: &str) -> Result<ObjectPage, StoreError> {
        let files = &self.state.lock().unwrap().files;
        let all = files.iter().map(|(key, bytes)| (key.clone(), bytes.len()));
        Ok(page(bucket, prefix, after, all))
    }
}
