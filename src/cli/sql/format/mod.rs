//! The forms of a result. Each writes row by row, in bounded memory.

mod csv;
mod json;
mod table;
mod writer;

use std::io::{self, IsTerminal as _, Write};

use self::csv::CsvWriter;
use self::json::{JsonLayout, JsonWriter};
use self::table::TableWriter;
pub(super) use self::writer::ResultWriter;

/// The form of a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ResultFormat {
    /// Aligned columns for people. Control characters are shown as in JSON
    #[default]
    Table,
    /// One array of objects
    Json,
    /// One object a line
    Jsonl,
    /// Comma-separated values under a line of names. NULL is nothing, an empty text is ""
    Csv,
}

impl ResultFormat {
    /// Returns a writer to standard output.
    pub(super) fn writer(self) -> Box<dyn ResultWriter> {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        let out = io::BufWriter::with_capacity(1 << 16, stdout);
        self.writer_to(out, is_terminal)
    }

    fn writer_to(self, out: impl Write + 'static, is_terminal: bool) -> Box<dyn ResultWriter> {
        match self {
            Self::Table => Box::new(TableWriter::new(out, is_terminal && has_colors())),
            Self::Json => Box::new(JsonWriter::new(out, JsonLayout::Array)),
            Self::Jsonl => Box::new(JsonWriter::new(out, JsonLayout::Lines)),
            Self::Csv => Box::new(CsvWriter::new(out, is_terminal)),
        }
    }
}

/// True unless the variable `NO_COLOR` says otherwise.
fn has_colors() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
