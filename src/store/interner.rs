//! Numbers for names: what repeats in every message is written once, and referred to.

use std::collections::{BTreeSet, HashMap, HashSet};

use sqlx::{Acquire, Pool};
use tokio::sync::Mutex;

use super::dialect::Dialect;
use super::rows::{InternedIds, mentioned_names};
use super::{Commit, StoreError, sql};
use crate::domain::message::ConversationKind;
use crate::domain::time::Day;

/// So many numbers are remembered; beyond it the memory starts anew.
const MAX_CACHED: usize = 20_000;
const UNKNOWN_KIND: u8 = ConversationKind::Unknown as u8;

/// The numbers that are certainly in the database: they are given in transactions of their own.
#[derive(Debug, Default)]
pub(super) struct NameInterner(Mutex<InternerCache>);

#[derive(Debug, Default)]
struct InternerCache {
    ids: InternedIds,
    /// Days since 1970 for whose messages there is room.
    partitioned_days: BTreeSet<Day>,
}

impl NameInterner {
    /// Forgets all numbers: a server that took over from another may not have heard of the last of them.
    pub(super) async fn clear(&self) {
        *self.0.lock().await = InternerCache::default();
    }

    /// The numbers that a batch needs, found or given; and room for its messages.
    pub(super) async fn intern<DB: Dialect>(
        &self,
        pool: &Pool<DB>,
        batch: &[Commit],
    ) -> Result<InternedIds, StoreError> {
        const WHAT: &str = "numbers";
        let mut known = self.0.lock().await;
        let mentioned = mentioned_names(batch.iter().flat_map(|commit| &commit.messages));
        let unknown: Vec<&str> = mentioned
            .iter()
            .copied()
            .filter(|name| !known.ids.names.contains_key(*name))
            .collect();
        let conversations = mentioned_conversations(batch);
        let vague: Vec<_> = conversations
            .iter()
            .filter(|(key, kind)| is_unresolved(&known.ids, **key, **kind))
            .collect();
        let moments = batch
            .iter()
            .flat_map(|commit| &commit.messages)
            .map(|identified| identified.message.sent_at);
        let days: BTreeSet<Day> = moments.map(|at| Day::containing(at.second())).collect();
        if unknown.is_empty() && vague.is_empty() && known.partitioned_days.is_superset(&days) {
            return Ok(known.subset(mentioned, &conversations));
        }
        let mut connection = pool.acquire().await.map_err(StoreError::at(WHAT))?;
        let connection = connection.acquire().await.map_err(StoreError::at(WHAT))?;
        let starts = days.iter().map(|day| day.start().start());
        DB::ensure_partitions(connection, starts)
            .await
            .map_err(StoreError::at(WHAT))?;
        if known.partitioned_days.len() + days.len() > MAX_CACHED {
            known.partitioned_days.clear();
        }
        known.partitioned_days.extend(days);
        if known.ids.names.len() + unknown.len() > MAX_CACHED {
            known.ids.names.clear();
        }
        if known
            .ids
            .conversations
            .values()
            .map(HashMap::len)
            .sum::<usize>()
            + vague.len()
            > MAX_CACHED
        {
            known.ids.conversations.clear();
        }
        // After a clearing, what was known a moment ago has to be found again.
        let unknown: Vec<&str> = mentioned
            .iter()
            .copied()
            .filter(|name| !known.ids.names.contains_key(*name))
            .collect();
        intern_names::<DB>(connection, &unknown, &mut known.ids).await?;
        let vague: Vec<_> = conversations
            .iter()
            .filter(|(key, kind)| is_unresolved(&known.ids, **key, **kind))
            .collect();
        intern_conversations::<DB>(connection, &vague, &mut known.ids).await?;
        Ok(known.subset(mentioned, &conversations))
    }
}

impl InternerCache {
    /// The numbers of those names and conversations that have one.
    fn subset(
        &self,
        names: HashSet<&str>,
        conversations: &HashMap<(i64, &str), u8>,
    ) -> InternedIds {
        let names = names
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), *self.ids.names.get(name)?)))
            .collect();
        let mut numbers = InternedIds {
            names,
            conversations: HashMap::new(),
        };
        for &(account, name) in conversations.keys() {
            if let Some(number) = self.ids.conversation(account, name) {
                numbers
                    .conversations
                    .entry(account)
                    .or_default()
                    .insert(name.to_owned(), number);
            }
        }
        numbers
    }
}

/// The conversations that a batch mentions, by account and name, with what is known of their kind.
fn mentioned_conversations(batch: &[Commit]) -> HashMap<(i64, &str), u8> {
    let mut mentioned = HashMap::new();
    for commit in batch {
        for identified in &commit.messages {
            let conversation = &identified.message.conversation;
            let kind = mentioned
                .entry((commit.account.0, conversation.name.as_str()))
                .or_insert(UNKNOWN_KIND);
            *kind = (*kind).max(conversation.kind as u8);
        }
    }
    mentioned
}

/// Whether a conversation has no number yet, or a kind now where it had none.
fn is_unresolved(known: &InternedIds, (account, name): (i64, &str), kind: u8) -> bool {
    known
        .conversation(account, name)
        .is_none_or(|known| known.1 == UNKNOWN_KIND && kind != UNKNOWN_KIND)
}

async fn intern_names<DB: Dialect>(
    connection: &mut DB::Connection,
    unknown: &[&str],
    known: &mut InternedIds,
) -> Result<(), StoreError> {
    const WHAT: &str = "names";
    if unknown.is_empty() {
        return Ok(());
    }
    known.names.extend(
        DB::find_names(connection, unknown)
            .await
            .map_err(StoreError::at(WHAT))?,
    );
    let new: Vec<&str> = unknown
        .iter()
        .copied()
        .filter(|name| !known.names.contains_key(*name))
        .collect();
    for name in &new {
        DB::execute(connection, sql::INSERT_NAME, &[(*name).into()])
            .await
            .map_err(StoreError::at(WHAT))?;
    }
    if !new.is_empty() {
        known.names.extend(
            DB::find_names(connection, &new)
                .await
                .map_err(StoreError::at(WHAT))?,
        );
    }
    Ok(())
}

async fn intern_conversations<DB: Dialect>(
    connection: &mut DB::Connection,
    vague: &[(&(i64, &str), &u8)],
    known: &mut InternedIds,
) -> Result<(), StoreError> {
    const WHAT: &str = "conversations";
    let mut accounts: HashMap<i64, Vec<(&str, u8)>> = HashMap::new();
    for (key, kind) in vague {
        accounts.entry(key.0).or_default().push((key.1, **kind));
    }
    for (account, mut wanted) in accounts {
        // Always in the same order, so that two writers never wait for each other.
        wanted.sort_unstable();
        let names: Vec<&str> = wanted.iter().map(|(name, _)| *name).collect();
        let remember = |known: &mut InternedIds, found: Vec<(String, i64, u8)>| {
            let numbers = found.into_iter().map(|(name, id, kind)| (name, (id, kind)));
            known
                .conversations
                .entry(account)
                .or_default()
                .extend(numbers);
        };
        remember(
            known,
            DB::find_conversations(connection, account, &names)
                .await
                .map_err(StoreError::at(WHAT))?,
        );
        wanted.retain(|(name, kind)| is_unresolved(known, (account, name), *kind));
        for (name, kind) in &wanted {
            let args = [account.into(), (*name).into(), i64::from(*kind).into()];
            DB::execute(connection, sql::UPSERT_CONVERSATION, &args)
                .await
                .map_err(StoreError::at(WHAT))?;
        }
        if !wanted.is_empty() {
            remember(
                known,
                DB::find_conversations(connection, account, &names)
                    .await
                    .map_err(StoreError::at(WHAT))?,
            );
        }
    }
    Ok(())
}
