use std::collections::HashSet;

use reqwest::Method;
use serde_json::{Value, json};

use super::{NOW, TestSandbox};
use crate::sandbox::{Arrival, Call, RulesReport, Web3mqStatus};

#[tokio::test]
async fn the_truth_contains_every_message() {
    let trial = TestSandbox::new(&["--projects", "2", "--users", "2"]).await;
    let text = trial
        .request(Method::GET, "/sandbox/truth")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |provider: &str| {
        lines
            .iter()
            .filter(|line| line["provider"] == provider)
            .count()
    };
    assert_eq!((of("agora"), of("web3mq")), (1500, 800));
    let accounts: HashSet<&str> = lines
        .iter()
        .map(|line| line["account"].as_str().unwrap())
        .collect();
    assert_eq!(accounts.len(), 4);
}

#[tokio::test]
async fn the_world_can_be_changed_over_http() {
    let trial = TestSandbox::new(&["--messages", "0", "--topic-messages", "0"]).await;
    let world = trial.sandbox.world();
    let agora = json!({ "agora": {
        "account": "sandbox", "src": "a", "dst": "b", "kind": "peer", "ms": 5,
        "payload_base64": "7aC9"
    }});
    assert_eq!(trial.post("/sandbox/append", agora).await.0, 204);
    assert_eq!(world.agora_messages("sandbox")[0].payload, b"\xED\xA0\xBD");
    assert_eq!(
        trial
            .post("/sandbox/append", json!({ "generate": 20 }))
            .await
            .0,
        204
    );
    assert_eq!(world.agora_messages("sandbox").len(), 21);

    let user = world.user_ids().remove(0);
    let rows = || {
        world
            .web3mq_topics(&user)
            .into_values()
            .flatten()
            .collect::<Vec<_>>()
    };
    assert_eq!(rows().len(), 20);
    let mut message = serde_json::to_value(&*rows()[0]).unwrap();
    message["account"] = json!(user);
    message["status"] = json!("received");
    assert_eq!(
        trial
            .post("/sandbox/append", json!({ "web3mq": message }))
            .await
            .0,
        204
    );
    let unread = rows().iter().filter(|row| row.status.is_some()).count();
    assert_eq!(
        trial.post("/sandbox/advance", json!(null)).await.1["moved"],
        unread
    );
    world.advance_statuses();
    assert!(
        rows()
            .iter()
            .all(|row| matches!(row.status, Some(Web3mqStatus::Read) | None))
    );

    let topic = message["topic"].clone();
    let gone = json!({ "account": user, "topic": topic, "messageid": message["messageid"] });
    assert_eq!(trial.post("/sandbox/remove", gone).await.1["removed"], 2);
    assert_eq!(rows().len(), 19);
    assert_eq!(
        trial
            .post("/sandbox/forget", json!({ "before_ms": i64::MAX }))
            .await
            .0,
        204
    );
    assert_eq!(
        (rows().len(), world.agora_messages("sandbox").len()),
        (0, 21),
        "the truth keeps what Agora has expired"
    );

    message["account"] = json!("user:nobody");
    let (status, body) = trial
        .post("/sandbox/append", json!({ "web3mq": message }))
        .await;
    assert_eq!(
        (status.as_u16(), body),
        (
            400,
            json!({ "error": "the sandbox has no account `user:nobody`" })
        )
    );
    assert_eq!(
        trial
            .post("/sandbox/token", json!({ "token": "new" }))
            .await
            .0,
        204
    );
    assert_eq!(world.token(), "new");
}

#[tokio::test]
async fn rules_are_reported_and_reset() {
    let trial = TestSandbox::new(&[]).await;
    trial
        .get("/dev/v2/project/sandbox/rtm/message/history/count")
        .await;
    let (_, body) = trial.get("/sandbox/rules").await;
    let report: RulesReport = serde_json::from_value(body).unwrap();
    assert_eq!(report, trial.sandbox.rules());
    assert_eq!((report.total.count, report.total.unauthorised), (1, 1));
    let (_, body) = trial.get("/sandbox/arrivals").await;
    let arrivals: Vec<Arrival> = serde_json::from_value(body).unwrap();
    assert_eq!(
        arrivals,
        [Arrival {
            account: "sandbox".to_owned(),
            call: Call::Count,
            at_ms: arrivals[0].at_ms
        }]
    );
    assert!((NOW.0..NOW.0 + 60_000).contains(&arrivals[0].at_ms));
    assert_eq!(trial.post("/sandbox/rules/reset", Value::Null).await.0, 204);
    assert_eq!(trial.sandbox.rules().total.requests(), 0);
}

#[tokio::test]
async fn the_sample_configuration_names_every_stream() {
    let trial = TestSandbox::new(&["--projects", "2", "--users", "2"]).await;
    let config: toml::Table = trial
        .sandbox
        .sample_config("sqlite://demo.db")
        .parse()
        .unwrap();
    assert_eq!(config["database"]["url"].as_str(), Some("sqlite://demo.db"));
    let (projects, users) = (
        config["agora"].as_array().unwrap(),
        config["web3mq"].as_array().unwrap(),
    );
    assert_eq!((projects.len(), users.len()), (2, 2));
    for project in projects {
        let app_id = project["app_id"].as_str().unwrap();
        let streams = project["streams"].as_array().unwrap();
        let names: HashSet<&str> = streams
            .iter()
            .filter_map(|s| s.get("destination")?.as_str())
            .collect();
        assert!(
            trial
                .sandbox
                .world()
                .agora_messages(app_id)
                .iter()
                .all(|m| names.contains(m.dst.as_str()))
        );
        assert!(names.contains("it's \"quoted\"") && names.contains("silent room"));
    }
    for user in users {
        let topics = trial
            .sandbox
            .world()
            .web3mq_topics(user["user_id"].as_str().unwrap());
        assert_eq!(user["streams"].as_array().unwrap().len(), topics.len());
        assert_eq!(user["private_key"].as_str().unwrap().len(), 64);
    }
}
