//! Secrets that every user of the machine can read.

use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::agora::{AgoraAccountConfig, AgoraAuth};
use super::secret::{Secret, ValueReference};
use super::web3mq::Web3mqAccountConfig;

/// The permission bit that lets users outside owner and group read a file.
const OTHERS_READ_BIT: u32 = 0o004;

/// A secret in a file that every user of the machine can read. Displayed as a warning with its
/// remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExposedSecret {
    file: PathBuf,
    /// True if the file is the configuration itself.
    is_config: bool,
    /// The account, the database or the table that the secret belongs to.
    owner: String,
    key: &'static str,
}

impl fmt::Display for ExposedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            is_config,
            owner,
            key,
        } = self;
        let file = file.display();
        let remedy = if *is_config {
            format!(
                "keep it elsewhere ({{ file = \"…\" }}, {{ credential = \"…\" }}), or `chmod 640 {file}`"
            )
        } else {
            format!("`chmod 600 {file}`")
        };
        write!(
            f,
            "every user of this machine can read {file}, which contains the {key} of {owner}: {remedy}"
        )
    }
}

/// The secrets that lie in files: in the configuration, or in one that it refers to.
#[derive(Debug)]
pub(super) struct SecretFiles<'a> {
    config: &'a Path,
    secrets: Vec<ExposedSecret>,
}

impl<'a> SecretFiles<'a> {
    /// Starts without secrets. `config` is the configuration's file.
    pub(super) fn of(config: &'a Path) -> Self {
        Self {
            config,
            secrets: Vec::new(),
        }
    }

    /// Adds a secret. `reference` says where it is kept; `None`: in the configuration itself.
    pub(super) fn add(
        &mut self,
        owner: &str,
        key: &'static str,
        reference: Option<&ValueReference>,
    ) {
        let file = match reference {
            None => Some(self.config),
            Some(reference) => reference.file(),
        };
        self.secrets.extend(file.map(|file| ExposedSecret {
            file: file.to_owned(),
            is_config: reference.is_none(),
            owner: owner.to_owned(),
            key,
        }));
    }

    pub(super) fn add_agora(&mut self, account: &AgoraAccountConfig) {
        let (key, secret) = agora_secret(&account.auth);
        self.add_of_account(&account.name, key, secret);
    }

    pub(super) fn add_web3mq(&mut self, account: &Web3mqAccountConfig) {
        self.add_of_account(&account.name, "private_key", &account.private_key);
    }

    fn add_of_account(&mut self, name: &str, key: &'static str, secret: &Secret) {
        self.add(&format!("the account `{name}`"), key, secret.reference());
    }

    /// Returns the secrets that the permissions of their files expose.
    pub(super) fn exposed(self) -> Vec<ExposedSecret> {
        let mut secrets = self.secrets;
        secrets.retain(|secret| others_can_read(&secret.file));
        secrets
    }
}

fn others_can_read(file: &Path) -> bool {
    file.metadata()
        .is_ok_and(|metadata| metadata.permissions().mode() & OTHERS_READ_BIT != 0)
}

/// Returns the secret of an Agora account with its configuration key.
fn agora_secret(auth: &AgoraAuth) -> (&'static str, &Secret) {
    match auth {
        AgoraAuth::Basic {
            customer_secret, ..
        } => ("customer_secret", customer_secret),
        AgoraAuth::Token { token, .. } => token.secret(),
        AgoraAuth::BearerToken { token } => ("token", token),
    }
}
