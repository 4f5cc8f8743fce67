//! The live ends of streams, and which of them to look at next. Pure.
//!
//! A message grows older until it is archived. Of a stream that brings `r` messages a second and was last looked at `t`
//! seconds ago, `r t` messages are waiting, `t / 2` old in the mean: a look is worth `r t²`. The look that is worth most
//! for its price goes first. It comes to looking at each stream in intervals like `1 / √r`, the least mean age that the
//! budget allows; and as `t²` grows without bound, the most silent stream has its turn, too.

use super::planner::{Job, Look};
use crate::domain::time::Second;
use crate::domain::window::Window;

/// What a stream is taken to bring of which nothing is known: so many messages …
const GUESS: f64 = 0.1;
/// … in so many seconds.
const GUESSED_OVER: f64 = 60.0;
/// What is left of earlier looks when another has been made.
const FADE: f64 = 0.7;
/// How often looks must have brought something lately for a read to be worth it without asking first: a count costs one
/// request, a query and its read two, and after a count that found something they are due all the same.
const LIVELY: f64 = 0.5;
/// While a pass has other work, a stream is looked at again after so long …
const AGAIN_S: i64 = 60;
/// … or after so long, if a message is expected.
const SOON_S: i64 = 10;
/// How far a look that seals nothing goes back behind the one before: what is shown a little late need not wait for the
/// look that seals.
const OVERLAP_S: i64 = 5;

/// How often a stream has something new.
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    /// Messages that came lately, and in how many seconds.
    messages: f64,
    seconds: f64,
    /// The share of looks that brought something.
    hits: f64,
}

impl Default for Rhythm {
    fn default() -> Self {
        Self {
            messages: 0.0,
            seconds: 0.0,
            hits: 0.0,
        }
    }
}

impl Rhythm {
    /// A look has brought so many new messages of so many seconds.
    pub fn learn(&mut self, new: u64, seconds: u64) {
        self.messages = self.messages * FADE + new as f64;
        self.seconds = self.seconds * FADE + seconds as f64;
        self.hits = self.hits * FADE + f64::from(u8::from(new > 0)) * (1.0 - FADE);
    }

    /// Messages a second.
    pub fn rate(&self) -> f64 {
        (self.messages + GUESS) / (self.seconds + GUESSED_OVER)
    }

    fn is_lively(&self) -> bool {
        self.hits > LIVELY
    }

    /// What a look costs in requests, in the mean.
    pub fn price(&self) -> f64 {
        if self.is_lively() {
            2.0
        } else {
            1.0 + 2.0 * self.hits
        }
    }

    /// What a look is worth after so many seconds, for its price.
    pub fn worth(&self, seconds: f64) -> f64 {
        self.rate() * seconds * seconds / self.price()
    }
}

/// The end of a stream.
#[derive(Clone, Copy, Debug, Default)]
struct End {
    rhythm: Rhythm,
    /// Where its unsealed end begins; nothing while it is not to be looked at.
    from: Option<Second>,
    /// Up to when it has been looked at.
    seen: Second,
    /// Whether it has been looked at in this pass.
    looked_at: bool,
    /// Whether a look is under way.
    under_way: bool,
}

/// The ends of an account's streams, by position. What is known of their rhythm outlasts a pass.
#[derive(Debug, Default)]
pub struct Live {
    ends: Vec<End>,
    /// How long an end may become before a look seals what has settled of it, in seconds.
    longest_s: i64,
}

impl Live {
    /// Begins a pass in which nothing is to be looked at yet, where messages settle after so many seconds.
    pub fn begin(&mut self, settle_s: i64) {
        self.longest_s = 2 * settle_s;
        for end in &mut self.ends {
            *end = End {
                rhythm: end.rhythm,
                seen: end.seen,
                ..End::default()
            };
        }
    }

    /// The end of a stream, of which nothing is sealed from `from` on, is to be looked at.
    pub fn follow(&mut self, stream: usize, from: Second) {
        if self.ends.len() <= stream {
            self.ends.resize(stream + 1, End::default());
        }
        let end = &mut self.ends[stream];
        (end.from, end.seen) = (Some(from), end.seen.max(from));
    }

    /// A look at a stream was begun elsewhere.
    pub(super) fn is_under_way(&mut self, stream: usize) {
        if let Some(end) = self.ends.get_mut(stream) {
            end.under_way = true;
        }
    }

    /// How many streams have not been looked at in this pass.
    pub(super) fn waiting(&self) -> usize {
        self.ends
            .iter()
            .filter(|end| end.from.is_some() && !end.looked_at && !end.under_way)
            .count()
    }

    /// The look that is worth most. `to` is up to where history is wanted by now.
    pub fn next(&mut self, to: Second) -> Option<Job> {
        let age = |end: &End| to.0 - end.seen.0;
        let is_due = |end: &End| {
            let again = age(end) >= AGAIN_S
                || age(end) >= SOON_S && end.rhythm.rate() * age(end) as f64 >= 1.0;
            end.from.is_some_and(|from| from < to) && !end.under_way && (!end.looked_at || again)
        };
        let worth = |end: &End| end.rhythm.worth(age(end).max(1) as f64);
        let due = self.ends.iter().enumerate().filter(|(_, end)| is_due(end));
        let (stream, _) = due.max_by(|(_, a), (_, b)| worth(a).total_cmp(&worth(b)))?;
        let end = &mut self.ends[stream];
        let from = end.from?;
        let is_short = to.0 - from.0 < self.longest_s;
        let look = if end.looked_at && end.rhythm.is_lively() && is_short {
            Look::Peek
        } else {
            Look::Full
        };
        let from = if look == Look::Peek {
            end.seen.plus(-OVERLAP_S).max(from)
        } else {
            from
        };
        let range = Window::new(from, to)?;
        end.under_way = true;
        Some(Job {
            stream,
            range,
            is_piece: false,
            again: None,
            look: Some(look),
        })
    }

    /// A look has been committed, and brought so many new messages; nothing is sealed from `from` on.
    pub fn looked_at(&mut self, job: Job, from: Option<Second>, new: u64) {
        let Some(end) = self.ends.get_mut(job.stream) else {
            return;
        };
        let to = job.range.to();
        end.rhythm.learn(new, (to.0 - end.seen.0).unsigned_abs());
        end.seen = end.seen.max(to);
        (end.under_way, end.looked_at) = (false, true);
        end.from = end.from.map(|before| from.unwrap_or(before));
    }

    /// A look has found too much to be one: the next is to seal.
    pub(super) fn overwhelmed(&mut self, stream: usize) {
        if let Some(end) = self.ends.get_mut(stream) {
            (end.under_way, end.looked_at) = (false, false);
        }
    }

    /// Leaves a stream for another pass.
    pub(super) fn leave(&mut self, stream: usize) {
        if let Some(end) = self.ends.get_mut(stream) {
            end.from = None;
        }
    }

    /// Leaves a stream for another pass whose look has come to nothing.
    pub(super) fn leave_if(&mut self, stream: usize, look: Option<Look>) {
        if look.is_some() {
            self.leave(stream);
        }
    }

    /// Leaves all streams for another pass.
    pub(super) fn leave_all(&mut self) {
        self.ends.iter_mut().for_each(|end| end.from = None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(streams: usize) -> Live {
        let mut live = Live::default();
        live.begin(120);
        (0..streams).for_each(|stream| live.follow(stream, Second(1000)));
        live
    }

    #[test]
    fn every_stream_is_looked_at_once_and_the_livelier_again() {
        let mut live = live(3);
        let mut looks = Vec::new();
        while let Some(job) = live.next(Second(1060)) {
            looks.push(job.stream);
            live.looked_at(job, None, if job.stream == 1 { 30 } else { 0 });
        }
        looks.sort_unstable();
        assert_eq!((looks, live.waiting()), (vec![0, 1, 2], 0));
        assert_eq!(
            live.next(Second(1069)).map(|job| job.stream),
            None,
            "too soon for any"
        );
        assert_eq!(live.next(Second(1070)).map(|job| job.stream), Some(1));
        assert_eq!(
            live.next(Second(1119)).map(|job| job.stream),
            None,
            "the look is under way, the others can wait"
        );
        assert!(live.next(Second(1120)).is_some_and(|job| job.stream != 1));
    }

    #[test]
    fn a_lively_stream_is_read_without_asking_and_sealed_now_and_then() {
        let mut live = live(1);
        let mut now = 1060;
        let mut looks = Vec::new();
        while now < 1400 {
            if let Some(job) = live.next(Second(now)) {
                looks.push(job.look);
                // What is older than settle is sealed by a full look.
                let sealed = job.look == Some(Look::Full) && now - 120 > 1000;
                live.looked_at(job, sealed.then_some(Second(now - 120)), 10);
            }
            now += 10;
        }
        assert_eq!(
            looks[..2],
            [Some(Look::Full); 2],
            "it is not known to be lively yet"
        );
        let full = looks
            .iter()
            .filter(|look| **look == Some(Look::Full))
            .count();
        assert!((4..=6).contains(&full), "{looks:?}");
    }

    #[test]
    fn what_is_left_is_not_looked_at() {
        let mut live = live(2);
        live.leave(0);
        assert_eq!(live.next(Second(1060)).map(|job| job.stream), Some(1));
        live.overwhelmed(1);
        assert_eq!(live.waiting(), 1);
        live.leave_all();
        assert_eq!((live.waiting(), live.next(Second(2000))), (0, None));
    }
}
