//! CSV after RFC 4180: a heading, lines that end in CR LF, and quotation marks around every text, so
//! that an empty text differs from NULL, which is nothing. Bytes are base64.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::columns::{COLUMNS, ColumnValue};
use super::encoder::Encoder;
use super::limits::WRITE_BUFFER_BYTES;
use super::partial_file::Sink;
use super::time_text::time_text;
use crate::store::SelectedMessage;

/// A CSV file.
pub(super) struct Csv {
    sink: Sink,
    buffer: Vec<u8>,
    base64: String,
}

impl Csv {
    pub(super) fn new(sink: Sink) -> Self {
        let mut buffer = Vec::with_capacity(WRITE_BUFFER_BYTES);
        // The heading stands once in an output, even if several days follow each other.
        if sink.is_at_start() {
            let names: Vec<&str> = COLUMNS.iter().map(|column| column.name).collect();
            buffer.extend_from_slice(names.join(",").as_bytes());
            buffer.extend_from_slice(b"\r\n");
        }
        Self {
            sink,
            buffer,
            base64: String::new(),
        }
    }

    fn write_value(&mut self, value: ColumnValue<'_>) -> io::Result<()> {
        let to = &mut self.buffer;
        match value {
            ColumnValue::Null => {}
            ColumnValue::Int(number) => write!(to, "{number}")?,
            ColumnValue::Word(word) => write_quoted(to, word),
            ColumnValue::Text(text) | ColumnValue::Json(text) => write_quoted(to, text),
            ColumnValue::Time(time) => to.extend(time_text(time).into_iter().flatten()),
            ColumnValue::Bytes(bytes) => {
                self.base64.clear();
                STANDARD.encode_string(bytes, &mut self.base64);
                write_quoted(to, &self.base64);
            }
        }
        Ok(())
    }
}

/// Writes a text in quotation marks. Those within it are doubled.
fn write_quoted(to: &mut Vec<u8>, text: &str) {
    to.push(b'"');
    for (n, part) in text.split('"').enumerate() {
        if n > 0 {
            to.extend_from_slice(b"\"\"");
        }
        to.extend_from_slice(part.as_bytes());
    }
    to.push(b'"');
}

impl Encoder for Csv {
    fn write(&mut self, message: &SelectedMessage) -> io::Result<()> {
        for (n, column) in COLUMNS.iter().enumerate() {
            if n > 0 {
                self.buffer.push(b',');
            }
            self.write_value((column.value)(message))?;
        }
        self.buffer.extend_from_slice(b"\r\n");
        if self.buffer.len() >= WRITE_BUFFER_BYTES {
            self.sink.write_all(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> io::Result<Sink> {
        self.sink.write_all(&self.buffer)?;
        Ok(self.sink)
    }
}
