-- The same as `archive`, without bytes: for tools that show tables, and for exports as text.
CREATE OR REPLACE VIEW archive_text AS
SELECT id,
       account,
       provider,
       conversation,
       conversation_kind,
       sender,
       recipient,
       sent_at,
       sent_at_ms,
       body,
       body_json,
       payload_type,
       cipher_suite,
       status,
       status_at,
       provider_message_id,
       occurrence,
       archived_at,
       extra,
       message_type,
       conversation_id,
       sender_id
FROM archive;

COMMENT ON VIEW archive_text IS
    'The messages without their bytes: for tools that show tables, and for exports as text.';
COMMENT ON COLUMN archive_text.id IS
    'The number of the message. It grows with every commit, never changes and is never used again.';
COMMENT ON COLUMN archive_text.account IS 'The name of the account in the configuration.';
COMMENT ON COLUMN archive_text.provider IS 'agora or web3mq.';
COMMENT ON COLUMN archive_text.conversation IS
    'The channel, group, topic or pair of peers that the message belongs to.';
COMMENT ON COLUMN archive_text.conversation_kind IS 'peer, channel, group, topic or unknown.';
COMMENT ON COLUMN archive_text.sender IS 'As the provider spells it, including case.';
COMMENT ON COLUMN archive_text.recipient IS
    'As the provider spells it, including case. To filter, use conversation_id: it has an index.';
COMMENT ON COLUMN archive_text.sent_at IS
    'The time of sending, according to the provider. To filter or sort, use sent_at_ms: '
    'it has an index.';
COMMENT ON COLUMN archive_text.sent_at_ms IS 'The time of sending in milliseconds since 1970.';
COMMENT ON COLUMN archive_text.body IS 'The payload as text. NULL: the payload is not text.';
COMMENT ON COLUMN archive_text.body_json IS
    'The body as JSON if it is a JSON object or array. NULL: it is not.';
COMMENT ON COLUMN archive_text.payload_type IS 'The value of Web3MQ.';
COMMENT ON COLUMN archive_text.cipher_suite IS 'The value of Web3MQ.';
COMMENT ON COLUMN archive_text.status IS 'The value of Web3MQ: received, delivered or read.';
COMMENT ON COLUMN archive_text.status_at IS 'The time of the latest change of status.';
COMMENT ON COLUMN archive_text.provider_message_id IS
    'The messageid of Web3MQ. NULL: the provider has none. To find one quickly, filter by a range '
    'of sent_at_ms or by conversation_id as well.';
COMMENT ON COLUMN archive_text.occurrence IS
    '0. Of several equal messages in one millisecond the second has 1, and so on.';
COMMENT ON COLUMN archive_text.archived_at IS
    'The time of archiving, to the second. To continue after earlier messages, use id.';
COMMENT ON COLUMN archive_text.extra IS 'Further fields of the provider, as a JSON object.';
COMMENT ON COLUMN archive_text.message_type IS 'The value of Agora.';
COMMENT ON COLUMN archive_text.conversation_id IS
    'The number of the conversation. It has an index together with sent_at_ms.';
COMMENT ON COLUMN archive_text.sender_id IS
    'The number of the sender. It has an index together with sent_at_ms.';
