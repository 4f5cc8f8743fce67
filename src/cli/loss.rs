//! The warning about expected loss.

use crate::alerts::text::LOSS_HINT;
use crate::sync::forecast::model::BacklogOutlook;

/// Returns the warning that an account will lose history at this request rate, with a hint. `None`
/// if no messages will be lost.
pub(super) fn loss_message(
    account: &str,
    rate: Option<f64>,
    outlook: &BacklogOutlook,
) -> Option<String> {
    let loss = outlook.loss_sentence(rate)?;
    Some(format!(
        "{account}: LOSS AHEAD: {loss}\n  hint: {LOSS_HINT}"
    ))
}
