//! The reason why the engine could not work on an account.

use crate::provider::ProviderError;
use crate::store::StoreError;

/// A failure of the provider or of the archive. The first concerns one account or stream, the
/// second ends a pass.
#[derive(Debug, thiserror::Error)]
pub(super) enum SyncError {
    #[error(transparent)]
    Provider(#[from] ProviderError),
    #[error(transparent)]
    Store(#[from] StoreError),
}
