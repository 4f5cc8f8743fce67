//! Names and conversations of messages that are read, by their ids.

use std::collections::HashMap;
use std::sync::Arc;

use super::limits::MAX_CACHED;
use super::model::{ChangeMark, FiledConversation, MessageRecord, SelectedMessage};

/// A cache of names and conversations, as they are in one snapshot.
#[derive(Debug, Default)]
pub(super) struct ReadNames {
    names: HashMap<i64, Arc<str>>,
    conversations: HashMap<i64, Arc<FiledConversation>>,
}

impl ReadNames {
    /// Forgets names and conversations if they are too many.
    pub(super) fn make_room(&mut self) {
        if self.names.len() > MAX_CACHED {
            self.names.clear();
        }
        if self.conversations.len() > MAX_CACHED {
            self.conversations.clear();
        }
    }

    /// Returns the ids of the names of a message that have to be looked up.
    pub(super) fn unknown_names(&self, record: &MessageRecord) -> impl Iterator<Item = i64> {
        let ids = record.names.all();
        ids.filter(|id| !self.names.contains_key(id))
    }

    /// Returns the id of the conversation of a message if it has to be looked up.
    pub(super) fn unknown_conversation(&self, record: &MessageRecord) -> Option<i64> {
        let id = record.message.conversation_id.0;
        (!self.conversations.contains_key(&id)).then_some(id)
    }

    pub(super) fn insert_names(&mut self, names: Vec<(i64, String)>) {
        let names = names.into_iter().map(|(id, name)| (id, name.into()));
        self.names.extend(names);
    }

    pub(super) fn insert_conversations(&mut self, conversations: Vec<FiledConversation>) {
        let conversations = conversations.into_iter();
        self.conversations
            .extend(conversations.map(|found| (found.id.0, Arc::new(found))));
    }

    /// Returns a message whose names and conversation were looked up, and adds it to a mark. A name
    /// that the archive does not have is `None`.
    pub(super) fn complete(&self, record: MessageRecord, mark: &mut ChangeMark) -> SelectedMessage {
        let MessageRecord {
            mut message,
            names,
            slot,
        } = record;
        let name = |id: i64| self.names.get(&id).cloned();
        message.sender = name(names.sender);
        message.recipient = name(names.recipient);
        message.message_type = names.message_type.and_then(name);
        message.payload_type = names.payload_type.and_then(name);
        message.cipher_suite = names.cipher_suite.and_then(name);
        let conversation = message.conversation_id.0;
        message.conversation = self.conversations.get(&conversation).cloned();
        mark.include(&message, (names, slot));
        message
    }
}
