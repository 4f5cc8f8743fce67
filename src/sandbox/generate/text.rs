//! Generated message texts: plain chat, and odd payloads that an archive must preserve.

use crate::sandbox::limits::MAX_PAYLOAD_BYTES;

const OPENINGS: &[&str] = &[
    "hey",
    "morning all",
    "quick question",
    "ok so",
    "fyi",
    "sorry, was away",
    "done",
    "hmm",
    "btw",
    "no idea",
    "yes",
    "thanks",
    "wait",
    "heads up",
    "good point",
    "lol",
];
const SUBJECTS: &[&str] = &[
    "the build",
    "the new release",
    "your patch",
    "staging",
    "the call at three",
    "that customer",
    "the login page",
    "my laptop",
    "the second invoice",
    "everyone on mobile",
    "the search box",
    "the export",
    "our timeline",
    "lunch",
];
const PREDICATES: &[&str] = &[
    "is broken again",
    "looks good to me",
    "needs another pair of eyes",
    "went out an hour ago",
    "is slower than before",
    "can wait until monday",
    "works on my machine",
    "just arrived",
    "should be fixed now",
    "keeps timing out",
    "is in the shared folder",
    "has moved to friday",
    "makes no sense to me",
    "was a great idea",
];
const ENDINGS: &[&str] = &[
    "",
    "",
    "",
    ".",
    "!",
    "?",
    " :)",
    ", can someone look?",
    " - see the thread",
    ", thanks!",
    " (not urgent)",
    " ...",
    ", what do you think?",
    " 👍",
    ", c'est la vie",
    " – größer als gedacht",
];

/// Generates a line of ordinary chat.
pub(super) fn random_sentence(rng: &mut fastrand::Rng) -> String {
    let opening = pick_one(rng, OPENINGS);
    match rng.u8(0..10) {
        0 => opening.to_owned(),
        1..=4 => format!(
            "{} {}{}",
            pick_one(rng, SUBJECTS),
            pick_one(rng, PREDICATES),
            pick_one(rng, ENDINGS)
        ),
        _ => format!(
            "{opening}, {} {}{}",
            pick_one(rng, SUBJECTS),
            pick_one(rng, PREDICATES),
            pick_one(rng, ENDINGS)
        ),
    }
}

/// Picks one of several texts.
pub(super) fn pick_one<'a>(rng: &mut fastrand::Rng, from: &[&'a str]) -> &'a str {
    rng.choice(from).copied().unwrap_or_default()
}

/// Payloads in generalised UTF-8 that are easily corrupted.
const ODD_TEXTS: &[&[u8]] = &[
    b"",
    b"\0",
    b"before\0after",
    b"\x01\x02\x1B[31mred\x7F\t\r\n\x0B",
    b"\xED\xA0\xBD",
    b"\xED\xB8\x80",
    b"cut off \xED\xA0\xBD in the middle",
    b"the wrong way round \xED\xB8\x80\xED\xA0\xBD",
    "😀 👩‍👩‍👧 🏳️‍🌈 👋🏽".as_bytes(),
    "𝕬𝖌𝖔𝖗𝖆 𠀀 𐍈".as_bytes(),
    "e\u{301} \u{202E}right to left\u{202C} \u{2028}\u{FEFF}\u{FFFD}\u{FFFF}".as_bytes(),
    br#"{"type":"text","body":"he said \"hi\"","n":1e400,"n":2}"#,
    b"null",
    b"[1, 2,",
    br#""quoted""#,
    br"\u0000 \ud83d \\",
    b"  leading and trailing  \n",
    b"'); DROP TABLE message; -- $1 ?1 :name",
    b"<script>alert(1)</script>&amp;",
];

/// The number of odd payloads.
pub(super) const ODD_PAYLOAD_COUNT: usize = ODD_TEXTS.len() + 3;

/// Returns odd payload number `n`, modulo their number: the fixed ones, then three of the maximum
/// size.
pub(super) fn odd_payload(n: usize) -> Vec<u8> {
    let n = n % ODD_PAYLOAD_COUNT;
    match ODD_TEXTS.get(n) {
        Some(text) => text.to_vec(),
        None if n == ODD_TEXTS.len() => "All work and no play. "
            .bytes()
            .cycle()
            .take(MAX_PAYLOAD_BYTES)
            .collect(),
        // The worst case in JSON: each byte becomes six.
        None if n == ODD_TEXTS.len() + 1 => vec![0; MAX_PAYLOAD_BYTES],
        None => "😀".bytes().cycle().take(MAX_PAYLOAD_BYTES).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_payloads_cover_all_promised_kinds() {
        let all: Vec<Vec<u8>> = (0..ODD_PAYLOAD_COUNT).map(odd_payload).collect();
        let any = |test: &dyn Fn(&[u8]) -> bool| all.iter().any(|p| test(p));
        assert!(any(&<[u8]>::is_empty));
        assert!(any(&|p| p.contains(&0)));
        assert!(
            any(&|p| p
                .windows(2)
                .any(|w| w[0] == 0xED && (0xA0..=0xAF).contains(&w[1]))),
            "high surrogate"
        );
        assert!(
            any(&|p| p
                .windows(2)
                .any(|w| w[0] == 0xED && (0xB0..=0xBF).contains(&w[1]))),
            "low surrogate"
        );
        assert!(any(
            &|p| p.len() == MAX_PAYLOAD_BYTES && std::str::from_utf8(p).is_ok()
        ));
        assert!(any(&|p| p.contains(&0xF0)), "astral");
        assert!(all.iter().all(|p| p.len() <= MAX_PAYLOAD_BYTES));
    }
}
