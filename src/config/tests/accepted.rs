//! Accepted configurations, and the settings that result.

use std::fs;
use std::time::Duration;

use super::*;
use crate::config::{
    AgoraAuth, DatabaseUrl, DestinationKind, DiscoveryMode, LogConfig, LogFormat, Secret,
    TokenSource,
};
use crate::domain::time::Millis;

fn agora(lines: &str) -> crate::config::AgoraAccountConfig {
    parse_good(&format!("{AGORA}{lines}")).agora.remove(0)
}

#[test]
fn every_key_reaches_its_field() {
    let text = r#"
        [database]
        url = "sqlite:///var/lib/back%20scroll/a.db"
        [schedule]
        sync = "5 * * * * *"
        [status_page]
        listen = "[::1]:80"
        [log]
        levels = "debug,hyper=info"
        format = "json"
        [alerts]
        webhook = "https://hooks.example/a/token?and=another"
        [[agora]]
        name = "a.B_c-1"
        base_url = "http://127.0.0.1:8080/agora"
        app_id = "app"
        token = "007"
        uid = "bot"
        requests_per_second = 0.5
        retention = "90d"
        since = 2026-11-01T02:00:00+02:00
        settle = "1h30m"
        streams = [ { source = "alice", destination = "bob", kind = "user" }, { destination = "bob", kind = "channel" } ]
        discover = "events"
        [[web3mq]]
        name = "w"
        base_url = "http://[::1]:1/"
        user_id = "user:1"
        private_key = "9D61B19DEFFD5A60BA844AF492EC2CC44449C5697B326919703BAC031CAE7F60"
        did_key = "eth:0x1"
        send_public_key = false
        requests_per_second = 3
        timeout = "2s"
        page_size = 50
        retention = "1w"
        since = "2026-11-01T00:00:00Z"
        settle = "300ms"
        refresh_for = "2d"
        streams = [ { topic = "group:1" }, { topic = "user:2" } ]
        discover = true
    "#;
    let config = parse_good(text);
    assert!(
        matches!(config.database.url, DatabaseUrl::Sqlite(path) if path.as_os_str() == "/var/lib/back scroll/a.db")
    );
    assert_eq!(config.schedule.sync.expression, "5 * * * * *");
    assert_eq!(config.status_page.listen.unwrap().to_string(), "[::1]:80");
    assert_eq!(
        config.log,
        LogConfig {
            levels: Some("debug,hyper=info".to_owned()),
            format: LogFormat::Json
        }
    );

    let webhook = config.alerts.webhook.as_ref().unwrap();
    assert_eq!(
        value_of(webhook),
        "https://hooks.example/a/token?and=another"
    );
    assert!(!format!("{webhook:?}").contains("token"));

    let agora = &config.agora[0];
    assert_eq!(
        (agora.name.as_str(), agora.base_url.as_str()),
        ("a.B_c-1", "http://127.0.0.1:8080/agora/")
    );
    assert!(
        matches!(&agora.auth, AgoraAuth::Token { token: TokenSource::Given(token), uid, headers }
            if value_of(token) == "007" && value_of(uid) == "bot" && headers.is_none())
    );
    assert!((agora.requests_per_second - 0.5).abs() < f64::EPSILON);
    assert_eq!(
        (agora.retention, agora.settle),
        (Duration::from_hours(90 * 24), Duration::from_mins(90))
    );
    assert_eq!(agora.since, Some(Millis(1_793_491_200_000)));
    assert_eq!(agora.streams[0].source.as_deref(), Some("alice"));
    assert_eq!(agora.discover, DiscoveryMode::Events);
    assert_eq!(agora.streams[1].kind, Some(DestinationKind::Channel));

    let web3mq = &config.web3mq[0];
    assert!(web3mq.discover);
    let did_key = web3mq.did_key.as_ref().map(value_of);
    assert_eq!(value_of(&web3mq.user_id), "user:1");
    assert_eq!(did_key.as_deref(), Some("eth:0x1"));
    assert!(value_of(&web3mq.private_key).eq_ignore_ascii_case(SEED));
    assert!(!web3mq.send_public_key);
    assert_eq!(
        (agora.timeout, web3mq.timeout),
        (Duration::from_secs(30), Duration::from_secs(2))
    );
    assert_eq!(
        (web3mq.page_size, web3mq.settle),
        (50, Duration::from_millis(300))
    );
    assert_eq!(web3mq.refresh_for, Duration::from_hours(48));
    assert_eq!(
        (web3mq.retention, web3mq.since),
        (Some(Duration::from_hours(7 * 24)), agora.since)
    );
    assert_eq!(web3mq.streams[1].topic, "user:2");
}

#[test]
fn token_without_uid_is_a_bearer_token() {
    let text = r#"[[agora]]
        name = "shop"
        app_id = "app"
        token = "007"
        streams = [ { source = "alice" } ]"#;
    assert!(matches!(
        parse_good(text).agora[0].auth,
        AgoraAuth::BearerToken { .. }
    ));
}

#[test]
fn empty_listen_address_turns_the_page_off() {
    assert_eq!(
        parse_good(&format!("status_page.listen = \"\"\n{AGORA}"))
            .status_page
            .listen,
        None
    );
}

#[test]
fn webhook_on_loopback_needs_no_tls() {
    let config = parse_good(&format!(
        "alerts.webhook = \"http://127.0.0.1:8080/hook\"\n{AGORA}"
    ));
    assert!(config.alerts.webhook.is_some());
    assert!(parse_good(AGORA).alerts.webhook.is_none());
}

#[test]
fn future_time_is_accepted() {
    assert_eq!(
        agora("since = 2999-01-01T00:00:00Z")
            .since
            .unwrap()
            .to_string(),
        "2999-01-01T00:00:00.000Z"
    );
}

#[test]
fn debug_output_of_a_secret_shows_only_its_origin() {
    let shown = format!("{:?}", parse_good(&format!("{AGORA}{WEB3MQ}")));
    assert!(shown.contains("customer_secret: Secret(plain)"), "{shown}");
    assert!(
        !shown.contains("hunter2") && !shown.contains(SEED),
        "{shown}"
    );
}

#[test]
fn databases_are_equal_by_url_and_debug_output_hides_the_password() {
    let database = |url: &str| parse_good(&format!("database.url = \"{url}\"\n{AGORA}")).database;
    let server = database("postgres://me:hunter2@host/archive");
    assert_eq!(
        server.url,
        database("postgres://me:hunter2@host/archive").url
    );
    assert_ne!(
        server.url,
        database("postgres://me:another@host/archive").url
    );
    assert_ne!(server.url, database("sqlite://archive.db").url);
    assert!(!format!("{server:?}").contains("hunter2"), "{server:?}");
}

#[test]
fn secret_file_is_relative_to_the_configuration_and_read_again_on_demand() {
    let folder = tempfile::tempdir().unwrap();
    let (token, config) = (
        folder.path().join("agora.token"),
        folder.path().join("config.toml"),
    );
    fs::write(&token, "first\r\n").unwrap();
    let text = AGORA.replace("\"hunter2\"", "{ file = \"agora.token\" }");
    fs::write(&config, &text).unwrap();

    let AgoraAuth::Basic {
        customer_secret, ..
    } = Config::load(&config, UsedSecrets::All)
        .unwrap()
        .agora
        .remove(0)
        .auth
    else {
        panic!("not Basic");
    };
    assert_eq!(
        (
            value_of(&customer_secret),
            format!("{customer_secret:?}").as_str()
        ),
        ("first".to_owned(), "Secret(file)")
    );

    fs::write(&token, "second\n").unwrap();
    assert_eq!(value_of(&customer_secret), "second");

    fs::write(&token, "\n").unwrap();
    let place = config.display();
    let file = token.display();
    assert_eq!(
        customer_secret.read().unwrap_err().to_string(),
        format!(
            "{place}:5:19: `customer_secret` comes from the file {file}, which is empty: fill it"
        )
    );
    assert_eq!(value_of(&Secret::plain("same")), "same");
}

#[test]
fn credential_is_read_from_the_directory_that_systemd_names() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("agora"), "secret\n").unwrap();
    let environment = |name: &str| (name == "CREDENTIALS_DIRECTORY").then(|| folder.path().into());
    let text = AGORA.replace("\"hunter2\"", "{ credential = \"agora\" }");
    let parse = |used| Config::parse_in(&text, Path::new("config.toml"), &environment, used);
    assert!(parse(UsedSecrets::All).is_ok());
    fs::write(folder.path().join("agora"), "two\nlines\n").unwrap();
    let refused = parse(UsedSecrets::All).unwrap_err().to_string();
    assert!(refused.contains("line break"), "{refused}");
}

#[test]
fn only_the_secrets_that_a_command_uses_are_read() {
    let shop = AGORA.replace("\"hunter2\"", "{ env = \"NO_SHOP\" }");
    let alice = WEB3MQ.replace(&format!("\"{SEED}\""), "{ file = \"/no/such/key\" }");
    let text = format!("alerts.webhook = {{ env = \"NO_HOOK\" }}\n{shop}{alice}");
    let missing = |used| match parse_for(&text, used) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    };
    assert_eq!(missing(UsedSecrets::None), "");
    let (shop, alice, hook) = ("NO_SHOP", "/no/such/key", "NO_HOOK");
    for (used, read) in [
        (UsedSecrets::Account("shop"), &[shop][..]),
        (UsedSecrets::Account("alice"), &[alice]),
        (UsedSecrets::Accounts, &[shop, alice]),
        (UsedSecrets::All, &[shop, alice, hook]),
    ] {
        let message = missing(used);
        for name in [shop, alice, hook] {
            assert_eq!(
                message.contains(name),
                read.contains(&name),
                "{used:?}: {message}"
            );
        }
    }
    // A secret in the file itself is checked in any case.
    let wrong = WEB3MQ.replace(SEED, "0x1");
    assert!(parse_for(&wrong, UsedSecrets::None).is_err());
}

#[test]
fn relative_database_starts_at_the_folder_of_the_configuration() {
    let path = |text: &str, origin: &str| {
        let origin = Path::new(origin);
        let config = Config::parse_in(text, origin, &variable, UsedSecrets::None).unwrap();
        match config.database.url {
            DatabaseUrl::Sqlite(path) => path.display().to_string(),
            DatabaseUrl::Postgres(_) => panic!("not SQLite"),
        }
    };
    let set = |url: &str| format!("database.url = \"{url}\"\n{AGORA}");
    for (origin, text, expected) in [
        ("config.toml", AGORA.to_owned(), "archive.db"),
        (
            "/etc/backscroll/config.toml",
            AGORA.to_owned(),
            "/etc/backscroll/archive.db",
        ),
        ("conf/config.toml", set("sqlite://a.db"), "conf/a.db"),
        ("conf/config.toml", set("sqlite:../a.db"), "conf/../a.db"),
        ("conf/config.toml", set("sqlite:///var/a.db"), "/var/a.db"),
    ] {
        assert_eq!(path(&text, origin), expected);
    }
}

#[test]
fn settings_that_are_probably_not_meant_are_warned_about() {
    let now: Millis = "2026-11-21T08:00:00Z".parse().unwrap();
    let warnings = |text: &str| parse_good(text).warnings(None, now);
    let future = format!("{AGORA}since = 2026-11-21T08:00:01Z\n");
    assert_eq!(
        warnings(&future),
        [
            "account shop: since (2026-11-21T08:00:01.000Z) is in the future: nothing is archived \
          before that time; correct it, or remove it to archive everything"
        ]
    );
    assert!(parse_good(&future).warnings(Some("alice"), now).is_empty());
    let past = format!("{AGORA}since = 2026-11-21T08:00:00Z\n");
    assert!(warnings(&past).is_empty());
    let nameless = format!("database.url = \"postgres://me@host\"\n{AGORA}");
    // The environment may name the database.
    if std::env::var_os("PGDATABASE").is_none() {
        assert!(
            warnings(&nameless)[0].contains("names no database"),
            "{:?}",
            warnings(&nameless)
        );
    }
    assert!(warnings(&nameless.replace("@host", "@host/archive")).is_empty());
}

#[test]
fn ten_thousand_streams_are_accepted() {
    let streams: Vec<_> = (0..10_000)
        .map(|n| format!("{{ destination = \"channel-{n}\" }}"))
        .collect();
    let text = AGORA.replace("{ destination = \"lobby\" }", &streams.join(",\n"));
    assert_eq!(parse_good(&text).agora[0].streams.len(), 10_000);
}

#[test]
fn streams_may_be_empty_if_all_are_discovered() {
    let without = |account: &str| {
        account
            .lines()
            .filter(|line| !line.starts_with("streams"))
            .fold(String::new(), |all, line| all + line + "\n")
    };
    let config = parse_good(&format!("{}discover = \"events\"\n", without(AGORA)));
    assert_eq!(
        (config.agora[0].streams.len(), config.agora[0].discover),
        (0, DiscoveryMode::Events)
    );
    let config = parse_good(&format!(
        "{}streams = []\ndiscover = true\n",
        without(WEB3MQ)
    ));
    assert!(config.web3mq[0].streams.is_empty() && config.web3mq[0].discover);
    assert_eq!(agora("discover = true").discover, DiscoveryMode::Messages);
    assert_eq!(agora("discover = false").discover, DiscoveryMode::Nothing);
}
