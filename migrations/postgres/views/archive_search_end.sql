-- The id up to which all messages are in the search index.
CREATE OR REPLACE VIEW archive_search_end AS
SELECT indexed_to AS id
FROM search_progress;

COMMENT ON VIEW archive_search_end IS
    'One row: the end of the search index. See its column.';
COMMENT ON COLUMN archive_search_end.id IS
    'The id up to which all messages are in archive_search. 0: search is off, or nothing is indexed '
    'yet.';
