//! Generated Web3MQ accounts with groups, chats of two users, topics and dApps. Some of their
//! clients are faulty.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::fill_range::{FillRange, share_of};
use super::talk::{Exchange, pick_people};
use super::text::{ODD_PAYLOAD_COUNT, odd_payload, pick_one, random_sentence};
use crate::domain::time::{Day, Hour, Millis};
use crate::sandbox::limits::CROWDED_MESSAGES;
use crate::sandbox::options::Options;
use crate::sandbox::web3mq::{Web3mqMessage, Web3mqStatus, Web3mqUser};

const CHAT_TYPE: &str = "text/plain; charset=utf-8";
const MEMBERS: &[&str] = &["ada", "grace", "linus", "margaret", "edsger"];

/// Payloads of faulty clients: each is not the canonical base64 of a text.
const ODD_PAYLOADS: &[&str] = &[
    "",
    "not base64 at all!",
    "aGVsbG8",      // padding left out
    "aGVsbG9=",     // bits that should be zero
    "aGVsbG8=\n",   // a line break
    "_-8_",         // the alphabet for URLs
    "8J+YgA==aGk=", // two in a row
    "////",         // good base64, but not UTF-8
    "7aC9",         // good base64 of a lone surrogate
    "AA==",         // NUL
    "\u{0}😀",      // no base64 alphabet at all
    "=",
];

/// Generates all accounts with their histories.
pub(in crate::sandbox) fn web3mq_accounts(
    options: &Options,
    rng: &mut fastrand::Rng,
    now: Millis,
) -> Vec<Web3mqUser> {
    let account = |index| {
        let mut account = Web3mqUser::derive(options.seed, index);
        let topics = busy_topics(&account, options.is_ordinary());
        let count = share_of(options.topic_messages, options.users, index);
        let range = FillRange::ending_at(now, options.topic_span);
        let mut rows = if options.is_ordinary() {
            Vec::new()
        } else {
            special_messages(rng, &account, &topics[0], range)
        };
        rows.truncate(count);
        let rest = count - rows.len();
        let times = range.sample_times(rng, rest, options.plain);
        if options.talk {
            rows.extend(generate_talk(rng, &account, &topics, times));
        } else {
            rows.extend(
                times
                    .into_iter()
                    .map(|ms| random_topic_message(rng, &account, &topics, ms, options.plain)),
            );
        }
        assign_statuses(rng, &mut rows, now);
        rows.sort_by_key(|row| row.ms);
        for topic in &topics {
            account.add_topic(topic);
        }
        account.add_topic(&group_id(&format!("{}/nobody here", account.user_id())));
        account.set_order(options.topic_order);
        for mut row in rows {
            apply_sender_clock(rng, &mut row, options);
            account.insert(row);
        }
        account
    };
    (0..options.users).map(account).collect()
}

/// Generates a random message to one of an account's conversations.
pub(in crate::sandbox) fn random_web3mq_message(
    rng: &mut fastrand::Rng,
    account: &Web3mqUser,
    ms: i64,
    plain: bool,
) -> Web3mqMessage {
    let busy: Vec<String> = account
        .topics()
        .iter()
        .filter(|(_, rows)| !rows.is_empty())
        .map(|(topic, _)| topic.clone())
        .collect();
    let topics = if busy.is_empty() {
        busy_topics(account, plain)
    } else {
        busy
    };
    random_topic_message(rng, account, &topics, ms, plain)
}

/// Sets the time of a message as its sender's clock showed it. Before, it is the time of arrival.
pub(in crate::sandbox) fn apply_sender_clock(
    rng: &mut fastrand::Rng,
    row: &mut Web3mqMessage,
    options: &Options,
) {
    let is_skewed = MEMBERS.last().is_some_and(|name| row.from == user_id(name));
    if is_skewed {
        row.ms = options.sender_skew.apply(Millis(row.ms)).0;
    }
    let jitter_ms = i64::try_from(options.sender_jitter.as_millis()).unwrap_or(i64::MAX / 2);
    if jitter_ms > 0 {
        row.ms = row.ms.saturating_add(rng.i64(-jitter_ms..=jitter_ms));
    }
}

/// Returns the user id for a name.
pub(in crate::sandbox) fn user_id(name: &str) -> String {
    format!("user:{}", hex_digits(name, 56))
}

/// Returns the group id for a name.
pub(in crate::sandbox) fn group_id(name: &str) -> String {
    format!("group:{}", hex_digits(name, 40))
}

/// Builds a message as a correct client sends it.
pub(in crate::sandbox) fn text_message(
    topic: &str,
    from: String,
    ms: i64,
    payload: &[u8],
) -> Web3mqMessage {
    let mut identity = blake3::Hasher::new();
    identity
        .update(from.as_bytes())
        .update(topic.as_bytes())
        .update(&ms.to_be_bytes())
        .update(payload);
    let mut signature = [0; 64];
    identity.finalize_xof().fill(&mut signature);
    Web3mqMessage {
        topic: topic.to_owned(),
        row_topic: topic.to_owned(),
        messageid: identity
            .finalize()
            .to_hex()
            .get(..56)
            .unwrap_or_default()
            .to_owned(),
        from,
        ms,
        payload_text: STANDARD.encode(payload),
        payload_type: CHAT_TYPE.to_owned(),
        cipher_suite: "NONE".to_owned(),
        from_sign: STANDARD.encode(signature),
        status: Some(Web3mqStatus::Received),
        status_ms: ms,
        version: 1,
    }
}

fn hex_digits(name: &str, length: usize) -> String {
    blake3::hash(name.as_bytes())
        .to_hex()
        .get(..length)
        .unwrap_or_default()
        .to_owned()
}

/// Returns the conversations that receive messages. The first is a group.
fn busy_topics(account: &Web3mqUser, plain: bool) -> Vec<String> {
    let own = account.user_id();
    let mut topics: Vec<String> = ["team", "family", "trading"]
        .map(|g| group_id(&format!("{own}/{g}")))
        .into();
    topics.extend(MEMBERS.iter().take(3).map(|name| user_id(name)));
    if !plain {
        topics.push(format!("SwapChat:im@{}", hex_digits(own, 56)));
        topics.push(format!("topic:news & views +{}", hex_digits(own, 12)));
    }
    topics
}

/// Generates exchanges, one after the other, each in one of the topics.
fn generate_talk(
    rng: &mut fastrand::Rng,
    account: &Web3mqUser,
    topics: &[String],
    times: Vec<i64>,
) -> Vec<Web3mqMessage> {
    let own = account.user_id();
    let mut exchange = Exchange::default();
    let (mut people, mut topic) = (Vec::new(), String::new());
    let mut message = |ms| {
        let (speaker, text) = loop {
            if let Some(line) = exchange.next_line() {
                break line;
            }
            topic = rng.choice(topics).cloned().unwrap_or_default();
            people = if topic.starts_with("user:") {
                vec![own.to_owned(), topic.clone()]
            } else {
                let members = pick_people(rng, MEMBERS.len(), 3);
                members
                    .into_iter()
                    .map(|member| user_id(MEMBERS[member]))
                    .collect()
            };
            exchange = Exchange::begin(rng, people.len());
        };
        let from = people[speaker].clone();
        let is_received = topic.starts_with("user:") && from != own;
        let mut row = text_message(&topic, from, ms, text.as_bytes());
        if is_received {
            own.clone_into(&mut row.row_topic);
        }
        row
    };
    times.into_iter().map(&mut message).collect()
}

fn random_topic_message(
    rng: &mut fastrand::Rng,
    account: &Web3mqUser,
    topics: &[String],
    ms: i64,
    plain: bool,
) -> Web3mqMessage {
    let topic = rng.choice(topics).cloned().unwrap_or_default();
    let own = || account.user_id().to_owned();
    let chat_of_two = topic.starts_with("user:");
    let mine = rng.u8(0..3) == 0;
    let from = match (mine, chat_of_two) {
        (true, _) => own(),
        (false, true) => topic.clone(),
        (false, false) => user_id(pick_one(rng, MEMBERS)),
    };
    let text = random_sentence(rng);
    let mut row = text_message(&topic, from, ms, text.as_bytes());
    if chat_of_two && !mine {
        row.row_topic = own();
    }
    if topic.starts_with("SwapChat") {
        "X25519/AES-GCM_SHA384".clone_into(&mut row.cipher_suite);
        "application/json".clone_into(&mut row.payload_type);
    }
    if !plain {
        distort_message(rng, &mut row);
    }
    row
}

/// Occasionally alters a message as a faulty client would.
fn distort_message(rng: &mut fastrand::Rng, row: &mut Web3mqMessage) {
    match rng.u8(0..100) {
        0..=2 => row.messageid.clear(),
        // Some SDKs write the id as a number without leading zeros.
        3..=9 => row.messageid = row.messageid.trim_start_matches('0').to_owned(),
        10..=12 => pick_one(rng, ODD_PAYLOADS).clone_into(&mut row.payload_text),
        13..=15 => row.payload_text = STANDARD.encode(odd_payload(rng.usize(0..ODD_PAYLOAD_COUNT))),
        16 => "applicaton/json; charset=utf-8".clone_into(&mut row.payload_type),
        17 => row.payload_type.clear(),
        18 => row.from_sign.clear(),
        19 => row.status = None,
        _ => {}
    }
}

/// Generates the cases that must always occur in one conversation: odd payloads, ids and types,
/// duplicates without an id, and one millisecond that takes several pages.
fn special_messages(
    rng: &mut fastrand::Rng,
    account: &Web3mqUser,
    topic: &str,
    range: FillRange,
) -> Vec<Web3mqMessage> {
    let somewhere = |rng: &mut fastrand::Rng| range.start + rng.i64(0..range.length.max(1));
    let from = || user_id(MEMBERS[0]);
    let mut rows = Vec::new();
    for odd in ODD_PAYLOADS {
        let row = text_message(topic, from(), somewhere(rng), odd.as_bytes());
        rows.push(Web3mqMessage {
            payload_text: (*odd).to_owned(),
            ..row
        });
    }
    rows.extend(
        (0..ODD_PAYLOAD_COUNT)
            .map(|n| text_message(topic, from(), somewhere(rng), &odd_payload(n))),
    );
    for alike in [2, 3] {
        let row = text_message(topic, from(), somewhere(rng), b"ok");
        rows.extend(std::iter::repeat_n(
            Web3mqMessage {
                messageid: String::new(),
                ..row
            },
            alike,
        ));
    }
    rows.extend(boundary_messages(account, topic, range));
    let row = text_message(topic, from(), somewhere(rng), b"typo");
    rows.push(Web3mqMessage {
        payload_type: "applicaton/json; charset=utf-8".to_owned(),
        ..row.clone()
    });
    let row = text_message(topic, from(), row.ms + 1, b"short id");
    rows.push(Web3mqMessage {
        messageid: row.messageid[1..].to_owned(),
        status: None,
        ..row
    });
    rows.extend(crowded_messages(topic, range));
    rows
}

/// Generates messages on the bounds of seconds, minutes, hours and days.
fn boundary_messages(account: &Web3mqUser, topic: &str, range: FillRange) -> Vec<Web3mqMessage> {
    let units = [1000, 60_000, Hour::MILLIS, Day::MILLIS];
    let message = |unit| {
        // In the last hour of a day, the next full hour is also the next day. The text keeps the
        // two messages distinct.
        let text = format!("right on time, to {unit} ms");
        let from = account.user_id().to_owned();
        text_message(topic, from, range.round_multiple(unit, 1), text.as_bytes())
    };
    units.map(message).into()
}

/// Generates the messages of one crowded millisecond.
fn crowded_messages(topic: &str, range: FillRange) -> Vec<Web3mqMessage> {
    let ms = range.round_multiple(1000, 90);
    let message = |n| {
        let text = format!("all at once, number {n}");
        text_message(topic, user_id(MEMBERS[0]), ms, text.as_bytes())
    };
    (0..CROWDED_MESSAGES).map(message).collect()
}

/// Assigns the status that a message's age makes likely: old messages are read.
fn assign_statuses(rng: &mut fastrand::Rng, rows: &mut [Web3mqMessage], now: Millis) {
    for row in rows.iter_mut().filter(|row| row.status.is_some()) {
        let age = now.0 - row.ms;
        let status = match rng.u8(0..10) {
            0..=7 if age > Day::MILLIS => Web3mqStatus::Read,
            0..=8 if age > Hour::MILLIS => Web3mqStatus::Delivered,
            _ => Web3mqStatus::Received,
        };
        row.status = Some(status);
        row.status_ms = row.ms
            + if status == Web3mqStatus::Received {
                0
            } else {
                rng.i64(0..=age.clamp(0, Hour::MILLIS))
            };
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const NOW: Millis = Millis(1_795_300_000_123);

    fn accounts(flags: &[&str]) -> Vec<Web3mqUser> {
        let options = Options::from_flags(flags).unwrap();
        web3mq_accounts(&options, &mut fastrand::Rng::with_seed(options.seed), NOW)
    }

    #[test]
    fn the_history_depends_on_the_seed() {
        assert_eq!(accounts(&[])[0].topics(), accounts(&[])[0].topics());
        assert_ne!(
            accounts(&[])[0].user_id(),
            accounts(&["--seed", "2"])[0].user_id()
        );
    }

    #[test]
    fn edge_cases_are_always_generated() {
        let account = accounts(&[]).remove(0);
        let rows: Vec<_> = account.topics().values().flatten().collect();
        assert_eq!(rows.len(), 10_000);
        assert!(account.topics().values().any(Vec::is_empty));
        for odd in ODD_PAYLOADS {
            assert!(rows.iter().any(|row| row.payload_text == *odd), "{odd:?}");
        }
        let mut alike = HashMap::<_, usize>::new();
        let mut by_ms = HashMap::<_, usize>::new();
        for row in &rows {
            *alike
                .entry((
                    &row.from,
                    &row.topic,
                    row.ms,
                    &row.payload_text,
                    &row.messageid,
                ))
                .or_default() += 1;
            *by_ms.entry((&row.topic, row.ms)).or_default() += 1;
        }
        assert!(alike.values().any(|&n| n == 2) && alike.values().any(|&n| n == 3));
        assert!(
            alike.iter().all(|(key, &n)| n == 1 || key.4.is_empty()),
            "only rows without an id are duplicates"
        );
        assert!(by_ms.values().any(|&n| n >= CROWDED_MESSAGES));
        assert!(rows.iter().any(|row| row.messageid.len() == 55));
        assert!(rows.iter().any(|row| row.cipher_suite.contains("SHA384")));
        assert!(
            rows.iter()
                .any(|row| row.payload_type.starts_with("applicaton"))
        );
        assert!(rows.iter().any(|row| row.topic != row.row_topic));
        for status in [
            None,
            Some(Web3mqStatus::Received),
            Some(Web3mqStatus::Delivered),
            Some(Web3mqStatus::Read),
        ] {
            assert!(rows.iter().any(|row| row.status == status), "{status:?}");
        }
    }

    #[test]
    fn messages_are_split_evenly_between_accounts() {
        let accounts = accounts(&["--users", "3", "--topic-messages", "100", "--plain"]);
        let sizes: Vec<usize> = accounts
            .iter()
            .map(|a| a.topics().values().map(Vec::len).sum())
            .collect();
        assert_eq!(sizes, [34, 33, 33]);
    }

    #[test]
    fn topics_are_in_order_of_time_or_of_arrival() {
        let clocks = ["--sender-skew", "1h", "--sender-jitter", "3s", "--plain"];
        let unordered = |order| {
            let accounts = accounts(&[&clocks[..], &["--topic-order", order]].concat());
            let topics = accounts[0].topics().values();
            let pairs = topics.flat_map(|rows| rows.windows(2));
            pairs.filter(|pair| pair[1].ms < pair[0].ms).count()
        };
        assert_eq!(unordered("time"), 0);
        assert!(unordered("arrival") > 100);
    }
}
