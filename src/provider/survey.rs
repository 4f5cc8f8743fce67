//! The results of asking a provider about a range.

use tokio::sync::OwnedMutexGuard;

use crate::domain::arrival::ArrivalMark;
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
    /// The part of the stream that these messages are, if it is read in order of arrival.
    pub arrivals: Option<ArrivalPart>,
}

/// A part of a stream that is read in order of arrival: the messages behind a mark, whatever their
/// times are.
#[derive(Debug)]
pub struct ArrivalPart {
    /// The mark that it begins at.
    pub from: ArrivalMark,
    /// The mark behind it, once it is archived.
    pub to: ArrivalMark,
    /// `None` if it reaches the end: all of the range is covered. Else the range is covered before
    /// this second, and more messages follow. The second is a label: about the middle of the
    /// part's times.
    pub rest_from: Option<Second>,
    /// Parts of a stream are read one after the other: the next is read when this is dropped.
    pub(super) _turn: OwnedMutexGuard<()>,
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
    pub reason: ReadReason,
}

/// The reason for reading a window. It matters for streams that are read in order of arrival, where
/// a window's messages may stand anywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadReason {
    /// Messages are missing: all that were not read yet are wanted.
    #[default]
    Missing,
    /// The window was read before, and statuses may have changed: most of its messages do.
    Refresh,
    /// The window is to be proved: each of its messages is wanted, wherever it stands.
    Proof,
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
            reason: ReadReason::default(),
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
            arrivals: None,
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
