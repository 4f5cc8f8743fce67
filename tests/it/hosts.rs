//! Nobody but the provider that the configuration names ever hears from us.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};

use backscroll::sandbox::{On, Scripted};

use crate::bed::Bed;
use crate::middleman::Verdict;

const FEW: [&str; 4] = ["--messages", "60", "--topic-messages", "60"];

/// Another host, which must not hear a thing.
struct Stranger(TcpListener);

impl Stranger {
    fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn address(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }

    #[track_caller]
    fn assert_heard_nothing(&self) {
        assert_eq!(
            self.0.accept().unwrap_err().kind(),
            ErrorKind::WouldBlock,
            "somebody connected"
        );
    }
}

#[test]
fn a_redirect_to_another_host_is_not_followed() {
    let (bed, stranger) = (Bed::new(&FEW), Stranger::new());
    for (status, on) in [
        (301, On::Count),
        (302, On::Query),
        (307, On::Read),
        (308, On::History),
    ] {
        let headers = [(
            "Location".to_owned(),
            format!("http://{}/dev/v2/project", stranger.address()),
        )]
        .into();
        bed.script(Scripted {
            on,
            status,
            headers,
            times: 9999,
            ..Scripted::default()
        });
    }
    bed.sync().lacking().says("which is never followed");
    stranger.assert_heard_nothing();
    bed.world().script().clear();
    bed.archives_the_truth();
}

#[test]
fn a_location_on_another_host_is_refused() {
    let (bed, stranger) = (Bed::new(&FEW).only("agora"), Stranger::new());
    let (turn, address) = (AtomicUsize::new(0), stranger.address());
    let (bed, middleman) = bed.meddled(move |_, asked| {
        let host = asked.headers["host"].to_str().unwrap();
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
        match asked.call() {
            "query" => Verdict::alter_json(move |answer| answer["location"] = way.into()),
            _ => Verdict::Pass,
        }
    });
    bed.sync()
        .lacking()
        .says("points to another host (127.0.0.1), which is not followed");
    stranger.assert_heard_nothing();
    assert!(
        middleman.count(|asked| asked.call() == "query") >= 7,
        "each way was tried"
    );
    assert_eq!(middleman.count(|asked| asked.call() == "read"), 0);
}

#[test]
fn a_location_that_tries_to_leave_by_the_tilde_stays() {
    let (bed, stranger) = (Bed::new(&FEW).only("agora"), Stranger::new());
    let address = stranger.address();
    let (bed, _middleman) = bed.meddled(move |_, asked| match asked.call() {
        "query" => {
            let away = format!("~@{address}/rtm/message/history/query/abc");
            Verdict::alter_json(move |answer| answer["location"] = away.into())
        }
        _ => Verdict::Pass,
    });
    bed.sync().lacking();
    stranger.assert_heard_nothing();
}

#[test]
fn a_location_in_full_on_the_same_host_is_good() {
    let bed = Bed::new(&FEW).only("agora");
    let (bed, _middleman) = bed.meddled(move |_, asked| match asked.call() {
        "query" => {
            let base = format!(
                "http://{}/dev/v2/project/sandbox",
                asked.headers["host"].to_str().unwrap()
            );
            Verdict::alter_json(move |answer| {
                let location = answer["location"].as_str().unwrap().replace('~', &base);
                answer["location"] = location.into();
            })
        }
        _ => Verdict::Pass,
    });
    bed.archives_the_truth();
    bed.assert_no_rule_broken();
}
