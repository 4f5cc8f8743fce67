//! Which part of what a filter selects may be missing from the archive.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::direction::Direction;
use super::filter::ResolvedFilter;
use super::judgement::{JudgedRange, RangeState, judge, not_sealed_by_any, parts_in};
use crate::domain::format::counted;
use crate::domain::time::{Millis, Second};
use crate::domain::window::Window;
use crate::store::{FoundConversation, Reading, StoreError, StreamCoverage};

/// The first second of a range without a start, and the end of one without an end.
const OPEN: (Second, Second) = (Second(i64::MIN), Second(i64::MAX));

/// The maximum number of streams that a sentence names.
const MAX_NAMED_STREAMS: usize = 3;

/// The ranges in which the archive may lack messages that a filter selects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Completeness {
    /// In the order of accounts and times.
    pub ranges: Vec<IncompleteRange>,
}

/// A range of time in which messages may be missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IncompleteRange {
    /// The account's name. `None` if no account is concerned.
    pub account: Option<String>,
    pub state: RangeState,
    /// The start. `None`: from the beginning of time.
    #[serde(serialize_with = "as_text")]
    pub from: Option<Second>,
    /// The end, exclusive. `None`: without an end.
    #[serde(serialize_with = "as_text")]
    pub to: Option<Second>,
    pub reason: String,
    /// The keys of the streams whose range it is. Empty if no stream would bring the messages.
    pub streams: Vec<String>,
}

/// A range of time that streams have sealed without a doubt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SealedRange {
    /// The account's name.
    pub account: String,
    #[serde(serialize_with = "as_text")]
    pub from: Option<Second>,
    /// The end, exclusive.
    #[serde(serialize_with = "as_text")]
    pub to: Option<Second>,
    /// The keys of the streams.
    pub streams: Vec<String>,
}

/// The coverage of the streams that a filter concerns, as it was at one moment.
#[derive(Clone, Debug)]
pub struct FilterCoverage {
    filter: ResolvedFilter,
    streams: Vec<StreamCoverage>,
}

/// Returns the ranges in which the archive may lack messages that the filter selects. All is read in
/// one snapshot of the ledger. The archive may hold more by the time that its messages are read, and
/// never less.
///
/// Of a conversation, or of all that a sender says, a range is complete if the streams that bring it
/// have sealed it, each or together. Otherwise every stream that may hold such messages is asked: the
/// answer then is about what these streams bring.
pub async fn completeness(
    archive: &dyn Reading,
    filter: &ResolvedFilter,
) -> Result<Completeness, StoreError> {
    Ok(read_coverage(archive, filter).await?.completeness())
}

/// Reads the coverage of the streams that a filter concerns.
pub async fn read_coverage(
    archive: &dyn Reading,
    filter: &ResolvedFilter,
) -> Result<FilterCoverage, StoreError> {
    let asked = asked_window(filter);
    let questions = Questions::of(filter);
    let is_wanted = |scope: Option<&_>| questions.concern(scope, filter);
    let account = filter.selection.account;
    let streams = archive
        .coverage(account, &is_wanted, asked.from(), asked.to())
        .await?;
    Ok(FilterCoverage {
        filter: filter.clone(),
        streams,
    })
}

impl FilterCoverage {
    /// Returns the ranges in which messages may be missing.
    pub fn completeness(&self) -> Completeness {
        Questions::of(&self.filter).answer(&self.streams, &self.filter)
    }

    /// Returns the ranges of a window in which messages of a conversation may be missing. The filter
    /// must not leave out the conversation.
    pub fn of_conversation(
        &self,
        conversation: FoundConversation,
        window: Window,
    ) -> Vec<IncompleteRange> {
        let Some(mut filter) = self.filter_within(window) else {
            return Vec::new();
        };
        filter.filter.conversation = Some(conversation.name.clone());
        filter.conversations = vec![conversation];
        Questions::of(&filter).answer(&self.streams, &filter).ranges
    }

    /// Returns the ranges of a window in which messages may be missing.
    pub fn within(&self, window: Window) -> Vec<IncompleteRange> {
        let filter = self.filter_within(window);
        filter.map_or_else(Vec::new, |filter| {
            Questions::of(&filter).answer(&self.streams, &filter).ranges
        })
    }

    /// Returns the filter for its part of a window. `None` if it has none.
    fn filter_within(&self, window: Window) -> Option<ResolvedFilter> {
        let asked = asked_window(&self.filter).intersect(window)?;
        let mut filter = self.filter.clone();
        filter.filter.since = Some(asked.from().start());
        filter.filter.until = Some(asked.to().start());
        Some(filter)
    }

    /// Returns the ranges of the filter that the streams have sealed without a doubt, in the order of
    /// accounts and times. Streams with the same range share an entry.
    pub fn sealed(&self) -> Vec<SealedRange> {
        let asked = asked_window(&self.filter);
        let mut ranges: BTreeMap<(&str, Window), Vec<String>> = BTreeMap::new();
        for stream in &self.streams {
            for window in stream.sealed.iter().filter_map(|run| run.intersect(asked)) {
                let range = ranges.entry((&stream.account, window)).or_default();
                range.push(stream.key.clone());
            }
        }
        let range = |((account, window), streams): ((&str, Window), Vec<String>)| SealedRange {
            account: account.to_owned(),
            from: Some(window.from()),
            to: Some(window.to()),
            streams,
        };
        ranges.into_iter().map(range).collect()
    }
}

impl Completeness {
    /// True if nothing is missing between the first and the last second that the filter asks for.
    /// History before the wanted one counts only if the filter has a start, and unsettled history
    /// only if it has an end.
    pub fn is_complete(&self) -> bool {
        self.ranges.iter().all(IncompleteRange::is_beyond)
    }

    /// Returns sentences for people: one that sums up, and one for each of the first `limit` ranges
    /// that make the answer incomplete.
    pub fn sentences(&self, limit: usize) -> Vec<String> {
        let missing: Vec<_> = self
            .ranges
            .iter()
            .filter(|range| !range.is_beyond())
            .collect();
        if missing.is_empty() {
            return vec![self.extent()];
        }
        let mut sentences = vec!["The archive is NOT complete in this range:".to_owned()];
        let listed = missing.iter().take(limit);
        sentences.extend(listed.map(|range| format!("  {}", range.sentence())));
        let rest = missing.len().saturating_sub(limit);
        if rest > 0 {
            let rest = counted(rest as u64, "more range", "more ranges");
            sentences.push(format!("  and {rest}"));
        }
        sentences
    }

    /// Returns a sentence with the range in which all streams are complete, if nothing is missing
    /// between its ends.
    fn extent(&self) -> String {
        let open_starts = self.ranges.iter().filter(|range| range.from.is_none());
        let start = open_starts.filter_map(|range| range.to).max();
        let open_ends = self.ranges.iter().filter(|range| range.to.is_none());
        let end = open_ends.filter_map(|range| range.from).min();
        match (start, end) {
            (None, None) => "The archive is complete in this range.".to_owned(),
            (Some(start), None) => format!("The archive is complete from {start} on."),
            (None, Some(end)) => format!("The archive is complete up to {end}."),
            (Some(start), Some(end)) if start < end => {
                format!("The archive is complete from {start} to {end}.")
            }
            // A stream begins behind the end of another.
            _ => "The archive is complete in the history of each stream.".to_owned(),
        }
    }
}

impl IncompleteRange {
    /// Returns the range as one sentence.
    pub fn sentence(&self) -> String {
        let mut text = match (self.from, self.to) {
            (Some(from), Some(to)) => format!("{from} to {to}"),
            (None, Some(to)) => format!("before {to}"),
            (Some(from), None) => format!("from {from} on"),
            (None, None) => "all times".to_owned(),
        };
        // Writing to a string does not fail.
        let _ = write!(text, ": {}, {}", self.state.as_str(), self.reason);
        let named = self.streams.iter().take(MAX_NAMED_STREAMS);
        let names: Vec<&str> = named.map(String::as_str).collect();
        let rest = self.streams.len() - names.len();
        let more = match rest {
            0 => String::new(),
            rest => format!(
                " and {}",
                counted(rest as u64, "more stream", "more streams")
            ),
        };
        if let (Some(account), false) = (&self.account, names.is_empty()) {
            let _ = write!(text, " ({account}: {}{more})", names.join(", "));
        }
        text
    }

    /// True if the range lies before or behind all that is archived, where the filter sets no limit.
    fn is_beyond(&self) -> bool {
        self.state == RangeState::Unarchived && self.from.is_some() != self.to.is_some()
    }
}

/// Returns the whole seconds that the filter asks for.
fn asked_window(filter: &ResolvedFilter) -> Window {
    let since = filter.filter.since.map_or(OPEN.0, Millis::second);
    let until = filter.filter.until.map_or(OPEN.1, |until| {
        let last = until.0.saturating_sub(1).div_euclid(1000);
        Second(last).plus(1)
    });
    Window::new(since, until).unwrap_or_else(|| Window::with_length(since, 1))
}

/// The questions to the streams: whole directions by account, or each stream for itself.
struct Questions {
    /// Directions, each with the account that it belongs to; `None` for all accounts.
    directions: Vec<(Option<String>, Direction)>,
    /// True if the directions are known, even if no stream brings them.
    is_conversation: bool,
}

impl Questions {
    fn of(filter: &ResolvedFilter) -> Self {
        let sender = filter.filter.sender.as_deref();
        let of_conversation = filter.conversations.iter().flat_map(|conversation| {
            let directions = Direction::of_conversation(conversation, sender);
            let account = Some(conversation.account.clone());
            directions
                .into_iter()
                .map(move |direction| (account.clone(), direction))
        });
        let mut directions: Vec<_> = of_conversation.collect();
        let is_conversation = !directions.is_empty();
        if !is_conversation {
            let direction = Direction::of_sender(filter);
            directions.extend(direction.map(|direction| (None, direction)));
        }
        Self {
            directions,
            is_conversation,
        }
    }

    /// True if a stream of this scope has to be read.
    fn concern(
        &self,
        scope: Option<&crate::domain::stream::Scope>,
        filter: &ResolvedFilter,
    ) -> bool {
        let brings = |(_, direction): &(_, Direction)| direction.is_brought_by(scope);
        if self.is_conversation {
            return self.directions.iter().any(brings);
        }
        let sender = scope.and_then(|scope| scope.sender.as_ref());
        sender.is_none()
            || filter.filter.sender.is_none()
            || sender == filter.filter.sender.as_ref()
    }

    fn answer(&self, streams: &[StreamCoverage], filter: &ResolvedFilter) -> Completeness {
        let asked = asked_window(filter);
        let is_open = filter.filter.until.is_none();
        let mut found = Groups::default();
        let mut is_answered = false;
        for (account, direction) in &self.directions {
            let bring = |stream: &&StreamCoverage| {
                account
                    .as_ref()
                    .is_none_or(|account| *account == stream.account)
                    && direction.is_brought_by(stream.scope.as_ref())
            };
            let bringing: Vec<&StreamCoverage> = streams.iter().filter(bring).collect();
            if bringing.is_empty() && self.is_conversation {
                found.add_unbrought(account.clone(), asked);
            }
            is_answered |= !bringing.is_empty() || self.is_conversation;
            let missing = not_sealed_by_any(bringing.iter().copied(), asked);
            for stream in bringing {
                let ranges = judge(stream, asked, is_open);
                found.add(stream, parts_in(&ranges, &missing));
            }
        }
        if !is_answered {
            let mut followed = streams.iter().filter(|stream| stream.is_active).peekable();
            if followed.peek().is_none() {
                found.add_unbrought(filter.filter.account.clone(), asked);
            }
            for stream in followed {
                found.add(stream, judge(stream, asked, is_open).into_iter());
            }
        }
        found.into_completeness()
    }
}

/// Ranges, grouped by all that they have in common. Many streams of an account have the same ends.
#[derive(Default)]
struct Groups(BTreeMap<GroupKey, Vec<String>>);

/// The account, the range, the state and the reason of a group.
type GroupKey = (Option<String>, Window, RangeState, String);

impl Groups {
    fn add(&mut self, stream: &StreamCoverage, ranges: impl Iterator<Item = JudgedRange>) {
        for range in ranges {
            let account = Some(stream.account.clone());
            let key = (account, range.window, range.state, range.reason);
            let keys = self.0.entry(key).or_default();
            if keys.last() != Some(&stream.key) {
                keys.push(stream.key.clone());
            }
        }
    }

    /// Adds a range that no stream would bring.
    fn add_unbrought(&mut self, account: Option<String>, asked: Window) {
        let reason = "no stream that is followed brings these messages".to_owned();
        let key = (account, asked, RangeState::Unarchived, reason);
        self.0.entry(key).or_default();
    }

    fn into_completeness(self) -> Completeness {
        let range = |((account, window, state, reason), mut streams): (GroupKey, Vec<String>)| {
            streams.sort_unstable();
            streams.dedup();
            IncompleteRange {
                account,
                state,
                from: Some(window.from()).filter(|from| *from != OPEN.0),
                to: Some(window.to()).filter(|to| *to != OPEN.1),
                reason,
                streams,
            }
        };
        Completeness {
            ranges: self.0.into_iter().map(range).collect(),
        }
    }
}

/// Writes a time as in RFC 3339.
#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
fn as_text<S: serde::Serializer>(time: &Option<Second>, to: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.to_string()).serialize(to)
}
