//! The results of asking a provider about a range.

use crate::domain::message::{Message, UnparsableMessage};
use crate::domain::time::{Millis, Second};

/// The result of a survey.
#[derive(Debug)]
pub enum Survey {
    /// The survey itself has read the whole range: it is empty or small.
    Complete(FetchedWindow),
    /// The range can be fetched as one window of about this many messages.
    OneWindow(u64),
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
