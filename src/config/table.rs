//! The file as tables and values with positions, so that every error can name its position.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, ConfigErrorKind, FilePosition};
use super::schema::TableSchema;
use super::secret::ValueReference;
use super::source::{ConfigSource, position_at};
use super::value_error::ValueError;

/// One table. Its [`TableSchema`] knows every key in it.
pub(super) struct ConfigTable<'a> {
    source: &'a ConfigSource<'a>,
    schema: &'static TableSchema,
    span: Range<usize>,
    /// `None` if the table is not in the file: all its keys have their defaults.
    entries: Option<&'a DeTable<'a>>,
}

/// A function that converts a value to a `T`.
pub(super) type ValueReader<T> = fn(&ConfigValue<'_>) -> Result<T, ConfigError>;

impl<'a> ConfigTable<'a> {
    /// Returns the whole file as a table.
    pub(super) fn root(
        source: &'a ConfigSource<'a>,
        parsed: &'a Spanned<DeTable<'a>>,
        schema: &'static TableSchema,
    ) -> Result<Self, ConfigError> {
        Self::new(source, schema, 0..0, parsed.get_ref())
    }

    fn new(
        source: &'a ConfigSource<'a>,
        schema: &'static TableSchema,
        span: Range<usize>,
        entries: &'a DeTable<'a>,
    ) -> Result<Self, ConfigError> {
        let table = Self {
            source,
            schema,
            span,
            entries: Some(entries),
        };
        table.reject_unknown_keys()?;
        Ok(table)
    }

    fn reject_unknown_keys(&self) -> Result<(), ConfigError> {
        let known = self.schema.keys;
        let unknown = self
            .entries
            .into_iter()
            .flatten()
            .filter(|(key, _)| !known.contains(&key.get_ref().as_ref()));
        let Some((key, value)) = unknown.min_by_key(|(key, _)| key.span().start) else {
            return Ok(());
        };
        let name = key.get_ref();
        let kind = ConfigErrorKind::UnknownKey {
            what: if has_header(value.get_ref()) {
                "table"
            } else {
                "key"
            },
            nearest: nearest(name, known),
            // A quoted key may contain line breaks; a message is one line.
            name: name.escape_debug().to_string(),
            table: self.schema.name,
            known,
        };
        Err(self.source.error_at(key.span().start, kind))
    }

    /// Returns the value of a key; `None` if the table does not have the key.
    pub(super) fn get(&self, key: &'static str) -> Option<ConfigValue<'a>> {
        let value = self.entries?.get(key)?;
        Some(ConfigValue {
            source: self.source,
            key,
            span: value.span(),
            content: value.get_ref(),
        })
    }

    /// True if the table has at least one of the keys.
    pub(super) fn has_any(&self, keys: &[&'static str]) -> bool {
        keys.iter().any(|key| self.get(key).is_some())
    }

    /// Reads the value of a key; `None` if the table does not have the key.
    pub(super) fn optional<T>(
        &self,
        key: &'static str,
        read: ValueReader<T>,
    ) -> Result<Option<T>, ConfigError> {
        self.get(key).map(|value| read(&value)).transpose()
    }

    /// Reads the value of a key, or returns the default.
    pub(super) fn or_default<T>(
        &self,
        key: &'static str,
        default: T,
        read: ValueReader<T>,
    ) -> Result<T, ConfigError> {
        Ok(self.optional(key, read)?.unwrap_or(default))
    }

    /// Parses the text of a key, or the default text.
    pub(super) fn parse_or_default<T>(
        &self,
        key: &'static str,
        default: &str,
        parse: fn(&str) -> Result<T, ValueError>,
    ) -> Result<T, ConfigError> {
        match self.get(key) {
            Some(value) => value.parse(parse),
            None => parse(default)
                .map_err(|error| self.error(ConfigErrorKind::InvalidValue { key, error })),
        }
    }

    /// Reads the value of a key. Errors if the table does not have the key.
    pub(super) fn required<T>(
        &self,
        key: &'static str,
        read: ValueReader<T>,
    ) -> Result<T, ConfigError> {
        read(&self.require_key(key)?)
    }

    fn require_key(&self, key: &'static str) -> Result<ConfigValue<'a>, ConfigError> {
        let missing = || {
            self.error(ConfigErrorKind::MissingKey {
                table: self.schema.name,
                key,
            })
        };
        self.get(key).ok_or_else(missing)
    }

    /// Returns the tables under `key`, which are none if the key is missing.
    pub(super) fn tables(
        &self,
        key: &'static str,
        schema: &'static TableSchema,
    ) -> Result<Vec<ConfigTable<'a>>, ConfigError> {
        self.get(key)
            .map_or(Ok(Vec::new()), |value| value.tables(schema))
    }

    /// Returns the table under `key`, which is empty if the key is missing.
    pub(super) fn table(
        &self,
        key: &'static str,
        schema: &'static TableSchema,
    ) -> Result<ConfigTable<'a>, ConfigError> {
        match self.get(key) {
            Some(value) => value.table(schema),
            None => Ok(ConfigTable {
                source: self.source,
                schema,
                span: 0..0,
                entries: None,
            }),
        }
    }

    /// Reads the streams of an account: at least one unless the list `may_be_empty`, and no two
    /// with the same `identity`.
    pub(super) fn streams<T, I: Eq + Hash>(
        &self,
        schema: &'static TableSchema,
        read: fn(&ConfigTable<'_>) -> Result<T, ConfigError>,
        identity: fn(&T) -> I,
        may_be_empty: bool,
    ) -> Result<Vec<T>, ConfigError> {
        let tables = self.tables("streams", schema)?;
        if tables.is_empty() && !may_be_empty {
            let kind = ConfigErrorKind::MissingStreams {
                form: schema.expected_form,
            };
            return Err(self.error_at_keys(&["streams"], kind));
        }
        let streams = tables.iter().map(read).collect::<Result<Vec<T>, _>>()?;
        let identified = tables.iter().zip(streams.iter().map(identity));
        reject_duplicates(identified, |table, first_line| {
            table.error(ConfigErrorKind::DuplicateStream { first_line })
        })?;
        Ok(streams)
    }

    /// Returns an error about this table as a whole.
    pub(super) fn error(&self, kind: ConfigErrorKind) -> ConfigError {
        self.source.error_at(self.span.start, kind)
    }

    /// Returns an error at the first of these keys that the table has, or else at the table.
    pub(super) fn error_at_keys(
        &self,
        keys: &[&'static str],
        kind: ConfigErrorKind,
    ) -> ConfigError {
        let value = keys.iter().find_map(|key| self.get(key));
        let at = value.map_or(self.span.start, |value| value.span.start);
        self.source.error_at(at, kind)
    }
}

/// Errors at the first table with the identity of an earlier one. `duplicate` makes the error from
/// the table and the line of the earlier one.
pub(super) fn reject_duplicates<'t, I: Eq + Hash>(
    tables: impl Iterator<Item = (&'t ConfigTable<'t>, I)>,
    duplicate: impl Fn(&ConfigTable<'_>, usize) -> ConfigError,
) -> Result<(), ConfigError> {
    let mut seen: HashMap<I, &ConfigTable<'_>> = HashMap::new();
    for (table, identity) in tables {
        // The line is computed only for an error: a file may list ten thousand streams.
        if let Some(first) = seen.insert(identity, table) {
            let FilePosition { line, .. } =
                position_at(first.source.origin, first.source.text, first.span.start);
            return Err(duplicate(table, line));
        }
    }
    Ok(())
}

/// True if a value is written under a `[header]` or `[[header]]`.
fn has_header(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::Table(_) => true,
        DeValue::Array(items) => items.first().is_some_and(|item| item.get_ref().is_table()),
        _ => false,
    }
}

/// Returns the most similar known name; `None` if more than a third of its letters differ.
fn nearest(name: &str, known: &[&'static str]) -> Option<&'static str> {
    let lower = name.to_lowercase();
    let distances = known
        .iter()
        .map(|candidate| (strsim::osa_distance(&lower, candidate), *candidate));
    let (distance, candidate) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= candidate.len().div_ceil(3)).then_some(candidate)
}

/// One value with its key and position.
pub(super) struct ConfigValue<'a> {
    source: &'a ConfigSource<'a>,
    key: &'static str,
    span: Range<usize>,
    content: &'a DeValue<'a>,
}

impl<'a> ConfigValue<'a> {
    pub(super) fn content(&self) -> &'a DeValue<'a> {
        self.content
    }

    pub(super) fn key(&self) -> &'static str {
        self.key
    }

    pub(super) fn position(&self) -> FilePosition {
        position_at(self.source.origin, self.source.text, self.span.start)
    }

    /// Returns the text of the value, or the text that it refers to.
    pub(super) fn text(&self) -> Result<String, ConfigError> {
        match (self.content, self.reference()?) {
            (_, Some(reference)) => reference
                .fetch(self.source.environment)
                .map_err(|error| self.error(error)),
            (DeValue::String(text), None) => Ok(text.clone().into_owned()),
            _ => Err(self.type_error("text in quotes")),
        }
    }

    /// Parses the text of the value.
    pub(super) fn parse<T>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, ValueError>,
    ) -> Result<T, ConfigError> {
        parse(&self.text()?).map_err(|error| self.error(error))
    }

    /// Returns the reference in the value; `None` if the value is not a reference.
    pub(super) fn reference(&self) -> Result<Option<ValueReference>, ConfigError> {
        let DeValue::Table(table) = self.content else {
            return Ok(None);
        };
        let folder = self.source.origin.parent().unwrap_or(Path::new(""));
        let mut entries = table
            .iter()
            .map(|(kind, name)| (kind.get_ref().as_ref(), name.get_ref().as_str()));
        let reference = match (entries.next(), entries.next()) {
            (Some((kind, Some(name))), None) if !name.is_empty() => {
                ValueReference::new(kind, name, folder)
            }
            _ => Err(ValueError::Reference),
        };
        reference.map(Some).map_err(|error| self.error(error))
    }

    fn table(&self, schema: &'static TableSchema) -> Result<ConfigTable<'a>, ConfigError> {
        match self.content {
            DeValue::Table(entries) => {
                ConfigTable::new(self.source, schema, self.span.clone(), entries)
            }
            _ => Err(self.type_error(schema.expected_form)),
        }
    }

    fn tables(&self, schema: &'static TableSchema) -> Result<Vec<ConfigTable<'a>>, ConfigError> {
        let DeValue::Array(items) = self.content else {
            return Err(self.type_error(schema.expected_form));
        };
        let tables = items.iter().map(|item| {
            let (span, content) = (item.span(), item.get_ref());
            Self {
                source: self.source,
                key: self.key,
                span,
                content,
            }
            .table(schema)
        });
        tables.collect()
    }

    /// Returns an error about the type of this value.
    pub(super) fn type_error(&self, expected: &'static str) -> ConfigError {
        self.error(ValueError::WrongType {
            expected,
            found: type_name(self.content),
        })
    }

    /// Returns an error about this value.
    pub(super) fn error(&self, error: ValueError) -> ConfigError {
        let kind = ConfigErrorKind::InvalidValue {
            key: self.key,
            error,
        };
        self.source.error_at(self.span.start, kind)
    }
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
