//! Permanent failures: a refused stream or account is reported, and all others continue.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use backscroll::sandbox::{
    APP_CERTIFICATE, CUSTOMER_SECRET, Call, CallFilter, ScriptedAnswer, TOKEN_UID,
};
use serde_json::Value;
use toml::Table;

use crate::support::config::{AGORA, WEB3MQ, secret_reference, to};
use crate::support::env::{CommandOutput, TestEnv};
use crate::support::fault_proxy::{FaultProxy, ProxiedRequest, ProxyAction};
use crate::support::postgres_env::PostgresEnv;

const FEW: [&str; 5] = ["--messages", "200", "--topic-messages", "60", "--plain"];

/// Returns the failing streams of `status --json` and the number of all streams.
fn stream_errors(env: &TestEnv) -> (Vec<Value>, usize) {
    let CommandOutput { stdout: out, .. } = env.run(&["status", "--json"]).assert_ok();
    let streams: Vec<Value> = serde_json::from_str(&out).expect("JSON");
    let all = streams.len();
    (
        streams
            .into_iter()
            .filter(|stream| !stream["error"].is_null())
            .collect(),
        all,
    )
}

/// Returns a proxy rule that refuses every request for the messages sent to bob.
fn refusing_bob(
    status: u16,
    body: &'static str,
) -> impl Fn(&backscroll::sandbox::World, &ProxiedRequest) -> ProxyAction {
    move |_, request| {
        if request.is_addressed_to("bob") {
            ProxyAction::reply(status, body)
        } else {
            ProxyAction::Forward
        }
    }
}

#[test]
fn refused_stream_is_reported_and_others_continue() {
    let env = TestEnv::new(&FEW);
    let url = env.sandbox.base_url();
    let answer = r#"{"result":"failed","code":"bad_request","reason":"no such user"}"#;
    let (env, _middleman) = env.behind_proxy(refusing_bob(400, answer));
    let output = env
        .sync()
        .assert_incomplete()
        .assert_prints("no such user")
        .assert_prints("NOT COMPLETE");
    let (troubled, all) = stream_errors(&env);
    assert_eq!((troubled.len(), all > 20), (1, true), "{output:?}");
    assert_eq!(troubled[0]["stream"], "destination=bob");
    assert_eq!(
        troubled[0]["error"],
        "count: refused with status 400 Bad Request: no such user"
    );
    assert!(
        troubled[0]["hint"]
            .as_str()
            .unwrap()
            .contains("names no user, channel or topic"),
        "{troubled:?}"
    );
    assert!(troubled[0]["missing_seconds"].as_u64().unwrap() > 86_400);
    assert_eq!(
        env.query_number("SELECT count(*) FROM gaps WHERE reason LIKE '%no such user' AND stream = 'destination=bob'"),
        1
    );
    let sealed = env.query_number("SELECT count(DISTINCT stream) FROM coverage");
    assert_eq!(
        usize::try_from(sealed).unwrap(),
        all - 1,
        "every other stream is complete"
    );

    // The stream recovers by itself.
    let env = env.with_base_url(&url);
    env.assert_sync_archives_truth();
    assert_eq!(self::stream_errors(&env).0, Vec::<Value>::new());
}

#[test]
fn nonzero_web3mq_code_is_a_refusal() {
    let env = TestEnv::new(&FEW);
    let (env, _middleman) = env.behind_proxy(|_, request| {
        let topic = request.parameter("topic").unwrap_or_default();
        let refused =
            topic.starts_with("user:") && request.parameter("size").as_deref() != Some("1");
        if refused {
            ProxyAction::reply(200, r#"{"code":3002,"msg":"no permission","data":null}"#)
        } else {
            ProxyAction::Forward
        }
    });
    env.sync().assert_incomplete();
    let (troubled, _) = stream_errors(&env);
    assert_eq!(troubled.len(), 3);
    assert_eq!(
        troubled[0]["error"],
        "history: failed with code 3002: no permission"
    );
    assert_eq!(
        env.query_number("SELECT count(*) FROM coverage WHERE stream LIKE 'topic=user:%'"),
        0
    );
}

/// Refuses the credentials in the middle of a sync, then permanently.
fn assert_status_parks_account(status: u16) {
    let env = TestEnv::new(&FEW);
    for call in [Call::Count, Call::Query, Call::Read] {
        env.script_answer(ScriptedAnswer {
            on: CallFilter::Only(call),
            status,
            body: r#"{"message":"expired"}"#.into(),
            times: 9999,
            after: 5,
            ..ScriptedAnswer::default()
        });
    }
    let output = env.sync().assert_incomplete().assert_prints(&format!(
        "credentials refused with status {status}: expired"
    ));
    assert!(
        output.stdout.contains("renew the account's credentials"),
        "{output:?}"
    );
    assert!(
        env.query_number("SELECT count(*) FROM archive WHERE account = 'web3mq-1'") > 50,
        "the other account continued"
    );
    env.run(&["status"])
        .assert_ok()
        .assert_prints("sandbox: paused until")
        .assert_prints("paused");

    let before = env.sandbox.rules().accounts["sandbox"].requests();
    env.sync()
        .assert_incomplete()
        .assert_prints("the account is paused for another");
    assert_eq!(
        env.sandbox.rules().accounts["sandbox"].requests(),
        before,
        "a parked account makes no request"
    );

    env.world().script().clear();
    env.run(&["check"])
        .assert_ok()
        .assert_prints("account sandbox: ok");
    env.assert_sync_archives_truth();
    let status = env.run(&["status"]).assert_ok();
    assert!(!status.stdout.contains("left alone"), "{status:?}");
}

#[test]
fn status_401_parks_the_account_until_check_succeeds() {
    assert_status_parks_account(401);
}

#[test]
fn status_403_parks_the_account_until_check_succeeds() {
    assert_status_parks_account(403);
}

#[test]
fn status_403_of_the_first_stream_costs_no_other() {
    assert_403_costs_bob_only(&[to("bob"), to("lobby")]);
}

#[test]
fn status_403_of_the_last_stream_costs_no_other() {
    assert_403_costs_bob_only(&[to("lobby"), to("bob")]);
}

/// Refuses one of two streams, and then no longer.
#[track_caller]
fn assert_403_costs_bob_only(streams: &[Table; 2]) {
    let env = TestEnv::new(&FEW)
        .with_only("agora")
        .with_agora_streams(streams);
    let url = env.sandbox.base_url();
    let (env, _middleman) =
        env.behind_proxy(refusing_bob(403, r#"{"message":"not your channel"}"#));
    let output = env.sync().assert_incomplete();
    assert!(!output.stdout.contains("renew"), "{output:?}");
    let (troubled, all) = stream_errors(&env);
    assert_eq!((troubled.len(), all), (1, 2), "{output:?}");
    assert_eq!(
        troubled[0]["error"],
        "count: refused with status 403 for this stream alone: not your channel"
    );
    assert_eq!(
        env.query_number("SELECT count(*) FROM coverage WHERE stream = 'destination=lobby'"),
        1
    );
    assert_not_parked(&env);
    env.sync().assert_incomplete();
    assert_not_parked(&env);
    let env = env.with_account_setting("base_url", url);
    env.sync().assert_ok();
}

/// Panics if an account is paused or fails as a whole.
#[track_caller]
fn assert_not_parked(env: &TestEnv) {
    let parked =
        "SELECT count(*) FROM account WHERE paused_until_ms IS NOT NULL OR error IS NOT NULL";
    assert_eq!(env.query_number(parked), 0);
}

#[test]
fn refusal_with_retry_after_is_a_rate_limit() {
    for status in [401, 403] {
        for after in [0, 20] {
            let env = TestEnv::new(&FEW);
            let begun = std::time::Instant::now();
            env.script_answer(ScriptedAnswer {
                status,
                headers: [("retry-after".to_owned(), "2".to_owned())].into(),
                times: 1,
                after,
                ..ScriptedAnswer::default()
            });
            env.assert_sync_archives_truth();
            assert!(begun.elapsed() >= Duration::from_secs(2), "it is obeyed");
            assert_not_parked(&env);
        }
    }
}

#[test]
fn one_refusal_at_process_start_does_not_park_a_known_account() {
    let env = TestEnv::new(&FEW);
    let refuse = |status| {
        env.script_answer(ScriptedAnswer {
            status,
            body: r#"{"message":"try again"}"#.into(),
            times: 2,
            ..ScriptedAnswer::default()
        });
    };
    env.sync().assert_ok();
    for status in [401, 403] {
        refuse(status);
        env.append_message("lobby", &format!("after {status}"), Duration::from_hours(1));
        env.sync().assert_ok();
        assert_not_parked(&env);
    }
    // Other credentials were never accepted.
    let env = env.with_setting_of(AGORA, "customer_secret", "another");
    let before = env.sandbox.rules().accounts["sandbox"].requests();
    env.sync().assert_incomplete().assert_prints("401");
    let requests = env.sandbox.rules().accounts["sandbox"].requests() - before;
    assert_eq!(requests, 1, "it is not tried again and again");
}

#[test]
fn changed_credentials_lift_the_pause() {
    let env = TestEnv::new(&FEW).with_setting_of(AGORA, "customer_secret", "mistyped");
    env.sync().assert_incomplete();
    env.run(&["status"])
        .assert_ok()
        .assert_prints("paused until");
    // The same ones do not.
    let before = env.sandbox.rules().accounts["sandbox"].requests();
    env.sync()
        .assert_incomplete()
        .assert_prints("credentials refused with status 401");
    assert_eq!(env.sandbox.rules().accounts["sandbox"].requests(), before);
    let env = env.with_setting_of(AGORA, "customer_secret", CUSTOMER_SECRET);
    env.assert_sync_archives_truth();
    assert_not_parked(&env);
    let status = env.run(&["status"]).assert_ok().stdout;
    assert!(!status.contains("paused"), "{status}");
    let stored: Vec<(Option<String>, Option<String>)> =
        env.query_rows("SELECT refused_credentials, accepted_credentials FROM account");
    for (refused, accepted) in stored {
        assert_eq!(refused, None);
        assert_eq!(accepted.map(|fingerprint| fingerprint.len()), Some(24));
    }
}

#[test]
fn changed_credentials_do_not_lift_a_rate_limit() {
    let env = TestEnv::new(&FEW).with_only("agora");
    env.script_answer(ScriptedAnswer {
        status: 429,
        headers: [("retry-after".to_owned(), "600".to_owned())].into(),
        times: 1,
        ..ScriptedAnswer::default()
    });
    env.sync()
        .assert_incomplete()
        .assert_prints("count: status 429 Too Many Requests");
    let env = env.with_setting_of(AGORA, "customer_secret", "another");
    let before = env.sandbox.rules().accounts["sandbox"].requests();
    env.sync().assert_incomplete().assert_prints("paused");
    assert_eq!(env.sandbox.rules().accounts["sandbox"].requests(), before);
}

#[test]
fn wrong_credentials_are_reported_before_planning() {
    let env = TestEnv::new(&FEW).with_setting_of(AGORA, "customer_secret", "mistyped");
    env.run(&["check"])
        .assert_incomplete()
        .assert_prints("account sandbox: FAILED: count: credentials refused with status 401");
    env.sync()
        .assert_incomplete()
        .assert_prints("Invalid authentication credentials");
    let agora = env.sandbox.rules().accounts["sandbox"];
    assert_eq!(
        (agora.requests(), agora.unauthorised),
        (2, 2),
        "one request for each command"
    );
    assert!(env.query_number("SELECT count(*) FROM archive") > 50);
    env.sync().assert_incomplete();
    assert_eq!(env.sandbox.rules().accounts["sandbox"].requests(), 2);
    env.run(&["status"])
        .assert_ok()
        .assert_prints("(none yet)")
        .assert_prints("paused")
        .assert_prints("status 401");

    let env = env.with_setting_of(AGORA, "customer_secret", CUSTOMER_SECRET);
    env.run(&["check"]).assert_ok();
    env.assert_sync_archives_truth();
}

/// Returns an environment whose only account, of Agora, has a token instead of customer
/// credentials.
fn with_token(token: &toml::Value) -> TestEnv {
    let mut env = TestEnv::new(&FEW).with_only("agora");
    for account in env.config_mut().accounts_mut(AGORA) {
        account.remove("customer_id");
        account.remove("customer_secret");
        account.insert("token".to_owned(), token.clone());
    }
    env
}

#[test]
fn renewed_token_file_is_read_during_a_sync() {
    let env = with_token(&secret_reference("file", "agora.token"))
        .with_setting_of(AGORA, "uid", TOKEN_UID);
    let file = env.path("agora.token");
    std::fs::write(&file, "sandbox-token\n").unwrap();
    let (count, renewed) = (AtomicU32::new(0), file.clone());
    let (env, proxy) = env.behind_proxy(move |world, _| {
        if count.fetch_add(1, Ordering::Relaxed) == 12 {
            std::fs::write(&renewed, "the next token\n").unwrap();
            world.set_token("the next token");
        }
        ProxyAction::Forward
    });
    env.assert_sync_archives_truth();
    let with = |token: &'static str| {
        proxy.count_requests(|request| request.headers["x-agora-token"] == token)
    };
    assert!(with("sandbox-token") >= 12 && with("the next token") > 12);
    let refused = env.sandbox.rules().total.unauthorised;
    assert!(
        refused <= 24,
        "{refused}: only requests in flight were refused"
    );

    // A refused token that is not renewed parks the account.
    env.world().set_token("yet another");
    env.sync()
        .assert_incomplete()
        .assert_prints("credentials refused");
}

#[test]
fn access_token_is_accepted() {
    let env = with_token(&"sandbox-token".into());
    env.assert_sync_archives_truth();
    env.assert_no_rule_broken();
}

/// Returns an environment whose only account, of Agora, makes its own tokens.
fn with_certificate(flags: &[&str], certificate: &str) -> TestEnv {
    let mut env = TestEnv::new(flags).with_only("agora");
    for account in env.config_mut().accounts_mut(AGORA) {
        account.remove("customer_id");
        account.remove("customer_secret");
        account.insert("app_certificate".to_owned(), certificate.into());
        account.insert("uid".to_owned(), "archivist".into());
    }
    env
}

#[test]
fn tokens_are_made_with_the_app_certificate() {
    for skew in ["0ms", "-25m", "11h"] {
        let flags = [&FEW[..], &["--clock-skew", skew]].concat();
        let env = with_certificate(&flags, APP_CERTIFICATE);
        env.run(&["check"]).assert_prints("account sandbox: ok");
        env.sync();
        let rules = env.sandbox.rules().total;
        assert_eq!(rules.unauthorised, 0, "{skew}");
        assert!(
            env.query_number("SELECT count(*) FROM archive") > 50,
            "{skew}"
        );
    }
}

#[test]
fn tokens_are_sent_in_the_headers_of_compatible_services() {
    let flags = [&FEW[..], &["--token-headers", "anyrtc"]].concat();
    let mut env = with_certificate(&flags, APP_CERTIFICATE);
    env.sync()
        .assert_incomplete()
        .assert_prints("credentials refused");
    for account in env.config_mut().accounts_mut(AGORA) {
        let names = toml::toml! { token = "x-ar-token" uid = "X-AR-UID" };
        account.insert("token_headers".to_owned(), names.into());
    }
    env.run(&["check"]).assert_ok();
    env.assert_sync_archives_truth();
}

#[test]
fn wrong_app_certificate_parks_the_account() {
    let env = with_certificate(&FEW, &"f".repeat(32));
    let refused = env.sync().assert_incomplete();
    refused.assert_prints("credentials refused with status 401");
    let requests = env.sandbox.rules().total;
    assert_eq!(
        requests.unauthorised, 2,
        "one request, and one with another token"
    );
}

#[test]
fn window_with_a_lasting_count_mismatch_is_sealed_as_suspect() {
    let env = TestEnv::new(&FEW).with_only("agora");
    let (env, _middleman) = env.behind_proxy(|_, request| {
        if request.endpoint() == "count" && request.is_addressed_to("lobby") {
            ProxyAction::rewrite_json(|answer| {
                let count = answer["count"].as_u64().unwrap();
                answer["count"] = (count + u64::from(count > 0)).into();
            })
        } else {
            ProxyAction::Forward
        }
    });
    let edge = env.settled_edge();
    env.sync().assert_incomplete().assert_prints("IN DOUBT");
    env.assert_archive_equals_truth(edge);
    let suspect: Vec<(String, String, i64, i64)> = env.query_rows(
        "SELECT stream, reason, messages, provider_count FROM coverage WHERE state = 'suspect'",
    );
    let [(stream, reason, messages, counted)] = suspect.as_slice() else {
        panic!("{suspect:?}")
    };
    assert_eq!(
        (stream.as_str(), *counted),
        ("destination=lobby", messages + 1)
    );
    assert_eq!(
        reason,
        &format!("the provider counts {counted} messages and serves {messages}")
    );
    env.run(&["status"]).assert_ok().assert_prints("suspect");
}

#[test]
fn unparsable_message_is_quarantined_and_blocks_no_other() {
    let env = TestEnv::without_messages(&[])
        .with_only("agora")
        .with_agora_streams(&[to("lobby")]);
    for n in 0..150 {
        env.append_message("lobby", &format!("number {n}"), Duration::from_hours(1 + n));
    }
    let (env, _middleman) = env.behind_proxy(|_, request| match request.endpoint() {
        "read" => ProxyAction::rewrite_json(|answer| {
            for message in answer["messages"].as_array_mut().into_iter().flatten() {
                if message["payload"] == "number 3" {
                    *message = serde_json::json!({ "src": "alice", "surprise": [1, 2] });
                }
            }
        }),
        _ => ProxyAction::Forward,
    });
    env.sync().assert_ok();
    env.sync().assert_ok();
    assert_eq!(env.query_number("SELECT count(*) FROM archive"), 149);
    let aside: Vec<(String, String)> = env.query_rows("SELECT raw, reason FROM quarantine");
    assert_eq!(
        aside,
        [(
            r#"{"src":"alice","surprise":[1,2]}"#.to_owned(),
            "no `dst`".to_owned()
        )]
    );
    env.run(&["status"])
        .assert_ok()
        .assert_prints("in quarantine");
}

/// Sends three messages: one has a payload, one an extra field that nests ten thousand levels deep.
fn with_nested_message(env: TestEnv) -> (TestEnv, FaultProxy) {
    for (n, text) in ["plain", "deep payload", "deep field"].iter().enumerate() {
        env.append_message("lobby", text, Duration::from_hours(1 + n as u64));
    }
    env.behind_proxy(|_, request| match request.endpoint() {
        "read" => ProxyAction::Rewrite(Box::new(|body| {
            let nested = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
            let body = String::from_utf8(body).unwrap();
            let body = body.replace(
                r#""payload":"deep payload""#,
                &format!(r#""payload":{nested}"#),
            );
            let field = format!(r#""payload":"deep field","nested":{nested}"#);
            body.replace(r#""payload":"deep field""#, &field)
                .into_bytes()
        })),
        _ => ProxyAction::Forward,
    })
}

#[test]
fn deeply_nested_message_is_quarantined_in_sqlite() {
    let env = TestEnv::without_messages(&[])
        .with_only("agora")
        .with_agora_streams(&[to("lobby")]);
    let (env, _middleman) = with_nested_message(env);
    env.sync().assert_ok();
    let bodies: Vec<(String,)> = env.query_rows("SELECT body FROM archive ORDER BY body");
    assert_eq!(bodies, [("deep field".to_owned(),), ("plain".to_owned(),)]);
    assert_eq!(
        env.query_number("SELECT length(extra) FROM archive WHERE body = 'deep field'"),
        20_011
    );
    let (raw, reason): (i64, String) = env.query_row("SELECT length(raw), reason FROM quarantine");
    assert!(raw > 20_000, "{raw}");
    assert_eq!(reason, "found sequence where a string was expected");
}

#[test]
fn deeply_nested_message_is_quarantined_in_postgres() {
    let mut postgres = PostgresEnv::start(&["--messages", "0", "--topic-messages", "0"]);
    let (env, _middleman) = with_nested_message(
        postgres
            .env
            .with_only("agora")
            .with_agora_streams(&[to("lobby")]),
    );
    postgres.env = env;
    postgres.env.sync().assert_ok();
    assert_eq!(postgres.query_number("SELECT count(*) FROM archive"), 2);
    assert_eq!(
        postgres.query_number("SELECT count(*) FROM archive WHERE length(extra ->> 'raw') = 20011"),
        1
    );
    assert_eq!(
        postgres.query_number("SELECT count(*) FROM quarantine WHERE length(raw) > 20000"),
        1
    );
}

/// No address is as long as the names of some streams: such a request is never sent.
#[test]
fn stream_whose_request_cannot_be_made_costs_no_other() {
    let env = TestEnv::new(&FEW);
    let endless = "x".repeat(70_000);
    let mut config = env.config().clone();
    for (provider, key, stream) in [
        (AGORA, "destination", &endless),
        (WEB3MQ, "topic", &endless),
    ] {
        for account in config.accounts_mut(provider) {
            let streams = account["streams"].as_array_mut().unwrap();
            let table = toml::Table::from_iter([(key.to_owned(), stream.as_str().into())]);
            streams.push(table.into());
        }
    }
    let env = env.with_config(config);
    let edge = env.settled_edge();
    let output = env.sync().assert_incomplete();
    output.assert_prints("the request cannot be made");
    env.assert_archive_equals_truth(edge);
    let (failing, all) = stream_errors(&env);
    assert_eq!(failing.len(), 2, "of {all}");
    for stream in failing {
        assert!(stream["stream"].as_str().unwrap().contains(&endless));
        assert!(stream["account_error"].is_null(), "{stream:#}");
        let hint = stream["hint"].as_str().unwrap_or_default();
        assert!(hint.contains("remove the stream"), "{hint}");
    }
}
