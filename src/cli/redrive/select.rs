//! Which dead letters a command is about: by reason, by message id.

use std::str::FromStr;

use clap::Args;

use crate::dead_letter::DeadLetter;

/// Shortest beginning of a message id that is taken for one.
pub(super) const MIN_ID_CHARS: usize = 8;

/// Without any of these, every dead letter is selected.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Selection {
    /// Only reasons that match: `*` stands for any text, `?` for one character; may be repeated
    #[arg(long = "reason", value_name = "GLOB")]
    pub(super) reasons: Vec<Glob>,
    /// Only this message: its id, or the beginning of it that `list` shows; may be repeated
    #[arg(long = "id", value_name = "ID")]
    pub(super) ids: Vec<IdPrefix>,
}

impl Selection {
    /// Matches one of the reasons, if any is given, and one of the ids, if any is given.
    pub(super) fn matches(&self, letter: &DeadLetter) -> bool {
        let reason = letter.reason();
        // `unknown (…)` is also found by its first word.
        let class = reason.split(' ').next().unwrap_or(reason);
        let by_reason = self
            .reasons
            .iter()
            .any(|glob| glob.matches(reason) || glob.matches(class));
        let by_id = self.ids.iter().any(|id| letter.id.starts_with(&id.0));
        (self.reasons.is_empty() || by_reason) && (self.ids.is_empty() || by_id)
    }
}

/// A pattern of `*`, `?` and literal characters for a whole text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Glob(String);

impl FromStr for Glob {
    type Err = &'static str;

    fn from_str(pattern: &str) -> Result<Self, Self::Err> {
        if pattern.is_empty() {
            return Err("an empty pattern matches nothing");
        }
        Ok(Self(pattern.to_owned()))
    }
}

impl Glob {
    /// Linear: a mismatch goes back to the last `*` only.
    fn matches(&self, text: &str) -> bool {
        let pattern: Vec<char> = self.0.chars().collect();
        let text: Vec<char> = text.chars().collect();
        let (mut p, mut t) = (0, 0);
        let mut last_star = None;
        while t < text.len() {
            match pattern.get(p) {
                Some('*') => {
                    last_star = Some((p, t));
                    p += 1;
                }
                Some(&c) if c == '?' || c == text[t] => {
                    p += 1;
                    t += 1;
                }
                _ => {
                    let Some((star, from)) = last_star else {
                        return false;
                    };
                    last_star = Some((star, from + 1));
                    p = star + 1;
                    t = from + 1;
                }
            }
        }
        pattern[p..].iter().all(|c| *c == '*')
    }
}

/// A message id, or the beginning of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IdPrefix(String);

impl FromStr for IdPrefix {
    type Err = String;

    fn from_str(id: &str) -> Result<Self, Self::Err> {
        if id.chars().count() < MIN_ID_CHARS {
            return Err(format!(
                "give at least {MIN_ID_CHARS} characters of the message id, as `redrive list` shows it"
            ));
        }
        Ok(Self(id.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        pattern.parse::<Glob>().unwrap().matches(text)
    }

    #[test]
    fn globs_match_whole_texts() {
        for (pattern, text) in [
            ("bulk.*", "bulk.throttled"),
            ("*.unavailable", "bulk.unavailable"),
            ("b*l*d", "bulk.throttled"),
            ("*", ""),
            ("**", "a"),
            ("object.not?found", "object.not_found"),
            ("*a*b", "aaab-ab"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("bulk", "bulk.throttled"),
            ("bulk.", "bulk.throttled"),
            ("?", ""),
            ("*b", "ba"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_hostile_pattern_takes_no_time() {
        assert!(!matches(&"*a".repeat(50), &"a".repeat(49)));
        assert!(!matches(&format!("{}b", "*a".repeat(500)), &"a".repeat(5_000)));
    }

    #[test]
    fn too_short_an_id_is_refused() {
        insta::assert_snapshot!("0a1b".parse::<IdPrefix>().unwrap_err(), @"give at least 8 characters of the message id, as `redrive list` shows it");
    }
}
