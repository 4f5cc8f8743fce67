//! Web3MQ: message history and lists of conversations. Requests are signed; pages are numbered from
//! the newest message back.
//!
//! | question | file |
//! |---|---|
//! | How is a request handled and verified? | `handlers` |
//! | What do requests and answers look like? | `wire` |
//! | Which conversations does a list contain? | `lists` |
//! | How are messages stored, and how are requests signed? | `history` |

pub(super) mod handlers;
mod history;
mod lists;
mod wire;

pub use history::{Web3mqMessage, Web3mqRows, Web3mqStatus, Web3mqUser};
