//! The files of an export, read back.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::support::env::CommandOutput;
use crate::support::verify_fixture::VerifyFixture;

/// A message: the values of its columns.
pub(crate) type Row = Map<String, Value>;

impl VerifyFixture {
    /// Exports into a folder beside the archive.
    pub(crate) fn export(&self, format: &str, folder: &str, filters: &[&str]) -> CommandOutput {
        self.env
            .run(&[&["export", "--format", format, "--out", folder], filters].concat())
    }

    pub(crate) fn check_export(&self, folder: &str) -> CommandOutput {
        self.env.run(&["export", "--check", folder])
    }

    /// Returns the rows of all files of an export, which end in `ending`.
    pub(crate) fn exported_rows(&self, folder: &str, ending: &str) -> Vec<Row> {
        let folder = self.env.path(folder);
        let files = files_with_ending(&folder, ending);
        files.iter().flat_map(|path| rows_of(path)).collect()
    }
}

/// Returns the files in a folder and those in it, by the end of their names.
pub(crate) fn files_with_ending(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_str().unwrap().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort_unstable();
    found
}

fn rows_of(path: &Path) -> Vec<Row> {
    match path.extension().unwrap().to_str().unwrap() {
        "jsonl" => rows_of_json(&std::fs::read_to_string(path).unwrap()),
        "csv" => rows_of_csv(&std::fs::read_to_string(path).unwrap()),
        #[cfg(feature = "parquet")]
        "parquet" => rows_of_parquet(path),
        other => panic!("{other}"),
    }
}

pub(crate) fn rows_of_json(text: &str) -> Vec<Row> {
    assert!(text.is_empty() || text.ends_with('\n'), "the end is cut");
    let row = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    text.lines().map(row).collect()
}

/// Reads CSV as RFC 4180 defines it. A value without quotation marks is a number, a time or NULL.
pub(crate) fn rows_of_csv(text: &str) -> Vec<Row> {
    let mut records: Vec<Vec<Value>> = vec![vec![]];
    let mut rest = text;
    while !rest.is_empty() {
        let value;
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut end = 0;
            while !quoted[end..].starts_with('"') || quoted[end..].starts_with("\"\"") {
                let length = quoted[end..].chars().next().unwrap().len_utf8();
                end += if quoted[end..].starts_with('"') {
                    2
                } else {
                    length
                };
            }
            value = Value::from(quoted[..end].replace("\"\"", "\""));
            rest = &quoted[end + 1..];
        } else {
            let end = rest.find([',', '\r']).unwrap();
            value = match &rest[..end] {
                "" => Value::Null,
                plain => plain
                    .parse::<i64>()
                    .map_or_else(|_| Value::from(plain), Value::from),
            };
            rest = &rest[end..];
        }
        records.last_mut().unwrap().push(value);
        if let Some(next) = rest.strip_prefix(',') {
            rest = next;
        } else {
            rest = rest.strip_prefix("\r\n").expect("CR LF");
            records.push(vec![]);
        }
    }
    assert_eq!(records.pop(), Some(vec![]), "the last line ends");
    let names = records.remove(0);
    let names: Vec<&str> = names.iter().map(|name| name.as_str().unwrap()).collect();
    let row = |record: Vec<Value>| {
        assert_eq!(record.len(), names.len());
        let names = names.iter().map(|name| (*name).to_owned());
        names.zip(record).collect()
    };
    records.into_iter().map(row).collect()
}

#[cfg(feature = "parquet")]
fn rows_of_parquet(path: &Path) -> Vec<Row> {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;
    let file = std::fs::File::open(path).unwrap();
    let reader = SerializedFileReader::new(file).unwrap();
    let time = |ms: i64| Value::from(backscroll::domain::time::Millis(ms).to_string());
    let value = |field: &Field| match field {
        Field::Null => Value::Null,
        Field::Str(text) => Value::from(text.as_str()),
        Field::Long(number) => Value::from(*number),
        Field::TimestampMillis(ms) => time(*ms),
        Field::Bytes(bytes) => Value::from(STANDARD.encode(bytes.data())),
        other => panic!("{other}"),
    };
    let rows = reader.get_row_iter(None).unwrap();
    rows.map(|row| {
        let row = row.unwrap();
        let columns = row.get_column_iter();
        columns
            .map(|(name, field)| (name.clone(), value(field)))
            .collect()
    })
    .collect()
}

/// Returns the payload of a row.
pub(crate) fn payload(row: &Row) -> Vec<u8> {
    STANDARD.decode(row["payload"].as_str().unwrap()).unwrap()
}

/// Returns rows in the form of [`VerifyFixture::archived_rows`].
pub(crate) fn comparable(rows: &[Row]) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let line = |row: &Row| {
        let payload = hex::encode(payload(row));
        let mut parts = [
            "account",
            "conversation",
            "sender",
            "recipient",
            "sent_at_ms",
        ]
        .map(|column| text(&row[column]))
        .to_vec();
        parts.push(payload);
        let rest = [
            "body",
            "provider_message_id",
            "occurrence",
            "payload_encoding",
        ];
        parts.extend(rest.map(|column| text(&row[column])));
        parts.join("|")
    };
    let mut lines: Vec<String> = rows.iter().map(line).collect();
    lines.sort_unstable();
    lines
}
