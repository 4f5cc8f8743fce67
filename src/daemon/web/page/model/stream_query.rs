//! The query of a stream's page. Pure.

use jiff::civil::Date;
use serde::Deserialize;

use crate::domain::time::{Day, Second};
use crate::domain::window::Window;
use crate::store::{StreamId, StreamStatus};

/// The query of a stream's page. Invalid values are ignored.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct StreamQuery {
    /// The stream's number in the archive.
    id: String,
    /// `2026-11`: the month whose days are shown.
    month: String,
    /// `2026-11-21`: the day whose ledger rows are shown.
    day: String,
    /// Start of the first row that is shown, in seconds since 1970.
    from: String,
}

impl StreamQuery {
    /// Returns the stream; `None` if the query names none.
    pub(crate) fn stream(&self) -> Option<StreamId> {
        self.id.parse().ok().map(StreamId)
    }

    /// Returns the day whose ledger rows are shown: the day of the query, or the last day of its
    /// month, or the last sealed day.
    pub(crate) fn day(&self, status: &StreamStatus) -> Day {
        let last_run = status.sealed.iter().last();
        let last_sealed = last_run.map_or(status.frontier.settled_to, |run| run.to().plus(-1));
        let last_day = Day::containing(last_sealed);
        let date = self.day.parse().ok();
        let date = date.or_else(|| self.last_of_month());
        match date.and_then(Day::from_date) {
            None => last_day,
            Some(day) if self.day.is_empty() => day.min(last_day),
            Some(day) => day,
        }
    }

    fn last_of_month(&self) -> Option<Date> {
        let first: Date = format!("{}-01", self.month).parse().ok()?;
        Some(first.last_of_month())
    }

    /// Returns the part of the day from which rows are shown.
    pub(crate) fn rows_from(&self, day: Day) -> Window {
        let from = self.from.parse().ok().map(Second);
        let rest = from.and_then(|from| Window::of_day(day).starting_at(from));
        rest.unwrap_or(Window::of_day(day))
    }
}

#[cfg(test)]
mod tests {
    use super::super::health::tests::stream;
    use super::*;

    fn day_of(text: &str) -> Option<String> {
        let (month, day) = if text.len() > 7 {
            ("", text)
        } else {
            (text, "")
        };
        let query = StreamQuery {
            month: month.to_owned(),
            day: day.to_owned(),
            ..StreamQuery::default()
        };
        Some(query.day(&stream(1)).date()?.to_string())
    }

    #[test]
    fn the_day_is_that_of_the_query_or_the_last_sealed() {
        for (text, expected) in [
            ("2026-02-03", "2026-02-03"),
            ("2026-02", "2026-02-28"),
            ("", "2026-11-22"),
            ("2026-11", "2026-11-22"),
            ("2030-01", "2026-11-22"),
            ("nonsense", "2026-11-22"),
            ("2026-02-31", "2026-11-22"),
        ] {
            assert_eq!(day_of(text).as_deref(), Some(expected), "{text}");
        }
    }
}
