//! A second sync changes nothing; runs, coverage and gaps describe the archive.

use backscroll::domain::time::Millis;
use backscroll::sandbox::Selection;

use crate::support::config::AGORA;
use crate::support::env::TestEnv;

/// The state that a sync without news must leave unchanged.
const EVERYTHING: &str = "
    SELECT account || '|' || conversation || '|' || sender || '|' || recipient || '|' || sent_at_ms || '|' ||
           hex(payload) || '|' || coalesce(status, '-') || '|' || occurrence || '|' || archived_at
    FROM archive ORDER BY 1";

/// Account, stream, end, messages, the provider's count, state and reason.
type Run = (String, String, String, i64, i64, String, Option<String>);

#[test]
fn second_sync_changes_nothing_and_costs_one_request_per_stream() {
    let env = TestEnv::new(&["--users", "2"]).with_settle("1s");
    env.assert_sync_archives_truth();
    let before: Vec<(String,)> = env.query_rows(EVERYTHING);
    env.world().rules().reset();

    env.assert_sync_archives_truth();
    assert!(
        before == env.query_rows(EVERYTHING),
        "rows differ after the second sync"
    );
    let streams = env.query_number("SELECT count(*) FROM coverage");
    let requests = i64::try_from(env.assert_no_rule_broken().requests()).unwrap();
    assert!(
        requests <= streams + 3,
        "{requests} requests for {streams} streams of 3 accounts"
    );
    let (new, changed): (i64, i64) = env.query_row(
        "SELECT sum(new), sum(changed) FROM (SELECT * FROM runs ORDER BY started_at DESC LIMIT 3)",
    );
    assert_eq!((new, changed), (0, 0));
}

#[test]
fn run_record_counts_every_request() {
    let env = TestEnv::new(&[]);
    let output = env.sync().assert_ok();
    let on_record = env.query_number("SELECT CAST(sum(requests) AS INTEGER) FROM runs");
    let sent = i64::try_from(env.sandbox.rules().total.requests()).unwrap();
    assert_eq!(on_record, sent, "{output:?}");
}

#[test]
fn coverage_is_contiguous_and_counts_every_message() {
    let env = TestEnv::new(&["--messages", "900"]);
    env.assert_sync_archives_truth();
    let runs: Vec<Run> = env.query_rows(
        "SELECT account, stream, to_at, messages, provider_count, state, reason FROM coverage",
    );
    let (streams, of_agora) = (runs.len(), env.world().agora_streams("sandbox").len());
    assert_eq!(
        env.query_number("SELECT count(DISTINCT account || stream) FROM coverage"),
        i64::try_from(streams).unwrap()
    );
    assert!(
        streams > of_agora,
        "every stream of both accounts is covered"
    );
    for (account, stream, to_at, messages, provider_count, state, reason) in runs {
        let end: Millis = to_at.parse().unwrap();
        let truth = if account == "sandbox" {
            count_agora_messages(&env, &stream, end)
        } else {
            count_topic_messages(&env, &stream, end)
        };
        assert_eq!(
            (messages, provider_count),
            (truth, truth),
            "{account} {stream}"
        );
        assert_eq!(
            (state.as_str(), reason),
            ("sealed", None),
            "{account} {stream}"
        );
    }
}

#[test]
fn only_the_unsettled_range_is_a_gap() {
    let env = TestEnv::new(&[]);
    env.sync().assert_ok();
    let gaps: Vec<(String, String, String, i64)> =
        env.query_rows("SELECT from_at, to_at, reason, lost FROM gaps");
    assert_eq!(
        i64::try_from(gaps.len()).unwrap(),
        env.query_number("SELECT count(*) FROM coverage"),
        "one gap for each stream"
    );
    for (from, to, reason, lost) in gaps {
        let (from, to): (Millis, Millis) = (from.parse().unwrap(), to.parse().unwrap());
        assert!(
            to.since(from).as_secs() <= 125,
            "{from} to {to} is longer than the settle age of two minutes"
        );
        assert_eq!(
            (reason.as_str(), lost),
            ("fetched, but too young to be final", 0)
        );
    }
}

#[test]
fn history_before_since_is_not_fetched() {
    let env = TestEnv::new(&[]).with_only("agora");
    let since = Millis(env.world().now().0 - 2 * 86_400_000).second();
    let env = env.with_account_setting("since", since.to_string());
    let all = env.world().agora_messages("sandbox").len();
    let young = env
        .world()
        .agora_messages("sandbox")
        .iter()
        .filter(|message| message.ms >= since.start().0)
        .count();
    assert!(0 < young && young < all);
    env.sync().assert_ok();
    let archived = usize::try_from(env.query_number("SELECT count(*) FROM archive")).unwrap();
    assert!(young - archived < 3, "{archived} of {young}");
    assert_eq!(
        env.query_number(&format!(
            "SELECT count(*) FROM archive WHERE sent_at_ms < {}",
            since.start().0
        )),
        0
    );
    assert_eq!(
        env.query_number("SELECT count(*) FROM gaps WHERE reason NOT LIKE '%young%'"),
        0
    );
}

#[test]
fn history_beyond_the_retention_is_never_requested() {
    let env = TestEnv::new(&["--retention", "2d"])
        .with_only("agora")
        .with_setting_of(AGORA, "retention", "2d");
    env.sync().assert_ok();
    let horizon = env.world().now().0 - 2 * 86_400_000;
    assert!(env.query_number("SELECT min(sent_at_ms) FROM archive") >= horizon - 1000);
    assert_eq!(
        env.query_number("SELECT count(*) FROM gaps WHERE reason NOT LIKE '%young%'"),
        0
    );
    env.assert_no_rule_broken();
}

/// The number of messages of an Agora stream before `end`.
fn count_agora_messages(env: &TestEnv, stream: &str, end: Millis) -> i64 {
    let streams = env.world().agora_streams("sandbox");
    let named = streams.into_iter().find(|named| {
        let part =
            |key, value: &Option<String>| value.as_ref().map(|value| format!("{key}={value}"));
        let parts = [
            part("source", &named.source),
            part("destination", &named.destination),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join("&") == stream
    });
    let named = named.expect("a stream that was configured");
    let wanted = Selection {
        source: named.source,
        destination: named.destination,
        range: 0..end.0,
    };
    env.world().with_selected("sandbox", &wanted, |messages| {
        messages.len().try_into().unwrap()
    })
}

/// The number of messages of a Web3MQ topic before `end`.
fn count_topic_messages(env: &TestEnv, stream: &str, end: Millis) -> i64 {
    let topics = env.world().web3mq_topics(&env.world().user_ids()[0]);
    let rows = &topics[stream.strip_prefix("topic=").unwrap()];
    rows.iter()
        .filter(|row| row.ms < end.0)
        .count()
        .try_into()
        .unwrap()
}
