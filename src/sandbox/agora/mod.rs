//! Agora RTM: message history, counts and event feeds.
//!
//! | question | file |
//! |---|---|
//! | How is a request handled? | `handlers` |
//! | Which credentials are accepted? | `auth`; tokens signed with the App certificate: `access_token` |
//! | What do requests and answers look like? | `wire` |
//! | When is a handle ready, consumed or expired? | `handles` |
//! | How are messages stored and selected? | `history` |
//! | What do the event feeds report? | `events` |

mod access_token;
mod auth;
mod events;
pub(super) mod handlers;
mod handles;
mod history;
mod json_string;
mod wire;

pub use auth::{APP_CERTIFICATE, CUSTOMER_ID, CUSTOMER_SECRET, TOKEN_UID};
pub use events::AgoraEvent;
pub(super) use events::{EventFeed, EventFeeds};
pub(super) use handles::AgoraState;
pub use history::{AgoraHistory, AgoraMessage, RecipientKind, Selection, SuggestedStream};
