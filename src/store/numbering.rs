//! Numbers for names: what repeats in every message is written once, and referred to.

use std::collections::{BTreeSet, HashMap, HashSet};

use sqlx::{Acquire, Pool};
use tokio::sync::Mutex;

use super::dialect::Dialect;
use super::rows::{Numbers, names};
use super::{Commit, StoreError, sql};
use crate::domain::message::ConversationKind;
use crate::domain::time::Millis;

/// So many numbers are remembered; beyond it the memory starts anew.
const REMEMBERED: usize = 20_000;
const UNKNOWN: u8 = ConversationKind::Unknown as u8;

const DAY_MS: i64 = 86_400_000;

/// The numbers that are certainly in the database: they are given in transactions of their own.
#[derive(Debug, Default)]
pub(super) struct Numbering(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    numbers: Numbers,
    /// Days since 1970 for whose messages there is room.
    days: BTreeSet<i64>,
}

impl Numbering {
    /// Forgets all numbers: a server that took over from another may not have heard of the last of them.
    pub(super) async fn forget(&self) {
        *self.0.lock().await = Known::default();
    }

    /// The numbers that a batch needs, found or given; and room for its messages.
    pub(super) async fn number<DB: Dialect>(
        &self,
        pool: &Pool<DB>,
        batch: &[Commit],
    ) -> Result<Numbers, StoreError> {
        const WHAT: &str = "numbers";
        let mut known = self.0.lock().await;
        let mentioned = names(batch.iter().flat_map(|commit| &commit.messages));
        let unknown: Vec<&str> = mentioned
            .iter()
            .copied()
            .filter(|name| !known.numbers.names.contains_key(*name))
            .collect();
        let conversations = conversations(batch);
        let vague: Vec<_> = conversations
            .iter()
            .filter(|(key, kind)| is_vague(&known.numbers, **key, **kind))
            .collect();
        let moments = batch
            .iter()
            .flat_map(|commit| &commit.messages)
            .map(|identified| identified.message.sent_at);
        let days: BTreeSet<i64> = moments.map(|at| at.0.div_euclid(DAY_MS)).collect();
        if unknown.is_empty() && vague.is_empty() && known.days.is_superset(&days) {
            return Ok(known.of(mentioned, &conversations));
        }
        let mut connection = pool.acquire().await.map_err(StoreError::at(WHAT))?;
        let connection = connection.acquire().await.map_err(StoreError::at(WHAT))?;
        let starts = days.iter().map(|day| Millis(day.saturating_mul(DAY_MS)));
        DB::make_room(connection, starts)
            .await
            .map_err(StoreError::at(WHAT))?;
        if known.days.len() + days.len() > REMEMBERED {
            known.days.clear();
        }
        known.days.extend(days);
        if known.numbers.names.len() + unknown.len() > REMEMBERED {
            known.numbers.names.clear();
        }
        if known
            .numbers
            .conversations
            .values()
            .map(HashMap::len)
            .sum::<usize>()
            + vague.len()
            > REMEMBERED
        {
            known.numbers.conversations.clear();
        }
        // After a clearing, what was known a moment ago has to be found again.
        let unknown: Vec<&str> = mentioned
            .iter()
            .copied()
            .filter(|name| !known.numbers.names.contains_key(*name))
            .collect();
        number_names::<DB>(connection, &unknown, &mut known.numbers).await?;
        let vague: Vec<_> = conversations
            .iter()
            .filter(|(key, kind)| is_vague(&known.numbers, **key, **kind))
            .collect();
        number_conversations::<DB>(connection, &vague, &mut known.numbers).await?;
        Ok(known.of(mentioned, &conversations))
    }
}

impl Known {
    /// The numbers of those names and conversations that have one.
    fn of(&self, names: HashSet<&str>, conversations: &HashMap<(i64, &str), u8>) -> Numbers {
        let names = names
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), *self.numbers.names.get(name)?)))
            .collect();
        let mut numbers = Numbers {
            names,
            conversations: HashMap::new(),
        };
        for &(account, name) in conversations.keys() {
            if let Some(number) = self.numbers.conversation(account, name) {
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
fn conversations(batch: &[Commit]) -> HashMap<(i64, &str), u8> {
    let mut mentioned = HashMap::new();
    for commit in batch {
        for identified in &commit.messages {
            let conversation = &identified.message.conversation;
            let kind = mentioned
                .entry((commit.account.0, conversation.name.as_str()))
                .or_insert(UNKNOWN);
            *kind = (*kind).max(conversation.kind as u8);
        }
    }
    mentioned
}

/// Whether a conversation has no number yet, or a kind now where it had none.
fn is_vague(known: &Numbers, (account, name): (i64, &str), kind: u8) -> bool {
    known
        .conversation(account, name)
        .is_none_or(|known| known.1 == UNKNOWN && kind != UNKNOWN)
}

async fn number_names<DB: Dialect>(
    connection: &mut DB::Connection,
    unknown: &[&str],
    known: &mut Numbers,
) -> Result<(), StoreError> {
    const WHAT: &str = "names";
    if unknown.is_empty() {
        return Ok(());
    }
    known.names.extend(
        DB::names(connection, unknown)
            .await
            .map_err(StoreError::at(WHAT))?,
    );
    let new: Vec<&str> = unknown
        .iter()
        .copied()
        .filter(|name| !known.names.contains_key(*name))
        .collect();
    for name in &new {
        DB::execute(connection, sql::NEW_NAME, &[(*name).into()])
            .await
            .map_err(StoreError::at(WHAT))?;
    }
    if !new.is_empty() {
        known.names.extend(
            DB::names(connection, &new)
                .await
                .map_err(StoreError::at(WHAT))?,
        );
    }
    Ok(())
}

async fn number_conversations<DB: Dialect>(
    connection: &mut DB::Connection,
    vague: &[(&(i64, &str), &u8)],
    known: &mut Numbers,
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
        let remember = |known: &mut Numbers, found: Vec<(String, i64, u8)>| {
            let numbers = found.into_iter().map(|(name, id, kind)| (name, (id, kind)));
            known
                .conversations
                .entry(account)
                .or_default()
                .extend(numbers);
        };
        remember(
            known,
            DB::conversations(connection, account, &names)
                .await
                .map_err(StoreError::at(WHAT))?,
        );
        wanted.retain(|(name, kind)| is_vague(known, (account, name), *kind));
        for (name, kind) in &wanted {
            let args = [account.into(), (*name).into(), i64::from(*kind).into()];
            DB::execute(connection, sql::NEW_CONVERSATION, &args)
                .await
                .map_err(StoreError::at(WHAT))?;
        }
        if !wanted.is_empty() {
            remember(
                known,
                DB::conversations(connection, account, &names)
                    .await
                    .map_err(StoreError::at(WHAT))?,
            );
        }
    }
    Ok(())
}
