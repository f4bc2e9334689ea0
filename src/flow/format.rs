//! A header line → the plan of an object: which column each field is, in any order.

use super::field::{Dataset, FIELDS, Field, Kind, NUM_FIELDS};
use super::text::{PADDING, Text};

/// Longest column name that is taken for one; AWS's longest has 26 characters.
const MAX_NAME_BYTES: usize = 64;

/// Fields of the default format of VPC flow logs.
const NUM_DEFAULT_FIELDS: usize = 14;

/// Where the raw AWS fields are in the document.
const RAW_PREFIX: &str = "aws.vpcflow.";

/// What the document makes there itself: an unknown column of such a name gets a longer one.
const DERIVED_KEYS: [&str; 1] = ["tcp_flags_array"];

/// The columns of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    header: String,
    dataset: Dataset,
    num_columns: usize,
    /// For every field its column; [`NO_COLUMN`] where the object does not have it.
    positions: [usize; NUM_FIELDS],
    parsed: Vec<ParsedColumn>,
    raw: Vec<RawColumn>,
}

/// No line has that many columns.
const NO_COLUMN: usize = usize::MAX;

/// A column whose values are checked and parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ParsedColumn {
    pub(super) column: usize,
    pub(super) field: Field,
    pub(super) slot: usize,
    pub(super) kind: Kind,
}

/// A column that goes into the document under its own name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RawColumn {
    pub(super) column: usize,
    /// The name in snake case as a key of JSON, with its colon and, if it is no number's, the opening quote of its value;
    /// padded.
    member: Vec<u8>,
    /// Where its number is, if it is one.
    pub(super) number_slot: Option<usize>,
    pub(super) is_tag: bool,
}

impl RawColumn {
    /// Of a known field, or (`None`) of a column that the table does not know, kept as a string.
    fn new(column: usize, key: &str, field: Option<Field>) -> Self {
        let kind = field.map(|field| field.spec().kind);
        let number_slot = field
            .filter(|field| matches!(field.spec().kind, Kind::Number(_)))
            .map(Field::slot);
        // Names are of characters that need no escaping.
        let quote = if number_slot.is_none() { "\"" } else { "" };
        let mut member = format!("\"{key}\":{quote}").into_bytes();
        member.resize(member.len() + PADDING, 0);
        Self {
            column,
            member,
            number_slot,
            is_tag: kind == Some(Kind::Tag),
        }
    }

    pub(super) fn member(&self) -> Text<'_> {
        Text::new(&self.member, 0, self.member.len() - PADDING)
    }
}

/// Why an object's format is not usable.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum FormatError {
    /// Data where the header should be, and not the 14 columns of the default format.
    #[error(
        "the object has no header line, and its first line has {num_columns} columns (14 in the default format, and no other configured one fits)"
    )]
    Unknown {
        /// Columns of the first line.
        num_columns: usize,
    },
    /// A configured format that is none.
    #[error("no list of flow log fields, such as `version srcaddr dstaddr`")]
    NoNames,
    /// A file whose columns have names, none of them a field's.
    #[error("none of the columns is a flow log field")]
    NoFields,
    /// A name that stands twice would make two values of one document field.
    #[error("the header names the column `{name}` twice")]
    Repeated {
        /// The name.
        name: String,
    },
}

/// Whether a line is a header: nothing but names, at least one of them known. Data lines always hold a number, an
/// address or `-`.
pub fn is_header(line: &[u8]) -> bool {
    // Asked of every line: the first byte of most records is the digit of a version.
    let first = line.iter().find(|byte| !matches!(byte, b' ' | b'\t'));
    if !first.is_some_and(u8::is_ascii_lowercase) {
        return false;
    }
    let is_name_byte = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b' ' | b'\t');
    line.iter().all(is_name_byte)
        && columns(line).all(|name| name[0].is_ascii_lowercase() && name.len() <= MAX_NAME_BYTES)
        && columns(line).any(|name| Field::by_name(name).is_some())
}

impl Format {
    /// The format of a header line (see [`is_header`]).
    pub fn parse(header: &[u8]) -> Result<Self, FormatError> {
        let mut format = Self::empty();
        let mut unknown: Vec<&[u8]> = Vec::new();
        for name in columns(header) {
            let column = format.add_column(name);
            let repeated = match Field::by_name(name) {
                Some(field) => !format.bind(field, column),
                None => {
                    let repeated = unknown.contains(&name);
                    unknown.push(name);
                    format.raw.push(RawColumn::new(column, &unknown_key(name), None));
                    repeated
                }
            };
            if repeated {
                let name = String::from_utf8_lossy(name).into_owned();
                return Err(FormatError::Repeated { name });
            }
        }
        Ok(format)
    }

    /// The format of a file that names its columns by other means than a header line, with `_` for `-` as AWS does.
    /// Characters that no flow log field has become `-`.
    pub fn from_names<'a>(names: impl Iterator<Item = &'a str>) -> Result<Self, FormatError> {
        let mut header = String::new();
        for name in names {
            let name = name.to_ascii_lowercase();
            header.push_str(&name.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-"));
            header.push(' ');
        }
        if !columns(header.as_bytes()).any(|name| Field::by_name(name).is_some()) {
            return Err(FormatError::NoFields);
        }
        Self::parse(header.as_bytes())
    }

    /// The format that a person gives for objects without a header line: field names, bare as in a header or as
    /// `${field}` in the configuration of a flow log.
    pub fn parse_configured(text: &str) -> Result<Self, FormatError> {
        let bare = text.replace("${", " ").replace('}', " ");
        if !is_header(bare.as_bytes()) {
            return Err(FormatError::NoNames);
        }
        Self::parse(bare.as_bytes())
    }

    /// The format of an object whose first line is data: the configured one or the default one, if the number of
    /// columns fits.
    pub fn without_header(first_line: &[u8], configured: Option<&Self>) -> Result<Self, FormatError> {
        let num_columns = columns(first_line).count();
        match configured {
            Some(format) if format.num_columns == num_columns => Ok(format.clone()),
            _ if num_columns == NUM_DEFAULT_FIELDS => Ok(Self::default()),
            _ => Err(FormatError::Unknown { num_columns }),
        }
    }

    fn empty() -> Self {
        Self {
            header: String::new(),
            dataset: Dataset::Vpc,
            num_columns: 0,
            positions: [NO_COLUMN; NUM_FIELDS],
            parsed: Vec::new(),
            raw: Vec::new(),
        }
    }

    /// Adds a column of this name, which is bound to nothing yet.
    fn add_column(&mut self, name: &[u8]) -> usize {
        if self.num_columns > 0 {
            self.header.push(' ');
        }
        self.header.push_str(&String::from_utf8_lossy(name));
        self.num_columns += 1;
        self.num_columns - 1
    }

    /// Takes `field` for this column; false if another column has it already.
    fn bind(&mut self, field: Field, column: usize) -> bool {
        let position = &mut self.positions[field as usize];
        if *position != NO_COLUMN {
            return false;
        }
        *position = column;
        let spec = field.spec();
        if spec.datasets == [Dataset::Tgw] {
            self.dataset = Dataset::Tgw;
        }
        if !matches!(spec.kind, Kind::Text | Kind::Tag) {
            self.parsed.push(ParsedColumn {
                column,
                field,
                slot: field.slot(),
                kind: spec.kind,
            });
        }
        let key = spec
            .target
            .strip_prefix(RAW_PREFIX)
            .filter(|key| !key.contains('.'));
        let key = key.filter(|_| matches!(spec.kind, Kind::Text | Kind::Tag | Kind::Number(_)));
        if let Some(key) = key {
            self.raw.push(RawColumn::new(column, key, Some(field)));
        }
        true
    }

    /// The names of the columns, as a header line: [`Format::parse`] makes the same format of it.
    pub fn header(&self) -> &str {
        &self.header
    }

    /// Which kind of flow log it is: one field that only Transit Gateways have decides.
    pub fn dataset(&self) -> Dataset {
        self.dataset
    }

    /// How many columns its lines have.
    pub fn num_columns(&self) -> usize {
        self.num_columns
    }

    /// The column of a field; past the end of every line where the object does not have it.
    pub(super) fn position(&self, field: Field) -> usize {
        self.positions[field as usize]
    }

    /// The columns whose values are parsed, in their order.
    pub(super) fn parsed(&self) -> &[ParsedColumn] {
        &self.parsed
    }

    /// The columns that go into the document under their own names, in their order.
    pub(super) fn raw(&self) -> &[RawColumn] {
        &self.raw
    }
}

impl Default for Format {
    /// The default format of VPC flow logs: the 14 fields of version 2.
    fn default() -> Self {
        let mut format = Self::empty();
        for spec in &FIELDS[..NUM_DEFAULT_FIELDS] {
            let column = format.add_column(spec.name.as_bytes());
            format.bind(spec.field, column);
        }
        format
    }
}

/// The name that a column which the table does not know has under `aws.vpcflow`.
fn unknown_key(name: &[u8]) -> String {
    let key = String::from_utf8_lossy(name).replace('-', "_");
    let taken = |target: &str| {
        let own = target.strip_prefix(RAW_PREFIX);
        own.and_then(|own| own.split('.').next()) == Some(key.as_str())
    };
    if FIELDS.iter().any(|spec| taken(spec.target)) || DERIVED_KEYS.contains(&key.as_str()) {
        return key + "_column";
    }
    key
}

/// AWS's own sample of a record has a double space: columns are separated by runs of blanks.
fn columns(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| matches!(byte, b' ' | b'\t'))
        .filter(|column| !column.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: &[u8] = b"version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status";

    #[test]
    fn the_default_header_gives_the_default_format() {
        assert!(is_header(DEFAULT));
        assert_eq!(Format::parse(DEFAULT).unwrap(), Format::default());
        assert_eq!(Format::default().num_columns(), 14);
    }

    #[test]
    fn any_order_and_unknown_columns_are_taken() {
        let format = Format::parse(b"end  new-field-2\tsrcaddr").unwrap();
        assert_eq!(format.num_columns(), 3);
        assert_eq!(format.header(), "end new-field-2 srcaddr");
        assert_eq!(
            (format.position(Field::End), format.position(Field::Srcaddr)),
            (0, 2)
        );
        assert_eq!(format.position(Field::Start), NO_COLUMN);
        let raw: Vec<_> = format
            .raw()
            .iter()
            .map(|raw| (raw.column, std::str::from_utf8(raw.member().as_bytes()).unwrap()))
            .collect();
        assert_eq!(raw, [(1, "\"new_field_2\":\"")]);
    }

    #[test]
    fn one_transit_gateway_field_makes_a_transit_gateway_log() {
        let dataset = |header: &[u8]| Format::parse(header).unwrap().dataset();
        assert_eq!(dataset(DEFAULT), Dataset::Vpc);
        assert_eq!(dataset(b"version srcaddr type region"), Dataset::Vpc);
        assert_eq!(dataset(b"version srcaddr resource-type"), Dataset::Tgw);
        assert_eq!(dataset(b"transit-gateway-id srcaddr"), Dataset::Tgw);
        assert!(is_header(b"resource-type transit-gateway-id"));
    }

    #[test]
    fn an_unknown_column_never_takes_the_place_of_a_known_one() {
        let format = Format::parse(b"srcaddr tcp-flags-array pkt-src-service sublocation").unwrap();
        let keys: Vec<&str> = format
            .raw()
            .iter()
            .map(|raw| std::str::from_utf8(raw.member().as_bytes()).unwrap())
            .collect();
        assert_eq!(
            keys,
            [
                "\"tcp_flags_array_column\":\"",
                "\"pkt_src_service_column\":\"",
                "\"sublocation_column\":\""
            ]
        );
    }

    #[test]
    fn data_is_no_header() {
        for line in [
            "2 123456789010 eni-1235b8ca123456789 172.31.16.139 172.31.16.21 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK",
            "2 123456789010 eni-1235b8ca123456789 - - - - - - - 1431280876 1431280934 - NODATA",
            "eni-1 vpc-1 6 -",
            "some words of prose",
            "srcaddr -",
            "",
        ] {
            assert!(!is_header(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn a_configured_format_is_taken_where_its_columns_fit() {
        let configured = Format::parse_configured("${srcaddr} ${dstaddr}${end}").unwrap();
        assert_eq!(configured, Format::parse(b"srcaddr dstaddr end").unwrap());
        let chosen = |line: &[u8]| Format::without_header(line, Some(&configured));
        assert_eq!(chosen(b"10.0.0.1 10.0.0.2 1").unwrap(), configured);
        assert_eq!(chosen(b"- - - - - - - - - - - - - -").unwrap(), Format::default());
        assert_eq!(chosen(b"- -"), Err(FormatError::Unknown { num_columns: 2 }));
        assert_eq!(Format::parse_configured("what ever"), Err(FormatError::NoNames));
    }

    #[test]
    fn names_of_any_spelling_are_taken_where_one_is_a_field() {
        let names = |names: &[&str]| Format::from_names(names.iter().copied());
        assert_eq!(
            names(&["srcaddr", "log_status", "NEW \"field\""]),
            Format::parse(b"srcaddr log-status new--field-")
        );
        assert_eq!(names(&["id", "value"]), Err(FormatError::NoFields));
        assert_eq!(names(&[]), Err(FormatError::NoFields));
        let repeated = FormatError::Repeated {
            name: "az-id".to_owned(),
        };
        assert_eq!(names(&["az_id", "az-id"]), Err(repeated));
    }

    #[test]
    fn formats_that_cannot_be_used_say_why() {
        let told: Vec<String> = [
            Format::parse(b"srcaddr dstaddr srcaddr").unwrap_err(),
            Format::parse(b"srcaddr tgw-id transit-gateway-id").unwrap_err(),
            Format::parse(b"srcaddr new-field new-field").unwrap_err(),
            Format::without_header(b"1 2 3", None).unwrap_err(),
        ]
        .iter()
        .map(ToString::to_string)
        .collect();
        insta::assert_snapshot!(told.join("\n"), @"
        the header names the column `srcaddr` twice
        the header names the column `transit-gateway-id` twice
        the header names the column `new-field` twice
        the object has no header line, and its first line has 3 columns (14 in the default format, and no other configured one fits)
        ");
    }
}
