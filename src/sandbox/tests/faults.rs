use serde_json::json;

use super::Trial;
use crate::sandbox::{Fault, On, Scripted};

const READ: &str = "/dev/v2/project/sandbox/rtm/message/history/query/x";

#[tokio::test]
async fn a_scripted_answer_takes_the_place_of_the_true_one() {
    let trial = Trial::new(&[]).await;
    let elsewhere = json!({
        "on": "read", "status": 302, "headers": { "Location": "http://elsewhere.example/" }, "body": "<html>", "times": 2
    });
    assert_eq!(trial.post("/sandbox/script", json!([elsewhere])).await.0, 204);
    for _ in 0..2 {
        let response = trial.request(reqwest::Method::GET, READ).send().await.unwrap();
        assert_eq!(response.status(), 302);
        assert_eq!(response.headers()["location"], "http://elsewhere.example/");
        assert_eq!(response.text().await.unwrap(), "<html>");
    }
    assert_eq!(trial.get(READ).await.0, 401, "the script is over");
    let total = trial.sandbox.rules().total;
    assert_eq!((total.read, total.unauthorised), (3, 3), "scripted or not, a request is recorded");
}

#[tokio::test]
async fn a_script_can_wait_and_be_forgotten() {
    let trial = Trial::new(&[]).await;
    trial.sandbox.script(Scripted { status: 503, after: 1, times: 5, ..Scripted::default() }).unwrap();
    assert_eq!(trial.get(READ).await.0, 401);
    assert_eq!(trial.get(READ).await.0, 503);
    assert_eq!(trial.get("/sandbox/rules").await.0, 200, "only the providers are scripted");
    assert_eq!(trial.request(reqwest::Method::DELETE, "/sandbox/script").send().await.unwrap().status(), 204);
    assert_eq!(trial.get(READ).await.0, 401);
    assert_eq!(trial.post("/sandbox/script", json!({ "status": 1 })).await.0, 400);
}

#[tokio::test]
async fn a_connection_can_be_dropped() {
    let trial = Trial::new(&[]).await;
    trial.sandbox.script(Scripted { on: On::Any, fault: Some(Fault::Cut), ..Scripted::default() }).unwrap();
    let outcome = trial.request(reqwest::Method::GET, READ).send().await;
    assert!(outcome.is_err(), "{outcome:?}");
    assert_eq!(trial.get(READ).await.0, 401);
}

#[tokio::test]
async fn an_answer_can_never_come() {
    let Trial { sandbox, client } = Trial::new(&[]).await;
    sandbox.script(Scripted { fault: Some(Fault::Hang), ..Scripted::default() }).unwrap();
    let waiting = tokio::spawn(client.get(format!("{}{READ}", sandbox.base_url())).send());
    while sandbox.rules().total.read == 0 {
        tokio::task::yield_now().await;
    }
    assert!(!waiting.is_finished());
    sandbox.stop().await;
    assert!(waiting.await.unwrap().is_err());
}
