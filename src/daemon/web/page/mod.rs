//! The status page for people: is the archive complete, and what is missing.
//!
//! It is rendered on the server, without scripts or external resources.
//!
//! | question | file |
//! |---|---|
//! | which data does a page read, and how often? | `snapshot.rs`, `cache.rs` |
//! | when is a stream behind, suspect or complete? | `model/health.rs` |
//! | what is the headline? | `model/headline.rs` |
//! | what is listed as an issue? | `model/issues.rs`, `model/stream_issues.rs` |
//! | how are streams searched and sorted? | `model/list.rs` |
//! | how is a day assessed? | `model/calendar.rs` |
//! | what is in `/status.json`? | `document.rs` |
//! | where is the HTML? | `view/`; its templates escape all untrusted text |

pub(super) mod cache;
mod document;
mod model;
mod snapshot;
mod view;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;

use super::limits::{LISTED_DAYS, MAX_COUNTED_IN_LIST, MAX_COUNTED_OF_STREAM, MAX_LEDGER_ROWS};
use super::state::{AppState, AppStateExtractor};
use crate::domain::time::{Day, Millis};
use crate::domain::window::Window;
use crate::store::{Archive, StoreError, StreamStatus};
use model::calendar::{StreamDay, month_of, stream_days};
use model::headline::Headline;
use model::health::AssessedStream;
use model::issues;
use model::list::{ListQuery, StreamList};
use model::stream_query::StreamQuery;
use snapshot::PageSnapshot;
use view::front::FrontPage;
use view::layout::{ICON, STYLE, error_page};
use view::stream::StreamPage;

/// Content security policy of the page: no external resources, no scripts, no forms to other sites.
const PAGE_CONTENT_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; \
                                   form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The routes of the page.
pub(super) fn routes() -> Router<AppState> {
    let style = get(async || ([(CONTENT_TYPE, "text/css; charset=utf-8")], STYLE));
    let icon = get(async || ([(CONTENT_TYPE, "image/svg+xml")], ICON));
    Router::new()
        .route("/", get(front_page))
        .route("/stream", get(stream_page))
        .route("/status.json", get(status_document))
        .route("/style.css", style)
        .route("/icon.svg", icon)
}

/// A query that may be invalid.
type MaybeQuery<T> = Result<Query<T>, QueryRejection>;

async fn front_page(State(state): AppStateExtractor, query: MaybeQuery<ListQuery>) -> Response {
    let query = query.map(|Query(query)| query).unwrap_or_default();
    respond(render_front(&state, &query).await.map(Some))
}

async fn render_front(state: &AppState, query: &ListQuery) -> Result<String, StoreError> {
    let current = state.current();
    let snapshot = current.page.snapshot(&current.sources).await?;
    let streams = assess_streams(&snapshot);
    let issues = issues::find_issues(&snapshot, &streams);
    let list = StreamList::new(&streams, query);
    let today = Day::containing(snapshot.taken_at.second());
    let first = today.plus(1 - LISTED_DAYS as i64);
    let mut days = Vec::with_capacity(list.shown.len());
    let store = &*current.sources.store;
    let mut budget = MAX_COUNTED_IN_LIST;
    for stream in &list.shown {
        let mut of_stream = read_days(store, stream, first, LISTED_DAYS).await?;
        count_estimated_days(store, stream.status, &mut of_stream, &mut budget).await?;
        days.push(of_stream);
    }
    let page = FrontPage {
        snapshot: &snapshot,
        streams: &streams,
        headline: Headline::new(&streams, &issues),
        issues,
        query,
        list,
        days,
        uptime: state.uptime(),
    };
    Ok(page.render())
}

async fn status_document(State(state): AppStateExtractor) -> Response {
    let (status, document) = match render_document(&state).await {
        Ok(document) => (StatusCode::OK, document),
        Err(error) => {
            tracing::debug!(%error, "the status document could not be rendered");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                document::render_error(&error),
            )
        }
    };
    (status, [(CONTENT_TYPE, "application/json")], document).into_response()
}

/// Requests within the lifetime of the data share one document.
async fn render_document(state: &AppState) -> Result<Bytes, StoreError> {
    let current = state.current();
    let snapshot = current.page.snapshot(&current.sources).await?;
    let document = snapshot.document.get_or_init(|| {
        let streams = assess_streams(&snapshot);
        let issues = issues::find_issues(&snapshot, &streams);
        let headline = Headline::new(&streams, &issues);
        document::render(&snapshot, &headline, state.uptime())
    });
    Ok(document.clone())
}

fn assess_streams(snapshot: &PageSnapshot) -> Vec<AssessedStream<'_>> {
    let now = snapshot.taken_at.second();
    let streams = snapshot.streams.iter();
    streams
        .map(|stream| AssessedStream::new(stream, now))
        .collect()
}

async fn read_days(
    store: &dyn Archive,
    stream: &AssessedStream<'_>,
    first: Day,
    count: usize,
) -> Result<Vec<StreamDay>, StoreError> {
    let last = first.plus(count as i64 - 1);
    let range = Window::of_day(first).hull(Window::of_day(last));
    let ledger_days = match stream.status.id {
        Some(id) => store.ledger_days(id, range).await?,
        None => vec![],
    };
    Ok(stream_days(first, count, stream, &ledger_days))
}

/// Counts the messages of days with estimated numbers, as far as `budget` allows, in messages.
async fn count_estimated_days(
    store: &dyn Archive,
    status: &StreamStatus,
    days: &mut [StreamDay],
    budget: &mut u64,
) -> Result<(), StoreError> {
    let Some(scope) = &status.scope else {
        return Ok(());
    };
    for run in days.chunk_by_mut(|one, next| one.is_estimated == next.is_estimated) {
        let (first, last) = (run[0].day, run[run.len() - 1].day);
        let estimate: u64 = run.iter().map(|day| day.messages).sum();
        if !run[0].is_estimated || *budget < estimate {
            continue;
        }
        let range = Window::of_day(first).hull(Window::of_day(last));
        let (from, to) = (range.from().start(), range.to().start());
        let times = store
            .message_times(status.account_id, scope, from, to)
            .await?;
        // The days may hold more than their even share.
        *budget = budget.saturating_sub(estimate.max(times.len() as u64));
        for day in run {
            let is_of_day = |at: &&Millis| Day::containing(at.second()) == day.day;
            day.messages = times.iter().filter(is_of_day).count() as u64;
            day.is_estimated = false;
        }
    }
    Ok(())
}

async fn stream_page(State(state): AppStateExtractor, query: MaybeQuery<StreamQuery>) -> Response {
    let query = query.map(|Query(query)| query).unwrap_or_default();
    respond(render_stream(&state, &query).await)
}

/// Returns `None` if the stream does not exist.
async fn render_stream(
    state: &AppState,
    query: &StreamQuery,
) -> Result<Option<String>, StoreError> {
    let current = state.current();
    let store = &*current.sources.store;
    let snapshot = current.page.snapshot(&current.sources).await?;
    let Some(id) = query.stream() else {
        return Ok(None);
    };
    let mut streams = snapshot.streams.iter();
    let Some(status) = streams.find(|stream| stream.id == Some(id)) else {
        return Ok(None);
    };
    let stream = AssessedStream::new(status, snapshot.taken_at.second());
    let day = query.day(status);
    let (first, length) = month_of(day);
    let mut days = read_days(store, &stream, first, length).await?;
    let mut budget = MAX_COUNTED_OF_STREAM;
    count_estimated_days(store, status, &mut days, &mut budget).await?;
    let rows = store.ledger_rows(id, query.rows_from(day), MAX_LEDGER_ROWS as u64 + 1);
    let page = StreamPage {
        id,
        stream: &stream,
        taken_at: snapshot.taken_at,
        day,
        days,
        sealed: store.sealed_runs_of(id).await?,
        rows: rows.await?,
        uptime: state.uptime(),
    };
    Ok(Some(page.render()))
}

fn respond(page: Result<Option<String>, StoreError>) -> Response {
    let (status, page) = match page {
        Ok(Some(page)) => (StatusCode::OK, page),
        Ok(None) => {
            let reason = "It does not exist, or is not followed any more.";
            let page = error_page("Stream not found", reason, None);
            (StatusCode::NOT_FOUND, page)
        }
        Err(error) => {
            tracing::debug!(%error, "the page could not be rendered");
            let reason = error.to_string();
            let page = error_page("The archive does not answer", &reason, Some(error.hint()));
            (StatusCode::SERVICE_UNAVAILABLE, page)
        }
    };
    let headers = [(CONTENT_SECURITY_POLICY, PAGE_CONTENT_POLICY)];
    (status, headers, Html(page)).into_response()
}
