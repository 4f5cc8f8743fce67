//! The HTML of the page.

mod accounts;
mod chart;
pub(super) mod front;
mod incidents;
pub(super) mod layout;
mod passes;
mod progress;
pub(super) mod stream;
