//! The vocabulary of Backscroll and pure functions over it. No I/O and no async; only [`clock`]
//! reads the time.
//!
//! | question | file |
//! |---|---|
//! | What does a stored message consist of? | [`message`] |
//! | What tells an account from all others? | [`account`] |
//! | When are two received messages the same message? | [`identity`] |
//! | How far was a stream read that is not in order of time? | [`arrival`] |
//! | How is a payload decoded to text? | [`body`] |
//! | Who sends and receives messages? | [`participant`] |
//! | Which messages belong to a stream? | [`stream`] |
//! | How is a time range represented, split and merged? | [`window`] |
//! | How are times, days and hours represented? | [`time`] |
//! | Up to when is an account's history fetchable, settled and wanted? | [`frontier`] |
//! | How is the digest of a window computed? | [`digest`] |
//! | Which alarms exist, and when do they start? | [`alarm`] |
//! | How long are the delays between retries? | [`retry`] |
//! | How are numbers and durations formatted for people? | [`mod@format`] |
//! | How is a table of text aligned and cut? | [`text_table`] |
//! | Which names are similar to a misspelt one? | [`similar`] |
//! | How are texts and queries cut into words? | [`search`] |
//! | How do several processes share one rate limit? | [`quota`] |
//! | How are mutexes locked? | [`lock`] |
//! | How are panics of tasks passed on? | [`task`] |
//! | Where does the current time come from? | [`clock`] |

pub mod account;
pub mod alarm;
pub mod arrival;
pub mod body;
pub mod clock;
pub mod digest;
pub mod format;
pub mod frontier;
pub mod identity;
pub mod lock;
pub mod message;
pub mod participant;
pub mod quota;
pub mod retry;
pub mod search;
pub mod similar;
pub mod stream;
pub mod task;
pub mod text_table;
pub mod time;
pub mod window;
