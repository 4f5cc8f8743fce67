//! The page for people: whether the archive is whole, at a glance, and where it is not.
//!
//! It is made on the server, and needs neither scripts nor anything from elsewhere. [`look`] is what is read, once for all
//! who ask within a few seconds; [`health`], [`worries`], [`list`] and [`calendar`] judge it, purely; the rest says it in
//! HTML, whose templates escape whatever others wrote.

mod model;
mod snapshot;
mod view;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use maud::html;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{AppState, AppStateExtractor, StatusSources};
use crate::domain::time::Day;
use crate::domain::window::Window;
use crate::store::{Archive, StoreError, StreamStatus};
use model::calendar::{StreamDay, stream_days};
use model::health::{AssessedStream, Headline};
use model::list::StreamList;
use model::{issues, list};
use snapshot::PageSnapshot;
use view::front::FrontPage;
use view::layout::{footer, layout};
use view::stream::StreamPage;
use view::{layout, stream};

/// Who asks within this time sees what the one before has seen …
const MIN_READ_INTERVAL: Duration = Duration::from_secs(5);
/// … or within so many times as long as that took to read: whoever looks all the time takes up no more of the database.
const COOLDOWN_FACTOR: u32 = 10;
/// How many days of each stream are drawn in the list.
const LISTED_DAYS: usize = 60;

/// Nothing from elsewhere, nothing that runs, nothing that is sent anywhere else.
const PAGE_CONTENT_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// The last look, for whoever asks next, and until when it is fresh.
#[derive(Debug, Default)]
pub(super) struct PageCache(Mutex<Option<(Arc<PageSnapshot>, Instant)>>);

impl PageCache {
    /// One at a time: who waits for a look shares it.
    async fn snapshot(&self, shown: &StatusSources) -> Result<Arc<PageSnapshot>, StoreError> {
        let mut last = self.0.lock().await;
        if let Some((look, fresh)) = &*last
            && Instant::now() < *fresh
        {
            return Ok(look.clone());
        }
        // It is let go of before the next is taken: two would be twice as large.
        *last = None;
        let begun = Instant::now();
        let look = Arc::new(PageSnapshot::read(shown).await?);
        *last = Some((
            look.clone(),
            Instant::now() + MIN_READ_INTERVAL.max(begun.elapsed() * COOLDOWN_FACTOR),
        ));
        Ok(look)
    }
}

/// The paths of the page.
pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/", get(front_page))
        .route("/stream", get(stream_page))
        .route(
            "/style.css",
            get(async || ([(CONTENT_TYPE, "text/css; charset=utf-8")], layout::STYLE)),
        )
        .route(
            "/icon.svg",
            get(async || ([(CONTENT_TYPE, "image/svg+xml")], layout::ICON)),
        )
}

/// A query, which may be nonsense.
type MaybeQuery<T> = Result<Query<T>, QueryRejection>;

async fn front_page(
    State(desk): AppStateExtractor,
    query: MaybeQuery<list::ListQuery>,
) -> Response {
    let query = query.map(|Query(query)| query).unwrap_or_default();
    respond(render_front(&desk, &query).await.map(Some))
}

async fn render_front(desk: &AppState, query: &list::ListQuery) -> Result<String, StoreError> {
    let shown = desk.sources();
    let look = shown.page_cache.snapshot(&shown).await?;
    let judged = assess_streams(&look);
    let worries = issues::find_issues(&look, &judged);
    let list = StreamList::new(&judged, query);
    let mut drawn = Vec::with_capacity(list.shown.len());
    for stream in &list.shown {
        let first = Day::containing(look.taken_at.second()).plus(1 - LISTED_DAYS as i64);
        drawn.push(read_days(&*shown.store, stream, first, LISTED_DAYS).await?);
    }
    let verdict = Headline::new(&judged, issues::needs_action(&worries, &judged));
    let accounts = look.streams.iter().map(|stream| stream.account.as_str());
    let accounts = accounts
        .chain(look.accounts.iter().map(|account| account.name.as_str()))
        .collect();
    Ok(FrontPage {
        snapshot: &look,
        streams: &judged,
        headline: verdict,
        issues: worries,
        query,
        list,
        days: drawn,
        accounts,
    }
    .render())
}

fn assess_streams(look: &PageSnapshot) -> Vec<AssessedStream<'_>> {
    look.streams
        .iter()
        .map(|stream| AssessedStream::new(stream, look.taken_at.second()))
        .collect()
}

async fn read_days(
    store: &dyn Archive,
    stream: &AssessedStream<'_>,
    first: Day,
    count: usize,
) -> Result<Vec<StreamDay>, StoreError> {
    let range = Window::of_day(first).hull(Window::of_day(first.plus(count as i64 - 1)));
    let stretches = match stream.status.id {
        Some(id) => store.ledger_days(id, range).await?,
        None => vec![],
    };
    Ok(stream_days(first, count, stream, &stretches))
}

/// Counts the messages of days that have but a share of a ledger row, where that costs little.
async fn count_estimated_days(
    store: &dyn Archive,
    status: &StreamStatus,
    mut days: Vec<StreamDay>,
) -> Result<Vec<StreamDay>, StoreError> {
    let Some(scope) = &status.scope else {
        return Ok(days);
    };
    for day in days.iter_mut().filter(|day| day.is_estimated) {
        let (from, to) = (day.day.start().start(), day.day.plus(1).start().start());
        day.messages = store
            .count_messages(status.account_id, scope, from, to)
            .await?
            .unwrap_or(day.messages);
    }
    Ok(days)
}

async fn stream_page(
    State(desk): AppStateExtractor,
    query: MaybeQuery<stream::StreamQuery>,
) -> Response {
    let query = query.map(|Query(query)| query).unwrap_or_default();
    respond(render_stream(&desk, &query).await)
}

/// Nothing where there is no such stream.
async fn render_stream(
    desk: &AppState,
    query: &stream::StreamQuery,
) -> Result<Option<String>, StoreError> {
    let shown = desk.sources();
    let look = shown.page_cache.snapshot(&shown).await?;
    let Some((id, status)) = query.stream().and_then(|id| {
        let status = look.streams.iter().find(|stream| stream.id == Some(id))?;
        Some((id, status))
    }) else {
        return Ok(None);
    };
    let judged = AssessedStream::new(status, look.taken_at.second());
    let day = query.day(status);
    let (first, length) = stream::month_of(day);
    let days = read_days(&*shown.store, &judged, first, length).await?;
    let page = StreamPage {
        id,
        stream: &judged,
        taken_at: look.taken_at,
        day,
        days: count_estimated_days(&*shown.store, status, days).await?,
        sealed: shown.store.sealed_runs_of(id).await?,
        rows: shown
            .store
            .ledger_rows(id, query.rows_from(day), stream::MAX_LEDGER_ROWS + 1)
            .await?,
    };
    Ok(Some(page.render()))
}

fn respond(made: Result<Option<String>, StoreError>) -> Response {
    let (status, made) = match made {
        Ok(Some(made)) => (StatusCode::OK, made),
        Ok(None) => (
            StatusCode::NOT_FOUND,
            error_page(
                "There is no such stream",
                "It is not followed, or not any more.",
                "/",
            ),
        ),
        Err(error) => {
            tracing::debug!(%error, "the page cannot be made");
            let said = error.to_string();
            (
                StatusCode::SERVICE_UNAVAILABLE,
                error_page("The archive does not answer", &said, error.hint()),
            )
        }
    };
    (
        status,
        [(CONTENT_SECURITY_POLICY, PAGE_CONTENT_POLICY)],
        Html(made),
    )
        .into_response()
}

/// A page that says why there is none.
fn error_page(what: &str, why: &str, hint: &str) -> String {
    let body = html! {
        header { p.brand { a href="/" { "Backscroll" } } }
        main {
            div.verdict.trouble {
                span.sign aria-hidden="true" { "!" }
                div {
                    h1 { (what) }
                    p { (layout::untrusted(why)) }
                    @if hint == "/" { p { a href="/" { "All streams" } } } @else { p.hint { "To do: " (layout::untrusted(hint)) } }
                }
            }
        }
        (footer())
    };
    layout(what, false, &body)
}
