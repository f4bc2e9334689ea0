//! The field table: every field that becomes a typed part of the document. Any other column is kept as a string.
//!
//! Source: "Available fields" in the Amazon VPC user guide, section on flow log records.

/// A field of VPC flow logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the table below says what each is")]
pub enum Field {
    Version,
    AccountId,
    InterfaceId,
    Srcaddr,
    Dstaddr,
    Srcport,
    Dstport,
    Protocol,
    Packets,
    Bytes,
    Start,
    End,
    Action,
    LogStatus,
}

/// How the text of a column is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As it is.
    Text,
    /// IPv4 or IPv6 address.
    Address,
    /// Whole number from 0 to this.
    Number(u64),
    /// Unix time: seconds, or milliseconds where the number is too large for seconds.
    Time,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct FieldSpec {
    /// The field.
    pub field: Field,
    /// Its name in header lines.
    pub name: &'static str,
    /// The first version that has it.
    pub version: u8,
    /// How its text is read.
    pub kind: Kind,
    /// Where it goes in the document, in the mapping's notation.
    pub target: &'static str,
}

const fn field(field: Field, name: &'static str, version: u8, kind: Kind, target: &'static str) -> FieldSpec {
    FieldSpec {
        field,
        name,
        version,
        kind,
        target,
    }
}

/// Largest value of Elasticsearch's `long`.
const LONG: Kind = Kind::Number(i64::MAX as u64);
const PORT: Kind = Kind::Number(u16::MAX as u64);
const PROTOCOL: Kind = Kind::Number(u8::MAX as u64);

/// Every typed field, in the order of the default format (version 2).
pub const FIELDS: [FieldSpec; 14] = [
    field(Field::Version, "version", 2, Kind::Text, "aws.vpcflow.version"),
    field(Field::AccountId, "account-id", 2, Kind::Text, "cloud.account.id"),
    field(
        Field::InterfaceId,
        "interface-id",
        2,
        Kind::Text,
        "aws.vpcflow.interface_id",
    ),
    field(Field::Srcaddr, "srcaddr", 2, Kind::Address, "source.ip"),
    field(Field::Dstaddr, "dstaddr", 2, Kind::Address, "destination.ip"),
    field(Field::Srcport, "srcport", 2, PORT, "source.port"),
    field(Field::Dstport, "dstport", 2, PORT, "destination.port"),
    field(Field::Protocol, "protocol", 2, PROTOCOL, "network.iana_number"),
    field(Field::Packets, "packets", 2, LONG, "source.packets"),
    field(Field::Bytes, "bytes", 2, LONG, "source.bytes"),
    field(Field::Start, "start", 2, Kind::Time, "event.start"),
    field(Field::End, "end", 2, Kind::Time, "@timestamp"),
    field(Field::Action, "action", 2, Kind::Text, "event.action"),
    field(
        Field::LogStatus,
        "log-status",
        2,
        Kind::Text,
        "aws.vpcflow.log_status",
    ),
];

impl Field {
    /// The field of this name.
    pub fn by_name(name: &[u8]) -> Option<Self> {
        FIELDS
            .iter()
            .find(|spec| spec.name.as_bytes() == name)
            .map(|spec| spec.field)
    }

    /// Its row of the table.
    pub fn spec(self) -> &'static FieldSpec {
        // The table is in the order of the enum; a test holds it to that.
        &FIELDS[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enum() {
        for (position, spec) in FIELDS.iter().enumerate() {
            assert_eq!(spec.field as usize, position, "{}", spec.name);
            assert_eq!(Field::by_name(spec.name.as_bytes()), Some(spec.field));
        }
    }
}
