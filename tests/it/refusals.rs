//! What does not pass: a stream or an account that is refused is left alone and named, and all others go on.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use backscroll::sandbox::{CUSTOMER_ID, CUSTOMER_SECRET, On, Scripted, TOKEN_UID};
use serde_json::Value;

use crate::bed::{Bed, Ran};
use crate::middleman::{Asked, Middleman, Verdict};
use crate::postgres::Served;

const FEW: [&str; 5] = ["--messages", "200", "--topic-messages", "60", "--plain"];

/// What `status --json` says of the streams that are not well, and how many there are in all.
fn troubled(bed: &Bed) -> (Vec<Value>, usize) {
    let Ran { out, .. } = bed.run(&["status", "--json"]).good();
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

/// Spoils everything about what was sent to bob.
fn refusing_bob(
    status: u16,
    body: &'static str,
) -> impl Fn(&backscroll::sandbox::World, &Asked) -> Verdict {
    move |_, asked| {
        if asked.is_to("bob") {
            Verdict::say(status, body)
        } else {
            Verdict::Pass
        }
    }
}

#[test]
fn a_stream_that_is_refused_is_named_and_the_others_go_on() {
    let bed = Bed::new(&FEW);
    let url = bed.sandbox.base_url();
    let answer = r#"{"result":"failed","code":"bad_request","reason":"no such user"}"#;
    let (bed, middleman) = bed.meddled(refusing_bob(400, answer));
    let ran = bed
        .sync()
        .lacking()
        .says("no such user")
        .says("NOT COMPLETE");
    let (troubled, all) = troubled(&bed);
    assert_eq!((troubled.len(), all > 20), (1, true), "{ran:?}");
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
        bed.number("SELECT count(*) FROM gaps WHERE reason LIKE '%no such user' AND stream = 'destination=bob'"),
        1
    );
    let sealed = bed.number("SELECT count(DISTINCT stream) FROM coverage");
    assert_eq!(
        usize::try_from(sealed).unwrap(),
        all - 1,
        "every other stream is complete"
    );

    // It heals by itself.
    let bed = bed.with(&middleman.url, &url);
    bed.archives_the_truth();
    assert_eq!(self::troubled(&bed).0, Vec::<Value>::new());
}

#[test]
fn a_code_of_web3mq_other_than_0_is_a_refusal() {
    let bed = Bed::new(&FEW);
    let (bed, _middleman) = bed.meddled(|_, asked| {
        let topic = asked.parameter("topic").unwrap_or_default();
        let refused = topic.starts_with("user:") && asked.parameter("size").as_deref() != Some("1");
        if refused {
            Verdict::say(200, r#"{"code":3002,"msg":"no permission","data":null}"#)
        } else {
            Verdict::Pass
        }
    });
    bed.sync().lacking();
    let (troubled, _) = troubled(&bed);
    assert_eq!(troubled.len(), 3);
    assert_eq!(
        troubled[0]["error"],
        "history: failed with code 3002: no permission"
    );
    assert_eq!(
        bed.number("SELECT count(*) FROM coverage WHERE stream LIKE 'topic=user:%'"),
        0
    );
}

/// Refuses the credentials in the midst of a sync, then for good.
fn parks(status: u16) {
    let bed = Bed::new(&FEW);
    bed.script(Scripted {
        on: On::Query,
        status,
        body: r#"{"message":"expired"}"#.into(),
        times: 999,
        ..Scripted::default()
    });
    let ran = bed.sync().lacking().says(&format!(
        "credentials refused with status {status}: expired"
    ));
    assert!(
        ran.out.contains("renew the account's credentials"),
        "{ran:?}"
    );
    assert!(
        bed.number("SELECT count(*) FROM archive WHERE account = 'web3mq-1'") > 50,
        "the other account went on"
    );
    bed.run(&["status"])
        .good()
        .says("sandbox: left alone until")
        .says("paused");

    let before = bed.sandbox.rules().accounts["sandbox"].requests();
    bed.sync().lacking().says("waits out a penalty");
    assert_eq!(
        bed.sandbox.rules().accounts["sandbox"].requests(),
        before,
        "nothing is asked of a parked account"
    );

    bed.world().script().clear();
    bed.run(&["check"]).good().says("account sandbox: ok");
    bed.archives_the_truth();
    let status = bed.run(&["status"]).good();
    assert!(!status.out.contains("left alone"), "{status:?}");
}

#[test]
fn a_401_parks_the_account_until_check_lifts_it() {
    parks(401);
}

#[test]
fn a_403_parks_the_account_until_check_lifts_it() {
    parks(403);
}

#[test]
fn wrong_credentials_are_noticed_before_anything_is_planned() {
    let bed = Bed::new(&FEW).with(CUSTOMER_SECRET, "mistyped");
    bed.run(&["check"])
        .lacking()
        .says("account sandbox: FAILED: count: credentials refused with status 401");
    bed.sync()
        .lacking()
        .says("Invalid authentication credentials");
    let agora = bed.sandbox.rules().accounts["sandbox"];
    assert_eq!(
        (agora.requests(), agora.unauthorised),
        (2, 2),
        "one for each command"
    );
    assert!(bed.number("SELECT count(*) FROM archive") > 50);
    bed.sync().lacking();
    assert_eq!(bed.sandbox.rules().accounts["sandbox"].requests(), 2);
    bed.run(&["status"])
        .good()
        .says("(none yet)")
        .says("paused")
        .says("status 401");

    let bed = bed.with("mistyped", CUSTOMER_SECRET);
    bed.run(&["check"]).good();
    bed.archives_the_truth();
}

#[test]
fn a_token_that_was_renewed_in_its_file_is_taken_up_in_the_midst_of_a_sync() {
    let bed = Bed::new(&FEW).only("agora").with(
        &format!("customer_id = \"{CUSTOMER_ID}\"\ncustomer_secret = \"{CUSTOMER_SECRET}\""),
        &format!("token = {{ file = \"agora.token\" }}\nuid = \"{TOKEN_UID}\""),
    );
    let file = bed.path("agora.token");
    std::fs::write(&file, "sandbox-token\n").unwrap();
    let (count, renewed) = (AtomicU32::new(0), file.clone());
    let (bed, middleman) = bed.meddled(move |world, _| {
        if count.fetch_add(1, Ordering::Relaxed) == 12 {
            std::fs::write(&renewed, "the next token\n").unwrap();
            world.set_token("the next token");
        }
        Verdict::Pass
    });
    bed.archives_the_truth();
    let with =
        |token: &'static str| middleman.count(|asked| asked.headers["x-agora-token"] == token);
    assert!(with("sandbox-token") >= 12 && with("the next token") > 12);
    let refused = bed.sandbox.rules().total.unauthorised;
    assert!(
        refused <= 24,
        "{refused}: only what was on its way was refused"
    );

    // One that is refused and not renewed parks the account.
    bed.world().set_token("yet another");
    bed.sync().lacking().says("credentials refused");
}

#[test]
fn an_access_token_is_taken_too() {
    let bed = Bed::new(&FEW).only("agora").with(
        &format!("customer_id = \"{CUSTOMER_ID}\"\ncustomer_secret = \"{CUSTOMER_SECRET}\""),
        "token = \"sandbox-token\"",
    );
    bed.archives_the_truth();
    bed.assert_no_rule_broken();
}

#[test]
fn a_window_that_never_adds_up_is_sealed_as_suspect() {
    let bed = Bed::new(&FEW).only("agora");
    let (bed, _middleman) = bed.meddled(|_, asked| {
        if asked.call() == "count" && asked.is_to("lobby") {
            Verdict::alter_json(|answer| {
                let count = answer["count"].as_u64().unwrap();
                answer["count"] = (count + u64::from(count > 0)).into();
            })
        } else {
            Verdict::Pass
        }
    });
    bed.archives_the_truth();
    let suspect: Vec<(String, String, i64, i64)> = bed.rows(
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
    bed.run(&["status"]).good().says("suspect");
}

#[test]
fn a_message_that_makes_no_sense_is_kept_aside_and_blocks_no_other() {
    let bed = Bed::silent(&[])
        .only("agora")
        .following(r#"{ destination = "lobby" }"#);
    for n in 0..150 {
        bed.say("lobby", &format!("number {n}"), Duration::from_hours(1 + n));
    }
    let (bed, _middleman) = bed.meddled(|_, asked| match asked.call() {
        "read" => Verdict::alter_json(|answer| {
            for message in answer["messages"].as_array_mut().into_iter().flatten() {
                if message["payload"] == "number 3" {
                    *message = serde_json::json!({ "src": "alice", "surprise": [1, 2] });
                }
            }
        }),
        _ => Verdict::Pass,
    });
    bed.sync().good();
    bed.sync().good();
    assert_eq!(bed.number("SELECT count(*) FROM archive"), 149);
    let aside: Vec<(String, String)> = bed.rows("SELECT raw, reason FROM quarantine");
    assert_eq!(
        aside,
        [(
            r#"{"src":"alice","surprise":[1,2]}"#.to_owned(),
            "no `dst`".to_owned()
        )]
    );
    bed.run(&["status"]).good().says("in quarantine");
}

/// Three messages, of which one nests its payload and one a field of its own ten thousand deep.
fn deep(bed: Bed) -> (Bed, Middleman) {
    for (n, text) in ["plain", "deep payload", "deep field"].iter().enumerate() {
        bed.say("lobby", text, Duration::from_hours(1 + n as u64));
    }
    bed.meddled(|_, asked| match asked.call() {
        "read" => Verdict::Alter(Box::new(|body| {
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
        _ => Verdict::Pass,
    })
}

#[test]
fn a_message_that_is_nested_deeply_costs_no_other_in_sqlite() {
    let bed = Bed::silent(&[])
        .only("agora")
        .following(r#"{ destination = "lobby" }"#);
    let (bed, _middleman) = deep(bed);
    bed.sync().good();
    let bodies: Vec<(String,)> = bed.rows("SELECT body FROM archive ORDER BY body");
    assert_eq!(bodies, [("deep field".to_owned(),), ("plain".to_owned(),)]);
    assert_eq!(
        bed.number("SELECT length(extra) FROM archive WHERE body = 'deep field'"),
        20_011
    );
    let (raw, reason): (i64, String) = bed.row("SELECT length(raw), reason FROM quarantine");
    assert!(raw > 20_000, "{raw}");
    assert_eq!(reason, "found sequence where a string was expected");
}

#[test]
fn a_message_that_is_nested_deeply_costs_no_other_in_postgres() {
    let mut served = Served::new(&["--messages", "0", "--topic-messages", "0"]);
    let (bed, _middleman) = deep(
        served
            .bed
            .only("agora")
            .following(r#"{ destination = "lobby" }"#),
    );
    served.bed = bed;
    served.bed.sync().good();
    assert_eq!(served.number("SELECT count(*) FROM archive"), 2);
    assert_eq!(
        served.number("SELECT count(*) FROM archive WHERE length(extra ->> 'raw') = 20011"),
        1
    );
    assert_eq!(
        served.number("SELECT count(*) FROM quarantine WHERE length(raw) > 20000"),
        1
    );
}
