//! Why an installation cannot go on, and what an error answer of Elasticsearch says.

use std::fmt;

use serde::Deserialize;

use super::super::client::Answer;
use super::{Part, Store};
use crate::bulk::SendError;

/// Longest text of a server's refusal that is passed on, characters.
pub(super) const MAX_REASON: usize = 600;

/// Why the installation cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A call got no answer.
    #[error("{verb} {part} at Elasticsearch")]
    NoAnswer {
        /// What was tried.
        verb: Verb,
        /// Kind and name.
        part: String,
        /// What happened.
        source: SendError,
    },
    /// The role lacks a privilege.
    #[error(
        "{verb} {part}: not allowed ({status}): the user or API key needs the cluster privilege `{privilege}`"
    )]
    Forbidden {
        /// What was tried.
        verb: Verb,
        /// Kind and name.
        part: String,
        /// 401 or 403.
        status: u16,
        /// The missing privilege.
        privilege: &'static str,
    },
    /// The server refuses.
    #[error("{verb} {part}: Elasticsearch answers {status} {error_type}: {reason}")]
    Refused {
        /// What was tried.
        verb: Verb,
        /// Kind and name.
        part: String,
        /// HTTP status.
        status: u16,
        /// Elasticsearch's error type; a dash where it sent none.
        error_type: String,
        /// Its words, cut short.
        reason: String,
    },
    /// The ages do not follow each other.
    #[error(
        "the lifecycle policy would be in {phase} after {age}, before {earlier} after {earlier_age}: give both ages"
    )]
    AgesOutOfOrder {
        /// The phase that should come first.
        earlier: String,
        /// When it begins.
        earlier_age: String,
        /// The phase that should come later.
        phase: String,
        /// When it begins.
        age: String,
    },
    /// The server cannot store documents this way.
    #[error("this server cannot store documents as `--store {store}` asks; nothing was changed")]
    StoreRefused {
        /// The profile.
        store: Store,
        /// The server's words.
        source: Box<Self>,
    },
    /// A setting that goes before the one we would set.
    #[error(
        "the cluster has a transient {setting} (`{value}`), which goes before a lasting one: remove it first, with \
             PUT _cluster/settings {{\"transient\":{{\"{setting}\":null}}}}"
    )]
    TransientSetting {
        /// Its name.
        setting: &'static str,
        /// Its value.
        value: String,
    },
    /// Ages were asked for where nothing has any.
    #[error("this server has no ILM: there is no lifecycle policy whose ages could be set")]
    NoIlm,
    /// Roles were asked for where nobody has any.
    #[error("security is off on this server: it has no roles; leave out --install-roles")]
    NoSecurity,
    /// The answer is of another shape than Elasticsearch's.
    #[error("{verb} {part}: the answer is not that of Elasticsearch: {detail}")]
    Unreadable {
        /// What was tried.
        verb: Verb,
        /// Kind and name.
        part: String,
        /// What is wrong with it.
        detail: String,
    },
}

/// What was tried with a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `GET`.
    Read,
    /// `POST …/_simulate`.
    Try,
    /// `PUT`.
    Install,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "reading",
            Self::Try => "trying",
            Self::Install => "installing",
        })
    }
}

pub(super) fn no_answer(verb: Verb, part: &Part, source: SendError) -> SetupError {
    SetupError::NoAnswer {
        verb,
        part: part.to_string(),
        source,
    }
}

/// A 403 is the role's fault only when security says so: a blocked cluster answers 403 too.
pub(super) fn refusal(verb: Verb, part: &Part, answer: &Answer) -> SetupError {
    let (error_type, reason) = read_error(&answer.body);
    let part_name = part.to_string();
    if answer.status == 401 || (answer.status == 403 && error_type == "security_exception") {
        return SetupError::Forbidden {
            verb,
            part: part_name,
            status: answer.status,
            privilege: part.kind.privilege(verb),
        };
    }
    SetupError::Refused {
        verb,
        part: part_name,
        status: answer.status,
        error_type,
        reason,
    }
}

#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorField,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ErrorField {
    Text(String),
    Cause(Cause),
}

#[derive(Deserialize)]
struct Cause {
    #[serde(rename = "type")]
    error_type: String,
    reason: Option<String>,
    caused_by: Option<Box<Self>>,
}

/// Type, and reason with its causes, of an error answer. What is no answer of Elasticsearch's, as of a proxy, is its
/// text.
pub(crate) fn read_error(body: &[u8]) -> (String, String) {
    const NO_TYPE: &str = "-";
    let (error_type, reason) = match serde_json::from_slice(body) {
        Ok(ErrorBody {
            error: ErrorField::Cause(cause),
        }) => {
            let mut reason = cause.reason.unwrap_or_default();
            let mut inner = cause.caused_by;
            while let Some(cause) = inner {
                if let Some(said) = cause.reason.filter(|said| !reason.contains(said.as_str())) {
                    reason = format!("{reason}: {said}");
                }
                inner = cause.caused_by;
            }
            (cause.error_type, reason)
        }
        Ok(ErrorBody {
            error: ErrorField::Text(text),
        }) => (NO_TYPE.to_owned(), text),
        Err(_) => (NO_TYPE.to_owned(), String::from_utf8_lossy(body).into_owned()),
    };
    let mut line = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() > MAX_REASON {
        line = line.chars().take(MAX_REASON).chain(['…']).collect();
    }
    (error_type, line)
}
