//! The assessment of streams and of the archive. Pure.

pub(super) mod calendar;
pub(super) mod health;
pub(super) mod intervals;
pub(super) mod issues;
pub(super) mod list;
pub(super) mod stream_query;
