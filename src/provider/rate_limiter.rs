//! The rate limit of an account: never more requests in any second than the provider allows.

use crate::domain::lock::lock;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, Notify};
use tokio::time::{Instant, sleep_until};

use super::limits::rate::{PROCESS_DISTANCE, RECHECK_INTERVAL, SLOT_RESERVATION};
use super::limits::{MAX_PROVIDER_RATE, MAX_SHORT_PAUSE};
use super::quota_blocks::{QuotaBlocks, QuotaRecord};
use super::round_trip::RoundTrip;
use super::send_log::{RateLimit, SendLog};
use super::sent_time::SentTime;

/// The order of waiting requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Goes first: it finishes what an earlier request began. A handle that is ready expires, and
    /// half of its price is paid.
    High,
    /// Begins something.
    Normal,
}

/// A rate limiter with two priorities. Requests of one priority go in the order they came. No
/// sliding second holds more than the rate, and the requests are evenly spaced, so that no shorter
/// time holds a burst. Where other processes use the account, too, each sends in its own blocks of
/// time.
#[derive(Debug)]
pub struct RateLimiter {
    /// `None` if the account has no limit.
    limit: Option<RateLimit>,
    /// The lock is handed over in order of arrival and held while waiting: its holder goes next.
    schedule: Mutex<SendSchedule>,
    round_trip: std::sync::Mutex<RoundTrip>,
    /// The number of waiting requests of both priorities.
    waiting: AtomicUsize,
    /// The number of waiting requests of high priority.
    waiting_high: AtomicUsize,
    /// Signals that the last request, or the last of high priority, has stopped waiting.
    queue_drained: Notify,
    /// The spare slot is promised to a caller until then.
    reserved_until: std::sync::Mutex<Option<Instant>>,
    paused_until: std::sync::Mutex<Option<Instant>>,
}

/// The requests that were sent, and the time in which further ones may be.
#[derive(Debug)]
struct SendSchedule {
    log: SendLog,
    blocks: QuotaBlocks,
}

impl RateLimiter {
    /// Makes a limiter for this many requests a second; 0 or less means without a limit.
    pub fn per_second(rate: f64) -> Self {
        let is_limited = rate > 0.0 && rate.is_finite();
        let limit = is_limited.then(|| RateLimit::per_second(rate));
        let period = limit.map_or(Duration::ZERO, RateLimit::period);
        let spacing = limit.map_or(Duration::ZERO, RateLimit::average_spacing);
        Self {
            limit,
            schedule: Mutex::new(SendSchedule {
                log: SendLog::default(),
                blocks: QuotaBlocks::new(period, spacing + PROCESS_DISTANCE),
            }),
            round_trip: std::sync::Mutex::default(),
            waiting: AtomicUsize::new(0),
            waiting_high: AtomicUsize::new(0),
            queue_drained: Notify::new(),
            reserved_until: std::sync::Mutex::default(),
            paused_until: std::sync::Mutex::default(),
        }
    }

    /// The highest rate at which requests are sent; `None` without a limit.
    pub fn requests_per_second(&self) -> Option<f64> {
        self.limit.map(RateLimit::requests_per_second)
    }

    /// Shares the rate with all processes that use this record. Does nothing without a limit, or with
    /// one that no provider has.
    pub async fn share_through(&self, record: Arc<dyn QuotaRecord>) {
        if self.can_be_shared() {
            self.schedule.lock().await.blocks.share_through(record);
        }
    }

    /// True if the limit is one that a provider may have.
    pub fn can_be_shared(&self) -> bool {
        self.requests_per_second()
            .is_some_and(|rate| rate <= MAX_PROVIDER_RATE)
    }

    /// The time over which the provider counts requests.
    pub(super) fn period(&self) -> Duration {
        self.limit.map_or(Duration::ZERO, RateLimit::period)
    }

    /// Waits until this request may be sent, and returns its time. Cancel-safe: a cancelled wait uses
    /// no slot.
    ///
    /// Returns the rest of a pause as an error if it is longer than [`MAX_SHORT_PAUSE`].
    pub async fn acquire(&self, priority: Priority) -> Result<SentTime, Duration> {
        let _queued = QueuedRequest::enqueue(self, priority);
        let must_yield =
            || priority == Priority::Normal && self.waiting_high.load(Ordering::SeqCst) > 0;
        let (mut schedule, lateness) = loop {
            let drained = self.queue_drained.notified();
            let mut schedule = self.schedule.lock().await;
            let (mut awaited, mut lateness) = (None, Duration::ZERO);
            // Checked again after each wait: a request of high priority may have come meanwhile.
            while !must_yield() {
                let Some(slot) = self.next_slot(&mut schedule) else {
                    let now = Instant::now();
                    let late = |slot| now.saturating_duration_since(slot);
                    lateness = awaited.take().map_or(lateness, late);
                    if !schedule.blocks.has_ended(now) {
                        break;
                    }
                    schedule.blocks.reserve_next().await;
                    continue;
                };
                awaited = Some(slot);
                if let Some(remaining) = self.long_pause() {
                    return Err(remaining);
                }
                // A pause may begin during the wait; a long one must fail the request soon.
                sleep_until(slot.min(Instant::now() + RECHECK_INTERVAL)).await;
            }
            if !must_yield() {
                break (schedule, lateness);
            }
            drop(schedule);
            drained.await;
        };
        let now = Instant::now();
        let sent = SentTime::at(now);
        if let Some(limit) = self.limit {
            schedule.log.record(&sent, now, lateness, limit);
            schedule.blocks.record_sent(now);
        }
        Ok(sent)
    }

    /// Records that the answer to a request begins now. If it is unusually late, the request may have
    /// been late on its way, and counts so.
    pub(super) fn record_answer(&self, sent: &SentTime) {
        let now = Instant::now();
        let took = now.saturating_duration_since(sent.or_now(now));
        if let Some(excess) = lock(&self.round_trip).record(took) {
            sent.delay(excess);
        }
    }

    /// Waits until a request could be sent at once and none is waiting. The slot is then reserved
    /// for the caller for `SLOT_RESERVATION`. Never returns without a limit, since then no slot
    /// is left unused.
    pub async fn spare_slot(&self) {
        if self.limit.is_none() {
            return std::future::pending().await;
        }
        loop {
            let mut drained = std::pin::pin!(self.queue_drained.notified());
            // From here on it receives the signal of the last request.
            drained.as_mut().enable();
            if self.waiting.load(Ordering::SeqCst) > 0 {
                drained.await;
                continue;
            }
            let slot = self.next_slot(&mut *self.schedule.lock().await);
            let now = Instant::now();
            let reserved = lock(&self.reserved_until).filter(|until| *until > now);
            let Some(slot) = slot.max(reserved) else {
                *lock(&self.reserved_until) = Some(now + SLOT_RESERVATION);
                return;
            };
            sleep_until(slot.min(now + RECHECK_INTERVAL)).await;
        }
    }

    /// The time at which the next request may be sent; `None` if that is now.
    fn next_slot(&self, schedule: &mut SendSchedule) -> Option<Instant> {
        let now = Instant::now();
        let paused = *lock(&self.paused_until);
        let by_rate = self
            .limit
            .and_then(|limit| schedule.log.next_slot(now, limit));
        let by_block = schedule.blocks.begin();
        paused.max(by_rate).max(by_block).filter(|&slot| slot > now)
    }

    /// Sends no request before `until`. Returns false if a pause that lasts longer stays.
    pub fn pause_until(&self, until: Instant) -> bool {
        let mut paused = lock(&self.paused_until);
        let is_longest = *paused <= Some(until);
        *paused = (*paused).max(Some(until));
        is_longest
    }

    /// Ends the pause. Waiting requests notice it within a second.
    pub fn lift_pause(&self) {
        *lock(&self.paused_until) = None;
    }

    /// The rest of a pause that is longer than [`MAX_SHORT_PAUSE`]; `None` if there is none.
    pub fn long_pause(&self) -> Option<Duration> {
        self.paused_for()
            .filter(|remaining| *remaining > MAX_SHORT_PAUSE)
    }

    /// The rest of the current pause; `None` if requests may be sent.
    pub fn paused_for(&self) -> Option<Duration> {
        let until = (*lock(&self.paused_until))?;
        let remaining = until.saturating_duration_since(Instant::now());
        (!remaining.is_zero()).then_some(remaining)
    }
}

/// A request that waits; counted as long as it exists.
struct QueuedRequest<'a> {
    limiter: &'a RateLimiter,
    priority: Priority,
}

impl<'a> QueuedRequest<'a> {
    fn enqueue(limiter: &'a RateLimiter, priority: Priority) -> Self {
        limiter.waiting.fetch_add(1, Ordering::SeqCst);
        *lock(&limiter.reserved_until) = None;
        if priority == Priority::High {
            limiter.waiting_high.fetch_add(1, Ordering::SeqCst);
        }
        Self { limiter, priority }
    }
}

impl Drop for QueuedRequest<'_> {
    fn drop(&mut self) {
        let was_last_high =
            self.priority == Priority::High && count_down(&self.limiter.waiting_high);
        if count_down(&self.limiter.waiting) || was_last_high {
            self.limiter.queue_drained.notify_waiters();
        }
    }
}

/// Decrements a counter. True if it is now zero.
fn count_down(waiting: &AtomicUsize) -> bool {
    waiting.fetch_sub(1, Ordering::SeqCst) == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn releases(limiter: &RateLimiter, n: usize) -> Vec<Instant> {
        let mut at = Vec::new();
        for _ in 0..n {
            limiter.acquire(Priority::Normal).await.unwrap();
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
            let at = releases(&RateLimiter::per_second(rate), requests).await;
            let burst = rate.floor() as usize;
            assert!(
                at.windows(burst + 1)
                    .all(|w| w[burst] - w[0] > Duration::from_secs_f64(burst as f64 / rate))
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn rate_is_used_to_within_two_percent() {
        let at = releases(&RateLimiter::per_second(10.0), 1001).await;
        let rate = 1000.0 / (at[1000] - at[0]).as_secs_f64();
        assert!((9.8..10.0).contains(&rate), "{rate}");
        let reported = RateLimiter::per_second(10.0).requests_per_second().unwrap();
        assert!((reported - rate).abs() < 0.01, "{reported}");
        assert_eq!(RateLimiter::per_second(0.0).requests_per_second(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn spare_slot_comes_when_no_request_waits() {
        let limiter = std::sync::Arc::new(RateLimiter::per_second(1.0));
        limiter.acquire(Priority::Normal).await.unwrap();
        let (start, waits) = (Instant::now(), limiter.clone());
        let waiting = tokio::spawn(async move { waits.acquire(Priority::Normal).await });
        tokio::task::yield_now().await;
        limiter.spare_slot().await;
        assert!(waiting.await.unwrap().is_ok());
        assert!(
            start.elapsed() >= Duration::from_secs(2),
            "a second for the waiting request, a second for the next slot"
        );
        let unlimited = RateLimiter::per_second(0.0);
        assert!(
            tokio::time::timeout(Duration::from_mins(1), unlimited.spare_slot())
                .await
                .is_err()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn spare_slot_is_offered_to_one_caller_at_a_time() {
        let limiter = RateLimiter::per_second(1.0);
        limiter.spare_slot().await;
        let offered = Instant::now();
        limiter.spare_slot().await;
        assert_eq!(
            offered.elapsed(),
            SLOT_RESERVATION,
            "the first caller has sent nothing"
        );
        limiter.acquire(Priority::Normal).await.unwrap();
        let asked = Instant::now();
        limiter.spare_slot().await;
        assert!(asked.elapsed() >= Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn pause_delays_all_requests_and_ends_by_itself() {
        let limiter = RateLimiter::per_second(10.0);
        let start = Instant::now();
        limiter.pause_until(start + Duration::from_secs(8));
        limiter.pause_until(start + Duration::from_secs(5));
        limiter.acquire(Priority::Normal).await.unwrap();
        assert!(Instant::now() - start >= Duration::from_secs(8));
        assert_eq!(limiter.paused_for(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn long_pause_fails_waiting_requests() {
        let limiter = RateLimiter::per_second(1.0);
        limiter.acquire(Priority::Normal).await.unwrap();
        let start = Instant::now();
        let waits = limiter.acquire(Priority::Normal);
        let pause = async { limiter.pause_until(start + Duration::from_hours(1)) };
        let (waited, _) = tokio::join!(waits, pause);
        assert!(waited.unwrap_err() > Duration::from_secs(3590));
        assert!(start.elapsed() <= Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn cancelled_wait_uses_no_slot() {
        let limiter = RateLimiter::per_second(1.0);
        limiter.acquire(Priority::Normal).await.unwrap();
        let start = Instant::now();
        for _ in 0..5 {
            let _ =
                tokio::time::timeout(Duration::from_millis(10), limiter.acquire(Priority::Normal))
                    .await;
        }
        limiter.acquire(Priority::Normal).await.unwrap();
        assert!(start.elapsed() < Duration::from_millis(1100));
    }

    #[tokio::test(start_paused = true)]
    async fn high_priority_requests_overtake_queued_ones() {
        let limiter = RateLimiter::per_second(1.0);
        let order = std::sync::Mutex::new(Vec::new());
        let request = async |name: &'static str, turn| {
            limiter.acquire(turn).await.unwrap();
            order.lock().unwrap().push(name);
        };
        tokio::join!(
            request("first come", Priority::Normal),
            request("begins", Priority::Normal),
            request("begins too", Priority::Normal),
            request("finishes", Priority::High),
        );
        let order = order.into_inner().unwrap();
        assert_eq!(order[..2], ["first come", "finishes"]);
        assert_eq!(order.len(), 4, "every request is sent");
    }

    #[tokio::test(start_paused = true)]
    async fn unlimited_account_never_waits() {
        let start = Instant::now();
        releases(&RateLimiter::per_second(0.0), 1000).await;
        assert!(start.elapsed().is_zero());
    }
}
