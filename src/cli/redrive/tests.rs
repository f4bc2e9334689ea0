use clap::Parser;
use serde_json::json;

use super::select::Selection;
use super::*;
use crate::dead_letter::DeadLetter;
use crate::queue::memory::{EPOCH_MS, MemoryQueue};
use crate::queue::{Attribute, Attributes, MessageQueue, RedrivePolicy};

pub(super) fn main_url() -> &'static str {
    "https://sqs.us-east-1.amazonaws.com/000000000000/main"
}

/// An hour after the first message of every queue in memory.
pub(super) fn now() -> Timestamp {
    let epoch = Timestamp::from_millisecond(i64::try_from(EPOCH_MS).unwrap()).unwrap();
    epoch + jiff::SignedDuration::from_hours(1)
}

pub(super) fn session() -> Session {
    Session {
        now: now(),
        interrupt: Interrupt::default(),
        progress: ProgressBar::hidden(),
    }
}

/// What these options select.
pub(super) fn selection(options: &[&str]) -> Selection {
    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        selection: Selection,
    }
    let words = [&["redrive"], options].concat();
    Line::try_parse_from(words).unwrap().selection
}

/// An S3 event with a record per key.
pub(super) fn s3_event(keys: &[&str]) -> String {
    let record = |key: &&str| {
        json!({"eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
               "s3": {"bucket": {"name": "logs"}, "object": {"key": key}}})
    };
    json!({ "Records": keys.iter().map(record).collect::<Vec<_>>() }).to_string()
}

/// The same with the size of each object.
pub(super) fn sized_event(objects: &[(&str, u64)]) -> String {
    let record = |(key, size): &(&str, u64)| {
        json!({"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "eventTime": "2026-11-20T02:00:00.000Z",
               "s3": {"bucket": {"name": "logs"}, "object": {"key": key, "size": size, "eTag": "0"}}})
    };
    json!({ "Records": objects.iter().map(record).collect::<Vec<_>>() }).to_string()
}

/// A dead letter as the function writes it.
pub(super) struct Letter {
    body: String,
    attributes: Attributes,
}

pub(super) fn letter(reason: &str, disposition: &str) -> Letter {
    let text = |value: &str| Attribute::Text(value.to_owned());
    let attributes = [
        ("reason", text(reason)),
        ("disposition", text(disposition)),
        ("detail", text("what went wrong")),
        ("attempts", Attribute::Number(5)),
        ("hops", Attribute::Number(0)),
        ("failed_at", text("2026-11-20T03:10:00Z")),
        ("request_id", text("8476a536-e9f4-11e8-9739-2dfe598c3fcd")),
        ("progress", text(r#"{"lines":7,"indexed":7}"#)),
        ("version", text("0.1.0")),
    ];
    Letter {
        body: s3_event(&["key.log.gz"]),
        attributes: attributes
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    }
}

impl Letter {
    pub(super) fn key(mut self, key: &str) -> Self {
        self.body = s3_event(&[key]);
        self
    }

    pub(super) fn body(mut self, body: &str) -> Self {
        body.clone_into(&mut self.body);
        self
    }

    pub(super) fn without(mut self, name: &str) -> Self {
        self.attributes.remove(name);
        self
    }

    pub(super) fn hops(self, hops: u64) -> Self {
        self.with("hops", Attribute::Number(hops))
    }

    pub(super) fn failed_at(self, time: &str) -> Self {
        self.with("failed_at", Attribute::Text(time.to_owned()))
    }

    pub(super) fn with(mut self, name: &str, value: Attribute) -> Self {
        self.attributes.insert(name.to_owned(), value);
        self
    }

    pub(super) fn put(self, queue: &MemoryQueue) -> String {
        queue.put(&self.body, self.attributes)
    }

    pub(super) fn parsed(self) -> DeadLetter {
        DeadLetter::parse(&crate::queue::ReceivedMessage {
            id: "id".into(),
            receipt_handle: "handle".into(),
            body: self.body,
            attributes: self.attributes,
            receive_count: 1,
            sent_at_ms: EPOCH_MS,
            system_attributes: [].into(),
            md5_of_body: String::new(),
        })
    }
}

#[test]
fn wrong_command_lines_are_refused_with_the_usage_code() {
    for arguments in [
        &["redrive"][..],
        &["redrive", "sned"],
        &["redrive", "list", "--limit", "0"],
        &["redrive", "send", "--id", "5fea"],
        &["redrive", "send", "--reason", ""],
        &["redrive", "send", "--max-hops", "-1"],
        &["redrive", "list", "--older", "soon"],
        &["redrive", "list", "--disposition", "other"],
        &["redrive", "show"],
        &["redrive", "show", "5fea7756", "--presign", "--expires", "8d"],
        &["redrive", "import"],
        &["redrive", "discard", "--reason", "*", "--yes"],
    ] {
        let error = Arguments::try_parse_from(arguments).unwrap_err();
        assert_eq!(error.exit_code(), i32::from(exit::USAGE), "{arguments:?}");
    }
    let error = Arguments::try_parse_from(["redrive", "send", "--id", "5fea"]).unwrap_err();
    insta::assert_snapshot!(error, @"
    error: invalid value '5fea' for '--id <ID>': give at least 8 characters of the message id, as `redrive list` shows it

    For more information, try '--help'.
    ");
}

#[test]
fn what_clap_cannot_see_is_wrong_too() {
    let why_wrong = |arguments: &[&str]| {
        let arguments = Arguments::try_parse_from([&["redrive"], arguments].concat()).unwrap();
        let Command::DeadLetters(verb) = arguments.command else {
            panic!("a verb of the queue");
        };
        verb.why_wrong().unwrap_or("right")
    };
    let told = [
        why_wrong(&["discard"]),
        why_wrong(&["discard", "--limit", "3", "--yes", "--export", "f"]),
        why_wrong(&["discard", "--reason", "*", "--yes", "--export", "-"]),
        why_wrong(&["import", "f", "--any-body", "--to", "main"]),
        why_wrong(&["discard", "--reason", "*", "--yes", "--export", "f"]),
    ];
    insta::assert_snapshot!(told.join("\n"), @"
    discard needs a selection, such as --reason; '--reason *' is all
    discard needs a selection, such as --reason; '--reason *' is all
    discard exports to a file, not to stdout
    --any-body is for the dead-letter queue: the main queue's function would send it back
    right
    ");
}

#[test]
fn global_options_stand_before_or_after_the_verb() {
    for arguments in [
        ["redrive", "--dlq-url", "http://q/dlq", "--json", "stats"],
        ["redrive", "stats", "--json", "--dlq-url", "http://q/dlq"],
    ] {
        let arguments = Arguments::try_parse_from(arguments).unwrap();
        assert_eq!(arguments.dlq_url.as_deref(), Some("http://q/dlq"));
        assert!(arguments.json);
    }
}

fn urls(dlq: Option<&str>, main: Option<&str>, with_main: bool) -> anyhow::Result<Urls> {
    let mut environment = Environment::default();
    environment.set("DLQ_URL", dlq).set("QUEUE_URL", main);
    Urls::read(&environment, with_main)
}

#[test]
fn missing_and_equal_queues_are_refused_with_what_to_do() {
    let errors = [
        urls(None, None, true),
        urls(Some("http://q/dlq"), Some("q"), true),
        urls(Some("http://q/one"), Some("http://q/one/"), true),
    ];
    let told: Vec<String> = errors
        .into_iter()
        .map(|result| format!("{:#}", result.unwrap_err()))
        .collect();
    insta::assert_snapshot!(told.join("\n"), @"
    the queues are not known; set these, or give --dlq-url and --queue-url
    FLOWSHIP_DLQ_URL is not set: give the URL of the SQS queue
    FLOWSHIP_QUEUE_URL is not set: give the URL of the SQS queue
    the queues are not known; set these, or give --dlq-url and --queue-url
    FLOWSHIP_QUEUE_URL: `q` is not a URL such as https://sqs.eu-west-1.amazonaws.com/123456789012/name
    main queue and dead-letter queue are the same: http://q/one
    ");
    for main in [None, Some("q")] {
        let urls = urls(Some("http://q/dlq"), main, false).unwrap();
        assert_eq!(urls.main, None, "looking needs no main queue");
    }
    let same = urls(Some("http://q/one"), Some("http://q/one"), false);
    assert!(same.is_err(), "but does not take it for the dead-letter queue");
}

#[tokio::test]
async fn swapped_queues_and_second_names_of_one_queue_are_refused() {
    let (dlq, main) = (MemoryQueue::new("dlq"), MemoryQueue::new("main"));
    main.set_redrive_policy(RedrivePolicy {
        dead_letter_arn: dlq.status().await.unwrap().arn,
        max_receive_count: 5,
    });
    let (dlq, main) = (dlq.status().await.unwrap(), main.status().await.unwrap());
    check_direction(&main, &dlq).unwrap();
    let told = [
        check_direction(&dlq, &main).unwrap_err(),
        check_direction(&dlq, &dlq).unwrap_err(),
    ];
    insta::assert_snapshot!(told.map(|error| error.to_string()).join("\n"), @"
    main queue and dead-letter queue are swapped: by its redrive policy, arn:aws:sqs:us-east-1:000000000000:dlq is the dead-letter queue of arn:aws:sqs:us-east-1:000000000000:main
    main queue and dead-letter queue are the same: arn:aws:sqs:us-east-1:000000000000:dlq
    ");
}

#[tokio::test]
async fn a_dead_letter_queue_that_moves_messages_on_is_not_looked_at_unasked() {
    let (dlq, main) = (MemoryQueue::new("dlq"), MemoryQueue::new("main"));
    check_redrive_policy(&dlq.status().await.unwrap(), false).unwrap();
    dlq.set_redrive_policy(RedrivePolicy {
        dead_letter_arn: main.arn(),
        max_receive_count: 5,
    });
    let status = dlq.status().await.unwrap();
    check_redrive_policy(&status, true).unwrap();
    insta::assert_snapshot!(check_redrive_policy(&status, false).unwrap_err(), @"the dead-letter queue has a redrive policy of its own: what is received more than 5 times moves on to arn:aws:sqs:us-east-1:000000000000:main, and to look is to receive; remove the policy, or give --despite-redrive-policy");
}

#[test]
fn a_stopped_look_and_an_empty_one_have_their_codes() {
    assert_eq!(end_of_look(None, false), exit::DONE);
    assert_eq!(end_of_look(None, true), exit::NOTHING);
    assert_eq!(end_of_look(Some(Stopped::Interrupted), true), exit::STOPPED);
}
