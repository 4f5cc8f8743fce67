//! An index from a message to the streams that it may belong to.

use std::collections::HashMap;

use super::claim::ClaimedStream;
use crate::domain::message::Message;

/// Finds the streams that a message may belong to, as positions in a list of streams. A stream is
/// stored under one part of its scope: the one that the fewest messages share.
#[derive(Debug, Default)]
pub(super) struct ScopeIndex(HashMap<String, AccountIndex>);

#[derive(Debug, Default)]
struct AccountIndex {
    conversations: HashMap<String, Vec<usize>>,
    senders: HashMap<String, Vec<usize>>,
    recipients: HashMap<String, Vec<usize>>,
}

impl ScopeIndex {
    pub(super) fn new<'a>(streams: impl Iterator<Item = &'a ClaimedStream>) -> Self {
        let mut index = Self::default();
        for (position, stream) in streams.enumerate() {
            let of_account = index.0.entry(stream.account.clone()).or_default();
            let scope = &stream.scope;
            let (names, name) = match (&scope.conversation, &scope.sender, &scope.recipient) {
                (Some(name), ..) => (&mut of_account.conversations, name),
                (None, Some(name), _) => (&mut of_account.senders, name),
                (None, None, Some(name)) => (&mut of_account.recipients, name),
                (None, None, None) => continue,
            };
            names.entry(name.clone()).or_default().push(position);
        }
        index
    }

    /// True if the conversation of an account's messages follows from their sender and recipient.
    /// A stream that is a conversation itself assigns its messages to that conversation instead.
    pub(super) fn derives_conversations(&self, account: &str) -> bool {
        let of_account = self.0.get(account);
        of_account.is_some_and(|of_account| of_account.conversations.is_empty())
    }

    /// Returns the positions of the streams that a message may belong to. The stream's scope
    /// decides.
    pub(super) fn candidates(
        &self,
        account: &str,
        message: &Message,
    ) -> impl Iterator<Item = usize> {
        let positions = self.0.get(account).map(|of_account| {
            [
                of_account.conversations.get(&message.conversation.name),
                of_account.senders.get(&message.sender),
                of_account.recipients.get(&message.recipient),
            ]
        });
        positions.into_iter().flatten().flatten().flatten().copied()
    }
}
