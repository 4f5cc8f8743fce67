//! The page for people: whether the archive is whole, at a glance, and where it is not.
//!
//! It is made on the server, and needs neither scripts nor anything from elsewhere. [`look`] is what is read, once for all
//! who ask within a few seconds; [`health`], [`worries`], [`list`] and [`calendar`] judge it, purely; the rest says it in
//! HTML, whose templates escape whatever others wrote.

mod accounts;
mod calendar;
mod chart;
mod frame;
mod front;
mod health;
mod list;
mod look;
mod stream;
mod worries;

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

use super::{Asked, Desk, Shown};
use crate::store::{Store, StoreError, StreamStatus};
use calendar::{Day, DayOf, days};
use frame::{footer, page};
use front::Front;
use health::{Judged, Verdict};
use list::List;
use look::Look;
use stream::StreamPage;

/// Who asks within this time sees what the one before has seen …
const FRESH: Duration = Duration::from_secs(5);
/// … or within so many times as long as that took to read: whoever looks all the time takes up no more of the database.
const SHARE: u32 = 10;
/// How many days of each stream are drawn in the list.
const DRAWN: usize = 60;

/// Nothing from elsewhere, nothing that runs, nothing that is sent anywhere else.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// The last look, for whoever asks next, and until when it is fresh.
#[derive(Debug, Default)]
pub(super) struct Looks(Mutex<Option<(Arc<Look>, Instant)>>);

impl Looks {
    /// One at a time: who waits for a look shares it.
    async fn take(&self, shown: &Shown) -> Result<Arc<Look>, StoreError> {
        let mut last = self.0.lock().await;
        if let Some((look, fresh)) = &*last
            && Instant::now() < *fresh
        {
            return Ok(look.clone());
        }
        // It is let go of before the next is taken: two would be twice as large.
        *last = None;
        let begun = Instant::now();
        let look = Arc::new(Look::take(shown).await?);
        *last = Some((
            look.clone(),
            Instant::now() + FRESH.max(begun.elapsed() * SHARE),
        ));
        Ok(look)
    }
}

/// The paths of the page.
pub(super) fn routes() -> Router<Desk> {
    Router::new()
        .route("/", get(front))
        .route("/stream", get(stream))
        .route(
            "/style.css",
            get(async || ([(CONTENT_TYPE, "text/css; charset=utf-8")], frame::STYLE)),
        )
        .route(
            "/icon.svg",
            get(async || ([(CONTENT_TYPE, "image/svg+xml")], frame::ICON)),
        )
}

/// A query, which may be nonsense.
type MaybeQuery<T> = Result<Query<T>, QueryRejection>;

async fn front(State(desk): Asked, query: MaybeQuery<list::Query>) -> Response {
    let query = query.map(|Query(query)| query).unwrap_or_default();
    answer(render_front(&desk, &query).await.map(Some))
}

async fn render_front(desk: &Desk, query: &list::Query) -> Result<String, StoreError> {
    let shown = desk.shown();
    let look = shown.page.take(&shown).await?;
    let judged = judged(&look);
    let worries = worries::worries(&look, &judged);
    let list = List::of(&judged, query);
    let mut drawn = Vec::with_capacity(list.shown.len());
    for stream in &list.shown {
        let first = Day::of(look.at.second()).plus(1 - DRAWN as i64);
        drawn.push(days_of(&*shown.store, stream, first, DRAWN).await?);
    }
    let verdict = Verdict::of(&judged, worries::is_grave(&worries, &judged));
    let accounts = look.streams.iter().map(|stream| stream.account.as_str());
    let accounts = accounts
        .chain(look.accounts.iter().map(|account| account.name.as_str()))
        .collect();
    Ok(Front {
        look: &look,
        judged: &judged,
        verdict,
        worries,
        query,
        list,
        days: drawn,
        accounts,
    }
    .render())
}

fn judged(look: &Look) -> Vec<Judged<'_>> {
    look.streams
        .iter()
        .map(|stream| Judged::of(stream, look.at.second()))
        .collect()
}

async fn days_of(
    store: &dyn Store,
    stream: &Judged<'_>,
    first: Day,
    count: usize,
) -> Result<Vec<DayOf>, StoreError> {
    let range = first.window().hull(first.plus(count as i64 - 1).window());
    let stretches = match stream.status.id {
        Some(id) => store.days(id, range).await?,
        None => vec![],
    };
    Ok(days(first, count, stream, &stretches))
}

/// Counts the messages of days that have but a share of a ledger row, where that costs little.
async fn count(
    store: &dyn Store,
    status: &StreamStatus,
    mut days: Vec<DayOf>,
) -> Result<Vec<DayOf>, StoreError> {
    let Some(scope) = &status.scope else {
        return Ok(days);
    };
    for day in days.iter_mut().filter(|day| day.is_spread) {
        let (from, to) = (
            day.day.window().from().start(),
            day.day.window().to().start(),
        );
        day.messages = store
            .count(status.account_id, scope, from, to)
            .await?
            .unwrap_or(day.messages);
    }
    Ok(days)
}

async fn stream(State(desk): Asked, query: MaybeQuery<stream::Query>) -> Response {
    let query = query.map(|Query(query)| query).unwrap_or_default();
    answer(render_stream(&desk, &query).await)
}

/// Nothing where there is no such stream.
async fn render_stream(desk: &Desk, query: &stream::Query) -> Result<Option<String>, StoreError> {
    let shown = desk.shown();
    let look = shown.page.take(&shown).await?;
    let Some((id, status)) = query.stream().and_then(|id| {
        let status = look.streams.iter().find(|stream| stream.id == Some(id))?;
        Some((id, status))
    }) else {
        return Ok(None);
    };
    let judged = Judged::of(status, look.at.second());
    let day = query.day(status);
    let (first, length) = stream::month_of(day);
    let days = days_of(&*shown.store, &judged, first, length).await?;
    let page = StreamPage {
        id,
        stream: &judged,
        at: look.at,
        day,
        days: count(&*shown.store, status, days).await?,
        sealed: shown.store.sealed_of(id).await?,
        rows: shown
            .store
            .ledger_rows(id, query.from(day), stream::ROWS + 1)
            .await?,
    };
    Ok(Some(page.render()))
}

fn answer(made: Result<Option<String>, StoreError>) -> Response {
    let (status, made) = match made {
        Ok(Some(made)) => (StatusCode::OK, made),
        Ok(None) => (
            StatusCode::NOT_FOUND,
            sorry(
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
                sorry("The archive does not answer", &said, error.hint()),
            )
        }
    };
    (status, [(CONTENT_SECURITY_POLICY, POLICY)], Html(made)).into_response()
}

/// A page that says why there is none.
fn sorry(what: &str, why: &str, hint: &str) -> String {
    let body = html! {
        header { p.brand { a href="/" { "Backscroll" } } }
        main {
            div.verdict.trouble {
                span.sign aria-hidden="true" { "!" }
                div {
                    h1 { (what) }
                    p { (frame::foreign(why)) }
                    @if hint == "/" { p { a href="/" { "All streams" } } } @else { p.hint { "To do: " (frame::foreign(hint)) } }
                }
            }
        }
        (footer())
    };
    page(what, false, &body)
}
