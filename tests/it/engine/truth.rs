//! The archive compared with the sandbox's messages.

use backscroll::sandbox::ArchiveEntry;

use crate::support::config::{between, from, to};
use crate::support::env::TestEnv;
use crate::support::truth::ARCHIVED;

#[test]
fn peer_pair_is_one_conversation_in_both_directions() {
    let env = TestEnv::new(&["--topic-messages", "300"]);
    env.assert_sync_archives_truth();
    let both_ways = env.query_number(
        "SELECT count(*) FROM (SELECT conversation_id FROM archive WHERE conversation_kind = 'peer'
         GROUP BY account, conversation_id HAVING count(DISTINCT sender) = 2)",
    );
    assert!(both_ways > 3, "{both_ways} pairs wrote to each other");
    let scattered = env.query_number(
        "SELECT count(*) FROM (SELECT 1 FROM archive WHERE conversation_kind = 'peer'
         GROUP BY account, min(sender, recipient), max(sender, recipient) HAVING count(DISTINCT conversation_id) > 1)",
    );
    assert_eq!(scattered, 0, "pairs with more than one conversation");
    let participants = env.query_number(
        "SELECT max(participants) FROM conversations WHERE conversation_kind = 'peer'",
    );
    assert_eq!(participants, 2);
}

#[test]
fn accounts_keep_their_messages_apart() {
    let env = TestEnv::new(&[
        "--projects",
        "2",
        "--users",
        "2",
        "--messages",
        "800",
        "--topic-messages",
        "700",
    ]);
    env.assert_sync_archives_truth();
    assert_eq!(
        env.query_number("SELECT count(DISTINCT account) FROM archive"),
        4
    );
}

#[test]
fn overlapping_streams_add_no_duplicate_row() {
    let env = TestEnv::new(&["--plain", "--topic-messages", "0"]).with_only("agora");
    env.assert_sync_archives_truth();
    let rows = env.query_rows::<ArchiveEntry>(ARCHIVED).len();
    let senders = ["alice", "bob", "carol", "dave", "erin", "frank"].map(from);
    let channels = ["lobby", "general", "support", "dev-talk"].map(to);
    let pairs = [between("alice", "lobby"), between("bob", "alice")];
    let streams = [&channels[..], &senders, &pairs].concat();
    let env = env.with_agora_streams(&streams);
    env.assert_sync_archives_truth();
    assert_eq!(env.query_rows::<ArchiveEntry>(ARCHIVED).len(), rows);
    let fetched_again: i64 =
        env.query_number("SELECT CAST(sum(messages) AS INTEGER) FROM coverage");
    assert!(
        fetched_again > i64::try_from(rows).unwrap(),
        "{fetched_again} in the ledgers, {rows} in the archive"
    );
}

#[test]
fn empty_conversation_is_covered() {
    let env = TestEnv::without_messages(&[]);
    env.assert_sync_archives_truth();
    assert_eq!(env.query_number("SELECT count(*) FROM archive"), 0);
    assert_eq!(
        env.query_number("SELECT count(*) FROM coverage WHERE messages = 0 AND state = 'sealed'"),
        11
    );
}
