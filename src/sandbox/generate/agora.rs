//! Generated Agora projects: a few users who write to each other and to channels.

use super::fill_range::{FillRange, share_of};
use super::talk::{Exchange, pick_people};
use super::text::{ODD_PAYLOAD_COUNT, odd_payload, random_sentence};
use crate::domain::time::{Day, Hour, Millis};
use crate::sandbox::agora::{AgoraHistory, AgoraMessage, RecipientKind};
use crate::sandbox::limits::CROWDED_MESSAGES;
use crate::sandbox::options::Options;

/// The channels; only the first few have plain names.
const CHANNELS: &[&str] = &[
    "lobby",
    "general",
    "support",
    "dev-talk",
    "q&a #1?",
    "50% + more",
    "a=b c",
    "it's \"quoted\"",
    "café 東京",
];
/// The users; only the first few have plain names.
const USERS: &[&str] = &[
    "alice",
    "bob",
    "carol",
    "dave",
    "erin",
    "frank",
    "o'neil",
    "say \"hi\"",
    "x&y=z",
    "100%25",
    "José+María",
    "小明#7",
    "who?",
];
const PLAIN_CHANNELS: usize = 4;
const PLAIN_USERS: usize = 6;
/// A channel and a user without messages.
const SILENT_CHANNEL: &str = "silent room";
const SILENT_USER: &str = "hermit";

/// Returns the app id of project number `index`.
pub(in crate::sandbox) fn app_id(index: usize) -> String {
    if index == 0 {
        "sandbox".to_owned()
    } else {
        format!("sandbox-{}", index + 1)
    }
}

/// Generates all projects with their histories.
pub(in crate::sandbox) fn agora_projects(
    options: &Options,
    rng: &mut fastrand::Rng,
    now: Millis,
) -> Vec<(String, AgoraHistory)> {
    let project = |index| {
        let count = share_of(options.messages, options.projects, index);
        let range = FillRange::ending_at(now, options.span);
        let mut messages = if options.talk {
            generate_talk(rng, count, range)
        } else {
            generate_messages(rng, count, range, options.plain)
        };
        if options.time_form.is_whole_seconds() {
            for message in &mut messages {
                message.ms = Millis(message.ms).second().start().0;
            }
        }
        let mut history = AgoraHistory::new(messages);
        history.add_recipient(SILENT_CHANNEL, RecipientKind::Channel);
        history.add_recipient(SILENT_USER, RecipientKind::Peer);
        (app_id(index), history)
    };
    (0..options.projects).map(project).collect()
}

/// Generates a random message.
pub(in crate::sandbox) fn random_agora_message(
    rng: &mut fastrand::Rng,
    ms: i64,
    plain: bool,
) -> AgoraMessage {
    let users = if plain { &USERS[..PLAIN_USERS] } else { USERS };
    let channels = if plain {
        &CHANNELS[..PLAIN_CHANNELS]
    } else {
        CHANNELS
    };
    let sender = rng.usize(0..users.len());
    let (dst, kind) = if rng.u8(0..10) < 7 {
        // The first channels are the busiest.
        let upper = rng.usize(0..channels.len());
        (channels[rng.usize(0..=upper)], RecipientKind::Channel)
    } else {
        (
            users[(sender + rng.usize(1..users.len())) % users.len()],
            RecipientKind::Peer,
        )
    };
    let odd = !plain && rng.u8(0..100) < 3;
    let payload = if odd {
        odd_payload(rng.usize(0..ODD_PAYLOAD_COUNT))
    } else {
        random_sentence(rng).into_bytes()
    };
    AgoraMessage {
        src: users[sender].to_owned(),
        dst: dst.to_owned(),
        kind,
        ms,
        payload,
    }
}

/// Generates exchanges, one after the other: in a channel, or between two users.
fn generate_talk(rng: &mut fastrand::Rng, count: usize, range: FillRange) -> Vec<AgoraMessage> {
    let times = range.sample_times(rng, count, false);
    let mut exchange = Exchange::default();
    let (mut people, mut channel) = (Vec::new(), None);
    let mut message = |ms| {
        let (speaker, text) = loop {
            if let Some(line) = exchange.next_line() {
                break line;
            }
            // The first channels are the busiest.
            let upper = rng.usize(0..PLAIN_CHANNELS);
            channel = (rng.u8(0..10) < 8).then(|| CHANNELS[rng.usize(0..=upper)]);
            people = pick_people(rng, PLAIN_USERS, if channel.is_some() { 3 } else { 2 });
            exchange = Exchange::begin(rng, people.len());
        };
        let (dst, kind) = match channel {
            Some(channel) => (channel, RecipientKind::Channel),
            None => (USERS[people[1 - speaker]], RecipientKind::Peer),
        };
        AgoraMessage {
            src: USERS[people[speaker]].to_owned(),
            dst: dst.to_owned(),
            kind,
            ms,
            payload: text.into_bytes(),
        }
    };
    times.into_iter().map(&mut message).collect()
}

fn generate_messages(
    rng: &mut fastrand::Rng,
    count: usize,
    range: FillRange,
    plain: bool,
) -> Vec<AgoraMessage> {
    let mut messages = if plain {
        Vec::new()
    } else {
        special_messages(rng, range)
    };
    messages.truncate(count);
    let rest = count - messages.len();
    messages.extend(
        range
            .sample_times(rng, rest, plain)
            .into_iter()
            .map(|ms| random_agora_message(rng, ms, plain)),
    );
    messages
}

/// Generates the cases that must always occur: each odd payload, duplicates, times on the bounds of
/// windows, and one millisecond that takes several pages.
fn special_messages(rng: &mut fastrand::Rng, range: FillRange) -> Vec<AgoraMessage> {
    let somewhere = |rng: &mut fastrand::Rng| range.start + rng.i64(0..range.length.max(1));
    let mut specials = Vec::new();
    for n in 0..ODD_PAYLOAD_COUNT {
        let ms = somewhere(rng);
        specials.push(AgoraMessage {
            payload: odd_payload(n),
            ..random_agora_message(rng, ms, true)
        });
    }
    for unit in [1000, 60_000, Hour::MILLIS, Day::MILLIS] {
        // On the bound, and one millisecond before and after it.
        specials.extend(
            [-1, 0, 1].map(|beside| {
                random_agora_message(rng, range.round_multiple(unit, 1) + beside, true)
            }),
        );
    }
    for alike in [2, 3] {
        for payload in ["ok", "", "\0"] {
            let ms = somewhere(rng);
            let message = AgoraMessage {
                payload: payload.into(),
                ..random_agora_message(rng, ms, true)
            };
            let another = AgoraMessage {
                payload: b"in between".to_vec(),
                ..message.clone()
            };
            specials.push(another);
            specials.extend(std::iter::repeat_n(message, alike));
        }
    }
    let ms = range.round_multiple(1000, 90);
    for n in 0..CROWDED_MESSAGES {
        // Every tenth message is repeated, so that the crowded millisecond also contains
        // duplicates.
        let text = format!("all at once, number {}", n - usize::from(n % 10 == 1));
        let message = random_agora_message(rng, ms, true);
        specials.push(AgoraMessage {
            src: USERS[0].to_owned(),
            dst: CHANNELS[0].to_owned(),
            kind: RecipientKind::Channel,
            payload: text.into(),
            ..message
        });
    }
    specials
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const NOW: Millis = Millis(1_795_300_000_123);

    fn project(flags: &[&str]) -> AgoraHistory {
        let options = Options::from_flags(flags).unwrap();
        agora_projects(&options, &mut fastrand::Rng::with_seed(options.seed), NOW)
            .remove(0)
            .1
    }

    #[test]
    fn the_history_depends_on_the_seed() {
        assert_eq!(project(&[]).messages(), project(&[]).messages());
        assert_ne!(
            project(&[]).messages(),
            project(&["--seed", "2"]).messages()
        );
    }

    #[test]
    fn edge_cases_are_always_generated() {
        let history = project(&[]);
        assert_eq!(history.messages().len(), 20_000);
        let mut by_ms = HashMap::<i64, usize>::new();
        let mut alike = HashMap::new();
        for message in history.messages() {
            *by_ms.entry(message.ms).or_default() += 1;
            *alike.entry(message.clone()).or_default() += 1;
        }
        assert!(by_ms.values().any(|&n| n >= CROWDED_MESSAGES));
        for n in [2, 3] {
            assert!(alike.values().any(|&found: &usize| found == n), "{n} alike");
        }
        for unit in [1000, 60_000, Hour::MILLIS, Day::MILLIS] {
            assert!(
                by_ms.keys().any(|ms| ms % unit == 0),
                "on a multiple of {unit} ms"
            );
        }
        assert!((0..ODD_PAYLOAD_COUNT).all(|n| {
            history
                .messages()
                .iter()
                .any(|m| m.payload == odd_payload(n))
        }));
        assert!(
            history
                .messages()
                .iter()
                .all(|m| m.ms < NOW.0 && m.ms >= NOW.0 - 5 * Day::MILLIS)
        );
        for letter in ['\'', '"', ' ', '%', '&', '+', '#', '=', '?', '東'] {
            assert!(
                history
                    .streams()
                    .iter()
                    .any(|s| s.destination.as_ref().is_some_and(|d| d.contains(letter)))
            );
        }
    }

    #[test]
    fn plain_histories_contain_no_odd_payloads() {
        let history = project(&["--plain", "--messages", "1000"]);
        assert_eq!(history.messages().len(), 1000);
        assert!(
            history
                .messages()
                .iter()
                .all(|m| m.payload.len() < 200 && !m.payload.contains(&0))
        );
        let gaps: Vec<i64> = history
            .messages()
            .windows(2)
            .map(|w| w[1].ms - w[0].ms)
            .collect();
        assert!(
            gaps.iter().all(|gap| (gap - gaps[0]).abs() <= 1),
            "evenly spread"
        );
    }

    #[test]
    fn talk_has_plain_names_and_answers() {
        let history = project(&["--talk", "--messages", "1000"]);
        assert_eq!(history.messages().len(), 1000);
        for message in history.messages() {
            assert!(USERS[..PLAIN_USERS].contains(&message.src.as_str()));
            assert_ne!(message.src, message.dst);
        }
        let texts = history.messages().iter().map(|message| &message.payload);
        let lunch = texts.filter(|text| text.windows(5).any(|word| word == b"lunch"));
        assert!(lunch.count() > 5);
    }

    #[test]
    fn a_history_has_the_requested_number_of_messages() {
        assert!(project(&["--messages", "0"]).messages().is_empty());
        assert_eq!(project(&["--messages", "7"]).messages().len(), 7);
        let options = Options::from_flags(["--messages", "10", "--projects", "3"]).unwrap();
        let projects = agora_projects(&options, &mut fastrand::Rng::with_seed(1), NOW);
        assert_eq!(
            projects
                .iter()
                .map(|(id, _)| id.as_str())
                .collect::<Vec<_>>(),
            ["sandbox", "sandbox-2", "sandbox-3"]
        );
        assert_eq!(
            projects
                .iter()
                .map(|(_, history)| history.messages().len())
                .sum::<usize>(),
            10
        );
    }
}
