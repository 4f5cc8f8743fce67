-- The archive in DuckDB: `duckdb -init duckdb.sql`, beside an SQLite archive named archive.db.
-- Every view is a table of `archive`: FROM archive.coverage;
-- Every question of the cookbook (SQL.md) is a macro: FROM who_talks_to_whom();
-- SQLite runs the queries of the macros, with its indexes.

INSTALL sqlite;
LOAD sqlite;
ATTACH 'archive.db' AS archive (TYPE sqlite, READ_ONLY);

-- The latest messages of a conversation
CREATE OR REPLACE TEMP MACRO the_latest_messages_of_a_conversation() AS TABLE
FROM sqlite_query('archive', $query$
SELECT sent_at, sender, body
FROM archive
WHERE conversation_id = (SELECT conversation_id FROM conversations WHERE account = 'shop' AND conversation = 'lobby')
ORDER BY sent_at_ms DESC, id DESC
LIMIT 100
$query$);

-- The messages around a moment
CREATE OR REPLACE TEMP MACRO the_messages_around_a_moment() AS TABLE
FROM sqlite_query('archive', $query$
WITH place AS (
    SELECT conversation_id AS id, unixepoch('2026-03-02 14:00') * 1000 AS ms
    FROM conversations WHERE account = 'shop' AND conversation = 'lobby'
),
before AS (
    SELECT * FROM archive
    WHERE conversation_id = (SELECT id FROM place) AND sent_at_ms < (SELECT ms FROM place)
    ORDER BY sent_at_ms DESC LIMIT 2
),
behind AS (
    SELECT * FROM archive
    WHERE conversation_id = (SELECT id FROM place) AND sent_at_ms >= (SELECT ms FROM place)
    ORDER BY sent_at_ms LIMIT 3
)
SELECT sent_at, sender, body
FROM (SELECT * FROM before UNION ALL SELECT * FROM behind) AS around
ORDER BY sent_at_ms, id
$query$);

-- One person's messages, in all accounts and conversations
CREATE OR REPLACE TEMP MACRO one_persons_messages_in_all_accounts_and_conversations() AS TABLE
FROM sqlite_query('archive', $query$
SELECT sent_at, account, conversation, body
FROM archive
WHERE sender_id = (SELECT sender_id FROM senders WHERE sender = 'alice')
ORDER BY sent_at_ms DESC
LIMIT 100
$query$);

-- The first and the last message of a conversation
CREATE OR REPLACE TEMP MACRO the_first_and_the_last_message_of_a_conversation() AS TABLE
FROM sqlite_query('archive', $query$
WITH place AS (
    SELECT conversation_id AS id FROM conversations WHERE account = 'shop' AND conversation = 'lobby'
),
oldest AS (
    SELECT sent_at, sender, body FROM archive
    WHERE conversation_id = (SELECT id FROM place) ORDER BY sent_at_ms LIMIT 1
),
latest AS (
    SELECT sent_at, sender, body FROM archive
    WHERE conversation_id = (SELECT id FROM place) ORDER BY sent_at_ms DESC LIMIT 1
)
SELECT 'first' AS which, sent_at, sender, body FROM oldest
UNION ALL
SELECT 'last', sent_at, sender, body FROM latest
$query$);

-- A field of JSON payloads
CREATE OR REPLACE TEMP MACRO a_field_of_json_payloads() AS TABLE
FROM sqlite_query('archive', $query$
SELECT sent_at, sender, body_json ->> 'id' AS order_id, body_json ->> 'price' AS price
FROM archive
WHERE conversation_id = (SELECT conversation_id FROM conversations WHERE account = 'shop' AND conversation = 'lobby')
  AND body_json ->> 'type' = 'order'
ORDER BY sent_at_ms DESC
LIMIT 100
$query$);

-- Times in another time zone
CREATE OR REPLACE TEMP MACRO times_in_another_time_zone() AS TABLE
FROM sqlite_query('archive', $query$
SELECT strftime('%Y-%m-%d %H:%M', sent_at_ms / 1000, 'unixepoch', '+1 hour') AS in_berlin, sender
FROM archive
WHERE conversation_id = (SELECT conversation_id FROM conversations WHERE account = 'shop' AND conversation = 'lobby')
ORDER BY sent_at_ms
LIMIT 2
$query$);

-- Messages with a word
CREATE OR REPLACE TEMP MACRO messages_with_a_word() AS TABLE
FROM sqlite_query('archive', $query$
SELECT a.sent_at, a.conversation, a.sender, a.body
FROM archive_search s JOIN archive a ON a.id = s.rowid
WHERE s.words MATCH 'morning'
ORDER BY a.sent_at_ms DESC, a.id DESC
LIMIT 20
$query$);

-- Messages with a phrase
CREATE OR REPLACE TEMP MACRO messages_with_a_phrase() AS TABLE
FROM sqlite_query('archive', $query$
SELECT a.sent_at, a.conversation, a.sender, a.body
FROM archive_search s JOIN archive a ON a.id = s.rowid
WHERE s.words MATCH '"is the order"'
ORDER BY a.sent_at_ms DESC, a.id DESC
LIMIT 20
$query$);

-- Messages with a Chinese word
CREATE OR REPLACE TEMP MACRO messages_with_a_chinese_word() AS TABLE
FROM sqlite_query('archive', $query$
SELECT a.sent_at, a.conversation, a.sender, a.body
FROM archive_search s JOIN archive a ON a.id = s.rowid
WHERE s.words MATCH '"今天 天的"'
ORDER BY a.sent_at_ms DESC, a.id DESC
LIMIT 20
$query$);

-- Who talks to whom
CREATE OR REPLACE TEMP MACRO who_talks_to_whom() AS TABLE
FROM sqlite_query('archive', $query$
SELECT sender, recipient, count(*) AS messages
FROM archive
WHERE conversation_kind = 'peer'
  AND sent_at_ms >= unixepoch('2026-03-01') * 1000 AND sent_at_ms < unixepoch('2026-04-01') * 1000
GROUP BY sender, recipient
ORDER BY messages DESC, sender
LIMIT 20
$query$);

-- The most active senders of a conversation
CREATE OR REPLACE TEMP MACRO the_most_active_senders_of_a_conversation() AS TABLE
FROM sqlite_query('archive', $query$
WITH counted AS (
    SELECT sender_id, count(*) AS messages
    FROM times
    WHERE conversation_id = (SELECT conversation_id FROM conversations WHERE account = 'shop' AND conversation = 'lobby')
    GROUP BY sender_id
    ORDER BY messages DESC
    LIMIT 20
)
SELECT (SELECT sender FROM senders s WHERE s.sender_id = c.sender_id) AS sender, messages
FROM counted c
ORDER BY messages DESC, sender
$query$);

-- Response times between two peers
CREATE OR REPLACE TEMP MACRO response_times_between_two_peers() AS TABLE
FROM sqlite_query('archive', $query$
WITH turns AS (
    SELECT sender,
           lag(sender) OVER in_order AS previous,
           sent_at_ms - lag(sent_at_ms) OVER in_order AS waited_ms
    FROM archive
    WHERE conversation_id = (SELECT conversation_id FROM conversations WHERE account = 'shop' AND conversation = 'alice/bob')
    WINDOW in_order AS (ORDER BY sent_at_ms, id)
)
SELECT sender, count(*) AS responses, min(waited_ms) / 1000 AS fastest_s, max(waited_ms) / 1000 AS slowest_s
FROM turns
WHERE sender <> previous
GROUP BY sender
ORDER BY sender
$query$);

-- Conversations that have been silent for 30 days
CREATE OR REPLACE TEMP MACRO conversations_that_have_been_silent_for_30_days() AS TABLE
FROM sqlite_query('archive', $query$
SELECT account, conversation, last_at
FROM conversations
WHERE last_at < strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-30 days')
ORDER BY last_at DESC
LIMIT 100
$query$);

-- New conversations of this week
CREATE OR REPLACE TEMP MACRO new_conversations_of_this_week() AS TABLE
FROM sqlite_query('archive', $query$
SELECT account, conversation, conversation_kind, participants
FROM conversations
WHERE first_at >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-7 days')
ORDER BY first_at DESC
LIMIT 100
$query$);

-- Messages that are unread for more than a day
CREATE OR REPLACE TEMP MACRO messages_that_are_unread_for_more_than_a_day() AS TABLE
FROM sqlite_query('archive', $query$
SELECT account, conversation, sender, status, body
FROM archive
WHERE sent_at_ms >= unixepoch('now', '-30 days') * 1000 AND sent_at_ms < unixepoch('now', '-1 day') * 1000
  AND status IN ('received', 'delivered')
ORDER BY sent_at_ms
LIMIT 100
$query$);

-- How long delivery and reading take
CREATE OR REPLACE TEMP MACRO how_long_delivery_and_reading_take() AS TABLE
FROM sqlite_query('archive', $query$
SELECT status, count(*) AS messages,
       CAST(round(avg(julianday(status_at) - julianday(sent_at)) * 86400) AS INTEGER) AS mean_s,
       CAST(round(max(julianday(status_at) - julianday(sent_at)) * 86400) AS INTEGER) AS longest_s
FROM archive
WHERE sent_at_ms >= unixepoch('2026-03-01') * 1000 AND sent_at_ms < unixepoch('2026-04-01') * 1000
  AND status_at IS NOT NULL
GROUP BY status
ORDER BY status
$query$);

-- Messages a day, with the days that nobody knows
CREATE OR REPLACE TEMP MACRO messages_a_day_with_the_days_that_nobody_knows() AS TABLE
FROM sqlite_query('archive', $query$
WITH RECURSIVE day (day, from_ms) AS (
    SELECT '2026-03-02', unixepoch('2026-03-02') * 1000
    UNION ALL
    SELECT date(day, '+1 day'), from_ms + 86400000 FROM day WHERE day < '2026-03-05'
),
place AS (
    SELECT conversation_id AS id FROM conversations WHERE account = 'shop' AND conversation = 'lobby'
),
complete AS MATERIALIZED (
    SELECT from_ms, to_ms FROM completeness WHERE conversation_id = (SELECT id FROM place)
),
counted AS (
    SELECT day,
           (SELECT count(*) FROM times
            WHERE conversation_id = (SELECT id FROM place)
              AND sent_at_ms >= d.from_ms AND sent_at_ms < d.from_ms + 86400000) AS messages,
           EXISTS (SELECT 1 FROM complete c
                   WHERE c.from_ms <= d.from_ms AND c.to_ms >= d.from_ms + 86400000) AS is_complete
    FROM day d
)
SELECT day,
       CASE WHEN is_complete OR messages > 0 THEN messages END AS messages,
       CASE WHEN is_complete THEN 'complete' WHEN messages > 0 THEN 'at least' ELSE 'unknown' END AS state
FROM counted
ORDER BY day
$query$);

-- The busiest hours of the day
CREATE OR REPLACE TEMP MACRO the_busiest_hours_of_the_day() AS TABLE
FROM sqlite_query('archive', $query$
SELECT strftime('%H:00', sent_at_ms / 1000, 'unixepoch') AS hour, count(*) AS messages
FROM times
WHERE sent_at_ms >= unixepoch('2026-03-01') * 1000 AND sent_at_ms < unixepoch('2026-04-01') * 1000
GROUP BY hour
ORDER BY messages DESC, hour
LIMIT 3
$query$);

-- Sizes of payloads
CREATE OR REPLACE TEMP MACRO sizes_of_payloads() AS TABLE
FROM sqlite_query('archive', $query$
SELECT account, conversation, count(*) AS messages, sum(length(payload)) AS bytes, max(length(payload)) AS largest
FROM archive
WHERE sent_at_ms >= unixepoch('2026-03-01') * 1000 AND sent_at_ms < unixepoch('2026-04-01') * 1000
GROUP BY account, conversation
ORDER BY bytes DESC
$query$);

-- Percentiles of the length of a message
CREATE OR REPLACE TEMP MACRO percentiles_of_the_length_of_a_message() AS TABLE
FROM sqlite_query('archive', $query$
WITH ranked AS (
    SELECT length(body) AS characters,
           row_number() OVER (ORDER BY length(body)) AS place,
           count(*) OVER () AS messages
    FROM archive
    WHERE sent_at_ms >= unixepoch('2026-03-01') * 1000 AND sent_at_ms < unixepoch('2026-04-01') * 1000
      AND body IS NOT NULL
)
SELECT min(CASE WHEN place >= 0.5 * messages THEN characters END) AS median,
       min(CASE WHEN place >= 0.9 * messages THEN characters END) AS p90,
       max(characters) AS longest
FROM ranked
$query$);

-- Exact duplicates
CREATE OR REPLACE TEMP MACRO exact_duplicates() AS TABLE
FROM sqlite_query('archive', $query$
SELECT account, conversation, sender, body, count(*) AS times
FROM archive
WHERE sent_at_ms >= unixepoch('2026-03-01') * 1000 AND sent_at_ms < unixepoch('2026-04-01') * 1000
GROUP BY account, conversation, sender, payload, body
HAVING count(*) > 1
ORDER BY times DESC
LIMIT 100
$query$);

-- Archived today
CREATE OR REPLACE TEMP MACRO archived_today() AS TABLE
FROM sqlite_query('archive', $query$
SELECT account, conversation, count(*) AS messages
FROM archive
WHERE id > (SELECT id FROM archive_end) - 100000 AND archived_at >= date('now')
GROUP BY account, conversation
ORDER BY messages DESC, conversation
$query$);

-- Late arrivals
CREATE OR REPLACE TEMP MACRO late_arrivals() AS TABLE
FROM sqlite_query('archive', $query$
SELECT sent_at, archived_at, conversation, sender, body
FROM archive
WHERE sent_at_ms >= unixepoch('2026-03-02') * 1000 AND sent_at_ms < unixepoch('2026-03-09') * 1000
  AND unixepoch(archived_at) - sent_at_ms / 1000 > 2 * 86400
ORDER BY sent_at_ms
LIMIT 100
$query$);

-- The end, for a program that continues where it stopped
CREATE OR REPLACE TEMP MACRO the_end_for_a_program_that_continues_where_it_stopped() AS TABLE
FROM sqlite_query('archive', $query$
SELECT id FROM archive_end
$query$);

-- The messages since the last time
CREATE OR REPLACE TEMP MACRO the_messages_since_the_last_time() AS TABLE
FROM sqlite_query('archive', $query$
SELECT id, sent_at, account, conversation, sender, body
FROM archive
WHERE id > 0 AND id <= 2
ORDER BY id
$query$);

-- Is a day complete?
CREATE OR REPLACE TEMP MACRO is_a_day_complete() AS TABLE
FROM sqlite_query('archive', $query$
SELECT CASE WHEN EXISTS (
    SELECT 1 FROM completeness
    WHERE account = 'shop' AND conversation = 'lobby'
      AND from_ms <= unixepoch('2026-03-03') * 1000 AND to_ms >= unixepoch('2026-03-04') * 1000
) THEN 'complete' ELSE 'perhaps not complete' END AS answer
$query$);

-- The ranges in which a conversation is complete
CREATE OR REPLACE TEMP MACRO the_ranges_in_which_a_conversation_is_complete() AS TABLE
FROM sqlite_query('archive', $query$
SELECT from_at, to_at
FROM completeness
WHERE account = 'shop' AND conversation = 'lobby'
ORDER BY from_ms
$query$);

-- The days of a conversation, and whether there may be more
CREATE OR REPLACE TEMP MACRO the_days_of_a_conversation_and_whether_there_may_be_more() AS TABLE
FROM sqlite_query('archive', $query$
SELECT day, messages, state
FROM days
WHERE account = 'shop' AND conversation = 'lobby'
ORDER BY day
$query$);

-- Conversations of which the archive may have a part only
CREATE OR REPLACE TEMP MACRO conversations_of_which_the_archive_may_have_a_part_only() AS TABLE
FROM sqlite_query('archive', $query$
SELECT account, conversation, messages
FROM conversations
WHERE conversation_id NOT IN (SELECT conversation_id FROM completeness)
ORDER BY messages DESC, conversation
$query$);

-- The streams for which a day is not complete
CREATE OR REPLACE TEMP MACRO the_streams_for_which_a_day_is_not_complete() AS TABLE
FROM sqlite_query('archive', $query$
SELECT account, stream, max(to_at) AS complete_to
FROM coverage
GROUP BY account, stream
HAVING max(from_at <= '2026-03-05T00:00:00.000Z' AND to_at >= '2026-03-06T00:00:00.000Z' AND state = 'sealed') = 0
ORDER BY account, stream
$query$);

-- Lost and suspect ranges
CREATE OR REPLACE TEMP MACRO lost_and_suspect_ranges() AS TABLE
FROM sqlite_query('archive', $query$
SELECT account, stream, from_at, to_at, reason FROM gaps WHERE lost
UNION ALL
SELECT account, stream, from_at, to_at, reason FROM coverage WHERE state = 'suspect'
ORDER BY account, stream, from_at
$query$);

-- What will be lost next
CREATE OR REPLACE TEMP MACRO what_will_be_lost_next() AS TABLE
FROM sqlite_query('archive', $query$
SELECT account, stream, from_at, to_at, expires_at, reason
FROM gaps
WHERE NOT lost AND expires_at < strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+1 day')
ORDER BY expires_at, stream
LIMIT 3
$query$);

-- Cost and result of a day
CREATE OR REPLACE TEMP MACRO cost_and_result_of_a_day() AS TABLE
FROM sqlite_query('archive', $query$
SELECT account, count(*) AS passes, sum(requests) AS requests, sum(new) AS new, sum(changed) AS changed, sum(errors) AS errors
FROM runs
WHERE started_at >= '2026-03-02' AND started_at < '2026-03-03'
GROUP BY account
ORDER BY account
$query$);

-- Messages that could not be parsed
CREATE OR REPLACE TEMP MACRO messages_that_could_not_be_parsed() AS TABLE
FROM sqlite_query('archive', $query$
SELECT account, stream, reason, count(*) AS messages, min(raw) AS example
FROM quarantine
GROUP BY account, stream, reason
ORDER BY messages DESC
$query$);

-- Active alarms, the oldest first
CREATE OR REPLACE TEMP MACRO active_alarms_the_oldest_first() AS TABLE
FROM sqlite_query('archive', $query$
SELECT account, stream, kind, since, text, hint
FROM alarms
WHERE until IS NULL
ORDER BY since
$query$);
