//! Numbers for names: what repeats in every message is written once, and referred to.

use std::collections::HashMap;

use sqlx::{Acquire, Pool};
use tokio::sync::Mutex;

use super::dialect::Dialect;
use super::rows::{Numbers, names};
use super::{Commit, StoreError, sql};
use crate::domain::message::ConversationKind;

/// So many numbers are remembered; beyond it the memory starts anew.
const REMEMBERED: usize = 20_000;
const UNKNOWN: u8 = ConversationKind::Unknown as u8;

/// The numbers that are certainly in the database: they are given in transactions of their own.
#[derive(Debug, Default)]
pub(super) struct Numbering(Mutex<Numbers>);

impl Numbering {
    /// Forgets all numbers: a server that took over from another may not have heard of the last of them.
    pub(super) async fn forget(&self) {
        *self.0.lock().await = Numbers::default();
    }

    /// The numbers that a batch needs, found or given; and room for its messages.
    pub(super) async fn number<DB: Dialect>(&self, pool: &Pool<DB>, batch: &[Commit]) -> Result<Numbers, StoreError> {
        const WHAT: &str = "numbers";
        let mut known = self.0.lock().await;
        let mentioned = names(batch.iter().flat_map(|commit| &commit.messages));
        let unknown: Vec<&str> = mentioned.iter().copied().filter(|name| !known.names.contains_key(*name)).collect();
        let conversations = conversations(batch);
        let vague: Vec<_> = conversations.iter().filter(|(key, kind)| is_vague(&known, **key, **kind)).collect();
        let moments = batch.iter().flat_map(|commit| &commit.messages).map(|identified| identified.message.sent_at);
        let mut connection = pool.acquire().await.map_err(StoreError::at(WHAT))?;
        let connection = connection.acquire().await.map_err(StoreError::at(WHAT))?;
        DB::make_room(connection, moments).await.map_err(StoreError::at(WHAT))?;
        if known.names.len() + unknown.len() > REMEMBERED {
            known.names.clear();
        }
        if known.conversations.values().map(HashMap::len).sum::<usize>() + vague.len() > REMEMBERED {
            known.conversations.clear();
        }
        // After a clearing, what was known a moment ago has to be found again.
        let unknown: Vec<&str> = mentioned.iter().copied().filter(|name| !known.names.contains_key(*name)).collect();
        number_names::<DB>(connection, &unknown, &mut known).await?;
        let vague: Vec<_> = conversations.iter().filter(|(key, kind)| is_vague(&known, **key, **kind)).collect();
        number_conversations::<DB>(connection, &vague, &mut known).await?;
        Ok(Numbers {
            names: mentioned.into_iter().filter_map(|name| Some((name.to_owned(), *known.names.get(name)?))).collect(),
            conversations: numbered(&conversations, &known),
        })
    }
}

/// Those of the conversations that have a number, with it.
fn numbered(conversations: &HashMap<(i64, &str), u8>, known: &Numbers) -> HashMap<i64, HashMap<String, (i64, u8)>> {
    let mut numbered: HashMap<i64, HashMap<String, (i64, u8)>> = HashMap::new();
    for &(account, name) in conversations.keys() {
        if let Some(number) = known.conversation(account, name) {
            numbered.entry(account).or_default().insert(name.to_owned(), number);
        }
    }
    numbered
}

/// The conversations that a batch mentions, by account and name, with what is known of their kind.
fn conversations(batch: &[Commit]) -> HashMap<(i64, &str), u8> {
    let mut mentioned = HashMap::new();
    for commit in batch {
        for identified in &commit.messages {
            let conversation = &identified.message.conversation;
            let kind = mentioned.entry((commit.account.0, conversation.name.as_str())).or_insert(UNKNOWN);
            *kind = (*kind).max(conversation.kind as u8);
        }
    }
    mentioned
}

/// Whether a conversation has no number yet, or a kind now where it had none.
fn is_vague(known: &Numbers, (account, name): (i64, &str), kind: u8) -> bool {
    known.conversation(account, name).is_none_or(|known| known.1 == UNKNOWN && kind != UNKNOWN)
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
    known.names.extend(DB::names(connection, unknown).await.map_err(StoreError::at(WHAT))?);
    let new: Vec<&str> = unknown.iter().copied().filter(|name| !known.names.contains_key(*name)).collect();
    for name in &new {
        DB::execute(connection, sql::NEW_NAME, &[(*name).into()]).await.map_err(StoreError::at(WHAT))?;
    }
    if !new.is_empty() {
        known.names.extend(DB::names(connection, &new).await.map_err(StoreError::at(WHAT))?);
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
            known.conversations.entry(account).or_default().extend(numbers);
        };
        remember(known, DB::conversations(connection, account, &names).await.map_err(StoreError::at(WHAT))?);
        wanted.retain(|(name, kind)| is_vague(known, (account, name), *kind));
        for (name, kind) in &wanted {
            let args = [account.into(), (*name).into(), i64::from(*kind).into()];
            DB::execute(connection, sql::NEW_CONVERSATION, &args).await.map_err(StoreError::at(WHAT))?;
        }
        if !wanted.is_empty() {
            remember(known, DB::conversations(connection, account, &names).await.map_err(StoreError::at(WHAT))?);
        }
    }
    Ok(())
}
