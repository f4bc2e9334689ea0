//! What became of an object since the event that named it.

use jiff::Timestamp;
use serde::Serialize;

use super::text;
use crate::dead_letter::FailedObject;
use crate::object::{ObjectInfo, ObjectStore, StoreError};

/// What S3 says of an object now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(super) enum Presence {
    /// There, with size and ETag of the event as far as that tells them.
    Unchanged(Now),
    /// There, with another size or ETag.
    Changed(Now),
    /// No such bucket, key or version.
    Missing { detail: String },
    /// S3 did not say.
    Unknown { detail: String },
}

/// An object as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Now {
    size: Option<u64>,
    etag: Option<String>,
    last_modified: Option<String>,
    storage_class: Option<String>,
}

impl Presence {
    /// Asks the store.
    pub(super) async fn ask<S: ObjectStore>(store: &S, failed: &FailedObject) -> Self {
        match store.head(&failed.object).await {
            Ok(info) => Self::compare(failed, info),
            Err(StoreError::NotFound { detail, .. }) => Self::Missing { detail },
            Err(
                StoreError::AccessDenied { detail, .. }
                | StoreError::Archived { detail, .. }
                | StoreError::Unavailable { detail, .. },
            ) => Self::Unknown { detail },
        }
    }

    fn compare(failed: &FailedObject, info: ObjectInfo) -> Self {
        let etag = info.etag.map(|etag| etag.trim_matches('"').to_owned());
        let is_other =
            |one: Option<&str>, other: Option<&str>| one.zip(other).is_some_and(|(one, other)| one != other);
        let event_etag = failed.facts.etag.as_deref().map(|etag| etag.trim_matches('"'));
        let has_other_size = failed
            .facts
            .size
            .zip(info.size)
            .is_some_and(|(then, now)| then != now);
        let is_changed = has_other_size || is_other(event_etag, etag.as_deref());
        let last_modified = info
            .last_modified
            .and_then(|seconds| Timestamp::from_second(seconds.into()).ok());
        let now = Now {
            size: info.size,
            etag,
            last_modified: last_modified.map(text::time),
            storage_class: info.storage_class,
        };
        if is_changed {
            Self::Changed(now)
        } else {
            Self::Unchanged(now)
        }
    }

    /// One line for people.
    pub(super) fn line(&self) -> String {
        match self {
            Self::Unchanged(now) => format!("there, as the event says: {}", now.line()),
            Self::Changed(now) => format!("there, but another than the event says: {}", now.line()),
            Self::Missing { detail } => format!("not there ({})", text::printable(detail)),
            Self::Unknown { detail } => format!(
                "S3 does not say ({}); without s3:ListBucket it refuses what is not there, too",
                text::printable(detail)
            ),
        }
    }
}

impl Now {
    fn line(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.size.map(|size| format!("{size} bytes")));
        parts.extend(
            self.etag
                .as_ref()
                .map(|etag| format!("ETag {}", text::printable(etag))),
        );
        parts.extend(self.last_modified.as_ref().map(|time| format!("written {time}")));
        parts.extend(
            self.storage_class
                .as_ref()
                .map(|class| format!("storage class {}", text::printable(class))),
        );
        parts.join(", ")
    }
}
