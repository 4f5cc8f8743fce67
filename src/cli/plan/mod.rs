//! `backscroll plan`: estimates a sync from the providers' counts.

mod account_plan;
mod json;
mod print;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::join_all;

use self::account_plan::{AccountPlan, MessageSize, Room};
use super::error::CliError;
use super::exit_outcome::ExitOutcome;
use super::limits::{
    MIN_MESSAGES_TO_MEASURE, POSTGRES_AGORA_BYTES, POSTGRES_WEB3MQ_BYTES, RECENT_PASS,
    SQLITE_AGORA_BYTES, SQLITE_WEB3MQ_BYTES,
};
use super::open_archive::open_to_read;
use super::output::print_json;
use super::quota::SharedQuotas;
use super::{accounts, sync};
use crate::config::{Config, DatabaseUrl};
use crate::domain::clock::Clock;
use crate::domain::time::Millis;
use crate::provider::{Provider, ProviderKind};
use crate::store::{DiskSpace, RequestRate, StoreError, StreamStatus};
use crate::sync::forecast::preview::{PreviewOptions, preview};
use crate::sync::forecast::request_rates;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    wanted: sync::Args,

    /// Maximum number of ranges to count per account, with a few requests each; the others are
    /// extrapolated
    #[arg(
        long,
        default_value_t = 200,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    ranges: u32,

    /// Print JSON, with every stream
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Returns the only account to plan for; `None` for all.
    pub(super) fn account(&self) -> Option<&str> {
        self.wanted.account.as_deref()
    }
}

/// The content of the archive that the plan needs. Empty if there is no archive.
#[derive(Debug, Default)]
struct KnownHistory {
    streams: Vec<StreamStatus>,
    request_rates: Vec<RequestRate>,
    bytes: u64,
}

pub(super) async fn run(
    args: &Args,
    config: &Config,
    clock: Arc<dyn Clock>,
) -> Result<ExitOutcome, CliError> {
    let bounds = args.wanted.bounds(clock.now())?;
    accounts::log_warnings(config, args.account(), clock.now());
    let providers = accounts::build_providers(config, args.wanted.account.as_deref(), &clock)?;
    let known = read_archive(&config.database.url, &providers, clock.now()).await?;
    let known = known.unwrap_or_default();
    let shared = SharedQuotas::of(&config.database.url, &providers, &clock).await;
    let room = find_room(&config.database.url);
    let plans = providers.iter().map(async |provider| {
        // Without turns, at least the rate is low.
        let is_slowed =
            known.was_synced_just_now(&provider.account().name, clock.now()) && !shared.is_active();
        let options = PreviewOptions {
            bounds,
            max_counts: args.ranges as usize,
            is_account_in_use: is_slowed,
        };
        let message_size = known.message_size(&config.database.url, provider.account().provider);
        let provider = &**provider;
        let preview = preview(provider, &known.streams, options, clock.now()).await;
        AccountPlan {
            provider,
            message_size,
            is_slowed,
            preview,
        }
    });
    let plans: Vec<AccountPlan<'_>> = join_all(plans).await;
    shared.close().await;
    if args.json {
        print_json(&json::plans_json(&plans, room.as_ref()));
    } else {
        print::print_plans(&plans, room.as_ref());
    }
    Ok(ExitOutcome::success_if(
        plans.iter().all(|plan| plan.preview.is_ok()),
    ))
}

fn typical_message_bytes(url: &DatabaseUrl, provider: ProviderKind) -> f64 {
    match (url, provider) {
        (DatabaseUrl::Sqlite(_), ProviderKind::Agora) => SQLITE_AGORA_BYTES,
        (DatabaseUrl::Sqlite(_), ProviderKind::Web3mq) => SQLITE_WEB3MQ_BYTES,
        (DatabaseUrl::Postgres(_), ProviderKind::Agora) => POSTGRES_AGORA_BYTES,
        (DatabaseUrl::Postgres(_), ProviderKind::Web3mq) => POSTGRES_WEB3MQ_BYTES,
    }
}

/// Returns the room that is left for the archive; `None` if it lies on a server, or cannot be
/// measured.
fn find_room(url: &DatabaseUrl) -> Option<Room> {
    let DatabaseUrl::Sqlite(path) = url else {
        return None;
    };
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.map_or_else(|| PathBuf::from("."), Path::to_owned);
    let space = DiskSpace::of(&folder)?;
    Some(Room { folder, space })
}

/// Reads the archive. `None` if there is none yet.
async fn read_archive(
    url: &DatabaseUrl,
    providers: &[Arc<dyn Provider>],
    now: Millis,
) -> Result<Option<KnownHistory>, CliError> {
    let store = match open_to_read(url).await {
        Err(StoreError::NotFound { .. }) => return Ok(None),
        store => store?,
    };
    accounts::check_identities(providers, &*store).await?;
    let known = KnownHistory {
        streams: store.status().await?,
        request_rates: request_rates(&*store, now).await?,
        bytes: store.size_bytes().await?,
    };
    store.close().await;
    Ok(Some(known))
}

impl KnownHistory {
    /// Returns the size of a message in this archive, or a typical size if the archive is small.
    fn message_size(&self, url: &DatabaseUrl, provider: ProviderKind) -> MessageSize {
        let messages: u64 = self.streams.iter().map(|stream| stream.messages).sum();
        let is_measured = messages >= MIN_MESSAGES_TO_MEASURE;
        let bytes = match url {
            _ if is_measured => self.bytes as f64 / messages as f64,
            url => typical_message_bytes(url, provider),
        };
        MessageSize { bytes, is_measured }
    }

    /// True if the account was synced a moment ago, perhaps by a process that goes on.
    fn was_synced_just_now(&self, account: &str, now: Millis) -> bool {
        let mut rates = self.request_rates.iter();
        let last_pass = rates
            .find(|rate| rate.account == account)
            .and_then(|rate| rate.last_pass);
        last_pass.is_some_and(|last| now.since(last) < RECENT_PASS)
    }
}
