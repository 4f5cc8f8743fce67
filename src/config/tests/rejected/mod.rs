//! Every refusal, in its exact words.

mod accounts;
mod layout;
mod values;

use std::fs;

use super::*;

/// The message about a file, from the line on.
fn refusal(text: &str) -> String {
    let message = parse(text).expect_err(text).to_string();
    message
        .strip_prefix("config.toml:")
        .expect(&message)
        .to_owned()
}

/// The message about `AGORA` with one of its lines replaced; a replacement for no line is put at the end.
fn agora(key: &str, line: &str) -> String {
    refusal(&with_line(AGORA, key, line))
}

fn web3mq(key: &str, line: &str) -> String {
    refusal(&with_line(WEB3MQ, key, line))
}

fn with_line(table: &str, key: &str, line: &str) -> String {
    let kept: Vec<_> = table
        .lines()
        .filter(|l| key.is_empty() || !l.starts_with(&format!("{key} =")))
        .collect();
    format!("{}\n{line}\n", kept.join("\n"))
}

#[test]
fn a_file_that_is_not_there_is_told_from_one_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let load = || {
        Config::load(&path)
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
fn what_is_not_text_is_refused_where_it_begins() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    fs::write(&path, b"# fine\n# f\xc3\xbcr \xff\n").unwrap();
    let message = Config::load(&path).unwrap_err().to_string();
    assert_eq!(
        message.strip_prefix(&path.display().to_string()).unwrap(),
        ":2:7: the file is not UTF-8 text from here on: save it as UTF-8"
    );
}

#[test]
fn a_file_that_is_no_secret_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let line = format!("customer_secret = {{ file = '{}' }}", path.display());
    let with = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        agora("customer_secret", &line).replace(&path.display().to_string(), "PATH")
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
fn places_are_right_whatever_the_line_ends_and_the_alphabet() {
    assert_eq!(
        refusal("\u{feff}# ü\r\n\r\ndatabase = { \"ü\" = 1 }\r\n")
            .split(" unknown")
            .next(),
        Some("3:14:")
    );
}
