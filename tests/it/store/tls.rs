//! Postgres over TLS, as the URL demands.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;

use crate::support::env::TestEnv;
use crate::support::postgres_server::{PostgresServer, is_root};

/// Returns a free port.
fn port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
    listener.local_addr().expect("an address").port()
}

/// Creates a certificate authority, `root.crt`, and a key and a certificate for `localhost`.
fn certificate(dir: &Path) {
    std::fs::write(
        dir.join("request.cnf"),
        "[req]\ndistinguished_name = name\n[name]\n",
    )
    .expect("a file");
    let make = |name: &str, more: &[&str]| {
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-config",
                "request.cnf",
                "-nodes",
                "-days",
                "2",
            ])
            .args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .args([
                "-keyout",
                &format!("{name}.key"),
                "-out",
                &format!("{name}.crt"),
            ])
            .args(more)
            .current_dir(dir)
            .output()
            .expect("openssl runs: it comes with Postgres");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
    };
    make(
        "root",
        &[
            "-subj",
            "/CN=authority",
            "-addext",
            "basicConstraints=critical,CA:TRUE",
        ],
    );
    let signed = [
        "-CA",
        "root.crt",
        "-CAkey",
        "root.key",
        "-addext",
        "basicConstraints=CA:FALSE",
    ];
    let named = [
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost",
    ];
    make("server", &[signed.as_slice(), &named].concat());
    if is_root() {
        let owned = Command::new("chown")
            .args(["postgres", "server.key", "server.crt"])
            .current_dir(dir)
            .status();
        assert!(owned.is_ok_and(|status| status.success()));
    }
}

fn server(tls: bool) -> (PostgresServer, u16) {
    let port = port();
    let cluster = PostgresServer::start_with_settings(|dir| {
        let mut settings = vec![
            "listen_addresses=localhost".to_owned(),
            format!("port={port}"),
        ];
        if tls {
            certificate(dir);
            let file = |name: &str| dir.join(name).display().to_string();
            settings.push("ssl=on".to_owned());
            settings.push(format!("ssl_key_file={}", file("server.key")));
            settings.push(format!("ssl_cert_file={}", file("server.crt")));
        }
        settings
    });
    (cluster, port)
}

#[test]
fn tls_is_used_as_the_url_demands() {
    let (cluster, port) = server(true);
    let root = cluster.folder().join("root.crt");
    let (root, database) = (root.display(), "postgres");
    let migrates = |options: &str| {
        let url = format!("postgres://postgres@localhost:{port}/{database}?{options}");
        TestEnv::without_messages(&[])
            .with_database(&url)
            .run(&["migrate"])
    };
    migrates("sslmode=require").assert_ok();
    migrates(&format!("sslmode=verify-full&sslrootcert={root}")).assert_ok();
    migrates("sslmode=disable").assert_ok();
    migrates("sslmode=verify-full")
        .assert_incomplete()
        .assert_prints("certificate")
        .assert_prints("sslrootcert=FILE");
    // The same server under a name that is not in its certificate.
    let url = format!(
        "postgres://postgres@127.0.0.1:{port}/{database}?sslmode=verify-full&sslrootcert={root}"
    );
    TestEnv::without_messages(&[])
        .with_database(&url)
        .run(&["migrate"])
        .assert_incomplete()
        .assert_prints("certificate");
    let url = format!(
        "postgres://postgres@localhost:{port}/{database}?sslmode=verify-full&sslrootcert={root}"
    );
    let env = TestEnv::new(&["--messages", "100", "--topic-messages", "0"]).with_database(&url);
    env.sync().assert_ok();
    let archived: u64 = cluster
        .psql(database, "SELECT count(*) FROM archive")
        .parse()
        .expect("a number");
    assert!(archived >= 90, "{archived}");
}

#[test]
fn server_without_tls_is_refused_if_the_url_demands_tls() {
    let (_cluster, port) = server(false);
    let url = |mode: &str| format!("postgres://postgres@localhost:{port}/postgres?sslmode={mode}");
    let migrates = |mode: &str| {
        TestEnv::without_messages(&[])
            .with_database(&url(mode))
            .run(&["migrate"])
    };
    migrates("require")
        .assert_incomplete()
        .assert_prints("does not support TLS")
        .assert_prints("turn TLS on at the server");
    migrates("prefer").assert_ok();
}
