//! What `verify` finds, and what it puts right: on both databases.

use backscroll::domain::identity::identify;
use backscroll::domain::message::{Conversation, ConversationKind, Encoding, Message, Payload};
use backscroll::domain::time::Millis;
use backscroll::domain::window::Window;
use backscroll::store::{Commit, Missing, NewAccount, PostgresStore, SqliteStore, Store, StreamId};

use crate::bed::{Bed, Ran};
use crate::cluster;

/// A bed with an archive in one of the two databases, which holds all that there is.
struct Kept {
    bed: Bed,
    /// The database of the Postgres server; nothing where the archive is a file.
    database: Option<String>,
}

/// Each of these is so on every database.
macro_rules! on_every_database {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[test]
            fn $test() {
                super::$test(super::Kept::in_sqlite());
            })*
        }
        mod postgres {
            $(#[test]
            fn $test() {
                super::$test(super::Kept::in_postgres());
            })*
        }
    };
}

on_every_database! {
    what_was_changed_is_named_and_put_right,
    what_was_changed_in_the_ledger_is_named_and_put_right,
    what_was_added_is_named_and_set_aside,
    a_message_that_was_archived_and_is_removed_by_the_provider_stays,
    what_cannot_be_had_any_more_stays_a_fault,
    what_came_late_by_another_stream_is_sealed_anew,
    windows_without_a_digest_are_said_and_given_one,
    a_manifest_is_good_until_something_is_changed,
}

impl Kept {
    fn in_sqlite() -> Self {
        Self::with(None)
    }

    fn in_postgres() -> Self {
        Self::with(Some(cluster::database_and_name()))
    }

    fn with(database: Option<(String, String)>) -> Self {
        let bed = Bed::new(&["--messages", "300", "--topic-messages", "250"]).settling("1s");
        let since = bed.world().now().minus(std::time::Duration::from_hours(80 * 24));
        let bed = bed.with("settle = \"1s\"", &format!("settle = \"1s\"\nsince = \"{since}\""));
        let (url, database) = database.unzip();
        let bed = match url {
            Some(url) => bed.with("sqlite://archive.db", &url),
            None => bed,
        };
        bed.sync().good();
        let kept = Self { bed, database };
        kept.verify(&[]).good().says("All agrees");
        kept
    }

    fn verify(&self, args: &[&str]) -> Ran {
        self.bed.run(&[&["verify"], args].concat())
    }

    fn tamper(&self, sql: &str) {
        match &self.database {
            Some(database) => drop(cluster::shared().psql(database, sql)),
            None => self.bed.tamper(sql),
        }
    }

    #[track_caller]
    fn number(&self, sql: &str) -> i64 {
        match &self.database {
            Some(database) => cluster::shared().psql(database, sql).parse().expect(sql),
            None => self.bed.number(sql),
        }
    }

    /// What the archive holds, as a digest of its own.
    fn content(&self) -> String {
        self.verify(&[]).good();
        let to = self.bed.path("copy.db");
        let _ = std::fs::remove_file(&to);
        let ran = self.bed.run(&["copy", "--to", &format!("sqlite://{}", to.display())]).good();
        ran.out.lines().last().unwrap().to_owned()
    }

    fn store(&self) -> Box<dyn Store> {
        self.bed.block_on(async {
            match &self.database {
                Some(database) => {
                    let url = cluster::shared().url(database);
                    Box::new(PostgresStore::connect(url.parse().unwrap(), Missing::Refuse).await.unwrap()) as Box<dyn Store>
                }
                None => Box::new(SqliteStore::open(&self.bed.archive(), Missing::Refuse).await.unwrap()),
            }
        })
    }

    /// Lays a message into the archive that fits its own hash, as somebody might who knows how.
    fn forge(&self, account: &str, message: Message) {
        let store = self.store();
        self.bed.block_on(async {
            let provider = if account == "sandbox" { "agora" } else { "web3mq" };
            let known = NewAccount { name: account, provider, streams: None, since: None, horizon: None };
            let known = store.register(&known).await.unwrap();
            let window = Window::lasting(message.sent_at.second(), 1);
            let (stream, messages) = (StreamId(0), identify(vec![message]));
            let commit = Commit { account: known.account, stream, window, seal: None, messages, unreadable: vec![] };
            store.commit(&[commit], self.bed.world().now()).await.unwrap();
            store.close().await;
        });
    }
}

/// The key of the nth message of a provider's account, as a condition.
fn nth(provider: &str, n: usize) -> String {
    format!(
        "(sent_at_ms, hash, recipient_id) = (SELECT m.sent_at_ms, m.hash, m.recipient_id FROM message m
          JOIN account a ON a.id = m.account_id WHERE a.provider = '{provider}' AND m.occurrence = 0
          ORDER BY m.sent_at_ms, m.hash LIMIT 1 OFFSET {n})"
    )
}

/// A statement that changes the nth message of an account.
fn change(provider: &str, n: usize, set: &str) -> String {
    format!("UPDATE message SET {set} WHERE {}", nth(provider, n))
}

fn what_was_changed_is_named_and_put_right(kept: Kept) {
    let before = kept.content();
    let hash = "does not match its own hash";
    let changes = [
        ("payload = hash", hash),
        ("sender_id = (SELECT max(id) FROM name)", hash),
        ("sender_id = 4711000", hash),
        ("recipient_id = (SELECT max(id) FROM name)", hash),
        ("sent_at_ms = sent_at_ms + 1", hash),
        ("sent_at_ms = sent_at_ms - 172800000", hash),
        ("hash = (SELECT payload FROM message WHERE length(payload) = 16 LIMIT 1)", hash),
        ("provider_id = 'other'", hash),
        ("body = 'other'", "has a body that is not its payload's"),
        ("occurrence = 7", "same number, other content"),
    ];
    kept.tamper(&format!(
        "UPDATE message SET payload = hash WHERE {} AND length(hash) = 16",
        nth("web3mq", 100)
    ));
    kept.verify(&["--repair"]).good();
    assert_eq!(kept.content(), before);
    for provider in ["agora", "web3mq"] {
        for (n, (set, said)) in changes.iter().enumerate() {
            if set.contains("hash = (") {
                // Something that is as long as a hash.
                kept.tamper(&change(provider, 20 + n, "hash = (SELECT m.hash FROM message m ORDER BY m.hash LIMIT 1)"));
            } else {
                kept.tamper(&change(provider, 20 + n, set));
            }
            kept.verify(&[]).lacking().says(said).says("NOT all agrees");
            kept.verify(&["--repair"]).good().says("windows fetched again");
            assert_eq!(kept.content(), before, "{provider}: {set}");
        }
        kept.tamper(&format!("DELETE FROM message WHERE {}", nth(provider, 40)));
        kept.verify(&[]).lacking().says("1 fewer");
        kept.verify(&["--repair"]).good().says("1 messages restored, 0 set aside");
        assert_eq!(kept.content(), before);
    }
    // A conversation that is not its own: at one provider it follows from the names, at the other it is the stream's.
    let other = "conversation_id = (SELECT max(c.id) FROM conversation c WHERE c.account_id = message.account_id AND c.id <> conversation_id)";
    for (provider, said) in [("agora", "is filed under a conversation that is not its own"), ("web3mq", "1 fewer")] {
        kept.tamper(&change(provider, 60, other));
        kept.verify(&[]).lacking().says(said);
        kept.verify(&["--repair"]);
        assert_eq!(kept.verify(&[]).code, Some(0), "{provider}");
    }
    assert!(kept.number("SELECT count(*) FROM quarantine WHERE reason = 'changed after it was archived'") > 10);
}

fn what_was_changed_in_the_ledger_is_named_and_put_right(kept: Kept) {
    let ledger = "SELECT sum(messages + from_s % 1000 + to_s % 1000) FROM sealed_window";
    let (before, sum) = (kept.content(), kept.number(ledger));
    let one = "(stream_id, from_s) = (SELECT stream_id, from_s FROM sealed_window WHERE messages > 3 ORDER BY messages LIMIT 1)";
    for (set, said) in [
        ("messages = messages + 1", "1 fewer"),
        ("messages = messages - 2", "2 more"),
        ("digest = (SELECT digest FROM sealed_window ORDER BY messages DESC LIMIT 1)", "same number, other content"),
    ] {
        kept.tamper(&format!("UPDATE sealed_window SET {set} WHERE {one}"));
        kept.verify(&[]).lacking().says(said);
        kept.verify(&["--repair"]).good().says("1 windows fetched again, 0 messages restored, 0 set aside");
        assert_eq!((kept.content(), kept.number(ledger)), (before.clone(), sum), "{set}");
    }
    // A window that claims less: the rest is a gap again, which the next sync fills.
    kept.tamper(&format!("UPDATE sealed_window SET to_s = to_s - 864000 WHERE {one}"));
    kept.verify(&["--repair"]).good();
    kept.bed.sync().good();
    assert_eq!(kept.content(), before);
}

fn forged(sender: &str, recipient: &str, conversation: Conversation, at: Millis) -> Message {
    Message {
        sender: sender.to_owned(),
        recipient: recipient.to_owned(),
        sent_at: at,
        payload: Payload { bytes: b"I owe you a million".to_vec(), encoding: Encoding::Utf8 },
        conversation,
        provider_id: None,
        message_type: None,
        payload_type: None,
        cipher_suite: None,
        status: None,
        extra: None,
    }
}

fn what_was_added_is_named_and_set_aside(kept: Kept) {
    let before = kept.content();
    let at = kept.bed.world().now().minus(std::time::Duration::from_hours(50));
    let streams = kept.bed.world().agora_streams("sandbox");
    let lobby = streams.iter().find(|s| s.source.is_none()).and_then(|s| s.destination.clone()).unwrap();
    let alice = streams.iter().find_map(|s| s.source.clone()).unwrap_or_else(|| "alice".to_owned());
    let channel = Conversation::named(ConversationKind::Channel, &lobby);
    kept.forge("sandbox", forged(&alice, &lobby, channel, at));
    kept.verify(&[]).lacking().says("1 more");
    kept.verify(&["--account", "web3mq-1"]).good();
    let ran = kept.verify(&["--repair"]).good();
    assert!(ran.out.contains("0 messages restored, 1 set aside"), "{ran:?}");
    assert_eq!(kept.content(), before);
    let kept_aside = "SELECT count(*) FROM quarantine WHERE reason LIKE 'added to the archive%' AND raw LIKE '%set_aside%'";
    assert_eq!(kept.number(kept_aside), 1);

    // Added here, deleted there: the same number.
    kept.tamper(&format!("DELETE FROM message WHERE {}", nth("web3mq", 30)));
    let group = "SELECT count(*) FROM message m JOIN conversation c ON c.id = m.conversation_id WHERE c.kind = 3";
    assert!(kept.number(group) > 0);
    kept.verify(&["--repair"]).good().says("1 messages restored, 0 set aside");
    assert_eq!(kept.content(), before);
}
