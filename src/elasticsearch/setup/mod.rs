//! What `flowctl setup` installs: a [`Plan`] from what the server has, then its steps in order. A second run finds
//! everything as it should be and sends nothing but questions.
//!
//! Needs no more than the installer's cluster privileges `manage_index_templates` and `manage_ilm`.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use super::client::{Answer, Client};
use crate::assets::Kind;
use crate::bulk::SendError;
use crate::config::Installation;

mod compare;
mod part;
#[cfg(test)]
mod tests;

pub use compare::{Difference, differences};
pub use part::{Part, parts};

/// Longest text of a server's refusal that is passed on, characters.
const MAX_REASON: usize = 600;

/// What is to be done, in order.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Every part, also those that are as they should be.
    pub steps: Vec<Step>,
    /// Whether the server has the ILM module.
    pub has_ilm: bool,
}

/// One part and what is to be done about it.
#[derive(Clone, Debug)]
pub struct Step {
    /// The part.
    pub part: Part,
    /// What is to be done.
    pub action: Action,
    /// Where the server's version differs from ours.
    pub differences: Vec<Difference>,
}

/// What is to be done about a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The server does not have it.
    Create,
    /// The server has another one.
    Change,
    /// The server has this one.
    Leave,
    /// It is not installed.
    Skip(SkipReason),
}

/// Why a part is not installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// The server has no ILM module.
    NoIlm,
    /// The server has another policy: retention is the operator's, and a shorter one deletes data.
    PolicyKept,
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoIlm => "this server has no ILM: indices are never deleted by themselves",
            Self::PolicyKept => {
                "differs from ours and is kept, because it decides what is deleted; --reset-ilm installs ours"
            }
        })
    }
}

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
    /// `PUT`.
    Install,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "reading",
            Self::Install => "installing",
        })
    }
}

/// The installation stopped; what came before `position` is done, and another run goes on from there.
#[derive(Debug)]
pub struct Interrupted {
    /// Index of the step that failed.
    pub position: usize,
    /// Why.
    pub error: SetupError,
}

/// Asks the server for every part of the installation and compares; changes nothing. A lifecycle policy that
/// differs is kept unless `reset_ilm`.
pub async fn plan(client: &Client, installation: &Installation, reset_ilm: bool) -> Result<Plan, SetupError> {
    let mut steps = Vec::new();
    // The first part is the policy; what it finds out decides about the parts that only ILM understands.
    let mut has_ilm = true;
    for part in parts(installation) {
        let found = match read(client, &part, has_ilm).await? {
            Found::NoIlm => {
                has_ilm = false;
                steps.push(Step {
                    part,
                    action: Action::Skip(SkipReason::NoIlm),
                    differences: Vec::new(),
                });
                continue;
            }
            Found::Nothing => None,
            Found::Body(body) => Some(body),
        };
        let differences = match &found {
            Some(body) => differences(part.kind, body, &part.body),
            None => Vec::new(),
        };
        let action = match found {
            None => Action::Create,
            Some(_) if differences.is_empty() => Action::Leave,
            Some(_) if part.kind == Kind::IlmPolicy && !reset_ilm => Action::Skip(SkipReason::PolicyKept),
            Some(_) => Action::Change,
        };
        steps.push(Step {
            part,
            action,
            differences,
        });
    }
    Ok(Plan { steps, has_ilm })
}

/// Carries out the plan, in order, up to the first failure.
pub async fn apply(client: &Client, plan: &Plan) -> Result<(), Interrupted> {
    for (position, step) in plan.steps.iter().enumerate() {
        if matches!(step.action, Action::Create | Action::Change) {
            install(client, &step.part)
                .await
                .map_err(|error| Interrupted { position, error })?;
        }
    }
    Ok(())
}

enum Found {
    NoIlm,
    Nothing,
    Body(Value),
}

async fn read(client: &Client, part: &Part, has_ilm: bool) -> Result<Found, SetupError> {
    const VERB: Verb = Verb::Read;
    if part.needs_ilm && !has_ilm {
        return Ok(Found::NoIlm);
    }
    let answer = client
        .get(&part.path())
        .await
        .map_err(|source| no_answer(VERB, part, source))?;
    match answer.status {
        200 => {}
        404 => return Ok(Found::Nothing),
        // A server without the module has no such address (400, 405); serverless has it switched off (410).
        400 | 405 | 410 if part.kind == Kind::IlmPolicy => return Ok(Found::NoIlm),
        _ => return Err(refusal(VERB, part, &answer)),
    }
    let unreadable = |detail: String| SetupError::Unreadable {
        verb: VERB,
        part: part.to_string(),
        detail,
    };
    let whole: Value = serde_json::from_slice(&answer.body).map_err(|error| unreadable(error.to_string()))?;
    match part.body_in(&whole) {
        Some(body) => Ok(Found::Body(body.clone())),
        None => Err(unreadable("it does not hold what was asked for".to_owned())),
    }
}

async fn install(client: &Client, part: &Part) -> Result<(), SetupError> {
    let answer = client
        .put(&part.path(), part.body.to_string())
        .await
        .map_err(|source| no_answer(Verb::Install, part, source))?;
    match answer.status {
        200 => Ok(()),
        _ => Err(refusal(Verb::Install, part, &answer)),
    }
}

fn no_answer(verb: Verb, part: &Part, source: SendError) -> SetupError {
    SetupError::NoAnswer {
        verb,
        part: part.to_string(),
        source,
    }
}

/// A 403 is the role's fault only when security says so: a blocked cluster answers 403 too.
fn refusal(verb: Verb, part: &Part, answer: &Answer) -> SetupError {
    let (error_type, reason) = read_error(&answer.body);
    let part_name = part.to_string();
    if answer.status == 401 || (answer.status == 403 && error_type == "security_exception") {
        return SetupError::Forbidden {
            verb,
            part: part_name,
            status: answer.status,
            privilege: part.kind.privilege(),
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
