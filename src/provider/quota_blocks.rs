//! The time in which this process may send requests for an account that other processes use, too.
//!
//! Processes know of each other only through a record that outlives them: the archive. Each of them
//! reserves a block of time there before it sends, and sends in its own blocks only. So a process
//! that was killed has sent nothing after the end of its last block, and processes side by side take
//! turns. While requests follow each other, the next block is reserved during the current one, and
//! no request waits for the record.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::limits::rate::MAX_RESERVATION_TIME;
use crate::domain::quota::{BlockRequest, ReservedBlock};
use crate::domain::time::Millis;

/// The record of the blocks that all processes have reserved of one account.
#[async_trait]
pub trait QuotaRecord: Debug + Send + Sync {
    /// Reserves a block behind all that are reserved. `None` if it cannot be recorded.
    async fn reserve(&self, request: BlockRequest) -> Option<ReservedBlock>;
}

/// The blocks of this process.
#[derive(Debug)]
pub(super) struct QuotaBlocks {
    /// `None` before the archive is known.
    record: Option<Arc<dyn QuotaRecord>>,
    /// The length of a block.
    length: Duration,
    /// The distance from the block of another process.
    distance: Duration,
    current: Option<Block>,
    /// The reservation of the next block.
    pending: Option<JoinHandle<Block>>,
}

/// A block by this machine's timer.
#[derive(Clone, Copy, Debug)]
struct Block {
    from: Instant,
    until: Instant,
    /// The end as it was recorded. `None` if the block is not recorded.
    recorded_end: Option<Millis>,
}

impl QuotaBlocks {
    pub(super) fn new(length: Duration, distance: Duration) -> Self {
        Self {
            record: None,
            length: Duration::from_millis(length.as_millis().max(1) as u64),
            distance,
            current: None,
            pending: None,
        }
    }

    /// Reserves all further blocks in this record.
    pub(super) fn share_through(&mut self, record: Arc<dyn QuotaRecord>) {
        self.record = Some(record);
    }

    /// The begin of a block that is reserved, but has not begun.
    pub(super) fn begin(&self) -> Option<Instant> {
        self.current.map(|block| block.from)
    }

    /// True if the next block must be reserved before a request is sent.
    pub(super) fn has_ended(&self, now: Instant) -> bool {
        self.record.is_some() && self.current.is_none_or(|block| block.until <= now)
    }

    /// Waits for the next block. Cancel-safe: a cancelled wait is continued by the next one.
    pub(super) async fn reserve_next(&mut self) {
        let Some(record) = &self.record else {
            return;
        };
        let (last, length, distance) = (self.current, self.length, self.distance);
        let pending = self
            .pending
            .get_or_insert_with(|| spawn_reservation(record.clone(), last, length, distance));
        let reserved = pending.await;
        self.pending = None;
        // The task neither panics nor is it aborted; the runtime may end before it.
        let unrecorded = |_| Block::unrecorded(last, Instant::now(), length);
        self.current = Some(reserved.unwrap_or_else(unrecorded));
    }

    /// Records that a request is sent. From the middle of a block on, the next one is reserved, so
    /// that no request waits for it.
    pub(super) fn record_sent(&mut self, now: Instant) {
        let (Some(record), Some(block)) = (&self.record, self.current) else {
            return;
        };
        if self.pending.is_none() && now + self.length / 2 >= block.until {
            let (length, distance) = (self.length, self.distance);
            let task = spawn_reservation(record.clone(), Some(block), length, distance);
            self.pending = Some(task);
        }
    }
}

impl Block {
    /// Returns a block that no other process knows of. A record that fails must not hold up the
    /// requests for long: then the archive fails as well, and says so.
    ///
    /// The first block of a process begins a period after `asked`: another process without a record
    /// may have ended a moment ago.
    fn unrecorded(last: Option<Self>, asked: Instant, length: Duration) -> Self {
        let now = Instant::now();
        let from = last.map_or(now.max(asked + length), |_| now);
        Self {
            from,
            until: from + length,
            recorded_end: None,
        }
    }
}

fn spawn_reservation(
    record: Arc<dyn QuotaRecord>,
    last: Option<Block>,
    length: Duration,
    distance: Duration,
) -> JoinHandle<Block> {
    let request = BlockRequest {
        length,
        distance,
        last_end: last.and_then(|block| block.recorded_end),
    };
    tokio::spawn(async move {
        let asked = Instant::now();
        let reservation = reserve(&*record, last, request);
        let reserved = timeout(MAX_RESERVATION_TIME, reservation).await;
        reserved
            .unwrap_or(None)
            .unwrap_or_else(|| Block::unrecorded(last, asked, length))
    })
}

/// Reserves a block of which some time is left. A record that is slower than the block is long is
/// asked for longer ones.
async fn reserve(
    record: &dyn QuotaRecord,
    last: Option<Block>,
    mut request: BlockRequest,
) -> Option<Block> {
    loop {
        let asked = Instant::now();
        let reserved = record.reserve(request).await?;
        let answered = Instant::now();
        let (from, until) = match last.filter(|_| reserved.continues(&request)) {
            Some(last) => (last.until, last.until + request.length),
            // The record's moment lies between the question and the answer: the block is the part
            // that is certain.
            None => (
                answered + reserved.begins_in,
                asked + reserved.begins_in + request.length,
            ),
        };
        if until > from.max(answered) {
            return Some(Block {
                from,
                until,
                recorded_end: Some(reserved.end),
            });
        }
        request.length *= 2;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use super::*;
    use crate::domain::lock::lock;
    use crate::provider::rate_limiter::{Priority, RateLimiter};

    /// A record in memory, by the rules of the archive.
    #[derive(Debug)]
    struct SharedRecord {
        start: Instant,
        end: Mutex<Millis>,
        writes: AtomicU32,
        fails: AtomicBool,
        /// The time that an answer takes.
        delay: Duration,
    }

    impl SharedRecord {
        fn new(delay: Duration) -> Arc<Self> {
            Arc::new(Self {
                start: Instant::now(),
                end: Mutex::new(Millis(0)),
                writes: AtomicU32::new(0),
                fails: AtomicBool::new(false),
                delay,
            })
        }
    }

    #[async_trait]
    impl QuotaRecord for SharedRecord {
        async fn reserve(&self, request: BlockRequest) -> Option<ReservedBlock> {
            tokio::time::sleep(self.delay).await;
            if self.fails.load(Ordering::Relaxed) {
                return None;
            }
            self.writes.fetch_add(1, Ordering::Relaxed);
            let now = Millis(0).plus(self.start.elapsed());
            let mut end = lock(&self.end);
            let is_own = request.last_end == Some(*end);
            let earliest = if is_own {
                *end
            } else {
                end.plus(request.distance)
            };
            let begin = earliest.max(now);
            *end = begin.plus(request.length);
            Some(ReservedBlock {
                begins_in: begin.since(now),
                end: *end,
            })
        }
    }

    async fn sharing(rate: f64, record: &Arc<SharedRecord>) -> RateLimiter {
        let limiter = RateLimiter::per_second(rate);
        limiter.share_through(record.clone()).await;
        limiter
    }

    async fn send(limiter: &RateLimiter, requests: usize) -> Vec<Instant> {
        let mut at = Vec::new();
        for _ in 0..requests {
            limiter.acquire(Priority::Normal).await.unwrap();
            at.push(Instant::now());
        }
        at
    }

    /// Panics if more requests than `burst` were sent in any second.
    fn assert_within_rate(mut at: Vec<Instant>, burst: usize, period: Duration) {
        at.sort_unstable();
        for pair in at.windows(burst + 1) {
            assert!(
                pair[burst] - pair[0] >= period,
                "{:?}",
                pair[burst] - pair[0]
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_process_uses_the_whole_rate_with_a_write_a_second() {
        for delay_ms in [0, 5, 300] {
            let record = SharedRecord::new(Duration::from_millis(delay_ms));
            let limiter = sharing(10.0, &record).await;
            let at = send(&limiter, 1001).await;
            let rate = 1000.0 / (at[1000] - at[0]).as_secs_f64();
            assert!((9.8..10.0).contains(&rate), "{delay_ms}: {rate}");
            let writes = record.writes.load(Ordering::Relaxed);
            assert!((98..=103).contains(&writes), "{writes}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn idle_process_writes_nothing() {
        let record = SharedRecord::new(Duration::ZERO);
        let limiter = sharing(10.0, &record).await;
        send(&limiter, 3).await;
        tokio::time::sleep(Duration::from_hours(1)).await;
        assert_eq!(record.writes.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn processes_side_by_side_stay_within_one_rate_and_share_it() {
        for (rate, burst, period) in [
            (10.0, 10, 1.0),
            (1.0, 1, 1.0),
            (0.5, 1, 2.0),
            (100.0, 100, 1.0),
        ] {
            let record = SharedRecord::new(Duration::from_millis(3));
            let (one, two) = (sharing(rate, &record).await, sharing(rate, &record).await);
            let enough = (rate * 20.0) as usize;
            let (first, second) = tokio::join!(send(&one, enough), send(&two, enough));
            let last = *first.last().max(second.last()).unwrap();
            let took = last - *first.first().min(second.first()).unwrap();
            assert!(took < Duration::from_mins(2), "{rate}: {took:?}");
            assert_within_rate(
                [first, second].concat(),
                burst,
                Duration::from_secs_f64(period),
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn successor_of_a_killed_process_waits_out_its_block() {
        for killed_after in 1..40 {
            let record = SharedRecord::new(Duration::from_millis(3));
            let killed = sharing(10.0, &record).await;
            let mut at = send(&killed, killed_after).await;
            drop(killed);
            at.extend(send(&sharing(10.0, &record).await, 30).await);
            assert_within_rate(at, 10, Duration::from_secs(1));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn record_that_fails_or_hangs_holds_up_no_request_for_long() {
        let record = SharedRecord::new(Duration::ZERO);
        let limiter = sharing(10.0, &record).await;
        record.fails.store(true, Ordering::Relaxed);
        let at = send(&limiter, 101).await;
        assert!(at[100] - at[0] < Duration::from_secs(11));
        let hanging = SharedRecord::new(Duration::from_hours(1));
        let begun = Instant::now();
        send(&sharing(10.0, &hanging).await, 1).await;
        assert!(begun.elapsed() <= MAX_RESERVATION_TIME);
    }

    #[tokio::test(start_paused = true)]
    async fn process_without_a_record_waits_a_period_at_its_start_only() {
        let missing = SharedRecord::new(Duration::ZERO);
        missing.fails.store(true, Ordering::Relaxed);
        let begun = Instant::now();
        let at = send(&sharing(10.0, &missing).await, 101).await;
        assert!(
            at[0] - begun >= Duration::from_secs(1),
            "{:?}",
            at[0] - begun
        );
        assert!(at[100] - at[0] < Duration::from_secs(11));
    }

    #[tokio::test(start_paused = true)]
    async fn slow_record_is_asked_for_longer_blocks() {
        let record = SharedRecord::new(Duration::from_millis(1500));
        let (one, two) = (sharing(10.0, &record).await, sharing(10.0, &record).await);
        let (first, second) = tokio::join!(send(&one, 100), send(&two, 100));
        assert_within_rate([first, second].concat(), 10, Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn cancelled_wait_for_a_block_is_continued() {
        let record = SharedRecord::new(Duration::from_millis(100));
        let limiter = sharing(10.0, &record).await;
        for _ in 0..5 {
            let wait = limiter.acquire(Priority::Normal);
            assert!(timeout(Duration::from_millis(10), wait).await.is_err());
        }
        send(&limiter, 1).await;
        assert_eq!(record.writes.load(Ordering::Relaxed), 1);
    }
}
