//! A line and its format → a row: a view of the line, with its typed columns parsed once. Nothing is owned.

use std::net::IpAddr;

use super::field::{Dataset, Field, Kind, NUM_ADDRESSES, NUM_NUMBERS};
use super::format::Format;
use super::value;

/// Longest piece of a line that an error quotes, characters.
const MAX_QUOTED_CHARS: usize = 40;

/// TCP has nine flags, of which AWS logs the lower six.
const MAX_FLAGS: u64 = u16::MAX as u64;

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

/// Splits and parses lines. Reused from line to line, so that no line allocates.
#[derive(Debug, Default)]
pub struct Columns {
    spans: Vec<(usize, usize)>,
    addresses: [Option<IpAddr>; NUM_ADDRESSES],
    numbers: [Option<u64>; NUM_NUMBERS],
}

/// One flow record: a view of a line. Absent (`-`, empty) is `None`, never a value.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    format: &'a Format,
    line: &'a [u8],
    columns: &'a Columns,
}

/// A value that goes into the document under the column's own name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawValue<'a> {
    /// As it is.
    Text(&'a [u8]),
    /// Percent-encoded.
    Tag(&'a [u8]),
    /// A number.
    Number(u64),
}

impl Columns {
    /// Splits `line` and parses the typed columns of `format`.
    pub fn parse<'a>(&'a mut self, format: &'a Format, line: &'a [u8]) -> Result<Row<'a>, LineError> {
        self.split(line);
        let expected = format.num_columns();
        if self.spans.len() != expected {
            return Err(LineError::ColumnCount {
                expected,
                found: self.spans.len(),
            });
        }
        self.addresses = [None; NUM_ADDRESSES];
        self.numbers = [None; NUM_NUMBERS];
        for parsed in format.parsed() {
            let (field, slot) = (parsed.field, parsed.field.slot());
            let Some(text) = self.text(line, parsed.column) else {
                continue;
            };
            match field.spec().kind {
                Kind::Address => self.addresses[slot] = Some(address(field, text)?),
                Kind::Number(max) => self.numbers[slot] = Some(number(field, text, max)?),
                Kind::Flags => self.numbers[slot] = Some(number(field, text, MAX_FLAGS)?),
                Kind::Time => self.numbers[slot] = Some(time(field, text)?),
                Kind::Text | Kind::Tag => {}
            }
        }
        Ok(Row {
            format,
            line,
            columns: self,
        })
    }

    /// Splits a line at runs of blanks.
    fn split(&mut self, line: &[u8]) {
        self.spans.clear();
        let mut start = 0;
        let mut blank_at = |blank: usize| {
            if blank > start {
                self.spans.push((start, blank));
            }
            start = blank + 1;
        };
        let (words, rest) = line.as_chunks::<8>();
        for (number, word) in words.iter().enumerate() {
            let mut blanks = blanks_of(*word);
            while blanks != 0 {
                // The highest bit of a byte is set where the byte is a blank.
                blank_at(number * 8 + blanks.trailing_zeros() as usize / 8);
                blanks &= blanks - 1;
            }
        }
        for (position, byte) in rest.iter().enumerate() {
            if matches!(byte, b' ' | b'\t') {
                blank_at(words.len() * 8 + position);
            }
        }
        blank_at(line.len());
    }

    fn text<'a>(&self, line: &'a [u8], column: usize) -> Option<&'a [u8]> {
        let (from, to) = *self.spans.get(column)?;
        let text = &line[from..to];
        (text != b"-").then_some(text)
    }
}

impl<'a> Row<'a> {
    /// The text of a field, whatever its kind.
    pub fn text(&self, field: Field) -> Option<&'a [u8]> {
        self.columns.text(self.line, self.format.position(field))
    }

    /// The value of a field that is an address.
    pub fn address(&self, field: Field) -> Option<IpAddr> {
        debug_assert_eq!(field.spec().kind, Kind::Address);
        self.columns.addresses[field.slot()]
    }

    /// The value of a field that is a number or a set of flags.
    pub fn number(&self, field: Field) -> Option<u64> {
        debug_assert!(matches!(field.spec().kind, Kind::Number(_) | Kind::Flags));
        self.columns.numbers[field.slot()]
    }

    /// The value of a field that is a time: Unix seconds.
    pub fn time(&self, field: Field) -> Option<u32> {
        debug_assert_eq!(field.spec().kind, Kind::Time);
        self.columns.numbers[field.slot()].and_then(|seconds| u32::try_from(seconds).ok())
    }

    /// Which kind of flow log it is of.
    pub fn dataset(&self) -> Dataset {
        self.format.dataset()
    }

    /// The line that it is a view of.
    pub fn line(&self) -> &'a [u8] {
        self.line
    }

    /// The present values that go into the document under their columns' own names, unknown columns included: key as
    /// JSON writes it, with its colon, and value.
    pub fn raw(&self) -> impl Iterator<Item = (&'a str, RawValue<'a>)> {
        let Self {
            format,
            line,
            columns,
        } = *self;
        format.raw().iter().filter_map(move |raw| {
            let value = match raw.field.map(|field| (field, field.spec().kind)) {
                Some((field, Kind::Number(_))) => RawValue::Number(columns.numbers[field.slot()]?),
                Some((_, Kind::Tag)) => RawValue::Tag(columns.text(line, raw.column)?),
                _ => RawValue::Text(columns.text(line, raw.column)?),
            };
            Some((raw.member.as_str(), value))
        })
    }

    /// The record's completeness.
    pub fn status(&self) -> LogStatus {
        match self.text(Field::LogStatus) {
            Some(b"NODATA") => LogStatus::NoData,
            Some(b"SKIPDATA") => LogStatus::SkipData,
            _ => LogStatus::Ok,
        }
    }
}

/// Eight bytes at once (columns are too short for a search of the next blank to pay): the highest bit of every byte
/// that is a blank or a tab.
fn blanks_of(bytes: [u8; 8]) -> u64 {
    const LOW_BITS: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let word = u64::from_le_bytes(bytes);
    // No carry leaves a byte: its sum is at most 0xfe.
    let zeros = |word: u64| !(((word & LOW_BITS) + LOW_BITS) | word | LOW_BITS);
    zeros(word ^ u64::from_ne_bytes([b' '; 8])) | zeros(word ^ u64::from_ne_bytes([b'\t'; 8]))
}

fn address(field: Field, text: &[u8]) -> Result<IpAddr, LineError> {
    value::address(text).ok_or_else(|| LineError::Address {
        column: field.spec().name,
        value: quote(text),
    })
}

fn number(field: Field, text: &[u8], max: u64) -> Result<u64, LineError> {
    let number = value::number(text).filter(|number| *number <= max);
    number.ok_or_else(|| LineError::Number {
        column: field.spec().name,
        value: quote(text),
        max,
    })
}

fn time(field: Field, text: &[u8]) -> Result<u64, LineError> {
    value::seconds(text).ok_or_else(|| LineError::Time {
        column: field.spec().name,
        value: quote(text),
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

    /// What of a line of the default format `look` sees.
    fn parse<T>(line: &str, look: impl FnOnce(&Row<'_>) -> T) -> Result<T, LineError> {
        let (mut columns, format) = (Columns::default(), Format::default());
        columns.parse(&format, line.as_bytes()).map(|row| look(&row))
    }

    #[test]
    fn the_guides_accepted_record_is_read() {
        let look = |row: &Row<'_>| {
            assert_eq!(
                row.address(Field::Srcaddr),
                Some("172.31.16.139".parse().unwrap())
            );
            let numbers = [
                Field::Srcport,
                Field::Dstport,
                Field::Protocol,
                Field::Packets,
                Field::Bytes,
            ];
            let numbers = numbers.map(|field| row.number(field).unwrap());
            assert_eq!(numbers, [20641, 22, 6, 20, 4249]);
            let times = (row.time(Field::Start), row.time(Field::End));
            assert_eq!(times, (Some(1_418_530_010), Some(1_418_530_070)));
            assert_eq!(
                (row.text(Field::Action), row.status()),
                (Some(&b"ACCEPT"[..]), LogStatus::Ok)
            );
            assert_eq!(
                (row.text(Field::VpcId), row.number(Field::TcpFlags)),
                (None, None)
            );
        };
        parse(ACCEPTED, look).unwrap();
    }

    #[test]
    fn a_dash_is_no_value() {
        let look = |row: &Row<'_>| {
            assert_eq!(row.address(Field::Srcaddr), None);
            assert_eq!(
                (row.number(Field::Srcport), row.number(Field::Bytes)),
                (None, None)
            );
            assert_eq!((row.text(Field::Action), row.status()), (None, LogStatus::NoData));
        };
        parse(NO_DATA, look).unwrap();
    }

    #[test]
    fn ipv6_is_read() {
        let is_ipv6 = parse(IPV6, |row| row.address(Field::Srcaddr).unwrap().is_ipv6());
        assert_eq!(is_ipv6, Ok(true));
    }

    #[test]
    fn milliseconds_are_taken_for_what_they_are() {
        let line = "2 1 eni-1 - - - - - - - 1418530010123 1418530070999 - SKIPDATA";
        let times = parse(line, |row| (row.time(Field::Start), row.time(Field::End)));
        assert_eq!(times, Ok((Some(1_418_530_010), Some(1_418_530_070))));
    }

    #[test]
    fn nothing_is_left_of_the_line_before() {
        let (mut columns, format) = (Columns::default(), Format::default());
        columns.parse(&format, ACCEPTED.as_bytes()).unwrap();
        let other = Format::parse(b"dstaddr end").unwrap();
        let row = columns.parse(&other, b"- 5").unwrap();
        assert_eq!(
            (row.address(Field::Srcaddr), row.address(Field::Dstaddr)),
            (None, None)
        );
        assert_eq!((row.number(Field::Bytes), row.time(Field::End)), (None, Some(5)));
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
            .map(|line| parse(line, |_| ()).unwrap_err().to_string())
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
    fn raw_columns_are_at_hand_with_their_keys() {
        let header = b"srcaddr new-a packets-lost-no-route end new-b asg-tag vpc-id";
        let format = Format::parse(header).unwrap();
        let mut columns = Columns::default();
        let row = columns
            .parse(&format, b"10.0.0.1  x=1 007 1418530070 - a%20b vpc-1")
            .unwrap();
        let expected = [
            ("\"new_a\":", RawValue::Text(b"x=1")),
            ("\"packets_lost_no_route\":", RawValue::Number(7)),
            ("\"asg_tag\":", RawValue::Tag(b"a%20b")),
            ("\"vpc_id\":", RawValue::Text(b"vpc-1")),
        ];
        assert_eq!(row.raw().collect::<Vec<_>>(), expected);
    }

    proptest! {
        #[test]
        fn no_line_panics(line in prop::collection::vec(any::<u8>(), 0..300)) {
            let (mut columns, format) = (Columns::default(), Format::default());
            let _parsed_or_refused = columns.parse(&format, &line).map(|row| row.raw().count());
        }

        #[test]
        fn splitting_is_what_splitting_at_blanks_is(line in "[a \t!\u{80}\u{a0}\n\u{c}]{0,60}") {
            let mut columns = Columns::default();
            columns.split(line.as_bytes());
            let found: Vec<&str> =
                columns.spans.iter().map(|(from, to)| line.get(*from..*to).unwrap()).collect();
            prop_assert_eq!(found, line.split([' ', '\t']).filter(|column| !column.is_empty()).collect::<Vec<_>>());
        }
    }
}
