//! The daemon under a service manager: notifications over the socket, and signals.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use backscroll::sandbox::{Call, CallFilter, Fault, ScriptedAnswer};

use crate::support::daemon_process::{DaemonProcess, archive_is_ready, env_syncing_every_second};
use crate::support::env::{MAX_WAIT, TestEnv, wait_until};
use crate::support::fault_proxy::ProxyAction;
use crate::support::postgres_server::PostgresServer;

/// The longest acceptable shutdown, with a margin for a machine that is busy with tests.
const MAX_SHUTDOWN: Duration = Duration::from_secs(2);
const FEW: [&str; 5] = ["--messages", "200", "--topic-messages", "100", "--plain"];

/// The service manager's end of the socket.
struct FakeServiceManager {
    socket: UnixDatagram,
    path: String,
}

impl FakeServiceManager {
    fn listen(env: &TestEnv) -> Self {
        let path = env.path("notify").to_str().unwrap().to_owned();
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(MAX_WAIT)).unwrap();
        Self { socket, path }
    }

    fn start(&self, env: &TestEnv, more: &[(&str, &str)]) -> DaemonProcess {
        DaemonProcess::start_with_env(
            env,
            &[&[("NOTIFY_SOCKET", self.path.as_str())], more].concat(),
        )
    }

    /// Returns the lines of the next message.
    #[track_caller]
    fn received(&self) -> Vec<String> {
        let mut message = [0; 4096];
        // A signal, such as that of a child that ends, interrupts a read that has a timeout.
        let length = loop {
            match self.socket.recv(&mut message) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                received => break received.expect("the service says something"),
            }
        };
        String::from_utf8(message[..length].to_vec())
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// Waits for a line with this prefix and returns the lines of its message.
    #[track_caller]
    fn wait_for(&self, line: &str) -> Vec<String> {
        let begun = Instant::now();
        let mut heard = Vec::new();
        loop {
            let lines = self.received();
            if lines.iter().any(|said| said.starts_with(line)) {
                return lines;
            }
            heard.extend(lines);
            assert!(begun.elapsed() < MAX_WAIT, "no `{line}` in {heard:#?}");
        }
    }
}

/// Stops the daemon, panics unless it ends within the limit, and returns its log output.
#[track_caller]
fn assert_ends_within_limit(mut daemon: DaemonProcess) -> String {
    let begun = Instant::now();
    daemon.signal("-TERM");
    let (code, said) = daemon.wait_for_exit();
    assert!(
        begun.elapsed() < MAX_SHUTDOWN,
        "it took {:?}: {said}",
        begun.elapsed()
    );
    assert_eq!(code, Some(0), "{said}");
    said
}

fn hanging_answer(on: CallFilter) -> ScriptedAnswer {
    ScriptedAnswer {
        on,
        fault: Some(Fault::Hang),
        times: 9999,
        ..ScriptedAnswer::default()
    }
}

#[test]
fn service_manager_is_told_ready_status_and_stopping() {
    let env = env_syncing_every_second(&FEW);
    let manager = FakeServiceManager::listen(&env);
    let daemon = manager.start(&env, &[]);
    manager.wait_for("READY=1");
    assert!(
        archive_is_ready(&env),
        "the archive exists when the first pass starts"
    );
    let lines = manager.wait_for("STATUS=up to date: 2 accounts");
    assert!(lines[0].ends_with("300 new messages"), "{lines:?}");
    let said = assert_ends_within_limit(daemon);
    manager.wait_for("STOPPING=1");
    assert!(said.contains("stopped"), "{said}");
}

#[test]
fn failure_is_shown_in_the_service_status() {
    let env = env_syncing_every_second(&FEW).with_only("agora");
    env.script_answer(ScriptedAnswer {
        on: CallFilter::Any,
        status: 401,
        times: 9999,
        ..ScriptedAnswer::default()
    });
    let manager = FakeServiceManager::listen(&env);
    let _daemon = manager.start(&env, &[]);
    manager.wait_for("STATUS=failing: sandbox: count: credentials refused with status 401");
}

#[test]
fn watchdog_is_fed_while_idle_and_with_a_slow_provider() {
    let env = env_syncing_every_second(&FEW).with_only("agora");
    env.script_answer(hanging_answer(CallFilter::Only(Call::Read)));
    let manager = FakeServiceManager::listen(&env);
    let _daemon = manager.start(&env, &[("WATCHDOG_USEC", "600000")]);
    manager.wait_for("READY=1");
    let begun = Instant::now();
    wait_until("a read that hangs", || env.sandbox.rules().total.read > 0);
    for _ in 0..8 {
        manager.wait_for("WATCHDOG=1");
    }
    assert!(
        begun.elapsed() >= Duration::from_millis(1200),
        "once at the start, then three times in each watchdog interval"
    );
    assert_eq!(
        env.query_number("SELECT count(*) FROM archive"),
        0,
        "no read was answered yet"
    );
    let idle = TestEnv::without_messages(&[]);
    let manager = FakeServiceManager::listen(&idle);
    let _daemon = manager.start(&idle, &[("WATCHDOG_USEC", "600000")]);
    manager.wait_for("STATUS=up to date");
    for _ in 0..5 {
        manager.wait_for("WATCHDOG=1");
    }
}

#[test]
fn watchdog_of_another_process_is_ignored() {
    let env = TestEnv::without_messages(&[]);
    let manager = FakeServiceManager::listen(&env);
    let _daemon = manager.start(&env, &[("WATCHDOG_USEC", "600000"), ("WATCHDOG_PID", "1")]);
    let lines = manager.wait_for("WATCHDOG=1");
    let begun = Instant::now();
    manager.wait_for("WATCHDOG=1");
    assert!(begun.elapsed() > Duration::from_secs(3), "{lines:?}");
}

#[test]
fn reload_applies_a_new_configuration_and_loses_nothing() {
    let env = env_syncing_every_second(&[
        "--messages",
        "3000",
        "--topic-messages",
        "200",
        "--requests-per-second",
        "40",
        "--plain",
    ]);
    let (env, proxy) = env.behind_proxy(|_, _| ProxyAction::Forward);
    let all = env.config().clone();
    let env = env.with_only("agora");
    let edge = env.settled_edge();
    let manager = FakeServiceManager::listen(&env);
    let daemon = manager.start(&env, &[]);
    manager.wait_for("READY=1");
    wait_until("windows under way", || env.sandbox.rules().total.read > 0);
    let env = env.with_config(all);
    env.write_config();
    daemon.signal("-HUP");
    let lines = manager.wait_for("RELOADING=1");
    assert!(
        lines.iter().any(|line| line.starts_with("MONOTONIC_USEC=")),
        "{lines:?}"
    );
    manager.wait_for("READY=1");
    manager.wait_for("STATUS=up to date: 2 accounts");
    let times: Vec<Instant> = proxy.requests().iter().map(|request| request.at).collect();
    let said = assert_ends_within_limit(daemon);
    assert!(said.contains("and comes into force"), "{said}");
    env.assert_archive_equals_truth(edge);
    let second = times
        .windows(2)
        .any(|pair| pair[1] - pair[0] >= Duration::from_millis(950));
    assert!(
        second,
        "a full second passed between the two processes' requests"
    );
}

#[test]
fn reload_of_an_invalid_configuration_keeps_the_current_one() {
    let env = env_syncing_every_second(&[
        "--messages",
        "100",
        "--topic-messages",
        "0",
        "--append-rate",
        "20",
    ])
    .with_only("agora");
    let manager = FakeServiceManager::listen(&env);
    let daemon = manager.start(&env, &[]);
    manager.wait_for("READY=1");
    let good = fs::read_to_string(env.path("config.toml")).unwrap();
    let nowhere = good.replace("sqlite://archive.db", "sqlite:///nowhere/at/all/archive.db");
    for wrong in [format!("{good}\n[schedul]\n"), "[[".to_owned(), nowhere] {
        fs::write(env.path("config.toml"), wrong).unwrap();
        daemon.signal("-HUP");
        manager.wait_for("RELOADING=1");
        manager.wait_for("READY=1");
        manager.wait_for("STATUS=new configuration invalid, the previous one stays in force: ");
    }
    fs::remove_file(env.path("config.toml")).unwrap();
    daemon.signal("-HUP");
    manager.wait_for("RELOADING=1");
    manager.wait_for("READY=1");
    let before = env.query_number("SELECT count(*) FROM archive");
    wait_until("messages sent meanwhile", || {
        env.query_number("SELECT count(*) FROM archive") > before
    });
    let said = assert_ends_within_limit(daemon);
    for why in [
        "schedul",
        "config.toml:1:3",
        "/nowhere/at/all",
        "there is no configuration at",
    ] {
        let lines = said
            .lines()
            .filter(|line| line.contains("the previous one stays in force"));
        assert!(
            lines.clone().any(|line| line.contains(why)),
            "no `{why}` in {said}"
        );
        assert_eq!(lines.count(), 4, "{said}");
    }
}

#[test]
fn reload_can_switch_the_database() {
    let env = env_syncing_every_second(&FEW).with_only("agora");
    let manager = FakeServiceManager::listen(&env);
    let daemon = manager.start(&env, &[]);
    manager.wait_for("STATUS=up to date");
    let env = env.with_database("sqlite://second.db");
    env.write_config();
    daemon.signal("-HUP");
    manager.wait_for("RELOADING=1");
    manager.wait_for("READY=1");
    manager.wait_for("STATUS=up to date: 1 account · 200 new messages");
    // The daemon has released the first database, so another process can write to it.
    let env = env.with_database("sqlite://archive.db");
    env.sync().assert_ok();
    assert_ends_within_limit(daemon);
    let count = |archive: &str| {
        env.query_rows_of::<(i64,)>(&env.path(archive), "SELECT count(*) FROM archive")[0].0
    };
    assert_eq!((count("archive.db"), count("second.db")), (200, 200));
}

#[test]
fn shutdown_is_immediate_with_a_hanging_provider() {
    let env = env_syncing_every_second(&["--messages", "200", "--topic-messages", "100"]);
    env.script_answer(hanging_answer(CallFilter::Only(Call::Read)));
    env.script_answer(hanging_answer(CallFilter::Only(Call::History)));
    let daemon = DaemonProcess::start(&env);
    let total = || env.sandbox.rules().total;
    wait_until("hanging responses", || {
        total().read > 0 && total().history > 0
    });
    assert_ends_within_limit(daemon);
    assert_eq!(
        env.query_number("SELECT count(*) FROM runs WHERE finished_at IS NULL"),
        0,
        "every run was finished"
    );
}

#[test]
fn shutdown_is_immediate_without_postgres() {
    let cluster = PostgresServer::start();
    let url = cluster.create_database();
    let name = url.split(['/', '?']).nth(3).unwrap();
    let env = env_syncing_every_second(&[
        "--messages",
        "100",
        "--topic-messages",
        "0",
        "--append-rate",
        "20",
    ])
    .with_only("agora")
    .with_database(&url);
    let archived = || {
        cluster
            .psql(name, "SELECT count(*) FROM archive")
            .parse::<u64>()
            .unwrap()
    };
    let manager = FakeServiceManager::listen(&env);

    let daemon = manager.start(&env, &[]);
    manager.wait_for("STATUS=up to date");
    let before = archived();
    wait_until("more", || archived() > before);
    let held = cluster.hold_transaction(name, "LOCK TABLE sealed_window IN ACCESS EXCLUSIVE MODE");
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    wait_until("a statement that waits", || {
        cluster.psql(name, waits) != "0"
    });
    assert_ends_within_limit(daemon);
    drop(held);

    let daemon = manager.start(&env, &[]);
    manager.wait_for("READY=1");
    cluster.stop();
    manager.wait_for("STATUS=failing: sandbox: the database failed");
    assert_ends_within_limit(daemon);
}

#[test]
fn shutdown_is_immediate_while_the_archive_opens() {
    let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!(
        "postgres://postgres@{}/archive?sslmode=disable",
        silent.local_addr().unwrap()
    );
    let env = env_syncing_every_second(&FEW).with_database(&url);
    let daemon = DaemonProcess::start(&env);
    let connection = silent.accept().unwrap();
    assert_ends_within_limit(daemon);
    drop(connection);
}
