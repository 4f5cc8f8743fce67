//! Random faults: decides which requests fail and in which way.

use std::collections::HashMap;
use std::sync::Mutex;

use axum::body::Bytes;
use clap::ValueEnum;

use super::call::Call;
use super::fault::{Fault, FaultInput};
use super::limits::MAX_BURST;
use super::options::Options;
use crate::domain::lock::lock;

/// A fault sampled for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SampledFault {
    pub(super) fault: Fault,
    /// True if the provider handles the request before the answer fails. A handle is then consumed,
    /// for example.
    pub(super) after_handling: bool,
}

/// Samples faults from a seeded random generator.
#[derive(Debug)]
pub(super) struct FaultSampler {
    share: f64,
    kinds: Vec<Fault>,
    state: Mutex<SamplerState>,
}

#[derive(Debug)]
struct SamplerState {
    rng: fastrand::Rng,
    /// The number of further requests to refuse, by account.
    bursts: HashMap<String, u32>,
    /// The last correct answer to each kind of call, with its subject.
    answers: HashMap<Call, (String, Bytes)>,
}

impl FaultSampler {
    pub(super) fn new(options: &Options) -> Self {
        let kinds = if options.fault_kinds.is_empty() {
            Fault::value_variants()
        } else {
            &options.fault_kinds
        };
        let state = SamplerState {
            rng: fastrand::Rng::with_seed(options.seed).fork(),
            bursts: HashMap::new(),
            answers: HashMap::new(),
        };
        Self {
            share: options.faults.0,
            kinds: kinds.to_vec(),
            state: Mutex::new(state),
        }
    }

    /// Returns the fault for a request, or `None` if it is answered correctly.
    pub(super) fn sample(&self, account: &str, call: Call) -> Option<SampledFault> {
        if self.share == 0.0 {
            return None;
        }
        let mut state = lock(&self.state);
        if let Some(left) = state.bursts.get_mut(account).filter(|left| **left > 0) {
            *left -= 1;
            return Some(SampledFault {
                fault: Fault::Unauthorised,
                after_handling: false,
            });
        }
        if state.rng.f64() >= self.share {
            return None;
        }
        let fitting = |fault: &&Fault| **fault != Fault::DeadHandle || call == Call::Read;
        let fitting: Vec<Fault> = self.kinds.iter().filter(fitting).copied().collect();
        let fault = state.rng.choice(fitting)?;
        if fault == Fault::Unauthorised {
            let burst = state.rng.u32(0..=MAX_BURST);
            state.bursts.insert(account.to_owned(), burst);
        }
        Some(SampledFault {
            fault,
            after_handling: !fault.precedes_handling() && state.rng.bool(),
        })
    }

    /// Collects the input from which a fault builds its answer to a call of this kind about
    /// `subject`.
    pub(super) fn fault_input(
        &self,
        call: Call,
        subject: &str,
        answer: Option<Bytes>,
    ) -> FaultInput {
        let mut state = lock(&self.state);
        let variant = state.rng.usize(..);
        // Another answer of the same kind can be recognised as wrong only if it is a page, because
        // a page names its stream. A count of another range or a handle of another query looks
        // valid.
        let is_recognisable = matches!(call, Call::Read | Call::History);
        let mut others = Vec::new();
        for (other_call, (other_subject, body)) in &state.answers {
            if *other_call != call || (is_recognisable && other_subject != subject) {
                others.push(body.clone());
            }
        }
        FaultInput {
            answer,
            other_answer: state.rng.choice(others),
            variant,
        }
    }

    /// Records a correct answer. It may later be sent as the answer to another request.
    pub(super) fn record_answer(&self, call: Call, subject: &str, body: Bytes) {
        lock(&self.state)
            .answers
            .insert(call, (subject.to_owned(), body));
    }

    /// True if no faults are configured.
    pub(super) fn is_disabled(&self) -> bool {
        self.share == 0.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn sampler(flags: &[&str]) -> FaultSampler {
        FaultSampler::new(&Options::from_flags(flags).unwrap())
    }

    #[test]
    fn faults_occur_at_the_requested_rate_and_of_every_kind() {
        let sampler = sampler(&["--faults", "20%"]);
        let mut counts: BTreeMap<Fault, u32> = BTreeMap::new();
        for n in 0..10_000 {
            // Each request uses its own account, so that no burst continues.
            if let Some(drawn) = sampler.sample(&n.to_string(), Call::Read) {
                *counts.entry(drawn.fault).or_default() += 1;
            }
        }
        assert_eq!(counts.len(), Fault::value_variants().len());
        assert!(
            (1800..2200).contains(&counts.values().sum::<u32>()),
            "{counts:?}"
        );
    }

    #[test]
    fn only_requested_kinds_of_faults_occur() {
        let sampler = sampler(&["--faults", "100%", "--fault-kinds", "cut,dead-handle"]);
        let drawn = |call| {
            (0..50)
                .filter_map(|_| sampler.sample("a", call))
                .map(|drawn| drawn.fault)
                .collect::<Vec<_>>()
        };
        assert!(drawn(Call::Count).iter().all(|fault| *fault == Fault::Cut));
        let of_reads = drawn(Call::Read);
        assert!(of_reads.contains(&Fault::Cut) && of_reads.contains(&Fault::DeadHandle));
    }

    #[test]
    fn refusals_occur_in_bursts() {
        let sampler = sampler(&["--faults", "1%", "--fault-kinds", "unauthorised"]);
        let refused: Vec<bool> = (0..20_000)
            .map(|_| sampler.sample("a", Call::Count).is_some())
            .collect();
        assert!(
            refused
                .windows(3)
                .any(|three| three.iter().all(|refused| *refused))
        );
    }
}
