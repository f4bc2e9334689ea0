//! How dead letters look on a terminal: ages, short ids, texts without control characters.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serializer;

use super::select::MIN_ID_CHARS;

/// The time since then, in its two largest units: `42s`, `3h 12m`, `13d 4h`. Nothing is younger than `0s`.
pub(super) fn age(now: Timestamp, then: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    if days > 0 {
        format!("{days}d {}h", hours % 24)
    } else if hours > 0 {
        format!("{hours}h {}m", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes}m")
    } else {
        format!("{seconds}s")
    }
}

/// A time as it is printed: seconds, UTC.
pub(super) fn time(time: Timestamp) -> String {
    format!("{time:.0}")
}

/// The same for JSON.
pub(super) fn as_time<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.0}"))
}

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

/// What came from outside must not steer the terminal.
pub(in crate::cli) fn printable(text: &str) -> String {
    let is_unsafe =
        |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .map(|c| if is_unsafe(c) { '\u{fffd}' } else { c })
        .collect()
}

/// A word as a shell takes it back.
pub(in crate::cli) fn shell_word(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", printable(word).replace('\'', r"'\''"))
}

/// A number of bytes in at most eight characters: `999 B`, `1.2 MiB`.
pub(in crate::cli) fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if number < 1024 {
        return format!("{number} B");
    }
    // In tenths of the unit: 1024.0 of one is 1.0 of the next.
    let mut tenths = u128::from(number) * 10 / 1024;
    let mut units = UNITS.iter();
    let mut unit = units.next().expect("there are units");
    while tenths >= 10_240 {
        let Some(next) = units.next() else { break };
        tenths /= 1024;
        unit = next;
    }
    if tenths < 1000 {
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
    } else {
        format!("{} {unit}", tenths / 10)
    }
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
    fn ages_have_two_units_at_most() {
        let now = Timestamp::from_second(10_000_000).unwrap();
        let ages: Vec<String> = [-5, 0, 59, 60, 3599, 3600, 11_520, 86_400, 1_139_000]
            .into_iter()
            .map(|seconds| age(now, Timestamp::from_second(10_000_000 - seconds).unwrap()))
            .collect();
        assert_eq!(
            ages,
            [
                "0s", "0s", "59s", "1m", "59m", "1h 0m", "3h 12m", "1d 0h", "13d 4h"
            ]
        );
    }

    #[test]
    fn sizes_have_eight_characters_at_most() {
        let sizes: Vec<String> = [0, 1023, 1024, 1536, 102_400, 1_048_575, 1 << 20, 5 << 40]
            .into_iter()
            .map(bytes)
            .collect();
        assert_eq!(
            sizes,
            [
                "0 B", "1023 B", "1.0 KiB", "1.5 KiB", "100 KiB", "1023 KiB", "1.0 MiB", "5.0 TiB"
            ]
        );
        assert_eq!(bytes(u64::MAX), "16383 PiB");
    }

    #[test]
    fn short_ids_are_as_long_as_they_must_be() {
        assert_eq!(short_id_chars(["0a1b2c3d-1"].into_iter()), 8);
        assert_eq!(
            short_id_chars(["0a1b2c3d-e1", "0a1b2c3d-e2", "ff"].into_iter()),
            11
        );
    }

    #[test]
    fn control_characters_and_shell_words_are_made_harmless() {
        assert_eq!(printable("a\u{1b}[2J\u{202e}é"), "a\u{fffd}[2J\u{fffd}é");
        assert_eq!(shell_word("bulk.throttled"), "bulk.throttled");
        assert_eq!(shell_word("a'; rm x"), r"'a'\''; rm x'");
    }
}
