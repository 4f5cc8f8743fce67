//! The answer of a search for people.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};
use std::ops::Range;

use super::answer::{HitInContext, SearchAnswer};
use crate::cli::limits::{EXCERPT_CHARS, MAX_LISTED_RANGES};
use crate::cli::output::{print_document, print_line};
use crate::cli::table::{counted, sanitized};
use crate::domain::search::highlight::matched_ranges;
use crate::domain::search::query::SearchQuery;
use crate::store::DisplayedMessage;

/// Begins and ends bold text on a terminal.
const BOLD: (&str, &str) = ("\x1b[1m", "\x1b[22m");

/// Prints the hits, and what the answer may lack.
pub(super) fn print_answer(answer: &SearchAnswer<'_>) {
    let printer = HitPrinter {
        query: answer.query,
        marks: if is_terminal() { BOLD } else { ("", "") },
        with_context: answer.with_context,
    };
    for (place, hit) in answer.hits.iter().enumerate() {
        if place > 0 && answer.with_context {
            print_line("--");
        }
        printer.print(hit);
    }
    if !answer.hits.is_empty() {
        print_line("");
    }
    print_line(count(answer));
    for sentence in answer.completeness.sentences(MAX_LISTED_RANGES) {
        print_line(sentence);
    }
    let missing = answer.extent.missing();
    if missing > 0 {
        print_line(format_args!(
            "The search index is NOT complete: it lacks up to {}, archived last. The service completes \
             it, and so does `backscroll sync`.",
            counted(missing, "message", "messages")
        ));
    }
}

fn count(answer: &SearchAnswer<'_>) -> String {
    let hits = counted(answer.hits.len() as u64, "message", "messages");
    match (answer.hits.len(), answer.has_more) {
        (0, _) => "No message matches.".to_owned(),
        (_, true) => format!("{hits}. There are more: use --limit, --since or --until."),
        (_, false) => format!("{hits}."),
    }
}

/// True if standard output understands marks, and nobody has asked for plain text.
fn is_terminal() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Prints messages, one each line.
struct HitPrinter<'a> {
    query: &'a SearchQuery,
    /// Stand around what matches.
    marks: (&'static str, &'static str),
    with_context: bool,
}

impl HitPrinter<'_> {
    fn print(&self, hit: &HitInContext) {
        let mut lines = String::new();
        for message in &hit.before {
            self.push_line(&mut lines, "  ", message, &[]);
        }
        let sign = if self.with_context { "> " } else { "" };
        let body = hit.message.body.as_deref().unwrap_or_default();
        let matched = matched_ranges(self.query, body);
        self.push_line(&mut lines, sign, &hit.message, &matched);
        for message in &hit.after {
            self.push_line(&mut lines, "  ", message, &[]);
        }
        // All texts in it are sanitised, and the marks are meant for the terminal.
        print_document(lines.as_bytes());
    }

    fn push_line(
        &self,
        lines: &mut String,
        sign: &str,
        message: &DisplayedMessage,
        matched: &[Range<usize>],
    ) {
        let DisplayedMessage {
            account,
            conversation,
            sender,
            sent_at,
            body,
            ..
        } = message;
        let names = [account, conversation, sender].map(|name| sanitized(name));
        let [account, conversation, sender] = names;
        let body = match body {
            Some(body) => self.excerpt(body, matched),
            None => "(not text)".to_owned(),
        };
        // Writing to a string does not fail.
        let _ = writeln!(
            lines,
            "{sign}{sent_at}  {account} {conversation}  {sender}: {body}"
        );
    }

    /// Returns the part of a body around its first match, in one line and with all matches marked.
    fn excerpt(&self, body: &str, matched: &[Range<usize>]) -> String {
        let first = matched.first().map_or(0, |range| range.start);
        let start = char_before(body, first, EXCERPT_CHARS / 4);
        let end = char_behind(body, start, EXCERPT_CHARS);
        let mut excerpt = String::new();
        if start > 0 {
            excerpt.push('…');
        }
        let mut printed = start;
        for range in matched {
            let range = range.start.clamp(printed, end)..range.end.clamp(printed, end);
            if !range.is_empty() {
                excerpt.push_str(&in_one_line(&body[printed..range.start]));
                excerpt.push_str(self.marks.0);
                excerpt.push_str(&in_one_line(&body[range.clone()]));
                excerpt.push_str(self.marks.1);
                printed = range.end;
            }
        }
        excerpt.push_str(&in_one_line(&body[printed..end]));
        if end < body.len() {
            excerpt.push('…');
        }
        excerpt
    }
}

/// Returns the place of the character that is `count` characters before a place.
fn char_before(text: &str, place: usize, count: usize) -> usize {
    let characters = text[..place].char_indices().rev();
    characters
        .take(count)
        .last()
        .map_or(place, |(place, _)| place)
}

/// Returns the place that is `count` characters behind a place.
fn char_behind(text: &str, place: usize, count: usize) -> usize {
    let mut characters = text[place..].char_indices();
    let behind = characters.nth(count);
    behind.map_or(text.len(), |(length, _)| place + length)
}

/// Returns a text without line breaks and without characters that a terminal would obey.
fn in_one_line(text: &str) -> String {
    sanitized(&text.replace(['\n', '\r', '\t'], " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_show_the_first_match_and_mark_all() {
        let query: SearchQuery = "needle".parse().unwrap();
        let printer = HitPrinter {
            query: &query,
            marks: ("[", "]"),
            with_context: false,
        };
        let excerpt = |body: &str| printer.excerpt(body, &matched_ranges(&query, body));
        assert_eq!(
            excerpt("a Needle,\nneedle \x1b"),
            "a [Needle], [needle] \u{FFFD}"
        );
        let long = format!("{}needle {}", "é ".repeat(500), "x ".repeat(500));
        let shown = excerpt(&long);
        assert!(
            shown.starts_with("…é ") || shown.starts_with("… é"),
            "{shown}"
        );
        assert!(
            shown.contains("[needle] x") && shown.ends_with('…'),
            "{shown}"
        );
        assert_eq!(shown.chars().count(), EXCERPT_CHARS + 4);
        assert_eq!(excerpt(""), "");
    }
}
