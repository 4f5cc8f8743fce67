//! The administration endpoints under `/sandbox/`. No provider has them, and they cost no quota.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::agora::{AgoraEvent, AgoraMessage, RecipientKind};
use super::arrivals::Arrival;
use super::durations::ParseDurationError;
use super::gateway::Gateway;
use super::rules::RulesReport;
use super::script::ScriptedAnswer;
use super::web3mq::Web3mqMessage;
use super::world::{UnknownAccountError, World};
use crate::domain::time::Millis;

/// Builds the router of the administration endpoints.
pub(super) fn routes() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/sandbox/rules", get(get_rules))
        .route("/sandbox/rules/reset", post(reset_rules))
        .route("/sandbox/arrivals", get(get_arrivals))
        .route("/sandbox/truth", get(get_truth))
        .route("/sandbox/append", post(append_messages))
        .route("/sandbox/event", post(emit_event))
        .route("/sandbox/advance", post(advance_statuses))
        .route("/sandbox/remove", post(remove_messages))
        .route("/sandbox/forget", post(expire_messages))
        .route("/sandbox/token", post(set_token))
        .route("/sandbox/clock", post(shift_clock))
        .route("/sandbox/script", post(add_script).delete(clear_script))
}

/// One message of `GET /sandbox/truth`, serialized as a JSON line.
#[derive(Debug, Serialize)]
#[serde(tag = "provider", rename_all = "lowercase")]
enum TruthLine<'a> {
    Agora {
        account: &'a str,
        src: &'a str,
        dst: &'a str,
        kind: RecipientKind,
        ms: i64,
        payload_base64: String,
    },
    Web3mq {
        account: &'a str,
        #[serde(flatten)]
        message: &'a Web3mqMessage,
    },
}

/// The body of `POST /sandbox/append`: one message, or a number of random messages for each
/// provider.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum AppendRequest {
    Agora(NewAgoraMessage),
    Web3mq(NewWeb3mqMessage),
    Generate(u32),
}

/// An Agora message to append. Without `ms` it is dated now. The payload is `text`, or
/// `payload_base64` for bytes that are not valid text.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewAgoraMessage {
    account: String,
    src: String,
    dst: String,
    kind: RecipientKind,
    ms: Option<i64>,
    #[serde(default)]
    text: String,
    payload_base64: Option<String>,
}

#[derive(Debug, Deserialize)]
struct EventRequest {
    account: String,
    #[serde(flatten)]
    event: AgoraEvent,
}

#[derive(Debug, Deserialize)]
struct NewWeb3mqMessage {
    account: String,
    #[serde(flatten)]
    message: Web3mqMessage,
}

/// The body of `POST /sandbox/remove`: the Web3MQ messages to remove.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RemoveRequest {
    account: String,
    topic: String,
    messageid: String,
}

/// The body of `POST /sandbox/forget`: all messages before this millisecond expire.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ForgetRequest {
    before_ms: i64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenRequest {
    token: String,
}

/// The body of `POST /sandbox/clock`: the shift of the clock, `90s` forward or `-90s` back.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockRequest {
    leap: String,
}

/// The body of `POST /sandbox/script`: one scripted answer or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum ScriptRequest {
    One(ScriptedAnswer),
    Many(Vec<ScriptedAnswer>),
}

async fn get_rules(State(gateway): State<Arc<Gateway>>) -> Json<RulesReport> {
    Json(gateway.world.rules().report())
}

async fn reset_rules(State(gateway): State<Arc<Gateway>>) -> StatusCode {
    gateway.world.rules().reset();
    StatusCode::NO_CONTENT
}

async fn get_arrivals(State(gateway): State<Arc<Gateway>>) -> Json<Vec<Arrival>> {
    Json(gateway.world.arrivals().report())
}

async fn get_truth(State(gateway): State<Arc<Gateway>>) -> Response {
    let world = &gateway.world;
    let agora = world.app_ids().into_iter().flat_map({
        let world = Arc::clone(world);
        move |app_id| {
            let messages = world.agora_messages(&app_id);
            messages
                .into_iter()
                .map(move |message| agora_json_line(&app_id, &message))
        }
    });
    let web3mq = world.user_ids().into_iter().flat_map({
        let world = Arc::clone(world);
        move |user_id| {
            let rows = world.web3mq_topics(&user_id).into_values().flatten();
            rows.map(move |message| {
                to_json_line(&TruthLine::Web3mq {
                    account: &user_id,
                    message: &message,
                })
            })
        }
    });
    let body = Body::from_stream(stream::iter(agora.chain(web3mq)));
    ([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
}

fn agora_json_line(app_id: &str, message: &AgoraMessage) -> io::Result<String> {
    let AgoraMessage {
        src,
        dst,
        kind,
        ms,
        payload,
    } = message;
    let payload_base64 = STANDARD.encode(payload);
    to_json_line(&TruthLine::Agora {
        account: app_id,
        src,
        dst,
        kind: *kind,
        ms: *ms,
        payload_base64,
    })
}

fn to_json_line(truth: &TruthLine<'_>) -> io::Result<String> {
    Ok(serde_json::to_string(truth)? + "\n")
}

async fn append_messages(
    State(gateway): State<Arc<Gateway>>,
    Json(new): Json<AppendRequest>,
) -> Result<StatusCode, AdminError> {
    match new {
        AppendRequest::Agora(new) => append_agora(&gateway.world, new)?,
        AppendRequest::Web3mq(NewWeb3mqMessage { account, message }) => {
            gateway.world.append_web3mq(&account, message)?;
        }
        AppendRequest::Generate(count) => (0..count).for_each(|_| gateway.world.append_random()),
    }
    Ok(StatusCode::NO_CONTENT)
}

fn append_agora(world: &World, new: NewAgoraMessage) -> Result<(), AdminError> {
    let payload = match new.payload_base64 {
        Some(encoded) => STANDARD
            .decode(encoded)
            .map_err(|e| AdminError(format!("payload_base64: {e}")))?,
        None => new.text.into_bytes(),
    };
    let ms = new.ms.unwrap_or_else(|| world.now().0);
    let message = AgoraMessage {
        src: new.src,
        dst: new.dst,
        kind: new.kind,
        ms,
        payload,
    };
    Ok(world.append_agora(&new.account, message)?)
}

async fn emit_event(
    State(gateway): State<Arc<Gateway>>,
    Json(new): Json<EventRequest>,
) -> Result<StatusCode, AdminError> {
    gateway.world.emit_event(&new.account, new.event)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn advance_statuses(State(gateway): State<Arc<Gateway>>) -> Json<Value> {
    Json(json!({ "moved": gateway.world.advance_statuses() }))
}

async fn remove_messages(
    State(gateway): State<Arc<Gateway>>,
    Json(request): Json<RemoveRequest>,
) -> Result<Json<Value>, AdminError> {
    let removed =
        gateway
            .world
            .remove_web3mq(&request.account, &request.topic, &request.messageid)?;
    Ok(Json(json!({ "removed": removed })))
}

async fn expire_messages(
    State(gateway): State<Arc<Gateway>>,
    Json(forget): Json<ForgetRequest>,
) -> StatusCode {
    gateway.world.expire_before(Millis(forget.before_ms));
    StatusCode::NO_CONTENT
}

async fn set_token(
    State(gateway): State<Arc<Gateway>>,
    Json(new): Json<TokenRequest>,
) -> StatusCode {
    gateway.world.set_token(new.token);
    StatusCode::NO_CONTENT
}

async fn shift_clock(
    State(gateway): State<Arc<Gateway>>,
    Json(new): Json<ClockRequest>,
) -> Result<StatusCode, AdminError> {
    gateway.world.shift_clock(
        new.leap
            .parse()
            .map_err(|e: ParseDurationError| AdminError(e.to_string()))?,
    );
    Ok(StatusCode::NO_CONTENT)
}

async fn add_script(
    State(gateway): State<Arc<Gateway>>,
    Json(new): Json<ScriptRequest>,
) -> Result<StatusCode, AdminError> {
    let answers = match new {
        ScriptRequest::One(answer) => vec![answer],
        ScriptRequest::Many(answers) => answers,
    };
    for answer in answers {
        gateway
            .world
            .script()
            .push(answer)
            .map_err(|e| AdminError(e.to_string()))?;
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn clear_script(State(gateway): State<Arc<Gateway>>) -> StatusCode {
    gateway.world.script().clear();
    StatusCode::NO_CONTENT
}

/// A request to an administration endpoint that cannot be carried out. Answered with 400.
#[derive(Debug)]
struct AdminError(String);

impl From<UnknownAccountError> for AdminError {
    fn from(error: UnknownAccountError) -> Self {
        Self(error.to_string())
    }
}

impl IntoResponse for AdminError {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, Json(json!({ "error": self.0 }))).into_response()
    }
}
