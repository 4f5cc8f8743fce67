//! Credentials, names, streams.

use super::*;

#[test]
fn missing_secret_source_is_rejected() {
    assert_eq!(
        agora_error(
            "customer_secret",
            r#"customer_secret = { env = "NOWHERE" }"#
        ),
        "6:19: `customer_secret` comes from the environment variable NOWHERE, which is unset or empty: set it"
    );
    assert_eq!(
        agora_error("customer_secret", r#"customer_secret = { env = "EMPTY" }"#),
        "6:19: `customer_secret` comes from the environment variable EMPTY, which is unset or empty: set it"
    );
    assert_eq!(
        agora_error(
            "customer_secret",
            r#"customer_secret = { env = "TWO_LINES" }"#
        ),
        "6:19: `customer_secret` contains a line break or another control character: remove it"
    );
    assert_eq!(
        agora_error(
            "customer_secret",
            r#"customer_secret = { file = "/nonexistent/key" }"#
        ),
        "6:19: `customer_secret` comes from the file /nonexistent/key, which cannot be read: No such file or directory (os error 2); correct the path or its permissions"
    );
    assert_eq!(
        agora_error(
            "customer_secret",
            r#"customer_secret = { credential = "agora" }"#
        ),
        r#"6:19: `customer_secret` comes from the systemd credential agora, but $CREDENTIALS_DIRECTORY is unset: run under systemd with LoadCredential=agora:PATH, or use { file = "PATH" }"#
    );
    assert_eq!(
        agora_error(
            "customer_secret",
            r#"customer_secret = { credential = "../agora" }"#
        ),
        "6:19: `customer_secret` names a credential that is not a plain file name: write the name given to LoadCredential="
    );
    assert_eq!(
        agora_error(
            "customer_secret",
            r#"customer_secret = { hunter2 = "env" }"#
        ),
        r#"6:19: `customer_secret` must be text or exactly one of { env = "NAME" }, { file = "PATH" }, { credential = "NAME" }"#
    );
    assert_eq!(
        agora_error(
            "customer_secret",
            r#"customer_secret = { env = "A", file = "b" }"#
        ),
        r#"6:19: `customer_secret` must be text or exactly one of { env = "NAME" }, { file = "PATH" }, { credential = "NAME" }"#
    );
    assert_eq!(
        agora_error("customer_secret", "customer_secret = {}"),
        r#"6:19: `customer_secret` must be text or exactly one of { env = "NAME" }, { file = "PATH" }, { credential = "NAME" }"#
    );
    assert_eq!(
        agora_error("customer_secret", "customer_secret = { env = 1 }"),
        r#"6:19: `customer_secret` must be text or exactly one of { env = "NAME" }, { file = "PATH" }, { credential = "NAME" }"#
    );
    assert_eq!(
        agora_error("customer_secret", r#"customer_secret = """#),
        "6:19: `customer_secret` is empty: fill it in, or remove the line if the key is optional"
    );
    assert_eq!(
        agora_error("customer_secret", r#"customer_secret = "höhle""#),
        "6:19: `customer_secret` contains a character that is not printable ASCII and cannot be sent in a header: correct it"
    );
}

#[test]
fn account_has_exactly_one_kind_of_credentials() {
    assert_eq!(
        error_of(
            "[[agora]]\nname = \"shop\"\napp_id = \"app\"\nstreams = [ { source = \"alice\" } ]"
        ),
        "1:1: this account has no credentials: add `customer_id` and `customer_secret`, or `app_certificate` and `uid`, or `token` and `uid`, or `token` alone"
    );
    assert_eq!(
        agora_error("", r#"token = "007""#),
        "7:9: this account has two kinds of credentials: keep either `customer_id` and `customer_secret`, or `app_certificate` and `uid`, or `token` (with or without `uid`)"
    );
    assert_eq!(
        agora_error("", r#"uid = "bot""#),
        "7:7: this account has two kinds of credentials: keep either `customer_id` and `customer_secret`, or `app_certificate` and `uid`, or `token` (with or without `uid`)"
    );
    assert_eq!(
        error_of(
            "[[agora]]\nname = \"shop\"\napp_id = \"app\"\nuid = \"bot\"\nstreams = [ { source = \"alice\" } ]"
        ),
        "1:1: [[agora]] has no `token`: add it as in the config.toml that Backscroll ships"
    );
    let with = |credentials: &str| {
        error_of(&format!(
            "[[agora]]\nname = \"shop\"\napp_id = \"app\"\n{credentials}\nstreams = [ {{ source = \"alice\" }} ]"
        ))
    };
    let certificate = format!("app_certificate = \"{}\"", "a".repeat(32));
    assert_eq!(
        with(&format!("token = \"007\"\n{certificate}")),
        "5:19: this account has both `token` and `app_certificate`: keep `app_certificate` to have tokens made, or `token` if others make them"
    );
    assert_eq!(
        with(&certificate),
        "1:1: [[agora]] has no `uid`: add it as in the config.toml that Backscroll ships"
    );
    assert_eq!(
        with("app_certificate = \"hunter2\"\nuid = \"bot\""),
        "4:19: `app_certificate` must be 32 hexadecimal digits: copy the primary certificate of the project from the Agora console"
    );
    assert_eq!(
        with("token = \"007\"\nuid = \"bot\"\ntoken_headers = { token = \"a b\", uid = \"c\" }"),
        "6:27: `token` must be the name of an HTTP header, like x-agora-token"
    );
    assert_eq!(
        with("token = \"007\"\nuid = \"bot\"\ntoken_headers = { token = \"a\" }"),
        "6:17: token_headers has no `uid`: add it as in the config.toml that Backscroll ships"
    );
}

#[test]
fn missing_account_and_duplicate_names_are_rejected() {
    assert_eq!(
        error_of(""),
        "1:1: there is no account: add an [[agora]] or a [[web3mq]] table"
    );
    assert_eq!(
        error_of("[database]\n"),
        "1:1: there is no account: add an [[agora]] or a [[web3mq]] table"
    );
    assert_eq!(
        error_of("agora = []"),
        "1:1: there is no account: add an [[agora]] or a [[web3mq]] table"
    );
    assert_eq!(
        error_of(&format!(
            "{AGORA}{}",
            WEB3MQ.replace("\"alice\"", "\"shop\"")
        )),
        "8:8: this name is already used by the account in line 1: give each account its own name, across both providers"
    );
    assert_eq!(
        agora_error("name", r#"name = """#),
        "6:8: `name` must be 1 to 64 of the letters a-z and A-Z, digits, `_`, `-` and `.`"
    );
    assert_eq!(
        agora_error("name", r#"name = "a b""#),
        "6:8: `name` must be 1 to 64 of the letters a-z and A-Z, digits, `_`, `-` and `.`"
    );
    assert_eq!(
        agora_error(
            "name",
            r#"name = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa""#
        ),
        "6:8: `name` must be 1 to 64 of the letters a-z and A-Z, digits, `_`, `-` and `.`"
    );
    assert_eq!(
        agora_error("name", r#"name = "ä""#),
        "6:8: `name` must be 1 to 64 of the letters a-z and A-Z, digits, `_`, `-` and `.`"
    );
}

#[test]
fn incomplete_and_duplicate_streams_are_rejected() {
    assert_eq!(
        agora_error("streams", r#"streams = [ { kind = "user" } ]"#),
        "6:13: this stream has neither `source` nor `destination`: give it at least one of them"
    );
    assert_eq!(
        agora_error(
            "streams",
            r#"streams = [ { source = "a", kind = "user" } ]"#
        ),
        "6:36: `kind` describes the `destination`, and this stream has none: remove `kind`, or add `destination`"
    );
    assert_eq!(
        agora_error(
            "streams",
            r#"streams = [ { destination = "a", kind = "group" } ]"#
        ),
        r#"6:41: `kind` must be "channel" or "user""#
    );
    assert_eq!(
        agora_error("streams", r#"streams = [ { destination = "" } ]"#),
        "6:29: `destination` is empty: fill it in, or remove the line if the key is optional"
    );
    assert_eq!(
        agora_error(
            "streams",
            "streams = [\n  { destination = \"a\" },\n  { source = \"a\" },\n  { destination = \"a\", kind = \"user\" },\n]"
        ),
        "9:3: this stream is already listed in line 7: remove one of the two"
    );
    assert_eq!(
        web3mq_error(
            "streams",
            r#"streams = [ { topic = "a" }, { topic = "a" } ]"#
        ),
        "6:30: this stream is already listed in line 6: remove one of the two"
    );
    assert_eq!(
        web3mq_error("streams", r#"streams = [ { topic = "" } ]"#),
        "6:23: `topic` is empty: fill it in, or remove the line if the key is optional"
    );
    assert_eq!(
        web3mq_error("streams", r#"streams = [ { topic = "a\nb" } ]"#),
        "6:23: `topic` contains a line break or another control character: remove it"
    );
}

#[test]
fn allowed_values_of_discover_depend_on_the_provider() {
    assert_eq!(
        agora_error("", r#"discover = "all""#),
        "7:12: `discover` must be true, false or \"events\""
    );
    assert_eq!(
        agora_error("", "discover = 1"),
        "7:12: `discover` must be true, false or \"events\""
    );
    assert_eq!(
        web3mq_error("", r#"discover = "events""#),
        "7:12: `discover` cannot be \"events\", since only Agora has event feeds: write true, which reads Web3MQ's lists of chats"
    );
    assert_eq!(
        web3mq_error("", "discover = 1"),
        "7:12: `discover` must be true or false, but is a whole number"
    );
}

#[test]
fn discovery_in_messages_needs_a_listed_stream() {
    assert_eq!(
        agora_error("streams", "discover = true"),
        "1:1: this account follows no stream: make `streams` a list with at least one stream, like [ { destination = \"lobby\" } ]"
    );
}

#[test]
fn app_id_that_is_no_path_segment_is_rejected() {
    assert_eq!(
        agora_error("app_id", r#"app_id = "../x""#),
        "6:10: `app_id` must be letters, digits, `_` and `-` only: copy the App ID from the Agora console"
    );
    assert_eq!(
        agora_error("app_id", r#"app_id = """#),
        "6:10: `app_id` is empty: fill it in, or remove the line if the key is optional"
    );
}

#[test]
fn wrong_private_key_is_rejected_and_never_quoted() {
    assert_eq!(
        web3mq_error(
            "private_key",
            r#"private_key = "0x9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60""#
        ),
        "6:15: `private_key` begins with 0x: write the 64 hex digits of the ed25519 seed without it"
    );
    assert_eq!(
        web3mq_error(
            "private_key",
            r#"private_key = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f609d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60""#
        ),
        "6:15: `private_key` is a pair of private and public key (128 hex digits): write only its first half, the 64 digits of the seed"
    );
    assert_eq!(
        web3mq_error("private_key", r#"private_key = "9d61""#),
        "6:15: `private_key` must be the ed25519 seed: 64 hex digits, for 32 bytes; this has 4 characters"
    );
    assert_eq!(
        web3mq_error(
            "private_key",
            r#"private_key = "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz""#
        ),
        "6:15: `private_key` must be the ed25519 seed: 64 hex digits; this has other characters"
    );
    assert_eq!(
        web3mq_error("private_key", r#"private_key = "eth""#),
        "6:15: `private_key` must be the ed25519 seed: 64 hex digits, for 32 bytes; this has 3 characters"
    );
}
