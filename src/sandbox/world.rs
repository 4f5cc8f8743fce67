//! The world that both providers tell of: their accounts, what was written there, and what time it is.
//!
//! What is asked here in-process is the truth; the endpoints show it through the providers' rules.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

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
use crate::domain::time::Millis;

/// Everything that the sandbox's providers know. All methods may be called from anywhere while it serves.
pub struct World {
    options: Options,
    clock: Arc<dyn Clock>,
    projects: RwLock<BTreeMap<String, AgoraHistory>>,
    feeds: Mutex<BTreeMap<String, EventFeeds>>,
    users: RwLock<BTreeMap<String, Web3mqUser>>,
    token: RwLock<String>,
    /// Agora shows nothing that was sent before this millisecond.
    forgotten: AtomicI64,
    /// How far the clock has leapt since the start, in ms.
    leapt: AtomicI64,
    dice: Mutex<fastrand::Rng>,
    rules: Rules,
    arrivals: ArrivalLog,
    script: Script,
}

/// The sandbox has no such account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sandbox has no account `{0}`")]
pub struct UnknownAccountError(pub String);

impl World {
    /// Makes the world that the options describe, up to now. It takes a while when it is large.
    pub(super) fn create(options: Options, clock: Arc<dyn Clock>) -> Result<Self, CorpusError> {
        let mut dice = fastrand::Rng::with_seed(options.seed);
        let now = options.clock_skew.apply(clock.now());
        let corpus = options
            .corpus
            .as_deref()
            .map(corpus::read_lines)
            .transpose()?;
        let mut users = generate::web3mq_accounts(&options, &mut dice.fork(), now);
        if let (Some(corpus), true) = (&corpus, options.corpus_topic)
            && let Some(first) = users.first_mut()
        {
            corpus::add_web3mq_topic(corpus, first);
        }
        let projects = match corpus {
            Some(corpus) => vec![(generate::app_id(0), corpus::agora_history(corpus, &options))],
            None => generate::agora_projects(&options, &mut dice.fork(), now),
        };
        let feeds = projects
            .iter()
            .map(|(app_id, history)| (app_id.clone(), EventFeeds::from_history(history, now.0)));
        Ok(Self {
            feeds: Mutex::new(feeds.collect()),
            token: RwLock::new(options.token.clone()),
            forgotten: AtomicI64::new(i64::MIN),
            options,
            clock,
            projects: RwLock::new(projects.into_iter().collect()),
            users: RwLock::new(
                users
                    .into_iter()
                    .map(|user| (user.user_id().to_owned(), user))
                    .collect(),
            ),
            leapt: AtomicI64::new(0),
            dice: Mutex::new(dice),
            rules: Rules::default(),
            arrivals: ArrivalLog::default(),
            script: Script::default(),
        })
    }

    /// The options that it was made from.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// What time the providers think it is.
    pub fn now(&self) -> Millis {
        let leapt = ClockSkew {
            offset_ms: self.leapt.load(Ordering::Relaxed),
        };
        leapt.apply(self.options.clock_skew.apply(self.clock.now()))
    }

    /// Sets the providers' clock forward or back.
    pub fn shift_clock(&self, by: ClockSkew) {
        self.leapt.fetch_add(by.offset_ms, Ordering::Relaxed);
    }

    /// The record of who kept to which rule.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// When which request came.
    pub fn arrivals(&self) -> &ArrivalLog {
        &self.arrivals
    }

    /// The scripted answers still to give.
    pub fn script(&self) -> &Script {
        &self.script
    }

    /// The token that Agora accepts now.
    pub fn token(&self) -> String {
        read(&self.token).clone()
    }

    /// Makes Agora accept another token; the old one is refused from now on.
    pub fn set_token(&self, token: impl Into<String>) {
        *write(&self.token) = token.into();
    }

    /// The app ids of all Agora projects.
    pub fn app_ids(&self) -> Vec<String> {
        read(&self.projects).keys().cloned().collect()
    }

    /// Whether there is an Agora project of this app id.
    pub fn has_project(&self, app_id: &str) -> bool {
        read(&self.projects).contains_key(app_id)
    }

    /// Every message of an Agora project, in order of time: hidden ones too. Empty if there is no such project.
    pub fn agora_messages(&self, app_id: &str) -> Vec<Arc<AgoraMessage>> {
        read(&self.projects)
            .get(app_id)
            .map(|history| history.all().to_vec())
            .unwrap_or_default()
    }

    /// Streams of an Agora project that together hold all its messages.
    pub fn agora_streams(&self, app_id: &str) -> Vec<SuggestedStream> {
        read(&self.projects)
            .get(app_id)
            .map(AgoraHistory::streams)
            .unwrap_or_default()
    }

    /// Lets `look` see the messages of an Agora project that match and that Agora shows now.
    pub fn with_selected<T>(
        &self,
        app_id: &str,
        wanted: &Selection,
        look: impl FnOnce(&[Arc<AgoraMessage>]) -> T,
    ) -> T {
        let shown = self.shown();
        let range = wanted.range.start.max(shown.start)..wanted.range.end.min(shown.end);
        let wanted = Selection {
            range: range.start..range.end.max(range.start),
            ..wanted.clone()
        };
        look(
            read(&self.projects)
                .get(app_id)
                .map(|history| history.select(&wanted))
                .unwrap_or_default(),
        )
    }

    /// The milliseconds that Agora shows now: neither forgotten nor too fresh.
    fn shown(&self) -> Range<i64> {
        let now = self.now();
        let oldest = self
            .options
            .retention
            .map_or(i64::MIN, |retention| now.minus(retention).0);
        let oldest = oldest.max(self.forgotten.load(Ordering::Relaxed));
        oldest..now.minus(self.options.visibility_lag).0.saturating_add(1)
    }

    /// The user ids of all Web3MQ accounts.
    pub fn users(&self) -> Vec<String> {
        read(&self.users).keys().cloned().collect()
    }

    /// Lets `look` see a Web3MQ account, if there is one of this user id.
    pub fn with_user<T>(&self, user_id: &str, look: impl FnOnce(&Web3mqUser) -> T) -> Option<T> {
        read(&self.users).get(user_id).map(look)
    }

    /// All conversations of a Web3MQ account and their messages in order of time. Empty if there is no such account.
    pub fn web3mq_topics(&self, user_id: &str) -> BTreeMap<String, Web3mqRows> {
        self.with_user(user_id, |account| account.topics().clone())
            .unwrap_or_default()
    }

    /// Writes a message into an Agora project.
    pub fn append_agora(
        &self,
        app_id: &str,
        mut message: AgoraMessage,
    ) -> Result<(), UnknownAccountError> {
        if self.options.time_form.is_whole_seconds() {
            message.ms = Millis(message.ms).second().start().0;
        }
        let mut projects = write(&self.projects);
        let history = projects
            .get_mut(app_id)
            .ok_or_else(|| UnknownAccountError(app_id.to_owned()))?;
        history.insert(message);
        Ok(())
    }

    /// Writes a message into a conversation of a Web3MQ account; one that it did not have is opened.
    pub fn append_web3mq(
        &self,
        user_id: &str,
        message: Web3mqMessage,
    ) -> Result<(), UnknownAccountError> {
        let mut users = write(&self.users);
        let account = users
            .get_mut(user_id)
            .ok_or_else(|| UnknownAccountError(user_id.to_owned()))?;
        account.insert(message);
        Ok(())
    }

    /// Lets something happen in an Agora project; its feeds tell of it.
    pub fn emit_event(&self, app_id: &str, event: AgoraEvent) -> Result<(), UnknownAccountError> {
        let mut feeds = lock(&self.feeds);
        feeds
            .get_mut(app_id)
            .ok_or_else(|| UnknownAccountError(app_id.to_owned()))?
            .push(event);
        Ok(())
    }

    /// The oldest events of a feed, which are gone then.
    pub(super) fn take_events(&self, app_id: &str, feed: EventFeed) -> Vec<Value> {
        lock(&self.feeds)
            .get_mut(app_id)
            .map(|feeds| feeds.take_oldest(feed))
            .unwrap_or_default()
    }

    /// Takes messages away from a conversation of a Web3MQ account: those of this id. Returns how many there were.
    pub fn remove_web3mq(
        &self,
        user_id: &str,
        topic: &str,
        messageid: &str,
    ) -> Result<usize, UnknownAccountError> {
        let mut users = write(&self.users);
        let account = users
            .get_mut(user_id)
            .ok_or_else(|| UnknownAccountError(user_id.to_owned()))?;
        Ok(account.remove(topic, |row| row.messageid == messageid))
    }

    /// Makes both providers forget what was sent before this moment; what they forgot they do not learn again.
    pub fn forget_before(&self, before: Millis) {
        self.forgotten.fetch_max(before.0, Ordering::Relaxed);
        for account in write(&self.users).values_mut() {
            let topics: Vec<String> = account.topics().keys().cloned().collect();
            for topic in topics {
                account.remove(&topic, |row| row.ms < before.0);
            }
        }
    }

    /// Writes one random message, dated now, to each provider.
    pub fn append_random(&self) {
        let now = self.now();
        let mut dice = lock(&self.dice).fork();
        if let Some(app_id) = dice.choice(self.app_ids()) {
            // Projects and users never go away, so neither write can be refused.
            let _ = self.append_agora(
                &app_id,
                generate::random_agora_message(&mut dice, now.0, self.options.plain),
            );
        }
        if let Some(user_id) = dice.choice(self.users()) {
            let row = self.with_user(&user_id, |a| {
                generate::random_web3mq_message(&mut dice, a, now.0, self.options.plain)
            });
            if let Some(row) = row {
                let _ = self.append_web3mq(&user_id, row);
            }
        }
    }

    /// Moves every Web3MQ message one step on: received, delivered, read. Returns how many moved.
    pub fn advance_statuses(&self) -> usize {
        let now = self.now();
        write(&self.users)
            .values_mut()
            .map(|account| account.advance_statuses(now))
            .sum()
    }
}

/// Leaves out the messages, of which there may be a million.
impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Locks, even after a panic elsewhere: every change in the sandbox is complete before anything can panic.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
