//! The request budget of an account: never more requests in any second than the provider allows.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, Notify};
use tokio::time::{Instant, sleep_until};

/// How much longer than a second the provider's second is taken to be: what the network may squeeze two requests
/// together by without the provider counting both into one second.
const PERIOD_MARGIN: f64 = 0.015;

/// More than this says nothing of the requests to come.
const MAX_TIMER_LATENESS: Duration = Duration::from_millis(250);
/// What is left, from one request to the next, of how late the timer was: as late as that, what was let go may arrive.
const LATENESS_DECAY: f64 = 0.99;

/// Pauses up to this long are waited out.
const MAX_SHORT_PAUSE: Duration = Duration::from_secs(10);
/// The longest that a waiting request sleeps before it looks around.
const RECHECK_INTERVAL: Duration = Duration::from_secs(1);
/// So long is waited for the request of whoever was told that there is room for one.
const SLOT_RESERVATION: Duration = Duration::from_millis(50);
/// The shortest wait that the timer can do. Where requests may follow each other faster, only the second counts.
const TIMER_RESOLUTION: Duration = Duration::from_millis(1);

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
    limit: Option<RateLimit>,
    /// The lock is handed over in order of arrival and held while waiting: whoever holds it goes next.
    send_log: Mutex<SendLog>,
    /// Requests that wait, those of [`Turn::Finish`] among them, and the word that the last of either has gone.
    waiting: AtomicUsize,
    waiting_high: AtomicUsize,
    queue_drained: Notify,
    /// Until when the room for a request is spoken for.
    reserved_until: std::sync::Mutex<Option<Instant>>,
    paused_until: std::sync::Mutex<Option<Instant>>,
}

#[derive(Clone, Copy, Debug)]
struct RateLimit {
    /// Between one request and the next; nothing where that is shorter than the timer can wait.
    spacing: Option<Duration>,
    /// How many requests the provider counts together …
    burst: usize,
    /// … over how long.
    period: Duration,
}

/// What has been let go.
#[derive(Debug, Default)]
struct SendLog {
    /// When the last requests went, newest last: as many as the provider counts together.
    recent: VecDeque<Instant>,
    /// When the next is due by the spacing. It follows the schedule, not the moments at which a timer that is always
    /// a little late let the requests go: else every request would lose that little.
    next_due: Option<Instant>,
    /// How late whoever waits has lately been woken, beyond what every timer is. On a machine that is so busy a request
    /// may be as late on its way, and those that come after it are not: they keep as much more distance.
    timer_lateness: Duration,
}

impl SendLog {
    fn record(&mut self, now: Instant, slot: Option<Instant>, pace: RateLimit) {
        let late = slot.map_or(Duration::ZERO, |slot| {
            now.saturating_duration_since(slot)
                .saturating_sub(2 * TIMER_RESOLUTION)
        });
        self.timer_lateness = late
            .max(self.timer_lateness.mul_f64(LATENESS_DECAY))
            .min(MAX_TIMER_LATENESS);
        if self.recent.len() == pace.burst {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        // One that comes late does not let the next follow on its heels.
        let base = |spacing: Duration| {
            self.next_due
                .unwrap_or(now)
                .max(now - spacing.min(pace.period) / 2)
        };
        self.next_due = pace
            .spacing
            .map(|spacing| base(spacing) + spacing + self.timer_lateness / pace.burst as u32);
    }
}

impl Budget {
    /// A budget of so many requests a second; 0 or less means without limit.
    pub fn per_second(rate: f64) -> Self {
        let limit = (rate > 0.0 && rate.is_finite()).then(|| {
            let spacing = Duration::from_secs_f64((1.0 + PERIOD_MARGIN) / rate.max(1e-6));
            let burst = (rate.floor() as usize).max(1);
            let period = spacing.mul_f64(burst as f64);
            RateLimit {
                spacing: Some(spacing).filter(|spacing| *spacing >= TIMER_RESOLUTION),
                burst,
                period,
            }
        });
        Self {
            limit,
            send_log: Mutex::default(),
            waiting: AtomicUsize::new(0),
            waiting_high: AtomicUsize::new(0),
            queue_drained: Notify::new(),
            reserved_until: std::sync::Mutex::default(),
            paused_until: std::sync::Mutex::default(),
        }
    }

    /// How many requests a second it lets go at the most; nothing where it has no limit.
    pub fn rate(&self) -> Option<f64> {
        self.limit
            .map(|pace| pace.burst as f64 / pace.period.as_secs_f64())
    }

    /// Waits until this request may go. Cancel-safe: a wait given up costs no request.
    ///
    /// Errors, with how much is left of it, once a pause is too long to wait for.
    pub async fn acquire(&self, priority: Turn) -> Result<(), Duration> {
        let _waiting = Waiting::enqueue(self, priority);
        let (mut released, awaited) = loop {
            let gone = self.queue_drained.notified();
            let released = self.send_log.lock().await;
            let gives_way =
                || priority == Turn::Begin && self.waiting_high.load(Ordering::SeqCst) > 0;
            let mut awaited = None;
            // Looked at again after the wait: a finishing request may have come meanwhile.
            while let Some(slot) = self.next_slot(&released).filter(|_| !gives_way()) {
                awaited = Some(slot);
                if let Some(left) = self.long_pause() {
                    return Err(left);
                }
                // A pause may come while it is slept; whoever is told to wait for long is told soon.
                sleep_until(slot.min(Instant::now() + RECHECK_INTERVAL)).await;
            }
            if !gives_way() {
                break (released, awaited);
            }
            drop(released);
            gone.await;
        };
        if let Some(pace) = self.limit {
            released.record(Instant::now(), awaited, pace);
        }
        Ok(())
    }

    /// Waits until a request could go at once and none waits: whoever is told may begin something, and nobody else is told
    /// before that has asked for its request. Never, where there is no limit that could be left unused.
    pub async fn spare_slot(&self) {
        if self.limit.is_none() {
            return std::future::pending().await;
        }
        loop {
            let mut gone = std::pin::pin!(self.queue_drained.notified());
            // From here on it hears of the last request that goes.
            gone.as_mut().enable();
            if self.waiting.load(Ordering::SeqCst) > 0 {
                gone.await;
                continue;
            }
            let slot = self.next_slot(&*self.send_log.lock().await);
            let now = Instant::now();
            let claimed = lock(&self.reserved_until).filter(|until| *until > now);
            let Some(slot) = slot.max(claimed) else {
                *lock(&self.reserved_until) = Some(now + SLOT_RESERVATION);
                return;
            };
            sleep_until(slot.min(now + RECHECK_INTERVAL)).await;
        }
    }

    /// When the next request may go; nothing if now.
    fn next_slot(&self, released: &SendLog) -> Option<Instant> {
        let paused = *lock(&self.paused_until);
        let spaced = self.limit.and_then(|pace| {
            let full = released.recent.len() == pace.burst;
            let after_burst = released
                .recent
                .front()
                .filter(|_| full)
                .map(|&first| first + pace.period + released.timer_lateness);
            released.next_due.max(after_burst)
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
        self.paused_for().filter(|left| *left > MAX_SHORT_PAUSE)
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
    fn enqueue(budget: &'a Budget, turn: Turn) -> Self {
        budget.waiting.fetch_add(1, Ordering::SeqCst);
        *lock(&budget.reserved_until) = None;
        if turn == Turn::Finish {
            budget.waiting_high.fetch_add(1, Ordering::SeqCst);
        }
        Self { budget, turn }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let was_last = |waiting: &AtomicUsize| waiting.fetch_sub(1, Ordering::SeqCst) == 1;
        let none_finishes = self.turn == Turn::Finish && was_last(&self.budget.waiting_high);
        if was_last(&self.budget.waiting) || none_finishes {
            self.budget.queue_drained.notify_waiters();
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
    fn late_timer_does_not_lower_the_average_rate() {
        let spacing = Duration::from_millis(100);
        let pace = RateLimit {
            spacing: Some(spacing),
            burst: 10,
            period: spacing * 10,
        };
        let (start, late) = (Instant::now(), Duration::from_millis(3));
        let mut released = SendLog::default();
        let mut now = start;
        for _ in 0..1000 {
            released.record(now, None, pace);
            now = released.next_due.unwrap() + late;
        }
        assert_eq!(now - start, spacing * 1000 + late);
        // But nothing is made up for that was not used.
        let much_later = now + Duration::from_mins(1);
        released.record(much_later, None, pace);
        assert!(released.next_due.unwrap() >= much_later + spacing / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn spare_slot_comes_when_no_request_waits() {
        let budget = std::sync::Arc::new(Budget::per_second(1.0));
        budget.acquire(Turn::Begin).await.unwrap();
        let (start, waits) = (Instant::now(), budget.clone());
        let waiting = tokio::spawn(async move { waits.acquire(Turn::Begin).await });
        tokio::task::yield_now().await;
        budget.spare_slot().await;
        assert!(waiting.await.unwrap().is_ok());
        assert!(
            start.elapsed() >= Duration::from_secs(2),
            "one second for the one who waited, one for the next slot"
        );
        let unlimited = Budget::per_second(0.0);
        assert!(
            tokio::time::timeout(Duration::from_mins(1), unlimited.spare_slot())
                .await
                .is_err()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn spare_slot_is_offered_to_one_caller_at_a_time() {
        let budget = Budget::per_second(1.0);
        budget.spare_slot().await;
        let told = Instant::now();
        budget.spare_slot().await;
        assert_eq!(
            told.elapsed(),
            SLOT_RESERVATION,
            "the first has not asked for anything"
        );
        budget.acquire(Turn::Begin).await.unwrap();
        let asked = Instant::now();
        budget.spare_slot().await;
        assert!(asked.elapsed() >= Duration::from_secs(1));
    }

    #[test]
    fn late_timer_widens_request_spacing() {
        let spacing = Duration::from_millis(100);
        let pace = RateLimit {
            spacing: Some(spacing),
            burst: 10,
            period: spacing * 10,
        };
        let (now, late) = (Instant::now(), Duration::from_millis(52));
        let mut released = SendLog::default();
        released.record(now + late, Some(now), pace);
        assert_eq!(released.timer_lateness, Duration::from_millis(50));
        assert!(released.next_due.unwrap() >= now + late + Duration::from_millis(105));
        for n in 1..500 {
            released.record(now + spacing * n, Some(now + spacing * n), pace);
        }
        assert!(
            released.timer_lateness < Duration::from_millis(1),
            "it is forgotten"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn pause_delays_all_requests_and_ends_by_itself() {
        let budget = Budget::per_second(10.0);
        let start = Instant::now();
        budget.pause_until(start + Duration::from_secs(8));
        budget.pause_until(start + Duration::from_secs(5));
        budget.acquire(Turn::Begin).await.unwrap();
        assert!(Instant::now() - start >= Duration::from_secs(8));
        assert_eq!(budget.paused_for(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn long_pause_fails_waiting_requests() {
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
    async fn cancelled_wait_uses_no_slot() {
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
    async fn high_priority_requests_overtake_queued_ones() {
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
    async fn unlimited_account_never_waits() {
        let start = Instant::now();
        releases(&Budget::per_second(0.0), 1000).await;
        assert!(start.elapsed().is_zero());
    }
}
