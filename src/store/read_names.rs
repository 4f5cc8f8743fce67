//! Names and conversations of messages that are read, by their ids.

use std::collections::HashMap;
use std::sync::Arc;

use super::error::StoreError;
use super::limits::MAX_CACHED;
use super::model::{
    ArchivedMessage, ChangeMark, Cursor, DisplayedBody, FiledConversation, MessageRecord,
    SelectedMessage,
};
use super::rows::delivery_from_columns;
use crate::domain::identity::IdentifiedMessage;
use crate::domain::message::{Conversation, ConversationKind, Message, Payload};

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

    /// Returns a message as the archive holds it, whose names and conversation were looked up. A name
    /// that the archive does not have is empty.
    pub(super) fn archived(&self, record: MessageRecord) -> Result<ArchivedMessage, StoreError> {
        let MessageRecord {
            message,
            names,
            slot,
        } = record;
        let name = |id: i64| self.names.get(&id).map(ToString::to_string);
        let conversation = self.conversations.get(&message.conversation_id.0);
        let conversation = conversation.map(Arc::as_ref);
        let status_at = message.status_at.map(|at| at.0);
        let cursor = Cursor {
            sent_at_ms: message.sent_at.0,
            hash: message.stored_fingerprint.0,
            occurrence: message.occurrence,
            recipient: names.recipient,
            slot,
            account: conversation.map_or(0, |conversation| conversation.account_id.0),
        };
        let displayed = DisplayedBody {
            is_text: message.is_text,
            body: message.repaired_body,
        };
        let occurrence =
            u32::try_from(message.occurrence).map_err(|_| StoreError::Inconsistent {
                what: "message",
                fault: "an occurrence that Backscroll does not write".to_owned(),
            })?;
        let identified = IdentifiedMessage {
            message: Message {
                sender: name(names.sender).unwrap_or_default(),
                recipient: name(names.recipient).unwrap_or_default(),
                sent_at: message.sent_at,
                payload: Payload {
                    bytes: message.payload,
                    encoding: message.encoding,
                },
                conversation: Conversation {
                    kind: conversation.map_or(ConversationKind::Unknown, |found| found.kind),
                    name: conversation.map_or_else(String::new, |found| found.name.clone()),
                },
                provider_id: message.provider_message_id,
                message_type: names.message_type.and_then(name),
                payload_type: names.payload_type.and_then(name),
                cipher_suite: names.cipher_suite.and_then(name),
                status: delivery_from_columns(message.status, status_at),
                extra: message.extra,
            },
            fingerprint: message.stored_fingerprint,
            occurrence,
        };
        Ok(ArchivedMessage {
            id: message.id,
            account: conversation.map_or_else(String::new, |found| found.account.clone()),
            identified,
            archived_at: message.archived_at,
            displayed,
            cursor,
        })
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
