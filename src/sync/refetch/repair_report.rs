//! The result of a repair.

use crate::proof::Mismatch;
use crate::provider::ProviderError;
use crate::sync::purpose::AccountFailure;

/// The result of repairing an account's windows.
#[derive(Debug, Default)]
pub struct RepairReport {
    /// Windows that were fetched again.
    pub windows: u64,
    /// Messages that were missing.
    pub restored: u64,
    /// Messages that were moved to quarantine.
    pub quarantined: u64,
    /// Windows that were not repaired.
    pub unrepaired: Vec<UnrepairedWindow>,
    /// The failure that kept the account from being worked on at all.
    pub not_opened: Option<AccountFailure>,
}

/// A window that was not repaired.
#[derive(Debug)]
pub struct UnrepairedWindow {
    pub mismatch: Mismatch,
    pub reason: UnrepairedReason,
}

/// The reason why a window was not repaired.
#[derive(Debug, thiserror::Error)]
pub enum UnrepairedReason {
    #[error("the configuration does not follow the stream")]
    NotFollowed,
    #[error("it lies behind the provider's retention edge")]
    Expired,
    #[error("the provider does not have all of it any longer")]
    Incomplete,
    #[error(transparent)]
    Provider(#[from] ProviderError),
}
