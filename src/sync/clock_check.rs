//! The first check of an account: its credentials, and the provider's time.

use tokio::time::{Instant, sleep};

use super::limits::{CLOCK_POLL, MAX_CLOCK_DOUBT};
use crate::provider::{Provider, ProviderError};

/// Checks that the provider accepts the credentials. Asks again while the time that it tells is in
/// doubt, and fails if it stays so.
pub(super) async fn check_account(provider: &dyn Provider) -> Result<(), ProviderError> {
    provider.check_credentials().await?;
    let begun = Instant::now();
    let clock = provider.gate().clock();
    let mut is_logged = false;
    while let Some(skew) = clock.doubt() {
        if !std::mem::replace(&mut is_logged, true) {
            let account = &provider.account().name;
            tracing::warn!(account, "{skew}, or its first Date is wrong; asking again");
        }
        if begun.elapsed() > MAX_CLOCK_DOUBT {
            let fault = format!("its Date headers contradict each other; by the last one, {skew}");
            return Err(ProviderError::ClockInDoubt { fault });
        }
        sleep(CLOCK_POLL).await;
        provider.check_credentials().await?;
    }
    Ok(())
}
