//! The common parts of all pages.

use std::time::Duration;

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
                link rel="stylesheet" href="style.css";
                link rel="icon" href="icon.svg" type="image/svg+xml";
            }
            body { (body) }
        }
    };
    page.into_string()
}

/// The footer of every page. `uptime`: the time since the start of the service; `None` if the page
/// does not say it.
pub(crate) fn footer(uptime: Option<Duration>) -> Markup {
    html! {
        footer {
            p {
                "Backscroll " (env!("CARGO_PKG_VERSION"))
                @if let Some(uptime) = uptime {
                    ", running for " (duration(uptime.as_secs()))
                }
                ". All times are UTC. For programs: "
                a href="status.json" { "status.json" } ", "
                a href="metrics" { "metrics" } ", "
                a href="healthz" { "healthz" } ", "
                a href="readyz" { "readyz" } "."
            }
        }
    }
}

/// Renders a page with an error instead of data. `hint`: the recommended action. With it, the page
/// reloads until the error is gone; without one, it links to all streams.
pub(crate) fn error_page(title: &str, reason: &str, hint: Option<&str>) -> String {
    let body = html! {
        header { p.brand { a href="./" { "Backscroll" } } }
        main {
            div.headline.action {
                span.sign aria-hidden="true" { "!" }
                div {
                    h1 { (title) }
                    p { (prose(reason)) }
                    @if let Some(hint) = hint {
                        p.hint { "To do: " (prose(hint)) }
                    } @else {
                        p { a href="./" { "All streams" } }
                    }
                }
            }
        }
        (footer(None))
    };
    layout(title, hint.is_some(), &body)
}

/// Renders untrusted text: escaped, on one line, truncated, and isolated from the text direction
/// around it.
pub(crate) fn untrusted(text: &str) -> Markup {
    html! { bdi { (truncated(text)) } }
}

/// Renders a sentence that may be untrusted, like [`untrusted`], with commands in their own type.
pub(crate) fn prose(text: &str) -> Markup {
    html! { bdi { (code_spans(&truncated(text))) } }
}

/// Renders a text of one line. Parts between backticks are code.
pub(crate) fn code_spans(text: &str) -> Markup {
    let parts: Vec<&str> = text.split('`').collect();
    let last = parts.len() - 1;
    html! {
        @for (n, part) in parts.iter().enumerate() {
            @if n % 2 == 0 { (part) }
            @else if n < last { code { (part) } }
            // A single backtick, for instance of a text that was cut off.
            @else { "`" (part) }
        }
    }
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

/// Renders the time until a moment, with the exact time as tooltip.
pub(crate) fn until(at: Millis, now: Millis) -> Markup {
    let exact = at.second().to_string();
    let until = duration(at.since(now).as_secs().max(1));
    html! { time datetime=(exact) title=(exact) { "in " (until) } }
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

    #[test]
    fn commands_between_backticks_are_code() {
        for (text, rendered) in [
            ("plain <b>", "plain &lt;b&gt;"),
            ("`check` it", "<code>check</code> it"),
            (
                "run `a <x>` or `b`",
                "run <code>a &lt;x&gt;</code> or <code>b</code>",
            ),
            ("cut `off", "cut `off"),
            ("`a` and ` alone", "<code>a</code> and ` alone"),
            ("", ""),
        ] {
            assert_eq!(code_spans(text).into_string(), rendered, "{text}");
        }
        let cut = prose(&format!("`{}`", "x".repeat(1000))).into_string();
        assert!(!cut.contains("<code>"), "{cut}");
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
