//! The findings and repairs of `verify`, on both databases.

#![expect(
    clippy::needless_pass_by_value,
    reason = "some of these go on with another configuration"
)]

use std::sync::{Arc, Mutex};

use crate::support::config::to;
use crate::support::env::wait_until;
use crate::support::fault_proxy::ProxyAction;
use crate::support::verify_fixture::{VerifyFixture, nth_message};

on_every_database! {
    changed_message_is_reported_and_repaired,
    changed_ledger_row_is_reported_and_repaired,
    forged_message_is_reported_and_quarantined,
    message_removed_by_the_provider_stays,
    unrecoverable_damage_stays_a_finding,
    late_message_from_another_stream_keeps_all_rows_true,
    messages_missing_by_the_provider_count_are_fetched,
    windows_without_digest_are_reported_and_given_one,
}

fn changed_message_is_reported_and_repaired(fixture: VerifyFixture) {
    let before = fixture.archived_rows();
    let hash = "does not match its own hash";
    let changes = [
        ("payload = substr(payload, 2)", hash),
        ("sender_id = recipient_id", hash),
        ("sender_id = 4711000", hash),
        ("recipient_id = sender_id", hash),
        ("sent_at_ms = sent_at_ms + 1", hash),
        ("sent_at_ms = sent_at_ms + 86400000", hash),
        (
            "hash = (SELECT hash FROM message ORDER BY sent_at_ms DESC LIMIT 1)",
            hash,
        ),
        ("provider_id = 'other'", hash),
        ("body = 'other'", "has a body that is not its payload's"),
        ("occurrence = 7", "same number, other content"),
    ];
    for provider in ["agora", "web3mq"] {
        for (n, (set, said)) in changes.iter().enumerate() {
            fixture.execute_sql(&format!(
                "UPDATE message SET {set} WHERE {}",
                nth_message(provider, 20 + n)
            ));
            let output = fixture
                .verify(&["--repair"])
                .assert_ok()
                .assert_prints(said)
                .assert_prints(" refetched, ")
                .assert_prints("The archive is intact");
            fixture.assert_holds(&before, &format!("{provider}: {set}: {output:#?}"));
        }
        fixture.execute_sql(&format!(
            "DELETE FROM message WHERE {}",
            nth_message(provider, 40)
        ));
        fixture
            .verify(&[])
            .assert_incomplete()
            .assert_prints("1 fewer")
            .assert_prints("The archive is NOT intact")
            .assert_prints("--repair");
        fixture
            .verify(&["--repair"])
            .assert_ok()
            .assert_prints("1 message restored, 0 moved to quarantine");
        fixture.assert_holds(&before, "");
    }
    // One provider derives the conversation from the names, the other from the stream.
    fixture.execute_sql(
        "INSERT INTO conversation (account_id, name, kind) SELECT id, 'elsewhere', 4 FROM account",
    );
    let other = "conversation_id = (SELECT e.id FROM conversation e JOIN conversation c ON e.account_id = c.account_id
                 WHERE e.name = 'elsewhere' AND c.id = message.conversation_id)";
    for (provider, said) in [
        ("agora", "is filed under a conversation that is not its own"),
        ("web3mq", "1 fewer"),
    ] {
        fixture.execute_sql(&format!(
            "UPDATE message SET {other} WHERE {}",
            nth_message(provider, 60)
        ));
        fixture
            .verify(&["--repair"])
            .assert_ok()
            .assert_prints(said);
        fixture.assert_holds(&before, provider);
    }
    assert!(
        fixture.query_number(
            "SELECT count(*) FROM quarantine WHERE reason = 'changed after it was archived'"
        ) > 10
    );
}

fn changed_ledger_row_is_reported_and_repaired(fixture: VerifyFixture) {
    let ledger = "SELECT sum(messages + from_s % 1000 + to_s % 1000) FROM sealed_window";
    let (before, sum) = (fixture.archived_rows(), fixture.query_number(ledger));
    let one = "(stream_id, from_s) = (SELECT stream_id, from_s FROM sealed_window WHERE messages > 3 ORDER BY messages LIMIT 1)";
    for (set, said) in [
        ("messages = messages + 1", "1 fewer"),
        ("messages = messages - 2", "2 more"),
        (
            "digest = (SELECT digest FROM sealed_window ORDER BY messages DESC LIMIT 1)",
            "same number, other content",
        ),
    ] {
        fixture.execute_sql(&format!("UPDATE sealed_window SET {set} WHERE {one}"));
        fixture.verify(&[]).assert_incomplete().assert_prints(said);
        fixture
            .verify(&["--repair"])
            .assert_ok()
            .assert_prints("1 window refetched, 0 messages restored, 0 moved to quarantine");
        fixture.assert_holds(&before, set);
        assert_eq!(fixture.query_number(ledger), sum, "{set}");
    }
    // A window that reaches into the future is not sealed as it is.
    let ahead = "UPDATE sealed_window SET to_s = to_s + 8640000, messages = messages + 1";
    let last = "(stream_id, from_s) = (SELECT stream_id, max(from_s) FROM sealed_window
                WHERE stream_id = (SELECT stream_id FROM sealed_window ORDER BY messages DESC LIMIT 1) GROUP BY stream_id)";
    fixture.execute_sql(&format!("{ahead} WHERE {last}"));
    fixture.verify(&["--repair"]);
    fixture.execute_sql(&format!(
        "UPDATE sealed_window SET to_s = to_s - 8640000 WHERE {last}"
    ));
    fixture.verify(&["--repair"]).assert_ok();
    fixture.assert_holds(&before, "");
    // A window that ends before its messages: lost messages cannot be ruled out.
    fixture.execute_sql(&format!(
        "UPDATE sealed_window SET to_s = to_s - 864000 WHERE {one}"
    ));
    fixture
        .verify(&["--repair"])
        .assert_incomplete()
        .assert_prints("does not have all of it any longer");
}

fn forged_message_is_reported_and_quarantined(fixture: VerifyFixture) {
    let before = fixture.archived_rows();
    let message = fixture.forged();
    fixture.insert_forged(message);
    fixture
        .verify(&[])
        .assert_incomplete()
        .assert_prints("1 more");
    fixture.verify(&["--account", "web3mq-1"]).assert_ok();
    fixture
        .verify(&["--repair"])
        .assert_ok()
        .assert_prints("0 messages restored, 1 moved to quarantine");
    fixture.assert_holds(&before, "");
    let aside = "SELECT count(*) FROM quarantine WHERE reason LIKE 'added to the archive%' AND raw LIKE '%set_aside%'";
    assert_eq!(fixture.query_number(aside), 1);
}

fn message_removed_by_the_provider_stays(fixture: VerifyFixture) {
    let removed = Arc::new(Mutex::new(None::<String>));
    let seen = removed.clone();
    let VerifyFixture { env, database } = fixture;
    // The newest message of the first short topic is no longer shown.
    let (env, _middleman) = env.behind_proxy(move |_, request| {
        if request.endpoint() != "history" {
            return ProxyAction::Forward;
        }
        let seen = seen.clone();
        ProxyAction::rewrite_json(move |answer| {
            let mut removed = seen.lock().unwrap();
            // All messages are on one page, so no page shifts.
            let total = usize::try_from(answer["data"]["total"].as_u64().unwrap()).unwrap();
            let Some(rows) = answer["data"]["result"]
                .as_array_mut()
                .filter(|rows| rows.len() == total)
            else {
                return;
            };
            let id = |row: &serde_json::Value| {
                row["messageid"]
                    .as_str()
                    .map(str::to_owned)
                    .filter(|id| !id.is_empty())
            };
            if removed.is_none() {
                *removed = rows.first().and_then(id);
            }
            let before = rows.len();
            rows.retain(|row| removed.is_none() || id(row) != *removed);
            let gone = before - rows.len();
            answer["data"]["total"] = (total - gone).into();
        })
    });
    let fixture = VerifyFixture { env, database };
    let before = fixture.archived_rows();
    // The whole account is fetched again, since everything was changed.
    fixture.execute_sql(
        "UPDATE sealed_window SET messages = messages + 1
         WHERE stream_id IN (SELECT s.id FROM stream s JOIN account a ON a.id = s.account_id WHERE a.provider = 'web3mq')",
    );
    fixture.verify(&["--repair"]).assert_ok();
    assert!(removed.lock().unwrap().is_some());
    fixture.assert_holds(&before, "");
    assert_eq!(
        fixture.query_number("SELECT count(*) FROM quarantine WHERE raw LIKE '%set_aside%'"),
        0
    );
}

fn unrecoverable_damage_stays_a_finding(fixture: VerifyFixture) {
    let fixture = fixture.with_retention("2d");
    let before = fixture.archived_rows();
    // A recent message is restored, and the digest shows that the window is complete.
    fixture.execute_sql(&format!(
        "DELETE FROM message WHERE {}",
        nth_message("agora", 250)
    ));
    fixture
        .verify(&["--repair"])
        .assert_ok()
        .assert_prints("1 message restored");
    fixture.assert_holds(&before, "");
    fixture.execute_sql(&format!(
        "DELETE FROM message WHERE {}",
        nth_message("agora", 3)
    ));
    for _ in 0..2 {
        fixture
            .verify(&["--repair"])
            .assert_incomplete()
            .assert_prints("1 fewer")
            .assert_prints("does not have all of it any longer");
    }
    let fixture = fixture.with_retention("1s");
    let end = fixture.query_number("SELECT max(to_s) FROM sealed_window");
    wait_until("all messages to expire", || {
        fixture.env.world().now().second().0 > end + 5
    });
    fixture
        .verify(&["--repair"])
        .assert_incomplete()
        .assert_prints("behind the provider's retention edge");
    let fixture = VerifyFixture {
        env: fixture.env.with_agora_streams(&[to("elsewhere")]),
        ..fixture
    };
    fixture
        .verify(&["--repair"])
        .assert_incomplete()
        .assert_prints("the configuration does not follow the stream");
    let fixture = fixture.with_retention("4000d");
    let gone = fixture.archived_rows();
    assert_eq!(gone.len(), before.len() - 1, "nothing else changed");
}

fn messages_missing_by_the_provider_count_are_fetched(fixture: VerifyFixture) {
    let all = fixture.query_number("SELECT count(*) FROM stream");
    fixture
        .verify(&["--remote"])
        .assert_ok()
        .assert_prints(&format!(
            "The providers count the same number of messages in {all} streams"
        ));
    fixture.say_late();
    fixture.verify(&[]).assert_ok();
    fixture
        .verify(&["--remote"])
        .assert_incomplete()
        .assert_prints("the provider counts 1 more than when it was read")
        .assert_prints(&format!(
            "a DIFFERENT number of messages in 2 of {all} streams"
        ))
        .assert_prints("`backscroll verify --remote --repair` fetches it now")
        .assert_prints("The archive is intact");
    let before = fixture.archived_rows().len();
    fixture
        .verify(&["--remote", "--repair"])
        .assert_ok()
        .assert_prints("Refetching these")
        .assert_prints("count the same number of messages");
    assert_eq!(fixture.archived_rows().len(), before + 1);
    fixture.verify(&["--remote"]).assert_ok();
}

fn late_message_from_another_stream_keeps_all_rows_true(fixture: VerifyFixture) {
    let sender = fixture.say_late();
    fixture.execute_sql(&format!(
        "DELETE FROM sealed_window WHERE stream_id IN (SELECT id FROM stream WHERE key = 'source={sender}')"
    ));
    fixture.env.sync().assert_ok();
    fixture.verify(&[]).assert_ok();
    // The other stream's provider counts it as well, and that row is fetched again.
    let late = "SELECT count(*) FROM archive WHERE body = 'late'";
    assert_eq!(fixture.query_number(late), 1);
    let not_shown = "SELECT CAST(sum(not_shown) AS BIGINT) FROM sealed_window";
    assert!(fixture.query_number(not_shown) > 0);
    fixture.verify(&["--remote", "--repair"]).assert_ok();
    assert_eq!(fixture.query_number(not_shown), 0);
    fixture.verify(&["--remote"]).assert_ok();
    fixture.env.assert_no_rule_broken();
}

fn windows_without_digest_are_reported_and_given_one(fixture: VerifyFixture) {
    let undigested = "SELECT count(*) FROM sealed_window WHERE digest IS NULL";
    fixture.execute_sql("UPDATE sealed_window SET digest = NULL");
    let key = fixture.key("1");
    fixture
        .verify(&[])
        .assert_ok()
        .assert_prints("only the count could be compared")
        .assert_prints("--repair");
    fixture
        .verify(&["--manifest", "m.jsonl", "--key", &key])
        .assert_incomplete()
        .assert_prints("No manifest was written");
    assert!(!fixture.env.path("m.jsonl").exists());
    fixture.execute_sql(
        "UPDATE sealed_window SET messages = messages + 1 WHERE from_s = (SELECT max(from_s) FROM sealed_window)",
    );
    fixture
        .verify(&[])
        .assert_incomplete()
        .assert_prints("1 fewer");
    assert!(fixture.query_number(undigested) > 3);
    fixture.verify(&["--account", "web3mq-1", "--repair"]);
    fixture.verify(&["--repair"]);
    assert_eq!(
        fixture.query_number(
            "SELECT count(*) FROM sealed_window WHERE digest IS NULL AND messages = 0"
        ),
        0
    );

    fixture.execute_sql("UPDATE stream SET sender = NULL, recipient = NULL, conversation = NULL WHERE sender IS NOT NULL");
    fixture
        .verify(&[])
        .assert_incomplete()
        .assert_prints("was last followed by an earlier version")
        .assert_prints("add it to the configuration and sync once more");
    fixture.env.sync().assert_ok();
}
