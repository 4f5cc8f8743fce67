//! Believable talk: short exchanges in which people answer each other.

use std::collections::VecDeque;

use super::text::pick_one;

/// The exchanges. Each line begins with the number of its speaker. `{…}` stands for a word that is
/// the same in all lines of an exchange.
const EXCHANGES: &[&[(usize, &str)]] = &[
    &[
        (0, "anyone up for lunch?"),
        (1, "sure, where?"),
        (0, "the place by the station, at {time}"),
        (2, "count me in"),
        (1, "see you there 👍"),
    ],
    &[
        (0, "{thing} is slow again"),
        (1, "since when?"),
        (0, "about an hour, right after the release"),
        (1, "looking into it"),
        (1, "found it: a missing index. The fix goes out at {time}"),
        (0, "thanks!"),
    ],
    &[
        (0, "can we move the call to {time}?"),
        (1, "works for me"),
        (2, "I have the dentist then. {day} instead?"),
        (0, "ok, {day} at {time} it is"),
    ],
    &[
        (0, "could someone review my change to {thing}?"),
        (1, "on it"),
        (1, "two small comments, otherwise good"),
        (0, "done and merged, thanks!"),
    ],
    &[
        (0, "good morning"),
        (1, "morning! How was the weekend?"),
        (0, "quiet, mostly reading. Yours?"),
        (1, "hiking, until the rain came"),
    ],
    &[
        (
            0,
            "a customer cannot log in, she says the code never arrives",
        ),
        (1, "which provider?"),
        (0, "a small one, never heard of it"),
        (
            1,
            "they were on the block list, I removed them. Can she try again?",
        ),
        (0, "works now, she says thank you"),
    ],
    &[
        (0, "who is on call on {day}?"),
        (1, "me, but I would not mind a swap"),
        (2, "I can take it if you take mine next week"),
        (1, "deal"),
    ],
    &[
        (0, "where do I find the numbers for {thing}?"),
        (1, "in the shared folder, the file of last month"),
        (0, "found it"),
    ],
    &[
        (0, "the coffee machine says \"descale\" again"),
        (1, "I did it on {day}!"),
        (2, "it counts cups, not days. We drink too much coffee"),
        (0, "no such thing"),
    ],
    &[
        (0, "heads up: I restart {thing} at {time}"),
        (1, "how long will it be away?"),
        (0, "a minute, two at most"),
        (0, "back up, everything looks fine"),
    ],
    &[
        (0, "can you send me the second invoice?"),
        (1, "just did, have a look"),
        (0, "got it, thank you"),
    ],
    &[
        (0, "cake in the kitchen 🎂"),
        (1, "what is the occasion?"),
        (0, "one year of {thing} without an outage"),
        (2, "don't say it out loud"),
    ],
    &[
        (0, "is {thing} done for {day}?"),
        (1, "almost, the last test still fails"),
        (0, "need a hand?"),
        (1, "no, I see it now. One more hour"),
    ],
    &[
        (0, "did you see the message from the customer?"),
        (1, "yes, the one who loves the export?"),
        (0, "that one. Best mail in months"),
    ],
];

const THINGS: &[&str] = &[
    "the search box",
    "staging",
    "the export",
    "the login page",
    "the mobile app",
    "the build",
    "billing",
    "the new dashboard",
];
const TIMES: &[&str] = &["11:30", "noon", "12:15", "2 pm", "half past three", "5 pm"];
const DAYS: &[&str] = &["monday", "tuesday", "wednesday", "thursday", "friday"];

/// An exchange that is under way.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    lines: VecDeque<(usize, String)>,
}

impl Exchange {
    /// Begins an exchange between this many people.
    pub(super) fn begin(rng: &mut fastrand::Rng, people: usize) -> Self {
        let fits =
            |exchange: &&&[(usize, &str)]| exchange.iter().all(|(speaker, _)| *speaker < people);
        let fitting: Vec<_> = EXCHANGES.iter().filter(fits).collect();
        let lines = rng.choice(fitting).copied().unwrap_or_default();
        let (thing, time, day) = (
            pick_one(rng, THINGS),
            pick_one(rng, TIMES),
            pick_one(rng, DAYS),
        );
        let fill = |text: &str| {
            let text = text.replace("{thing}", thing);
            text.replace("{time}", time).replace("{day}", day)
        };
        let lines = lines.iter().map(|(speaker, text)| (*speaker, fill(text)));
        Self {
            lines: lines.collect(),
        }
    }

    /// Returns the next speaker and the next line; `None` at the end.
    pub(super) fn next_line(&mut self) -> Option<(usize, String)> {
        self.lines.pop_front()
    }
}

/// Returns different indices of a list, in random order: as many as there are, up to `wanted`.
pub(super) fn pick_people(rng: &mut fastrand::Rng, all: usize, wanted: usize) -> Vec<usize> {
    let mut people: Vec<usize> = (0..all).collect();
    rng.shuffle(&mut people);
    people.truncate(wanted);
    people
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exchanges_are_complete_and_fit_their_people() {
        let mut rng = fastrand::Rng::with_seed(3);
        for people in [2, 3] {
            for _ in 0..200 {
                let mut exchange = Exchange::begin(&mut rng, people);
                let mut lines = 0;
                while let Some((speaker, text)) = exchange.next_line() {
                    assert!(speaker < people, "{text}");
                    assert!(
                        !text.contains(['{', '}', '…']) && !text.contains("..."),
                        "{text}"
                    );
                    lines += 1;
                }
                assert!(lines >= 3);
            }
        }
        assert_eq!(pick_people(&mut rng, 2, 3).len(), 2);
    }
}
