//! The keys `settle` and `retention`, which every account has.

use std::time::Duration;

use super::defaults::DEFAULT_SETTLE;
use super::error::ConfigErrorKind;
use super::table::ConfigTable;
use super::value;

/// Reads `settle` and `retention` of an account: no message may expire before it can be sealed.
pub(super) fn read_ages(
    table: &ConfigTable<'_>,
    default_retention: Option<Duration>,
) -> (Duration, Option<Duration>) {
    let before = table.count_mistakes();
    let settle = table.or_default("settle", DEFAULT_SETTLE, value::duration);
    let retention = table.optional("retention", value::duration);
    let retention = retention.or(default_retention);
    let are_read = table.count_mistakes() == before;
    if are_read && retention.is_some_and(|retention| retention < settle) {
        let kind = ConfigErrorKind::RetentionShorterThanSettle;
        table.reject_at_keys(&["retention", "settle"], kind);
    }
    (settle, retention)
}
