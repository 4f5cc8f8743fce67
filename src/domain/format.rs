//! Formatting of numbers, durations and names for people, and the sanitiser of every text that
//! leaves the program: printed, logged, posted or shown on a page.

use std::fmt::Write;

use super::time::known_length;

/// Replaces control characters and characters that change the text direction by U+FFFD. Names may
/// contain anything. Control characters would affect the terminal, and direction marks can disguise
/// a name.
pub fn sanitized(text: &str) -> String {
    text.chars()
        .map(|c| if is_unsafe(c) { '\u{FFFD}' } else { c })
        .collect()
}

/// Returns lines without unsafe characters. Line breaks stay: names in it are sanitised before.
pub fn sanitized_lines(text: &str) -> String {
    let kept = |c| c == '\n' || !is_unsafe(c);
    text.chars()
        .map(|c| if kept(c) { c } else { '\u{FFFD}' })
        .collect()
}

/// Returns JSON in which unsafe characters are escaped, so that no value changes. Only strings can
/// hold them.
pub fn sanitized_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if is_unsafe(c) && c != '\n' {
            // All of them have one UTF-16 unit.
            // Writing to a string does not fail.
            let _ = write!(safe, "\\u{:04x}", c as u32);
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Returns a text in which chat services see no links and no mentions.
pub fn without_markup(text: &str) -> String {
    // A word joiner is not seen and separates what would be read as one.
    const JOINER: char = '\u{2060}';
    let mut plain = String::with_capacity(text.len());
    for c in sanitized_lines(text).chars() {
        match c {
            '&' => plain.push_str("&amp;"),
            '<' => plain.push_str("&lt;"),
            '>' => plain.push_str("&gt;"),
            '@' => plain.extend(['@', JOINER]),
            '(' if plain.ends_with(']') => plain.extend([JOINER, '(']),
            c => plain.push(c),
        }
    }
    plain
}

/// True if the character must not reach a terminal or page.
fn is_unsafe(c: char) -> bool {
    c.is_control() || changes_text_direction(c) || matches!(c, '\u{2028}' | '\u{2029}' | '\u{FEFF}')
}

/// True if the character changes the direction of the text after it.
fn changes_text_direction(c: char) -> bool {
    matches!(
        c,
        '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}'
    )
}

/// Formats a number with thousands separators: `1234567` as `1,234,567`.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|g| std::str::from_utf8(g).unwrap_or(""))
        .collect();
    groups.join(",")
}

/// Formats a number together with the words for what is counted, which may include the verb: "1
/// window is" and "1,234 windows are" are `counted(n, "window is", "windows are")`.
pub fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(n), if n == 1 { one } else { many })
}

/// Formats a number of bytes in its best unit with up to three digits: `12 kB`.
pub fn bytes(bytes: u64) -> String {
    let mut size = bytes as f64;
    let mut units = ["B", "kB", "MB", "GB", "TB", "PB"].iter().peekable();
    while let Some(unit) = units.next() {
        if size < 999.5 || units.peek().is_none() {
            let digits = usize::from(size < 9.95 && *unit != "B");
            return format!("{size:.digits$} {unit}");
        }
        size /= 1000.0;
    }
    String::new()
}

/// The words for a history without a known start. It is wanted from 1970 on, and to count the years
/// since then helps nobody.
pub const FROM_THE_BEGINNING: &str = "from the beginning";

/// Formats the length of a history in seconds: a duration, or "from the beginning".
pub fn history(seconds: u64) -> String {
    known_length(seconds).map_or_else(|| FROM_THE_BEGINNING.to_owned(), duration)
}

/// Formats a duration in seconds by its two largest units: `3d 4h`, `12s`. From a year on these are
/// years of 365 days and months of 30: `10y 11mo`.
pub fn duration(seconds: u64) -> String {
    let all_days = seconds / 86_400;
    let years = all_days / 365;
    let (months, days) = match years {
        0 => (0, all_days),
        _ => ((all_days % 365 / 30).min(11), 0),
    };
    let units = [
        (years, "y"),
        (months, "mo"),
        (days, "d"),
        (seconds / 3600 % 24, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
    ];
    let parts: Vec<_> = units
        .iter()
        .skip_while(|(n, _)| *n == 0)
        .take(2)
        .filter(|(n, _)| *n > 0)
        .map(|(n, u)| format!("{n}{u}"))
        .collect();
    if parts.is_empty() {
        "0s".to_owned()
    } else {
        parts.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_durations_are_formatted_for_people() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(thousands),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [0, 12, 3600, 3661, 273_601].map(duration),
            ["0s", "12s", "1h", "1h 1m", "3d 4h"]
        );
        assert_eq!(
            [90, 364, 365, 400, 729, 730, 4000].map(|days| duration(days * 86_400 + 7)),
            ["90d", "364d", "1y", "1y 1mo", "1y 11mo", "2y", "10y 11mo"]
        );
        assert_eq!(
            [86_400, 2_000_000_000].map(history),
            ["1d", "from the beginning"]
        );
    }

    #[test]
    fn counted_nouns_agree_with_their_number() {
        let windows = |n| counted(n, "window is", "windows are");
        assert_eq!(
            [0, 1, 2, 1001].map(windows),
            [
                "0 windows are",
                "1 window is",
                "2 windows are",
                "1,001 windows are"
            ]
        );
    }

    #[test]
    fn byte_sizes_use_the_best_unit() {
        let formatted = [0, 999, 1000, 12_345, 999_600, 4_200_000_000, u64::MAX].map(bytes);
        assert_eq!(
            formatted,
            [
                "0 B", "999 B", "1.0 kB", "12 kB", "1.0 MB", "4.2 GB", "18447 PB"
            ]
        );
    }

    #[test]
    fn control_characters_and_direction_marks_are_replaced() {
        assert_eq!(sanitized("a\x1b[31mb\n"), "a\u{FFFD}[31mb\u{FFFD}");
        assert_eq!(sanitized("user\u{202E}nimda"), "user\u{FFFD}nimda");
        assert_eq!(sanitized_lines("a\nb\u{9b}c\r"), "a\nb\u{FFFD}c\u{FFFD}");
    }

    #[test]
    fn json_keeps_its_values_when_it_is_sanitized() {
        let value = serde_json::json!({ "name": "a\u{9b}\u{202E}\u{2028}\u{0}ä" });
        let safe = sanitized_json(&value.to_string());
        assert!(!safe.contains(is_unsafe), "{safe}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&safe).unwrap(),
            value
        );
    }

    #[test]
    fn markup_of_chat_services_has_no_effect() {
        let plain = without_markup("<!channel> <https://x|*y*> @here [a](https://x) & done");
        for markup in ["<", ">", "@here", "]("] {
            assert!(!plain.contains(markup), "{plain}");
        }
        assert!(
            plain.contains("&lt;") && plain.ends_with("&amp; done"),
            "{plain}"
        );
    }
}
