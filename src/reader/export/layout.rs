//! Where files lie: `provider=agora/day=2026-03-01/messages.jsonl`, as `DuckDB`, Spark, Polars
//! and Trino expect.

use std::fmt::Write;
use std::path::PathBuf;

use super::format::ExportFormat;
use super::time_text::day_text;
use crate::domain::time::Day;

/// The value of a folder for NULL: no provider, or a day outside the years 1 to 9999.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// The name of the manifest, in the folder of the export. Programs that read a folder of files as one
/// table leave out names that begin with `_` or a dot.
pub(super) const MANIFEST: &str = "_manifest.json";

/// The name of the page that lists the pages of a transcript, in the same folder.
pub(super) const INDEX: &str = "index.html";

/// The name of the file that an export locks, in the same folder.
pub(super) const LOCK: &str = ".lock";

/// Returns the folder of a provider's day, relative to that of the export.
pub(super) fn day_folder(provider: Option<&str>, day: Day) -> PathBuf {
    let provider = provider.map_or_else(|| NULL.to_owned(), folder_name);
    let day = day_text(day).unwrap_or_else(|| NULL.to_owned());
    PathBuf::from(format!("provider={provider}")).join(format!("day={day}"))
}

/// Returns the name of a day's file. Days without a date share a folder.
pub(super) fn file_name(format: ExportFormat, day: Day) -> String {
    let ending = format.as_str();
    match day_text(day) {
        Some(_) => format!("messages.{ending}"),
        None => format!("messages{:+}.{ending}", day.0),
    }
}

/// The maximum number of characters of a conversation's name in the name of a file.
const MAX_NAME_IN_FILE: usize = 40;

/// Returns the name of the file of a conversation: what is left of its name in small letters and
/// digits, for people, and a hash that tells it from all others.
pub(super) fn conversation_file(account: &str, conversation: &str, ending: &str) -> String {
    let mut name = String::new();
    for c in conversation.chars().take(MAX_NAME_IN_FILE) {
        match c.to_ascii_lowercase() {
            c if c.is_ascii_alphanumeric() => name.push(c),
            _ if name.ends_with('-') || name.is_empty() => {}
            _ => name.push('-'),
        }
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(account.as_bytes());
    hasher.update(b"\0");
    hasher.update(conversation.as_bytes());
    let hash = hex::encode(&hasher.finalize().as_bytes()[..8]);
    let name = name.trim_end_matches('-');
    let between = if name.is_empty() { "" } else { "-" };
    format!("{name}{between}{hash}.{ending}")
}

/// Returns a text with which a folder can be named on any system: all but small letters, digits and
/// `_` becomes `%` and its bytes in hexadecimal.
fn folder_name(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'_' => name.push(char::from(byte)),
            byte => {
                // Writing to a string does not fail.
                let _ = write!(name, "%{byte:02X}");
            }
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversations_have_harmless_names_of_their_own() {
        let names = [
            "lobby",
            "Lobby",
            "../../etc/passwd",
            "",
            ".",
            "CON",
            "会議室",
            "a/b",
            "a-b",
            &"x".repeat(5000),
            "\u{202e}x\n",
        ];
        let files: Vec<String> = names
            .iter()
            .map(|name| conversation_file("shop", name, "html"))
            .collect();
        assert!(files[0].starts_with("lobby-"), "{files:?}");
        assert!(files[2].starts_with("etc-passwd-"), "{files:?}");
        let is_harmless = |name: &&String| {
            let stem = name.strip_suffix(".html").unwrap();
            let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            stem.len() <= 64 && !stem.starts_with('-') && stem.chars().all(is_letter)
        };
        assert!(files.iter().all(|name| is_harmless(&name)), "{files:?}");
        let distinct: std::collections::BTreeSet<&String> = files.iter().collect();
        assert_eq!(distinct.len(), files.len());
        assert_ne!(conversation_file("other", "lobby", "html"), files[0]);
    }

    #[test]
    fn folders_and_files_are_named_by_provider_and_day() {
        for (provider, day, path) in [
            (
                Some("agora"),
                20_513,
                "provider=agora/day=2026-03-01/messages.csv",
            ),
            (
                None,
                20_513,
                "provider=__HIVE_DEFAULT_PARTITION__/day=2026-03-01/messages.csv",
            ),
            (
                Some("../x"),
                -99_999_999,
                "provider=%2E%2E%2Fx/day=__HIVE_DEFAULT_PARTITION__/messages-99999999.csv",
            ),
        ] {
            let day = Day(day);
            let found = day_folder(provider, day).join(file_name(ExportFormat::Csv, day));
            assert_eq!(found.to_str(), Some(path));
        }
    }
}
