//! Parquet files for tests.

use std::sync::Arc;

use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FixedLenByteArray, FixedLenByteArrayType,
    FloatType, Int32Type, Int64Type, Int96, Int96Type,
};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;

/// The values of one column in one row group; `None` is null.
pub(crate) enum Values {
    Boolean(Vec<Option<bool>>),
    Int32(Vec<Option<i32>>),
    Int64(Vec<Option<i64>>),
    Int96(Vec<Option<Int96>>),
    Float(Vec<Option<f32>>),
    Double(Vec<Option<f64>>),
    Text(Vec<Option<Vec<u8>>>),
    FixedText(Vec<Option<Vec<u8>>>),
}

impl Values {
    pub(crate) fn text(values: &[&str]) -> Self {
        Self::Text(
            values
                .iter()
                .map(|value| Some(value.as_bytes().to_vec()))
                .collect(),
        )
    }
}

/// A file of this schema, with these row groups.
pub(crate) fn file(schema: &str, groups: &[Vec<Values>], properties: WriterProperties) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties)).unwrap();
    for columns in groups {
        let mut group = writer.next_row_group().unwrap();
        for values in columns {
            let column = group.next_column().unwrap().unwrap();
            match values {
                Values::Boolean(values) => write::<BoolType>(column, values),
                Values::Int32(values) => write::<Int32Type>(column, values),
                Values::Int64(values) => write::<Int64Type>(column, values),
                Values::Int96(values) => write::<Int96Type>(column, values),
                Values::Float(values) => write::<FloatType>(column, values),
                Values::Double(values) => write::<DoubleType>(column, values),
                Values::Text(values) => {
                    let values: Vec<_> = values
                        .iter()
                        .cloned()
                        .map(|text| text.map(ByteArray::from))
                        .collect();
                    write::<ByteArrayType>(column, &values);
                }
                Values::FixedText(values) => {
                    let values: Vec<_> = values
                        .iter()
                        .cloned()
                        .map(|text| text.map(FixedLenByteArray::from))
                        .collect();
                    write::<FixedLenByteArrayType>(column, &values);
                }
            }
        }
        group.close().unwrap();
    }
    writer.close().unwrap();
    bytes
}

fn write<T: DataType>(mut column: SerializedColumnWriter<'_>, values: &[Option<T::T>]) {
    let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
    let present: Vec<T::T> = values.iter().flatten().cloned().collect();
    column
        .typed::<T>()
        .write_batch(&present, Some(&levels), None)
        .unwrap();
    column.close().unwrap();
}
