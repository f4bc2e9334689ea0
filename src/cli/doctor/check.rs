//! One finding, and all of them as text or JSON.

use serde::Serialize;

use crate::cli::text::printable;

/// Widest line of the report.
const WIDTH: usize = 80;

/// Widest verdict, widest name, and the blanks after them.
const VERDICT_WIDTH: usize = 6;
const NAME_WIDTH: usize = 21;

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::cli) enum Verdict {
    Ok,
    /// It works; one should know.
    Warn,
    /// Something is lost, late or refused, or will be.
    Fail,
    /// It could not be looked at.
    Skip,
}

impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Skip => "skip",
        }
    }
}

/// One check and what it found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::cli) struct Check {
    pub(in crate::cli) name: &'static str,
    pub(in crate::cli) verdict: Verdict,
    pub(in crate::cli) found: String,
    /// One by one, what is only summed up in `found`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::cli) details: Vec<String>,
    /// What to do about it; for a check that was skipped, what it needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) remedy: Option<String>,
    /// It was skipped because who asks may not look.
    #[serde(skip)]
    is_denied: bool,
}

impl Check {
    fn new(name: &'static str, verdict: Verdict, found: impl Into<String>, remedy: Option<String>) -> Self {
        Self {
            name,
            verdict,
            found: found.into(),
            details: Vec::new(),
            remedy,
            is_denied: false,
        }
    }

    pub(in crate::cli) fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self::new(name, Verdict::Ok, found, None)
    }

    pub(in crate::cli) fn warn(
        name: &'static str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(name, Verdict::Warn, found, Some(remedy.into()))
    }

    pub(in crate::cli) fn fail(
        name: &'static str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(name, Verdict::Fail, found, Some(remedy.into()))
    }

    pub(in crate::cli) fn skip(
        name: &'static str,
        found: impl Into<String>,
        needs: impl Into<String>,
    ) -> Self {
        Self::new(name, Verdict::Skip, found, Some(needs.into()))
    }

    /// Skipped for lack of rights.
    pub(in crate::cli) fn denied(
        name: &'static str,
        found: impl Into<String>,
        needs: impl Into<String>,
    ) -> Self {
        Self {
            is_denied: true,
            ..Self::skip(name, found, needs)
        }
    }

    pub(in crate::cli) fn with_details(mut self, details: Vec<String>) -> Self {
        self.details = details;
        self
    }

    /// What is wrong and what to do, in one line; `None` if nothing is wrong.
    pub(in crate::cli) fn complaint(&self) -> Option<String> {
        match self.verdict {
            Verdict::Warn | Verdict::Fail => {
                let remedy = self.remedy.as_deref().unwrap_or_default();
                Some(format!("{}; {remedy}", self.found))
            }
            Verdict::Ok | Verdict::Skip => None,
        }
    }

    fn lines(&self) -> Vec<String> {
        let head = format!("{:VERDICT_WIDTH$}{:NAME_WIDTH$}", self.verdict.word(), self.name);
        let indent = " ".repeat(VERDICT_WIDTH + NAME_WIDTH);
        let mut lines = wrapped(&head, &indent, &self.found);
        for detail in &self.details {
            lines.extend(wrapped("        ", "            ", detail));
        }
        if let Some(remedy) = &self.remedy {
            lines.extend(wrapped("      → ", "        ", remedy));
        }
        lines
    }
}

/// Everything that was found, in a fixed order.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    ok: usize,
    warnings: usize,
    failures: usize,
    skips: usize,
    checks: Vec<Check>,
}

impl Report {
    pub(super) fn new(checks: Vec<Check>) -> Self {
        let count = |verdict| checks.iter().filter(|check| check.verdict == verdict).count();
        Self {
            ok: count(Verdict::Ok),
            warnings: count(Verdict::Warn),
            failures: count(Verdict::Fail),
            skips: count(Verdict::Skip),
            checks,
        }
    }

    pub(super) fn has_failures(&self) -> bool {
        self.failures > 0
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.checks.iter().flat_map(Check::lines).collect();
        lines.push(format!(
            "{}, {}, {} ok, {}",
            counted(self.failures as u64, "failure"),
            counted(self.warnings as u64, "warning"),
            self.ok,
            counted(self.skips as u64, "skip")
        ));
        let denied = self.checks.iter().filter(|check| check.is_denied).count();
        if denied > 0 {
            let were = if denied == 1 { "was" } else { "were" };
            lines.push(format!(
                "{} {were} not made for lack of rights",
                counted(denied as u64, "check")
            ));
        }
        lines
    }
}

/// `1 line`, `2 lines`.
pub(super) fn counted(number: u64, word: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {word}{ending}")
}

/// `text` after `first`, broken at blanks where it gets too wide; a word that is too wide itself stays whole, so that it
/// can be copied.
fn wrapped(first: &str, indent: &str, text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = first.to_owned();
    let mut is_begun = false;
    for word in printable(text).split(' ') {
        let width = line.chars().count() + usize::from(is_begun) + word.chars().count();
        if is_begun && width > WIDTH {
            lines.push(line.trim_end().to_owned());
            indent.clone_into(&mut line);
            is_begun = false;
        }
        if is_begun {
            line.push(' ');
        }
        line.push_str(word);
        is_begun = true;
    }
    lines.push(line.trim_end().to_owned());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_report() -> Report {
        Report::new(vec![
            Check::ok("sqs.visibility", "5400 s, 6 times the function's 900 s"),
            Check::warn(
                "es.mappings",
                "2 of 400 indices are not of flowship's templates: their fields have the types that \
                 Elasticsearch guessed",
                "flowctl setup, then delete them or reindex: an index keeps its mapping",
            )
            .with_details(vec!["flowlogs-vpc-2026.11.20".to_owned()]),
            Check::fail(
                "dlq.queue",
                "not there: \u{1b}[2J",
                "https://sqs.eu-west-1.amazonaws.com/123456789012/a-queue-with-a-very-long-name-indeed-it-is",
            ),
            Check::skip("object.format", "not asked for", "--object"),
            Check::denied("es.health", "may not look", "monitor"),
        ])
    }

    #[test]
    fn a_finding_is_a_line_its_remedy_is_below_and_80_columns_are_enough() {
        insta::assert_snapshot!(a_report().lines().join("\n"), @"
        ok    sqs.visibility       5400 s, 6 times the function's 900 s
        warn  es.mappings          2 of 400 indices are not of flowship's templates:
                                   their fields have the types that Elasticsearch
                                   guessed
                flowlogs-vpc-2026.11.20
              → flowctl setup, then delete them or reindex: an index keeps its mapping
        fail  dlq.queue            not there: �[2J
              → https://sqs.eu-west-1.amazonaws.com/123456789012/a-queue-with-a-very-long-name-indeed-it-is
        skip  object.format        not asked for
              → --object
        skip  es.health            may not look
              → monitor
        1 failure, 1 warning, 1 ok, 2 skips
        1 check was not made for lack of rights
        ");
    }

    #[test]
    fn programs_get_the_same() {
        let mut report = a_report();
        report.checks.drain(2..);
        insta::assert_snapshot!(serde_json::to_string_pretty(&report).unwrap(), @r#"
        {
          "ok": 1,
          "warnings": 1,
          "failures": 1,
          "skips": 2,
          "checks": [
            {
              "name": "sqs.visibility",
              "verdict": "ok",
              "found": "5400 s, 6 times the function's 900 s"
            },
            {
              "name": "es.mappings",
              "verdict": "warn",
              "found": "2 of 400 indices are not of flowship's templates: their fields have the types that Elasticsearch guessed",
              "details": [
                "flowlogs-vpc-2026.11.20"
              ],
              "remedy": "flowctl setup, then delete them or reindex: an index keeps its mapping"
            }
          ]
        }
        "#);
    }

    #[test]
    fn only_what_is_wrong_is_complained_about() {
        let complaints: Vec<_> = a_report().checks.iter().map(Check::complaint).collect();
        assert!(complaints[0].is_none() && complaints[3].is_none());
        assert_eq!(
            complaints[1]
                .as_deref()
                .map(|text| text.ends_with("an index keeps its mapping")),
            Some(true)
        );
    }
}
