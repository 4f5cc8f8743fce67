//! A transcript for people: one page for each conversation and day, which needs no other file and no
//! script. Ranges in which messages may be missing are drawn where they would stand.

use std::io::{self, Write};

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::encoder::{Encoder, FileSubject};
use super::limits::WRITE_BUFFER_BYTES;
use super::partial_file::Sink;
use super::time_text::{day_text, time_text};
use crate::domain::format::{bytes, sanitized};
use crate::domain::time::Millis;
use crate::reader::IncompleteRange;
use crate::store::SelectedMessage;

/// Light and dark, narrow and wide, on a screen and on paper.
const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1c1e21;--soft:#61666d;--back:#fff;--line:#d9dce1;
--gap:#8a5300;--gapback:#fff4e0;--lost:#a3221b;--lostback:#fdeceb}
@media(prefers-color-scheme:dark){:root{--ink:#e4e6ea;--soft:#9aa1ab;--back:#15171a;--line:#343840;
--gap:#f0b45b;--gapback:#2d2312;--lost:#ff9c94;--lostback:#341816}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.5rem 1rem 4rem;max-width:46rem;color:var(--ink);background:var(--back);
font:1rem/1.5 system-ui,sans-serif}
h1{font-size:1.4rem;margin:0;color:var(--ink);overflow-wrap:anywhere}
header.page,footer{color:var(--soft);border-bottom:1px solid var(--line);padding-bottom:.75rem}
footer{border:0;border-top:1px solid var(--line);padding-top:.75rem;font-size:.85rem}
ol{list-style:none;margin:0;padding:0}
li{padding:.6rem 0;break-inside:avoid}
li b,li p,h1,aside{unicode-bidi:isolate}
li b{overflow-wrap:anywhere}
li .meta,li .note{color:var(--soft);font-size:.85rem}
li p{margin:.1rem 0 0;white-space:pre-wrap;overflow-wrap:anywhere}
li p.note{font-style:italic}
aside{margin:.4rem 0;padding:.5rem .75rem;border-inline-start:.25rem solid var(--gap);
color:var(--gap);background:var(--gapback);font-size:.9rem;overflow-wrap:anywhere;
break-inside:avoid}
h2{font-size:1.1rem;margin:1.5rem 0 .25rem;overflow-wrap:anywhere;break-after:avoid}
table{border-collapse:collapse;width:100%;table-layout:fixed}
th,td{text-align:start;padding:.2rem 1rem .2rem 0;border-bottom:1px solid var(--line)}
th{color:var(--soft);font-weight:normal;font-size:.85rem;width:7rem}
th:last-child{width:auto}
.number{text-align:end;font-variant-numeric:tabular-nums}
p.meta{color:var(--soft);font-size:.85rem;margin:0}
a{color:inherit}
td.gap{color:var(--gap)}
aside.lost{border-color:var(--lost);color:var(--lost);background:var(--lostback)}
@media print{:root{--ink:#000;--soft:#444;--back:#fff;--line:#999;--gap:#000;--gapback:#fff;
--lost:#000;--lostback:#fff}body{max-width:none;padding:0}}";

/// No page may load or run anything, whatever a message contains.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// A page of a transcript.
pub(super) struct Html {
    sink: Sink,
    buffer: String,
    /// The ranges that were not drawn yet, in the order of their starts.
    ranges: std::vec::IntoIter<IncompleteRange>,
    next: Option<IncompleteRange>,
    messages: u64,
}

impl Html {
    pub(super) fn new(sink: Sink, subject: FileSubject) -> Self {
        let mut incomplete = subject.incomplete;
        incomplete.sort_by_key(|range| (range.from, range.to));
        let mut ranges = incomplete.into_iter();
        let next = ranges.next();
        let day = day_text(subject.day).unwrap_or_else(|| subject.day.to_string());
        let (name, account) = (
            sanitized(&subject.conversation),
            sanitized(&subject.account),
        );
        let mut buffer = page_start(&format!("{name} · {day}"));
        let top = html! {
            header.page {
                h1 dir="auto" { (name) }
                (subject.kind) " · " (sanitized(&subject.provider)) " · " (account) " · " (day)
                " · times in UTC"
            }
        };
        buffer.push_str(&top.into_string());
        buffer.push_str("<ol>\n");
        Self {
            sink,
            buffer,
            ranges,
            next,
            messages: 0,
        }
    }

    /// Draws the ranges that begin at or before a time.
    fn draw_ranges(&mut self, until: Option<Millis>) {
        while let Some(range) = self.next.take() {
            let begins_later = |until: Millis| range.from.is_some_and(|from| from.start() > until);
            if until.is_some_and(begins_later) {
                self.next = Some(range);
                return;
            }
            self.buffer.push_str(&draw_range(&range).into_string());
            self.next = self.ranges.next();
        }
    }
}

/// Returns a page up to the begin of its body.
pub(super) fn page_start(title: &str) -> String {
    let head = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
        }
    };
    // The end of `html` is written when the page is finished.
    let mut start = head.into_string();
    start.truncate(start.len() - "</html>".len());
    start.push_str("<body>");
    start
}

/// The end of a page behind [`page_start`].
pub(super) const PAGE_END: &str = "</body></html>\n";

fn draw_range(range: &IncompleteRange) -> Markup {
    html! {
        li { aside class=(range.state.as_str()) dir="auto" { (sanitized(&range.sentence())) } }
        "\n"
    }
}

fn draw_message(message: &SelectedMessage) -> Markup {
    let sender = sanitized(message.sender.as_deref().unwrap_or("(unknown)"));
    let time = time_text(message.sent_at);
    let time = time
        .as_ref()
        .and_then(|time| std::str::from_utf8(time).ok());
    let is_repaired = message.is_text && message.repaired_body.is_some();
    html! {
        li id={ "m" (message.id) } {
            b dir="auto" { (sender) } " "
            @match time {
                Some(time) => { time.meta datetime=(time) { (&time[11..23]) } }
                None => { span.meta { (message.sent_at) } }
            }
            @if let Some(status) = message.status_word() { " " span.meta { (status) } }
            @match message.body() {
                Some(body) => { p dir="auto" { (readable(body)) } }
                None => { p.note { (bytes(message.payload.len() as u64)) " that are not text" } }
            }
            @if is_repaired {
                p.note { "Parts of this text were not valid and are shown as \u{FFFD}." }
            }
        }
        "\n"
    }
}

/// Returns a text without control characters, apart from line breaks and tabs.
fn readable(text: &str) -> String {
    let kept = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    text.chars()
        .map(|c| if kept(c) { c } else { '\u{FFFD}' })
        .collect()
}

impl Encoder for Html {
    fn write(&mut self, message: &SelectedMessage) -> io::Result<()> {
        self.draw_ranges(Some(message.sent_at));
        self.buffer.push_str(&draw_message(message).into_string());
        self.messages += 1;
        if self.buffer.len() >= WRITE_BUFFER_BYTES {
            self.sink.write_all(self.buffer.as_bytes())?;
            self.buffer.clear();
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> io::Result<Sink> {
        self.draw_ranges(None);
        let end = html! {
            footer { (self.messages) " messages, exported by Backscroll " (env!("CARGO_PKG_VERSION")) }
        };
        self.buffer.push_str("</ol>");
        self.buffer.push_str(&end.into_string());
        self.buffer.push_str(PAGE_END);
        self.sink.write_all(self.buffer.as_bytes())?;
        Ok(self.sink)
    }
}
