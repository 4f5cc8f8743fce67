//! What Backscroll talks about, and the arithmetic over it. Pure: no I/O, no async, no clock but [`clock`].

pub mod alarm;
pub mod body;
pub mod clock;
pub mod digest;
pub mod format;
pub mod frontier;
pub mod identity;
pub mod message;
pub mod participant;
pub mod retry;
pub mod stream;
pub mod time;
pub mod window;
