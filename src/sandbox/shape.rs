//! The variants of the two providers' answers. Each is one flag.
//!
//! The written contracts contradict each other, and real clients have met further variants. A
//! client must read all of them. The defaults are the variants seen most recently.

use clap::ValueEnum;
use serde_json::Value;

/// The rule for the bound of a time range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum BoundRule {
    /// The range includes a message exactly on the bound.
    #[default]
    Inclusive,
    /// The range excludes a message exactly on the bound.
    Exclusive,
}

/// The status of the answer when an Agora handle is read a second time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DeadHandleStatus {
    /// 410 Gone
    #[default]
    #[value(name = "410")]
    Gone,
    /// 404 Not Found
    #[value(name = "404")]
    NotFound,
}

/// The moment at which the messages of an Agora handle are selected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SnapshotMoment {
    /// When the handle is created
    #[default]
    Post,
    /// When the handle is read
    Get,
}

/// The order of the messages of a Web3MQ topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PageOrder {
    /// By the time that the sender's client has set
    #[default]
    Time,
    /// In the order in which the node received them
    Arrival,
}

/// The headers in which an Agora client sends a token and its uid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum TokenHeaderForm {
    /// `x-agora-token` and `x-agora-uid`
    #[default]
    Agora,
    /// `x-ar-token` and `x-ar-uid`, as at anyRTC
    Anyrtc,
}

impl TokenHeaderForm {
    /// Returns the names of the header with the token and of the one with its uid.
    pub fn names(self) -> [&'static str; 2] {
        match self {
            Self::Agora => ["x-agora-token", "x-agora-uid"],
            Self::Anyrtc => ["x-ar-token", "x-ar-uid"],
        }
    }
}

/// The field that names the recipient of an Agora message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ReceiverField {
    /// As real servers send it
    #[default]
    Dst,
    /// As in the contract's table
    Dest,
}

/// The field that holds the list of Agora messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ListField {
    /// As real servers send it
    #[default]
    Messages,
    /// As in the contract's table
    Message,
}

/// The form of an empty list, for both providers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum EmptyListForm {
    /// `[]`
    #[default]
    Empty,
    /// `null`
    Null,
    /// The field is absent
    Absent,
}

/// The field that holds the time of an Agora message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum TimeField {
    /// As real servers send it
    #[default]
    Ms,
    /// As in the contract
    Ts,
}

/// The form of the time of an Agora message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum TimeForm {
    /// `1644999939488`
    #[default]
    Millis,
    /// `"1644999939488"`
    MillisText,
    /// `1644999939`; the history is truncated to whole seconds
    Seconds,
    /// `"1644999939"`; the history is truncated to whole seconds
    SecondsText,
    /// `"2022-02-16T08:25:39.488Z"`
    Iso,
}

impl TimeForm {
    /// True if this form has no milliseconds.
    pub fn is_whole_seconds(self) -> bool {
        matches!(self, Self::Seconds | Self::SecondsText)
    }
}

/// The value of `message_type` in an Agora channel message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ChannelMessageType {
    /// `group_message`, as real servers send it
    #[default]
    Group,
    /// `channel_message`, as in the later contract
    Channel,
    /// No `message_type` in channel and peer messages, as in the first contract
    Absent,
}

/// The envelope of a Web3MQ page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Web3mqEnvelope {
    /// `data: {total, result}`
    #[default]
    V1,
    /// `data: {total_count, data_list}`
    V2,
}

/// The field that holds the payload of a Web3MQ message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PayloadField {
    /// As in the contract's sample
    #[default]
    Payload,
    /// As in the contract's table
    Pyaload,
}

/// The form of a Web3MQ message's `from_sign`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum FromSignForm {
    /// As in the contract's sample
    #[default]
    Text,
    /// As in the contract's table
    Number,
}

/// The form of a number of messages: Agora's count and Web3MQ's total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum CountForm {
    /// `250`
    #[default]
    Number,
    /// `"250"`
    Text,
    /// `250.0`
    Float,
    /// `-1`, whatever the number
    Negative,
    /// `null`, whatever the number
    Null,
    /// `1000000000000`, whatever the number
    Absurd,
    /// `1000000`, whatever the number
    Million,
    /// `100`, if there are more
    Hundred,
}

impl CountForm {
    /// Returns a number of messages in this form.
    pub(super) fn write(self, count: usize) -> Value {
        match self {
            Self::Number => count.into(),
            Self::Text => count.to_string().into(),
            Self::Float => (count as f64).into(),
            Self::Negative => (-1).into(),
            Self::Null => Value::Null,
            Self::Absurd => 1_000_000_000_000_u64.into(),
            Self::Million => 1_000_000.into(),
            Self::Hundred => count.min(100).into(),
        }
    }
}

/// The total that a Web3MQ page reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum TotalForm {
    /// The number of messages in the whole topic
    #[default]
    Whole,
    /// No total
    Absent,
}
