//! An export that is repeated: after changes, and after it was killed.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use backscroll::domain::time::Day;

use crate::support::env::{BACKSCROLL, wait_until};
use crate::support::export_files::{comparable, files_with_ending};
use crate::support::verify_fixture::{VerifyFixture, nth_message};

on_every_database! {
    only_days_that_changed_are_written_again,
    killed_export_is_continued,
}

/// The files of an export, each with a number that changes when it is written.
fn inodes(folder: &Path) -> BTreeMap<PathBuf, u64> {
    let files = files_with_ending(folder, ".jsonl").into_iter();
    files
        .map(|path| {
            let inode = std::fs::metadata(&path).unwrap().ino();
            (path, inode)
        })
        .collect()
}

fn only_days_that_changed_are_written_again(fixture: &VerifyFixture) {
    let folder = fixture.env.path("out");
    let export = || fixture.export("jsonl", "out", &[]).assert_ok();
    let assert_exact = || {
        let rows = fixture.exported_rows("out", ".jsonl");
        assert!(comparable(&rows) == fixture.archived_rows());
        fixture.check_export("out").assert_ok();
    };
    export();
    let days = inodes(&folder);
    assert!(days.len() > 3, "{days:?}");
    export().assert_prints("0 days written");
    assert_eq!(inodes(&folder), days);
    // Each of these changes concerns one day.
    let agora = nth_message("agora", 20);
    let web3mq = nth_message("web3mq", 20);
    let forged = fixture.forged();
    let changes: [&dyn Fn(); 6] = [
        &|| fixture.insert_forged(forged.clone()),
        &|| fixture.execute_sql(&format!("DELETE FROM message WHERE {agora}")),
        &|| {
            fixture.execute_sql(&format!(
                "UPDATE message SET status = CASE WHEN status = 3 THEN 2 ELSE 3 END WHERE {web3mq}"
            ));
        },
        &|| {
            fixture.execute_sql(&format!(
                "UPDATE message SET status_at_ms = coalesce(status_at_ms, 0) + 1 WHERE {web3mq}"
            ));
        },
        &|| {
            fixture.execute_sql(&format!(
                "UPDATE message SET message_type_id = sender_id WHERE {web3mq}"
            ));
        },
        // A file that was removed or cut is written again.
        &|| std::fs::write(inodes(&folder).keys().next().unwrap(), "{").unwrap(),
    ];
    for (n, change) in changes.into_iter().enumerate() {
        let before = inodes(&folder);
        change();
        export().assert_prints("1 day written");
        let now = inodes(&folder);
        let same = now
            .iter()
            .filter(|(path, inode)| before.get(*path) == Some(*inode));
        assert!(
            same.count() + 2 >= now.len(),
            "change {n}: at most the files of one day"
        );
        assert_ne!(now, before, "change {n}");
        assert_exact();
    }
    // A day without messages loses its files.
    let day = fixture.query_number("SELECT CAST(min(sent_at_ms) AS BIGINT) FROM archive");
    let day = Day::containing(backscroll::domain::time::Millis(day).second());
    fixture.execute_sql(&format!(
        "DELETE FROM message WHERE sent_at_ms < {}",
        day.end().unwrap().0
    ));
    export()
        .assert_prints("0 days written")
        .assert_prints("1 removed");
    assert!(
        inodes(&folder)
            .keys()
            .all(|path| !path.to_str().unwrap().contains(&day.to_string()))
    );
    assert_exact();
}

fn killed_export_is_continued(fixture: &VerifyFixture) {
    let mut formats = vec![("jsonl", 12), ("csv", 3), ("html", 3)];
    if cfg!(feature = "parquet") {
        formats.push(("parquet", 3));
    }
    let config = fixture.env.write_config();
    for (format, kills) in formats {
        let folder = fixture.env.path(format);
        let ending = format!(".{format}");
        for files in 0..kills {
            let mut child = Command::new(BACKSCROLL)
                .args(["export", "--format", format, "--out", format, "--config"])
                .arg(&config)
                .current_dir(fixture.env.dir.path())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            wait_until("some files", || {
                let is_over = child.try_wait().unwrap().is_some();
                is_over || (folder.exists() && files_with_ending(&folder, &ending).len() > files)
            });
            child.kill().unwrap();
            child.wait().unwrap();
            // A file under its final name is complete.
            if format == "html" {
                for path in files_with_ending(&folder, &ending) {
                    let page = std::fs::read_to_string(&path).unwrap();
                    assert!(page.ends_with("</html>\n"), "{}", path.display());
                }
            } else {
                fixture.exported_rows(format, &format!("/messages{ending}"));
            }
        }
        fixture.export(format, format, &[]).assert_ok();
        fixture.check_export(format).assert_ok();
        if format != "html" {
            let rows = fixture.exported_rows(format, &ending);
            assert!(comparable(&rows) == fixture.archived_rows(), "{format}");
        }
        assert_eq!(
            files_with_ending(&folder, ".partial"),
            Vec::<PathBuf>::new()
        );
    }
}
