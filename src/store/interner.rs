//! Ids for names and conversations: text that repeats in every message is stored once.

use std::collections::{BTreeSet, HashMap, HashSet};

use sqlx::Pool;
use tokio::sync::Mutex;

use super::dialect::Dialect;
use super::driver::execute;
use super::error::StoreError;
use super::limits::MAX_CACHED;
use super::model::AccountId;
use super::rows::{InternedIds, mentioned_names};
use super::sql;
use crate::domain::identity::IdentifiedMessage;
use crate::domain::message::ConversationKind;
use crate::domain::time::Day;

const UNKNOWN_KIND: u8 = ConversationKind::Unknown as u8;

/// Gives out ids, and caches the ids that are certainly in the database. They are inserted in
/// transactions of their own, so a failed commit does not take them back.
#[derive(Debug, Default)]
pub(super) struct NameInterner(Mutex<InternerCache>);

#[derive(Debug, Default)]
struct InternerCache {
    ids: InternedIds,
    /// The days whose messages have a partition.
    partitioned_days: BTreeSet<Day>,
}

/// The kinds of the conversations that a batch mentions, by account and name.
type MentionedKinds<'a> = HashMap<(i64, &'a str), u8>;

impl NameInterner {
    /// Clears the cache: after a failover, the new server may miss the last ids.
    pub(super) async fn clear(&self) {
        *self.0.lock().await = InternerCache::default();
    }

    /// Returns the ids that a batch needs, and inserts missing ones. Creates the partitions for
    /// its messages. A batch whose names are all cached costs no statement.
    pub(super) async fn intern<DB: Dialect>(
        &self,
        pool: &Pool<DB>,
        batch: &[(AccountId, &[IdentifiedMessage])],
    ) -> Result<InternedIds, StoreError> {
        const WHAT: &str = "ids";
        let mut cache = self.0.lock().await;
        let messages = || batch.iter().flat_map(|(_, messages)| *messages);
        let names = mentioned_names(messages());
        let conversations = mentioned_conversations(batch);
        let days: BTreeSet<Day> = messages().map(day_of).collect();
        let new_names = cache.ids.unknown_names(&names).len();
        let new_conversations = cache.ids.unresolved(&conversations).len();
        let has_partitions = cache.partitioned_days.is_superset(&days);
        if new_names == 0 && new_conversations == 0 && has_partitions {
            return Ok(cache.ids.subset(names, &conversations));
        }
        let mut connection = pool.acquire().await.map_err(StoreError::at(WHAT))?;
        let starts = days.iter().map(|day| day.start().start());
        DB::ensure_partitions(&mut connection, starts)
            .await
            .map_err(StoreError::at(WHAT))?;
        cache.make_room(days.len(), new_names, new_conversations);
        cache.partitioned_days.extend(days);
        // After the cache was cleared, names that were cached must be found again.
        let unknown = cache.ids.unknown_names(&names);
        intern_names::<DB>(&mut connection, &unknown, &mut cache.ids).await?;
        let unresolved = cache.ids.unresolved(&conversations);
        intern_conversations::<DB>(&mut connection, &unresolved, &mut cache.ids).await?;
        Ok(cache.ids.subset(names, &conversations))
    }
}

impl InternerCache {
    /// Clears each part that would exceed [`MAX_CACHED`] with these additions.
    fn make_room(&mut self, days: usize, names: usize, conversations: usize) {
        if self.partitioned_days.len() + days > MAX_CACHED {
            self.partitioned_days.clear();
        }
        if self.ids.names.len() + names > MAX_CACHED {
            self.ids.names.clear();
        }
        let cached: usize = self.ids.conversations.values().map(HashMap::len).sum();
        if cached + conversations > MAX_CACHED {
            self.ids.conversations.clear();
        }
    }
}

fn day_of(identified: &IdentifiedMessage) -> Day {
    Day::containing(identified.message.sent_at.second())
}

/// Returns the conversations that a batch mentions, each with the best known kind.
fn mentioned_conversations<'a>(
    batch: &[(AccountId, &'a [IdentifiedMessage])],
) -> MentionedKinds<'a> {
    let mut mentioned = HashMap::new();
    for (account, messages) in batch {
        for identified in *messages {
            let conversation = &identified.message.conversation;
            let key = (account.0, conversation.name.as_str());
            let kind = mentioned.entry(key).or_insert(UNKNOWN_KIND);
            *kind = (*kind).max(conversation.kind as u8);
        }
    }
    mentioned
}

impl InternedIds {
    /// Returns the names without an id.
    fn unknown_names<'a>(&self, names: &HashSet<&'a str>) -> Vec<&'a str> {
        names
            .iter()
            .copied()
            .filter(|name| !self.names.contains_key(*name))
            .collect()
    }

    /// Returns the conversations that have no id, or whose kind has become known.
    fn unresolved<'a>(&self, mentioned: &MentionedKinds<'a>) -> Vec<(i64, &'a str, u8)> {
        let all = mentioned
            .iter()
            .map(|(&(account, name), &kind)| (account, name, kind));
        all.filter(|&(account, name, kind)| self.is_unresolved(account, name, kind))
            .collect()
    }

    fn is_unresolved(&self, account: i64, name: &str, kind: u8) -> bool {
        match self.conversation(account, name) {
            None => true,
            Some((_, known_kind)) => known_kind == UNKNOWN_KIND && kind != UNKNOWN_KIND,
        }
    }

    /// Returns the ids of these names and conversations, as far as they have one.
    fn subset(&self, names: HashSet<&str>, conversations: &MentionedKinds<'_>) -> Self {
        let id_of = |name: &str| Some((name.to_owned(), *self.names.get(name)?));
        let names = names.into_iter().filter_map(id_of).collect();
        let mut subset = Self {
            names,
            conversations: HashMap::new(),
        };
        for &(account, name) in conversations.keys() {
            if let Some(id_and_kind) = self.conversation(account, name) {
                let of_account = subset.conversations.entry(account).or_default();
                of_account.insert(name.to_owned(), id_and_kind);
            }
        }
        subset
    }

    fn add_conversations(&mut self, account: i64, found: Vec<(String, i64, u8)>) {
        let found = found.into_iter().map(|(name, id, kind)| (name, (id, kind)));
        self.conversations.entry(account).or_default().extend(found);
    }
}

/// Finds the ids of names, and inserts the names that have none.
async fn intern_names<DB: Dialect>(
    connection: &mut DB::Connection,
    unknown: &[&str],
    ids: &mut InternedIds,
) -> Result<(), StoreError> {
    const WHAT: &str = "names";
    if unknown.is_empty() {
        return Ok(());
    }
    ids.names.extend(
        DB::find_names(connection, unknown)
            .await
            .map_err(StoreError::at(WHAT))?,
    );
    let mut new = unknown.to_vec();
    new.retain(|name| !ids.names.contains_key(*name));
    for name in &new {
        execute::<DB>(connection, WHAT, sql::INSERT_NAME, &[(*name).into()]).await?;
    }
    if !new.is_empty() {
        ids.names.extend(
            DB::find_names(connection, &new)
                .await
                .map_err(StoreError::at(WHAT))?,
        );
    }
    Ok(())
}

/// Finds the ids of conversations, and inserts or updates those that have no id or no kind.
async fn intern_conversations<DB: Dialect>(
    connection: &mut DB::Connection,
    unresolved: &[(i64, &str, u8)],
    ids: &mut InternedIds,
) -> Result<(), StoreError> {
    let mut accounts: HashMap<i64, Vec<(&str, u8)>> = HashMap::new();
    for &(account, name, kind) in unresolved {
        accounts.entry(account).or_default().push((name, kind));
    }
    for (account, mut wanted) in accounts {
        // Always in the same order, so that two writers do not wait for each other.
        wanted.sort_unstable();
        intern_of_account::<DB>(connection, account, wanted, ids).await?;
    }
    Ok(())
}

async fn intern_of_account<DB: Dialect>(
    connection: &mut DB::Connection,
    account: i64,
    mut wanted: Vec<(&str, u8)>,
    ids: &mut InternedIds,
) -> Result<(), StoreError> {
    const WHAT: &str = "conversations";
    let failed = StoreError::at(WHAT);
    let names: Vec<&str> = wanted.iter().map(|(name, _)| *name).collect();
    let found = DB::find_conversations(connection, account, &names)
        .await
        .map_err(&failed)?;
    ids.add_conversations(account, found);
    wanted.retain(|(name, kind)| ids.is_unresolved(account, name, *kind));
    for (name, kind) in &wanted {
        let args = [account.into(), (*name).into(), i64::from(*kind).into()];
        execute::<DB>(connection, WHAT, DB::UPSERT_CONVERSATION, &args).await?;
    }
    if !wanted.is_empty() {
        let found = DB::find_conversations(connection, account, &names)
            .await
            .map_err(&failed)?;
        ids.add_conversations(account, found);
    }
    Ok(())
}
