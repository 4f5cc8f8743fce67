//! Syntax, unknown keys, wrong types, missing keys.

use super::*;

#[test]
fn invalid_toml_is_rejected_without_quoting_it() {
    assert_eq!(
        error_of("[database\nurl = \"x\""),
        "1:10: this is not TOML: unclosed table, expected `]`"
    );
    assert_eq!(
        error_of("[[agora]]\ncustomer_secret = \"hunter2"),
        r#"2:27: this is not TOML: invalid basic string, expected `"`"#
    );
    assert_eq!(
        error_of("[[agora]]\ncustomer_secret = hunter2"),
        "2:19: this is not TOML: string values must be quoted, expected literal string"
    );
    assert_eq!(
        error_of("a = 1\na = 2"),
        "2:1: this is not TOML: duplicate key"
    );
    assert_eq!(
        error_of("é = 1"),
        "1:1: this is not TOML: invalid unquoted key, expected letters, numbers, `-`, `_`"
    );
}

#[test]
fn unknown_key_error_names_the_nearest_known_key() {
    assert_eq!(
        error_of("[databse]\nurl = \"x\""),
        "1:2: unknown table `databse` in this file: did you mean `database`? Known here: database, schedule, status_page, alerts, search, log, agora, web3mq"
    );
    assert_eq!(
        error_of(r#"sync = "x""#),
        "1:1: unknown key `sync` in this file; known here: database, schedule, status_page, alerts, search, log, agora, web3mq"
    );
    assert_eq!(
        error_of("[[agoras]]"),
        "1:3: unknown table `agoras` in this file: did you mean `agora`? Known here: database, schedule, status_page, alerts, search, log, agora, web3mq"
    );
    assert_eq!(
        error_of("[database]\nuri = \"x\""),
        "2:1: unknown key `uri` in [database]: did you mean `url`? Known here: url"
    );
    assert_eq!(
        error_of("[schedule]\nsink = \"x\""),
        "2:1: unknown key `sink` in [schedule]: did you mean `sync`? Known here: sync, reconcile, refresh"
    );
    assert_eq!(
        error_of("[status_page]\nport = 1"),
        "2:1: unknown key `port` in [status_page]; known here: listen"
    );
    assert_eq!(
        agora_error("", "custmer_id = 1"),
        "7:1: unknown key `custmer_id` in [[agora]]: did you mean `customer_id`? Known here: name, base_url, app_id, customer_id, customer_secret, token, app_certificate, uid, token_headers, requests_per_second, timeout, retention, since, settle, streams, discover, discover_limit"
    );
    assert_eq!(
        agora_error(
            "streams",
            "streams = [\n  { destination = \"a\" },\n  { destnation = \"b\" } ]"
        ),
        "8:5: unknown key `destnation` in a stream of [[agora]]: did you mean `destination`? Known here: source, destination, kind"
    );
    assert_eq!(
        web3mq_error("", "pagesize = 1"),
        "7:1: unknown key `pagesize` in [[web3mq]]: did you mean `page_size`? Known here: name, base_url, moved_from, user_id, private_key, did_key, send_public_key, requests_per_second, timeout, page_size, retention, since, settle, refresh_for, streams, discover, discover_limit"
    );
    assert_eq!(
        web3mq_error("streams", r#"streams = [ { topics = "a" } ]"#),
        "6:15: unknown key `topics` in a stream of [[web3mq]]: did you mean `topic`? Known here: topic"
    );
}

#[test]
fn error_message_is_one_line_for_any_key() {
    assert_eq!(
        error_of("[database]\n\"a\\nb\" = 1"),
        r"2:1: unknown key `a\nb` in [database]; known here: url"
    );
}

#[test]
fn value_of_the_wrong_type_is_rejected() {
    assert_eq!(
        error_of(r#"database = "x""#),
        "1:12: `database` must be one table, headed [database], but is text"
    );
    assert_eq!(
        error_of("[[database]]\nurl = \"x\""),
        "1:1: `database` must be one table, headed [database], but is a list"
    );
    assert_eq!(
        error_of("[database]\nurl = 1"),
        "2:7: `url` must be text in quotes, but is a whole number"
    );
    assert_eq!(
        error_of("[agora]\nname = \"a\""),
        "1:1: `agora` must be tables, each headed [[agora]], but is a table"
    );
    assert_eq!(
        error_of("agora = [ 1 ]"),
        "1:11: `agora` must be tables, each headed [[agora]], but is a whole number"
    );
    assert_eq!(
        agora_error("name", "name = true"),
        "6:8: `name` must be text in quotes, but is true or false"
    );
    assert_eq!(
        agora_error("streams", r#"streams = "lobby""#),
        r#"6:11: `streams` must be a list with at least one stream, like [ { destination = "lobby" } ], but is text"#
    );
    assert_eq!(
        agora_error("streams", r#"streams = [ "lobby" ]"#),
        r#"6:13: `streams` must be a list with at least one stream, like [ { destination = "lobby" } ], but is text"#
    );
    assert_eq!(
        agora_error("streams", r#"streams = { destination = "lobby" }"#),
        r#"6:11: `streams` must be a list with at least one stream, like [ { destination = "lobby" } ], but is a table"#
    );
    assert_eq!(
        agora_error("", r#"requests_per_second = "10""#),
        "7:23: `requests_per_second` must be a number, but is text"
    );
    assert_eq!(
        agora_error("", "settle = 120"),
        r#"7:10: `settle` must be a number and its unit in quotes, like "90s", but is a whole number"#
    );
    assert_eq!(
        agora_error("", "settle = 1.5"),
        r#"7:10: `settle` must be a number and its unit in quotes, like "90s", but is a decimal number"#
    );
    assert_eq!(
        web3mq_error("", r#"send_public_key = "yes""#),
        "7:19: `send_public_key` must be true or false, but is text"
    );
    assert_eq!(
        web3mq_error("", "page_size = 1.5"),
        "7:13: `page_size` must be a whole number, but is a decimal number"
    );
    assert_eq!(
        agora_error("", "since = 5"),
        "7:9: `since` must be a time, like 2026-11-01T00:00:00Z, but is a whole number"
    );
    assert_eq!(
        error_of("[status_page]\nlisten = 9464"),
        "2:10: `listen` must be text in quotes, but is a whole number"
    );
}

#[test]
fn missing_required_key_is_rejected() {
    assert_eq!(
        agora_error("name", ""),
        "1:1: [[agora]] has no `name`: add it as in the config.toml that Backscroll ships"
    );
    assert_eq!(
        agora_error("app_id", ""),
        "1:1: [[agora]] has no `app_id`: add it as in the config.toml that Backscroll ships"
    );
    assert_eq!(
        agora_error("customer_id", ""),
        "1:1: [[agora]] has no `customer_id`: add it as in the config.toml that Backscroll ships"
    );
    assert_eq!(
        agora_error("customer_secret", ""),
        "1:1: [[agora]] has no `customer_secret`: add it as in the config.toml that Backscroll ships"
    );
    assert_eq!(
        agora_error("streams", ""),
        r#"1:1: this account follows no stream: make `streams` a list with at least one stream, like [ { destination = "lobby" } ]"#
    );
    assert_eq!(
        agora_error("streams", "streams = []"),
        r#"6:11: this account follows no stream: make `streams` a list with at least one stream, like [ { destination = "lobby" } ]"#
    );
    assert_eq!(
        web3mq_error("name", ""),
        "1:1: [[web3mq]] has no `name`: add it as in the config.toml that Backscroll ships"
    );
    assert_eq!(
        web3mq_error("base_url", ""),
        "1:1: [[web3mq]] has no `base_url`: add it as in the config.toml that Backscroll ships"
    );
    assert_eq!(
        web3mq_error("user_id", ""),
        "1:1: [[web3mq]] has no `user_id`: add it as in the config.toml that Backscroll ships"
    );
    assert_eq!(
        web3mq_error("private_key", ""),
        "1:1: [[web3mq]] has no `private_key`: add it as in the config.toml that Backscroll ships"
    );
    assert_eq!(
        web3mq_error("streams", "streams = [ {} ]"),
        "6:13: a stream of [[web3mq]] has no `topic`: add it as in the config.toml that Backscroll ships"
    );
    assert_eq!(
        web3mq_error("streams", ""),
        r#"1:1: this account follows no stream: make `streams` a list with at least one stream, like [ { topic = "group:…" } ]"#
    );
}

#[test]
fn all_mistakes_are_reported_in_the_order_of_the_file() {
    let text = r#"
[database]
url = "mysql://x"
[schedule]
sync = "every minute"
[log]
levels = "inof"
[[agora]]
name = "shop"
app_id = "a b"
customer_id = { env = "NO_SUCH_ID" }
requests_per_second = "many"
retrys = 5
streams = [ { kind = "user" }, { destination = 5 }, { topic = "x" } ]
[[web3mq]]
name = "shop"
base_url = "http://node.example"
private_key = "0x12"
streams = []
"#;
    let found = errors_of(text);
    let named = [
        "3:7: `url` is not a supported database",
        "5:8: `sync` must have six fields",
        "7:10: `levels` has `inof`",
        "8:1: [[agora]] has no `customer_secret`",
        "10:10: `app_id` must be letters",
        "11:15: `customer_id` comes from the environment variable NO_SUCH_ID",
        "12:23: `requests_per_second` must be a number",
        "13:1: unknown key `retrys`",
        "14:13: this stream has neither",
        "14:48: `destination` must be text",
        "14:53: this stream has neither",
        "14:55: unknown key `topic`",
        "15:1: [[web3mq]] has no `user_id`",
        "16:8: this name is already used",
        "17:12: `base_url` would send credentials unencrypted",
        "18:15: `private_key` begins with 0x",
        "19:11: this account follows no stream",
    ];
    assert_eq!(found.len(), named.len(), "{found:#?}");
    for (found, named) in found.iter().zip(named) {
        assert!(found.starts_with(named), "{found} is not {named}");
    }
}

#[test]
fn long_list_of_mistakes_is_cut() {
    let streams = "{ topic = \"x\", destination = \"y\" },".repeat(500);
    let text = AGORA.replace("{ destination = \"lobby\" }", &streams);
    let found = errors_of(&text);
    assert_eq!(found.len(), 21);
    assert_eq!(found[20], "… and 979 more mistakes in this file");
}

#[test]
fn mistake_explains_what_follows_from_it() {
    // The misspelled header is the reason why there is no account.
    assert_eq!(errors_of("[[agoras]]").len(), 1);
    // The age that cannot be read is not compared with the other one.
    let text = format!("{AGORA}settle = \"soon\"\nretention = \"1m\"\n");
    assert_eq!(errors_of(&text).len(), 1);
    assert_eq!(errors_of("agora = 5").len(), 1);
}
