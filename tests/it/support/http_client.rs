//! A daemon with its web server, and requests to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::support::daemon_process::DaemonProcess;
use crate::support::env::{MAX_WAIT, TestEnv, wait_until};
use crate::support::wording::assert_nouns_agree;

/// A daemon with a web server, and its log output so far.
pub(crate) struct HttpDaemon {
    pub(crate) daemon: DaemonProcess,
    said: Arc<Mutex<String>>,
}

/// An HTTP response.
#[derive(Clone, Debug)]
pub(crate) struct HttpResponse {
    pub(crate) status: u16,
    /// One header a line, with the name in lower case.
    pub(crate) headers: String,
    pub(crate) body: String,
}

/// A listen address with a free port chosen by the system.
pub(crate) const ANY_PORT: &str = "127.0.0.1:0";

/// Sets the listen address of the web server.
pub(crate) fn with_web_listener(env: TestEnv, listen: &str) -> TestEnv {
    env.with_setting("status_page", "listen", listen)
}

impl HttpDaemon {
    pub(crate) fn start(env: &TestEnv) -> Self {
        Self::from_process(DaemonProcess::start(env))
    }

    /// Reads the log output of a daemon.
    pub(crate) fn from_process(mut daemon: DaemonProcess) -> Self {
        let said = Arc::new(Mutex::new(String::new()));
        let (out, heard) = (daemon.0.stderr.take().unwrap(), said.clone());
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                *heard.lock().unwrap() += &(line + "\n");
            }
        });
        Self { daemon, said }
    }

    pub(crate) fn log_output(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// The listen address that the daemon logged last.
    pub(crate) fn address(&self) -> SocketAddr {
        const URL_FIELD: &str = "\"url\":\"http://";
        wait_until("the page", || self.log_output().contains(URL_FIELD));
        let said = self.log_output();
        said.rsplit_once(URL_FIELD)
            .unwrap()
            .1
            .split('/')
            .next()
            .unwrap()
            .parse()
            .unwrap()
    }

    /// Requests a path.
    pub(crate) fn get(&self, path: &str) -> HttpResponse {
        get(self.address(), path)
    }

    /// Stops the daemon and returns its log output.
    #[track_caller]
    pub(crate) fn stop(mut self) -> String {
        self.daemon.signal("-TERM");
        let mut status = None;
        wait_until("the end of the process", || {
            status = self.daemon.0.try_wait().unwrap();
            status.is_some()
        });
        assert_eq!(status.unwrap().code(), Some(0), "{}", self.log_output());
        self.log_output()
    }
}

/// Requests a path of the server at an address.
pub(crate) fn get(address: SocketAddr, path: &str) -> HttpResponse {
    send_request(
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n"),
    )
}

/// Sends a request and reads the response until the server closes the connection.
pub(crate) fn send_request(address: SocketAddr, request: &str) -> HttpResponse {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(MAX_WAIT)).unwrap();
    // The server may refuse the request before it has read all of it.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    assert_nouns_agree(&answer);
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no answer: {answer:?}"));
    let (status, head) = head.split_once("\r\n").unwrap();
    let status = status.split(' ').nth(1).unwrap().parse().unwrap();
    let lower = |line: &str| match line.split_once(':') {
        Some((name, value)) => format!("{}:{value}\n", name.to_lowercase()),
        None => format!("{line}\n"),
    };
    HttpResponse {
        status,
        headers: head.lines().map(lower).collect(),
        body: body.to_owned(),
    }
}
