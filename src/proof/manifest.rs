//! The ledger's claims as a file: one line a ledger row, each chained to the one before, the end signed.
//!
//! A line is a JSON object whose last field, `chain`, is the BLAKE3 hash of the line before's and of the line without
//! that field. So a line that was changed, taken out, put in or moved is the first whose chain does not fit; and whoever
//! chains all of it anew cannot sign it. What a line claims can be told from the messages alone: the archive may have
//! joined its windows since, or be another.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use super::{Claim, ClaimedStream};
use crate::domain::digest::Digest;
use crate::domain::stream::Scope;
use crate::domain::time::{Millis, Second};
use crate::domain::window::Window;
use crate::store::{Archive, KnownStream, LedgerRow, StoreError};

const VERSION: u32 = 1;
/// What is signed, before the last chain value.
const SIGNATURE_DOMAIN: &[u8] = b"backscroll manifest 1\0";
/// What the last field of a line begins with.
const CHAIN_FIELD: &str = ",\"chain\":\"";
/// Ledger rows that are held at once.
const ROWS_PER_READ: u64 = 1000;

/// Why a manifest could not be written, or is not to be trusted.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("{}: {source}", path.display())]
    File {
        path: PathBuf,
        source: std::io::Error,
    },

    #[error("{}:{line}: {fault}", path.display())]
    BadLine {
        path: PathBuf,
        line: u64,
        fault: String,
    },

    #[error("{}: the signature is not that of {signer} over these lines", path.display())]
    BadSignature { path: PathBuf, signer: String },

    #[error("{}: signed by {found}, not by {wanted}", path.display())]
    WrongSigner {
        path: PathBuf,
        found: String,
        wanted: String,
    },

    #[error("{} holds no key: 64 hex digits are wanted, the seed of an ed25519 key", path.display())]
    BadKey { path: PathBuf },

    #[error("{account} {stream}: a sealed window has no digest yet")]
    WithoutDigest { account: String, stream: String },

    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ManifestError {
    /// What the operator can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::File { .. } => "see whether the path is right and may be read or written",
            Self::BadLine { .. } | Self::BadSignature { .. } => {
                "the manifest was changed or cut off after it was signed: compare with another copy of it"
            }
            Self::WrongSigner { .. } => {
                "compare with a manifest that was signed by the key given as --public-key"
            }
            Self::BadKey { .. } => {
                "`openssl rand -hex 32 > manifest.key` makes one; keep it where only you can read it"
            }
            Self::WithoutDigest { .. } => "`backscroll verify --repair` gives it one",
            Self::Store(error) => error.hint(),
        }
    }
}

/// A key that signs manifests. Debug does not show it.
pub struct ManifestKey(SigningKey);

impl std::fmt::Debug for ManifestKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", self.public_hex())
    }
}

impl ManifestKey {
    /// From the file that holds its seed as 64 hex digits.
    pub fn read(path: &Path) -> Result<Self, ManifestError> {
        let text = std::fs::read_to_string(path).map_err(|source| ManifestError::File {
            path: path.into(),
            source,
        })?;
        let mut seed = [0; 32];
        hex::decode_to_slice(text.trim(), &mut seed)
            .map_err(|_| ManifestError::BadKey { path: path.into() })?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    fn public_hex(&self) -> String {
        hex::encode(self.0.verifying_key().to_bytes())
    }

    fn sign(&self, chain: Digest) -> String {
        hex::encode(
            self.0
                .sign(&[SIGNATURE_DOMAIN, &chain.0].concat())
                .to_bytes(),
        )
    }
}

/// A manifest whose chain and signature are right.
#[derive(Debug)]
pub struct Manifest {
    /// Who signed it, in hex. Whoever changed it could have signed it with a key of their own.
    pub public_key: String,
    pub created: String,
    pub rows: u64,
    streams: Vec<(Arc<ClaimedStream>, Vec<Claim>)>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ManifestHeader {
    /// The version of this form.
    backscroll_manifest: u32,
    /// The schema of the archive that it was made of.
    schema: i64,
    created: String,
    public_key: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ManifestRow {
    account: String,
    stream: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation: Option<String>,
    from: String,
    to: String,
    messages: u64,
    digest: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ManifestEnd {
    rows: u64,
    chain: String,
    signature: String,
}

impl ManifestRow {
    fn from_ledger_row(
        KnownStream {
            account,
            key,
            scope,
            ..
        }: &KnownStream,
        row: &LedgerRow,
    ) -> Result<Self, ManifestError> {
        let unproven = || ManifestError::WithoutDigest {
            account: account.clone(),
            stream: key.clone(),
        };
        let Scope {
            sender,
            recipient,
            conversation,
        } = scope.clone().ok_or_else(unproven)?;
        Ok(Self {
            account: account.clone(),
            stream: key.clone(),
            sender,
            recipient,
            conversation,
            from: row.window.from().to_string(),
            to: row.window.to().to_string(),
            messages: row.messages,
            digest: row.digest.ok_or_else(unproven)?.to_string(),
        })
    }

    /// What it claims, of what.
    fn into_claim(self, line: u64) -> Option<(ClaimedStream, Claim)> {
        let second = |text: &str| text.parse().ok().map(Millis::second);
        let window = Window::new(second(&self.from)?, second(&self.to)?)?;
        let digest = Some(parse_digest(&self.digest)?);
        let scope = Scope {
            sender: self.sender,
            recipient: self.recipient,
            conversation: self.conversation,
        };
        let subject = ClaimedStream {
            id: None,
            account: self.account,
            key: self.stream,
            scope,
        };
        Some((
            subject,
            Claim {
                window,
                messages: self.messages,
                digest,
                manifest_line: Some(line),
            },
        ))
    }
}

fn parse_digest(text: &str) -> Option<Digest> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes)
        .ok()
        .map(|()| Digest(bytes))
}

/// The chain once this line, without its own chain, has followed.
fn next_chain(before: Digest, line: &str) -> Digest {
    Digest(*blake3::hash(&[&before.0, line.as_bytes()].concat()).as_bytes())
}

/// Writes the ledger of the archive, or of one of its accounts; answers with how many rows it has. The file is there
/// whole, or not at all.
pub async fn write(
    store: &dyn Archive,
    account: Option<&str>,
    key: &ManifestKey,
    created: Millis,
    path: &Path,
) -> Result<u64, ManifestError> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let unfinished = PathBuf::from(unfinished);
    let failed = |source| ManifestError::File {
        path: path.into(),
        source,
    };
    let mut out = ManifestWriter {
        file: BufWriter::new(File::create(&unfinished).map_err(failed)?),
        chain: Digest::default(),
    };
    let schema = store.schema_version();
    let header = ManifestHeader {
        backscroll_manifest: VERSION,
        schema,
        created: created.to_string(),
        public_key: key.public_hex(),
    };
    out.write_line(&header).map_err(failed)?;
    let mut rows = 0;
    for stream in store.streams().await? {
        if account.is_some_and(|account| account != stream.account) {
            continue;
        }
        let mut rest = Window::new(Second(i64::MIN), Second(i64::MAX));
        while let Some(window) = rest {
            let some = store.ledger_rows(stream.id, window, ROWS_PER_READ).await?;
            for row in &some {
                out.write_line(&ManifestRow::from_ledger_row(&stream, row)?)
                    .map_err(failed)?;
            }
            rows += some.len() as u64;
            rest = some
                .last()
                .and_then(|last| window.starting_at(last.window.to()));
        }
    }
    let chain = out.chain;
    out.finish(&ManifestEnd {
        rows,
        chain: chain.to_string(),
        signature: key.sign(chain),
    })
    .map_err(failed)?;
    std::fs::rename(&unfinished, path).map_err(failed)?;
    Ok(rows)
}

struct ManifestWriter {
    file: BufWriter<File>,
    chain: Digest,
}

impl ManifestWriter {
    fn write_line(&mut self, write_line: &impl Serialize) -> std::io::Result<()> {
        let line = serde_json::to_string(write_line)?;
        self.chain = next_chain(self.chain, &line);
        writeln!(
            self.file,
            "{}{CHAIN_FIELD}{}\"}}",
            line.strip_suffix('}').unwrap_or(&line),
            self.chain
        )
    }

    fn finish(mut self, finish: &ManifestEnd) -> std::io::Result<()> {
        writeln!(self.file, "{}", serde_json::to_string(finish)?)?;
        self.file.into_inner()?.sync_all()
    }
}

impl Manifest {
    /// Reads a manifest and makes sure that it is as it was signed: by `signer`, in hex, where that is known.
    pub fn read(path: &Path, signer: Option<&str>) -> Result<Self, ManifestError> {
        let file = File::open(path).map_err(|source| ManifestError::File {
            path: path.into(),
            source,
        })?;
        let mut lines = ManifestReader {
            path,
            lines: BufReader::new(file).lines(),
            number: 0,
            chain: Digest::default(),
        };
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
            let (found, wanted) = (public_key, wanted.to_owned());
            return Err(ManifestError::WrongSigner {
                path: path.into(),
                found,
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
            let (subject, claim) = row
                .into_claim(lines.number)
                .ok_or_else(|| lines.error_here("no claim of a window"))?;
            manifest
                .push_claim(subject, claim)
                .ok_or_else(|| lines.error_here("a window out of order"))?;
        }
    }

    /// The streams of which it claims something.
    pub(super) fn streams(&self) -> impl Iterator<Item = (&Arc<ClaimedStream>, &[Claim])> {
        self.streams
            .iter()
            .map(|(subject, claims)| (subject, claims.as_slice()))
    }

    fn push_claim(&mut self, subject: ClaimedStream, claim: Claim) -> Option<()> {
        self.rows += 1;
        if self
            .streams
            .last()
            .is_none_or(|(last, _)| **last != subject)
        {
            self.streams.push((Arc::new(subject), Vec::new()));
        }
        let (_, claims) = self.streams.last_mut()?;
        let follows = claims
            .last()
            .is_none_or(|last| last.window.to() <= claim.window.from());
        follows.then(|| claims.push(claim))
    }
}

/// The lines of a manifest, and what they are chained to.
struct ManifestReader<'a> {
    path: &'a Path,
    lines: std::io::Lines<BufReader<File>>,
    number: u64,
    chain: Digest,
}

impl ManifestReader<'_> {
    fn error_here(&self, error_here: &str) -> ManifestError {
        ManifestError::BadLine {
            path: self.path.into(),
            line: self.number,
            fault: error_here.to_owned(),
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

    /// Reads a line that must follow those before.
    fn parse_chained<T: for<'t> Deserialize<'t>>(
        &mut self,
        line: &str,
    ) -> Result<T, ManifestError> {
        let (text, chain) = line
            .rsplit_once(CHAIN_FIELD)
            .ok_or_else(|| self.error_here("no line of a manifest"))?;
        let text = format!("{text}}}");
        self.chain = next_chain(self.chain, &text);
        if chain.strip_suffix("\"}").and_then(parse_digest) != Some(self.chain) {
            return Err(self.error_here(
                "this line was changed, or one before it is missing, was added or was moved",
            ));
        }
        serde_json::from_str(&text).map_err(|error| self.error_here(&error.to_string()))
    }

    /// Makes sure that the end is the end of these lines, and signed.
    fn check_end(&mut self, end: &ManifestEnd, manifest: &Manifest) -> Result<(), ManifestError> {
        if parse_digest(&end.chain) != Some(self.chain) || end.rows != manifest.rows {
            return Err(self.error_here(
                "the end is not that of these lines: some before it are missing or were added",
            ));
        }
        let mut key = [0; 32];
        let mut signature = [0; 64];
        let is_signed = hex::decode_to_slice(&manifest.public_key, &mut key).is_ok()
            && hex::decode_to_slice(&end.signature, &mut signature).is_ok()
            && VerifyingKey::from_bytes(&key).is_ok_and(|key| {
                let signed = [SIGNATURE_DOMAIN, &self.chain.0].concat();
                key.verify_strict(&signed, &Signature::from_bytes(&signature))
                    .is_ok()
            });
        if !is_signed {
            let signer = manifest.public_key.clone();
            return Err(ManifestError::BadSignature {
                path: self.path.into(),
                signer,
            });
        }
        self.number += 1;
        self.lines.next().map_or(Ok(()), |_| {
            Err(self.error_here("there is more behind the signature"))
        })
    }
}
