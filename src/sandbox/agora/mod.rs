//! Agora RTM's message history: POST makes a handle, GET reads it once, GET counts. And its feeds of events.

mod events;
mod handles;
mod history;
mod wire;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query as Parameters, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tokio::time::Instant;

pub use events::AgoraEvent;
pub(super) use events::{EventFeed, EventFeeds};
pub use history::{AgoraHistory, AgoraMessage, RecipientKind, Selection, SuggestedStream};

use self::handles::{HandleContent, HandleRead, HandleStore};
use self::wire::{
    AgoraPageAnswer, AgoraRequestError, CountAnswer, HistoryFilter, PageQuery, QueryAnswer,
    StatusAnswer,
};
use super::gateway::{Gateway as FrontDesk, IncomingCall, Rejection, UNKNOWN_ACCOUNT};
use super::rules::Call;
use super::shape::{DeadHandle, SnapshotMoment};
use super::world::{World, lock};

/// The customer id of Basic authentication.
pub const CUSTOMER_ID: &str = "sandbox-id";
/// The customer secret of Basic authentication.
pub const CUSTOMER_SECRET: &str = "sandbox-secret";
/// The uid that the token was made for.
pub const TOKEN_UID: &str = "sandbox-uid";

/// What Agora's handlers remember between requests.
#[derive(Debug)]
pub(super) struct AgoraState {
    handles: Mutex<HandleStore>,
    counts: AtomicU64,
}

impl AgoraState {
    pub(super) fn new(rng: &mut fastrand::Rng) -> Self {
        Self {
            handles: Mutex::new(HandleStore::new(rng)),
            counts: AtomicU64::new(0),
        }
    }
}

/// Why a request gets no answer of success.
#[derive(Debug)]
enum AgoraRefusal {
    Turned(Rejection),
    NoSuchProject,
    Malformed(AgoraRequestError),
    DeadHandle(String, StatusCode),
    NoSuchHandle,
}

impl From<Rejection> for AgoraRefusal {
    fn from(turned: Rejection) -> Self {
        Self::Turned(turned)
    }
}

impl From<AgoraRequestError> for AgoraRefusal {
    fn from(malformed: AgoraRequestError) -> Self {
        Self::Malformed(malformed)
    }
}

type Shared = State<Arc<FrontDesk>>;

/// The endpoints.
pub(super) fn routes() -> Router<Arc<FrontDesk>> {
    const BASE: &str = "/dev/v2/project/{app_id}/rtm/message/history";
    const FEEDS: &str = "/dev/v2/project/{app_id}/rtm/vendor";
    Router::new()
        .route(&format!("{BASE}/query"), post(query))
        .route(&format!("{BASE}/query/{{handle}}"), get(read))
        .route(&format!("{BASE}/count"), get(count))
        .route(&format!("{FEEDS}/user_events"), get(user_events))
        .route(&format!("{FEEDS}/channel_events"), get(channel_events))
}

async fn query(
    State(desk): Shared,
    Path(app_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    answer(&desk, &app_id, Call::Query, "", &headers, || {
        make_handle(&desk, &app_id, &headers, &body)
    })
    .await
}

async fn read(
    State(desk): Shared,
    Path((app_id, handle)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    desk.world
        .rules()
        .record_poll(account(&desk.world, &app_id), &handle, Instant::now());
    answer(&desk, &app_id, Call::Read, &handle, &headers, || {
        read_handle(&desk, &app_id, &handle)
    })
    .await
}

async fn count(
    State(desk): Shared,
    Path(app_id): Path<String>,
    RawQuery(raw): RawQuery,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let asked = raw.unwrap_or_default();
    desk.world
        .rules()
        .record_poll(account(&desk.world, &app_id), &asked, Instant::now());
    answer(&desk, &app_id, Call::Count, &asked, &headers, || {
        count_messages(&desk, &app_id, &uri, &asked)
    })
    .await
}

async fn user_events(
    desk: Shared,
    app_id: Path<String>,
    asked: RawQuery,
    headers: HeaderMap,
) -> Response {
    events(desk, app_id, asked, headers, EventFeed::Users).await
}

async fn channel_events(
    desk: Shared,
    app_id: Path<String>,
    asked: RawQuery,
    headers: HeaderMap,
) -> Response {
    events(desk, app_id, asked, headers, EventFeed::Channels).await
}

async fn events(
    State(desk): Shared,
    Path(app_id): Path<String>,
    RawQuery(asked): RawQuery,
    headers: HeaderMap,
    feed: EventFeed,
) -> Response {
    let act = || {
        if asked.is_some() {
            return Err(
                AgoraRequestError::Parameters("a feed takes no parameters".to_owned()).into(),
            );
        }
        let events = desk.world.take_events(&app_id, feed);
        Ok(
            Json(json!({ "result": "success", "request_id": request_id(), "events": events }))
                .into_response(),
        )
    };
    answer(&desk, &app_id, Call::Events, "", &headers, act).await
}

/// Does what is asked, if whoever asks is let in.
async fn answer(
    desk: &FrontDesk,
    app_id: &str,
    call: Call,
    subject: &str,
    headers: &HeaderMap,
    act: impl FnOnce() -> Result<Response, AgoraRefusal>,
) -> Response {
    let asked = IncomingCall {
        account: account(&desk.world, app_id),
        call,
        subject,
    };
    let way = match desk.admit(asked, authorised(&desk.world, headers)).await {
        Ok(way) => way,
        Err(turned) => return refuse(desk, app_id, turned.into()),
    };
    let outcome = if desk.world.has_project(app_id) {
        act()
    } else {
        Err(AgoraRefusal::NoSuchProject)
    };
    let answer = outcome.unwrap_or_else(|refusal| refuse(desk, app_id, refusal));
    desk.send(asked, way, answer).await
}

fn account<'a>(world: &World, app_id: &'a str) -> &'a str {
    if world.has_project(app_id) {
        app_id
    } else {
        UNKNOWN_ACCOUNT
    }
}

/// Basic authentication, or a token in its own two headers, or a token of the second kind.
fn authorised(world: &World, headers: &HeaderMap) -> bool {
    let value = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    if let Some(credential) = value(header::AUTHORIZATION.as_str()) {
        let basic = STANDARD.encode(format!("{CUSTOMER_ID}:{CUSTOMER_SECRET}"));
        return credential == format!("Basic {basic}")
            || credential == format!("agora token={}", world.token());
    }
    value("x-agora-token") == Some(world.token().as_str())
        && value("x-agora-uid") == Some(TOKEN_UID)
}

fn make_handle(
    desk: &FrontDesk,
    app_id: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, AgoraRefusal> {
    let options = desk.world.options();
    if !is_json(headers) {
        return Err(AgoraRequestError::ContentType.into());
    }
    let query = PageQuery::parse(body, options)?;
    let (offset, limit, order) = (query.offset, query.limit, query.order);
    let content = match options.snapshot {
        SnapshotMoment::Post => HandleContent::Snapshot(page(&desk.world, app_id, &query)),
        SnapshotMoment::Get => HandleContent::Query(query),
    };
    let ready_after = desk.draw_duration(options.ready_after);
    let handle = lock(&desk.agora.handles).issue(
        app_id,
        content,
        Instant::now(),
        ready_after,
        options.handle_ttl,
    );
    let location = format!("~/rtm/message/history/query/{handle}");
    Ok(Json(QueryAnswer {
        result: "success",
        offset,
        limit,
        order,
        location,
        request_id: request_id(),
    })
    .into_response())
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
    else {
        return false;
    };
    let mut parts = value
        .split(';')
        .map(|part| part.trim().to_ascii_lowercase());
    parts.next().as_deref() == Some("application/json") && parts.all(|part| part == "charset=utf-8")
}

fn read_handle(desk: &FrontDesk, app_id: &str, handle: &str) -> Result<Response, AgoraRefusal> {
    let options = desk.world.options();
    let now = Instant::now();
    let reading = lock(&desk.agora.handles).read(app_id, handle, now);
    let messages = match reading {
        HandleRead::Ready(HandleContent::Snapshot(messages)) => messages,
        HandleRead::Ready(HandleContent::Query(query)) => page(&desk.world, app_id, &query),
        HandleRead::InProgress => return Ok(in_progress(desk, app_id, handle)),
        HandleRead::Expired => {
            return Err(AgoraRefusal::DeadHandle(
                handle.to_owned(),
                StatusCode::GONE,
            ));
        }
        HandleRead::Consumed => {
            let status = match options.dead_handle {
                DeadHandle::Gone => StatusCode::GONE,
                DeadHandle::NotFound => StatusCode::NOT_FOUND,
            };
            return Err(AgoraRefusal::DeadHandle(handle.to_owned(), status));
        }
        HandleRead::Unknown => return Err(AgoraRefusal::NoSuchHandle),
    };
    Ok(Json(AgoraPageAnswer {
        messages: &messages,
        options,
        request_id: request_id(),
    })
    .into_response())
}

fn count_messages(
    desk: &FrontDesk,
    app_id: &str,
    uri: &Uri,
    asked: &str,
) -> Result<Response, AgoraRefusal> {
    let options = desk.world.options();
    let Parameters(filter) = Parameters::<HistoryFilter>::try_from_uri(uri)
        .map_err(|e| AgoraRequestError::Parameters(e.body_text()))?;
    let selection = filter.into_selection(options)?;
    let nth = desk.agora.counts.fetch_add(1, Ordering::Relaxed) + 1;
    if options.count_progress_every > 0 && nth.is_multiple_of(options.count_progress_every) {
        return Ok(in_progress(desk, app_id, asked));
    }
    let count = desk.world.with_selected(app_id, &selection, <[_]>::len);
    Ok(Json(CountAnswer {
        result: "success",
        code: "ok",
        count,
        request_id: request_id(),
    })
    .into_response())
}

fn page(world: &World, app_id: &str, query: &PageQuery) -> Vec<Arc<AgoraMessage>> {
    world.with_selected(app_id, &query.selection, |matching| {
        query.select_page(matching)
    })
}

fn in_progress(desk: &FrontDesk, app_id: &str, what: &str) -> Response {
    desk.world
        .rules()
        .record_in_progress(app_id, what, Instant::now());
    Json(StatusAnswer {
        result: "success",
        code: "in progress",
        reason: None,
        request_id: request_id(),
    })
    .into_response()
}

/// Answers a request that is refused, and records it if it broke a rule.
fn refuse(desk: &FrontDesk, app_id: &str, refusal: AgoraRefusal) -> Response {
    let rules = desk.world.rules();
    match refusal {
        AgoraRefusal::Turned(Rejection::Replaced(answer)) => *answer,
        AgoraRefusal::Turned(Rejection::Unauthorised) => message(
            StatusCode::UNAUTHORIZED,
            "Invalid authentication credentials",
        ),
        AgoraRefusal::Turned(Rejection::OverQuota) => desk.with_retry_after(message(
            StatusCode::TOO_MANY_REQUESTS,
            "API rate limit exceeded",
        )),
        AgoraRefusal::NoSuchProject => {
            rules.record_bad_request(UNKNOWN_ACCOUNT);
            failed(StatusCode::NOT_FOUND, "not_found", "no such project")
        }
        AgoraRefusal::Malformed(malformed) => {
            rules.record_bad_request(app_id);
            failed(
                StatusCode::BAD_REQUEST,
                "bad_request",
                &malformed.to_string(),
            )
        }
        AgoraRefusal::DeadHandle(handle, status) => {
            rules.record_dead_handle_read(app_id, &handle);
            failed(
                status,
                "resource_expired",
                "the resource is gone, create a new query",
            )
        }
        AgoraRefusal::NoSuchHandle => {
            failed(StatusCode::NOT_FOUND, "not_found", "no such resource")
        }
    }
}

/// What the gateway before the service answers: it knows nothing of the service's own form.
fn message(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({ "message": text }))).into_response()
}

fn failed(status: StatusCode, code: &str, reason: &str) -> Response {
    let body = StatusAnswer {
        result: "failed",
        code,
        reason: Some(reason.to_owned()),
        request_id: request_id(),
    };
    (status, Json::<StatusAnswer<'_>>(body)).into_response()
}

/// An id such as real answers carry. It says nothing, so it need not follow from the seed.
fn request_id() -> String {
    format!(
        "{}_{}",
        fastrand::u32(100_000..1_000_000),
        fastrand::u64(1..u64::MAX >> 1)
    )
}
