//! Secrets that every user of the machine can read.

use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::agora::{AgoraAccountConfig, AgoraAuth};
use super::secret::Secret;
use super::web3mq::Web3mqAccountConfig;

/// The permission bit that lets users outside owner and group read a file.
const OTHERS_READ_BIT: u32 = 0o004;

/// A secret that is written in a configuration file which every user of the machine can read.
/// Displayed as a warning with its remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExposedSecret {
    file: PathBuf,
    /// The account, the database or the table that the secret belongs to.
    owner: String,
    key: &'static str,
}

impl fmt::Display for ExposedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, owner, key } = self;
        let file = file.display();
        write!(
            f,
            "every user of this machine can read {file}, which contains the {key} of {owner}: \
             keep it elsewhere ({{ file = \"…\" }}, {{ credential = \"…\" }}), or `chmod 640 {file}`"
        )
    }
}

/// The secrets that stand in the configuration itself, each with its owner and its key.
#[derive(Debug, Default)]
pub(super) struct InlineSecrets(Vec<(String, &'static str)>);

impl InlineSecrets {
    pub(super) fn add(&mut self, owner: &str, key: &'static str) {
        self.0.push((owner.to_owned(), key));
    }

    pub(super) fn add_agora(&mut self, account: &AgoraAccountConfig) {
        let (key, secret) = agora_secret(&account.auth);
        self.add_of_account(&account.name, key, secret);
    }

    pub(super) fn add_web3mq(&mut self, account: &Web3mqAccountConfig) {
        self.add_of_account(&account.name, "private_key", &account.private_key);
    }

    fn add_of_account(&mut self, name: &str, key: &'static str, secret: &Secret) {
        if secret.is_inline() {
            self.add(&format!("the account `{name}`"), key);
        }
    }

    /// Returns these secrets if the permissions of their file expose them.
    pub(super) fn exposed_by(self, file: &Path) -> Vec<ExposedSecret> {
        if !others_can_read(file) {
            return Vec::new();
        }
        let exposed = self.0.into_iter().map(|(owner, key)| ExposedSecret {
            file: file.to_owned(),
            owner,
            key,
        });
        exposed.collect()
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
        AgoraAuth::Token { token, .. } | AgoraAuth::BearerToken { token } => ("token", token),
    }
}
