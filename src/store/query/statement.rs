//! The ends of statements in a text. Semicolons in quotes and comments end none.

use super::error::RejectedQuery;

/// The rules by which a database divides a text into words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SqlDialect {
    Sqlite,
    Postgres,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    /// Whitespace or a comment.
    Blank,
    Semicolon,
    /// A word, a quoted text or a character.
    Other,
    /// A quoted text or a comment without its end. It reaches to the end of the text.
    Unfinished,
}

/// Returns the byte offset behind the semicolon that ends the first statement. `None` if the
/// statement goes on.
pub fn statement_end(text: &str, dialect: SqlDialect) -> Option<usize> {
    let mut offset = 0;
    while offset < text.len() {
        let (token, length) = next_token(&text[offset..], dialect);
        offset += length;
        if token == Token::Semicolon {
            return Some(offset);
        }
    }
    None
}

/// True if a text consists of whitespace, comments and semicolons.
pub fn is_blank(text: &str, dialect: SqlDialect) -> bool {
    first_word(text, dialect).is_none()
}

/// Returns the byte offset of the first token that is neither blank nor a semicolon.
fn first_word(text: &str, dialect: SqlDialect) -> Option<usize> {
    let mut offset = 0;
    while offset < text.len() {
        let (token, length) = next_token(&text[offset..], dialect);
        if matches!(token, Token::Other | Token::Unfinished) {
            return Some(offset);
        }
        offset += length;
    }
    None
}

/// Returns the only statement of a text. Offsets in it are offsets in the text.
pub(super) fn single(text: &str, dialect: SqlDialect) -> Result<&str, RejectedQuery> {
    // Databases take it for the end of the text.
    if let Some(offset) = text.find('\0') {
        return Err(RejectedQuery::new("a query cannot contain U+0000").at(offset));
    }
    let Some(start) = first_word(text, dialect) else {
        return Err(RejectedQuery::new("there is no query"));
    };
    let end = statement_end(&text[start..], dialect).map_or(text.len(), |end| start + end);
    match first_word(&text[end..], dialect) {
        None => Ok(&text[..end]),
        Some(second) => {
            let rejected =
                RejectedQuery::new("a second statement begins here: one query at a time");
            Err(rejected.at(end + second))
        }
    }
}

/// Returns the first token of a text that is not empty, and its length in bytes.
fn next_token(text: &str, dialect: SqlDialect) -> (Token, usize) {
    let Some(first) = text.chars().next() else {
        return (Token::Blank, 0);
    };
    match first {
        ';' => (Token::Semicolon, 1),
        '-' if text.starts_with("--") => {
            let end = text.find('\n').map_or(text.len(), |end| end + 1);
            (Token::Blank, end)
        }
        '/' if text.starts_with("/*") => comment(text, dialect),
        '\'' | '"' => quoted(text, 1, first, false),
        '`' if dialect == SqlDialect::Sqlite => quoted(text, 1, '`', false),
        '[' if dialect == SqlDialect::Sqlite => delimited(text, 1, "]"),
        'e' | 'E' if dialect == SqlDialect::Postgres && text[1..].starts_with('\'') => {
            quoted(text, 2, '\'', true)
        }
        '$' if dialect == SqlDialect::Postgres => dollar_quoted(text),
        c if c.is_whitespace() => (Token::Blank, c.len_utf8()),
        c if is_word(c) => {
            // In Postgres, a word may contain a dollar sign, which then quotes nothing.
            let in_word = |c: char| is_word(c) || c == '$';
            (
                Token::Other,
                text.find(|c| !in_word(c)).unwrap_or(text.len()),
            )
        }
        c => (Token::Other, c.len_utf8()),
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Comments are nested in Postgres.
fn comment(text: &str, dialect: SqlDialect) -> (Token, usize) {
    let mut depth = 0;
    let mut offset = 0;
    while let Some(found) = text[offset..].find(['/', '*']) {
        offset += found;
        let rest = &text[offset..];
        if rest.starts_with("/*") && (depth == 0 || dialect == SqlDialect::Postgres) {
            depth += 1;
            offset += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            offset += 2;
            if depth == 0 {
                return (Token::Blank, offset);
            }
        } else {
            offset += 1;
        }
    }
    (Token::Unfinished, text.len())
}

/// A text from `start` up to `quote`. Two quotes stand for one, and so does one behind a backslash
/// if these `escape`.
fn quoted(text: &str, start: usize, quote: char, escape: bool) -> (Token, usize) {
    let mut chars = text[start..].char_indices().peekable();
    while let Some((offset, c)) = chars.next() {
        if c == '\\' && escape {
            chars.next();
        } else if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return (Token::Other, start + offset + quote.len_utf8());
        }
    }
    (Token::Unfinished, text.len())
}

/// A text from `start` up to a delimiter.
fn delimited(text: &str, start: usize, delimiter: &str) -> (Token, usize) {
    match text[start..].find(delimiter) {
        Some(end) => (Token::Other, start + end + delimiter.len()),
        None => (Token::Unfinished, text.len()),
    }
}

/// `$$…$$` or `$tag$…$tag$`. Other dollar signs, as in `$1`, quote nothing.
fn dollar_quoted(text: &str) -> (Token, usize) {
    let tag = text[1..].find('$').map(|end| &text[1..=end]);
    let is_tag =
        |tag: &&str| tag.chars().all(is_word) && !tag.starts_with(|c: char| c.is_ascii_digit());
    match tag.filter(is_tag) {
        Some(tag) => {
            let delimiter = &text[..tag.len() + 2];
            delimited(text, delimiter.len(), delimiter)
        }
        None => (Token::Other, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::SqlDialect::{Postgres, Sqlite};
    use super::*;

    #[track_caller]
    fn assert_first(dialect: SqlDialect, text: &str, first: &str) {
        let end = statement_end(text, dialect).map(|end| &text[..end]);
        assert_eq!(end, Some(first), "{dialect:?}");
    }

    #[test]
    fn semicolons_in_quotes_and_comments_end_no_statement() {
        for dialect in [Sqlite, Postgres] {
            for statement in [
                ";",
                "SELECT 1;",
                "SELECT ';', 'it''s;', \";\"\"\";",
                "SELECT 1 -- ;\n;",
                "/* ; ' */ SELECT 1;",
                "SELECT 'é;', 消息;",
                "SELECT a$b$c;",
                "SELECT 1 - 2 / 3 * 4;",
            ] {
                assert_first(dialect, &format!("{statement} SELECT 2;"), statement);
            }
        }
    }

    #[test]
    fn each_database_has_its_own_quotes() {
        assert_first(Sqlite, "SELECT [;], `;`; x", "SELECT [;], `;`;");
        assert_first(Sqlite, "/* /* */; x", "/* /* */;");
        assert_first(Sqlite, "SELECT e'\\';'", "SELECT e'\\';");
        assert_first(Postgres, "SELECT E'\\';'; x", "SELECT E'\\';';");
        assert_first(Postgres, "/* /* */ ; */; x", "/* /* */ ; */;");
        assert_first(
            Postgres,
            "SELECT $$;$$, $a_1$;$$;$a_1$; x",
            "SELECT $$;$$, $a_1$;$$;$a_1$;",
        );
        assert_first(Postgres, "SELECT a[1], $1; x$", "SELECT a[1], $1;");
    }

    #[test]
    fn unfinished_statement_goes_on() {
        for text in ["", "SELECT 1", "SELECT ';", "-- ;", "/* ;", "SELECT \";"] {
            assert_eq!(statement_end(text, Sqlite), None, "{text}");
            assert_eq!(statement_end(text, Postgres), None, "{text}");
        }
        assert_eq!(statement_end("SELECT $$ ; $", Postgres), None);
        assert_eq!(statement_end("SELECT [;", Sqlite), None);
    }

    #[test]
    fn text_has_one_statement() {
        let accepted = [
            "SELECT 1",
            "SELECT 1;",
            ";; SELECT 1 ;; -- end",
            "--\nSELECT 1 /* ; */",
        ];
        for text in accepted {
            assert!(single(text, Sqlite).is_ok(), "{text}");
        }
        let rejected = [
            ("", None),
            (" ; -- SELECT", None),
            ("SELECT 1; SELECT 2", Some(10)),
            ("SELECT 1;\n/* ; */ DROP", Some(18)),
            ("SELECT 1\0", Some(8)),
            ("SELECT 1; '", Some(10)),
        ];
        for (text, offset) in rejected {
            let error = single(text, Postgres).expect_err(text);
            assert_eq!(error.offset, offset, "{text}");
        }
    }
}
