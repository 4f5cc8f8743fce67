//! The handles of Agora's queries. A handle is ready after a delay, can be read once, and expires
//! if it is not read in time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::time::Instant;

use super::history::MessageSeries;
use super::wire::PageQuery;
use crate::sandbox::limits::MAX_EXPIRED;

/// The state of Agora's handlers between requests.
#[derive(Debug)]
pub(in crate::sandbox) struct AgoraState {
    pub(super) handles: Mutex<HandleStore>,
    /// The number of counts requested so far.
    pub(super) counts: AtomicU64,
}

impl AgoraState {
    pub(in crate::sandbox) fn new(rng: &mut fastrand::Rng) -> Self {
        Self {
            handles: Mutex::new(HandleStore::new(rng)),
            counts: AtomicU64::new(0),
        }
    }
}

/// The content of a handle.
#[derive(Clone, Debug)]
pub(super) enum HandleContent {
    /// The messages selected when the handle was created.
    Snapshot(MessageSeries),
    /// The query, to be run when the handle is read.
    Query(PageQuery),
}

/// The result of reading a handle.
#[derive(Debug)]
pub(super) enum HandleRead {
    /// The content, which can be read once.
    Ready(HandleContent),
    InProgress,
    /// The handle was read before.
    Consumed,
    /// The handle was not read in time.
    Expired,
    /// This project has issued no such handle.
    Unknown,
}

/// All handles of all projects.
///
/// A handle is the base64 of `<prefix>:<number>`, as real ones are. Numbers only grow, so a
/// consumed handle can be told from an invented one without memory.
#[derive(Debug)]
pub(super) struct HandleStore {
    prefix: u32,
    first: u64,
    next: u64,
    live: BTreeMap<u64, Handle>,
    /// The numbers of handles that expired unread. Numbers that are no longer kept count as
    /// consumed.
    expired: BTreeSet<u64>,
}

#[derive(Debug)]
struct Handle {
    app_id: String,
    ready_at: Instant,
    expires_at: Instant,
    content: HandleContent,
}

impl HandleStore {
    pub(super) fn new(rng: &mut fastrand::Rng) -> Self {
        let first = rng.u64(100_000_000..200_000_000);
        let prefix = rng.u32(100_000..1_000_000);
        Self {
            prefix,
            first,
            next: first,
            live: BTreeMap::new(),
            expired: BTreeSet::new(),
        }
    }

    /// Issues a handle.
    pub(super) fn issue(
        &mut self,
        app_id: &str,
        content: HandleContent,
        now: Instant,
        ready_after: Duration,
        ttl: Duration,
    ) -> String {
        self.remove_expired(now);
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
        STANDARD.encode(format!("{}:{number}", self.prefix))
    }

    /// Reads a handle. A ready handle is consumed.
    pub(super) fn read(&mut self, app_id: &str, handle: &str, now: Instant) -> HandleRead {
        self.remove_expired(now);
        let Some(number) = self.parse_number(handle) else {
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

    fn parse_number(&self, handle: &str) -> Option<u64> {
        let text = String::from_utf8(STANDARD.decode(handle).ok()?).ok()?;
        let (prefix, number) = text.split_once(':')?;
        let number = number.parse().ok()?;
        (prefix == self.prefix.to_string() && (self.first..self.next).contains(&number))
            .then_some(number)
    }

    /// Removes expired handles. Handles expire nearly in the order of their creation, so checking
    /// the oldest keeps memory bounded.
    fn remove_expired(&mut self, now: Instant) {
        while let Some(oldest) = self
            .live
            .first_entry()
            .filter(|entry| entry.get().expires_at <= now)
        {
            self.expired.insert(*oldest.key());
            oldest.remove();
            if self.expired.len() > MAX_EXPIRED {
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
    fn a_handle_is_ready_after_its_delay_and_can_be_read_once() {
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
    fn an_unread_handle_expires_and_an_invented_handle_is_unknown() {
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
        assert!(handles.live.is_empty(), "an expired handle is removed");
        for invented in ["MjIzMDA3OjEyODA5MzkyOQ==", "123456123456", "", "*"] {
            assert!(
                matches!(handles.read("app", invented, now), HandleRead::Unknown),
                "{invented}"
            );
        }
    }
}
