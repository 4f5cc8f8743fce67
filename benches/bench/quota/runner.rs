//! One run: a sandbox with the documented limits, and one process that archives it.

use std::path::Path;

use backscroll::cli::scratch::ScratchDatabase;
use backscroll::domain::clock::Clock;
use backscroll::domain::time::Second;
use backscroll::sync::simulation::{MAX_MESSAGES_PER_SECOND, REQUESTS_PER_SECOND};

use super::expiring_history::ExpiringHistory;
use super::quota_run::QuotaRun;
use crate::bench::children;
use crate::bench::database::select_number;
use crate::bench::error::BenchError;

/// The latency of responses.
const LATENCY: &str = "20ms..200ms";
/// The end of the history that a backfill leaves out, in seconds. Unsettled messages are read
/// twice.
const UNSETTLED_S: i64 = 3600;

/// The parameters of all runs.
#[derive(Clone, Copy)]
pub(super) struct QuotaRunner<'a> {
    pub(super) database: &'a ScratchDatabase,
    pub(super) dir: &'a Path,
    pub(super) clock: &'a dyn Clock,
    /// The approximate duration of a run.
    pub(super) seconds: u32,
}

impl QuotaRunner<'_> {
    /// Archives a history of some days, with as many messages as these accounts can fetch in the
    /// time.
    pub(super) async fn backfill(
        &self,
        flags: &[&str],
        accounts: u32,
    ) -> Result<QuotaRun, BenchError> {
        let messages = (self.seconds * MAX_MESSAGES_PER_SECOND * accounts).to_string();
        let until = self.clock.now().second().plus(-UNSETTLED_S);
        let flags = [&["--messages", &messages], flags].concat();
        self.run(&flags, until, |config| config).await
    }

    /// Archives a history that expires while it is fetched. Returns also the maximum number of
    /// messages that can be saved of it, at `rate` messages per second.
    pub(super) async fn backlog(&self, rate: f64) -> Result<(QuotaRun, f64), BenchError> {
        let history = ExpiringHistory::new(self.clock.now(), self.seconds);
        let corpus = self.dir.join("backlog.jsonl");
        std::fs::write(&corpus, history.corpus())?;
        let (corpus, retention) = (corpus.display().to_string(), format!("{}s", self.seconds));
        let flags = ["--corpus", &corpus, "--retention", &retention];
        let until = history.now.second();
        let run = self
            .run(&flags, until, |config| history.with_retention(&config))
            .await?;
        let begun = run.arrivals.first().map_or(i64::MAX, |first| first.at_ms);
        Ok((run, history.max_savable(begun, rate)))
    }

    async fn run(
        &self,
        flags: &[&str],
        until: Second,
        adjust: impl FnOnce(String) -> String,
    ) -> Result<QuotaRun, BenchError> {
        self.database.prepare().await?;
        let path = self.dir.join("quota.toml");
        let limit = REQUESTS_PER_SECOND.to_string();
        let limits = ["--requests-per-second", &limit, "--latency", LATENCY];
        let flags = [&limits[..], flags].concat();
        let sandbox = children::start_sandbox(self.database, &path, &flags).await?;
        let sample = std::fs::read_to_string(&path)?;
        // Overlapping streams would fetch the same messages a second time.
        let config = sample.lines().filter(|line| !line.contains("source = "));
        let config = config.collect::<Vec<_>>().join("\n");
        std::fs::write(&path, adjust(config))?;
        let cost = children::run_sync(&path, &["--until", &until.to_string()]).await?;
        let connection = self.database.connect_raw().await?;
        let messages = select_number(&connection, "SELECT count(*) FROM message").await?;
        connection.close().await;
        let messages = u64::try_from(messages).unwrap_or(0);
        QuotaRun::fetch(&sandbox.base_url, messages, cost).await
    }
}
