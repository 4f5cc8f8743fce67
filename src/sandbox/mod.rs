//! The sandbox: both providers' HTTP APIs as one strict server on loopback, for trials and tests.
//!
//! It follows the providers' contracts exactly and records every violation. Where the contracts
//! leave a doubt (bounds, field names, forms of time, a handle read twice), [`Options`] has a flag.
//! Every [`Fault`] can be scripted ([`ScriptedAnswer`]) or sampled at random. The served history is
//! a [`World`], generated from a seed or read from a file.
//!
//! | path | purpose |
//! |---|---|
//! | `POST /dev/v2/project/{appid}/rtm/message/history/query` | Agora: create a query |
//! | `GET …/query/{handle}` | Agora: read a handle, once |
//! | `GET …/count` | Agora: count messages |
//! | `GET …/rtm/vendor/user_events`, `…/channel_events` | Agora: take events |
//! | `GET /api/messages/history/` | Web3MQ: a page of messages |
//! | `GET /api/chats/`, `groups/`, `my_subscribe_topic_list/` | Web3MQ: a page of a list |
//! | `GET /sandbox/rules`, `POST /sandbox/rules/reset` | requests and violations by account |
//! | `GET /sandbox/arrivals` | request arrival times |
//! | `GET /sandbox/truth` | every message, as JSON lines |
//! | `POST /sandbox/append`, `event`, `advance`, `remove`, `forget`, … | change the world |
//! | `POST`, `DELETE /sandbox/script` | scripted answers |
//!
//! Agora accepts Basic authentication with [`CUSTOMER_ID`] and [`CUSTOMER_SECRET`], the token in
//! [`Options::token`] for [`TOKEN_UID`], or a token signed with [`APP_CERTIFICATE`]. Web3MQ's users
//! and keys follow from the seed: see [`Web3mqUser`].
//!
//! | question | file |
//! |---|---|
//! | Which flags exist? | `options`, `shape` (variants of answers), `durations`, `share` |
//! | How does the server start and stop? | `server` |
//! | How is a request counted, delayed and rejected? | `gateway` |
//! | What do Agora and Web3MQ answer? | `agora`, `web3mq` |
//! | Which messages and accounts exist? | `world` |
//! | How is a history generated? | `generate`, `corpus` (from a file) |
//! | What counts as a violation? | `rules` |
//! | Which faults exist, and when do they occur? | `fault`, `fault_sampler`, `script` |
//! | What must an archive of the sandbox contain? | `truth`, `archive_entry` |
//! | How are the `/sandbox/` endpoints handled? | `admin` |
//! | Which limits apply? | `limits` |

#![allow(
    clippy::doc_markdown,
    reason = "Web3MQ is a name, and comments on flags are what --help shows"
)]

mod admin;
mod agora;
mod archive_entry;
mod arrivals;
mod body_form;
mod call;
mod corpus;
mod durations;
mod echo;
mod fault;
mod fault_sampler;
mod gateway;
mod generate;
mod limits;
mod options;
mod rules;
mod sample_config;
mod script;
mod server;
mod shape;
mod share;
mod truth;
mod web3mq;
mod world;

#[cfg(test)]
mod tests;

pub use agora::{
    APP_CERTIFICATE, AgoraEvent, AgoraHistory, AgoraMessage, CUSTOMER_ID, CUSTOMER_SECRET,
    RecipientKind, Selection, SuggestedStream, TOKEN_UID,
};
pub use archive_entry::{ArchiveEntry, ENTRIES_IN_POSTGRES, ENTRIES_IN_SQLITE};
pub use arrivals::{Arrival, ArrivalLog};
pub use call::{Call, CallFilter};
pub use corpus::CorpusError;
pub use durations::{ClockSkew, DurationRange, ParseDurationError};
pub use fault::Fault;
pub use options::Options;
pub use rules::{RuleCounts, Rules, RulesReport};
pub use script::{Script, ScriptError, ScriptedAnswer};
pub use server::{Sandbox, SandboxError};
pub use shape::{
    BoundRule, ChannelMessageType, DeadHandleStatus, EmptyListForm, FromSignForm, ListField,
    PageOrder, PayloadField, ReceiverField, SnapshotMoment, TimeField, TimeForm, TotalForm,
    Web3mqEnvelope,
};
pub use share::{ParseShareError, Share};
pub use truth::ArchiveDifference;
pub use web3mq::{Web3mqMessage, Web3mqRows, Web3mqStatus, Web3mqUser};
pub use world::{UnknownAccountError, World};
