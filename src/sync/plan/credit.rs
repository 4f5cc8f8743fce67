//! The share of requests that tail polls get beside other work. Pure.
//!
//! This is a deficit counter: other work earns credit for tail polls, and polls spend it. While
//! there is backfill, both get the same number of requests; while history expires, polls keep a
//! small share.

use super::job::Job;
use crate::sync::limits::{MAX_TAIL_CREDIT, MIN_TAIL_SHARE, POLL_COST};

/// Requests that tail polls may make before other work is due again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TailCredit {
    requests: f64,
}

impl TailCredit {
    /// True if there is credit for a poll while history expires.
    pub(super) fn covers_poll(self) -> bool {
        self.requests >= POLL_COST
    }

    /// True if polls have not had more than their share.
    pub(super) fn is_positive(self) -> bool {
        self.requests >= 0.0
    }

    /// Pays for a poll that starts, by its approximate cost.
    pub(super) fn pay_for_poll(&mut self) {
        self.requests -= POLL_COST;
    }

    /// Settles the requests that a job has cost. `is_pressed`: history is about to expire.
    pub(super) fn settle(&mut self, job: Job, requests: u64, is_pressed: bool) {
        let requests = requests as f64;
        let earned = match job.poll {
            None if is_pressed => requests * MIN_TAIL_SHARE,
            None => requests,
            Some(_) if is_pressed && job.is_piece => -requests,
            // The approximate cost was paid when the poll began.
            Some(_) if is_pressed => POLL_COST - requests,
            Some(_) => 0.0,
        };
        self.requests = (self.requests + earned).min(MAX_TAIL_CREDIT);
    }
}

#[cfg(test)]
mod tests {
    use super::super::job::TailPoll;
    use super::*;
    use crate::domain::stream::StreamIndex;
    use crate::domain::time::Second;
    use crate::domain::window::Window;

    fn job(poll: Option<TailPoll>, is_piece: bool) -> Job {
        let range = Window::with_length(Second(0), 10);
        Job {
            range,
            stream: StreamIndex::new(0),
            is_piece,
            refetch: None,
            poll,
        }
    }

    fn rounded(credit: TailCredit) -> i64 {
        credit.requests.round() as i64
    }

    #[test]
    fn backfill_earns_its_requests_up_to_the_maximum() {
        let mut credit = TailCredit::default();
        credit.settle(job(None, false), 3, false);
        assert_eq!(rounded(credit), 3);
        credit.settle(job(None, false), 1000, false);
        assert_eq!(rounded(credit), MAX_TAIL_CREDIT as i64);
    }

    #[test]
    fn expiring_history_earns_only_the_minimum_share() {
        let mut credit = TailCredit::default();
        credit.settle(job(None, false), 50, true);
        assert!(!credit.covers_poll(), "{credit:?}");
        credit.settle(job(None, false), 50, true);
        assert!(credit.covers_poll(), "{credit:?}");
    }

    #[test]
    fn polls_pay_their_real_cost_only_while_history_expires() {
        let seal = Some(TailPoll::Seal);
        let cases = [
            (job(seal, false), false, -2),
            (job(seal, false), true, -10),
            (job(seal, true), true, -12),
        ];
        for (job, is_pressed, expected) in cases {
            let mut credit = TailCredit::default();
            credit.pay_for_poll();
            credit.settle(job, 10, is_pressed);
            assert_eq!(rounded(credit), expected, "{job:?}");
            assert!(!credit.is_positive());
        }
    }
}
