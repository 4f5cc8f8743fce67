//! The part of a stream whose counts can be compared.

use crate::domain::frontier::Frontier;
use crate::domain::time::Second;
use crate::domain::window::Window;
use crate::sync::limits::UNSTABLE_EDGE_S;

/// Returns the range of a stream that is wanted, settled, and not about to expire. `None` if that
/// is nothing.
pub(super) fn comparable_range(frontier: Frontier, wanted_from: Second) -> Option<Window> {
    let from = match frontier.horizon {
        Some(horizon) => wanted_from.max(horizon.plus(UNSTABLE_EDGE_S)),
        None => wanted_from,
    };
    Window::new(from, frontier.settled_to)
}
