//! The handlers of Agora's endpoints.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Bytes;
use axum::extract::{Path, Query as Parameters, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use tokio::time::Instant;

use super::auth::is_authorised;
use super::events::EventFeed;
use super::handles::{HandleContent, HandleRead};
use super::history::AgoraMessage;
use super::wire::{
    AgoraPageAnswer, AgoraRequestError, CountAnswer, HistoryFilter, PageQuery, QueryAnswer,
    StatusAnswer,
};
use crate::domain::lock::lock;
use crate::sandbox::call::Call;
use crate::sandbox::gateway::{Gateway, IncomingCall, Rejection, UNKNOWN_ACCOUNT};
use crate::sandbox::shape::{DeadHandleStatus, SnapshotMoment};
use crate::sandbox::world::World;

/// The reason why a request fails.
#[derive(Debug)]
enum AgoraRefusal {
    Rejected(Rejection),
    NoSuchProject,
    InvalidRequest(AgoraRequestError),
    DeadHandle(String, StatusCode),
    NoSuchHandle,
}

impl From<Rejection> for AgoraRefusal {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl From<AgoraRequestError> for AgoraRefusal {
    fn from(error: AgoraRequestError) -> Self {
        Self::InvalidRequest(error)
    }
}

type GatewayState = State<Arc<Gateway>>;

/// Builds the router of Agora's endpoints.
pub(in crate::sandbox) fn routes() -> Router<Arc<Gateway>> {
    const BASE: &str = "/dev/v2/project/{app_id}/rtm/message/history";
    const FEEDS: &str = "/dev/v2/project/{app_id}/rtm/vendor";
    Router::new()
        .route(&format!("{BASE}/query"), post(post_query))
        .route(&format!("{BASE}/query/{{handle}}"), get(get_page))
        .route(&format!("{BASE}/count"), get(get_count))
        .route(&format!("{FEEDS}/user_events"), get(get_user_events))
        .route(&format!("{FEEDS}/channel_events"), get(get_channel_events))
}

async fn post_query(
    State(gateway): GatewayState,
    Path(app_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    handle_call(&gateway, &app_id, Call::Query, "", &headers, || {
        make_handle(&gateway, &app_id, &headers, &body)
    })
    .await
}

async fn get_page(
    State(gateway): GatewayState,
    Path((app_id, handle)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    gateway.world.rules().record_poll(
        account_name(&gateway.world, &app_id),
        &handle,
        Instant::now(),
    );
    handle_call(&gateway, &app_id, Call::Read, &handle, &headers, || {
        read_handle(&gateway, &app_id, &handle)
    })
    .await
}

async fn get_count(
    State(gateway): GatewayState,
    Path(app_id): Path<String>,
    RawQuery(raw): RawQuery,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let query_string = raw.unwrap_or_default();
    gateway.world.rules().record_poll(
        account_name(&gateway.world, &app_id),
        &query_string,
        Instant::now(),
    );
    handle_call(
        &gateway,
        &app_id,
        Call::Count,
        &query_string,
        &headers,
        || count_messages(&gateway, &app_id, &uri, &query_string),
    )
    .await
}

async fn get_user_events(
    gateway: GatewayState,
    app_id: Path<String>,
    query_string: RawQuery,
    headers: HeaderMap,
) -> Response {
    get_events(gateway, app_id, query_string, headers, EventFeed::Users).await
}

async fn get_channel_events(
    gateway: GatewayState,
    app_id: Path<String>,
    query_string: RawQuery,
    headers: HeaderMap,
) -> Response {
    get_events(gateway, app_id, query_string, headers, EventFeed::Channels).await
}

async fn get_events(
    State(gateway): GatewayState,
    Path(app_id): Path<String>,
    RawQuery(query_string): RawQuery,
    headers: HeaderMap,
    feed: EventFeed,
) -> Response {
    let action = || {
        if query_string.is_some() {
            return Err(
                AgoraRequestError::Parameters("a feed takes no parameters".to_owned()).into(),
            );
        }
        let events = gateway.world.take_events(&app_id, feed);
        Ok(
            Json(json!({ "result": "success", "request_id": request_id(), "events": events }))
                .into_response(),
        )
    };
    handle_call(&gateway, &app_id, Call::Events, "", &headers, action).await
}

/// Carries out a request if it is admitted.
async fn handle_call(
    gateway: &Gateway,
    app_id: &str,
    call: Call,
    subject: &str,
    headers: &HeaderMap,
    action: impl FnOnce() -> Result<Response, AgoraRefusal>,
) -> Response {
    let incoming = IncomingCall {
        account: account_name(&gateway.world, app_id),
        call,
        subject,
    };
    let now = gateway.world.now().second();
    let is_authorised = is_authorised(&gateway.world, app_id, headers, now);
    let pending = match gateway.admit(incoming, is_authorised).await {
        Ok(pending) => pending,
        Err(rejection) => return refusal_response(gateway, app_id, rejection.into()),
    };
    let outcome = if gateway.world.has_project(app_id) {
        action()
    } else {
        Err(AgoraRefusal::NoSuchProject)
    };
    let answer = outcome.unwrap_or_else(|refusal| refusal_response(gateway, app_id, refusal));
    gateway.deliver(incoming, pending, answer).await
}

fn account_name<'a>(world: &World, app_id: &'a str) -> &'a str {
    if world.has_project(app_id) {
        app_id
    } else {
        UNKNOWN_ACCOUNT
    }
}

fn make_handle(
    gateway: &Gateway,
    app_id: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, AgoraRefusal> {
    let options = gateway.world.options();
    if !is_json(headers) {
        return Err(AgoraRequestError::ContentType.into());
    }
    let query = PageQuery::parse(body, options)?;
    let (offset, limit, order) = (query.offset, query.limit, query.order);
    let content = match options.snapshot {
        SnapshotMoment::Post => {
            HandleContent::Snapshot(select_page(&gateway.world, app_id, &query))
        }
        SnapshotMoment::Get => HandleContent::Query(query),
    };
    let ready_after = gateway.sample_duration(options.ready_after);
    let handle = lock(&gateway.agora.handles).issue(
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

fn read_handle(gateway: &Gateway, app_id: &str, handle: &str) -> Result<Response, AgoraRefusal> {
    let options = gateway.world.options();
    let now = Instant::now();
    let reading = lock(&gateway.agora.handles).read(app_id, handle, now);
    let messages = match reading {
        HandleRead::Ready(HandleContent::Snapshot(messages)) => messages,
        HandleRead::Ready(HandleContent::Query(query)) => {
            select_page(&gateway.world, app_id, &query)
        }
        HandleRead::InProgress => return Ok(in_progress_response(gateway, app_id, handle)),
        HandleRead::Expired => {
            return Err(AgoraRefusal::DeadHandle(
                handle.to_owned(),
                StatusCode::GONE,
            ));
        }
        HandleRead::Consumed => {
            let status = match options.dead_handle {
                DeadHandleStatus::Gone => StatusCode::GONE,
                DeadHandleStatus::NotFound => StatusCode::NOT_FOUND,
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
    gateway: &Gateway,
    app_id: &str,
    uri: &Uri,
    query_string: &str,
) -> Result<Response, AgoraRefusal> {
    let options = gateway.world.options();
    let Parameters(filter) = Parameters::<HistoryFilter>::try_from_uri(uri)
        .map_err(|e| AgoraRequestError::Parameters(e.body_text()))?;
    let selection = filter.into_selection(options)?;
    let nth = gateway.agora.counts.fetch_add(1, Ordering::Relaxed) + 1;
    if options.count_progress_every > 0 && nth.is_multiple_of(options.count_progress_every) {
        return Ok(in_progress_response(gateway, app_id, query_string));
    }
    let count = gateway.world.with_selected(app_id, &selection, <[_]>::len);
    Ok(Json(CountAnswer {
        result: "success",
        code: "ok",
        count: options.count_form.write(count),
        request_id: request_id(),
    })
    .into_response())
}

fn select_page(world: &World, app_id: &str, query: &PageQuery) -> Vec<Arc<AgoraMessage>> {
    world.with_selected(app_id, &query.selection, |matching| {
        query.select_page(matching)
    })
}

fn in_progress_response(gateway: &Gateway, app_id: &str, subject: &str) -> Response {
    gateway
        .world
        .rules()
        .record_in_progress(app_id, subject, Instant::now());
    Json(StatusAnswer {
        result: "success",
        code: "in progress",
        reason: None,
        request_id: request_id(),
    })
    .into_response()
}

/// Builds the answer to a refused request, and records the violation if there is one.
fn refusal_response(gateway: &Gateway, app_id: &str, refusal: AgoraRefusal) -> Response {
    let rules = gateway.world.rules();
    match refusal {
        AgoraRefusal::Rejected(Rejection::Replaced(answer)) => *answer,
        AgoraRefusal::Rejected(Rejection::Unauthorised) => gateway_message(
            StatusCode::UNAUTHORIZED,
            "Invalid authentication credentials",
        ),
        AgoraRefusal::Rejected(Rejection::OverQuota) => gateway.with_retry_after(gateway_message(
            StatusCode::TOO_MANY_REQUESTS,
            "API rate limit exceeded",
        )),
        AgoraRefusal::NoSuchProject => {
            rules.record_bad_request(UNKNOWN_ACCOUNT);
            error_response(StatusCode::NOT_FOUND, "not_found", "no such project")
        }
        AgoraRefusal::InvalidRequest(error) => {
            rules.record_bad_request(app_id);
            error_response(StatusCode::BAD_REQUEST, "bad_request", &error.to_string())
        }
        AgoraRefusal::DeadHandle(handle, status) => {
            rules.record_dead_handle_read(app_id, &handle);
            error_response(
                status,
                "resource_expired",
                "the resource is gone, create a new query",
            )
        }
        AgoraRefusal::NoSuchHandle => {
            error_response(StatusCode::NOT_FOUND, "not_found", "no such resource")
        }
    }
}

/// Builds the answer of the gateway before the service. It does not use the service's own form.
fn gateway_message(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({ "message": text }))).into_response()
}

fn error_response(status: StatusCode, code: &str, reason: &str) -> Response {
    let body = StatusAnswer {
        result: "failed",
        code,
        reason: Some(reason.to_owned()),
        request_id: request_id(),
    };
    (status, Json::<StatusAnswer<'_>>(body)).into_response()
}

/// Returns an id in the form of real answers. It carries no meaning, so it does not depend on the
/// seed.
fn request_id() -> String {
    format!(
        "{}_{}",
        fastrand::u32(100_000..1_000_000),
        fastrand::u64(1..u64::MAX >> 1)
    )
}
