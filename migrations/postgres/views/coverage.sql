-- Unbroken runs of sealed windows. Adjacent rows of the ledger are one run if both are certain or
-- both are suspect.
CREATE OR REPLACE VIEW coverage AS
WITH marked AS (
    -- starts: 1 if a run begins with this row.
    SELECT w.*,
           CASE WHEN from_s = lag(to_s) OVER previous
                     AND (doubt IS NULL) = (lag(doubt) OVER previous IS NULL)
                THEN 0 ELSE 1 END AS starts
    FROM sealed_window w
    WINDOW previous AS (PARTITION BY stream_id ORDER BY from_s)
),
numbered AS (
    SELECT *, sum(starts) OVER (PARTITION BY stream_id ORDER BY from_s) AS run
    FROM marked
)
SELECT a.name                                                   AS account,
       s.key                                                    AS stream,
       instant_s(min(from_s)) AS from_at,
       instant_s(max(to_s))   AS to_at,
       CAST(sum(messages) AS BIGINT)                                            AS messages,
       CASE WHEN count(*) = count(provider_count)
            THEN CAST(sum(provider_count) AS BIGINT) END                        AS provider_count,
       CASE WHEN max(doubt) IS NULL THEN 'sealed' ELSE 'suspect' END AS state,
       max(doubt)                                               AS reason,
       instant(max(sealed_at_ms)) AS sealed_at,
       count(*)                                                 AS windows
FROM numbered n
     JOIN stream s ON s.id = n.stream_id
     JOIN account a ON a.id = s.account_id
GROUP BY n.stream_id, n.run, a.name, s.key;

COMMENT ON VIEW coverage IS
    'Unbroken runs of sealed windows: the ranges in which a stream is complete.';
COMMENT ON COLUMN coverage.account IS 'The name of the account in the configuration.';
COMMENT ON COLUMN coverage.stream IS
    'The request: destination=lobby, source=alice&destination=bob, topic=group:...';
COMMENT ON COLUMN coverage.from_at IS 'The start of the range.';
COMMENT ON COLUMN coverage.to_at IS 'The end of the range, exclusive.';
COMMENT ON COLUMN coverage.messages IS 'The number of messages in the archive.';
COMMENT ON COLUMN coverage.provider_count IS
    'The number that the provider reported when it was last asked.';
COMMENT ON COLUMN coverage.state IS 'sealed, or suspect: the provider contradicted itself.';
COMMENT ON COLUMN coverage.reason IS 'Why the range is suspect.';
COMMENT ON COLUMN coverage.sealed_at IS 'The latest commit of the range.';
COMMENT ON COLUMN coverage.windows IS 'The number of windows.';
