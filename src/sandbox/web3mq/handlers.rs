//! The handlers of Web3MQ's endpoints.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use super::history::Web3mqUser;
use super::lists::ConversationList;
use super::wire::{PageRequest, Web3mqPageAnswer, Web3mqRequestError};
use crate::domain::time::Millis;
use crate::sandbox::call::Call;
use crate::sandbox::gateway::{Gateway, IncomingCall, PendingFault, Rejection, UNKNOWN_ACCOUNT};
use crate::sandbox::limits::MAX_TIMESTAMP_SKEW_MS;
use crate::sandbox::world::World;

/// The reason why a request fails. The provider's documents list no codes. 404 is the one that they
/// show; 1000 and 3001 are those that its SDKs handle specially.
#[derive(Debug, thiserror::Error)]
enum Web3mqRefusal {
    #[error("{0}")]
    InvalidRequest(#[from] Web3mqRequestError),
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
            Self::InvalidRequest(_) => 1001,
            Self::NoSuchUser => 404,
            Self::BadSignature | Self::WrongKey => 1000,
            Self::StaleTimestamp => 3001,
        }
    }
}

/// The endpoint of a request: the history of a topic, or a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    History,
    List(ConversationList),
}

/// Builds the router of Web3MQ's endpoints. Their paths end in a slash and do not exist without it.
pub(in crate::sandbox) fn routes() -> Router<Arc<Gateway>> {
    let get_endpoint = |endpoint: Endpoint| {
        get(
            move |gateway: State<Arc<Gateway>>,
                  parameters: Query<BTreeMap<String, String>>,
                  headers: HeaderMap| {
                handle_request(gateway, parameters, headers, endpoint)
            },
        )
    };
    let lists = [
        ConversationList::Chats,
        ConversationList::Groups,
        ConversationList::Topics,
    ];
    let router = Router::new().route("/api/messages/history/", get_endpoint(Endpoint::History));
    lists.into_iter().fold(router, |router, list| {
        router.route(
            &format!("/api/{}/", list.name()),
            get_endpoint(Endpoint::List(list)),
        )
    })
}

async fn handle_request(
    State(gateway): State<Arc<Gateway>>,
    Query(parameters): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
    endpoint: Endpoint,
) -> Response {
    let checked = validate_request(&gateway.world, &parameters, &headers, endpoint);
    let named = parameters
        .get("userid")
        .map_or(UNKNOWN_ACCOUNT, String::as_str);
    let account = gateway
        .world
        .with_user(named, |_| named)
        .unwrap_or(UNKNOWN_ACCOUNT);
    if let Ok(request) = &checked {
        gateway
            .world
            .rules()
            .record_signature(account, &request.signature);
    }
    let authorised = matches!(checked, Ok(_) | Err(Web3mqRefusal::InvalidRequest(_)));
    let topic = parameters.get("topic").map_or("", String::as_str);
    let call = match endpoint {
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
    let pending = match gateway.admit(call, authorised).await {
        Err(Rejection::Replaced(answer)) => return *answer,
        Err(Rejection::OverQuota) => {
            let body = Json(json!({ "code": 429, "msg": "too many requests" }));
            return gateway.with_retry_after((StatusCode::TOO_MANY_REQUESTS, body));
        }
        // `checked` says which credential was wrong.
        Err(Rejection::Unauthorised) => PendingFault::none(),
        Ok(pending) => pending,
    };
    let answer = match checked {
        Ok(request) => page_response(&gateway.world, named, &request, endpoint),
        Err(refusal) => {
            if matches!(refusal, Web3mqRefusal::InvalidRequest(_)) {
                gateway.world.rules().record_bad_request(account);
            }
            Json(json!({ "code": refusal.code(), "msg": refusal.to_string() })).into_response()
        }
    };
    gateway.deliver(call, pending, answer).await
}

fn page_response(world: &World, user: &str, request: &PageRequest, endpoint: Endpoint) -> Response {
    let options = world.options();
    let size = request.size.min(options.max_size.max(1));
    match endpoint {
        Endpoint::History => {
            let is_endless = options.endless_topic.as_ref() == Some(&request.topic);
            let page = world.with_user(user, |account| {
                if is_endless {
                    account.endless_page(&request.topic, request.page, size)
                } else {
                    account.page(&request.topic, request.page, size)
                }
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

/// Validates everything about a request that does not depend on the messages. A list has no topic,
/// and none is signed.
fn validate_request(
    world: &World,
    parameters: &BTreeMap<String, String>,
    headers: &HeaderMap,
    endpoint: Endpoint,
) -> Result<PageRequest, Web3mqRefusal> {
    let request = PageRequest::parse(parameters, endpoint == Endpoint::History)?;
    world
        .with_user(&request.userid, |account| {
            verify_signature(account, &request, headers, world.now())
        })
        .unwrap_or(Err(Web3mqRefusal::NoSuchUser))?;
    Ok(request)
}

fn verify_signature(
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
