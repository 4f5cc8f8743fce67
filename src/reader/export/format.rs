//! The formats of files.

use std::io;

use super::csv::Csv;
use super::encoder::{Encoder, FileSubject};
use super::html::Html;
use super::jsonl::Jsonl;
use super::partial_file::Sink;

/// A format of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExportFormat {
    /// A JSON object on each line.
    Jsonl,
    /// RFC 4180. Texts are in quotation marks, and NULL is nothing at all.
    Csv,
    /// Apache Parquet, compressed.
    #[cfg(feature = "parquet")]
    Parquet,
    /// A page for each conversation and day.
    Html,
}

impl ExportFormat {
    /// Returns the name of the format, which is also the ending of its files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            #[cfg(feature = "parquet")]
            Self::Parquet => "parquet",
            Self::Html => "html",
        }
    }

    /// True if the format can be written to standard output.
    pub fn is_text(self) -> bool {
        matches!(self, Self::Jsonl | Self::Csv)
    }

    /// True if each conversation has a file of its own.
    pub(super) fn is_by_conversation(self) -> bool {
        self == Self::Html
    }

    /// Begins a file: of one conversation, or of any messages.
    pub(super) fn encode_to(
        self,
        sink: Sink,
        subject: Option<FileSubject>,
    ) -> io::Result<Box<dyn Encoder>> {
        match subject {
            Some(subject) => Ok(Box::new(Html::new(sink, subject))),
            None => self.encode_rows_to(sink),
        }
    }

    /// Begins a file, or an output, of a format that knows no conversations.
    pub(super) fn encode_rows_to(self, sink: Sink) -> io::Result<Box<dyn Encoder>> {
        Ok(match self {
            Self::Jsonl => Box::new(Jsonl::new(sink)),
            Self::Csv => Box::new(Csv::new(sink)),
            #[cfg(feature = "parquet")]
            Self::Parquet => Box::new(super::parquet::Parquet::new(sink)?),
            Self::Html => return Err(io::ErrorKind::Unsupported.into()),
        })
    }
}
