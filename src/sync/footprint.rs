//! Which windows may be committed at the same time.
//!
//! Two streams may bring the same message. Two commits that add it at once would wait for each other, so of windows
//! that might hold the same message one waits until the other is in the archive. Equal messages have their moment
//! and their recipient in common.

use std::collections::HashSet;

use crate::domain::identity::Identified;
use crate::domain::time::Millis;

/// Where a window's messages may meet another's.
#[derive(Debug)]
pub(super) struct Footprint {
    /// Nothing where the window holds no message.
    times: Option<(Millis, Millis)>,
    recipients: HashSet<String>,
}

impl Footprint {
    pub(super) fn of(messages: &[Identified]) -> Self {
        let times = messages.iter().map(|identified| identified.message.sent_at);
        let recipients: HashSet<&str> =
            messages.iter().map(|identified| identified.message.recipient.as_str()).collect();
        Self {
            times: times.clone().min().zip(times.max()),
            recipients: recipients.into_iter().map(str::to_owned).collect(),
        }
    }

    /// Whether both may hold the same message.
    pub(super) fn meets(&self, other: &Self) -> bool {
        let (Some((from, to)), Some((others_from, others_to))) = (self.times, other.times) else { return false };
        from <= others_to && others_from <= to && !self.recipients.is_disjoint(&other.recipients)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::identity::identify;
    use crate::domain::message::{Conversation, Encoding, Message, Payload};

    fn footprint(messages: &[(&str, i64)]) -> Footprint {
        let message = |&(recipient, at): &(&str, i64)| Message {
            sender: "alice".into(),
            recipient: recipient.into(),
            sent_at: Millis(at),
            payload: Payload { bytes: vec![], encoding: Encoding::Utf8 },
            conversation: Conversation::between("alice", recipient),
            provider_id: None,
            message_type: None,
            payload_type: None,
            cipher_suite: None,
            status: None,
            extra: None,
        };
        Footprint::of(&identify(messages.iter().map(message).collect()))
    }

    #[test]
    fn windows_meet_where_they_share_time_and_recipient() {
        let lobby = footprint(&[("lobby", 10), ("lobby", 20)]);
        assert!(lobby.meets(&footprint(&[("dev", 0), ("lobby", 20), ("dev", 30)])));
        assert!(!lobby.meets(&footprint(&[("dev", 10)])), "another recipient");
        assert!(!lobby.meets(&footprint(&[("lobby", 21)])), "another time");
        assert!(!lobby.meets(&footprint(&[])) && !footprint(&[]).meets(&lobby));
    }
}
