//! Requests go only to the host that the configuration names.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};

use backscroll::sandbox::{Call, CallFilter, ScriptedAnswer};

use crate::support::env::TestEnv;
use crate::support::fault_proxy::ProxyAction;

const FEW: [&str; 4] = ["--messages", "60", "--topic-messages", "60"];

/// Another host, which must not be contacted.
struct UnexpectedHost(TcpListener);

impl UnexpectedHost {
    fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn address(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }

    #[track_caller]
    fn assert_no_connection(&self) {
        assert_eq!(
            self.0.accept().unwrap_err().kind(),
            ErrorKind::WouldBlock,
            "the host was contacted"
        );
    }
}

#[test]
fn redirect_to_another_host_is_not_followed() {
    let (env, stranger) = (TestEnv::new(&FEW), UnexpectedHost::new());
    for (status, on) in [
        (301, CallFilter::Only(Call::Count)),
        (302, CallFilter::Only(Call::Query)),
        (307, CallFilter::Only(Call::Read)),
        (308, CallFilter::Only(Call::History)),
    ] {
        let headers = [(
            "Location".to_owned(),
            format!("http://{}/dev/v2/project", stranger.address()),
        )]
        .into();
        env.script_answer(ScriptedAnswer {
            on,
            status,
            headers,
            times: 9999,
            ..ScriptedAnswer::default()
        });
    }
    env.sync()
        .assert_incomplete()
        .assert_prints(&format!("a redirect to http://{} (3", stranger.address()))
        .assert_prints("which is never followed");
    stranger.assert_no_connection();
    env.world().script().clear();
    env.assert_sync_archives_truth();
}

#[test]
fn location_on_another_host_is_refused() {
    let (env, stranger) = (TestEnv::new(&FEW).with_only("agora"), UnexpectedHost::new());
    let (turn, address) = (AtomicUsize::new(0), stranger.address());
    let (env, proxy) = env.behind_proxy(move |_, request| {
        let host = request.headers["host"].to_str().unwrap();
        let path = "dev/v2/project/sandbox/rtm/message/history/query/abc";
        let ways = [
            format!("http://{address}/{path}"),
            format!("https://{address}/{path}"),
            format!("//{address}/{path}"),
            format!("\\\\{address}/{path}"),
            format!("http://{host}@{address}/{path}"),
            format!(" http://{address}/{path}"),
            format!("https://{host}/{path}"),
        ];
        let way = ways[turn.fetch_add(1, Ordering::Relaxed) % ways.len()].clone();
        match request.endpoint() {
            "query" => ProxyAction::rewrite_json(move |answer| answer["location"] = way.into()),
            _ => ProxyAction::Forward,
        }
    });
    env.sync()
        .assert_incomplete()
        .assert_prints("points to another host (127.0.0.1), which is not followed");
    stranger.assert_no_connection();
    assert!(
        proxy.count_requests(|request| request.endpoint() == "query") >= 7,
        "each location was tried"
    );
    assert_eq!(
        proxy.count_requests(|request| request.endpoint() == "read"),
        0
    );
}

#[test]
fn location_with_an_authority_after_the_tilde_stays_on_the_host() {
    let (env, stranger) = (TestEnv::new(&FEW).with_only("agora"), UnexpectedHost::new());
    let address = stranger.address();
    let (env, _middleman) = env.behind_proxy(move |_, request| match request.endpoint() {
        "query" => {
            let away = format!("~@{address}/rtm/message/history/query/abc");
            ProxyAction::rewrite_json(move |answer| answer["location"] = away.into())
        }
        _ => ProxyAction::Forward,
    });
    env.sync().assert_incomplete();
    stranger.assert_no_connection();
}

#[test]
fn absolute_location_on_the_same_host_is_accepted() {
    let env = TestEnv::new(&FEW).with_only("agora");
    let (env, _middleman) = env.behind_proxy(move |_, request| match request.endpoint() {
        "query" => {
            let base = format!(
                "http://{}/dev/v2/project/sandbox",
                request.headers["host"].to_str().unwrap()
            );
            ProxyAction::rewrite_json(move |answer| {
                let location = answer["location"].as_str().unwrap().replace('~', &base);
                answer["location"] = location.into();
            })
        }
        _ => ProxyAction::Forward,
    });
    env.assert_sync_archives_truth();
    env.assert_no_rule_broken();
}
