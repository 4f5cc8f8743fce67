//! Every key there is. The shipped `config.toml` is tested against these lists.

/// A kind of table: how messages call it, the form in which it is written, and the keys it may have.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) name: &'static str,
    pub(super) form: &'static str,
    pub(super) keys: &'static [&'static str],
}

pub(super) const FILE: Shape = Shape {
    name: "this file",
    form: "tables",
    keys: &[
        "database",
        "schedule",
        "status_page",
        "alerts",
        "log",
        "agora",
        "web3mq",
    ],
};

pub(super) const DATABASE: Shape = Shape {
    name: "[database]",
    form: "one table, headed [database]",
    keys: &["url"],
};

pub(super) const SCHEDULE: Shape = Shape {
    name: "[schedule]",
    form: "one table, headed [schedule]",
    keys: &["sync", "reconcile", "refresh"],
};

pub(super) const STATUS_PAGE: Shape = Shape {
    name: "[status_page]",
    form: "one table, headed [status_page]",
    keys: &["listen"],
};

pub(super) const ALERTS: Shape = Shape {
    name: "[alerts]",
    form: "one table, headed [alerts]",
    keys: &["webhook"],
};

pub(super) const LOG: Shape = Shape {
    name: "[log]",
    form: "one table, headed [log]",
    keys: &["levels", "format"],
};

pub(super) const AGORA: Shape = Shape {
    name: "[[agora]]",
    form: "tables, each headed [[agora]]",
    keys: &[
        "name",
        "base_url",
        "app_id",
        "customer_id",
        "customer_secret",
        "token",
        "uid",
        "requests_per_second",
        "timeout",
        "retention",
        "since",
        "settle",
        "streams",
        "discover",
    ],
};

pub(super) const AGORA_STREAM: Shape = Shape {
    name: "a stream of [[agora]]",
    form: "a list with at least one stream, like [ { destination = \"lobby\" } ]",
    keys: &["source", "destination", "kind"],
};

pub(super) const WEB3MQ: Shape = Shape {
    name: "[[web3mq]]",
    form: "tables, each headed [[web3mq]]",
    keys: &[
        "name",
        "base_url",
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
    ],
};

pub(super) const WEB3MQ_STREAM: Shape = Shape {
    name: "a stream of [[web3mq]]",
    form: "a list with at least one stream, like [ { topic = \"group:…\" } ]",
    keys: &["topic"],
};
