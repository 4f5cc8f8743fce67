//! CSV after RFC 4180: a heading, lines that end in CR LF, and quotation marks around every text, so
//! that an empty text differs from NULL, which is nothing. Bytes are base64.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::columns::{COLUMNS, ColumnValue};
use super::encoder::{Encoder, RowBuffer};
use super::partial_file::Sink;
use super::time_text::time_text;
use crate::store::SelectedMessage;

/// A CSV file.
pub(super) struct Csv {
    rows: RowBuffer,
    base64: String,
}

impl Csv {
    pub(super) fn new(sink: Sink) -> Self {
        let mut rows = RowBuffer::new(sink);
        // The heading stands once in an output, even if several days follow each other.
        if rows.is_at_start() {
            let names: Vec<&str> = COLUMNS.iter().map(|column| column.name).collect();
            rows.bytes.extend_from_slice(names.join(",").as_bytes());
            rows.bytes.extend_from_slice(b"\r\n");
        }
        Self {
            rows,
            base64: String::new(),
        }
    }

    fn write_value(&mut self, value: ColumnValue<'_>) -> io::Result<()> {
        let to = &mut self.rows.bytes;
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
                self.rows.bytes.push(b',');
            }
            self.write_value((column.value)(message))?;
        }
        self.rows.end_row(b"\r\n")
    }

    fn finish(self: Box<Self>) -> io::Result<Sink> {
        self.rows.finish()
    }
}
