-- The words of each message, for full-text search. SQLite has a table of this name in its place.
CREATE OR REPLACE VIEW archive_search AS
SELECT w.id         AS id,
       w.sent_at_ms AS sent_at_ms,
       w.words      AS words,
       w.id         AS rowid
FROM message_words w;

COMMENT ON VIEW archive_search IS
    'The words of each message, for full-text search, one row each.';
COMMENT ON COLUMN archive_search.id IS
    'The id of the message. To join it with archive, compare sent_at_ms as well.';
COMMENT ON COLUMN archive_search.sent_at_ms IS
    'The time of the message. To join it with archive, compare id as well.';
COMMENT ON COLUMN archive_search.words IS
    'The words, with their positions: words @@ TSQUERY ''refund & policy''. docs/SQL.md says how a '
    'text is cut into words. NULL: the text has more words than a TSVECTOR can hold.';
COMMENT ON COLUMN archive_search.rowid IS 'The same as id, under the name that SQLite has.';
