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
    AccountSettings, FetchedWindow, Gate, Provider, ProviderError, ProviderKind, RangeCount,
    ReadPosition, Survey, WindowRequest,
};

/// The number of messages of a page.
const MESSAGES_PER_PAGE: u64 = 100;

/// The provider. Its only stream is a channel, unless it has overlapping streams.
#[derive(Debug)]
pub(crate) struct FakeProvider {
    account: AccountSettings,
    streams: Mutex<Vec<Arc<Stream>>>,
    /// True if the messages have several senders and recipients.
    has_participants: bool,
    gate: Gate,
    pub(crate) clock: Arc<ManualClock>,
    history: Mutex<FakeHistory>,
    /// Offsets of the start and the end of a count from the requested bounds, in milliseconds.
    pub(crate) count_shifts_ms: (i64, i64),
    /// A second in which messages never end, besides the history.
    pub(crate) endless: Option<EndlessSecond>,
}

/// A second in which messages never end. It is read in parts.
#[derive(Debug)]
pub(crate) struct EndlessSecond {
    pub(crate) second: Second,
    /// The number of messages of each part. They are the same ones again and again.
    pub(crate) messages_per_part: u64,
    /// The time that each part takes, by tokio's paused clock. Zero leaves the clock as it is.
    pub(crate) part_duration: Duration,
}

/// A clock that is set by hand.
#[derive(Debug)]
pub(crate) struct ManualClock(AtomicI64);

#[derive(Debug, Default)]
pub(crate) struct FakeHistory {
    /// The messages that the provider shows, by time in milliseconds and number.
    pub(crate) messages: BTreeSet<(i64, u64)>,
    pub(crate) read: BTreeSet<u64>,
    /// The messages that are returned in a form that cannot be parsed.
    pub(crate) garbled: BTreeSet<u64>,
    /// True if this version of the program can parse them.
    pub(crate) understands_garbled: bool,
    /// All messages that were ever returned.
    pub(crate) shown: BTreeSet<(i64, u64)>,
    /// This many further fetches miss a message and report a doubt.
    pub(crate) incomplete_reads: u32,
    /// The ranges that were fetched.
    pub(crate) fetched_windows: Vec<Window>,
    /// The positions at which parts of the second without an end were read.
    pub(crate) endless_offsets: Vec<u64>,
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
            identity: None,
            settle,
            retention,
            since: None,
            refresh_for: Some(Duration::from_hours(24)),
            discover_limit: None,
        };
        let clock = Arc::new(ManualClock(AtomicI64::new(now.0)));
        let lobby = Arc::new(Stream {
            key: "destination=lobby".to_owned(),
            scope,
            discovered: false,
        });
        Self {
            account,
            streams: Mutex::new(vec![lobby]),
            has_participants: false,
            gate: Gate::new(0.0, clock.clone()),
            clock,
            history: Mutex::default(),
            count_shifts_ms: (0, 0),
            endless: None,
        }
    }

    /// Gives the messages several senders and recipients. Streams overlap ([`follow_next`]), and the
    /// provider shows the messages of a chat of two in two topics, each in one of them only.
    ///
    /// [`follow_next`]: Self::follow_next
    pub(crate) fn with_participants(mut self) -> Self {
        self.has_participants = true;
        self
    }

    /// Follows the next of the overlapping streams, if there is one left.
    pub(crate) fn follow_next(&self) {
        let part = |name: &str| Some(name.to_owned());
        let scopes = [
            ("source=alice", part("alice"), None, None),
            ("source=bob", part("bob"), None, None),
            ("topic=bob", None, None, part("bob/me")),
            ("topic=me", None, part("me"), None),
        ];
        let mut streams = self.streams.lock().expect("no panic while it is held");
        // No provider with a retention has topics that hide a part of a chat.
        let with_retention = self.account.retention.map_or(4, |_| 2);
        let next = scopes
            .into_iter()
            .take(with_retention)
            .nth(streams.len() - 1);
        streams.extend(next.map(|(key, sender, recipient, conversation)| {
            Arc::new(Stream {
                key: key.to_owned(),
                scope: Scope {
                    sender,
                    recipient,
                    conversation,
                },
                discovered: true,
            })
        }));
    }

    /// True if the provider shows a message to a stream. The topic of a peer does not show that
    /// peer's own messages: the user's topic does.
    fn shows(&self, stream: StreamIndex, number: u64) -> bool {
        let stream = self.stream(stream);
        let [sender, recipient, conversation] = self.participants(number);
        let is_own = stream.key == "topic=bob" && recipient != "bob";
        let scope = &stream.scope;
        !is_own && scope.matches_names(sender, recipient, conversation)
    }

    /// The sender, the recipient and the conversation of a message.
    fn participants(&self, number: u64) -> [&'static str; 3] {
        match number % 5 {
            1 if self.has_participants => ["bob", "lobby", "lobby"],
            2 if self.has_participants => ["me", "bob", "bob/me"],
            3 if self.has_participants => ["bob", "me", "bob/me"],
            _ => ["alice", "lobby", "lobby"],
        }
    }

    /// True if the range contains the second without an end.
    fn has_endless(&self, range: Window) -> bool {
        let contains = |endless: &EndlessSecond| range.contains(endless.second.start());
        self.endless.as_ref().is_some_and(contains)
    }

    /// True if it is only a part of the range.
    fn is_around_endless(&self, range: Window) -> bool {
        range.seconds() > 1 && self.has_endless(range)
    }

    /// Returns the next part of the second without an end, if the window is that second.
    async fn endless_part(&self, window: Window, from: ReadPosition) -> Option<FetchedWindow> {
        let endless = self.endless.as_ref()?;
        if window != Window::with_length(endless.second, 1) {
            return None;
        }
        if !endless.part_duration.is_zero() {
            tokio::time::advance(endless.part_duration).await;
        }
        self.history().endless_offsets.push(from.offset);
        let ms = endless.second.start().0;
        let numbers = 0..endless.messages_per_part;
        let messages: Vec<Message> = numbers.map(|n| self.message((ms, n))).collect();
        let next = ReadPosition {
            offset: from.offset + endless.messages_per_part,
            time: Some(Millis(ms)),
        };
        Some(FetchedWindow {
            messages,
            unreadable: vec![],
            provider_count: Some(endless.messages_per_part),
            requested_at: self.clock.now(),
            doubt: None,
            next: Some(next),
            arrivals: None,
        })
    }

    /// The messages that the provider shows to a stream in a range of milliseconds.
    fn shown_to(&self, stream: StreamIndex, from: i64, to: i64) -> Vec<(i64, u64)> {
        let mut shown = self.shown(from, to);
        shown.retain(|(_, number)| self.shows(stream, *number));
        shown
    }

    /// The messages of a range that one of the streams shows.
    pub(crate) fn shown_to_any(&self, from: i64, to: i64) -> Vec<(i64, u64)> {
        let mut shown = self.shown(from, to);
        let streams = 0..self.streams().len();
        shown.retain(|(_, number)| {
            streams
                .clone()
                .any(|stream| self.shows(StreamIndex::new(stream), *number))
        });
        shown
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
        let [sender, recipient, conversation] = self.participants(number);
        let kind = if recipient == "lobby" {
            ConversationKind::Channel
        } else {
            ConversationKind::Peer
        };
        Message {
            sender: sender.to_owned(),
            recipient: recipient.to_owned(),
            conversation: Conversation {
                kind,
                name: conversation.to_owned(),
            },
            ..message(ms, number, status)
        }
    }

    /// Returns a message, or its raw form if that cannot be parsed.
    fn parsed(&self, found: (i64, u64)) -> Result<Message, UnparsableMessage> {
        let history = self.history();
        let is_garbled = history.garbled.contains(&found.1) && !history.understands_garbled;
        drop(history);
        if !is_garbled {
            return Ok(self.message(found));
        }
        let raw = format!("{} {}", found.0, found.1);
        Err(UnparsableMessage::new(raw, "garbled"))
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
        self.streams
            .lock()
            .expect("no panic while it is held")
            .clone()
    }

    fn stream(&self, index: StreamIndex) -> Arc<Stream> {
        self.streams()[index.get()].clone()
    }

    fn stream_index(&self, key: &str) -> Option<StreamIndex> {
        let mut streams = StreamIndex::enumerate(self.streams());
        streams
            .find(|(_, stream)| stream.key == key)
            .map(|(index, _)| index)
    }

    fn follow(&self, _: &Stream) -> bool {
        false
    }

    async fn survey(
        &self,
        stream: StreamIndex,
        range: Window,
        target: u64,
    ) -> Result<Survey, ProviderError> {
        self.record_requests(1)?;
        let (from, to) = (range.from().start().0, range.to().start().0);
        let mut count = self.shown_to(stream, from, to).len() as u64;
        if self.is_around_endless(range) {
            count += 4 * target;
        } else if self.has_endless(range) {
            return Ok(Survey::OneWindow(None));
        }
        let cuts = range.even_split_points(count.div_ceil(target));
        Ok(if count <= 2 * target || cuts.is_empty() {
            Survey::OneWindow(Some(count))
        } else {
            Survey::Split { count, cuts }
        })
    }

    async fn fetch(
        &self,
        stream: StreamIndex,
        window: Window,
        request: WindowRequest,
    ) -> Result<FetchedWindow, ProviderError> {
        if let Some(part) = self.endless_part(window, request.from).await {
            return Ok(part);
        }
        let (from, to) = (window.from().start().0, window.to().start().0);
        let mut found = self.shown_to(stream, from, to);
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
        let mut messages = Vec::new();
        let mut unreadable = Vec::new();
        for found in found {
            match self.parsed(found) {
                Ok(message) => messages.push(message),
                Err(garbled) => unreadable.push(garbled),
            }
        }
        Ok(FetchedWindow {
            messages,
            unreadable,
            provider_count,
            requested_at: self.clock.now(),
            doubt,
            next: None,
            arrivals: None,
        })
    }

    async fn count(&self, stream: StreamIndex, range: Window) -> Result<RangeCount, ProviderError> {
        self.record_requests(1)?;
        let shifted = |second: Second, shift| second.start().0 + shift;
        let (from, to) = (
            shifted(range.from(), self.count_shifts_ms.0),
            shifted(range.to(), self.count_shifts_ms.1),
        );
        Ok(RangeCount {
            messages: self.shown_to(stream, from, to).len() as u64,
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
        let (ms, number) = raw.split_once(' ').expect("a time and a number");
        let found = (ms.parse().unwrap(), number.parse().unwrap());
        self.parsed(found)
    }

    async fn check_credentials(&self) -> Result<(), ProviderError> {
        self.history().next_failure().map_or(Ok(()), Err)
    }

    fn gate(&self) -> &Gate {
        &self.gate
    }
}
