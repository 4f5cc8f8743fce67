//! Exports that are refused, each with the reason and the way out.

use std::fs::{self, File};
use std::process::Command;

use crate::support::env::{BACKSCROLL, CommandOutput, TestEnv};
use crate::support::export_files::files_with_ending;
use crate::support::verify_fixture::VerifyFixture;

on_every_database! {
    folder_of_something_else_is_refused,
    name_that_is_not_archived_is_refused,
}

#[track_caller]
fn assert_refused(output: &CommandOutput, code: i32, text: &str) {
    assert_eq!(output.code, Some(code), "{output:#?}");
    assert!(output.stderr.contains(text), "no `{text}` in {output:#?}");
}

fn folder_of_something_else_is_refused(fixture: &VerifyFixture) {
    fixture.export("jsonl", "out", &[]).assert_ok();
    let before = files_with_ending(&fixture.env.path("out"), "");
    for (format, filters, text) in [
        (
            "csv",
            &[][..],
            "an export with other files: jsonl there, csv now",
        ),
        (
            "jsonl",
            &["--since", "2020-01-01"],
            "an export with other filters",
        ),
    ] {
        assert_refused(&fixture.export(format, "out", filters), 1, text);
    }
    assert_eq!(files_with_ending(&fixture.env.path("out"), ""), before);
    fs::create_dir(fixture.env.path("mine")).unwrap();
    fs::write(fixture.env.path("mine/thesis.txt"), "mine").unwrap();
    let output = fixture.export("jsonl", "mine", &[]);
    assert_refused(&output, 1, "it holds thesis.txt and no manifest");
    assert_refused(&output, 1, "name an empty folder or a new one");
    assert_eq!(files_with_ending(&fixture.env.path("mine"), "").len(), 1);
    fs::write(fixture.env.path("file"), "").unwrap();
    assert_refused(
        &fixture.export("jsonl", "file/out", &[]),
        1,
        "cannot be written",
    );
    // Another export is under way.
    let lock = File::options()
        .write(true)
        .open(fixture.env.path("out/.lock"))
        .unwrap();
    lock.lock().unwrap();
    let output = fixture.export("jsonl", "out", &[]);
    assert_refused(&output, 1, "another export is writing to");
    drop(lock);
    fixture.export("jsonl", "out", &[]).assert_ok();
}

fn name_that_is_not_archived_is_refused(fixture: &VerifyFixture) {
    for (filters, text) in [
        (
            &["--account", "sandbx"][..],
            "has no account `sandbx`: did you mean `sandbox`?",
        ),
        (
            &["--conversation", "no such"],
            "has no conversation `no such`",
        ),
        (&["--sender", "no such"], "has no sender `no such`"),
        (
            &["--since", "2026-02-01", "--until", "2026-02-01"],
            "no message can be between them",
        ),
        (&["--since", "soon"], "yesterday"),
    ] {
        assert_refused(&fixture.export("jsonl", "-", filters), 2, text);
    }
    assert!(!fixture.env.path("-").exists());
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let env = TestEnv::new(&["--messages", "50", "--topic-messages", "0"]);
    env.sync();
    let config = env.write_config();
    for (format, full) in [("jsonl", "/dev/full"), ("csv", "/dev/full")] {
        let full = File::options().write(true).open(full).unwrap();
        let output = Command::new(BACKSCROLL)
            .args(["export", "--format", format, "--out", "-", "--config"])
            .arg(&config)
            .current_dir(env.dir.path())
            .stdout(full)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(
            errors.contains("standard output cannot be written"),
            "{errors}"
        );
    }
}

#[test]
fn flags_of_export_that_contradict_each_other_are_refused() {
    let env = TestEnv::without_messages(&[]);
    for (args, text) in [
        (&["--format", "jsonl"][..], "--out"),
        (&["--out", "x"], "--format"),
        (&["--check", "x", "--out", "y"], "cannot be used with"),
        (&["--check", "x", "--sender", "y"], "cannot be used with"),
        (
            &["--format", "xml", "--out", "x"],
            "possible values: jsonl, csv",
        ),
    ] {
        let output = env.run(&[&["export"], args].concat());
        assert_refused(&output, 2, text);
    }
    #[cfg(feature = "parquet")]
    {
        let output = env.run(&["export", "--format", "parquet", "--out", "-"]);
        assert_refused(&output, 2, "name a folder in --out");
    }
}
