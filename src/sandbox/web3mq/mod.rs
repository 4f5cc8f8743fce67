//! Web3MQ's message history: signed GETs, numbered pages from the newest back. And the lists of what a user takes part
//! in.

mod history;
mod lists;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

pub use history::{Web3mqMessage, Web3mqRows, Web3mqStatus, Web3mqUser};

use self::lists::ConversationList;
use self::wire::{PageRequest, Web3mqPageAnswer, Web3mqRequestError};
use super::gateway::{Gateway, IncomingCall, PendingFault, Rejection, UNKNOWN_ACCOUNT};
use super::rules::Call;
use super::world::World;
use crate::domain::time::Millis;

/// How far a request's timestamp may be from the provider's clock.
const MAX_TIMESTAMP_SKEW_MS: u64 = 5 * 60 * 1000;

/// Why a request gets no page. The providers' documents list no codes: 404 is the one they show, 1000 and 3001 are
/// those that its SDKs have special cases for.
#[derive(Debug, thiserror::Error)]
enum Web3mqRefusal {
    #[error("{0}")]
    Malformed(#[from] Web3mqRequestError),
    #[error("User not found")]
    NoSuchUser,
    #[error("signature verification failed")]
    BadSignature,
    #[error("public key does not belong to the user")]
    WrongKey,
    #[error("timestamp expired")]
    StaleTimestamp,
}

impl Web3mqRefusal {
    fn code(&self) -> u16 {
        match self {
            Self::Malformed(_) => 1001,
            Self::NoSuchUser => 404,
            Self::BadSignature | Self::WrongKey => 1000,
            Self::StaleTimestamp => 3001,
        }
    }
}

/// What a request is for: a page of a topic's history, or of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    History,
    List(ConversationList),
}

/// The endpoints. Their paths end in a slash; without it there is nothing.
pub(super) fn routes() -> Router<Arc<Gateway>> {
    let asked_for = |wanted: Endpoint| {
        get(
            move |desk: State<Arc<Gateway>>,
                  parameters: Query<BTreeMap<String, String>>,
                  headers: HeaderMap| { respond(desk, parameters, headers, wanted) },
        )
    };
    let lists = [
        ConversationList::Chats,
        ConversationList::Groups,
        ConversationList::Topics,
    ];
    let router = Router::new().route("/api/messages/history/", asked_for(Endpoint::History));
    lists.into_iter().fold(router, |router, list| {
        router.route(
            &format!("/api/{}/", list.name()),
            asked_for(Endpoint::List(list)),
        )
    })
}

async fn respond(
    State(desk): State<Arc<Gateway>>,
    Query(parameters): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
    wanted: Endpoint,
) -> Response {
    let checked = check(&desk.world, &parameters, &headers, wanted);
    let named = parameters
        .get("userid")
        .map_or(UNKNOWN_ACCOUNT, String::as_str);
    let account = desk
        .world
        .with_user(named, |_| named)
        .unwrap_or(UNKNOWN_ACCOUNT);
    if let Ok(request) = &checked {
        desk.world
            .rules()
            .record_signature(account, &request.signature);
    }
    let authorised = matches!(checked, Ok(_) | Err(Web3mqRefusal::Malformed(_)));
    let topic = parameters.get("topic").map_or("", String::as_str);
    let asked = match wanted {
        Endpoint::History => IncomingCall {
            account,
            call: Call::History,
            subject: topic,
        },
        Endpoint::List(list) => IncomingCall {
            account,
            call: Call::List,
            subject: list.name(),
        },
    };
    let way = match desk.admit(asked, authorised).await {
        Err(Rejection::Replaced(answer)) => return *answer,
        Err(Rejection::OverQuota) => {
            let body = Json(json!({ "code": 429, "msg": "too many requests" }));
            return desk.with_retry_after((StatusCode::TOO_MANY_REQUESTS, body));
        }
        // Which credential was wrong, `checked` says.
        Err(Rejection::Unauthorised) => PendingFault::none(),
        Ok(way) => way,
    };
    let answer = match checked {
        Ok(request) => page(&desk.world, named, &request, wanted),
        Err(refusal) => {
            if matches!(refusal, Web3mqRefusal::Malformed(_)) {
                desk.world.rules().record_bad_request(account);
            }
            Json(json!({ "code": refusal.code(), "msg": refusal.to_string() })).into_response()
        }
    };
    desk.send(asked, way, answer).await
}

fn page(world: &World, user: &str, request: &PageRequest, wanted: Endpoint) -> Response {
    let options = world.options();
    let size = request.size.min(options.max_size.max(1));
    match wanted {
        Endpoint::History => {
            let page = world.with_user(user, |account| {
                account.page(&request.topic, request.page, size)
            });
            let (rows, total) = page.unwrap_or_default();
            Json(Web3mqPageAnswer {
                rows: &rows,
                total,
                options,
            })
            .into_response()
        }
        Endpoint::List(list) => Json(world.with_user(user, |account| {
            list.page(account, request.page, size, options)
        }))
        .into_response(),
    }
}

/// Checks everything about a request that does not depend on the messages. A list is about no topic, and none is signed.
fn check(
    world: &World,
    parameters: &BTreeMap<String, String>,
    headers: &HeaderMap,
    wanted: Endpoint,
) -> Result<PageRequest, Web3mqRefusal> {
    let request = PageRequest::parse(parameters, wanted == Endpoint::History)?;
    world
        .with_user(&request.userid, |account| {
            signed_by(account, &request, headers, world.now())
        })
        .unwrap_or(Err(Web3mqRefusal::NoSuchUser))?;
    Ok(request)
}

fn signed_by(
    account: &Web3mqUser,
    request: &PageRequest,
    headers: &HeaderMap,
    now: Millis,
) -> Result<(), Web3mqRefusal> {
    if request.timestamp.abs_diff(now.0) > MAX_TIMESTAMP_SKEW_MS {
        return Err(Web3mqRefusal::StaleTimestamp);
    }
    if !account.verify(&request.topic, request.timestamp, &request.signature) {
        return Err(Web3mqRefusal::BadSignature);
    }
    let header = |name: &str| {
        headers
            .get(name)
            .map(|value| value.to_str().unwrap_or_default())
    };
    if header("web3mq-request-pubkey").is_some_and(|key| key != account.public_key()) {
        return Err(Web3mqRefusal::WrongKey);
    }
    if header("didkey").is_some_and(|did| !did.contains(':')) {
        return Err(Web3mqRequestError::DidKey.into());
    }
    Ok(())
}
