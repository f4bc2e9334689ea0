//! A text object → the Parquet object of the same records, as AWS writes it: names with `_`, integers where AWS has
//! them (null for `-`), gzip inside.

use std::sync::Arc;

use parquet::basic::{Compression, GzipLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;

const INT32: [&str; 6] = [
    "version",
    "srcport",
    "dstport",
    "protocol",
    "tcp-flags",
    "traffic-path",
];
const INT64: [&str; 4] = ["packets", "bytes", "start", "end"];
const ROWS_PER_GROUP: usize = 100_000;

/// The Parquet object of a text: a header line, then records.
pub(crate) fn object(text: &str) -> Vec<u8> {
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let records: Vec<Vec<&str>> = lines.map(|line| line.split(' ').collect()).collect();
    let columns = names.iter().map(|name| {
        let kind = match name {
            name if INT32.contains(name) => "INT32",
            name if INT64.contains(name) => "INT64",
            _ => "BYTE_ARRAY",
        };
        let annotation = if kind == "BYTE_ARRAY" { " (UTF8)" } else { "" };
        format!("optional {kind} {}{annotation};", name.replace('-', "_"))
    });
    let schema = format!("message schema {{ {} }}", columns.collect::<String>());
    let schema = Arc::new(parse_message_type(&schema).expect("the names are plain"));
    let properties = WriterProperties::builder()
        .set_compression(Compression::GZIP(GzipLevel::default()))
        .build();
    let mut bytes = Vec::new();
    let mut writer =
        SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties)).expect("memory takes it");
    for records in records.chunks(ROWS_PER_GROUP) {
        let mut group = writer.next_row_group().expect("memory takes it");
        for (position, name) in names.iter().enumerate() {
            let column = group.next_column().expect("memory takes it").expect("one a name");
            let values = records.iter().map(|record| record[position]);
            if INT32.contains(name) {
                write::<Int32Type>(column, values.map(|value| value.parse().ok()));
            } else if INT64.contains(name) {
                write::<Int64Type>(column, values.map(|value| value.parse().ok()));
            } else {
                write::<ByteArrayType>(column, values.map(|value| Some(ByteArray::from(value))));
            }
        }
        group.close().expect("memory takes it");
    }
    writer.close().expect("memory takes it");
    bytes
}

fn write<T: DataType>(mut column: SerializedColumnWriter<'_>, values: impl Iterator<Item = Option<T::T>>) {
    let values: Vec<Option<T::T>> = values.collect();
    let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
    let present: Vec<T::T> = values.into_iter().flatten().collect();
    column
        .typed::<T>()
        .write_batch(&present, Some(&levels), None)
        .expect("memory takes it");
    column.close().expect("memory takes it");
}
