//! Secrets that everybody can read.

use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{AgoraAuth, Config, Secret};

/// Others than owner and group may read.
const OTHERS_READ_BIT: u32 = 0o004;

/// A secret that stands in a configuration which every user of the machine can read. Shown as a warning with its remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExposedSecret {
    file: PathBuf,
    /// What it belongs to: an account, the database, the alerts.
    owner: String,
    key: &'static str,
}

impl fmt::Display for ExposedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, owner, key } = self;
        let file = file.display();
        write!(
            f,
            "everybody on this machine can read {file}, which holds the {key} of {owner}: keep it elsewhere \
             ({{ file = \"…\" }}, {{ credential = \"…\" }}), or `chmod 640 {file}`"
        )
    }
}

/// What of a configuration is exposed by the file it was read from.
pub(super) fn find_exposed_secrets(config: &Config, file: &Path) -> Vec<ExposedSecret> {
    let is_open = file
        .metadata()
        .is_ok_and(|metadata| metadata.permissions().mode() & OTHERS_READ_BIT != 0);
    if !is_open {
        return Vec::new();
    }
    let exposed = |owner, key| ExposedSecret {
        file: file.to_owned(),
        owner,
        key,
    };
    let database = config
        .database
        .url_has_password
        .then(|| exposed("the database".to_owned(), "password"));
    let webhook = config
        .alerts
        .webhook
        .iter()
        .filter(|webhook| webhook.is_inline());
    let webhook = webhook.map(|_| exposed("[alerts]".to_owned(), "webhook"));
    let agora = config.agora.iter().map(|account| {
        let (key, secret) = match &account.auth {
            AgoraAuth::Basic {
                customer_secret, ..
            } => ("customer_secret", customer_secret),
            AgoraAuth::Token { token, .. } | AgoraAuth::BearerToken { token } => ("token", token),
        };
        (&account.name, key, secret)
    });
    let web3mq = config
        .web3mq
        .iter()
        .map(|account| (&account.name, "private_key", &account.private_key));
    let accounts = agora
        .chain(web3mq)
        .filter(|(.., secret)| Secret::is_inline(secret));
    let accounts = accounts.map(|(name, key, _)| exposed(format!("the account `{name}`"), key));
    database
        .into_iter()
        .chain(webhook)
        .chain(accounts)
        .collect()
}
