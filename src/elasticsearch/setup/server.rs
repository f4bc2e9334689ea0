//! A part → the calls that read it from the server and put it there.

use serde_json::Value;

use super::error::{no_answer, refusal};
use super::{Part, SetupError, Verb};
use crate::assets::Kind;
use crate::elasticsearch::client::Client;

/// What the server says when it is asked for a part.
pub(super) enum Found {
    NoIlm,
    Nothing,
    Body(Value),
}

/// Asks for every part, in order: the first is the policy, and what it finds out decides about the parts that only ILM
/// understands.
pub(super) async fn read_all(client: &Client, parts: &[Part]) -> Result<Vec<Found>, SetupError> {
    let mut found = Vec::new();
    let mut has_ilm = true;
    for part in parts {
        let part_found = match part.needs_ilm && !has_ilm {
            true => Found::NoIlm,
            false => read(client, part).await?,
        };
        has_ilm &= !matches!(part_found, Found::NoIlm);
        found.push(part_found);
    }
    Ok(found)
}

async fn read(client: &Client, part: &Part) -> Result<Found, SetupError> {
    const VERB: Verb = Verb::Read;
    let answer = client
        .get(&part.path())
        .await
        .map_err(|source| no_answer(VERB, part, source))?;
    match answer.status {
        200 => {}
        404 => return Ok(Found::Nothing),
        // A server without the module has no such address (400, 405); serverless has it switched off (410).
        400 | 405 | 410 if part.kind == Kind::IlmPolicy => return Ok(Found::NoIlm),
        400 | 405 if part.kind == Kind::Role => return Err(SetupError::NoSecurity),
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

pub(super) async fn install(client: &Client, part: &Part) -> Result<(), SetupError> {
    let answer = client
        .put(&part.path(), part.body.to_string())
        .await
        .map_err(|source| no_answer(Verb::Install, part, source))?;
    match answer.status {
        200 => Ok(()),
        _ => Err(refusal(Verb::Install, part, &answer)),
    }
}
