use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{NOW, TestSandbox, answer};

const PATH: &str = "/api/messages/history/";

impl TestSandbox {
    fn user(&self) -> String {
        self.sandbox.world().user_ids().remove(0)
    }

    /// The busiest conversation of the first account.
    fn topic(&self) -> String {
        let topics = self.sandbox.world().web3mq_topics(&self.user());
        topics
            .into_iter()
            .max_by_key(|(_, rows)| rows.len())
            .unwrap()
            .0
    }

    /// A signed request's parameters.
    fn signed(
        &self,
        topic: &str,
        page: usize,
        size: usize,
        timestamp: i64,
    ) -> Vec<(&'static str, String)> {
        let signature = self
            .sandbox
            .world()
            .with_user(&self.user(), |a| a.sign(topic, timestamp))
            .unwrap();
        vec![
            ("userid", self.user()),
            ("topic", topic.to_owned()),
            ("page", page.to_string()),
            ("size", size.to_string()),
            ("timestamp", timestamp.to_string()),
            ("web3mq_signature", signature),
        ]
    }

    async fn ask(&self, parameters: &[(&'static str, String)], headers: &[(&str, &str)]) -> Value {
        let encode = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
                .to_string()
        };
        let query: Vec<String> = parameters
            .iter()
            .map(|(name, value)| format!("{name}={}", encode(value)))
            .collect();
        let request = self.request(Method::GET, &format!("{PATH}?{}", query.join("&")));
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        let (status, body) = answer(request.send().await.unwrap()).await;
        assert_eq!(status, StatusCode::OK);
        body
    }

    async fn page(&self, topic: &str, page: usize, size: usize) -> Value {
        let moment = i64::try_from(page * 1000 + size).unwrap();
        self.ask(&self.signed(topic, page, size, NOW.0 + moment), &[])
            .await
    }
}

#[tokio::test]
async fn pages_contain_all_messages_newest_first() {
    let trial = TestSandbox::new(&[]).await;
    let topic = trial.topic();
    let truth = trial
        .sandbox
        .world()
        .web3mq_topics(&trial.user())
        .remove(&topic)
        .unwrap();
    let mut shown: Vec<Value> = Vec::new();
    for page in 1.. {
        let answer = trial.page(&topic, page, 70).await;
        assert_eq!(
            (&answer["code"], &answer["data"]["total"]),
            (&json!(0), &json!(truth.len()))
        );
        let rows = answer["data"]["result"].as_array().unwrap().clone();
        if rows.is_empty() {
            break;
        }
        shown.extend(rows);
    }
    assert_eq!(shown.len(), truth.len());
    for (row, message) in shown.iter().rev().zip(&truth) {
        assert_eq!(row["messageid"], message.messageid);
        assert_eq!(row["payload"], message.payload_text);
        assert_eq!(row["timestamp"], message.ms);
        assert_eq!(row["topic"], message.row_topic);
        assert_eq!(row["message_status"]["status"], json!(message.status));
        assert_eq!(row["version"], 1);
    }
    assert_eq!(trial.sandbox.rules().total.violations(), 0);
}

#[tokio::test]
async fn page_sizes_are_limited_and_unknown_topics_are_empty() {
    let trial = TestSandbox::new(&["--max-size", "30"]).await;
    let answer = trial.page(&trial.topic(), 1, 500).await;
    assert_eq!(answer["data"]["result"].as_array().unwrap().len(), 30);
    let answer = trial.page("group:nowhere", 1, 20).await;
    assert_eq!(
        answer,
        json!({ "code": 0, "msg": "ok", "data": { "total": 0, "result": [] } })
    );
}

#[tokio::test]
async fn only_a_fresh_signature_of_the_account_is_accepted() {
    let trial = TestSandbox::new(&[]).await;
    let topic = trial.topic();
    let good = trial.signed(&topic, 1, 20, NOW.0);
    let with = |name: &str, value: &str| {
        let mut parameters = good.clone();
        parameters.iter_mut().find(|(n, _)| *n == name).unwrap().1 = value.to_owned();
        parameters
    };
    assert_eq!(trial.ask(&good, &[]).await["code"], 0);
    assert_eq!(trial.sandbox.rules().total.stale_signature, 0);
    assert_eq!(trial.ask(&good, &[("didkey", "eth:0x0")]).await["code"], 0);
    assert_eq!(
        trial.sandbox.rules().total.stale_signature,
        1,
        "a second use is recorded"
    );

    assert_eq!(
        trial.ask(&with("topic", "group:other"), &[]).await["code"],
        1000
    );
    assert_eq!(
        trial.ask(&with("userid", "user:nobody"), &[]).await["code"],
        404
    );
    assert_eq!(trial.ask(&with("page", "0"), &[]).await["code"], 1001);
    assert_eq!(trial.ask(&good[..5], &[]).await["code"], 1001);
    let late = trial.signed(&topic, 1, 20, NOW.0 - 300_001);
    assert_eq!(trial.ask(&late, &[]).await["code"], 3001);
    assert_eq!(
        trial.ask(&good, &[("web3mq-request-pubkey", "00")]).await["code"],
        1000
    );
    assert_eq!(trial.ask(&good, &[("didkey", "eth")]).await["code"], 1001);
    let key = trial
        .sandbox
        .world()
        .with_user(&trial.user(), super::super::Web3mqUser::public_key)
        .unwrap();
    assert_eq!(
        trial.ask(&good, &[("web3mq-request-pubkey", &key)]).await["code"],
        0
    );
    let total = trial.sandbox.rules().total;
    assert_eq!((total.unauthorised, total.bad_request), (4, 3));
}

#[tokio::test]
async fn an_unencoded_plus_or_a_path_without_slash_is_refused() {
    let trial = TestSandbox::new(&[]).await;
    let topic = trial.topic();
    let signed = |timestamp| trial.signed(&topic, 1, 20, timestamp);
    let parameters = (NOW.0..NOW.0 + 1000)
        .map(signed)
        .find(|p| p[5].1.contains('+'))
        .unwrap();
    assert_eq!(trial.ask(&parameters, &[]).await["code"], 0);
    let raw: Vec<String> = parameters
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(
        trial.get(&format!("{PATH}?{}", raw.join("&"))).await.1["code"],
        1000
    );
    assert_eq!(
        trial
            .get(&format!("/api/messages/history?{}", raw.join("&")))
            .await
            .0,
        404
    );
}

#[tokio::test]
async fn rows_follow_the_shape_flags() {
    let flags = [
        "--envelope",
        "v2",
        "--payload-field",
        "pyaload",
        "--from-sign",
        "number",
        "--extra-fields",
    ];
    let trial = TestSandbox::new(&flags).await;
    let answer = trial.page(&trial.topic(), 1, 20).await;
    let row = &answer["data"]["data_list"][0];
    assert!(
        answer["data"]["total_count"].is_number() && row["pyaload"].is_string(),
        "{answer}"
    );
    assert!(
        row["from_sign"].is_number() && row["extra_data"].is_object(),
        "{answer}"
    );

    let trial = TestSandbox::new(&["--total", "absent", "--empty-list", "absent"]).await;
    assert_eq!(trial.page("group:nowhere", 1, 20).await["data"], json!({}));
}

#[tokio::test]
async fn some_rows_have_no_status() {
    let trial = TestSandbox::new(&["--topic-messages", "5000"]).await;
    let topic = trial.topic();
    let mut rows = Vec::new();
    for page in 1..10 {
        rows.extend(
            trial.page(&topic, page, 100).await["data"]["result"]
                .as_array()
                .unwrap()
                .clone(),
        );
    }
    assert!(
        rows.iter()
            .any(|row| row.get("message_status") == Some(&Value::Null))
    );
    assert!(rows.iter().any(|row| row.get("message_status").is_none()));
}

impl TestSandbox {
    /// A page of a list, signed as the parameters say.
    async fn list(
        &self,
        list: &str,
        page: usize,
        size: usize,
        also: &[(&'static str, &str)],
    ) -> Value {
        let timestamp = NOW.0 + i64::try_from(page * 1000 + size + list.len()).unwrap();
        let signed = self
            .signed("", page, size, timestamp)
            .into_iter()
            .filter(|(name, _)| *name != "topic");
        let query: Vec<String> = signed
            .chain(
                also.iter()
                    .map(|(name, value)| (*name, (*value).to_owned())),
            )
            .map(|(name, value)| {
                format!(
                    "{name}={}",
                    percent_encoding::utf8_percent_encode(
                        &value,
                        percent_encoding::NON_ALPHANUMERIC
                    )
                )
            })
            .collect();
        self.get(&format!("/api/{list}/?{}", query.join("&")))
            .await
            .1
    }
}

#[tokio::test]
async fn the_lists_together_contain_every_conversation() {
    let trial = TestSandbox::new(&["--max-size", "3"]).await;
    let mut named = std::collections::BTreeSet::new();
    for (list, id) in [("chats", "chatid"), ("groups", "groupid")] {
        for page in 1.. {
            let answer = trial.list(list, page, 100, &[]).await;
            let rows = answer["data"]["result"].as_array().unwrap();
            assert!(rows.len() <= 3);
            if rows.is_empty() {
                break;
            }
            named.extend(rows.iter().map(|row| row[id].as_str().unwrap().to_owned()));
        }
    }
    let topics = trial.list("my_subscribe_topic_list", 1, 100, &[]).await;
    let topics = topics["data"].as_array().unwrap();
    named.extend(
        topics
            .iter()
            .map(|row| row["topicid"].as_str().unwrap().to_owned()),
    );
    assert_eq!(
        named,
        trial
            .sandbox
            .world()
            .web3mq_topics(&trial.user())
            .into_keys()
            .collect()
    );
    assert_eq!(trial.sandbox.rules().total.violations(), 0);
}

#[tokio::test]
async fn a_list_is_signed_without_a_topic_and_requested_by_get() {
    let trial = TestSandbox::new(&[]).await;
    let topic = trial.topic();
    let signed: Vec<String> = trial
        .signed(&topic, 1, 20, NOW.0)
        .into_iter()
        .filter(|(name, _)| *name != "topic")
        .map(|(name, value)| {
            format!(
                "{name}={}",
                percent_encoding::utf8_percent_encode(&value, percent_encoding::NON_ALPHANUMERIC)
            )
        })
        .collect();
    let answer = trial
        .get(&format!("/api/chats/?{}", signed.join("&")))
        .await
        .1;
    assert_eq!(
        answer,
        json!({ "code": 1000, "msg": "signature verification failed" })
    );
    let answer = trial.list("chats", 1, 20, &[("topic", "x")]).await;
    assert_eq!(
        answer,
        json!({ "code": 1001, "msg": "a list is about no topic" })
    );
    let posted = trial
        .request(Method::POST, "/api/groups/")
        .send()
        .await
        .unwrap();
    assert_eq!(posted.status(), StatusCode::METHOD_NOT_ALLOWED);
    let counts = trial.sandbox.rules().total;
    assert_eq!(
        (counts.list, counts.unauthorised, counts.bad_request),
        (2, 1, 1)
    );
}

#[tokio::test]
async fn lists_follow_the_shape_flags() {
    let trial = TestSandbox::new(&[
        "--envelope",
        "v2",
        "--empty-list",
        "absent",
        "--total",
        "absent",
    ])
    .await;
    let full = trial.list("groups", 1, 100, &[]).await;
    assert_eq!(full["data"]["data_list"].as_array().unwrap().len(), 4);
    assert!(full["data"].get("total_count").is_none());
    assert_eq!(trial.list("groups", 2, 100, &[]).await["data"], json!({}));
    assert_eq!(
        trial.list("my_subscribe_topic_list", 2, 100, &[]).await["data"],
        Value::Null
    );
}
