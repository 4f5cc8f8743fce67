//! The kinds of calls to the providers.

use serde::{Deserialize, Serialize};

/// A kind of request that counts against a provider's quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Call {
    /// Agora: create a query and receive a handle.
    Query,
    /// Agora: read a handle.
    Read,
    /// Agora: count messages.
    Count,
    /// Agora: read events from a feed.
    Events,
    /// Web3MQ: read a page of messages.
    History,
    /// Web3MQ: read a page of a list of conversations.
    List,
}

/// The kinds of calls that a scripted answer is for. In JSON: `any`, or the name of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallFilter {
    /// All kinds of calls.
    #[default]
    Any,
    /// One kind of call.
    #[serde(untagged)]
    Only(Call),
}

impl CallFilter {
    /// True if the filter includes this kind of call.
    pub(super) fn matches(self, call: Call) -> bool {
        match self {
            Self::Any => true,
            Self::Only(only) => only == call,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_written_as_any_or_the_name_of_a_call() {
        for (filter, json) in [
            (CallFilter::Any, "\"any\""),
            (CallFilter::Only(Call::Read), "\"read\""),
            (CallFilter::Only(Call::List), "\"list\""),
        ] {
            assert_eq!(serde_json::to_string(&filter).unwrap(), json);
            assert_eq!(serde_json::from_str::<CallFilter>(json).unwrap(), filter);
        }
        assert!(serde_json::from_str::<CallFilter>("\"write\"").is_err());
    }
}
