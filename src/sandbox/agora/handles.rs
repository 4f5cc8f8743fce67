//! The handles that Agora gives out for queries: ready after a while, good for one reading, gone if not read in time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::time::Instant;

use super::history::MessageSeries;
use super::wire::PageQuery;

/// What a handle stands for.
#[derive(Clone, Debug)]
pub(super) enum HandleContent {
    /// The messages as they were when the handle was made.
    Snapshot(MessageSeries),
    /// What is still to be chosen.
    Query(PageQuery),
}

/// What reading a handle comes to.
#[derive(Debug)]
pub(super) enum HandleRead {
    /// Here it is, once.
    Ready(HandleContent),
    InProgress,
    /// It was read before.
    Consumed,
    /// It waited too long.
    Expired,
    /// This project never gave it out.
    Unknown,
}

/// All handles of all projects. A handle is the base64 of `<mark>:<number>`, as real ones are; since numbers only
/// grow, it takes no memory to tell a handle that is gone from one that never was.
#[derive(Debug)]
pub(super) struct HandleStore {
    mark: u32,
    first: u64,
    next: u64,
    live: BTreeMap<u64, Handle>,
    /// Numbers of handles that expired unread; those below the oldest are forgotten and count as consumed.
    expired: BTreeSet<u64>,
}

#[derive(Debug)]
struct Handle {
    app_id: String,
    ready_at: Instant,
    expires_at: Instant,
    content: HandleContent,
}

/// How many expired handles are told apart from consumed ones.
const EXPIRED_KEPT: usize = 10_000;

impl HandleStore {
    pub(super) fn new(rng: &mut fastrand::Rng) -> Self {
        let first = rng.u64(100_000_000..200_000_000);
        let mark = rng.u32(100_000..1_000_000);
        Self {
            mark,
            first,
            next: first,
            live: BTreeMap::new(),
            expired: BTreeSet::new(),
        }
    }

    /// Gives out a handle.
    pub(super) fn issue(
        &mut self,
        app_id: &str,
        content: HandleContent,
        now: Instant,
        ready_after: Duration,
        ttl: Duration,
    ) -> String {
        self.sweep(now);
        let number = self.next;
        self.next += 1;
        let ready_at = now + ready_after;
        self.live.insert(
            number,
            Handle {
                app_id: app_id.to_owned(),
                ready_at,
                expires_at: ready_at + ttl,
                content,
            },
        );
        STANDARD.encode(format!("{}:{number}", self.mark))
    }

    /// Reads a handle, which consumes it when it is ready.
    pub(super) fn read(&mut self, app_id: &str, handle: &str, now: Instant) -> HandleRead {
        self.sweep(now);
        let Some(number) = self.number(handle) else {
            return HandleRead::Unknown;
        };
        let Some(live) = self.live.get(&number) else {
            return if self.expired.contains(&number) {
                HandleRead::Expired
            } else {
                HandleRead::Consumed
            };
        };
        if live.app_id != app_id {
            return HandleRead::Unknown;
        }
        if now < live.ready_at {
            return HandleRead::InProgress;
        }
        if now >= live.expires_at {
            return HandleRead::Expired;
        }
        self.live
            .remove(&number)
            .map_or(HandleRead::Consumed, |handle| {
                HandleRead::Ready(handle.content)
            })
    }

    fn number(&self, handle: &str) -> Option<u64> {
        let text = String::from_utf8(STANDARD.decode(handle).ok()?).ok()?;
        let (mark, number) = text.split_once(':')?;
        let number = number.parse().ok()?;
        (mark == self.mark.to_string() && (self.first..self.next).contains(&number))
            .then_some(number)
    }

    /// Lets go of what expired. Handles expire nearly in the order of their making, so looking at the oldest is enough
    /// to keep memory bounded.
    fn sweep(&mut self, now: Instant) {
        while let Some(oldest) = self
            .live
            .first_entry()
            .filter(|entry| entry.get().expires_at <= now)
        {
            self.expired.insert(*oldest.key());
            oldest.remove();
            if self.expired.len() > EXPIRED_KEPT {
                self.expired.pop_first();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: Duration = Duration::from_millis(300);
    const TTL: Duration = Duration::from_mins(1);

    fn handles() -> HandleStore {
        HandleStore::new(&mut fastrand::Rng::with_seed(7))
    }

    #[test]
    fn a_handle_is_ready_after_a_while_and_good_for_one_reading() {
        let (mut handles, now) = (handles(), Instant::now());
        let handle = handles.issue(
            "app",
            HandleContent::Snapshot(MessageSeries::new()),
            now,
            READY,
            TTL,
        );
        assert!(handle.ends_with("=="), "{handle}");
        assert!(matches!(
            handles.read("app", &handle, now),
            HandleRead::InProgress
        ));
        assert!(matches!(
            handles.read("other", &handle, now + READY),
            HandleRead::Unknown
        ));
        assert!(matches!(
            handles.read("app", &handle, now + READY),
            HandleRead::Ready(_)
        ));
        assert!(matches!(
            handles.read("app", &handle, now + READY),
            HandleRead::Consumed
        ));
    }

    #[test]
    fn an_unread_handle_expires_and_an_invented_one_is_unknown() {
        let (mut handles, now) = (handles(), Instant::now());
        let handle = handles.issue(
            "app",
            HandleContent::Snapshot(MessageSeries::new()),
            now,
            READY,
            TTL,
        );
        assert!(matches!(
            handles.read("app", &handle, now + READY + TTL),
            HandleRead::Expired
        ));
        assert!(matches!(
            handles.read("app", &handle, now + READY + TTL),
            HandleRead::Expired
        ));
        assert!(handles.live.is_empty(), "nothing is kept of it");
        for invented in ["MjIzMDA3OjEyODA5MzkyOQ==", "123456123456", "", "*"] {
            assert!(
                matches!(handles.read("app", invented, now), HandleRead::Unknown),
                "{invented}"
            );
        }
    }
}
