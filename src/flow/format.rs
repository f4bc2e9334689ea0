//! A header line → the column plan of an object: which field each column is, in any order.

use super::field::{FIELDS, Field};

/// Longest column name that is taken for one; AWS's longest has 29 characters.
const MAX_NAME_BYTES: usize = 64;

/// The field that only Transit Gateway flow logs have, in both spellings that occur.
const TRANSIT_GATEWAY_NAMES: [&str; 3] = ["tgw-id", "transit-gateway-id", "resource-type"];

/// One position of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    /// A field of the table.
    Typed(Field),
    /// A column that the table does not know: kept as a string.
    Extra(ExtraColumn),
}

/// The name of an unknown column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraColumn {
    /// The name in snake case, safe as a JSON key as it is.
    pub key: String,
}

/// The columns of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    columns: Vec<Column>,
}

/// Why an object's format is not usable.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum FormatError {
    /// Data where the header should be, and not the 14 columns of the default format.
    #[error(
        "the object has no header line, and its first line has {num_columns} columns (the default format has 14)"
    )]
    Unknown {
        /// Columns of the first line.
        num_columns: usize,
    },
    /// A name that stands twice would make two values of one document field.
    #[error("the header line names the column `{name}` twice")]
    Repeated {
        /// The name.
        name: String,
    },
    /// A Transit Gateway flow log.
    #[error("the object is a Transit Gateway flow log, which this version does not read")]
    TransitGateway,
}

/// Whether a line is a header: nothing but names, at least one of them known. Data lines always hold a number, an
/// address or `-`.
pub fn is_header(line: &[u8]) -> bool {
    let mut known = false;
    for name in columns(line) {
        let shape = name[0].is_ascii_lowercase()
            && name.len() <= MAX_NAME_BYTES
            && name
                .iter()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-');
        if !shape {
            return false;
        }
        known |= Field::by_name(name).is_some() || is_transit_gateway(name);
    }
    known
}

impl Format {
    /// The format of a header line (see [`is_header`]).
    pub fn parse(header: &[u8]) -> Result<Self, FormatError> {
        let mut plan: Vec<Column> = Vec::new();
        for name in columns(header) {
            if is_transit_gateway(name) {
                return Err(FormatError::TransitGateway);
            }
            let column = match Field::by_name(name) {
                Some(field) => Column::Typed(field),
                None => Column::Extra(ExtraColumn {
                    key: String::from_utf8_lossy(name).replace('-', "_"),
                }),
            };
            if plan.contains(&column) {
                return Err(FormatError::Repeated {
                    name: String::from_utf8_lossy(name).into_owned(),
                });
            }
            plan.push(column);
        }
        Ok(Self { columns: plan })
    }

    /// The format of an object whose first line is data: the default one, if the number of columns fits.
    pub fn without_header(first_line: &[u8]) -> Result<Self, FormatError> {
        let num_columns = columns(first_line).count();
        if num_columns != FIELDS.len() {
            return Err(FormatError::Unknown { num_columns });
        }
        Ok(Self::default())
    }

    /// The columns, in order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }
}

impl Default for Format {
    /// The default format of VPC flow logs: the 14 fields of version 2.
    fn default() -> Self {
        Self {
            columns: FIELDS.iter().map(|spec| Column::Typed(spec.field)).collect(),
        }
    }
}

fn is_transit_gateway(name: &[u8]) -> bool {
    TRANSIT_GATEWAY_NAMES.iter().any(|known| known.as_bytes() == name)
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
    }

    #[test]
    fn any_order_and_unknown_columns_are_taken() {
        let format = Format::parse(b"end  new-field-2\tsrcaddr").unwrap();
        let expected = [
            Column::Typed(Field::End),
            Column::Extra(ExtraColumn {
                key: "new_field_2".into(),
            }),
            Column::Typed(Field::Srcaddr),
        ];
        assert_eq!(format.columns(), expected);
    }

    #[test]
    fn data_is_no_header() {
        for line in [
            "2 123456789010 eni-1235b8ca123456789 172.31.16.139 172.31.16.21 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK",
            "2 123456789010 eni-1235b8ca123456789 - - - - - - - 1431280876 1431280934 - NODATA",
            "some words of prose",
            "srcaddr -",
            "",
        ] {
            assert!(!is_header(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn formats_that_cannot_be_used_say_why() {
        let told: Vec<String> = [
            Format::parse(b"srcaddr dstaddr srcaddr").unwrap_err(),
            Format::parse(b"version resource-type account-id tgw-id").unwrap_err(),
            Format::without_header(b"1 2 3").unwrap_err(),
        ]
        .iter()
        .map(ToString::to_string)
        .collect();
        insta::assert_snapshot!(told.join("\n"), @"
        the header line names the column `srcaddr` twice
        the object is a Transit Gateway flow log, which this version does not read
        the object has no header line, and its first line has 3 columns (the default format has 14)
        ");
    }
}
