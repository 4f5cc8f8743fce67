//! An environment with a complete archive in either database, and ways to damage it.

use std::time::Duration;

use backscroll::domain::identity::identify;
use backscroll::domain::message::{Conversation, ConversationKind, Message};
use backscroll::domain::time::Second;
use backscroll::domain::window::Window;
use backscroll::sandbox::RecipientKind;
use backscroll::store::{
    Archive, Commit, IfMissing, NewAccount, PostgresStore, Seal, SqliteStore, StreamId,
};

use crate::support::config::AGORA;
use crate::support::env::{CommandOutput, TestEnv};
use crate::support::messages::channel_message;
use crate::support::postgres_server;

/// An environment with a complete archive in one of the two databases.
pub(crate) struct VerifyFixture {
    pub(crate) env: TestEnv,
    /// The name of the Postgres database. `None` if the archive is a file.
    pub(crate) database: Option<String>,
}

impl VerifyFixture {
    pub(crate) fn in_sqlite() -> Self {
        Self::with_database(None)
    }

    pub(crate) fn in_postgres() -> Self {
        Self::with_database(Some(postgres_server::create_named_database()))
    }

    pub(crate) fn with_database(database: Option<(String, String)>) -> Self {
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
    pub(crate) fn with_retention(self, retention: &str) -> Self {
        let env = self.env.with_setting_of(AGORA, "retention", retention);
        Self { env, ..self }
    }

    pub(crate) fn verify(&self, args: &[&str]) -> CommandOutput {
        self.env.run(&[&["verify"], args].concat())
    }

    pub(crate) fn execute_sql(&self, sql: &str) {
        match &self.database {
            Some(database) => drop(postgres_server::shared_server().psql(database, sql)),
            None => self.env.execute_sql(sql),
        }
    }

    #[track_caller]
    pub(crate) fn query_number(&self, sql: &str) -> i64 {
        match &self.database {
            Some(database) => postgres_server::shared_server()
                .psql(database, sql)
                .parse()
                .expect(sql),
            None => self.env.query_number(sql),
        }
    }

    /// Returns all columns of the archived messages except the time of archiving.
    pub(crate) fn archived_rows(&self) -> Vec<String> {
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
    pub(crate) fn assert_holds(&self, before: &[String], why: &str) {
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

    pub(crate) fn open_store(&self) -> Box<dyn Archive> {
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

    /// Inserts a forged message whose hash is correct, and leaves the ledger as it was.
    pub(crate) fn insert_forged(&self, message: Message) {
        self.insert_all_forged(vec![message]);
    }

    /// Inserts forged messages of one second whose hashes are correct, and leaves the ledger as it
    /// was.
    pub(crate) fn insert_all_forged(&self, messages: Vec<Message>) {
        let store = self.open_store();
        self.env.block_on(async {
            let ledgers = store.ledgers().await.unwrap();
            let known = NewAccount::named("sandbox", "agora");
            let account = store.register(&known).await.unwrap().account;
            let window = Window::with_length(messages[0].sent_at.second(), 1);
            let (stream, messages) = (StreamId(0), identify(messages));
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
            for ledger in &ledgers {
                store.restore_ledger(ledger).await.unwrap();
            }
            store.close().await;
        });
    }
}

/// Returns an SQL condition for the nth message of a provider's account.
pub(crate) fn nth_message(provider: &str, n: usize) -> String {
    format!(
        "coalesce(occurrence, 0) = 0 AND (sent_at_ms, hash, recipient_id) = (SELECT m.sent_at_ms, m.hash, m.recipient_id FROM message m
          JOIN conversation c ON c.id = m.conversation_id JOIN account a ON a.id = c.account_id
          WHERE a.provider = '{provider}' AND coalesce(m.occurrence, 0) = 0
          ORDER BY m.sent_at_ms, m.hash LIMIT 1 OFFSET {n})"
    )
}

impl VerifyFixture {
    /// Returns a forged message from a followed sender to a followed channel.
    pub(crate) fn forged(&self) -> Message {
        let streams = self.env.world().agora_streams("sandbox");
        let sender = streams
            .iter()
            .find_map(|s| s.source.clone().filter(|_| s.destination.is_none()))
            .unwrap();
        let to = streams
            .iter()
            .find(|s| s.source.is_none() && s.kind == Some(RecipientKind::Channel));
        let recipient = to.and_then(|s| s.destination.clone()).unwrap();
        let sent_at = self.env.world().now().minus(Duration::from_hours(50));
        Message {
            conversation: Conversation::named(ConversationKind::Channel, &recipient),
            ..Message::text(&sender, &recipient, sent_at, "I owe you a million")
        }
    }

    /// Sends a message whose time is already sealed, and returns its sender.
    pub(crate) fn say_late(&self) -> String {
        let Message {
            sender,
            recipient: dst,
            sent_at,
            ..
        } = self.forged();
        let message = channel_message(&sender, &dst, sent_at.0, "late");
        self.env.world().append_agora("sandbox", message).unwrap();
        sender
    }

    /// Creates a signing key.
    pub(crate) fn key(&self, digit: &str) -> String {
        let name = format!("key-{digit}");
        std::fs::write(self.env.path(&name), digit.repeat(64) + "\n").unwrap();
        name
    }

    /// Recomputes all ledger rows from the archived messages.
    pub(crate) fn reseal(&self) {
        let store = self.open_store();
        self.env.block_on(async {
            for stream in store.streams().await.unwrap() {
                let known = NewAccount::named(&stream.account, &stream.provider);
                let account = store.register(&known).await.unwrap().account;
                let ever = Window::new(Second(0), Second(i64::MAX)).unwrap();
                for row in store.ledger_rows(stream.id, ever, 1000).await.unwrap() {
                    let (window, scope) = (row.window, stream.scope.clone().unwrap());
                    // Reads all messages page by page.
                    let seal = Seal {
                        window,
                        scope,
                        provider_count: row.provider_count,
                        shown_outside: 0,
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
