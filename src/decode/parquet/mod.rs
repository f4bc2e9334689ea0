//! A Parquet file → its rows as lines. The file is spooled, because it can only be read from its end; of its rows a
//! batch is in memory, and of every column the page that the batch is in.

mod column;
mod spool;

use std::fmt;
use std::fs::File;
use std::io::BufRead;
use std::panic::{AssertUnwindSafe, catch_unwind};

use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::SerializedFileReader;

use super::window::Window;
use super::{DecodeError, Line, MAX_LINE_BYTES};
use column::{Column, Meaning};

/// Rows read at once: enough that changing from column to column costs nothing, few enough that all their values
/// stay in the cache of the processor.
const BATCH_ROWS: usize = 1024;

/// The rows of one Parquet file.
pub(super) struct Rows {
    file: SerializedFileReader<File>,
    meanings: Vec<Meaning>,
    columns: Vec<Column>,
    /// The next row group to be opened.
    next_group: usize,
    /// Rows of the open row group that are in no batch yet.
    num_left: usize,
    batch_rows: usize,
    /// The next row of the batch.
    row: usize,
    /// Rows handed out.
    num_rows: u64,
    line: Vec<u8>,
    spans: Vec<(usize, usize)>,
}

impl Rows {
    /// Spools the rest of the object and reads the file's table of contents.
    pub(super) fn open<R: BufRead>(window: &mut Window<R>) -> Result<Self, DecodeError> {
        let spooled = spool::spool(window)?;
        let file = guarded(0, || SerializedFileReader::new(spooled))?;
        let meanings = check(file.metadata()).map_err(|detail| DecodeError::UnsupportedParquet { detail })?;
        Ok(Self {
            file,
            columns: Vec::with_capacity(meanings.len()),
            meanings,
            next_group: 0,
            num_left: 0,
            batch_rows: 0,
            row: 0,
            num_rows: 0,
            line: Vec::new(),
            spans: Vec::new(),
        })
    }

    /// The names of the columns.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let schema = self.file.metadata().file_metadata().schema_descr();
        schema.columns().iter().map(|column| column.name())
    }

    /// The next row; `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>, DecodeError> {
        while self.row == self.batch_rows {
            let num_rows = self.num_rows;
            if !guarded(num_rows, || self.read_batch())? {
                return Ok(None);
            }
        }
        self.line.clear();
        self.spans.clear();
        for column in &mut self.columns {
            if !self.spans.is_empty() {
                self.line.push(b' ');
            }
            let from = self.line.len();
            column.write(self.row, &mut self.line);
            self.spans.push((from, self.line.len()));
        }
        self.row += 1;
        self.num_rows += 1;
        if self.line.len() > MAX_LINE_BYTES {
            let num_bytes = self.line.len() as u64;
            return Ok(Some(Line::TooLong { num_bytes }));
        }
        let (line, spans) = (&self.line[..], &self.spans[..]);
        Ok(Some(Line::Row { line, spans }))
    }

    /// Reads the next batch; false after the last row group.
    fn read_batch(&mut self) -> Result<bool, ParquetError> {
        (self.row, self.batch_rows) = (0, 0);
        if self.num_left == 0 {
            self.check_end()?;
            if self.next_group == self.file.num_row_groups() {
                return Ok(false);
            }
            return self.open_group().map(|()| true);
        }
        let num_rows = self.num_left.min(BATCH_ROWS);
        for column in &mut self.columns {
            if column.read(num_rows)? != num_rows {
                return Err(ParquetError::General(
                    "a column has fewer values than its row group has rows".to_owned(),
                ));
            }
        }
        self.num_left -= num_rows;
        self.batch_rows = num_rows;
        Ok(true)
    }

    /// No row of the group that is read may be left over: it would be lost without a word.
    fn check_end(&mut self) -> Result<(), ParquetError> {
        for column in &mut self.columns {
            if column.read(1)? != 0 {
                return Err(ParquetError::General(
                    "a column has more values than its row group has rows".to_owned(),
                ));
            }
        }
        Ok(())
    }

    fn open_group(&mut self) -> Result<(), ParquetError> {
        let group = self.file.get_row_group(self.next_group)?;
        let schema = group.metadata().schema_descr();
        self.columns.clear();
        for (number, meaning) in self.meanings.iter().enumerate() {
            let reader = group.get_column_reader(number)?;
            self.columns
                .push(Column::new(reader, &schema.column(number), *meaning));
        }
        self.num_left = usize::try_from(group.metadata().num_rows())?;
        self.next_group += 1;
        Ok(())
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows")
            .field("num_rows", &self.num_rows)
            .field("next_group", &self.next_group)
            .finish_non_exhaustive()
    }
}

/// How the columns are said as text; or else what of the file is not read.
fn check(metadata: &ParquetMetaData) -> Result<Vec<Meaning>, String> {
    for chunk in metadata.row_groups().iter().flat_map(RowGroupMetaData::columns) {
        check_compression(chunk.compression())?;
    }
    let columns = metadata.file_metadata().schema_descr().columns();
    let meanings = columns.iter().map(|column| {
        Meaning::of(column).map_err(|what| {
            let name = column.path().string();
            format!("has a column `{name}` that is {what}, which is not read")
        })
    });
    meanings.collect()
}

/// AWS writes gzip; other programs write snappy, zstd or lz4 unless they are told otherwise.
fn check_compression(compression: Compression) -> Result<(), String> {
    match compression {
        Compression::UNCOMPRESSED
        | Compression::GZIP(_)
        | Compression::SNAPPY
        | Compression::ZSTD(_)
        | Compression::LZ4
        | Compression::LZ4_RAW => Ok(()),
        Compression::BROTLI(_) => Err("is compressed with brotli, which is not read".to_owned()),
        Compression::LZO => Err("is compressed with lzo, which is not read".to_owned()),
    }
}

/// Runs the decoder. It takes much of a file on trust, and panics where a damaged one breaks it.
fn guarded<T>(num_rows: u64, decode: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, DecodeError> {
    let detail = match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(Ok(decoded)) => return Ok(decoded),
        Ok(Err(ParquetError::General(detail) | ParquetError::EOF(detail))) => detail,
        Ok(Err(ParquetError::External(error))) => error.to_string(),
        Ok(Err(error)) => error.to_string(),
        Err(_panic) => "the decoder cannot make sense of it".to_owned(),
    };
    Err(DecodeError::CorruptParquet { num_rows, detail })
}

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
