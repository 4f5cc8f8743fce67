//! Where a query comes from, what is said about a wrong one, and how it is stopped.

use std::fs::File;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::query_env::QueryEnv;
use crate::support::env::{BACKSCROLL, output_of, wait_until};
use crate::support::peak_memory::peak_memory_bytes;
use crate::support::postgres_server;

on_every_database! {
    query_is_read_from_standard_input,
    mistakes_are_shown_at_their_place,
    texts_that_are_no_query_are_refused,
    interrupt_stops_a_query_and_says_that_the_result_is_incomplete,
    interrupt_stops_a_query_without_rows,
    query_is_stopped_after_its_limit_of_time,
    closed_pipe_is_no_error_and_a_full_disk_is_one,
    long_result_needs_little_memory,
}

/// Runs for ever without a row.
const ENDLESS: &str =
    "WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s) SELECT count(*) FROM s";
/// Returns rows for a long time.
const MANY_ROWS: &str =
    "WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 100000000)
     SELECT a.n, 'a row of some length' FROM s AS a";

fn query_is_read_from_standard_input(env: &QueryEnv) {
    let query = "-- the number; of messages\nSELECT count(*) AS n\nFROM archive;\n";
    let mut command = env.command(&["--format", "jsonl"]);
    let output = output_of(command.write_stdin(query)).assert_ok();
    assert_eq!(output.stdout, "{\"n\":3}\n");
    let mut command = env.command(&[]);
    let output = output_of(command.write_stdin("  "));
    assert_eq!(output.code, Some(2), "{output:?}");
    output.assert_prints("there is no query");
    let mut command = env.command(&[]);
    let output = output_of(command.write_stdin(vec![0xff; 10]));
    assert_eq!(output.code, Some(2), "{output:?}");
    output.assert_prints("standard input cannot be read");
    let mut command = env.command(&[]);
    let output = output_of(command.write_stdin(vec![b'x'; 2 << 20]));
    assert_eq!(output.code, Some(2), "{output:?}");
    output.assert_prints("longer than");
}

fn mistakes_are_shown_at_their_place(env: &QueryEnv) {
    let column = env.pick("no such column: sendr", "column \"sendr\" does not exist");
    let view = env.pick(
        "no such table: archiv",
        "relation \"archiv\" does not exist",
    );
    let wrong = [
        (
            "SELECT\n  '消息', sendr FROM archive",
            vec![
                column,
                "at line 2, column 9:",
                "    '消息', sendr FROM archive\n",
                "did you mean `sender`?",
            ],
        ),
        (
            "SELECT 1 FROM archiv",
            vec![view, "did you mean `archive`?"],
        ),
        (
            env.pick(
                "SELECT rowid FROM archive_search WHERE words MATCH 'a AND'",
                "SELECT id FROM archive_search WHERE words @@ TSQUERY 'a &'",
            ),
            vec![env.pick("fts5: syntax error", "no operand in tsquery")],
        ),
        (
            "SELECT body FORM archive",
            vec!["syntax error", "at line 1, column 18:"],
        ),
        (
            "SELECT 1; SELECT 2",
            vec![
                "a second statement begins here",
                "at line 1, column 11:",
                "one query at a time",
            ],
        ),
        ("SELECT 'open", vec!["at line 1, column 8"]),
    ];
    for (query, expected) in wrong {
        let output = env.sql(&[query]);
        assert_eq!(
            (output.code, output.stdout.as_str()),
            (Some(2), ""),
            "{query}: {output:?}"
        );
        for part in expected {
            assert!(
                output.stderr.contains(part),
                "no `{part}` in {}",
                output.stderr
            );
        }
    }
}

fn texts_that_are_no_query_are_refused(env: &QueryEnv) {
    for (query, reason) in [
        ("", "there is no query"),
        (" ;;-- nothing", "there is no query"),
        ("SELECT $1", "parameter"),
    ] {
        let output = env.sql(&[query]);
        assert_eq!(
            (output.code, output.stdout.as_str()),
            (Some(2), ""),
            "{query}: {output:?}"
        );
        assert!(output.stderr.contains(reason), "{query}: {}", output.stderr);
    }
    let begin = env.sql(&["BEGIN"]);
    assert_eq!(begin.code, Some(2));
    begin.assert_prints("only queries run here");
}

fn spawn(env: &QueryEnv, args: &[&str]) -> Child {
    Command::new(BACKSCROLL)
        .current_dir(env.env.dir.path())
        .arg("sql")
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn interrupt(child: &Child) {
    let sent = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
}

/// Queries of this archive that the server runs.
fn running_queries(env: &QueryEnv) -> usize {
    let database = env.database.as_ref().expect("a server");
    let running = format!(
        "SELECT count(*) FROM pg_stat_activity
         WHERE datname = '{database}' AND state = 'active' AND pid <> pg_backend_pid()"
    );
    let rows = postgres_server::shared_server().query_rows("postgres", &running);
    rows[0][0].parse().unwrap()
}

fn interrupt_stops_a_query_and_says_that_the_result_is_incomplete(env: &QueryEnv) {
    let mut child = spawn(env, &["--format", "json", MANY_ROWS]);
    let mut stdout = child.stdout.take().unwrap();
    let mut first = [0; 1];
    stdout.read_exact(&mut first).unwrap();
    interrupt(&child);
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("interrupted: the result is not complete"),
        "{said}"
    );
    // Whole rows, and not the end of a complete result.
    assert!(
        rest.ends_with('}') && !rest.contains(']'),
        "{}",
        &rest[rest.len().saturating_sub(80)..]
    );
    if env.database.is_some() {
        wait_until("the end of the query on the server", || {
            running_queries(env) == 0
        });
    }
}

/// True if the process has used processor time: SQLite is at work.
fn is_working(child: &Child) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let user = stat
        .rsplit(')')
        .next()
        .and_then(|rest| rest.split_whitespace().nth(11));
    user.and_then(|ticks| ticks.parse::<u64>().ok()).unwrap() >= 20
}

fn interrupt_stops_a_query_without_rows(env: &QueryEnv) {
    let mut child = spawn(env, &[ENDLESS]);
    wait_until("the query", || match env.database {
        Some(_) => running_queries(env) == 1,
        None => is_working(&child),
    });
    let begun = Instant::now();
    interrupt(&child);
    wait_until("the end", || child.try_wait().unwrap().is_some());
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "{:?}",
        begun.elapsed()
    );
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("interrupted"),
        "{output:?}"
    );
    if env.database.is_some() {
        wait_until("the end of the query on the server", || {
            running_queries(env) == 0
        });
    }
}

fn query_is_stopped_after_its_limit_of_time(env: &QueryEnv) {
    let output = env.sql(&["--timeout", "1s", ENDLESS]);
    assert_eq!(
        (output.code, output.stdout.as_str()),
        (Some(1), ""),
        "{output:?}"
    );
    output
        .assert_prints("stopped after 1s")
        .assert_prints("--timeout");
}

fn closed_pipe_is_no_error_and_a_full_disk_is_one(env: &QueryEnv) {
    for form in ["table", "csv", "json", "jsonl"] {
        let mut child = spawn(env, &["--format", form, MANY_ROWS]);
        let mut first = [0; 1];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{form}: {output:?}");
        assert!(output.stderr.is_empty(), "{form}: {output:?}");
        let output = Command::new(BACKSCROLL)
            .current_dir(env.env.dir.path())
            .args(["sql", "--format", form, "SELECT 1"])
            .stdout(File::options().write(true).open("/dev/full").unwrap())
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{form}: {output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.contains("standard output cannot be written"),
            "{form}: {said}"
        );
    }
}

/// A result of 120 MB.
fn long_result_needs_little_memory(env: &QueryEnv) {
    const MAX_BYTES: u64 = 64 << 20;
    let query = format!(
        "WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 400000) SELECT n, '{}' AS text FROM s",
        "x".repeat(300)
    );
    for form in ["table", "csv", "json", "jsonl"] {
        let mut child = Command::new(BACKSCROLL)
            .current_dir(env.env.dir.path())
            .args(["sql", "--format", form, &query])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut peak = 0;
        let mut status = None;
        wait_until("the end of the query", || {
            peak = peak.max(peak_memory_bytes(child.id()));
            status = child.try_wait().unwrap();
            status.is_some()
        });
        assert!(status.unwrap().success(), "{form}");
        assert!(peak > 0 && peak < MAX_BYTES, "{form}: {} MiB", peak >> 20);
    }
}

#[test]
fn missing_archive_is_not_created() {
    let env = QueryEnv::in_sqlite();
    std::fs::remove_file(env.env.archive_path()).unwrap();
    let output = env.sql(&["SELECT 1"]);
    assert_eq!(output.code, Some(1), "{output:?}");
    output.assert_prints("there is no archive");
    assert!(!env.env.archive_path().exists());
}

#[test]
fn files_beside_an_sqlite_archive_are_removed_at_the_end() {
    let env = QueryEnv::in_sqlite();
    env.result("csv", "SELECT count(*) FROM archive");
    for suffix in ["-wal", "-shm"] {
        assert!(
            !env.env.path(&format!("archive.db{suffix}")).exists(),
            "{suffix}"
        );
    }
}

#[test]
fn role_that_only_reads_queries_the_views_in_postgres() {
    let mut env = QueryEnv::in_postgres();
    let database = env.database.clone().unwrap();
    let server = postgres_server::shared_server();
    let role = format!("analyst_of_{database}");
    server.psql(&database, &format!("CREATE ROLE {role} LOGIN"));
    env.env.run(&["migrate", "--reader", &role]).assert_ok();
    let url = server
        .url(&database)
        .replace("postgres@", &format!("{role}@"));
    env.env = env.env.with_database(&url);
    env.env.write_config();
    assert_eq!(
        env.result("csv", "SELECT count(*) AS n FROM archive"),
        "n\n3\n"
    );
    let output = env.sql(&["SELECT * FROM backscroll.message"]);
    assert_eq!(output.code, Some(2), "{output:?}");
    output.assert_prints("permission denied");
}
