//! The configuration that a test writes for the command: typed, so that a changed setting cannot be
//! missed by a text replacement.

use std::fmt::{self, Display, Formatter};

use backscroll::sync::Purpose;
use toml::{Table, Value};

/// Ticks that never come during a test, whatever the time of day.
const NEVER_SCHEDULE: &str = "0 0 0 1 1 *";
/// Ticks that come as often as ticks can.
pub(crate) const EVERY_SECOND_SCHEDULE: &str = "* * * * * *";

/// The provider whose accounts a setting belongs to, as the configuration names it.
pub(crate) const AGORA: &str = "agora";
/// See [`AGORA`].
pub(crate) const WEB3MQ: &str = "web3mq";

/// A whole configuration.
#[derive(Clone, Debug)]
pub(crate) struct TestConfig {
    sections: Table,
}

impl TestConfig {
    /// Reads a sandbox's sample configuration. No pass is scheduled beyond the first ones.
    pub(crate) fn from_sample(sample: &str) -> Self {
        let sections = sample.parse().expect("the sample is TOML");
        let mut config = Self { sections };
        // Tests place messages at any time.
        for provider in [AGORA, WEB3MQ] {
            for account in config.accounts_mut(provider) {
                account.remove("since");
            }
        }
        for purpose in Purpose::NAMES {
            config.set("schedule", purpose, NEVER_SCHEDULE);
        }
        config
    }

    /// Sets a key of a section that occurs once, such as `database`.
    pub(crate) fn set(&mut self, section: &str, key: &str, value: impl Into<Value>) {
        let empty = || Value::Table(Table::new());
        let section = self.sections.entry(section).or_insert_with(empty);
        let table = section.as_table_mut().expect("a section that occurs once");
        table.insert(key.to_owned(), value.into());
    }

    /// Sets a key of every account.
    pub(crate) fn set_for_accounts(&mut self, key: &str, value: impl Into<Value>) {
        let value = value.into();
        for provider in [AGORA, WEB3MQ] {
            for account in self.accounts_mut(provider) {
                account.insert(key.to_owned(), value.clone());
            }
        }
    }

    /// Sets the streams of every account of a provider.
    pub(crate) fn set_streams(&mut self, provider: &str, streams: &[Table]) {
        let streams: Vec<Value> = streams.iter().cloned().map(Value::Table).collect();
        for account in self.accounts_mut(provider) {
            account.insert("streams".to_owned(), streams.clone().into());
        }
    }

    /// Removes the accounts of all other providers.
    pub(crate) fn keep_provider(&mut self, provider: &str) {
        let others = [AGORA, WEB3MQ]
            .into_iter()
            .filter(|other| *other != provider);
        others.for_each(|other| {
            self.sections.remove(other);
        });
    }

    /// The accounts of a provider, in the order of the file.
    pub(crate) fn accounts_mut(&mut self, provider: &str) -> impl Iterator<Item = &mut Table> {
        let accounts = self
            .sections
            .get_mut(provider)
            .and_then(Value::as_array_mut);
        accounts
            .into_iter()
            .flatten()
            .filter_map(Value::as_table_mut)
    }

    /// The accounts of a provider, in the order of the file.
    pub(crate) fn accounts(&self, provider: &str) -> impl Iterator<Item = &Table> {
        let accounts = self.sections.get(provider).and_then(Value::as_array);
        accounts.into_iter().flatten().filter_map(Value::as_table)
    }

    /// The names of all accounts.
    pub(crate) fn account_names(&self) -> Vec<&str> {
        let accounts = self.accounts(AGORA).chain(self.accounts(WEB3MQ));
        accounts
            .filter_map(|account| account["name"].as_str())
            .collect()
    }

    /// The number of the first line, from 1, that holds a text. Panics if no line does.
    #[track_caller]
    pub(crate) fn line_of(&self, text: &str) -> usize {
        let written = self.to_string();
        let line = written.lines().position(|line| line.contains(text));
        line.unwrap_or_else(|| panic!("no `{text}` in:\n{written}")) + 1
    }
}

impl Display for TestConfig {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (name, section) in &self.sections {
            let (tables, header): (Vec<_>, _) = match section {
                Value::Array(accounts) => (accounts.iter().collect(), format!("[[{name}]]")),
                _ => (vec![section], format!("[{name}]")),
            };
            for table in tables.into_iter().filter_map(Value::as_table) {
                writeln!(f, "{header}")?;
                table
                    .iter()
                    .try_for_each(|(key, value)| writeln!(f, "{key} = {value}"))?;
                writeln!(f)?;
            }
        }
        Ok(())
    }
}

/// A secret that stands elsewhere: `kind` is `env`, `file` or `credential`.
pub(crate) fn secret_reference(kind: &str, name: &str) -> Value {
    Value::Table(table([(kind, name)]))
}

/// An Agora stream of the messages sent to a channel or a user.
pub(crate) fn to(destination: &str) -> Table {
    table([("destination", destination)])
}

/// An Agora stream of the messages that a user sent.
pub(crate) fn from(source: &str) -> Table {
    table([("source", source)])
}

/// An Agora stream of the messages that one user sent to another, or to a channel.
pub(crate) fn between(source: &str, destination: &str) -> Table {
    table([("source", source), ("destination", destination)])
}

/// A table of these keys.
pub(crate) fn table<const N: usize>(keys: [(&str, &str); N]) -> Table {
    keys.into_iter()
        .map(|(key, value)| (key.to_owned(), value.into()))
        .collect()
}
