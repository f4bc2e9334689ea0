//! Lines of the user guide, and lines that cannot be read.

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
            (row.bytes(Field::Action), row.status()),
            (Some(&b"ACCEPT"[..]), LogStatus::Ok)
        );
        assert_eq!(
            (row.bytes(Field::VpcId), row.number(Field::TcpFlags)),
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
        assert_eq!(
            (row.bytes(Field::Action), row.status()),
            (None, LogStatus::NoData)
        );
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
    let shown = |value: RawValue<'_>| match value {
        RawValue::Text(text) => format!("text {}", String::from_utf8_lossy(text.as_bytes())),
        RawValue::Tag(text) => format!("tag {}", String::from_utf8_lossy(text.as_bytes())),
        RawValue::Number(number, digits) => {
            format!(
                "number {number} of {}",
                String::from_utf8_lossy(digits.as_bytes())
            )
        }
    };
    let raw = row.raw().map(|(member, value)| (member.as_bytes(), shown(value)));
    let expected: [(&[u8], String); 4] = [
        (b"\"new_a\":\"", "text x=1".into()),
        (b"\"packets_lost_no_route\":", "number 7 of 007".into()),
        (b"\"asg_tag\":\"", "tag a%20b".into()),
        (b"\"vpc_id\":\"", "text vpc-1".into()),
    ];
    assert_eq!(raw.collect::<Vec<_>>(), expected);
}

#[test]
fn a_value_of_a_known_place_may_hold_blanks() {
    let format = Format::parse(b"new-a srcaddr end").unwrap();
    let mut columns = Columns::default();
    let spans = [(0, 3), (4, 12), (13, 14)];
    let row = columns.parse_spans(&format, b"a b 10.0.0.1 5", &spans).unwrap();
    let raw = row.raw().map(|(member, value)| match value {
        RawValue::Text(text) => (member.as_bytes(), text.as_bytes()),
        other => panic!("{other:?}"),
    });
    assert_eq!(raw.collect::<Vec<_>>(), [(&b"\"new_a\":\""[..], &b"a b"[..])]);
    assert_eq!(row.address(Field::Srcaddr), Some("10.0.0.1".parse().unwrap()));
    assert_eq!(row.time(Field::End), Some(5));
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
        columns.take(line.as_bytes());
        columns.split();
        let found: Vec<&str> =
            columns.spans.iter().map(|(from, to)| line.get(*from..*to).unwrap()).collect();
        prop_assert_eq!(found, line.split([' ', '\t']).filter(|column| !column.is_empty()).collect::<Vec<_>>());
    }
}
