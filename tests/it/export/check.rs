//! `export --check` finds every difference between the files and the manifest.

use std::fs;

use crate::support::export_files::files_with_ending;
use crate::support::verify_fixture::VerifyFixture;

on_every_database! {
    cut_altered_missing_and_additional_files_are_found,
}

fn cut_altered_missing_and_additional_files_are_found(fixture: &VerifyFixture) {
    fixture.export("jsonl", "out", &[]).assert_ok();
    let folder = fixture.env.path("out");
    let file = files_with_ending(&folder, ".jsonl").remove(0);
    let content = fs::read(&file).unwrap();
    let mut altered = content.clone();
    altered[10] ^= 1;
    let longer = [&content[..], b"{}\n"].concat();
    let found = |text: &str| {
        let output = fixture.check_export("out").assert_incomplete();
        assert!(output.stdout.contains(text), "{output:#?}");
        assert!(
            output.stdout.contains("NOT intact: 1 difference."),
            "{output:#?}"
        );
    };
    for (text, content) in [
        (": cut off, 1 of ", &content[..1]),
        (": altered", &altered),
        (": altered", &longer),
    ] {
        fs::write(&file, content).unwrap();
        found(text);
    }
    fs::remove_file(&file).unwrap();
    found(": missing");
    fs::write(&file, &content).unwrap();
    let other = file.with_file_name("other.jsonl");
    fs::write(&other, "").unwrap();
    found("other.jsonl: not part of the export");
    fs::remove_file(&other).unwrap();
    fixture.check_export("out").assert_ok();
    // The manifest itself.
    let path = folder.join("_manifest.json");
    let manifest = fs::read_to_string(&path).unwrap();
    for (content, text) in [
        (
            manifest.replacen("\"messages\": ", "\"messages\": 1", 1),
            "its seal does not match",
        ),
        (
            manifest.replacen("\"is_finished\": true", "\"is_finished\": false", 1),
            "its seal does not match",
        ),
        (
            manifest[..manifest.len() / 2].to_owned(),
            "cut off or altered",
        ),
        (
            manifest.replacen("\"version\": 1", "\"version\": 2", 1),
            "another version",
        ),
    ] {
        assert_ne!(content, manifest);
        fs::write(&path, content).unwrap();
        let output = fixture.check_export("out").assert_incomplete();
        assert!(output.stderr.contains(text), "{output:#?}");
        fixture
            .export("jsonl", "out", &[])
            .assert_incomplete()
            .assert_prints(text);
    }
    fs::remove_file(&path).unwrap();
    let output = fixture.check_export("out").assert_incomplete();
    assert!(
        output.stderr.contains("is not an export of Backscroll"),
        "{output:#?}"
    );
}
