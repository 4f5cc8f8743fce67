//! The tab key at the prompt, and where a statement ends.

use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper};

use crate::store::query::{SqlDialect, ViewDescription, is_blank, statement_end};

const KEYWORDS: [&str; 34] = [
    "AND", "AS", "ASC", "BETWEEN", "BY", "CASE", "CAST", "COUNT", "DESC", "DISTINCT", "ELSE",
    "END", "EXISTS", "EXPLAIN", "FROM", "GROUP", "HAVING", "IN", "IS", "JOIN", "LEFT", "LIKE",
    "LIMIT", "NOT", "NULL", "ON", "OR", "ORDER", "OVER", "SELECT", "THEN", "WHEN", "WHERE", "WITH",
];

/// The commands with their meaning.
pub(super) const COMMANDS: [(&str, &str); 4] = [
    (".views", "lists the views"),
    (".schema VIEW", "describes the columns of a view, or of all"),
    (".help", "shows this help"),
    (".quit", "ends, like ^D"),
];

/// Helps to type a query.
pub(super) struct QueryHelper {
    pub(super) dialect: SqlDialect,
    pub(super) views: Vec<ViewDescription>,
}

impl QueryHelper {
    /// Returns the words that a line up to the cursor may go on with, and where the last word begins:
    /// the columns of a view behind its name and a dot, else views, columns and keywords.
    fn candidates(&self, line: &str) -> (usize, Vec<String>) {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let start = line.trim_end_matches(is_word).len();
        let (before, word) = line.split_at(start);
        let command = before == "." || before.ends_with("\n.");
        let view = before.strip_suffix('.').and_then(|before| {
            let name = &before[before.trim_end_matches(is_word).len()..];
            self.views
                .iter()
                .find(|view| view.name.eq_ignore_ascii_case(name))
        });
        let shown = before.trim_end().ends_with(".schema");
        let names = self.views.iter().map(|view| view.name);
        let columns = || {
            self.views
                .iter()
                .flat_map(|view| &view.columns)
                .map(|column| column.name)
        };
        let known: Vec<&str> = match view {
            Some(view) => view.columns.iter().map(|column| column.name).collect(),
            None if command => COMMANDS
                .iter()
                .filter_map(|(name, _)| name[1..].split_whitespace().next())
                .collect(),
            None if shown => names.collect(),
            None => names.chain(columns()).chain(KEYWORDS).collect(),
        };
        let lower = word.to_lowercase();
        let mut found: Vec<String> = known
            .into_iter()
            .filter(|known| known.to_lowercase().starts_with(&lower))
            .map(str::to_owned)
            .collect();
        found.sort_unstable();
        found.dedup();
        (start, found)
    }
}

impl Completer for QueryHelper {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.candidates(&line[..position]))
    }
}

impl Validator for QueryHelper {
    /// A query ends with a semicolon. A command is one line.
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let text = context.input();
        let is_complete = text.trim_start().starts_with('.')
            || is_blank(text, self.dialect)
            || statement_end(text, self.dialect).is_some();
        Ok(if is_complete {
            ValidationResult::Valid(None)
        } else {
            ValidationResult::Incomplete
        })
    }
}

impl Hinter for QueryHelper {
    type Hint = String;
}

impl Highlighter for QueryHelper {}

impl Helper for QueryHelper {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::query::views;

    #[track_caller]
    fn assert_completed(line: &str, expected: &[&str]) {
        let helper = QueryHelper {
            dialect: SqlDialect::Sqlite,
            views: views(),
        };
        let (start, found) = helper.candidates(line);
        assert_eq!(found, expected, "{line}");
        assert!(line.is_char_boundary(start));
    }

    #[test]
    fn views_columns_keywords_and_commands_are_completed() {
        assert_completed("sel", &["SELECT"]);
        assert_completed("SELECT * FROM sende", &["sender", "sender_id", "senders"]);
        assert_completed("SELECT archive_end.", &["id"]);
        assert_completed("SELECT 消息, gaps.exp", &["expires_at"]);
        assert_completed(".sch", &["schema"]);
        assert_completed(".schema archive_e", &["archive_end"]);
        assert_completed(".schema qu", &["quarantine"]);
    }
}
