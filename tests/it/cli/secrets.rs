//! No secret appears in printed output, in the log or in the database.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use backscroll::config::{Config, UsedSecrets};
use backscroll::domain::clock::{Clock, SystemClock};
use backscroll::provider::agora::{
    Agora, AgoraSettings, Credentials, RenewableToken, TokenHeaders,
};
use backscroll::provider::web3mq::{Identity, SessionKey};
use backscroll::provider::{AccountSettings, Gate, ProviderKind};
use backscroll::sandbox::{
    CUSTOMER_ID, CUSTOMER_SECRET, Call, CallFilter, Fault, ScriptedAnswer, TOKEN_UID, Web3mqUser,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::support::config::AGORA;
use crate::support::env::TestEnv;
use crate::support::fault_proxy::ProxyAction;

/// Lets requests of every kind fail in every way: error paths log the most.
fn script_failures_of_every_kind(env: &TestEnv) {
    for call in [Call::Query, Call::Read, Call::Count, Call::History] {
        let on = CallFilter::Only(call);
        for status in [400, 500, 302] {
            env.script_answer(ScriptedAnswer {
                on,
                status,
                after: 3,
                ..ScriptedAnswer::default()
            });
        }
        env.script_answer(ScriptedAnswer {
            on,
            fault: Some(Fault::Cut),
            after: 5,
            ..ScriptedAnswer::default()
        });
    }
}

#[test]
fn no_secret_is_printed_logged_or_stored() {
    let env = TestEnv::new(&[
        "--messages",
        "60",
        "--topic-messages",
        "60",
        "--projects",
        "2",
        "--token",
        "a-token-to-keep",
    ]);
    let mut config = env.config().clone();
    let second = config.accounts_mut(AGORA).nth(1).unwrap();
    second.remove("customer_id");
    second.remove("customer_secret");
    second.insert("token".to_owned(), "a-token-to-keep".into());
    second.insert("uid".to_owned(), TOKEN_UID.into());
    let env = env.with_config(config);
    let key = env
        .world()
        .with_user(&env.world().user_ids()[0], Web3mqUser::private_key)
        .unwrap();
    let (env, proxy) = env.behind_proxy(|_, _| ProxyAction::Forward);
    script_failures_of_every_kind(&env);
    let level = "warn,backscroll=trace";
    let mut printed = String::new();
    for args in [
        &["sync"][..],
        &["check"],
        &["status"],
        &["status", "--json"],
        &["migrate"],
        &["sync"],
    ] {
        let output = env.run(&[args, &["--log", level]].concat());
        printed += &(output.stdout + &output.stderr);
    }
    env.script_answer(ScriptedAnswer {
        on: CallFilter::Any,
        status: 401,
        times: 99,
        ..ScriptedAnswer::default()
    });
    let refused = env.run(&["check", "--log", level]).assert_incomplete();
    printed += &(refused.stdout + &refused.stderr);
    assert!(
        printed.contains("DEBUG") && printed.contains("the provider fails"),
        "the log has details and failures"
    );
    assert!(
        proxy.count_requests(|request| request.headers.contains_key("x-agora-token")) > 3,
        "the token was used"
    );

    let mut secrets = vec![
        CUSTOMER_SECRET.to_owned(),
        STANDARD.encode(format!("{CUSTOMER_ID}:{CUSTOMER_SECRET}")),
        "a-token-to-keep".to_owned(),
        key.to_uppercase(),
        key,
    ];
    for request in proxy.requests() {
        if let Some(signature) = request.parameter("web3mq_signature") {
            let encoded = request
                .url
                .query()
                .unwrap()
                .split('&')
                .find_map(|pair| pair.strip_prefix("web3mq_signature="));
            secrets.extend(encoded.map(str::to_owned));
            secrets.push(signature);
        }
    }
    assert!(secrets.len() > 20);
    let mut stored = Vec::new();
    for entry in std::fs::read_dir(env.dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap() != "config.toml" {
            stored.extend(std::fs::read(path).unwrap());
        }
    }
    assert!(stored.len() > 100_000, "the archive was searched");
    for secret in secrets {
        assert!(!printed.contains(&secret), "printed: {secret}");
        assert!(
            !stored
                .windows(secret.len())
                .any(|window| window == secret.as_bytes()),
            "stored: {secret}"
        );
    }
}

fn account() -> AccountSettings {
    AccountSettings {
        name: "basic".to_owned(),
        provider: ProviderKind::Agora,
        identity: None,
        settle: Duration::ZERO,
        retention: None,
        since: None,
        refresh_for: None,
        discover_limit: None,
    }
}

#[test]
fn debug_output_shows_no_secret() {
    const SECRET: &str = "hunter2-and-no-other";
    let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    let text = format!(
        r#"
        database.url = "postgres://me:{SECRET}@host/archive"
        [[agora]]
        name = "basic"
        app_id = "app"
        customer_id = "id"
        customer_secret = "{SECRET}"
        streams = [ {{ destination = "lobby" }} ]
        [[agora]]
        name = "token"
        app_id = "app"
        token = "{SECRET}"
        uid = "me"
        streams = [ {{ destination = "lobby" }} ]
        [[web3mq]]
        name = "alice"
        base_url = "https://node.example"
        user_id = "user:1"
        private_key = "{seed}"
        streams = [ {{ topic = "group:1" }} ]
        "#
    );
    let config = Config::parse(&text, Path::new("config.toml"), UsedSecrets::All).unwrap();
    let key = SessionKey::from_seed(&hex::decode(seed).unwrap().try_into().unwrap());
    let identity = Identity {
        user: "user:1".to_owned(),
        key: Some(key),
        did_key: None,
        send_public_key: true,
    };
    let token = || RenewableToken::new(SECRET.into(), || None);
    let ways = [
        Credentials::Basic {
            customer_id: "id".to_owned(),
            customer_secret: SECRET.into(),
        },
        Credentials::Token {
            token: token(),
            uid: "me".to_owned(),
            headers: TokenHeaders::default(),
        },
        Credentials::Bearer { token: token() },
        Credentials::Bearer {
            token: RenewableToken::signed(SECRET.into(), Duration::from_hours(1), || SECRET.into()),
        },
    ];
    let mut shown = vec![
        format!("{config:#?}"),
        format!("{identity:#?}"),
        format!("{ways:#?}"),
    ];
    for way in ways {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let settings = AgoraSettings {
            account: account(),
            base_url: "https://agora.example/".parse().unwrap(),
            app_id: "app".to_owned(),
            credentials: way,
            streams: vec![],
            kinds: HashMap::new(),
            discovery: None,
        };
        let agora = Agora::new(settings, Gate::new(10.0, clock)).unwrap();
        shown.push(format!("{agora:#?}"));
    }
    let seed_as_bytes = format!("{:?}", hex::decode(seed).unwrap());
    for shown in shown {
        for secret in [
            SECRET,
            seed,
            "9d61b19d",
            &STANDARD.encode(format!("id:{SECRET}")),
            &seed_as_bytes,
        ] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
        assert!(shown.len() > 50, "{shown}");
    }
}

/// Returns the encodings of a text in which a provider may repeat it.
fn echoed_forms(text: &str) -> [String; 5] {
    let percent: Vec<String> = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
    [
        text.to_owned(),
        STANDARD.encode(text).trim_end_matches('=').to_owned(),
        STANDARD.encode(text).replace('+', "-").replace('/', "_"),
        hex::encode(text),
        percent.concat(),
    ]
}

#[test]
fn a_provider_that_echoes_requests_reveals_no_secret() {
    for provider in ["agora", "web3mq"] {
        let flags = ["--messages", "20", "--topic-messages", "20", "--echo"];
        let (env, proxy) = TestEnv::new(&flags)
            .with_only(provider)
            .behind_proxy(|_, _| ProxyAction::Forward);
        let mut printed = String::new();
        // Each request is echoed in another encoding.
        let checks = std::iter::repeat_n(&["check"][..], 12);
        for args in checks.chain([&["sync"][..], &["status"], &["status", "--json"]]) {
            let output = env.run(&[args, &["--log", "warn,backscroll=trace"]].concat());
            printed += &(output.stdout + &output.stderr);
        }
        let is_redacted = printed.contains("REDACTED") || printed.contains("repeats a secret");
        assert!(is_redacted, "{printed}");
        let pair = format!("{CUSTOMER_ID}:{CUSTOMER_SECRET}");
        let mut secrets = [CUSTOMER_SECRET, &pair].map(echoed_forms).concat();
        for request in proxy.requests() {
            let signature = request.parameter("web3mq_signature");
            secrets.extend(signature.iter().flat_map(|text| echoed_forms(text)));
        }
        let stored = std::fs::read(env.archive_path()).unwrap();
        let everything = printed + &String::from_utf8_lossy(&stored);
        for secret in secrets {
            assert!(!everything.contains(&secret), "{provider}: {secret}");
        }
    }
}
