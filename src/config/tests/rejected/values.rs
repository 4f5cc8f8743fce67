//! Schedules, addresses, numbers, durations, times.

use super::*;

#[test]
fn invalid_schedule_is_rejected() {
    assert_eq!(
        error_of("[schedule]\nsync = \"*/5 * * * *\""),
        r#"2:8: `sync` has five fields: seconds come first, so write "0 */5 * * * *" for that schedule (second, minute, hour, day, month, weekday)"#
    );
    assert_eq!(
        error_of("[schedule]\nsync = \"@hourly\""),
        r#"2:8: `sync` must have six fields and has 1: write second, minute, hour, day, month, weekday, like "0 * * * * *""#
    );
    assert_eq!(
        error_of("[schedule]\nreconcile = \"0 0 0 1 1 * 2027\""),
        r#"2:13: `reconcile` must have six fields and has 7: write second, minute, hour, day, month, weekday, like "0 * * * * *""#
    );
    assert_eq!(
        error_of("[schedule]\nrefresh = \"0 99 * * * *\""),
        "2:11: `refresh` is not a schedule (Number out of bounds): correct it; the fields are second, minute, hour, day, month, weekday"
    );
    assert_eq!(
        error_of("[schedule]\nrefresh = \"0 0 0 30 2 *\""),
        "2:11: `refresh` never occurs: correct day and month"
    );
    assert_eq!(
        error_of("[schedule]\nsync = \"x y z a b c\""),
        "2:8: `sync` is not a schedule (CronPattern contains illegal character 'X' in part 'X'): correct it; the fields are second, minute, hour, day, month, weekday"
    );
    assert_eq!(
        error_of("[schedule]\nsync = \"\""),
        r#"2:8: `sync` must have six fields and has 0: write second, minute, hour, day, month, weekday, like "0 * * * * *""#
    );
}

#[test]
fn url_that_exposes_credentials_is_rejected() {
    assert_eq!(
        agora_error("", r#"base_url = "api.agora.io""#),
        r#"7:12: `base_url` is not a URL: write it like "https://api.agora.io""#
    );
    assert_eq!(
        agora_error("", r#"base_url = "ftp://api.agora.io""#),
        r#"7:12: `base_url` must begin with https:// and name a host: write it like "https://api.agora.io""#
    );
    assert_eq!(
        agora_error("", r#"base_url = "http://api.agora.io""#),
        "7:12: `base_url` would send credentials unencrypted: write https://; http:// is only for 127.0.0.0/8, ::1 and localhost"
    );
    assert_eq!(
        agora_error("", r#"base_url = "http://localhost.example""#),
        "7:12: `base_url` would send credentials unencrypted: write https://; http:// is only for 127.0.0.0/8, ::1 and localhost"
    );
    assert_eq!(
        agora_error("", r#"base_url = "https://u:hunter2@api.agora.io""#),
        "7:12: `base_url` contains a user or password: remove it; credentials have keys of their own"
    );
    assert_eq!(
        agora_error("", r#"base_url = "https://api.agora.io?key=hunter2""#),
        "7:12: `base_url` contains a query (`?`) or a fragment (`#`): remove it; only scheme, host, port and path are allowed"
    );
    assert_eq!(
        web3mq_error("base_url", r#"base_url = "https://node.example/#a""#),
        "6:12: `base_url` contains a query (`?`) or a fragment (`#`): remove it; only scheme, host, port and path are allowed"
    );
}

#[test]
fn database_other_than_file_or_server_is_rejected() {
    assert_eq!(
        error_of("[database]\nurl = \"postgres://user:hunter2@host:port/db\""),
        r#"2:7: `url` is not a URL of a Postgres database: write it like "postgres://user@host/database?sslmode=verify-full""#
    );
    assert_eq!(
        error_of("[database]\nurl = \"mysql://user:hunter2@host/db\""),
        r#"2:7: `url` is not a supported database: write "sqlite://archive.db" or another path, or "postgres://user@host/database""#
    );
    assert_eq!(
        error_of("[database]\nurl = \"archive.db\""),
        r#"2:7: `url` is not a supported database: write "sqlite://archive.db" or another path, or "postgres://user@host/database""#
    );
    assert_eq!(
        error_of("[database]\nurl = \"sqlite::memory:\""),
        r#"2:7: `url` names no file: write "sqlite://archive.db" or another path; an archive in memory would be lost at exit"#
    );
    assert_eq!(
        error_of("[database]\nurl = \"sqlite://\""),
        r#"2:7: `url` names no file: write "sqlite://archive.db" or another path; an archive in memory would be lost at exit"#
    );
    assert_eq!(
        error_of("[database]\nurl = \"sqlite://a.db?mode=ro\""),
        "2:7: `url` contains parameters (`?`): remove them; Backscroll sets its own SQLite options"
    );
}

#[test]
fn invalid_listen_address_is_rejected() {
    assert_eq!(
        error_of("[status_page]\nlisten = \"localhost:9464\""),
        r#"2:10: `listen` is not an address to listen on: write IP and port, like "127.0.0.1:9464", or "" to turn the page off"#
    );
    assert_eq!(
        error_of("[status_page]\nlisten = \":9464\""),
        r#"2:10: `listen` is not an address to listen on: write IP and port, like "127.0.0.1:9464", or "" to turn the page off"#
    );
}

#[test]
fn invalid_log_levels_and_format_are_rejected() {
    assert_eq!(
        error_of("[log]\nlevels = \"backscroll=loud\""),
        "2:10: `levels` has the level `loud`, which does not exist: write error, warn, info, debug or trace"
    );
    assert_eq!(
        error_of("[log]\nlevels = \"inof\""),
        "2:10: `levels` has `inof`, which is neither a level nor a module: write a level (error, warn, info, debug, trace), or levels by module, like \"info,backscroll::sync=debug\""
    );
    assert_eq!(
        error_of("[log]\nlevels = \" \""),
        "2:10: `levels` is empty: fill it in, or remove the line if the key is optional"
    );
    assert_eq!(
        error_of("[log]\nformat = \"xml\""),
        r#"2:10: `format` must be "auto", "human", "json" or "journal""#
    );
}

#[test]
fn number_out_of_range_is_rejected() {
    assert_eq!(
        agora_error("", "requests_per_second = 0"),
        "7:23: `requests_per_second` must be from 0.001 to 100000"
    );
    assert_eq!(
        agora_error("", "requests_per_second = -1.5"),
        "7:23: `requests_per_second` must be from 0.001 to 100000"
    );
    assert_eq!(
        agora_error("", "requests_per_second = nan"),
        "7:23: `requests_per_second` must be from 0.001 to 100000"
    );
    assert_eq!(
        agora_error("", "requests_per_second = inf"),
        "7:23: `requests_per_second` must be from 0.001 to 100000"
    );
    assert_eq!(
        agora_error("", "requests_per_second = 99999999999"),
        "7:23: `requests_per_second` must be from 0.001 to 100000"
    );
    assert_eq!(
        web3mq_error("", "page_size = 0"),
        "7:13: `page_size` must be from 1 to 1000"
    );
    assert_eq!(
        web3mq_error("", "page_size = -1"),
        "7:13: `page_size` must be from 1 to 1000"
    );
    assert_eq!(
        web3mq_error("", "page_size = 1001"),
        "7:13: `page_size` must be from 1 to 1000"
    );
}

#[test]
fn invalid_duration_is_rejected() {
    assert_eq!(
        agora_error("", r#"settle = "-5s""#),
        r#"7:10: `settle` is not a duration: write a whole number and its unit (ms, s, m, h, d or w), like "90s", "7d" or "1h30m""#
    );
    assert_eq!(
        agora_error("", r#"settle = "5""#),
        r#"7:10: `settle` is not a duration: write a whole number and its unit (ms, s, m, h, d or w), like "90s", "7d" or "1h30m""#
    );
    assert_eq!(
        agora_error("", r#"settle = "5 s""#),
        r#"7:10: `settle` is not a duration: write a whole number and its unit (ms, s, m, h, d or w), like "90s", "7d" or "1h30m""#
    );
    assert_eq!(
        agora_error("", r#"settle = "5y""#),
        r#"7:10: `settle` is not a duration: write a whole number and its unit (ms, s, m, h, d or w), like "90s", "7d" or "1h30m""#
    );
    assert_eq!(
        agora_error("", r#"settle = "1.5h""#),
        r#"7:10: `settle` is not a duration: write a whole number and its unit (ms, s, m, h, d or w), like "90s", "7d" or "1h30m""#
    );
    assert_eq!(
        agora_error("", r#"settle = """#),
        r#"7:10: `settle` is not a duration: write a whole number and its unit (ms, s, m, h, d or w), like "90s", "7d" or "1h30m""#
    );
    assert_eq!(
        agora_error("", r#"settle = "0s""#),
        "7:10: `settle` is zero: write a duration longer than zero"
    );
    for out_of_bounds in ["999ms", "11m"] {
        assert_eq!(
            agora_error("", &format!("timeout = \"{out_of_bounds}\"")),
            "7:11: `timeout` must be from 1s to 10m: a shorter timeout cuts off good responses, a longer one lets a dead connection block the account"
        );
    }
    assert_eq!(
        agora_error("", r#"retention = "36501d""#),
        "7:13: `retention` is longer than 100 years (36500d): shorten it"
    );
    assert_eq!(
        agora_error("", r#"retention = "99999999999999999999999d""#),
        "7:13: `retention` is longer than 100 years (36500d): shorten it"
    );
    assert_eq!(
        agora_error("", r#"retention = "1m""#),
        "7:13: `retention` is shorter than `settle`: messages would expire before their range can be sealed; lengthen `retention` or shorten `settle`"
    );
    assert_eq!(
        agora_error("", r#"settle = "8d""#),
        "7:10: `retention` is shorter than `settle`: messages would expire before their range can be sealed; lengthen `retention` or shorten `settle`"
    );
    assert_eq!(
        web3mq_error("", r#"retention = "1m""#),
        "7:13: `retention` is shorter than `settle`: messages would expire before their range can be sealed; lengthen `retention` or shorten `settle`"
    );
}

#[test]
fn invalid_time_is_rejected() {
    assert_eq!(
        agora_error("", r#"since = "yesterday""#),
        "7:9: `since` is invalid: `yesterday` is not a time: write it as RFC 3339, like 2026-11-01T00:00:00Z"
    );
    assert_eq!(
        agora_error("", "since = 2026-11-01"),
        "7:9: `since` is invalid: `2026-11-01` is not a time: write it as RFC 3339, like 2026-11-01T00:00:00Z"
    );
    assert_eq!(
        agora_error("", "since = 2026-11-01T00:00:00"),
        "7:9: `since` is invalid: `2026-11-01T00:00:00` is not a time: write it as RFC 3339, like 2026-11-01T00:00:00Z"
    );
}

#[test]
fn unsafe_webhook_is_rejected_and_never_quoted() {
    for url in [
        "hooks.example/token",
        "ftp://hooks.example/token",
        "http://hooks.example/token",
        "https://?token",
    ] {
        let error = error_of(&format!("[alerts]\nwebhook = \"{url}\""));
        assert!(
            error.starts_with("2:11: `webhook` is not a URL that alarms can be posted to"),
            "{error}"
        );
        assert!(!error.contains("token"), "{error}");
    }
    assert_eq!(
        error_of("[alerts]\nwebhook = \"\""),
        "2:11: `webhook` is empty: fill it in, or remove the line if the key is optional"
    );
}
