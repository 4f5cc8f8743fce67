//! The list of streams: search, order and pages. Pure.

use std::cmp::Reverse;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::health::{AssessedStream, StreamHealth};
use crate::daemon::web::limits::{MAX_SEARCH_CHARS, STREAMS_PER_PAGE};

/// The query of the front page. Invalid values are ignored.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ListQuery {
    /// Part of a stream's name.
    q: String,
    /// Name of an account.
    account: String,
    /// `incomplete`: only streams that are not complete.
    show: String,
    sort: String,
    page: String,
    /// `60`: the browser reloads the page every minute. `0`: it does not.
    refresh: String,
}

/// The order of the list. Numbers are sorted in descending order.
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
    /// Returns the value of the query parameter `sort`.
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
    /// Returns the sort order; streams in the worst health first by default.
    pub(crate) fn sort(&self) -> SortOrder {
        let orders = [
            SortOrder::Name,
            SortOrder::Lag,
            SortOrder::Messages,
            SortOrder::Missing,
            SortOrder::Lost,
        ];
        let chosen = orders.into_iter().find(|order| order.key() == self.sort);
        chosen.unwrap_or(SortOrder::Worst)
    }

    /// True if only incomplete streams are listed.
    pub(crate) fn only_incomplete(&self) -> bool {
        self.show == "incomplete"
    }

    /// True if the browser reloads the page every minute. By default it reloads the front page as
    /// it is. A list that somebody searched or sorted is not reloaded unasked: it would lose the
    /// focus of a reader in the middle of it.
    pub(crate) fn refreshes(&self) -> bool {
        match self.refresh() {
            "" => self.is_default_list(),
            choice => choice == "60",
        }
    }

    /// Returns the reader's choice; empty if there is none.
    pub(crate) fn refresh(&self) -> &str {
        match self.refresh.as_str() {
            choice @ ("0" | "60") => choice,
            _ => "",
        }
    }

    /// True if neither the streams nor their order were chosen.
    fn is_default_list(&self) -> bool {
        let parts = [&self.q, &self.account, &self.show, &self.sort, &self.page];
        parts.into_iter().all(String::is_empty)
    }

    /// Returns the search text.
    pub(crate) fn search(&self) -> String {
        self.q.trim().chars().take(MAX_SEARCH_CHARS).collect()
    }

    /// Returns a query for all streams of an account.
    pub(crate) fn for_account(account: &str) -> Self {
        Self {
            account: account.to_owned(),
            ..Self::default()
        }
    }

    /// True if the query is for the streams of this account.
    pub(crate) fn is_for(&self, account: &str) -> bool {
        self.account == account
    }

    /// Returns the same query, with the browser's reload turned on or off.
    pub(crate) fn with_refresh(self, refreshes: bool) -> Self {
        let refresh = match refreshes {
            true if self.is_default_list() => "",
            true => "60",
            false => "0",
        };
        Self {
            refresh: refresh.to_owned(),
            ..self
        }
    }

    /// Returns the first page of the same query in another order.
    pub(crate) fn sorted_by(self, sort: SortOrder) -> Self {
        Self {
            sort: sort.key().to_owned(),
            page: String::new(),
            ..self
        }
    }

    /// Returns another page of the same query.
    pub(crate) fn on_page(self, page: usize) -> Self {
        Self {
            page: page.to_string(),
            ..self
        }
    }

    /// Returns the address of this query. It is relative, so that the page works under any path of
    /// a proxy.
    pub(crate) fn href(&self) -> String {
        let sort = match self.sort() {
            SortOrder::Worst => "",
            order => order.key(),
        };
        let page = match self.page.parse() {
            Ok(page @ 2_usize..) => page.to_string(),
            _ => String::new(),
        };
        let show = if self.only_incomplete() {
            "incomplete"
        } else {
            ""
        };
        let account: String = self.account.chars().take(MAX_SEARCH_CHARS).collect();
        let parameters = [
            ("q", self.search().as_str()),
            ("account", account.as_str()),
            ("show", show),
            ("sort", sort),
            ("page", page.as_str()),
            ("refresh", self.refresh()),
        ]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| format!("{key}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)))
        .collect::<Vec<String>>();
        if parameters.is_empty() {
            "./".to_owned()
        } else {
            format!("./?{}", parameters.join("&"))
        }
    }
}

/// One page of the list.
#[derive(Debug)]
pub(crate) struct StreamList<'a> {
    /// The streams of this page.
    pub(crate) shown: Vec<&'a AssessedStream<'a>>,
    /// The number of streams on all pages.
    pub(crate) found: usize,
    /// The number of this page, from 1, and the number of pages.
    pub(crate) page: usize,
    pub(crate) pages: usize,
    /// The position of the first stream of this page, from 1.
    pub(crate) first: usize,
}

impl<'a> StreamList<'a> {
    /// Finds and sorts the streams of a query, and selects its page.
    pub(crate) fn new(streams: &'a [AssessedStream<'a>], query: &ListQuery) -> Self {
        let search = query.search().to_lowercase();
        let mut found: Vec<&AssessedStream<'_>> = streams
            .iter()
            .filter(|stream| matches(stream, query, &search))
            .collect();
        sort_streams(&mut found, query.sort());
        let pages = found.len().div_ceil(STREAMS_PER_PAGE).max(1);
        let page = query.page.parse().unwrap_or(1).clamp(1, pages);
        let skipped = (page - 1) * STREAMS_PER_PAGE;
        let shown = found.iter().skip(skipped).take(STREAMS_PER_PAGE);
        Self {
            shown: shown.copied().collect(),
            found: found.len(),
            page,
            pages,
            first: skipped + 1,
        }
    }
}

/// True if a query lists the stream. `search`: the search text in lower case.
fn matches(stream: &AssessedStream<'_>, query: &ListQuery, search: &str) -> bool {
    let is_of_account = query.account.is_empty() || query.is_for(&stream.status.account);
    let is_incomplete = stream.health != StreamHealth::Complete;
    let names = [&*stream.title.name, &*stream.status.stream];
    let mut names = names.into_iter().map(str::to_lowercase);
    is_of_account
        && (is_incomplete || !query.only_incomplete())
        && names.any(|name| name.contains(search))
}

/// Equal streams keep the order of accounts and names.
fn sort_streams(streams: &mut [&AssessedStream<'_>], order: SortOrder) {
    match order {
        SortOrder::Worst => {
            streams.sort_by_key(|stream| (stream.health, Reverse((stream.gap_s, stream.lost_s))));
        }
        SortOrder::Name => streams.sort_by_key(|stream| stream.title.name.to_lowercase()),
        SortOrder::Lag => streams.sort_by_key(|stream| Reverse(stream.lag_s)),
        SortOrder::Messages => streams.sort_by_key(|stream| Reverse(stream.status.messages)),
        SortOrder::Missing => streams.sort_by_key(|stream| Reverse(stream.gap_s)),
        SortOrder::Lost => streams.sort_by_key(|stream| Reverse(stream.lost_s)),
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
        let assessed: Vec<_> = streams
            .iter()
            .map(|stream| AssessedStream::new(stream, NOW))
            .collect();
        StreamList::new(&assessed, query)
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
    fn the_worst_streams_come_first_by_default() {
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
    fn search_matches_part_of_a_name_in_any_case() {
        assert_eq!(
            names(&query(|q| q.q = " USER 3 ".to_owned())),
            ["source=user 3"]
        );
        assert_eq!(names(&query(|q| q.q = "nobody".to_owned())), [""; 0]);
        assert_eq!(
            names(&query(|q| q.account = "other".to_owned())),
            ["source=user 3"]
        );
        assert_eq!(names(&query(|q| q.show = "incomplete".to_owned())).len(), 3);
    }

    #[test]
    fn a_page_out_of_range_is_the_nearest_page() {
        let streams: Vec<StreamStatus> = (0..120).map(stream).collect();
        let assessed: Vec<_> = streams
            .iter()
            .map(|stream| AssessedStream::new(stream, NOW))
            .collect();
        let page = |page: &str| {
            let list = StreamList::new(&assessed, &query(|q| q.page = page.to_owned()));
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
    fn a_query_survives_its_own_address() {
        assert_eq!(ListQuery::default().href(), "./");
        let asked = query(|q| {
            (q.q, q.sort, q.show) = (
                "a&b <x>".to_owned(),
                "lag".to_owned(),
                "incomplete".to_owned(),
            );
        });
        assert_eq!(
            asked.clone().on_page(2).href(),
            "./?q=a%26b%20%3Cx%3E&show=incomplete&sort=lag&page=2"
        );
        assert_eq!(
            asked.sorted_by(SortOrder::Worst).href(),
            "./?q=a%26b%20%3Cx%3E&show=incomplete"
        );
        assert_eq!(
            query(|q| (q.sort, q.page) = ("<".to_owned(), "0".to_owned())).href(),
            "./"
        );
    }

    #[test]
    fn only_the_front_page_refreshes_unless_it_is_chosen() {
        let refreshes = |query: &ListQuery| (query.refreshes(), query.href());
        let front = ListQuery::default();
        assert_eq!(refreshes(&front), (true, "./".to_owned()));
        let paused = front.clone().with_refresh(false);
        assert_eq!(refreshes(&paused), (false, "./?refresh=0".to_owned()));
        assert_eq!(
            refreshes(&paused.with_refresh(true)),
            (true, "./".to_owned())
        );
        let searched = query(|q| q.q = "lobby".to_owned());
        assert_eq!(refreshes(&searched), (false, "./?q=lobby".to_owned()));
        assert_eq!(
            refreshes(&searched.with_refresh(true)),
            (true, "./?q=lobby&refresh=60".to_owned())
        );
        let nonsense = query(|q| q.refresh = "1".to_owned());
        assert_eq!(refreshes(&nonsense), (true, "./".to_owned()));
    }
}
