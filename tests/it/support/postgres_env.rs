//! A test environment whose archive is a Postgres database.

use std::process::{Child, Command, Stdio};

use backscroll::domain::time::Millis;
use backscroll::sandbox::ENTRIES_IN_POSTGRES;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Connection, FromRow};

use crate::support::env::{BACKSCROLL, CommandOutput, TestEnv, wait_until};
use crate::support::{postgres_server, truth};

/// A test environment whose archive is a Postgres database.
pub(crate) struct PostgresEnv {
    pub(crate) env: TestEnv,
    pub(crate) url: String,
}

impl PostgresEnv {
    pub(crate) fn start(flags: &[&str]) -> Self {
        Self::with_database(postgres_server::create_database(), flags)
    }

    pub(crate) fn with_database(url: String, flags: &[&str]) -> Self {
        let env = TestEnv::new(flags).with_database(&url);
        Self { env, url }
    }

    pub(crate) fn query_rows<T: for<'r> FromRow<'r, PgRow> + Send + Unpin>(
        &self,
        sql: &str,
    ) -> Vec<T> {
        self.env.block_on(async {
            let mut reader = PgConnection::connect(&self.url)
                .await
                .expect("the server answers");
            sqlx::query_as(AssertSqlSafe(sql.to_owned()))
                .fetch_all(&mut reader)
                .await
                .expect(sql)
        })
    }

    #[track_caller]
    pub(crate) fn query_number(&self, sql: &str) -> i64 {
        let rows: Vec<(i64,)> = self.query_rows(sql);
        assert_eq!(rows.len(), 1, "{sql}");
        rows[0].0
    }

    /// True if the archive's tables exist.
    pub(crate) fn has_archive(&self) -> bool {
        self.query_number(
            "SELECT CASE WHEN to_regclass('archive') IS NULL THEN 0 ELSE 1 END::BIGINT",
        ) == 1
    }

    #[track_caller]
    pub(crate) fn assert_archive_equals_truth(&self) {
        self.assert_archive_equals_truth_until(self.env.settled_edge());
    }

    #[track_caller]
    pub(crate) fn assert_archive_equals_truth_until(&self, edge: Millis) {
        truth::assert_rows_equal_truth(
            self.env.world(),
            &["sandbox", "web3mq-1"],
            self.query_rows(ENTRIES_IN_POSTGRES),
            edge,
        );
        let (messages, filed) = (
            self.query_number("SELECT count(*) FROM archive"),
            self.query_number("SELECT sum(messages)::BIGINT FROM conversations"),
        );
        assert_eq!(
            messages, filed,
            "messages in `archive` and over all `conversations`"
        );
    }

    pub(crate) fn start_sync(&self) -> Child {
        self.env.write_config();
        let mut command = Command::new(BACKSCROLL);
        command
            .current_dir(self.env.dir.path())
            .arg("sync")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().expect("the command can be started")
    }

    /// Starts a sync and calls `disturb` once that many messages are archived.
    pub(crate) fn sync_with_disturbance(
        &self,
        messages: i64,
        disturb: impl FnOnce(),
    ) -> CommandOutput {
        let child = self.start_sync();
        wait_until("the archive is made", || self.has_archive());
        wait_until("messages come in", || {
            self.query_number("SELECT count(*) FROM message") >= messages
        });
        disturb();
        let output = child.wait_with_output().expect("the command ends");
        CommandOutput {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }
}
