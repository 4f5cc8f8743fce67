//! The health of a stream. Pure.

use super::stream_title::StreamTitle;
use crate::daemon::web::limits::TAIL_GRACE_S;
use crate::domain::time::Second;
use crate::domain::window::Window;
use crate::store::StreamStatus;

/// The health of a stream, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StreamHealth {
    Failing,
    Paused,
    Behind,
    NotStarted,
    Suspect,
    Quarantine,
    Lost,
    Complete,
}

impl StreamHealth {
    /// Returns the displayed word and the CSS class.
    pub(crate) fn name_and_class(self) -> (&'static str, &'static str) {
        match self {
            Self::Failing => ("failing", "bad"),
            Self::Paused => ("paused", "bad"),
            Self::Behind => ("behind", "gap"),
            Self::NotStarted => ("not started", "gap"),
            Self::Suspect => ("suspect", "suspect"),
            Self::Quarantine => ("quarantine", "suspect"),
            Self::Lost => ("some lost", "lost"),
            Self::Complete => ("complete", "sealed"),
        }
    }
}

/// A stream with its health at a moment.
#[derive(Debug)]
pub(crate) struct AssessedStream<'a> {
    pub(crate) status: &'a StreamStatus,
    pub(crate) title: StreamTitle<'a>,
    pub(crate) health: StreamHealth,
    /// The missing ranges, without a recent tail that is still being polled.
    pub(crate) gaps: Vec<Window>,
    /// The total duration of the gaps, in seconds.
    pub(crate) gap_s: u64,
    /// The seconds of wanted history that expired before they were fetched.
    pub(crate) lost_s: u64,
    /// The time since the stream was last complete, in seconds.
    pub(crate) lag_s: u64,
}

impl<'a> AssessedStream<'a> {
    /// Assesses a stream at this moment.
    pub(crate) fn new(status: &'a StreamStatus, now: Second) -> Self {
        let gaps = overdue_gaps(status, now);
        let first_missing = status.missing.first();
        let complete_to = first_missing.map_or(status.frontier.settled_to, |range| range.from());
        let lost_s = status.lost_seconds;
        Self {
            status,
            title: StreamTitle::new(status),
            health: health_of(status, !gaps.is_empty(), lost_s > 0),
            gap_s: gaps.iter().map(|gap| gap.seconds()).sum(),
            gaps,
            lost_s,
            lag_s: status.lag_s(complete_to, now),
        }
    }

    /// Returns true if the archive knows the stream, and a pass has begun since.
    pub(crate) fn is_archived(&self) -> bool {
        self.status.id.is_some() && self.status.last_pass_at().is_some()
    }
}

/// Returns the worst of the states that a stream is in.
fn health_of(status: &StreamStatus, has_gaps: bool, has_loss: bool) -> StreamHealth {
    let has_nothing = status.watermark.is_none() && status.messages == 0;
    if status.pause.is_some() && status.error.is_none() {
        StreamHealth::Paused
    } else if status.error.is_some() || status.account_error.is_some() {
        StreamHealth::Failing
    } else if has_nothing && (has_gaps || status.last_pass_at().is_none()) {
        StreamHealth::NotStarted
    } else if has_gaps {
        StreamHealth::Behind
    } else if status.suspect_rows > 0 {
        StreamHealth::Suspect
    } else if status.quarantined > 0 {
        StreamHealth::Quarantine
    } else if has_loss {
        StreamHealth::Lost
    } else {
        StreamHealth::Complete
    }
}

/// Returns the missing ranges of a stream that should be sealed by now.
fn overdue_gaps(status: &StreamStatus, now: Second) -> Vec<Window> {
    let is_recent_tail = |gap: &Window| {
        gap.to() >= status.frontier.settled_to && status.lag_s(gap.from(), now) < TAIL_GRACE_S
    };
    let missing = status.missing.iter().copied();
    missing.filter(|gap| !is_recent_tail(gap)).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::domain::clock::MachineSkew;
    use crate::domain::frontier::Frontier;
    use crate::domain::window::Runs;
    use crate::store::{AccountId, Pause, RecordedError, StreamId};

    pub(crate) const NOW: Second = Second(1_795_343_200);

    /// A stream that is complete up to two minutes ago.
    pub(crate) fn stream(id: i64) -> StreamStatus {
        let settled = NOW.plus(-120);
        let sealed = Window::new(NOW.plus(-700_000), settled).unwrap();
        StreamStatus {
            id: Some(StreamId(id)),
            account_id: AccountId(1),
            account: "shop".to_owned(),
            provider: "agora".to_owned(),
            stream: format!("source=user {id}"),
            scope: None,
            wanted_from: sealed.from(),
            followed_at: sealed.from(),
            sealed: Runs::from_iter([sealed]),
            watermark: Some(settled),
            frontier: Frontier {
                horizon: None,
                settled_to: settled,
                wanted_to: NOW,
                retention: None,
            },
            messages: 10,
            recent_messages: 10,
            recent_seconds: 10,
            suspect_rows: 0,
            expired_suspect_rows: 0,
            quarantined: 0,
            missing: vec![],
            missing_seconds: 0,
            lost_seconds: 0,
            error: None,
            account_error: None,
            discovery_error: None,
            discovered: false,
            pause: None,
            settle_override: None,
            clock_skew: MachineSkew::default(),
        }
    }

    /// The same stream, without the range that begins and ends this many seconds ago.
    pub(crate) fn lacking(id: i64, from: i64, to: i64) -> StreamStatus {
        let gap = Window::new(NOW.plus(-from), NOW.plus(-to)).unwrap();
        StreamStatus {
            missing: vec![gap],
            missing_seconds: gap.seconds(),
            ..stream(id)
        }
    }

    #[test]
    fn fixable_states_come_before_final_ones() {
        let health = |status: StreamStatus| AssessedStream::new(&status, NOW).health;
        let error = Some(RecordedError {
            error: "no".to_owned(),
            hint: "try".to_owned(),
        });
        let pause = Some(Pause {
            until: NOW.start(),
            reason: "told".to_owned(),
            refused_credentials: None,
        });
        let lost = StreamStatus {
            lost_seconds: 1,
            ..stream(1)
        };
        let complete = stream(1);
        let quarantined = StreamStatus {
            quarantined: 1,
            ..lost.clone()
        };
        let suspect = StreamStatus {
            suspect_rows: 1,
            ..quarantined.clone()
        };
        let behind = StreamStatus {
            suspect_rows: 1,
            ..lacking(1, 9000, 120)
        };
        let paused = StreamStatus {
            pause,
            ..behind.clone()
        };
        let failing = StreamStatus {
            error,
            ..paused.clone()
        };
        let all = [
            failing,
            paused,
            behind,
            suspect,
            quarantined,
            lost,
            complete,
        ]
        .map(health);
        assert_eq!(
            all,
            [
                StreamHealth::Failing,
                StreamHealth::Paused,
                StreamHealth::Behind,
                StreamHealth::Suspect,
                StreamHealth::Quarantine,
                StreamHealth::Lost,
                StreamHealth::Complete
            ]
        );
        assert!(all.is_sorted());
        let none = StreamStatus {
            watermark: None,
            messages: 0,
            ..lacking(1, 9000, 120)
        };
        assert_eq!(health(none), StreamHealth::NotStarted);
    }
}
