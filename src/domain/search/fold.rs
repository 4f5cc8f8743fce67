//! Folding: texts that differ only in case, in diacritics or in the encoding of characters become
//! equal.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::{canonical_combining_class, is_combining_mark};

/// Returns the folded form of a text: compatibility characters decomposed (NFKD), case folded,
/// diacritics and invisible characters removed, and the rest composed again (NFC).
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.nfkd()
        .flat_map(fold_case)
        .filter(|c| !is_ignored(*c))
        .map(without_stroke)
        .nfc()
        .collect()
}

/// Returns the folded form of a text, and for each of its bytes the range of bytes of the text that
/// it comes from.
pub(super) fn fold_with_origins(text: &str) -> (String, Vec<(usize, usize)>) {
    let (mut folded, mut origins) = (String::with_capacity(text.len()), Vec::new());
    let mut start = 0;
    let ends = text.char_indices().skip(1);
    let ends = ends.filter(|(_, c)| !continues_character(*c));
    for end in ends.map(|(end, _)| end).chain([text.len()]) {
        folded.push_str(&fold(&text[start..end]));
        origins.resize(folded.len(), (start, end));
        start = end;
    }
    (folded, origins)
}

/// True if the character may be composed with the one before it.
fn continues_character(c: char) -> bool {
    let is_second_part_of_hangul =
        matches!(c, '\u{1160}'..='\u{11FF}' | '\u{D7B0}'..='\u{D7FF}' | '\u{FF9E}' | '\u{FF9F}');
    !c.is_ascii() && (is_combining_mark(c) || is_ignored(c) || is_second_part_of_hangul)
}

/// Folds the case of a character. Letters whose upper case has several letters are folded to these
/// (`ß` to `ss`), and all forms of a letter to one (`ς` to `σ`).
fn fold_case(c: char) -> impl Iterator<Item = char> {
    let lower = c.to_lowercase();
    lower
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
}

/// True if a decomposed text reads the same without this character: it is a diacritic, or
/// invisible.
///
/// Marks of the combining classes 1, 10 to 36 and 200 or above are accents, points of Hebrew and
/// vowel signs of Arabic, which most writers leave out. Marks of all other classes spell words:
/// vowels of Indic and Thai scripts, viramas, and the voicing marks of kana.
fn is_ignored(c: char) -> bool {
    if c.is_ascii() {
        return false;
    }
    matches!(canonical_combining_class(c), 1 | 10..=36 | 200..) || is_invisible(c)
}

/// True for the characters that Unicode calls default ignorable, for marks that enclose the
/// character before them, and for the line that lengthens Arabic words.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{640}' | '\u{115F}' | '\u{1160}' | '\u{17B4}'
            | '\u{17B5}' | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}'
            | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{20DD}'..='\u{20E4}'
            | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFF8}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
            | '\u{E0000}'..='\u{E0FFF}'
    )
}

/// Returns the letter without its stroke. Unicode does not decompose these.
fn without_stroke(c: char) -> char {
    match c {
        'ø' => 'o',
        'đ' | 'ð' => 'd',
        'ł' => 'l',
        'ħ' => 'h',
        'ŧ' => 't',
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_diacritics_and_encodings_are_folded() {
        for (text, folded) in [
            ("Hello", "hello"),
            ("Crème BRÛLÉE", "creme brulee"),
            ("cre\u{300}me", "creme"),
            ("STRASSE Straße STRAẞE", "strasse strasse strasse"),
            ("İSTANBUL ısparta", "istanbul isparta"),
            ("ΟΔΥΣΣΕΥΣ ὀδυσσεύς", "οδυσσευσ οδυσσευσ"),
            ("Łódź Ærø Đà", "lodz æro da"),
            ("Ёлка", "елка"),
            ("ＡＢＣ①", "abc1"),
            ("ﬁn", "fin"),
            ("ｶﾞ が", "ガ が"),
            ("한글", "한글"),
            ("\u{1112}\u{1161}\u{11AB}", "한"),
            ("שָׁלוֹם", "שלום"),
            ("مُحَمَّد", "محمد"),
            ("हिन्दी", "हिन्दी"),
            ("ที่นี่", "ที\u{E48}นี\u{E48}"),
            ("a\u{AD}b\u{200B}c", "abc"),
            ("❤\u{FE0F}", "❤"),
        ] {
            assert_eq!(fold(text), folded, "{text}");
            assert_eq!(fold(&fold(text)), folded, "{text}");
            assert_eq!(fold_with_origins(text).0, folded, "{text}");
        }
    }

    #[test]
    fn origins_are_the_characters_that_were_folded() {
        let text = "aé\u{301}ß中";
        let (folded, origins) = fold_with_origins(text);
        assert_eq!(folded, "aess中");
        let origin = |at: usize| &text[origins[at].0..origins[at].1];
        let found: Vec<&str> = (0..5).map(origin).collect();
        assert_eq!(found, ["a", "é\u{301}", "ß", "ß", "中"]);
        assert_eq!(origins.len(), folded.len());
    }
}
