//! The role [`Search`]: messages are found by the search index.
//!
//! The newest hits are found in one of two ways. A word that occurs often is among the newest
//! messages of the selection: these are walked through, and compared with the index. A rare word
//! has few hits: all of them are looked up, and sorted. How often it occurs is not known before, so
//! a few messages are tried first, then more, then the hits of the newest slices of time, and then
//! all hits.

use std::collections::HashMap;

use async_trait::async_trait;
use serde_json::json;

use super::decode::{displayed_message, examined, index_hit, int, optional_int};
use super::dialect::{Dialect, WalkPath};
use super::driver::{Arg, fetch_all, fetch_one};
use super::error::StoreError;
use super::model::{DisplayedMessage, HitOrder, IndexHit, SearchHits, Selection};
use super::sql;
use super::sql_store::SqlStore;
use crate::domain::search::query::SearchQuery;
use crate::domain::search::time_slice::TimeSlice;
use crate::domain::time::Millis;

/// The numbers of slices of time whose hits are looked up, one after the other, before all hits are.
/// With more of them, hits that lie far back are found without looking up all others, and others cost
/// more.
const SLICES: [i64; 3] = [1, 4, 16];

/// The maximum number of hits whose messages one statement reads.
const HITS_PER_READ: usize = 1_000;

/// The step that failures of a search name.
const WHAT: &str = "search";

/// Search in the index. No method changes anything.
#[async_trait]
pub trait Search: Send + Sync {
    /// Returns the first `limit` selected messages that match a query, as far as the index reaches.
    /// Messages of one millisecond are in the order of their ids.
    async fn search(
        &self,
        query: &SearchQuery,
        selection: &Selection,
        order: HitOrder,
        limit: u64,
    ) -> Result<SearchHits, StoreError>;

    /// Returns up to `limit` messages of the same conversation before a message and as many behind
    /// it, all in order.
    async fn context(
        &self,
        message: &DisplayedMessage,
        limit: u64,
    ) -> Result<[Vec<DisplayedMessage>; 2], StoreError>;
}

#[async_trait]
impl<DB: Dialect> Search for SqlStore<DB> {
    async fn search(
        &self,
        query: &SearchQuery,
        selection: &Selection,
        order: HitOrder,
        limit: u64,
    ) -> Result<SearchHits, StoreError> {
        let mut tx = self.begin_snapshot(WHAT).await?;
        let notation = DB::notation_of(query);
        let too_long = fetch_one::<DB>(&mut tx, WHAT, DB::COUNT_WITHOUT_WORDS, &[]).await?;
        let too_long = int::<DB>(&too_long, "messages")?;
        let wanted = usize::try_from(limit)
            .unwrap_or(usize::MAX)
            .saturating_add(1);
        let search = RunningSearch {
            query,
            notation: &notation,
            selection,
            // Hits that are not certain may turn out to be none.
            limit: (wanted as u64).saturating_add(too_long.try_into().unwrap_or(0)),
        };
        let hits = match order {
            HitOrder::Relevance => {
                search
                    .hits::<DB>(&mut tx, DB::HITS_BY_RELEVANCE, None)
                    .await?
            }
            HitOrder::Newest => search.newest_hits::<DB>(&mut tx).await?,
        };
        let mut messages: Vec<DisplayedMessage> = Vec::new();
        let mut rest = &hits[..];
        while messages.len() < wanted && !rest.is_empty() {
            let missing = wanted - messages.len();
            let (next, behind) = rest.split_at(missing.min(rest.len()).min(HITS_PER_READ));
            messages.extend(search.read::<DB>(&mut tx, next).await?);
            rest = behind;
        }
        let has_more = messages.len() == wanted;
        messages.truncate(wanted - 1);
        Ok(SearchHits { messages, has_more })
    }

    async fn context(
        &self,
        message: &DisplayedMessage,
        limit: u64,
    ) -> Result<[Vec<DisplayedMessage>; 2], StoreError> {
        let mut connection = self.acquire_reader(WHAT).await?;
        let args = [
            message.conversation_id.into(),
            message.sent_at.0.into(),
            message.id.into(),
            limit.into(),
        ];
        let mut sides = [Vec::new(), Vec::new()];
        let statements = [sql::MESSAGES_BEFORE, sql::MESSAGES_BEHIND];
        for (side, statement) in sides.iter_mut().zip(statements) {
            for row in fetch_all::<DB>(&mut connection, WHAT, statement, &args).await? {
                side.push(displayed_message::<DB>(&row)?);
            }
        }
        sides[0].reverse();
        Ok(sides)
    }
}

/// A query in its notation, and what it is restricted to.
#[derive(Clone, Copy)]
struct RunningSearch<'a> {
    query: &'a SearchQuery,
    notation: &'a str,
    selection: &'a Selection,
    /// The maximum number of hits, including those that are not certain.
    limit: u64,
}

impl RunningSearch<'_> {
    /// Returns the newest hits, the newest first.
    async fn newest_hits<DB: Dialect>(
        self,
        tx: &mut DB::Connection,
    ) -> Result<Vec<IndexHit>, StoreError> {
        let mut hits = Vec::new();
        let paths = self.paths::<DB>(tx).await?;
        for path in paths {
            match self.walk::<DB>(tx, path).await? {
                Some(found) => hits.extend(found),
                None => return self.newest_slices::<DB>(tx).await,
            }
        }
        // Hits of several conversations of one name.
        hits.sort_by_key(|hit: &IndexHit| std::cmp::Reverse((hit.sent_at_ms, hit.id)));
        Ok(hits)
    }

    /// Returns the paths that lead through all selected messages and few others.
    async fn paths<DB: Dialect>(
        self,
        tx: &mut DB::Connection,
    ) -> Result<Vec<WalkPath>, StoreError> {
        let Selection {
            account,
            conversation,
            sender,
            ..
        } = self.selection;
        if let Some(name) = conversation {
            let args = [name.into(), account.map(|account| account.0).into()];
            let rows = fetch_all::<DB>(tx, WHAT, sql::CONVERSATIONS_NAMED, &args).await?;
            let ids = rows.iter().map(|row| int::<DB>(row, "id"));
            return ids.map(|id| Ok(WalkPath::Conversation(id?))).collect();
        }
        Ok(vec![match sender {
            Some(sender) => WalkPath::Sender(sender.0),
            None => WalkPath::Time,
        }])
    }

    /// Walks through the newest messages of a path. Returns the hits among them if they are as many
    /// as wanted, or if all messages were walked through. `None`: there may be more hits.
    async fn walk<DB: Dialect>(
        self,
        tx: &mut DB::Connection,
        path: WalkPath,
    ) -> Result<Option<Vec<IndexHit>>, StoreError> {
        let mut lengths = DB::walk_lengths(self.query).iter().peekable();
        while let Some(length) = lengths.next() {
            let [from, to, account, conversation, sender] = self.selection.args();
            let args = [
                from,
                to,
                account,
                conversation,
                sender,
                path.id().into(),
                (*length).into(),
                self.notation.into(),
                self.limit.into(),
            ];
            let statement = DB::WALK.statement_for(path);
            let rows = fetch_all::<DB>(tx, WHAT, statement, &args).await?;
            let hits = decode_hits::<DB>(&rows)?;
            let walked = rows.first().map_or(Ok(0), examined::<DB>)?;
            let found = hits.len() as u64;
            if found >= self.limit || walked < *length {
                return Ok(Some(hits));
            }
            // A longer walk has to promise at least half of the hits.
            let promises =
                |longer: &&u64| 2 * found * **longer >= self.limit.saturating_mul(*length);
            if !lengths.peek().is_some_and(promises) {
                break;
            }
        }
        Ok(None)
    }

    /// Returns the newest hits, from more and more slices of time while these are few.
    async fn newest_slices<DB: Dialect>(
        self,
        tx: &mut DB::Connection,
    ) -> Result<Vec<IndexHit>, StoreError> {
        let mut hits = Vec::new();
        let mut rest = self.selection.clone();
        for count in SLICES {
            // Slices without messages are passed over.
            let args = [rest.from, rest.to].map(|time| time.0.into());
            let newest = fetch_one::<DB>(tx, WHAT, sql::NEWEST_MESSAGE, &args).await?;
            let Some(newest) = optional_int::<DB>(&newest, "sent_at_ms")? else {
                return Ok(hits);
            };
            let slices = || TimeSlice::of(Millis(newest)).and_before(count);
            let start = slices().last().map_or(rest.from, TimeSlice::start);
            let from = start.max(rest.from);
            let in_slices = RunningSearch {
                selection: &Selection {
                    from,
                    ..rest.clone()
                },
                limit: self.limit - hits.len() as u64,
                ..self
            };
            let slices = DB::notation_of_slices(slices());
            let found = in_slices.hits::<DB>(tx, DB::HITS_IN_SLICES, Some(&slices));
            hits.extend(found.await?);
            if hits.len() as u64 >= self.limit {
                return Ok(hits);
            }
            rest.to = from;
        }
        let before = RunningSearch {
            selection: &rest,
            limit: self.limit - hits.len() as u64,
            ..self
        };
        hits.extend(before.hits::<DB>(tx, DB::HITS_BY_TIME, None).await?);
        Ok(hits)
    }

    /// Returns the first hits in the order of a statement. `slices` are those that it binds, if it does.
    async fn hits<DB: Dialect>(
        self,
        tx: &mut DB::Connection,
        statement: &'static str,
        slices: Option<&str>,
    ) -> Result<Vec<IndexHit>, StoreError> {
        let [from, to, account, conversation, sender] = self.selection.args();
        let mut args = vec![
            from,
            to,
            account,
            conversation,
            sender,
            self.notation.into(),
            self.limit.into(),
        ];
        args.extend(slices.map(Arg::from));
        let rows = fetch_all::<DB>(tx, WHAT, statement, &args).await?;
        decode_hits::<DB>(&rows)
    }

    /// Reads the messages of hits, in the order of these. Left out are those that do not match, and those
    /// that are no longer in the archive.
    async fn read<DB: Dialect>(
        self,
        tx: &mut DB::Connection,
        hits: &[IndexHit],
    ) -> Result<Vec<DisplayedMessage>, StoreError> {
        let keys: Vec<[i64; 2]> = hits.iter().map(|hit| [hit.id, hit.sent_at_ms]).collect();
        let keys = json!(keys).to_string();
        let rows = fetch_all::<DB>(tx, WHAT, DB::MESSAGES_OF_HITS, &[(&keys).into()]).await?;
        let messages = rows.iter().map(displayed_message::<DB>);
        let mut by_id: HashMap<i64, DisplayedMessage> = messages
            .map(|message| message.map(|message| (message.id, message)))
            .collect::<Result<_, _>>()?;
        let matches = |hit: &IndexHit, message: &DisplayedMessage| {
            let body = message.body.as_deref();
            hit.is_certain || body.is_some_and(|body| self.query.matches(body))
        };
        let found = hits.iter().filter_map(|hit| {
            let message = by_id.remove(&hit.id)?;
            matches(hit, &message).then_some(message)
        });
        Ok(found.collect())
    }
}

fn decode_hits<DB: Dialect>(rows: &[DB::Row]) -> Result<Vec<IndexHit>, StoreError> {
    rows.iter()
        .filter_map(|row| index_hit::<DB>(row).transpose())
        .collect()
}
