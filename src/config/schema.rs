//! The known keys of every table. Tests compare these lists with the shipped `config.toml`.

/// A kind of table.
#[derive(Debug)]
pub(super) struct TableSchema {
    /// The name of the table in messages.
    pub(super) name: &'static str,
    /// The way the table is written, as the end of "must be …".
    pub(super) expected_form: &'static str,
    /// The keys that the table may have.
    pub(super) keys: &'static [&'static str],
}

pub(super) const FILE: TableSchema = TableSchema {
    name: "this file",
    expected_form: "tables",
    keys: &[
        "database",
        "schedule",
        "status_page",
        "alerts",
        "search",
        "log",
        "agora",
        "web3mq",
    ],
};

pub(super) const DATABASE: TableSchema = TableSchema {
    name: "[database]",
    expected_form: "one table, headed [database]",
    keys: &["url"],
};

pub(super) const SCHEDULE: TableSchema = TableSchema {
    name: "[schedule]",
    expected_form: "one table, headed [schedule]",
    keys: &["sync", "reconcile", "refresh"],
};

pub(super) const STATUS_PAGE: TableSchema = TableSchema {
    name: "[status_page]",
    expected_form: "one table, headed [status_page]",
    keys: &["listen"],
};

pub(super) const ALERTS: TableSchema = TableSchema {
    name: "[alerts]",
    expected_form: "one table, headed [alerts]",
    keys: &["webhook"],
};

pub(super) const SEARCH: TableSchema = TableSchema {
    name: "[search]",
    expected_form: "one table, headed [search]",
    keys: &["enabled"],
};

pub(super) const LOG: TableSchema = TableSchema {
    name: "[log]",
    expected_form: "one table, headed [log]",
    keys: &["levels", "format"],
};

pub(super) const AGORA: TableSchema = TableSchema {
    name: "[[agora]]",
    expected_form: "tables, each headed [[agora]]",
    keys: &[
        "name",
        "base_url",
        "app_id",
        "customer_id",
        "customer_secret",
        "token",
        "app_certificate",
        "uid",
        "token_headers",
        "requests_per_second",
        "timeout",
        "retention",
        "since",
        "settle",
        "streams",
        "discover",
        "discover_limit",
    ],
};

pub(super) const TOKEN_HEADERS: TableSchema = TableSchema {
    name: "token_headers",
    expected_form: "two names, like { token = \"x-agora-token\", uid = \"x-agora-uid\" }",
    keys: &["token", "uid"],
};

pub(super) const AGORA_STREAM: TableSchema = TableSchema {
    name: "a stream of [[agora]]",
    expected_form: "a list with at least one stream, like [ { destination = \"lobby\" } ]",
    keys: &["source", "destination", "kind"],
};

pub(super) const WEB3MQ: TableSchema = TableSchema {
    name: "[[web3mq]]",
    expected_form: "tables, each headed [[web3mq]]",
    keys: &[
        "name",
        "base_url",
        "moved_from",
        "user_id",
        "private_key",
        "did_key",
        "send_public_key",
        "requests_per_second",
        "timeout",
        "page_size",
        "retention",
        "since",
        "settle",
        "refresh_for",
        "streams",
        "discover",
        "discover_limit",
    ],
};

pub(super) const WEB3MQ_STREAM: TableSchema = TableSchema {
    name: "a stream of [[web3mq]]",
    expected_form: "a list with at least one stream, like [ { topic = \"group:…\" } ]",
    keys: &["topic"],
};
