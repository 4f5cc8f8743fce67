//! The formats of files.

use std::io;

use super::csv::Csv;
use super::encoder::Encoder;
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
}

impl ExportFormat {
    /// Returns the name of the format, which is also the ending of its files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            #[cfg(feature = "parquet")]
            Self::Parquet => "parquet",
        }
    }

    /// True if the format can be written to standard output.
    pub fn is_text(self) -> bool {
        matches!(self, Self::Jsonl | Self::Csv)
    }

    /// Begins a file.
    pub(super) fn encode_to(self, sink: Sink) -> io::Result<Box<dyn Encoder>> {
        Ok(match self {
            Self::Jsonl => Box::new(Jsonl::new(sink)),
            Self::Csv => Box::new(Csv::new(sink)),
            #[cfg(feature = "parquet")]
            Self::Parquet => Box::new(super::parquet::Parquet::new(sink)?),
        })
    }
}
