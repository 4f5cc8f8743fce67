//! The results of asking a provider about a range.

use crate::domain::message::{Message, UnparsableMessage};
use crate::domain::time::{Millis, Second};

/// The result of a survey.
#[derive(Debug)]
pub enum Survey {
    /// The survey itself has read the whole range: it is empty or small.
    Complete(FetchedWindow),
    /// The range can be fetched as one window of about this many messages; `None` if the provider
    /// does not say how many.
    OneWindow(Option<u64>),
    /// The range is too large for one window: it holds about `count` messages. Each piece between
    /// two `cuts` is to be surveyed by itself.
    Split { count: u64, cuts: Vec<Second> },
}

/// The messages of a window.
#[derive(Debug)]
pub struct FetchedWindow {
    /// In the provider's order, oldest first. Some may lie outside of the window; they are archived
    /// as well.
    pub messages: Vec<Message>,
    /// Items that could not be parsed, as raw text.
    pub unreadable: Vec<UnparsableMessage>,
    /// The number of messages in the window by the provider's own count; `None` if it does not
    /// count.
    pub provider_count: Option<u64>,
    /// Provider time before the first request. Messages sent later may be missing.
    pub requested_at: Millis,
    /// The reason why messages may be missing, after several attempts; `None` if the window is
    /// complete.
    pub doubt: Option<String>,
    /// The position behind these messages, if the window is read in parts and may hold more. The
    /// provider's count is then that of this part.
    pub next: Option<ReadPosition>,
}

/// A reading of a window, or of the next part of it.
#[derive(Clone, Copy, Debug)]
pub struct WindowRequest {
    /// The number of messages that a survey has found; `None` if it is not known.
    pub expected: Option<u64>,
    /// The position to begin at.
    pub from: ReadPosition,
    /// The reading ends soon after it holds this much; the rest is another part.
    pub room: ReadRoom,
}

/// A position among the messages of a window and of the margin that is read with it, oldest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadPosition {
    /// The number of messages before it.
    pub offset: u64,
    /// The time of the message before it, if that is known. It shows if the history has shifted
    /// since.
    pub time: Option<Millis>,
}

/// The size of what is read at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadRoom {
    pub messages: u64,
    /// The bytes of the messages' content.
    pub bytes: u64,
}

impl WindowRequest {
    /// Asks for a whole window, whatever its size.
    pub fn whole(expected: Option<u64>) -> Self {
        Self {
            expected,
            from: ReadPosition::default(),
            room: ReadRoom::UNLIMITED,
        }
    }
}

impl ReadRoom {
    /// Room for a window of any size.
    pub const UNLIMITED: Self = Self {
        messages: u64::MAX,
        bytes: u64::MAX,
    };
}

/// A count, and the exact range that was counted. A provider may interpret the bounds of a range
/// differently from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeCount {
    pub messages: u64,
    /// The first moment that was counted. It is the range's start, or up to a second later.
    pub from: Millis,
    /// The first moment after the count. It is the range's end, or up to a second later.
    pub to: Millis,
}

impl FetchedWindow {
    /// Makes a window without a count and without a doubt.
    pub(super) fn from_items(
        items: impl IntoIterator<Item = Result<Message, UnparsableMessage>>,
        requested_at: Millis,
    ) -> Self {
        let (mut messages, mut unreadable) = (Vec::new(), Vec::new());
        for item in items {
            match item {
                Ok(message) => messages.push(message),
                Err(unparsable) => unreadable.push(unparsable),
            }
        }
        Self {
            messages,
            unreadable,
            provider_count: None,
            requested_at,
            doubt: None,
            next: None,
        }
    }

    /// Makes a window of which the provider counts exactly these items.
    pub(super) fn from_counted(
        items: Vec<Result<Message, UnparsableMessage>>,
        requested_at: Millis,
    ) -> Self {
        let provider_count = Some(items.len() as u64);
        Self {
            provider_count,
            ..Self::from_items(items, requested_at)
        }
    }
}
