//! The words of a text.
//!
//! - A word is a run of letters, digits and the marks that belong to them. Everything else ends it,
//!   so that `user_id` is two words in sequence, and a URL is as many as it has parts.
//! - In scripts that are written without spaces a run has no words. Each character begins a token of
//!   its own, which also holds the next one: `東京都` is `東京`, `京都`, `都`. A part of a run is
//!   found as a sequence of pairs, and one character as a prefix.
//! - A symbol, such as an emoji, is a token.
//!
//! The index also has a word for the time of each message: see [`super::time_slice`].

use std::borrow::Cow;

use serde::de::IgnoredAny;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory as _};

use super::fold::fold;

/// The version of the rules by which texts are cut. A program with other rules builds the index
/// anew.
pub const TOKEN_RULES: i64 = 2;

/// Maximum number of characters of a word in a token: of a longer one the rest is cut off, in texts
/// and in queries alike. The longest common hashes have as many. Postgres limits a token to 2,046
/// bytes.
pub(super) const MAX_WORD_CHARS: usize = 128;

/// The first characters of JSON whose escapes are resolved.
const JSON_STARTS: [char; 2] = ['{', '['];

/// Calls `visit` with each token of a message's text, in order.
pub fn for_each_token(body: &str, mut visit: impl FnMut(&str)) {
    let folded = fold(&searchable_text(body));
    for (_, piece) in pieces(&folded) {
        piece.for_each_token(|_, token| visit(token));
    }
}

/// Returns the tokens of a message's text, with a space between them.
pub fn tokens(body: &str) -> String {
    let mut tokens = String::with_capacity(body.len() + 8);
    for_each_token(body, |token| {
        if !tokens.is_empty() {
            tokens.push(' ');
        }
        tokens.push_str(token);
    });
    tokens
}

/// Returns the text of a body that is searched: the body itself. If it is a JSON object or array,
/// the escapes in it are resolved: otherwise a word behind `\n` or in `\u4e2d` would not be found.
pub fn searchable_text(body: &str) -> Cow<'_, str> {
    let may_be_json = body.trim_ascii_start().starts_with(JSON_STARTS) && body.contains('\\');
    if may_be_json && serde_json::from_str::<IgnoredAny>(body).is_ok() {
        resolve_escapes(body).into()
    } else {
        body.into()
    }
}

/// Resolves the escapes of a valid JSON text. Control characters become spaces, and lone surrogates
/// U+FFFD.
fn resolve_escapes(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let mut rest = json;
    while let Some((before, behind)) = rest.split_once('\\') {
        text.push_str(before);
        let mut behind = behind.chars();
        match behind.next() {
            Some('u') => {
                let mut units = vec![code_unit(&mut behind)];
                while let Some(next) = behind.as_str().strip_prefix("\\u") {
                    behind = next.chars();
                    units.push(code_unit(&mut behind));
                }
                let decoded = char::decode_utf16(units);
                text.extend(decoded.map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)));
            }
            Some(c @ ('"' | '\\' | '/')) => text.push(c),
            _ => text.push(' '),
        }
        rest = behind.as_str();
    }
    text.push_str(rest);
    text
}

/// Reads four hexadecimal digits.
fn code_unit(digits: &mut std::str::Chars<'_>) -> u16 {
    let digits = digits
        .by_ref()
        .take(4)
        .filter_map(|digit| digit.to_digit(16));
    digits.fold(0, |unit, digit| unit << 4 | digit as u16)
}

/// A part of a folded text that holds one token or several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Word(&'a str),
    /// A run of a script that is written without spaces.
    Run(&'a str),
    Symbol(&'a str),
}

impl<'a> Piece<'a> {
    /// Calls `visit` with each token and its place in the piece.
    pub(super) fn for_each_token(self, mut visit: impl FnMut(usize, &'a str)) {
        match self {
            Self::Word(word) => visit(0, cut_word(word)),
            Self::Symbol(symbol) => visit(0, symbol),
            Self::Run(run) => {
                let mut starts = run.char_indices().map(|(at, _)| at).skip(2);
                for (at, _) in run.char_indices() {
                    visit(at, &run[at..starts.next().unwrap_or(run.len())]);
                }
            }
        }
    }
}

/// Returns the first characters of a word.
fn cut_word(word: &str) -> &str {
    if word.len() <= MAX_WORD_CHARS {
        return word;
    }
    let end = word.char_indices().nth(MAX_WORD_CHARS);
    end.map_or(word, |(end, _)| &word[..end])
}

/// Returns the pieces of a folded text in order, each with its place.
pub(super) fn pieces(folded: &str) -> impl Iterator<Item = (usize, Piece<'_>)> {
    let mut rest = 0;
    std::iter::from_fn(move || {
        let mut characters = folded[rest..].char_indices();
        let (offset, class) = characters
            .by_ref()
            .map(|(offset, c)| (offset, CharacterClass::of(c)))
            .find(|(_, class)| *class != CharacterClass::Separator)?;
        let start = rest + offset;
        let is_other = |(_, c): &(usize, char)| CharacterClass::of(*c) != class;
        let end = match class {
            CharacterClass::Symbol => characters.next(),
            _ => characters.find(is_other),
        };
        let end = end.map_or(folded.len(), |(offset, _)| rest + offset);
        rest = end;
        let text = &folded[start..end];
        Some((
            start,
            match class {
                CharacterClass::Letter => Piece::Word(text),
                CharacterClass::Unspaced => Piece::Run(text),
                CharacterClass::Symbol | CharacterClass::Separator => Piece::Symbol(text),
            },
        ))
    })
}

/// The role of a character in the division of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CharacterClass {
    /// A letter, a digit or a mark.
    Letter,
    /// The same in a script that is written without spaces.
    Unspaced,
    Symbol,
    Separator,
}

impl CharacterClass {
    fn of(c: char) -> Self {
        if c.is_ascii() {
            return if c.is_ascii_alphanumeric() {
                Self::Letter
            } else {
                Self::Separator
            };
        }
        match c.general_category_group() {
            GeneralCategoryGroup::Letter
            | GeneralCategoryGroup::Mark
            | GeneralCategoryGroup::Number => {
                if is_unspaced(c) {
                    Self::Unspaced
                } else {
                    Self::Letter
                }
            }
            GeneralCategoryGroup::Symbol => Self::Symbol,
            GeneralCategoryGroup::Punctuation | GeneralCategoryGroup::Separator => Self::Separator,
            // Pictures of private fonts, and emoji that are newer than this program.
            GeneralCategoryGroup::Other => match c.general_category() {
                GeneralCategory::PrivateUse | GeneralCategory::Unassigned => Self::Symbol,
                _ => Self::Separator,
            },
        }
    }
}

/// True if the character belongs to a script that is written without spaces between words: Thai,
/// Lao, Burmese, Khmer, Tai scripts, Javanese, Balinese, Han, kana, bopomofo, Yi. Korean has spaces,
/// but adds endings to words, which pairs find as well.
fn is_unspaced(c: char) -> bool {
    matches!(
        c,
        '\u{E00}'..='\u{EFF}'
            | '\u{1000}'..='\u{109F}'
            | '\u{1100}'..='\u{11FF}'
            | '\u{1780}'..='\u{17FF}'
            | '\u{1950}'..='\u{19DF}'
            | '\u{1A20}'..='\u{1AAF}'
            | '\u{1B00}'..='\u{1B7F}'
            | '\u{2E80}'..='\u{2FDF}'
            | '\u{3005}'..='\u{3007}'
            | '\u{3021}'..='\u{31FF}'
            | '\u{3400}'..='\u{4DBF}'
            | '\u{4E00}'..='\u{A4CF}'
            | '\u{A960}'..='\u{A97F}'
            | '\u{A980}'..='\u{A9FF}'
            | '\u{AA60}'..='\u{AA7F}'
            | '\u{AC00}'..='\u{D7FF}'
            | '\u{F900}'..='\u{FAFF}'
            | '\u{1AFF0}'..='\u{1B16F}'
            | '\u{20000}'..='\u{3FFFF}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_into_words_pairs_and_symbols() {
        for (text, expected) in [
            ("", ""),
            (" ,.!? \n", ""),
            ("Hello, World!", "hello world"),
            ("don't", "don t"),
            ("user_id foo::bar a-b", "user id foo bar a b"),
            ("https://Example.com/a?b=c#d", "https example com a b c d"),
            ("v1.2.3 0xDEADbeef", "v1 2 3 0xdeadbeef"),
            ("東京都", "東京 京都 都"),
            ("東京tower 3号", "東京 京 tower 3 号"),
            ("カタカナ", "カタ タカ カナ ナ"),
            ("안녕하세요", "안녕 녕하 하세 세요 요"),
            ("हिन्दी भाषा", "हिन्दी भाषा"),
            ("русский язык", "русскии язык"),
            ("👍🏽 ok 👩\u{200D}💻", "👍 🏽 ok 👩 💻"),
            ("🇩🇪", "🇩 🇪"),
            ("5 € → x", "5 € → x"),
            ("\u{E000}", "\u{E000}"),
        ] {
            assert_eq!(tokens(text), expected, "{text}");
        }
        let thai = "ภาษาไทย";
        assert_eq!(tokens(thai).split(' ').count(), thai.chars().count());
    }

    #[test]
    fn long_words_are_cut_off() {
        let long = "é".repeat(MAX_WORD_CHARS + 9);
        assert_eq!(tokens(&long), "e".repeat(MAX_WORD_CHARS));
        assert_eq!(tokens(&"ж".repeat(500)), "ж".repeat(MAX_WORD_CHARS));
        assert_eq!(tokens(&"ж".repeat(100)), "ж".repeat(100));
    }

    #[test]
    fn escapes_of_json_are_resolved() {
        for (text, expected) in [
            (r#"{"text":"a\nb"}"#, "text a b"),
            (
                r#" [{"k":"\u4e2d\u56fd"},1.5,true,null]"#,
                "k 中国 国 1 5 true null",
            ),
            (r#"{"text":"plain"}"#, "text plain"),
            (
                r#"{"a":"\ud83d\ude00 \ud83d \"q\" 1\/2 \\n"}"#,
                "a 😀 \u{FFFD} q 1 2 n",
            ),
            (r#"{"a":1.50,"a":"\t2"}"#, "a 1 50 a 2"),
            (r#"{"broken":"a\nb""#, "broken a nb"),
            (r"C:\new", "c new"),
            (r#""a\nb""#, "a nb"),
        ] {
            assert_eq!(tokens(text), expected, "{text}");
        }
    }
}
