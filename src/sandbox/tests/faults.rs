use serde_json::json;

use super::TestSandbox;
use crate::sandbox::{CUSTOMER_ID, CUSTOMER_SECRET, CallFilter, Fault, ScriptedAnswer};

const QUERY: &str = "/dev/v2/project/sandbox/rtm/message/history/query";
const READ: &str = "/dev/v2/project/sandbox/rtm/message/history/query/x";

#[tokio::test]
async fn a_scripted_answer_replaces_the_correct_one() {
    let trial = TestSandbox::new(&[]).await;
    let elsewhere = json!({
        "on": "read", "status": 302, "headers": { "Location": "http://elsewhere.example/" },
        "body": "<html>", "times": 2
    });
    assert_eq!(
        trial.post("/sandbox/script", json!([elsewhere])).await.0,
        204
    );
    for _ in 0..2 {
        let response = trial
            .request(reqwest::Method::GET, READ)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 302);
        assert_eq!(response.headers()["location"], "http://elsewhere.example/");
        assert_eq!(response.text().await.unwrap(), "<html>");
    }
    assert_eq!(trial.get(READ).await.0, 401, "the script is over");
    let total = trial.sandbox.rules().total;
    assert_eq!(
        (total.read, total.unauthorised),
        (3, 3),
        "scripted or not, a request is recorded"
    );
}

#[tokio::test]
async fn a_script_can_be_delayed_and_cleared() {
    let trial = TestSandbox::new(&[]).await;
    trial
        .sandbox
        .script(ScriptedAnswer {
            status: 503,
            after: 1,
            times: 5,
            ..ScriptedAnswer::default()
        })
        .unwrap();
    assert_eq!(trial.get(READ).await.0, 401);
    assert_eq!(trial.get(READ).await.0, 503);
    assert_eq!(
        trial.get("/sandbox/rules").await.0,
        200,
        "only the providers are scripted"
    );
    assert_eq!(
        trial
            .request(reqwest::Method::DELETE, "/sandbox/script")
            .send()
            .await
            .unwrap()
            .status(),
        204
    );
    assert_eq!(trial.get(READ).await.0, 401);
    assert_eq!(
        trial
            .post("/sandbox/script", json!({ "status": 1 }))
            .await
            .0,
        400
    );
}

#[tokio::test]
async fn a_fault_can_cut_the_connection() {
    let trial = TestSandbox::new(&[]).await;
    trial
        .sandbox
        .script(ScriptedAnswer {
            on: CallFilter::Any,
            fault: Some(Fault::Cut),
            ..ScriptedAnswer::default()
        })
        .unwrap();
    let outcome = trial.request(reqwest::Method::GET, READ).send().await;
    assert!(outcome.is_err(), "{outcome:?}");
    assert_eq!(trial.get(READ).await.0, 401);
}

#[tokio::test]
async fn a_fault_can_withhold_the_answer() {
    let TestSandbox { sandbox, client } = TestSandbox::new(&[]).await;
    sandbox
        .script(ScriptedAnswer {
            fault: Some(Fault::Hang),
            ..ScriptedAnswer::default()
        })
        .unwrap();
    let waiting = tokio::spawn(client.get(format!("{}{READ}", sandbox.base_url())).send());
    while sandbox.rules().total.read == 0 {
        tokio::task::yield_now().await;
    }
    assert!(!waiting.is_finished());
    sandbox.stop().await;
    assert!(waiting.await.unwrap().is_err());
}

/// Returns the status and body of a count that meets this fault. `None` if there is no complete
/// answer.
async fn met(trial: &TestSandbox, fault: Fault) -> Option<(u16, Vec<u8>)> {
    trial
        .sandbox
        .script(ScriptedAnswer {
            fault: Some(fault),
            ..ScriptedAnswer::default()
        })
        .unwrap();
    let response = trial
        .request(
            reqwest::Method::GET,
            "/dev/v2/project/sandbox/rtm/message/history/count",
        )
        .send();
    let response = response.await.ok()?;
    let status = response.status().as_u16();
    Some((status, response.bytes().await.ok()?.to_vec()))
}

#[tokio::test]
async fn each_fault_has_its_documented_form() {
    let trial = TestSandbox::new(&[]).await;
    let answered = async |fault| met(&trial, fault).await.unwrap();
    assert_eq!(met(&trial, Fault::Cut).await, None);
    let (status, body) = answered(Fault::Truncated).await;
    assert!(
        status == 200
            && body.starts_with(b"{")
            && serde_json::from_slice::<serde_json::Value>(&body).is_err()
    );
    assert!(answered(Fault::Html).await.1.starts_with(b"<!DOCTYPE"));
    assert!((500..=504).contains(&answered(Fault::ServerError).await.0));
    assert_eq!(answered(Fault::TooMany).await.0, 429);
    assert_eq!(answered(Fault::Unauthorised).await.0, 401);
    assert!((302..=308).contains(&answered(Fault::Redirect).await.0));
    let (_, deep) = answered(Fault::Deep).await;
    assert!(
        serde_json::from_slice::<serde_json::Value>(&deep)
            .unwrap_err()
            .to_string()
            .contains("recursion limit")
    );
    assert!(std::str::from_utf8(&answered(Fault::Charset).await.1).is_err());
    assert_eq!(answered(Fault::DeadHandle).await.0, 410);
}

#[tokio::test]
async fn a_drip_never_ends_and_an_oversized_body_is_announced() {
    let trial = TestSandbox::new(&[]).await;
    trial
        .sandbox
        .script(ScriptedAnswer {
            fault: Some(Fault::Drip),
            ..ScriptedAnswer::default()
        })
        .unwrap();
    let mut dripping = trial
        .request(reqwest::Method::GET, READ)
        .send()
        .await
        .unwrap();
    for _ in 0..2 {
        assert_eq!(dripping.chunk().await.unwrap().unwrap().len(), 1);
    }
    trial
        .sandbox
        .script(ScriptedAnswer {
            fault: Some(Fault::Oversized),
            ..ScriptedAnswer::default()
        })
        .unwrap();
    let mut huge = trial
        .request(reqwest::Method::GET, READ)
        .send()
        .await
        .unwrap();
    assert_eq!(huge.content_length(), Some(200 << 20));
    assert!(huge.chunk().await.unwrap().is_some());
}

#[tokio::test]
async fn random_faults_are_counted_and_violate_no_rule() {
    let trial = TestSandbox::new(&["--faults", "100%", "--fault-kinds", "html,retry-after"]).await;
    for _ in 0..20 {
        trial.get(READ).await;
    }
    let report = trial.sandbox.rules();
    assert_eq!(
        report.faults.keys().collect::<Vec<_>>(),
        [&Fault::Html, &Fault::RetryAfter]
    );
    assert_eq!(report.faults.values().sum::<u64>(), 20);
    let (_, body) = trial.get("/sandbox/rules").await;
    assert_eq!(
        body["faults"]["retry-after"],
        report.faults[&Fault::RetryAfter]
    );
}

#[tokio::test]
async fn a_cut_answer_may_have_consumed_its_handle() {
    let flags = [
        "--faults",
        "50%",
        "--fault-kinds",
        "cut",
        "--messages",
        "300",
        "--plain",
    ];
    let trial = TestSandbox::new(&flags).await;
    let (mut spent, mut unspent) = (false, false);
    while !(spent && unspent) {
        let Some(handle) = handle(&trial).await else {
            continue;
        };
        let mut cut = false;
        let status = loop {
            match read(&trial, &handle).await {
                Some(status) => break status,
                None => cut = true,
            }
        };
        spent |= (cut, status) == (true, 410);
        unspent |= (cut, status) == (true, 200);
        assert!(cut || status == 200, "{status}");
    }
    assert_eq!(
        trial.sandbox.rules().total.dead_handle_read,
        0,
        "whoever was cut off could not know"
    );
}

/// Creates a handle. `None` if the answer is cut off.
async fn handle(trial: &TestSandbox) -> Option<String> {
    let filter = json!({
        "destination": "lobby",
        "start_time": "2026-11-20T00:00:00Z",
        "end_time": "2026-11-22T00:00:00Z"
    });
    let request = trial
        .request(reqwest::Method::POST, QUERY)
        .basic_auth(CUSTOMER_ID, Some(CUSTOMER_SECRET));
    let request = request
        .header("content-type", "application/json")
        .body(json!({ "filter": filter }).to_string());
    let made: serde_json::Value =
        serde_json::from_slice(&request.send().await.ok()?.bytes().await.ok()?).ok()?;
    Some(
        made["location"]
            .as_str()?
            .trim_start_matches("~/rtm/message/history/query/")
            .to_owned(),
    )
}

/// Returns the status of a read. `None` if the answer is cut off.
async fn read(trial: &TestSandbox, handle: &str) -> Option<u16> {
    let request = trial.request(reqwest::Method::GET, &format!("{QUERY}/{handle}"));
    let response = request
        .basic_auth(CUSTOMER_ID, Some(CUSTOMER_SECRET))
        .send()
        .await
        .ok()?;
    let status = response.status().as_u16();
    response.bytes().await.ok().map(|_| status)
}
