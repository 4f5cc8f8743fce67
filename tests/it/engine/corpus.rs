//! Histories from a file.
//!
//! `BACKSCROLL_CORPUS` can name a file of JSON lines (`ts_ms`, `from`, `to`, `text`) to archive. A
//! file of tens of thousands of messages takes half a minute. Without it the test prints that it
//! did not run.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use crate::support::env::TestEnv;

/// Archives the file through both providers, twice.
fn archive_corpus(file: &Path) {
    let flags = [
        "--corpus",
        file.to_str().expect("a path in UTF-8"),
        "--corpus-topic",
        "--topic-messages",
        "0",
        "--users",
        "1",
    ];
    let env = TestEnv::new(&flags);
    env.assert_sync_archives_truth();
    let rows = env.query_number("SELECT count(*) FROM archive WHERE provider = 'agora'");
    assert_eq!(
        usize::try_from(rows).unwrap(),
        env.world().agora_messages("sandbox").len()
    );

    env.world().rules().reset();
    env.assert_sync_archives_truth();
    let (streams, suspect): (i64, i64) =
        env.query_row("SELECT count(*), count(reason) FROM coverage");
    assert_eq!(suspect, 0);
    assert_eq!(
        env.query_number("SELECT count(DISTINCT account || stream) FROM coverage"),
        streams,
        "one contiguous range for each stream"
    );
    let requests = i64::try_from(env.assert_no_rule_broken().requests()).unwrap();
    assert!(
        requests <= streams + 2,
        "{requests} requests for {streams} streams of 2 accounts"
    );
}

#[test]
fn history_of_years_with_long_silences_is_archived() {
    const SAID: [&str; 6] = [
        "Ready to give up :V",
        "seems like a problem with /usr/lib?",
        "hé, ça marche 🎉",
        "<script>",
        "",
        "\u{7}beep",
    ];
    let dir = tempfile::TempDir::new().unwrap();
    let (mut lines, mut ms) = (String::new(), 1_464_777_854_000_i64);
    let mut dice = fastrand::Rng::with_seed(3);
    for n in 0..4000 {
        // Mostly within seconds, sometimes hours later, twice half a year.
        ms += match n {
            1500 | 2500 => 15_000_000_000,
            _ if dice.u8(0..20) == 0 => dice.i64(0..30_000_000),
            _ => dice.i64(0..9) * 1000,
        };
        let (from, text) = (
            ["zetok", "tux3", "[nick]`", "Chiitoo_"][dice.usize(0..4)],
            SAID[dice.usize(0..SAID.len())],
        );
        let to = if n % 7 == 0 { "qtox" } else { "#tox dev" };
        let line = serde_json::json!({ "ts_ms": ms, "from": from, "to": to, "text": format!("{text}{}", n % 3) });
        writeln!(lines, "{line}").unwrap();
    }
    let file = dir.path().join("corpus.jsonl");
    std::fs::write(&file, lines).unwrap();
    archive_corpus(&file);
}

#[test]
fn corpus_named_by_the_environment_is_archived() {
    match std::env::var_os("BACKSCROLL_CORPUS") {
        Some(file) => archive_corpus(Path::new(&file)),
        // The message bypasses the test harness, which hides the output of passing tests.
        None => writeln!(
            std::io::stderr(),
            "NOT RUN: BACKSCROLL_CORPUS names no file to archive"
        )
        .unwrap(),
    }
}
