//! Exports that cannot be written to the end: a full disk, and places that cannot be written.

use std::fs;
use std::process::{Command, Output, Stdio};

use crate::support::env::BACKSCROLL;
use crate::support::export_files::{comparable, files_with_ending};
use crate::support::verify_fixture::VerifyFixture;

on_every_database! {
    full_disk_leaves_no_half_file_and_the_next_run_continues,
    day_that_cannot_be_written_is_named_and_written_later,
}

const FORMATS: &[&str] = if cfg!(feature = "parquet") {
    &["jsonl", "csv", "html", "parquet"]
} else {
    &["jsonl", "csv", "html"]
};

/// The largest file that the shell allows, in blocks of 512 bytes: 256 KiB.
const MAX_BLOCKS: u32 = 512;
/// Bytes of a message that makes the file of its day larger than that, however it is written.
const LARGE_PAYLOAD: usize = 1 << 20;

/// Exports where no file may grow beyond a limit, as on a disk that is full.
fn export_with_limit(fixture: &VerifyFixture, format: &str, folder: &str) -> Output {
    let script = format!(
        "trap '' XFSZ; ulimit -f {MAX_BLOCKS}; exec \"$0\" export --format \"$1\" --out \"$2\" --config \"$3\""
    );
    Command::new("sh")
        .args(["-c", &script, BACKSCROLL, format, folder])
        .arg(fixture.env.write_config())
        .current_dir(fixture.env.dir.path())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn full_disk_leaves_no_half_file_and_the_next_run_continues(fixture: &VerifyFixture) {
    let mut message = fixture.forged();
    let mut random = fastrand::Rng::with_seed(1);
    // Nothing that a compression makes small.
    let letters = std::iter::repeat_with(|| random.alphanumeric());
    message.payload.bytes = letters.take(LARGE_PAYLOAD).collect::<String>().into_bytes();
    let day = message.sent_at.to_string()[..10].to_owned();
    fixture.insert_forged(message);
    for format in FORMATS {
        let output = export_with_limit(fixture, format, format);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{format}: {errors}");
        let is_named = errors.contains(&day) && errors.contains("cannot be written");
        assert!(is_named, "{format}: {errors}");
        assert!(errors.contains("the free space"), "{format}: {errors}");
        let folder = fixture.env.path(format);
        let written = files_with_ending(&folder, &format!(".{format}"));
        assert!(!written.is_empty(), "{format}: the days before stay");
        let day = format!("day={day}");
        for path in &written {
            // Other conversations of the day have pages of their own.
            let is_whole = if *format == "html" {
                fs::read_to_string(path).unwrap().ends_with("</html>\n")
            } else {
                !path.to_str().unwrap().contains(&day)
            };
            assert!(is_whole, "{format}: {}", path.display());
        }
        assert!(files_with_ending(&folder, ".partial").is_empty());
        let check = fixture.check_export(format).assert_incomplete();
        check.assert_prints("did not reach its end");
        // There is space again.
        fixture.export(format, format, &[]).assert_ok();
        fixture.check_export(format).assert_ok();
        if *format != "html" {
            let rows = fixture.exported_rows(format, &format!(".{format}"));
            assert!(comparable(&rows) == fixture.archived_rows(), "{format}");
        }
    }
}

fn day_that_cannot_be_written_is_named_and_written_later(fixture: &VerifyFixture) {
    // Root may write everywhere but here.
    let output = fixture.export("jsonl", "/proc/export", &[]);
    assert_eq!(output.code, Some(1), "{output:#?}");
    output
        .assert_prints("/proc/export cannot be written")
        .assert_prints("the folder's owner");
    fixture.export("jsonl", "out", &[]).assert_ok();
    let message = fixture.forged();
    let day = message.sent_at.to_string()[..10].to_owned();
    let folder = fixture
        .env
        .path("out/provider=agora")
        .join(format!("day={day}"));
    let aside = fixture.env.path("aside");
    fs::rename(&folder, &aside).unwrap();
    fs::write(&folder, "in the way").unwrap();
    fixture.insert_forged(message);
    let output = fixture.export("jsonl", "out", &[]);
    assert_eq!(output.code, Some(1), "{output:#?}");
    output
        .assert_prints(&format!("day={day}"))
        .assert_prints("cannot be written");
    assert_eq!(fs::read_to_string(&folder).unwrap(), "in the way");
    fs::remove_file(&folder).unwrap();
    fixture.export("jsonl", "out", &[]).assert_ok();
    fixture.check_export("out").assert_ok();
    let rows = fixture.exported_rows("out", ".jsonl");
    assert!(comparable(&rows) == fixture.archived_rows());
}
