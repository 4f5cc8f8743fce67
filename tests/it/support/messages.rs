//! Builders of messages.

use backscroll::sandbox::{AgoraMessage, RecipientKind, Web3mqMessage, Web3mqStatus};

use crate::support::env::TestEnv;

/// A message to an Agora channel, sent at a time in milliseconds.
pub(crate) fn channel_message(sender: &str, channel: &str, ms: i64, text: &str) -> AgoraMessage {
    AgoraMessage {
        src: sender.to_owned(),
        dst: channel.to_owned(),
        kind: RecipientKind::Channel,
        ms,
        payload: text.into(),
    }
}

/// Appends this number of messages to each topic of the first Web3MQ user: the first was sent two
/// hours ago, the others follow by the second.
pub(crate) fn append_to_topics(env: &TestEnv, topics: &[&str], count: i64) {
    let user = env.world().user_ids().remove(0);
    let now = env.world().now().0;
    for n in 0..count {
        for topic in topics {
            let message = web3mq_message(topic, now - 7_200_000 + 1000 * n, None);
            env.world().append_web3mq(&user, message).unwrap();
        }
    }
}

/// A message of user:ada to a Web3MQ topic, sent at a time in milliseconds.
pub(crate) fn web3mq_message(topic: &str, ms: i64, status: Option<Web3mqStatus>) -> Web3mqMessage {
    Web3mqMessage {
        topic: topic.to_owned(),
        row_topic: topic.to_owned(),
        from: "user:ada".to_owned(),
        messageid: format!("id-{ms}"),
        ms,
        payload_text: "aGVsbG8=".to_owned(),
        payload_type: "text/plain".to_owned(),
        cipher_suite: "NONE".to_owned(),
        from_sign: "signature".to_owned(),
        status,
        status_ms: ms,
        version: 1,
    }
}
