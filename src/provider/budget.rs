//! The request budget of an account: never more requests in any second than the provider allows.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, Notify};
use tokio::time::{Instant, sleep_until};

/// How much longer than a second the provider's second is taken to be: what the network may squeeze two requests
/// together by without the provider counting both into one second.
const SLACK: f64 = 0.015;

/// More than this says nothing of the requests to come.
const MOST_LATE: Duration = Duration::from_millis(250);
/// What is left, from one request to the next, of how late the timer was: as late as that, what was let go may arrive.
const LATE_FADE: f64 = 0.99;

/// Pauses up to this long are waited out.
const BEARABLE: Duration = Duration::from_secs(10);
/// The longest that a waiting request sleeps before it looks around.
const LOOK: Duration = Duration::from_secs(1);
/// So long is waited for the request of whoever was told that there is room for one.
const CLAIM: Duration = Duration::from_millis(50);
/// The shortest wait that the timer can do. Where requests may follow each other faster, only the second counts.
const TICK: Duration = Duration::from_millis(1);

/// Which of the waiting requests goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It finishes what an earlier request began: a handle that is ready does not wait for ever, and what it holds
    /// is already paid for by half.
    Finish,
    /// It begins something.
    Begin,
}

/// Lets requests go, finishing ones first and otherwise in the order they came, so that no sliding second holds more
/// than the rate, and evenly spaced, so that no shorter stretch holds a burst.
#[derive(Debug)]
pub struct Budget {
    /// Nothing where the account has no limit.
    pace: Option<Pace>,
    /// The lock is handed over in order of arrival and held while waiting: whoever holds it goes next.
    released: Mutex<Released>,
    /// Requests that wait, those of [`Turn::Finish`] among them, and the word that the last of either has gone.
    waiting: AtomicUsize,
    finishing: AtomicUsize,
    gone: Notify,
    /// Until when the room for a request is spoken for.
    claimed_until: std::sync::Mutex<Option<Instant>>,
    paused_until: std::sync::Mutex<Option<Instant>>,
}

#[derive(Clone, Copy, Debug)]
struct Pace {
    /// Between one request and the next; nothing where that is shorter than the timer can wait.
    spacing: Option<Duration>,
    /// How many requests the provider counts together …
    burst: usize,
    /// … over how long.
    period: Duration,
}

/// What has been let go.
#[derive(Debug, Default)]
struct Released {
    /// When the last requests went, newest last: as many as the provider counts together.
    last: VecDeque<Instant>,
    /// When the next is due by the spacing. It follows the schedule, not the moments at which a timer that is always
    /// a little late let the requests go: else every request would lose that little.
    due: Option<Instant>,
    /// How late whoever waits has lately been woken, beyond what every timer is. On a machine that is so busy a request
    /// may be as late on its way, and those that come after it are not: they keep as much more distance.
    late: Duration,
}

impl Released {
    fn note(&mut self, now: Instant, slot: Option<Instant>, pace: Pace) {
        let late = slot.map_or(Duration::ZERO, |slot| {
            now.saturating_duration_since(slot).saturating_sub(2 * TICK)
        });
        self.late = late.max(self.late.mul_f64(LATE_FADE)).min(MOST_LATE);
        if self.last.len() == pace.burst {
            self.last.pop_front();
        }
        self.last.push_back(now);
        // One that comes late does not let the next follow on its heels.
        let base = |spacing: Duration| {
            self.due
                .unwrap_or(now)
                .max(now - spacing.min(pace.period) / 2)
        };
        self.due = pace
            .spacing
            .map(|spacing| base(spacing) + spacing + self.late / pace.burst as u32);
    }
}

impl Budget {
    /// A budget of so many requests a second; 0 or less means without limit.
    pub fn per_second(rate: f64) -> Self {
        let pace = (rate > 0.0 && rate.is_finite()).then(|| {
            let spacing = Duration::from_secs_f64((1.0 + SLACK) / rate.max(1e-6));
            let burst = (rate.floor() as usize).max(1);
            let period = spacing.mul_f64(burst as f64);
            Pace {
                spacing: Some(spacing).filter(|spacing| *spacing >= TICK),
                burst,
                period,
            }
        });
        Self {
            pace,
            released: Mutex::default(),
            waiting: AtomicUsize::new(0),
            finishing: AtomicUsize::new(0),
            gone: Notify::new(),
            claimed_until: std::sync::Mutex::default(),
            paused_until: std::sync::Mutex::default(),
        }
    }

    /// How many requests a second it lets go at the most; nothing where it has no limit.
    pub fn rate(&self) -> Option<f64> {
        self.pace
            .map(|pace| pace.burst as f64 / pace.period.as_secs_f64())
    }

    /// Waits until this request may go. Cancel-safe: a wait given up costs no request.
    ///
    /// Errors, with how much is left of it, once a pause is too long to wait for.
    pub async fn acquire(&self, turn: Turn) -> Result<(), Duration> {
        let _waiting = Waiting::of(self, turn);
        let (mut released, awaited) = loop {
            let gone = self.gone.notified();
            let released = self.released.lock().await;
            let gives_way = || turn == Turn::Begin && self.finishing.load(Ordering::SeqCst) > 0;
            let mut awaited = None;
            // Looked at again after the wait: a finishing request may have come meanwhile.
            while let Some(slot) = self.next_slot(&released).filter(|_| !gives_way()) {
                awaited = Some(slot);
                if let Some(left) = self.long_pause() {
                    return Err(left);
                }
                // A pause may come while it is slept; whoever is told to wait for long is told soon.
                sleep_until(slot.min(Instant::now() + LOOK)).await;
            }
            if !gives_way() {
                break (released, awaited);
            }
            drop(released);
            gone.await;
        };
        if let Some(pace) = self.pace {
            released.note(Instant::now(), awaited, pace);
        }
        Ok(())
    }

    /// Waits until a request could go at once and none waits: whoever is told may begin something, and nobody else is told
    /// before that has asked for its request. Never, where there is no limit that could be left unused.
    pub async fn idle(&self) {
        if self.pace.is_none() {
            return std::future::pending().await;
        }
        loop {
            let mut gone = std::pin::pin!(self.gone.notified());
            // From here on it hears of the last request that goes.
            gone.as_mut().enable();
            if self.waiting.load(Ordering::SeqCst) > 0 {
                gone.await;
                continue;
            }
            let slot = self.next_slot(&*self.released.lock().await);
            let now = Instant::now();
            let claimed = lock(&self.claimed_until).filter(|until| *until > now);
            let Some(slot) = slot.max(claimed) else {
                *lock(&self.claimed_until) = Some(now + CLAIM);
                return;
            };
            sleep_until(slot.min(now + LOOK)).await;
        }
    }

    /// When the next request may go; nothing if now.
    fn next_slot(&self, released: &Released) -> Option<Instant> {
        let paused = *lock(&self.paused_until);
        let spaced = self.pace.and_then(|pace| {
            let full = released.last.len() == pace.burst;
            let after_burst = released
                .last
                .front()
                .filter(|_| full)
                .map(|&first| first + pace.period + released.late);
            released.due.max(after_burst)
        });
        paused.max(spaced).filter(|&slot| slot > Instant::now())
    }

    /// Lets nothing go before `until`. An earlier pause that lasts longer stays.
    pub fn pause_until(&self, until: Instant) {
        let mut paused = lock(&self.paused_until);
        *paused = (*paused).max(Some(until));
    }

    /// How long a pause will last that is too long to wait for.
    pub fn long_pause(&self) -> Option<Duration> {
        self.paused_for().filter(|left| *left > BEARABLE)
    }

    /// How long nothing will be let go because of a pause.
    pub fn paused_for(&self) -> Option<Duration> {
        let left =
            lock(&self.paused_until).map(|until| until.saturating_duration_since(Instant::now()));
        left.filter(|left| !left.is_zero())
    }
}

/// A request that waits.
struct Waiting<'a> {
    budget: &'a Budget,
    turn: Turn,
}

impl<'a> Waiting<'a> {
    fn of(budget: &'a Budget, turn: Turn) -> Self {
        budget.waiting.fetch_add(1, Ordering::SeqCst);
        *lock(&budget.claimed_until) = None;
        if turn == Turn::Finish {
            budget.finishing.fetch_add(1, Ordering::SeqCst);
        }
        Self { budget, turn }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let was_last = |waiting: &AtomicUsize| waiting.fetch_sub(1, Ordering::SeqCst) == 1;
        let none_finishes = self.turn == Turn::Finish && was_last(&self.budget.finishing);
        if was_last(&self.budget.waiting) || none_finishes {
            self.budget.gone.notify_waiters();
        }
    }
}

/// The guarded values are plain data that no panic can leave half-written.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn releases(budget: &Budget, n: usize) -> Vec<Instant> {
        let mut at = Vec::new();
        for _ in 0..n {
            budget.acquire(Turn::Begin).await.unwrap();
            at.push(Instant::now());
        }
        at
    }

    #[tokio::test(start_paused = true)]
    async fn no_sliding_second_holds_more_than_the_rate() {
        for (rate, requests) in [
            (1.0, 300),
            (2.5, 300),
            (10.0, 300),
            (100.0, 300),
            (3000.0, 9000),
        ] {
            let at = releases(&Budget::per_second(rate), requests).await;
            let burst = rate.floor() as usize;
            assert!(
                at.windows(burst + 1)
                    .all(|w| w[burst] - w[0] > Duration::from_secs_f64(burst as f64 / rate))
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_rate_is_used_up_to_two_percent() {
        let at = releases(&Budget::per_second(10.0), 1001).await;
        let rate = 1000.0 / (at[1000] - at[0]).as_secs_f64();
        assert!((9.8..10.0).contains(&rate), "{rate}");
        let said = Budget::per_second(10.0).rate().unwrap();
        assert!((said - rate).abs() < 0.01, "{said}");
        assert_eq!(Budget::per_second(0.0).rate(), None);
    }

    #[test]
    fn a_timer_that_is_always_late_costs_nothing_in_the_long_run() {
        let spacing = Duration::from_millis(100);
        let pace = Pace {
            spacing: Some(spacing),
            burst: 10,
            period: spacing * 10,
        };
        let (start, late) = (Instant::now(), Duration::from_millis(3));
        let mut released = Released::default();
        let mut now = start;
        for _ in 0..1000 {
            released.note(now, None, pace);
            now = released.due.unwrap() + late;
        }
        assert_eq!(now - start, spacing * 1000 + late);
        // But nothing is made up for that was not used.
        let much_later = now + Duration::from_mins(1);
        released.note(much_later, None, pace);
        assert!(released.due.unwrap() >= much_later + spacing / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_idle_when_nobody_waits_and_the_next_slot_has_come() {
        let budget = std::sync::Arc::new(Budget::per_second(1.0));
        budget.acquire(Turn::Begin).await.unwrap();
        let (start, waits) = (Instant::now(), budget.clone());
        let waiting = tokio::spawn(async move { waits.acquire(Turn::Begin).await });
        tokio::task::yield_now().await;
        budget.idle().await;
        assert!(waiting.await.unwrap().is_ok());
        assert!(
            start.elapsed() >= Duration::from_secs(2),
            "one second for the one who waited, one for the next slot"
        );
        let unlimited = Budget::per_second(0.0);
        assert!(
            tokio::time::timeout(Duration::from_mins(1), unlimited.idle())
                .await
                .is_err()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn room_for_one_request_is_told_to_one() {
        let budget = Budget::per_second(1.0);
        budget.idle().await;
        let told = Instant::now();
        budget.idle().await;
        assert_eq!(
            told.elapsed(),
            CLAIM,
            "the first has not asked for anything"
        );
        budget.acquire(Turn::Begin).await.unwrap();
        let asked = Instant::now();
        budget.idle().await;
        assert!(asked.elapsed() >= Duration::from_secs(1));
    }

    #[test]
    fn on_a_busy_machine_requests_keep_as_much_more_distance_as_they_may_be_late() {
        let spacing = Duration::from_millis(100);
        let pace = Pace {
            spacing: Some(spacing),
            burst: 10,
            period: spacing * 10,
        };
        let (now, late) = (Instant::now(), Duration::from_millis(52));
        let mut released = Released::default();
        released.note(now + late, Some(now), pace);
        assert_eq!(released.late, Duration::from_millis(50));
        assert!(released.due.unwrap() >= now + late + Duration::from_millis(105));
        for n in 1..500 {
            released.note(now + spacing * n, Some(now + spacing * n), pace);
        }
        assert!(released.late < Duration::from_millis(1), "it is forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_holds_everybody_and_ends_by_itself() {
        let budget = Budget::per_second(10.0);
        let start = Instant::now();
        budget.pause_until(start + Duration::from_secs(8));
        budget.pause_until(start + Duration::from_secs(5));
        budget.acquire(Turn::Begin).await.unwrap();
        assert!(Instant::now() - start >= Duration::from_secs(8));
        assert_eq!(budget.paused_for(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_pause_is_not_waited_for() {
        let budget = Budget::per_second(1.0);
        budget.acquire(Turn::Begin).await.unwrap();
        let start = Instant::now();
        let waits = budget.acquire(Turn::Begin);
        let pause = async { budget.pause_until(start + Duration::from_hours(1)) };
        let (waited, ()) = tokio::join!(waits, pause);
        assert!(waited.unwrap_err() > Duration::from_secs(3590));
        assert!(start.elapsed() <= Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_given_up_costs_no_request() {
        let budget = Budget::per_second(1.0);
        budget.acquire(Turn::Begin).await.unwrap();
        let start = Instant::now();
        for _ in 0..5 {
            let _ =
                tokio::time::timeout(Duration::from_millis(10), budget.acquire(Turn::Begin)).await;
        }
        budget.acquire(Turn::Begin).await.unwrap();
        assert!(start.elapsed() < Duration::from_millis(1100));
    }

    #[tokio::test(start_paused = true)]
    async fn what_finishes_goes_before_what_begins() {
        let budget = Budget::per_second(1.0);
        let order = std::sync::Mutex::new(Vec::new());
        let request = async |name: &'static str, turn| {
            budget.acquire(turn).await.unwrap();
            order.lock().unwrap().push(name);
        };
        tokio::join!(
            request("first come", Turn::Begin),
            request("begins", Turn::Begin),
            request("begins too", Turn::Begin),
            request("finishes", Turn::Finish),
        );
        let order = order.into_inner().unwrap();
        assert_eq!(order[..2], ["first come", "finishes"]);
        assert_eq!(order.len(), 4, "nobody waits for ever");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_nothing_waits() {
        let start = Instant::now();
        releases(&Budget::per_second(0.0), 1000).await;
        assert!(start.elapsed().is_zero());
    }
}
