//! A provider without a wire, whose history changes: messages come late, go, are forgotten; readings lack some. Its
//! clock stands still until it is moved, and every request is counted.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use backscroll::domain::clock::{Clock, SystemClock};
use backscroll::domain::message::{
    Conversation, ConversationKind, Delivery, Encoding, Message, Payload, Status, Unreadable,
};
use backscroll::domain::stream::{Scope, Stream};
use backscroll::domain::time::{Millis, Second};
use backscroll::domain::window::Window;
use backscroll::provider::http::Http;
use backscroll::provider::{Account, Counted, Fetched, Provider, ProviderError, Survey};
use reqwest::Url;

/// Messages on a page.
const PAGE: u64 = 100;

/// See above. Its one stream is a channel.
#[derive(Debug)]
pub(crate) struct ChangingProvider {
    account: Account,
    stream: Arc<Stream>,
    http: Http,
    pub(crate) clock: Arc<StandingClock>,
    requests: AtomicU64,
    history: Mutex<History>,
    /// By how much the edges of a count lie behind the bounds, in milliseconds.
    pub(crate) shifts: (i64, i64),
}

/// A clock that is moved by hand.
#[derive(Debug)]
pub(crate) struct StandingClock(AtomicI64);

#[derive(Debug, Default)]
pub(crate) struct History {
    /// By time and number, with how far each has come.
    pub(crate) messages: BTreeSet<(i64, u64)>,
    pub(crate) read: BTreeSet<u64>,
    /// Everything that was ever handed out.
    pub(crate) shown: BTreeSet<(i64, u64)>,
    /// So many readings still will lack a message, and say so.
    pub(crate) lacking: u32,
    /// The ranges that were read.
    pub(crate) readings: Vec<Window>,
    /// How many calls succeed before each of the next that fail.
    pub(crate) failing: VecDeque<u32>,
}

impl History {
    /// Whether this call fails, and how: for the stream, or for the whole account.
    fn fault(&mut self) -> Option<ProviderError> {
        let left = self.failing.front_mut()?;
        if *left > 0 {
            *left -= 1;
            return None;
        }
        self.failing.pop_front();
        Some(if self.failing.len().is_multiple_of(2) {
            ProviderError::Malformed {
                what: "call",
                fault: "garbled".to_owned(),
            }
        } else {
            ProviderError::Unreachable {
                what: "call",
                cause: "reset".to_owned(),
                tries: 6,
            }
        })
    }
}

impl Clock for StandingClock {
    fn now(&self) -> Millis {
        Millis(self.0.load(Ordering::Relaxed))
    }
}

impl StandingClock {
    pub(crate) fn pass(&self, time: Duration) {
        self.0.fetch_add(time.as_millis() as i64, Ordering::Relaxed);
    }
}

impl ChangingProvider {
    pub(crate) fn new(now: Millis, settle: Duration, retention: Option<Duration>) -> Self {
        let url = Url::parse("http://127.0.0.1:1/").expect("a URL");
        let scope = Scope {
            recipient: Some("lobby".to_owned()),
            ..Scope::default()
        };
        let account = Account {
            name: "shop".to_owned(),
            provider: "changing",
            settle,
            retention,
            since: None,
            refresh_for: Some(Duration::from_hours(24)),
            discovers: false,
        };
        Self {
            account,
            stream: Arc::new(Stream {
                key: "destination=lobby".to_owned(),
                scope,
                discovered: false,
            }),
            http: Http::new("shop", &url, 0.0, Arc::new(SystemClock)).expect("a client"),
            clock: Arc::new(StandingClock(AtomicI64::new(now.0))),
            requests: AtomicU64::new(0),
            history: Mutex::default(),
            shifts: (0, 0),
        }
    }

    pub(crate) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().expect("no panic while it is held")
    }

    /// The messages that it shows of a range of milliseconds.
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

    fn ask(&self, requests: u64) -> Result<(), ProviderError> {
        self.requests.fetch_add(requests, Ordering::Relaxed);
        self.history().fault().map_or(Ok(()), Err)
    }

    fn message(&self, (ms, number): (i64, u64)) -> Message {
        let status = if self.history().read.contains(&number) {
            Status::Read
        } else {
            Status::Received
        };
        message(ms, number, status)
    }
}

pub(crate) fn message(ms: i64, number: u64, status: Status) -> Message {
    Message {
        sender: "alice".to_owned(),
        recipient: "lobby".to_owned(),
        sent_at: Millis(ms),
        payload: Payload {
            bytes: number.to_string().into_bytes(),
            encoding: Encoding::Utf8,
        },
        conversation: Conversation::named(ConversationKind::Channel, "lobby"),
        provider_id: Some(number.to_string()),
        message_type: None,
        payload_type: None,
        cipher_suite: None,
        status: Some(Delivery { status, at: None }),
        extra: None,
    }
}

#[async_trait]
impl Provider for ChangingProvider {
    fn account(&self) -> &Account {
        &self.account
    }

    fn streams(&self) -> Vec<Arc<Stream>> {
        vec![self.stream.clone()]
    }

    fn stream(&self, _: usize) -> Arc<Stream> {
        self.stream.clone()
    }

    fn position(&self, key: &str) -> Option<usize> {
        (self.stream.key == key).then_some(0)
    }

    fn follow(&self, _: &Stream) -> bool {
        false
    }

    async fn survey(&self, _: usize, range: Window, target: u64) -> Result<Survey, ProviderError> {
        self.ask(1)?;
        let count = self.window(range).len() as u64;
        let cuts = range.even_cuts(count.div_ceil(target));
        Ok(if count <= 2 * target || cuts.is_empty() {
            Survey::Sized(count)
        } else {
            Survey::Split { count, cuts }
        })
    }

    async fn fetch(&self, _: usize, window: Window, _: u64) -> Result<Fetched, ProviderError> {
        let mut found = self.window(window);
        self.ask(2 * (found.len() as u64).div_ceil(PAGE).max(1))?;
        let mut history = self.history();
        history.readings.push(window);
        let provider_count = Some(found.len() as u64);
        let mut doubt = None;
        if history.lacking > 0 && !found.is_empty() {
            history.lacking -= 1;
            let middle = found.len() / 2;
            found.remove(middle);
            doubt = Some("one is lacking".to_owned());
        }
        history.shown.extend(&found);
        drop(history);
        let messages = found.into_iter().map(|found| self.message(found)).collect();
        Ok(Fetched {
            messages,
            unreadable: vec![],
            provider_count,
            as_of: self.clock.now(),
            doubt,
        })
    }

    async fn count(&self, _: usize, range: Window) -> Result<Counted, ProviderError> {
        self.ask(1)?;
        let shifted = |second: Second, shift| second.start().0 + shift;
        let (from, to) = (
            shifted(range.from(), self.shifts.0),
            shifted(range.to(), self.shifts.1),
        );
        Ok(Counted {
            messages: self.shown(from, to).len() as u64,
            from: Millis(from),
            to: Millis(to),
        })
    }

    fn window(&self) -> u64 {
        1000
    }

    fn cost(&self, messages: u64) -> u64 {
        1 + 2 * messages.div_ceil(PAGE).max(1)
    }

    fn understand(&self, _: usize, raw: &str) -> Result<Message, Unreadable> {
        Err(Unreadable {
            raw: raw.to_owned(),
            reason: "nothing is".to_owned(),
        })
    }

    async fn check(&self) -> Result<(), ProviderError> {
        self.history().fault().map_or(Ok(()), Err)
    }

    fn http(&self) -> &Http {
        &self.http
    }

    fn now(&self) -> Millis {
        self.clock.now()
    }

    fn skew(&self) -> Option<Duration> {
        None
    }

    fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}
