//! The claims of each stream in order of time, and which streams a message belongs to.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::{Claim, ClaimedStream, MeasuredWindow};
use crate::domain::digest::ChainLink;
use crate::domain::identity::IdentifiedMessage;
use crate::domain::message::Message;
use crate::domain::time::{Millis, Second};
use crate::domain::window::Window;
use crate::store::{Archive, KnownStream, LedgerRow, StoreError};

/// Ledger rows of a stream that are read at once: they are held for every stream.
const ROWS_PER_READ: u64 = 8;
const END_OF_TIME: Second = Second(i64::MAX);

/// A stream's claims, and what has been found of the one in hand.
#[derive(Debug)]
pub(super) struct ClaimQueue {
    pub(super) subject: Arc<ClaimedStream>,
    /// The first is the one in hand.
    claims: VecDeque<Claim>,
    /// From where on the ledger has more; nothing where all claims are here.
    more_from: Option<Second>,
    held: MeasuredWindow,
}

/// A claim with what the archive holds of it.
pub(super) type ComparedClaim = (Claim, MeasuredWindow);

impl ClaimQueue {
    /// All ledger rows of a stream; nothing where it does not say which messages are its own.
    pub(super) fn from_ledger(stream: &KnownStream) -> Option<Self> {
        let KnownStream {
            id,
            account,
            key,
            scope,
            ..
        } = stream;
        let scope = scope.clone()?;
        let subject = Arc::new(ClaimedStream {
            id: Some(*id),
            account: account.clone(),
            key: key.clone(),
            scope,
        });
        Some(Self {
            more_from: Some(Second(i64::MIN)),
            ..Self::from_claims(subject, [])
        })
    }

    /// These claims, which are in order.
    pub(super) fn from_claims(
        subject: Arc<ClaimedStream>,
        claims: impl IntoIterator<Item = Claim>,
    ) -> Self {
        Self {
            subject,
            claims: claims.into_iter().collect(),
            more_from: None,
            held: MeasuredWindow::default(),
        }
    }

    /// Goes on to the claim in which this moment lies, or the first after it; what was passed on the way is handed
    /// out.
    pub(super) async fn advance(
        &mut self,
        store: &dyn Archive,
        to: Millis,
        passed: &mut Vec<ComparedClaim>,
    ) -> Result<(), StoreError> {
        loop {
            if self.claims.is_empty() {
                self.load_claims(store).await?;
            }
            match self.claims.front() {
                Some(claim) if claim.window.to().start() <= to => {}
                _ => return Ok(()),
            }
            let held = std::mem::take(&mut self.held);
            passed.extend(self.claims.pop_front().map(|claim| (claim, held)));
        }
    }

    /// All claims that are left.
    pub(super) async fn finish(
        &mut self,
        store: &dyn Archive,
        passed: &mut Vec<ComparedClaim>,
    ) -> Result<(), StoreError> {
        self.advance(store, Millis(i64::MAX), passed).await
    }

    async fn load_claims(&mut self, store: &dyn Archive) -> Result<(), StoreError> {
        let (Some(from), Some(stream)) = (self.more_from, self.subject.id) else {
            return Ok(());
        };
        let rows = match Window::new(from, END_OF_TIME) {
            Some(rest) => store.ledger_rows(stream, rest, ROWS_PER_READ).await?,
            None => vec![],
        };
        self.more_from = rows
            .last()
            .filter(|_| rows.len() as u64 == ROWS_PER_READ)
            .map(|row: &LedgerRow| row.window.to());
        self.claims.extend(rows.iter().map(Claim::from_ledger_row));
        Ok(())
    }

    /// Takes a message that belongs to the stream, if it lies in the claim in hand.
    pub(super) fn count_message(&mut self, identified: &IdentifiedMessage, is_damaged: bool) {
        if self
            .claims
            .front()
            .is_some_and(|claim| claim.window.contains(identified.message.sent_at))
        {
            self.held.messages += 1;
            self.held.damaged += u64::from(is_damaged);
            self.held.digest = self
                .held
                .digest
                .append(ChainLink::from_identified(identified));
        }
    }
}

/// Whether anything of a stream is sealed.
pub(super) async fn has_ledger_rows(
    store: &dyn Archive,
    stream: &KnownStream,
) -> Result<bool, StoreError> {
    let ever = Window::new(Second(i64::MIN), END_OF_TIME);
    let rows = match ever {
        Some(ever) => store.ledger_rows(stream.id, ever, 1).await?,
        None => vec![],
    };
    Ok(!rows.is_empty())
}

/// Finds the tracks that a message belongs to: each is kept under one of its scope's parts, the one that fewest
/// messages share.
#[derive(Debug, Default)]
pub(super) struct StreamIndexByName(HashMap<String, AccountIndex>);

#[derive(Debug, Default)]
struct AccountIndex {
    conversations: HashMap<String, Vec<usize>>,
    senders: HashMap<String, Vec<usize>>,
    recipients: HashMap<String, Vec<usize>>,
}

impl StreamIndexByName {
    pub(super) fn from_queues(tracks: &[ClaimQueue]) -> Self {
        let mut index = Self::default();
        for (number, ClaimQueue { subject, .. }) in tracks.iter().enumerate() {
            let of_account = index.0.entry(subject.account.clone()).or_default();
            let scope = &subject.scope;
            let (names, name) = match (&scope.conversation, &scope.sender, &scope.recipient) {
                (Some(name), ..) => (&mut of_account.conversations, name),
                (None, Some(name), _) => (&mut of_account.senders, name),
                (None, None, Some(name)) => (&mut of_account.recipients, name),
                (None, None, None) => continue,
            };
            names.entry(name.clone()).or_default().push(number);
        }
        index
    }

    /// Whether the conversation of an account's messages follows from their names: so it is where no stream is a
    /// conversation itself, which it would give to its messages whatever they say.
    pub(super) fn derives_conversations(&self, account: &str) -> bool {
        self.0
            .get(account)
            .is_some_and(|of_account| of_account.conversations.is_empty())
    }

    /// The tracks under which the message may be found; whether it belongs there, their scopes say.
    pub(super) fn candidates(
        &self,
        account: &str,
        message: &Message,
    ) -> impl Iterator<Item = usize> {
        let of_account = self.0.get(account);
        let by = of_account.map(|of_account| {
            [
                of_account.conversations.get(&message.conversation.name),
                of_account.senders.get(&message.sender),
                of_account.recipients.get(&message.recipient),
            ]
        });
        by.into_iter().flatten().flatten().flatten().copied()
    }
}
