//! Accepted and rejected configurations, with the exact error messages.

mod accepted;
mod manual;
mod rejected;

use std::ffi::OsString;
use std::path::Path;

use secrecy::ExposeSecret;

use super::{Config, ConfigError, Secret, UsedSecrets};

/// The seed of the first test of RFC 8032.
const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";

const AGORA: &str = r#"[[agora]]
name = "shop"
app_id = "app"
customer_id = "id"
customer_secret = "hunter2"
streams = [ { destination = "lobby" } ]
"#;

const WEB3MQ: &str = r#"[[web3mq]]
name = "alice"
base_url = "https://node.example"
user_id = "user:1"
private_key = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
streams = [ { topic = "group:1" } ]
"#;

/// The environment of the tests.
fn variable(name: &str) -> Option<OsString> {
    let value = match name {
        "AGORA_APP_ID" => "0123456789abcdef",
        "AGORA_CUSTOMER_ID" => "customer",
        "AGORA_CUSTOMER_SECRET" => "hunter2",
        "WEB3MQ_USER_ID" => "user:1",
        "WEB3MQ_PRIVATE_KEY" => SEED,
        "EMPTY" => "",
        "TWO_LINES" => "one\ntwo",
        _ => return None,
    };
    Some(value.into())
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    parse_for(text, UsedSecrets::All)
}

fn parse_for(text: &str, used: UsedSecrets<'_>) -> Result<Config, ConfigError> {
    Config::parse_in(text, Path::new("config.toml"), &variable, used)
}

/// Returns the value of a secret, by the environment of the tests.
fn value_of(secret: &Secret) -> String {
    secret.read().unwrap().expose_secret().to_owned()
}

fn parse_good(text: &str) -> Config {
    parse(text).unwrap_or_else(|error| panic!("{error}"))
}
