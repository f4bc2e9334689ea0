//! The function's answer → an [`Outcome`], by the rules of an SQS event source mapping.
//!
//! Source: AWS Lambda Developer Guide, "Handling errors for an SQS event source in Lambda". AWS does not say what it
//! makes of an object that has other keys than `batchItemFailures`, or of a string; both count as malformed here, so
//! that a misspelt key never deletes a message.

use serde_json::Value;

use super::report::Outcome;

/// Judges the answer to a batch of `message_ids`. Without `partial_batch_responses` any answer is a success.
pub(super) fn judge(body: &[u8], message_ids: &[String], partial_batch_responses: bool) -> Outcome {
    if !partial_batch_responses {
        return Outcome::Succeeded {
            failed_ids: Vec::new(),
        };
    }
    match failed_ids(body, message_ids) {
        Ok(failed_ids) => Outcome::Succeeded { failed_ids },
        Err(detail) => Outcome::MalformedResponse { detail },
    }
}

fn failed_ids(body: &[u8], message_ids: &[String]) -> Result<Vec<String>, String> {
    if body.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    let answer: Value =
        serde_json::from_slice(body).map_err(|error| format!("the answer is not JSON: {error}"))?;
    let answer = match answer {
        Value::Null => return Ok(Vec::new()),
        Value::Object(answer) if answer.is_empty() => return Ok(Vec::new()),
        Value::Object(answer) => answer,
        other => return Err(format!("the answer is no object: {}", shortened(&other))),
    };
    let failures = match answer.get("batchItemFailures") {
        Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(failures)) => failures,
        Some(other) => return Err(format!("batchItemFailures is no list: {}", shortened(other))),
        None => {
            let keys: Vec<&str> = answer.keys().map(String::as_str).collect();
            return Err(format!("no batchItemFailures among the keys {}", keys.join(", ")));
        }
    };
    failures.iter().map(|item| failed_id(item, message_ids)).collect()
}

fn failed_id(item: &Value, message_ids: &[String]) -> Result<String, String> {
    match item.get("itemIdentifier") {
        Some(Value::String(id)) if id.is_empty() => Err("an itemIdentifier is empty".to_owned()),
        Some(Value::String(id)) if message_ids.contains(id) => Ok(id.clone()),
        Some(Value::String(id)) => Err(format!("itemIdentifier {id} is not in the batch")),
        Some(Value::Null) => Err("an itemIdentifier is null".to_owned()),
        Some(other) => Err(format!("an itemIdentifier is no string: {}", shortened(other))),
        None => Err(format!("an item has no itemIdentifier: {}", shortened(item))),
    }
}

fn shortened(value: &Value) -> String {
    value.to_string().chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> Vec<String> {
        vec!["a".to_owned(), "b".to_owned()]
    }

    #[test]
    fn an_answer_without_failures_is_a_complete_success() {
        for body in [
            "",
            " \n",
            "null",
            "{}",
            r#"{"batchItemFailures":null}"#,
            r#"{"batchItemFailures":[]}"#,
        ] {
            let outcome = judge(body.as_bytes(), &ids(), true);
            assert!(outcome.is_complete_success(), "{body}: {outcome:?}");
            assert_eq!(outcome.succeeded_ids(&ids()).len(), 2);
        }
    }

    #[test]
    fn listed_messages_stay_and_the_others_go() {
        let body = br#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#;
        let outcome = judge(body, &ids(), true);
        assert_eq!(outcome.succeeded_ids(&ids()), ["a"]);
        assert!(!outcome.is_complete_success());
    }

    #[test]
    fn a_malformed_answer_fails_the_whole_batch() {
        for (body, expected) in [
            ("{", "the answer is not JSON"),
            ("\u{feff}{}", "the answer is not JSON"),
            ("\"ok\"", "the answer is no object"),
            ("[]", "the answer is no object"),
            (
                r#"{"batchItemFailure":[]}"#,
                "no batchItemFailures among the keys batchItemFailure",
            ),
            (r#"{"batchItemFailures":{}}"#, "batchItemFailures is no list"),
            (r#"{"batchItemFailures":["a"]}"#, "an item has no itemIdentifier"),
            (
                r#"{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":""}]}"#,
                "an itemIdentifier is empty",
            ),
            (
                r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#,
                "an itemIdentifier is null",
            ),
            (
                r#"{"batchItemFailures":[{"itemIdentifier":7}]}"#,
                "an itemIdentifier is no string",
            ),
            (
                r#"{"batchItemFailures":[{"messageId":"a"}]}"#,
                "an item has no itemIdentifier",
            ),
            (
                r#"{"batchItemFailures":[{"itemIdentifier":"c"}]}"#,
                "itemIdentifier c is not in the batch",
            ),
        ] {
            let outcome = judge(body.as_bytes(), &ids(), true);
            assert!(outcome.succeeded_ids(&ids()).is_empty(), "{body}");
            let Outcome::MalformedResponse { detail } = outcome else {
                panic!("{body}: {outcome:?}");
            };
            assert!(detail.starts_with(expected), "{body}: {detail}");
        }
    }

    #[test]
    fn without_partial_batch_responses_any_answer_is_a_success() {
        for body in ["{", r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#, "\"ok\""] {
            assert!(judge(body.as_bytes(), &ids(), false).is_complete_success());
        }
    }
}
