//! A message as one line of JSON, with everything that a queue tells of it: `export` writes it, `import` reads it.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::queue::{Attribute, OutgoingMessage, ReceivedMessage};

/// A copy of a message. Only the body must be there when it is read; a field of another name is refused, because what
/// it says would be lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MessageCopy {
    /// The id that it had; a message that is sent gets a new one.
    #[serde(default)]
    pub(super) id: String,
    pub(super) body: String,
    #[serde(default)]
    pub(super) attributes: BTreeMap<String, AttributeCopy>,
    /// What the queue said of it; nobody but the queue can write these.
    #[serde(default)]
    pub(super) system_attributes: BTreeMap<String, String>,
}

/// An attribute with its type, and its value in one of two spellings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AttributeCopy {
    #[serde(rename = "type")]
    data_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    /// Binary values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

impl MessageCopy {
    pub(super) fn of(message: &ReceivedMessage) -> Self {
        let attributes = message.attributes.iter();
        Self {
            id: message.id.clone(),
            body: message.body.clone(),
            attributes: attributes
                .map(|(name, attribute)| (name.clone(), AttributeCopy::of(attribute)))
                .collect(),
            system_attributes: message.system_attributes.clone(),
        }
    }

    /// Reads a line; the error says what is wrong with it.
    pub(super) fn parse(line: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(line).map_err(|error| format!("this is no exported message: {error}"))
    }

    /// Without its end of line.
    pub(super) fn to_line(&self) -> String {
        serde_json::to_string(self).expect("texts become JSON")
    }

    /// As it is sent again.
    pub(super) fn to_message(&self) -> Result<OutgoingMessage, String> {
        let mut attributes = BTreeMap::new();
        for (name, copy) in &self.attributes {
            let attribute = copy
                .to_attribute()
                .map_err(|why| format!("attribute {}: {why}", name.escape_debug()))?;
            attributes.insert(name.clone(), attribute);
        }
        Ok(OutgoingMessage {
            body: self.body.clone(),
            attributes,
        })
    }
}

impl AttributeCopy {
    pub(super) fn of(attribute: &Attribute) -> Self {
        let text = |data_type: &str, value: String| Self {
            data_type: data_type.to_owned(),
            value: Some(value),
            base64: None,
        };
        match attribute {
            Attribute::Text(value) => text("String", value.clone()),
            Attribute::Number(number) => text("Number", number.to_string()),
            Attribute::Other { data_type, value } => match attribute.to_text() {
                Some(value) => text(data_type, value),
                None => Self {
                    data_type: data_type.clone(),
                    value: None,
                    base64: Some(BASE64.encode(value)),
                },
            },
        }
    }

    pub(super) fn data_type(&self) -> &str {
        &self.data_type
    }

    /// The value, in whatever spelling.
    pub(super) fn text(&self) -> &str {
        let spelling = self.value.as_deref().or(self.base64.as_deref());
        spelling.unwrap_or_default()
    }

    fn to_attribute(&self) -> Result<Attribute, String> {
        let is_binary = self.data_type.starts_with("Binary");
        let data_type = || self.data_type.clone();
        match (&self.value, &self.base64) {
            (Some(value), None) if self.data_type == "String" => Ok(Attribute::Text(value.clone())),
            (Some(value), None) if self.data_type == "Number" => Ok(Attribute::from_number(value.clone())),
            (Some(value), None) if !is_binary => Ok(Attribute::Other {
                data_type: data_type(),
                value: value.clone().into_bytes(),
            }),
            (None, Some(base64)) if is_binary => {
                let value = BASE64
                    .decode(base64)
                    .map_err(|error| format!("its base64: {error}"))?;
                Ok(Attribute::Other {
                    data_type: data_type(),
                    value,
                })
            }
            _ if is_binary => Err("a binary one has `base64`, and no `value`".to_owned()),
            _ => Err("one that is not binary has a `value`, and no `base64`".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_attribute() -> impl Strategy<Value = Attribute> {
        let other = |data_type: &'static str| {
            move |value: String| Attribute::Other {
                data_type: data_type.to_owned(),
                value: value.into_bytes(),
            }
        };
        let binary = |value| Attribute::Other {
            data_type: "Binary.x".to_owned(),
            value,
        };
        prop_oneof![
            any::<String>().prop_map(Attribute::Text),
            any::<u64>().prop_map(Attribute::Number),
            "0[0-9]{1,3}|[0-9]\\.[0-9]|-[0-9]".prop_map(other("Number")),
            any::<String>().prop_map(other("String.json")),
            any::<Vec<u8>>().prop_map(binary),
        ]
    }

    proptest! {
        #[test]
        fn a_message_survives_being_written_and_read(
            body: String,
            attributes in prop::collection::btree_map(any::<String>(), any_attribute(), 0..4),
            system_attributes: BTreeMap<String, String>,
        ) {
            let message = ReceivedMessage {
                id: "id".into(),
                receipt_handle: "handle".into(),
                body: body.clone(),
                attributes: attributes.clone(),
                receive_count: 1,
                sent_at_ms: 1,
                system_attributes,
                md5_of_body: String::new(),
            };
            let line = MessageCopy::of(&message).to_line();
            prop_assert!(!line.contains('\n'));
            let copy = MessageCopy::parse(line.as_bytes()).unwrap();
            prop_assert_eq!(copy.to_message().unwrap(), OutgoingMessage { body, attributes });
            prop_assert_eq!(copy, MessageCopy::of(&message));
        }
    }

    #[test]
    fn what_would_be_lost_or_is_contradictory_is_refused() {
        let read = |line: &str| MessageCopy::parse(line.as_bytes()).and_then(|copy| copy.to_message());
        let told: Vec<String> = [
            "{}",
            r#"{"body":"b","atributes":{}}"#,
            r#"{"body":"b","attributes":{"a":{"type":"Binary","value":"x"}}}"#,
            r#"{"body":"b","attributes":{"a":{"type":"String"}}}"#,
            r#"{"body":"b","attributes":{"a":{"type":"Binary","base64":"?"}}}"#,
        ]
        .into_iter()
        .map(|line| read(line).unwrap_err())
        .collect();
        insta::assert_snapshot!(told.join("\n"), @"
        this is no exported message: missing field `body` at line 1 column 2
        this is no exported message: unknown field `atributes`, expected one of `id`, `body`, `attributes`, `system_attributes` at line 1 column 23
        attribute a: a binary one has `base64`, and no `value`
        attribute a: one that is not binary has a `value`, and no `base64`
        attribute a: its base64: Invalid symbol 63, offset 0.
        ");
        assert_eq!(
            read(r#"{"body":"b"}"#).unwrap().body,
            "b",
            "the rest may be left out"
        );
    }
}
