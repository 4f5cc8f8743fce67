//! Errors of manifests.

use std::path::PathBuf;

use crate::store::StoreError;

/// A failure to write a manifest, or the reason not to trust one.
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

    #[error(
        "{} holds no key: it must hold 64 hex digits, the seed of an ed25519 key",
        path.display()
    )]
    BadKey { path: PathBuf },

    #[error("{account} {stream}: a sealed window has no digest yet")]
    WithoutDigest { account: String, stream: String },

    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ManifestError {
    /// Returns what the operator can do about the error.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::File { .. } => "check that the path is right, and may be read or written",
            Self::BadLine { .. } | Self::BadSignature { .. } => {
                "the manifest was changed or cut off after it was signed: \
                 compare it with another copy"
            }
            Self::WrongSigner { .. } => {
                "compare with a manifest that was signed by the key given as --public-key"
            }
            Self::BadKey { .. } => {
                "`openssl rand -hex 32 > manifest.key` creates one; \
                 keep it where only you can read it"
            }
            Self::WithoutDigest { .. } => "`backscroll verify --repair` adds it",
            Self::Store(error) => error.hint(),
        }
    }
}
