//! The status page, over HTTP and in a browser.

use std::time::Duration;

use backscroll::sandbox::{CallFilter, ScriptedAnswer};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::support::browser::Browser;
use crate::support::config::{from, to};
use crate::support::env::{TestEnv, wait_until};
use crate::support::http_client::{ANY_PORT, HttpDaemon, with_web_listener};

const FEW: [&str; 5] = ["--messages", "300", "--topic-messages", "200", "--plain"];

/// Names that would be markup or control characters if they were not escaped.
const HOSTILE: [&str; 3] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(2)>",
    "user\u{202E}nimda",
];

/// Streams with hostile names, and one with a harmless name.
fn hostile_streams() -> Vec<toml::Table> {
    let mut streams = HOSTILE.map(to).to_vec();
    streams.extend([from("a&b=<b>"), to("lobby")]);
    streams
}

/// Starts a daemon and waits until its first passes are done.
fn settled(env: &TestEnv) -> HttpDaemon {
    let server = HttpDaemon::start(env);
    server.address();
    let accounts = env.config().account_names().len() as i64;
    wait_until("the first passes", || {
        env.query_number("SELECT count(DISTINCT account) FROM runs WHERE finished_at IS NOT NULL")
            == accounts
    });
    server
}

/// Returns the content of a page's first element of this tag.
#[track_caller]
fn first<'a>(page: &'a str, tag: &str) -> &'a str {
    let (_, rest) = page
        .split_once(&format!("<{tag}"))
        .unwrap_or_else(|| panic!("no <{tag}> in {page}"));
    rest.split_once('>')
        .unwrap()
        .1
        .split_once(&format!("</{tag}>"))
        .unwrap()
        .0
}

#[test]
fn first_line_says_if_the_archive_is_complete() {
    let env = with_web_listener(TestEnv::new(&FEW), ANY_PORT);
    let server = settled(&env);
    let page = server.get("/");
    let streams = env.query_number("SELECT count(*) FROM stream");
    let verdict = first(&page.body, "h1");
    assert!(
        verdict.starts_with(&format!(
            "Up to date: all {streams} streams are complete up to "
        )),
        "{verdict}"
    );
    assert!(verdict.ends_with(" ago"), "{verdict}");
    assert_eq!(
        page.body.matches("<tr><th scope=\"row\">").count() as i64,
        streams
    );
    assert!(!page.body.contains("Issues"), "no issue is shown");
    assert!(page.body.contains("<bdi>sandbox</bdi>") && page.body.contains("<bdi>web3mq-1</bdi>"));
    let new = env.query_number("SELECT sum(new) FROM runs");
    assert!(
        page.body
            .contains(&format!("today last; at most {new} a day")),
        "messages of today"
    );
    for header in [
        "content-type: text/html; charset=utf-8",
        "style-src 'self'; img-src 'self'; form-action 'self'",
    ] {
        assert!(
            page.headers.contains(header),
            "no `{header}` in {}",
            page.headers
        );
    }
    for (path, kind) in [("/style.css", "text/css"), ("/icon.svg", "image/svg+xml")] {
        let answer = server.get(path);
        assert!(
            answer.status == 200 && answer.headers.contains(kind),
            "{answer:?}"
        );
    }
    server.stop();
    let lag = env.query_number("SELECT max(lag_seconds) FROM runs");
    assert!(
        (120..300).contains(&lag),
        "the lag is a little more than the settle age: {lag}"
    );
    env.run(&[
        "sync",
        "--since",
        &env.world().now().minus(Duration::from_hours(1)).to_string(),
    ]);
    assert_eq!(
        env.query_number("SELECT count(*) FROM runs WHERE lag_seconds IS NULL"),
        2,
        "a sync of a part of the history has no lag"
    );
}

fn counted_messages(n: i64) -> String {
    format!("{n} message{}", if n == 1 { "" } else { "s" })
}

#[test]
fn day_strip_counts_the_messages_sent_on_each_day() {
    let env = with_web_listener(TestEnv::new(&FEW).with_only("agora"), ANY_PORT);
    let server = settled(&env);
    let streams: Vec<(i64, String)> = env.query_rows(
        "SELECT id, recipient FROM stream WHERE sender IS NULL AND recipient IS NOT NULL",
    );
    assert!(streams.len() > 3);
    let mut compared = 0;
    let front = server.get("/").body;
    for (id, recipient) in streams {
        let mut most = 0;
        let days: Vec<(String, i64)> = env.query_rows(&format!(
            "SELECT substr(sent_at, 1, 10), count(*) FROM archive WHERE recipient = '{recipient}' GROUP BY 1"
        ));
        for (day, messages) in days {
            let page = server.get(&format!("/stream?id={id}&day={day}")).body;
            let said = format!("{day}: sealed, {}", counted_messages(messages));
            assert!(
                page.contains(&said),
                "no `{said}` for {recipient} in {page}"
            );
            compared += 1;
            most = most.max(messages);
        }
        assert!(
            front.contains(&format!("; at most {} a day\"", counted_messages(most))),
            "{recipient}: {front}"
        );
    }
    assert!(compared > 10, "{compared} days");
    server.stop();
}

#[test]
fn gaps_losses_and_failures_are_shown_with_a_remedy() {
    let env = with_web_listener(TestEnv::new(&FEW).with_only("agora"), ANY_PORT);
    let server = settled(&env);
    env.execute_sql(
        "UPDATE stream SET error = 'read: <b>refused</b> with 418', hint = 'brew coffee' WHERE id = 1;
         UPDATE sealed_window SET doubt = 'one short', doubted_at_ms = 0
         WHERE stream_id = 2 AND from_s = (SELECT max(from_s) FROM sealed_window WHERE stream_id = 2);
         UPDATE account SET horizon_s = settled_s - 86400 WHERE name = 'sandbox';
         UPDATE stream SET wanted_from_s = (SELECT settled_s FROM account WHERE id = account_id) - 180000 WHERE id = 3;
         DELETE FROM sealed_window WHERE stream_id = 3;
         INSERT INTO sealed_window (stream_id, from_s, to_s, messages, sealed_at_ms)
         SELECT 3, settled_s - 43200, settled_s, 7, 0 FROM account WHERE name = 'sandbox';
         INSERT INTO sealed_window (stream_id, from_s, to_s, messages, sealed_at_ms)
         SELECT 3, settled_s - 190000, settled_s - 180000, 0, 0 FROM account WHERE name = 'sandbox'",
    );
    let page = server.get("/?sort=lost");
    let verdict = first(&page.body, "h1");
    assert!(
        verdict.starts_with("Action needed: sandbox ")
            && verdict.ends_with(": read: &lt;b&gt;refused&lt;/b&gt; with 418"),
        "{verdict}"
    );
    for said in [
        "read: &lt;b&gt;refused&lt;/b&gt; with 418",
        "To do: <bdi>brew coffee</bdi>",
        "windows that may be incomplete: 1",
        "permanently lost, up to 1d 2h",
        "1 stream lacks history that can still be fetched",
    ] {
        assert!(page.body.contains(said), "no `{said}` in {}", page.body);
    }
    let incomplete = server.get("/?show=incomplete").body;
    assert_eq!(incomplete.matches("<tr><th scope=\"row\">").count(), 3);
    let stream = server.get("/stream?id=3").body;
    assert!(
        stream.contains("○ gap") && stream.contains("✕ lost") && stream.contains("1d 2h"),
        "{stream}"
    );
    assert!(stream.contains("<td class=\"lost\""), "{stream}");
    assert!(server.get("/stream?id=2").body.contains("one short"));
    server.stop();
}

#[test]
fn hostile_names_and_queries_are_escaped() {
    let mut streams = hostile_streams();
    streams.push(to(&"x".repeat(4000)));
    let env = with_web_listener(TestEnv::new(&FEW).with_agora_streams(&streams), ANY_PORT);
    let server = settled(&env);
    env.execute_sql(
        "UPDATE stream SET error = '<script>alert(3)</script>' || hex(zeroblob(5000)), hint = '</p>' WHERE id = 1",
    );
    let hostile = "%3Cscript%3Ealert(4)%3C/script%3E%22%20onfocus=%22";
    let mut paths = vec![
        "/".to_owned(),
        format!("/?q={hostile}&account={hostile}&sort={hostile}&page={hostile}"),
    ];
    paths.extend((1..=6).map(|id| format!("/stream?id={id}&month={hostile}&day={hostile}")));
    paths.extend(
        [
            "/?page=18446744073709551616",
            "/?q=%FF%FE",
            "/?q=%",
            "/stream?id=1&day=9999-12-31&from=9223372036854775807",
        ]
        .map(str::to_owned),
    );
    for path in paths {
        let page = server.get(&path);
        assert_eq!(page.status, 200, "{path}: {page:?}");
        for forbidden in [
            "<script",
            "<img",
            "onerror=alert(2)>",
            "onfocus=\"",
            "\u{202E}",
            "</p></bdi>",
        ] {
            assert!(
                !page.body.contains(forbidden),
                "{path}: `{forbidden}` in {}",
                page.body
            );
        }
        assert!(
            page.body.len() < 60_000,
            "{path}: {} bytes",
            page.body.len()
        );
    }
    for path in [
        "/stream",
        "/stream?id=0",
        "/stream?id=99999",
        "/stream?id=x",
        "/nothing",
    ] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
    server.stop();
}

/// Ten thousand streams, each with a month of ledger rows.
const MANY: &str = "
    WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 10000)
    INSERT INTO stream (account_id, key, wanted_from_s)
    SELECT a.id, printf('source=user %05d', n), unixepoch() - 2600000 FROM n, account a WHERE a.name = 'sandbox';
    WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < 9)
    INSERT INTO sealed_window (stream_id, from_s, to_s, messages, sealed_at_ms)
    SELECT s.id, s.wanted_from_s + n * 260000 - (n = 9) * (s.id % 100 = 0) * 0, s.wanted_from_s + n * 260000 + 260000 - 130, 10, 0
    FROM n, stream s WHERE s.key LIKE 'source=user %' AND (n < 9 OR s.id % 100 <> 0);
    UPDATE sealed_window SET to_s = to_s + 130 WHERE (from_s - (SELECT wanted_from_s FROM stream WHERE id = stream_id)) / 260000 < 9;
    UPDATE account SET settled_s = unixepoch() - 130, wanted_to_s = unixepoch() WHERE name = 'sandbox'";

#[test]
fn page_lists_the_worst_of_ten_thousand_streams_and_finds_others() {
    let env = with_web_listener(TestEnv::new(&FEW).with_only("agora"), ANY_PORT);
    env.script_answer(ScriptedAnswer {
        on: CallFilter::Any,
        status: 401,
        times: 9999,
        ..ScriptedAnswer::default()
    });
    env.run(&["sync"]);
    env.execute_sql(MANY);
    let server = HttpDaemon::start(&env);
    let page = server.get("/");
    let rows = |page: &str| page.matches("<tr><th scope=\"row\">").count();
    let verdict = first(&page.body, "h1");
    assert!(
        verdict.starts_with("Action needed: sandbox: ") && verdict.contains("401"),
        "{verdict}"
    );
    assert!(page.body.contains("401"), "the account is parked");
    assert_eq!(rows(&page.body), 50);
    assert!(page.body.contains("1–50 of 10,000"), "{}", page.body);
    assert!(page.body.len() < 100_000, "{} bytes", page.body.len());
    let found = server.get("/?q=USER+0123").body;
    assert_eq!(rows(&found), 10);
    assert!(found.contains("source=user 01234"));
    let last = server.get("/?sort=name&page=200").body;
    assert!(
        rows(&last) == 50 && last.contains("source=user 10000") && !last.contains(">next<"),
        "{last}"
    );
    server.stop();
}

#[test]
fn unreachable_archive_is_reported_until_it_answers() {
    let env = with_web_listener(TestEnv::new(&FEW), ANY_PORT);
    let server = settled(&env);
    env.execute_sql("ALTER TABLE quarantined_message RENAME TO away");
    let page = server.get("/");
    assert_eq!(page.status, 503);
    assert!(
        first(&page.body, "h1").contains("The archive does not answer"),
        "{}",
        page.body
    );
    assert!(page.body.contains("To do: "), "{}", page.body);
    env.execute_sql("ALTER TABLE away RENAME TO quarantined_message");
    assert_eq!(server.get("/").status, 200);
    server.stop();
}

/// The values of `status.json` that change from moment to moment.
fn without_moments(mut streams: serde_json::Value) -> serde_json::Value {
    for stream in streams.as_array_mut().unwrap() {
        for moment in ["lag_seconds", "looked_at", "complete_to", "messages"] {
            let value = stream.as_object_mut().unwrap().remove(moment);
            assert!(value.is_some_and(|value| !value.is_null()), "{moment}");
        }
    }
    streams
}

#[test]
fn status_json_says_what_the_page_and_the_command_say() {
    let env = with_web_listener(TestEnv::new(&FEW), ANY_PORT);
    let server = settled(&env);
    env.execute_sql(
        "UPDATE stream SET error = 'refused \u{202E}' || char(27), hint = 'try' WHERE id = 1",
    );
    let (page, answer) = (server.get("/").body, server.get("/status.json"));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(
        answer.headers.contains("content-type: application/json\n"),
        "{answer:?}"
    );
    assert!(!answer.body.contains('\u{202E}'), "{}", answer.body);
    let document: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(document["format"], 1);
    assert_eq!(document["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(document["state"], "action_needed");
    assert!(
        document["headline"]
            .as_str()
            .unwrap()
            .starts_with("Action needed: "),
        "{document}"
    );
    assert!(first(&page, "h1").starts_with("Action needed: "));
    for number in ["uptime_seconds", "archive_bytes"] {
        assert!(document[number].is_u64(), "{number}: {document}");
    }
    let accounts = document["accounts"].as_array().unwrap();
    assert_eq!(accounts.len(), 2);
    for account in accounts {
        assert!(account["next_pass_at"].is_string(), "{account}");
        assert!(account["backlog"].is_null(), "{account}");
    }
    let streams = document["streams"].as_array().unwrap().len() as i64;
    assert_eq!(streams, env.query_number("SELECT count(*) FROM stream"));
    let command: serde_json::Value =
        serde_json::from_str(&env.run(&["status", "--json"]).stdout).unwrap();
    assert_eq!(
        without_moments(document["streams"].clone()),
        without_moments(command)
    );

    env.execute_sql("ALTER TABLE quarantined_message RENAME TO away");
    let failed = || server.get("/status.json");
    wait_until("the end of the cached data", || failed().status == 503);
    let document: serde_json::Value = serde_json::from_str(&failed().body).unwrap();
    assert_eq!(document["format"], 1);
    assert!(
        document["error"].is_string() && document["hint"].is_string(),
        "{document}"
    );
    env.execute_sql("ALTER TABLE away RENAME TO quarantined_message");
    server.stop();
}

#[test]
fn links_are_relative_so_that_a_proxy_may_serve_the_page_below_any_path() {
    let env = with_web_listener(TestEnv::new(&FEW), ANY_PORT);
    let server = settled(&env);
    for path in [
        "/",
        "/?q=lobby&sort=lag&refresh=60",
        "/?q=nothing",
        "/stream?id=1",
        "/stream?id=999",
    ] {
        let page = server.get(path).body;
        for attribute in ["href", "src", "action"] {
            for written in page.split(&format!("{attribute}=\"")).skip(1) {
                let target = written.split('"').next().unwrap();
                let is_relative = !target.starts_with('/') && !target.contains("://");
                assert!(is_relative && !target.is_empty(), "{path}: `{target}`");
            }
        }
        assert!(page.contains("href=\"style.css\"") && page.contains("href=\"./\""));
    }
    server.stop();
}

#[test]
fn incidents_of_the_last_ninety_days_are_listed() {
    let env = with_web_listener(TestEnv::new(&FEW).with_only("agora"), ANY_PORT);
    let server = settled(&env);
    let page = server.get("/").body;
    assert!(
        page.contains("Incidents of the last 90 days") && page.contains("There were none."),
        "{page}"
    );
    env.execute_sql(
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 30)
         INSERT INTO alarm (account, stream, kind, since_ms, until_ms, text, hint, notified)
         SELECT 'sandbox', 'source=' || n, 'stuck', (unixepoch() - n * 86400 * 4) * 1000,
                (unixepoch() - n * 86400 * 4 + 7200) * 1000, '<b>no</b> `sync` ' || n || '.', '', 2 FROM n",
    );
    let mut page = String::new();
    wait_until("the end of the cached data", || {
        page = server.get("/").body;
        !page.contains("There were none.")
    });
    assert!(
        page.contains("&lt;b&gt;no&lt;/b&gt; <code>sync</code> 1.") && page.contains("<td>2h</td>"),
        "{page}"
    );
    assert!(
        page.contains("sync</code> 15.") && !page.contains("sync</code> 16."),
        "the latest fifteen: {page}"
    );
    assert!(
        page.contains("And 7 more: <code>SELECT * FROM alarms</code>"),
        "22 ended within ninety days: {page}"
    );
    server.stop();
}

#[test]
fn only_an_unchosen_list_is_reloaded_by_itself() {
    let env = with_web_listener(TestEnv::new(&FEW).with_only("agora"), ANY_PORT);
    let server = settled(&env);
    for (path, reloads) in [
        ("/", true),
        ("/?q=&account=", true),
        ("/?refresh=0", false),
        ("/?q=lobby", false),
        ("/?sort=lag", false),
        ("/?sort=lag&refresh=60", true),
        ("/stream?id=1", false),
    ] {
        let page = server.get(path).body;
        let found = page.contains("<meta http-equiv=\"refresh\" content=\"60\">");
        assert_eq!(found, reloads, "{path}");
    }
    server.stop();
}

#[test]
fn streams_are_called_by_name_and_kind() {
    let env = with_web_listener(TestEnv::new(&FEW), ANY_PORT);
    let server = settled(&env);
    let page = server.get("/").body;
    for kind in ["recipient", "sender", "group"] {
        assert!(
            page.contains(&format!("<span class=\"of\"> {kind}</span>")),
            "{kind}: {page}"
        );
    }
    assert!(
        !page.contains("destination=") && !page.contains("topic="),
        "{page}"
    );
    let keys: Vec<(i64, String)> = env.query_rows("SELECT id, key FROM stream");
    for (id, key) in keys {
        let stream = server.get(&format!("/stream?id={id}")).body;
        let shown = key.replace('&', "&amp;").replace('"', "&quot;");
        assert!(
            stream.contains(&format!("<code><bdi>{shown}")),
            "{key}: {stream}"
        );
        let search = utf8_percent_encode(&key, NON_ALPHANUMERIC);
        let found = server.get(&format!("/?q={search}")).body;
        assert!(
            found.contains(&format!("stream?id={id}\"")),
            "{key}: {found}"
        );
    }
    server.stop();
}

#[test]
fn a_bar_shows_the_progress_of_a_backfill() {
    let env = with_web_listener(
        TestEnv::new(&["--messages", "6000", "--plain"])
            .with_only("agora")
            .with_agora_streams(&[to("lobby"), from("alice")])
            .with_setting_of("agora", "requests_per_second", 4),
        ANY_PORT,
    );
    let server = HttpDaemon::start(&env);
    let mut page = String::new();
    wait_until("the progress", || {
        page = server.get("/").body;
        page.contains("<progress max=")
    });
    let verdict = first(&page, "h1");
    assert!(
        verdict.starts_with("Catching up") || verdict.starts_with("Nothing is archived yet"),
        "{verdict}"
    );
    server.stop();
}

#[test]
fn page_needs_no_script_no_third_party_and_no_wide_screen() {
    let env = with_web_listener(
        TestEnv::new(&FEW).with_agora_streams(&hostile_streams()),
        ANY_PORT,
    );
    env.append_message("lobby", "hello", Duration::from_hours(2));
    let server = settled(&env);
    env.execute_sql("UPDATE stream SET error = 'failed', hint = 'try again' WHERE id = 1");
    let mut browser = Browser::start();
    let here = format!("http://{}", server.address());
    for (width, scheme) in [
        (390, "light"),
        (390, "dark"),
        (1280, "light"),
        (1280, "dark"),
    ] {
        browser.set_screen(width, scheme);
        for path in ["/", "/?refresh=60", "/stream?id=5", "/stream?id=999"] {
            let seen = browser.open(&format!("{here}{path}"));
            let is_missing = path.ends_with("999");
            let complaints: Vec<_> = seen
                .errors
                .iter()
                .filter(|said| !(is_missing && said.contains("404")))
                .collect();
            assert!(complaints.is_empty(), "{path} at {width}: {complaints:#?}");
            assert!(!seen.responses.is_empty());
            for (url, status) in &seen.responses {
                assert!(
                    url.starts_with(&here) && (*status == 200 || is_missing),
                    "{path}: {url} {status}"
                );
            }
            assert!(
                seen.width <= seen.view && seen.view <= f64::from(width),
                "{path} at {width}: {seen:?}"
            );
            for (selector, count) in [
                ("html[lang=en]", 1),
                ("h1", 1),
                ("main", 1),
                ("script, style, [style], iframe, img", 0),
            ] {
                assert_eq!(browser.count(selector), count, "{path}: {selector}");
            }
            assert_eq!(
                browser.count("table thead th"),
                browser.count("table thead th[scope=col]"),
                "{path}"
            );
        }
    }
    browser.open(&here);
    assert_eq!(
        browser.count("input"),
        0,
        "nothing that is typed gets lost by a reload"
    );
    browser.open(&format!("{here}/?refresh=0"));
    let all = browser.count("tbody th[scope=row]");
    let found = browser.submit_text("#q", "<SCRIPT>");
    assert_eq!(found.errors, [""; 0]);
    assert!(
        found.responses[0]
            .0
            .ends_with("/?q=%3CSCRIPT%3E&account=&refresh=0"),
        "{found:?}"
    );
    assert!(
        all > 5 && browser.count("tbody th[scope=row]") == 1,
        "one of {all} streams matches"
    );
    server.stop();
}
