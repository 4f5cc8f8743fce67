//! Answers whose head or framing never ends fail within the time limit, and name the reason.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use crate::support::env::{CommandOutput, TestEnv};

/// An answer: its beginning, and what follows it without end. If nothing follows, the connection
/// stays open.
#[derive(Clone, Copy)]
struct EndlessAnswer {
    begin: &'static str,
    repeat: &'static str,
}

/// Starts a server that gives this answer on every connection. It ends with the test's process.
fn serve(answer: EndlessAnswer) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            // The client ends it by closing the connection.
            std::thread::spawn(move || drop(give(answer, connection)));
        }
    });
    url
}

fn give(answer: EndlessAnswer, mut connection: TcpStream) -> std::io::Result<()> {
    let mut request = [0; 4096];
    // The request fits into one segment.
    let _ = connection.read(&mut request)?;
    connection.write_all(answer.begin.as_bytes())?;
    if answer.repeat.is_empty() {
        connection.read_to_end(&mut Vec::new())?;
        return Ok(());
    }
    let lot = answer.repeat.repeat(1 + 8192 / answer.repeat.len());
    loop {
        connection.write_all(lot.as_bytes())?;
    }
}

/// Checks an account whose provider gives this answer.
fn check(begin: &'static str, repeat: &'static str) -> CommandOutput {
    let url = serve(EndlessAnswer { begin, repeat });
    let env = TestEnv::without_messages(&[])
        .with_only("agora")
        .with_account_setting("timeout", "1s")
        .with_account_setting("base_url", url);
    env.run(&["check"]).assert_incomplete()
}

#[test]
fn endless_interim_answers_end_at_the_time_limit() {
    check("", "HTTP/1.1 100 Continue\r\n\r\n").assert_prints("timed out");
}

#[test]
fn endless_header_lines_are_cut() {
    check("HTTP/1.1 200 OK\r\n", "x-more: and more\r\n").assert_prints("too large");
}

#[test]
fn endless_header_value_is_cut() {
    check("HTTP/1.1 200 OK\r\nx-long: ", "a").assert_prints("too large");
}

#[test]
fn endless_chunk_extension_is_cut() {
    check(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;",
        "a",
    )
    .assert_prints("over limit");
}

#[test]
fn endless_trailers_are_cut() {
    check(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n",
        "x-more: and more\r\n",
    )
    .assert_prints("chunk trailers");
}

#[test]
fn head_that_breaks_off_ends_at_the_time_limit() {
    check("HTTP/1.1 200 O", "").assert_prints("timed out");
}
