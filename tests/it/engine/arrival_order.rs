//! Web3MQ topics in either order: that of the times that senders have set, and that of arrival.

use std::time::Duration;

use backscroll::sandbox::Web3mqMessage;
use toml::Table;

use crate::support::env::TestEnv;
use crate::support::messages::web3mq_message;
use crate::support::passes::{KeptEngine, SYNC, run_pass};
use crate::support::postgres_server;
use crate::support::verify_fixture::VerifyFixture;

const TOPIC: &str = "group:order";
/// The messages of the first sync: more than one window.
const FIRST: i64 = 1800;
/// The messages that arrive after it.
const LATER: i64 = 120;
/// The time between two messages, in milliseconds.
const STEP: i64 = 4000;
const HOUR: i64 = 3_600_000;

/// The times that senders give their messages. `n` counts the messages as they arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Senders {
    /// All clocks are right.
    Exact,
    /// The clock of one sender in twenty is an hour behind.
    Behind,
    /// The clock of one sender in twenty is an hour ahead: some messages are from the future.
    Ahead,
    /// All clocks are wrong by up to ten seconds.
    Jitter,
    /// All clocks are right, and what arrives after the first sync was sent long before.
    Late,
}

impl Senders {
    fn offset(self, n: i64) -> i64 {
        let is_odd = n % 20 == 7;
        match self {
            Self::Behind if is_odd => -HOUR,
            Self::Ahead if is_odd => HOUR,
            Self::Jitter => n * 7919 % 20_000 - 10_000,
            Self::Late if n >= FIRST => -(n * 104_729 % (FIRST * STEP)),
            _ => 0,
        }
    }
}

/// A topic in one of the two databases.
struct OrderedTopic {
    fixture: VerifyFixture,
    user: String,
    begin: i64,
    senders: Senders,
}

impl OrderedTopic {
    fn new(order: &str, senders: Senders, database: Option<(String, String)>) -> Self {
        let env = TestEnv::without_messages(&["--topic-order", order])
            .with_only("web3mq")
            .with_settle("30s");
        let (url, database) = database.unzip();
        let mut env = match url {
            Some(url) => env.with_database(&url),
            None => env,
        };
        let topic = Table::from_iter([("topic".to_owned(), TOPIC.into())]);
        env.config_mut().set_streams("web3mq", &[topic]);
        Self {
            user: env.world().user_ids().remove(0),
            begin: env.world().now().0 - (FIRST + LATER) * STEP - 60_000,
            fixture: VerifyFixture { env, database },
            senders,
        }
    }

    fn env(&self) -> &TestEnv {
        &self.fixture.env
    }

    /// Appends these messages in the order in which they arrive.
    fn append(&self, arrivals: std::ops::Range<i64>) {
        for n in arrivals {
            let ms = self.begin + n * STEP + self.senders.offset(n);
            self.append_at(&format!("id-{n}"), ms);
        }
    }

    /// Appends a message that its sender dates to this time in milliseconds.
    fn append_at(&self, id: &str, ms: i64) {
        let message = Web3mqMessage {
            messageid: id.to_owned(),
            ..web3mq_message(TOPIC, ms, None)
        };
        let world = self.env().world();
        world.append_web3mq(&self.user, message).unwrap();
    }

    fn archived(&self) -> i64 {
        self.fixture.query_number("SELECT count(*) FROM archive")
    }

    /// Copies the archive into a new database, and continues with the copy.
    fn copied_to(self, database: Option<(String, String)>) -> Self {
        let (url, database) = database.unzip();
        let url = url.unwrap_or_else(|| "sqlite://archive.db".to_owned());
        self.env().run(&["copy", "--to", &url]).assert_ok();
        let env = self.fixture.env.with_database(&url);
        Self {
            fixture: VerifyFixture { env, database },
            ..self
        }
    }

    fn sync(&self) -> u64 {
        let before = self.env().assert_no_rule_broken().requests();
        self.env().sync().assert_ok();
        self.env().assert_no_rule_broken().requests() - before
    }

    /// Panics unless exactly these messages are archived, each once, and the archive knows it.
    #[track_caller]
    fn assert_archived(&self, messages: i64, what: &str) {
        let number = |sql: &str| self.fixture.query_number(sql);
        assert_eq!(
            number("SELECT count(*) FROM archive"),
            messages,
            "{what}, {:?}",
            self.senders
        );
        let distinct = "SELECT count(DISTINCT provider_message_id) FROM archive";
        assert_eq!(number(distinct), messages, "{what}");
        let suspect = "SELECT count(*) FROM coverage WHERE state = 'suspect'";
        assert_eq!(number(suspect), 0, "{what}");
        self.fixture.verify(&[]).assert_ok();
        self.fixture.verify(&["--remote"]).assert_ok();
    }

    fn has_mark(&self) -> bool {
        self.fixture
            .query_number("SELECT count(*) FROM arrival_mark")
            == 1
    }
}

/// Creates a database of Postgres. `None`: the archive is a file.
type NewDatabase = fn() -> Option<(String, String)>;

const IN_SQLITE: NewDatabase = || None;
const IN_POSTGRES: NewDatabase = || Some(postgres_server::create_named_database());

/// Plays every kind of sender with topics in this order.
fn every_message_is_archived_once(order: &str, new_database: NewDatabase) {
    use Senders::{Ahead, Behind, Exact, Jitter, Late};
    std::thread::scope(|scope| {
        let play = |senders| {
            let topic = OrderedTopic::new(order, senders, new_database());
            scope.spawn(move || requests_of_a_topic_archived_once(order, &topic))
        };
        let exact = play(Exact);
        let others = [Behind, Ahead, Jitter, Late].map(|senders| (senders, play(senders)));
        let exact = exact.join().unwrap();
        for (senders, requests) in others {
            let requests = requests.join().unwrap();
            assert!(
                requests <= exact * 3 / 2,
                "{senders:?} takes {requests} requests, and exact clocks {exact}"
            );
        }
    });
}

/// Archives a topic as it grows and expires. Returns the requests of the first sync.
fn requests_of_a_topic_archived_once(order: &str, topic: &OrderedTopic) -> u64 {
    let senders = topic.senders;
    topic.append(0..FIRST);
    let requests = topic.sync();
    topic.assert_archived(FIRST, order);
    let is_by_arrival = order == "arrival" && !matches!(senders, Senders::Exact | Senders::Late);
    assert_eq!(topic.has_mark(), is_by_arrival, "{order}, {senders:?}");
    topic.append(FIRST..FIRST + LATER);
    topic.sync();
    if !topic.has_mark() {
        // They may stand among those that were read, where only a count shows them.
        topic.fixture.verify(&["--remote", "--repair"]).assert_ok();
    }
    topic.assert_archived(FIRST + LATER, order);
    assert!(topic.sync() <= 2, "{order}, {senders:?}: a quiet topic");
    // Retention removes the oldest.
    let removed = |n| format!("id-{n}");
    for n in 0..300 {
        let world = topic.env().world();
        world
            .remove_web3mq(&topic.user, TOPIC, &removed(n))
            .unwrap();
    }
    topic.sync();
    if topic.has_mark() {
        assert!(
            topic.sync() <= 3,
            "{senders:?}: expiry costs no second reading"
        );
    } else {
        topic.fixture.verify(&["--remote", "--repair"]).assert_ok();
    }
    topic.assert_archived(FIRST + LATER, "after expiry");
    requests
}

#[test]
fn topic_in_order_of_time_is_archived_whatever_the_clocks_show() {
    every_message_is_archived_once("time", IN_SQLITE);
}

#[test]
fn topic_in_order_of_arrival_is_archived_whatever_the_clocks_show() {
    every_message_is_archived_once("arrival", IN_SQLITE);
}

#[test]
fn postgres_archives_a_topic_in_order_of_time() {
    every_message_is_archived_once("time", IN_POSTGRES);
}

#[test]
fn postgres_archives_a_topic_in_order_of_arrival() {
    every_message_is_archived_once("arrival", IN_POSTGRES);
}

/// Nothing tells the order of messages of one second, nor that of messages that came in order.
#[test]
fn order_that_cannot_be_known_is_learned_from_the_first_late_message() {
    for new_database in [IN_SQLITE, IN_POSTGRES] {
        let topic = OrderedTopic::new("arrival", Senders::Exact, new_database());
        let at = topic.begin;
        for n in 0..250 {
            let message = Web3mqMessage {
                messageid: format!("same-{n}"),
                ..web3mq_message(TOPIC, at, None)
            };
            topic
                .env()
                .world()
                .append_web3mq(&topic.user, message)
                .unwrap();
        }
        topic.append(1..100);
        topic.sync();
        topic.assert_archived(349, "in order");
        assert!(!topic.has_mark(), "nothing shows the order");
        let late = web3mq_message(TOPIC, at - HOUR, None);
        topic
            .env()
            .world()
            .append_web3mq(&topic.user, late)
            .unwrap();
        topic.sync();
        topic.assert_archived(350, "a late message");
        assert!(topic.has_mark());
    }
}

#[test]
fn message_removed_where_the_reading_ended_costs_a_second_reading_and_nothing_else() {
    let topic = OrderedTopic::new("arrival", Senders::Jitter, None);
    topic.append(0..FIRST);
    topic.sync();
    let world = topic.env().world();
    let last = format!("id-{}", FIRST - 1);
    world.remove_web3mq(&topic.user, TOPIC, &last).unwrap();
    topic.append(FIRST..FIRST + LATER);
    let again = topic.sync();
    assert!(again >= 18, "{again}: the topic is read once more");
    topic.assert_archived(FIRST + LATER, "the last message is gone");
    assert!(topic.sync() <= 2);
}

#[test]
fn lost_message_is_restored_wherever_it_stands() {
    for new_database in [IN_SQLITE, IN_POSTGRES] {
        let topic = OrderedTopic::new("arrival", Senders::Behind, new_database());
        topic.append(0..FIRST);
        topic.sync();
        let late = "SELECT id FROM archive WHERE provider_message_id IN ('id-907', 'id-908')";
        topic
            .fixture
            .execute_sql(&format!("DELETE FROM message WHERE id IN ({late})"));
        topic.fixture.verify(&[]).assert_incomplete();
        topic.fixture.verify(&["--repair"]).assert_ok();
        topic.assert_archived(FIRST, "repaired");
    }
}

#[test]
fn bounded_sync_reads_no_more_of_a_topic_in_order_of_time() {
    let topic = OrderedTopic::new("time", Senders::Exact, None);
    topic.append(0..FIRST);
    let at = |n: i64| backscroll::domain::time::Millis(topic.begin + n * STEP).to_string();
    let args = ["sync", "--since", &at(500), "--until", &at(600)];
    topic.env().run(&args).assert_ok();
    assert!(topic.env().assert_no_rule_broken().requests() <= 10);
    let archived = topic.fixture.query_number("SELECT count(*) FROM archive");
    assert!((100..=300).contains(&archived), "{archived}");
}

#[test]
fn statuses_of_a_topic_in_order_of_arrival_are_refreshed() {
    let env = TestEnv::without_messages(&["--topic-order", "arrival"]).with_only("web3mq");
    let user = env.world().user_ids().remove(0);
    let begin = env.world().now().0 - 2 * HOUR;
    for n in 0..60 {
        let late = if n % 10 == 3 { 600_000 } else { 0 };
        let status = Some(backscroll::sandbox::Web3mqStatus::Received);
        let message = web3mq_message("group:read", begin + n * 30_000 - late, status);
        env.world().append_web3mq(&user, message).unwrap();
    }
    let (_, new, _) = run_pass(&env, SYNC);
    assert_eq!(new, 60);
    env.world().advance_statuses();
    let (_, new, changed) = run_pass(&env, backscroll::sync::Purpose::Refresh);
    assert_eq!((new, changed), (0, 60));
    let suspect = "SELECT count(*) FROM coverage WHERE state = 'suspect'";
    assert_eq!(env.query_number(suspect), 0);
}

/// Its time lies in a range that is sealed.
#[test]
fn late_message_on_the_newest_page_is_archived_at_once() {
    for new_database in [IN_SQLITE, IN_POSTGRES] {
        let topic = OrderedTopic::new("time", Senders::Exact, new_database());
        topic.append(0..FIRST);
        topic.sync();
        for n in [FIRST - 70, FIRST - 40, FIRST - 1] {
            topic.append_at(&format!("late-{n}"), topic.begin + n * STEP - 1500);
        }
        let requests = topic.sync();
        assert!(requests <= 3, "{requests}");
        assert_eq!(topic.archived(), FIRST + 3);
        assert!(!topic.has_mark(), "the node keeps the order of time");
        topic.fixture.verify(&[]).assert_ok();
        topic.fixture.verify(&["--remote", "--repair"]).assert_ok();
        topic.assert_archived(FIRST + 3, "late");
    }
}

#[test]
fn newest_page_brings_nothing_from_before_the_wanted_history() {
    let mut topic = OrderedTopic::new("time", Senders::Exact, None);
    topic.append(0..FIRST);
    let since = backscroll::domain::time::Millis(topic.begin + (FIRST - 20) * STEP).to_string();
    let env = topic.fixture.env.with_account_setting("since", since);
    topic.fixture.env = env;
    topic.sync();
    assert_eq!(topic.archived(), 20);
    topic.append_at("late", topic.begin + (FIRST - 10) * STEP + 1);
    topic.append_at("unwanted", topic.begin + (FIRST - 30) * STEP + 1);
    topic.sync();
    assert_eq!(topic.archived(), 21);
}

#[test]
fn messages_from_the_future_are_not_read_again_while_nothing_arrives() {
    const FUTURE: i64 = 450;
    let topic = OrderedTopic::new("time", Senders::Exact, None);
    topic.append(0..FIRST);
    let now = topic.env().world().now().0;
    let append = |n: i64, ms: i64| topic.append_at(&format!("new-{n}"), ms);
    for n in 0..FUTURE {
        append(n, now + HOUR + n * 1000);
    }
    let mut engine = KeptEngine::start(topic.env(), Duration::from_secs(30));
    assert_eq!(engine.pass(SYNC).1, (FIRST + FUTURE) as u64);
    engine.pass(SYNC);
    topic.env().world().rules().reset();
    engine.pass(SYNC);
    let topics = topic
        .fixture
        .query_number("SELECT count(*) FROM stream WHERE key LIKE 'topic=%'");
    let history = topic.env().sandbox.rules().total.history as i64;
    assert_eq!(history, topics, "one for each topic");
    append(FUTURE, now - 3000);
    append(FUTURE + 1, now + HOUR + 1500);
    assert_eq!(
        engine.pass(SYNC).1,
        2,
        "one of the present and one of the future"
    );
}

/// The late messages fill the newest page and are in order among themselves: no page is out of
/// order, but its newest message is older than one before it.
#[test]
fn order_of_arrival_shows_when_the_newest_message_becomes_older() {
    const LATE: i64 = 150;
    let topic = OrderedTopic::new("arrival", Senders::Exact, None);
    topic.append(0..FIRST);
    let mut engine = KeptEngine::start(topic.env(), Duration::from_secs(30));
    assert_eq!(engine.pass(SYNC).1, FIRST as u64);
    for n in 0..LATE {
        topic.append_at(&format!("late-{n}"), topic.begin + n * STEP + 1);
    }
    assert_eq!(engine.pass(SYNC).1, LATE as u64);
    assert!(topic.has_mark());
}

#[test]
fn copy_continues_where_the_original_has_read_a_topic_in_order_of_arrival() {
    for (from, to) in [(IN_SQLITE, IN_POSTGRES), (IN_POSTGRES, IN_SQLITE)] {
        let topic = OrderedTopic::new("arrival", Senders::Behind, from());
        topic.append(0..FIRST);
        topic.sync();
        topic.append(FIRST..FIRST + LATER);
        let copy = topic.copied_to(to());
        assert!(copy.has_mark());
        let requests = copy.sync();
        assert!(requests <= 6, "{requests}: the topic is read once more");
        copy.assert_archived(FIRST + LATER, "the copy");
        assert!(copy.sync() <= 2);
    }
}
