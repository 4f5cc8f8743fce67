//! How loss is told of that lies ahead.

use super::table::{duration, thousands};
use crate::alerts::rules::lost_history::LOSS_HINT as HINT;
use crate::sync::estimate::BacklogOutlook;

/// What will be lost of an account at this many requests a second, and what can be done about it; nothing where nothing
/// will be.
pub(super) fn loss_message(
    account: &str,
    rate: Option<f64>,
    outlook: &BacklogOutlook,
) -> Option<String> {
    let begins = outlook.loss_begins?;
    let rate = rate.map_or_else(String::new, |rate| {
        format!("at {rate:.3} requests a second ")
    });
    let (messages, seconds) = (
        thousands(outlook.loss.messages),
        duration(outlook.loss.seconds),
    );
    Some(format!(
        "{account}: LOSS AHEAD: {rate}about {messages} messages will have fallen behind the provider's edge before they \
         can be fetched, from {begins} on: {seconds} of history, over all streams\n  hint: {HINT}"
    ))
}
