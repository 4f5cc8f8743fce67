//! The wording of texts for people: nouns agree with their numbers.

/// Nouns that the program counts.
const PLURALS: &[&str] = &[
    "accounts",
    "attempts",
    "bytes",
    "characters",
    "days",
    "differences",
    "errors",
    "files",
    "messages",
    "pages",
    "ranges",
    "requests",
    "rows",
    "seconds",
    "streams",
    "times",
    "windows",
];

/// Panics if a text counts one thing in the plural, as in "1 windows".
#[track_caller]
pub(crate) fn assert_nouns_agree(text: &str) {
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let is_wrong = |pair: &[&str]| {
            let number = pair[0].rsplit(['(', '~', '>']).next();
            let noun = pair[1].split(|c: char| !c.is_alphabetic()).next();
            number == Some("1") && noun.is_some_and(|noun| PLURALS.contains(&noun))
        };
        let found = words.windows(2).find(|pair| is_wrong(pair));
        assert!(found.is_none(), "{found:?} in the line: {line}");
    }
}

#[test]
fn plural_after_the_number_one_is_found() {
    assert_nouns_agree("1 of 44 streams, 21 windows, 1 message, 0 windows, 1,001 rows, v0.1 files");
    for wrong in ["1 windows are", "in doubt (1 windows)", "<p>1 requests</p>"] {
        let found = std::panic::catch_unwind(|| assert_nouns_agree(wrong));
        assert!(found.is_err(), "{wrong}");
    }
}
