//! The findings and repairs of `verify`, on both databases.

#![expect(
    clippy::needless_pass_by_value,
    reason = "some of these go on with another configuration"
)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use backscroll::domain::identity::identify;
use backscroll::domain::message::{Conversation, ConversationKind, Encoding, Message, Payload};
use backscroll::domain::time::Second;
use backscroll::domain::window::Window;
use backscroll::sandbox::{AgoraMessage, RecipientKind};
use backscroll::store::{
    Archive, Commit, IfMissing, NewAccount, PostgresStore, Seal, SqliteStore, StreamId,
};

use crate::support::config::{AGORA, to};
use crate::support::env::{CommandOutput, TestEnv, wait_until};
use crate::support::fault_proxy::ProxyAction;
use crate::support::postgres_server;

/// An environment with a complete archive in one of the two databases.
struct VerifyFixture {
    env: TestEnv,
    /// The name of the Postgres database. `None` if the archive is a file.
    database: Option<String>,
}

/// Runs each of these tests on every database.
macro_rules! on_every_database {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[test]
            fn $test() {
                super::$test(super::VerifyFixture::in_sqlite());
            })*
        }
        mod postgres {
            $(#[test]
            fn $test() {
                super::$test(super::VerifyFixture::in_postgres());
            })*
        }
    };
}

on_every_database! {
    changed_message_is_reported_and_repaired,
    changed_ledger_row_is_reported_and_repaired,
    forged_message_is_reported_and_quarantined,
    message_removed_by_the_provider_stays,
    unrecoverable_damage_stays_a_finding,
    late_message_from_another_stream_is_resealed,
    messages_missing_by_the_provider_count_are_fetched,
    windows_without_digest_are_reported_and_given_one,
    manifest_verifies_until_something_changes,
}

impl VerifyFixture {
    fn in_sqlite() -> Self {
        Self::with_database(None)
    }

    fn in_postgres() -> Self {
        Self::with_database(Some(postgres_server::create_named_database()))
    }

    fn with_database(database: Option<(String, String)>) -> Self {
        let env = TestEnv::new(&["--messages", "300", "--topic-messages", "90"]).with_settle("1s");
        // The retention edge moves on, and a window that begins at it soon cannot be fetched as a
        // whole.
        let since = env.world().now().minus(Duration::from_hours(80 * 24));
        let env = env.with_account_setting("since", since.to_string());
        let (url, database) = database.unzip();
        let env = match url {
            Some(url) => env.with_database(&url),
            None => env,
        };
        env.sync().assert_ok();
        let fixture = Self { env, database };
        fixture
            .verify(&[])
            .assert_ok()
            .assert_prints("The archive is intact");
        fixture
    }

    /// Sets the retention of Agora.
    fn with_retention(self, retention: &str) -> Self {
        let env = self.env.with_setting_of(AGORA, "retention", retention);
        Self { env, ..self }
    }

    fn verify(&self, args: &[&str]) -> CommandOutput {
        self.env.run(&[&["verify"], args].concat())
    }

    fn execute_sql(&self, sql: &str) {
        match &self.database {
            Some(database) => drop(postgres_server::shared_server().psql(database, sql)),
            None => self.env.execute_sql(sql),
        }
    }

    #[track_caller]
    fn query_number(&self, sql: &str) -> i64 {
        match &self.database {
            Some(database) => postgres_server::shared_server()
                .psql(database, sql)
                .parse()
                .expect(sql),
            None => self.env.query_number(sql),
        }
    }

    /// Returns all columns of the archived messages except the time of archiving.
    fn archived_rows(&self) -> Vec<String> {
        let rows = |payload: &str| {
            format!(
                "SELECT account || '|' || conversation || '|' || sender || '|' || recipient || '|' || sent_at_ms || '|' ||
                        {payload} || '|' || coalesce(body, '-') || '|' || coalesce(provider_message_id, '-') || '|' ||
                        occurrence || '|' || payload_encoding
                 FROM archive"
            )
        };
        let mut content: Vec<String> = match &self.database {
            Some(database) => postgres_server::shared_server()
                .query_rows(database, &rows("encode(payload, 'hex')"))
                .concat(),
            None => self
                .env
                .query_rows::<(String,)>(&rows("lower(hex(payload))"))
                .into_iter()
                .map(|(row,)| row)
                .collect(),
        };
        content.sort_unstable();
        content
    }

    #[track_caller]
    fn assert_holds(&self, before: &[String], why: &str) {
        let now = self.archived_rows();
        let differ = now
            .iter()
            .filter(|row| !before.contains(row))
            .chain(before.iter().filter(|row| !now.contains(row)));
        let differ: Vec<String> = differ.map(|row| row.chars().take(200).collect()).collect();
        assert!(
            differ.is_empty() && now.len() == before.len(),
            "{why}: {differ:#?}"
        );
    }

    fn open_store(&self) -> Box<dyn Archive> {
        self.env.block_on(async {
            match &self.database {
                Some(database) => {
                    let url = postgres_server::shared_server().url(database);
                    Box::new(
                        PostgresStore::connect(url.parse().unwrap(), IfMissing::Refuse)
                            .await
                            .unwrap(),
                    ) as Box<dyn Archive>
                }
                None => Box::new(
                    SqliteStore::open(&self.env.archive_path(), IfMissing::Refuse)
                        .await
                        .unwrap(),
                ),
            }
        })
    }

    /// Inserts a forged message whose hash is correct.
    fn insert_forged(&self, message: Message) {
        let store = self.open_store();
        self.env.block_on(async {
            let known = NewAccount {
                name: "sandbox",
                provider: "agora",
                streams: None,
                since: None,
                horizon: None,
            };
            let account = store.register(&known).await.unwrap().account;
            let window = Window::with_length(message.sent_at.second(), 1);
            let (stream, messages) = (StreamId(0), identify(vec![message]));
            let commit = Commit {
                account,
                stream,
                window,
                seal: None,
                messages,
                unreadable: vec![],
            };
            store
                .commit(&[commit], self.env.world().now())
                .await
                .unwrap();
            store.close().await;
        });
    }
}

/// Returns an SQL condition for the nth message of a provider's account.
fn nth_message(provider: &str, n: usize) -> String {
    format!(
        "coalesce(occurrence, 0) = 0 AND (sent_at_ms, hash, recipient_id) = (SELECT m.sent_at_ms, m.hash, m.recipient_id FROM message m
          JOIN conversation c ON c.id = m.conversation_id JOIN account a ON a.id = c.account_id
          WHERE a.provider = '{provider}' AND coalesce(m.occurrence, 0) = 0
          ORDER BY m.sent_at_ms, m.hash LIMIT 1 OFFSET {n})"
    )
}

fn changed_message_is_reported_and_repaired(fixture: VerifyFixture) {
    let before = fixture.archived_rows();
    let hash = "does not match its own hash";
    let changes = [
        ("payload = substr(payload, 2)", hash),
        ("sender_id = recipient_id", hash),
        ("sender_id = 4711000", hash),
        ("recipient_id = sender_id", hash),
        ("sent_at_ms = sent_at_ms + 1", hash),
        ("sent_at_ms = sent_at_ms + 86400000", hash),
        (
            "hash = (SELECT hash FROM message ORDER BY sent_at_ms DESC LIMIT 1)",
            hash,
        ),
        ("provider_id = 'other'", hash),
        ("body = 'other'", "has a body that is not its payload's"),
        ("occurrence = 7", "same number, other content"),
    ];
    for provider in ["agora", "web3mq"] {
        for (n, (set, said)) in changes.iter().enumerate() {
            fixture.execute_sql(&format!(
                "UPDATE message SET {set} WHERE {}",
                nth_message(provider, 20 + n)
            ));
            let output = fixture
                .verify(&["--repair"])
                .assert_ok()
                .assert_prints(said)
                .assert_prints("windows refetched")
                .assert_prints("The archive is intact");
            fixture.assert_holds(&before, &format!("{provider}: {set}: {output:#?}"));
        }
        fixture.execute_sql(&format!(
            "DELETE FROM message WHERE {}",
            nth_message(provider, 40)
        ));
        fixture
            .verify(&[])
            .assert_incomplete()
            .assert_prints("1 fewer")
            .assert_prints("The archive is NOT intact")
            .assert_prints("--repair");
        fixture
            .verify(&["--repair"])
            .assert_ok()
            .assert_prints("1 messages restored, 0 moved to quarantine");
        fixture.assert_holds(&before, "");
    }
    // One provider derives the conversation from the names, the other from the stream.
    fixture.execute_sql(
        "INSERT INTO conversation (account_id, name, kind) SELECT id, 'elsewhere', 4 FROM account",
    );
    let other = "conversation_id = (SELECT e.id FROM conversation e JOIN conversation c ON e.account_id = c.account_id
                 WHERE e.name = 'elsewhere' AND c.id = message.conversation_id)";
    for (provider, said) in [
        ("agora", "is filed under a conversation that is not its own"),
        ("web3mq", "1 fewer"),
    ] {
        fixture.execute_sql(&format!(
            "UPDATE message SET {other} WHERE {}",
            nth_message(provider, 60)
        ));
        fixture
            .verify(&["--repair"])
            .assert_ok()
            .assert_prints(said);
        fixture.assert_holds(&before, provider);
    }
    assert!(
        fixture.query_number(
            "SELECT count(*) FROM quarantine WHERE reason = 'changed after it was archived'"
        ) > 10
    );
}

fn changed_ledger_row_is_reported_and_repaired(fixture: VerifyFixture) {
    let ledger = "SELECT sum(messages + from_s % 1000 + to_s % 1000) FROM sealed_window";
    let (before, sum) = (fixture.archived_rows(), fixture.query_number(ledger));
    let one = "(stream_id, from_s) = (SELECT stream_id, from_s FROM sealed_window WHERE messages > 3 ORDER BY messages LIMIT 1)";
    for (set, said) in [
        ("messages = messages + 1", "1 fewer"),
        ("messages = messages - 2", "2 more"),
        (
            "digest = (SELECT digest FROM sealed_window ORDER BY messages DESC LIMIT 1)",
            "same number, other content",
        ),
    ] {
        fixture.execute_sql(&format!("UPDATE sealed_window SET {set} WHERE {one}"));
        fixture.verify(&[]).assert_incomplete().assert_prints(said);
        fixture
            .verify(&["--repair"])
            .assert_ok()
            .assert_prints("1 windows refetched, 0 messages restored, 0 moved to quarantine");
        fixture.assert_holds(&before, set);
        assert_eq!(fixture.query_number(ledger), sum, "{set}");
    }
    // A window that reaches into the future is not sealed as it is.
    let ahead = "UPDATE sealed_window SET to_s = to_s + 8640000, messages = messages + 1";
    let last = "(stream_id, from_s) = (SELECT stream_id, max(from_s) FROM sealed_window
                WHERE stream_id = (SELECT stream_id FROM sealed_window ORDER BY messages DESC LIMIT 1) GROUP BY stream_id)";
    fixture.execute_sql(&format!("{ahead} WHERE {last}"));
    fixture.verify(&["--repair"]);
    fixture.execute_sql(&format!(
        "UPDATE sealed_window SET to_s = to_s - 8640000 WHERE {last}"
    ));
    fixture.verify(&["--repair"]).assert_ok();
    fixture.assert_holds(&before, "");
    // A window that ends before its messages: lost messages cannot be ruled out.
    fixture.execute_sql(&format!(
        "UPDATE sealed_window SET to_s = to_s - 864000 WHERE {one}"
    ));
    fixture
        .verify(&["--repair"])
        .assert_incomplete()
        .assert_prints("does not have all of it any more");
}

fn forged_message_is_reported_and_quarantined(fixture: VerifyFixture) {
    let before = fixture.archived_rows();
    let message = fixture.forged();
    fixture.insert_forged(message);
    fixture
        .verify(&[])
        .assert_incomplete()
        .assert_prints("1 more");
    fixture.verify(&["--account", "web3mq-1"]).assert_ok();
    fixture
        .verify(&["--repair"])
        .assert_ok()
        .assert_prints("0 messages restored, 1 moved to quarantine");
    fixture.assert_holds(&before, "");
    let aside = "SELECT count(*) FROM quarantine WHERE reason LIKE 'added to the archive%' AND raw LIKE '%set_aside%'";
    assert_eq!(fixture.query_number(aside), 1);
}

fn message_removed_by_the_provider_stays(fixture: VerifyFixture) {
    let removed = Arc::new(Mutex::new(None::<String>));
    let seen = removed.clone();
    let VerifyFixture { env, database } = fixture;
    // The newest message of the first short topic is no longer shown.
    let (env, _middleman) = env.behind_proxy(move |_, request| {
        if request.endpoint() != "history" {
            return ProxyAction::Forward;
        }
        let seen = seen.clone();
        ProxyAction::rewrite_json(move |answer| {
            let mut removed = seen.lock().unwrap();
            // All messages are on one page, so no page shifts.
            let total = usize::try_from(answer["data"]["total"].as_u64().unwrap()).unwrap();
            let Some(rows) = answer["data"]["result"]
                .as_array_mut()
                .filter(|rows| rows.len() == total)
            else {
                return;
            };
            let id = |row: &serde_json::Value| {
                row["messageid"]
                    .as_str()
                    .map(str::to_owned)
                    .filter(|id| !id.is_empty())
            };
            if removed.is_none() {
                *removed = rows.first().and_then(id);
            }
            let before = rows.len();
            rows.retain(|row| removed.is_none() || id(row) != *removed);
            let gone = before - rows.len();
            answer["data"]["total"] = (total - gone).into();
        })
    });
    let fixture = VerifyFixture { env, database };
    let before = fixture.archived_rows();
    // The whole account is fetched again, since everything was changed.
    fixture.execute_sql(
        "UPDATE sealed_window SET messages = messages + 1
         WHERE stream_id IN (SELECT s.id FROM stream s JOIN account a ON a.id = s.account_id WHERE a.provider = 'web3mq')",
    );
    fixture.verify(&["--repair"]).assert_ok();
    assert!(removed.lock().unwrap().is_some());
    fixture.assert_holds(&before, "");
    assert_eq!(
        fixture.query_number("SELECT count(*) FROM quarantine WHERE raw LIKE '%set_aside%'"),
        0
    );
}

fn unrecoverable_damage_stays_a_finding(fixture: VerifyFixture) {
    let fixture = fixture.with_retention("2d");
    let before = fixture.archived_rows();
    // A recent message is restored, and the digest shows that the window is complete.
    fixture.execute_sql(&format!(
        "DELETE FROM message WHERE {}",
        nth_message("agora", 250)
    ));
    fixture
        .verify(&["--repair"])
        .assert_ok()
        .assert_prints("1 messages restored");
    fixture.assert_holds(&before, "");
    fixture.execute_sql(&format!(
        "DELETE FROM message WHERE {}",
        nth_message("agora", 3)
    ));
    for _ in 0..2 {
        fixture
            .verify(&["--repair"])
            .assert_incomplete()
            .assert_prints("1 fewer")
            .assert_prints("does not have all of it any more");
    }
    let fixture = fixture.with_retention("1s");
    let end = fixture.query_number("SELECT max(to_s) FROM sealed_window");
    wait_until("all messages to expire", || {
        fixture.env.world().now().second().0 > end + 5
    });
    fixture
        .verify(&["--repair"])
        .assert_incomplete()
        .assert_prints("behind the provider's retention edge");
    let fixture = VerifyFixture {
        env: fixture.env.with_agora_streams(&[to("elsewhere")]),
        ..fixture
    };
    fixture
        .verify(&["--repair"])
        .assert_incomplete()
        .assert_prints("the configuration does not follow the stream");
    let fixture = fixture.with_retention("4000d");
    let gone = fixture.archived_rows();
    assert_eq!(gone.len(), before.len() - 1, "nothing else changed");
}

fn messages_missing_by_the_provider_count_are_fetched(fixture: VerifyFixture) {
    fixture
        .verify(&["--remote"])
        .assert_ok()
        .assert_prints("The providers count the same number of messages");
    fixture.say_late();
    fixture.verify(&[]).assert_ok();
    fixture
        .verify(&["--remote"])
        .assert_incomplete()
        .assert_prints("the provider counts 1 more than when it was read")
        .assert_prints("The archive is intact");
    let before = fixture.archived_rows().len();
    fixture
        .verify(&["--remote", "--repair"])
        .assert_ok()
        .assert_prints("Refetching these")
        .assert_prints("count the same number of messages");
    assert_eq!(fixture.archived_rows().len(), before + 1);
    fixture.verify(&["--remote"]).assert_ok();
}

fn late_message_from_another_stream_is_resealed(fixture: VerifyFixture) {
    let sender = fixture.say_late();
    fixture.execute_sql(&format!(
        "DELETE FROM sealed_window WHERE stream_id IN (SELECT id FROM stream WHERE key = 'source={sender}')"
    ));
    fixture.env.sync().assert_ok();
    fixture
        .verify(&[])
        .assert_incomplete()
        .assert_prints("1 more");
    fixture
        .verify(&["--repair"])
        .assert_ok()
        .assert_prints("1 windows refetched, 0 messages restored, 0 moved to quarantine");
    fixture.env.assert_no_rule_broken();
}

fn windows_without_digest_are_reported_and_given_one(fixture: VerifyFixture) {
    let undigested = "SELECT count(*) FROM sealed_window WHERE digest IS NULL";
    fixture.execute_sql("UPDATE sealed_window SET digest = NULL");
    let key = fixture.key("1");
    fixture
        .verify(&[])
        .assert_ok()
        .assert_prints("only their counts could be compared")
        .assert_prints("--repair");
    fixture
        .verify(&["--manifest", "m.jsonl", "--key", &key])
        .assert_incomplete()
        .assert_prints("No manifest was written");
    assert!(!fixture.env.path("m.jsonl").exists());
    fixture.execute_sql(
        "UPDATE sealed_window SET messages = messages + 1 WHERE from_s = (SELECT max(from_s) FROM sealed_window)",
    );
    fixture
        .verify(&[])
        .assert_incomplete()
        .assert_prints("1 fewer");
    assert!(fixture.query_number(undigested) > 3);
    fixture.verify(&["--account", "web3mq-1", "--repair"]);
    fixture.verify(&["--repair"]);
    assert_eq!(
        fixture.query_number(
            "SELECT count(*) FROM sealed_window WHERE digest IS NULL AND messages = 0"
        ),
        0
    );

    fixture.execute_sql("UPDATE stream SET sender = NULL, recipient = NULL, conversation = NULL WHERE sender IS NOT NULL");
    fixture
        .verify(&[])
        .assert_incomplete()
        .assert_prints("was last followed by an earlier version")
        .assert_prints("add it to the configuration and sync once more");
    fixture.env.sync().assert_ok();
}

fn manifest_verifies_until_something_changes(fixture: VerifyFixture) {
    let (key, other) = (fixture.key("1"), fixture.key("2"));
    fixture
        .verify(&["--manifest", "m.jsonl", "--key", &key])
        .assert_ok()
        .assert_prints("written to m.jsonl and signed");
    fixture
        .verify(&["--against", "m.jsonl"])
        .assert_ok()
        .assert_prints("The archive is intact");
    // Windows that were merged since do not contradict the manifest.
    let rows = fixture.query_number("SELECT count(*) FROM sealed_window");
    let ended = "SELECT max(to_s) FROM sealed_window";
    let end = fixture.query_number(ended);
    wait_until("a second has passed", || {
        fixture.env.world().now().second().0 > end + 3
    });
    fixture.env.sync().assert_ok();
    assert!(
        fixture.query_number("SELECT count(*) FROM sealed_window") == rows
            && fixture.query_number(ended) > end
    );
    fixture.verify(&["--against", "m.jsonl"]).assert_ok();

    // Messages and ledger are changed together.
    let before = fixture.archived_rows();
    fixture.insert_forged(fixture.forged());
    fixture.reseal();
    fixture.verify(&[]).assert_ok();
    fixture
        .verify(&["--against", "m.jsonl"])
        .assert_incomplete()
        .assert_prints("of the manifest says")
        .assert_prints("1 more");
    fixture
        .verify(&["--against", "m.jsonl", "--repair"])
        .assert_ok()
        .assert_prints("1 moved to quarantine");
    fixture.assert_holds(&before, "");

    fixture
        .verify(&["--manifest", "n.jsonl", "--key", &other])
        .assert_ok();
    let signer = fixture
        .verify(&["--against", "m.jsonl"])
        .assert_ok()
        .stdout
        .split(' ')
        .nth(6)
        .unwrap()
        .to_owned();
    fixture
        .verify(&["--against", "m.jsonl", "--public-key", &signer])
        .assert_ok();
    fixture
        .verify(&["--against", "n.jsonl", "--public-key", &signer])
        .assert_incomplete()
        .assert_prints("not by");
    let m = std::fs::read_to_string(fixture.env.path("m.jsonl")).unwrap();
    for (what, line) in corrupted_manifests(&m) {
        std::fs::write(fixture.env.path("spoilt.jsonl"), what).unwrap();
        fixture
            .verify(&["--against", "spoilt.jsonl"])
            .assert_incomplete()
            .assert_prints(&line);
    }
    // A copy of the archive also matches the manifest, also in the other database.
    fixture
        .env
        .run(&["copy", "--to", "sqlite://copy.db"])
        .assert_ok();
    let fixture = VerifyFixture {
        env: fixture.env.with_database("sqlite://copy.db"),
        ..fixture
    };
    fixture
        .verify(&["--against", "m.jsonl"])
        .assert_ok()
        .assert_prints("The archive is intact");
}

/// Returns changed manifests with the expected error of each.
fn corrupted_manifests(manifest: &str) -> Vec<(String, String)> {
    let lines: Vec<String> = manifest.lines().map(str::to_owned).collect();
    let last = lines.len() - 1;
    let at = |line: usize| format!("spoilt.jsonl:{line}: ");
    let with = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines = lines.clone();
        change(&mut lines);
        lines.join("\n") + "\n"
    };
    let more = lines[3].replacen("\"messages\":", "\"messages\":1", 1);
    let (signature, other) = (
        lines[last].rsplit_once(":\"").unwrap().1,
        "0".repeat(128) + "\"}",
    );
    vec![
        (with(&|lines| lines[3].clone_from(&more)), at(4)),
        (with(&|lines| drop(lines.remove(3))), at(4)),
        (with(&|lines| lines.swap(3, 4)), at(4)),
        (with(&|lines| lines.insert(3, lines[5].clone())), at(4)),
        (with(&|lines| drop(lines.remove(last - 1))), at(last)),
        (with(&|lines| lines.truncate(last)), at(last + 1)),
        (with(&|lines| lines.push("{}".into())), at(last + 2)),
        (with(&|lines| lines[2] = "hello".into()), at(3)),
        (
            manifest.replace(signature, &other),
            "the signature is not that of".to_owned(),
        ),
        (String::new(), at(1)),
    ]
}

impl VerifyFixture {
    /// Returns a forged message from a followed sender to a followed channel.
    fn forged(&self) -> Message {
        let streams = self.env.world().agora_streams("sandbox");
        let sender = streams
            .iter()
            .find_map(|s| s.source.clone().filter(|_| s.destination.is_none()))
            .unwrap();
        let to = streams
            .iter()
            .find(|s| s.source.is_none() && s.kind == Some(RecipientKind::Channel));
        let recipient = to.and_then(|s| s.destination.clone()).unwrap();
        Message {
            sender,
            conversation: Conversation::named(ConversationKind::Channel, &recipient),
            recipient,
            sent_at: self.env.world().now().minus(Duration::from_hours(50)),
            payload: Payload {
                bytes: b"I owe you a million".to_vec(),
                encoding: Encoding::Utf8,
            },
            provider_id: None,
            message_type: None,
            payload_type: None,
            cipher_suite: None,
            status: None,
            extra: None,
        }
    }

    /// Sends a message whose time is already sealed, and returns its sender.
    fn say_late(&self) -> String {
        let Message {
            sender,
            recipient: dst,
            sent_at,
            ..
        } = self.forged();
        let (src, ms, payload) = (sender.clone(), sent_at.0, b"late".into());
        let message = AgoraMessage {
            src,
            dst,
            kind: RecipientKind::Channel,
            ms,
            payload,
        };
        self.env.world().append_agora("sandbox", message).unwrap();
        sender
    }

    /// Creates a signing key.
    fn key(&self, digit: &str) -> String {
        let name = format!("key-{digit}");
        std::fs::write(self.env.path(&name), digit.repeat(64) + "\n").unwrap();
        name
    }

    /// Recomputes all ledger rows from the archived messages.
    fn reseal(&self) {
        let store = self.open_store();
        self.env.block_on(async {
            for stream in store.streams().await.unwrap() {
                let known = NewAccount {
                    name: &stream.account,
                    provider: &stream.provider,
                    streams: None,
                    since: None,
                    horizon: None,
                };
                let account = store.register(&known).await.unwrap().account;
                let ever = Window::new(Second(0), Second(i64::MAX)).unwrap();
                for row in store.ledger_rows(stream.id, ever, 1000).await.unwrap() {
                    let (window, scope) = (row.window, stream.scope.clone().unwrap());
                    // Reads all messages page by page.
                    let seal = Seal {
                        window,
                        scope,
                        provider_count: row.provider_count,
                        doubt: None,
                        replaces: true,
                    };
                    let (stream, messages, unreadable) = (stream.id, vec![], vec![]);
                    let commit = Commit {
                        account,
                        stream,
                        window,
                        seal: Some(seal),
                        messages,
                        unreadable,
                    };
                    store
                        .commit(&[commit], self.env.world().now())
                        .await
                        .unwrap();
                }
            }
            store.close().await;
        });
    }
}
