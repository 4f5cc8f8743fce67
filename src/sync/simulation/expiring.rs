//! A history that expires twice as fast as it can be fetched: the share of it that the planner
//! saves.

use std::time::Duration;

use super::{MAX_MESSAGES_PER_SECOND, PAGE_MESSAGES, REQUESTS_PER_PAGE, REQUESTS_PER_SECOND};
use crate::domain::frontier::Frontier;
use crate::domain::stream::StreamIndex;
use crate::domain::time::Second;
use crate::domain::window::Runs;
use crate::provider::agora;
use crate::sync::limits::HORIZON_TOLERANCE_S;
use crate::sync::plan::tails::TailScheduler;
use crate::sync::plan::{Plan, StreamHistory};

/// The number of channels that share the history.
const CHANNELS: usize = 50;
/// The messages per second of a channel. All channels together have twice the maximum throughput.
const RATE: f64 = 2.0 * MAX_MESSAGES_PER_SECOND as f64 / CHANNELS as f64;
/// The seconds that a query covers in addition to its window, at both ends together.
const MARGIN_S: f64 = 2.0;
/// The requests that split a range: a count, and a page with the first message.
const SPLIT_REQUESTS: f64 = 1.0 + REQUESTS_PER_PAGE as f64;

/// Returns the messages that are fetched before they expire, as a share of the messages that can be
/// saved in any order. The retention is this many hours.
pub fn saved_share(hours: u32) -> f64 {
    let retention_s = i64::from(hours) * 3600;
    let wanted_to = Second(retention_s);
    let frontier = Frontier {
        horizon: Some(Second(0)),
        settled_to: wanted_to,
        wanted_to,
        retention: Some(Duration::from_secs(retention_s.unsigned_abs())),
    };
    let nothing = Runs::default();
    let streams = (0..CHANNELS).map(|stream| StreamHistory {
        stream: StreamIndex::new(stream),
        wanted_from: Second(0),
        sealed: &nothing,
        is_discovered: false,
    });
    let mut plan = Plan::missing(frontier, Some(wanted_to), TailScheduler::default(), streams);
    // The horizon advances with the time.
    let (mut now_s, mut saved) = (0.0, 0.0);
    while let Some(job) = plan.pop(wanted_to, Some(Second(now_s as i64))) {
        let messages = RATE * job.range.seconds() as f64;
        let pieces = agora::window_count(messages as u64, agora::MESSAGES_PER_WINDOW);
        if pieces > 1 {
            for piece in job.pieces(&job.range.even_split_points(pieces)) {
                plan.push(piece);
            }
            now_s += SPLIT_REQUESTS / f64::from(REQUESTS_PER_SECOND);
            continue;
        }
        let requests = window_requests(messages + RATE * MARGIN_S);
        let took_s = requests / f64::from(REQUESTS_PER_SECOND);
        now_s += took_s;
        let horizon = Second(now_s as i64);
        let in_time = job.range.starting_at(horizon);
        saved += RATE * in_time.map_or(0.0, |range| range.seconds() as f64);
        plan.account_for(job, requests as u64);
        plan.learn_lead(took_s, job.range.from().plus(HORIZON_TOLERANCE_S) < horizon);
    }
    // No order fetches more than the maximum throughput until the last message expires.
    saved / (f64::from(MAX_MESSAGES_PER_SECOND) * retention_s as f64)
}

/// Returns the requests of a window: a count, and its pages.
fn window_requests(messages: f64) -> f64 {
    let pages = (messages / f64::from(PAGE_MESSAGES)).ceil();
    1.0 + f64::from(REQUESTS_PER_PAGE) * pages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planner_saves_most_of_the_messages_that_can_be_saved() {
        let saved = saved_share(2);
        assert!((0.7..1.0).contains(&saved), "{saved}");
    }
}
