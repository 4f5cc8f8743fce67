//! Defaults that several tables share.

use std::time::Duration;

/// The rate limit that Agora documents for an account. `Web3MQ` documents none.
pub(super) const DEFAULT_REQUESTS_PER_SECOND: f64 = 10.0;
/// The age at which a provider is expected to show every message. No provider promises one; two
/// minutes is conservative. A shorter value causes late messages, a longer one delays sealing.
pub(super) const DEFAULT_SETTLE: Duration = Duration::from_mins(2);
/// The time from a request to the last byte of its response.
pub(super) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// The default of `discover_limit`: as many streams as one account is meant for.
pub(super) const DEFAULT_DISCOVER_LIMIT: usize = 10_000;
