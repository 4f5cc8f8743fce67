//! Secrets that every user of the machine can read.

use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{AgoraAuth, Config, Secret};

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

/// Returns the secrets of a configuration that are exposed by the permissions of its file.
pub(super) fn find_exposed_secrets(config: &Config, file: &Path) -> Vec<ExposedSecret> {
    if !others_can_read(file) {
        return Vec::new();
    }
    let exposed = |owner, key| ExposedSecret {
        file: file.to_owned(),
        owner,
        key,
    };
    let mut found = Vec::new();
    if config.database.url_has_password {
        found.push(exposed("the database".to_owned(), "password"));
    }
    if config
        .alerts
        .webhook
        .as_ref()
        .is_some_and(Secret::is_inline)
    {
        found.push(exposed("[alerts]".to_owned(), "webhook"));
    }
    for account in &config.agora {
        let (key, secret) = agora_secret(&account.auth);
        if secret.is_inline() {
            found.push(exposed(format!("the account `{}`", account.name), key));
        }
    }
    for account in &config.web3mq {
        if account.private_key.is_inline() {
            found.push(exposed(
                format!("the account `{}`", account.name),
                "private_key",
            ));
        }
    }
    found
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
