//! Results as comma-separated values (RFC 4180, lines end with a line feed).

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::writer::ResultWriter;
use crate::domain::format::sanitized_lines;
use crate::store::query::{RowSink, SqlValue};

pub(super) struct CsvWriter<W> {
    out: W,
    /// CSV cannot escape control characters: they are replaced on a terminal, and only there.
    is_terminal: bool,
}

impl<W: Write> CsvWriter<W> {
    pub(super) fn new(out: W, is_terminal: bool) -> Self {
        Self { out, is_terminal }
    }

    fn write_field(&mut self, field: &str) -> io::Result<()> {
        let safe = self.is_terminal.then(|| sanitized_lines(field));
        let field = safe.as_deref().unwrap_or(field);
        if field.is_empty() || field.contains(['"', ',', '\n', '\r']) {
            write!(self.out, "\"{}\"", field.replace('"', "\"\""))
        } else {
            write!(self.out, "{field}")
        }
    }

    fn write_value(&mut self, value: &SqlValue<'_>) -> io::Result<()> {
        match value {
            SqlValue::Null => Ok(()),
            SqlValue::Bool(value) => write!(self.out, "{value}"),
            SqlValue::Number(text) | SqlValue::Text(text) | SqlValue::Json(text) => {
                self.write_field(text)
            }
            SqlValue::Bytes(bytes) => self.write_field(&STANDARD.encode(bytes)),
        }
    }

    fn write_line<T>(
        &mut self,
        fields: &[T],
        write: impl Fn(&mut Self, &T) -> io::Result<()>,
    ) -> io::Result<()> {
        for (index, field) in fields.iter().enumerate() {
            if index > 0 {
                write!(self.out, ",")?;
            }
            write(self, field)?;
        }
        writeln!(self.out)
    }
}

impl<W: Write> RowSink for CsvWriter<W> {
    fn columns(&mut self, names: &[String]) -> io::Result<()> {
        self.write_line(names, |writer, name| writer.write_field(name))
    }

    fn row(&mut self, values: &[SqlValue<'_>]) -> io::Result<()> {
        self.write_line(values, Self::write_value)
    }
}

impl<W: Write> ResultWriter for CsvWriter<W> {
    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
