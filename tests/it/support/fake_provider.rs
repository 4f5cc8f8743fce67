//! A provider without a network, whose history changes: messages arrive late, vanish and expire,
//! and responses can miss messages. Its clock is set by hand, and every request is counted.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use backscroll::domain::clock::Clock;
use backscroll::domain::message::{
    Conversation, ConversationKind, Delivery, DeliveryStatus, Message, UnparsableMessage,
};
use backscroll::domain::stream::{Scope, Stream, StreamIndex};
use backscroll::domain::time::{Millis, Second};
use backscroll::domain::window::Window;
use backscroll::provider::{
    AccountSettings, FetchedWindow, Gate, Provider, ProviderError, ProviderKind, RangeCount, Survey,
};

/// The number of messages of a page.
const MESSAGES_PER_PAGE: u64 = 100;

/// The provider. Its only stream is a channel.
#[derive(Debug)]
pub(crate) struct FakeProvider {
    account: AccountSettings,
    stream: Arc<Stream>,
    gate: Gate,
    pub(crate) clock: Arc<ManualClock>,
    history: Mutex<FakeHistory>,
    /// Offsets of the start and the end of a count from the requested bounds, in milliseconds.
    pub(crate) count_shifts_ms: (i64, i64),
}

/// A clock that is set by hand.
#[derive(Debug)]
pub(crate) struct ManualClock(AtomicI64);

#[derive(Debug, Default)]
pub(crate) struct FakeHistory {
    /// The messages that the provider shows, by time in milliseconds and number.
    pub(crate) messages: BTreeSet<(i64, u64)>,
    pub(crate) read: BTreeSet<u64>,
    /// All messages that were ever returned.
    pub(crate) shown: BTreeSet<(i64, u64)>,
    /// This many further fetches miss a message and report a doubt.
    pub(crate) incomplete_reads: u32,
    /// The ranges that were fetched.
    pub(crate) fetched_windows: Vec<Window>,
    /// For each future failure, the number of calls that succeed before it.
    pub(crate) calls_before_failures: VecDeque<u32>,
}

impl FakeHistory {
    /// Returns the failure of this call, if it fails: for the stream or for the whole account.
    fn next_failure(&mut self) -> Option<ProviderError> {
        let left = self.calls_before_failures.front_mut()?;
        if *left > 0 {
            *left -= 1;
            return None;
        }
        self.calls_before_failures.pop_front();
        Some(if self.calls_before_failures.len().is_multiple_of(2) {
            ProviderError::Malformed {
                operation: "call",
                fault: "garbled".to_owned(),
            }
        } else {
            ProviderError::Unreachable {
                operation: "call",
                cause: "reset".to_owned(),
                attempts: 6,
            }
        })
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Millis {
        Millis(self.0.load(Ordering::Relaxed))
    }
}

impl ManualClock {
    pub(crate) fn advance(&self, time: Duration) {
        self.0.fetch_add(time.as_millis() as i64, Ordering::Relaxed);
    }
}

impl FakeProvider {
    pub(crate) fn new(now: Millis, settle: Duration, retention: Option<Duration>) -> Self {
        let scope = Scope {
            recipient: Some("lobby".to_owned()),
            ..Scope::default()
        };
        let account = AccountSettings {
            name: "shop".to_owned(),
            provider: ProviderKind::Agora,
            settle,
            retention,
            since: None,
            refresh_for: Some(Duration::from_hours(24)),
            discovers: false,
        };
        let clock = Arc::new(ManualClock(AtomicI64::new(now.0)));
        Self {
            account,
            stream: Arc::new(Stream {
                key: "destination=lobby".to_owned(),
                scope,
                discovered: false,
            }),
            gate: Gate::new(0.0, clock.clone()),
            clock,
            history: Mutex::default(),
            count_shifts_ms: (0, 0),
        }
    }

    /// The number of requests that calls so far would have taken.
    pub(crate) fn requests_sent(&self) -> u64 {
        self.gate.traffic().requests_sent()
    }

    pub(crate) fn history(&self) -> MutexGuard<'_, FakeHistory> {
        self.history.lock().expect("no panic while it is held")
    }

    /// The messages that the provider shows in a range of milliseconds.
    pub(crate) fn shown(&self, from: i64, to: i64) -> Vec<(i64, u64)> {
        let now = self.clock.now();
        let oldest = self
            .account
            .retention
            .map_or(i64::MIN, |retention| now.minus(retention).0);
        let (from, to) = (from.max(oldest), to.min(now.0 + 1));
        if to <= from {
            vec![]
        } else {
            self.history()
                .messages
                .range((from, 0)..(to, 0))
                .copied()
                .collect()
        }
    }

    pub(crate) fn window(&self, window: Window) -> Vec<(i64, u64)> {
        self.shown(window.from().start().0, window.to().start().0)
    }

    fn record_requests(&self, requests: u64) -> Result<(), ProviderError> {
        for _ in 0..requests {
            self.gate.traffic().record_sent();
        }
        self.history().next_failure().map_or(Ok(()), Err)
    }

    fn message(&self, (ms, number): (i64, u64)) -> Message {
        let status = if self.history().read.contains(&number) {
            DeliveryStatus::Read
        } else {
            DeliveryStatus::Received
        };
        message(ms, number, status)
    }
}

pub(crate) fn message(ms: i64, number: u64, status: DeliveryStatus) -> Message {
    Message {
        conversation: Conversation::named(ConversationKind::Channel, "lobby"),
        provider_id: Some(number.to_string()),
        status: Some(Delivery { status, at: None }),
        ..Message::text("alice", "lobby", Millis(ms), &number.to_string())
    }
}

#[async_trait]
impl Provider for FakeProvider {
    fn account(&self) -> &AccountSettings {
        &self.account
    }

    fn streams(&self) -> Vec<Arc<Stream>> {
        vec![self.stream.clone()]
    }

    fn stream(&self, _: StreamIndex) -> Arc<Stream> {
        self.stream.clone()
    }

    fn stream_index(&self, key: &str) -> Option<StreamIndex> {
        (self.stream.key == key).then_some(StreamIndex::new(0))
    }

    fn follow(&self, _: &Stream) -> bool {
        false
    }

    async fn survey(
        &self,
        _: StreamIndex,
        range: Window,
        target: u64,
    ) -> Result<Survey, ProviderError> {
        self.record_requests(1)?;
        let count = self.window(range).len() as u64;
        let cuts = range.even_split_points(count.div_ceil(target));
        Ok(if count <= 2 * target || cuts.is_empty() {
            Survey::OneWindow(count)
        } else {
            Survey::Split { count, cuts }
        })
    }

    async fn fetch(
        &self,
        _: StreamIndex,
        window: Window,
        _: u64,
    ) -> Result<FetchedWindow, ProviderError> {
        let mut found = self.window(window);
        self.record_requests(2 * (found.len() as u64).div_ceil(MESSAGES_PER_PAGE).max(1))?;
        let mut history = self.history();
        history.fetched_windows.push(window);
        let provider_count = Some(found.len() as u64);
        let mut doubt = None;
        if history.incomplete_reads > 0 && !found.is_empty() {
            history.incomplete_reads -= 1;
            let middle = found.len() / 2;
            found.remove(middle);
            doubt = Some("one is lacking".to_owned());
        }
        history.shown.extend(&found);
        drop(history);
        let messages = found.into_iter().map(|found| self.message(found)).collect();
        Ok(FetchedWindow {
            messages,
            unreadable: vec![],
            provider_count,
            requested_at: self.clock.now(),
            doubt,
        })
    }

    async fn count(&self, _: StreamIndex, range: Window) -> Result<RangeCount, ProviderError> {
        self.record_requests(1)?;
        let shifted = |second: Second, shift| second.start().0 + shift;
        let (from, to) = (
            shifted(range.from(), self.count_shifts_ms.0),
            shifted(range.to(), self.count_shifts_ms.1),
        );
        Ok(RangeCount {
            messages: self.shown(from, to).len() as u64,
            from: Millis(from),
            to: Millis(to),
        })
    }

    fn messages_per_window(&self) -> u64 {
        1000
    }

    fn request_cost(&self, messages: u64) -> u64 {
        1 + 2 * messages.div_ceil(MESSAGES_PER_PAGE).max(1)
    }

    fn parse_raw(&self, _: StreamIndex, raw: &str) -> Result<Message, UnparsableMessage> {
        Err(UnparsableMessage {
            raw: raw.to_owned(),
            reason: "nothing is".to_owned(),
        })
    }

    async fn check_credentials(&self) -> Result<(), ProviderError> {
        self.history().next_failure().map_or(Ok(()), Err)
    }

    fn gate(&self) -> &Gate {
        &self.gate
    }
}
