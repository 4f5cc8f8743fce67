//! A history that expires twice as fast as it can be fetched, in virtual time: how much of it the planner saves.
//!
//! The order is the planner's own ([`Plan`]); the provider is one that answers at once, whose requests are counted and spent
//! at the quota. On the wire only minutes can be measured, of which a window is a good part; of what a provider really keeps
//! it is next to nothing.

use std::time::Duration;

use super::{MAX_MESSAGES_PER_SECOND, QUOTA};
use crate::domain::frontier::Frontier;
use crate::domain::stream::StreamIndex;
use crate::domain::time::Second;
use crate::domain::window::Runs;
use crate::provider::agora;
use crate::sync::limits::HORIZON_TOLERANCE_S;
use crate::sync::plan::tails::TailScheduler;
use crate::sync::plan::{Plan, StreamHistory};

/// How many channels share the history …
const STREAMS: usize = 50;
/// … and how many messages a second are written to each. Together they are twice what can be fetched.
const RATE: f64 = 2.0 * MAX_MESSAGES_PER_SECOND as f64 / STREAMS as f64;
/// What is asked beyond a window, at both ends together.
const MARGIN_S: f64 = 2.0;

/// The share of the messages that any order could have saved, where messages are kept for so many hours.
pub(super) fn saved_share(hours: u32) -> f64 {
    let kept_s = i64::from(hours) * 3600;
    let wanted_to = Second(kept_s);
    let frontier = Frontier {
        horizon: Some(Second(0)),
        settled_to: wanted_to,
        wanted_to,
        retention: Some(Duration::from_secs(kept_s.unsigned_abs())),
    };
    let nothing = Runs::default();
    let streams = (0..STREAMS).map(|stream| StreamHistory {
        stream: StreamIndex::new(stream),
        wanted_from: Second(0),
        sealed: &nothing,
    });
    let mut plan = Plan::missing(frontier, Some(wanted_to), TailScheduler::default(), streams);
    // The horizon moves on as time does.
    let (mut now_s, mut saved) = (0.0, 0.0);
    while let Some(job) = plan.pop(wanted_to, Some(Second(now_s as i64))) {
        let messages = RATE * job.range.seconds() as f64;
        let pieces = agora::window_count(messages as u64, agora::MESSAGES_PER_WINDOW);
        if pieces > 1 {
            job.pieces(&job.range.even_split_points(pieces))
                .into_iter()
                .for_each(|piece| plan.push(piece));
            // A count, and a look at the first message.
            now_s += 3.0 / f64::from(QUOTA);
            continue;
        }
        let requests = 1.0 + 2.0 * ((messages + RATE * MARGIN_S) / 100.0).ceil();
        let took_s = requests / f64::from(QUOTA);
        now_s += took_s;
        let horizon = Second(now_s as i64);
        let in_time = job.range.starting_at(horizon);
        saved += RATE * in_time.map_or(0.0, |range| range.seconds() as f64);
        plan.account_for(job, requests as u64);
        plan.learn_lead(took_s, job.range.from().plus(HORIZON_TOLERANCE_S) < horizon);
    }
    // The quota, for as long as anything is alive.
    saved / (f64::from(MAX_MESSAGES_PER_SECOND) * kept_s as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_order_saves_more_than_all_that_can_be_and_this_one_saves_most_of_it() {
        let saved = saved_share(2);
        assert!((0.7..1.0).contains(&saved), "{saved}");
    }
}
