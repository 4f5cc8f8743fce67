//! A search finds what a scan of the folded text finds, the newest first.

use backscroll::domain::message::{Conversation, ConversationKind, Message};
use backscroll::domain::search::fold::fold;
use backscroll::domain::search::query::SearchQuery;
use backscroll::domain::search::tokens::searchable_text;
use backscroll::domain::time::Millis;
use backscroll::store::{Commit, DisplayedMessage, HitOrder, SearchHits, Selection};

use unicode_normalization::char::is_combining_mark;

use crate::support::store_fixture::{StoreFixture, message};

on_every_database! {
    search_finds_what_a_scan_finds,
    newest_hits_come_first_whatever_the_order_of_archiving,
    selections_and_limits_apply,
    relevant_hits_come_first,
    context_is_of_the_same_conversation,
    message_with_very_many_words_is_found,
}

/// Texts in many scripts.
const TEXTS: [&str; 32] = [
    "The refund policy has changed: see user_id=42, foo::bar and v1.2.3!",
    "REFUND the customer, please. Don't wait (e-mail sent)",
    "Straße, Grüße und ÄRGER im Büro",
    "Crème brûlée à l'été, déjà vu cre\u{300}me",
    "Đường phố Hà Nội rất đẹp",
    "İstanbul'da ılık bir akşam, ISPARTA",
    "Zażółć gęślą jaźń, Łódź",
    "Привет, как дела? Ёлка и йод",
    "Οδυσσέας, ΣΊΣΥΦΟΣ και ὀξύς",
    "שָׁלוֹם עולם",
    "مَرْحَبًا بالعالم، السلام عليكم",
    "नमस्ते दुनिया, हिन्दी में",
    "வணக்கம் உலகம்",
    "我们明天在北京见面，人工智能很重要",
    "北京大学的人",
    "東京都庁でカメラを買いました。ｶﾞｿﾘﾝ",
    "ﾃｽﾄ テスト て",
    "안녕하세요 대한민국의 서울입니다",
    "\u{1109}\u{1165}\u{110B}\u{116E}\u{11AF}에서",
    "สวัสดีครับ ภาษาไทยไม่มีช่องว่าง",
    "ສະບາຍດີ ພາສາລາວ",
    "សួស្តី ភាសាខ្មែរ",
    "မင်္ဂလာပါ မြန်မာဘာသာ",
    "ሰላም ለዓለም",
    "გამარჯობა მსოფლიო",
    "Բարեւ աշխարհ",
    "👍🏽 great 👩\u{200D}💻 🇩🇪 ❤\u{FE0F} 1\u{FE0F}\u{20E3}",
    "see https://example.com/a/b?id=7#top or 0xDEADBEEF 3f786850e387550fdaab836ed7e6dc881de23001",
    r#"{"text":"line one\nzeile zwei","city":"\u5317\u4eac","n":12345.50}"#,
    "ＦＵＬＬ　ＷＩＤＴＨ ① ½ ﬁnal",
    "mixed東京tower and 3号",
    "𝓕𝓪𝓷𝓬𝔂 𠮷野家",
];

/// True for scripts in which every part of a text is found, and not only words.
fn is_unspaced(c: char) -> bool {
    matches!(
        c,
        '\u{E00}'..='\u{EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}'
            | '\u{3005}'..='\u{30FF}' | '\u{3400}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7AF}'
            | '\u{20000}'..='\u{2FFFF}'
    )
}

fn is_letter(c: char) -> bool {
    c.is_alphanumeric() || is_combining_mark(c)
}

/// True if a folded text contains a folded part that neither begins nor ends within a word.
fn contains_words(text: &str, part: &str) -> bool {
    let continues = |inside: Option<char>, outside: Option<char>| {
        let is_spaced = |c: char| is_letter(c) && !is_unspaced(c);
        inside.is_some_and(is_spaced) && outside.is_some_and(is_spaced)
    };
    text.match_indices(part).any(|(at, _)| {
        let (before, behind) = (&text[..at], &text[at + part.len()..]);
        !continues(part.chars().next(), before.chars().next_back())
            && !continues(part.chars().next_back(), behind.chars().next())
    })
}

/// Returns parts of the texts: words as they are written, in upper case, and as folded, and all parts
/// of up to four characters of what is written without spaces.
fn queries() -> Vec<String> {
    let mut queries = Vec::new();
    for text in TEXTS {
        let text = searchable_text(text);
        for word in text.split_whitespace() {
            let folded: Vec<char> = fold(word).chars().collect();
            queries.extend([
                word.to_owned(),
                word.to_uppercase(),
                String::from_iter(&folded),
            ]);
            for length in 1..=4 {
                let parts = folded.windows(length);
                let unspaced = parts.filter(|part| part.iter().all(|c| is_unspaced(*c)));
                queries.extend(unspaced.map(String::from_iter));
            }
        }
        let parts = text.split(|c: char| !is_letter(c));
        queries.extend(parts.filter(|part| !part.is_empty()).map(str::to_owned));
    }
    // It is an operator.
    queries.retain(|query| query != "OR");
    queries.sort();
    queries.dedup();
    queries
}

const EVERYTHING: Selection = Selection {
    account: None,
    conversation: None,
    sender: None,
    from: Millis(i64::MIN),
    to: Millis(i64::MAX),
};

impl StoreFixture {
    async fn commit_and_index(&self, messages: Vec<Message>) {
        let commit = self.commit_of(0, 10_000_000, messages);
        self.commit(&[Commit {
            seal: None,
            ..commit
        }])
        .await;
        while self.store.extend_index().await.unwrap().missing() > 0 {}
    }

    async fn find(&self, query: &str, selection: &Selection, limit: u64) -> SearchHits {
        let query: SearchQuery = query.parse().unwrap();
        let found = self
            .store
            .search(&query, selection, HitOrder::Newest, limit);
        found.await.unwrap()
    }
}

fn bodies(messages: &[DisplayedMessage]) -> Vec<&str> {
    messages
        .iter()
        .map(|message| message.body.as_deref().unwrap())
        .collect()
}

async fn search_finds_what_a_scan_finds(fixture: StoreFixture) {
    let messages = (0..).zip(TEXTS).map(|(n, text)| message(n * 1000, text));
    fixture.commit_and_index(messages.collect()).await;
    let texts = TEXTS.map(|text| (text, fold(&searchable_text(text))));
    let mut searched = 0;
    for part in queries() {
        let Ok(query) = part.parse::<SearchQuery>() else {
            // Punctuation alone, or a quotation mark.
            assert!(
                !part.chars().any(char::is_alphanumeric) || part.contains('"'),
                "{part}"
            );
            continue;
        };
        let found = fixture
            .store
            .search(&query, &EVERYTHING, HitOrder::Newest, 100);
        let found = found.await.unwrap().messages;
        let found = bodies(&found);
        let folded = fold(&part);
        for (text, _) in texts
            .iter()
            .filter(|(_, text)| contains_words(text, &folded))
        {
            assert!(
                found.contains(text),
                "`{part}` is in `{text}`, found: {found:#?}"
            );
            searched += 1;
        }
        for text in TEXTS {
            assert_eq!(
                found.contains(&text),
                query.matches(text),
                "`{part}` in `{text}`"
            );
        }
    }
    assert!(searched > 700, "{searched}");
}

/// The time between two messages, so that they fill many slices of time.
const STEP_MS: i64 = 400_000;

/// Messages of ten conversations are archived one conversation after the other, and each of them from
/// the newest to the oldest: ids say nothing about times. `common` is in all, `tenth` in every tenth,
/// `rare` in every thousandth. They fill more slices of time than are looked up one by one.
async fn newest_hits_come_first_whatever_the_order_of_archiving(fixture: StoreFixture) {
    // More than are walked through before hits are looked up.
    let count = if fixture.is_postgres() {
        11_000
    } else {
        21_000
    };
    for channel in 0..10 {
        let numbers = (0..count).rev().filter(|n| n % 10 == (channel * 3) % 10);
        let messages = numbers.map(|n| {
            let tenth = if n / 10 % 10 == 0 { " tenth" } else { "" };
            let rare = if n % 1000 == 7 { " rare" } else { "" };
            Message {
                conversation: Conversation::named(
                    ConversationKind::Channel,
                    &format!("c{channel}"),
                ),
                ..message(n * STEP_MS, &format!("{n} common{tenth}{rare}"))
            }
        });
        fixture.commit_and_index(messages.collect()).await;
    }
    for (query, matches) in [
        ("common", (|_| true) as fn(i64) -> bool),
        ("tenth", |n| n / 10 % 10 == 0),
        ("rare", |n| n % 1000 == 7),
        ("rare tenth", |n| n % 1000 == 7 && n / 10 % 10 == 0),
        ("common -tenth", |n| n / 10 % 10 != 0),
        ("rare common", |n| n % 1000 == 7),
        ("rare -tenth", |n| n % 1000 == 7 && n / 10 % 10 != 0),
        ("rar*", |n| n % 1000 == 7),
        ("rare -tent* OR rare tenth", |n| n % 1000 == 7),
    ] {
        for selection in [
            EVERYTHING,
            Selection {
                to: Millis(400 * STEP_MS + 1),
                ..EVERYTHING
            },
            Selection {
                from: Millis(2_000 * STEP_MS),
                ..EVERYTHING
            },
            Selection {
                conversation: Some("c4".to_owned()),
                ..EVERYTHING
            },
        ] {
            let expected = (0..count).rev().filter(|n| {
                let is_in_conversation = selection.conversation.is_none() || n % 10 == 2;
                let ms = n * STEP_MS;
                matches(*n) && is_in_conversation && selection.from.0 <= ms && ms < selection.to.0
            });
            let expected: Vec<i64> = expected.collect();
            for limit in [1, 20, 300] {
                let found = fixture.find(query, &selection, limit).await;
                let times = found
                    .messages
                    .iter()
                    .map(|message| message.sent_at.0 / STEP_MS);
                let first = expected.iter().copied().take(limit as usize);
                assert_eq!(
                    times.collect::<Vec<_>>(),
                    first.collect::<Vec<_>>(),
                    "{query} {limit} {selection:?}"
                );
                assert_eq!(found.has_more, expected.len() > limit as usize);
            }
        }
    }
}

async fn selections_and_limits_apply(fixture: StoreFixture) {
    let from = |sender: &str, ms, text: &str| Message {
        sender: sender.to_owned(),
        ..message(ms, text)
    };
    fixture
        .commit_and_index(vec![
            from("bob", 1_000, "hi one"),
            from("alice", 2_000, "hi two"),
            from("bob", 2_000, "hi three"),
            from("bob", 3_000, "ho four"),
        ])
        .await;
    let bob = fixture.store.find_sender("bob").await.unwrap();
    let of_bob = Selection {
        sender: bob,
        ..EVERYTHING
    };
    let found = fixture.find("hi", &of_bob, 10).await.messages;
    assert_eq!(bodies(&found), ["hi three", "hi one"]);
    let account = fixture.store.find_account("shop").await.unwrap();
    let of_account = Selection {
        account,
        ..of_bob.clone()
    };
    assert_eq!(
        fixture
            .find("hi OR ho", &of_account, 10)
            .await
            .messages
            .len(),
        3
    );
    let lobby = Selection {
        conversation: Some("lobby".to_owned()),
        ..of_account
    };
    let found = fixture.find("h*", &lobby, 2).await;
    assert_eq!(bodies(&found.messages), ["ho four", "hi three"]);
    assert!(found.has_more);
    let elsewhere = Selection {
        conversation: Some("none".to_owned()),
        ..EVERYTHING
    };
    assert!(fixture.find("hi", &elsewhere, 2).await.messages.is_empty());
}

async fn relevant_hits_come_first(fixture: StoreFixture) {
    let long = format!("an invoice, {}", "and many other words ".repeat(40));
    fixture
        .commit_and_index(vec![
            message(1_000, "invoice invoice invoice"),
            message(2_000, &long),
            message(3_000, "nothing"),
        ])
        .await;
    let query: SearchQuery = "invoice".parse().unwrap();
    let found = fixture
        .store
        .search(&query, &EVERYTHING, HitOrder::Relevance, 5);
    let found = found.await.unwrap().messages;
    assert_eq!(bodies(&found), ["invoice invoice invoice", &long]);
}

async fn context_is_of_the_same_conversation(fixture: StoreFixture) {
    let elsewhere = |ms, text: &str| Message {
        conversation: Conversation::named(ConversationKind::Channel, "elsewhere"),
        ..message(ms, text)
    };
    let mut messages: Vec<Message> = (0..8)
        .map(|n| message(1_000 * (n / 2), &format!("line {n}")))
        .collect();
    messages.push(elsewhere(1_500, "not here"));
    fixture.commit_and_index(messages).await;
    let hit = fixture
        .find("\"line 3\"", &EVERYTHING, 1)
        .await
        .messages
        .remove(0);
    let [before, after] = fixture.store.context(&hit, 2).await.unwrap();
    let ids = |messages: &[DisplayedMessage]| -> Vec<i64> {
        messages.iter().map(|message| message.id - hit.id).collect()
    };
    assert_eq!((before.len(), after.len()), (2, 2));
    assert!(ids(&before).is_sorted() && ids(&after).is_sorted());
    let all = fixture.store.context(&hit, 100).await.unwrap();
    assert_eq!(all[0].len() + all[1].len(), 7);
    assert_eq!(
        (&all[0][all[0].len() - 2..], &all[1][..2]),
        (&before[..], &after[..])
    );
}

async fn message_with_very_many_words_is_found(fixture: StoreFixture) {
    let words: Vec<String> = (0..20_000).map(|n| format!("{n:0>8}")).collect();
    let mut long = words.join(" ") + " ";
    long.push_str("the needle");
    fixture
        .commit_and_index(vec![
            message(1_000, "the needle"),
            message(2_000, &long),
            message(3_000, "a needle"),
        ])
        .await;
    let found = fixture
        .find("\"the needle\"", &EVERYTHING, 10)
        .await
        .messages;
    assert_eq!(bodies(&found), [&long, "the needle"]);
    let found = fixture.find("needle", &EVERYTHING, 2).await;
    assert_eq!(
        (bodies(&found.messages), found.has_more),
        (vec!["a needle", &long], true)
    );
    let found = fixture.find("absent", &EVERYTHING, 2).await;
    assert_eq!((found.messages.len(), found.has_more), (0, false));
    let query: SearchQuery = "needle".parse().unwrap();
    let found = fixture
        .store
        .search(&query, &EVERYTHING, HitOrder::Relevance, 5);
    assert_eq!(found.await.unwrap().messages.len(), 3);
}
