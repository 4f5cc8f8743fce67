use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::agora::ask;
use super::{NOW, TestSandbox, answer};
use crate::domain::time::{Day, Millis};
use crate::sandbox::{AgoraMessage, CUSTOMER_ID, CUSTOMER_SECRET, RecipientKind};

#[tokio::test]
async fn a_snapshot_is_taken_at_the_moment_of_the_flag() {
    for (flag, found) in [("post", 0), ("get", 1)] {
        let trial = TestSandbox::new(&["--messages", "0", "--snapshot", flag]).await;
        let path = trial.handle(&ask("lobby")).await;
        append(&trial, NOW.0 - 5000);
        let (_, page) = trial.fetch(&path).await;
        assert_eq!(page["messages"].as_array().unwrap().len(), found, "{flag}");
    }
}

#[tokio::test]
async fn expired_and_too_recent_messages_are_hidden() {
    let trial = TestSandbox::new(&[
        "--messages",
        "0",
        "--retention",
        "1d",
        "--visibility-lag",
        "1m",
    ])
    .await;
    let day = Day::MILLIS;
    for ms in [
        NOW.0 - day - 10_000,
        NOW.0 - day + 10_000,
        NOW.0 - 61_000,
        NOW.0 - 50_000,
    ] {
        append(&trial, ms);
    }
    let page = trial.fetch(&trial.handle(&ask("lobby")).await).await.1;
    let shown: Vec<i64> = page["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["ms"].as_i64().unwrap())
        .collect();
    assert_eq!(shown, [NOW.0 - day + 10_000, NOW.0 - 61_000]);
    assert_eq!(
        trial.sandbox.world().agora_messages("sandbox").len(),
        4,
        "the truth contains hidden messages"
    );
}

#[tokio::test]
async fn messages_follow_the_shape_flags() {
    let ms = NOW.0 - 5000;
    let seconds = Millis(ms).second().0;
    let shape = async |flags: &[&str]| {
        let trial = TestSandbox::new(&[&["--messages", "0"], flags].concat()).await;
        append(&trial, ms);
        trial.fetch(&trial.handle(&ask("lobby")).await).await.1
    };
    let page = shape(&[
        "--receiver-field",
        "dest",
        "--list-field",
        "message",
        "--message-type",
        "absent",
    ])
    .await;
    assert_eq!(
        page["message"],
        json!([{ "src": "alice", "dest": "lobby", "payload": "hi", "ms": ms }])
    );
    for (form, time) in [
        ("millis-text", json!(ms.to_string())),
        ("seconds", json!(seconds)),
        ("seconds-text", json!(seconds.to_string())),
        ("iso", json!(Millis(ms).to_string())),
    ] {
        let page = shape(&[
            "--time-field",
            "ts",
            "--time-form",
            form,
            "--message-type",
            "channel",
        ])
        .await;
        assert_eq!(page["messages"][0]["ts"], time);
        assert_eq!(page["messages"][0]["message_type"], "channel_message");
    }
    assert!(shape(&["--extra-fields"]).await["messages"][0]["delivery"].is_object());
}

#[tokio::test]
async fn an_empty_list_follows_its_flag() {
    for (flag, list) in [
        ("empty", Some(json!([]))),
        ("null", Some(Value::Null)),
        ("absent", None),
    ] {
        let trial = TestSandbox::new(&["--empty-list", flag]).await;
        let page = trial
            .fetch(&trial.handle(&ask("silent room")).await)
            .await
            .1;
        assert_eq!(page.get("messages"), list.as_ref(), "{flag}");
        assert_eq!(page["code"], "ok");
    }
}

fn append(trial: &TestSandbox, ms: i64) {
    let (src, dst) = ("alice".to_owned(), "lobby".to_owned());
    let message = AgoraMessage {
        src,
        dst,
        kind: RecipientKind::Channel,
        ms,
        payload: b"hi".to_vec(),
    };
    trial
        .sandbox
        .world()
        .append_agora("sandbox", message)
        .unwrap();
}

#[tokio::test]
async fn authorised_reads_take_each_event_once_in_thousands() {
    let trial = TestSandbox::new(&["--messages", "0"]).await;
    let feeds = "/dev/v2/project/sandbox/rtm/vendor";
    let read_feed = async |feed: &str| {
        let request = trial.request(Method::GET, &format!("{feeds}/{feed}"));
        answer(
            request
                .basic_auth(CUSTOMER_ID, Some(CUSTOMER_SECRET))
                .send()
                .await
                .unwrap(),
        )
        .await
    };
    for n in 0..2500 {
        let event = json!({ "account": "sandbox", "user": format!("user-{n}"), "ms": n });
        assert_eq!(
            trial.post("/sandbox/event", event).await.0,
            StatusCode::NO_CONTENT
        );
    }
    let (status, refusal) = trial.get(&format!("{feeds}/user_events")).await;
    assert_eq!(
        (status, refusal["message"].is_string()),
        (StatusCode::UNAUTHORIZED, true)
    );
    assert_eq!(
        read_feed("user_events?limit=1").await.0,
        StatusCode::BAD_REQUEST,
        "refused requests take no events"
    );
    let mut users = Vec::new();
    for expected in [1000, 1000, 0] {
        let (status, events) = read_feed("user_events").await;
        assert_eq!(
            (status, &events["result"]),
            (StatusCode::OK, &json!("success"))
        );
        let events = events["events"].as_array().unwrap().clone();
        assert_eq!(events.len(), expected);
        users.extend(events);
    }
    assert_eq!(
        users[0],
        json!({ "user_id": "user-500", "type": "Login", "ms": 500 }),
        "the oldest were lost"
    );
    let channels = read_feed("channel_events").await.1;
    assert_eq!(channels["events"][0]["group_id"], "silent room");
    assert_eq!(read_feed("nothing_events").await.0, StatusCode::NOT_FOUND);
    assert_eq!(trial.sandbox.rules().total.events, 6);
}
