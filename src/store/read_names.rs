//! Names and conversations of messages that are read, by their ids.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::decode;
use super::dialect::Dialect;
use super::driver::fetch_all;
use super::error::StoreError;
use super::limits::MAX_CACHED;
use super::model::{FiledConversation, SelectedMessage};

/// A cache of names and conversations. What it holds never changes in an archive, apart from the
/// kind of a conversation, so it may outlive a snapshot, but serves one archive only.
#[derive(Debug, Default)]
pub struct ReadNames {
    names: HashMap<i64, Arc<str>>,
    conversations: HashMap<i64, Arc<FiledConversation>>,
}

/// The columns of a message that refer to a name.
const NAME_COLUMNS: [&str; 5] = [
    "sender_id",
    "recipient_id",
    "message_type_id",
    "payload_type_id",
    "cipher_suite_id",
];

impl ReadNames {
    /// Forgets the conversations, whose kinds may have changed since the last snapshot.
    pub fn begin_snapshot(&mut self) {
        self.conversations.clear();
    }

    /// Looks up the names and conversations of these rows that are not known yet.
    pub(super) async fn resolve<DB: Dialect>(
        &mut self,
        connection: &mut DB::Connection,
        rows: &[DB::Row],
    ) -> Result<(), StoreError> {
        const WHAT: &str = "names of messages";
        if self.names.len() > MAX_CACHED {
            self.names.clear();
        }
        if self.conversations.len() > MAX_CACHED {
            self.conversations.clear();
        }
        let (mut names, mut conversations) = (HashSet::new(), HashSet::new());
        for row in rows {
            for column in NAME_COLUMNS {
                let id = decode::optional_int::<DB>(row, column)?;
                names.extend(id.filter(|id| !self.names.contains_key(id)));
            }
            let id = decode::int::<DB>(row, "conversation_id")?;
            if !self.conversations.contains_key(&id) {
                conversations.insert(id);
            }
        }
        if !names.is_empty() {
            let ids = json_list(&names);
            for row in fetch_all::<DB>(connection, WHAT, DB::NAMES_BY_ID, &[(&ids).into()]).await? {
                let name = decode::text::<DB>(&row, "value")?;
                self.names
                    .insert(decode::int::<DB>(&row, "id")?, name.into());
            }
        }
        if !conversations.is_empty() {
            let ids = json_list(&conversations);
            let args = [(&ids).into()];
            for row in fetch_all::<DB>(connection, WHAT, DB::CONVERSATIONS_BY_ID, &args).await? {
                let conversation = decode::filed_conversation::<DB>(&row)?;
                self.conversations
                    .insert(conversation.id.0, Arc::new(conversation));
            }
        }
        Ok(())
    }

    /// Decodes a message whose names are resolved. A name that the archive does not have is `None`.
    pub(super) fn selected_message<DB: Dialect>(
        &self,
        row: &DB::Row,
    ) -> Result<SelectedMessage, StoreError> {
        let name = |column: &'static str| {
            let id = decode::optional_int::<DB>(row, column)?;
            Ok::<_, StoreError>(id.and_then(|id| self.names.get(&id).cloned()))
        };
        let conversation = decode::int::<DB>(row, "conversation_id")?;
        Ok(SelectedMessage {
            sender: name("sender_id")?,
            recipient: name("recipient_id")?,
            message_type: name("message_type_id")?,
            payload_type: name("payload_type_id")?,
            cipher_suite: name("cipher_suite_id")?,
            conversation: self.conversations.get(&conversation).cloned(),
            ..decode::selected_message::<DB>(row)?
        })
    }
}

fn json_list(ids: &HashSet<i64>) -> String {
    let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
    format!("[{}]", ids.join(","))
}
