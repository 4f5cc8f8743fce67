//! JSON lines: an object for each message, with the columns of the view `archive`.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

use super::columns::{COLUMNS, ColumnValue};
use super::encoder::{Encoder, RowBuffer};
use super::partial_file::Sink;
use super::time_text::time_text;
use crate::store::SelectedMessage;

/// A file of JSON lines.
pub(super) struct Jsonl {
    rows: RowBuffer,
    base64: String,
}

impl Jsonl {
    pub(super) fn new(sink: Sink) -> Self {
        Self {
            rows: RowBuffer::new(sink),
            base64: String::new(),
        }
    }

    fn write_value(&mut self, value: ColumnValue<'_>) -> io::Result<()> {
        let to = &mut self.rows.bytes;
        match value {
            ColumnValue::Null => to.extend_from_slice(b"null"),
            ColumnValue::Int(number) => write!(to, "{number}")?,
            ColumnValue::Word(word) => {
                to.push(b'"');
                to.extend_from_slice(word.as_bytes());
                to.push(b'"');
            }
            ColumnValue::Text(text) => serde_json::to_writer(to, text)?,
            ColumnValue::Time(time) => match time_text(time) {
                Some(text) => {
                    to.push(b'"');
                    to.extend_from_slice(&text);
                    to.push(b'"');
                }
                None => to.extend_from_slice(b"null"),
            },
            ColumnValue::Bytes(bytes) => {
                self.base64.clear();
                STANDARD.encode_string(bytes, &mut self.base64);
                to.push(b'"');
                to.extend_from_slice(self.base64.as_bytes());
                to.push(b'"');
            }
            // Valid JSON has line breaks between its parts only, where they mean nothing.
            ColumnValue::Json(text) => match serde_json::from_str::<&RawValue>(text) {
                Ok(_) => to.extend(text.bytes().map(|byte| match byte {
                    b'\n' | b'\r' => b' ',
                    byte => byte,
                })),
                Err(_) => serde_json::to_writer(to, text)?,
            },
        }
        Ok(())
    }
}

impl Encoder for Jsonl {
    fn write(&mut self, message: &SelectedMessage) -> io::Result<()> {
        for (n, column) in COLUMNS.iter().enumerate() {
            let to = &mut self.rows.bytes;
            to.extend_from_slice(if n == 0 { b"{\"" } else { b",\"" });
            to.extend_from_slice(column.name.as_bytes());
            to.extend_from_slice(b"\":");
            self.write_value((column.value)(message))?;
        }
        self.rows.end_row(b"}\n")
    }

    fn finish(self: Box<Self>) -> io::Result<Sink> {
        self.rows.finish()
    }
}
