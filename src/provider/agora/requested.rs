//! The messages that a request asks for.

use crate::domain::message::Message;
use crate::domain::stream::{Scope, Stream};
use crate::domain::window::Window;

/// The messages that were asked for: those of a stream between these bounds. The bounds must allow
/// for a provider that interprets its own more liberally.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestedMessages<'a> {
    pub(super) stream: &'a Stream,
    pub(super) bounds: Window,
}

impl RequestedMessages<'_> {
    /// True if the message was asked for.
    pub(super) fn include(&self, message: &Message) -> bool {
        let Scope {
            sender, recipient, ..
        } = &self.stream.scope;
        is_wanted(sender.as_ref(), &message.sender)
            && is_wanted(recipient.as_ref(), &message.recipient)
            && self.bounds.contains(message.sent_at)
    }
}

fn is_wanted(wanted: Option<&String>, name: &str) -> bool {
    wanted.is_none_or(|wanted| wanted == name)
}
