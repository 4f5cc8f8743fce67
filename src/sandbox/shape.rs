//! The forms that the two providers' answers have been seen in: each of these is one flag.
//!
//! The written contracts contradict themselves, and real clients met still other shapes; whoever reads both providers
//! must read them all. The defaults are what was last seen in the wild.

use clap::ValueEnum;

/// Whether a bound of a time range belongs to the range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum BoundRule {
    /// A message exactly on the bound is served.
    #[default]
    Inclusive,
    /// A message exactly on the bound is not served.
    Exclusive,
}

/// What a second reading of an Agora handle is answered with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DeadHandle {
    /// 410 Gone
    #[default]
    #[value(name = "410")]
    Gone,
    /// 404 Not Found
    #[value(name = "404")]
    NotFound,
}

/// When the messages behind an Agora handle are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SnapshotMoment {
    /// When the handle is made
    #[default]
    Post,
    /// When it is read
    Get,
}

/// The field that names the receiver of an Agora message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ReceiverField {
    /// As real servers have it
    #[default]
    Dst,
    /// As the contract's table has it
    Dest,
}

/// The field that holds the list of Agora messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ListField {
    /// As real servers have it
    #[default]
    Messages,
    /// As the contract's table has it
    Message,
}

/// How a list without a message is sent, by either provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum EmptyListForm {
    /// `[]`
    #[default]
    Empty,
    /// `null`
    Null,
    /// Not at all
    Absent,
}

/// The field that holds the time of an Agora message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum TimeField {
    /// As real servers have it
    #[default]
    Ms,
    /// As the contract has it
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
    /// `1644999939`; the history is cut to whole seconds
    Seconds,
    /// `"1644999939"`; the history is cut to whole seconds
    SecondsText,
    /// `"2022-02-16T08:25:39.488Z"`
    Iso,
}

impl TimeForm {
    /// Whether this form cannot tell milliseconds.
    pub fn is_whole_seconds(self) -> bool {
        matches!(self, Self::Seconds | Self::SecondsText)
    }
}

/// How a channel message of Agora calls itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ChannelMessageType {
    /// `group_message`, as real servers do
    #[default]
    Group,
    /// `channel_message`, as the later contract does
    Channel,
    /// Neither channel nor peer messages say what they are, as in the first contract
    Absent,
}

/// The envelope around a page of Web3MQ.
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
    /// As the contract's sample has it
    #[default]
    Payload,
    /// As the contract's table has it
    Pyaload,
}

/// The form of a Web3MQ message's `from_sign`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum FromSignForm {
    /// As the contract's sample has it
    #[default]
    Text,
    /// As the contract's table has it
    Number,
}

/// What a page of Web3MQ says about the size of its topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum TotalForm {
    /// The number of messages in the whole topic
    #[default]
    Whole,
    /// Nothing
    Absent,
}
