-- The id up to which all messages are in the search index.
DROP VIEW IF EXISTS archive_search_end;
CREATE VIEW archive_search_end AS
SELECT indexed_to AS id
FROM search_progress;
