//! The lead of the work over the horizon. Pure.

use crate::domain::time::Second;
use crate::sync::limits::{HORIZON_TOLERANCE_S, LEAD_DECAY, LEAD_FACTOR};

/// The lead of the work over the horizon, in seconds. Closer history would expire while it is
/// fetched.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HorizonLead {
    seconds: f64,
}

impl HorizonLead {
    /// Returns the time from which on history will still be there when it is fetched. While no job
    /// is overtaken, that is a little behind the horizon.
    pub(super) fn fetchable_from(self, horizon: Second) -> Second {
        horizon.plus(self.seconds as i64 - HORIZON_TOLERANCE_S)
    }

    /// Learns the duration of a job near the horizon, and whether the horizon has overtaken it.
    pub(super) fn learn(&mut self, took_s: f64, was_overtaken: bool) {
        self.seconds = if was_overtaken {
            self.seconds.max(took_s * LEAD_FACTOR).max(1.0)
        } else {
            self.seconds * LEAD_DECAY
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lead_grows_with_overtaken_jobs_and_shrinks_with_others() {
        let mut lead = HorizonLead::default();
        let horizon = Second(1000);
        assert_eq!(lead.fetchable_from(horizon), Second(995));
        lead.learn(4.0, true);
        assert_eq!(
            lead.fetchable_from(horizon),
            Second(1001),
            "six seconds, less the tolerance"
        );
        lead.learn(2.0, true);
        assert_eq!(
            lead.fetchable_from(horizon),
            Second(1001),
            "a shorter job changes nothing"
        );
        (0..100).for_each(|_| lead.learn(4.0, false));
        assert_eq!(lead.fetchable_from(horizon), Second(995));
    }
}
