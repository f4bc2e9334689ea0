//! Structured log lines: JSON on stdout in Lambda (CloudWatch reads it there), plain text on stderr for people. Metrics
//! are lines there, too.

pub mod metrics;

use std::io;

use tracing_subscriber::EnvFilter;

use crate::aws::{self, s3};

/// Who reads the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// CloudWatch: one JSON object a line, on stdout.
    Machine,
    /// A person at a terminal: text on stderr; stdout is left to data.
    Person,
}

impl Audience {
    /// What is logged unless a filter says otherwise.
    const fn default_filter(self) -> &'static str {
        match self {
            Self::Machine => "info",
            Self::Person => aws::PERSON_LOG_FILTER,
        }
    }
}

/// Starts logging. A filter that cannot be read is replaced by `info`, and said so.
pub fn init(audience: Audience, filter: Option<&str>) {
    let filter = filter.unwrap_or(audience.default_filter());
    let (parsed, complaint) = match EnvFilter::try_new(filter) {
        Ok(parsed) => (parsed, None),
        Err(error) => (EnvFilter::new("info"), Some(error.to_string())),
    };
    let parsed = parsed.add_directive(s3::LOG_DIRECTIVE.parse().expect("the directive is well-formed"));
    let builder = tracing_subscriber::fmt().with_env_filter(parsed);
    // A second start in the same process (tests) keeps the first one.
    let started = match audience {
        Audience::Machine => builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .try_init()
            .is_ok(),
        Audience::Person => builder
            .with_target(false)
            .with_writer(io::stderr)
            .try_init()
            .is_ok(),
    };
    if let (true, Some(complaint)) = (started, complaint) {
        tracing::warn!(
            filter,
            complaint,
            "FLOWSHIP_LOG cannot be read, logging at `info`"
        );
    }
}
