-- Start of the oldest window that a stored batch may still have to be sealed into. A batch lies in
-- one window; those that were stored before that was so may end in the next ($1 microseconds later).
SELECT min(i.t0)::timestamptz
  FROM inbox AS i
  LEFT JOIN compaction AS a ON a.t0 = i.t0 AND a.shard = i.writer
  LEFT JOIN compaction AS b ON b.t0 = i.t0 + $1::int8 * interval '1 microsecond' AND b.shard = i.writer
 WHERE a.done IS NULL OR i.rcv > a.done OR b.done IS NULL OR i.rcv > b.done
