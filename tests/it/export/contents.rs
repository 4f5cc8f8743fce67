//! The contents of the files.

use std::collections::BTreeSet;

use backscroll::domain::message::{Conversation, ConversationKind, Encoding, Message, Payload};
use backscroll::domain::time::Millis;

use crate::support::export_files::{
    Row, comparable, files_with_ending, payload, rows_of_csv, rows_of_json,
};
use crate::support::verify_fixture::VerifyFixture;

on_every_database! {
    files_hold_what_the_archive_holds,
    standard_output_holds_the_same,
    filters_select_messages,
    hostile_values_are_exact_and_stay_in_the_folder,
    archive_without_messages_is_exported,
}

const FORMATS: &[&str] = if cfg!(feature = "parquet") {
    &["jsonl", "csv", "parquet"]
} else {
    &["jsonl", "csv"]
};

/// Decides if a row is selected.
type RowFilter<'a> = &'a dyn Fn(&Row) -> bool;

/// The digest that an output names.
fn digest(output: &str) -> String {
    let hex = |word: &&str| word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let mut words = output.split([' ', '\n', '.']).filter(hex);
    words.next().expect(output).to_owned()
}

fn manifest(fixture: &VerifyFixture, folder: &str) -> serde_json::Value {
    let text = std::fs::read(fixture.env.path(folder).join("_manifest.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn files_hold_what_the_archive_holds(fixture: &VerifyFixture) {
    let expected = fixture.archived_rows();
    let copied = fixture
        .env
        .run(&["copy", "--to", "sqlite://copy.db"])
        .assert_ok();
    for format in FORMATS {
        let output = fixture.export(format, format, &[]).assert_ok();
        let rows = fixture.exported_rows(format, &format!(".{format}"));
        assert!(comparable(&rows) == expected, "{format}: {output:#?}");
        assert_eq!(digest(&output.stdout), digest(&copied.stdout), "{format}");
        fixture
            .check_export(format)
            .assert_ok()
            .assert_prints("is intact");
        let manifest = manifest(fixture, format);
        assert_eq!(manifest["messages"], rows.len());
        assert_eq!(manifest["digest"], digest(&copied.stdout));
        assert_eq!(manifest["is_finished"], true);
        let days = manifest["days"].as_object().unwrap();
        let files = days
            .values()
            .flat_map(|day| day["files"].as_array().unwrap());
        let paths: BTreeSet<&str> = files.map(|file| file["path"].as_str().unwrap()).collect();
        assert!(
            paths
                .iter()
                .any(|path| path.starts_with("provider=agora/day="))
        );
        assert!(
            paths
                .iter()
                .any(|path| path.starts_with("provider=web3mq/day="))
        );
        let written = files_with_ending(&fixture.env.path(format), &format!(".{format}"));
        assert_eq!(written.len(), paths.len());
        // Every row lies in the file of its provider and day.
        let [path] = &written[..1] else { panic!() };
        let day = path
            .parent()
            .unwrap()
            .file_name()
            .unwrap()
            .to_str()
            .unwrap();
        for row in fixture.exported_rows(
            path.parent()
                .unwrap()
                .strip_prefix(fixture.env.dir.path())
                .unwrap()
                .to_str()
                .unwrap(),
            "",
        ) {
            let sent_at = row["sent_at"].as_str().unwrap();
            assert_eq!(format!("day={}", &sent_at[..10]), day);
            assert_eq!(row["sent_at_ms"], sent_at.parse::<Millis>().unwrap().0);
        }
        // The ranges that are complete, and the end that is not final yet.
        assert_ne!(manifest["coverage"].as_array().unwrap().len(), 0);
        let incomplete = manifest["incomplete"].as_array().unwrap();
        assert!(
            incomplete
                .iter()
                .any(|range| range["state"] == "unarchived"),
            "{incomplete:?}"
        );
    }
}

fn standard_output_holds_the_same(fixture: &VerifyFixture) {
    let expected = fixture.archived_rows();
    let output = fixture.export("jsonl", "-", &[]).assert_ok();
    let rows = rows_of_json(&output.stdout);
    assert!(comparable(&rows) == expected);
    assert!(
        output.stderr.contains("The archive is"),
        "{}",
        output.stderr
    );
    let output = fixture.export("csv", "-", &[]).assert_ok();
    assert!(comparable(&rows_of_csv(&output.stdout)) == expected);
    let times = rows.iter().map(|row| row["sent_at_ms"].as_i64().unwrap());
    assert!(times.is_sorted(), "in the order of time");
}

fn filters_select_messages(fixture: &VerifyFixture) {
    let all = rows_of_json(&fixture.export("jsonl", "-", &[]).assert_ok().stdout);
    let middle = &all[all.len() / 2];
    let text = |row: &Row, column: &str| row[column].as_str().unwrap().to_owned();
    let [account, conversation, sender, at] =
        ["account", "conversation", "sender", "sent_at"].map(|column| text(middle, column));
    let is = |row: &Row, column: &str, value: &str| row[column] == value;
    let cases: [(&[&str], RowFilter<'_>); 6] = [
        (&["--account", &account], &|row| {
            is(row, "account", &account)
        }),
        (&["--conversation", &conversation], &|row| {
            is(row, "conversation", &conversation)
        }),
        (&["--sender", &sender], &|row| is(row, "sender", &sender)),
        (&["--since", &at], &|row| text(row, "sent_at") >= at),
        (&["--until", &at], &|row| text(row, "sent_at") < at),
        (
            &[
                "--account",
                &account,
                "--conversation",
                &conversation,
                "--sender",
                &sender,
                "--since",
                &at,
            ],
            &|row| {
                is(row, "account", &account)
                    && is(row, "conversation", &conversation)
                    && is(row, "sender", &sender)
                    && text(row, "sent_at") >= at
            },
        ),
    ];
    for (filters, is_selected) in cases {
        let mut expected = all.clone();
        expected.retain(is_selected);
        assert!(
            !expected.is_empty() && expected.len() < all.len(),
            "{filters:?}"
        );
        let found = rows_of_json(&fixture.export("jsonl", "-", filters).assert_ok().stdout);
        assert!(comparable(&found) == comparable(&expected), "{filters:?}");
        let folder = format!("by{}", filters.join("").replace(['/', ':'], "_"));
        fixture.export("csv", &folder, filters).assert_ok();
        let found = fixture.exported_rows(&folder, ".csv");
        assert!(comparable(&found) == comparable(&expected), "{filters:?}");
        fixture.check_export(&folder).assert_ok();
    }
}

fn hostile_values_are_exact_and_stay_in_the_folder(fixture: &VerifyFixture) {
    let names = [
        "../../escape",
        "/etc/passwd",
        "CON",
        "a\nb\"c,d\r\n",
        "\u{202e}x",
        "<script>alert(1)</script>",
        "..",
        "Ünïcode-😀",
    ];
    let long = "n".repeat(5000);
    let payloads: [&[u8]; 5] = [b"", b"\0", b"\xED\xA0\x80\"\r\n,", b"\"\"", b"{\"a\":\n1}"];
    let times = [i64::MIN, -62_135_596_800_001, -1, 0, 253_402_300_800_000];
    let mut expected = BTreeSet::new();
    for (n, name) in names.into_iter().chain([long.as_str()]).enumerate() {
        let (bytes, at) = (
            payloads[n % payloads.len()].to_vec(),
            times[n % times.len()],
        );
        expected.insert((name.to_owned(), bytes.clone(), at));
        fixture.insert_forged(Message {
            conversation: Conversation::named(ConversationKind::Channel, name),
            payload: Payload {
                bytes,
                encoding: Encoding::Utf8,
            },
            extra: Some("{\"a\":\n\"\\n\"}".to_owned()),
            ..Message::text(name, name, Millis(at), "")
        });
    }
    for format in FORMATS {
        let folder = format!("deep/er/{format}");
        fixture.export(format, &folder, &[]).assert_ok();
        fixture.check_export(&folder).assert_ok();
        let rows = fixture.exported_rows(&folder, &format!(".{format}"));
        let found: BTreeSet<_> = rows
            .iter()
            .map(|row| {
                let sender = row["sender"].as_str().unwrap().to_owned();
                (sender, payload(row), row["sent_at_ms"].as_i64().unwrap())
            })
            .collect();
        assert!(expected.is_subset(&found), "{format}");
        let odd = rows.iter().find(|row| row["sender"] == "CON").unwrap();
        match *format {
            "jsonl" => assert_eq!(odd["extra"]["a"], "\n"),
            _ => assert_eq!(odd["extra"], "{\"a\":\n\"\\n\"}"),
        }
    }
    let outside = files_with_ending(fixture.env.dir.path(), ".jsonl");
    let inside = files_with_ending(&fixture.env.path("deep/er/jsonl"), ".jsonl");
    assert_eq!(outside, inside);
    // A sender is found by such a name.
    let found = fixture
        .export("jsonl", "-", &["--sender", "../../escape"])
        .assert_ok();
    assert_eq!(rows_of_json(&found.stdout).len(), 1);
}

fn archive_without_messages_is_exported(fixture: &VerifyFixture) {
    let filters = ["--since", "1990-01-01", "--until", "1990-01-02"];
    let output = fixture.export("csv", "none", &filters).assert_ok();
    assert!(
        output.stdout.contains("0 messages of 0 days"),
        "{output:#?}"
    );
    assert!(output.stdout.contains("NOT complete"), "{output:#?}");
    fixture.check_export("none").assert_ok();
    assert_eq!(manifest(fixture, "none")["is_complete"], false);
    let output = fixture.export("csv", "-", &filters).assert_ok();
    assert!(output.stdout.starts_with("account,provider,conversation,"));
    assert_eq!(output.stdout.lines().count(), 1);
    let output = fixture.export("jsonl", "-", &filters).assert_ok();
    assert_eq!(output.stdout, "");
}
