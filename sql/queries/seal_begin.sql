-- No row: this window was sealed with all that came before the cut, in a transaction whose
-- outcome we did not hear. Each collector seals what it received ($3); the parts of a window are
-- numbered over all of them.
WITH own AS (
    INSERT INTO compaction AS c (t0, shard, done, seals)
    VALUES ($1::timestamptz, $3::int2, $2::timestamptz, 1)
    ON CONFLICT (t0, shard) DO UPDATE SET done = excluded.done, seals = c.seals + 1
     WHERE c.done < excluded.done
    RETURNING c.t0, c.done)
INSERT INTO compaction AS c (t0, shard, done, seals)
SELECT t0, -1, done, 1 FROM own
ON CONFLICT (t0, shard) DO UPDATE SET done = greatest(c.done, excluded.done), seals = c.seals + 1
RETURNING c.seals::int8
