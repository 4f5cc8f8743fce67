//! `backscroll status`: prints the state of each stream, and the expected loss.

use std::sync::Arc;

use super::error::CliError;
use super::exit_outcome::ExitOutcome;
use super::open_archive::open_to_read;
use super::output::{print_json, print_line};
use super::table::duration;
use super::{accounts, alarms, loss, summary};
use crate::alerts::check::DetectedProblem;
use crate::alerts::rules::archive_health::disk_problem;
use crate::config::Config;
use crate::daemon::status_report::report_streams;
use crate::domain::alarm::{Alarm, AlarmKind, AlarmSubject, Notified};
use crate::domain::clock::Clock;
use crate::domain::time::Millis;
use crate::sync::forecast::{Forecast, forecast, request_rates};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(
    args: &Args,
    config: &Config,
    clock: Arc<dyn Clock>,
) -> Result<ExitOutcome, CliError> {
    let providers = accounts::build_offline_providers(config, |_| true, &clock)?;
    let now = clock.now();
    let store = open_to_read(&config.database.url).await?;
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
            forecasts.iter().for_each(print_forecast);
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

fn print_forecast(forecast: &Forecast) {
    let Forecast {
        account, outlook, ..
    } = forecast;
    let Some(expires_at) = outlook.expires_at else {
        return;
    };
    print_line("");
    if let Some(loss) = loss::loss_message(account, forecast.rate, outlook) {
        print_line(loss);
        return;
    }
    let rest = if forecast.has_density {
        let time = duration(outlook.duration.as_secs());
        format!("fetching it takes {time}")
    } else {
        "`backscroll plan` counts it".to_owned()
    };
    print_line(format_args!(
        "{account}: missing history begins to expire at {expires_at}; {rest}"
    ));
}
