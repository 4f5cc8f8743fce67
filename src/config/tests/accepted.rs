//! Accepted configurations, and the settings that result.

use std::fs;
use std::time::Duration;

use super::*;
use crate::config::{
    AgoraAuth, DatabaseUrl, DestinationKind, DiscoveryMode, LogConfig, LogFormat, Secret,
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
        webhook.expose(),
        "https://hooks.example/a/token?and=another"
    );
    assert!(!format!("{webhook:?}").contains("token"));

    let agora = &config.agora[0];
    assert_eq!(
        (agora.name.as_str(), agora.base_url.as_str()),
        ("a.B_c-1", "http://127.0.0.1:8080/agora/")
    );
    assert!(
        matches!(&agora.auth, AgoraAuth::Token { token, uid } if token.expose() == "007" && uid == "bot")
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
    assert_eq!(
        (web3mq.user_id.as_str(), web3mq.did_key.as_deref()),
        ("user:1", Some("eth:0x1"))
    );
    assert!(web3mq.private_key.expose().eq_ignore_ascii_case(SEED));
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
    } = Config::load(&config).unwrap().agora.remove(0).auth
    else {
        panic!("not Basic");
    };
    assert_eq!(
        (
            customer_secret.expose(),
            format!("{customer_secret:?}").as_str()
        ),
        ("first", "Secret(file)")
    );

    fs::write(&token, "second\n").unwrap();
    assert_eq!(customer_secret.reread().unwrap().expose(), "second");

    fs::write(&token, "\n").unwrap();
    let place = config.display();
    let file = token.display();
    assert_eq!(
        customer_secret.reread().unwrap_err().to_string(),
        format!(
            "{place}:5:19: `customer_secret` comes from the file {file}, which is empty: fill it"
        )
    );
    assert_eq!(Secret::plain("same").reread().unwrap().expose(), "same");
}

#[test]
fn credential_is_read_from_the_directory_that_systemd_names() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("agora"), "secret\n").unwrap();
    let environment = |name: &str| (name == "CREDENTIALS_DIRECTORY").then(|| folder.path().into());
    let text = AGORA.replace("\"hunter2\"", "{ credential = \"agora\" }");
    let config = Config::parse_in(&text, Path::new("config.toml"), &environment).unwrap();
    assert!(
        matches!(&config.agora[0].auth, AgoraAuth::Basic { customer_secret, .. } if customer_secret.expose() == "secret")
    );
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
