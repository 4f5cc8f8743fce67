//! The file as tables and values that know where they stand, so that every refusal can say so.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, ConfigErrorKind, FilePosition};
use super::schema::TableSchema;
use super::secret::{Environment, ValueReference};
use super::value_error::Fault;

/// A configuration's text, and what is needed to make sense of it.
pub(super) struct ConfigSource<'a> {
    pub(super) text: &'a str,
    pub(super) origin: &'a Path,
    pub(super) environment: Environment<'a>,
}

impl ConfigSource<'_> {
    /// Reads the text as TOML. The parser's own message would quote the line, which may hold a secret: only its
    /// description is kept.
    pub(super) fn parse(&self) -> Result<Spanned<DeTable<'_>>, ConfigError> {
        DeTable::parse(self.text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            self.error_at(at, ConfigErrorKind::Syntax(error.message().to_owned()))
        })
    }

    fn error_at(&self, at: usize, problem: ConfigErrorKind) -> ConfigError {
        ConfigError::Invalid {
            place: position_at(self.origin, self.text, at),
            problem: Box::new(problem),
        }
    }
}

/// Line and column of the byte `at`.
pub(super) fn position_at(origin: &Path, text: &str, at: usize) -> FilePosition {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    FilePosition {
        file: origin.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}

/// One table, in which every key is known to its [`Shape`].
pub(super) struct ConfigTable<'a> {
    document: &'a ConfigSource<'a>,
    schema: &'static TableSchema,
    span: Range<usize>,
    /// None for a table that is not in the file: all its keys have their defaults.
    entries: Option<&'a DeTable<'a>>,
}

/// How a value becomes a `T`.
pub(super) type ValueReader<T> = fn(&ConfigValue<'_>) -> Result<T, ConfigError>;

impl<'a> ConfigTable<'a> {
    /// The whole file.
    pub(super) fn root(
        document: &'a ConfigSource<'a>,
        parsed: &'a Spanned<DeTable<'a>>,
        shape: &'static TableSchema,
    ) -> Result<Self, ConfigError> {
        Self::new(document, shape, 0..0, parsed.get_ref())
    }

    fn new(
        document: &'a ConfigSource<'a>,
        shape: &'static TableSchema,
        span: Range<usize>,
        entries: &'a DeTable<'a>,
    ) -> Result<Self, ConfigError> {
        let table = Self {
            document,
            schema: shape,
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
        let what = if has_header(value.get_ref()) {
            "table"
        } else {
            "key"
        };
        let nearest = nearest(name, known);
        // A quoted key may hold line breaks; a message is one line.
        let name = name.escape_debug().to_string();
        let problem = ConfigErrorKind::Unknown {
            what,
            nearest,
            name,
            table: self.schema.name,
            known,
        };
        Err(self.document.error_at(key.span().start, problem))
    }

    /// The value of a key, if the key is there.
    pub(super) fn get(&self, key: &'static str) -> Option<ConfigValue<'a>> {
        let value = self.entries?.get(key)?;
        Some(ConfigValue {
            document: self.document,
            key,
            span: value.span(),
            content: value.get_ref(),
        })
    }

    pub(super) fn optional<T>(
        &self,
        key: &'static str,
        read: ValueReader<T>,
    ) -> Result<Option<T>, ConfigError> {
        self.get(key).map(|value| read(&value)).transpose()
    }

    pub(super) fn or_default<T>(
        &self,
        key: &'static str,
        default: T,
        read: ValueReader<T>,
    ) -> Result<T, ConfigError> {
        Ok(self.optional(key, read)?.unwrap_or(default))
    }

    /// What the text under `key` says, or else what `default` says.
    pub(super) fn parse_or_default<T>(
        &self,
        key: &'static str,
        default: &str,
        parse: fn(&str) -> Result<T, Fault>,
    ) -> Result<T, ConfigError> {
        match self.get(key) {
            Some(value) => value.parse(parse),
            None => {
                parse(default).map_err(|fault| self.error(ConfigErrorKind::Value { key, fault }))
            }
        }
    }

    pub(super) fn required<T>(
        &self,
        key: &'static str,
        read: ValueReader<T>,
    ) -> Result<T, ConfigError> {
        read(&self.require_key(key)?)
    }

    fn require_key(&self, key: &'static str) -> Result<ConfigValue<'a>, ConfigError> {
        self.get(key).ok_or_else(|| {
            self.error(ConfigErrorKind::MissingKey {
                table: self.schema.name,
                key,
            })
        })
    }

    /// The tables under `key`; none if the key is not there.
    pub(super) fn tables(
        &self,
        key: &'static str,
        shape: &'static TableSchema,
    ) -> Result<Vec<ConfigTable<'a>>, ConfigError> {
        self.get(key)
            .map_or(Ok(Vec::new()), |value| value.tables(shape))
    }

    /// The table under `key`, with nothing in it if it is not there.
    pub(super) fn table(
        &self,
        key: &'static str,
        shape: &'static TableSchema,
    ) -> Result<ConfigTable<'a>, ConfigError> {
        match self.get(key) {
            Some(value) => value.table(shape),
            None => Ok(ConfigTable {
                document: self.document,
                schema: shape,
                span: 0..0,
                entries: None,
            }),
        }
    }

    /// The streams of an account: at least one unless there `may_be_none`, and no two of the same `identity`.
    pub(super) fn streams<T, I: Eq + Hash>(
        &self,
        shape: &'static TableSchema,
        read: fn(&ConfigTable<'_>) -> Result<T, ConfigError>,
        identity: fn(&T) -> I,
        may_be_empty: bool,
    ) -> Result<Vec<T>, ConfigError> {
        let tables = self.tables("streams", shape)?;
        if tables.is_empty() && !may_be_empty {
            return Err(self.error_at_keys(
                &["streams"],
                ConfigErrorKind::MissingStreams {
                    form: shape.expected_form,
                },
            ));
        }
        let streams = tables.iter().map(read).collect::<Result<Vec<T>, _>>()?;
        reject_duplicates(
            tables.iter().zip(streams.iter().map(identity)),
            |table, first_line| table.error(ConfigErrorKind::DuplicateStream { first_line }),
        )?;
        Ok(streams)
    }

    /// An error about this table as a whole.
    pub(super) fn error(&self, problem: ConfigErrorKind) -> ConfigError {
        self.document.error_at(self.span.start, problem)
    }

    /// An error about the first of these keys that is there, or else about the table.
    pub(super) fn error_at_keys(
        &self,
        keys: &[&'static str],
        problem: ConfigErrorKind,
    ) -> ConfigError {
        let span = keys
            .iter()
            .find_map(|key| self.get(key))
            .map_or(self.span.start, |value| value.span.start);
        self.document.error_at(span, problem)
    }
}

/// Refuses the first table whose identity an earlier one has; `refusal` is told in which line that one begins.
pub(super) fn reject_duplicates<'t, I: Eq + Hash>(
    tables: impl Iterator<Item = (&'t ConfigTable<'t>, I)>,
    refusal: impl Fn(&ConfigTable<'_>, usize) -> ConfigError,
) -> Result<(), ConfigError> {
    let mut seen: HashMap<I, &ConfigTable<'_>> = HashMap::new();
    for (table, identity) in tables {
        // Lines are counted only now: a file may list ten thousand streams.
        if let Some(first) = seen.insert(identity, table) {
            let FilePosition { line, .. } =
                position_at(first.document.origin, first.document.text, first.span.start);
            return Err(refusal(table, line));
        }
    }
    Ok(())
}

/// Whether a value is what stands under a `[header]` or `[[header]]`.
fn has_header(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::Table(_) => true,
        DeValue::Array(items) => items.first().is_some_and(|item| item.get_ref().is_table()),
        _ => false,
    }
}

/// The known name that `name` was probably meant to be: at most a third of its letters differ.
fn nearest(name: &str, known: &[&'static str]) -> Option<&'static str> {
    let lower = name.to_lowercase();
    let distances = known
        .iter()
        .map(|candidate| (strsim::osa_distance(&lower, candidate), *candidate));
    let (distance, candidate) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= candidate.len().div_ceil(3)).then_some(candidate)
}

/// One value, and where it stands.
pub(super) struct ConfigValue<'a> {
    document: &'a ConfigSource<'a>,
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
        position_at(self.document.origin, self.document.text, self.span.start)
    }

    /// Text, written here or fetched from where the value points to.
    pub(super) fn text(&self) -> Result<String, ConfigError> {
        match (self.content, self.reference()?) {
            (_, Some(reference)) => reference
                .fetch(self.document.environment)
                .map_err(|fault| self.error(fault)),
            (DeValue::String(text), None) => Ok(text.clone().into_owned()),
            _ => Err(self.type_error("text in quotes")),
        }
    }

    /// What the text says.
    pub(super) fn parse<T>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, Fault>,
    ) -> Result<T, ConfigError> {
        parse(&self.text()?).map_err(|fault| self.error(fault))
    }

    /// Where the value points to, if it is not written here.
    pub(super) fn reference(&self) -> Result<Option<ValueReference>, ConfigError> {
        let DeValue::Table(table) = self.content else {
            return Ok(None);
        };
        let folder = self.document.origin.parent().unwrap_or(Path::new(""));
        let mut entries = table
            .iter()
            .map(|(kind, name)| (kind.get_ref().as_ref(), name.get_ref().as_str()));
        let reference = match (entries.next(), entries.next()) {
            (Some((kind, Some(name))), None) if !name.is_empty() => {
                ValueReference::new(kind, name, folder)
            }
            _ => Err(Fault::Reference),
        };
        reference.map(Some).map_err(|fault| self.error(fault))
    }

    fn table(&self, shape: &'static TableSchema) -> Result<ConfigTable<'a>, ConfigError> {
        match self.content {
            DeValue::Table(entries) => {
                ConfigTable::new(self.document, shape, self.span.clone(), entries)
            }
            _ => Err(self.type_error(shape.expected_form)),
        }
    }

    fn tables(&self, shape: &'static TableSchema) -> Result<Vec<ConfigTable<'a>>, ConfigError> {
        let DeValue::Array(items) = self.content else {
            return Err(self.type_error(shape.expected_form));
        };
        let open = |item: &'a Spanned<DeValue<'a>>| match item.get_ref() {
            DeValue::Table(entries) => ConfigTable::new(self.document, shape, item.span(), entries),
            content => Err(Self {
                document: self.document,
                key: self.key,
                span: item.span(),
                content,
            }
            .type_error(shape.expected_form)),
        };
        items.iter().map(open).collect()
    }

    pub(super) fn type_error(&self, expected: &'static str) -> ConfigError {
        self.error(Fault::WrongType {
            expected,
            found: type_name(self.content),
        })
    }

    /// An error about this value.
    pub(super) fn error(&self, fault: Fault) -> ConfigError {
        self.document.error_at(
            self.span.start,
            ConfigErrorKind::Value {
                key: self.key,
                fault,
            },
        )
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
