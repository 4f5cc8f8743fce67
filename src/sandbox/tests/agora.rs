use std::fmt;

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use serde_json::{Value, json};

use super::{NOW, TestSandbox, answer};
use crate::domain::time::Day;
use crate::sandbox::{CUSTOMER_ID, CUSTOMER_SECRET, TOKEN_UID};

const BASE: &str = "/dev/v2/project/sandbox/rtm/message/history";

/// A JSON string as bytes, in which serde preserves lone surrogates.
struct JsonStringBytes(Vec<u8>);

impl<'de> Deserialize<'de> for JsonStringBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = JsonStringBytes;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<JsonStringBytes, E> {
                Ok(JsonStringBytes(bytes.to_vec()))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

#[derive(Deserialize)]
struct HistoryRow {
    src: String,
    dst: String,
    message_type: String,
    ms: i64,
    payload: JsonStringBytes,
}

#[derive(Deserialize)]
struct HistoryPage {
    code: String,
    messages: Vec<HistoryRow>,
}

impl TestSandbox {
    async fn make_handle(&self, body: &Value) -> (StatusCode, Value) {
        let request = self.request(Method::POST, &format!("{BASE}/query"));
        let request = request
            .basic_auth(CUSTOMER_ID, Some(CUSTOMER_SECRET))
            .body(body.to_string());
        answer(
            request
                .header("content-type", "application/json;charset=utf-8")
                .send()
                .await
                .unwrap(),
        )
        .await
    }

    /// Creates a query and returns the path of its handle.
    pub(super) async fn handle(&self, body: &Value) -> String {
        let (status, made) = self.make_handle(body).await;
        assert_eq!(
            (status, &made["result"]),
            (StatusCode::OK, &json!("success")),
            "{made}"
        );
        made["location"]
            .as_str()
            .unwrap()
            .strip_prefix("~/rtm/message/history")
            .unwrap()
            .to_owned()
    }

    async fn raw(&self, path: &str) -> reqwest::Response {
        let request = self.request(Method::GET, &format!("{BASE}{path}"));
        request
            .basic_auth(CUSTOMER_ID, Some(CUSTOMER_SECRET))
            .send()
            .await
            .unwrap()
    }

    pub(super) async fn fetch(&self, path: &str) -> (StatusCode, Value) {
        answer(self.raw(path).await).await
    }
}

pub(super) fn times(days: i64) -> (String, String) {
    (
        NOW.second().plus(-days * Day::SECONDS).to_string(),
        NOW.second().to_string(),
    )
}

pub(super) fn ask(destination: &str) -> Value {
    let (start, end) = times(6);
    let filter = json!({ "destination": destination, "start_time": start, "end_time": end });
    json!({ "filter": filter, "limit": 100, "order": "asc" })
}

#[tokio::test]
async fn pages_contain_all_messages_and_match_the_count() {
    let trial = TestSandbox::new(&[]).await;
    let truth = trial.sandbox.world().agora_messages("sandbox");
    for order in ["asc", "desc"] {
        let mut shown = Vec::new();
        loop {
            let mut body = ask("lobby");
            (body["offset"], body["order"]) = (shown.len().into(), order.into());
            let path = trial.handle(&body).await;
            let page: HistoryPage =
                serde_json::from_slice(&trial.raw(&path).await.bytes().await.unwrap()).unwrap();
            assert_eq!(page.code, "ok");
            if page.messages.is_empty() {
                break;
            }
            shown.extend(page.messages);
        }
        if order == "desc" {
            shown.reverse();
        }
        let wanted: Vec<_> = truth.iter().filter(|m| m.dst == "lobby").collect();
        assert_eq!(shown.len(), wanted.len());
        for (row, message) in shown.iter().zip(wanted) {
            assert_eq!(
                (&row.src, &row.dst, row.ms),
                (&message.src, &message.dst, message.ms)
            );
            assert_eq!(
                (row.message_type.as_str(), &row.payload.0),
                ("group_message", &message.payload)
            );
        }
        let (start, end) = times(6);
        let (_, counted) = trial
            .fetch(&format!(
                "/count?destination=lobby&start_time={start}&end_time={end}"
            ))
            .await;
        assert_eq!(counted["count"], shown.len());
    }
    let report = trial.sandbox.rules();
    assert_eq!(report.total.violations(), 0, "{report:?}");
    assert_eq!(report.accounts["sandbox"].count, 2);
}

#[tokio::test]
async fn encoded_odd_names_are_found() {
    let trial = TestSandbox::new(&[]).await;
    let (start, end) = times(6);
    for stream in trial.sandbox.world().agora_streams("sandbox") {
        let Some(name) = stream.destination.filter(|_| stream.source.is_none()) else {
            continue;
        };
        let encoded =
            percent_encoding::utf8_percent_encode(&name, percent_encoding::NON_ALPHANUMERIC);
        let path = format!("/count?destination={encoded}&start_time={start}&end_time={end}");
        let truth = trial
            .sandbox
            .world()
            .agora_messages("sandbox")
            .iter()
            .filter(|m| m.dst == name)
            .count();
        assert_eq!(trial.fetch(&path).await.1["count"], truth, "{name}");
    }
    let path = format!("/count?source=lobby&start_time={start}&end_time={end}");
    assert_eq!(
        trial.fetch(&path).await.1["count"],
        0,
        "a channel is no source"
    );
}

#[tokio::test]
async fn a_handle_can_be_read_once_in_either_encoding() {
    let trial = TestSandbox::new(&["--dead-handle", "404"]).await;
    let path = trial.handle(&ask("lobby")).await;
    assert!(path.ends_with("=="), "{path}");
    assert_eq!(trial.fetch(&path.replace('=', "%3D")).await.0, 200);
    assert_eq!(trial.fetch(&path).await.0, 404);
    let path = trial.handle(&ask("lobby")).await;
    assert_eq!(trial.fetch(&path).await.0, 200);
    assert_eq!(trial.fetch("/query/123456123456").await.0, 404);
    assert_eq!(
        trial.sandbox.rules().total.dead_handle_read,
        1,
        "one that never was is not dead"
    );

    let trial = TestSandbox::new(&[]).await;
    let path = trial.handle(&ask("lobby")).await;
    trial.fetch(&path).await;
    let (status, body) = trial.fetch(&path).await;
    assert_eq!(
        (status, &body["result"]),
        (StatusCode::GONE, &json!("failed"))
    );
}

#[tokio::test]
async fn a_poll_too_soon_after_in_progress_is_a_violation() {
    let trial = TestSandbox::new(&["--ready-after", "1h", "--count-progress-every", "2"]).await;
    let path = trial.handle(&ask("lobby")).await;
    let (status, body) = trial.fetch(&path).await;
    assert_eq!(
        (status, &body["result"], &body["code"]),
        (StatusCode::OK, &json!("success"), &json!("in progress"))
    );
    assert_eq!(trial.sandbox.rules().total.polled_too_soon, 0);
    trial.fetch(&path).await;
    assert_eq!(trial.sandbox.rules().total.polled_too_soon, 1);

    let (start, end) = times(6);
    let count = format!("/count?destination=lobby&start_time={start}&end_time={end}");
    assert_eq!(trial.fetch(&count).await.1["code"], "ok");
    assert_eq!(trial.fetch(&count).await.1["code"], "in progress");
    assert_eq!(trial.fetch(&count).await.1["code"], "ok");
    let total = trial.sandbox.rules().total;
    assert_eq!((total.in_progress, total.polled_too_soon), (3, 2));
}

#[tokio::test]
async fn three_forms_of_credentials_are_accepted() {
    let trial = TestSandbox::new(&[]).await;
    let (start, end) = times(1);
    let path = format!("{BASE}/count?source=alice&start_time={start}&end_time={end}");
    let with = |headers: &[(&'static str, &'static str)]| {
        let request = trial.request(Method::GET, &path);
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        async { answer(request.send().await.unwrap()).await }
    };
    let own_headers = [
        ("x-agora-token", "sandbox-token"),
        ("x-agora-uid", TOKEN_UID),
    ];
    let second_kind = [("authorization", "agora token=sandbox-token")];
    assert_eq!(with(&own_headers).await.0, 200);
    assert_eq!(with(&second_kind).await.0, 200);
    let refused = (
        StatusCode::UNAUTHORIZED,
        json!({ "message": "Invalid authentication credentials" }),
    );
    assert_eq!(with(&[]).await, refused);
    assert_eq!(with(&own_headers[..1]).await, refused);
    assert_eq!(
        with(&[("authorization", "Basic c2FuZGJveC1pZDp3cm9uZw==")]).await,
        refused
    );
    trial.sandbox.world().set_token("fresh");
    assert_eq!(with(&second_kind).await, refused);
    assert_eq!(trial.sandbox.rules().total.unauthorised, 4);

    let elsewhere = trial.request(Method::GET, &path.replace("/sandbox/", "/other/"));
    let elsewhere = elsewhere
        .basic_auth(CUSTOMER_ID, Some(CUSTOMER_SECRET))
        .send()
        .await
        .unwrap();
    assert_eq!(elsewhere.status(), 404);
    assert_eq!(trial.sandbox.rules().accounts["unknown"].count, 1);
}

#[tokio::test]
async fn requests_that_violate_the_contract_are_refused() {
    let trial = TestSandbox::new(&[]).await;
    let mut wrong = ask("lobby");
    wrong["limit"] = 10.into();
    let (status, body) = trial.make_handle(&wrong).await;
    assert_eq!(
        (status, &body["result"]),
        (StatusCode::BAD_REQUEST, &json!("failed"))
    );
    assert!(
        body["reason"].as_str().unwrap().contains("limit 10") && body["request_id"].is_string(),
        "{body}"
    );

    for content_type in ["text/plain", "application/json;charset=latin1"] {
        let request = trial
            .request(Method::POST, &format!("{BASE}/query"))
            .header("content-type", content_type);
        let request = request
            .basic_auth(CUSTOMER_ID, Some(CUSTOMER_SECRET))
            .body(ask("lobby").to_string());
        assert_eq!(
            request.send().await.unwrap().status(),
            400,
            "{content_type}"
        );
    }
    for query in [
        "",
        "?source=a",
        "?source=a&start_time=x&end_time=y",
        "?start_time=2026-11-01T00:00:00Z&end_time=2026-11-02T00:00:00Z",
    ] {
        assert_eq!(
            trial.fetch(&format!("/count{query}")).await.0,
            400,
            "{query}"
        );
    }
    assert_eq!(trial.sandbox.rules().accounts["sandbox"].bad_request, 7);
}

#[tokio::test]
async fn requests_over_the_quota_are_refused() {
    let trial = TestSandbox::new(&["--requests-per-second", "2", "--retry-after"]).await;
    let refused = loop {
        let response = trial.raw("/query/x").await;
        if response.status() != 404 {
            break response;
        }
    };
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "1");
    let total = trial.sandbox.rules().total;
    assert_eq!(total.quota_exceeded, 1);
    assert!(total.read >= 3);
}
