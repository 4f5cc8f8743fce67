//! The query plans of each database use indexes for the most frequent queries.

use crate::support::env::TestEnv;
use crate::support::postgres_server;

/// The number of messages, large enough that a full scan would be the wrong plan.
const MESSAGES: usize = 60_000;
/// The number of names.
const NAMES: usize = 200;

/// The latest messages of a conversation, the latest of a sender, the count of a day.
const QUESTIONS: [&str; 3] = [
    "SELECT sent_at, sender, body FROM archive WHERE conversation_id = (SELECT conversation_id FROM conversations
     WHERE account = 'shop' AND conversation = 'room-7') ORDER BY sent_at_ms DESC LIMIT 100",
    "SELECT sent_at, conversation, body FROM archive WHERE sender_id = (SELECT sender_id FROM senders
     WHERE sender = 'user-7') ORDER BY sent_at_ms DESC LIMIT 100",
    "SELECT count(*) FROM times WHERE sent_at_ms >= 1700086400000 AND sent_at_ms < 1700172800000",
];

/// The queries that docs/SQL.md recommends under "Fast columns", in each database's words: the
/// messages of a time range in order, those that are new since an id, and one message of the provider.
fn recommended(day: [&str; 2]) -> [String; 3] {
    let [from, to] = day;
    let range = format!("sent_at_ms >= {from} AND sent_at_ms < {to}");
    [
        format!("SELECT sent_at, body FROM archive WHERE {range} ORDER BY sent_at_ms LIMIT 100"),
        "SELECT id, sent_at, body FROM archive WHERE id > 50000 AND id <= 50100 ORDER BY id"
            .to_owned(),
        format!("SELECT body FROM archive WHERE provider_message_id = 'x' AND {range}"),
    ]
}

/// Statements that fill an archive with a message every ten seconds. `hash` is the database's
/// expression for a random hash.
fn filling(hash: &str, series: &str, moment: &str) -> String {
    format!(
        "INSERT INTO account (name, provider) VALUES ('shop', 'agora');
         INSERT INTO name (value) SELECT 'user-' || n FROM {series} WHERE n < {NAMES};
         INSERT INTO conversation (account_id, name, kind) SELECT max(a.id), 'room-' || n, 2
         FROM account a, {series} WHERE n < {NAMES} GROUP BY n;
         INSERT INTO message (sent_at_ms, archived_at_s, recipient_id, slot, conversation_id, sender_id, hash, payload)
         SELECT 1700000000000 + n * 10000, 0, 1, n,
                (SELECT min(id) FROM conversation) + n % {NAMES}, (SELECT min(id) FROM name) + n * 7 % {NAMES}, {hash}, {moment}
         FROM {series} WHERE n < {MESSAGES};"
    )
}

#[test]
fn sqlite_queries_use_indexes() {
    let env = TestEnv::without_messages(&[]);
    env.run(&["migrate"]).assert_ok();
    let series = format!(
        "(WITH RECURSIVE s (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < {MESSAGES}) SELECT n FROM s)"
    );
    for statement in filling("randomblob(16)", &series, "randomblob(100)").split_terminator(';') {
        env.execute_sql(statement);
    }
    let used = [
        "message_by_conversation (conversation_id=?)",
        "message_by_sender (sender_id=?)",
        "COVERING INDEX message_by_time",
    ];
    for (question, index) in QUESTIONS.into_iter().zip(used) {
        let plan: Vec<(i64, i64, i64, String)> =
            env.query_rows(&format!("EXPLAIN QUERY PLAN {question}"));
        let plan: Vec<String> = plan.into_iter().map(|step| step.3).collect();
        assert!(
            plan.iter().any(|step| step.contains(index)),
            "{question}: {plan:#?}"
        );
        let slow = |step: &&String| step.starts_with("SCAN m") || step.contains("TEMP B-TREE");
        assert_eq!(plan.iter().find(slow), None, "{question}: {plan:#?}");
    }
    let day = ["2023-11-16", "2023-11-17"].map(|day| format!("unixepoch('{day}') * 1000"));
    let used = [
        "message_by_time (sent_at_ms>? AND sent_at_ms<?)",
        "USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
        "message_by_time (sent_at_ms>? AND sent_at_ms<?)",
    ];
    for (question, index) in recommended(day.each_ref().map(String::as_str))
        .iter()
        .zip(used)
    {
        let plan: Vec<(i64, i64, i64, String)> =
            env.query_rows(&format!("EXPLAIN QUERY PLAN {question}"));
        let plan: Vec<String> = plan.into_iter().map(|step| step.3).collect();
        let finds = |step: &String| step.contains(index);
        assert!(plan.iter().any(finds), "{question}: {plan:#?}");
        let slow = |step: &&String| step.starts_with("SCAN m") || step.contains("TEMP B-TREE");
        assert_eq!(plan.iter().find(slow), None, "{question}: {plan:#?}");
    }
    // Queries by name use the indexes like queries by number.
    for (question, index) in [
        (
            "account = 'shop' AND conversation = 'room-7'",
            "message_by_conversation (conversation_id=?)",
        ),
        ("sender = 'user-7'", "message_by_sender (sender_id=?)"),
    ] {
        let plan: Vec<(i64, i64, i64, String)> = env.query_rows(&format!(
            "EXPLAIN QUERY PLAN SELECT body FROM archive WHERE {question} ORDER BY sent_at_ms DESC LIMIT 100"
        ));
        assert!(
            plan.iter().any(|step| step.3.contains(index)),
            "{question}: {plan:#?}"
        );
        assert!(
            !plan.iter().any(|step| step.3.contains("TEMP B-TREE")),
            "{question}: {plan:#?}"
        );
    }
}

#[test]
fn postgres_queries_use_indexes() {
    let (url, database) = postgres_server::create_named_database();
    let env = TestEnv::without_messages(&[]).with_database(&url);
    env.run(&["migrate"]).assert_ok();
    let cluster = postgres_server::shared_server();
    cluster.psql(
        &database,
        "CREATE TABLE message_2023_11 PARTITION OF message FOR VALUES FROM (1698796800000) TO (1701388800000)",
    );
    let series = format!("generate_series(0, {MESSAGES}) AS n");
    cluster.psql(
        &database,
        &filling(
            "gen_random_uuid()",
            &series,
            "decode(repeat('ab', 100), 'hex')",
        ),
    );
    cluster.psql(&database, "VACUUM (ANALYZE) message");
    let used = [
        "conversation_id_sent_at_ms",
        "sender_id_sent_at_ms",
        "message_2023_11_pkey",
    ];
    for (question, index) in QUESTIONS.into_iter().zip(used) {
        let plan = cluster.psql(&database, &format!("EXPLAIN {question}"));
        assert!(
            plan.lines()
                .any(|step| step.contains("Index") && step.contains(index)),
            "{question}:\n{plan}"
        );
        let slow = |step: &&str| step.contains("Seq Scan on message") || step.contains("Sort");
        assert_eq!(plan.lines().find(slow), None, "{question}:\n{plan}");
        let alone = plan
            .lines()
            .any(|step| step.contains("Index Only Scan") && step.contains(index));
        assert!(alone || !question.contains("count"), "{question}:\n{plan}");
    }
    let day = ["2023-11-16", "2023-11-17"].map(|day| {
        format!("CAST(extract(epoch FROM TIMESTAMPTZ '{day} 00:00Z') * 1000 AS BIGINT)")
    });
    for question in recommended(day.each_ref().map(String::as_str)) {
        let plan = cluster.psql(&database, &format!("EXPLAIN {question}"));
        let index = if question.contains("id > ") {
            "message_2023_11_id_idx"
        } else {
            "message_2023_11_pkey"
        };
        assert!(plan.contains(index), "{question}:\n{plan}");
        // Other months are not looked into.
        let others = plan.matches(" on message_2").count();
        assert_eq!(others, plan.matches("on message_2023_11").count(), "{plan}");
        assert!(
            !plan.contains("Seq Scan on message_2"),
            "{question}:\n{plan}"
        );
    }
}
