//! The file as tables and values with positions, so that every error can name its position.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::error::{ConfigErrorKind, FilePosition};
use super::schema::TableSchema;
use super::secret::{Environment, ValueReference};
use super::source::{ConfigSource, Mistake, UsedSecrets, position_at};
use super::value_error::ValueError;

/// One table. Its [`TableSchema`] knows every key in it.
///
/// Mistakes are recorded, and reading goes on, so that all of them are reported together. A key
/// with a mistake then counts as missing; what was read of the file is dropped at its end.
pub(super) struct ConfigTable<'a> {
    source: &'a ConfigSource<'a>,
    schema: &'static TableSchema,
    span: Range<usize>,
    /// `None` if the table is not in the file: all its keys have their defaults.
    entries: Option<&'a DeTable<'a>>,
}

/// A function that converts a value to a `T`.
pub(super) type ValueReader<T> = fn(&ConfigValue<'_>) -> Result<T, Mistake>;

impl<'a> ConfigTable<'a> {
    /// Returns the whole file as a table.
    pub(super) fn root(
        source: &'a ConfigSource<'a>,
        parsed: &'a Spanned<DeTable<'a>>,
        schema: &'static TableSchema,
    ) -> Self {
        Self::new(source, schema, 0..0, parsed.get_ref())
    }

    fn new(
        source: &'a ConfigSource<'a>,
        schema: &'static TableSchema,
        span: Range<usize>,
        entries: &'a DeTable<'a>,
    ) -> Self {
        let table = Self {
            source,
            schema,
            span,
            entries: Some(entries),
        };
        table.reject_unknown_keys();
        table
    }

    fn unknown_keys(
        &self,
    ) -> impl Iterator<Item = (&Spanned<DeString<'a>>, &Spanned<DeValue<'a>>)> {
        let known = self.schema.keys;
        let entries = self.entries.into_iter().flatten();
        entries.filter(move |(key, _)| !known.contains(&key.get_ref().as_ref()))
    }

    /// True if the table has an unknown key that is probably meant to be one of these.
    pub(super) fn has_misspelled(&self, keys: &[&'static str]) -> bool {
        let nearest = |(name, _): (&Spanned<DeString<'a>>, &Spanned<DeValue<'a>>)| {
            nearest(name.get_ref(), self.schema.keys)
        };
        self.unknown_keys()
            .filter_map(nearest)
            .any(|meant| keys.contains(&meant))
    }

    pub(super) fn has_unknown_keys(&self) -> bool {
        self.unknown_keys().next().is_some()
    }

    fn reject_unknown_keys(&self) {
        for (key, value) in self.unknown_keys() {
            let (known, name) = (self.schema.keys, key.get_ref());
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
            self.source.record(Mistake::new(key.span().start, kind));
        }
    }

    /// Returns the value of a key; `None` if the table does not have the key.
    pub(super) fn get(&self, key: &'static str) -> Option<ConfigValue<'a>> {
        let value = self.entries?.get(key)?;
        Some(ConfigValue {
            source: self.source,
            key,
            span: value.span(),
            content: value.get_ref(),
            needs_secrets: self.needs_secrets(),
        })
    }

    /// True if the command uses the secrets in this table.
    fn needs_secrets(&self) -> bool {
        let is_account = self.schema.keys.contains(&"name");
        match self.source.used_secrets {
            UsedSecrets::None => false,
            UsedSecrets::Account(name) => {
                let own = self.entries.and_then(|entries| entries.get("name"));
                own.and_then(|own| own.get_ref().as_str()) == Some(name)
            }
            UsedSecrets::Accounts => is_account,
            UsedSecrets::All => true,
        }
    }

    /// True if the table has at least one of the keys.
    pub(super) fn has_any(&self, keys: &[&'static str]) -> bool {
        keys.iter().any(|key| self.get(key).is_some())
    }

    /// Reads the value of a key; `None` if the table does not have the key.
    pub(super) fn optional<T>(&self, key: &'static str, read: ValueReader<T>) -> Option<T> {
        self.source.keep(read(&self.get(key)?))
    }

    /// Reads the value of a key, or returns the default.
    pub(super) fn or_default<T>(&self, key: &'static str, default: T, read: ValueReader<T>) -> T {
        self.optional(key, read).unwrap_or(default)
    }

    /// Parses the text of a key, or the default text.
    pub(super) fn parse_or_default<T>(
        &self,
        key: &'static str,
        default: &str,
        parse: fn(&str) -> Result<T, ValueError>,
    ) -> Option<T> {
        self.source.keep(match self.get(key) {
            Some(value) => value.parse(parse),
            None => parse(default)
                .map_err(|error| self.mistake(ConfigErrorKind::InvalidValue { key, error })),
        })
    }

    /// Reads the value of a key. It is a mistake if the table does not have the key; if the key is
    /// misspelled, that is the mistake.
    pub(super) fn required<T>(&self, key: &'static str, read: ValueReader<T>) -> Option<T> {
        if let Some(value) = self.get(key) {
            return self.source.keep(read(&value));
        }
        if !self.has_misspelled(&[key]) {
            self.reject(ConfigErrorKind::MissingKey {
                table: self.schema.name,
                key,
            });
        }
        None
    }

    /// Returns the tables under `key`, which are none if the key is missing.
    pub(super) fn tables(
        &self,
        key: &'static str,
        schema: &'static TableSchema,
    ) -> Vec<ConfigTable<'a>> {
        self.get(key)
            .map_or(Vec::new(), |value| value.tables(schema))
    }

    /// Returns the table under `key`, which is empty if the key is missing.
    pub(super) fn table(&self, key: &'static str, schema: &'static TableSchema) -> ConfigTable<'a> {
        let value = self.get(key);
        let table = value.and_then(|value| self.source.keep(value.table(schema)));
        table.unwrap_or(ConfigTable {
            source: self.source,
            schema,
            span: 0..0,
            entries: None,
        })
    }

    /// Reads the streams of an account: at least one unless the list `may_be_empty`, and no two
    /// with the same `identity`.
    pub(super) fn streams<T, I: Eq + Hash>(
        &self,
        schema: &'static TableSchema,
        read: fn(&ConfigTable<'_>) -> Option<T>,
        identity: fn(&T) -> I,
        may_be_empty: bool,
    ) -> Vec<T> {
        let before = self.source.count_mistakes();
        let tables = self.tables("streams", schema);
        if tables.is_empty() && !may_be_empty && self.source.count_mistakes() == before {
            let kind = ConfigErrorKind::MissingStreams {
                form: schema.expected_form,
            };
            self.reject_at_keys(&["streams"], kind);
        }
        let streams = tables
            .iter()
            .filter_map(|table| Some((table, read(table)?)));
        let streams: Vec<(&ConfigTable<'_>, T)> = streams.collect();
        let identified = streams
            .iter()
            .map(|(table, stream)| (*table, identity(stream)));
        reject_duplicates(identified, |first_line| ConfigErrorKind::DuplicateStream {
            first_line,
        });
        streams.into_iter().map(|(_, stream)| stream).collect()
    }

    /// Returns the number of mistakes found so far.
    pub(super) fn count_mistakes(&self) -> usize {
        self.source.count_mistakes()
    }

    /// Returns the folder of the configuration, where relative paths start.
    pub(super) fn folder(&self) -> &'a Path {
        self.source.folder()
    }

    /// Records a mistake of this table as a whole.
    pub(super) fn reject(&self, kind: ConfigErrorKind) {
        self.source.record(self.mistake(kind));
    }

    /// Records a mistake at the first of these keys that the table has, or else at the table.
    pub(super) fn reject_at_keys(&self, keys: &[&'static str], kind: ConfigErrorKind) {
        let value = keys.iter().find_map(|key| self.get(key));
        let at = value.map_or(self.span.start, |value| value.span.start);
        self.source.record(Mistake::new(at, kind));
    }

    fn mistake(&self, kind: ConfigErrorKind) -> Mistake {
        Mistake::new(self.span.start, kind)
    }
}

/// Records a mistake at each table with the identity of an earlier one. `duplicate` makes it from
/// the line of the earlier one.
pub(super) fn reject_duplicates<'t, I: Eq + Hash>(
    tables: impl Iterator<Item = (&'t ConfigTable<'t>, I)>,
    duplicate: impl Fn(usize) -> ConfigErrorKind,
) {
    let mut seen: HashMap<I, &ConfigTable<'_>> = HashMap::new();
    for (table, identity) in tables {
        // The line is computed only for a mistake: a file may list ten thousand streams.
        let first = *seen.entry(identity).or_insert(table);
        if !std::ptr::eq(first, table) {
            let FilePosition { line, .. } =
                position_at(first.source.origin, first.source.text, first.span.start);
            table.reject_at_keys(&["name"], duplicate(line));
        }
    }
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
    needs_secrets: bool,
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

    /// Returns the folder of the configuration, where relative paths start.
    pub(super) fn folder(&self) -> &'a Path {
        self.source.folder()
    }

    /// Returns the environment, if the command uses a secret in this place.
    pub(super) fn secret_environment(&self) -> Option<Environment<'a>> {
        self.needs_secrets.then_some(self.source.environment)
    }

    /// Returns the text of the value, or the text that it refers to.
    pub(super) fn text(&self) -> Result<String, Mistake> {
        match self.reference()? {
            Some(reference) => reference
                .fetch(self.source.environment)
                .map_err(|error| self.mistake(error)),
            None => self.inline_text(),
        }
    }

    /// Returns the text of the value, which is not a reference.
    pub(super) fn inline_text(&self) -> Result<String, Mistake> {
        match self.content {
            DeValue::String(text) => Ok(text.clone().into_owned()),
            _ => Err(self.type_mistake("text in quotes")),
        }
    }

    /// Parses the text of the value.
    pub(super) fn parse<T>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, ValueError>,
    ) -> Result<T, Mistake> {
        parse(&self.text()?).map_err(|error| self.mistake(error))
    }

    /// Returns the reference in the value; `None` if the value is not a reference.
    pub(super) fn reference(&self) -> Result<Option<ValueReference>, Mistake> {
        let DeValue::Table(table) = self.content else {
            return Ok(None);
        };
        let mut entries = table
            .iter()
            .map(|(kind, name)| (kind.get_ref().as_ref(), name.get_ref().as_str()));
        let reference = match (entries.next(), entries.next()) {
            (Some((kind, Some(name))), None) if !name.is_empty() => {
                ValueReference::new(kind, name, self.folder())
            }
            _ => Err(ValueError::Reference),
        };
        reference.map(Some).map_err(|error| self.mistake(error))
    }

    fn table(&self, schema: &'static TableSchema) -> Result<ConfigTable<'a>, Mistake> {
        match self.content {
            DeValue::Table(entries) => Ok(ConfigTable::new(
                self.source,
                schema,
                self.span.clone(),
                entries,
            )),
            _ => Err(self.type_mistake(schema.expected_form)),
        }
    }

    fn tables(&self, schema: &'static TableSchema) -> Vec<ConfigTable<'a>> {
        let DeValue::Array(items) = self.content else {
            self.source.record(self.type_mistake(schema.expected_form));
            return Vec::new();
        };
        let tables = items.iter().filter_map(|item| {
            let item = Self {
                span: item.span(),
                content: item.get_ref(),
                ..*self
            };
            self.source.keep(item.table(schema))
        });
        tables.collect()
    }

    /// Returns a mistake about the type of this value.
    pub(super) fn type_mistake(&self, expected: &'static str) -> Mistake {
        self.mistake(ValueError::WrongType {
            expected,
            found: type_name(self.content),
        })
    }

    /// Returns a mistake about this value.
    pub(super) fn mistake(&self, error: ValueError) -> Mistake {
        let kind = ConfigErrorKind::InvalidValue {
            key: self.key,
            error,
        };
        Mistake::new(self.span.start, kind)
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
