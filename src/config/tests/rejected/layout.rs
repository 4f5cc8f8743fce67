//! Syntax, unknown keys, wrong types, missing keys.

use super::*;

#[test]
fn what_is_not_toml_is_refused_without_quoting_it() {
    assert_eq!(
        refusal("[database\nurl = \"x\""),
        "1:10: this is not TOML: unclosed table, expected `]`"
    );
    assert_eq!(
        refusal("[[agora]]\ncustomer_secret = \"hunter2"),
        r#"2:27: this is not TOML: invalid basic string, expected `"`"#
    );
    assert_eq!(
        refusal("[[agora]]\ncustomer_secret = hunter2"),
        "2:19: this is not TOML: string values must be quoted, expected literal string"
    );
    assert_eq!(
        refusal("a = 1\na = 2"),
        "2:1: this is not TOML: duplicate key"
    );
    assert_eq!(
        refusal("é = 1"),
        "1:1: this is not TOML: invalid unquoted key, expected letters, numbers, `-`, `_`"
    );
}

#[test]
fn an_unknown_key_is_named_with_the_nearest_known_one() {
    assert_eq!(
        refusal("[databse]\nurl = \"x\""),
        "1:2: unknown table `databse` in this file: did you mean `database`? Known here: database, schedule, status_page, alerts, log, agora, web3mq"
    );
    assert_eq!(
        refusal(r#"sync = "x""#),
        "1:1: unknown key `sync` in this file; known here: database, schedule, status_page, alerts, log, agora, web3mq"
    );
    assert_eq!(
        refusal("[[agoras]]"),
        "1:3: unknown table `agoras` in this file: did you mean `agora`? Known here: database, schedule, status_page, alerts, log, agora, web3mq"
    );
    assert_eq!(
        refusal("[database]\nuri = \"x\""),
        "2:1: unknown key `uri` in [database]: did you mean `url`? Known here: url"
    );
    assert_eq!(
        refusal("[schedule]\nsink = \"x\""),
        "2:1: unknown key `sink` in [schedule]: did you mean `sync`? Known here: sync, reconcile, refresh"
    );
    assert_eq!(
        refusal("[status_page]\nport = 1"),
        "2:1: unknown key `port` in [status_page]; known here: listen"
    );
    assert_eq!(
        agora("", "custmer_id = 1"),
        "7:1: unknown key `custmer_id` in [[agora]]: did you mean `customer_id`? Known here: name, base_url, app_id, customer_id, customer_secret, token, uid, requests_per_second, timeout, retention, since, settle, streams, discover"
    );
    assert_eq!(
        agora(
            "streams",
            "streams = [\n  { destination = \"a\" },\n  { destnation = \"b\" } ]"
        ),
        "8:5: unknown key `destnation` in a stream of [[agora]]: did you mean `destination`? Known here: source, destination, kind"
    );
    assert_eq!(
        web3mq("", "pagesize = 1"),
        "7:1: unknown key `pagesize` in [[web3mq]]: did you mean `page_size`? Known here: name, base_url, user_id, private_key, did_key, send_public_key, requests_per_second, timeout, page_size, retention, since, settle, refresh_for, streams, discover"
    );
    assert_eq!(
        web3mq("streams", r#"streams = [ { topics = "a" } ]"#),
        "6:15: unknown key `topics` in a stream of [[web3mq]]: did you mean `topic`? Known here: topic"
    );
}

#[test]
fn a_message_is_one_line_whatever_the_key() {
    assert_eq!(
        refusal("[database]\n\"a\\nb\" = 1"),
        r"2:1: unknown key `a\nb` in [database]; known here: url"
    );
}

#[test]
fn a_value_has_to_be_of_its_type() {
    assert_eq!(
        refusal(r#"database = "x""#),
        "1:12: `database` must be one table, headed [database], but is text"
    );
    assert_eq!(
        refusal("[[database]]\nurl = \"x\""),
        "1:1: `database` must be one table, headed [database], but is a list"
    );
    assert_eq!(
        refusal("[database]\nurl = 1"),
        "2:7: `url` must be text in quotes, but is a whole number"
    );
    assert_eq!(
        refusal("[agora]\nname = \"a\""),
        "1:1: `agora` must be tables, each headed [[agora]], but is a table"
    );
    assert_eq!(
        refusal("agora = [ 1 ]"),
        "1:11: `agora` must be tables, each headed [[agora]], but is a whole number"
    );
    assert_eq!(
        agora("name", "name = true"),
        "6:8: `name` must be text in quotes, but is true or false"
    );
    assert_eq!(
        agora("streams", r#"streams = "lobby""#),
        r#"6:11: `streams` must be a list with at least one stream, like [ { destination = "lobby" } ], but is text"#
    );
    assert_eq!(
        agora("streams", r#"streams = [ "lobby" ]"#),
        r#"6:13: `streams` must be a list with at least one stream, like [ { destination = "lobby" } ], but is text"#
    );
    assert_eq!(
        agora("streams", r#"streams = { destination = "lobby" }"#),
        r#"6:11: `streams` must be a list with at least one stream, like [ { destination = "lobby" } ], but is a table"#
    );
    assert_eq!(
        agora("", r#"requests_per_second = "10""#),
        "7:23: `requests_per_second` must be a number, but is text"
    );
    assert_eq!(
        agora("", "settle = 120"),
        r#"7:10: `settle` must be a number and its unit in quotes, like "90s", but is a whole number"#
    );
    assert_eq!(
        agora("", "settle = 1.5"),
        r#"7:10: `settle` must be a number and its unit in quotes, like "90s", but is a decimal number"#
    );
    assert_eq!(
        web3mq("", r#"send_public_key = "yes""#),
        "7:19: `send_public_key` must be true or false, but is text"
    );
    assert_eq!(
        web3mq("", "page_size = 1.5"),
        "7:13: `page_size` must be a whole number, but is a decimal number"
    );
    assert_eq!(
        agora("", "since = 5"),
        "7:9: `since` must be a time, like 2026-11-01T00:00:00Z, but is a whole number"
    );
    assert_eq!(
        refusal("[status_page]\nlisten = 9464"),
        "2:10: `listen` must be text in quotes, but is a whole number"
    );
}

#[test]
fn a_required_key_is_missed() {
    assert_eq!(
        agora("name", ""),
        "1:1: [[agora]] lacks `name`: add it, the way the config.toml that Backscroll ships does"
    );
    assert_eq!(
        agora("app_id", ""),
        "1:1: [[agora]] lacks `app_id`: add it, the way the config.toml that Backscroll ships does"
    );
    assert_eq!(
        agora("customer_id", ""),
        "1:1: [[agora]] lacks `customer_id`: add it, the way the config.toml that Backscroll ships does"
    );
    assert_eq!(
        agora("customer_secret", ""),
        "1:1: [[agora]] lacks `customer_secret`: add it, the way the config.toml that Backscroll ships does"
    );
    assert_eq!(
        agora("streams", ""),
        r#"1:1: this account follows no stream: make `streams` a list with at least one stream, like [ { destination = "lobby" } ]"#
    );
    assert_eq!(
        agora("streams", "streams = []"),
        r#"6:11: this account follows no stream: make `streams` a list with at least one stream, like [ { destination = "lobby" } ]"#
    );
    assert_eq!(
        web3mq("name", ""),
        "1:1: [[web3mq]] lacks `name`: add it, the way the config.toml that Backscroll ships does"
    );
    assert_eq!(
        web3mq("base_url", ""),
        "1:1: [[web3mq]] lacks `base_url`: add it, the way the config.toml that Backscroll ships does"
    );
    assert_eq!(
        web3mq("user_id", ""),
        "1:1: [[web3mq]] lacks `user_id`: add it, the way the config.toml that Backscroll ships does"
    );
    assert_eq!(
        web3mq("private_key", ""),
        "1:1: [[web3mq]] lacks `private_key`: add it, the way the config.toml that Backscroll ships does"
    );
    assert_eq!(
        web3mq("streams", "streams = [ {} ]"),
        "6:13: a stream of [[web3mq]] lacks `topic`: add it, the way the config.toml that Backscroll ships does"
    );
    assert_eq!(
        web3mq("streams", ""),
        r#"1:1: this account follows no stream: make `streams` a list with at least one stream, like [ { topic = "group:…" } ]"#
    );
}
