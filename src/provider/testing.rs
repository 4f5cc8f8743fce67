//! A provider for unit tests of other rooms.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{
    AccountSettings, FetchedWindow, Gate, Provider, ProviderError, ProviderKind, RangeCount,
    Survey, WindowRequest,
};
use crate::domain::message::{Message, UnparsableMessage};
use crate::domain::stream::{Stream, StreamIndex};
use crate::domain::window::Window;

/// An account without streams, at a provider that never answers.
pub(crate) struct IdleProvider {
    account: AccountSettings,
    gate: Gate,
}

impl IdleProvider {
    pub(crate) fn new(name: &str, gate: Gate) -> Self {
        let account = AccountSettings {
            name: name.to_owned(),
            provider: ProviderKind::Agora,
            identity: None,
            settle: Duration::ZERO,
            retention: None,
            since: None,
            refresh_for: None,
            discover_limit: None,
        };
        Self { account, gate }
    }
}

#[async_trait]
impl Provider for IdleProvider {
    fn account(&self) -> &AccountSettings {
        &self.account
    }

    fn gate(&self) -> &Gate {
        &self.gate
    }

    fn streams(&self) -> Vec<Arc<Stream>> {
        vec![]
    }

    fn stream(&self, index: StreamIndex) -> Arc<Stream> {
        panic!("no stream {index:?}")
    }

    fn stream_index(&self, _key: &str) -> Option<StreamIndex> {
        None
    }

    fn follow(&self, _stream: &Stream) -> bool {
        false
    }

    async fn survey(&self, _: StreamIndex, _: Window, _: u64) -> Result<Survey, ProviderError> {
        std::future::pending().await
    }

    async fn fetch(
        &self,
        _: StreamIndex,
        _: Window,
        _: WindowRequest,
    ) -> Result<FetchedWindow, ProviderError> {
        std::future::pending().await
    }

    async fn count(&self, _: StreamIndex, _: Window) -> Result<RangeCount, ProviderError> {
        std::future::pending().await
    }

    fn messages_per_window(&self) -> u64 {
        1000
    }

    fn request_cost(&self, messages: u64) -> u64 {
        messages
    }

    fn parse_raw(&self, _: StreamIndex, raw: &str) -> Result<Message, UnparsableMessage> {
        Err(UnparsableMessage::new(raw, "no message can be parsed"))
    }

    async fn check_credentials(&self) -> Result<(), ProviderError> {
        std::future::pending().await
    }
}
