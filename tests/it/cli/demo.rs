//! The demo: what a first user sees.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

use crate::support::env::{BACKSCROLL, command_in, output_of, run_command_in};
use crate::support::http_client::get;

#[test]
fn demo_creates_an_archive_and_runs_three_queries() {
    let dir = tempfile::TempDir::new().unwrap();
    let output = run_command_in(dir.path(), &["demo", "--messages", "1500"]).assert_ok();
    assert!(dir.path().join("demo.db").exists());
    assert!(
        !output.stdout.contains(['…', '⋮']) && !output.stdout.contains("..."),
        "{output:?}"
    );
    assert!(!output.stdout.contains("some lost"), "{output:?}");
    for text in [
        "lobby",
        "alice",
        "rules of the providers broken: 0",
        "Which conversations are there?",
        "lately?",
        "Is it all there?",
        "What next?",
    ] {
        assert!(output.stdout.contains(text), "no `{text}` in {output:?}");
    }
    let answers: Vec<&str> = output.stdout.split("\nFROM ").skip(1).collect();
    assert_eq!(output.stdout.matches("SELECT ").count(), 3);
    // Each query is followed by a header and at least one row.
    let sections: Vec<&str> = output.stdout.split("SELECT ").skip(1).collect();
    for section in sections {
        let answer = section.split("\n\n").nth(1).unwrap_or_default();
        assert!(
            answer.lines().count() >= 2,
            "no answer in {section} of {answers:?}"
        );
    }
    // Another run replaces the file; a file that no demo made is refused.
    run_command_in(dir.path(), &["demo", "--messages", "900"]).assert_ok();
    std::fs::write(dir.path().join("mine.db"), "mine").unwrap();
    let refused = run_command_in(dir.path(), &["demo", "--out", "mine.db"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert_eq!(std::fs::read(dir.path().join("mine.db")).unwrap(), b"mine");
}

#[test]
fn advice_of_the_demo_works_as_it_is_printed() {
    let dir = tempfile::TempDir::new().unwrap();
    let output = run_command_in(dir.path(), &["demo", "--messages", "600"]).assert_ok();
    let advice = output.stdout.split_once("What next?").unwrap().1;
    let commands: Vec<&str> = advice
        .lines()
        .filter_map(|line| line.trim().strip_prefix(BACKSCROLL))
        .map(str::trim)
        .collect();
    assert_eq!(
        commands,
        [
            "search --database demo.db lunch --context 2",
            "demo --serve",
            "sandbox --write-config sandbox.toml",
            "init"
        ],
        "{advice}"
    );
    for command in &commands {
        let first = command.split(' ').next().unwrap();
        output_of(&mut command_in(dir.path(), &[first, "--help"])).assert_ok();
    }
    let search: Vec<&str> = commands[0].split(' ').collect();
    run_command_in(dir.path(), &search)
        .assert_ok()
        .assert_prints("lunch");
}

#[test]
fn demo_keeps_the_page_up_until_it_is_interrupted() {
    let dir = tempfile::TempDir::new().unwrap();
    let mut child = Command::new(BACKSCROLL)
        .args(["demo", "--messages", "300", "--serve", "127.0.0.1:0"])
        .current_dir(dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let url = loop {
        let line = lines.next().expect("the address of the page").unwrap();
        if let Some((_, url)) = line.split_once("http://") {
            break url.split('/').next().unwrap().to_owned();
        }
    };
    let address: std::net::SocketAddr = url.parse().unwrap();
    crate::support::env::wait_until("the page", || TcpStream::connect(address).is_ok());
    let page = get(address, "/");
    assert_eq!(page.status, 200);
    assert!(page.body.contains("sandbox"), "{}", page.body);
    let id = child.id().to_string();
    Command::new("kill").args(["-INT", &id]).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    run_command_in(
        dir.path(),
        &["demo", "--messages", "300", "--serve", &address],
    )
    .assert_prints("name another address");
}
