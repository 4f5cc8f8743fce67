//! The name and the kind of a stream, as people know them. Pure.

use std::borrow::Cow;

use crate::domain::stream::Scope;
use crate::store::StreamStatus;

/// The name and the kind of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StreamTitle<'a> {
    pub(crate) name: Cow<'a, str>,
    /// The kind in words; `None` if it is not known.
    pub(crate) kind: Option<&'static str>,
}

impl<'a> StreamTitle<'a> {
    /// Returns the title of a stream. A stream of unknown scope is named by its key.
    pub(crate) fn new(status: &'a StreamStatus) -> Self {
        let scope = status.scope.as_ref();
        let topic = status.stream.strip_prefix("topic=");
        match (topic, scope) {
            (Some(topic), _) => Self::of_topic(topic, scope),
            (None, Some(scope)) => Self::of_scope(scope, &status.stream),
            (None, None) => Self::named(&status.stream, None),
        }
    }

    fn of_topic(topic: &'a str, scope: Option<&Scope>) -> Self {
        let is_own = scope.is_some_and(|scope| scope.conversation.is_none());
        match topic.split_once(':') {
            Some(("user", _)) if is_own => Self::named(topic, Some("the user's own topic")),
            Some(("user", peer)) => Self::named(peer, Some("chat with a user")),
            Some(("group", group)) => Self::named(group, Some("group")),
            _ => Self::named(topic, Some("topic")),
        }
    }

    fn of_scope(scope: &'a Scope, key: &'a str) -> Self {
        match (&scope.sender, &scope.recipient) {
            (Some(sender), None) => Self::named(sender, Some("sender")),
            (None, Some(recipient)) => Self::named(recipient, Some("recipient")),
            (Some(sender), Some(recipient)) => Self {
                name: format!("{sender} → {recipient}").into(),
                kind: Some("sender and recipient"),
            },
            (None, None) => Self::named(key, None),
        }
    }

    fn named(name: &'a str, kind: Option<&'static str>) -> Self {
        Self {
            name: name.into(),
            kind,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::health::tests::stream;
    use super::*;

    fn title(key: &str, scope: Option<[&str; 3]>) -> (String, Option<&'static str>) {
        let part = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        let status = StreamStatus {
            stream: key.to_owned(),
            scope: scope.map(|[sender, recipient, conversation]| Scope {
                sender: part(sender),
                recipient: part(recipient),
                conversation: part(conversation),
            }),
            ..stream(1)
        };
        let title = StreamTitle::new(&status);
        (title.name.into_owned(), title.kind)
    }

    #[test]
    fn a_title_says_what_a_stream_is() {
        for (key, scope, name, kind) in [
            ("destination=lobby", ["", "lobby", ""], "lobby", "recipient"),
            ("source=a=b", ["a=b", "", ""], "a=b", "sender"),
            (
                "source=a,destination=b",
                ["a", "b", ""],
                "a → b",
                "sender and recipient",
            ),
            ("topic=group:7", ["", "", "group:7"], "7", "group"),
            (
                "topic=user:7",
                ["", "", "user:1/user:7"],
                "7",
                "chat with a user",
            ),
            (
                "topic=user:1",
                ["", "user:1", ""],
                "user:1",
                "the user's own topic",
            ),
            ("topic=news", ["", "", "news"], "news", "topic"),
        ] {
            assert_eq!(
                title(key, Some(scope)),
                (name.to_owned(), Some(kind)),
                "{key}"
            );
        }
        assert_eq!(
            title("source=x", None),
            ("source=x".to_owned(), None),
            "a key is not taken apart"
        );
    }
}
