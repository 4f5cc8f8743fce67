//! Messages as the archive holds them, and positions between them.

use crate::domain::body::Body;
use crate::domain::identity::{Fingerprint, IdentifiedMessage};
use crate::domain::time::Millis;

/// A message as it is stored in the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedMessage {
    /// The number of the message in this archive.
    pub id: i64,
    /// The account's name.
    pub account: String,
    pub identified: IdentifiedMessage,
    /// The time of archiving, to the second.
    pub archived_at: Millis,
    /// The stored body columns, for comparison with the payload.
    pub(in crate::store) displayed: DisplayedBody,
    pub(in crate::store) cursor: Cursor,
}

/// The columns that the archive keeps beside a payload for display.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct DisplayedBody {
    pub(in crate::store) is_text: bool,
    /// The repaired text. `None` if the payload is displayed as it is, or is not text.
    pub(in crate::store) body: Option<String>,
}

/// A position between two messages, in the order of [`Audit::messages`](crate::store::Audit).
/// It is valid for one archive only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cursor {
    pub(in crate::store) sent_at_ms: i64,
    pub(in crate::store) hash: [u8; 16],
    pub(in crate::store) occurrence: i64,
    pub(in crate::store) recipient: i64,
    pub(in crate::store) slot: i64,
    /// The id of the account of the message before this position; 0 if unknown. It does not take
    /// part in the order.
    pub(in crate::store) account: i64,
}

impl Cursor {
    /// Returns the position before the first message of this moment.
    pub fn before(moment: Millis) -> Self {
        let (hash, occurrence) = ([0; 16], -1);
        Self {
            sent_at_ms: moment.0,
            hash,
            occurrence,
            recipient: 0,
            slot: 0,
            account: 0,
        }
    }

    /// Returns the moment at or after which the position lies.
    pub fn moment(&self) -> Millis {
        Millis(self.sent_at_ms)
    }
}

impl ArchivedMessage {
    /// Returns the position after this message.
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// Returns the first difference between the row and the message that was archived, as far as
    /// the row alone can show it. `None` if there is none.
    pub fn fault(&self) -> Option<&'static str> {
        let message = &self.identified.message;
        if Fingerprint::compute(message) != self.identified.fingerprint {
            return Some("does not match its own hash");
        }
        let (is_text, body) = match Body::from_message(message) {
            Body::NotText => (false, None),
            Body::ExactText => (true, None),
            Body::RepairedText(text) => (true, Some(text)),
        };
        let expected = DisplayedBody { is_text, body };
        (self.displayed != expected).then_some("has a body that is not its payload's")
    }
}
