//! Builders of messages.

use backscroll::sandbox::{Web3mqMessage, Web3mqStatus};

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
