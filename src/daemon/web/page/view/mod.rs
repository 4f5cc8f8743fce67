//! The HTML of the page.

mod accounts;
mod chart;
pub(super) mod front;
pub(super) mod layout;
mod passes;
pub(super) mod stream;
