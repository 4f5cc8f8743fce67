//! Forecasts of missing history that are computed from the archive alone.

use std::time::Duration;

use backscroll::domain::time::Millis;
use backscroll::provider::Provider;
use backscroll::store::{Pause, RequestRate, StreamStatus};
use backscroll::sync::forecast::model::Loss;
use backscroll::sync::forecast::{Forecast, account_outlook, forecast};
use backscroll::sync::{HistoryBounds, Purpose};

use crate::support::fake_provider::FakeProvider;
use crate::support::model_run::ModelRun;

const NOW: Millis = Millis(1_795_343_200_123);
const HOUR: Duration = Duration::from_hours(1);

/// An account of which this many calls succeeded: the credentials check, surveys, and fetches of
/// four windows, of which the last two have two thousand messages each.
async fn run_after_calls(calls: u32) -> ModelRun {
    let provider = FakeProvider::new(NOW, Duration::from_mins(2), Some(HOUR));
    provider
        .history()
        .messages
        .extend((0..4000).map(|n| (NOW.0 - 1_790_000 + n as i64 * 400, n)));
    let mut run = ModelRun::with_provider(provider).await;
    run.provider
        .history()
        .calls_before_failures
        .push_back(calls);
    run.run_pass(Purpose::Sync(HistoryBounds::default())).await;
    run
}

async fn status(run: &ModelRun) -> Vec<StreamStatus> {
    run.store.status().await.unwrap()
}

/// Forecasts with this many requests in an hour.
fn forecast_for(run: &ModelRun, streams: &[StreamStatus], requests: u64) -> Option<Forecast> {
    let pace = RequestRate {
        account: "shop".to_owned(),
        requests,
        busy: HOUR,
        last_pass: None,
    };
    forecast(&*run.provider, streams, &[pace], NOW)
}

#[tokio::test]
async fn without_sealed_windows_only_the_time_is_forecast() {
    let run = run_after_calls(1).await;
    let streams = status(&run).await;
    let found = forecast_for(&run, &streams, 1).unwrap();
    assert!(!found.has_density);
    assert_eq!(found.outlook.loss.messages, 0);
    let expires_at = found.outlook.expires_at.unwrap();
    assert!(
        (NOW.second().0 - expires_at.0).abs() < 5,
        "it reaches back to the retention edge: {expires_at}"
    );
    let named: Vec<&str> = found.streams.keys().map(String::as_str).collect();
    assert_eq!(named, [streams[0].stream.as_str()]);
}

#[tokio::test]
async fn recent_rate_and_pauses_determine_the_forecast_loss() {
    let run = run_after_calls(7).await;
    let mut streams = status(&run).await;
    let missing = streams[0].missing_seconds;
    assert!(missing > 800, "{streams:#?}");
    let found = forecast_for(&run, &streams, 36_000).unwrap();
    assert!(found.has_density);
    assert_eq!(
        (found.rate, found.outlook.loss, found.outlook.loss_begins),
        (Some(10.0), Loss::default(), None)
    );

    let few = forecast_for(&run, &streams, 20).unwrap().outlook;
    assert!(
        few.loss.seconds > 0 && few.loss.seconds < missing,
        "{few:?}"
    );
    let none = forecast_for(&run, &streams, 1).unwrap().outlook;
    assert!(
        none.loss.seconds > few.loss.seconds && none.loss_begins >= few.expires_at,
        "{none:?}"
    );

    // All of it expires before the pause ends.
    streams[0].pause = Some(Pause {
        until: NOW.plus(HOUR),
        reason: "told to".to_owned(),
        refused_credentials: None,
    });
    let found = forecast_for(&run, &streams, 36_000).unwrap();
    assert_eq!(found.outlook.loss.seconds, missing);
    assert_eq!(found.outlook.loss.messages, found.outlook.messages);
    assert_eq!(found.streams[&streams[0].stream].1, found.outlook.loss);
}

#[tokio::test]
async fn complete_archive_has_no_forecast_loss() {
    let mut run = run_after_calls(7).await;
    run.run_pass(Purpose::Sync(HistoryBounds::default())).await;
    let streams = status(&run).await;
    assert_eq!(
        (streams[0].missing_seconds, forecast_for(&run, &streams, 1)),
        (0, None)
    );
    assert_eq!(forecast_for(&run, &[], 1), None);
    assert_eq!(run.provider.account().retention, Some(HOUR));
}

#[tokio::test]
async fn summary_and_status_of_a_single_stream_give_equal_forecasts() {
    for (calls, requests) in [(1, 1), (7, 1), (7, 20), (7, 36_000)] {
        let run = run_after_calls(calls).await;
        let by_status = forecast_for(&run, &status(&run).await, requests).unwrap();
        let pace = RequestRate {
            account: "shop".to_owned(),
            requests,
            busy: HOUR,
            last_pass: None,
        };
        let figures = run.store.account_summaries().await.unwrap().remove(0);
        let by_figures = account_outlook(&*run.provider, &figures, &[pace], NOW).unwrap();
        assert_eq!(
            by_figures,
            (by_status.outlook, by_status.has_density),
            "{calls} {requests}"
        );
    }
    let mut run = run_after_calls(7).await;
    run.run_pass(Purpose::Sync(HistoryBounds::default())).await;
    let figures = run.store.account_summaries().await.unwrap().remove(0);
    assert_eq!(account_outlook(&*run.provider, &figures, &[], NOW), None);
}
