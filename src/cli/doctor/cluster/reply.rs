//! One question to Elasticsearch → what is known then: an answer, or why there is none.

use serde_json::Value;

use super::super::LIMIT;
use super::super::check::Check;
use crate::bulk::SendError;
use crate::elasticsearch::client::{Answer, Client};
use crate::elasticsearch::setup::read_error;
use crate::outcome::error_chain;

/// What tells how well the cluster is.
pub(in crate::cli) const HEALTH: &str = "_cluster/health";

/// What became of a question.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli) enum Reply {
    /// An answer.
    Found(Value),
    /// Who asks lacks a privilege.
    Denied,
    /// There is no such thing, or this server does not know what is asked for.
    Absent,
    /// Something else went wrong.
    Failed(String),
}

/// Asks with `GET`.
pub(in crate::cli) async fn get(client: &Client, path: &str) -> Reply {
    read(tokio::time::timeout(LIMIT, client.get(path)).await)
}

/// Asks with `POST` and a JSON body.
pub(in crate::cli) async fn post(client: &Client, path: &str, body: &Value) -> Reply {
    read(tokio::time::timeout(LIMIT, client.post(path, body.to_string())).await)
}

fn read(answered: Result<Result<Answer, SendError>, tokio::time::error::Elapsed>) -> Reply {
    let answer = match answered {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Reply::Failed(error_chain(&error)),
        Err(_elapsed) => return Reply::Failed(format!("no answer within {} s", LIMIT.as_secs())),
    };
    if answer.status == 200 {
        return match serde_json::from_slice(&answer.body) {
            Ok(value) => Reply::Found(value),
            Err(_) => Reply::Failed("the answer is no JSON: is this Elasticsearch, or a proxy?".to_owned()),
        };
    }
    let (kind, reason) = read_error(&answer.body);
    match answer.status {
        401 => Reply::Denied,
        403 if kind == "security_exception" => Reply::Denied,
        // A server without a module does not know its addresses (400, 405); serverless has some switched off (410).
        404 | 405 | 410 => Reply::Absent,
        400 if kind == "-" || reason.contains("no handler found") => Reply::Absent,
        status => Reply::Failed(format!("Elasticsearch answers {status} {kind}: {reason}")),
    }
}

impl Reply {
    /// The answer, or what the check of this name comes to without it. `privilege` is what it takes to ask.
    pub(super) fn for_check(&self, name: &'static str, privilege: &str) -> Result<&Value, Check> {
        match self {
            Self::Found(value) => Ok(value),
            Self::Denied => Err(Check::denied(
                name,
                "the credentials do not allow to look",
                format!("who looks needs {privilege}"),
            )),
            Self::Absent => Err(Check::skip(
                name,
                "this server does not say",
                "nothing: it has no such API",
            )),
            Self::Failed(detail) => Err(Check::fail(
                name,
                detail.clone(),
                "see to the server's log, and run this again",
            )),
        }
    }
}
