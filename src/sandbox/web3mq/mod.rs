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

pub use history::{Rows, Status, Web3mqAccount, Web3mqMessage};

use self::lists::List;
use self::wire::{Malformed, Page, Request};
use super::desk::{Asked, Desk, STRANGER, Turned, Way};
use super::rules::Call;
use super::world::World;
use crate::domain::time::Millis;

/// How far a request's timestamp may be from the provider's clock.
const FRESH_MS: u64 = 5 * 60 * 1000;

/// Why a request gets no page. The providers' documents list no codes: 404 is the one they show, 1000 and 3001 are
/// those that its SDKs have special cases for.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("{0}")]
    Malformed(#[from] Malformed),
    #[error("User not found")]
    NoSuchUser,
    #[error("signature verification failed")]
    BadSignature,
    #[error("public key does not belong to the user")]
    WrongKey,
    #[error("timestamp expired")]
    StaleTimestamp,
}

impl Refusal {
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
enum Wanted {
    History,
    List(List),
}

/// The endpoints. Their paths end in a slash; without it there is nothing.
pub(super) fn routes() -> Router<Arc<Desk>> {
    let asked_for = |wanted: Wanted| {
        get(
            move |desk: State<Arc<Desk>>,
                  parameters: Query<BTreeMap<String, String>>,
                  headers: HeaderMap| { respond(desk, parameters, headers, wanted) },
        )
    };
    let lists = [List::Chats, List::Groups, List::Topics];
    let router = Router::new().route("/api/messages/history/", asked_for(Wanted::History));
    lists.into_iter().fold(router, |router, list| {
        router.route(
            &format!("/api/{}/", list.name()),
            asked_for(Wanted::List(list)),
        )
    })
}

async fn respond(
    State(desk): State<Arc<Desk>>,
    Query(parameters): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
    wanted: Wanted,
) -> Response {
    let checked = check(&desk.world, &parameters, &headers, wanted);
    let named = parameters.get("userid").map_or(STRANGER, String::as_str);
    let account = desk.world.with_user(named, |_| named).unwrap_or(STRANGER);
    if let Ok(request) = &checked {
        desk.world.rules().signed(account, &request.signature);
    }
    let authorised = matches!(checked, Ok(_) | Err(Refusal::Malformed(_)));
    let topic = parameters.get("topic").map_or("", String::as_str);
    let asked = match wanted {
        Wanted::History => Asked {
            account,
            call: Call::History,
            subject: topic,
        },
        Wanted::List(list) => Asked {
            account,
            call: Call::List,
            subject: list.name(),
        },
    };
    let way = match desk.admit(asked, authorised).await {
        Err(Turned::Instead(answer)) => return *answer,
        Err(Turned::OverQuota) => {
            let body = Json(json!({ "code": 429, "msg": "too many requests" }));
            return desk.slow_down((StatusCode::TOO_MANY_REQUESTS, body));
        }
        // Which credential was wrong, `checked` says.
        Err(Turned::Unauthorised) => Way::clear(),
        Ok(way) => way,
    };
    let answer = match checked {
        Ok(request) => page(&desk.world, named, &request, wanted),
        Err(refusal) => {
            if matches!(refusal, Refusal::Malformed(_)) {
                desk.world.rules().bad_request(account);
            }
            Json(json!({ "code": refusal.code(), "msg": refusal.to_string() })).into_response()
        }
    };
    desk.send(asked, way, answer).await
}

fn page(world: &World, user: &str, request: &Request, wanted: Wanted) -> Response {
    let options = world.options();
    let size = request.size.min(options.max_size.max(1));
    match wanted {
        Wanted::History => {
            let page = world.with_user(user, |account| {
                account.page(&request.topic, request.page, size)
            });
            let (rows, total) = page.unwrap_or_default();
            Json(Page {
                rows: &rows,
                total,
                options,
            })
            .into_response()
        }
        Wanted::List(list) => Json(world.with_user(user, |account| {
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
    wanted: Wanted,
) -> Result<Request, Refusal> {
    let request = Request::read(parameters, wanted == Wanted::History)?;
    world
        .with_user(&request.userid, |account| {
            signed_by(account, &request, headers, world.now())
        })
        .unwrap_or(Err(Refusal::NoSuchUser))?;
    Ok(request)
}

fn signed_by(
    account: &Web3mqAccount,
    request: &Request,
    headers: &HeaderMap,
    now: Millis,
) -> Result<(), Refusal> {
    if request.timestamp.abs_diff(now.0) > FRESH_MS {
        return Err(Refusal::StaleTimestamp);
    }
    if !account.verifies(&request.topic, request.timestamp, &request.signature) {
        return Err(Refusal::BadSignature);
    }
    let header = |name: &str| {
        headers
            .get(name)
            .map(|value| value.to_str().unwrap_or_default())
    };
    if header("web3mq-request-pubkey").is_some_and(|key| key != account.public_key()) {
        return Err(Refusal::WrongKey);
    }
    if header("didkey").is_some_and(|did| !did.contains(':')) {
        return Err(Malformed::DidKey.into());
    }
    Ok(())
}
