//! The texts of the web server, compared with snapshots.

use std::collections::BTreeSet;

use crate::support::config::{AGORA, from, to};
use crate::support::env::{TestEnv, wait_until};
use crate::support::http_client::{ANY_PORT, HttpDaemon, with_web_listener};
use crate::support::snapshot::{assert_matches_file, words_of_html};

/// A daemon with few streams that are complete.
fn complete_daemon() -> (TestEnv, HttpDaemon) {
    let env = TestEnv::new(&["--messages", "120", "--plain"])
        .with_only(AGORA)
        .with_agora_streams(&[to("lobby"), from("alice")]);
    let env = with_web_listener(env, ANY_PORT);
    env.sync().assert_ok();
    let server = HttpDaemon::start(&env);
    server.address();
    wait_until("a pass of the daemon", || {
        env.query_number("SELECT count(*) FROM runs WHERE finished_at IS NOT NULL") > 1
    });
    (env, server)
}

/// Help and type of each metric, and the labels of its samples.
fn without_values(metrics: &str) -> String {
    let mut seen = BTreeSet::new();
    let lines = metrics.lines().map(|line| match line.split_once('{') {
        _ if line.starts_with('#') => line.to_owned(),
        Some((name, rest)) => {
            let labels = rest.rsplit_once('}').map_or(rest, |(labels, _)| labels);
            let names = labels
                .split("\",")
                .filter_map(|label| Some(label.split_once('=')?.0));
            format!("{name}{{{}}}", names.collect::<Vec<_>>().join(","))
        }
        None => line
            .rsplit_once(' ')
            .map_or(line, |(name, _)| name)
            .to_owned(),
    });
    lines
        .filter(|line| seen.insert(line.clone()))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn metrics_match_their_snapshot() {
    let (_env, server) = complete_daemon();
    assert_matches_file("metrics", &without_values(&server.get("/metrics").body));
    server.stop();
}

#[test]
fn front_page_matches_its_snapshot() {
    let (env, server) = complete_daemon();
    // The archive lies beside the configuration, in a folder of its own for each run.
    let folder = format!("{}/", env.dir.path().display());
    let page = server.get("/").body.replace(&folder, "");
    assert_matches_file("page_front", &words_of_html(&page));
    server.stop();
}

#[test]
fn stream_page_matches_its_snapshot() {
    let (_env, server) = complete_daemon();
    let page = server.get("/stream?id=1");
    assert_eq!(page.status, 200, "{page:?}");
    assert_matches_file("page_stream", &words_of_html(&page.body));
    server.stop();
}
