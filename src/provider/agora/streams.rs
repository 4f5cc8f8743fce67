//! The streams of the history API: filters by source and destination.

use std::borrow::Cow;

use crate::domain::stream::{Scope, Stream};

/// Returns the stream of a filter, with its key in the archive: `source=alice&destination=bob`. At
/// least one of the two is given.
pub fn filter_stream(source: Option<String>, destination: Option<String>) -> Stream {
    let source_part = source
        .as_deref()
        .map(|name| format!("source={}", escaped_sender(name)));
    let destination_part = destination
        .as_deref()
        .map(|name| format!("destination={name}"));
    let parts: Vec<String> = [source_part, destination_part]
        .into_iter()
        .flatten()
        .collect();
    Stream {
        key: parts.join("&"),
        scope: Scope {
            sender: source,
            recipient: destination,
            conversation: None,
        },
        discovered: false,
    }
}

/// Returns a sender's name for a key. A name that could be mistaken for a sender and a destination
/// is percent-encoded.
fn escaped_sender(name: &str) -> Cow<'_, str> {
    if name.contains("destination=") {
        name.replace('%', "%25").replace('&', "%26").into()
    } else {
        name.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_have_distinct_keys() {
        let names = [
            "a",
            "b",
            "a&destination=b",
            "a%26destination=b",
            "a&",
            "%26destination=b",
            "destination=b",
        ];
        let sources = names.map(|name| filter_stream(Some(name.to_owned()), None));
        let destinations = names.map(|name| filter_stream(None, Some(name.to_owned())));
        let pairs = names.iter().flat_map(|source| {
            names.iter().map(|destination| {
                filter_stream(Some((*source).to_owned()), Some((*destination).to_owned()))
            })
        });
        let keys: Vec<String> = sources
            .into_iter()
            .chain(destinations)
            .chain(pairs)
            .map(|stream| stream.key)
            .collect();
        let distinct: std::collections::HashSet<&String> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len(), "{keys:?}");
    }

    #[test]
    fn ordinary_names_stand_unescaped_in_keys() {
        let key = |source: &str, destination: &str| {
            let name = |name: &str| Some(name.to_owned()).filter(|name| !name.is_empty());
            filter_stream(name(source), name(destination)).key
        };
        assert_eq!(key("x&y=z%", ""), "source=x&y=z%");
        assert_eq!(key("alice", "q&a #1?"), "source=alice&destination=q&a #1?");
    }
}
