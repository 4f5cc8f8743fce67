//! Surveys: the number of messages in a range, and its split points.

use std::sync::Arc;

use super::api::Web3mqApi;
use super::page_assembly::WindowRows;
use super::reader::into_fetched;
use super::splitting;
use super::topic::Topic;
use crate::domain::time::Millis;
use crate::domain::window::Window;
use crate::provider::error::ProviderError;
use crate::provider::limits::web3mq::{POSITIONS_LIFETIME, TOTAL_LIFETIME};
use crate::provider::survey::{RangeCount, Survey};

/// The surveyor of one user's topics.
#[derive(Debug)]
pub(super) struct Web3mqSurveyor {
    api: Arc<Web3mqApi>,
}

impl Web3mqSurveyor {
    pub(super) fn new(api: Arc<Web3mqApi>) -> Self {
        Self { api }
    }

    /// See [`Provider::survey`](crate::provider::Provider::survey). Once more if the history has
    /// changed meanwhile.
    pub(super) async fn survey(
        &self,
        topic: &Topic,
        range: Window,
        target: u64,
    ) -> Result<Survey, ProviderError> {
        match self.try_survey(topic, range, target).await {
            Err(ProviderError::HistoryChanged { .. }) => {
                topic.forget().await;
                self.try_survey(topic, range, target).await
            }
            survey => survey,
        }
    }

    /// The split points are exact: they are the times of messages.
    async fn try_survey(
        &self,
        topic: &Topic,
        range: Window,
        target: u64,
    ) -> Result<Survey, ProviderError> {
        topic.forget_older(POSITIONS_LIFETIME).await;
        let is_tail = topic.is_tail(&self.api, range);
        let location = topic.locate(&self.api, range, is_tail).await?;
        let requested_at = self.api.gate().clock().time_at(location.valid_since);
        let positions = location.range;
        if location.is_undated {
            return Ok(Survey::OneWindow(Some(positions.len())));
        }
        let last_page = location.last_page;
        let shown = last_page.and_then(|page| page.into_window_rows(location.window, positions));
        let empty = (positions.len() == 0).then(WindowRows::default);
        if let Some(found) = shown.or(empty) {
            topic.record_tail(location.changed_total);
            let fetched = into_fetched(range, found, location.others_from, requested_at);
            return Ok(Survey::Complete(fetched));
        }
        let count = positions.len();
        if splitting::window_count(count, target) == 1 || range.seconds() == 1 {
            return Ok(Survey::OneWindow(Some(count)));
        }
        let split_positions = splitting::split_positions(positions.from, positions.to, target);
        let times = topic.times_at(&self.api, &split_positions).await?;
        let cuts: Vec<_> = times.into_iter().map(Millis::second).collect();
        if range.split_at(&cuts).len() > 1 {
            return Ok(Survey::Split { count, cuts });
        }
        // The messages lie in so few seconds that every split point is the range's own start.
        Ok(Survey::OneWindow(Some(count)))
    }

    /// See [`Provider::count`](crate::provider::Provider::count). The bounds of a range are exact
    /// here.
    pub(super) async fn count(
        &self,
        topic: &Topic,
        range: Window,
    ) -> Result<RangeCount, ProviderError> {
        topic.forget_older(POSITIONS_LIFETIME).await;
        topic.confirm(&self.api, TOTAL_LIFETIME).await?;
        let messages = topic.locate(&self.api, range, false).await?.range.len();
        Ok(RangeCount {
            messages,
            from: range.from().start(),
            to: range.to().start(),
        })
    }
}
