//! The AWS services behind the seams. No other module names a type of the AWS SDK.
//!
//! Endpoints, region, credentials and profiles come from the SDK's own environment variables and files.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::{Builder, tls};

use url::Url;

use crate::config;
use crate::outcome::error_chain;

pub mod s3;
pub mod secrets;
pub mod sqs;

/// A connection that is not made by then will not be made: S3 and SQS endpoints are in the same region.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest wait for the first byte of an answer; long polling waits 20 s by itself.
const READ_TIMEOUT: Duration = Duration::from_secs(40);

/// What the SDK warns of on the way, such as instance metadata that a laptop has not, a person reads in the error that
/// follows.
pub const PERSON_LOG_FILTER: &str = "info,aws_config=error,aws_runtime=error,aws_smithy_runtime=error";

/// What all clients share: credentials, region, endpoints, one HTTP stack.
#[derive(Clone, Debug)]
pub struct AwsContext {
    config: SdkConfig,
}

impl AwsContext {
    /// Reads the SDK's environment variables, profiles and instance metadata.
    pub async fn load() -> Self {
        let http = Builder::new()
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
            .build_https();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .build();
        let config = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http)
            .timeout_config(timeouts)
            .load()
            .await;
        Self { config }
    }

    /// The same, in the region of this queue if no other is configured.
    pub async fn load_for(queue_url: Option<&str>) -> Self {
        let Self { config } = Self::load().await;
        match queue_url.and_then(region_of) {
            Some(region) if config.region().is_none() => Self {
                config: config.into_builder().region(Region::new(region)).build(),
            },
            _ => Self { config },
        }
    }

    /// Clients of this configuration, for programs that make their own.
    pub fn from_sdk_config(config: SdkConfig) -> Self {
        Self { config }
    }

    /// The region in use, if one is configured.
    pub fn region(&self) -> Option<String> {
        self.config.region().map(ToString::to_string)
    }

    /// Whether another server stands in for S3: bucket names are then part of the path, not of the host name.
    fn has_custom_s3_endpoint(&self) -> bool {
        self.config.endpoint_url().is_some() || config::has_custom_s3_endpoint()
    }
}

/// The region that a queue's URL names: `https://sqs.<region>.amazonaws.com/…`.
fn region_of(queue_url: &str) -> Option<String> {
    let host = Url::parse(queue_url).ok()?.host_str()?.to_owned();
    let (region, domain) = host.strip_prefix("sqs.")?.split_once('.')?;
    ["amazonaws.com", "amazonaws.com.cn"]
        .contains(&domain)
        .then(|| region.to_owned())
}

/// One line for an SDK error: the service's code and message where it sent them, else the chain of causes.
fn describe<E>(error: &SdkError<E>) -> String
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        _ => error_chain(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_names_its_region() {
        let of = |host: &str| region_of(&format!("https://{host}/123456789012/flowlogs"));
        assert_eq!(of("sqs.eu-west-1.amazonaws.com").as_deref(), Some("eu-west-1"));
        assert_eq!(
            of("sqs.cn-north-1.amazonaws.com.cn").as_deref(),
            Some("cn-north-1")
        );
        for host in [
            "localhost:4566",
            "vpce-0a.sqs.eu-west-1.vpce.amazonaws.com",
            "queue.amazonaws.com",
            "sqs.amazonaws.com",
        ] {
            assert_eq!(of(host), None, "{host}");
        }
    }
}
