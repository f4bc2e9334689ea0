//! A line and its format → a row: typed values, and views of the rest. Nothing is owned.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::field::{Field, Kind};
use super::format::{Column, Format};

/// Longest piece of a line that an error quotes, characters.
const MAX_QUOTED_CHARS: usize = 40;

/// A larger number cannot be seconds of this century: SKIPDATA records with milliseconds occur.
const MAX_SECONDS: u64 = i32::MAX as u64;

/// Why a line cannot be read. The line number is the caller's to add.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum LineError {
    /// Another number of columns than the format has.
    #[error("has {found} columns, the format has {expected}")]
    ColumnCount {
        /// Columns of the format.
        expected: usize,
        /// Columns of the line.
        found: usize,
    },
    /// A column that should hold a whole number.
    #[error("column `{column}` holds `{value}`, not a whole number up to {max}")]
    Number {
        /// Name of the column.
        column: &'static str,
        /// Its value, cut short.
        value: String,
        /// The largest number allowed.
        max: u64,
    },
    /// A column that should hold an address.
    #[error("column `{column}` holds `{value}`, not an IP address")]
    Address {
        /// Name of the column.
        column: &'static str,
        /// Its value, cut short.
        value: String,
    },
    /// A column that should hold a time.
    #[error("column `{column}` holds `{value}`, not a Unix time")]
    Time {
        /// Name of the column.
        column: &'static str,
        /// Its value, cut short.
        value: String,
    },
    /// Neither the record nor its object has a time to file it under.
    #[error("has neither an end nor a start, and its object has no time either")]
    NoTime,
    /// A line that was not even read.
    #[error("is {num_bytes} bytes long, at most {max_bytes} are read")]
    TooLong {
        /// Its length.
        num_bytes: u64,
        /// The limit.
        max_bytes: usize,
    },
}

/// What AWS says about the record's completeness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStatus {
    /// An ordinary record, or one that does not say.
    Ok,
    /// No traffic in the interval.
    NoData,
    /// AWS dropped records: totals are a lower bound.
    SkipData,
}

/// One flow record. Absent (`-`, empty) is `None`, never a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the field table says what each is")]
pub struct Row<'a> {
    pub version: Option<&'a [u8]>,
    pub account_id: Option<&'a [u8]>,
    pub interface_id: Option<&'a [u8]>,
    pub srcaddr: Option<IpAddr>,
    pub dstaddr: Option<IpAddr>,
    pub srcport: Option<u64>,
    pub dstport: Option<u64>,
    pub protocol: Option<u8>,
    pub packets: Option<u64>,
    pub bytes: Option<u64>,
    /// Unix seconds.
    pub start: Option<u32>,
    /// Unix seconds.
    pub end: Option<u32>,
    pub action: Option<&'a [u8]>,
    pub log_status: Option<&'a [u8]>,
}

impl Row<'_> {
    /// The record's completeness.
    pub fn status(&self) -> LogStatus {
        match self.log_status {
            Some(b"NODATA") => LogStatus::NoData,
            Some(b"SKIPDATA") => LogStatus::SkipData,
            _ => LogStatus::Ok,
        }
    }
}

/// Where the columns of a line lie. Reused from line to line, so that splitting allocates nothing.
#[derive(Debug, Default)]
pub struct Columns {
    spans: Vec<(u32, u32)>,
}

impl Columns {
    /// Splits a line at runs of blanks.
    fn split(&mut self, line: &[u8]) {
        self.spans.clear();
        let mut start = None;
        for (position, byte) in line.iter().enumerate() {
            // Lines are far shorter than 4 GiB: the reader bounds them.
            let position = u32::try_from(position).unwrap_or(u32::MAX);
            match (start, matches!(byte, b' ' | b'\t')) {
                (None, false) => start = Some(position),
                (Some(from), true) => {
                    self.spans.push((from, position));
                    start = None;
                }
                _ => {}
            }
        }
        if let Some(from) = start {
            self.spans
                .push((from, u32::try_from(line.len()).unwrap_or(u32::MAX)));
        }
    }

    /// Splits `line` and reads the typed columns of `format`.
    pub fn parse<'a>(&mut self, format: &Format, line: &'a [u8]) -> Result<Row<'a>, LineError> {
        self.split(line);
        let expected = format.columns().len();
        if self.spans.len() != expected {
            return Err(LineError::ColumnCount {
                expected,
                found: self.spans.len(),
            });
        }
        let mut row = Row::default();
        for (column, span) in format.columns().iter().zip(&self.spans) {
            if let (Column::Typed(field), Some(text)) = (column, present(line, *span)) {
                row.set(*field, text)?;
            }
        }
        Ok(row)
    }

    /// The unknown columns of the line that was parsed last: JSON key and text, only where there is a value.
    pub fn extras<'a>(
        &'a self,
        format: &'a Format,
        line: &'a [u8],
    ) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        format
            .columns()
            .iter()
            .zip(&self.spans)
            .filter_map(move |(column, span)| match column {
                Column::Extra(extra) => Some((extra.key.as_str(), present(line, *span)?)),
                Column::Typed(_) => None,
            })
    }
}

fn present(line: &[u8], (from, to): (u32, u32)) -> Option<&[u8]> {
    let text = &line[from as usize..to as usize];
    (text != b"-").then_some(text)
}

impl<'a> Row<'a> {
    fn set(&mut self, field: Field, text: &'a [u8]) -> Result<(), LineError> {
        match field {
            Field::Version => self.version = Some(text),
            Field::AccountId => self.account_id = Some(text),
            Field::InterfaceId => self.interface_id = Some(text),
            Field::Srcaddr => self.srcaddr = Some(address(field, text)?),
            Field::Dstaddr => self.dstaddr = Some(address(field, text)?),
            Field::Srcport => self.srcport = Some(number(field, text)?),
            Field::Dstport => self.dstport = Some(number(field, text)?),
            Field::Protocol => {
                self.protocol =
                    Some(u8::try_from(number(field, text)?).expect("the table bounds it to a byte"));
            }
            Field::Packets => self.packets = Some(number(field, text)?),
            Field::Bytes => self.bytes = Some(number(field, text)?),
            Field::Start => self.start = Some(time(field, text)?),
            Field::End => self.end = Some(time(field, text)?),
            Field::Action => self.action = Some(text),
            Field::LogStatus => self.log_status = Some(text),
        }
        Ok(())
    }
}

fn address(field: Field, text: &[u8]) -> Result<IpAddr, LineError> {
    let parsed = std::str::from_utf8(text).ok().and_then(|text| {
        if text.contains(':') {
            text.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
        } else {
            text.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
        }
    });
    parsed.ok_or_else(|| LineError::Address {
        column: field.spec().name,
        value: quote(text),
    })
}

fn number(field: Field, text: &[u8]) -> Result<u64, LineError> {
    let max = match field.spec().kind {
        Kind::Number(max) => max,
        Kind::Text | Kind::Address | Kind::Time => u64::MAX,
    };
    let parsed = digits(text).filter(|number| *number <= max);
    parsed.ok_or_else(|| LineError::Number {
        column: field.spec().name,
        value: quote(text),
        max,
    })
}

fn time(field: Field, text: &[u8]) -> Result<u32, LineError> {
    let seconds = digits(text).map(|number| {
        if number > MAX_SECONDS {
            number / 1000
        } else {
            number
        }
    });
    let seconds = seconds
        .filter(|seconds| *seconds <= MAX_SECONDS)
        .and_then(|seconds| u32::try_from(seconds).ok());
    seconds.ok_or_else(|| LineError::Time {
        column: field.spec().name,
        value: quote(text),
    })
}

/// Plain decimal digits and nothing else: no sign, no `0x`.
fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

fn quote(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut quoted: String = text
        .chars()
        .take(MAX_QUOTED_CHARS)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(MAX_QUOTED_CHARS).is_some() {
        quoted.push('…');
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // Records from "Flow log record examples" in the Amazon VPC user guide.
    const ACCEPTED: &str = "2 123456789010 eni-1235b8ca123456789 172.31.16.139 172.31.16.21 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK";
    const NO_DATA: &str = "2 123456789010 eni-1235b8ca123456789 - - - - - - - 1431280876 1431280934 - NODATA";
    const IPV6: &str = "2 123456789010 eni-1235b8ca123456789 2001:db8:1234:a100:8d6e:3477:df66:f105 2001:db8:1234:a102:3304:8879:34cf:4071 34892 22 6 54 8855 1477913708 1477913820 ACCEPT OK";

    fn parse(line: &str) -> Result<Row<'_>, LineError> {
        Columns::default().parse(&Format::default(), line.as_bytes())
    }

    #[test]
    fn the_guides_accepted_record_is_read() {
        let row = parse(ACCEPTED).unwrap();
        assert_eq!(row.srcaddr, Some("172.31.16.139".parse().unwrap()));
        assert_eq!(
            (row.srcport, row.dstport, row.protocol),
            (Some(20641), Some(22), Some(6))
        );
        assert_eq!((row.packets, row.bytes), (Some(20), Some(4249)));
        assert_eq!((row.start, row.end), (Some(1_418_530_010), Some(1_418_530_070)));
        assert_eq!((row.action, row.status()), (Some(&b"ACCEPT"[..]), LogStatus::Ok));
    }

    #[test]
    fn a_dash_is_no_value() {
        let row = parse(NO_DATA).unwrap();
        assert_eq!(
            (row.srcaddr, row.srcport, row.bytes, row.action),
            (None, None, None, None)
        );
        assert_eq!(row.status(), LogStatus::NoData);
    }

    #[test]
    fn ipv6_is_read() {
        assert!(parse(IPV6).unwrap().srcaddr.unwrap().is_ipv6());
    }

    #[test]
    fn milliseconds_are_taken_for_what_they_are() {
        let row = parse("2 1 eni-1 - - - - - - - 1418530010123 1418530070999 - SKIPDATA").unwrap();
        assert_eq!((row.start, row.end), (Some(1_418_530_010), Some(1_418_530_070)));
    }

    #[test]
    fn a_line_that_cannot_be_read_says_where_and_why() {
        let changed = |column: usize, value: &str| {
            let mut columns: Vec<&str> = ACCEPTED.split(' ').collect();
            columns[column] = value;
            columns.join(" ")
        };
        let long = "x".repeat(100);
        let lines = [
            ACCEPTED.replace(" OK", ""),
            changed(3, "172.31.16.300"),
            changed(3, "010.0.0.1"),
            changed(4, &long),
            changed(5, "65536"),
            changed(7, "-1"),
            changed(8, "0x10"),
            changed(9, "9223372036854775808"),
            changed(10, "99999999999999999"),
            changed(11, "1418530070.5"),
        ];
        let told: Vec<String> = lines
            .iter()
            .map(|line| parse(line).unwrap_err().to_string())
            .collect();
        insta::assert_snapshot!(told.join("\n"), @"
        has 13 columns, the format has 14
        column `srcaddr` holds `172.31.16.300`, not an IP address
        column `srcaddr` holds `010.0.0.1`, not an IP address
        column `dstaddr` holds `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…`, not an IP address
        column `srcport` holds `65536`, not a whole number up to 65535
        column `protocol` holds `-1`, not a whole number up to 255
        column `packets` holds `0x10`, not a whole number up to 9223372036854775807
        column `bytes` holds `9223372036854775808`, not a whole number up to 9223372036854775807
        column `start` holds `99999999999999999`, not a Unix time
        column `end` holds `1418530070.5`, not a Unix time
        ");
    }

    #[test]
    fn unknown_columns_are_at_hand_as_text() {
        let format = Format::parse(b"srcaddr new-a end new-b").unwrap();
        let mut columns = Columns::default();
        let line = b"10.0.0.1  x=1 1418530070 -";
        columns.parse(&format, line).unwrap();
        let extras: Vec<_> = columns.extras(&format, line).collect();
        assert_eq!(extras, [("new_a", &b"x=1"[..])]);
    }

    proptest! {
        #[test]
        fn no_line_panics(line in prop::collection::vec(any::<u8>(), 0..300)) {
            let _parsed_or_refused = Columns::default().parse(&Format::default(), &line);
        }

        #[test]
        fn splitting_is_what_splitting_at_blanks_is(line in "[a \t]{0,60}") {
            let mut columns = Columns::default();
            columns.split(line.as_bytes());
            let found: Vec<&str> =
                columns.spans.iter().map(|(from, to)| line.get(*from as usize..*to as usize).unwrap()).collect();
            prop_assert_eq!(found, line.split_ascii_whitespace().collect::<Vec<_>>());
        }
    }
}
