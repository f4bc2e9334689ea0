//! How dead letters look on a terminal; what is not only theirs comes from [`crate::cli::text`].

use std::collections::BTreeMap;

use super::select::MIN_ID_CHARS;

pub(super) use crate::cli::text::{MAX_COLUMNS, age, as_time, bytes, fit, printable, shell_word, time};

/// How many characters of these ids tell them apart.
pub(super) fn short_id_chars<'a>(ids: impl Iterator<Item = &'a str>) -> usize {
    let mut sorted: Vec<&str> = ids.collect();
    sorted.sort_unstable();
    sorted.dedup();
    let in_common = |pair: &[&str]| {
        let both = pair[0].chars().zip(pair[1].chars());
        both.take_while(|(a, b)| a == b).count()
    };
    let needed = sorted.windows(2).map(|pair| in_common(pair) + 1).max();
    needed.unwrap_or_default().max(MIN_ID_CHARS)
}

/// The first characters of an id.
pub(super) fn short_id(id: &str, num_chars: usize) -> String {
    id.chars().take(num_chars).collect()
}

/// The counters of a pass, which a dead letter holds as JSON: `indexed=7 lines=7`. Anything else is shown as it is.
pub(super) fn progress(json: &str) -> String {
    let Ok(counts) = serde_json::from_str::<BTreeMap<String, u64>>(json) else {
        return json.to_owned();
    };
    let counts = counts.iter().map(|(name, number)| format!("{name}={number}"));
    counts.collect::<Vec<_>>().join(" ")
}

/// How many of each reason.
pub(super) fn reason_lines(reasons: &BTreeMap<String, u64>) -> Vec<String> {
    let line = |(reason, number): (&String, &u64)| format!("{number:>7}  {}", printable(reason));
    reasons.iter().map(line).collect()
}

/// A list of messages by name, with what is to be said of each; the first ones only, because `--json` has all.
pub(super) fn named_lines<'a>(
    meaning: &str,
    named: impl ExactSizeIterator<Item = (&'a str, &'a str)>,
) -> Vec<String> {
    const MAX_NAMED: usize = 20;
    let number = named.len();
    if number == 0 {
        return Vec::new();
    }
    let mut lines = vec![format!("{number} {meaning}:")];
    for (name, detail) in named.take(MAX_NAMED) {
        lines.push(format!("  {}", printable(name)));
        lines.push(format!("    {}", printable(detail)));
    }
    if number > MAX_NAMED {
        lines.push(format!("  and {} more: --json names all", number - MAX_NAMED));
    }
    lines
}

/// `1 dead letter`, `2 dead letters`.
pub(super) fn dead_letters(number: u64) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} dead letter{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_ids_are_as_long_as_they_must_be() {
        assert_eq!(short_id_chars(["0a1b2c3d-1"].into_iter()), 8);
        assert_eq!(
            short_id_chars(["0a1b2c3d-e1", "0a1b2c3d-e2", "ff"].into_iter()),
            11
        );
    }
}
