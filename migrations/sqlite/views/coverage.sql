-- Unbroken runs of sealed windows. Adjacent rows of the ledger are one run if both are certain or
-- both are suspect.
DROP VIEW IF EXISTS coverage;
CREATE VIEW coverage AS
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
       strftime('%Y-%m-%dT%H:%M:%fZ', min(from_s), 'unixepoch') AS from_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', max(to_s), 'unixepoch')   AS to_at,
       sum(messages)                                            AS messages,
       CASE WHEN count(1) = count(provider_count)
            THEN sum(provider_count) END                        AS provider_count,
       CASE WHEN max(doubt) IS NULL THEN 'sealed' ELSE 'suspect' END AS state,
       max(doubt)                                               AS reason,
       strftime('%Y-%m-%dT%H:%M:%fZ', max(sealed_at_ms) / 1000.0, 'unixepoch') AS sealed_at,
       count(1)                                                 AS windows
FROM numbered n
     JOIN stream s ON s.id = n.stream_id
     JOIN account a ON a.id = s.account_id
GROUP BY n.stream_id, n.run;
