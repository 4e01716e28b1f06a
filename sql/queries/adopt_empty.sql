-- SPDX-License-Identifier: Apache-2.0
-- Windows of collector $1 that were over before $3 and of which no sample was left to seal (batches of
-- events alone, samples that were known): nothing of theirs received up to $2 waits any more.
INSERT INTO compaction AS c (t0, shard, done, seals)
SELECT DISTINCT i.t0, $1::int2, $2::timestamptz, 0
  FROM inbox AS i
  LEFT JOIN compaction AS a ON a.t0 = i.t0 AND a.shard = i.writer
 WHERE i.writer = $1::int2 AND i.rcv <= $2::timestamptz AND i.t0 < $3::timestamptz
   AND (a.done IS NULL OR i.rcv > a.done)
    ON CONFLICT (t0, shard) DO UPDATE SET done = greatest(c.done, excluded.done)
