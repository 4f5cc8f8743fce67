//! Tests of the sandbox over HTTP.

mod admin;
mod agora;
mod agora_options;
mod faults;
mod web3mq;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

use super::{Options, Sandbox};
use crate::domain::clock::TimerClock;
use crate::domain::time::Millis;
use crate::provider::client_builder;

/// 2026-11-22T10:26:40.123Z
const NOW: Millis = Millis(1_795_343_200_123);
/// Tests send more than ten requests a second and do not wait for handles.
const AT_ONCE: [&str; 4] = ["--requests-per-second", "0", "--ready-after", "0ms"];

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A sandbox with an HTTP client.
struct TestSandbox {
    sandbox: Sandbox,
    client: reqwest::Client,
}

impl TestSandbox {
    /// Starts a sandbox with few messages that answers immediately, unless the flags say otherwise.
    async fn new(flags: &[&str]) -> Self {
        let mut all: Vec<&str> = AT_ONCE
            .chunks(2)
            .filter(|pair| !flags.contains(&pair[0]))
            .flatten()
            .copied()
            .collect();
        for few in [["--messages", "1500"], ["--topic-messages", "800"]] {
            if !flags.contains(&few[0]) {
                all.extend(few);
            }
        }
        all.extend(flags);
        let options = Options::from_flags(all).unwrap();
        let sandbox = Sandbox::start(options, LOOPBACK, Arc::new(TimerClock::starting_at(NOW)))
            .await
            .unwrap();
        let address = sandbox.base_url().parse().unwrap();
        let client = client_builder(&address).build().unwrap();
        Self { sandbox, client }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.sandbox.base_url()))
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        answer(self.request(Method::GET, path).send().await.unwrap()).await
    }

    async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        let request = self
            .request(Method::POST, path)
            .header("content-type", "application/json");
        answer(request.body(body.to_string()).send().await.unwrap()).await
    }
}

async fn answer(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    let body = response.bytes().await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn a_sandbox_off_loopback_is_refused() {
    let clock = Arc::new(TimerClock::starting_at(NOW));
    let error = Sandbox::start(Options::default(), ([0, 0, 0, 0], 0).into(), clock)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the sandbox listens on loopback only, and 0.0.0.0:0 is not"
    );
}

#[tokio::test]
async fn a_stopped_sandbox_refuses_connections() {
    let TestSandbox { sandbox, client } = TestSandbox::new(&[]).await;
    let url = format!("{}/sandbox/rules", sandbox.base_url());
    assert_eq!(client.get(&url).send().await.unwrap().status(), 200);
    sandbox.stop().await;
    assert!(client.get(&url).send().await.is_err());
}

#[tokio::test]
async fn answers_carry_the_date_of_the_providers_clock() {
    let trial = TestSandbox::new(&["--clock-skew", "-1d"]).await;
    let response = trial
        .request(Method::GET, "/anything")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 404);
    let date = response.headers()["date"].to_str().unwrap();
    assert!(
        date.starts_with("Sat, 21 Nov 2026 10:26:4") && date.ends_with(" GMT"),
        "{date}"
    );
    assert_eq!(response.headers().get_all("date").iter().count(), 1);
}

#[tokio::test]
async fn the_world_changes_while_the_sandbox_runs() {
    let trial = TestSandbox::new(&[
        "--messages",
        "0",
        "--append-rate",
        "2000",
        "--advance-every",
        "1ms",
    ])
    .await;
    let world = trial.sandbox.world();
    let user = world.user_ids().remove(0);
    let read = || {
        world
            .web3mq_topics(&user)
            .into_values()
            .flatten()
            .any(|row| row.status == Some(super::Web3mqStatus::Read))
    };
    while world.agora_messages("sandbox").is_empty() || !read() {
        tokio::task::yield_now().await;
    }
}
