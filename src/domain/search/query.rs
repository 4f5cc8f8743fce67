//! A search query, independent of its notation and of the database.

use std::fmt::Write as _;

use super::tokens::{Piece, for_each_token, pieces};

/// A query. A message matches if it matches one of the alternatives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchQuery {
    pub(super) alternatives: Vec<SearchAlternative>,
}

/// The terms that must occur in a message, and those that must not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SearchAlternative {
    /// All of these must occur. Never empty.
    pub(super) wanted: Vec<SearchPhrase>,
    /// None of these may occur.
    pub(super) unwanted: Vec<SearchPhrase>,
}

/// Tokens that follow each other in a message. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SearchPhrase {
    pub(super) tokens: Vec<String>,
    /// True if the last token is the beginning of one in the message.
    pub(super) is_prefix: bool,
}

impl SearchPhrase {
    /// Cuts a folded text into the tokens to look for. `None` if it has none. The last word is the
    /// beginning of a word if `is_prefix` says so.
    ///
    /// In a message a run of a script without spaces may go on behind the text. So its last
    /// character, which is a token in a message that ends there, is left out, unless it is the only
    /// one: then it is a prefix.
    pub(super) fn from_folded(folded: &str, is_prefix: bool) -> Option<Self> {
        let (mut tokens, mut last) = (Vec::new(), None);
        for (_, piece) in pieces(folded) {
            let before = tokens.len();
            piece.for_each_token(|_, token| tokens.push(token.to_owned()));
            last = Some((piece, tokens.len() - before));
        }
        let is_prefix = match last? {
            (Piece::Run(_), 1) => true,
            (Piece::Run(_), _) => {
                tokens.pop();
                false
            }
            (Piece::Word(_), _) => is_prefix,
            (Piece::Symbol(_), _) => false,
        };
        Some(Self { tokens, is_prefix })
    }

    /// True if the token at this place of the phrase may be this one of a message.
    fn accepts(&self, place: usize, token: &str) -> bool {
        let wanted = &self.tokens[place];
        if self.is_prefix && place + 1 == self.tokens.len() {
            token.starts_with(wanted)
        } else {
            token == wanted
        }
    }

    /// True if the phrase begins with the first of the tokens.
    pub(super) fn begins<T: AsRef<str>>(&self, tokens: &[T]) -> bool {
        tokens.len() >= self.tokens.len()
            && (0..self.tokens.len()).all(|place| self.accepts(place, tokens[place].as_ref()))
    }

    fn occurs_in(&self, tokens: &[String]) -> bool {
        (0..tokens.len()).any(|start| self.begins(&tokens[start..]))
    }
}

impl SearchQuery {
    /// True if a message with this text matches. The databases find the same messages.
    pub fn matches(&self, body: &str) -> bool {
        let mut tokens = Vec::new();
        for_each_token(body, |token| tokens.push(token.to_owned()));
        self.alternatives.iter().any(|alternative| {
            let occurs = |phrase: &SearchPhrase| phrase.occurs_in(&tokens);
            alternative.wanted.iter().all(occurs) && !alternative.unwanted.iter().any(occurs)
        })
    }

    /// Returns the phrases whose occurrences are marked.
    pub(super) fn wanted(&self) -> impl Iterator<Item = &SearchPhrase> {
        self.alternatives
            .iter()
            .flat_map(|alternative| &alternative.wanted)
    }

    /// True if the query names the beginnings of words.
    pub fn has_prefix(&self) -> bool {
        self.alternatives.iter().any(|alternative| {
            let mut phrases = alternative.wanted.iter().chain(&alternative.unwanted);
            phrases.any(|phrase| phrase.is_prefix)
        })
    }

    /// Returns the query in the language of SQLite's FTS5.
    pub fn to_fts5(&self) -> String {
        let notation = QueryNotation {
            quote: '"',
            next: " ",
            prefix: " *",
            quotes_phrase: true,
            and: " AND ",
            or: " OR ",
            not: " NOT ",
        };
        notation.write(self)
    }

    /// Returns the query as a `tsquery` of Postgres.
    pub fn to_tsquery(&self) -> String {
        let notation = QueryNotation {
            quote: '\'',
            next: " <-> ",
            prefix: ":*",
            quotes_phrase: false,
            and: " & ",
            or: " | ",
            not: " & !",
        };
        notation.write(self)
    }
}

/// The notation of queries in a database. Tokens hold no quotation marks and no backslashes: these
/// are separators.
struct QueryNotation {
    quote: char,
    /// Stands between the tokens of a phrase.
    next: &'static str,
    /// Stands behind a prefix.
    prefix: &'static str,
    /// True if a phrase is quoted as a whole. False: each of its tokens is.
    quotes_phrase: bool,
    and: &'static str,
    or: &'static str,
    not: &'static str,
}

impl QueryNotation {
    fn write(&self, query: &SearchQuery) -> String {
        let alternatives = query.alternatives.iter().map(|alternative| {
            let wanted = self.join(&alternative.wanted, self.and);
            if alternative.unwanted.is_empty() {
                return wanted;
            }
            let unwanted = self.join(&alternative.unwanted, self.or);
            format!("({wanted}{}{unwanted})", self.not)
        });
        alternatives.collect::<Vec<_>>().join(self.or)
    }

    fn join(&self, phrases: &[SearchPhrase], operator: &str) -> String {
        let phrases = phrases.iter().map(|phrase| self.phrase(phrase));
        format!("({})", phrases.collect::<Vec<_>>().join(operator))
    }

    fn phrase(&self, phrase: &SearchPhrase) -> String {
        let quote = self.quote;
        let mut text = String::new();
        if self.quotes_phrase {
            text = format!("{quote}{}{quote}", phrase.tokens.join(self.next));
        } else {
            for (place, token) in phrase.tokens.iter().enumerate() {
                let next = if place == 0 { "" } else { self.next };
                // Writing to a string cannot fail.
                let _ = write!(text, "{next}{quote}{token}{quote}");
            }
        }
        if phrase.is_prefix {
            text.push_str(self.prefix);
        }
        if phrase.tokens.len() > 1 && !self.quotes_phrase {
            text = format!("({text})");
        }
        text
    }
}
