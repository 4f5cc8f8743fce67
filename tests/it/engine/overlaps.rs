//! Streams that overlap: the archive and its ledger agree after every command, on both databases.

use std::time::Duration;

use backscroll::sandbox::Web3mqMessage;
use toml::{Table, Value};

use crate::support::config::{WEB3MQ, between, from, to};
use crate::support::env::TestEnv;
use crate::support::messages::web3mq_message;
use crate::support::postgres_server;
use crate::support::verify_fixture::VerifyFixture;

/// A peer of the first user.
const PEER: &str = "user:ada";

/// Runs each of these tests on every database.
macro_rules! on_every_database_without_messages {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[test]
            fn $test() {
                super::$test(super::fixture(None));
            })*
        }
        mod postgres {
            $(#[test]
            fn $test() {
                let database = super::postgres_server::create_named_database();
                super::$test(super::fixture(Some(database)));
            })*
        }
    };
}

on_every_database_without_messages! {
    late_message_is_found_beside_one_that_its_topic_does_not_show,
    own_topic_and_topics_of_peers_agree_after_a_plain_sync,
    late_message_agrees_in_every_order_of_the_streams,
    discovered_streams_agree_at_once,
}

/// An environment without messages, and without an archive yet.
fn fixture(database: Option<(String, String)>) -> VerifyFixture {
    let env = TestEnv::without_messages(&["--users", "1"]).with_settle("1s");
    let (url, database) = database.unzip();
    let env = match url {
        Some(url) => env.with_database(&url),
        None => env,
    };
    VerifyFixture { env, database }
}

fn topic(name: &str) -> Table {
    Table::from_iter([("topic".to_owned(), Value::from(name))])
}

/// A message in a topic: of the user to a peer, or of a peer to the user in the user's own topic.
fn in_topic(topic: &str, sender: &str, ms: i64) -> Web3mqMessage {
    Web3mqMessage {
        from: sender.to_owned(),
        messageid: format!("{sender} {topic} {ms}"),
        ..web3mq_message(topic, ms, None)
    }
}

impl VerifyFixture {
    fn follow_topics(&mut self, names: &[&str]) {
        let topics: Vec<Table> = names.iter().map(|name| topic(name)).collect();
        self.env.config_mut().set_streams(WEB3MQ, &topics);
    }

    fn archived(&self) -> i64 {
        self.query_number("SELECT count(*) FROM archive")
    }
}

/// The own topic brings a message of the chat, and a late message lands in the same half. Halves
/// that were compared with what is archived would cancel the two out.
fn late_message_is_found_beside_one_that_its_topic_does_not_show(mut fixture: VerifyFixture) {
    fixture.env.config_mut().keep_provider(WEB3MQ);
    let user = fixture.env.world().user_ids()[0].clone();
    let begin = fixture.env.world().now().0 - 3_600_000;
    let append = |fixture: &VerifyFixture, message| {
        fixture.env.world().append_web3mq(&user, message).unwrap();
    };
    for n in 0..400 {
        append(&fixture, in_topic(PEER, &user, begin + n * 1000));
    }
    fixture.follow_topics(&[PEER]);
    fixture.env.sync().assert_ok();

    append(&fixture, in_topic(&user, PEER, begin + 50_500));
    fixture.follow_topics(&[PEER, &user]);
    fixture.env.sync().assert_ok();
    fixture.verify(&[]).assert_ok();
    let row = "SELECT messages * 10 + not_shown FROM sealed_window WHERE provider_count = 400";
    assert_eq!(fixture.query_number(row), 4011);

    append(&fixture, in_topic(PEER, &user, begin + 60_500));
    fixture
        .verify(&["--remote"])
        .assert_incomplete()
        .assert_prints("the provider counts 1 more than when it was read");
    fixture.verify(&["--remote", "--repair"]).assert_ok();
    assert_eq!(fixture.archived(), 402);
    fixture.verify(&["--remote"]).assert_ok();
    let row = "SELECT messages * 10 + not_shown FROM sealed_window WHERE provider_count = 401";
    assert_eq!(fixture.query_number(row), 4021);
}

fn own_topic_and_topics_of_peers_agree_after_a_plain_sync(mut fixture: VerifyFixture) {
    fixture.env.config_mut().keep_provider(WEB3MQ);
    let user = fixture.env.world().user_ids()[0].clone();
    let begin = fixture.env.world().now().0 - 7_200_000;
    let peers = [PEER, "user:bob", "user:eve"];
    for n in 0..300 {
        let peer = peers[n as usize % 3];
        let ms = begin + n * 7000;
        let to_peer = in_topic(peer, &user, ms);
        let from_peer = in_topic(&user, peer, ms + 3000);
        for message in [to_peer, from_peer] {
            fixture.env.world().append_web3mq(&user, message).unwrap();
        }
    }
    fixture.follow_topics(&[PEER, &user, "user:bob", "user:eve"]);
    fixture.env.sync().assert_ok();
    assert_eq!(fixture.archived(), 600);
    fixture.verify(&[]).assert_ok();
    fixture.verify(&["--remote", "--repair"]).assert_ok();
    fixture.verify(&["--remote"]).assert_ok();
}

fn late_message_agrees_in_every_order_of_the_streams(mut fixture: VerifyFixture) {
    fixture.env.config_mut().keep_provider("agora");
    let streams = [to("lobby"), from("alice"), between("alice", "lobby")];
    for n in 0..200 {
        let ago = Duration::from_secs(8000 - n * 30);
        fixture.env.append_message("lobby", &format!("{n}"), ago);
    }
    for first in 0..3 {
        let mut order = streams.to_vec();
        order.rotate_left(first);
        fixture.env.config_mut().set_streams("agora", &order);
        fixture.env.sync().assert_ok();
        let before = fixture.archived();
        let late = Duration::from_secs(3000 + first as u64);
        fixture.env.append_message("lobby", "late", late);
        fixture.verify(&["--remote", "--repair"]).assert_ok();
        assert_eq!(fixture.archived(), before + 1);
        fixture.verify(&["--remote"]).assert_ok();
    }
}

fn discovered_streams_agree_at_once(mut fixture: VerifyFixture) {
    let streams = [to("lobby"), from("alice")];
    fixture.env.config_mut().set_streams("agora", &streams);
    let VerifyFixture { env, database } = fixture;
    let env = env.with_account_setting("discover", true);
    let fixture = VerifyFixture { env, database };
    let user = fixture.env.world().user_ids()[0].clone();
    let begin = fixture.env.world().now().0 - 3_600_000;
    for n in 0..60 {
        let ago = Duration::from_secs(4000 - n * 30);
        let channel = ["lobby", "attic"][n as usize % 2];
        fixture.env.append_message(channel, &format!("{n}"), ago);
        let peer = in_topic(PEER, &user, begin + n as i64 * 1000);
        let own = in_topic(&user, PEER, begin + n as i64 * 1000 + 500);
        for message in [peer, own] {
            fixture.env.world().append_web3mq(&user, message).unwrap();
        }
    }
    for _ in 0..2 {
        fixture.env.sync().assert_ok();
        fixture.verify(&[]).assert_ok();
    }
    assert_eq!(fixture.archived(), 180);
}
