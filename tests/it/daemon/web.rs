//! The web server of the daemon: accepted requests, limits and health.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use backscroll::alerts::AlarmMonitor;
use backscroll::daemon::web::{StatusServer, StatusSources};
use backscroll::domain::clock::{Clock, SystemClock};
use backscroll::provider::Provider;
use backscroll::sandbox::{CUSTOMER_ID, CUSTOMER_SECRET, Web3mqUser};
use backscroll::store::{IfMissing, SqliteStore};
use backscroll::sync::Engine;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use crate::support::env::{TestEnv, wait_until};
use crate::support::fake_provider::FakeProvider;
use crate::support::fault_proxy::ProxyAction;
use crate::support::http_client::{
    ANY_PORT, HttpDaemon, HttpResponse, send_request, with_web_listener,
};
use crate::support::postgres_server::PostgresServer;

/// All paths that the server knows.
const PATHS: [&str; 7] = [
    "/",
    "/status.json",
    "/style.css",
    "/icon.svg",
    "/healthz",
    "/readyz",
    "/metrics",
];
/// Only the page names streams.
const FOR_PROGRAMS: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

fn small_env() -> TestEnv {
    TestEnv::new(&["--messages", "200", "--topic-messages", "100", "--plain"])
}

/// Returns an unused address.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

/// Panics unless the response has this status and contains this text.
#[track_caller]
fn assert_answer(answer: &HttpResponse, status: u16, text: &str) {
    assert!(
        answer.status == status && answer.body.contains(text),
        "no {status} with `{text}`: {answer:#?}"
    );
}

/// An endless row of connections that never ask for anything closes the oldest of them only.
#[test]
fn silent_connections_do_not_delay_an_answer() {
    let env = with_web_listener(small_env(), ANY_PORT);
    let server = HttpDaemon::start(&env);
    let address = server.address();
    let silent: Vec<_> = (0..200)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    assert_answer(&server.get("/healthz"), 200, "");
    for stream in &silent[175..] {
        stream.set_nonblocking(true).unwrap();
        let read = stream.peek(&mut [0]).map_err(|error| error.kind());
        assert_eq!(
            read,
            Err(ErrorKind::WouldBlock),
            "the answer did not wait until they were closed"
        );
    }
    drop(silent);
    server.stop();
}

#[test]
fn healthcheck_asks_the_running_service() {
    let address = free_address();
    let env = with_web_listener(small_env(), &address.to_string());
    let check = || env.run(&["healthcheck"]);
    let output = check();
    assert_eq!(output.code, Some(1), "{output:?}");
    output.assert_prints("is the service running?");
    let server = HttpDaemon::start(&env);
    assert_eq!(server.address(), address);
    check().assert_ok().assert_prints("alive");
    server.stop();
    // A service that is alive enough to say that it is not.
    let listener = TcpListener::bind(address).unwrap();
    let unhealthy = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let _ = stream.read(&mut request).unwrap();
        stream
            .write_all(
                b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 12\r\n\r\nshop: stuck\n",
            )
            .unwrap();
    });
    let output = check();
    unhealthy.join().unwrap();
    assert_eq!(output.code, Some(1), "{output:?}");
    output.assert_prints("not alive: shop: stuck");
    let off = with_web_listener(small_env(), "").run(&["healthcheck"]);
    assert_eq!(off.code, Some(2), "{off:?}");
    off.assert_prints("[status_page] listen");
}

#[test]
fn server_is_read_only_and_checks_the_host_header() {
    let env = with_web_listener(small_env(), ANY_PORT);
    let server = HttpDaemon::start(&env);
    let address = server.address();
    wait_until("the accounts", || {
        server.get("/readyz").body.matches(": works").count() == 2
    });
    for path in PATHS {
        let answer = server.get(path);
        for header in [
            "x-content-type-options: nosniff",
            "x-frame-options: DENY",
            "cache-control: no-store",
            "content-security-policy: default-src 'none'",
            "cross-origin-resource-policy: same-origin",
        ] {
            assert!(
                answer.headers.contains(header),
                "{path}: no `{header}` in {answer:#?}"
            );
        }
        assert!(!answer.body.is_empty());
        let head = send_request(
            address,
            &format!(
                "HEAD {path} HTTP/1.1\r\nHost: localhost:{}\r\n\r\n",
                address.port()
            ),
        );
        assert_eq!(
            (head.status, head.body.as_str()),
            (answer.status, ""),
            "{path}"
        );
        let posted = send_request(
            address,
            &format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi"),
        );
        assert_answer(&posted, 405, "GET and HEAD");
        assert!(posted.headers.contains("allow: GET, HEAD"), "{posted:#?}");
        let rebound = send_request(
            address,
            &format!(
                "GET {path} HTTP/1.1\r\nHost: evil.example:{}\r\n\r\n",
                address.port()
            ),
        );
        assert_answer(&rebound, 421, "localhost");
    }
    assert_answer(
        &send_request(address, "GET /healthz HTTP/1.1\r\n\r\n"),
        400,
        "names one host",
    );
    assert_eq!(server.get("/etc/passwd").status, 404);
    let long = format!(
        "GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "a".repeat(100_000)
    );
    assert!((400..500).contains(&send_request(address, &long).status));
    server.stop();
}

/// Load balancers send HTTP/1.0 without a host, and OPTIONS unless they are told otherwise.
#[test]
fn checks_of_load_balancers_are_answered() {
    let env = with_web_listener(small_env(), ANY_PORT);
    let server = HttpDaemon::start(&env);
    let address = server.address();
    wait_until("the accounts", || server.get("/readyz").status == 200);
    let port = address.port();
    for (head, status, body) in [
        ("GET /healthz HTTP/1.0", 200, "alive"),
        ("GET /readyz HTTP/1.0", 200, "ready"),
        ("GET / HTTP/1.0", 200, "<h1>"),
        ("GET /metrics HTTP/1.0", 200, "backscroll_archive_up 1"),
        ("HEAD /healthz HTTP/1.0", 200, ""),
        ("OPTIONS / HTTP/1.0", 204, ""),
        ("OPTIONS * HTTP/1.0", 204, ""),
        ("OPTIONS /healthz HTTP/1.0", 200, "alive"),
        ("OPTIONS /readyz HTTP/1.0", 200, "ready"),
        ("OPTIONS /nothing HTTP/1.0", 404, ""),
        (
            "GET /healthz HTTP/1.0\r\nHost: evil.example",
            421,
            "localhost",
        ),
        ("OPTIONS / HTTP/1.0\r\nHost: evil.example", 421, "localhost"),
        (
            "OPTIONS / HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example",
            204,
            "",
        ),
        ("GET /healthz HTTP/1.1\r\nhost:localhost", 200, "alive"),
        (
            "GET http://localhost/healthz HTTP/1.1\r\nHost: localhost",
            200,
            "alive",
        ),
        ("GET http://127.0.0.1:9/healthz HTTP/1.0", 200, "alive"),
        (
            "GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost",
            421,
            "localhost",
        ),
        ("GET http://evil.example/healthz HTTP/1.0", 421, "localhost"),
        (
            "GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost",
            400,
            "one host",
        ),
        ("OPTIONS / HTTP/1.1", 400, "one host"),
        ("get /healthz HTTP/1.0", 405, "GET and HEAD"),
        ("TRACE / HTTP/1.0", 405, "GET and HEAD"),
    ] {
        let answer = send_request(address, &format!("{head}\r\n\r\n"));
        assert!(
            answer.status == status && answer.body.contains(body),
            "{head} at port {port}: {answer:#?}"
        );
        assert!(
            !answer.headers.contains("access-control"),
            "{head}: no other site may read it: {answer:#?}"
        );
        if [204, 405].contains(&status) {
            let allowed = answer.headers.contains("allow: GET, HEAD, OPTIONS\n");
            assert!(allowed, "{head}: {answer:#?}");
        }
    }
    server.stop();
}

#[test]
fn concurrent_requests_are_all_answered() {
    let env = with_web_listener(small_env(), ANY_PORT);
    let server = HttpDaemon::start(&env);
    let address = server.address();
    // Some clients connect and send nothing.
    let silent: Vec<_> = (0..20)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    let send_request =
        || send_request(address, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").status;
    let statuses: Vec<u16> = thread::scope(|scope| {
        let asking: Vec<_> = (0..100).map(|_| scope.spawn(send_request)).collect();
        asking.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(statuses, [200; 100]);
    let begun = Instant::now();
    server.stop();
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "idle connections do not delay shutdown"
    );
    drop(silent);
}

#[test]
fn occupied_address_does_not_stop_archiving() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let env = with_web_listener(small_env(), &address.to_string());
    let server = HttpDaemon::start(&env);
    wait_until("all of it", || {
        crate::support::daemon_process::archive_is_ready(&env)
            && env.query_number("SELECT count(*) FROM archive") >= 300
    });
    wait_until("the failure in the log", || {
        server.log_output().contains("could not be started")
    });
    assert!(
        server.log_output().contains(&address.to_string())
            && server.log_output().contains("`listen`"),
        "{}",
        server.log_output()
    );
    drop(taken);
    assert_eq!(server.address(), address);
    assert_answer(&server.get("/healthz"), 200, "alive");
    let said = server.stop();
    assert_eq!(said.matches("could not be started").count(), 1, "{said}");
}

#[test]
fn reload_moves_the_listen_address() {
    let env = with_web_listener(small_env(), ANY_PORT);
    let server = HttpDaemon::start(&env);
    let before = server.address();
    wait_until("the account", || server.get("/readyz").status == 200);
    let elsewhere = free_address();
    let env = with_web_listener(env, &elsewhere.to_string());
    env.write_config();
    server.daemon.signal("-HUP");
    wait_until("the other address", || server.address() == elsewhere);
    assert_answer(&server.get("/healthz"), 200, "alive");
    wait_until("the account again", || server.get("/readyz").status == 200);
    assert!(
        TcpStream::connect(before).is_err(),
        "the old address is free again"
    );
    server.stop();
}

#[test]
fn readiness_needs_one_working_account() {
    let refuses = |call: &str, what: &str| match (call, what) {
        ("list" | "history", "web3mq") | (_, "all") => {
            ProxyAction::reply(401, r#"{"code":401,"msg":"no"}"#)
        }
        _ => ProxyAction::Forward,
    };
    let (env, _middleman) = with_web_listener(small_env(), ANY_PORT)
        .behind_proxy(move |_, request| refuses(request.endpoint(), "web3mq"));
    let server = HttpDaemon::start(&env);
    wait_until("the working account", || {
        server.get("/readyz").status == 200
    });
    wait_until("the other", || {
        server.get("/readyz").body.contains("paused for another")
    });
    let answer = server.get("/readyz");
    assert_answer(&answer, 200, "sandbox: works");
    assert_answer(&answer, 200, "web3mq-1: paused for another");
    server.stop();

    let (env, _middleman) = with_web_listener(small_env(), ANY_PORT)
        .behind_proxy(move |_, request| refuses(request.endpoint(), "all"));
    let server = HttpDaemon::start(&env);
    wait_until("both", || {
        server
            .get("/readyz")
            .body
            .matches("paused for another")
            .count()
            == 2
    });
    assert_answer(&server.get("/readyz"), 503, "no account works");
    assert_answer(&server.get("/healthz"), 200, "alive");
    server.stop();
}

#[test]
fn without_database_it_is_alive_but_not_ready() {
    let cluster = PostgresServer::start();
    let env = with_web_listener(small_env(), ANY_PORT).with_database(&cluster.create_database());
    let server = HttpDaemon::start(&env);
    wait_until("the accounts", || server.get("/readyz").status == 200);
    cluster.stop();
    wait_until("the failed state", || server.get("/readyz").status == 503);
    assert_answer(&server.get("/readyz"), 503, "the database");
    assert_answer(&server.get("/healthz"), 200, "alive");
    wait_until("a scrape with the value", || {
        server
            .get("/metrics")
            .body
            .contains("\nbackscroll_archive_up 0")
    });
    cluster.start_process();
    wait_until("the recovered state", || {
        server.get("/readyz").status == 200
    });
    server.stop();
}

#[test]
fn no_endpoint_shows_a_secret() {
    let env = with_web_listener(small_env(), ANY_PORT);
    let key = env
        .world()
        .with_user(&env.world().user_ids()[0], Web3mqUser::private_key)
        .unwrap();
    let server = HttpDaemon::start(&env);
    wait_until("all of it", || {
        server
            .get("/metrics")
            .body
            .contains(r#"purpose="sync",ending="good"} 1"#)
    });
    let secrets = [
        CUSTOMER_SECRET.to_owned(),
        CUSTOMER_ID.to_owned(),
        STANDARD.encode(format!("{CUSTOMER_ID}:{CUSTOMER_SECRET}")),
        key.to_uppercase(),
        key,
    ];
    let streams: Vec<(String,)> = env.query_rows("SELECT key FROM stream");
    assert!(streams.len() > 5);
    for path in PATHS.into_iter().chain(["/stream?id=1"]) {
        let HttpResponse {
            headers: head,
            body,
            ..
        } = server.get(path);
        for secret in &secrets {
            assert!(
                !body.contains(secret) && !head.contains(secret),
                "{path}: {secret}"
            );
        }
        if FOR_PROGRAMS.contains(&path) {
            let named = streams.iter().find(|(stream,)| body.contains(stream));
            assert_eq!(named, None, "{path} names a stream");
        }
    }
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_stalled_account_fails_the_liveness_check() {
    let dir = TempDir::new().unwrap();
    let store = Arc::new(
        SqliteStore::open(&dir.path().join("archive.db"), IfMissing::Create)
            .await
            .unwrap(),
    );
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let provider: Arc<dyn Provider> =
        Arc::new(FakeProvider::new(clock.now(), Duration::from_mins(2), None));
    let engine = Engine::new(vec![provider.clone()], store.clone(), &clock);
    let progress = engine.progress().clone();
    let providers = vec![provider];
    let monitor = AlarmMonitor::new(store.clone(), providers.clone(), clock.clone(), None).unwrap();
    let (address, mut web) = (free_address(), StatusServer::default());
    web.serve(
        Some(address),
        StatusSources::new(store, providers, progress.clone(), Arc::new(monitor), clock),
    )
    .await;
    let looked_at = tokio::task::spawn_blocking(move || {
        wait_until("the server", || TcpStream::connect(address).is_ok());
        let get = |path| {
            send_request(
                address,
                &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            )
        };
        assert_answer(&get("/healthz"), 200, "alive");
        assert_answer(
            &get("/readyz"),
            503,
            "shop: the provider has not answered yet",
        );
        progress.set_stalled(&[(0, Duration::from_secs(400))]);
        assert_answer(
            &get("/healthz"),
            503,
            "shop: stuck: no request or commit has ended for 400 s",
        );
        assert_answer(
            &send_request(address, "OPTIONS /healthz HTTP/1.0\r\n\r\n"),
            503,
            "shop: stuck",
        );
        assert_answer(
            &get("/metrics"),
            200,
            "\nbackscroll_stuck{account=\"shop\",provider=\"agora\"} 1",
        );
        progress.set_stalled(&[]);
        assert_answer(&get("/healthz"), 200, "alive");
    });
    looked_at.await.unwrap();
    web.stop().await;
    assert!(TcpStream::connect(address).is_err());
}
