//! `backscroll plan`

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::table::{build_table, bytes, duration, sanitized, thousands};
use super::{
    CliError, ExitOutcome, accounts, loss, open_to_read, print_line, print_with_hint, sync,
};
use crate::config::{Config, DatabaseUrl};
use crate::domain::clock::Clock;
use crate::domain::time::{Millis, UNBOUNDED_HISTORY_S};
use crate::provider::{Provider, ProviderError};
use crate::store::{RequestRate, StoreError, StreamStatus};
use crate::sync::forecast::preview::{Preview, PreviewOptions, preview};
use crate::sync::forecast::request_rates;

/// The bytes of a message on disk, including its share of all indexes, in SQLite and in Postgres. The
/// benchmarks (`cargo bench`) measure them with texts of 100 to 200 bytes.
const TYPICAL_MESSAGE_BYTES: [f64; 2] = [305.0, 370.0];
/// The minimum number of archived messages from which the size of one is measured. In a smaller
/// archive, empty pages and indexes dominate.
const MIN_MESSAGES_TO_MEASURE: u64 = 10_000;
/// An account with a pass within this time is being synced by another process.
const RECENT_PASS: Duration = Duration::from_mins(2);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    wanted: sync::Args,

    /// Maximum number of ranges to count per account, with a few requests each; the others are
    /// extrapolated
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    ranges: u32,

    /// Print JSON, with every stream
    #[arg(long)]
    json: bool,
}

/// The content of the archive that the plan needs. Empty if there is no archive.
#[derive(Debug, Default)]
struct KnownHistory {
    streams: Vec<StreamStatus>,
    paces: Vec<RequestRate>,
    bytes: u64,
}

/// The size of a message on disk.
#[derive(Clone, Copy, Debug)]
struct MessageSize {
    bytes: f64,
    /// True if the size was measured in this archive.
    is_measured: bool,
}

/// The plan of an account, or the error that prevented it.
struct AccountPlan<'a> {
    provider: &'a dyn Provider,
    shares_quota: bool,
    preview: Result<Preview, ProviderError>,
}

pub(super) async fn run(
    args: &Args,
    config: &Config,
    clock: Arc<dyn Clock>,
) -> Result<ExitOutcome, CliError> {
    let bounds = args.wanted.bounds()?;
    let providers = accounts::build_providers(config, args.wanted.account.as_deref(), &clock)?;
    let known = read_archive(&config.database.url, clock.now()).await?;
    let weight = known.message_size(&config.database.url);
    let plans = providers.iter().map(async |provider| {
        let shares_quota = known.is_being_synced(&provider.account().name, clock.now());
        let options = PreviewOptions {
            bounds,
            max_counts: args.ranges as usize,
            is_account_in_use: shares_quota,
        };
        let preview = preview(&**provider, &known.streams, options, clock.now()).await;
        AccountPlan {
            provider: &**provider,
            shares_quota,
            preview,
        }
    });
    let plans: Vec<AccountPlan<'_>> = join_all(plans).await;
    if args.json {
        print_line(plans_json(&plans, weight));
    } else {
        print_plans(&plans, weight);
    }
    Ok(if plans.iter().all(|plan| plan.preview.is_ok()) {
        ExitOutcome::Success
    } else {
        ExitOutcome::Incomplete
    })
}

async fn read_archive(url: &DatabaseUrl, now: Millis) -> Result<KnownHistory, CliError> {
    let store = match open_to_read(url).await {
        Err(StoreError::NotFound { .. }) => return Ok(KnownHistory::default()),
        store => store?,
    };
    let known = KnownHistory {
        streams: store.status().await?,
        paces: request_rates(&*store, now).await?,
        bytes: store.size_bytes().await?,
    };
    store.close().await;
    Ok(known)
}

impl KnownHistory {
    fn message_size(&self, url: &DatabaseUrl) -> MessageSize {
        let messages: u64 = self.streams.iter().map(|stream| stream.messages).sum();
        let [sqlite, postgres] = TYPICAL_MESSAGE_BYTES;
        match url {
            _ if messages >= MIN_MESSAGES_TO_MEASURE => MessageSize {
                bytes: self.bytes as f64 / messages as f64,
                is_measured: true,
            },
            DatabaseUrl::Sqlite(_) => MessageSize {
                bytes: sqlite,
                is_measured: false,
            },
            DatabaseUrl::Postgres(_) => MessageSize {
                bytes: postgres,
                is_measured: false,
            },
        }
    }

    fn is_being_synced(&self, account: &str, now: Millis) -> bool {
        let pace = self.paces.iter().find(|pace| pace.account == account);
        pace.and_then(|pace| pace.last_pass)
            .is_some_and(|last| now.since(last) < RECENT_PASS)
    }
}

impl MessageSize {
    fn total_bytes(self, messages: u64) -> u64 {
        (messages as f64 * self.bytes) as u64
    }
}

impl AccountPlan<'_> {
    fn rate(&self) -> Option<f64> {
        self.provider.gate().rate_limiter().requests_per_second()
    }

    fn name(&self) -> &str {
        &self.provider.account().name
    }
}

/// The sums over several previews.
#[derive(Default)]
struct PlanTotals {
    streams: usize,
    longest: u64,
    messages: u64,
    requests: u64,
    duration: Duration,
    lost_messages: u64,
}

impl PlanTotals {
    fn sum<'a>(previews: impl Iterator<Item = &'a Preview>) -> Self {
        previews.fold(
            Self::default(),
            |sum,
             Preview {
                 outlook, requests, ..
             }| Self {
                streams: sum.streams + outlook.streams,
                longest: sum.longest.max(outlook.max_missing_s),
                messages: sum.messages + outlook.messages,
                requests: sum.requests + requests,
                // Accounts are archived in parallel.
                duration: sum.duration.max(outlook.duration),
                lost_messages: sum.lost_messages + outlook.loss.messages,
            },
        )
    }

    fn row(&self, name: &str, weight: MessageSize) -> [String; 8] {
        [
            name.to_owned(),
            thousands(self.streams as u64),
            if self.longest > UNBOUNDED_HISTORY_S {
                "all".to_owned()
            } else {
                duration(self.longest)
            },
            thousands(self.messages),
            thousands(self.requests),
            duration(self.duration.as_secs()),
            bytes(weight.total_bytes(self.messages)),
            if self.lost_messages == 0 {
                "-".to_owned()
            } else {
                thousands(self.lost_messages)
            },
        ]
    }
}

fn print_plans(plans: &[AccountPlan<'_>], weight: MessageSize) {
    let previews: Vec<&Preview> = plans
        .iter()
        .filter_map(|plan| plan.preview.as_ref().ok())
        .collect();
    let total =
        (previews.len() > 1).then(|| PlanTotals::sum(previews.iter().copied()).row("all", weight));
    let rows = previews
        .iter()
        .map(|preview| PlanTotals::sum(std::iter::once(*preview)).row(&preview.account, weight));
    let headings = [
        "ACCOUNT",
        "STREAMS#",
        "MISSING#",
        "MESSAGES#",
        "REQUESTS#",
        "TIME#",
        "DISK#",
        "LOST#",
    ];
    print_line(build_table(headings, rows.chain(total)));
    for plan in plans {
        let name = plan.name();
        match &plan.preview {
            Ok(preview) => print_account_notes(plan, preview),
            Err(error) => {
                print_with_hint(format_args!("\n{name}: not planned: {error}"), error.hint());
            }
        }
    }
    let basis = if weight.is_measured {
        "as measured in this archive"
    } else {
        "for typical texts"
    };
    print_line(format_args!(
        "\nDisk at {:.0} bytes per message, {basis}; time at each account's rate limit.",
        weight.bytes
    ));
}

fn print_account_notes(plan: &AccountPlan<'_>, preview: &Preview) {
    let name = plan.name();
    let requests = thousands(preview.requests_spent);
    let counted = thousands(preview.counted_ranges as u64);
    let ranges = thousands(preview.missing_ranges.len() as u64);
    print_line(format_args!(
        "\n{name}: counted {counted} of {ranges} ranges, with {requests} requests"
    ));
    if plan.shares_quota {
        print_line("  at a reduced rate, since another process syncs this account");
    }
    if counted != ranges {
        print_line("  the others are extrapolated; --ranges N counts more of them");
    }
    if preview.has_overlaps {
        print_line(
            "  streams overlap: a message of several streams is counted in each, so fewer will be new",
        );
    }
    if plan.provider.account().discovers {
        print_line("  streams that are still to be discovered are not included");
    }
    for (stream, error) in &preview.stream_errors {
        let stream = preview.streams.get(stream.get()).map_or("", String::as_str);
        let stream = sanitized(stream);
        print_with_hint(
            format_args!("  {stream}: not counted: {error}"),
            error.hint(),
        );
    }
    if let Some(loss) = loss::loss_message(name, plan.rate(), &preview.outlook) {
        print_line(format_args!("\n{loss}"));
    }
}

fn plans_json(plans: &[AccountPlan<'_>], weight: MessageSize) -> Value {
    let previews = || plans.iter().filter_map(|plan| plan.preview.as_ref().ok());
    let total = PlanTotals::sum(previews());
    json!({
        "accounts": plans.iter().map(|plan| account_json(plan, weight)).collect::<Value>(),
        "total": {
            "streams": total.streams,
            "messages": total.messages,
            "requests": total.requests,
            "seconds": total.duration.as_secs_f64(),
            "disk_bytes": weight.total_bytes(total.messages),
            "lost_messages": total.lost_messages,
            "requests_spent": previews().map(|preview| preview.requests_spent).sum::<u64>(),
        },
        "bytes_per_message": weight.bytes,
        "bytes_are_measured": weight.is_measured,
    })
}

fn account_json(plan: &AccountPlan<'_>, weight: MessageSize) -> Value {
    let preview = match &plan.preview {
        Ok(preview) => preview,
        Err(error) => {
            return json!({ "account": plan.name(), "error": error.to_string(), "hint": error.hint() });
        }
    };
    let outlook = &preview.outlook;
    json!({
        "account": plan.name(),
        "provider": preview.provider,
        "error": null,
        "hint": null,
        "streams_missing": outlook.streams,
        "missing_seconds": outlook.max_missing_s,
        "messages": outlook.messages,
        "requests": preview.requests,
        "requests_per_second": plan.rate(),
        "seconds": outlook.duration.as_secs_f64(),
        "disk_bytes": weight.total_bytes(outlook.messages),
        "streams_overlap": preview.has_overlaps,
        "expires_at": outlook.expires_at.map(|at| at.to_string()),
        "loss_begins_at": outlook.loss_begins.map(|at| at.to_string()),
        "lost_messages": outlook.loss.messages,
        "lost_seconds": outlook.loss.seconds,
        "ranges": preview.missing_ranges.len(),
        "ranges_counted": preview.counted_ranges,
        "requests_spent": preview.requests_spent,
        "ranges_missing": ranges_json(preview),
    })
}

fn ranges_json(preview: &Preview) -> Value {
    let ranges = preview
        .missing_ranges
        .iter()
        .zip(&preview.outlook.losses)
        .map(|(stretch, loss)| {
            json!({
                "stream": preview.streams.get(stretch.stream.get()),
                "from_at": stretch.range.from().to_string(),
                "to_at": stretch.range.to().to_string(),
                "messages": stretch.messages,
                "requests": stretch.requests,
                "lost_messages": loss.messages,
                "lost_seconds": loss.seconds,
            })
        });
    ranges.collect()
}
