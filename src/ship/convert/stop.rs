//! Why an object is not read on, as a failure.

use crate::decode::DecodeError;
use crate::flow::FormatError;
use crate::outcome::{Failure, Reason};

/// Why an object is not read on.
pub(super) enum Stop {
    Decode(DecodeError),
    Format(FormatError),
    /// It has fewer lines than were read before.
    Shorter,
    Closed,
}

impl Stop {
    /// `None`: it was stopped from outside.
    pub(super) fn failure(&self, first_line: u64) -> Option<Failure> {
        Some(match self {
            Self::Closed | Self::Decode(DecodeError::Stopped) => return None,
            Self::Decode(error) => error.failure(),
            Self::Format(error) => {
                let reason = match error {
                    FormatError::Unknown { .. } | FormatError::NoNames | FormatError::NoFields => {
                        Reason::FormatUnknown
                    }
                    FormatError::Repeated { .. } => Reason::FormatInvalid,
                };
                Failure::new(reason, error.to_string())
            }
            Self::Shorter => {
                let detail = format!("it ends before line {first_line}, with which this pass was to begin");
                Failure::new(Reason::ObjectChanged, detail)
            }
        })
    }
}
