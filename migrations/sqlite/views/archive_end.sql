-- The highest id up to which no message can be added any more. SQLite has one writer: that is the
-- latest id.
DROP VIEW IF EXISTS archive_end;
CREATE VIEW archive_end AS
SELECT coalesce(max(id), 0) AS id
FROM message;
