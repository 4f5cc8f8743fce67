//! A window of which parts were read: what is known of it between two parts.

use std::collections::HashMap;

use tokio::time::Instant;

use crate::domain::identity::{IdentifiedMessage, Occurrences};
use crate::domain::stream::StreamIndex;
use crate::domain::time::Millis;
use crate::domain::window::Window;
use crate::provider::{FetchedWindow, ReadPosition, ReadReason, ReadRoom, WindowRequest};
use crate::sync::limits::{
    MAX_PARTED_DURATION, MAX_PARTED_MESSAGES, MAX_PARTIAL_WINDOWS, MAX_RESTARTS,
};
use crate::sync::plan::job::Job;

/// A window of which parts were read.
#[derive(Debug, Default)]
pub(super) struct PartialWindow {
    expected: Option<u64>,
    /// The position behind the parts so far.
    pub(super) position: ReadPosition,
    /// The number of messages of the window in these parts.
    messages: u64,
    /// The same without the last part.
    pub(super) earlier: u64,
    pub(super) occurrences: Occurrences,
    /// Provider time before the first request.
    requested_at: Option<Millis>,
    doubt: Option<String>,
    /// The number of times that the window was begun anew.
    restarts: u32,
    /// The messages read in this pass, and the time at which that began.
    read_now: u64,
    begun: Option<Instant>,
    /// True if a pass has read as much of it as one pass reads.
    is_suspended: bool,
}

impl PartialWindow {
    /// A window of which nothing was read.
    pub(super) fn new(expected: Option<u64>) -> Self {
        Self {
            expected,
            ..Self::default()
        }
    }

    /// A window of which the archive holds the messages before a position: this many of them lie
    /// within the window.
    pub(super) fn resumed(expected: Option<u64>, position: ReadPosition, messages: u64) -> Self {
        Self {
            position,
            messages,
            ..Self::new(expected)
        }
    }

    /// Returns the request for the next part.
    pub(super) fn request(&mut self, room: ReadRoom) -> WindowRequest {
        self.begun.get_or_insert_with(Instant::now);
        WindowRequest {
            expected: self.expected,
            from: self.position,
            room,
            reason: ReadReason::default(),
        }
    }

    /// Records a part that was fetched. The last one gets the count, the time and the doubt of the
    /// whole window.
    pub(super) fn record(&mut self, window: &mut FetchedWindow, messages: &[IdentifiedMessage]) {
        let read = window.provider_count.unwrap_or_default();
        self.earlier = self.messages;
        self.messages += read;
        self.read_now += messages.len() as u64;
        self.occurrences.record(messages);
        let requested_at = *self.requested_at.get_or_insert(window.requested_at);
        self.doubt = self.doubt.take().or(window.doubt.take());
        if let Some(next) = window.next {
            self.position = next;
        } else {
            window.provider_count = Some(self.messages);
            window.requested_at = requested_at;
            window.doubt = self.doubt.take();
        }
    }

    /// Begins the window anew, because its position has shifted. Returns false if that has
    /// happened too often.
    pub(super) fn restart(&mut self) -> bool {
        let restarts = self.restarts + 1;
        *self = Self {
            restarts,
            read_now: self.read_now,
            begun: self.begun,
            is_suspended: self.is_suspended,
            ..Self::new(self.expected)
        };
        restarts <= MAX_RESTARTS
    }

    /// Returns the number of messages read so far, if that is as much as one pass reads.
    pub(super) fn exhausted(&self) -> Option<u64> {
        let is_late = self
            .begun
            .is_some_and(|begun| begun.elapsed() > MAX_PARTED_DURATION);
        (is_late || self.read_now >= MAX_PARTED_MESSAGES).then_some(self.position.offset)
    }

    /// Leaves the rest to the next pass.
    pub(super) fn suspended(self) -> Self {
        Self {
            is_suspended: true,
            ..self
        }
    }

    /// Forgets how much the last pass has read.
    fn begin_pass(&mut self) {
        self.read_now = 0;
        self.begun = None;
        self.restarts = 0;
    }
}

/// The windows of which parts were read. They outlast a pass.
#[derive(Debug, Default)]
pub(in crate::sync) struct PartialWindows(HashMap<(StreamIndex, Window), PartialWindow>);

impl PartialWindows {
    /// Begins a pass, which may read as much of each window as any other.
    pub(super) fn begin_pass(&mut self) {
        self.0.values_mut().for_each(PartialWindow::begin_pass);
    }

    /// True if a window of the stream was suspended, and is not complete yet.
    pub(super) fn has_suspended(&self, stream: StreamIndex) -> bool {
        let mut windows = self.0.iter();
        windows.any(|((of, _), window)| *of == stream && window.is_suspended)
    }

    pub(super) fn insert(&mut self, job: Job, partial: PartialWindow) {
        if self.0.len() >= MAX_PARTIAL_WINDOWS {
            // The archive tells where to resume.
            self.0.clear();
        }
        self.0.insert((job.stream, job.range), partial);
    }

    pub(super) fn take(&mut self, job: Job) -> Option<PartialWindow> {
        self.0.remove(&(job.stream, job.range))
    }
}

/// True if a window of this many messages is read in parts.
pub(super) fn is_large(expected: Option<u64>, room: ReadRoom) -> bool {
    expected.is_none_or(|expected| expected > room.messages)
}
