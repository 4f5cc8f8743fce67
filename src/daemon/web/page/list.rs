//! Which streams are shown, in which order: the list of a page among thousands. Pure.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::health::{Health, Judged};

/// Streams on a page.
const A_PAGE: usize = 50;
/// More of a search than this is not looked at, in characters.
const SEARCH: usize = 200;

/// What a query asks for. Whatever it says that cannot be meant is as if it were not there.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Query {
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
pub(super) enum Sort {
    Worst,
    Name,
    Lag,
    Messages,
    Missing,
    Lost,
}

impl Sort {
    pub(super) const fn key(self) -> &'static str {
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

impl Query {
    pub(super) fn sort(&self) -> Sort {
        let all = [
            Sort::Name,
            Sort::Lag,
            Sort::Messages,
            Sort::Missing,
            Sort::Lost,
        ];
        all.into_iter()
            .find(|sort| sort.key() == self.sort)
            .unwrap_or(Sort::Worst)
    }

    pub(super) fn only_ill(&self) -> bool {
        self.show == "ill"
    }

    pub(super) fn refreshes(&self) -> bool {
        self.refresh == "60"
    }

    /// What is searched for.
    pub(super) fn search(&self) -> String {
        self.q.trim().chars().take(SEARCH).collect()
    }

    pub(super) fn of_account(account: &str) -> Self {
        Self {
            account: account.to_owned(),
            ..Self::default()
        }
    }

    pub(super) fn is_of(&self, account: &str) -> bool {
        self.account == account
    }

    pub(super) fn refreshing(self, refreshes: bool) -> Self {
        Self {
            refresh: if refreshes {
                "60".to_owned()
            } else {
                String::new()
            },
            ..self
        }
    }

    pub(super) fn in_order(self, sort: Sort) -> Self {
        Self {
            sort: sort.key().to_owned(),
            page: String::new(),
            ..self
        }
    }

    pub(super) fn on_page(self, page: usize) -> Self {
        Self {
            page: page.to_string(),
            ..self
        }
    }

    /// The address of the page that answers it.
    pub(super) fn href(&self) -> String {
        let sort = self.sort();
        let sort = if sort == Sort::Worst { "" } else { sort.key() };
        let search = self.search();
        let page = self
            .page
            .parse::<usize>()
            .ok()
            .filter(|page| *page > 1)
            .map(|page| page.to_string());
        let show = if self.only_ill() { "ill" } else { "" };
        let refresh = if self.refreshes() { "60" } else { "" };
        let account: String = self.account.chars().take(SEARCH).collect();
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
pub(super) struct List<'a> {
    pub(super) shown: Vec<&'a Judged<'a>>,
    /// How many there are on all pages.
    pub(super) found: usize,
    /// Which page this is, from 1, and how many there are.
    pub(super) page: usize,
    pub(super) pages: usize,
    /// The number of the first that is shown, from 1.
    pub(super) first: usize,
}

impl<'a> List<'a> {
    pub(super) fn of(streams: &'a [Judged<'a>], query: &Query) -> Self {
        let search = query.search().to_lowercase();
        let is_wanted = |stream: &&Judged<'_>| {
            (query.account.is_empty() || query.is_of(&stream.status.account))
                && (!query.only_ill() || stream.health != Health::Whole)
                && (search.is_empty() || stream.status.stream.to_lowercase().contains(&search))
        };
        let mut found: Vec<&Judged<'_>> = streams.iter().filter(is_wanted).collect();
        sort(&mut found, query.sort());
        let pages = found.len().div_ceil(A_PAGE).max(1);
        let page = query.page.parse().unwrap_or(1).clamp(1, pages);
        let first = (page - 1) * A_PAGE;
        let shown = found.iter().skip(first).take(A_PAGE).copied().collect();
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
fn sort(streams: &mut [&Judged<'_>], sort: Sort) {
    let by = |figure: fn(&Judged<'_>) -> u64| {
        move |stream: &&Judged<'_>| std::cmp::Reverse(figure(stream))
    };
    match sort {
        Sort::Worst => streams.sort_by_key(|stream| {
            let gravity = (stream.gap_s, stream.lost_s);
            (stream.health, std::cmp::Reverse(gravity))
        }),
        Sort::Name => streams.sort_by_key(|stream| stream.status.stream.to_lowercase()),
        Sort::Lag => streams.sort_by_key(by(|stream| stream.lag_s)),
        Sort::Messages => streams.sort_by_key(by(|stream| stream.status.messages)),
        Sort::Missing => streams.sort_by_key(by(|stream| stream.gap_s)),
        Sort::Lost => streams.sort_by_key(by(|stream| stream.lost_s)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::health::tests::{NOW, lacking, stream};
    use super::*;
    use crate::store::StreamStatus;

    fn names(query: &Query) -> Vec<String> {
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
            .map(|stream| Judged::of(stream, NOW))
            .collect();
        List::of(&judged, query)
            .shown
            .iter()
            .map(|stream| stream.status.stream.clone())
            .collect()
    }

    fn query(change: impl FnOnce(&mut Query)) -> Query {
        let mut query = Query::default();
        change(&mut query);
        query
    }

    #[test]
    fn the_worst_come_first_unless_another_order_is_asked_for() {
        assert_eq!(
            names(&Query::default()),
            [
                "source=user 4",
                "source=user 2",
                "source=user 3",
                "source=user 1"
            ]
        );
        let by = |sort: Sort| names(&Query::default().in_order(sort));
        assert_eq!(
            by(Sort::Name),
            [
                "source=user 1",
                "source=user 2",
                "source=user 3",
                "source=user 4"
            ]
        );
        assert_eq!(by(Sort::Lag)[..2], ["source=user 4", "source=user 2"]);
        assert_eq!(by(Sort::Messages)[3], "source=user 3");
        assert_eq!(by(Sort::Missing)[0], "source=user 4");
        assert_eq!(by(Sort::Lost)[0], "source=user 3");
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
            .map(|stream| Judged::of(stream, NOW))
            .collect();
        let page = |page: &str| {
            let list = List::of(&judged, &query(|q| q.page = page.to_owned()));
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
        assert_eq!(List::of(&[], &Query::default()).pages, 1);
    }

    #[test]
    fn a_query_is_an_address_that_asks_the_same() {
        assert_eq!(Query::default().href(), "/");
        let asked = query(|q| {
            (q.q, q.sort, q.show) = ("a&b <x>".to_owned(), "lag".to_owned(), "ill".to_owned())
        });
        assert_eq!(
            asked.clone().on_page(2).href(),
            "/?q=a%26b%20%3Cx%3E&show=ill&sort=lag&page=2"
        );
        assert_eq!(
            asked.in_order(Sort::Worst).href(),
            "/?q=a%26b%20%3Cx%3E&show=ill"
        );
        assert_eq!(
            query(|q| (q.sort, q.page) = ("<".to_owned(), "0".to_owned())).href(),
            "/"
        );
    }
}
