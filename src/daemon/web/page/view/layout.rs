//! The common parts of all pages.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::daemon::web::limits::MAX_TEXT_CHARS;
use crate::daemon::web::page::model::health::StreamHealth;
use crate::domain::format::{duration, sanitized};
use crate::domain::time::{Millis, Second};

pub(crate) const STYLE: &str = include_str!("style.css");
pub(crate) const ICON: &str = include_str!("icon.svg");

/// Renders a page with this title. `refreshes`: the browser reloads it every minute.
pub(crate) fn layout(title: &str, refreshes: bool, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                @if refreshes { meta http-equiv="refresh" content="60"; }
                title { (truncated(title)) " · Backscroll" }
                link rel="stylesheet" href="/style.css";
                link rel="icon" href="/icon.svg" type="image/svg+xml";
            }
            body { (body) }
        }
    };
    page.into_string()
}

/// The footer of every page.
pub(crate) fn footer() -> Markup {
    html! {
        footer {
            p {
                "Backscroll " (env!("CARGO_PKG_VERSION")) ". All times are UTC. For programs: "
                a href="/metrics" { "metrics" } ", "
                a href="/healthz" { "healthz" } ", "
                a href="/readyz" { "readyz" } "."
            }
        }
    }
}

/// Renders a page with an error instead of data. `hint`: the recommended action; without one, the
/// page links to all streams.
pub(crate) fn error_page(title: &str, reason: &str, hint: Option<&str>) -> String {
    let body = html! {
        header { p.brand { a href="/" { "Backscroll" } } }
        main {
            div.headline.action {
                span.sign aria-hidden="true" { "!" }
                div {
                    h1 { (title) }
                    p { (untrusted(reason)) }
                    @if let Some(hint) = hint {
                        p.hint { "To do: " (untrusted(hint)) }
                    } @else {
                        p { a href="/" { "All streams" } }
                    }
                }
            }
        }
        (footer())
    };
    layout(title, false, &body)
}

/// Renders untrusted text: escaped, on one line, truncated, and isolated from the text direction
/// around it.
pub(crate) fn untrusted(text: &str) -> Markup {
    html! { bdi { (truncated(text)) } }
}

/// Returns the text on one line, sanitized and truncated.
pub(crate) fn truncated(text: &str) -> String {
    let start: String = text.chars().take(MAX_TEXT_CHARS).collect();
    let mut truncated = sanitized(&start);
    if text.chars().nth(MAX_TEXT_CHARS).is_some() {
        truncated.push('…');
    }
    truncated
}

/// Renders a moment, with the exact time for machines.
pub(crate) fn timestamp(at: Second) -> Markup {
    let exact = at.to_string();
    let readable = exact.replace('T', " ").replace('Z', "");
    html! { time datetime=(exact) { (readable) } }
}

/// Renders the time since a moment, with the exact time as tooltip.
pub(crate) fn ago(at: Millis, now: Millis) -> Markup {
    let exact = at.second().to_string();
    let ago = duration(now.since(at).as_secs());
    html! { time datetime=(exact) title=(exact) { (ago) " ago" } }
}

/// Renders a stream's health as a badge with sign, word and colour.
pub(crate) fn badge(health: StreamHealth) -> Markup {
    let (word, class) = health.name_and_class();
    let sign = match class {
        "sealed" => "✓",
        "suspect" => "?",
        "gap" => "○",
        "lost" => "✕",
        _ => "!",
    };
    html! {
        span class={ "badge " (class) } {
            span.sign aria-hidden="true" { (sign) } " " (word)
        }
    }
}

/// A non-breaking space.
pub(crate) const NBSP: PreEscaped<&str> = PreEscaped("&nbsp;");

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn untrusted_text_is_escaped_and_truncated() {
        assert_eq!(
            untrusted("<b>&\"x").into_string(),
            "<bdi>&lt;b&gt;&amp;&quot;x</bdi>"
        );
        assert_eq!(truncated("a\nb\u{202E}c"), "a\u{FFFD}b\u{FFFD}c");
        assert_eq!(
            truncated(&"é".repeat(10_000)).chars().count(),
            MAX_TEXT_CHARS + 1
        );
        assert_eq!(
            truncated(&"é".repeat(MAX_TEXT_CHARS)).chars().count(),
            MAX_TEXT_CHARS
        );
    }

    /// Returns the colours of a scheme: 0 is light, 1 is dark, in the order of the style sheet.
    fn colours(scheme: usize) -> HashMap<&'static str, [f64; 3]> {
        let blocks: Vec<&str> = STYLE.split(":root {").skip(1).collect();
        let given = blocks[scheme]
            .split('}')
            .next()
            .unwrap()
            .split(';')
            .filter_map(|line| line.trim().split_once(": #"));
        let channel = |hex: &str| f64::from(u8::from_str_radix(hex, 16).unwrap()) / 255.0;
        let colour = |hex: &str| match hex.len() {
            3 => [0, 1, 2].map(|n| channel(&hex[n..=n].repeat(2))),
            _ => [0, 2, 4].map(|n| channel(&hex[n..n + 2])),
        };
        given.map(|(name, hex)| (name, colour(hex))).collect()
    }

    /// Returns the contrast ratio of two colours as WCAG 2 defines it.
    fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
        let linear = |c: f64| {
            if c <= 0.04045 {
                c / 12.92
            } else {
                ((c + 0.055) / 1.055).powf(2.4)
            }
        };
        let luminance =
            |[r, g, b]: [f64; 3]| 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
        let (one, other) = (luminance(one) + 0.05, luminance(other) + 0.05);
        one.max(other) / one.min(other)
    }

    #[test]
    fn colours_meet_the_contrast_minimum_in_both_schemes() {
        for scheme in [0, 1] {
            let colours = colours(scheme);
            assert_eq!(colours.len(), 16, "{colours:?}");
            let of = |name: &str| colours[name];
            let grounds = [
                "--ground",
                "--card",
                "--good-ground",
                "--work-ground",
                "--bad-ground",
            ];
            for text in ["--text", "--quiet"] {
                for ground in grounds {
                    assert!(
                        contrast(of(text), of(ground)) >= 4.5,
                        "{text} on {ground} in scheme {scheme}"
                    );
                }
            }
            for text in [
                "--link",
                "--sealed",
                "--suspect",
                "--gap",
                "--lost",
                "--bad",
            ] {
                for ground in ["--ground", "--card"] {
                    assert!(
                        contrast(of(text), of(ground)) >= 4.5,
                        "{text} on {ground} in scheme {scheme}"
                    );
                }
            }
            for shape in ["--sealed", "--suspect", "--gap", "--lost", "--bar"] {
                assert!(
                    contrast(of(shape), of("--empty")) >= 3.0,
                    "{shape} on --empty in scheme {scheme}"
                );
            }
            let signs = [
                ("--sealed", "--good-ground"),
                ("--gap", "--work-ground"),
                ("--bad", "--bad-ground"),
            ];
            for (sign, ground) in signs {
                assert!(
                    contrast(of(sign), of(ground)) >= 3.0,
                    "{sign} on {ground} in scheme {scheme}"
                );
            }
        }
    }
}
