//! Apache Parquet: typed columns, compressed with zstd, in row groups of a bounded size. The provider
//! is not a column but the name of a folder.

use std::io::{self, Write};
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

use super::columns::{COLUMNS, Column, ColumnType, ColumnValue, PROVIDER};
use super::encoder::Encoder;
use super::limits::{COMPRESSION_LEVEL, ROW_GROUP_BYTES, ROW_GROUP_MESSAGES};
use super::partial_file::Sink;
use crate::store::SelectedMessage;

/// A Parquet file.
pub(super) struct Parquet {
    writer: SerializedFileWriter<Sink>,
    columns: Vec<(&'static Column, ColumnBuffer)>,
    messages: usize,
    bytes: usize,
}

/// The values of a column in the row group that is being filled. `levels` has a 1 for each value and
/// a 0 for each NULL.
#[derive(Default)]
struct ColumnBuffer {
    numbers: Vec<i64>,
    /// All texts, one behind the other, and the end of each.
    texts: Vec<u8>,
    ends: Vec<usize>,
    levels: Vec<i16>,
}

impl Parquet {
    pub(super) fn new(sink: Sink) -> io::Result<Self> {
        let columns = || COLUMNS.iter().filter(|column| column.name != PROVIDER.name);
        let fields: Vec<String> = columns().map(schema_field).collect();
        let schema = format!("message archive {{ {} }}", fields.join(" "));
        let schema = parse_message_type(&schema).map_err(io::Error::other)?;
        let level = ZstdLevel::try_new(COMPRESSION_LEVEL).map_err(io::Error::other)?;
        let mut properties = WriterProperties::builder()
            .set_created_by(concat!("backscroll ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(Compression::ZSTD(level));
        // A dictionary pays for values that repeat, and the least and the greatest value for those that
        // readers compare.
        for column in columns().filter(|column| column.column_type != ColumnType::Name) {
            let path = ColumnPath::from(column.name);
            if matches!(column.column_type, ColumnType::Text | ColumnType::Bytes) {
                let none = EnabledStatistics::None;
                properties = properties.set_column_statistics_enabled(path.clone(), none);
            }
            properties = properties.set_column_dictionary_enabled(path, false);
        }
        let writer =
            SerializedFileWriter::new(sink, Arc::new(schema), Arc::new(properties.build()))
                .map_err(io::Error::other)?;
        Ok(Self {
            writer,
            columns: columns()
                .map(|column| (column, ColumnBuffer::default()))
                .collect(),
            messages: 0,
            bytes: 0,
        })
    }

    /// Writes the row group that is in memory.
    fn flush(&mut self) -> io::Result<()> {
        if self.messages == 0 {
            return Ok(());
        }
        let mut group = self.writer.next_row_group().map_err(io::Error::other)?;
        for (column, buffer) in &mut self.columns {
            let Some(writer) = group.next_column().map_err(io::Error::other)? else {
                break;
            };
            buffer.write_to(writer, column.column_type)?;
        }
        group.close().map_err(io::Error::other)?;
        (self.messages, self.bytes) = (0, 0);
        Ok(())
    }
}

/// Returns the field of a column in the words of a schema.
fn schema_field(column: &Column) -> String {
    let name = column.name;
    match column.column_type {
        ColumnType::Int => format!("required int64 {name};"),
        ColumnType::Name | ColumnType::Text => format!("optional binary {name} (STRING);"),
        ColumnType::Time => format!("optional int64 {name} (TIMESTAMP(MILLIS,true));"),
        ColumnType::Bytes => format!("required binary {name};"),
    }
}

impl ColumnBuffer {
    /// Adds a value. Returns its size in bytes.
    fn push(&mut self, value: ColumnValue<'_>) -> usize {
        let bytes: &[u8] = match value {
            ColumnValue::Null => {
                self.levels.push(0);
                return 0;
            }
            ColumnValue::Int(number) => {
                self.levels.push(1);
                self.numbers.push(number);
                return 0;
            }
            ColumnValue::Time(time) => {
                self.levels.push(1);
                self.numbers.push(time.0);
                return 0;
            }
            ColumnValue::Word(word) => word.as_bytes(),
            ColumnValue::Text(text) | ColumnValue::Json(text) => text.as_bytes(),
            ColumnValue::Bytes(bytes) => bytes,
        };
        self.levels.push(1);
        self.texts.extend_from_slice(bytes);
        self.ends.push(self.texts.len());
        bytes.len()
    }

    /// Writes the values as one column of a row group.
    fn write_to(
        &mut self,
        mut writer: SerializedColumnWriter<'_>,
        column_type: ColumnType,
    ) -> io::Result<()> {
        let is_optional = !matches!(column_type, ColumnType::Int | ColumnType::Bytes);
        let texts = self.take_texts();
        let levels = is_optional.then_some(&self.levels[..]);
        let written = match column_type {
            ColumnType::Int | ColumnType::Time => {
                let writer = writer.typed::<Int64Type>();
                writer.write_batch(&self.numbers, levels, None)
            }
            ColumnType::Name | ColumnType::Text | ColumnType::Bytes => {
                let writer = writer.typed::<ByteArrayType>();
                writer.write_batch(&texts, levels, None)
            }
        };
        written.map_err(io::Error::other)?;
        writer.close().map_err(io::Error::other)?;
        self.numbers.clear();
        self.levels.clear();
        Ok(())
    }

    /// Takes out the texts. They share one piece of memory.
    fn take_texts(&mut self) -> Vec<ByteArray> {
        let texts = ByteArray::from(std::mem::take(&mut self.texts));
        let mut start = 0;
        let text = |end| {
            let text = texts.slice(start, end - start);
            start = end;
            text
        };
        self.ends.drain(..).map(text).collect()
    }
}

impl Encoder for Parquet {
    fn write(&mut self, message: &SelectedMessage) -> io::Result<()> {
        for (column, buffer) in &mut self.columns {
            self.bytes += buffer.push((column.value)(message));
        }
        self.messages += 1;
        if self.messages >= ROW_GROUP_MESSAGES || self.bytes >= ROW_GROUP_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> io::Result<Sink> {
        self.flush()?;
        let mut sink = self.writer.into_inner().map_err(io::Error::other)?;
        sink.flush()?;
        Ok(sink)
    }
}
