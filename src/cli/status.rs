//! `backscroll status`: prints the state of each stream, and the expected loss.

use std::sync::Arc;

use super::archive_args::{ArchiveArgs, ArchiveToRead};
use super::error::CliError;
use super::exit_outcome::ExitOutcome;
use super::limits::ROUTINE_BACKLOG;
use super::open_archive::open_for_reader;
use super::output::{print_json, print_line};
use super::table::duration;
use super::{accounts, alarms, loss, summary};
use crate::alerts::check::DetectedProblem;
use crate::alerts::rules::archive_health::disk_problem;
use crate::daemon::status_report::report_streams;
use crate::domain::alarm::{Alarm, AlarmKind, AlarmSubject, Notified};
use crate::domain::clock::Clock;
use crate::domain::time::Millis;
use crate::store::StreamStatus;
use crate::sync::forecast::{Forecast, forecast, request_rates};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    pub(super) archive: ArchiveArgs,
}

pub(super) async fn run(
    args: &Args,
    archive: &ArchiveToRead,
    clock: Arc<dyn Clock>,
) -> Result<ExitOutcome, CliError> {
    let providers = match &archive.config {
        Some(config) => accounts::build_offline_providers(config, |_| true, &clock)?,
        // Nothing is known about the limits of the providers, so nothing is forecast.
        None => vec![],
    };
    let now = clock.now();
    let store = open_for_reader(&archive.url).await?;
    let streams = store.status().await?;
    let rates = request_rates(&*store, now).await?;
    let mut alarms = store.active_alarms().await?;
    let space = store.disk_space().await;
    store.close().await;
    // A full disk cannot hold the alarm about itself.
    let has_disk_alarm = alarms
        .iter()
        .any(|alarm| alarm.subject.kind == AlarmKind::Disk);
    if !has_disk_alarm && let Some(problem) = space.and_then(|space| disk_problem(space, false)) {
        alarms.push(disk_alarm(problem, now));
    }
    let forecasts: Vec<Forecast> = providers
        .iter()
        .filter_map(|provider| forecast(&**provider, &streams, &rates, now))
        .collect();
    match (args.json, streams.is_empty()) {
        (true, _) => {
            let forecasts: Vec<&Forecast> = forecasts.iter().collect();
            print_json(&report_streams(&streams, &forecasts, &alarms, now.second()));
        }
        (false, true) => {
            print_line("The archive has no streams yet: `backscroll sync` makes the first pass.");
            alarms::print_alarms(&alarms, now);
        }
        (false, false) => {
            summary::print_streams(&streams, now.second());
            let archive_fails = alarms
                .iter()
                .any(|alarm| alarm.subject.kind.concerns_archive());
            for forecast in &forecasts {
                let is_failing = |stream: &StreamStatus| {
                    stream.account == forecast.account
                        && (stream.pause.is_some() || stream.account_error.is_some())
                };
                let is_blocked = archive_fails || streams.iter().any(is_failing);
                print_forecast(forecast, is_blocked);
            }
            alarms::print_alarms(&alarms, now);
        }
    }
    Ok(ExitOutcome::Success)
}

/// Returns the alarm for a problem of the disk that was found just now.
fn disk_alarm(problem: DetectedProblem, now: Millis) -> Alarm {
    Alarm {
        subject: AlarmSubject {
            account: None,
            stream: None,
            kind: AlarmKind::Disk,
        },
        since: now,
        until: None,
        text: problem.text,
        hint: problem.hint,
        level: None,
        notified: Notified::Nothing,
    }
}

/// Prints the time at which missing history begins to expire, and the estimated time to fetch it.
/// Prints nothing if the next pass is expected to fetch all of it. `is_blocked`: nothing can be
/// archived at present, so that no time can be told.
fn print_forecast(forecast: &Forecast, is_blocked: bool) {
    let Forecast {
        account, outlook, ..
    } = forecast;
    let Some(expires_at) = outlook.expires_at else {
        return;
    };
    if let Some(loss) = loss::loss_message(account, forecast.rate, outlook) {
        print_line(format_args!("\n{loss}"));
        return;
    }
    let rest = match forecast.time_left() {
        _ if is_blocked => "nothing can be archived at present".to_owned(),
        Some(time) if time < ROUTINE_BACKLOG => return,
        Some(time) => format!("fetching it takes about {}", duration(time.as_secs())),
        None => "`backscroll plan` counts it".to_owned(),
    };
    print_line(format_args!(
        "\n{account}: missing history begins to expire at {expires_at}; {rest}"
    ));
}
