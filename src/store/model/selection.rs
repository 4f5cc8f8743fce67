//! The messages that a reader selects, and what the archive knows of their completeness.

use super::account::{AccountId, StreamId};
use crate::domain::frontier::Frontier;
use crate::domain::message::ConversationKind;
use crate::domain::stream::Scope;
use crate::domain::time::{Millis, Second};
use crate::domain::window::{Runs, Window};
use crate::store::driver::Arg;

/// A sender's id in the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderId(pub i64);

/// The messages that a reader selects, in ids of one archive. Every condition must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// `None`: of all accounts.
    pub account: Option<AccountId>,
    /// The name of the conversation, in whichever account. `None`: of all conversations.
    pub conversation: Option<String>,
    /// `None`: of all senders.
    pub sender: Option<SenderId>,
    /// The first millisecond.
    pub from: Millis,
    /// The end, exclusive.
    pub to: Millis,
}

impl Selection {
    /// Returns the part of the selection in a range of milliseconds, `to` exclusive.
    #[must_use]
    pub fn within(&self, from: Millis, to: Millis) -> Self {
        Self {
            from: self.from.max(from),
            to: self.to.min(to),
            ..self.clone()
        }
    }

    /// Returns the arguments of `is_selected!`.
    pub(in crate::store) fn args(&self) -> [Arg<'_>; 5] {
        [
            self.from.0.into(),
            self.to.0.into(),
            self.account.map(|account| account.0).into(),
            self.conversation.as_deref().into(),
            self.sender.map(|sender| sender.0).into(),
        ]
    }
}

/// A kind of names that a reader may filter by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    Account,
    /// The conversations of one account, or of all.
    Conversation(Option<AccountId>),
    Sender,
}

/// A conversation that was found by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundConversation {
    /// The account's name.
    pub account: String,
    pub name: String,
    pub kind: ConversationKind,
    /// The sender and the recipient of its latest message. `None` if it has none.
    pub latest: Option<(String, String)>,
}

/// The sealed history of a stream in a range of time, and the limits of its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamCoverage {
    pub stream: StreamId,
    /// The account's name.
    pub account: String,
    /// The stream's key.
    pub key: String,
    /// The messages that belong to the stream. `None` if it was last followed before scopes were
    /// recorded.
    pub scope: Option<Scope>,
    /// False if the configuration no longer lists the stream.
    pub is_active: bool,
    pub wanted_from: Second,
    /// The provider's time when the stream was first followed.
    pub followed_at: Second,
    /// The start of the first sealed window, in any range. `None` if nothing is sealed.
    pub first_sealed: Option<Second>,
    /// The account's frontier when it was last saved.
    pub frontier: Frontier,
    /// Why the latest request of the stream or the latest pass over its account failed. `None` if
    /// neither did.
    pub error: Option<String>,
    /// The sealed windows that overlap the range and are not in doubt.
    pub sealed: Runs,
    /// The sealed windows that overlap the range and are in doubt, each with the reason.
    pub suspect: Vec<(Window, String)>,
}
