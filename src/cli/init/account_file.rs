//! The configuration that `init` writes.

use std::fmt::Display;

/// The answers for one account.
pub(super) enum AccountFile {
    Agora(AgoraFile),
    Web3mq(Web3mqFile),
}

/// An Agora project.
pub(super) struct AgoraFile {
    pub(super) name: String,
    /// `None` for the provider's usual address.
    pub(super) base_url: Option<String>,
    pub(super) app_id: String,
    pub(super) customer_id: String,
    pub(super) customer_secret: String,
    /// Channels and users that receive messages.
    pub(super) channels: Vec<String>,
}

/// A `Web3MQ` user.
pub(super) struct Web3mqFile {
    pub(super) name: String,
    pub(super) base_url: String,
    pub(super) user_id: String,
    pub(super) private_key: String,
    /// The listed topics; all others of the user are discovered.
    pub(super) topics: Vec<String>,
}

const HEAD: &str = "\
# The configuration of Backscroll, written by `backscroll init`. It contains a secret: keep it
# readable by its owner only. The config.toml that ships with Backscroll explains every key.

[database]
# The archive: an SQLite file, or \"postgres://user@host/database\". A relative path starts at the
# directory of this file.
";

const AGORA_KEYS: &str = "\
# The rate limit. Agora allows 10 requests a second for everything that uses the project.
# requests_per_second = 10
# The oldest messages to archive. Default: everything that Agora still has (7 days).
# since = \"2026-11-01T00:00:00Z\"
# Also follows every user and channel that appears in archived messages.
discover = true
# The channels and users whose messages are archived. Messages that a user sent are
# { source = \"alice\" }.
";

const WEB3MQ_KEYS: &str = "\
# The rate limit. Web3MQ documents none; this value is conservative.
# requests_per_second = 10
# The oldest messages to archive. Default: everything.
# since = \"2026-11-01T00:00:00Z\"
# Also follows every chat, group and topic that the node lists for the user.
discover = true
# Further groups, topics or peers to follow.
";

impl AccountFile {
    /// Returns the text of the file.
    pub(super) fn to_toml(&self, database: &str) -> String {
        let head = format!("{HEAD}url = {}\n", quoted(database));
        let account = match self {
            Self::Agora(account) => account.to_toml(),
            Self::Web3mq(account) => account.to_toml(),
        };
        format!("{head}\n{account}")
    }
}

impl AgoraFile {
    fn to_toml(&self) -> String {
        let Self {
            name,
            base_url,
            app_id,
            customer_id,
            customer_secret,
            channels,
        } = self;
        let base_url = base_url.as_ref();
        let base_url = base_url.map(|url| ("base_url", url.as_str()));
        let keys = [("name", name.as_str())]
            .into_iter()
            .chain(base_url)
            .chain([
                ("app_id", app_id.as_str()),
                ("customer_id", customer_id),
                ("customer_secret", customer_secret),
            ]);
        let streams = streams("destination", channels);
        format!("[[agora]]\n{}{AGORA_KEYS}{streams}", lines(keys))
    }
}

impl Web3mqFile {
    fn to_toml(&self) -> String {
        let keys = [
            ("name", self.name.as_str()),
            ("base_url", &self.base_url),
            ("user_id", &self.user_id),
            ("private_key", &self.private_key),
        ];
        let streams = streams("topic", &self.topics);
        format!("[[web3mq]]\n{}{WEB3MQ_KEYS}{streams}", lines(keys))
    }
}

fn lines<'a>(keys: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let lines = keys
        .into_iter()
        .map(|(key, value)| format!("{key} = {}\n", quoted(value)));
    lines.collect()
}

/// Returns the list of streams, one a line.
fn streams(key: &str, names: &[String]) -> String {
    let streams = names
        .iter()
        .map(|name| format!("    {{ {key} = {} }},\n", quoted(name)));
    match streams.collect::<String>() {
        none if none.is_empty() => "streams = []\n".to_owned(),
        streams => format!("streams = [\n{streams}]\n"),
    }
}

fn quoted(text: &str) -> impl Display {
    toml::Value::String(text.to_owned())
}
