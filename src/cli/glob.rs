//! Patterns of `*`, `?` and literal characters.

use std::str::FromStr;

/// A pattern for a whole text: `*` stands for any text (also with `/`), `?` for one character.
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
    pub(super) fn matches(&self, text: &str) -> bool {
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
            ("AWSLogs/*/2026/*.gz", "AWSLogs/1/vpcflowlogs/x/2026/11/20/a.gz"),
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
}
