//! Rejected configurations, with the exact error messages.

mod accounts;
mod layout;
mod values;

use std::fs;

use super::*;

/// Returns the first mistake in a file, starting at its line number.
fn error_of(text: &str) -> String {
    errors_of(text).remove(0)
}

/// Returns all mistakes in a file.
fn errors_of(text: &str) -> Vec<String> {
    let messages = parse(text).expect_err(text).messages();
    let of_file = |message: String| match message.strip_prefix("config.toml:") {
        Some(rest) => rest.to_owned(),
        None => message,
    };
    messages.into_iter().map(of_file).collect()
}

/// Returns the error message of `AGORA` with the line of `key` replaced. If `key` is empty, the
/// line is appended.
fn agora_error(key: &str, line: &str) -> String {
    error_of(&with_line(AGORA, key, line))
}

fn web3mq_error(key: &str, line: &str) -> String {
    error_of(&with_line(WEB3MQ, key, line))
}

fn with_line(table: &str, key: &str, line: &str) -> String {
    let kept: Vec<_> = table
        .lines()
        .filter(|l| key.is_empty() || !l.starts_with(&format!("{key} =")))
        .collect();
    format!("{}\n{line}\n", kept.join("\n"))
}

#[test]
fn missing_file_and_unreadable_file_have_different_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let load = || {
        Config::load(&path, UsedSecrets::All)
            .unwrap_err()
            .to_string()
            .replace(&path.display().to_string(), "PATH")
    };
    assert_eq!(
        load(),
        "there is no configuration at PATH: name one with --config, or begin with the config.toml that Backscroll ships"
    );
    fs::create_dir(&path).unwrap();
    assert_eq!(
        load(),
        "PATH cannot be read: Is a directory (os error 21); let the user that runs Backscroll read it"
    );
}

#[test]
fn invalid_utf8_error_names_its_position() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    fs::write(&path, b"# fine\n# f\xc3\xbcr \xff\n").unwrap();
    let message = Config::load(&path, UsedSecrets::All)
        .unwrap_err()
        .to_string();
    assert_eq!(
        message.strip_prefix(&path.display().to_string()).unwrap(),
        ":2:7: the file is not UTF-8 text from here on: save it as UTF-8"
    );
}

#[test]
fn large_or_binary_secret_file_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let line = format!("customer_secret = {{ file = '{}' }}", path.display());
    let with = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        agora_error("customer_secret", &line).replace(&path.display().to_string(), "PATH")
    };
    assert_eq!(
        with(&vec![b'a'; 65_537]),
        "6:19: `customer_secret` comes from the file PATH, which is larger than 64 KiB: name another"
    );
    assert_eq!(
        with(b"\xff"),
        "6:19: `customer_secret` comes from the file PATH, which is not UTF-8 text: correct it"
    );
}

#[test]
fn positions_are_right_for_any_line_ending_and_alphabet() {
    assert_eq!(
        error_of("\u{feff}# ü\r\n\r\ndatabase = { \"ü\" = 1 }\r\n")
            .split(" unknown")
            .next(),
        Some("3:14:")
    );
}
