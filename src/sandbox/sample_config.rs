//! A sample configuration of Backscroll that archives everything in a sandbox.

use std::fmt::{self, Display, Formatter};

use std::time::Duration;

use super::agora::{CUSTOMER_ID, CUSTOMER_SECRET, RecipientKind, SuggestedStream};
use super::world::World;
use crate::domain::time::Day;

/// The retention in the sample. Longer than any generated history or useful corpus, so that nothing
/// expires.
const SAMPLE_RETENTION: &str = "4000d";
/// The highest rate that a configuration accepts. Used if the sandbox has no limit.
const UNLIMITED_RATE: u32 = 100_000;

/// The `config.toml` for a sandbox at `base_url`.
pub(super) struct SampleConfig<'a> {
    pub(super) world: &'a World,
    pub(super) base_url: &'a str,
    pub(super) database_url: &'a str,
}

impl Display for SampleConfig<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "[database]\nurl = {}\n", TomlString(self.database_url))?;
        writeln!(f, "[status_page]\nlisten = \"\"")?;
        self.world
            .app_ids()
            .iter()
            .try_for_each(|app_id| self.write_agora(f, app_id))?;
        self.world
            .user_ids()
            .iter()
            .enumerate()
            .try_for_each(|(index, user_id)| self.write_web3mq(f, index, user_id))
    }
}

impl SampleConfig<'_> {
    fn write_agora(&self, f: &mut Formatter<'_>, app_id: &str) -> fmt::Result {
        writeln!(
            f,
            "\n[[agora]]\nname = {0}\nbase_url = {1}\napp_id = {0}",
            TomlString(app_id),
            TomlString(self.base_url)
        )?;
        writeln!(
            f,
            "customer_id = \"{CUSTOMER_ID}\"\ncustomer_secret = \"{CUSTOMER_SECRET}\""
        )?;
        writeln!(
            f,
            "requests_per_second = {}\nretention = \"{SAMPLE_RETENTION}\"",
            self.requests_per_second()
        )?;
        self.write_timeout(f)?;
        self.write_since(f, self.world.options().span)?;
        writeln!(f, "discover = false\nstreams = [")?;
        for SuggestedStream {
            source,
            destination,
            kind,
        } in self.world.agora_streams(app_id)
        {
            let name = |key, value: Option<String>| {
                value.map(|value| format!("{key} = {}", TomlString(&value)))
            };
            let kind = match (&source, kind) {
                (None, Some(RecipientKind::Channel)) => Some("kind = \"channel\"".to_owned()),
                (None, Some(RecipientKind::Peer)) => Some("kind = \"user\"".to_owned()),
                _ => None,
            };
            let keys = [
                name("source", source),
                name("destination", destination),
                kind,
            ];
            writeln!(
                f,
                "  {{ {} }},",
                keys.into_iter().flatten().collect::<Vec<_>>().join(", ")
            )?;
        }
        writeln!(f, "]")
    }

    fn write_web3mq(&self, f: &mut Formatter<'_>, index: usize, user_id: &str) -> fmt::Result {
        let Some((key, topics)) = self.world.with_user(user_id, |account| {
            (
                account.private_key(),
                account.topics().keys().cloned().collect::<Vec<_>>(),
            )
        }) else {
            return Ok(());
        };
        writeln!(
            f,
            "\n[[web3mq]]\nname = \"web3mq-{}\"\nbase_url = {}",
            index + 1,
            TomlString(self.base_url)
        )?;
        writeln!(
            f,
            "user_id = {}\nprivate_key = \"{key}\"",
            TomlString(user_id)
        )?;
        writeln!(f, "requests_per_second = {}", self.requests_per_second())?;
        self.write_timeout(f)?;
        self.write_since(f, self.world.options().topic_span)?;
        writeln!(f, "discover = false\nstreams = [")?;
        topics
            .iter()
            .try_for_each(|topic| writeln!(f, "  {{ topic = {} }},", TomlString(topic)))?;
        writeln!(f, "]")
    }

    /// Writes a short timeout if faults are configured, because some answers then never arrive.
    fn write_timeout(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.world.options().faults.0 > 0.0 {
            writeln!(f, "timeout = \"2s\"")
        } else {
            Ok(())
        }
    }

    /// Writes the start of the generated history. That of a corpus is not known.
    fn write_since(&self, f: &mut Formatter<'_>, span: Duration) -> fmt::Result {
        if self.world.options().corpus.is_some() {
            return Ok(());
        }
        let oldest = Day::containing(self.world.now().minus(span).second());
        writeln!(f, "since = \"{}\"", oldest.start())
    }

    fn requests_per_second(&self) -> u32 {
        match self.world.options().requests_per_second {
            0 => UNLIMITED_RATE,
            limit => limit,
        }
    }
}

/// A text displayed as a TOML string.
struct TomlString<'a>(&'a str);

impl Display for TomlString<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        toml::Value::String(self.0.to_owned()).fmt(f)
    }
}
