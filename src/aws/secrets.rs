//! A secret's text from Secrets Manager, for the Elasticsearch credentials.

use aws_sdk_secretsmanager::Client;

use super::{AwsContext, describe};
use crate::elasticsearch::renewal::SecretStore;

/// Why a secret could not be read. Never holds its value.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The call failed.
    #[error("secret {secret_id}: {detail}")]
    Call {
        /// ARN or name.
        secret_id: String,
        /// The error code and message.
        detail: String,
    },
    /// A binary secret.
    #[error("secret {secret_id} holds no text")]
    NotText {
        /// ARN or name.
        secret_id: String,
    },
}

/// Reads the current version of a secret by ARN or name.
async fn read(context: &AwsContext, secret_id: &str) -> Result<String, SecretError> {
    let answer = Client::new(&context.config)
        .get_secret_value()
        .secret_id(secret_id)
        .send()
        .await
        .map_err(|error| SecretError::Call {
            secret_id: secret_id.to_owned(),
            detail: describe(&error),
        })?;
    answer.secret_string.ok_or_else(|| SecretError::NotText {
        secret_id: secret_id.to_owned(),
    })
}

impl SecretStore for AwsContext {
    async fn read_secret(&self, secret_id: &str) -> Result<String, String> {
        read(self, secret_id).await.map_err(|error| error.to_string())
    }
}
