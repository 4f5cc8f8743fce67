//! What an operator must be told of.
//!
//! Here it is decided what is wrong, and since when; nothing is told to anybody. What passes have come to ([`passes`]), how
//! the archive is ([`archive`]), and how its history is ([`history`], [`silence`] by a stream's own [`rhythm`]) are looked
//! at, each by itself; a [`board`] makes alarms of it, that begin once and end once.

pub mod archive;
pub mod board;
pub mod history_loss;
pub mod passes;
pub mod silence;
pub mod weekly_activity;
