//! Which requests are met by a fault, and by which.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Mutex;

use axum::body::Bytes;
use clap::ValueEnum;

use super::fault::{Fault, FaultInput};
use super::options::Options;
use super::rules::Call;
use super::world::lock;

/// How many requests after the first one a burst of refusals goes on for, at the most.
const MAX_BURST: u32 = 3;

/// A share of all requests: `5%`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Share(pub f64);

/// Why a text is no share.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a share: write it like 5% or 0.5%")]
pub struct ParseShareError(String);

impl FromStr for Share {
    type Err = ParseShareError;

    fn from_str(text: &str) -> Result<Self, ParseShareError> {
        let percent = text
            .strip_suffix('%')
            .and_then(|number| number.trim().parse().ok());
        let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
        percent
            .map(|percent: f64| Self(percent / 100.0))
            .ok_or_else(|| ParseShareError(text.to_owned()))
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}%", self.0 * 100.0)
    }
}

/// What is to become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SampledFault {
    pub(super) fault: Fault,
    /// Whether the provider does what it is asked before the answer is spoiled: a handle is spent, say.
    pub(super) after_handling: bool,
}

/// Draws faults, by the seed.
#[derive(Debug)]
pub(super) struct FaultSampler {
    share: f64,
    kinds: Vec<Fault>,
    state: Mutex<SamplerState>,
}

#[derive(Debug)]
struct SamplerState {
    dice: fastrand::Rng,
    /// By account: how many more requests are refused.
    bursts: HashMap<String, u32>,
    /// The last true answer to each kind of request, and what it was about.
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
            dice: fastrand::Rng::with_seed(options.seed).fork(),
            bursts: HashMap::new(),
            answers: HashMap::new(),
        };
        Self {
            share: options.faults.0,
            kinds: kinds.to_vec(),
            state: Mutex::new(state),
        }
    }

    /// The fault that meets a request, if one does.
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
        if state.dice.f64() >= self.share {
            return None;
        }
        let fitting = |fault: &&Fault| **fault != Fault::DeadHandle || call == Call::Read;
        let fitting: Vec<Fault> = self.kinds.iter().filter(fitting).copied().collect();
        let fault = state.dice.choice(fitting)?;
        if fault == Fault::Unauthorised {
            let burst = state.dice.u32(0..=MAX_BURST);
            state.bursts.insert(account.to_owned(), burst);
        }
        Some(SampledFault {
            fault,
            after_handling: !fault.precedes_handling() && state.dice.bool(),
        })
    }

    /// What a fault has to work with that meets a request of this kind about `subject`.
    pub(super) fn fault_input(
        &self,
        call: Call,
        subject: &str,
        truth: Option<Bytes>,
    ) -> FaultInput {
        let mut state = lock(&self.state);
        let luck = state.dice.usize(..);
        // An answer of the same kind names its stream only where it is a page: of a count for another range or a
        // handle for another page no client could tell.
        let tells = matches!(call, Call::Read | Call::History);
        let fits = |(of, (about, _)): &(&Call, &(String, Bytes))| {
            **of != call || (tells && about != subject)
        };
        let other: Vec<Bytes> = state
            .answers
            .iter()
            .filter(fits)
            .map(|(_, (_, body))| body.clone())
            .collect();
        FaultInput {
            answer: truth,
            other_answer: state.dice.choice(other),
            variant: luck,
        }
    }

    /// Takes note of a true answer, which another request may be given.
    pub(super) fn answered(&self, call: Call, subject: &str, body: Bytes) {
        lock(&self.state)
            .answers
            .insert(call, (subject.to_owned(), body));
    }

    /// Whether there are any faults at all.
    pub(super) fn is_disabled(&self) -> bool {
        self.share == 0.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn chance(flags: &[&str]) -> FaultSampler {
        FaultSampler::new(&Options::from_flags(flags).unwrap())
    }

    #[test]
    fn a_share_is_written_in_per_cent() {
        assert_eq!("5%".parse(), Ok(Share(0.05)));
        assert_eq!("0.5%".parse::<Share>().unwrap().to_string(), "0.5%");
        for wrong in ["5", "101%", "-1%", "%", "many"] {
            assert!(wrong.parse::<Share>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn faults_come_as_often_as_asked_and_of_every_kind() {
        let chance = chance(&["--faults", "20%"]);
        let mut counts: BTreeMap<Fault, u32> = BTreeMap::new();
        for n in 0..10_000 {
            // Each request of an account of its own: no burst goes on.
            if let Some(drawn) = chance.sample(&n.to_string(), Call::Read) {
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
    fn kinds_are_those_that_were_asked_for() {
        let chance = chance(&["--faults", "100%", "--fault-kinds", "cut,dead-handle"]);
        let drawn = |call| {
            (0..50)
                .filter_map(|_| chance.sample("a", call))
                .map(|drawn| drawn.fault)
                .collect::<Vec<_>>()
        };
        assert!(drawn(Call::Count).iter().all(|fault| *fault == Fault::Cut));
        let of_reads = drawn(Call::Read);
        assert!(of_reads.contains(&Fault::Cut) && of_reads.contains(&Fault::DeadHandle));
    }

    #[test]
    fn a_refusal_may_come_in_bursts() {
        let chance = chance(&["--faults", "1%", "--fault-kinds", "unauthorised"]);
        let refused: Vec<bool> = (0..20_000)
            .map(|_| chance.sample("a", Call::Count).is_some())
            .collect();
        assert!(
            refused
                .windows(3)
                .any(|three| three.iter().all(|refused| *refused))
        );
    }
}
