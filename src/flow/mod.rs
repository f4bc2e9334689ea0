//! Header and line → typed row. Synchronous, owns nothing per record, imports nothing of ours.
//!
//! The field table ([`FIELDS`]) is the one place that knows the fields; [`Format`] binds them to the columns of an
//! object by its own header line; [`Row`] is a view of one line.
//!
#![doc = include_str!("fields.md")]

mod field;
mod format;
mod matches;
mod protocol;
mod row;
mod text;
mod value;
mod words;

pub use field::{Dataset, FIELDS, Field, FieldSpec, Kind, NUM_FIELDS};
pub use format::{Format, FormatError, is_header};
pub use protocol::transport_name;
pub use row::{Columns, LineError, LogStatus, RawValue, Row};
pub use text::Text;
pub use words::{TCP_FLAGS, traffic_path};
