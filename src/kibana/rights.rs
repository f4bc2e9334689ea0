//! Kibana runs a rule with the rights that whoever installed it had then → whether the rules could read the indices.

use serde_json::{Value, json};

use super::KibanaError;
use crate::config::Installation;
use crate::elasticsearch::client::Client;
use crate::elasticsearch::setup::read_error;
use crate::outcome::error_chain;

/// Asks Elasticsearch whether the credentials of `client` may read flows and ledger. A server without security lets all.
pub async fn check_rights(client: &Client, installation: &Installation) -> Result<(), KibanaError> {
    let prefixes = [&installation.index_prefix]
        .into_iter()
        .chain(&installation.ledger_index);
    let patterns: Vec<String> = prefixes.map(|prefix| format!("{prefix}-*")).collect();
    let question = json!({"index": [{"names": patterns, "privileges": ["read"]}]});
    let answer = client
        .post("_security/user/_has_privileges", question.to_string())
        .await
        .map_err(|error| KibanaError::RightsUnknown {
            detail: error_chain(&error),
        })?;
    let rights: Value = match answer.status {
        200 => serde_json::from_slice(&answer.body).unwrap_or_default(),
        // Without security there is no such address.
        400 | 404 | 405 => return Ok(()),
        status => {
            let (error_type, reason) = read_error(&answer.body);
            return Err(KibanaError::RightsUnknown {
                detail: format!("it answers {status} {error_type}: {reason}"),
            });
        }
    };
    match rights["has_all_requested"] == true {
        true => Ok(()),
        false => Err(KibanaError::RulesCannotRead {
            patterns: patterns.join(" and "),
            role: format!("{}-reader", installation.index_prefix),
        }),
    }
}
