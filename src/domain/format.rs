//! Figures and names as people read them.

/// A text on one line: names may hold anything, a terminal obeys control characters, and a reader's eye those that turn
/// the direction of what follows.
pub fn sanitized(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() || changes_text_direction(c) {
                '\u{FFFD}'
            } else {
                c
            }
        })
        .collect()
}

/// Whether a character has the text behind it run the other way.
fn changes_text_direction(c: char) -> bool {
    matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// `1234567` as `1,234,567`.
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

/// Bytes, to three digits.
pub fn size(bytes: u64) -> String {
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

/// A length of time in its two largest units: `3d 4h`, `12s`.
pub fn span(seconds: u64) -> String {
    let units = [
        (seconds / 86_400, "d"),
        (seconds / 3600 % 24, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
    ];
    let said: Vec<_> = units
        .iter()
        .skip_while(|(n, _)| *n == 0)
        .take(2)
        .filter(|(n, _)| *n > 0)
        .map(|(n, u)| format!("{n}{u}"))
        .collect();
    if said.is_empty() {
        "0s".to_owned()
    } else {
        said.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_said_as_people_do() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(thousands),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [0, 12, 3600, 3661, 273_601].map(span),
            ["0s", "12s", "1h", "1h 1m", "3d 4h"]
        );
    }

    #[test]
    fn sizes_are_said_in_the_unit_that_fits() {
        let said = [0, 999, 1000, 12_345, 999_600, 4_200_000_000, u64::MAX].map(size);
        assert_eq!(
            said,
            [
                "0 B", "999 B", "1.0 kB", "12 kB", "1.0 MB", "4.2 GB", "18447 PB"
            ]
        );
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(sanitized("a\x1b[31mb\n"), "a\u{FFFD}[31mb\u{FFFD}");
        assert_eq!(sanitized("user\u{202E}nimda"), "user\u{FFFD}nimda");
    }
}
