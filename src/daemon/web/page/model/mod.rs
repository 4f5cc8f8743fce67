//! The assessment of streams and of the archive. Pure.

pub(super) mod calendar;
pub(super) mod headline;
pub(super) mod health;
pub(super) mod intervals;
pub(super) mod issue;
pub(super) mod issues;
pub(super) mod list;
mod stream_issues;
pub(super) mod stream_query;
pub(super) mod stream_title;
