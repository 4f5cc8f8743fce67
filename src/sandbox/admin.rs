//! The endpoints that no provider has: for whoever runs the sandbox, under `/sandbox/`. They cost no quota.

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

/// What there is to administer.
pub(super) fn routes() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/sandbox/rules", get(rules))
        .route("/sandbox/rules/reset", post(reset))
        .route("/sandbox/arrivals", get(arrivals))
        .route("/sandbox/truth", get(truth))
        .route("/sandbox/append", post(append))
        .route("/sandbox/event", post(event))
        .route("/sandbox/advance", post(advance))
        .route("/sandbox/remove", post(remove))
        .route("/sandbox/forget", post(forget))
        .route("/sandbox/token", post(token))
        .route("/sandbox/clock", post(clock))
        .route("/sandbox/script", post(script).delete(forget_script))
}

/// A line of the truth.
#[derive(Debug, Serialize)]
#[serde(tag = "provider", rename_all = "lowercase")]
enum Truth<'a> {
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

/// A message to write, or a number of random ones for each provider.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Append {
    Agora(NewAgora),
    Web3mq(NewWeb3mq),
    Generate(u32),
}

/// An Agora message to write; without `ms`, it is dated now. The payload is `text` or, for what text cannot say,
/// `payload_base64`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewAgora {
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
struct NewEvent {
    account: String,
    #[serde(flatten)]
    event: AgoraEvent,
}

#[derive(Debug, Deserialize)]
struct NewWeb3mq {
    account: String,
    #[serde(flatten)]
    message: Web3mqMessage,
}

/// Web3MQ messages to take away.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remove {
    account: String,
    topic: String,
    messageid: String,
}

/// The millisecond before which everything is forgotten.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Forget {
    before_ms: i64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewToken {
    token: String,
}

/// How far the clock is to leap: `90s`, or `-90s` back.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewClock {
    leap: String,
}

/// One scripted answer or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum NewScript {
    One(ScriptedAnswer),
    Many(Vec<ScriptedAnswer>),
}

async fn rules(State(desk): State<Arc<Gateway>>) -> Json<RulesReport> {
    Json(desk.world.rules().report())
}

async fn reset(State(desk): State<Arc<Gateway>>) -> StatusCode {
    desk.world.rules().reset();
    StatusCode::NO_CONTENT
}

async fn arrivals(State(desk): State<Arc<Gateway>>) -> Json<Vec<Arrival>> {
    Json(desk.world.arrivals().report())
}

async fn truth(State(desk): State<Arc<Gateway>>) -> Response {
    let world = &desk.world;
    let agora = world.app_ids().into_iter().flat_map({
        let world = Arc::clone(world);
        move |app_id| {
            let messages = world.agora_messages(&app_id);
            messages
                .into_iter()
                .map(move |message| agora_line(&app_id, &message))
        }
    });
    let web3mq = world.users().into_iter().flat_map({
        let world = Arc::clone(world);
        move |user_id| {
            let rows = world.web3mq_topics(&user_id).into_values().flatten();
            rows.map(move |message| {
                line(&Truth::Web3mq {
                    account: &user_id,
                    message: &message,
                })
            })
        }
    });
    let body = Body::from_stream(stream::iter(agora.chain(web3mq)));
    ([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
}

fn agora_line(app_id: &str, message: &AgoraMessage) -> io::Result<String> {
    let AgoraMessage {
        src,
        dst,
        kind,
        ms,
        payload,
    } = message;
    let payload_base64 = STANDARD.encode(payload);
    line(&Truth::Agora {
        account: app_id,
        src,
        dst,
        kind: *kind,
        ms: *ms,
        payload_base64,
    })
}

fn line(truth: &Truth<'_>) -> io::Result<String> {
    Ok(serde_json::to_string(truth)? + "\n")
}

async fn append(
    State(desk): State<Arc<Gateway>>,
    Json(new): Json<Append>,
) -> Result<StatusCode, Rejected> {
    match new {
        Append::Agora(new) => write_agora(&desk.world, new)?,
        Append::Web3mq(NewWeb3mq { account, message }) => {
            desk.world.append_web3mq(&account, message)?;
        }
        Append::Generate(count) => (0..count).for_each(|_| desk.world.append_random()),
    }
    Ok(StatusCode::NO_CONTENT)
}

fn write_agora(world: &World, new: NewAgora) -> Result<(), Rejected> {
    let payload = match new.payload_base64 {
        Some(encoded) => STANDARD
            .decode(encoded)
            .map_err(|e| Rejected(format!("payload_base64: {e}")))?,
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

async fn event(
    State(desk): State<Arc<Gateway>>,
    Json(new): Json<NewEvent>,
) -> Result<StatusCode, Rejected> {
    desk.world.emit_event(&new.account, new.event)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn advance(State(desk): State<Arc<Gateway>>) -> Json<Value> {
    Json(json!({ "moved": desk.world.advance_statuses() }))
}

async fn remove(
    State(desk): State<Arc<Gateway>>,
    Json(gone): Json<Remove>,
) -> Result<Json<Value>, Rejected> {
    let removed = desk
        .world
        .remove_web3mq(&gone.account, &gone.topic, &gone.messageid)?;
    Ok(Json(json!({ "removed": removed })))
}

async fn forget(State(desk): State<Arc<Gateway>>, Json(forget): Json<Forget>) -> StatusCode {
    desk.world.forget_before(Millis(forget.before_ms));
    StatusCode::NO_CONTENT
}

async fn token(State(desk): State<Arc<Gateway>>, Json(new): Json<NewToken>) -> StatusCode {
    desk.world.set_token(new.token);
    StatusCode::NO_CONTENT
}

async fn clock(
    State(desk): State<Arc<Gateway>>,
    Json(new): Json<NewClock>,
) -> Result<StatusCode, Rejected> {
    desk.world.shift_clock(
        new.leap
            .parse()
            .map_err(|e: ParseDurationError| Rejected(e.to_string()))?,
    );
    Ok(StatusCode::NO_CONTENT)
}

async fn script(
    State(desk): State<Arc<Gateway>>,
    Json(new): Json<NewScript>,
) -> Result<StatusCode, Rejected> {
    let answers = match new {
        NewScript::One(answer) => vec![answer],
        NewScript::Many(answers) => answers,
    };
    for answer in answers {
        desk.world
            .script()
            .push(answer)
            .map_err(|e| Rejected(e.to_string()))?;
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn forget_script(State(desk): State<Arc<Gateway>>) -> StatusCode {
    desk.world.script().clear();
    StatusCode::NO_CONTENT
}

/// What the sandbox's operator asked for makes no sense.
#[derive(Debug)]
struct Rejected(String);

impl From<UnknownAccountError> for Rejected {
    fn from(error: UnknownAccountError) -> Self {
        Self(error.to_string())
    }
}

impl IntoResponse for Rejected {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, Json(json!({ "error": self.0 }))).into_response()
    }
}
