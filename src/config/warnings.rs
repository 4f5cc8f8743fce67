//! Settings that are valid but probably not meant.

use super::database_url::DatabaseUrl;
use super::{Config, DiscoveryMode};
use crate::domain::time::Millis;

/// The warning about `discover = "events"`.
const EVENTS_WARNING: &str = "discover = \"events\" empties Agora's event feeds, user_events and \
    channel_events: other software that reads them misses the events that this account reads";

impl Config {
    /// Returns a warning for each such setting, of all accounts or of the account `only`. `now` is
    /// this machine's time.
    pub fn warnings(&self, only: Option<&str>, now: Millis) -> Vec<String> {
        let mut warnings: Vec<String> = self
            .exposed_secrets
            .iter()
            .map(ToString::to_string)
            .collect();
        if let DatabaseUrl::Postgres(server) = &self.database.url
            && !server.names_database()
        {
            warnings.push(
                "database.url names no database: the server takes the one with the name of the \
                 user; write postgres://user@host/database"
                    .to_owned(),
            );
        }
        let is_wanted = |name: &str| only.is_none_or(|only| only == name);
        let since = self
            .agora
            .iter()
            .map(|account| (&account.name, account.since));
        let since = since.chain(
            self.web3mq
                .iter()
                .map(|account| (&account.name, account.since)),
        );
        for (name, since) in since.filter(|(name, _)| is_wanted(name)) {
            if let Some(since) = since.filter(|since| *since > now) {
                warnings.push(format!(
                    "account {name}: since ({since}) is in the future: nothing is archived before \
                     that time; correct it, or remove it to archive everything"
                ));
            }
        }
        warnings.extend(self.blanks_in_credentials(is_wanted));
        for account in self.agora.iter().filter(|account| is_wanted(&account.name)) {
            if account.discover == DiscoveryMode::Events {
                warnings.push(format!("account {}: {EVENTS_WARNING}", account.name));
            }
        }
        warnings
    }

    /// Returns a warning for each credential of these accounts with a blank at its begin or end,
    /// which was probably copied along.
    fn blanks_in_credentials(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let agora = self.agora.iter();
        let agora = agora.map(|account| (&account.name, account.credentials()));
        let web3mq = self.web3mq.iter();
        let web3mq = web3mq.map(|account| (&account.name, account.credentials()));
        let mut warnings = Vec::new();
        for (name, credentials) in agora.chain(web3mq).filter(|(name, _)| is_wanted(name)) {
            let blank = credentials
                .into_iter()
                .filter(|(_, secret)| secret.has_outer_blank());
            warnings.extend(blank.map(|(key, _)| {
                format!(
                    "account {name}: {key} begins or ends with a blank, which is sent as a part of \
                     it: remove it if the provider refuses the credentials"
                )
            }));
        }
        warnings
    }
}
