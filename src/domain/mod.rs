//! What Backscroll talks about, and the arithmetic over it. Pure: no I/O, no async, no clock but [`clock`].

pub mod clock;
pub mod time;
