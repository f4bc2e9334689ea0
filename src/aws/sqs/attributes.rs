//! GetQueueAttributes → what a queue says of itself.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::operation::get_queue_attributes::GetQueueAttributesError;
use aws_sdk_sqs::types::QueueAttributeName;
use serde::Deserialize;

use super::{SqsQueue, describe};
use crate::queue::{QueueDetails, QueueStatus, RedrivePolicy, Unanswered};

type Attributes = HashMap<QueueAttributeName, String>;

impl SqsQueue {
    /// Asks for everything that the queue says of itself.
    pub async fn details(&self) -> Result<QueueDetails, Unanswered> {
        match self.attributes().await {
            Ok(attributes) => Ok(details(&attributes)),
            Err(error) => Err(unanswered(&error, self.client.config().region().is_some())),
        }
    }

    pub(super) async fn attributes(&self) -> Result<Attributes, SdkError<GetQueueAttributesError>> {
        let call = self.client.get_queue_attributes().queue_url(&self.url);
        let answer = call.attribute_names(QueueAttributeName::All).send().await?;
        Ok(answer.attributes.unwrap_or_default())
    }
}

/// What is sent has a region and a signature: what fails before that is neither the network's fault nor the service's.
///
/// Source: "Common errors" and "GetQueueAttributes" in the Amazon SQS API reference.
fn unanswered(error: &SdkError<GetQueueAttributesError>, has_region: bool) -> Unanswered {
    let detail = describe(error);
    let is_missing = error
        .as_service_error()
        .is_some_and(GetQueueAttributesError::is_queue_does_not_exist);
    let is_sent = match error {
        SdkError::ConstructionFailure(_) => false,
        SdkError::DispatchFailure(failure) => !failure.is_other(),
        _ => true,
    };
    match error.code() {
        _ if !is_sent && !has_region => Unanswered::NoRegion(detail),
        _ if !is_sent => Unanswered::NoCredentials(detail),
        _ if is_missing => Unanswered::Missing(detail),
        Some("AWS.SimpleQueueService.NonExistentQueue" | "QueueDoesNotExist") => Unanswered::Missing(detail),
        Some("AccessDenied" | "AccessDeniedException") => Unanswered::Denied(detail),
        Some(
            "ExpiredToken"
            | "ExpiredTokenException"
            | "IncompleteSignature"
            | "InvalidClientTokenId"
            | "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "UnrecognizedClientException",
        ) => Unanswered::NoCredentials(detail),
        _ => Unanswered::Failed(detail),
    }
}

fn number(attributes: &Attributes, name: &QueueAttributeName) -> u64 {
    let text = attributes.get(name);
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

pub(super) fn status(attributes: &Attributes) -> QueueStatus {
    let policy = attributes.get(&QueueAttributeName::RedrivePolicy);
    QueueStatus {
        arn: attributes
            .get(&QueueAttributeName::QueueArn)
            .cloned()
            .unwrap_or_default(),
        visible: number(attributes, &QueueAttributeName::ApproximateNumberOfMessages),
        in_flight: number(
            attributes,
            &QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ),
        delayed: number(
            attributes,
            &QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        ),
        visibility_timeout: Duration::from_secs(number(attributes, &QueueAttributeName::VisibilityTimeout)),
        max_message_bytes: attributes
            .get(&QueueAttributeName::MaximumMessageSize)
            .and_then(|text| text.parse().ok()),
        redrive_policy: policy.and_then(|json| parse_redrive_policy(json)),
    }
}

fn details(attributes: &Attributes) -> QueueDetails {
    let text = |name: QueueAttributeName| attributes.get(&name).filter(|text| !text.is_empty()).cloned();
    let seconds = |name: QueueAttributeName| Duration::from_secs(number(attributes, &name));
    QueueDetails {
        status: status(attributes),
        policy: text(QueueAttributeName::Policy),
        redrive_allow_policy: text(QueueAttributeName::RedriveAllowPolicy),
        retention: seconds(QueueAttributeName::MessageRetentionPeriod),
        receive_wait: seconds(QueueAttributeName::ReceiveMessageWaitTimeSeconds),
        kms_key: text(QueueAttributeName::KmsMasterKeyId),
    }
}

/// `maxReceiveCount` is a number in what people write and a string in what some consoles store.
fn parse_redrive_policy(json: &str) -> Option<RedrivePolicy> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Policy {
        dead_letter_target_arn: String,
        max_receive_count: serde_json::Value,
    }
    let policy: Policy = serde_json::from_str(json).ok()?;
    let count = match &policy.max_receive_count {
        serde_json::Value::String(text) => text.parse().ok()?,
        value => value.as_u64()?,
    };
    Some(RedrivePolicy {
        dead_letter_arn: policy.dead_letter_target_arn,
        max_receive_count: u32::try_from(count).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redrive_policy_is_read_with_its_count_as_number_or_text() {
        for count in ["5", "\"5\""] {
            let json =
                format!(r#"{{"deadLetterTargetArn":"arn:aws:sqs:x:1:dlq","maxReceiveCount":{count}}}"#);
            assert_eq!(parse_redrive_policy(&json).unwrap().max_receive_count, 5);
        }
        assert_eq!(parse_redrive_policy("{}"), None);
    }

    #[test]
    fn what_is_empty_is_not_set() {
        let attributes = [
            (QueueAttributeName::Policy, ""),
            (QueueAttributeName::KmsMasterKeyId, "alias/aws/sqs"),
            (QueueAttributeName::MessageRetentionPeriod, "1209600"),
        ];
        let attributes = attributes.map(|(name, value)| (name, value.to_owned()));
        let expected = QueueDetails {
            kms_key: Some("alias/aws/sqs".to_owned()),
            retention: Duration::from_secs(14 * 86_400),
            ..QueueDetails::default()
        };
        assert_eq!(details(&attributes.into()), expected);
    }
}
