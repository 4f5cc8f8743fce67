//! Answers whose head or framing never ends fail within the time limit, and name the reason.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use crate::support::env::TestEnv;

/// An answer: its beginning, and what follows it without end.
#[derive(Clone, Copy, Debug)]
struct EndlessAnswer {
    begin: &'static str,
    rest: Rest,
    /// Words of the failure that name the reason.
    reason: &'static str,
}

#[derive(Clone, Copy, Debug)]
enum Rest {
    /// This text, as fast as it is read.
    Flood(&'static str),
    /// A byte in each of these times.
    Trickle(Duration),
    /// Nothing, on a connection that stays open.
    Silence,
}

const fn flood(begin: &'static str, repeated: &'static str, reason: &'static str) -> EndlessAnswer {
    EndlessAnswer {
        begin,
        rest: Rest::Flood(repeated),
        reason,
    }
}

const ENDLESS_ANSWERS: [EndlessAnswer; 8] = [
    flood(
        "",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "timed out before an answer began",
    ),
    flood(
        "",
        "HTTP/1.1 103 Early Hints\r\nlink: </more>\r\n\r\n",
        "timed out before an answer began",
    ),
    flood("HTTP/1.1 200 OK\r\n", "x-more: and more\r\n", "too large"),
    flood("HTTP/1.1 200 OK\r\nx-long: ", "a", "too large"),
    flood(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;",
        "a",
        "over limit",
    ),
    flood(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n",
        "x-more: and more\r\n",
        "chunk trailers",
    ),
    EndlessAnswer {
        begin: "HTTP/1.1 200 OK\r\nx-slow: ",
        rest: Rest::Trickle(Duration::from_millis(100)),
        reason: "timed out before an answer began",
    },
    EndlessAnswer {
        begin: "HTTP/1.1 200 O",
        rest: Rest::Silence,
        reason: "timed out before an answer began",
    },
];

impl EndlessAnswer {
    /// Starts a server that gives this answer on every connection. It ends with the test's process.
    fn serve(self) -> String {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                std::thread::spawn(move || self.give(connection));
            }
        });
        url
    }

    /// Answers until the client closes the connection.
    fn give(self, mut connection: TcpStream) -> std::io::Result<()> {
        let mut request = [0; 4096];
        // The request fits into one segment.
        let _ = connection.read(&mut request)?;
        connection.write_all(self.begin.as_bytes())?;
        match self.rest {
            Rest::Flood(text) => {
                let lot = text.repeat(1 + 8192 / text.len());
                loop {
                    connection.write_all(lot.as_bytes())?;
                }
            }
            Rest::Trickle(interval) => {
                connection.set_read_timeout(Some(interval))?;
                loop {
                    connection.write_all(b"a")?;
                    match connection.read(&mut request) {
                        Err(e)
                            if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                        closed => return closed.map(drop),
                    }
                }
            }
            Rest::Silence => connection.read_to_end(&mut Vec::new()).map(drop),
        }
    }

    /// Checks an account whose provider gives this answer.
    fn assert_check_names_the_reason(self) {
        let env = TestEnv::without_messages(&[])
            .with_only("agora")
            .with_account_setting("timeout", "1s")
            .with_account_setting("base_url", self.serve());
        env.run(&["check"])
            .assert_incomplete()
            .assert_prints(self.reason);
    }
}

#[test]
fn answers_without_an_end_fail_and_name_the_reason() {
    // Each takes six attempts, and the waits between them.
    std::thread::scope(|scope| {
        for answer in ENDLESS_ANSWERS {
            scope.spawn(move || answer.assert_check_names_the_reason());
        }
    });
}
