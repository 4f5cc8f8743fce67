//! The identity of an account: what tells it from all others, whatever its name is.

use std::fmt;

/// The identity of an account among all others at its provider.
///
/// The archive stores it. An account of the configuration that has the same name and another
/// identity would mix two histories, so it is refused. Credentials and base URLs are no part of it:
/// they may change while the history stays the same. A Web3MQ node is one, because two nodes may
/// have different histories.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountIdentity {
    /// The owner of the history: the App ID at Agora, the user at Web3MQ.
    pub owner: String,
    /// The node's host, port and path. `None` if all hosts of the provider have the same history.
    pub node: Option<String>,
    /// An earlier address of the node, by which the archive may still know it.
    pub former_node: Option<String>,
}

impl AccountIdentity {
    /// Returns the first part in which an archived identity differs from this one; `None` if both
    /// are one account's.
    pub fn difference(&self, archived: &Self) -> Option<IdentityDifference> {
        if self.owner != archived.owner {
            return Some(IdentityDifference {
                part: IdentityPart::Owner,
                archived: archived.owner.clone(),
                configured: self.owner.clone(),
            });
        }
        let (Some(archived), Some(configured)) = (&archived.node, &self.node) else {
            return None;
        };
        let has_moved = self.former_node.as_ref() == Some(archived);
        (archived != configured && !has_moved).then(|| IdentityDifference {
            part: IdentityPart::Node,
            archived: archived.clone(),
            configured: configured.clone(),
        })
    }
}

/// A part of what tells accounts apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityPart {
    Provider,
    Owner,
    Node,
}

/// A part of an identity that the archive knows otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityDifference {
    pub part: IdentityPart,
    pub archived: String,
    pub configured: String,
}

impl fmt::Display for IdentityPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Provider => "provider",
            Self::Owner => "app_id or user_id",
            Self::Node => "node (base_url)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(owner: &str, node: &str, former_node: &str) -> AccountIdentity {
        let optional = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        AccountIdentity {
            owner: owner.to_owned(),
            node: optional(node),
            former_node: optional(former_node),
        }
    }

    #[test]
    fn identity_differs_by_owner_and_by_node_unless_the_node_has_moved() {
        for (configured, archived, part) in [
            (identity("a", "", ""), identity("a", "", ""), None),
            (
                identity("a", "", ""),
                identity("b", "", ""),
                Some(IdentityPart::Owner),
            ),
            (
                identity("a", "m", ""),
                identity("a", "n", ""),
                Some(IdentityPart::Node),
            ),
            (identity("a", "m", "n"), identity("a", "n", ""), None),
            (identity("a", "m", "n"), identity("a", "m", ""), None),
            (
                identity("a", "m", "n"),
                identity("a", "o", ""),
                Some(IdentityPart::Node),
            ),
            (
                identity("a", "m", "n"),
                identity("b", "n", ""),
                Some(IdentityPart::Owner),
            ),
            (identity("a", "m", ""), identity("a", "", ""), None),
        ] {
            let found = configured.difference(&archived).map(|found| found.part);
            assert_eq!(found, part, "{configured:?} {archived:?}");
        }
    }
}
