//! Which streams are shown, in which order: the list of a page among thousands. Pure.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::health::{AssessedStream, StreamHealth};

/// Streams on a page.
const STREAMS_PER_PAGE: usize = 50;
/// More of a search than this is not looked at, in characters.
const MAX_SEARCH_CHARS: usize = 200;

/// What a query asks for. Whatever it says that cannot be meant is as if it were not there.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ListQuery {
    /// What a stream's name holds.
    q: String,
    /// The account that it belongs to.
    account: String,
    /// `ill`: only those that are not whole.
    show: String,
    sort: String,
    page: String,
    /// `60`: the page is loaded again every minute.
    refresh: String,
}

/// The order of a list. Figures go from the largest to the smallest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SortOrder {
    Worst,
    Name,
    Lag,
    Messages,
    Missing,
    Lost,
}

impl SortOrder {
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Worst => "worst",
            Self::Name => "name",
            Self::Lag => "lag",
            Self::Messages => "messages",
            Self::Missing => "missing",
            Self::Lost => "lost",
        }
    }
}

impl ListQuery {
    pub(crate) fn sort(&self) -> SortOrder {
        let all = [
            SortOrder::Name,
            SortOrder::Lag,
            SortOrder::Messages,
            SortOrder::Missing,
            SortOrder::Lost,
        ];
        all.into_iter()
            .find(|sort| sort.key() == self.sort)
            .unwrap_or(SortOrder::Worst)
    }

    pub(crate) fn only_incomplete(&self) -> bool {
        self.show == "ill"
    }

    pub(crate) fn refreshes(&self) -> bool {
        self.refresh == "60"
    }

    /// What is searched for.
    pub(crate) fn search(&self) -> String {
        self.q.trim().chars().take(MAX_SEARCH_CHARS).collect()
    }

    pub(crate) fn for_account(account: &str) -> Self {
        Self {
            account: account.to_owned(),
            ..Self::default()
        }
    }

    pub(crate) fn is_for(&self, account: &str) -> bool {
        self.account == account
    }

    pub(crate) fn with_refresh(self, refreshes: bool) -> Self {
        Self {
            refresh: if refreshes {
                "60".to_owned()
            } else {
                String::new()
            },
            ..self
        }
    }

    pub(crate) fn sorted_by(self, sort: SortOrder) -> Self {
        Self {
            sort: sort.key().to_owned(),
            page: String::new(),
            ..self
        }
    }

    pub(crate) fn on_page(self, page: usize) -> Self {
        Self {
            page: page.to_string(),
            ..self
        }
    }

    /// The address of the page that answers it.
    pub(crate) fn href(&self) -> String {
        let sort = self.sort();
        let sort = if sort == SortOrder::Worst {
            ""
        } else {
            sort.key()
        };
        let search = self.search();
        let page = self
            .page
            .parse::<usize>()
            .ok()
            .filter(|page| *page > 1)
            .map(|page| page.to_string());
        let show = if self.only_incomplete() { "ill" } else { "" };
        let refresh = if self.refreshes() { "60" } else { "" };
        let account: String = self.account.chars().take(MAX_SEARCH_CHARS).collect();
        let parts = [
            ("q", search.as_str()),
            ("account", account.as_str()),
            ("show", show),
            ("sort", sort),
            ("page", page.as_deref().unwrap_or_default()),
            ("refresh", refresh),
        ];
        let said = parts.iter().filter(|(_, value)| !value.is_empty());
        let said: Vec<String> = said
            .map(|(key, value)| format!("{key}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)))
            .collect();
        if said.is_empty() {
            "/".to_owned()
        } else {
            format!("/?{}", said.join("&"))
        }
    }
}

/// A page of the list.
#[derive(Debug)]
pub(crate) struct StreamList<'a> {
    pub(crate) shown: Vec<&'a AssessedStream<'a>>,
    /// How many there are on all pages.
    pub(crate) found: usize,
    /// Which page this is, from 1, and how many there are.
    pub(crate) page: usize,
    pub(crate) pages: usize,
    /// The number of the first that is shown, from 1.
    pub(crate) first: usize,
}

impl<'a> StreamList<'a> {
    pub(crate) fn new(streams: &'a [AssessedStream<'a>], query: &ListQuery) -> Self {
        let search = query.search().to_lowercase();
        let is_wanted = |stream: &&AssessedStream<'_>| {
            (query.account.is_empty() || query.is_for(&stream.status.account))
                && (!query.only_incomplete() || stream.health != StreamHealth::Complete)
                && (search.is_empty() || stream.status.stream.to_lowercase().contains(&search))
        };
        let mut found: Vec<&AssessedStream<'_>> = streams.iter().filter(is_wanted).collect();
        sort_streams(&mut found, query.sort());
        let pages = found.len().div_ceil(STREAMS_PER_PAGE).max(1);
        let page = query.page.parse().unwrap_or(1).clamp(1, pages);
        let first = (page - 1) * STREAMS_PER_PAGE;
        let shown = found
            .iter()
            .skip(first)
            .take(STREAMS_PER_PAGE)
            .copied()
            .collect();
        Self {
            shown,
            found: found.len(),
            page,
            pages,
            first: first + 1,
        }
    }
}

/// Equals stay in the order of accounts and names.
fn sort_streams(streams: &mut [&AssessedStream<'_>], sort_streams: SortOrder) {
    let by = |figure: fn(&AssessedStream<'_>) -> u64| {
        move |stream: &&AssessedStream<'_>| std::cmp::Reverse(figure(stream))
    };
    match sort_streams {
        SortOrder::Worst => streams.sort_by_key(|stream| {
            let gravity = (stream.gap_s, stream.lost_s);
            (stream.health, std::cmp::Reverse(gravity))
        }),
        SortOrder::Name => streams.sort_by_key(|stream| stream.status.stream.to_lowercase()),
        SortOrder::Lag => streams.sort_by_key(by(|stream| stream.lag_s)),
        SortOrder::Messages => streams.sort_by_key(by(|stream| stream.status.messages)),
        SortOrder::Missing => streams.sort_by_key(by(|stream| stream.gap_s)),
        SortOrder::Lost => streams.sort_by_key(by(|stream| stream.lost_s)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::health::tests::{NOW, lacking, stream};
    use super::*;
    use crate::store::StreamStatus;

    fn names(query: &ListQuery) -> Vec<String> {
        let lost = StreamStatus {
            lost_seconds: 500,
            messages: 7,
            account: "other".to_owned(),
            ..stream(3)
        };
        let streams = [
            stream(1),
            lacking(2, 9000, 120),
            lost,
            lacking(4, 90_000, 120),
        ];
        let judged: Vec<_> = streams
            .iter()
            .map(|stream| AssessedStream::new(stream, NOW))
            .collect();
        StreamList::new(&judged, query)
            .shown
            .iter()
            .map(|stream| stream.status.stream.clone())
            .collect()
    }

    fn query(change: impl FnOnce(&mut ListQuery)) -> ListQuery {
        let mut query = ListQuery::default();
        change(&mut query);
        query
    }

    #[test]
    fn the_worst_come_first_unless_another_order_is_asked_for() {
        assert_eq!(
            names(&ListQuery::default()),
            [
                "source=user 4",
                "source=user 2",
                "source=user 3",
                "source=user 1"
            ]
        );
        let by = |sort: SortOrder| names(&ListQuery::default().sorted_by(sort));
        assert_eq!(
            by(SortOrder::Name),
            [
                "source=user 1",
                "source=user 2",
                "source=user 3",
                "source=user 4"
            ]
        );
        assert_eq!(by(SortOrder::Lag)[..2], ["source=user 4", "source=user 2"]);
        assert_eq!(by(SortOrder::Messages)[3], "source=user 3");
        assert_eq!(by(SortOrder::Missing)[0], "source=user 4");
        assert_eq!(by(SortOrder::Lost)[0], "source=user 3");
    }

    #[test]
    fn a_search_asks_for_a_part_of_the_name_in_any_case() {
        assert_eq!(
            names(&query(|q| q.q = " USER 3 ".to_owned())),
            ["source=user 3"]
        );
        assert_eq!(names(&query(|q| q.q = "nobody".to_owned())), [""; 0]);
        assert_eq!(
            names(&query(|q| q.account = "other".to_owned())),
            ["source=user 3"]
        );
        assert_eq!(names(&query(|q| q.show = "ill".to_owned())).len(), 3);
    }

    #[test]
    fn a_page_that_there_is_not_is_the_nearest_one() {
        let streams: Vec<StreamStatus> = (0..120).map(stream).collect();
        let judged: Vec<_> = streams
            .iter()
            .map(|stream| AssessedStream::new(stream, NOW))
            .collect();
        let page = |page: &str| {
            let list = StreamList::new(&judged, &query(|q| q.page = page.to_owned()));
            (
                list.page,
                list.pages,
                list.first,
                list.shown.len(),
                list.found,
            )
        };
        assert_eq!(page(""), (1, 3, 1, 50, 120));
        assert_eq!(page("3"), (3, 3, 101, 20, 120));
        assert_eq!(page("99999999"), (3, 3, 101, 20, 120));
        assert_eq!(page("-1"), (1, 3, 1, 50, 120));
        assert_eq!(StreamList::new(&[], &ListQuery::default()).pages, 1);
    }

    #[test]
    fn a_query_is_an_address_that_asks_the_same() {
        assert_eq!(ListQuery::default().href(), "/");
        let asked = query(|q| {
            (q.q, q.sort, q.show) = ("a&b <x>".to_owned(), "lag".to_owned(), "ill".to_owned());
        });
        assert_eq!(
            asked.clone().on_page(2).href(),
            "/?q=a%26b%20%3Cx%3E&show=ill&sort=lag&page=2"
        );
        assert_eq!(
            asked.sorted_by(SortOrder::Worst).href(),
            "/?q=a%26b%20%3Cx%3E&show=ill"
        );
        assert_eq!(
            query(|q| (q.sort, q.page) = ("<".to_owned(), "0".to_owned())).href(),
            "/"
        );
    }
}
