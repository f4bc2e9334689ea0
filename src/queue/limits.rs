//! What SQS refuses in a message that is sent. Sources: "Amazon SQS message quotas" in the developer guide, SendMessage
//! and MessageAttributeValue in the API reference.

use super::{Attribute, MAX_ATTRIBUTES, OutgoingMessage};

/// Largest message with its attributes, and largest sum of a batch. A queue may be set to less.
pub(crate) const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// Largest sum of a batch that every queue takes: those made before 2025 may still stand at this.
pub(crate) const MAX_BATCH_BYTES: usize = 256 * 1024;

/// Why a queue that takes messages of this size will not take this one.
pub(crate) fn why_refused(message: &OutgoingMessage, max_bytes: usize) -> Option<String> {
    if message.body.is_empty() {
        return Some("the body is empty".to_owned());
    }
    let num_attributes = message.attributes.len();
    if num_attributes > MAX_ATTRIBUTES {
        return Some(format!(
            "{num_attributes} message attributes: at most {MAX_ATTRIBUTES}"
        ));
    }
    if let Some(c) = message.body.chars().find(|c| !is_allowed(*c)) {
        return Some(format!(
            "the body holds {}, which SQS does not take",
            c.escape_unicode()
        ));
    }
    for (name, attribute) in &message.attributes {
        let why = why_attribute_refused(attribute);
        if why.is_some() {
            return why.map(|why| format!("attribute {}: {why}", name.escape_debug()));
        }
    }
    let num_bytes = message.num_bytes();
    (num_bytes > max_bytes).then(|| format!("{num_bytes} bytes: the queue takes at most {max_bytes}"))
}

fn why_attribute_refused(attribute: &Attribute) -> Option<String> {
    let (data_type, is_empty) = match attribute {
        Attribute::Text(text) => ("String", text.is_empty()),
        Attribute::Number(_) => ("Number", false),
        Attribute::Other { data_type, value } => (data_type.as_str(), value.is_empty()),
    };
    if is_empty {
        return Some("the value is empty".to_owned());
    }
    let base = data_type.split('.').next().unwrap_or_default();
    if !["String", "Number", "Binary"].contains(&base) {
        return Some(format!("unknown type {}", data_type.escape_debug()));
    }
    let text = attribute.to_text()?;
    let c = text.chars().find(|c| !is_allowed(*c))?;
    Some(format!(
        "the value holds {}, which SQS does not take",
        c.escape_unicode()
    ))
}

/// XML's characters.
fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Attributes;

    fn message(body: &str, attributes: Attributes) -> OutgoingMessage {
        OutgoingMessage {
            body: body.to_owned(),
            attributes,
        }
    }

    fn with(attribute: Attribute) -> OutgoingMessage {
        message("b", [("a".to_owned(), attribute)].into())
    }

    #[test]
    fn what_sqs_refuses_is_refused_with_the_reason() {
        let eleven = (0..11).map(|number| (number.to_string(), Attribute::Number(1)));
        let other = |data_type: &str| Attribute::Other {
            data_type: data_type.to_owned(),
            value: vec![b'1'],
        };
        let refused = [
            message("", Attributes::new()),
            message("b", eleven.collect()),
            message("a\u{b}", Attributes::new()),
            with(Attribute::Text(String::new())),
            with(Attribute::Text("\u{fffe}".to_owned())),
            with(other("Text")),
            message("eleven byte", Attributes::new()),
        ];
        let told: Vec<String> = refused
            .iter()
            .filter_map(|message| why_refused(message, 10))
            .collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        the body is empty
        11 message attributes: at most 10
        the body holds \u{b}, which SQS does not take
        attribute a: the value is empty
        attribute a: the value holds \u{fffe}, which SQS does not take
        attribute a: unknown type Text
        11 bytes: the queue takes at most 10
        "#);
    }

    #[test]
    fn everything_else_is_taken() {
        let binary = Attribute::Other {
            data_type: "Binary.gzip".to_owned(),
            value: vec![0, 255],
        };
        for message in [
            message("\t\r\n é 😀", Attributes::new()),
            message(&"x".repeat(MAX_MESSAGE_BYTES), Attributes::new()),
            with(binary),
            with(Attribute::Number(0)),
        ] {
            assert_eq!(why_refused(&message, MAX_MESSAGE_BYTES), None);
        }
    }
}
