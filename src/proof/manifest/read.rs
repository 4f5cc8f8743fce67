//! Reading a manifest, and checking its chain and its signature.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use super::error::ManifestError;
use super::format::{
    CHAIN_FIELD, ManifestEnd, ManifestHeader, ManifestRow, VERSION, next_chain, parse_digest,
};
use super::key::is_signed;
use crate::domain::digest::Digest;
use crate::proof::claim::{Claim, ClaimedStream};

/// A manifest with a correct chain and signature.
#[derive(Debug)]
pub struct Manifest {
    /// The signer's public key in hex. Somebody who changed the manifest could have signed it with
    /// a key of their own, so compare it with a known key.
    pub public_key: String,
    pub created: String,
    pub rows: u64,
    streams: Vec<(Arc<ClaimedStream>, Vec<Claim>)>,
}

impl Manifest {
    /// Reads a manifest, and checks that it is unchanged since it was signed. `signer` is the
    /// expected public key in hex, if it is known.
    pub fn read(path: &Path, signer: Option<&str>) -> Result<Self, ManifestError> {
        let mut lines = ManifestReader::open(path)?;
        let first = lines.next_line()?;
        let header: ManifestHeader = lines.parse_chained(&first)?;
        if header.backscroll_manifest != VERSION {
            return Err(lines.error_here("a manifest of another version of Backscroll"));
        }
        let ManifestHeader {
            public_key,
            created,
            ..
        } = header;
        if let Some(wanted) = signer.filter(|wanted| !wanted.eq_ignore_ascii_case(&public_key)) {
            let (path, wanted) = (path.into(), wanted.to_owned());
            return Err(ManifestError::WrongSigner {
                path,
                found: public_key,
                wanted,
            });
        }
        let mut manifest = Self {
            public_key,
            created,
            rows: 0,
            streams: Vec::new(),
        };
        loop {
            let line = lines.next_line()?;
            if let Ok(end) = serde_json::from_str::<ManifestEnd>(&line) {
                lines.check_end(&end, &manifest)?;
                return Ok(manifest);
            }
            let row: ManifestRow = lines.parse_chained(&line)?;
            let (stream, claim) = row
                .into_claim(lines.number)
                .ok_or_else(|| lines.error_here("no claim of a window"))?;
            manifest
                .push_claim(stream, claim)
                .ok_or_else(|| lines.error_here("a window out of order"))?;
        }
    }

    /// Returns the streams and their claims.
    pub(in crate::proof) fn streams(
        &self,
    ) -> impl Iterator<Item = (&Arc<ClaimedStream>, &[Claim])> {
        self.streams
            .iter()
            .map(|(stream, claims)| (stream, claims.as_slice()))
    }

    /// Adds a claim. `None` if it precedes the stream's last one.
    fn push_claim(&mut self, stream: ClaimedStream, claim: Claim) -> Option<()> {
        self.rows += 1;
        if self.streams.last().is_none_or(|(last, _)| **last != stream) {
            self.streams.push((Arc::new(stream), Vec::new()));
        }
        let (_, claims) = self.streams.last_mut()?;
        let is_next = claims
            .last()
            .is_none_or(|last| last.window.to() <= claim.window.from());
        is_next.then(|| claims.push(claim))
    }
}

/// The lines of a manifest, and the chain value so far.
struct ManifestReader<'a> {
    path: &'a Path,
    lines: std::io::Lines<BufReader<File>>,
    number: u64,
    chain: Digest,
}

impl<'a> ManifestReader<'a> {
    fn open(path: &'a Path) -> Result<Self, ManifestError> {
        let file = File::open(path).map_err(|source| ManifestError::File {
            path: path.into(),
            source,
        })?;
        let lines = BufReader::new(file).lines();
        Ok(Self {
            path,
            lines,
            number: 0,
            chain: Digest::default(),
        })
    }

    /// Returns the error of a fault in the current line.
    fn error_here(&self, fault: &str) -> ManifestError {
        let (path, fault) = (self.path.into(), fault.to_owned());
        ManifestError::BadLine {
            path,
            line: self.number,
            fault,
        }
    }

    fn next_line(&mut self) -> Result<String, ManifestError> {
        self.number += 1;
        match self.lines.next() {
            Some(Ok(line)) => Ok(line),
            Some(Err(source)) => Err(ManifestError::File {
                path: self.path.into(),
                source,
            }),
            None => Err(self.error_here("the manifest ends without its signature")),
        }
    }

    /// Parses a line, and checks its chain value.
    fn parse_chained<T: for<'t> Deserialize<'t>>(
        &mut self,
        line: &str,
    ) -> Result<T, ManifestError> {
        let parts = line.rsplit_once(CHAIN_FIELD);
        let (text, chain) = parts.ok_or_else(|| self.error_here("no line of a manifest"))?;
        let text = format!("{text}}}");
        self.chain = next_chain(self.chain, &text);
        if chain.strip_suffix("\"}").and_then(parse_digest) != Some(self.chain) {
            return Err(self.error_here(
                "this line was changed, or one before it is missing, was added or was moved",
            ));
        }
        serde_json::from_str(&text).map_err(|error| self.error_here(&error.to_string()))
    }

    /// Checks that the end belongs to these lines, that it is signed, and that nothing follows.
    fn check_end(&mut self, end: &ManifestEnd, manifest: &Manifest) -> Result<(), ManifestError> {
        if parse_digest(&end.chain) != Some(self.chain) || end.rows != manifest.rows {
            return Err(self.error_here(
                "the end does not belong to these lines: some before it are missing or were added",
            ));
        }
        if !is_signed(&manifest.public_key, &end.signature, self.chain) {
            let (path, signer) = (self.path.into(), manifest.public_key.clone());
            return Err(ManifestError::BadSignature { path, signer });
        }
        self.number += 1;
        match self.lines.next() {
            None => Ok(()),
            Some(_) => Err(self.error_here("there is more after the signature")),
        }
    }
}
