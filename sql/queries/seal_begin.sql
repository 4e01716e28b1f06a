-- No row: this window was sealed with all that came before the cut, in a transaction whose
-- outcome we did not hear.
INSERT INTO compaction AS c (t0, shard, done, seals)
VALUES ($1::timestamptz, 0, $2::timestamptz, 1)
ON CONFLICT (t0, shard) DO UPDATE SET done = excluded.done, seals = c.seals + 1
 WHERE c.done < excluded.done
RETURNING c.seals::int8
