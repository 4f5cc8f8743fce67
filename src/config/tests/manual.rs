//! Checks of the shipped `config.toml` against the code.

use super::*;
use crate::config::schema;

const MANUAL: &str = include_str!("../../../config.toml");

#[test]
fn manual_loads_with_its_placeholders_filled_in() {
    let config = parse_good(MANUAL);
    assert_eq!((config.agora.len(), config.web3mq.len()), (1, 1));
}

#[test]
fn manual_contains_every_key() {
    let tables = [
        (&schema::DATABASE, "[database]"),
        (&schema::SCHEDULE, "[schedule]"),
        (&schema::STATUS_PAGE, "[status_page]"),
        (&schema::ALERTS, "[alerts]"),
        (&schema::SEARCH, "[search]"),
        (&schema::LOG, "[log]"),
        (&schema::AGORA, "[[agora]]"),
        (&schema::WEB3MQ, "[[web3mq]]"),
    ];
    assert_eq!(tables.len(), schema::FILE.keys.len());
    for (shape, header) in tables {
        let (_, after) = MANUAL.split_once(&format!("\n{header}\n")).unwrap();
        let section = after.split("\n[").next().unwrap();
        let has = |key: &str| {
            section
                .lines()
                .any(|l| l.trim_start_matches("# ").starts_with(&format!("{key} = ")))
        };
        for key in shape.keys {
            assert!(has(key), "{header} {key}");
        }
    }
    for key in schema::AGORA_STREAM
        .keys
        .iter()
        .chain(schema::WEB3MQ_STREAM.keys)
    {
        assert!(MANUAL.contains(&format!("{key} = ")), "{key}");
    }
}

#[test]
fn manual_shows_the_defaults() {
    let required = r#"
        [[agora]]
        name = "shop"
        app_id = { env = "AGORA_APP_ID" }
        customer_id = { env = "AGORA_CUSTOMER_ID" }
        customer_secret = { env = "AGORA_CUSTOMER_SECRET" }
        streams = [
            { destination = "lobby" },
            { source = "alice" },
            { source = "alice", destination = "bob" },
        ]
        [[web3mq]]
        name = "alice"
        base_url = "https://testnet-us-west-1-1.web3mq.com"
        user_id = { env = "WEB3MQ_USER_ID" }
        private_key = { env = "WEB3MQ_PRIVATE_KEY" }
        streams = [ { topic = "group:0000000000000000000000000000000000000000" } ]
    "#;
    assert_eq!(
        format!("{:#?}", parse_good(MANUAL)),
        format!("{:#?}", parse_good(required))
    );
}

#[test]
fn commented_out_keys_of_the_manual_are_valid() {
    let optional = ["since", "did_key", "retention", "moved_from"];
    let uncomment = |line: &str| {
        let bare = line.trim_start_matches("# ");
        let chosen = optional
            .iter()
            .any(|key| bare.starts_with(&format!("{key} = ")));
        if chosen {
            bare.to_owned()
        } else {
            line.to_owned()
        }
    };
    let text = MANUAL.lines().map(uncomment).collect::<Vec<_>>().join("\n");
    let config = parse_good(&text);
    assert!(config.agora[0].since.is_some() && config.web3mq[0].since.is_some());
    assert!(config.web3mq[0].did_key.is_some() && config.web3mq[0].retention.is_some());
    assert!(config.web3mq[0].moved_from.is_some());
}

/// The configuration that the Debian package installs.
const SAMPLE: &str = include_str!("../../../packaging/config.toml");

#[test]
fn installed_sample_needs_an_account_and_loads_with_its_own_uncommented() {
    let refused = parse(SAMPLE).unwrap_err().to_string();
    assert!(
        refused.contains("there is no account: add an [[agora]] or a [[web3mq]] table"),
        "{refused}"
    );
    let put_in = SAMPLE
        .replace("\n#", "\n")
        .replace("\n ", "\n# ")
        .replace("\n\n", "\n");
    let put_in: Vec<_> = put_in
        .lines()
        .filter(|line| line.starts_with('[') || line.contains(" = "))
        .collect();
    let put_in = put_in
        .join("\n")
        .replace("{ credential = \"agora-secret\" }", "\"hunter2\"");
    let put_in = put_in
        .replace("{ credential = \"alice-key\" }", &format!("\"{SEED}\""))
        .replace('…', "1");
    let config = parse_good(&put_in);
    assert_eq!((config.agora.len(), config.web3mq.len()), (1, 1));
}
