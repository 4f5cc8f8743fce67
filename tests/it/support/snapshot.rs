//! Snapshots of texts that people read. Values that differ from run to run are redacted first.
//!
//! `INSTA_UPDATE=always cargo test --test it snapshots` writes the files anew after a wanted
//! change.

use std::collections::HashSet;

use insta::{Settings, assert_snapshot};

/// Compares a text with the file of this name in `tests/it/snapshots`.
#[track_caller]
pub(crate) fn assert_matches_file(name: &str, text: &str) {
    let mut settings = Settings::clone_current();
    settings.set_snapshot_path("../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| assert_snapshot!(name, text));
}

/// Replaces numbers by `#`, and durations and times by their kind. Runs of spaces become two
/// spaces, since the width of a column depends on its values.
pub(crate) fn redact(text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| redact_line(line).trim_end().to_owned());
    lines.collect::<Vec<_>>().join("\n")
}

fn redact_line(line: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    let indent = line.len() - line.trim_start().len();
    let mut is_column = false;
    for word in line.trim_start().split(' ') {
        if word.is_empty() {
            is_column = true;
            continue;
        }
        let word = redact_word(word);
        let separator = if is_column && !words.is_empty() {
            " "
        } else {
            ""
        };
        match words.last() {
            Some(last)
                if !is_column && word.starts_with("[duration]") && last.ends_with("[duration]") =>
            {
                let with_punctuation = last.trim_end_matches("[duration]").to_owned() + &word;
                words.pop();
                words.push(with_punctuation);
            }
            _ => words.push(format!("{separator}{word}")),
        }
        is_column = false;
    }
    " ".repeat(indent) + &words.join(" ")
}

/// Redacts a word, and keeps the punctuation around it.
fn redact_word(word: &str) -> String {
    let is_part = |c: char| {
        c.is_alphanumeric() || matches!(c, '#' | ':' | '.' | ',' | '-' | '/' | '+' | '_' | '%')
    };
    let core = word
        .trim_matches(|c: char| !is_part(c))
        .trim_end_matches([',', '.', ':']);
    let Some(at) = word
        .find(core)
        .filter(|_| core.contains(|c: char| c.is_ascii_digit()))
    else {
        return word.to_owned();
    };
    let is_hash = core.len() >= 8
        && core.chars().all(|c| c.is_ascii_hexdigit())
        && core.contains(|c: char| c.is_alphabetic());
    let (before, after) = (&word[..at], &word[at + core.len()..]);
    let numbers = numbers_as_hashes(core);
    let redacted = match numbers.as_str() {
        "#ms" | "#s" | "#m" | "#h" | "#d" | "#mo" | "#y" | "#min" => "[duration]".to_owned(),
        "#-#-#" | "#:#" | "#:#:#" | "#-#-#T#:#:#Z" | "#-#-#T#:#Z" => "[time]".to_owned(),
        _ if is_hash => "[hash]".to_owned(),
        _ => numbers,
    };
    format!("{before}{redacted}{after}")
}

/// Replaces each number, with its separators of thousands and decimals, by `#`.
fn numbers_as_hashes(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if !c.is_ascii_digit() {
            out.push(c);
            continue;
        }
        out.push('#');
        while let Some(&next) = chars.peek() {
            let mut rest = chars.clone();
            let separates =
                matches!(next, ',' | '.') && rest.nth(1).is_some_and(|c| c.is_ascii_digit());
            if !next.is_ascii_digit() && !separates {
                break;
            }
            chars.next();
        }
    }
    out
}

/// The words of a page, redacted, one element a line, each line once. Lines that hold only values
/// are left out: which days, rows and cells a page shows depends on the date and on the passes.
pub(crate) fn words_of_html(html: &str) -> String {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let text = MONTHS
        .iter()
        .fold(redact(&text_of_html(html)), |text, month| {
            text.replace(month, "[month]")
        });
    let has_words = |line: &&str| {
        let kinds = ["[duration]", "[time]", "[month]"];
        let rest = kinds
            .iter()
            .fold((*line).to_owned(), |line, kind| line.replace(kind, ""));
        rest.contains(char::is_alphabetic)
    };
    let mut seen = HashSet::new();
    let lines = text.lines().filter(has_words);
    lines
        .filter(|line| seen.insert(*line))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The text of a page as a reader sees it, one element a line. Styles and drawings are left out.
fn text_of_html(html: &str) -> String {
    let mut lines = Vec::new();
    let mut rest = html;
    while let Some((text, tag_and_rest)) = rest.split_once('<') {
        lines.push(text);
        let (tag, after) = tag_and_rest.split_once('>').unwrap_or((tag_and_rest, ""));
        let name = tag.split([' ', '/']).next().unwrap_or_default();
        rest = match name {
            "style" | "svg" | "title" => after
                .split_once(&format!("</{name}>"))
                .map_or("", |(_, after)| after),
            _ => after,
        };
    }
    lines.push(rest);
    let unescape = |text: &str| {
        text.replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&nbsp;", " ")
            .replace("&amp;", "&")
    };
    let lines = lines
        .into_iter()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(unescape);
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn redaction_keeps_words_and_hides_values() {
    let text = "lag  2m 3s,   1,234 messages  since 2026-11-26T21:22:23Z\n  at http://127.0.0.1:8080/ (12 %)";
    let redacted = redact(text);
    assert_eq!(
        redacted,
        "lag  [duration],  # messages  since [time]\n  at http://#:#/ (# %)"
    );
}

#[test]
fn html_becomes_its_text() {
    let html = "<h1>All <b>good</b></h1><style>a { b }</style><svg><path/></svg><p>1 &lt; 2</p>";
    assert_eq!(text_of_html(html), "All\ngood\n1 < 2");
}
