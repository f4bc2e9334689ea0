//! How things look on a terminal: ages, times, sizes, lines that fit, texts without control characters.

use jiff::Timestamp;
use serde::Serializer;

/// What is told to people is not wider than that.
pub(super) const MAX_COLUMNS: usize = 80;

/// Breaks wide lines at their blanks. A word that is wider than a line, such as a URL or an object's key, is not broken:
/// it stands alone, to be copied whole.
pub(super) fn fit(lines: Vec<String>) -> Vec<String> {
    lines.into_iter().flat_map(fit_line).collect()
}

fn fit_line(line: String) -> Vec<String> {
    if line.chars().count() <= MAX_COLUMNS {
        return vec![line];
    }
    let indent = line.chars().take_while(|c| *c == ' ').count();
    let mut lines = Vec::new();
    let mut last = String::new();
    let mut num_blanks = 0;
    for (position, word) in line.split(' ').enumerate() {
        num_blanks += usize::from(position > 0);
        if word.is_empty() {
            continue;
        }
        let width = last.chars().count() + num_blanks + word.chars().count();
        if width > MAX_COLUMNS && !last.is_empty() {
            lines.push(std::mem::take(&mut last));
            num_blanks = indent + 4;
        }
        last.extend(std::iter::repeat_n(' ', num_blanks));
        last.push_str(word);
        num_blanks = 0;
    }
    lines.push(last);
    lines
}

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

/// What came from outside must not steer the terminal.
pub(super) fn printable(text: &str) -> String {
    let is_unsafe =
        |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .map(|c| if is_unsafe(c) { '\u{fffd}' } else { c })
        .collect()
}

/// A word as a shell takes it back.
pub(super) fn shell_word(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", printable(word).replace('\'', r"'\''"))
}

/// A number of bytes in at most eight characters: `999 B`, `1.2 MiB`.
pub(super) fn bytes(number: u64) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_lines_break_at_blanks_and_long_words_stand_alone() {
        let url = format!("https://sqs.example.com/{}", "a".repeat(80));
        let sum = "5000 selected = 4000 sent + 500 gone + 400 skipped + 100 failed";
        let lines = vec![
            "short   as it is".to_owned(),
            format!("to   {url}"),
            format!("  {url}  1 B"),
            format!("  now      {sum} (123456 seen)"),
        ];
        let fitted = fit(lines).join("\n");
        insta::assert_snapshot!(fitted, @"
        short   as it is
        to
            https://sqs.example.com/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
          https://sqs.example.com/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
              1 B
          now      5000 selected = 4000 sent + 500 gone + 400 skipped + 100 failed
              (123456 seen)
        ");
    }

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
    fn control_characters_and_shell_words_are_made_harmless() {
        assert_eq!(printable("a\u{1b}[2J\u{202e}é"), "a\u{fffd}[2J\u{fffd}é");
        assert_eq!(shell_word("bulk.throttled"), "bulk.throttled");
        assert_eq!(shell_word("a'; rm x"), r"'a'\''; rm x'");
    }
}
