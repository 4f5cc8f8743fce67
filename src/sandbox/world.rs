//! The state of both providers: their accounts, messages and clock.
//!
//! The methods here give the complete state in-process. The HTTP endpoints show it through the
//! providers' rules.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use serde_json::Value;

use super::agora::{
    AgoraEvent, AgoraHistory, AgoraMessage, EventFeed, EventFeeds, Selection, SuggestedStream,
};
use super::arrivals::ArrivalLog;
use super::corpus::{self, CorpusError};
use super::durations::ClockSkew;
use super::generate;
use super::options::Options;
use super::rules::Rules;
use super::script::Script;
use super::web3mq::{Web3mqMessage, Web3mqRows, Web3mqUser};
use crate::domain::clock::Clock;
use crate::domain::lock::{lock, read_lock, write_lock};
use crate::domain::time::Millis;

/// The state of the sandbox's providers. All methods may be called at any time while it serves.
pub struct World {
    options: Options,
    clock: Arc<dyn Clock>,
    projects: RwLock<BTreeMap<String, AgoraHistory>>,
    feeds: Mutex<BTreeMap<String, EventFeeds>>,
    users: RwLock<BTreeMap<String, Web3mqUser>>,
    token: RwLock<String>,
    /// Messages sent before this millisecond have expired at Agora.
    expired_before_ms: AtomicI64,
    /// The total shift of the clock since the start, in milliseconds.
    clock_shift_ms: AtomicI64,
    /// The number of answers so far.
    answers: AtomicU64,
    rng: Mutex<fastrand::Rng>,
    rules: Rules,
    arrivals: ArrivalLog,
    script: Script,
}

/// The error for an account that the sandbox does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sandbox has no account `{0}`")]
pub struct UnknownAccountError(pub String);

impl World {
    /// Creates the world that the options describe, up to now. Blocks for seconds if the history is
    /// large.
    pub(super) fn create(options: Options, clock: Arc<dyn Clock>) -> Result<Self, CorpusError> {
        let mut rng = fastrand::Rng::with_seed(options.seed);
        let now = options.clock_skew.apply(clock.now());
        let corpus = options
            .corpus
            .as_deref()
            .map(corpus::read_lines)
            .transpose()?;
        let mut users = generate::web3mq_accounts(&options, &mut rng.fork(), now);
        if let (Some(corpus), true) = (&corpus, options.corpus_topic)
            && let Some(first) = users.first_mut()
        {
            corpus::add_web3mq_topic(corpus, first);
        }
        let mut projects = match corpus {
            Some(corpus) => vec![(generate::app_id(0), corpus::agora_history(corpus, &options))],
            None => generate::agora_projects(&options, &mut rng.fork(), now),
        };
        if options.user_receives_channels {
            let histories = projects.iter_mut().map(|(_, history)| history);
            histories.for_each(AgoraHistory::add_inboxes);
        }
        let feeds = projects
            .iter()
            .map(|(app_id, history)| (app_id.clone(), EventFeeds::from_history(history, now.0)));
        Ok(Self {
            feeds: Mutex::new(feeds.collect()),
            token: RwLock::new(options.token.clone()),
            expired_before_ms: AtomicI64::new(i64::MIN),
            options,
            clock,
            projects: RwLock::new(projects.into_iter().collect()),
            users: RwLock::new(
                users
                    .into_iter()
                    .map(|user| (user.user_id().to_owned(), user))
                    .collect(),
            ),
            clock_shift_ms: AtomicI64::new(0),
            answers: AtomicU64::new(0),
            rng: Mutex::new(rng),
            rules: Rules::default(),
            arrivals: ArrivalLog::default(),
            script: Script::default(),
        })
    }

    /// Returns the options that the world was created from.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Returns the current time of the providers' clock.
    pub fn now(&self) -> Millis {
        let shift = ClockSkew {
            offset_ms: self.clock_shift_ms.load(Ordering::Relaxed),
        };
        shift.apply(self.options.clock_skew.apply(self.clock.now()))
    }

    /// Returns the time that the next answer shows in its `Date` header.
    pub(super) fn next_date(&self) -> Millis {
        let number = self.answers.fetch_add(1, Ordering::Relaxed);
        let is_first = number < self.options.first_answers;
        let skew = is_first.then_some(self.options.first_dates);
        skew.unwrap_or_default().apply(self.now())
    }

    /// Shifts the providers' clock forward or back.
    pub fn shift_clock(&self, by: ClockSkew) {
        self.clock_shift_ms
            .fetch_add(by.offset_ms, Ordering::Relaxed);
    }

    /// Returns the record of requests and violations.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Returns the log of request arrival times.
    pub fn arrivals(&self) -> &ArrivalLog {
        &self.arrivals
    }

    /// Returns the queue of scripted answers.
    pub fn script(&self) -> &Script {
        &self.script
    }

    /// Returns the token that Agora accepts now.
    pub fn token(&self) -> String {
        read_lock(&self.token).clone()
    }

    /// Replaces the token that Agora accepts. The old token is refused from now on.
    pub fn set_token(&self, token: impl Into<String>) {
        *write_lock(&self.token) = token.into();
    }

    /// Returns the app ids of all Agora projects.
    pub fn app_ids(&self) -> Vec<String> {
        read_lock(&self.projects).keys().cloned().collect()
    }

    /// True if there is an Agora project with this app id.
    pub fn has_project(&self, app_id: &str) -> bool {
        read_lock(&self.projects).contains_key(app_id)
    }

    /// Returns every message of an Agora project in order of time, including hidden ones. Empty if
    /// there is no such project.
    pub fn agora_messages(&self, app_id: &str) -> Vec<Arc<AgoraMessage>> {
        read_lock(&self.projects)
            .get(app_id)
            .map(|history| history.messages().to_vec())
            .unwrap_or_default()
    }

    /// Returns streams of an Agora project that together contain all its messages.
    pub fn agora_streams(&self, app_id: &str) -> Vec<SuggestedStream> {
        read_lock(&self.projects)
            .get(app_id)
            .map(AgoraHistory::streams)
            .unwrap_or_default()
    }

    /// Calls `read` with the messages of an Agora project that match and that Agora shows now.
    pub fn with_selected<T>(
        &self,
        app_id: &str,
        wanted: &Selection,
        read: impl FnOnce(&[Arc<AgoraMessage>]) -> T,
    ) -> T {
        let visible = self.visible_range();
        let range = wanted.range.start.max(visible.start)..wanted.range.end.min(visible.end);
        let wanted = Selection {
            range: range.start..range.end.max(range.start),
            ..wanted.clone()
        };
        let projects = read_lock(&self.projects);
        let selected = projects.get(app_id).map(|history| history.select(&wanted));
        read(selected.unwrap_or_default())
    }

    /// Returns the range of milliseconds that Agora shows now: neither expired nor too recent.
    fn visible_range(&self) -> Range<i64> {
        let now = self.now();
        let oldest = self
            .options
            .retention
            .map_or(i64::MIN, |retention| now.minus(retention).0);
        let oldest = oldest.max(self.expired_before_ms.load(Ordering::Relaxed));
        oldest..now.minus(self.options.visibility_lag).0.saturating_add(1)
    }

    /// Returns the user ids of all Web3MQ accounts.
    pub fn user_ids(&self) -> Vec<String> {
        read_lock(&self.users).keys().cloned().collect()
    }

    /// Calls `read` with a Web3MQ account. `None` if there is no such account.
    pub fn with_user<T>(&self, user_id: &str, read: impl FnOnce(&Web3mqUser) -> T) -> Option<T> {
        read_lock(&self.users).get(user_id).map(read)
    }

    /// Returns all conversations of a Web3MQ account with their messages in order of time. Empty if
    /// there is no such account.
    pub fn web3mq_topics(&self, user_id: &str) -> BTreeMap<String, Web3mqRows> {
        self.with_user(user_id, |account| account.topics().clone())
            .unwrap_or_default()
    }

    /// Adds a message to an Agora project.
    pub fn append_agora(
        &self,
        app_id: &str,
        mut message: AgoraMessage,
    ) -> Result<(), UnknownAccountError> {
        if self.options.time_form.is_whole_seconds() {
            message.ms = Millis(message.ms).second().start().0;
        }
        let mut projects = write_lock(&self.projects);
        let history = projects
            .get_mut(app_id)
            .ok_or_else(|| UnknownAccountError(app_id.to_owned()))?;
        history.insert(message);
        Ok(())
    }

    /// Adds a message to a conversation of a Web3MQ account. Creates the conversation if necessary.
    pub fn append_web3mq(
        &self,
        user_id: &str,
        message: Web3mqMessage,
    ) -> Result<(), UnknownAccountError> {
        let mut users = write_lock(&self.users);
        let account = users
            .get_mut(user_id)
            .ok_or_else(|| UnknownAccountError(user_id.to_owned()))?;
        account.insert(message);
        Ok(())
    }

    /// Adds an event to the feeds of an Agora project.
    pub fn emit_event(&self, app_id: &str, event: AgoraEvent) -> Result<(), UnknownAccountError> {
        let mut feeds = lock(&self.feeds);
        feeds
            .get_mut(app_id)
            .ok_or_else(|| UnknownAccountError(app_id.to_owned()))?
            .push(event);
        Ok(())
    }

    /// Takes the oldest events from a feed. They are not reported again.
    pub(super) fn take_events(&self, app_id: &str, feed: EventFeed) -> Vec<Value> {
        lock(&self.feeds)
            .get_mut(app_id)
            .map(|feeds| feeds.take_oldest(feed))
            .unwrap_or_default()
    }

    /// Removes the messages with this id from a conversation of a Web3MQ account. Returns their
    /// number.
    pub fn remove_web3mq(
        &self,
        user_id: &str,
        topic: &str,
        messageid: &str,
    ) -> Result<usize, UnknownAccountError> {
        let mut users = write_lock(&self.users);
        let account = users
            .get_mut(user_id)
            .ok_or_else(|| UnknownAccountError(user_id.to_owned()))?;
        Ok(account.remove(topic, |row| row.messageid == messageid))
    }

    /// Expires all messages before this time at both providers. Agora also hides older messages
    /// that are added later.
    pub fn expire_before(&self, before: Millis) {
        self.expired_before_ms
            .fetch_max(before.0, Ordering::Relaxed);
        for account in write_lock(&self.users).values_mut() {
            let topics: Vec<String> = account.topics().keys().cloned().collect();
            for topic in topics {
                account.remove(&topic, |row| row.ms < before.0);
            }
        }
    }

    /// Adds one random message, dated now, to each provider.
    pub fn append_random(&self) {
        let now = self.now();
        let mut rng = lock(&self.rng).fork();
        if let Some(app_id) = rng.choice(self.app_ids()) {
            let message =
                generate::random_agora_message(&mut rng, now.0, self.options.is_ordinary());
            // Accounts are never removed, so neither call can fail.
            let _ = self.append_agora(&app_id, message);
        }
        if let Some(user_id) = rng.choice(self.user_ids()) {
            let row = self.with_user(&user_id, |a| {
                generate::random_web3mq_message(&mut rng, a, now.0, self.options.is_ordinary())
            });
            if let Some(mut row) = row {
                generate::apply_sender_clock(&mut rng, &mut row, &self.options);
                let _ = self.append_web3mq(&user_id, row);
            }
        }
    }

    /// Advances every Web3MQ message by one status: received, delivered, read. Returns the number
    /// of messages that changed.
    pub fn advance_statuses(&self) -> usize {
        let now = self.now();
        write_lock(&self.users)
            .values_mut()
            .map(|account| account.advance_statuses(now))
            .sum()
    }
}

/// Omits the messages, because there may be a million.
impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
