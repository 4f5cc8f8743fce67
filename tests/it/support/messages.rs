//! Builders of messages.

use backscroll::sandbox::{AgoraMessage, RecipientKind, Web3mqMessage, Web3mqStatus};

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
