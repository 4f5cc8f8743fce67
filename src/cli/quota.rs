//! The share of commands that ask the providers and do not sync.

use std::sync::Arc;

use super::open_archive::open;
use crate::config::DatabaseUrl;
use crate::domain::clock::Clock;
use crate::provider::Provider;
use crate::store::{Archive, IfMissing};
use crate::sync::quota::share_quota;

/// Makes these providers take turns with all processes that use the archive. Returns the archive, to
/// be closed at the end. `None` if this user may only read it, or no
/// account has a limit: then nothing is shared.
///
/// The archive must exist and be up to date.
pub(super) async fn share_quotas(
    url: &DatabaseUrl,
    providers: &[Arc<dyn Provider>],
    clock: &Arc<dyn Clock>,
) -> Option<Arc<dyn Archive>> {
    let is_limited = |provider: &Arc<dyn Provider>| provider.gate().rate_limiter().can_be_shared();
    if !providers.iter().any(is_limited) {
        return None;
    }
    let archive = match open(url, IfMissing::Refuse).await {
        Ok(archive) => archive,
        Err(error) => {
            tracing::info!(%error, "the rate limit is not shared with other processes");
            return None;
        }
    };
    for provider in providers {
        share_quota(&**provider, &archive, clock).await;
    }
    Some(archive)
}
