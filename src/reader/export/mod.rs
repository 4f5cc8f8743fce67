//! Messages in files: one for each provider and day (a transcript: for each conversation, too), with a
//! manifest that says what they hold.
//!
//! The day is the unit of an export, as the window is that of the archive. All files of a day come
//! from one snapshot of the archive, are written under a temporary name, and take their final name
//! when they are on disk. The manifest names a file only after that. A day whose
//! [`ChangeMark`](crate::store::ChangeMark) is that of the manifest is not written again.
//!
//! A snapshot of all days would keep an SQLite archive from emptying its write-ahead log for as long
//! as the export takes. Therefore coverage is read first: what it claims is in the files, and they may
//! hold more.
//!
//! | question | file |
//! |---|---|
//! | the steps of an export | `run.rs` |
//! | the files of one day | `day.rs` |
//! | how do messages get from the archive to the files | `message_flow.rs` |
//! | how does a file take its final name | `partial_file.rs` |
//! | where does a file lie | `layout.rs` |
//! | what does the manifest say | `manifest.rs` |
//! | how are cut, altered, missing and additional files found | `check.rs` |
//! | which pages does a transcript have | `index_page.rs` |
//! | one message in a format | `jsonl.rs`, `csv.rs`, `parquet.rs`, `html.rs` |
//! | columns, and their values as text | `columns.rs`, `time_text.rs` |
//! | tunables | `limits.rs` |

mod check;
mod columns;
mod csv;
mod day;
mod encoder;
mod error;
mod folder;
mod format;
mod html;
mod index_page;
mod jsonl;
mod layout;
mod limits;
mod manifest;
mod message_flow;
#[cfg(feature = "parquet")]
mod parquet;
mod partial_file;
mod run;
mod time_text;

pub use check::{CheckFinding, CheckReport, check_export};
pub use error::ExportError;
pub use format::ExportFormat;
pub use run::{ExportReport, export_to_folder, export_to_output};
