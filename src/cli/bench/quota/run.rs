//! One run: a sandbox with the documented limits, and one process that archives it.

use std::path::Path;

use super::super::super::CliError;
use super::super::children;
use super::super::place::ScratchDatabase;
use super::backlog::ExpiringHistory;
use super::seen::QuotaRun;
use super::{MAX_MESSAGES_PER_SECOND, QUOTA};
use crate::domain::clock::Clock;
use crate::domain::time::Second;

/// How long answers take.
const LATENCY: &str = "20ms..200ms";
/// What of a backfilled history is not asked for, in seconds: what is not settled yet would be read twice.
const UNSETTLED_S: i64 = 3600;

/// What all runs share.
#[derive(Clone, Copy)]
pub(super) struct QuotaBench<'a> {
    pub(super) place: &'a ScratchDatabase,
    pub(super) scratch: &'a Path,
    pub(super) clock: &'a dyn Clock,
    pub(super) seconds: u32,
}

impl QuotaBench<'_> {
    /// A history of some days, as long as the quotas of these accounts can fetch in the time.
    pub(super) async fn backfill(
        &self,
        flags: &[&str],
        accounts: u32,
    ) -> Result<QuotaRun, CliError> {
        let messages = (self.seconds * MAX_MESSAGES_PER_SECOND * accounts).to_string();
        let until = self.clock.now().second().plus(-UNSETTLED_S);
        self.run(
            &[&["--messages", &messages], flags].concat(),
            until,
            |config| config,
        )
        .await
    }

    /// A history that expires while it is fetched, with the most that can be saved of it at so many messages a second.
    pub(super) async fn backlog(&self, pace: f64) -> Result<(QuotaRun, f64), CliError> {
        let backlog = ExpiringHistory::new(self.clock.now(), self.seconds);
        let corpus = self.scratch.join("backlog.jsonl");
        std::fs::write(&corpus, backlog.corpus())?;
        let (corpus, retention) = (corpus.display().to_string(), format!("{}s", self.seconds));
        let flags = ["--corpus", &corpus, "--retention", &retention];
        let seen = self
            .run(&flags, backlog.until().second(), |config| {
                backlog.with_retention(&config)
            })
            .await?;
        let begun = seen.arrivals.first().map_or(i64::MAX, |first| first.at_ms);
        Ok((seen, backlog.max_savable(begun, pace)))
    }

    async fn run(
        &self,
        flags: &[&str],
        until: Second,
        adjust: impl FnOnce(String) -> String,
    ) -> Result<QuotaRun, CliError> {
        self.place.prepare().await?;
        let path = self.scratch.join("quota.toml");
        let quota = QUOTA.to_string();
        let limits = ["--requests-per-second", &quota, "--latency", LATENCY];
        let sandbox =
            children::start_sandbox(self.place, &path, &[&limits[..], flags].concat()).await?;
        let sample = std::fs::read_to_string(&path)?;
        // Streams that overlap the others would bring their messages a second time.
        let config: Vec<&str> = sample
            .lines()
            .filter(|line| !line.contains("source = "))
            .collect();
        std::fs::write(&path, adjust(config.join("\n")))?;
        let took = children::run_sync(&path, &["--until", &until.to_string()]).await?;
        let direct = self.place.connect_raw().await?;
        let messages = direct.number("SELECT count(*) FROM message").await?;
        direct.close().await;
        QuotaRun::fetch(
            &sandbox.base_url,
            u64::try_from(messages).unwrap_or(0),
            took,
        )
        .await
    }
}
