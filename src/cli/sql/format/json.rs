//! Results as JSON.

use std::collections::HashSet;
use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::writer::ResultWriter;
use crate::domain::format::sanitized_json;
use crate::store::query::{RowSink, SqlValue};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JsonLayout {
    Array,
    Lines,
}

pub(super) struct JsonWriter<W> {
    out: W,
    layout: JsonLayout,
    /// The names of the columns as JSON.
    keys: Vec<String>,
    has_rows: bool,
}

impl<W: Write> JsonWriter<W> {
    pub(super) fn new(out: W, layout: JsonLayout) -> Self {
        Self {
            out,
            layout,
            keys: vec![],
            has_rows: false,
        }
    }
}

impl<W: Write> RowSink for JsonWriter<W> {
    fn columns(&mut self, names: &[String]) -> io::Result<()> {
        self.keys = distinct(names).iter().map(|name| quoted(name)).collect();
        match self.layout {
            JsonLayout::Array => write!(self.out, "["),
            JsonLayout::Lines => Ok(()),
        }
    }

    fn row(&mut self, values: &[SqlValue<'_>]) -> io::Result<()> {
        if self.layout == JsonLayout::Array {
            self.out
                .write_all(if self.has_rows { b",\n" } else { b"\n" })?;
        }
        self.has_rows = true;
        for (index, (key, value)) in self.keys.iter().zip(values).enumerate() {
            let separator = if index == 0 { '{' } else { ',' };
            write!(self.out, "{separator}{key}:")?;
            write_value(&mut self.out, value)?;
        }
        self.out.write_all(match self.layout {
            JsonLayout::Array => b"}",
            JsonLayout::Lines => b"}\n",
        })
    }
}

impl<W: Write> ResultWriter for JsonWriter<W> {
    fn finish(&mut self) -> io::Result<()> {
        match self.layout {
            JsonLayout::Array if self.has_rows => writeln!(self.out, "\n]")?,
            JsonLayout::Array => writeln!(self.out, "]")?,
            JsonLayout::Lines => {}
        }
        self.out.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn write_value(out: &mut impl Write, value: &SqlValue<'_>) -> io::Result<()> {
    match value {
        SqlValue::Null => write!(out, "null"),
        SqlValue::Bool(value) => write!(out, "{value}"),
        SqlValue::Number(digits) => write!(out, "{digits}"),
        SqlValue::Text(text) => write!(out, "{}", quoted(text)),
        SqlValue::Json(json) => write!(out, "{}", sanitized_json(json)),
        SqlValue::Bytes(bytes) => write!(out, "\"{}\"", STANDARD.encode(bytes)),
    }
}

/// Returns a text as a JSON string without characters that affect a terminal.
fn quoted(text: &str) -> String {
    sanitized_json(&serde_json::Value::from(text).to_string())
}

/// Numbers names that occur again, since an object has each name once: `id`, `id_2`.
fn distinct(names: &[String]) -> Vec<String> {
    let mut used: HashSet<String> = HashSet::new();
    let mut distinct = Vec::with_capacity(names.len());
    for name in names {
        let mut key = name.clone();
        let mut number = 2;
        // A name that stands elsewhere in the list is not taken for another column.
        while used.contains(&key) || (key != *name && names.contains(&key)) {
            key = format!("{name}_{number}");
            number += 1;
        }
        used.insert(key.clone());
        distinct.push(key);
    }
    distinct
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_distinct() {
        let names = ["id", "id", "id_2", "x", "id"].map(str::to_owned);
        assert_eq!(distinct(&names), ["id", "id_3", "id_2", "x", "id_4"]);
    }
}
