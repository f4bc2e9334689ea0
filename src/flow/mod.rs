//! Header and line → typed row. Synchronous, owns nothing per record, imports nothing of ours.
//!
//! The field table ([`FIELDS`]) is the one place that knows the fields; [`Format`] binds them to the columns of an
//! object by its own header line; [`Row`] is one parsed line.

mod field;
mod format;
mod protocol;
mod row;

pub use field::{FIELDS, Field, FieldSpec, Kind};
pub use format::{Format, FormatError, is_header};
pub use protocol::transport_name;
pub use row::{Columns, LineError, LogStatus, Row};
