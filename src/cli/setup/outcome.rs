//! What became of a part, in a word.

use serde::Serialize;

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    WouldCreate,
    WouldChange,
    Created,
    Changed,
    Unchanged,
    Skipped,
    Kept,
    Refused,
    Failed,
    Pending,
}

impl Outcome {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::WouldCreate => "would create",
            Self::WouldChange => "would change",
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Skipped => "skipped",
            Self::Kept => "kept",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Pending => "pending",
        }
    }
}
