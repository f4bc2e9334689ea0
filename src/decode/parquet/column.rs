//! One column of a row group → the texts of its values, a batch at a time.

use std::io::Write as _;

use parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{
    BoolType, ByteArrayType, DataType, DoubleType, FixedLenByteArrayType, FloatType, Int32Type, Int64Type,
    Int96Type,
};
use parquet::errors::ParquetError;
use parquet::schema::types::ColumnDescriptor;

use crate::flow::{Field, Kind};

/// What stands for an absent value in a line.
const ABSENT: &[u8] = b"-";

/// What pandas makes of an absent value when it turns a column into strings.
const PANDAS_ABSENT: &[u8] = b"None";

/// From here on not every whole number is a double of its own.
const MAX_WHOLE: f64 = 9_007_199_254_740_992.0;

/// How the values of a column are said as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// As they are.
    Plain,
    /// Whole numbers whose highest bit is no sign.
    Unsigned,
    /// Times in parts of a second, said in seconds.
    Time { parts_per_second: i64 },
    /// Texts that a person chose: `None` is one of them.
    Tag,
}

impl Meaning {
    /// Of this column; or else what the column is, which nothing here can say as text.
    pub(super) fn of(column: &ColumnDescriptor) -> Result<Self, String> {
        if column.max_rep_level() > 0 {
            return Err("a list".to_owned());
        }
        if column.path().parts().len() > 1 {
            return Err("a part of a structure".to_owned());
        }
        let converted = column.converted_type();
        match (column.physical_type(), column.logical_type_ref(), converted) {
            (_, Some(LogicalType::Decimal(_)), _) | (_, _, ConvertedType::DECIMAL)
                if column.type_scale() != 0 || is_bytes(column) =>
            {
                Err("a decimal number".to_owned())
            }
            (Type::INT64, Some(LogicalType::Timestamp(time)), _) => {
                let parts_per_second = match time.unit {
                    TimeUnit::MILLIS => 1_000,
                    TimeUnit::MICROS => 1_000_000,
                    TimeUnit::NANOS => 1_000_000_000,
                };
                Ok(Self::Time { parts_per_second })
            }
            (Type::INT64, None, ConvertedType::TIMESTAMP_MILLIS) => Ok(Self::Time {
                parts_per_second: 1_000,
            }),
            (Type::INT64, None, ConvertedType::TIMESTAMP_MICROS) => Ok(Self::Time {
                parts_per_second: 1_000_000,
            }),
            (_, Some(LogicalType::Integer(integer)), _) if !integer.is_signed => Ok(Self::Unsigned),
            (_, None, ConvertedType::UINT_8 | ConvertedType::UINT_16) => Ok(Self::Unsigned),
            (_, None, ConvertedType::UINT_32 | ConvertedType::UINT_64) => Ok(Self::Unsigned),
            (Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY, logical, converted) => match logical {
                None if converted == ConvertedType::INTERVAL => Err("an interval".to_owned()),
                None
                | Some(LogicalType::String | LogicalType::Enum | LogicalType::Json | LogicalType::Unknown) => {
                    Ok(Self::of_text(column.name()))
                }
                Some(other) => Err(format!("of the type {other:?}")),
            },
            _ => Ok(Self::Plain),
        }
    }

    fn of_text(name: &str) -> Self {
        let field = Field::by_name(name.replace('_', "-").as_bytes());
        match field {
            Some(field) if field.spec().kind == Kind::Tag => Self::Tag,
            _ => Self::Plain,
        }
    }
}

fn is_bytes(column: &ColumnDescriptor) -> bool {
    matches!(
        column.physical_type(),
        Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY
    )
}

/// One column of a row group.
pub(super) struct Column {
    values: Values,
    /// For every row of the batch 1 where it has a value; empty where all have.
    levels: Vec<i16>,
    is_optional: bool,
    meaning: Meaning,
    /// Of the next present value.
    position: usize,
}

enum Values {
    Boolean(Chunk<BoolType>),
    Int32(Chunk<Int32Type>),
    Int64(Chunk<Int64Type>),
    Int96(Chunk<Int96Type>),
    Float(Chunk<FloatType>),
    Double(Chunk<DoubleType>),
    Bytes(Chunk<ByteArrayType>),
    FixedBytes(Chunk<FixedLenByteArrayType>),
}

/// A column of one physical type, and its values of the batch that are present.
struct Chunk<T: DataType> {
    reader: ColumnReaderImpl<T>,
    values: Vec<T::T>,
}

impl<T: DataType> Chunk<T> {
    fn new(reader: ColumnReaderImpl<T>) -> Self {
        let values = Vec::new();
        Self { reader, values }
    }

    fn read(&mut self, num_rows: usize, levels: &mut Vec<i16>) -> Result<usize, ParquetError> {
        self.values.clear();
        let (num_read, _, _) = self
            .reader
            .read_records(num_rows, Some(levels), None, &mut self.values)?;
        Ok(num_read)
    }
}

impl Column {
    pub(super) fn new(reader: ColumnReader, column: &ColumnDescriptor, meaning: Meaning) -> Self {
        let values = match reader {
            ColumnReader::BoolColumnReader(reader) => Values::Boolean(Chunk::new(reader)),
            ColumnReader::Int32ColumnReader(reader) => Values::Int32(Chunk::new(reader)),
            ColumnReader::Int64ColumnReader(reader) => Values::Int64(Chunk::new(reader)),
            ColumnReader::Int96ColumnReader(reader) => Values::Int96(Chunk::new(reader)),
            ColumnReader::FloatColumnReader(reader) => Values::Float(Chunk::new(reader)),
            ColumnReader::DoubleColumnReader(reader) => Values::Double(Chunk::new(reader)),
            ColumnReader::ByteArrayColumnReader(reader) => Values::Bytes(Chunk::new(reader)),
            ColumnReader::FixedLenByteArrayColumnReader(reader) => Values::FixedBytes(Chunk::new(reader)),
        };
        Self {
            values,
            levels: Vec::new(),
            is_optional: column.max_def_level() > 0,
            meaning,
            position: 0,
        }
    }

    /// Reads the next batch; how many rows it has, fewer than asked for only at the end.
    pub(super) fn read(&mut self, num_rows: usize) -> Result<usize, ParquetError> {
        self.position = 0;
        self.levels.clear();
        let levels = &mut self.levels;
        match &mut self.values {
            Values::Boolean(chunk) => chunk.read(num_rows, levels),
            Values::Int32(chunk) => chunk.read(num_rows, levels),
            Values::Int64(chunk) => chunk.read(num_rows, levels),
            Values::Int96(chunk) => chunk.read(num_rows, levels),
            Values::Float(chunk) => chunk.read(num_rows, levels),
            Values::Double(chunk) => chunk.read(num_rows, levels),
            Values::Bytes(chunk) => chunk.read(num_rows, levels),
            Values::FixedBytes(chunk) => chunk.read(num_rows, levels),
        }
    }

    /// Appends the value of a row of the batch. To be called for every row, in order.
    pub(super) fn write(&mut self, row: usize, line: &mut Vec<u8>) {
        if self.is_optional && self.levels[row] == 0 {
            return line.extend_from_slice(ABSENT);
        }
        let position = self.position;
        self.position += 1;
        match &self.values {
            Values::Boolean(chunk) => {
                let word: &[u8] = if chunk.values[position] { b"true" } else { b"false" };
                line.extend_from_slice(word);
            }
            Values::Int32(chunk) => {
                let value = chunk.values[position];
                match self.meaning {
                    Meaning::Unsigned => write_whole(value.cast_unsigned(), line),
                    _ => write_whole(value, line),
                }
            }
            Values::Int64(chunk) => {
                let value = chunk.values[position];
                match self.meaning {
                    Meaning::Unsigned => write_whole(value.cast_unsigned(), line),
                    Meaning::Time { parts_per_second } => {
                        write_whole(value.div_euclid(parts_per_second), line);
                    }
                    _ => write_whole(value, line),
                }
            }
            // Old writers (Hive, Impala, Spark) have times in this type, and nothing else.
            Values::Int96(chunk) => write_whole(chunk.values[position].to_seconds(), line),
            Values::Float(chunk) => write_float(f64::from(chunk.values[position]), line),
            Values::Double(chunk) => write_float(chunk.values[position], line),
            Values::Bytes(chunk) => self.write_text(chunk.values[position].data(), line),
            Values::FixedBytes(chunk) => self.write_text(chunk.values[position].data(), line),
        }
    }

    fn write_text(&self, text: &[u8], line: &mut Vec<u8>) {
        let is_absent = text.is_empty() || (text == PANDAS_ABSENT && self.meaning != Meaning::Tag);
        line.extend_from_slice(if is_absent { ABSENT } else { text });
    }
}

fn write_whole(value: impl itoa::Integer, line: &mut Vec<u8>) {
    line.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// pandas makes doubles of a column of whole numbers as soon as one is absent, and not-a-number of that one.
fn write_float(value: f64, line: &mut Vec<u8>) {
    if value.is_nan() {
        line.extend_from_slice(ABSENT);
    } else if value.fract() == 0.0 && value.abs() < MAX_WHOLE {
        #[allow(clippy::cast_possible_truncation, reason = "it is whole and small enough")]
        write_whole(value as i64, line);
    } else {
        write!(line, "{value}").expect("writing to memory does not fail");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_whole_numbers_where_they_are_whole() {
        let text = |value: f64| {
            let mut line = Vec::new();
            write_float(value, &mut line);
            String::from_utf8(line).unwrap()
        };
        let told = [
            443.0,
            0.0,
            -0.0,
            -1.0,
            443.5,
            f64::NAN,
            f64::INFINITY,
            1_418_530_070_123.0,
            1e19,
        ]
        .map(text);
        let expected = [
            "443",
            "0",
            "0",
            "-1",
            "443.5",
            "-",
            "inf",
            "1418530070123",
            "10000000000000000000",
        ];
        assert_eq!(told, expected);
    }
}
