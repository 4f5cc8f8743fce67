//! Somebody who looks at a running daemon over HTTP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::bed::{Bed, PATIENCE, wait_until};
use crate::daemon::Daemon;

/// A daemon that can be looked at, and what it has said so far.
pub(crate) struct Visited {
    pub(crate) daemon: Daemon,
    said: Arc<Mutex<String>>,
}

/// What was answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The headers, one a line, their names in lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

/// Where it may listen in a test: wherever there is room.
pub(crate) const ANYWHERE: &str = "127.0.0.1:0";

/// A configuration under which it is looked at here.
pub(crate) fn looked_at(bed: Bed, listen: &str) -> Bed {
    bed.with("listen = \"\"", &format!("listen = \"{listen}\""))
}

impl Visited {
    pub(crate) fn start(bed: &Bed) -> Self {
        let mut daemon = Daemon::start(bed);
        let said = Arc::new(Mutex::new(String::new()));
        let (out, heard) = (daemon.0.stderr.take().unwrap(), said.clone());
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                *heard.lock().unwrap() += &(line + "\n");
            }
        });
        Self { daemon, said }
    }

    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Where it has last said that it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        const WHERE: &str = "\"url\":\"http://";
        wait_until("the page", || self.said().contains(WHERE));
        let said = self.said();
        said.rsplit_once(WHERE)
            .unwrap()
            .1
            .split('/')
            .next()
            .unwrap()
            .parse()
            .unwrap()
    }

    /// Asks for a path, as anybody would.
    pub(crate) fn get(&self, path: &str) -> Answer {
        let address = self.address();
        ask(
            address,
            &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n"),
        )
    }

    /// Tells it to stop, and waits until it has.
    #[track_caller]
    pub(crate) fn end(mut self) -> String {
        self.daemon.signal("-TERM");
        let mut status = None;
        wait_until("the end", || {
            status = self.daemon.0.try_wait().unwrap();
            status.is_some()
        });
        assert_eq!(status.unwrap().code(), Some(0), "{}", self.said());
        self.said()
    }
}

/// Sends this, and reads until the other end has said all.
pub(crate) fn ask(address: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // It may be refused before it is read to its end.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no answer: {answer:?}"));
    let (status, head) = head.split_once("\r\n").unwrap();
    let status = status.split(' ').nth(1).unwrap().parse().unwrap();
    let lower = |line: &str| match line.split_once(':') {
        Some((name, value)) => format!("{}:{value}\n", name.to_lowercase()),
        None => format!("{line}\n"),
    };
    Answer {
        status,
        head: head.lines().map(lower).collect(),
        body: body.to_owned(),
    }
}
