-- Since when a window is in doubt; NULL where it is not. It is read again the more rarely, the longer that lasts.
ALTER TABLE sealed_window ADD COLUMN doubted_at_ms BIGINT;
UPDATE sealed_window SET doubted_at_ms = sealed_at_ms WHERE doubt IS NOT NULL;
CREATE INDEX sealed_window_in_doubt ON sealed_window (stream_id) WHERE doubt IS NOT NULL;

-- The settle age, where late messages have made it longer than the configuration has it; and how many have come since.
ALTER TABLE account ADD COLUMN settle_s BIGINT;
ALTER TABLE account ADD COLUMN stragglers BIGINT NOT NULL DEFAULT 0;

-- Messages whose status can still change. Others are no part of it.
CREATE INDEX message_unread ON message (sent_at_ms, conversation_id) WHERE status < 3;
