//! An archive with three messages, and the command that queries it.

use std::sync::Arc;

use assert_cmd::Command;
use backscroll::domain::message::Message;
use backscroll::domain::time::Millis;
use backscroll::store::{Archive, Commit, IfMissing, PostgresStore};
use tempfile::TempDir;

use crate::support::env::{CommandOutput, TestEnv, command_in, output_of};
use crate::support::postgres_server;
use crate::support::store_fixture::{SqlReader, StoreFixture, message, open_sqlite};

/// An archive with three messages.
pub(super) struct QueryEnv {
    pub(super) env: TestEnv,
    /// The name of the archive on a command line: a path, or a URL.
    pub(super) archive: String,
    /// The name of the database on the shared server. `None` for SQLite.
    pub(super) database: Option<String>,
}

impl QueryEnv {
    pub(super) fn in_sqlite() -> Self {
        let env = TestEnv::without_messages(&[]);
        env.block_on(async {
            let store = Arc::new(open_sqlite(&env.archive_path()).await);
            let reader = SqlReader::Sqlite(store.clone(), TempDir::new().unwrap());
            fill(&StoreFixture::with(store.clone(), reader).await).await;
            store.close().await;
        });
        let archive = env.archive_path().display().to_string();
        Self::with(env, archive, None)
    }

    pub(super) fn in_postgres() -> Self {
        let (url, database) = postgres_server::create_named_database();
        let env = TestEnv::without_messages(&[]).with_database(&url);
        env.block_on(async {
            let options = url.parse().unwrap();
            let store = PostgresStore::connect(options, IfMissing::Create).await;
            let store: Arc<dyn Archive> = Arc::new(store.unwrap());
            let reader = SqlReader::Postgres(database.clone());
            fill(&StoreFixture::with(store.clone(), reader).await).await;
            store.close().await;
        });
        Self::with(env, url, Some(database))
    }

    fn with(env: TestEnv, archive: String, database: Option<String>) -> Self {
        env.write_config();
        Self {
            env,
            archive,
            database,
        }
    }

    /// Returns the text for the database of this archive.
    pub(super) fn pick<'a>(&self, sqlite: &'a str, postgres: &'a str) -> &'a str {
        match self.database {
            Some(_) => postgres,
            None => sqlite,
        }
    }

    pub(super) fn command(&self, args: &[&str]) -> Command {
        command_in(self.env.dir.path(), &[&["sql"], args].concat())
    }

    pub(super) fn sql(&self, args: &[&str]) -> CommandOutput {
        output_of(&mut self.command(args))
    }

    /// Runs a query that must succeed, and returns its result in a form.
    #[track_caller]
    pub(super) fn result(&self, form: &str, query: &str) -> String {
        let output = self.sql(&["--format", form, query]).assert_ok();
        assert_eq!(output.stderr, "", "{query}");
        output.stdout
    }
}

async fn fill(fixture: &StoreFixture) {
    let texts = ["first", "second, \"quoted\"\n\u{1b}[31m", "消息\0"];
    let messages = texts.into_iter().zip(1i64..).map(|(text, second)| Message {
        sent_at: Millis(second * 1000 + 500),
        ..message(0, text)
    });
    let commit = Commit {
        seal: None,
        ..fixture.commit_of(0, 100, messages.collect())
    };
    fixture.commit(&[commit]).await;
}
