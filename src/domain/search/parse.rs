//! The notation of queries: words, `"phrases"`, `prefix*`, `-without` and `OR`.
//!
//! | notation | matches messages |
//! |---|---|
//! | `red car` | with both words, in any order |
//! | `"red car"` | with the words in sequence |
//! | `car*` | with a word that begins so |
//! | `red -car`, `red -"fast car"` | with the one and without the other |
//! | `red car OR bike` | with both words of one side, or of the other |

use std::str::FromStr;

use super::fold::fold;
use super::query::{SearchAlternative, SearchPhrase, SearchQuery};

/// Maximum length of a query in characters. Each may become a token, and the databases limit how
/// many a query has.
const MAX_QUERY_CHARS: usize = 1000;

/// The operator between alternatives.
const OR: &str = "OR";

/// A mistake in a query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    #[error("the query is empty: name a word to search for")]
    Empty,

    #[error("the query is longer than {MAX_QUERY_CHARS} characters")]
    TooLong,

    #[error(
        "the quotation mark at character {at} is not closed: add one, or remove it to search for \
         the words in any order"
    )]
    UnclosedQuote { at: usize },

    #[error("`OR` at character {at} has no word on one side")]
    MissingAlternative { at: usize },

    #[error("`{text}` at character {at} has no letter, digit or symbol to search for")]
    NotSearchable { text: String, at: usize },

    #[error("`{text}` at character {at} only says what must not occur: add a word that must")]
    OnlyUnwanted { text: String, at: usize },
}

impl FromStr for SearchQuery {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        if text.chars().count() > MAX_QUERY_CHARS {
            return Err(QueryError::TooLong);
        }
        let terms = split_terms(text)?;
        if terms.is_empty() {
            return Err(QueryError::Empty);
        }
        let mut alternatives = Vec::new();
        for terms in terms.split_inclusive(QueryTerm::is_or) {
            match terms {
                // Nothing stands before this one.
                [or] if or.is_or() => return Err(QueryError::MissingAlternative { at: or.at }),
                [terms @ .., or] if or.is_or() => alternatives.push(read_alternative(terms)?),
                _ => alternatives.push(read_alternative(terms)?),
            }
        }
        match terms.last() {
            Some(or) if or.is_or() => Err(QueryError::MissingAlternative { at: or.at }),
            _ => Ok(Self { alternatives }),
        }
    }
}

/// Reads the terms between two `OR`. Terms of punctuation alone are left out.
fn read_alternative(terms: &[QueryTerm<'_>]) -> Result<SearchAlternative, QueryError> {
    let mut alternative = SearchAlternative::default();
    for term in terms {
        let phrase = SearchPhrase::from_folded(&fold(term.text), term.is_prefix);
        if term.is_unwanted {
            alternative.unwanted.extend(phrase);
        } else {
            alternative.wanted.extend(phrase);
        }
    }
    match terms.first() {
        Some(term) if alternative.wanted.is_empty() => {
            let (text, at) = (term.written.to_owned(), term.at);
            Err(if alternative.unwanted.is_empty() {
                QueryError::NotSearchable { text, at }
            } else {
                QueryError::OnlyUnwanted { text, at }
            })
        }
        _ => Ok(alternative),
    }
}

/// A word or a phrase as it is written.
#[derive(Debug)]
struct QueryTerm<'a> {
    /// The place of its first character in the query, from 1.
    at: usize,
    written: &'a str,
    /// The same without quotation marks, `-` and `*`.
    text: &'a str,
    is_unwanted: bool,
    is_prefix: bool,
}

impl QueryTerm<'_> {
    fn is_or(&self) -> bool {
        self.written == OR
    }
}

/// True for the quotation marks that people type around a phrase.
fn is_quote(c: char) -> bool {
    matches!(c, '"' | '“' | '”' | '„')
}

/// Splits a query at spaces and quotation marks.
fn split_terms(query: &str) -> Result<Vec<QueryTerm<'_>>, QueryError> {
    let mut terms = Vec::new();
    let mut rest = query.trim_start();
    while !rest.is_empty() {
        let place = |rest: &str| query[..query.len() - rest.len()].chars().count() + 1;
        let unsigned = rest.strip_prefix('-').unwrap_or(rest);
        let (text, behind) = if let Some(quoted) = unsigned.strip_prefix(is_quote) {
            let at = place(unsigned);
            let ends = quoted.split_once(is_quote);
            ends.ok_or(QueryError::UnclosedQuote { at })?
        } else {
            let ends = |c: char| c.is_whitespace() || is_quote(c) || c == '*';
            unsigned.split_at(unsigned.find(ends).unwrap_or(unsigned.len()))
        };
        let starless = behind.strip_prefix('*');
        let behind = starless.unwrap_or(behind);
        terms.push(QueryTerm {
            at: place(rest),
            written: &rest[..rest.len() - behind.len()],
            text,
            is_unwanted: unsigned.len() < rest.len(),
            is_prefix: starless.is_some(),
        });
        rest = behind.trim_start();
    }
    Ok(terms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<SearchQuery, QueryError> {
        text.parse()
    }

    #[test]
    fn queries_are_written_for_both_databases() {
        for (text, fts5, tsquery) in [
            ("Hello", r#"("hello")"#, "('hello')"),
            ("red  CAR", r#"("red" AND "car")"#, "('red' & 'car')"),
            (r#""red car""#, r#"("red car")"#, "(('red' <-> 'car'))"),
            ("car*", r#"("car" *)"#, "('car':*)"),
            ("user_id*", r#"("user id" *)"#, "(('user' <-> 'id':*))"),
            (
                "red -car -\"fast bike\"",
                r#"(("red") NOT ("car" OR "fast bike"))"#,
                "(('red') & !('car' | ('fast' <-> 'bike')))",
            ),
            (
                "red or OR bike OR “Ça va”",
                r#"("red" AND "or") OR ("bike") OR ("ca va")"#,
                "('red' & 'or') | ('bike') | (('ca' <-> 'va'))",
            ),
            ("東", r#"("東" *)"#, "('東':*)"),
            ("東京", r#"("東京")"#, "('東京')"),
            ("東京都", r#"("東京 京都")"#, "(('東京' <-> '京都'))"),
            (
                "東京tower",
                r#"("東京 京 tower")"#,
                "(('東京' <-> '京' <-> 'tower'))",
            ),
            ("👍*", r#"("👍")"#, "('👍')"),
            (
                "e-mail - ++ --x*y",
                r#"(("e mail" AND "y") NOT ("x" *))"#,
                "((('e' <-> 'mail') & 'y') & !('x':*))",
            ),
        ] {
            let query = parse(text).unwrap();
            assert_eq!(query.to_fts5(), fts5, "{text}");
            assert_eq!(query.to_tsquery(), tsquery, "{text}");
        }
    }

    #[test]
    fn mistakes_are_reported_with_their_place() {
        for (text, error) in [
            ("", "the query is empty"),
            (" \t", "the query is empty"),
            (
                "é \"open",
                "the quotation mark at character 3 is not closed",
            ),
            ("-\"open", "the quotation mark at character 2 is not closed"),
            ("OR a", "`OR` at character 1"),
            ("a OR", "`OR` at character 3"),
            ("a OR OR b", "`OR` at character 6"),
            ("a OR ?!", "`?!` at character 6 has no letter"),
            ("*", "`*` at character 1 has no letter"),
            ("\"\"", "`\"\"` at character 1 has no letter"),
            (
                "a OR -b",
                "`-b` at character 6 only says what must not occur",
            ),
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.starts_with(error), "{text}: {message}");
        }
        assert_eq!(parse(&"a ".repeat(501)), Err(QueryError::TooLong));
    }

    #[test]
    fn messages_match_by_words_phrases_and_prefixes() {
        let body = "The RED car, user_id=42; 東京都庁 and café";
        for matching in [
            "red car",
            "car red",
            "\"red car\"",
            "user_id",
            "user_id=42",
            "4*",
            "東",
            "庁",
            "京都",
            "京都庁",
            "\"都庁 and\"",
            "cafe",
            "CAFÉ",
            "red -bike",
            "bike OR car",
            "\"the re\"*",
        ] {
            assert!(parse(matching).unwrap().matches(body), "{matching}");
        }
        for other in [
            "re",
            "\"car red\"",
            "京庁",
            "red -car",
            "bike",
            "id_user",
            "-車 bike",
        ] {
            assert!(!parse(other).unwrap().matches(body), "{other}");
        }
    }
}
