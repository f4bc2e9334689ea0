//! [`MessageQueue`] on SQS. A batch entry that SQS does not mention in its answer counts as failed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{AwsContext, describe};
use crate::queue::arn::QueueArn;
use crate::queue::{
    Attribute, Attributes, MessageQueue, OutgoingMessage, QueueError, QueueFinder, QueueStatus,
    ReceivedMessage, VisibilityChange,
};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message,
    MessageAttributeValue, MessageSystemAttributeName, SendMessageBatchRequestEntry,
};

mod attributes;

/// One SQS queue.
#[derive(Clone, Debug)]
pub struct SqsQueue {
    client: Client,
    url: String,
}

impl SqsQueue {
    /// The queue of this URL.
    pub fn new(context: &AwsContext, url: impl Into<String>) -> Self {
        Self {
            client: Client::new(&context.config),
            url: url.into(),
        }
    }

    /// The queue's URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    fn call_error<E>(&self, call: &'static str, error: &SdkError<E>) -> QueueError
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
    {
        QueueError::Call {
            call,
            queue_url: self.url.clone(),
            detail: describe(error),
        }
    }
}

impl MessageQueue for SqsQueue {
    async fn send(&self, message: &OutgoingMessage) -> Result<(), QueueError> {
        self.client
            .send_message()
            .queue_url(&self.url)
            .message_body(&message.body)
            .set_message_attributes(Some(to_sqs(&message.attributes)))
            .send()
            .await
            .map(|_| ())
            .map_err(|error| self.call_error("SendMessage", &error))
    }

    async fn send_batch(&self, messages: &[OutgoingMessage]) -> Vec<Result<(), QueueError>> {
        const CALL: &str = "SendMessageBatch";
        let mut request = self.client.send_message_batch().queue_url(&self.url);
        for (position, message) in messages.iter().enumerate() {
            let entry = SendMessageBatchRequestEntry::builder()
                .id(position.to_string())
                .message_body(&message.body)
                .set_message_attributes(Some(to_sqs(&message.attributes)))
                .build()
                .expect("id and body are set");
            request = request.entries(entry);
        }
        match request.send().await {
            Ok(answer) => {
                let sent = answer.successful().iter().map(|entry| entry.id());
                per_entry(CALL, messages.len(), sent, answer.failed())
            }
            Err(error) => vec![Err(self.call_error(CALL, &error)); messages.len()],
        }
    }

    async fn receive(
        &self,
        max: usize,
        wait: Duration,
        visibility: Option<Duration>,
    ) -> Result<Vec<ReceivedMessage>, QueueError> {
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(seconds_or_count(max as u64))
            .wait_time_seconds(seconds_or_count(wait.as_secs()))
            .set_visibility_timeout(visibility.map(|timeout| seconds_or_count(timeout.as_secs())))
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .send()
            .await
            .map_err(|error| self.call_error("ReceiveMessage", &error))?;
        Ok(answer
            .messages
            .unwrap_or_default()
            .into_iter()
            .map(from_sqs)
            .collect())
    }

    async fn delete_batch(&self, receipt_handles: &[String]) -> Vec<Result<(), QueueError>> {
        const CALL: &str = "DeleteMessageBatch";
        let mut request = self.client.delete_message_batch().queue_url(&self.url);
        for (position, handle) in receipt_handles.iter().enumerate() {
            let entry = DeleteMessageBatchRequestEntry::builder()
                .id(position.to_string())
                .receipt_handle(handle)
                .build()
                .expect("id and receipt handle are set");
            request = request.entries(entry);
        }
        match request.send().await {
            Ok(answer) => {
                let deleted = answer.successful().iter().map(|entry| entry.id());
                per_entry(CALL, receipt_handles.len(), deleted, answer.failed())
            }
            Err(error) => vec![Err(self.call_error(CALL, &error)); receipt_handles.len()],
        }
    }

    async fn change_visibility(&self, changes: &[VisibilityChange]) -> Vec<Result<(), QueueError>> {
        const CALL: &str = "ChangeMessageVisibilityBatch";
        let mut request = self.client.change_message_visibility_batch().queue_url(&self.url);
        for (position, change) in changes.iter().enumerate() {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(position.to_string())
                .receipt_handle(&change.receipt_handle)
                .visibility_timeout(seconds_or_count(change.timeout.as_secs()))
                .build()
                .expect("id and receipt handle are set");
            request = request.entries(entry);
        }
        match request.send().await {
            Ok(answer) => {
                let changed = answer.successful().iter().map(|entry| entry.id());
                per_entry(CALL, changes.len(), changed, answer.failed())
            }
            Err(error) => vec![Err(self.call_error(CALL, &error)); changes.len()],
        }
    }

    async fn status(&self) -> Result<QueueStatus, QueueError> {
        let attributes = self.attributes().await;
        let attributes = attributes.map_err(|error| self.call_error("GetQueueAttributes", &error))?;
        Ok(attributes::status(&attributes))
    }

    async fn dead_letter_sources(&self) -> Result<Vec<String>, QueueError> {
        let call = self.client.list_dead_letter_source_queues().queue_url(&self.url);
        let mut pages = call.into_paginator().items().send();
        let mut urls = Vec::new();
        while let Some(url) = pages.next().await {
            urls.push(url.map_err(|error| self.call_error("ListDeadLetterSourceQueues", &error))?);
        }
        Ok(urls)
    }
}

/// Queues by ARN; each is looked up once.
#[derive(Debug)]
pub struct SqsQueues {
    client: Client,
    known_url: Option<String>,
    found: Mutex<BTreeMap<String, Arc<SqsQueue>>>,
}

impl SqsQueues {
    /// A queue whose URL is known is not looked up.
    pub fn new(context: &AwsContext, known_url: Option<String>) -> Self {
        Self {
            client: Client::new(&context.config),
            known_url,
            found: Mutex::default(),
        }
    }

    async fn look_up(&self, arn: &str) -> Result<String, QueueError> {
        const CALL: &str = "GetQueueUrl";
        let failed = |detail: String| QueueError::Call {
            call: CALL,
            queue_url: arn.to_owned(),
            detail,
        };
        let parts =
            QueueArn::parse(arn).ok_or_else(|| failed("this is no ARN of an SQS queue".to_owned()))?;
        if let Some(url) = self.known_url.as_ref().filter(|url| parts.is_of_url(url)) {
            return Ok(url.clone());
        }
        let call = self.client.get_queue_url().queue_name(parts.name);
        let answer = call.queue_owner_aws_account_id(parts.account).send().await;
        let answer = answer.map_err(|error| failed(describe(&error)))?;
        answer
            .queue_url
            .ok_or_else(|| failed("the answer holds no URL".to_owned()))
    }
}

impl QueueFinder for SqsQueues {
    type Queue = SqsQueue;

    async fn find(&self, arn: &str) -> Result<Arc<SqsQueue>, QueueError> {
        let found = || self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = found().get(arn) {
            return Ok(Arc::clone(queue));
        }
        let queue = Arc::new(SqsQueue {
            client: self.client.clone(),
            url: self.look_up(arn).await?,
        });
        found().insert(arn.to_owned(), Arc::clone(&queue));
        Ok(queue)
    }
}

/// SQS takes seconds and counts as `i32`; everything passed here is far below its limit.
fn seconds_or_count(value: u64) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

fn per_entry<'a>(
    call: &'static str,
    num_entries: usize,
    successful: impl Iterator<Item = &'a str>,
    failed: &[BatchResultErrorEntry],
) -> Vec<Result<(), QueueError>> {
    let silent = QueueError::Entry {
        call,
        detail: "no answer for this entry".to_owned(),
    };
    let mut results = vec![Err(silent); num_entries];
    let position = |id: &str| {
        id.parse::<usize>()
            .ok()
            .filter(|position| *position < num_entries)
    };
    for id in successful {
        if let Some(position) = position(id) {
            results[position] = Ok(());
        }
    }
    for entry in failed {
        if let Some(position) = position(entry.id()) {
            let detail = format!("{}: {}", entry.code(), entry.message().unwrap_or_default());
            results[position] = Err(QueueError::Entry { call, detail });
        }
    }
    results
}

fn to_sqs(attributes: &Attributes) -> std::collections::HashMap<String, MessageAttributeValue> {
    attributes
        .iter()
        .map(|(name, value)| (name.clone(), to_sqs_value(value)))
        .collect()
}

fn to_sqs_value(attribute: &Attribute) -> MessageAttributeValue {
    let builder = MessageAttributeValue::builder();
    let builder = match attribute {
        Attribute::Text(text) => builder.data_type("String").string_value(text),
        Attribute::Number(number) => builder.data_type("Number").string_value(number.to_string()),
        Attribute::Other { data_type, value } if data_type.starts_with("Binary") => builder
            .data_type(data_type)
            .binary_value(Blob::new(value.clone())),
        Attribute::Other { data_type, value } => builder
            .data_type(data_type)
            .string_value(String::from_utf8_lossy(value)),
    };
    builder.build().expect("the data type is set")
}

fn from_sqs_value(value: MessageAttributeValue) -> Attribute {
    let data_type = value.data_type;
    let text = value.string_value;
    match (data_type.as_str(), text) {
        ("String", Some(text)) => Attribute::Text(text),
        ("Number", Some(text)) => Attribute::from_number(text),
        (_, Some(text)) => Attribute::Other {
            data_type,
            value: text.into_bytes(),
        },
        (_, None) => {
            let value = value.binary_value.map(Blob::into_inner).unwrap_or_default();
            Attribute::Other { data_type, value }
        }
    }
}

fn from_sqs(message: Message) -> ReceivedMessage {
    let system_attributes: BTreeMap<String, String> = message
        .attributes
        .unwrap_or_default()
        .into_iter()
        .map(|(name, value)| (name.as_str().to_owned(), value))
        .collect();
    let number = |name: &str| -> u64 {
        system_attributes
            .get(name)
            .and_then(|text| text.parse().ok())
            .unwrap_or_default()
    };
    ReceivedMessage {
        id: message.message_id.unwrap_or_default(),
        receipt_handle: message.receipt_handle.unwrap_or_default(),
        body: message.body.unwrap_or_default(),
        attributes: message
            .message_attributes
            .unwrap_or_default()
            .into_iter()
            .map(|(name, value)| (name, from_sqs_value(value)))
            .collect(),
        receive_count: u32::try_from(number("ApproximateReceiveCount")).unwrap_or(u32::MAX),
        sent_at_ms: number("SentTimestamp"),
        md5_of_body: message.md5_of_body.unwrap_or_default(),
        system_attributes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_without_an_answer_has_failed() {
        let refused = BatchResultErrorEntry::builder()
            .id("1")
            .code("InternalError")
            .message("try again")
            .sender_fault(false)
            .build()
            .unwrap();
        let results = per_entry("SendMessageBatch", 3, ["0"].into_iter(), &[refused]);
        assert!(results[0].is_ok());
        let told: Vec<String> = results[1..]
            .iter()
            .map(|r| r.clone().unwrap_err().to_string())
            .collect();
        assert_eq!(
            told,
            [
                "SendMessageBatch refused this message: InternalError: try again",
                "SendMessageBatch refused this message: no answer for this entry"
            ]
        );
    }

    #[test]
    fn attributes_survive_the_way_through_sqs_types() {
        let attributes = [
            Attribute::Text("a".into()),
            Attribute::Number(7),
            Attribute::Other {
                data_type: "Number".into(),
                value: b"1.5".to_vec(),
            },
            Attribute::Other {
                data_type: "Number".into(),
                value: b"007".to_vec(),
            },
            Attribute::Other {
                data_type: "String.json".into(),
                value: b"{}".to_vec(),
            },
            Attribute::Other {
                data_type: "Binary".into(),
                value: vec![0, 255],
            },
        ];
        for attribute in attributes {
            assert_eq!(from_sqs_value(to_sqs_value(&attribute)), attribute);
        }
    }
}
