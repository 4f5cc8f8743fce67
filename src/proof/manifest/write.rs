//! Writing a manifest.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::error::ManifestError;
use super::format::{CHAIN_FIELD, ManifestEnd, ManifestHeader, ManifestRow, VERSION, next_chain};
use super::key::ManifestKey;
use crate::domain::digest::Digest;
use crate::domain::time::{Millis, Second};
use crate::domain::window::Window;
use crate::proof::limits::ROWS_PER_MANIFEST_READ;
use crate::store::{Archive, KnownStream};

/// Writes the ledger of the archive, or of one of its accounts, and returns the number of rows.
/// The file appears complete or not at all.
pub async fn write(
    store: &dyn Archive,
    account: Option<&str>,
    key: &ManifestKey,
    created: Millis,
    path: &Path,
) -> Result<u64, ManifestError> {
    let unfinished = unfinished_path(path);
    let failed = |source| ManifestError::File {
        path: path.into(),
        source,
    };
    let file = BufWriter::new(File::create(&unfinished).map_err(failed)?);
    let mut out = ManifestWriter {
        path,
        file,
        chain: Digest::default(),
        rows: 0,
    };
    out.write_line(&ManifestHeader {
        backscroll_manifest: VERSION,
        schema: store.schema_version(),
        created: created.to_string(),
        public_key: key.public_hex(),
    })?;
    for stream in store.streams().await? {
        if account.is_none_or(|account| account == stream.account) {
            out.write_stream(store, &stream).await?;
        }
    }
    let rows = out.rows;
    out.finish(key)?;
    std::fs::rename(&unfinished, path).map_err(failed)?;
    Ok(rows)
}

fn unfinished_path(path: &Path) -> PathBuf {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".unfinished");
    PathBuf::from(unfinished)
}

struct ManifestWriter<'a> {
    /// The path of the finished file, for errors.
    path: &'a Path,
    file: BufWriter<File>,
    chain: Digest,
    rows: u64,
}

impl ManifestWriter<'_> {
    /// Writes all ledger rows of a stream.
    async fn write_stream(
        &mut self,
        store: &dyn Archive,
        stream: &KnownStream,
    ) -> Result<(), ManifestError> {
        let mut rest = Window::new(Second(i64::MIN), Second(i64::MAX));
        while let Some(window) = rest {
            let rows = store
                .ledger_rows(stream.id, window, ROWS_PER_MANIFEST_READ)
                .await?;
            for row in &rows {
                self.write_line(&ManifestRow::from_ledger_row(stream, row)?)?;
            }
            self.rows += rows.len() as u64;
            rest = rows
                .last()
                .and_then(|last| window.starting_at(last.window.to()));
        }
        Ok(())
    }

    /// Writes a line with its chain value.
    fn write_line(&mut self, line: &impl Serialize) -> Result<(), ManifestError> {
        let line = serde_json::to_string(line).map_err(|error| self.error(error.into()))?;
        self.chain = next_chain(self.chain, &line);
        let open = line.strip_suffix('}').unwrap_or(&line);
        let written = writeln!(self.file, "{open}{CHAIN_FIELD}{}\"}}", self.chain);
        written.map_err(|source| self.error(source))
    }

    /// Writes the signature, and waits until the file is on disk.
    fn finish(mut self, key: &ManifestKey) -> Result<(), ManifestError> {
        let (chain, signature) = (self.chain.to_string(), key.sign(self.chain));
        let end = ManifestEnd {
            rows: self.rows,
            chain,
            signature,
        };
        let path = self.path;
        let failed = |source| ManifestError::File {
            path: path.into(),
            source,
        };
        let end = serde_json::to_string(&end).map_err(|error| failed(error.into()))?;
        writeln!(self.file, "{end}").map_err(failed)?;
        let file = self
            .file
            .into_inner()
            .map_err(|error| failed(error.into_error()))?;
        file.sync_all().map_err(failed)
    }

    fn error(&self, source: std::io::Error) -> ManifestError {
        ManifestError::File {
            path: self.path.into(),
            source,
        }
    }
}
