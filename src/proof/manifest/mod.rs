//! The ledger's claims as a file: one line per ledger row, chained, and signed at the end.
//!
//! A line is a JSON object. Its last field, `chain`, is the BLAKE3 hash of the previous line's
//! `chain` and of the line without that field. A line that was changed, removed, inserted or moved
//! is therefore the first whose chain does not fit. Somebody who chains all lines anew cannot sign
//! them. A claim can be checked from the messages alone: the archive may have joined its windows
//! since, or be another archive.
//!
//! | question | file |
//! |---|---|
//! | lines, chain, version | `format.rs` |
//! | keys and signatures | `key.rs` |
//! | writing a manifest | `write.rs` |
//! | reading and checking one | `read.rs` |

mod error;
mod format;
mod key;
mod read;
mod write;

pub use error::ManifestError;
pub use key::ManifestKey;
pub use read::Manifest;
pub use write::write;
