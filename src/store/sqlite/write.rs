//! The writer: windows and their messages, in one transaction.

use std::collections::{BTreeSet, HashMap};

use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{Row as _, query::Query};

use super::{count, number, sql};
use crate::domain::message::{Delivery, Status};
use crate::domain::time::Millis;
use crate::store::rows::{Key, Mutable, Numbers, Row, names};
use crate::store::{Commit, JOINED_MESSAGES, Seal, StoreError, StreamId, Written};

/// So many numbers of names are remembered; beyond it the memory starts anew.
const REMEMBERED: usize = 20_000;

type Bound<'q> = Query<'q, sqlx::Sqlite, SqliteArguments>;

/// What the writer remembers between transactions: numbers that are certainly in the database.
#[derive(Debug, Default)]
pub(super) struct Writer {
    numbers: Numbers,
}

impl Writer {
    pub(super) async fn commit(
        &mut self,
        pool: &SqlitePool,
        batch: &[Commit],
        now: Millis,
    ) -> Result<Vec<Written>, StoreError> {
        const WHAT: &str = "commit";
        let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(StoreError::at(WHAT))?;
        // Numbers given in a transaction that fails are given again to other names: they are remembered only after it.
        let mut learned = Numbers::default();
        self.number(&mut tx, batch, &mut learned).await?;
        let numbers = self.merged(&learned, batch);
        let mut written = Vec::with_capacity(batch.len());
        for commit in batch {
            written.push(write_messages(&mut tx, commit, &numbers, now).await?);
            quarantine(&mut tx, commit, now).await?;
            if let Some(seal) = &commit.seal {
                write_seal(&mut tx, commit.stream, seal, now).await?;
            }
        }
        tx.commit().await.map_err(StoreError::at(WHAT))?;
        self.remember(learned);
        Ok(written)
    }

    /// The numbers that the batch needs.
    fn merged(&self, learned: &Numbers, batch: &[Commit]) -> Numbers {
        let mut numbers = Numbers::default();
        for name in names(batch.iter().flat_map(|commit| &commit.messages)) {
            let number = learned.names.get(name).or_else(|| self.numbers.names.get(name));
            numbers.names.extend(number.map(|n| (name.to_owned(), *n)));
        }
        for conversation in conversations(batch).into_keys() {
            let number =
                learned.conversations.get(&conversation).or_else(|| self.numbers.conversations.get(&conversation));
            let number = number.copied();
            numbers.conversations.extend(number.map(|n| (conversation, n)));
        }
        numbers
    }

    fn remember(&mut self, learned: Numbers) {
        if self.numbers.names.len() + learned.names.len() > REMEMBERED {
            self.numbers.names.clear();
        }
        if self.numbers.conversations.len() + learned.conversations.len() > REMEMBERED {
            self.numbers.conversations.clear();
        }
        self.numbers.names.extend(learned.names);
        self.numbers.conversations.extend(learned.conversations);
    }

    /// Finds or gives the numbers that are not remembered.
    async fn number(
        &self,
        tx: &mut SqliteConnection,
        batch: &[Commit],
        learned: &mut Numbers,
    ) -> Result<(), StoreError> {
        let mentioned = names(batch.iter().flat_map(|commit| &commit.messages));
        let unknown: Vec<&str> = mentioned.into_iter().filter(|name| !self.numbers.names.contains_key(*name)).collect();
        number_names(tx, &unknown, learned).await?;
        let unknown: Vec<_> = conversations(batch)
            .into_iter()
            // One whose kind was unknown may be known by now.
            .filter(|(key, kind)| self.numbers.conversations.get(key).is_none_or(|known| known.1 == 0 && *kind != 0))
            .collect();
        number_conversations(tx, &unknown, learned).await
    }
}

/// The conversations that a batch mentions, by account and name, with what is known of their kind.
fn conversations(batch: &[Commit]) -> HashMap<(i64, String), u8> {
    let mut mentioned = HashMap::new();
    for commit in batch {
        for identified in &commit.messages {
            let conversation = &identified.message.conversation;
            let kind = mentioned.entry((commit.account.0, conversation.name.clone())).or_insert(0);
            *kind = (*kind).max(conversation.kind as u8);
        }
    }
    mentioned
}

async fn number_names(tx: &mut SqliteConnection, unknown: &[&str], learned: &mut Numbers) -> Result<(), StoreError> {
    const WHAT: &str = "names";
    for (text, names) in sql::NAMES.pieces(unknown) {
        let query = names.iter().fold(sqlx::query(text), |query, name| query.bind(*name));
        for row in query.fetch_all(&mut *tx).await.map_err(StoreError::at(WHAT))? {
            learned.names.insert(row.get("value"), row.get("id"));
        }
    }
    for name in unknown {
        if !learned.names.contains_key(*name) {
            let query = sqlx::query(sql::NEW_NAME).bind(*name);
            let row = query.fetch_one(&mut *tx).await.map_err(StoreError::at(WHAT))?;
            learned.names.insert((*name).to_owned(), row.get("id"));
        }
    }
    Ok(())
}

async fn number_conversations(
    tx: &mut SqliteConnection,
    unknown: &[((i64, String), u8)],
    learned: &mut Numbers,
) -> Result<(), StoreError> {
    const WHAT: &str = "conversations";
    for (text, keys) in sql::CONVERSATIONS.pieces(unknown) {
        let query = keys.iter().fold(sqlx::query(text), |query, ((account, name), _)| query.bind(account).bind(name));
        for row in query.fetch_all(&mut *tx).await.map_err(StoreError::at(WHAT))? {
            let number = (row.get("id"), row.get::<i64, _>("kind") as u8);
            learned.conversations.insert((row.get("account_id"), row.get("name")), number);
        }
    }
    for (key, kind) in unknown {
        match learned.conversations.get_mut(key) {
            None => {
                let query = sqlx::query(sql::NEW_CONVERSATION).bind(key.0).bind(&key.1).bind(i64::from(*kind));
                let row = query.fetch_one(&mut *tx).await.map_err(StoreError::at(WHAT))?;
                learned.conversations.insert(key.clone(), (row.get("id"), *kind));
            }
            Some(known) if known.1 == 0 && *kind != 0 => {
                let query = sqlx::query(sql::KNOW_CONVERSATION).bind(known.0).bind(i64::from(*kind));
                query.execute(&mut *tx).await.map_err(StoreError::at(WHAT))?;
                known.1 = *kind;
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Adds what is not there, teaches what is there what was learned, and touches nothing else.
async fn write_messages(
    tx: &mut SqliteConnection,
    commit: &Commit,
    numbers: &Numbers,
    now: Millis,
) -> Result<Written, StoreError> {
    const WHAT: &str = "messages";
    let account = commit.account.0;
    let rows = commit.messages.iter().map(|identified| Row::of(account, identified, numbers));
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    let there = there(tx, account, &rows).await?;
    let (old, new): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| there.contains_key(&row.key));
    for (text, rows) in sql::MESSAGES.pieces(&new) {
        let query = rows.iter().fold(sqlx::query(text), |query, row| bind_message(query, account, row, now));
        let affected = query.execute(&mut *tx).await.map_err(StoreError::at(WHAT))?.rows_affected();
        if affected != rows.len() as u64 {
            let fault = format!("{affected} of {} rows were added", rows.len());
            return Err(StoreError::Inconsistent { what: WHAT, fault });
        }
    }
    let learned = old.iter().filter_map(|row| Some((row.key, row.learned(*there.get(&row.key)?)?)));
    let mut changed = 0;
    for (key, mutable) in learned {
        learn(tx, account, &key, mutable).await?;
        changed += 1;
    }
    Ok(Written { new: new.len() as u64, changed })
}

/// Which of the rows are in the archive, and how.
async fn there(tx: &mut SqliteConnection, account: i64, rows: &[Row<'_>]) -> Result<HashMap<Key, Mutable>, StoreError> {
    let mut there = HashMap::new();
    for (text, rows) in sql::THERE.pieces(rows) {
        let query = rows.iter().fold(sqlx::query(text), |query, row| bind_key(query, account, &row.key));
        for row in query.fetch_all(&mut *tx).await.map_err(StoreError::at("messages there"))? {
            let (key, mutable) = known(&row)?;
            there.insert(key, mutable);
        }
    }
    Ok(there)
}

fn known(row: &SqliteRow) -> Result<(Key, Mutable), StoreError> {
    let hash: &[u8] = row.get("hash");
    let hash = hash.try_into().map_err(|_| StoreError::Inconsistent {
        what: "messages there",
        fault: format!("a hash of {} bytes", hash.len()),
    })?;
    let status = match row.get::<Option<i64>, _>("status") {
        Some(1) => Some(Status::Received),
        Some(2) => Some(Status::Delivered),
        Some(3) => Some(Status::Read),
        _ => None,
    };
    let at = row.get::<Option<i64>, _>("status_at_ms").map(Millis);
    let mutable = Mutable {
        conversation: row.get("conversation_id"),
        kind_unknown: row.get("kind_unknown"),
        message_type: row.get("message_type_id"),
        status: status.map(|status| Delivery { status, at }),
    };
    Ok(((row.get("recipient_id"), row.get("sent_at_ms"), hash, row.get("occurrence")), mutable))
}

fn bind_key<'q>(query: Bound<'q>, account: i64, key: &Key) -> Bound<'q> {
    query.bind(account).bind(key.0).bind(key.1).bind(key.2.to_vec()).bind(key.3)
}

fn bind_message<'q>(query: Bound<'q>, account: i64, row: &'q Row<'_>, now: Millis) -> Bound<'q> {
    bind_key(query, account, &row.key)
        .bind(row.conversation)
        .bind(row.sender)
        .bind(row.encoding)
        .bind(row.is_text())
        .bind(row.status.map(|d| d.status as i64))
        .bind(row.status.and_then(|d| d.at).map(|at| at.0))
        .bind(row.message_type)
        .bind(row.payload_type)
        .bind(row.cipher_suite)
        .bind(now.0)
        .bind(row.provider_id)
        .bind(row.payload)
        .bind(row.readable())
        .bind(row.extra)
}

async fn learn(tx: &mut SqliteConnection, account: i64, key: &Key, now: Mutable) -> Result<(), StoreError> {
    let query = bind_key(sqlx::query(sql::LEARN), account, key)
        .bind(now.conversation)
        .bind(now.message_type)
        .bind(now.status.map(|d| d.status as i64))
        .bind(now.status.and_then(|d| d.at).map(|at| at.0));
    query.execute(&mut *tx).await.map_err(StoreError::at("learn"))?;
    Ok(())
}

async fn quarantine(tx: &mut SqliteConnection, commit: &Commit, now: Millis) -> Result<(), StoreError> {
    let distinct: BTreeSet<_> = commit.unreadable.iter().map(|u| (&u.raw, &u.reason)).collect();
    for (raw, reason) in distinct {
        let hash = blake3::hash(raw.as_bytes()).as_bytes()[..16].to_vec();
        let query = sqlx::query(sql::QUARANTINE).bind(commit.account.0).bind(hash).bind(commit.stream.0);
        let query = query.bind(commit.window.from().0).bind(commit.window.to().0).bind(now.0).bind(reason).bind(raw);
        query.execute(&mut *tx).await.map_err(StoreError::at("quarantine"))?;
    }
    Ok(())
}

/// Writes the ledger row, or lengthens the one before it. A window of which another process has sealed a part in the
/// meantime is left alone: its messages are in the archive, and the plan of the next pass sees what is left.
async fn write_seal(tx: &mut SqliteConnection, stream: StreamId, seal: &Seal, now: Millis) -> Result<(), StoreError> {
    const WHAT: &str = "seal";
    let (from, to) = (seal.window.from().0, seal.window.to().0);
    let before = sqlx::query(sql::NEIGHBOUR).bind(stream.0).bind(to).fetch_optional(&mut *tx).await;
    let before = before.map_err(StoreError::at(WHAT))?;
    if before.as_ref().is_some_and(|row| row.get::<i64, _>("to_s") > from) {
        tracing::debug!(window = %seal.window, "sealed by another process meanwhile");
        return Ok(());
    }
    let counted = seal.provider_count.map(count);
    let result = match before.filter(|row| joins(row, seal)) {
        Some(row) => {
            let query = sqlx::query(sql::SEAL_ON).bind(stream.0).bind(row.get::<i64, _>("from_s")).bind(to);
            query.bind(count(seal.messages)).bind(counted).bind(now.0).execute(&mut *tx).await
        }
        None => {
            let query = sqlx::query(sql::SEAL).bind(stream.0).bind(from).bind(to).bind(count(seal.messages));
            query.bind(counted).bind(&seal.doubt).bind(now.0).execute(&mut *tx).await
        }
    };
    let affected = result.map_err(StoreError::at(WHAT))?.rows_affected();
    if affected == 1 {
        return Ok(());
    }
    Err(StoreError::Inconsistent { what: WHAT, fault: format!("{affected} ledger rows written for {}", seal.window) })
}

/// Whether a new window is short enough to be kept as one row with the window before it.
fn joins(before: &SqliteRow, seal: &Seal) -> bool {
    let touches = before.get::<i64, _>("to_s") == seal.window.from().0;
    let certain = before.get::<Option<String>, _>("doubt").is_none() && seal.doubt.is_none();
    let counted = before.get::<Option<i64>, _>("provider_count").is_some() == seal.provider_count.is_some();
    touches && certain && counted && number(before.get("messages")) + seal.messages <= JOINED_MESSAGES
}
