//! The columns of an exported message: those of the view `archive`, apart from `body_json` and
//! `rowid`, which repeat others.

use crate::domain::message::ConversationKind;
use crate::domain::time::Millis;
use crate::store::SelectedMessage;

/// The value of a column.
#[derive(Clone, Copy, Debug)]
pub(super) enum ColumnValue<'a> {
    Null,
    Int(i64),
    /// A text without characters that have to be escaped.
    Word(&'static str),
    Text(&'a str),
    Time(Millis),
    Bytes(&'a [u8]),
    /// The text of a JSON object.
    Json(&'a str),
}

/// The kind of values of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColumnType {
    Int,
    /// A text that is often the same.
    Name,
    Text,
    Time,
    Bytes,
}

/// A column: its name, its type, and the value of a message.
pub(super) struct Column {
    pub(super) name: &'static str,
    #[cfg_attr(
        not(feature = "parquet"),
        expect(dead_code, reason = "only Parquet has types")
    )]
    pub(super) column_type: ColumnType,
    pub(super) value: for<'m> fn(&'m SelectedMessage) -> ColumnValue<'m>,
}

/// The columns, in the order of the view.
pub(super) const COLUMNS: [Column; 23] = [
    column("account", ColumnType::Name, |m| {
        text(m.conversation.as_ref().map(|c| c.account.as_str()))
    }),
    PROVIDER,
    column("conversation", ColumnType::Name, |m| {
        text(m.conversation.as_ref().map(|c| c.name.as_str()))
    }),
    column("conversation_kind", ColumnType::Name, |m| {
        let kind = m.conversation.as_ref().map(|c| c.kind);
        ColumnValue::Word(kind_word(kind.unwrap_or(ConversationKind::Unknown)))
    }),
    column("sender", ColumnType::Name, |m| text(m.sender.as_deref())),
    column("recipient", ColumnType::Name, |m| {
        text(m.recipient.as_deref())
    }),
    column("sent_at", ColumnType::Time, |m| {
        ColumnValue::Time(m.sent_at)
    }),
    column("sent_at_ms", ColumnType::Int, |m| {
        ColumnValue::Int(m.sent_at.0)
    }),
    column("body", ColumnType::Text, |m| text(m.body())),
    column("payload", ColumnType::Bytes, |m| {
        ColumnValue::Bytes(&m.payload)
    }),
    column("payload_encoding", ColumnType::Name, |m| {
        ColumnValue::Word(m.encoding.as_str())
    }),
    column("payload_type", ColumnType::Name, |m| {
        text(m.payload_type.as_deref())
    }),
    column("cipher_suite", ColumnType::Name, |m| {
        text(m.cipher_suite.as_deref())
    }),
    column("status", ColumnType::Name, |m| {
        m.status_word().map_or(ColumnValue::Null, ColumnValue::Word)
    }),
    column("status_at", ColumnType::Time, |m| {
        m.status_at.map_or(ColumnValue::Null, ColumnValue::Time)
    }),
    column("provider_message_id", ColumnType::Text, |m| {
        text(m.provider_message_id.as_deref())
    }),
    column("occurrence", ColumnType::Int, |m| {
        ColumnValue::Int(m.occurrence)
    }),
    column("archived_at", ColumnType::Time, |m| {
        ColumnValue::Time(m.archived_at)
    }),
    column("extra", ColumnType::Text, |m| {
        m.extra
            .as_deref()
            .map_or(ColumnValue::Null, ColumnValue::Json)
    }),
    column("message_type", ColumnType::Name, |m| {
        text(m.message_type.as_deref())
    }),
    column("conversation_id", ColumnType::Int, |m| {
        ColumnValue::Int(m.conversation_id.0)
    }),
    column("sender_id", ColumnType::Int, |m| {
        ColumnValue::Int(m.sender_id)
    }),
    column("id", ColumnType::Int, |m| ColumnValue::Int(m.id)),
];

/// The column that a folder of Parquet files has in its name.
pub(super) const PROVIDER: Column = column("provider", ColumnType::Name, |m| {
    text(m.conversation.as_ref().map(|c| c.provider.as_str()))
});

const fn column(
    name: &'static str,
    column_type: ColumnType,
    value: for<'m> fn(&'m SelectedMessage) -> ColumnValue<'m>,
) -> Column {
    Column {
        name,
        column_type,
        value,
    }
}

fn text(text: Option<&str>) -> ColumnValue<'_> {
    text.map_or(ColumnValue::Null, ColumnValue::Text)
}

/// Returns the word for a kind of conversation.
pub(super) fn kind_word(kind: ConversationKind) -> &'static str {
    match kind {
        ConversationKind::Unknown => "unknown",
        ConversationKind::Peer => "peer",
        ConversationKind::Channel => "channel",
        ConversationKind::Group => "group",
        ConversationKind::Topic => "topic",
    }
}
