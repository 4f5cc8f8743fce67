-- The same as `archive`, without bytes: for tools that show tables, and for exports as text.
DROP VIEW IF EXISTS archive_text;
CREATE VIEW archive_text AS
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
